"""T-20, T-28: what a log did, told to the owner of the number that it concerns."""

import pytest

from monitor.rules.logs import late_events
from monitor.rules.values import OPERATOR, OWNER, LogEvent
from tests.monitor_rules import findings, item, number_entry


def check(rule, what):
    event = LogEvent(rule, what)
    found = findings(number_entry(), item(), log_events=(event,))[rule]
    assert (found.severity, found.to) == (1, OWNER)
    assert found.reason == f"{what[0].upper()}{what[1:]}."
    assert findings(number_entry(), log_events=(event,))[rule].to == OPERATOR


@pytest.mark.parametrize("what", [
    "the log x did not keep its promise to log it: an SCT promised entry 5, where another stands",
    "the log x did not keep its promise to log it: the entry of an SCT is not in the tree, after the merge delay",
])  # fmt: skip
def test_t20_a_promise_that_was_not_kept(what):
    check("T-20", what)


def test_t20_near_miss_another_event_or_none():
    assert "T-20" not in findings(number_entry(), item())
    assert "T-20" not in findings(number_entry(), item(), log_events=(LogEvent("T-28", "x"),))


def test_t20_an_entry_that_its_log_dated_back():
    """A log may have been overloaded, and the certificate be all right: it is said beside whatever else there is."""
    found = findings(number_entry(), item(), log_events=late_events("entry 7 is dated 2019"))["T-20"]
    assert (found.severity, found.to) == (3, OWNER)
    assert "Entry 7 is dated 2019: it came late, or its log dated it back" in found.reason
    assert "not by the date that its log gives it" in found.action


def test_t28_views_that_differ():
    check("T-28", "the log x showed it in a tree that contradicts the one that it shows here")


def test_t28_near_miss_another_event_or_none():
    assert "T-28" not in findings(number_entry(), item())
    assert "T-28" not in findings(number_entry(), item(), log_events=(LogEvent("T-20", "x"),))
