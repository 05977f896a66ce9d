"""The daemon's parts: loops with a name, each of which goes on whatever happens in it or in another one.

In scope: when a part works (every so often, and at once when it is woken), what becomes of its failures: said, kept as
`failing` for health, and tried again. A disk that is full is such a failure: nothing is lost by trying again, for
whatever could not be stored is not passed over. Only a damaged state ends the daemon. Out of scope: what parts do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from ctlog.errors import CtlogError, StoreError
from monitor.follow.followed import Clock, Says
from monitor.health import Failure

AGAIN_S = 10.0
"""A part that failed works again after so long, if not earlier."""
SAY_AGAIN_MS = 600_000
"""The same failure is said again after so long."""
FATAL = ("state-damaged", "state-gone")
"""Failures of the store after which nothing that is done counts."""


class Parts:
    """Parts, by what they do: "reads the watch list again"."""

    def __init__(self, now_ms: Clock, says: Says) -> None:
        self._now_ms = now_ms
        self._says = says
        self._tasks: list[asyncio.Task[None]] = []
        self._events: dict[str, asyncio.Event] = {}
        self._said_ms: dict[str, int] = {}
        self.failing: dict[str, Failure] = {}
        self.fatal: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
        """Becomes the failure that ends the daemon."""

    def start(self, name: str, work: Callable[[], Awaitable[None]], every_s: Callable[[], float]) -> None:
        """Do this now, and again `every_s()` seconds after it was done."""
        self._events[name] = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._keep(name, work, every_s), name=name))

    def wake(self, *names: str) -> None:
        """There is something to do for these."""
        for name in names:
            if name in self._events:
                self._events[name].set()

    async def close(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]], every_s: Callable[[], float]) -> None:
        event = self._events[name]
        while True:
            event.clear()
            pause_s = AGAIN_S
            try:
                await work()
                pause_s = every_s()
                self.failing.pop(name, None)
            except StoreError as error:
                if error.reason in FATAL and not self.fatal.done():
                    self.fatal.set_result(error)
                self._failed(name, str(error), is_grave=True)
            except CtlogError as error:
                self._failed(name, str(error))
            except Exception as error:  # a fault in one part may not end it, or the others
                self._failed(name, f"a fault in the monitor itself: {error!r}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):  # not wait_for, of which Python 3.11 may lose a cancellation
                    await event.wait()

    @property
    def store_failing(self) -> Failure | None:
        """That the state cannot be written, or read, as one of the parts found."""
        return next((failure for failure in self.failing.values() if failure.is_grave), None)

    def _failed(self, name: str, sentence: str, *, is_grave: bool = False) -> None:
        now_ms, before = self._now_ms(), self.failing.get(name)
        self.failing[name] = Failure(sentence, before.since_ms if before else now_ms, is_grave)
        if before is None or before.sentence != sentence or now_ms - self._said_ms.get(name, 0) >= SAY_AGAIN_MS:
            self._said_ms[name] = now_ms
            self._says("error", name, sentence)
