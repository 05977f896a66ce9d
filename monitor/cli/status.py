"""`ctlog-monitor status`: is all well? For people, for scripts, for a dead man's switch: the exit code says it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ctlog.cli.output import json_option, say, say_json, when
from ctlog.errors import CtlogError
from monitor.cli.alive import ask
from monitor.cli.logs import log_value, say_log
from monitor.cli.place import folder_option, in_folder, now_ms, with_state
from monitor.cli.watched import count_watched, items_word
from monitor.state.rows import short_id

if TYPE_CHECKING:
    from monitor.cli.alive import Alive
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import AlertRow, ChannelRow, Gap, LogRow, OutboxRow

_STOPPED = "Nobody is told of anything meanwhile. It goes on where it was."
NAMED = 5
"""Alerts, and messages that were given up, that are named."""


class Found(NamedTuple):
    """All that is stored."""

    folder: Path
    items: int
    logs: list[LogRow]
    gaps: list[Gap]
    channels: list[ChannelRow]
    configured: frozenset[str]
    open_alerts: Mapping[int, int]
    lies: list[AlertRow]
    newest: list[AlertRow]
    dead: list[OutboxRow]
    scts: Mapping[str, int]
    tasks: int
    should_answer: bool
    """Whether it is configured to answer somewhere."""
    roots: int
    mistake: str
    """What is wrong with the watch file."""
    told: list[AlertRow]
    """Alerts about the monitor's health that are not over."""
    added_ms: Mapping[bytes, int]
    alive: Alive


@click.command()
@folder_option
@json_option
def status(folder: Path, as_json: bool) -> int:
    """Is the monitor running, are all logs read and proven, does everything arrive?

    Exit code 0: all is well; 1: it is not, or the monitor does not run; 3: that could not be found out.
    """
    found = with_state(folder, _look)
    reasons = _reasons(found)
    if as_json:
        say_json(_value(found, reasons))
    else:
        _say(found, reasons)
    return 1 if reasons else 0


async def _look(place: Place, state: State) -> Found:
    counts = await state.alerts.count()
    open_alerts: dict[int, int] = {}
    for (severity, how), count in counts.items():
        if how == "new":
            open_alerts[severity] = open_alerts.get(severity, 0) + count
    items, mistake = await _count(place, state)
    return Found(
        folder=place.folder,
        items=items,
        roots=len(place.config.roots),
        mistake=mistake,
        told=[alert for alert in await state.alerts.find(kind="health") if alert.status != "resolved"],
        added_ms=await state.logs.added_ms(),
        logs=await _logs(place, state),
        gaps=await state.logs.gaps(),
        channels=await state.outbox.channels(),
        configured=frozenset(place.config.channels),
        open_alerts=open_alerts,
        lies=await state.alerts.find(status="new", kind="misbehaviour", limit=NAMED),
        newest=await state.alerts.find(status="new", worst=2, limit=NAMED),
        dead=await state.outbox.dead_letters(limit=NAMED),
        scts=await state.audits.counts(),
        tasks=len(await state.audits.tasks()),
        should_answer=bool(place.config.listen),
        alive=ask(place.config.listen, place.state, await state.answers.identity()),
    )


async def _count(place: Place, state: State) -> tuple[int, str]:
    """How many items are watched, and what is wrong with the watch file. What cannot be read is not counted."""
    from monitor.cli.watched import count_added

    rows = await state.answers.items()
    try:
        return count_watched(place, rows), ""
    except CtlogError as error:
        return count_added(rows), str(error)


async def _logs(place: Place, state: State) -> list[LogRow]:
    """All that are read, with those that are configured and could not be begun with yet."""
    from monitor.checkup import unbegun_row
    from monitor.cli.known_logs import known_logs

    specs, waiting = await known_logs(place, state), await state.logs.unbegun()
    rows = [row for row in await state.logs.all() if row.log_id in specs]
    known = {row.log_id for row in rows}
    return rows + [unbegun_row(spec, waiting.get(log_id)) for log_id, spec in specs.items() if log_id not in known]


def _reasons(found: Found) -> list[dict[str, Any]]:
    """What is not well: what the monitor says of itself, or, where it says nothing, what is stored."""
    reasons: list[dict[str, Any]] = []
    if not found.alive.runs:
        reasons.append({"kind": "not-running", "severity": 1, "summary": "The monitor does not run",
                        "sentence": " ".join(filter(None, (_STOPPED, found.alive.error))),
                        "next": f"Start it: ctlog-monitor run{in_folder(found.folder)}"})  # fmt: skip
    elif found.alive.health is None and found.should_answer:
        reasons.append({"kind": "no-answer", "severity": 2, "summary": "The monitor runs, and does not answer",
                        "sentence": found.alive.error
                        or "It may be starting, which takes a minute with a million new items.",
                        "next": "Ask again; if it stays so, look at what it says of itself."})  # fmt: skip
    if found.alive.health is not None:
        reasons += found.alive.health["reasons"]
        fails = bool(found.mistake) or not found.logs or any(log.failing_since_ms is not None for log in found.logs)
        fails = fails or any(each.failing_since_ms and each.name in found.configured for each in found.channels)
        if found.alive.health["reasons"] or not fails:
            return reasons
    return reasons + _stored_reasons(found)


