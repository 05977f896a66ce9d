"""Proofs of RFC 6962 section 2.1: inclusion of a leaf or of a run of leaves, and consistency of two trees.

Plan, fetch, finish: `plan_*` says which perfect subtrees each hash of the proof folds; the caller brings whoever knows
their hashes (`Authentic`, such as `AuthenticTiles`); `build` folds. `verify_*` takes every number and every hash that
the proof is about, and raises ProofError; it returns nothing, and the proof never says how it is to be checked.

Out of scope: signatures over roots, where hashes lie, leaf hashing.

What a verifier cannot do: a root does not name its size, and trees of neighbouring sizes have proofs of the same shape.
Size and root must therefore come from one signed head; both are then bound, here by shape and there by the signature.

Section 2.1.1 orders an audit path from the leaf to the root. A proof of the leaves [lo, hi) keeps that order: it lists
the largest subtrees outside [lo, hi), the deeper before the nearer to the root, and where both halves of a subtree
hold leaves of the range, those of the left half first. A run of width 1 gives exactly the audit path of the RFC.

    RANGE(lo, hi, D[n]) = {}                                         when [lo, hi) is all of D[n]
                        = RANGE(lo, hi, left) : MTH(right)           when it lies in the left half
                        = RANGE(lo - k, hi - k, right) : MTH(left)   when it lies in the right half
                        = RANGE(lo, k, left) : RANGE(0, hi - k, right)   otherwise
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ctlog.errors import ProofError, UsageError
from ctlog.merkle.hashing import node_hash
from ctlog.merkle.tree import EMPTY_ROOT, HASH_SIZE, MAX_SIZE, CompactRange, Node, fold_right, perfect_nodes


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch for a proof: one group of perfect nodes for each of its hashes, in the proof's order.

    A group of several nodes (only at the right edge of a tree whose size is no power of two) is folded from the right.
    """

    groups: tuple[tuple[Node, ...], ...]

    @property
    def nodes(self) -> list[Node]:
        """All nodes of all groups."""
        return [node for group in self.groups for node in group]


class Authentic(Protocol):
    """Whoever can give hashes that need no further check."""

    def hash(self, node: Node) -> bytes:
        """The hash of this perfect subtree, 32 bytes."""
        ...


def plan_inclusion(index: int, size: int) -> Plan:
    """The audit path PATH(index, D[size]) of RFC 6962 section 2.1.1. Raises UsageError unless 0 <= index < size."""
    return plan_range(index, index + 1, size)


def plan_range(lo: int, hi: int, size: int) -> Plan:
    """The proof of the leaves [lo, hi) in a tree of `size`. Raises UsageError unless 0 <= lo < hi <= size."""
    if not 0 <= lo < hi <= size <= MAX_SIZE:
        raise UsageError(f"there is no run of leaves [{lo}, {hi}) in a tree of {size}")
    return _plan(list(_outside(lo, hi, 0, size)))


def plan_consistency(old_size: int, new_size: int) -> Plan:
    """The proof PROOF(old_size, D[new_size]) of RFC 6962 section 2.1.2; empty when `old_size` is 0 or `new_size`.

    Raises UsageError unless 0 <= old_size <= new_size.
    """
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise UsageError(f"a tree of {new_size} does not continue one of {old_size}")
    if old_size in (0, new_size):
        return Plan(())
    # SUBPROOF walks to the last perfect subtree of the old tree; that subtree itself is the first hash, unless it is
    # the whole old tree, which the verifier knows.
    last = perfect_nodes(0, old_size)[-1]
    first = [] if last.lo == 0 else [(last.lo, last.hi)]
    return _plan([*first, *_outside(last.lo, last.hi, 0, new_size)])


def plan_consistency_path(old_size: int, new_size: int) -> Plan:
    """The same with the old tree's last perfect subtree always first, for `fold_consistency`.

    Raises UsageError unless 0 < old_size < new_size.
    """
    if not 0 < old_size < new_size:
        raise UsageError(f"there is no consistency path from {old_size} to {new_size}")
    whole = [(0, old_size)] if old_size & (old_size - 1) == 0 else []
    return Plan((*_plan(whole).groups, *plan_consistency(old_size, new_size).groups))


def build(plan: Plan, authentic: Authentic) -> list[bytes]:
    """The hashes of the proof, 32 bytes each."""
    return [fold_right([authentic.hash(node) for node in group]) for group in plan.groups]


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises ProofError unless the leaf with this hash is leaf `index` of the tree of `size` leaves with this root.

    The walk of RFC 9162 section 2.1.3.2, which fixes the length of the proof exactly.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    _check_hashes([leaf_hash], "the leaf hash")
    _check_hashes([root], "the root")
    _check_hashes(proof, "the proof")
    turns = list(_turns(index, size - 1))
    if len(proof) != len(turns):
        raise ProofError(f"the proof of leaf {index} in a tree of {size} has {len(proof)} hashes, not {len(turns)}")
    value = leaf_hash
    for sibling, on_left in zip(proof, turns, strict=True):
        value = node_hash(sibling, value) if on_left else node_hash(value, sibling)
    if value != root:
        raise ProofError(f"the proof of leaf {index} does not lead to the root of the tree of {size}")


