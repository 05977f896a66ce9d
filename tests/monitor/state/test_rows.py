"""monitor.state.rows: a position that was never advanced is that of the empty tree."""

from ctlog.merkle.tree import EMPTY_ROOT
from monitor.state.rows import Position


def test_the_first_position():
    first = Position()
    assert first.frontier.head() == first.proven.head() == (0, EMPTY_ROOT)
    assert (first.met, first.trusted) == (None, None)
