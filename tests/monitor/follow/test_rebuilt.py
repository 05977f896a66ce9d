"""monitor.follow.rebuilt: entries of any cut make the same tree, and every head on the way is met or is not."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.follow import Batch
from ctlog.merkle.tree import Frontier
from monitor.follow.rebuilt import Rebuilt, UnmetError
from tests.simulator import Simulator

SIM = Simulator()
for _ in range(5):
    SIM.grow(17)
ROW = SIM.tree.levels[0]


def batch(lo, hi):
    return Batch(lo, SIM.tree.inputs[lo:hi], ROW[32 * lo : 32 * hi])


def frontier(size):
    return Frontier().append(ROW[: 32 * size])


@given(st.integers(0, 85), st.sets(st.integers(0, 85)), st.lists(st.integers(0, 85)))
def test_any_cut_makes_the_same_tree(start, cuts, sizes):
    rebuilt = Rebuilt(frontier(start), [SIM.sign(size, at_ms=1) for size in sizes])
    edges = [start, *sorted(cut for cut in cuts if cut > start)]
    for lo, hi in pairwise(edges):
        rebuilt.take(batch(lo, hi))
        assert rebuilt.hi == hi
    assert rebuilt.frontier() == frontier(edges[-1])
    met = sorted(size for size in sizes if start < size <= edges[-1])
    assert [head.size for head in rebuilt.met] == met
    assert rebuilt.proven == (frontier(met[-1]) if met else None)


def test_a_head_that_is_not_met():
    wrong = SIM.sign(30, root=bytes(32))
    rebuilt = Rebuilt(Frontier(), [SIM.sign(20, at_ms=1), wrong, SIM.sign(40, at_ms=1)])
    rebuilt.take(batch(0, 10))
    with pytest.raises(UnmetError, match="30 entries") as caught:
        rebuilt.take(batch(10, 50))
    assert caught.value.head is wrong
    assert rebuilt.proven == frontier(20)
    assert rebuilt.hi == 30


def test_passing_over_entries():
    rebuilt = Rebuilt(Frontier(), [SIM.sign(20, at_ms=1), SIM.sign(40, at_ms=1)])
    rebuilt.take(batch(0, 5))
    rebuilt.skip(frontier(25))
    rebuilt.take(batch(25, 45))
    assert [head.size for head in rebuilt.met] == [40]
    assert rebuilt.frontier() == frontier(45)
