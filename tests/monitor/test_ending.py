"""monitor.ending: a log that ended is read until nothing can come any more, and what is missing then is said."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.merkle.tree import Frontier
from monitor.catalogue import LogSpec
from monitor.ending import PATIENCE_MS, ends_ms, first_word, is_over, last_word
from monitor.follow.begin import NEWEST
from monitor.rules.values import HOUR_MS
from monitor.state.rows import LogRow, Position
from tests.simulator import Simulator

NOW = 1_790_000_000_000
KEY = Simulator().policy.key
SPEC = LogSpec("Old \x1b log", "https://old.example/", KEY, "tiles", "old.example", 24 * HOUR_MS, NEWEST, "log list")


def row(head_size=0):
    position = Position(Frontier(0, ()), Frontier(0, ()))
    return LogRow(KEY.log_id, "Old log", "", 0, position, None, head_size, None, None, "", None, "")


def test_not_before_its_maximum_merge_delay():
    end_ms = ends_ms(SPEC, NOW)
    assert end_ms == NOW + 24 * HOUR_MS
    assert not is_over(SPEC, NOW, row(), end_ms - 1)
    assert is_over(SPEC, NOW, row(), end_ms)
    assert is_over(SPEC, NOW, None, end_ms), "it was never begun: nobody waits for it"


def test_not_before_it_is_read_but_not_for_ever():
    end_ms = ends_ms(SPEC, NOW)
    assert not is_over(SPEC, NOW, row(7), end_ms + PATIENCE_MS - 1)
    assert is_over(SPEC, NOW, row(7), end_ms + PATIENCE_MS)


@given(st.integers(0, 100), st.integers(0, 30 * 24 * HOUR_MS), st.integers(0, HOUR_MS))
def test_what_is_over_stays_over(size, after_ms, more_ms):
    if is_over(SPEC, NOW, row(size), NOW + after_ms):
        assert is_over(SPEC, NOW, row(size), NOW + after_ms + more_ms)


def test_the_first_word():
    word = first_word(SPEC, "retired", NOW, ("mail",))
    assert (word.rule, word.severity, word.addressee, word.channels) == ("ending", 3, "operator", ("mail",))
    assert (word.id, word.log_id) == (first_word(SPEC, "retired", NOW, ()).id, KEY.log_id)
    assert word.id != first_word(SPEC, "retired", NOW + 1, ()).id, "another end"
    assert not word.id.startswith("health-"), "health would take it back at its next look"
    assert "\x1b" not in word.summary + json.loads(word.body)["reason"]


@pytest.mark.parametrize(
    ("stored", "promises", "severity", "said"),
    [
        (row(), 0, 3, "its 0 entries were read."),
        (None, 0, 3, "its 0 entries were read."),
        (row(7), 0, 2, "7 more could not be read"),
        (row(), 1, 2, "1 SCT of it came to nothing"),
    ],
)
def test_the_last_word_is_graver_where_something_is_missing(stored, promises, severity, said):
    word = last_word(SPEC, NOW, stored, promises, NOW, ("mail",))
    assert (word.rule, word.severity) == ("ended", severity)
    assert said in json.loads(word.body)["reason"]
    assert word.thread == first_word(SPEC, "retired", NOW, ()).thread