def _stored_reasons(found: Found) -> list[dict[str, Any]]:
    from monitor.health import PREFIX, Vitals, troubles

    monitor = "" if found.folder == Path() else str(found.folder)
    vitals = Vitals(
        logs=found.logs, gaps=found.gaps, channels=found.channels, configured=found.configured, items=found.items,
        followed=len(found.logs), roots=found.roots, mistake=found.mistake,
        added_ms=found.added_ms, began_ms=0 if found.alive.runs else now_ms(), monitor=monitor,
    )  # fmt: skip
    now = [each for each in troubles(now_ms(), vitals) if found.alive.runs or not each.is_young]
    where = in_folder(found.folder)
    reasons: list[dict[str, Any]] = [
        {"kind": each.kind, "severity": each.severity, "summary": each.summary, "sentence": each.reason,
         "next": each.next}
        for each in now
    ]  # fmt: skip
    seen = {each.id for each in now}
    for alert in [each for each in found.told if each.id.startswith(PREFIX) and each.id not in seen]:
        body = json.loads(alert.body)
        reasons.append({"kind": alert.rule, "severity": alert.severity, "summary": alert.summary,
                        "sentence": str(body.get("reason", "")), "next": str(body.get("next", ""))})  # fmt: skip
    for alert in found.lies:
        reasons.append({"kind": alert.rule, "severity": alert.severity, "summary": alert.summary,
                        "sentence": "It was told, and nobody has answered.",
                        "next": f"Look at it: ctlog-monitor alerts show{where} {short_id(alert.id)}"})  # fmt: skip
    return reasons


def _value(found: Found, reasons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "ok": not reasons, "running": found.alive.runs, "reasons": list(reasons), "items": found.items,
        "logs": [log_value(log) for log in found.logs],
        "channels": [channel._asdict() for channel in found.channels],
        "open_alerts": {f"S{severity}": count for severity, count in sorted(found.open_alerts.items())},
        "scts": dict(found.scts), "tasks": found.tasks,
        "left_s": {log["name"]: log.get("left_s") for log in (found.alive.health or {}).get("logs", [])},
    }  # fmt: skip


def _say(found: Found, reasons: Sequence[Mapping[str, Any]]) -> None:
    what = f"{found.items:,} {items_word(found.items)} watched on {len(found.logs):,} " + (
        "log" if len(found.logs) == 1 else "logs"
    )
    say(f"All is well: {what}." if not reasons else f"NOT WELL: {what}.")
    for reason in reasons:
        say(f"! S{reason['severity']} {reason['summary']}. {reason['sentence']} {reason['next']}")
    left = {log["log_id"]: log.get("left_s") for log in (found.alive.health or {}).get("logs", [])}
    for log in found.logs:
        say()
        say_log(log)
        seconds = left.get(log.log_id.hex())
        if seconds and log.head_size > log.position.frontier.size:
            say(f"  left      {_length(seconds)}, as it goes now")
    say()
    _say_channels(found)
    _say_alerts(found)
    scts = ", ".join(f"{count:,} {name}" for name, count in sorted(found.scts.items()))
    if scts:
        say(f"SCTs under audit: {scts}")
    if found.tasks:
        say(f"{found.tasks:,} looks into the past are under way (new items, backfill)")


def _say_channels(found: Found) -> None:
    for channel in found.channels:
        last = f"delivered {when(channel.last_success_ms)}" if channel.last_success_ms is not None else "nothing yet"
        since = channel.failing_since_ms
        failing = f"; FAILS since {when(since)}: {channel.last_error}" if since is not None else ""
        waiting = f"; {channel.waiting:,} wait" if channel.waiting else ""
        dead = f"; {channel.dead:,} were given up" if channel.dead else ""
        gone = "" if channel.name in found.configured else "no longer configured; "
        say(f"Channel {channel.name}: {gone}{last}{waiting}{dead}{failing}")
    for name in sorted(found.configured - {channel.name for channel in found.channels}):
        say(f"Channel {name}: nothing yet; `ctlog-monitor test{in_folder(found.folder)}` tries it")
    for message in found.dead:
        alert = message.alert
        say(f"  given up  {message.channel}: {short_id(alert.id)}  {alert.summary}: {message.last_error}")


def _say_alerts(found: Found) -> None:
    total = sum(found.open_alerts.values())
    if not total:
        say("No alert waits for an answer.")
        return
    parts = ", ".join(f"{count:,} S{severity}" for severity, count in sorted(found.open_alerts.items()))
    wait = "alert waits" if total == 1 else "alerts wait"
    say(f"{total:,} {wait} for an answer ({parts}); ctlog-monitor alerts list{in_folder(found.folder)} --status new")
    for alert in found.newest:
        say(f"  {short_id(alert.id)}  {when(alert.created_ms)}  {alert.summary}")


def _length(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
