"""Watched numbers and ranges, a million of them, in a few flat arrays.

In scope: numbers and half-open spans of one length each, kept sorted; which of them meet a given span. A number of
`width` digits is kept as `width << 50 | value`, so that numbers of one length stand together in order (10^15 < 2^50).
Out of scope: what stands behind them: a position in these arrays is all that they give.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from ctlog.tn.numbers import NumberRange, TelephoneNumber, interval

_SHIFT = 50
_SCAN = 48  # ranges looked at one by one before the tree of maxima is asked


def point(width: int, value: int) -> int:
    """Give the place of a number among all numbers."""
    return width << _SHIFT | value


class NumberIndex:
    """Single numbers, each with the number of its owner."""

    def __init__(self, points: array[int], owners: array[int], added: array[int]) -> None:
        """points, owners, and since when they are watched: arrays of "Q", "I" and "Q", in any order."""
        order = array("I", sorted(range(len(points)), key=points.__getitem__))
        self.points = array("Q", map(points.__getitem__, order))
        self.owners = array("I", map(owners.__getitem__, order))
        self.added = array("Q", map(added.__getitem__, order))

    def __len__(self) -> int:
        return len(self.points)

    def has(self, at: int) -> bool:
        """Whether this number is watched."""
        points = self.points
        place = bisect_left(points, at)
        return place < len(points) and points[place] == at

    def between(self, lo: int, hi: int) -> range:
        """Give the positions of the numbers in [lo, hi), points both."""
        points = self.points
        start = bisect_left(points, lo)
        if start == len(points) or points[start] >= hi:
            return range(0)
        return range(start, bisect_left(points, hi, start))


class RangeIndex:
    """Spans of numbers, which may overlap and nest as they like."""

    def __init__(self, los: array[int], his: array[int], owners: array[int], added: array[int]) -> None:
        """Half-open spans of points, their owners, and since when they are watched: arrays of "Q", "Q", "I" and "Q", in
        any order."""
        order = array("I", sorted(range(len(los)), key=los.__getitem__))
        self.los = array("Q", map(los.__getitem__, order))
        self.his = array("Q", map(his.__getitem__, order))
        self.owners = array("I", map(owners.__getitem__, order))
        self.added = array("Q", map(added.__getitem__, order))
        self.reach = array("Q")  # the largest end up to here
        reach = 0
        for hi in self.his:
            reach = max(reach, hi)
            self.reach.append(reach)
        self._size = 1 << max(len(self.los) - 1, 0).bit_length()
        self._tree = array("Q", bytes(8 * self._size)) + self.his + array("Q", bytes(8 * (self._size - len(self.los))))
        for node in range(self._size - 1, 0, -1):
            self._tree[node] = max(self._tree[2 * node], self._tree[2 * node + 1])

    def __len__(self) -> int:
        return len(self.los)

    def has(self, at: int) -> bool:
        """Whether some span holds this number."""
        place = bisect_right(self.los, at) - 1
        return place >= 0 and self.reach[place] > at and bool(self.meeting(at, at + 1))

    def meeting(self, lo: int, hi: int) -> list[int]:
        """Give the positions of the spans that have a number in [lo, hi)."""
        at = bisect_left(self.los, hi) - 1
        found = []
        his, reach = self.his, self.reach
        stop = max(at - _SCAN, -1)
        while at > stop and reach[at] > lo:
            if his[at] > lo:
                found.append(at)
            at -= 1
        if at >= 0 and at == stop and reach[at] > lo:
            found += self._search(at + 1, lo)
        return found

    def _search(self, count: int, lo: int) -> list[int]:
        """Give those of the first `count` spans that end above `lo`, in logarithmic time for each."""
        found, stack = [], [(1, 0, self._size)]
        while stack:
            node, start, size = stack.pop()
            if start >= count or self._tree[node] <= lo:
                continue
            if size == 1:
                found.append(start)
                continue
            size >>= 1
            stack += ((2 * node, start, size), (2 * node + 1, start + size, size))
        return found


def append_row(columns: tuple[array[int], ...], *row: int) -> None:
    """Put a value at the end of each column."""
    for column, value in zip(columns, row, strict=True):
        column.append(value)


def span_of(block: TelephoneNumber | NumberRange) -> tuple[int, int]:
    """The points [lo, hi) of a block of digits."""
    found = interval(block)
    assert found is not None, "a watched number has digits only"
    lo = point(found[0], found[1])
    return lo, lo + found[2] - found[1]
