"""`ctlog-monitor backfill`: a log from further back than where it was begun, or the past of some items once more."""

from __future__ import annotations

import asyncio
import difflib
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ctlog.cli.output import Progress, json_option, progress, say, say_error, say_json
from ctlog.errors import NotFoundError, UsageError
from monitor.cli.alive import ask
from monitor.cli.logs import parse_begin
from monitor.cli.place import folder_option, in_folder, now_ms, with_state
from monitor.cli.watched import read_watched

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.follow.begin import Start
    from monitor.state import State
    from monitor.state.audits import TaskRow
    from monitor.state.rows import LogRow

LOOK_S = 0.5


class _Asked(NamedTuple):
    """The tasks that were stored, by id, and whether a monitor runs that does them."""

    tasks: list[int]
    runs: bool


@click.command()
@folder_option
@click.option("--log", "name", metavar="NAME", help="Read this log from further back; its name or its log id.")
@click.option("--since", metavar="WHEN", help="How far back: `first`, or a date such as 2026-01-31.  [default: first]")
@click.option("--item", "items", multiple=True, metavar="ITEM", help="Look up the past of this item, or of all "
              "items of this name, once more; may be given several times.")
@click.option("--history", "renews", is_flag=True, help="Make a new history in the place of one that is lost or "
              "damaged, and fill it. Only while no monitor runs.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Show how far it is until it is done.")
@json_option
def backfill(
    folder: Path, name: str | None, since: str | None, items: tuple[str, ...], renews: bool, wait: bool, as_json: bool
) -> int:
    """Read a log from further back than where it was begun, or the past of watched items once more.

    The monitor that runs does it beside its other work, and goes on where it was after a restart; what it finds is told
    as ever. Entries that were read before need no --log: what is known of a newly watched item is looked up by itself.

    \b
    ctlog-monitor backfill --log "Example 2027" --since 2026-01-01
    ctlog-monitor backfill --item "home/number:+12025550123"
    ctlog-monitor backfill --history

    Exit code 0: it is done, or (with --no-wait, or while no monitor runs) noted.
    """
    if renews:
        if name or items or since:
            raise UsageError("--history fills the history of all logs: it goes with nothing else")
        return _renew(folder, as_json)
    if bool(name) == bool(items):
        raise UsageError("name a --log to be read from further back, or each --item whose past is looked up again")
    if since and not name:
        raise UsageError("--since goes with --log")
    start = parse_begin(since or "first", now_ms())
    if start == "newest":
        raise UsageError("--since: nothing lies behind the newest entry")

    async def work(place: Place, state: State) -> _Asked:
        tasks = [await _ask_log(place, state, name, start)] if name else await _ask_items(place, state, items)
        runs = ask(place.config.listen, place.state, await state.answers.identity()).runs
        if runs and wait:
            await _follow(state, tasks)
        return _Asked(tasks, runs)

    asked = with_state(folder, work)
    if as_json:
        say_json({"tasks": asked.tasks, "done": asked.runs and wait})
    elif not asked.runs:
        say("Noted. No monitor runs at present: it is done when one does.")
    else:
        where = in_folder(folder)
        say(f"Done; `ctlog-monitor alerts list{where}` shows what it found." if wait
            else f"Noted; see `ctlog-monitor status{where}`.")  # fmt: skip
    return 0


def _renew(folder: Path, as_json: bool) -> int:
    from monitor.backfill import renew_history
    from monitor.cli.place import find_place
    from monitor.state import State

    async def work() -> Path | None:
        async with State.open(find_place(folder).state) as state:  # as the only one
            return await renew_history(state, now_ms())

    aside = asyncio.run(work())
    if as_json:
        say_json({"history": "new", "aside": str(aside) if aside else None})
    else:
        say(f"There is a new, empty history{f'; what was there lies in {aside}' if aside else ''}.")
        say("The monitor fills it when it runs next. Until then, rules that look at earlier certificates see less.")
    return 0


# --- asking -----------------------------------------------------------------------------------------------------------


async def _ask_log(place: Place, state: State, name: str, since: Start) -> int:
    from monitor.backfill import BACKFILL, plan_backfill, read_plan
    from monitor.cli.known_logs import known_logs

    log = _log_called(name, await state.logs.all())
    if log.log_id not in await known_logs(place, state):
        raise UsageError(f"{log.name} is read no longer: add it again with `ctlog-monitor logs add`")
    if log.start == 0:
        raise UsageError(f"{log.name} is read from its first entry on")
    for task in await state.audits.tasks():
        if task.kind == BACKFILL and read_plan(task)[0] == log.log_id:
            raise UsageError(f"{log.name} is being read from further back already; `ctlog-monitor status` shows it")
    return await state.audits.add_task(BACKFILL, plan_backfill(log.log_id, since), now_ms())


def _log_called(name: str, logs: list[LogRow]) -> LogRow:
    found = [log for log in logs if name in (log.name, log.log_id.hex())]
    if len(found) == 1:
        return found[0]
    near = difflib.get_close_matches(name, [log.name for log in logs], 1, 0.0)
    hint = f"; the nearest is {near[0]!r}" if near else ": no log was begun yet"
    raise NotFoundError(f"there is no log {name!r}{hint}")


async def _ask_items(place: Place, state: State, wanted: tuple[str, ...]) -> list[int]:
    from monitor.tasks import plan_enrol

    watched = read_watched(place, await state.answers.items())
    ids = {each.id: name for name, _, items in watched for each in items}
    names = set(ids.values())
    for each in wanted:
        if each not in ids and each not in names:
            near = difflib.get_close_matches(each, [*names, *list(ids)[:1000]], 1)
            raise NotFoundError(f"{each!r} is not watched{f'; did you mean {near[0]!r}?' if near else ''}")
    chosen = [one for one, name in ids.items() if one in wanted or name in wanted]
    return [await state.audits.add_task(kind, spec, now_ms()) for kind, spec in plan_enrol(chosen)]


# --- following --------------------------------------------------------------------------------------------------------


async def _follow(state: State, tasks: list[int]) -> None:
    """Show how far it is, with the time that is left, until all of it is done."""
    bar: Progress | None = None
    shown = 0
    began = time.monotonic()
    try:
        while mine := [task for task in await state.audits.tasks() if task.id in tasks]:
            reached = _reached(mine[0])
            if reached is not None:
                done, total = reached
                bar = bar or progress(total, "reading", "entries")
                bar.update(max(0, done - shown))
                shown = max(shown, done)
            elif bar is None and time.monotonic() - began > 10:
                say_error("It waits until the log is reached, or for what is under way.")
                began = float("inf")
            await asyncio.sleep(LOOK_S)
    finally:
        if bar is not None:
            bar.close()


def _reached(task: TaskRow) -> tuple[int, int] | None:
    """(how many entries were read, of how many); None where that is not known."""
    from monitor.backfill import BACKFILL, read_span

    span = read_span(task) if task.kind == BACKFILL else None
    return None if span is None else (span.at - span.lo, span.hi - span.lo)
