"""The shelves, told apart by what losing the data costs: three promises, no technology.

    ObjectStore   what is published, and what is staged. Losing it ends the log; reading it wrong is noticed.
    HeadStore     one signed head per log, moved by compare-and-swap. If it is wrong the log forks.
    LookupStore   where is the entry with this hash? Derived from the data tiles: losing it costs a rebuild.

In scope: what an implementation has to keep, as protocols. `filesystem.py` and `sqlite.py` keep it with nothing to
install; a database server and a bucket can stand behind the same words. Out of scope: what the bytes mean.

Every method is a coroutine. An implementation whose work blocks does it in one thread hop per call, so callers hand
over batches. What fails raises StoreError and leaves open whether it took effect, unless its sentence says otherwise;
whatever the caller may believe after that is written at each promise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Space(NamedTuple):
    """How much room is left. `total_inodes` is 0 where there is no such limit."""

    free_bytes: int
    total_bytes: int
    free_inodes: int
    total_inodes: int


@dataclass(frozen=True, slots=True)
class Collectable:
    """What may ever be deleted from an ObjectStore: keys below `prefixes` ("": all), and partial tiles if declared."""

    prefixes: tuple[str, ...] = ()
    partial_tiles: bool = False

    def covers(self, key: str) -> bool:
        """May this key be deleted?"""
        return key.startswith(self.prefixes) or (self.partial_tiles and _PARTIAL_TILE.fullmatch(key) is not None)


_PARTIAL_TILE = re.compile(r"tile/.+\.p/[0-9]{1,3}")


class Prepared(NamedTuple):
    """Immutable objects whose bytes are durable and whose keys nobody sees yet; `names` is the store's own affair."""

    keys: tuple[str, ...]
    names: tuple[str, ...]


class ObjectStore(Protocol):
    """Bytes under keys that are relative URL paths, such as "tile/0/000.p/3", "issuer/ab12..." or "checkpoint".

    Durable: what `put_many` was given survives a loss of power once it returned, and readers see each object whole or
    not at all. Immutable keys refuse to change: other bytes under a key that exists raise FatalError (P5), the same
    bytes are stored again, which lets a recovery repeat a write whose outcome is unknown.
    Listing may lag behind (a bucket's does); `get` of a key whose put returned may not.
    """

    async def put_many(self, objects: Sequence[tuple[str, bytes]], *, immutable: bool = True) -> None:
        """Store all of these, durably, in no particular order. Some may have taken effect when it raises."""

    async def prepare(self, objects: Sequence[tuple[str, bytes | memoryview]]) -> Prepared:
        """The slow half of `put_many` for immutable objects: their bytes are durable, and nobody sees them.

        What is prepared and never put is gone with this process.
        """

    async def put_prepared(self, prepared: Prepared) -> None:
        """The other half, once: as `put_many` for what was prepared."""

    async def drop_prepared(self, prepared: Prepared) -> None:
        """Forget what was prepared."""

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """Store one immutable object that is too large to hold, with the same promises."""

    async def get(self, key: str) -> bytes | None:
        """The whole object, or None."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The same for several, in the order of `keys`, in one hop."""

    async def get_range(self, key: str, lo: int, hi: int) -> bytes | None:
        """The bytes [lo, hi) of an object, fewer where it ends earlier, or None where there is no object."""

    async def list_keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix`, sorted. `prefix` is empty or ends in "/"."""

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Remove these; absent ones are fine. Raises FatalError (P5) for a key that was not declared collectable."""

    async def modified_ms(self, key: str) -> int | None:
        """When this object was last written, in the store's own time; None where there is no object."""

    async def space(self) -> Space | None:
        """The room that is left, or None where that is nobody's worry."""

    async def close(self) -> None:
        """Let go of threads and handles; nothing else may be called afterwards."""


class StoredHead(NamedTuple):
    """What a HeadStore holds of one log: its origin, its last head's exact bytes, and whether there can be no other."""

    origin: str
    head: bytes
    frozen: bool


class HeadStore(Protocol):
    """The latest signed head of each log, keyed by log id (32 bytes). It is shared by logs and lives apart from them.

    A head is replaced only by somebody who holds the exact bytes that are there. If `replace` raises anything, the
    caller cannot know which head is in force and must stop; the next process finds out, since what is fetched from a
    head store that was opened anew is durable. A head store is never made by opening one (P10).
    """

    async def fetch(self, log_id: bytes) -> StoredHead | None:
        """What is stored, or None for a log that was never created here."""

    async def create(self, log_id: bytes, origin: str, seed_id: bytes, head: bytes) -> None:
        """Begin a log. Raises ConfigError if the log is known, or (`seed_id`, 32 bytes) its seed, under any origin."""

    async def replace(self, log_id: bytes, old: bytes, new: bytes, *, final: bool = False) -> None:
        """Compare-and-swap, durable when it returns. `final` freezes the log: nothing replaces that head ever again.

        Raises FatalError (P1) when `old` is not what is stored, or when the log is frozen; nothing changed then.
        """

    async def space(self) -> Space | None:
        """The room that is left, or None where that is nobody's worry."""

    async def close(self) -> None:
        """Let go of threads and handles; nothing else may be called afterwards."""


class LookupRow(NamedTuple):
    """What can be asked about one entry: its time, and three SHA-256 values, 32 bytes each."""

    timestamp_ms: int
    entry_key: bytes
    leaf_hash: bytes
    certificate_hash: bytes


class Candidate(NamedTuple):
    """Where an entry with the wanted hash may stand. The caller compares with the tiles: nothing here is proven."""

    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it
    timestamp_ms: int


class LookupStore(Protocol):
    """From hashes to places, for the entries [0, size). Derived: it may be thrown away and rebuilt at any time.

    Every answer is a list of candidates, lowest index first. All that were added under the wanted hash are among them;
    others may be too, since an implementation may keep only part of each hash.
    """

    async def size(self) -> int:
        """How many entries it covers; it never forgets one of these, but a loss of power may lower this number."""

    async def add(self, lo: int, rows: Sequence[LookupRow]) -> None:
        """Take in the entries from index `lo` on. Rows that are covered already are skipped; a gap is a UsageError."""

    async def settle(self) -> bool:
        """There is time now: move a little of what is only in memory to the disk. Is there more of it?

        Nothing is lost by never calling it; a start after a crash has less to read again.
        """

    async def by_entry_keys(self, keys: Sequence[bytes]) -> list[list[Candidate]]:
        """The candidates for each of many entry keys, in the order of `keys`, in one hop."""

    async def by_leaf_hash(self, leaf_hash: bytes) -> list[Candidate]:
        """The candidates for a leaf hash."""

    async def by_certificate_hash(self, certificate_hash: bytes) -> list[Candidate]:
        """The candidates for the hash of a certificate as it was submitted."""

    async def close(self) -> None:
        """Let go of threads and handles; nothing else may be called afterwards."""


@dataclass(frozen=True, slots=True)
class Shelves:
    """All the stores of one log.

    `public` is what the world may read: checkpoint, tile/, issuer/. `staging` holds what is not published yet, under
    keys that are all collectable. `heads` may be shared with other logs.
    """

    public: ObjectStore
    staging: ObjectStore
    heads: HeadStore
    lookup: LookupStore

    async def close(self) -> None:
        """Close all of them, even where closing one raises StoreError."""
        stores = (self.public, self.staging, self.lookup, self.heads)
        outcomes = await asyncio.gather(*(store.close() for store in stores), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
