"""`ctlog-monitor alerts authorise`, `authorised`, `revoke`: somebody's word that a certificate, key or issuer is right.

In scope: for an alert, or beforehand for what is not issued yet. An issuer can be authorised only if signatures tie it
to an accepted root: whoever merely says to be it is not it.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ctlog.cli.output import json_option, say, say_json, when
from ctlog.errors import NotFoundError, UsageError
from monitor.cli.place import folder_option, now_ms, who, with_state
from monitor.cli.times import parse_moment
from monitor.state.rows import S4, short_id

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import AlertRow, Authorisation

CERTIFICATE, KEY, ISSUER = "certificate", "key", "issuer"
MOST = 10_000
"""Open alerts of one status that an authorisation is compared with, the newest."""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Word(NamedTuple):
    """What is authorised: its kind, its value, for which item ("": for all)."""

    kind: str
    value: str
    item: str


class Settled(NamedTuple):
    """The alerts that a word answered, and those about the same that say more than it answers."""

    answered: list[AlertRow]
    still_open: list[AlertRow]


@click.command()
@folder_option
@click.argument("alert", required=False)
@click.option("--what", type=click.Choice([CERTIFICATE, KEY, ISSUER]), default=CERTIFICATE, show_default=True,
              help="What of the ALERT is all right: this certificate only, all with its key, or all of its issuer.")
@click.option("--certificate", type=_FILE, metavar="FILE", help="Beforehand: a certificate or precertificate, "
              "its issuer behind it in the file.")
@click.option("--key", metavar="SHA256", help="Beforehand: the SHA-256 of a key, or a file with the key, a "
              "request or a certificate.")
@click.option("--issuer", metavar="NAME", help="Beforehand: an issuer, as alerts name its id.")
@click.option("--item", metavar="ITEM", help="For this watched item, or for all items of this name.  [default: that of "
              "the alert]")
@click.option("--everywhere", is_flag=True, help="For everything that is watched.")
@click.option("--until", metavar="WHEN", help="It holds until then: a date, or so long from now (90d).")
@click.option("--note", default="", metavar="TEXT", help="What you want to remember about it.")
@json_option
def authorise(
    folder: Path, alert: str | None, what: str, certificate: Path | None, key: str | None, issuer: str | None,
    item: str | None, everywhere: bool, until: str | None, note: str, as_json: bool,
) -> int:  # fmt: skip
    """Say that a certificate, a key or an issuer is all right: it raises no alert any more.

    For an ALERT that was told; or beforehand, before a certificate is issued, with --certificate, --key or --issuer and
    the --item that it is for. What is wrong whoever asked for it (a weak key, a broken chain) is told all the same.
    Other open alerts are answered too if your word answers all that they say: a yes to an issuer does not answer that
    his certificate came right after your SIM was changed.

    \b
    ctlog-monitor alerts authorise 3f2a
    ctlog-monitor alerts authorise 3f2a --what issuer --note "our new provider"
    ctlog-monitor alerts authorise --key new-phone.csr --item "home/number:+12025550123" --until 30d
    """
    now = now_ms()
    until_ms = parse_moment(until, now, ahead=True) if until else None
    if until_ms is not None and until_ms <= now:
        raise UsageError(f"--until: {until} is over already")
    if [alert, certificate, key, issuer].count(None) != 3:
        raise UsageError("name an ALERT, or one of --certificate, --key, --issuer")
    if item and everywhere:
        raise UsageError("it is for --item, or --everywhere")
    if alert is None and not item and not everywhere:
        raise UsageError("say for which watched --item it holds, or --everywhere")

    async def work(place: Place, state: State) -> tuple[Authorisation, Settled]:
        if item:
            await _check_item(place, state, item)
        where = "" if everywhere else item
        named = await state.alerts.get(alert) if alert is not None else None
        if named is not None:
            word = _of_alert(named, what, where)
        else:
            word = await _beforehand(place, state, certificate, key, issuer, where or "")
        made = await state.answers.authorise(word.kind, word.value, word.item, who(), note, now, until_ms)
        return made, await _settle(state, word, note, named)

    made, (settled, still_open) = with_state(folder, work)
    if as_json:
        ids = {"alerts": [row.id for row in settled], "open": [row.id for row in still_open]}
        say_json({**made._asdict(), **ids})
        return 0
    till = f", until {when(made.until_ms)}" if made.until_ms is not None else ""
    say(f"Authorised as {made.id}: the {made.kind} {made.value}, for {made.item or 'everything'}{till}.")
    for row in (*settled, *still_open):
        say(f"{short_id(row.id)}  {row.status}  {row.summary}")
    for row in still_open:
        say(f"{short_id(row.id)} stays open: it says {', '.join(row.rules)}, which this does not answer. See "
            f"`alerts show {short_id(row.id)}`; if it is all right, authorise that one too.")  # fmt: skip
    return 0


@click.command()
@folder_option
@json_option
def authorised(folder: Path, as_json: bool) -> int:
    """What is authorised now, by whom, and until when."""

    async def work(_: Place, state: State) -> list[Authorisation]:
        return await state.answers.authorisations(now_ms())

    rows = with_state(folder, work)
    for row in rows:
        if as_json:
            say_json(row._asdict())
            continue
        till = f", until {when(row.until_ms)}" if row.until_ms is not None else ""
        say(f"{row.id:5}  {row.kind:11}  {row.value}")
        say(f"{'':5}  for {row.item or 'everything'}, by {row.by} {when(row.created_ms)}{till}"
            f"{f': {row.note}' if row.note else ''}")  # fmt: skip
    if not rows and not as_json:
        say("Nothing is authorised.")
    return 0


@click.command()
@folder_option
@click.argument("number", type=int)
def revoke(folder: Path, number: int) -> int:
    """Authorisation NUMBER holds no longer: what it covered is told again when it comes again."""

    async def work(_: Place, state: State) -> None:
        await state.answers.revoke(number, now_ms())

    with_state(folder, work)
    say(f"Authorisation {number} holds no longer.")
    return 0


# --- what is meant ----------------------------------------------------------------------------------------------------


def _of_alert(row: AlertRow, what: str, where: str | None) -> Word:
    body = json.loads(row.body)
    if row.kind not in ("certificate", "unreadable"):
        raise UsageError(f"the alert {short_id(row.id)} is about {row.kind}, not about a certificate: "
                         "answer with `ack`")  # fmt: skip
    item = row.item if where is None else where
    if what == CERTIFICATE:
        return Word(CERTIFICATE, body["issuance"], item)
    if what == KEY:
        if not body["key"]["sha256"]:
            raise UsageError(f"the certificate of {short_id(row.id)} cannot be read, so its key is not known")
        return Word(KEY, body["key"]["sha256"], item)
    if not body["issuer"]["verified"]:
        raise UsageError(f"nobody vouches for the issuer of {short_id(row.id)} ({body['issuer']['problem']}): "
                         "authorise its certificate or its key")  # fmt: skip
    return Word(ISSUER, body["issuer"]["id"], item)


async def _beforehand(
    place: Place, state: State, certificate: Path | None, key: str | None, issuer: str | None, where: str
) -> Word:
    from monitor.cli.given import issuance_in, key_hash
    from monitor.watch_table import canonical

    if certificate is not None:
        return Word(CERTIFICATE, issuance_in(certificate).hex(), where)
    if key is not None:
        return Word(KEY, canonical("keys", key_hash(key)), where)
    assert issuer is not None
    return Word(ISSUER, _issuer_named(issuer, await state.answers.issuers()), where)


def _issuer_named(name: str, known: frozenset[str]) -> str:
    """The id of an issuer. One that was never seen must be given as its whole id."""
    from monitor.holder import normalise, same_holder

    if name in known or " @ " in name:
        return name
    alike = sorted(each for each in known if same_holder(normalise(name), each.partition(" @ ")[0]))
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise UsageError(f"{name!r} may be {' or '.join(map(repr, alike))}: say which")
    near = difflib.get_close_matches(normalise(name), known, 3, 0.3)
    hint = f"; near are {', '.join(map(repr, near))}" if near else ""
    raise NotFoundError(f"no issuer was seen that is called {name!r}{hint}. One that was never seen is named as alerts "
                        'do: "organisation @ trust domain"')  # fmt: skip


async def _check_item(place: Place, state: State, item: str) -> None:
    """Raises NotFoundError for what is not watched."""
    from monitor.cli.watched import read_watched

    watched = read_watched(place, await state.answers.items())
    names = [name for name, _, _ in watched]
    if item in names:
        return
    ids = [each.id for name, _, items in watched if item.startswith(f"{name}/") for each in items]
    if item not in ids:
        near = difflib.get_close_matches(item, [*names, *ids[:1000]], 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `ctlog-monitor watch list --json` shows every id"
        raise NotFoundError(f"{item!r} is not watched{hint}")


async def _settle(state: State, word: Word, note: str, named: AlertRow | None) -> Settled:
    """Open alerts about what this word names are answered by it, if it answers all that they say; and the one that
    was `named`, which was looked at. What that one says besides is sent all the same."""
    answered, still_open = [], []
    thread = word.value if word.kind == CERTIFICATE else None
    for status in ("new", "acknowledged", "snoozed"):
        for row in await state.alerts.find(status=status, thread=thread, of=word.item or None, limit=MOST):
            if row.kind not in ("certificate", "unreadable") or not _covers(word, body := json.loads(row.body)):
                continue
            is_named = named is not None and row.id == named.id
            says_more = _says_more(CERTIFICATE if is_named else word.kind, body)
            if is_named or not says_more:
                answered.append(await state.alerts.mark_authorised(row.id, who(), note, says_more=says_more))
            else:
                still_open.append(row)
    return Settled(answered, still_open)


def _covers(word: Word, body: dict[str, Any]) -> bool:
    if word.kind == CERTIFICATE:
        return bool(body["issuance"] == word.value)
    if word.kind == KEY:
        return bool(body["key"]["sha256"] == word.value)
    return bool(body["issuer"]["verified"] and body["issuer"]["id"] == word.value)


def _says_more(kind: str, body: dict[str, Any]) -> bool:
    """Whether an alert says, beyond what is for information, something that a yes to this kind does not answer."""
    from monitor.rules.verdict import rules_answered

    answered = rules_answered(kind, (body["item"] or {}).get("kind", ""))
    return any(each["id"] not in answered for each in body["rules"] if each["severity"] < S4)
