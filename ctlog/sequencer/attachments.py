"""What an entry brings along and refers to: durable before the entry exists (P8).

In scope: writing such objects once, and comparing those that are there. Out of scope: which they are (`forms.py`); for
certificates they are the issuers, whose keys are hashes of their bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ctlog.errors import FatalError
from ctlog.sequencer.forms import Object
from ctlog.store import ObjectStore

_REMEMBERED = 2048  # forgetting one costs a write


class Attachments:
    """Knows which objects this process has made durable."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._kept: dict[str, bytes] = {}
        self._writing = asyncio.Lock()

    def has(self, objects: Sequence[Object]) -> bool:
        """Are these durable already?"""
        return all(self._kept.get(key) == data for key, data in objects)

    async def keep(self, objects: Sequence[Object]) -> None:
        """These are durable when it returns. Raises StoreError, or FatalError when other bytes are there.

        An object that is there may have been left by a process that died before it was synced, so the first time it
        is written all the same.
        """
        async with self._writing:  # many entries come with the same new issuer: the first one writes it
            await self._write([(key, data) for key, data in objects if self._kept.get(key) != data])

    async def _write(self, objects: Sequence[Object]) -> None:
        if not objects:
            return
        found = await self._store.get_many([key for key, _ in objects])
        for (key, data), there in zip(objects, found, strict=True):
            if there is not None and there != data:
                raise FatalError(f"{key} has other bytes than its name says", promise="P8", reason="object-damaged")
        await self._store.put_many(objects)
        for key, data in objects:
            self._kept[key] = data
            if len(self._kept) > _REMEMBERED:
                del self._kept[next(iter(self._kept))]
