"""RFC 6962 section 2.1 in readable Python: the specification of `kernel.c`, and what runs where there is no compiler.

In scope: the hashes of leaves and nodes, one at a time and in batches; perfect subtrees. Out of scope: trees of any
other shape (`tree.py`). Every function takes any contiguous bytes-like object and gives `bytes`; a hash is 32 bytes,
and hashes lie one after the other with nothing between. What is no bytes-like object raises TypeError, a view with
gaps BufferError, a length that is not a whole number of what was asked for ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

BytesLike = bytes | bytearray | memoryview

IMPLEMENTATION = "reference"


def leaf_hash(data: BytesLike, /) -> bytes:
    """MTH({d(0)}) = SHA-256(0x00 || d(0))."""
    return sha256(b"\x00" + _bytes(data)).digest()


def node_hash(left: BytesLike, right: BytesLike, /) -> bytes:
    """SHA-256(0x01 || left || right), both 32 bytes."""
    left, right = _bytes(left), _bytes(right)
    if len(left) != 32 or len(right) != 32:
        raise ValueError(f"a node has two hashes of 32 bytes, not of {len(left)} and {len(right)}")
    return sha256(b"\x01" + left + right).digest()


def hash_leaves(datas: Iterable[BytesLike], /) -> bytes:
    """n entries -> n x 32: `leaf_hash` of each."""
    return b"".join([leaf_hash(data) for data in datas])


def hash_records(records: BytesLike, width: int, /) -> bytes:
    """n x width -> n x 32: `leaf_hash` of each `width` bytes (1 or more) of one buffer."""
    if width < 1:
        raise ValueError(f"a record has 1 byte or more, not {width}")
    whole = _whole(records, width)
    return b"".join([leaf_hash(whole[at : at + width]) for at in range(0, len(whole), width)])


def hash_messages(datas: Iterable[BytesLike], /) -> bytes:
    """n messages -> n x 32: plain SHA-256 of each, no prefix. Fingerprints and keys; never a leaf or a node."""
    return b"".join([sha256(_bytes(data)).digest() for data in datas])


def hash_nodes(pairs: BytesLike, /) -> bytes:
    """n x 64 -> n x 32: SHA-256(0x01 || left || right) of each pair."""
    whole = _whole(pairs, 64)
    return b"".join([sha256(b"\x01" + whole[at : at + 64]).digest() for at in range(0, len(whole), 64)])


def hash_levels(hashes: BytesLike, /) -> list[bytes]:
    """n x 32 -> [n//2 x 32, n//4 x 32, ..., 1 x 32]: every perfect subtree above n leaf hashes, level by level.

    An odd last hash has no parent here: it belongs to the tree's ragged right edge. n = 0 or 1 gives [].
    """
    levels = []
    level = _whole(hashes, 32)
    while len(level) >= 64:
        level = hash_nodes(level[: len(level) // 64 * 64])
        levels.append(level)
    return levels


def fold(hashes: BytesLike, /) -> bytes:
    """2^k x 32 -> 32: the root of one perfect subtree."""
    whole = _whole(hashes, 32)
    return fold_many(whole, len(whole) // 32)


def fold_many(hashes: BytesLike, width: int, /) -> bytes:
    """n x width x 32 -> n x 32: the roots of n perfect subtrees of `width` = 2^k leaves each, side by side."""
    if width < 1 or width & (width - 1):
        raise ValueError(f"a perfect subtree has 1, 2, 4, 8, ... leaves, not {width}")
    level = _whole(hashes, 32 * width)
    while width > 1:
        level, width = hash_nodes(level), width // 2
    return level


def _bytes(data: BytesLike) -> bytes:
    """Any contiguous bytes-like object as bytes."""
    if isinstance(data, bytes):
        return data
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("the bytes do not lie one after the other: copy them first")
    return view.tobytes()


def _whole(data: BytesLike, unit: int) -> bytes:
    """The bytes of `data`, which must be a whole number of `unit` bytes."""
    whole = _bytes(data)
    if len(whole) % unit:
        raise ValueError(f"{len(whole)} bytes are not a multiple of {unit}")
    return whole
