"""Where entries stand: the LookupStore's candidates, each compared with what the tiles say.

In scope: finding a submitted entry (P7), a leaf hash and a certificate's hash among the entries of a published tree.
Out of scope: entries that are on their way (`pool.py`). Nothing that the LookupStore says is believed: an answer is
given only when the hash that is made anew equals the one in the level-0 tile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from ctlog.errors import FatalError, MalformedError, StoreError
from ctlog.merkle.hashing import hash_leaves, leaf_hash
from ctlog.merkle.tiles import WIDTH, Tile, entries_path, tile_path
from ctlog.merkle.tree import HASH_SIZE
from ctlog.sequencer.forms import EntryForm, StoredEntry
from ctlog.sequencer.plan import Edge, unpack_tile
from ctlog.store import Candidate, Shelves

E = TypeVar("E")

_REMEMBERED = 128  # full level-0 tiles in memory: 1 MB


class DamagedError(StoreError):
    """A published object is not what it was; `ctlog fsck` names all of them."""

    reason = "object-damaged"


class Sequenced(NamedTuple):
    """Where an entry stands: in a head that is published."""

    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it
    timestamp_ms: int


class Found(NamedTuple):
    """A published entry, read from its data tile and compared with the level-0 tile."""

    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it
    timestamp_ms: int
    leaf: bytes


class Places(Generic[E]):
    """Looks things up in one log. `edge` always says in which tree: the right edge holds its partial tiles."""

    def __init__(self, shelves: Shelves, form: EntryForm[E]) -> None:
        """Reads `public` and `lookup`."""
        self._shelves = shelves
        self._form = form
        self._tiles: OrderedDict[int, bytes] = OrderedDict()

    async def find_entries(self, entries: Sequence[E], edge: Edge) -> list[Sequenced | None]:
        """The place of each entry that the tree has already, in their order.

        Raises FatalError (P7) when the log holds an entry that the look-ups describe wrongly, StoreError if it cannot
        be found out.
        """
        found = await self._shelves.lookup.by_entry_keys([self._form.key(entry) for entry in entries])
        return [
            await self._match(entry, candidates, edge) if candidates else None
            for entry, candidates in zip(entries, found, strict=True)
        ]

    async def find_leaf(self, wanted: bytes, edge: Edge) -> int | None:
        """The index of the leaf with this hash."""
        for candidate in await self._shelves.lookup.by_leaf_hash(wanted):
            if candidate.index < edge.size and await self._hash(candidate.index, edge) == wanted:
                return candidate.index
        return None

    async def find_certificate(self, wanted: bytes, edge: Edge) -> Found | None:
        """The first entry whose submitted certificate has this hash."""
        for candidate in await self._shelves.lookup.by_certificate_hash(wanted):
            if candidate.index < edge.size:
                entry = await self._entry(candidate.index, edge)
                if entry.certificate_hash == wanted:
                    return Found(candidate.index, entry.timestamp_ms, entry.leaf)
        return None

    async def _match(self, entry: E, candidates: Sequence[Candidate], edge: Edge) -> Sequenced | None:
        for index, timestamp_ms in candidates:
            if index >= edge.size:
                raise FatalError(f"the look-ups know an entry {index} that the log has not", promise="P7")
            try:
                if leaf_hash(self._form.leaf(entry, index, timestamp_ms)) == await self._hash(index, edge):
                    return Sequenced(index, timestamp_ms)
                stored = await self._entry(index, edge)
            except DamagedError as error:
                raise FatalError(f"no SCT can be given again: {error}", promise="P7", reason=error.reason) from error
            if stored.entry_key == self._form.key(entry):
                sentence = f"the look-ups describe entry {index} wrongly; they can be rebuilt: ctlog reindex"
                raise FatalError(sentence, promise="P7", reason="lookup-damaged")
        return None  # others whose hash begins alike

    async def _hash(self, index: int, edge: Edge) -> bytes:
        """The hash of entry `index` in its level-0 tile."""
        tile, place = divmod(index, WIDTH)
        hashes = await self._hash_tile(tile, edge)
        return hashes[place * HASH_SIZE : (place + 1) * HASH_SIZE]

    async def _hash_tile(self, tile: int, edge: Edge) -> bytes:
        if tile == edge.size // WIDTH:
            return edge.levels[0]
        hashes = self._tiles.get(tile)
        if hashes is None:
            path = tile_path(Tile(0, tile, WIDTH))
            hashes = await self._shelves.public.get(path)
            if hashes is None or len(hashes) != WIDTH * HASH_SIZE:
                raise DamagedError(f"{path} is missing or has not {WIDTH} hashes")
            self._tiles[tile] = hashes
            if len(self._tiles) > _REMEMBERED:
                self._tiles.popitem(last=False)
        else:
            self._tiles.move_to_end(tile)
        return hashes

    async def _entry(self, index: int, edge: Edge) -> StoredEntry:
        """Entry `index` out of its data tile, compared with its hash."""
        tile, place = divmod(index, WIDTH)
        kind = self._form.kinds[0]
        width = min(WIDTH, edge.size - tile * WIDTH)
        path = entries_path(kind.name, tile, width)
        hashes = await self._hash_tile(tile, edge)
        stored = await self._shelves.public.get(path) if width == WIDTH else b""
        if stored is None:
            raise DamagedError(f"{path} is missing")
        try:
            data = edge.tails[0] if width < WIDTH else unpack_tile(kind, WIDTH, stored)
            entry = self._form.stored(data)[place]
        except (MalformedError, IndexError) as error:
            raise DamagedError(f"{path} is damaged: {error}") from error
        if hash_leaves([entry.leaf]) != hashes[place * HASH_SIZE : (place + 1) * HASH_SIZE]:
            raise DamagedError(f"{path}: entry {index} does not have its hash")
        return entry

