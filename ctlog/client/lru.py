"""A mapping that keeps what was used last, and no more of it than was agreed: what the call path remembers.

In scope: bounds in entries and in bytes. Out of scope: what is true for how long; whoever keeps a thing here says so
beside it. It belongs to whoever makes it, and is used from one thread.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Holds at most `entries` values, and at most `octets` of what `put` says that they weigh.

    Looking up and putting take constant time. What was neither put nor found for longest goes first.
    """

    def __init__(self, entries: int, octets: int = 64 << 20) -> None:
        self._entries = entries
        self._octets = octets
        self._held = 0
        self._items: dict[K, tuple[V, int]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: K) -> bool:
        """Whether there is a value; that counts as no use of it."""
        return key in self._items

    def get(self, key: K) -> V | None:
        """The value, which now counts as used last; or None."""
        items = self._items
        found = items.pop(key, None)
        if found is None:
            return None
        items[key] = found
        return found[0]

    def put(self, key: K, value: V, weight: int = 0) -> None:
        """Keep `value` in the place of what was there. What alone weighs more than an eighth of all is not kept."""
        items = self._items
        self.drop(key)
        if weight > self._octets // 8 or self._entries < 1:
            return
        items[key] = (value, weight)
        self._held += weight
        while self._held > self._octets or len(items) > self._entries:
            self.drop(next(iter(items)))

    def drop(self, key: K) -> None:
        """Forget a key, if it is there."""
        found = self._items.pop(key, None)
        if found is not None:
            self._held -= found[1]

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
        self._held = 0
