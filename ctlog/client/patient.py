"""A fetcher that tries again: back-off after trouble with the network, and Retry-After obeyed by all requests at once.

In scope: when and how often. Out of scope: what to make of a log that does not answer, and things that the log says do
not exist (NotFoundError passes through at once).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from math import ceil

from ctlog.client.fetch import MAX_BYTES, Fetcher
from ctlog.errors import BusyError, TransportError

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0


class PatientFetcher:
    """Fetches through another fetcher: `attempts` tries per request, and up to `patience_s` of waiting when told to.

    When one request is told to come later, all of them do. Who is told to wait for longer than his patience gets
    BusyError at once, and so does everybody until then: nobody asks before the time that was said. The error that is
    raised in the end is the last one's.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        attempts: int = 6,
        patience_s: float = 900.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._attempts = attempts
        self._patience_s = patience_s
        self._sleep = sleep
        self._clock = clock
        self._not_before = 0.0

    async def get(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """See Fetcher."""
        failures, waited_s = 0, 0.0
        while True:
            while (pause := self._not_before - self._clock()) > 0:  # another request may have moved it meanwhile
                if pause > self._patience_s:
                    raise BusyError(
                        f"{path} is not asked for: the log said to come again in {ceil(pause):,} s",
                        retry_after_s=ceil(pause),
                    )
                await self._sleep(pause)
            try:
                return await self._fetcher.get(path, limit=limit)
            except BusyError as error:
                self._not_before = max(self._not_before, self._clock() + error.retry_after_s)
                waited_s += error.retry_after_s
                if waited_s > self._patience_s:
                    raise
            except TransportError:
                failures += 1
                if failures >= self._attempts:
                    raise
                await self._sleep(back_off_s(failures))


def back_off_s(failures: int) -> float:
    """How long to wait after so many failures in a row: doubled each time, at most half a minute, with jitter."""
    longest: float = min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S)
    return longest * (0.5 + random.random() / 2)
