"""`ctlog-monitor logs remove`: a log is read no longer. What was found in it, and how far it was read, is kept.

In scope: which log is meant, and taking it out of monitor.toml, or out of what is remembered of a log list that lost
it. Out of scope: the monitor that runs, which notices by itself. Nothing in the state is deleted: alerts, evidence,
heads and the position stay, so that a log that is added again goes on where it was, and whatever it went back on
meanwhile is seen.
"""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ctlog.cli.output import json_option, say, say_error, say_json
from ctlog.errors import ConfigError, UsageError
from monitor.cli.known_logs import is_called, not_found
from monitor.cli.place import find_place, folder_option, in_folder, with_state

if TYPE_CHECKING:
    from monitor.catalogue import LogSpec
    from monitor.cli.place import Place
    from monitor.config import LogConfig
    from monitor.roster import Known
    from monitor.state import State
    from monitor.state.rows import LogRow


class Removed(NamedTuple):
    """row is None where it was never begun; waiting: how many of its SCTs are not settled."""

    name: str
    log_id: bytes | None
    row: LogRow | None
    waiting: int
    is_last: bool = False
    """Whether no log is read any more."""


@click.command()
@folder_option
@click.argument("log", metavar="LOG")
@json_option
def remove(folder: Path, log: str, as_json: bool) -> int:
    """Read LOG no longer: its name, its URL, or its log id, as `logs list` shows them.

    Its table goes from monitor.toml; a monitor that runs stops at once, and calls it silent or late no more. What was
    told, the evidence, every head that was kept and how far it was read stay: `logs add` goes on from there, so that
    nothing is passed over, and a log that went back meanwhile is caught. Certificates that it takes until then are told
    to nobody, and SCTs of it are not audited.

    A log that a log list names is not removed here: the list says what is read.

    Exit code 0: it is read no longer; 1: there is no such log.
    """

    async def work(place: Place, state: State) -> Removed:
        from monitor.roster import read_known

        removed = await _remove(place, state, log)
        left = find_place(folder)
        is_last = not (await read_known(state, left.config)).specs and not left.config.logs
        return removed._replace(is_last=is_last and left.config.log_list is None)

    gone = with_state(folder, work)
    if as_json:
        log_id = gone.log_id.hex() if gone.log_id else None
        read = gone.row.position.frontier.size if gone.row else 0
        say_json({"name": gone.name, "log_id": log_id, "removed": True, "read": read, "waiting_scts": gone.waiting})
        return 0
    say(f"{gone.name} is read no longer.")
    if gone.row is not None:
        say(f"What was found in its {gone.row.position.frontier.size:,} entries is kept; "
            f"`ctlog-monitor logs add{in_folder(folder)} URL --key KEY` goes on from there.")  # fmt: skip
    if gone.is_last:
        say_error("Note: no log is read any more, so nothing is found.")
    if gone.waiting:
        say(f"{gone.waiting:,} {'SCT' if gone.waiting == 1 else 'SCTs'} of it cannot be audited until then.")
    return 0


async def _remove(place: Place, state: State, wanted: str) -> Removed:
    from monitor.roster import dismiss, read_known

    known = await read_known(state, place.config)
    at, spec = _find(place, known, wanted)
    if spec is not None and spec.log_id in known.listed:
        raise UsageError(_listed(place, spec, at))
    if at is not None:
        _take_out(place, at)
    if spec is None:  # a log.v3.json that was never read
        assert at is not None, "it was found in monitor.toml, then"
        return Removed(place.config.logs[at].name or place.config.logs[at].log_v3, None, None, 0)
    if at is None:
        await dismiss(state, spec.log_id)
    waiting = len(await state.audits.waiting(spec.log_id, limit=1_000_000))
    return Removed(spec.name, spec.log_id, await state.logs.get(spec.log_id), waiting)


def _find(place: Place, known: Known, wanted: str) -> tuple[int | None, LogSpec | None]:
    """Its place in monitor.toml, if it has one, and what is known of it, if anything. Raises NotFoundError."""
    specs = list(known.specs.values())
    found = next((spec for spec in specs if is_called(spec, wanted)), None)
    for at, log in enumerate(place.config.logs):
        if wanted in (log.name, log.url, log.log_v3) or (found is not None and _is_of(found, log)):
            return at, found or next((spec for spec in specs if _is_of(spec, log)), None)
    if found is not None:
        return None, found
    raise not_found(wanted, [*(spec.name for spec in specs), *(log.name or log.log_v3 for log in place.config.logs)])


def _is_of(spec: LogSpec, log: LogConfig) -> bool:
    return log.log_v3 == spec.source if log.key is None else log.key == spec.key


def _listed(place: Place, spec: LogSpec, at: int | None) -> str:
    assert place.config.log_list is not None, "it is listed"
    source = place.config.log_list.source
    if at is not None:
        return (f"{spec.name} stands on the log list {source} too, and would be read all the same; to go by the list "
                f"alone, take its [[log]] out of {place.path}")  # fmt: skip
    return (f"{spec.name} comes from the log list {source}, which says what is read: `states` in [log_list] of "
            f"{place.path} chooses among its logs")  # fmt: skip


def _take_out(place: Place, at: int) -> None:
    """Take a [[log]] out of monitor.toml, if nothing else changes by it. Raises UsageError, TransportError."""
    from monitor.cli.logs import replace
    from monitor.config import parse_config
    from monitor.new_config import without_log

    logs = place.config.logs
    text = without_log(place.text, at)
    try:
        is_right = text is not None and parse_config(text) == changed(place.config, logs=logs[:at] + logs[at + 1 :])
    except ConfigError:
        is_right = False
    if text is None or not is_right:
        raise UsageError(f"{place.path} stays as it is: this log is not a table [[log]] of its own there; take it out "
                         "with an editor")  # fmt: skip
    replace(place.path, text)
