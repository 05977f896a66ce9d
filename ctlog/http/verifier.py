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


_Waiting = tuple[Sequence[Check], "asyncio.Future[None]"]


class Verifier:
    """Runs checks. `threads` 0: in the event loop. `close` lets go of the threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._executor = ThreadPoolExecutor(threads, "ctlog-verify") if threads else None
        self._waiting: list[_Waiting] = []
        self._busy = 0

    async def verify(self, checks: Sequence[Check]) -> None:
        """Run all `checks`; raises what the first bad one raises."""
        if not checks:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._put(loop, [(checks, done)])
        await done

    async def verify_each(self, submissions: Sequence[Sequence[Check]]) -> list[Exception | None]:
        """For each submission None, or what its first bad check raised; none of it is raised here."""
        loop = asyncio.get_running_loop()
        waiting: list[_Waiting] = [(checks, loop.create_future()) for checks in submissions]
        self._put(loop, waiting)
        outcomes: list[Exception | None] = []
        for _, done in waiting:
            try:
                await done
            except Exception as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    def close(self) -> None:
        """Finish what is under way and end the threads."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)

    def _put(self, loop: asyncio.AbstractEventLoop, submissions: list[_Waiting]) -> None:
        if submissions and not self._waiting:  # after this turn's other requests have joined
            if self._executor is None:
                loop.call_soon(self._run_in_loop, loop)
            elif self._busy < self._threads:
                loop.call_soon(self._hand_over, loop)
        self._waiting += submissions

    def _run_in_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting[:BATCH_IN_LOOP], self._waiting[BATCH_IN_LOOP:]
        _tell(batch, _outcomes(batch))
        if self._waiting:
            loop.call_soon(self._run_in_loop, loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._busy < self._threads and self._executor is not None:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            self._busy += 1
            self._executor.submit(self._work, loop, batch)

    def _work(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> None:
        loop.call_soon_threadsafe(self._finish, loop, batch, _outcomes(batch))

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], outcomes: list[Exception | None]) -> None:
        self._busy -= 1
        _tell(batch, outcomes)
        self._hand_over(loop)


def _outcomes(batch: list[_Waiting]) -> list[Exception | None]:
    """For each submission None, or what its first bad check raised."""
    found: list[Exception | None] = []
    for checks, _ in batch:
        try:
            for check in checks:
                check.run()
        except Exception as error:
            found.append(error)
        else:
            found.append(None)
    return found


def _tell(batch: list[_Waiting], outcomes: list[Exception | None]) -> None:
    for (_, done), error in zip(batch, outcomes, strict=True):
        if done.done():  # its request was cancelled
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def threads_for(configured: int) -> int:
    """How many threads `verification_threads` means here: -1 is one for each core beyond the event loop's."""
    if configured >= 0:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores - 1, 8)

