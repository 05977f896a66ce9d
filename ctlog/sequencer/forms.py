"""What the sequencer has to be told about entries, and the form that this log's entries have (static-ct-api).

In scope: the protocol `EntryForm`, which turns an entry that has a place into the bytes of its leaf and of its tiles,
and a stored tile back into leaves and look-up keys; and `StaticCtForm` on top of `wire.static_ct`. Out of scope: what
is in a certificate, and whether it is admitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

E_contra = TypeVar("E_contra", contravariant=True)

Object = tuple[str, bytes]
"""A key of the public store, and the bytes under it."""


class TileKind(NamedTuple):
    """A kind of tile beside the tree. `name`: its folder below "tile/"; `gzip_full`: full ones are compressed."""

    name: str
    gzip_full: bool


class Placed(NamedTuple):
    """An entry with its place: what is hashed into the tree, and its piece of a tile of each kind."""

    leaf: bytes
    pieces: tuple[bytes, ...]


class StoredEntry(NamedTuple):
    """An entry read back from a tile of the first kind."""

    leaf: bytes
    timestamp_ms: int
    entry_key: bytes
    certificate_hash: bytes


class EntryForm(Protocol[E_contra]):
    """How entries become bytes. Everything is pure; `kinds[0]` is the kind of tile from which leaves are recomputed."""

    kinds: tuple[TileKind, ...]
    max_size: int
    """The log never grows beyond so many entries."""

    def key(self, entry: E_contra) -> bytes:
        """SHA-256 of what makes two submissions the same entry."""

    def is_low(self, entry: E_contra) -> bool:
        """Does it give way to a fresh entry when the pool is full?"""

    def attachments(self, entry: E_contra) -> Sequence[Object]:
        """Objects of the public store that must be durable before the entry exists."""

    def place(self, entries: Sequence[E_contra], first_index: int, timestamp_ms: int) -> list[Placed]:
        """The bytes of these entries when they stand at `first_index` and after."""

    def leaf(self, entry: E_contra, index: int, timestamp_ms: int) -> bytes:
        """The leaf alone, as `place` makes it."""

    def leaves(self, tile: bytes) -> list[bytes]:
        """The leaves in a tile of the first kind (uncompressed). Raises MalformedError."""

    def stored(self, tile: bytes) -> list[StoredEntry]:
        """The same with times and look-up keys. Raises MalformedError."""

    def check_piece_tile(self, kind: int, tile: bytes, lo: int, timestamps_ms: Sequence[int]) -> None:
        """Does a tile of `kinds[kind]` tell of the entries from `lo` on, with these times? MalformedError if not."""
