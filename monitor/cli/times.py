"""Moments and lengths of time as people type them.

In scope: dates, RFC 3339, "now", "3d" and "2h" ago or from now. Pure: now is an argument. Out of scope:
showing times (`ctlog.cli.output.when`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ctlog.errors import UsageError

_UNITS = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LENGTH = re.compile(r"(\d{1,6}) ?(s|min|h|d|w)\Z")
_LAST_MS = 253_402_300_799_000  # the end of the year 9999


def parse_length(text: str) -> int:
    """Read "90s", "30min", "12h", "3d" or "2w" as milliseconds. Raises UsageError."""
    found = _LENGTH.match(text.strip())
    if not found:
        raise UsageError(f"{text!r} is no length of time, such as 30min, 12h, 3d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def parse_moment(text: str, now_ms: int, *, ahead: bool = False) -> int:
    """Read a date, a moment as RFC 3339 has it, "now", or a length of time: so long ago, or `ahead` of now.

    A date begins at midnight UTC. Raises UsageError.
    """
    text = text.strip()
    if text == "now":
        return now_ms
    if _LENGTH.match(text):
        length = parse_length(text)
        moment = now_ms + length if ahead else max(0, now_ms - length)
    else:
        moment = _absolute(text)
    if not 0 <= moment <= _LAST_MS:
        raise UsageError(f"{text!r} lies beyond what can be kept")
    return moment


def _absolute(text: str) -> int:
    whole = f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text
    try:
        moment = datetime.fromisoformat(whole)
        if moment.tzinfo is None:
            raise UsageError(f"{text!r} names no time zone; write {text}Z if it is UTC")
        return int(moment.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        sentence = f"{text!r} is no date such as 2026-01-31, no moment such as 2026-01-31T12:00:00Z"
        raise UsageError(f"{sentence}, and no length of time such as 12h or 3d") from None
