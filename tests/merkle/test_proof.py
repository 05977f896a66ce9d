"""ctlog.merkle.proof: plans and proofs against RFC 6962 word for word, and every wrong proof refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import ProofError, UsageError
from ctlog.merkle.proof import (
    Plan,
    build,
    fold_consistency,
    plan_consistency,
    plan_consistency_path,
    plan_inclusion,
    plan_range,
    verify_consistency,
    verify_inclusion,
    verify_range,
)
from ctlog.merkle.tree import EMPTY_ROOT, Node
from tests.rfc6962_tree import MTH, PATH, PROOF, RANGE, leaves

LEAVES = leaves(301)
HASHES = [MTH((leaf,)) for leaf in LEAVES]
ROOTS = [MTH(LEAVES[:size]) for size in range(301)]
VECTORS = Path(__file__).parents[1] / "vectors" / "merkle"


class Truth:
    """Hashes of perfect nodes, straight from the RFC's definition."""

    def hash(self, node: Node) -> bytes:
        assert node.hi <= len(LEAVES)
        return MTH(LEAVES[node.lo : node.hi])


def inclusion(index: int, size: int) -> list[bytes]:
    return build(plan_inclusion(index, size), Truth())


def consistency(old: int, new: int) -> list[bytes]:
    return build(plan_consistency(old, new), Truth())


def run(lo: int, hi: int, size: int) -> list[bytes]:
    return build(plan_range(lo, hi, size), Truth())


def hashes(lo: int, hi: int) -> bytes:
    return b"".join(HASHES[lo:hi])


def flips(proof: list[bytes]):
    """The proof with each of its bits flipped in turn."""
    for at, value in enumerate(proof):
        for bit in range(256):
            flipped = (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(32, "big")
            yield [*proof[:at], flipped, *proof[at + 1 :]]


@pytest.mark.parametrize("decade", range(31))
def test_inclusion_at_every_size_and_index(decade):
    for size in range(10 * decade, min(10 * decade + 10, 301)):
        for index in range(size):
            proof = inclusion(index, size)
            assert proof == PATH(index, LEAVES[:size])
            verify_inclusion(index, size, HASHES[index], proof, ROOTS[size])


@pytest.mark.parametrize("decade", range(31))
def test_consistency_at_every_two_sizes(decade):
    for new in range(10 * decade, min(10 * decade + 10, 301)):
        for old in range(1, new + 1):
            proof = consistency(old, new)
            assert proof == PROOF(old, LEAVES[:new])
            verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)


def test_every_run_of_leaves_of_every_small_size_and_some_of_large():
    spans = [(lo, hi, size) for size in range(28) for hi in range(size + 1) for lo in range(hi)]
    spans += [(lo, hi, 300) for lo in range(0, 300, 17) for hi in range(lo + 1, 301, 19)]
    for lo, hi, size in spans:
        proof = run(lo, hi, size)
        assert proof == RANGE(lo, hi, LEAVES[:size])
        verify_range(lo, hi, size, hashes(lo, hi), proof, ROOTS[size])


def test_a_run_of_one_leaf_is_an_inclusion():
    for size in (1, 2, 7, 8, 100, 257):
        for index in range(size):
            assert plan_range(index, index + 1, size) == plan_inclusion(index, size)
            verify_range(index, index + 1, size, HASHES[index], PATH(index, LEAVES[:size]), ROOTS[size])


@pytest.mark.parametrize("size", [2, 3, 6, 11, 64, 129, 257])
def test_other_peoples_verifier_accepts_ours_and_we_theirs(size):
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in LEAVES[:size]:
        other.append_entry(leaf)
    for index in {0, 1, size // 2, size - 1}:
        theirs = other.prove_inclusion(index + 1, size)
        path = [bytes.fromhex(value) for value in theirs.serialize()["path"]]
        # Theirs begins with the leaf itself and mixes in the order of folding; the siblings are the same.
        assert sorted(inclusion(index, size)) == sorted(path[1:])
        pymerkle.verify_inclusion(HASHES[index], ROOTS[size], theirs)


@pytest.mark.parametrize(("index", "size"), [(0, 2), (2, 3), (4, 7), (0, 33), (32, 33), (77, 100), (255, 256)])
def test_inclusion_with_any_bit_flipped_is_refused(index, size):
    proof = inclusion(index, size)
    for wrong in flips(proof):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, HASHES[index], wrong, ROOTS[size])
    for leaf, root in [(next(flips([HASHES[index]]))[0], ROOTS[size]), (HASHES[index], next(flips([ROOTS[size]]))[0])]:
        with pytest.raises(ProofError, match="does not lead"):
            verify_inclusion(index, size, leaf, proof, root)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 3), (3, 4), (6, 8), (7, 11), (64, 100), (100, 128), (255, 257)])
def test_consistency_with_any_bit_flipped_is_refused(old, new):
    proof = consistency(old, new)
    for wrong in flips(proof):
        with pytest.raises(ProofError):
            verify_consistency(old, new, ROOTS[old], ROOTS[new], wrong)
    for wrong in flips([ROOTS[old]]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, wrong[0], ROOTS[new], proof)
    for wrong in flips([ROOTS[new]]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, ROOTS[old], wrong[0], proof)


