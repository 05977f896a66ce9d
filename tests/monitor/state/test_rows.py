"""monitor.state.rows: a position that was never advanced is that of the empty tree."""

from ctlog.merkle.tree import EMPTY_ROOT
from monitor.state.rows import Position, short_id


def test_the_first_position():
    first = Position()
    assert first.frontier.head() == first.proven.head() == (0, EMPTY_ROOT)
    assert (first.met, first.trusted) == (None, None)


def test_short_ids_of_one_kind_differ():
    """Those of health begin with words that many share: what tells them apart is not cut off."""
    ids = [f"health-unreachable-{each * 32}" for each in "ab"] + ["health-unreadable-log-" + "a" * 32]
    short = [short_id(each) for each in ids]
    assert len(set(short)) == 3
    assert all(full.startswith(each) for full, each in zip(ids, short, strict=True))
    assert short_id("0123456789abcdef") == "0123456789ab"
