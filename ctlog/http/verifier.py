"""Signature checks of submissions: in the event loop on one core, on threads beside it where there are more.

A check costs about 50 microseconds and releases the interpreter's lock; a thread hop costs as much as a check. So
waiting checks are handed over by the batch, and with a single core none are. Out of scope: what is checked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

BATCH = 16  # submissions per hop: the hop is then a twentieth of the work, and no answer waits for more than 1 ms of it


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
        if self._executor is None:
            _run(checks)
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((checks, done))
        if self._busy < self._threads and len(self._waiting) == 1:
            loop.call_soon(self._hand_over, loop)  # after this turn's other requests have joined
        await done

    def close(self) -> None:
        """Finish what is under way and end the threads."""
        if self._executor is not None:
            self._executor.shutdown(wait=True)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._busy < self._threads and self._executor is not None:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            self._busy += 1
            self._executor.submit(self._work, loop, batch)

    def _work(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> None:
        results: list[Exception | None] = []
        for checks, _ in batch:
            try:
                _run(checks)
            except Exception as error:
                results.append(error)
            else:
                results.append(None)
        loop.call_soon_threadsafe(self._finish, loop, batch, results)

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], results: list[Exception | None]) -> None:
        self._busy -= 1
        for (_, done), error in zip(batch, results, strict=True):
            if done.done():  # its request was cancelled
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._hand_over(loop)


def threads_for(configured: int) -> int:
    """How many threads `verification_threads` means here: -1 is one for each core beyond the event loop's."""
    if configured >= 0:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores - 1, 8)


def _run(checks: Sequence[Check]) -> None:
    for check in checks:
        check.run()
