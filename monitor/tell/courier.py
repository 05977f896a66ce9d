"""One channel's courier: takes what is due from the outbox, sends it, and notes what became of it.

In scope: one pass over what is due, in the order and grouping that `monitor.tell.plan` says; a limit of time for each
letter; back-off; dead letters and the word about them. Out of scope: other channels, which have couriers of their own.

Order: sent, then noted as sent. Whoever is killed between the two sends once more after the start, with the same id.
Only the courier of a channel sends over it, so that no letter is sent twice at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from monitor.state import State
from monitor.state.rows import (
    ACKNOWLEDGED,
    AUTHORISED,
    REFUSED,
    RESOLVED,
    S1,
    WAITING,
    OutboxRow,
)
from monitor.tell.backoff import is_over, next_wait_ms
from monitor.tell.channel import Channel, DeliveryError
from monitor.tell.letter import REMINDER, Letter, make_digest, make_letter, retried
from monitor.tell.plan import HOUR_MS, Past, plan_letters
from monitor.tell.words import dead_word

LOOKED_AT, LOOKED_AT_BY_PROGRAMS = 10_000, 100
"""Messages that one pass looks at; the first is also the most that a digest holds."""
AT_ONCE = 5
"""Letters that are sent before looking again, so that a new S1 need not wait for a long queue."""
IN_A_ROW = 2
"""After so many letters in a row that failed it is the channel that fails: the others are not tried in this pass."""
REST_MS, LONGEST_REST_MS = 10_000, 300_000
"""The rest that a failing channel gets between two passes; a new S1 is tried after the shorter one."""
LONGEST_RETRY_AFTER_S = 6 * 3600.0
SOON_MS = 1000


class Surroundings(NamedTuple):
    """What couriers share. others: the channels that are told what one channel, which is named, could not."""

    state: State
    now_ms: Callable[[], int]
    jitter: Callable[[], float]
    says: Callable[[str, str, str], None]
    digest_hour: Callable[[], int]
    others: Callable[[str], Sequence[str]]
    told: Callable[[], None]
    monitor: str = ""
    """The monitor's folder, for the commands that are named."""


