"""The Merkle tree of RFC 6962 section 2.1: its shape, its roots, and compact ranges that grow and join.

In scope: which perfect subtrees tile a range of leaves; the hashes of those subtrees for any range (`CompactRange`)
and for a whole tree (`Frontier`); roots. Out of scope: how leaves are made, where hashes are stored, proofs.

A *perfect* subtree holds 2^level leaves and starts at a multiple of 2^level, so it never changes once it is full. A
compact range (the Certificate Transparency name of Crosby and Wallach's frozen hashes) keeps only the hashes of the
fewest perfect subtrees that tile it, at most 2 log2(n) of them, and yet it can be appended to, joined to its
neighbour, and, when it begins at 0, asked for the root.

All hashes are SHA-256 and 32 bytes long; several of them travel as one `bytes` of n * 32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

from ctlog.errors import UsageError
from ctlog.merkle.hashing import hash_nodes, node_hash

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()  # RFC 6962 section 2.1: "The hash of an empty list is the hash of an empty string"
MAX_SIZE = 2**63 - 1  # no log comes near; keeps every size and index inside what SQLite and JSON readers can hold


class TreeHead(NamedTuple):
    """How many leaves a tree has, and the root hash over them (32 bytes)."""

    size: int
    root: bytes


class Node(NamedTuple):
    """The perfect subtree over the leaves [index << level, (index + 1) << level); level 0 is a leaf."""

    level: int
    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it

    @property
    def lo(self) -> int:
        """Its first leaf."""
        return self.index << self.level

    @property
    def hi(self) -> int:
        """The leaf after its last."""
        return (self.index + 1) << self.level


def perfect_nodes(lo: int, hi: int) -> list[Node]:
    """The fewest perfect nodes that tile the leaves [lo, hi), left to right: at most 2 log2(hi - lo) of them."""
    _check_range(lo, hi)
    nodes = []
    while lo < hi:
        room = (hi - lo).bit_length() - 1  # the largest power of two that fits
        level = min(room, (lo & -lo).bit_length() - 1) if lo else room  # ... and begins at `lo`
        nodes.append(Node(level, lo >> level))
        lo += 1 << level
    return nodes


def fold_right(hashes: Sequence[bytes]) -> bytes:
    """The root over neighbouring subtrees of falling size: H(h0, H(h1, ... H(hk-1, hk))); `hashes` is not empty.

    This is how RFC 6962 section 2.1 closes a tree whose size is no power of two. Each step needs the one before.
    """
    root = hashes[-1]
    for left in hashes[-2::-1]:
        root = node_hash(left, root)
    return root


@dataclass(frozen=True, slots=True)
class CompactRange:
    """The leaves [lo, hi) as the hashes of `perfect_nodes(lo, hi)`, in order. Raises UsageError if they do not fit."""

    lo: int
    hi: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        _check_hashes(self.hashes, len(perfect_nodes(self.lo, self.hi)))

    @classmethod
    def from_leaves(cls, lo: int, leaf_hashes: bytes) -> CompactRange:
        """The range that begins at leaf `lo` and holds these leaf hashes (n * 32 bytes). One batch per level."""
        if len(leaf_hashes) % HASH_SIZE:
            raise UsageError(f"leaf hashes come as a multiple of 32 bytes, not {len(leaf_hashes)}")
        count = len(leaf_hashes) // HASH_SIZE
        _check_range(lo, lo + count)
        left, right = [], []
        first, hashes = lo, leaf_hashes  # at each level: the index of the first node not yet placed, and the rest
        while hashes:
            if first & 1:  # a right child whose sibling is outside
                left.append(bytes(hashes[:HASH_SIZE]))
                hashes, first = hashes[HASH_SIZE:], first + 1
            if len(hashes) // HASH_SIZE & 1:  # a left child whose sibling is outside
                right.append(bytes(hashes[-HASH_SIZE:]))
                hashes = hashes[:-HASH_SIZE]
            hashes, first = hash_nodes(hashes) if hashes else b"", first >> 1
        return cls(lo, lo + count, (*left, *reversed(right)))

    def merge(self, other: CompactRange) -> CompactRange:
        """This range and the one that begins where it ends, as one. Raises UsageError if they do not meet."""
        return merge_ranges((self, other))


def merge_ranges(ranges: Iterable[CompactRange]) -> CompactRange:
    """Neighbouring ranges, left to right, as one: spans hashed apart become one tree. One batch per level.

    Raises UsageError when there are none, or when one does not begin where the one before ends.
    """
    parts = list(ranges)
    if not parts:
        raise UsageError("there must be at least one range to merge")
    known: dict[int, list[tuple[int, bytes]]] = {}  # level -> (index, hash), left to right within each range
    for before, part in pairwise(parts):
        if before.hi != part.lo:
            raise UsageError(f"the range [{part.lo}, {part.hi}) does not begin where [{before.lo}, {before.hi}) ends")
    for part in parts:
        for node, value in zip(perfect_nodes(part.lo, part.hi), part.hashes, strict=True):
            known.setdefault(node.level, []).append((node.index, value))
    lo, hi = parts[0].lo, parts[-1].hi
    kept: dict[Node, bytes] = {}
    level = 0
    while any(above >= level for above in known):
        row = sorted(known.get(level, []))
        kept.update((Node(level, index), value) for index, value in row)
        pairs = [(left, right) for left, right in pairwise(row) if not left[0] & 1 and left[0] + 1 == right[0]]
        if pairs:
            parents = hash_nodes(b"".join(left[1] + right[1] for left, right in pairs))
            known.setdefault(level + 1, []).extend(
                (left[0] >> 1, parents[at * HASH_SIZE : (at + 1) * HASH_SIZE]) for at, (left, _) in enumerate(pairs)
            )
        level += 1
    return CompactRange(lo, hi, tuple(kept[node] for node in perfect_nodes(lo, hi)))


@dataclass(frozen=True, slots=True)
class Frontier:
    """A whole tree as a compact range that begins at 0: all that is needed to append to it and to know its root.

    `hashes` are those of `perfect_nodes(0, size)`, widest first. `Frontier()` is the empty tree.
    Raises UsageError when the hashes do not fit the size.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        _check_range(0, self.size)
        _check_hashes(self.hashes, self.size.bit_count())

    def append(self, leaf_hashes: bytes) -> Frontier:
        """The tree after these leaves (n * 32 bytes) were added on the right."""
        return self.extend(CompactRange.from_leaves(self.size, leaf_hashes))

    def extend(self, following: CompactRange) -> Frontier:
        """The tree after a range that begins at `size` was joined to it. Raises UsageError if it begins elsewhere."""
        whole = self.as_range().merge(following)
        return Frontier(whole.hi, whole.hashes)

    def as_range(self) -> CompactRange:
        """The same hashes as the range [0, size)."""
        return CompactRange(0, self.size, self.hashes)

    def root(self) -> bytes:
        """The root hash, RFC 6962 section 2.1."""
        return fold_right(self.hashes) if self.hashes else EMPTY_ROOT

    def head(self) -> TreeHead:
        """Size and root."""
        return TreeHead(self.size, self.root())


def _check_range(lo: int, hi: int) -> None:
    if not 0 <= lo <= hi <= MAX_SIZE:
        raise UsageError(f"[{lo}, {hi}) is no range of leaves")


def _check_hashes(hashes: tuple[bytes, ...], count: int) -> None:
    if len(hashes) != count or any(len(value) != HASH_SIZE for value in hashes):
        raise UsageError(f"this range needs {count} hashes of 32 bytes, not {[len(value) for value in hashes]}")
