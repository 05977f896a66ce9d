"""ctlog.merkle.tree against RFC 6962 section 2.1 word for word, for all small sizes, and its algebra by Hypothesis."""

from __future__ import annotations

from itertools import pairwise

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import UsageError
from ctlog.merkle.tree import (
    EMPTY_ROOT,
    CompactRange,
    Frontier,
    Node,
    TreeHead,
    fold_right,
    merge_ranges,
    perfect_nodes,
)
from tests.rfc6962_tree import MTH, leaves

LEAVES = leaves(301)
HASHES = [MTH((leaf,)) for leaf in LEAVES]


def hashes(lo: int, hi: int) -> bytes:
    return b"".join(HASHES[lo:hi])


def test_the_empty_tree_is_the_hash_of_nothing():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Frontier().head() == TreeHead(0, EMPTY_ROOT)
    assert Frontier().append(b"") == Frontier()


def test_the_root_of_every_size_grown_leaf_by_leaf_and_in_one_go():
    grown = Frontier()
    for size in range(301):
        assert grown.root() == MTH(LEAVES[:size])
        assert Frontier().append(hashes(0, size)) == grown
        if size < 300:
            grown = grown.append(HASHES[size])


def test_a_frontier_grows_the_same_whatever_the_batches():
    for size in range(0, 301, 7):
        for split in range(0, size + 1, 5):
            frontier = Frontier().append(hashes(0, split)).append(hashes(split, size))
            assert frontier.head() == TreeHead(size, MTH(LEAVES[:size]))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 64, 100, 255, 256, 257, 300])
def test_other_peoples_tree_has_the_same_root(size):
    other = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in LEAVES[:size]:
        other.append_entry(leaf)
    assert Frontier().append(hashes(0, size)).root() == other.get_root()


def test_perfect_nodes_tile_every_small_range_with_the_fewest():
    for lo in range(70):
        for hi in range(lo, 70):
            nodes = perfect_nodes(lo, hi)
            assert [leaf for node in nodes for leaf in range(node.lo, node.hi)] == list(range(lo, hi))
            parents = {(node.level, node.index >> 1) for node in nodes}
            assert len(parents) >= len(nodes) - 1  # at most the two in the middle are of one level ...
            for a, b in pairwise(nodes):  # ... and no two could be one
                assert not (a.level == b.level and a.index ^ 1 == b.index)


def test_perfect_nodes_of_a_range_deep_in_a_large_tree():
    assert perfect_nodes(3, 2**40) == [Node(0, 3), *(Node(level, 1) for level in range(2, 40))]
    assert perfect_nodes(0, 2**63 - 1)[0] == Node(62, 0)


def test_a_range_holds_the_root_of_each_of_its_perfect_nodes():
    for lo in range(0, 300, 11):
        for hi in range(lo, 301, 13):
            part = CompactRange.from_leaves(lo, hashes(lo, hi))
            assert part.hashes == tuple(MTH(LEAVES[node.lo : node.hi]) for node in perfect_nodes(lo, hi))


@given(st.lists(st.integers(0, 300), min_size=2, max_size=8))
def test_ranges_join_in_any_grouping(cuts):
    cuts.sort()
    parts = [CompactRange.from_leaves(lo, hashes(lo, hi)) for lo, hi in pairwise(cuts)]
    whole = CompactRange.from_leaves(cuts[0], hashes(cuts[0], cuts[-1]))
    assert merge_ranges(parts) == whole
    from_the_right = parts[-1]
    for part in parts[-2::-1]:
        from_the_right = part.merge(from_the_right)
    assert from_the_right == whole


def test_ranges_that_do_not_meet_are_refused():
    part = CompactRange.from_leaves(0, hashes(0, 5))
    for lo in (4, 6):
        with pytest.raises(UsageError, match="does not begin where"):
            part.merge(CompactRange.from_leaves(lo, hashes(lo, 9)))
    with pytest.raises(UsageError, match="at least one"):
        merge_ranges([])
    with pytest.raises(UsageError):
        Frontier().append(hashes(0, 5)).extend(CompactRange.from_leaves(6, hashes(6, 7)))


@pytest.mark.parametrize("count", [-1, 1])
def test_hashes_that_do_not_fit_the_size_are_refused(count):
    good = Frontier().append(hashes(0, 6)).hashes
    wrong = good[:count] if count < 0 else (*good, good[0])
    with pytest.raises(UsageError, match="needs 2 hashes"):
        Frontier(6, wrong)
    with pytest.raises(UsageError, match="needs 2 hashes"):
        CompactRange(0, 6, wrong)
    with pytest.raises(UsageError):
        Frontier(6, (good[0], good[1][:31]))


def test_ranges_that_are_none_are_refused():
    for lo, hi in [(-1, 0), (2, 1), (0, 2**63)]:
        with pytest.raises(UsageError):
            perfect_nodes(lo, hi)
    with pytest.raises(UsageError, match="multiple of 32"):
        CompactRange.from_leaves(0, bytes(33))


def test_fold_right_closes_a_tree_of_uneven_subtrees():
    assert fold_right([MTH(LEAVES[:4]), MTH(LEAVES[4:6]), HASHES[6]]) == MTH(LEAVES[:7])
