"""static-ct-api v1.1.0 (c2sp.org/static-ct-api): the entries of data tiles, and the leaf_index extension of SCTs.

In scope: TileLeaf and sequences of them, CtExtensions, and the values that carry an entry to its place in the log.
Out of scope: hash tiles and paths (`ctlog.merkle.tiles`), checkpoints (`ctlog.wire.checkpoint`), gzip (the caller's).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple

from ctlog.errors import MalformedError
from ctlog.wire.rfc6962 import (
    HASH_SIZE,
    EntryType,
    SignedEntry,
    TimestampedEntry,
    format_merkle_tree_leaf,
    format_timestamped_entry,
    read_timestamped_entry,
)
from ctlog.wire.tls import Reader, uint, vector

_cut_fast: Callable[[bytes], tuple[list[bytes], list[bytes]] | None] | None
_columns_fast: Callable[[bytes], tuple[list[bytes], list[bytes], list[bytes]] | None] | None
try:  # in C, where it was compiled; it gives None where the reading here has to say what something is
    _fast = import_module("ctlog.wire._static_ct")
    _cut_fast, _columns_fast = _fast.leaves_and_chains, _fast.columns
except ImportError:
    _cut_fast = _columns_fast = None

TILE_WIDTH = 256
"""Entries of a full data tile."""

LEAF_INDEX = 0
"""The ExtensionType of the leaf index, the one that there is."""

_FIELD = "data-tile"
_LEAF_INDEX_HEAD = b"\x00\x00\x05"  # type leaf_index, then a length of 5
_MAX_FINGERPRINTS = ((1 << 16) - 1) // HASH_SIZE


class TileLeaf(NamedTuple):
    """One entry of a data tile.

    `pre_certificate` is the precertificate as submitted, empty for a final certificate; `chain` the SHA-256
    fingerprints of its issuers, the leaf's own issuer first, the accepted root last.
    """

    timestamp_ms: int
    entry: SignedEntry
    extensions: bytes
    pre_certificate: bytes
    chain: tuple[bytes, ...]

    @property
    def timestamped(self) -> TimestampedEntry:
        """The part that is hashed into the tree."""
        return TimestampedEntry(self.timestamp_ms, self.entry, self.extensions)


class Issuer(NamedTuple):
    """A certificate that is served at `issuer/<fingerprint>`; `fingerprint` is the SHA-256 of `der`."""

    fingerprint: bytes
    der: bytes


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """An admitted submission that has no place in the log yet: what admission hands to the sequencer."""

    entry: SignedEntry
    pre_certificate: bytes
    """The precertificate as submitted; empty for a final certificate."""
    issuers: tuple[Issuer, ...]
    """The leaf's issuer first, the accepted root last."""
    feed: bytes
    """Its line in the numbers feed without the opening brace, index and timestamp; ends in a newline."""
    low: bool
    """Gives way to a fresh entry when the pool is full."""
    certificate_hash: bytes
    """SHA-256 of the DER that was submitted."""
    trust_domain: str
    root: bytes
    """Fingerprint of the accepted root at which the chain is anchored."""
    key: bytes
    """`rfc6962.entry_key` of `entry`: equal for duplicates."""


# The leaf_index extension -------------------------------------------------------------------------------------------


def format_leaf_index(index: int) -> bytes:
    """The inside of a CtExtensions that holds the leaf index alone: 8 bytes. `index` is below 2^40."""
    return _LEAF_INDEX_HEAD + uint(index, 5, "leaf_index")


def parse_leaf_index(extensions: bytes) -> int | None:
    """The leaf index in the inside of a CtExtensions, or None where there is none.

    Extensions of other types are allowed, in any order. Raises MalformedError when `extensions` is no list of
    extensions, when a type is there twice, or when the leaf index has other than 5 bytes.
    """
    reader = Reader(extensions, "extensions")
    index = None
    seen = set()
    while reader.left:
        at = reader.offset
        kind = reader.uint(1)
        if kind in seen:
            reader.fail(f"extension type {kind} is there twice", at)
        seen.add(kind)
        if kind == LEAF_INDEX:
            index = int.from_bytes(reader.vector(2, 5, 5), "big")
        else:
            reader.vector(2)
    return index


