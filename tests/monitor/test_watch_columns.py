"""The items of a watch list told apart, against looking at each of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import UsageError
from monitor.items import CODE, HOLDER, KEY, NUMBER, PREFIX, RANGE, Group, Item
from monitor.watch_columns import OTHER, sort_out
from tests.number_certificates import block, code, number

GROUPS = [Group(name) for name in "abc"]
VALUES = [
    *((NUMBER, number(str(12025550000 + at))) for at in range(6)),
    *((RANGE, block("12025550000", 2 + at)) for at in range(4)),
    (PREFIX, "1202"), (CODE, code("709J")), (HOLDER, "Owner Inc"), (KEY, bytes(32)),
]  # fmt: skip
watched = st.lists(
    st.builds(
        lambda value, group, at: Item(*value, group, at), st.sampled_from(VALUES), st.sampled_from(GROUPS),
        st.integers(1, 100),
    ),
    unique_by=lambda item: item.id,
)  # fmt: skip


@given(watched)
@settings(max_examples=60)
def test_each_group_is_watched_from_its_first_item_on(items):
    columns = sort_out(items)
    assert columns.groups == list(dict.fromkeys(item.group for item in items))
    expected = [[item.added_ms for item in items if item.group is group] for group in columns.groups]
    assert list(columns.times()) == [(min(added), max(added)) for added in expected]


@given(watched)
@settings(max_examples=60)
def test_nothing_is_lost(items):
    columns = sort_out(items)
    spans = [owner for owner in columns.ranges.owners if owner < OTHER]
    assert len(columns.numbers) == sum(item.kind == NUMBER for item in items)
    assert len(spans) == sum(item.kind == RANGE for item in items)
    assert columns.others == [item for item in items if item.kind not in (NUMBER, RANGE)]
    prefixes = {OTHER + at for at, item in enumerate(columns.others) if item.kind == PREFIX}
    assert {owner for owner in columns.ranges.owners if owner >= OTHER} == prefixes


def test_a_name_is_there_once():
    with pytest.raises(UsageError, match="two groups"):
        sort_out([Item(NUMBER, number("12025550123"), Group("a")), Item(NUMBER, number("12025550124"), Group("a"))])
    with pytest.raises(UsageError, match="twice"):
        sort_out([Item(CODE, code("709J"), GROUPS[0]), Item(CODE, code("709j"), GROUPS[0])])
