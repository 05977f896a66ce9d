"""Since when each item is watched: what is new in a watch list is enrolled, and what is known of it is looked up.

In scope: telling new items from those of before, by 64 bits of a hash of their ids, with a million of them; the tasks
that look up the history of the new ones, stored in the same transaction. An item that goes and comes back is a new one,
so that nothing which happened meanwhile is passed over. Out of scope: reading watch lists (`monitor.reload`), doing the
tasks (`monitor.tasks`).
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array

from monitor.items import Item
from monitor.state import State
from monitor.tasks import plan_enrol
from monitor.watchlist import Watchlist


async def enrol(watchlist: Watchlist, state: State, now_ms: int, *, has_history: bool) -> int:
    """Say in a watch list since when its items are watched; how many are new. Raises StoreError.

    has_history: whether anything was read so far; else there is nothing to look up.
    """
    hashes = await asyncio.to_thread(lambda: array("q", map(item_hash, watchlist.items())))
    added = await state.answers.enrolled(hashes)
    fresh = added.count(0)
    new = (item.id for item, added_ms in zip(watchlist.items(), added, strict=True) if not added_ms)
    tasks = await asyncio.to_thread(plan_enrol, new) if fresh and has_history else []
    await state.answers.enrol(hashes, tasks, now_ms)
    watchlist.set_added(array("Q", (added_ms or now_ms for added_ms in added)))
    return fresh


def item_hash(item: Item) -> int:
    """What stands for an item's id."""
    return int.from_bytes(hashlib.sha256(item.id.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)
