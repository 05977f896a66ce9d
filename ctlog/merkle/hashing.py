"""RFC 6962 section 2.1: leaf and node hashes and their batches, by the fastest kernel that this machine runs.

In scope: choosing between the C kernel (`kernel.c`) and its specification (`reference.py`), and saying which runs.
Out of scope: trees (`tree.py`). Cross once per batch: a call costs more than a hash.

    leaf_hash(data) -> 32 bytes               SHA-256(0x00 || data)
    node_hash(left, right) -> 32              SHA-256(0x01 || left || right)
    hash_leaves(datas) -> n x 32              leaf_hash of each of n bytes-like objects
    hash_records(records, width) -> n x 32    leaf_hash of each `width` bytes of one buffer
    hash_messages(datas) -> n x 32            plain SHA-256 of each, no prefix: fingerprints and keys
    hash_nodes(pairs) -> n x 32               node_hash of each 64 bytes
    hash_levels(hashes) -> [n//2 x 32, ...]   all perfect subtrees above n leaf hashes, level by level, up to one hash
    fold(hashes) -> 32                        the root of a perfect subtree of 2^k leaf hashes
    fold_many(hashes, width) -> n x 32        the roots of n perfect subtrees of `width` leaf hashes, side by side

The kernel reads the environment when it is imported: CTLOG_NO_AVX512, CTLOG_NO_AVX2, CTLOG_NO_SHANI and
CTLOG_NO_ARMV8, when set and not empty, switch one way of computing off; CTLOG_KERNEL names the one to prefer, if this
machine has it; CTLOG_NO_KERNEL switches the C kernel off.
"""

from __future__ import annotations

try:
    from ctlog.merkle._kernel import (
        IMPLEMENTATION,
        fold,
        fold_many,
        hash_leaves,
        hash_levels,
        hash_messages,
        hash_nodes,
        hash_records,
        leaf_hash,
        node_hash,
    )
except ImportError:
    from ctlog.merkle.reference import (
        IMPLEMENTATION,
        fold,
        fold_many,
        hash_leaves,
        hash_levels,
        hash_messages,
        hash_nodes,
        hash_records,
        leaf_hash,
        node_hash,
    )

__all__ = [
    "IMPLEMENTATION",
    "fold",
    "fold_many",
    "hash_leaves",
    "hash_levels",
    "hash_messages",
    "hash_nodes",
    "hash_records",
    "leaf_hash",
    "node_hash",
]