def verify_range(lo: int, hi: int, size: int, leaf_hashes: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises ProofError unless these are the hashes of the leaves [lo, hi) of the tree of `size` with this root.

    `leaf_hashes` holds (hi - lo) * 32 bytes, in order; the range is not empty.
    """
    if not 0 <= lo < hi <= size <= MAX_SIZE:
        raise ProofError(f"there is no run of leaves [{lo}, {hi}) in a tree of {size}")
    if len(leaf_hashes) != (hi - lo) * HASH_SIZE:
        raise ProofError(f"{hi - lo} leaves have {(hi - lo) * HASH_SIZE} bytes of hashes, not {len(leaf_hashes)}")
    _check_hashes([root], "the root")
    _check_hashes(proof, "the proof")
    spans = list(_outside(lo, hi, 0, size))
    if len(proof) != len(spans):
        raise ProofError(f"the proof of [{lo}, {hi}) in a tree of {size} has {len(proof)} hashes, not {len(spans)}")
    outside = dict(zip(spans, proof, strict=True))
    inside = dict(zip(perfect_nodes(lo, hi), CompactRange.from_leaves(lo, leaf_hashes).hashes, strict=True))

    def subtree(start: int, stop: int) -> bytes:
        if lo <= start and stop <= hi:
            return fold_right([inside[node] for node in perfect_nodes(start, stop)])
        if (start, stop) in outside:
            return outside[start, stop]
        middle = _middle(start, stop)
        return node_hash(subtree(start, middle), subtree(middle, stop))

    if subtree(0, size) != root:
        raise ProofError(f"the proof of leaves [{lo}, {hi}) does not lead to the root of the tree of {size}")


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises ProofError unless the tree of `new_size` with `new_root` continues the one of `old_size` with `old_root`.

    Equal sizes need an empty proof and equal roots. `old_size` 0 with a larger tree is refused: every tree continues
    the empty one, so there is nothing that a proof could show, and a caller who asks has lost its old head.
    The walk of RFC 9162 section 2.1.4.2.
    """
    _check_hashes([old_root, new_root], "the roots")
    _check_hashes(proof, "the proof")
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ProofError(f"a tree of {new_size} does not continue one of {old_size}")
    if old_size == new_size:
        _check_same_tree(old_size, old_root, new_root, proof)
        return
    if old_size == 0:
        raise ProofError("consistency with an empty tree shows nothing: keep the first head that was verified")
    is_perfect = old_size & (old_size - 1) == 0  # then the old root is the first hash, and the proof leaves it out
    old, new = fold_consistency(old_size, new_size, [old_root, *proof] if is_perfect else proof)
    if old != old_root:
        raise ProofError(f"the consistency proof does not lead to the old root, of the tree of {old_size}")
    if new != new_root:
        raise ProofError(f"the consistency proof does not lead to the new root, of the tree of {new_size}")


def fold_consistency(old_size: int, new_size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of both trees to which a consistency proof leads; 0 < old_size < new_size.

    `path` begins with the hash of the old tree's last perfect subtree, also where the proof leaves it out because it is
    the whole old tree. A path that leads to a signed new root and to another old root than the signed one shows that
    the log has rewritten its past. Raises ProofError when sizes or lengths are wrong.
    """
    if not 0 < old_size < new_size <= MAX_SIZE:
        raise ProofError(f"there is no consistency path from {old_size} to {new_size}")
    _check_hashes(path, "the proof")
    depth = (old_size & -old_size).bit_length() - 1  # the level of that subtree
    turns = list(_turns((old_size - 1) >> depth, (new_size - 1) >> depth))
    if len(path) != 1 + len(turns):
        raise ProofError(
            f"the consistency proof from {old_size} to {new_size} has {abs(len(path) - 1 - len(turns))} hashes too "
            + ("many" if len(path) > 1 + len(turns) else "few")
        )
    old = new = path[0]
    for sibling, on_left in zip(path[1:], turns, strict=True):
        old = node_hash(sibling, old) if on_left else old
        new = node_hash(sibling, new) if on_left else node_hash(new, sibling)
    return old, new


def _turns(place: int, last: int) -> Iterator[bool]:
    """The way from node `place` of a level whose last node is `last` up to the root: one item for each sibling on it.

    True: the sibling stands on the left. A last node without a sibling rises to where it has one (RFC 9162 section
    2.1.3.2, step 4.2.2).
    """
    while last:
        on_left = bool(place & 1) or place == last
        yield on_left
        shift = (place & -place).bit_length() if on_left else 1
        place, last = place >> shift, last >> shift


def _outside(lo: int, hi: int, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """RANGE of the module's docstring: the largest subtrees of [start, stop) without a leaf of [lo, hi), as spans."""
    if lo <= start and stop <= hi:
        return
    middle = _middle(start, stop)
    if hi <= middle:
        yield from _outside(lo, hi, start, middle)
        yield (middle, stop)
    elif lo >= middle:
        yield from _outside(lo, hi, middle, stop)
        yield (start, middle)
    else:
        yield from _outside(lo, middle, start, middle)
        yield from _outside(middle, hi, middle, stop)


def _middle(start: int, stop: int) -> int:
    """Where RFC 6962 section 2.1 splits a tree: at the largest power of two smaller than its size."""
    return start + (1 << (stop - start - 1).bit_length() - 1)


def _plan(spans: list[tuple[int, int]]) -> Plan:
    return Plan(tuple(tuple(perfect_nodes(lo, hi)) for lo, hi in spans))


def _check_same_tree(size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError(f"two heads of one size, {size}, need no proof, and {len(proof)} hashes were given")
    if old_root != new_root:
        raise ProofError(f"two heads of one size, {size}, have different roots")
    if size == 0 and new_root != EMPTY_ROOT:
        raise ProofError("the root of the empty tree is SHA-256 of nothing, not this")


def _check_hashes(hashes: Sequence[bytes], what: str) -> None:
    for value in hashes:
        if len(value) != HASH_SIZE:
            raise ProofError(f"{what} must be made of hashes of 32 bytes, not {len(value)}")
