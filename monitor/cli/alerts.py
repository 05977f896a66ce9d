"""`ctlog-monitor alerts list`, `show`, `ack`, `snooze`, `resend`: what was told, and that somebody deals with it."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.output import json_option, say, say_error, say_json, when
from ctlog.errors import NotFoundError, UsageError
from monitor.cli.authorise import authorise, authorised, note_option, revoke
from monitor.cli.bundle import bundle
from monitor.cli.place import folder_option, now_ms, who, with_state
from monitor.cli.refuse import refuse, refused
from monitor.cli.times import parse_moment
from monitor.state.rows import short_id

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import AlertRow, OutboxRow, Sighting

_STATUSES = ("new", "acknowledged", "snoozed", "authorised", "refused", "resolved")
_KINDS = ("certificate", "misbehaviour", "health", "unreadable", "test")


@click.group()
def alerts() -> None:
    """What was found, whether it was delivered, and your answers.

    ALERT is its id; the first few digits are enough, as long as they fit one alert.

    \b
    ctlog-monitor alerts list --status new
    ctlog-monitor alerts show 3f2a
    ctlog-monitor alerts ack 3f2a --note "called the carrier"
    ctlog-monitor alerts authorise 3f2a
    ctlog-monitor alerts refuse 3f2a
    """


@alerts.command(name="list")
@folder_option
@click.option("--status", type=click.Choice(_STATUSES), help="Only these.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only these.")
@click.option("--severity", type=click.IntRange(1, 4), metavar="N", help="These and graver ones: 1 is the gravest.")
@click.option("--item", metavar="ITEM", help="Only of this watched item, or of all items of this name.")
@click.option("--since", metavar="WHEN", help="Only those since a date, or so long ago: 2026-01-31, 3d, 12h.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="How many at most.")
@json_option
def list_(
    folder: Path, status: str | None, kind: str | None, severity: int | None, item: str | None, since: str | None,
    limit: int, as_json: bool,
) -> int:  # fmt: skip
    """Alerts, the newest first.

    Exit code 0, also when there are none.
    """
    since_ms = parse_moment(since, now_ms()) if since else 0

    async def work(_: Place, state: State) -> tuple[list[AlertRow], bool]:
        rows = await state.alerts.find(
            status=status, kind=kind, of=item, worst=severity, since_ms=since_ms, limit=limit + 1
        )
        return rows[:limit], len(rows) > limit

    rows, is_cut = with_state(folder, work)
    for row in rows:
        if as_json:
            say_json(alert_value(row))
        else:
            say(f"{short_id(row.id)}  {when(row.created_ms)}  {row.status:12}  {row.summary}{_times(row)}")
    if not as_json:
        if not rows:
            say("There are none.")
            if item:
                _note_unwatched(folder, item)
        elif is_cut:
            say(f"... and more: --limit shows more than {limit}.")
    return 0


@alerts.command()
@folder_option
@click.argument("alert")
@click.option("--pem", is_flag=True, help="Print the certificate and its chain, and nothing else.")
@json_option
def show(folder: Path, alert: str, pem: bool, as_json: bool) -> int:
    """All about one alert: what it says, where it was seen, to whom it was delivered, what was answered."""

    async def work(_: Place, state: State) -> tuple[AlertRow, list[Sighting], list[OutboxRow], list[AlertRow]]:
        row = await state.alerts.get(alert)
        since = await state.alerts.by_issuer(row.item, row.issuer, row.created_ms) if row.repeats else []
        return row, await state.alerts.sightings(row.id), await state.outbox.of_alert(row.id), since

    row, sightings, messages, since = with_state(folder, work)
    if pem:
        click.echo(_pem(row), nl=False)
    elif as_json:
        say_json({
            **alert_value(row), "body": json.loads(row.body), "since": [alert_value(each) for each in since],
            "sightings": [sighting_value(each) for each in sightings],
            "messages": [message_value(each) for each in messages],
        })  # fmt: skip
    else:
        _say_alert(row, sightings, messages, since)
    return 0


@alerts.command()
@folder_option
@click.argument("ids", nargs=-1, required=True, metavar="ALERT...")
@note_option
@json_option
def ack(folder: Path, ids: tuple[str, ...], note: str, as_json: bool) -> int:
    """Somebody has seen it and deals with it: reminders end.

    It says nothing about the certificate; `authorise` (it is yours) and `refuse` (it is not) do.
    """

    async def work(_: Place, state: State) -> list[AlertRow]:
        found = [(await state.alerts.get(each)).id for each in ids]  # all of them, or none
        return [await state.alerts.acknowledge(each, who(), note) for each in found]

    _say_answers(with_state(folder, work), as_json)
    return 0


@alerts.command()
@folder_option
@click.argument("ids", nargs=-1, required=True, metavar="ALERT...")
@click.option("--until", required=True, metavar="WHEN", help="A date, or so long from now: 2026-12-31, 3d, 12h.")
@note_option
@json_option
def snooze(folder: Path, ids: tuple[str, ...], until: str, note: str, as_json: bool) -> int:
    """Be quiet about it until then; afterwards you are reminded."""
    now = now_ms()
    until_ms = parse_moment(until, now, ahead=True)
    if until_ms <= now:
        raise UsageError(f"--until: {until} is over already")

    async def work(_: Place, state: State) -> list[AlertRow]:
        found = [(await state.alerts.get(each)).id for each in ids]
        return [await state.alerts.snooze(each, until_ms, who(), note) for each in found]

    _say_answers(with_state(folder, work), as_json)
    return 0


@alerts.command()
@folder_option
@click.argument("ids", nargs=-1, metavar="[ALERT]...")
@click.option("--channel", metavar="NAME", help="Only over this channel; without ALERT, all that were given up there.")
@json_option
def resend(folder: Path, ids: tuple[str, ...], channel: str | None, as_json: bool) -> int:
    """Send once more: what ALERTs told, or, without any, every message that was given up.

    A message is given up after 72 hours of trying; mend the channel, try it with `ctlog-monitor test`, then call this.

    \b
    ctlog-monitor alerts resend --channel mail
    ctlog-monitor alerts resend 3f2a
    """

    async def work(place: Place, state: State) -> int:
        if channel is not None and channel not in place.config.channels:
            raise UsageError(f"there is no channel {channel!r} in {place.path}")
        found = [row for each in ids for row in await state.outbox.of_alert((await state.alerts.get(each)).id)]
        found = found if ids else await state.outbox.dead_letters(limit=1_000_000)
        again = [row.id for row in found if row.status in ("sent", "dead") and channel in (None, row.channel)]
        await state.outbox.resend(again, now_ms())
        return len(again)

    number = with_state(folder, work)
    if as_json:
        say_json({"messages": number})
    else:
        what = "1 message is" if number == 1 else f"{number:,} messages are"
        say(f"{what} sent again." if number else "There are none.")
    return 0


for _command in (bundle, authorise, refuse, authorised, refused, revoke):
    alerts.add_command(_command)


# --- for machines -----------------------------------------------------------------------------------------------------


def alert_value(row: AlertRow) -> dict[str, Any]:
    """An alert for machines, without its body."""
    value = {name: field for name, field in row._asdict().items() if name not in ("body", "log_id")}
    return {**value, "rules": list(row.rules), "log_id": row.log_id.hex()}


def sighting_value(sighting: Sighting) -> dict[str, Any]:
    """A sighting for machines."""
    return {**sighting._asdict(), "log_id": sighting.log_id.hex()}


def message_value(message: OutboxRow) -> dict[str, Any]:
    """A message for machines."""
    return {name: value for name, value in message._asdict().items() if name != "alert"}


# --- for people -------------------------------------------------------------------------------------------------------


def _times(row: AlertRow) -> str:
    times = f" ({row.times_seen} times)" if row.times_seen > 1 else ""
    if row.repeats and row.repeated_ms is not None:
        times += f" (and {row.repeats:,} more by this issuer since, the last {when(row.repeated_ms)})"
    return times


def _note_unwatched(folder: Path, wanted: str) -> None:
    """Whoever mistypes an item must not take it that nothing was found."""
    from monitor.cli.watched import read_watched

    async def work(place: Place, state: State) -> set[str]:
        watched = read_watched(place, await state.answers.items())
        return {each for name, _, items in watched for each in (name, *(item.id for item in items))}

    known = with_state(folder, work)
    if wanted not in known:
        near = difflib.get_close_matches(wanted, list(known)[:2000], 1)
        say_error(f"Note: nothing is watched as {wanted!r}{f'; did you mean {near[0]!r}?' if near else '.'}")


def _say_answers(rows: list[AlertRow], as_json: bool) -> None:
    for row in rows:
        if as_json:
            say_json(alert_value(row))
        else:
            until = f" until {when(row.until_ms)}" if row.until_ms is not None else ""
            say(f"{short_id(row.id)}  {row.status}{until}  {row.summary}")


def _say_alert(
    row: AlertRow, sightings: list[Sighting], messages: list[OutboxRow], since: list[AlertRow]
) -> None:
    from monitor.tell.letter import alert_document, render

    for line in render(alert_document(row), row).rstrip().split("\n"):
        say(line)
    say()
    say("Told")
    for message in messages:
        how = message.status if message.status != "waiting" else f"waiting, due {when(message.due_ms)}"
        done = f" {when(message.done_ms)}" if message.done_ms is not None else ""
        error = f": {message.last_error}" if message.last_error else ""
        tried = f", {message.attempts} attempts" if message.attempts > 1 else ""
        say(f"  {message.channel:13} {message.kind}, {how}{done}{tried}{error}")
    if not messages:
        say("  nobody: it was authorised, or is for information")
    if len(sightings) > 1:
        say()
        say("Seen")
        for each in sightings:
            proven = "not proven yet" if each.proven is None else f"proven in the tree of {each.proven:,}"
            say(f"  {when(each.seen_ms)}  entry {each.log_index:,} of {each.log_id.hex()[:16]}, {proven}")
    if since:
        say()
        say("Issued by the same for this item since, the newest first; you were not told of each")
        for more in since:
            say(f"  {short_id(more.id)}  {when(more.created_ms)}  {more.status:12}  {more.summary}")
    say()
    answered = f" by {row.status_by}" if row.status_by else ""
    until = f" until {when(row.until_ms)}" if row.until_ms is not None else ""
    say(f"Status: {row.status}{until}{answered}{f': {row.status_note}' if row.status_note else ''}")


def _pem(row: AlertRow) -> str:
    import base64

    certificate = json.loads(row.body).get("certificate")
    ders = [certificate["der"], *certificate["chain"]] if isinstance(certificate, dict) and certificate["der"] else []
    if not ders:
        raise NotFoundError(f"the alert {short_id(row.id)} carries no certificate")
    blocks = (base64.encodebytes(base64.b64decode(der)).decode() for der in ders)
    return "".join(f"-----BEGIN CERTIFICATE-----\n{block}-----END CERTIFICATE-----\n" for block in blocks)
