"""Signature checks of submissions: in the event loop on one core, on threads beside it where there are more.

A check costs about 50 microseconds and releases the interpreter's lock; a thread hop costs as much as a check. So
waiting checks are handed over by the batch. In the event loop they run by the batch too: one after another they find
OpenSSL's tables in the cache, which the Python between two submissions would have pushed out (a quarter of their time).
Out of scope: what is checked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

BATCH = 16  # submissions per hop: the hop is then a twentieth of the work, and no answer waits for more than 1 ms of it
BATCH_IN_LOOP = 64  # about 4 ms, then others have a turn


class Check(Protocol):
    """One signature, ready to be checked."""

    def run(self) -> None:
        """Raises RefusedError when it does not verify."""


_Outcomes = list[Exception | None]
_Waiting = tuple[Sequence[Sequence[Check]], "asyncio.Future[_Outcomes]"]
"""Submissions that are told together, each with its checks."""


class Verifier:
    """Runs checks. `threads` 0: in the event loop. `close` lets go of the threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, "ctlog-verify") if threads else None
        self._waiting: list[_Waiting] = []
        self._busy = 0

    async def verify(self, checks: Sequence[Check]) -> None:
        """Run all `checks`; raises what the first bad one raises."""
        if checks:
            (error,) = await self._put([checks])
            if error is not None:
                raise error

    async def verify_each(self, submissions: Sequence[Sequence[Check]]) -> list[Exception | None]:
        """For each submission None, or what its first bad check raised; none of it is raised here."""
        parts = [self._put(submissions[at : at + BATCH]) for at in range(0, len(submissions), BATCH)]
        return [outcome for part in parts for outcome in await part]

    def close(self) -> None:
        """Finish what is under way and end the threads."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)

    def _put(self, submissions: Sequence[Sequence[Check]]) -> asyncio.Future[_Outcomes]:
        loop = asyncio.get_running_loop()
        if not self._waiting:  # after this turn's other requests have joined
            if self._executor is None:
                loop.call_soon(self._run_in_loop, loop)
            elif self._busy < self._threads:
                loop.call_soon(self._hand_over, loop)
        done: asyncio.Future[_Outcomes] = loop.create_future()
        self._waiting.append((submissions, done))
        return done

    def _take(self, size: int) -> list[_Waiting]:
        """What waited for longest, of `size` submissions together or little more."""
        at = 0
        while at < len(self._waiting) and size > 0:
            size -= len(self._waiting[at][0])
            at += 1
        taken, self._waiting = self._waiting[:at], self._waiting[at:]
        return taken

    def _run_in_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._take(BATCH_IN_LOOP)
        _tell(batch, _outcomes(batch))
        if self._waiting:
            loop.call_soon(self._run_in_loop, loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._busy < self._threads and self._executor is not None:
            batch = self._take(BATCH)
            self._busy += 1
            self._executor.submit(self._work, loop, batch)

    def _work(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> None:
        loop.call_soon_threadsafe(self._finish, loop, batch, _outcomes(batch))

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], outcomes: list[_Outcomes]) -> None:
        self._busy -= 1
        _tell(batch, outcomes)
        self._hand_over(loop)


def _outcomes(batch: list[_Waiting]) -> list[_Outcomes]:
    return [[_outcome(checks) for checks in submissions] for submissions, _ in batch]


def _outcome(checks: Sequence[Check]) -> Exception | None:
    """None, or what the first bad check raised."""
    try:
        for check in checks:
            check.run()
    except Exception as error:
        return error
    return None


def _tell(batch: list[_Waiting], outcomes: list[_Outcomes]) -> None:
    for (_, done), outcome in zip(batch, outcomes, strict=True):
        if not done.done():  # else its request was cancelled
            done.set_result(outcome)


def threads_for(configured: int) -> int:
    """How many threads `verification_threads` means here: -1 is one for each core beyond the event loop's."""
    if configured >= 0:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores - 1, 8)

