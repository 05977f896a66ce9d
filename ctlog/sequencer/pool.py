"""Who waits for a place: the pool that is filling, and the one that is in flight.

In scope: places, duplicates within the two pools, low entries that give way, and waking the submitters. Out of scope:
when a pool is sequenced (`log.py`), and duplicates in the log (`commit.py`). Nothing here waits; one event loop only.

An entry is marked by its key from the moment it has a place until its batch is through, so a second submission of it
at any time in between joins the first, and at any time after is found by the LookupStore: there is no gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from ctlog.errors import PoolFullError

E = TypeVar("E")
R = TypeVar("R")


class Ticket(Generic[E, R]):
    """An entry in a pool and everybody who waits for its place: one future each."""

    __slots__ = ("entry", "key", "low", "result", "waiters")

    def __init__(self, entry: E, key: bytes, low: bool) -> None:
        self.entry = entry
        self.key = key
        self.low = low
        self.waiters: list[asyncio.Future[R]] = []
        self.result: R | None = None

    def resolve(self, result: R) -> None:
        """Wake everybody, and whoever joins from now on. Who stopped waiting is passed over."""
        self.result = result
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(result)
        self.waiters = []

    def fail(self, error: BaseException) -> None:
        """Wake everybody with an error."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)
                waiter.exception()  # whoever still waits gets it; if nobody does, that is nothing to complain about
        self.waiters = []


class Pool(Generic[E, R]):
    """At most `size` entries wait; `on_first` is called when the first of them comes."""

    def __init__(self, size: int, retry_after_s: int, on_first: Callable[[], None]) -> None:
        self._size = size
        self._retry_after_s = retry_after_s
        self._on_first = on_first
        self._waiting: dict[bytes, Ticket[E, R]] = {}
        self._low: dict[bytes, Ticket[E, R]] = {}
        self._in_flight: dict[bytes, Ticket[E, R]] = {}
        self.evicted = 0

    def __len__(self) -> int:
        """How many entries wait; those in flight do not count."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Raises PoolFullError when there is no place, not even a low one that would be given up."""
        if len(self._waiting) >= self._size and not self._low:
            raise self._full("the log has more submissions waiting than it can take")

    def add(self, entry: E, key: bytes, low: bool) -> asyncio.Future[R]:
        """A place for this entry, or a share in the place that it has already. Raises PoolFullError."""
        ticket = self._waiting.get(key) or self._in_flight.get(key)
        if ticket is None:
            if len(self._waiting) >= self._size:
                self._give_way(low)
            ticket = Ticket(entry, key, low)
            self._waiting[key] = ticket
            if low:
                self._low[key] = ticket
            if len(self._waiting) == 1:
                self._on_first()
        waiter: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if ticket.result is None:
            ticket.waiters.append(waiter)
        else:  # what was known already is answered before its batch is through
            waiter.set_result(ticket.result)
        return waiter

    def rotate(self) -> list[Ticket[E, R]]:
        """Begin a batch: what waited is in flight, and stays visible as such until `land`."""
        self._in_flight, self._waiting, self._low = self._waiting, {}, {}
        return list(self._in_flight.values())

    def land(self) -> None:
        """The batch is through, one way or the other."""
        self._in_flight = {}

    def fail_all(self, error: BaseException) -> None:
        """Nobody gets a place any more."""
        for ticket in (*self._in_flight.values(), *self._waiting.values()):
            ticket.fail(error)
        self._in_flight, self._waiting, self._low = {}, {}, {}

    def _give_way(self, low: bool) -> None:
        """Make room for a fresh entry by giving up the low one that came last."""
        if low or not self._low:
            raise self._full("the log has more submissions waiting than it can take")
        key, ticket = self._low.popitem()
        del self._waiting[key]
        self.evicted += 1
        ticket.fail(self._full("a fresh certificate took the place of this one"))

    def _full(self, sentence: str) -> PoolFullError:
        return PoolFullError(f"{sentence}; try again", retry_after_s=self._retry_after_s)
