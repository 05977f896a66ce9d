"""What is done in quiet moments: old partial tiles go, stale bundles go, the room that is left is measured.

In scope: one bounded round of it, to be called now and then while the log runs. Out of scope: when.

A partial tile is superseded by the full one, but a client may be in the middle of reading it, so it stays for an hour
after the full one was published (P5). Clients that get 404 ask for the full tile (static-ct-api, "Partial Tiles").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ctlog.merkle.tiles import HEIGHT, WIDTH, Tile, entries_path, tile_path
from ctlog.sequencer.forms import TileKind
from ctlog.sequencer.recovery import stale_bundles
from ctlog.store import Shelves, Space

_TILES_PER_ROUND = 128


@dataclass(slots=True)
class _Family:
    """Tiles of one kind or level; all before `cursor` have no partial ones any more."""

    path: Callable[[int], str]
    """The path of a full tile."""
    height: int
    """A full tile stands for 2^height entries."""
    cursor: int = 0


@dataclass(slots=True)
class Upkeep:
    """Remembers how far it came. `removed` counts partial tiles."""

    shelves: Shelves
    kinds: Sequence[TileKind]
    partial_age_ms: int
    min_free_bytes: int
    min_free_share: float
    removed: int = 0
    shortage: str | None = None
    """Which store was short of which room when it was last measured, in one sentence."""
    _families: list[_Family] = field(default_factory=list)

    async def round(self, size: int, now_ms: int, *, idle: bool) -> bool:
        """A bounded round for a published tree of `size`. Is there more to do at once? Raises StoreError."""
        await self.measure_room()
        unsettled = False
        if idle:
            await self.remove_bundles(size)
            unsettled = await self.shelves.lookup.settle()
        return await self.remove_partials(size, now_ms) or unsettled

    async def remove_partials(self, size: int, now_ms: int) -> bool:
        """Remove partial tiles of a published tree of `size`, oldest first. Is there more to do at once?

        Raises StoreError. A family of tiles is left for later at its first full tile that is too young.
        """
        budget = _TILES_PER_ROUND
        for family in self._grown_families(size):
            while family.cursor < size >> family.height:
                if budget == 0:
                    return True
                budget -= 1
                if not await self._remove(family.path(family.cursor), now_ms):
                    break
                family.cursor += 1
        return False

    async def measure_room(self) -> None:
        """Bring `shortage` up to date. Raises StoreError."""
        shortage = None
        stores = (("objects", self.shelves.public), ("staging", self.shelves.staging), ("heads", self.shelves.heads))
        for name, store in stores:
            space = await store.space()
            what = None if space is None else _short_of(space, self.min_free_bytes, self.min_free_share)
            if what is not None:
                shortage = f"the store of {name} is short of {what}"
        self.shortage = shortage

    async def remove_bundles(self, size: int) -> None:
        """Remove what is staged for a tree that is published. Raises StoreError."""
        stale = await stale_bundles(self.shelves.staging, size)
        if stale:
            await self.shelves.staging.delete_many(stale)

    async def _remove(self, full: str, now_ms: int) -> bool:
        """Remove the partial ones of this full tile; False if it is too young."""
        partials = await self.shelves.public.list_keys(f"{full}.p/")
        if partials:
            since_ms = await self.shelves.public.modified_ms(full)
            if since_ms is None or now_ms - since_ms < self.partial_age_ms:
                return False
            await self.shelves.public.delete_many(partials)
            self.removed += len(partials)
        return True

    def _grown_families(self, size: int) -> Iterator[_Family]:
        """Every kind of tile, and each level of hash tiles that has a full one in a tree of `size`."""
        if not self._families:
            self._families = [_Family(_entries_path(kind), HEIGHT) for kind in self.kinds]
        levels = len(self._families) - len(self.kinds)
        while size >> (HEIGHT * (levels + 1)):
            self._families.append(_Family(_hash_path(levels), HEIGHT * (levels + 1)))
            levels += 1
        yield from self._families


def _entries_path(kind: TileKind) -> Callable[[int], str]:
    return lambda index: entries_path(kind.name, index, WIDTH)


def _hash_path(level: int) -> Callable[[int], str]:
    return lambda index: tile_path(Tile(level, index, WIDTH))


def _short_of(space: Space, min_bytes: int, min_share: float) -> str | None:
    if space.free_bytes < max(min_bytes, min_share * space.total_bytes):
        return f"room: {space.free_bytes >> 20} MiB of {space.total_bytes >> 20} are free"
    if space.total_inodes and space.free_inodes < min_share * space.total_inodes:
        return f"inodes: {space.free_inodes} of {space.total_inodes} are free"
    return None