class Courier:
    """The courier of one channel. `step` is one pass; its answer is when the next one has something to do."""

    def __init__(self, channel: Channel, around: Surroundings) -> None:
        self.channel = channel
        self.gone_why = ""
        """Why the other side asked never to be called again; "" while it did not."""
        self._around = around
        self._outbox = around.state.outbox
        self._past = Past()
        self._unnoted: set[int] = set()  # sent, and the state could not be told: not to be sent again
        self._in_a_row = 0  # letters that failed since one was sent
        self._forward_ms = 0
        self._rests = 0
        self._rest_from_ms = 0
        self._not_before_ms = 0

    async def step(self) -> int | None:
        """Send what is due. Returns when to look again; None: when there is something new. Raises StoreError."""
        if self._unnoted:
            await self._note(self._around.now_ms())
        now_ms = self._around.now_ms()
        limit = LOOKED_AT if self.channel.for_people else LOOKED_AT_BY_PROGRAMS
        due = await self._outbox.due(now_ms, channel=self.channel.name, limit=limit, bodies=False)
        if not due:
            return await self._outbox.next_due_ms(self.channel.name)
        if self.gone_why:
            await self._give_up(due, self.gone_why)
            return now_ms + SOON_MS
        if (again_ms := self._rest_until(due)) > now_ms:
            return again_ms
        failing = await self._outbox.failing_threads(self.channel.name, {row.alert.thread for row in due}, now_ms)
        plan = plan_letters(
            due, now_ms, for_people=self.channel.for_people, past=self._past,
            digest_hour=self._around.digest_hour(), failing=failing,
        )  # fmt: skip
        if plan.postponed:
            await self._outbox.postpone(plan.postponed)
        await self._send_some(plan.letters)
        return await self._outbox.next_due_ms(self.channel.name)

    def _rest_until(self, due: Sequence[OutboxRow]) -> int:
        """Until when the channel is left alone after it failed."""
        if not self._rests:
            return self._not_before_ms
        is_new = any(row.alert.severity == S1 and row.attempts == 0 for row in due)
        rest_ms = REST_MS if is_new else min(REST_MS << min(self._rests - 1, 20), LONGEST_REST_MS)
        return max(self._not_before_ms, self._rest_from_ms + rest_ms)

    async def _send_some(self, letters: Sequence[tuple[int, ...]]) -> None:
        """Send the first letters; where the channel turns out to fail, all that were meant to be sent have failed."""
        for at, ids in enumerate(letters[:AT_ONCE]):
            rows = await self._still_wanted(ids)
            if not rows:
                continue
            try:
                await self._send(rows)
            except DeliveryError as error:
                self._in_a_row += 1
                if self._in_a_row >= IN_A_ROW or error.gone or error.retry_after_s:
                    rest = await self._outbox.get([each for more in letters[at + 1 :] for each in more], bodies=False)
                    await self._channel_fails([*rows, *(row for row in rest if row.status == WAITING)], error)
                    return
                await self._failed(rows, error)
            else:
                await self._sent(rows)

    async def _still_wanted(self, ids: Sequence[int]) -> list[OutboxRow]:
        """The messages as they stand now: what was answered in the meantime is left, and needs no reminder."""
        now_ms = self._around.now_ms()
        rows = await self._outbox.get(ids, bodies=len(ids) == 1)
        rows = [row for row in rows if row.status == WAITING and row.due_ms <= now_ms]
        answered = (ACKNOWLEDGED, AUTHORISED, REFUSED, RESOLVED)
        needless = [row.id for row in rows if row.kind == REMINDER and row.alert.status in answered]
        if needless:
            await self._outbox.cancel(needless, now_ms)
        return [row for row in rows if row.id not in needless]

    async def _send(self, rows: list[OutboxRow]) -> None:
        letter = await self._letter(rows)
        try:
            async with asyncio.timeout(self.channel.limit_s):
                await self.channel.send(letter)
        except TimeoutError:
            raise DeliveryError(f"it did not take the letter within {self.channel.limit_s:g} s") from None
        except DeliveryError:
            raise
        except Exception as error:  # a fault in one channel must not end its courier
            self._around.says("error", self.channel.name, f"a fault in the monitor itself: {error!r}")
            raise DeliveryError(f"of a fault in the monitor itself: {error!r}") from error

    async def _letter(self, rows: list[OutboxRow]) -> Letter:
        if len(rows) > 1:
            letter = make_digest(rows)
        else:
            log_id = rows[0].alert.log_id
            log = await self._around.state.logs.get(log_id) if log_id else None
            letter = make_letter(rows[0], log.url if log else "")
        return retried(letter) if letter.attempt > 1 else letter

    async def _sent(self, rows: Sequence[OutboxRow]) -> None:
        now_ms = self._around.now_ms()
        singles = tuple(sent_ms for sent_ms in self._past.singles_ms if now_ms - sent_ms < HOUR_MS)
        self._past = Past(singles, now_ms) if len(rows) > 1 else Past((*singles, now_ms), self._past.digest_ms)
        self._unnoted |= {row.id for row in rows}
        await self._note(now_ms)
        if self._rests:
            self._around.says("info", self.channel.name, "delivers again")
        if self._in_a_row and now_ms - self._forward_ms >= LONGEST_REST_MS:
            self._forward_ms = now_ms
            await self._outbox.bring_forward(self.channel.name, now_ms)
        self._rests = self._in_a_row = 0

    async def _note(self, now_ms: int) -> None:
        await self._outbox.mark_sent(sorted(self._unnoted), now_ms)
        self._unnoted.clear()

    async def _channel_fails(self, rows: Sequence[OutboxRow], error: DeliveryError) -> None:
        """It is the channel that fails, and not this letter: these all failed, and it is left alone for a while."""
        now_ms = self._around.now_ms()
        if error.gone:
            self.gone_why = str(error)
            await self._give_up(rows, self.gone_why)
            return
        self._around.says("warning", self.channel.name, f"does not deliver: {error}")
        self._rests, self._rest_from_ms = self._rests + 1, now_ms
        if error.retry_after_s:
            self._not_before_ms = now_ms + int(1000 * min(error.retry_after_s, LONGEST_RETRY_AFTER_S))
        await self._failed(rows, error)

    async def _failed(self, rows: Sequence[OutboxRow], error: DeliveryError) -> None:
        """These did not get through: they are tried again, or given up."""
        now_ms = self._around.now_ms()
        over = [row for row in rows if is_over(row.attempts + 1, row.tried_ms or now_ms, now_ms)]
        if over:
            await self._give_up(over, f"for 72 hours every attempt failed, the last one with: {error}")
        again = [row for row in rows if row not in over]
        waits = [next_wait_ms(row.attempts + 1, self._around.jitter()) for row in again]
        due = [max(now_ms + wait_ms, self._not_before_ms) for wait_ms in waits]
        if again:
            await self._outbox.mark_failed([row.id for row in again], due, str(error), now_ms)

    async def _give_up(self, rows: Sequence[OutboxRow], why: str) -> None:
        """Dead letters, and in the same transaction the word about them, and the alerts themselves, for others."""
        name, now_ms = self.channel.name, self._around.now_ms()
        others = list(self._around.others(name))
        word = dead_word(name, rows, why, others, now_ms, self._around.monitor)
        self._around.says("error", name, f"{len(rows):,} messages are given up: {why}")
        await self._outbox.dead_letter([row.id for row in rows], why, now_ms, [word], others)
        self._around.told()
