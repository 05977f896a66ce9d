"""`ctlog-monitor alerts authorise`, `authorised`, `revoke`: somebody's word that a certificate, key or issuer is right.

In scope: for an alert, or beforehand for what is not issued yet. An issuer can be authorised only if signatures tie it
to an accepted root: whoever merely says to be it is not it. Out of scope: saying that something is not right
(`monitor.cli.refuse`).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.output import json_option, say, say_json, when
from ctlog.errors import NotFoundError, UsageError
from monitor.cli.place import folder_option, now_ms, who, with_state
from monitor.cli.times import parse_moment
from monitor.state.rows import short_id

if TYPE_CHECKING:
    from monitor.answering import Settled, Word
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import AlertRow, Authorisation

CERTIFICATE, KEY, ISSUER = "certificate", "key", "issuer"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
item_option = click.option("--item", metavar="ITEM", help="For this watched item, or for all items of this name.  "
                           "[default: that of the alert]")  # fmt: skip
everywhere_option = click.option("--everywhere", is_flag=True, help="For everything that is watched.")
note_option = click.option("--note", default="", metavar="TEXT", help="What you want to remember about it.")


@click.command()
@folder_option
@click.argument("alert", required=False)
@click.option("--what", type=click.Choice([CERTIFICATE, KEY, ISSUER]), default=CERTIFICATE, show_default=True,
              help="What of the ALERT is all right: this certificate only, all with its key, or all of its issuer.")
@click.option("--certificate", type=_FILE, metavar="FILE", help="Beforehand: a certificate or precertificate, "
              "its issuer behind it in the file.")
@click.option("--key", metavar="SHA256", help="Beforehand: the SHA-256 of a key, or a file with the key, a "
              "request or a certificate.")
@click.option("--issuer", metavar="NAME", help="Beforehand: an issuer by its whole name, \"organisation\", or "
              "\"organisation @ root\" below another's root.")
@item_option
@everywhere_option
@click.option("--until", metavar="WHEN", help="It holds until then: a date, or so long from now (90d).")
@note_option
@json_option
def authorise(
    folder: Path, alert: str | None, what: str, certificate: Path | None, key: str | None, issuer: str | None,
    item: str | None, everywhere: bool, until: str | None, note: str, as_json: bool,
) -> int:  # fmt: skip
    """Say that a certificate, a key or an issuer is all right: it raises no alert any more.

    For an ALERT that was told; or beforehand, before a certificate is issued, with --certificate, --key or --issuer and
    the --item that it is for. What is wrong whoever asked for it (a weak key, a broken chain) is told all the same.
    Other open alerts are answered too if your word answers all that they say: a yes to an issuer does not answer that
    his certificate came right after your SIM was changed. If you had refused its key or its issuer, that is taken back.

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
    check_where(alert, item, everywhere)

    async def work(place: Place, state: State) -> _Done:
        from monitor.answering import refusals_of, settle, still_refused, word_of

        where = await where_of(place, state, item, everywhere)
        refused = [row for row in await state.answers.authorisations(now) if row.is_refusal]
        back: list[Authorisation] = []
        named = await state.alerts.get(alert) if alert is not None else None
        if named is not None:
            word = word_of(named, what, where)
            back = refusals_of(named, word.item, refused)
        else:
            word = await beforehand(place, state, certificate, key, issuer, where or "")
        made = await state.answers.authorise(word.kind, word.value, word.item, who(), note, now, until_ms)
        for each in back:
            await state.answers.revoke(each.id, now)
        kept = still_refused(word, (each for each in refused if each not in back))
        return made, back, kept, await settle(state, word, who(), note, named)

    made, back, kept, (settled, still_open) = with_state(folder, work)
    if as_json:
        ids = {"alerts": [row.id for row in settled], "open": [row.id for row in still_open]}
        say_json({**made._asdict(), **ids, "taken_back": [row.id for row in back]})
        return 0
    till = f", until {when(made.until_ms)}" if made.until_ms is not None else ""
    say(f"Authorised as {made.id}: the {made.kind} {made.value}, for {made.item or 'everything'}{till}.")
    for each in back:
        say(f"Taken back: refusal {each.id}, of the {each.kind} {each.value}.")
    for each in kept:
        say(f"It stays refused for {each.item}: refusal {each.id}, see `alerts refused`.")
    say_settled([*settled, *still_open])
    for row in still_open:
        say(f"{short_id(row.id)} stays open: it says {', '.join(row.rules)}, which this does not answer. See "
            f"`alerts show {short_id(row.id)}`; if it is all right, authorise that one too.")  # fmt: skip
    return 0


_Done = tuple["Authorisation", "list[Authorisation]", "list[Authorisation]", "Settled"]


@click.command()
@folder_option
@json_option
def authorised(folder: Path, as_json: bool) -> int:
    """What is authorised now, by whom, and until when. `alerts refused` is the contrary."""
    list_answers(folder, as_json, is_refusal=False)
    return 0


@click.command()
@folder_option
@click.argument("number", type=click.IntRange(1, 1 << 62))
def revoke(folder: Path, number: int) -> int:
    """Answer NUMBER holds no longer, an authorisation or a refusal.

    What an authorisation covered is told again when it comes again; whom you refused is a stranger again, of whom you
    were told.
    """

    async def work(_: Place, state: State) -> None:
        await state.answers.revoke(number, now_ms())

    with_state(folder, work)
    say(f"Answer {number} holds no longer.")
    return 0


# --- what answers have in common --------------------------------------------------------------------------------------


def check_where(alert: str | None, item: str | None, everywhere: bool) -> None:
    """Raises UsageError unless it is said for which item an answer is."""
    if item and everywhere:
        raise UsageError("it is for --item, or --everywhere")
    if alert is None and not item and not everywhere:
        raise UsageError("say for which watched --item it holds, or --everywhere")


async def where_of(place: Place, state: State, item: str | None, everywhere: bool) -> str | None:
    """The item that an answer is for: "" for all, None for that of the alert. Raises NotFoundError."""
    if item:
        await _check_item(place, state, item)
    return "" if everywhere else item


async def beforehand(
    place: Place, state: State, certificate: Path | None, key: str | None, issuer: str | None, where: str
) -> Word:
    """An answer about something of which nobody was told yet. Raises UsageError, NotFoundError."""
    from monitor.answering import Word, issuer_named
    from monitor.cli.given import issuance_in, key_hash
    from monitor.watch_table import canonical

    if certificate is not None:
        return Word(CERTIFICATE, issuance_in(certificate).hex(), where)
    if key is not None:
        return Word(KEY, canonical("keys", key_hash(key)), where)
    assert issuer is not None
    domains = {roots.trust_domain for roots in place.config.roots}
    return Word(ISSUER, issuer_named(issuer, await state.answers.issuers(), domains), where)


def list_answers(folder: Path, as_json: bool, *, is_refusal: bool) -> None:
    """What is authorised, or refused, now."""

    async def work(_: Place, state: State) -> list[Authorisation]:
        return [row for row in await state.answers.authorisations(now_ms()) if row.is_refusal == is_refusal]

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
        say(f"Nothing is {'refused' if is_refusal else 'authorised'}.")


def say_settled(rows: Sequence[AlertRow]) -> None:
    """The alerts that an answer answered."""
    for row in rows:
        say(f"{short_id(row.id)}  {row.status}  {row.summary}")


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
