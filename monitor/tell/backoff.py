"""PURE When a message that did not get through is tried again, and when that is given up.

In scope: the two decisions, over the number of attempts and times. Out of scope: whose turn it is
(`monitor.tell.plan`).

The wait doubles from ten seconds to an hour, so that whatever was repaired is noticed within the hour, and somebody
whose server restarts is told a moment later. Each wait is cut by up to half by chance, so that messages that failed
together do not come back together. After three days it is over: whoever has not noticed by then is told otherwise.
"""

from __future__ import annotations

FIRST_MS = 10_000
LONGEST_MS = 3_600_000
GIVE_UP_MS = 72 * 3_600_000
FEWEST = 8
"""Attempts that are made in any case: a monitor that was switched off for days has not tried for days."""


def next_wait_ms(attempts: int, roll: float) -> int:
    """How long to wait after so many attempts in vain (one or more). roll: from [0, 1), by chance."""
    longest = min(LONGEST_MS, FIRST_MS << min(max(attempts, 1) - 1, 20))
    return int(longest * (1 - roll / 2))


def is_over(attempts: int, tried_ms: int, now_ms: int) -> bool:
    """Whether a message that was first tried at `tried_ms` is given up."""
    return attempts >= FEWEST and now_ms - tried_ms >= GIVE_UP_MS