@pytest.mark.parametrize(("lo", "hi", "size"), [(1, 3, 7), (3, 6, 7), (5, 20, 33), (99, 100, 100), (0, 64, 100)])
def test_a_run_with_any_bit_flipped_is_refused(lo, hi, size):
    proof = run(lo, hi, size)
    for wrong in flips(proof):
        with pytest.raises(ProofError):
            verify_range(lo, hi, size, hashes(lo, hi), wrong, ROOTS[size])
    for wrong in flips(HASHES[lo:hi][-2:]):
        with pytest.raises(ProofError):
            verify_range(lo, hi, size, hashes(lo, max(lo, hi - 2)) + b"".join(wrong), proof, ROOTS[size])


@given(st.data())
def test_inclusion_binds_index_and_size(data):
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    other_size = data.draw(st.integers(-1, 300))
    other_index = data.draw(st.integers(-1, 300))
    proof = inclusion(index, size)
    if other_index != index:
        with pytest.raises(ProofError):
            verify_inclusion(other_index, size, HASHES[index], proof, ROOTS[size])
    if other_size != size:
        with pytest.raises(ProofError):
            verify_inclusion(index, other_size, HASHES[index], proof, ROOTS[max(other_size, 0)])


def test_a_proof_for_another_size_of_the_same_shape_is_refused_by_its_root():
    # Leaf 0 has equally long paths in trees of 5 to 8: only the root tells them apart, so it must be compared.
    for other in (5, 6, 7):
        with pytest.raises(ProofError, match="does not lead"):
            verify_inclusion(0, other, HASHES[0], inclusion(0, 8), ROOTS[other])


@given(st.data())
def test_consistency_binds_both_sizes(data):
    new = data.draw(st.integers(2, 300))
    old = data.draw(st.integers(1, new - 1))
    other = data.draw(st.integers(0, 300).filter(lambda n: n not in (old, new)))
    proof = consistency(old, new)
    with pytest.raises(ProofError):
        verify_consistency(other, new, ROOTS[other], ROOTS[new], proof)
    with pytest.raises(ProofError):
        verify_consistency(old, other, ROOTS[old], ROOTS[other], proof)
    with pytest.raises(ProofError):
        verify_consistency(new, old, ROOTS[new], ROOTS[old], proof)


@given(st.data())
def test_a_proof_longer_shorter_or_in_another_order_is_refused(data):
    size = data.draw(st.integers(3, 300))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    for proof, verify in [
        (inclusion(index, size), lambda p: verify_inclusion(index, size, HASHES[index], p, ROOTS[size])),
        (consistency(old, size), lambda p: verify_consistency(old, size, ROOTS[old], ROOTS[size], p)),
        (run(old, size, size), lambda p: verify_range(old, size, size, hashes(old, size), p, ROOTS[size])),
    ]:
        wrong = [[*proof, ROOTS[size]], [ROOTS[size], *proof], [*proof, EMPTY_ROOT]]
        wrong += [proof[:-1], proof[1:]] if proof else []
        wrong += [proof[::-1]] if proof[::-1] != proof else []
        wrong += [[value[:31] for value in proof]] if proof else []
        for mutation in wrong:
            with pytest.raises(ProofError):
                verify(mutation)


@given(st.data())
def test_a_run_binds_its_ends_and_its_leaves(data):
    size = data.draw(st.integers(1, 120))
    hi = data.draw(st.integers(1, size))
    lo = data.draw(st.integers(0, hi - 1))
    proof = run(lo, hi, size)
    for wrong in [(lo - 1, hi), (lo + 1, hi), (lo, hi + 1), (lo, hi - 1), (lo + 1, hi + 1), (lo - 1, hi - 1), (hi, lo)]:
        with pytest.raises(ProofError):
            verify_range(*wrong, size, hashes(lo, hi), proof, ROOTS[size])
    if hi - lo > 1:
        with pytest.raises(ProofError):
            verify_range(lo, hi, size, hashes(lo + 1, hi) + HASHES[lo], proof, ROOTS[size])
    with pytest.raises(ProofError, match="bytes of hashes"):
        verify_range(lo, hi, size, hashes(lo, hi)[:-1], proof, ROOTS[size])


def test_an_empty_tree_proves_nothing_about_a_larger_one():
    with pytest.raises(ProofError, match="shows nothing"):
        verify_consistency(0, 1, EMPTY_ROOT, ROOTS[1], [])
    with pytest.raises(ProofError):
        verify_consistency(0, 8, EMPTY_ROOT, ROOTS[8], PROOF(4, LEAVES[:8]))
    assert plan_consistency(0, 5) == Plan(())
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    with pytest.raises(ProofError, match="empty tree"):
        verify_consistency(0, 0, ROOTS[1], ROOTS[1], [])


