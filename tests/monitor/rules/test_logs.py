"""T-20, T-28: what a log did, told to the owner of the number that it concerns."""

import pytest

from monitor.rules.values import OPERATOR, OWNER, LogEvent
from tests.monitor_rules import findings, item, number_entry


def check(rule, what):
    event = LogEvent(rule, what)
    found = findings(number_entry(), item(), log_events=(event,))[rule]
    assert (found.severity, found.to) == (1, OWNER)
    assert what in found.reason
    assert findings(number_entry(), log_events=(event,))[rule].to == OPERATOR


@pytest.mark.parametrize("what", [
    "its SCT of 2026-09-20 has no entry in the tree, a day after the promised delay",
    "it was seen in a call and is in no log",
])  # fmt: skip
def test_t20_a_promise_that_was_not_kept(what):
    check("T-20", what)


def test_t20_near_miss_another_event_or_none():
    assert "T-20" not in findings(number_entry(), item())
    assert "T-20" not in findings(number_entry(), item(), log_events=(LogEvent("T-28", "x"),))


def test_t28_views_that_differ():
    check("T-28", "two views of the log differ at this entry")


def test_t28_near_miss_another_event_or_none():
    assert "T-28" not in findings(number_entry(), item())
    assert "T-28" not in findings(number_entry(), item(), log_events=(LogEvent("T-20", "x"),))
