"""What the sequencer has to be told about entries, and the form that this log's entries have (static-ct-api).

In scope: the protocol `EntryForm`, which turns an entry that has a place into the bytes of its leaf and of its tiles,
and a stored tile back into leaves and look-up keys; and `StaticCtForm` on top of `wire.static_ct`. Out of scope: what
is in a certificate, and whether it is admitted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar

from ctlog.errors import MalformedError
from ctlog.merkle.hashing import hash_messages
from ctlog.merkle.tree import HASH_SIZE
from ctlog.wire.numbers_feed import format_feed_line
from ctlog.wire.rfc6962 import TimestampedEntry, format_merkle_tree_leaf, format_signed_entry
from ctlog.wire.static_ct import (
    PendingEntry,
    format_leaf_index,
    merkle_tree_leaves,
    parse_data_tile,
)

E_contra = TypeVar("E_contra", contravariant=True)

Object = tuple[str, bytes]
"""A key of the public store, and the bytes under it."""

MAX_SIZE = 1 << 32
"""Entries of one log. static-ct-api allows 2^40; what is built on top of a log counts entries in 32 bits."""

DATA = "data"
NUMBERS = "numbers"


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
    """How entries become bytes. Everything is pure."""

    @property
    def kinds(self) -> tuple[TileKind, ...]:
        """The kinds of tiles beside the tree, the first from which leaves are recomputed."""

    @property
    def max_size(self) -> int:
        """The log never grows beyond so many entries."""

    def key(self, entry: E_contra) -> bytes:
        """SHA-256 of what makes two submissions the same entry."""

    def certificate_hash(self, entry: E_contra) -> bytes:
        """SHA-256 of the certificate as it was submitted: another key by which the entry can be looked up."""

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

    def check_tile(self, kind: str, tile: bytes, lo: int, entries: Sequence[StoredEntry]) -> None:
        """Does a tile of another kind (uncompressed) tell of these entries, the first of which is at `lo`?

        Raises MalformedError if it cannot.
        """


class StaticCtForm:
    """Entries of a certificate log: data tiles of static-ct-api, and beside them the numbers feed."""

    kinds = (TileKind(DATA, gzip_full=True), TileKind(NUMBERS, gzip_full=True))
    max_size = MAX_SIZE

    def key(self, entry: PendingEntry) -> bytes:
        """See EntryForm."""
        return entry.key

    def certificate_hash(self, entry: PendingEntry) -> bytes:
        """See EntryForm."""
        return entry.certificate_hash

    def is_low(self, entry: PendingEntry) -> bool:
        """See EntryForm."""
        return entry.low

    def attachments(self, entry: PendingEntry) -> Sequence[Object]:
        """The issuers, at the addresses of static-ct-api."""
        return [(_issuer_path(issuer.fingerprint), issuer.der) for issuer in entry.issuers]

    def place(self, entries: Sequence[PendingEntry], first_index: int, timestamp_ms: int) -> list[Placed]:
        """See EntryForm."""
        placed = []
        for index, entry in enumerate(entries, first_index):
            leaf = self.leaf(entry, index, timestamp_ms)
            chain = b"".join([issuer.fingerprint for issuer in entry.issuers])
            pre = entry.pre_certificate
            before = len(pre).to_bytes(3, "big") + pre if pre else b""
            data = b"".join((leaf[2:], before, len(chain).to_bytes(2, "big"), chain))  # wire.static_ct.format_tile_leaf
            placed.append(Placed(leaf, (data, format_feed_line(index, timestamp_ms, entry.feed))))
        return placed

    def leaf(self, entry: PendingEntry, index: int, timestamp_ms: int) -> bytes:
        """See EntryForm."""
        return format_merkle_tree_leaf(TimestampedEntry(timestamp_ms, entry.entry, format_leaf_index(index)))

    def leaves(self, tile: bytes) -> list[bytes]:
        """See EntryForm."""
        return merkle_tree_leaves(tile)

    def stored(self, tile: bytes) -> list[StoredEntry]:
        """See EntryForm."""
        found = parse_data_tile(tile)
        keys = hash_messages([format_signed_entry(leaf.entry) for leaf in found])
        certificates = hash_messages([leaf.pre_certificate or leaf.entry.certificate for leaf in found])
        return [
            StoredEntry(
                format_merkle_tree_leaf(leaf.timestamped),
                leaf.timestamp_ms,
                keys[at : at + HASH_SIZE],
                certificates[at : at + HASH_SIZE],
            )
            for at, leaf in zip(range(0, len(keys), HASH_SIZE), found, strict=True)
        ]

    def check_tile(self, kind: str, tile: bytes, lo: int, entries: Sequence[StoredEntry]) -> None:
        """See EntryForm. A line of the feed begins with its index and time; the rest of it is not looked at."""
        lines = tile.split(b"\n")
        heads = [_LINE_HEAD.match(line) for line in lines[:-1]]
        found = [head and (int(head[1]), int(head[2])) for head in heads]
        if lines[-1] or found != [(index, entry.timestamp_ms) for index, entry in enumerate(entries, lo)]:
            raise MalformedError(f"{kind} tile: its lines are not those of the entries from {lo} on", field=kind)


@lru_cache(4096)
def _issuer_path(fingerprint: bytes) -> str:
    return f"issuer/{fingerprint.hex()}"


_LINE_HEAD = re.compile(rb'\{"index":([0-9]{1,19}),"timestamp":([0-9]{1,19}),"')