# Data tiles ---------------------------------------------------------------------------------------------------------


def format_tile_leaf(leaf: TileLeaf) -> bytes:
    """One entry as it stands in a data tile. Raises MalformedError for a value that cannot stand there."""
    fingerprints = b"".join(leaf.chain)
    if len(fingerprints) != HASH_SIZE * len(leaf.chain) or len(leaf.chain) > _MAX_FINGERPRINTS:
        raise MalformedError("data-tile: fingerprints have 32 bytes, and at most 2047 fit", field=_FIELD)
    is_precert = leaf.entry.type == EntryType.PRECERT
    if leaf.pre_certificate and not is_precert:
        raise MalformedError("data-tile: a final certificate's entry has no precertificate", field=_FIELD)
    return b"".join(
        (
            format_timestamped_entry(leaf.timestamped),
            vector(leaf.pre_certificate, 3, 1, _FIELD) if is_precert else b"",
            len(fingerprints).to_bytes(2, "big"),
            fingerprints,
        )
    )


def parse_data_tile(data: bytes) -> list[TileLeaf]:
    """The entries of a data tile, full or partial.

    How many there are is for the caller to compare with the tile's width; more than 256 are refused, as is everything
    that `format_tile_leaf` would not write. Raises MalformedError.
    """
    spans = _walk(data)
    if spans is None:
        return _read_data_tile(data)
    return [_cut(data, span) for span in spans]


def merkle_tree_leaves(data: bytes) -> list[bytes]:
    """The MerkleTreeLeaf of each entry of a data tile, ready to be hashed. Raises MalformedError."""
    return leaves_and_chains(data)[0]


