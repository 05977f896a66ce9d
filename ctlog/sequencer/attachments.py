"""What an entry brings along and refers to: durable before the entry exists (P8).

In scope: writing such objects once, and comparing those that are there. Out of scope: which they are (`forms.py`); for
certificates they are the issuers, whose keys are hashes of their bytes.
"""

from __future__ import annotations

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

    async def keep(self, objects: Sequence[Object]) -> None:
        """These are durable when it returns. Raises StoreError, or FatalError when other bytes are there.

        An object that is there may have been left by a process that died before it was synced, so the first time it
        is written all the same.
        """
        missing = [(key, data) for key, data in objects if self._kept.get(key) != data]
        if not missing:
            return
        found = await self._store.get_many([key for key, _ in missing])
        for (key, data), there in zip(missing, found, strict=True):
            if there is not None and there != data:
                raise FatalError(f"{key} has other bytes than its name says", promise="P8", reason="object-damaged")
        await self._store.put_many(missing)
        for key, data in missing:
            self._kept[key] = data
            if len(self._kept) > _REMEMBERED:
                del self._kept[next(iter(self._kept))]
