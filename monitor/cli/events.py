"""`ctlog-monitor events add`, `list`: a number was ported, or its SIM was changed (T-10)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.output import json_option, say, say_json, when
from ctlog.errors import UsageError
from monitor.cli.place import folder_option, now_ms, with_state
from monitor.cli.times import parse_moment

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.handed import HandedEvent
    from monitor.state import State
    from monitor.state.rows import EventRow

@click.group()
def events() -> None:
    """Porting and SIM-change events. For three days after one, a certificate with a new key for the number is grave.

    \b
    ctlog-monitor events add sim +12025550123
    ctlog-monitor events add port +12025550123 --at 2026-03-01T12:00:00Z --note "to Example Wireless"
    ctlog-monitor events add --from feed.jsonl
    """


@events.command()
@folder_option
@click.argument("kind", required=False, metavar="[port|sim]")
@click.argument("number", required=False)
@click.option("--at", "at", default="now", show_default=True, metavar="WHEN", help="When it happened: a moment, or so "
              "long ago.")
@click.option("--note", default="", metavar="TEXT", help="Where this is known from.")
@click.option("--from", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help='JSON lines: {"kind": "port", "number": "+12025550123", "at": "2026-03-01T12:00:00Z"}.')
@json_option
def add(
    folder: Path, kind: str | None, number: str | None, at: str, note: str, file: Path | None, as_json: bool
) -> int:
    """Hand in that NUMBER was ported, or its SIM changed. Of a file, all is taken or nothing."""
    from monitor.handed import read_event

    now = now_ms()
    if file is not None:
        if kind:
            raise UsageError("an event stands either on the command line or in a file (--from)")
        given = list(_from_file(file, now))
    elif kind is None or number is None:
        raise UsageError("say what happened to which number: events add sim +12025550123")
    else:
        moment = datetime.fromtimestamp(parse_moment(at, now) / 1000, UTC).isoformat()
        given = [read_event({"kind": kind, "number": number, "at": moment, "note": note}, now)]

    async def work(_: Place, state: State) -> None:
        await state.answers.add_events(given)

    with_state(folder, work)
    if as_json:
        say_json({"events": len(given)})
    else:
        say(f"{len(given):,} {'event is' if len(given) == 1 else 'events are'} kept.")
    return 0


@events.command(name="list")
@folder_option
@click.argument("number", required=False)
@click.option("--since", metavar="WHEN", help="Only those since a date, or so long ago.")
@json_option
def list_(folder: Path, number: str | None, since: str | None, as_json: bool) -> int:
    """What was handed in, of one number or of all, the oldest first."""
    from monitor.items import parse_number

    digits = parse_number(number).digits if number else None
    since_ms = parse_moment(since, now_ms()) if since else 0

    async def work(_: Place, state: State) -> list[EventRow]:
        return await state.answers.events(digits, since_ms=since_ms)

    rows = with_state(folder, work)
    for row in rows:
        if as_json:
            say_json({**row._asdict(), "number": f"+{row.number}"})
        else:
            say(f"{when(row.at_ms)}  {row.kind:4}  +{row.number}{f'  {row.note}' if row.note else ''}")
    if not rows and not as_json:
        say("There are none.")
    return 0


def _from_file(path: Path, now: int) -> Iterator[HandedEvent]:
    from monitor.handed import read_event

    line = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for text in lines:
                line += 1
                if text.strip():
                    yield read_event(json.loads(text), now)
    except (ValueError, RecursionError, UsageError) as error:
        raise UsageError(f"{path}, line {line}: {error}") from None
