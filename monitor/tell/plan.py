"""PURE What goes out now over one channel: which messages alone, which together, which wait.

In scope: the decision over the messages that are due. Out of scope: sending, and what becomes of each
(`monitor.tell.courier`).

A program gets every message alone and at once. People get S1 and S2 alone and at once too, up to `SINGLES` an hour;
what is beyond that is a flood, and comes in digests that name every alert: whoever gets a thousand mails reads none.
What is only for review (S3, S4) comes once a day. Nothing is left out anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from monitor.state.rows import S1, S2, UNREADABLE, OutboxRow

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SINGLES = 10
"""Letters about one alert each that people get within an hour."""
UNREADABLE_SINGLES = 3
"""Of which about certificates that nobody can read."""
GATHER_MS, GATHER_S1_MS = 600_000, 60_000
"""In a flood, the time between two digests; shorter where there is an S1 in it."""


class Past(NamedTuple):
    """What this channel got lately: when each letter about one alert was sent, and the last digest of a flood."""

    singles_ms: tuple[int, ...] = ()
    digest_ms: int = -DAY_MS


class Plan(NamedTuple):
    """letters: ids of the messages of each letter, in the order of sending. postponed: ids that wait until then."""

    letters: list[tuple[int, ...]]
    postponed: dict[int, int]


def plan_letters(
    due: Sequence[OutboxRow], now_ms: int, *, for_people: bool, past: Past, digest_hour: int = 8,
    failing: Mapping[str, tuple[int, int]] | None = None,
) -> Plan:  # fmt: skip
    """Decide about all that is due. failing: by thread, the message that failed and when it is tried again: what came
    later in the thread waits for it, so that a story is told in order; an S1 waits for nothing."""
    postponed: dict[int, int] = {}
    ready: list[OutboxRow] = []
    for row in due:
        before, again_ms = (failing or {}).get(row.alert.thread, (row.id, 0))
        if before < row.id and row.alert.severity > S1:
            postponed[row.id] = again_ms
        elif for_people and _is_for_review(row) and row.attempts == 0 and row.due_ms == row.created_ms:
            postponed[row.id] = next_digest_ms(now_ms, digest_hour)
        else:
            ready.append(row)
    if not for_people:
        return Plan([(row.id,) for row in ready], postponed)
    return _for_people(ready, now_ms, past, postponed)


def next_digest_ms(now_ms: int, digest_hour: int) -> int:
    """When the next daily digest is due, after now."""
    today = now_ms - now_ms % DAY_MS + digest_hour * HOUR_MS
    return today if today > now_ms else today + DAY_MS


def _for_people(ready: list[OutboxRow], now_ms: int, past: Past, postponed: dict[int, int]) -> Plan:
    review = [row for row in ready if _is_for_review(row)]
    urgent = [row for row in ready if not _is_for_review(row)]
    budget = max(0, SINGLES - sum(1 for sent_ms in past.singles_ms if now_ms - sent_ms < HOUR_MS))
    chosen = _alone(urgent, budget)
    rest = [row for row in urgent if row.id not in chosen]
    letters: list[tuple[int, ...]] = [(row.id,) for row in urgent if row.id in chosen]
    if rest:
        gap = GATHER_S1_MS if any(row.alert.severity == S1 for row in rest) else GATHER_MS
        if now_ms - past.digest_ms >= gap:
            letters.append(tuple(row.id for row in rest))
        else:
            postponed |= dict.fromkeys((row.id for row in rest), past.digest_ms + gap)
    if review:
        letters.append(tuple(row.id for row in review))
    return Plan(letters, postponed)


def _alone(urgent: Sequence[OutboxRow], budget: int) -> set[int]:
    """Which messages get a letter of their own. Several reminders are one letter: they say the same."""
    tests = {row.id for row in urgent if row.kind == "test"}
    reminders = [row for row in urgent if row.kind == "reminder"]
    together = {row.id for row in reminders} if len(reminders) > 1 else set()
    unreadable = [row.id for row in urgent if row.alert.kind == UNREADABLE]
    together |= set(unreadable[UNREADABLE_SINGLES:])
    alone = [row.id for row in urgent if row.id not in together and row.id not in tests]
    return tests | set(alone[:budget])


def _is_for_review(row: OutboxRow) -> bool:
    return row.alert.severity > S2 and row.kind == "alert"