def test_equal_sizes_need_equal_roots_and_no_proof():
    for size in (1, 2, 7, 8):
        verify_consistency(size, size, ROOTS[size], ROOTS[size], [])
        with pytest.raises(ProofError, match="different roots"):
            verify_consistency(size, size, ROOTS[size], ROOTS[size + 1], [])
        with pytest.raises(ProofError, match="need no proof"):
            verify_consistency(size, size, ROOTS[size], ROOTS[size], [ROOTS[size]])


def test_hashes_of_another_length_are_refused():
    for leaf, proof, root in [
        (HASHES[0][:31], [HASHES[1]], ROOTS[2]),
        (HASHES[0], [HASHES[1] + b"\0"], ROOTS[2]),
        (HASHES[0], [HASHES[1]], ROOTS[2][:31]),
        (HASHES[0], [b""], ROOTS[2]),
    ]:
        with pytest.raises(ProofError, match="32 bytes"):
            verify_inclusion(0, 2, leaf, proof, root)
        with pytest.raises(ProofError, match="32 bytes"):
            verify_consistency(1, 2, leaf, root, proof)


def test_an_inner_node_does_not_pass_as_a_leaf():
    # A tree of two and the tree of four it could be mistaken for: the size fixes the length of the path.
    with pytest.raises(ProofError, match="has 1 hashes, not 2"):
        verify_inclusion(0, 4, MTH(LEAVES[:2]), [MTH(LEAVES[2:4])], ROOTS[4])


@pytest.mark.parametrize(
    ("plan", "numbers"),
    [
        (plan_inclusion, (0, 0)),
        (plan_inclusion, (5, 5)),
        (plan_inclusion, (-1, 5)),
        (plan_range, (3, 3, 5)),
        (plan_range, (2, 6, 5)),
        (plan_consistency, (6, 5)),
        (plan_consistency, (-1, 5)),
        (plan_inclusion, (0, 2**63)),
    ],
)
def test_there_is_no_plan_for_what_is_not_in_the_tree(plan, numbers):
    with pytest.raises(UsageError):
        plan(*numbers)


@given(st.integers(1, 2**63 - 1), st.data())
def test_plans_in_huge_trees_are_short_and_inside(size, data):
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert len(plan_inclusion(index, size).groups) <= (size - 1).bit_length()
    assert len(plan_consistency(old, size).groups) <= (size - 1).bit_length() + 1
    for plan in (plan_inclusion(index, size), plan_consistency(old, size)):
        assert all(node.hi <= size for node in plan.nodes)
        assert sum(len(group) > 1 for group in plan.groups) <= 1  # only the right edge is not perfect


numbers = st.one_of(st.integers(-2, 10), st.integers(-(2**70), 2**70))
blobs = st.lists(st.one_of(st.binary(max_size=40), st.binary(min_size=32, max_size=32)), max_size=5)


@given(st.data())
def test_a_consistency_path_leads_to_both_roots_even_when_the_past_was_rewritten(data):
    new = data.draw(st.integers(2, 200))
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    past = (*LEAVES[:changed], b"forged", *LEAVES[changed + 1 : new])

    class Forged:
        def hash(self, node: Node) -> bytes:
            return MTH(past[node.lo : node.hi])

    path = build(plan_consistency_path(old, new), Forged())
    assert fold_consistency(old, new, path) == (MTH(past[:old]), MTH(past))
    assert fold_consistency(old, new, build(plan_consistency_path(old, new), Truth())) == (ROOTS[old], ROOTS[new])
    for wrong in (path[1:], [*path, EMPTY_ROOT], []):
        with pytest.raises(ProofError, match=r"too (many|few)"):
            fold_consistency(old, new, wrong)
    for sizes in [(0, new), (new, new), (new, old)]:
        with pytest.raises(ProofError, match="no consistency path"):
            fold_consistency(*sizes, path)
        with pytest.raises(UsageError, match="no consistency path"):
            plan_consistency_path(*sizes)


@given(numbers, numbers, numbers, blobs, st.binary(max_size=100), st.binary(min_size=32, max_size=32))
def test_nothing_makes_a_verifier_raise_anything_else(a, b, c, proof, data, root):
    for call in [
        lambda: verify_inclusion(a, b, data, proof, root),
        lambda: verify_inclusion(a, b, root, proof, data),
        lambda: verify_range(a, b, c, data, proof, root),
        lambda: verify_consistency(a, b, root, root, proof),
        lambda: verify_consistency(a, b, data, root, proof),
    ]:
        with suppress(ProofError):
            call()


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_vectors(path):
    vector = json.loads(path.read_text())
    proof = [bytes.fromhex(value) for value in vector["proof"]]
    numbers, hexes = vector["numbers"], {name: bytes.fromhex(value) for name, value in vector["hashes"].items()}
    verify = {"inclusion": verify_inclusion, "consistency": verify_consistency, "range": verify_range}[vector["kind"]]
    if vector["valid"]:
        verify(**numbers, **hexes, proof=proof)
    else:
        with pytest.raises(ProofError):
            verify(**numbers, **hexes, proof=proof)


def test_there_are_vectors():
    kinds = {(v["kind"], v["valid"]) for v in (json.loads(path.read_text()) for path in VECTORS.glob("*.json"))}
    assert len(kinds) == 6