def leaves_and_chains(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """The MerkleTreeLeaf of each entry of a data tile, ready to be hashed, and the fingerprints of its chain, joined.

    Takes and refuses exactly what `parse_data_tile` does, at a tenth of the time: a follower does this to every byte
    of a log. Raises MalformedError.
    """
    cut = _cut_fast(data) if _cut_fast is not None else None
    if cut is not None:
        return cut
    spans = _walk(data)
    if spans is None:
        entries = _read_data_tile(data)
        leaves = [format_merkle_tree_leaf(entry.timestamped) for entry in entries]
        return leaves, [b"".join(entry.chain) for entry in entries]
    return (
        [b"\x00\x00" + data[start:leaf_end] for start, _, _, leaf_end, _, _ in spans],
        [data[chain:stop] for _, _, _, _, chain, stop in spans],
    )


class DataTile:
    """A data tile cut up into columns, for whoever checks all of it and seldom needs an entry as a value.

    leaves: the MerkleTreeLeaf of each entry. submitted: the certificate or precertificate as submitted. chains: the
    fingerprints of its issuers in one piece. Takes and refuses exactly what `parse_data_tile` does: MalformedError.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._entries: list[TileLeaf] | None = None
        cut = _columns_fast(data) if _columns_fast is not None else None
        if cut is not None:
            self.leaves, self.chains, self.submitted = cut
            return
        self._entries = found = parse_data_tile(data)
        self.leaves = [format_merkle_tree_leaf(leaf.timestamped) for leaf in found]
        self.submitted = [leaf.pre_certificate or leaf.entry.certificate for leaf in found]
        self.chains = [b"".join(leaf.chain) for leaf in found]

    def __len__(self) -> int:
        return len(self.leaves)

    def first(self, width: int) -> DataTile:
        """The same without the entries from `width` on."""
        made = copy(self)
        made.leaves, made.submitted, made.chains = self.leaves[:width], self.submitted[:width], self.chains[:width]
        return made

    def entry(self, place: int) -> TileLeaf:
        """One entry, as `parse_data_tile` gives it."""
        if self._entries is None:
            self._entries = parse_data_tile(self._data)
        return self._entries[place]


def _read_data_tile(data: bytes) -> list[TileLeaf]:
    """The reading that decides: `_walk` is only ever a faster way to the same answer."""
    reader = Reader(data, _FIELD)
    leaves: list[TileLeaf] = []
    while reader.left:
        if len(leaves) == TILE_WIDTH:
            reader.fail("more than 256 entries")
        leaves.append(_read_tile_leaf(reader))
    return leaves


def _read_tile_leaf(reader: Reader) -> TileLeaf:
    timestamped = read_timestamped_entry(reader)
    pre_certificate = reader.vector(3, 1) if timestamped.entry.type == EntryType.PRECERT else b""
    at = reader.offset
    fingerprints = reader.vector(2)
    if len(fingerprints) % HASH_SIZE:
        reader.fail("a chain that is no sequence of 32-byte fingerprints", at)
    return TileLeaf(*timestamped, pre_certificate, _fingerprints(fingerprints))


def _fingerprints(joined: bytes) -> tuple[bytes, ...]:
    return tuple([joined[i : i + HASH_SIZE] for i in range(0, len(joined), HASH_SIZE)])


# Lengths stand in 24 bits, read as 8 and 16. Extensions have 8 bytes in every log of this kind, and so the lengths
# before and behind them can be read at once.
_X509_HEAD = struct.Struct(">8xHBH")  # timestamp; entry type, length of the certificate
_PRECERT_HEAD = struct.Struct(">8xH32xBH")  # timestamp; entry type, issuer key hash, length of the TBSCertificate
_X509_TAIL = struct.Struct(">H8xH")  # length of the extensions, these, length of the chain
_PRECERT_TAIL = struct.Struct(">H8xBH")  # length of the extensions, these, length of the precertificate
_U16 = struct.Struct(">H")

_Span = tuple[int, int, int, int, int, int]
"""Offsets: entry, certificate, behind the certificate, behind the extensions, fingerprints, behind them."""


def _walk(data: bytes) -> list[_Span] | None:
    """Where the parts of each entry lie, or None where the slow reading has to say what this is."""
    spans = []
    at, end = 0, len(data)
    try:
        while at < end:
            if data[at + 9]:
                kind, high, low = _PRECERT_HEAD.unpack_from(data, at)
                body = at + 45
                behind = body + (high << 16 | low)
                extensions, high, low = _PRECERT_TAIL.unpack_from(data, behind)
                leaf_end = behind + 10
                chain = leaf_end + 5 + (high << 16 | low)
                (length,) = _U16.unpack_from(data, chain - 2)
                if kind != 1 or chain == leaf_end + 5:
                    return None
            else:
                kind, high, low = _X509_HEAD.unpack_from(data, at)
                body = at + 13
                behind = body + (high << 16 | low)
                extensions, length = _X509_TAIL.unpack_from(data, behind)
                leaf_end = behind + 10
                chain = leaf_end + 2
                if kind:
                    return None
            if extensions != 8 or body == behind or length & 31:
                return None
            start, at = at, chain + length
            spans.append((start, body, behind, leaf_end, chain, at))
    except (struct.error, IndexError):
        return None
    return spans if at == end and len(spans) <= TILE_WIDTH else None


def _cut(data: bytes, span: _Span) -> TileLeaf:
    at, body, behind, leaf_end, chain, stop = span
    certificate = data[body:behind]
    if data[at + 9]:
        entry = SignedEntry(EntryType.PRECERT, certificate, data[at + 10 : at + 42])
        pre_certificate = data[leaf_end + 3 : chain - 2]
    else:
        entry = SignedEntry(EntryType.X509, certificate)
        pre_certificate = b""
    timestamp_ms = int.from_bytes(data[at : at + 8], "big")
    return TileLeaf(
        timestamp_ms, entry, data[behind + 2 : leaf_end], pre_certificate, _fingerprints(data[chain:stop])
    )
