"""`ctlog-monitor watch try`: what would have been told, had this been watched all along. Nothing is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.many import ManyCommand
from ctlog.cli.output import json_option, progress, say, say_error, say_json, when
from ctlog.errors import StoreError, UsageError
from monitor.cli.described import check_tables, count, described, given_table
from monitor.cli.place import find_place, folder_option, now_ms, with_state
from monitor.cli.watched import read_watched

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.entry import Trust
    from monitor.history import History
    from monitor.items import Item
    from monitor.rehearsal import Rehearsed, Source
    from monitor.replay import Judged
    from monitor.state import State


@click.command("try", cls=ManyCommand)
@folder_option
@described
@json_option
def try_(folder: Path, as_json: bool, **options: Any) -> int:
    """Say what you would have been told, had you watched this from the beginning. Nothing is kept, nobody is told.

    The options are those of `add`. Without any VALUE, what is watched already under --name is tried. It looks at what
    the logs that are read have shown so far, reads those entries again, and judges them in order. Try it before you
    watch a range or a prefix: it shows how much there would be.

    \b
    ctlog-monitor watch try +12025550123
    ctlog-monitor watch try "+12025550000 to +12025559999" --expect-issuer "Example CA"

    Exit code 0, whatever it found.
    """
    place = find_place(folder)
    table = given_table(options)
    if count(table):
        check_tables(place, {table["name"]: table})

    async def work(place: Place, state: State) -> Rehearsed:
        items = await _items(place, state, table)
        return await _rehearse(place, state, items)

    found = with_state(folder, work)
    for judged in found.verdicts:
        if as_json:
            say_json(_value(judged))
        else:
            _say(judged)
    for why, number in found.unread.items():
        say_error(f"Note: {number:,} entries could not be read now: {why}.")
    if found.more:
        say_error("Note: there are more; the newest of each item were looked at.")
    if not as_json:
        alerts, read = len(found.verdicts), found.read
        say(f"{alerts:,} {'alert' if alerts == 1 else 'alerts'} from {read:,} "
            f"{'certificate' if read == 1 else 'certificates'}.")  # fmt: skip
    return 0


async def _items(place: Place, state: State, table: dict[str, Any]) -> list[Item]:
    from monitor.watch_file import parse_watch_table

    if count(table):
        return parse_watch_table(table)
    watched = read_watched(place, await state.answers.items())
    items = [item for name, _, each in watched if name == table["name"] for item in each]
    if not items:
        raise UsageError(f"say what to try: a number such as +12025550123; nothing is watched as {table['name']!r}")
    return items


async def _rehearse(place: Place, state: State, items: list[Item]) -> Rehearsed:
    from monitor.rehearsal import find_places, rehearse

    history = open_history(place)
    total = len(find_places(items, history)[0])
    bar = progress(total, "reading", "entries")
    try:
        async with AsyncExitStack() as stack:
            sources = await _sources(place, state, stack)
            return await rehearse(items, history, sources, _trust(place), now_ms, bar.update)
    finally:
        bar.close()
        history.close()


def open_history(place: Place) -> History:
    """Read beside a monitor that writes: a file may go between two looks, and then the next look is right."""
    from monitor.cli.init import HISTORY
    from monitor.history import History

    for _ in range(5):
        try:
            return History(place.state / HISTORY, is_reader=True)
        except StoreError as error:
            if error.reason != "history-damaged":
                raise
            time.sleep(0.2)
    return History(place.state / HISTORY, is_reader=True)


def _trust(place: Place) -> Trust:
    from monitor.reload import Reloader

    return Reloader(place.path).load().trust


async def _sources(place: Place, state: State, stack: AsyncExitStack) -> Mapping[bytes, Source]:
    from ctlog.client.follow import TileFollower
    from ctlog.client.get_entries import EntriesFollower
    from ctlog.client.http_fetcher import HttpFetcher
    from ctlog.client.patient import PatientFetcher
    from monitor.cli.known_logs import known_logs
    from monitor.follow.followed import TILES, Followed
    from monitor.rehearsal import Source

    found = {}
    for log_id, spec in (await known_logs(place, state)).items():
        row = await state.logs.get(log_id)
        if row is None or row.position.trusted is None:
            continue
        fetcher = PatientFetcher(await stack.enter_async_context(HttpFetcher(spec.url, contact=place.config.contact)))
        make = TileFollower if spec.form == TILES else EntriesFollower
        log = Followed(spec.name, spec.policy, spec.form, make(spec.policy, fetcher, now_ms=now_ms), fetcher)
        found[log_id] = Source(log, spec.policy.open(row.position.trusted))
    return found


def _say(judged: Judged) -> None:
    entry, verdict = judged.entry, judged.verdict
    item = judged.hit.item.text if judged.hit is not None else ""
    say(f"S{int(verdict.severity)}  {when(entry.timestamp_ms)}  {item}  {' '.join(verdict.rules)}  "
        f"{entry.log_name}, entry {entry.index:,}")  # fmt: skip
    for reason in verdict.reasons:
        say(f"    {reason}")


def _value(judged: Judged) -> dict[str, Any]:
    entry, hit, verdict = judged
    return {
        "severity": int(verdict.severity), "rules": list(verdict.rules), "reasons": list(verdict.reasons),
        "item": hit.item.id if hit is not None else "", "log_id": entry.log_id.hex(), "log_index": entry.index,
        "logged_ms": entry.timestamp_ms, "issuer": entry.issuer.text, "holder": entry.holder,
    }  # fmt: skip
