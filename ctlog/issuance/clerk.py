"""The one thread that uses a journal, for any number of tasks of an event loop.

In scope: what waits to be written while the journal writes goes into one transaction, so that the disk is waited for
once for many. Out of scope: what is written (`ctlog.issuance.journal`), and when (`ctlog.issuance.bulk`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

from ctlog.issuance.journal import Begun, Entry, Finished, Journal

T = TypeVar("T")


class _Waiting(NamedTuple):
    """What somebody wants to have written; `done` gets the places of what begins."""

    done: asyncio.Future[list[int]]
    begun: Sequence[Begun] = ()
    finished: Sequence[Finished] = ()
    logged: Sequence[int] = ()


class Clerk:
    """Uses `journal`, from now on and until `close` alone. What it raises is the journal's."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(1, "ctlog-journal")
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def find(self, keys: Sequence[bytes]) -> list[Entry | None]:
        """What is known of these orders."""
        return await self._run(lambda: [self._journal.find(key) for key in keys])

    async def begin(self, begun: Sequence[Begun]) -> list[int]:
        """Their places, once they are written."""
        return await self._put(_Waiting(_future(), begun))

    async def finish(self, finished: Sequence[Finished]) -> None:
        """Returns once they are written."""
        await self._put(_Waiting(_future(), finished=finished))

    async def log(self, places: Sequence[int]) -> None:
        """The finished certificates of these places are logged. Returns once that is written."""
        await self._put(_Waiting(_future(), logged=places))

    async def close(self) -> None:
        """Finish what is under way, and end the thread."""
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        self._thread.shutdown()

    async def _put(self, one: _Waiting) -> list[int]:
        self._waiting.append(one)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await one.done

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            begun = [each for one in batch for each in one.begun]
            finished = [each for one in batch for each in one.finished]
            logged = [each for one in batch for each in one.logged]
            try:
                places = await self._run(partial(self._journal.write, begun, finished, logged))
            except Exception as error:
                for one in batch:
                    if not one.done.done():
                        one.done.set_exception(error)
                continue
            at = 0
            for one in batch:
                if not one.done.done():
                    one.done.set_result(places[at : at + len(one.begun)])
                at += len(one.begun)
        self._writing = None

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _future() -> asyncio.Future[list[int]]:
    return asyncio.get_running_loop().create_future()
