"""Since when each item is watched: what is new in a watch list is enrolled, and what is known of it is looked up.

In scope: telling new items from those of before, by 64 bits of a hash of their ids, with a million of them; the tasks
that look up the history of the new ones, stored in the same transaction with them. An item that goes and comes back is
a new one, so that nothing which happened meanwhile is passed over. Out of scope: reading watch lists
(`monitor.reload`), doing the tasks (`monitor.tasks`).
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from monitor.follow.followed import Clock
from monitor.items import Item
from monitor.state import State
from monitor.tasks import plan_enrol
from monitor.watchlist import Watchlist

AT_ONCE = 16_384
"""Items that are stored in one transaction: others wait for it."""


class _Known(NamedTuple):
    """Hashes in order, and since when each of these items is watched."""

    hashes: array[int]
    added: array[int]

    def since(self, name: int) -> int:
        """0 for one that is new."""
        at = bisect_left(self.hashes, name)
        return self.added[at] if at < len(self.hashes) and self.hashes[at] == name else 0


class Enrolment:
    """Who is watched, as the state has it."""

    def __init__(self, state: State, now_ms: Clock) -> None:
        self._state = state
        self._now_ms = now_ms
        self._known: _Known | None = None

    async def enrol(self, watchlist: Watchlist, *, has_history: bool) -> int:
        """Say in a watch list since when its items are watched; how many are new. Raises StoreError: then some of them
        may be enrolled, each with its task, and the next call goes on.

        has_history: whether anything was read so far; else there is nothing to look up.
        """
        known = self._known or _Known(*await self._state.answers.enrolled())
        self._known = None  # until all of this is stored it is read anew
        now_ms = self._now_ms()
        hashes, added, gone = await asyncio.to_thread(_compare, watchlist, known)
        for at in range(0, len(gone), AT_ONCE):
            await self._state.answers.enrol((), gone[at : at + AT_ONCE], (), now_ms)
        fresh = added.count(0)
        if fresh:
            new = (
                (name, item.id) for name, since, item in zip(hashes, added, watchlist.items(), strict=True) if not since
            )
            while some := await asyncio.to_thread(_some, new):
                tasks = plan_enrol(item for _, item in some) if has_history else []
                await self._state.answers.enrol((name for name, _ in some), (), tasks, now_ms)
        self._known = await asyncio.to_thread(_put, watchlist, hashes, added, now_ms)
        return fresh


def _compare(watchlist: Watchlist, known: _Known) -> tuple[array[int], array[int], array[int]]:
    """Of every item, in the order of `items`: its hash, and since when it is watched; and hashes that are gone."""
    hashes = array("q", map(item_hash, watchlist.items()))
    added = array("Q", map(known.since, hashes))
    now = array("q", sorted(hashes))
    gone = array("q", (name for name in known.hashes if not _holds(now, name)))
    return hashes, added, gone


def _holds(hashes: array[int], name: int) -> bool:
    at = bisect_left(hashes, name)
    return at < len(hashes) and hashes[at] == name


def _some(new: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    return list(islice(new, AT_ONCE))


def _put(watchlist: Watchlist, hashes: array[int], added: array[int], now_ms: int) -> _Known:
    since = array("Q", (added_ms or now_ms for added_ms in added))
    watchlist.set_added(since)
    order = sorted(range(len(hashes)), key=hashes.__getitem__)
    return _Known(_picked("q", hashes, order), _picked("Q", since, order))


def _picked(kind: str, column: array[int], order: Iterable[int]) -> array[int]:
    return array(kind, map(column.__getitem__, order))


def item_hash(item: Item) -> int:
    """What stands for an item's id."""
    return int.from_bytes(hashlib.sha256(item.id.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)
