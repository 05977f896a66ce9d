"""The items of a watch list told apart: what goes into flat arrays, of which there may be a million, and what does not.

In scope: sorting items into numbers, spans of numbers and others, with what may not be there twice; since when the
first and the last item of each group are watched. Pure. Out of scope: the arrays (`monitor.number_index`), comparing
(`monitor.watchlist`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from ctlog.errors import UsageError
from ctlog.tn.numbers import NumberRange, TelephoneNumber
from monitor.items import PREFIX, Group, Item, prefix_blocks
from monitor.number_index import NumberIndex, RangeIndex, append_row, point, span_of

OTHER = 1 << 31
"""An owner of spans from here on is an item (the place among the others), one below is a group."""


class Times(NamedTuple):
    """Since when a group's first item, and its last one, are watched; in ms."""

    first_ms: int
    last_ms: int


class Columns(NamedTuple):
    """Numbers and spans, with the numbers of their groups as owners; all other items, such as codes and prefixes."""

    numbers: NumberIndex
    ranges: RangeIndex
    groups: list[Group]
    others: list[Item]

    def times(self) -> Sequence[Times]:
        """Since when the items of each group are watched, by its number. Looks at all of them: for once."""
        first, last = [1 << 63] * len(self.groups), [0] * len(self.groups)
        order = {id(group): at for at, group in enumerate(self.groups)}
        spans = zip(self.ranges.owners, self.ranges.added, strict=True)
        for owner, added_ms in chain(
            zip(self.numbers.owners, self.numbers.added, strict=True),
            (span for span in spans if span[0] < OTHER),
            ((order[id(item.group)], item.added_ms) for item in self.others),
        ):
            if added_ms < first[owner]:
                first[owner] = added_ms
            if added_ms > last[owner]:
                last[owner] = added_ms
        return list(map(Times, first, last))


def sort_out(items: Iterable[Item]) -> Columns:
    """Tell numbers and spans of numbers from the rest, and collect the groups. Raises: UsageError for what is twice."""
    groups: list[Group] = []
    others: list[Item] = []
    numbers = array("Q"), array("I"), array("Q")
    spans = array("Q"), array("Q"), array("I"), array("Q")
    owners: dict[int, int] = {}
    seen: set[str] = set()
    for item in items:
        owner = owners.get(id(item.group))
        if owner is None:
            if item.group.name in seen:
                raise UsageError(f"two groups of the watch list have the name {item.group.name!r}")
            owner = owners[id(item.group)] = len(groups)
            seen.add(item.group.name)
            groups.append(item.group)
        value = item.value
        if isinstance(value, TelephoneNumber):
            append_row(numbers, point(len(value.digits), int(value.digits)), owner, item.added_ms)
            continue
        if isinstance(value, NumberRange):
            append_row(spans, *span_of(value), owner, item.added_ms)
            continue
        if item.id in seen:
            raise UsageError(f"{item.id} is in the watch list twice")
        seen.add(item.id)
        for block in prefix_blocks(value) if item.kind == PREFIX and isinstance(value, str) else ():
            append_row(spans, *span_of(block), OTHER + len(others), 0)
        others.append(item)
    return Columns(NumberIndex(*numbers), RangeIndex(*spans), groups, others)
