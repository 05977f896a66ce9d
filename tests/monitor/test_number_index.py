"""Flat arrays of numbers and spans against the plain way of looking."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from monitor.number_index import NumberIndex, RangeIndex, point

points = st.integers(0, 60)
spans = st.tuples(points, st.integers(1, 30)).map(lambda each: (each[0], each[0] + each[1]))


def ranges(found):
    return RangeIndex(
        array("Q", [lo for lo, _ in found]), array("Q", [hi for _, hi in found]), array("I", range(len(found))),
        array("Q", [7] * len(found)),
    )  # fmt: skip


@given(st.lists(points, max_size=20), spans)
def test_numbers_in_a_span(found, span):
    index = NumberIndex(array("Q", found), array("I", range(len(found))), array("Q", [7] * len(found)))
    assert len(index) == len(found)
    lo, hi = span
    inside = index.between(lo, hi)
    assert sorted(index.owners[at] for at in inside) == sorted(at for at, each in enumerate(found) if lo <= each < hi)
    assert [index.points[at] for at in inside] == sorted(each for each in found if lo <= each < hi)
    assert index.has(lo) is (lo in found)


@given(st.lists(spans, max_size=120), spans)
def test_spans_that_meet_a_span(found, span):
    index = ranges(found)
    lo, hi = span
    meeting = {index.owners[at] for at in index.meeting(lo, hi)}
    assert meeting == {at for at, (start, stop) in enumerate(found) if start < hi and lo < stop}
    assert len(index.meeting(lo, hi)) == len(meeting)
    assert index.has(lo) is any(start <= lo < stop for start, stop in found)


def test_one_wide_span_before_many_narrow_ones():
    """What a scan from the right would look at one by one is found through the tree."""
    index = ranges([(0, 10**9), *((at * 10, at * 10 + 1) for at in range(1, 5000))])
    assert [index.owners[at] for at in index.meeting(49_995, 49_996)] == [0]
    assert sorted(index.owners[at] for at in index.meeting(300, 301)) == [0, 30]


def test_lengths_stand_apart():
    assert point(4, 9999) < point(5, 0)
    assert point(14, 10**14) < point(15, 0)
    assert point(15, 10**15) < point(16, 0)
