"""T-20, T-28: what a log did, told to the owner of the number that it concerns."""

import pytest

from monitor.rules.values import OPERATOR, OWNER, LogEvent
from tests.monitor_rules import findings, item, number_entry


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("T-20", "its SCT of 2026-09-20 has no entry in the tree, a day after the promised delay"),
        ("T-20", "it was seen in a call and is in no log"),
        ("T-28", "two views of the log differ at this entry"),
    ],
)
def test_events_of_logs(rule, what):
    event = LogEvent(rule, what)
    found = findings(number_entry(), item(), log_events=(event,))[rule]
    assert (found.severity, found.to) == (1, OWNER)
    assert what in found.reason
    assert findings(number_entry(), log_events=(event,))[rule].to == OPERATOR


@pytest.mark.parametrize(("rule", "other"), [("T-20", "T-28"), ("T-28", "T-20")])
def test_near_misses(rule, other):
    assert rule not in findings(number_entry(), item())
    assert rule not in findings(number_entry(), item(), log_events=(LogEvent(other, "x"),))
