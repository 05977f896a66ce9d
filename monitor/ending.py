"""Logs that their list calls ended: until when they are read all the same, and what is said at both ends of that.

A retired log may still owe entries: what it promised in its last hours is in its tree after its maximum merge delay.
In scope: when that is over, the two alerts to operators. Pure. Out of scope: noticing it (`monitor.roster`), reading.
"""

from __future__ import annotations

import hashlib
import json

from monitor.catalogue import LogSpec
from monitor.rules.values import DAY_MS, say, say_time
from monitor.state.rows import HEALTH, OPERATOR, S2, S3, LogRow, NewAlert

PATIENCE_MS = 7 * DAY_MS
"""A log that is not read to its end when its time is over is read so much longer."""
GIVEN_UP = "its log has ended, and is read no longer"
"""What becomes of promises that nobody can look up any more."""

_FIRST_NEXT = "Find out where its CAs log now, and follow that log: `ctlog-monitor logs add`, or the list names it."
_LAST_NEXT = "If it still answers and you want it to be read on, name it in monitor.toml with a [[log]] of its own."


def ends_ms(spec: LogSpec, noticed_ms: int) -> int:
    """Until when it is read at least: its maximum merge delay after the list was seen to say so."""
    return noticed_ms + spec.mmd_ms


def is_over(spec: LogSpec, noticed_ms: int, row: LogRow | None, now_ms: int) -> bool:
    """Whether it is read no longer: its time is over, and it was read to its end, or cannot be."""
    end_ms = ends_ms(spec, noticed_ms)
    if now_ms < end_ms:
        return False
    return row is None or _left(row) <= 0 or now_ms >= end_ms + PATIENCE_MS


def first_word(spec: LogSpec, state: str, noticed_ms: int, channels: tuple[str, ...]) -> NewAlert:
    """The list says that it has ended, and in which state it is."""
    name = say(spec.name)
    reason = (
        f"The log list says that {name} is {say(state)}. It is read until {say_time(ends_ms(spec, noticed_ms))}, for "
        "what it promised before may still come, and then no longer."
    )
    return _alert(spec, S3, "ending", noticed_ms, f"{name} has ended", reason, _FIRST_NEXT, noticed_ms, channels)


def last_word(
    spec: LogSpec, noticed_ms: int, row: LogRow | None, promises: int, now_ms: int, channels: tuple[str, ...]
) -> NewAlert:
    """It is read no longer. promises: SCTs of it whose entries were never seen. Graver where something is missing."""
    name, left = say(spec.name), max(_left(row), 0) if row is not None else 0
    read = row.position.frontier.size if row is not None else 0
    missing = ""
    if left:
        missing += f" {left:,} more could not be read, and nobody was told of what stands in them."
    if promises:
        missing += f" {promises:,} {'SCT' if promises == 1 else 'SCTs'} of it came to nothing that could be seen."
    reason = f"It ended, as its list says, and its {read:,} entries were read.{missing}"
    severity = S2 if missing else S3
    return _alert(
        spec, severity, "ended", noticed_ms, f"{name} is read no longer", reason, _LAST_NEXT, now_ms, channels
    )


def _left(row: LogRow) -> int:
    return row.head_size - row.position.frontier.size


def _alert(
    spec: LogSpec, severity: int, rule: str, noticed_ms: int, summary: str, reason: str, next_: str, now_ms: int,
    channels: tuple[str, ...],
) -> NewAlert:  # fmt: skip
    """Its id is the same for one log and one end of it."""
    name = hashlib.sha256(spec.log_id + noticed_ms.to_bytes(8, "big")).hexdigest()[:32]
    body = {
        "kind": HEALTH, "trouble": rule, "reason": reason, "next": next_, "log": {"id": spec.log_id.hex()},
        "seen_ms": now_ms,
    }  # fmt: skip
    return NewAlert(
        id=f"log-{rule}-{name}", kind=HEALTH, severity=severity, rule=rule, rules=(rule,), addressee=OPERATOR,
        summary=summary, body=json.dumps(body).encode(), channels=channels, thread=f"log-end-{name}",
        log_id=spec.log_id,
    )  # fmt: skip
