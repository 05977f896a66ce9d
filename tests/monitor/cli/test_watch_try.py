"""`ctlog-monitor watch try`: shown, not kept. (What is found: tests/monitor/test_rehearsal.py.)"""

from __future__ import annotations

import pytest

from monitor.cli import watch_try as module
from monitor.rehearsal import Rehearsed
from monitor.replay import dry_run
from tests.monitor_certificates import GOOD, ROGUE, logged, number_leaf
from tests.monitor_place import Monitor
from tests.number_certificates import number

ENTRIES = [logged(number_leaf([number("12025550123")], ca), ca, index=at) for at, ca in enumerate((GOOD, ROGUE))]


@pytest.fixture
def past(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Two entries stand in the past; what was asked for."""
    asked: list[object] = []

    async def rehearse(place, state, items) -> Rehearsed:
        asked.extend(items)
        return Rehearsed(list(dry_run(items, ENTRIES)), 2, {"the log is silent": 3}, True)

    monkeypatch.setattr(module, "_rehearse", rehearse)
    return asked


def test_what_would_have_been_told(monitor: Monitor, past: list[object]) -> None:
    said = monitor.here("watch", "try", "+12025550123", "--expect-issuer", "Rightful CA")
    assert "S1  " in said.out
    assert "Rogue CA is none of the issuers that you expect" in said.out
    assert said.out.endswith("\n1 alert from 2 certificates.\n")
    assert "3 entries could not be read now: the log is silent." in said.err
    assert "the newest of each item were looked at" in said.err
    (line,) = [line for line in monitor.here("watch", "try", "+12025550123", "--json").lines if line["log_index"] == 1]
    assert (line["item"], line["severity"]) == ("watched/number:+12025550123", 1)
    assert monitor.here("watch", "list").out.startswith("Nothing is watched"), "nothing is kept"


def test_what_is_watched_already(monitor: Monitor, past: list[object]) -> None:
    assert "nothing is watched as 'home'" in monitor.here("watch", "try", "--name", "home", code=2).err
    monitor.here("watch", "add", "--name", "home", "+12025550123")
    monitor.here("watch", "try", "--name", "home")
    assert [item.id for item in past] == ["home/number:+12025550123"]  # type: ignore[attr-defined]


def test_with_the_history_that_there_is(monitor: Monitor) -> None:
    assert monitor.here("watch", "try", "+12025550123").out == "0 alerts from 0 certificates.\n"
    assert "is no number" in monitor.here("watch", "try", "5550123", code=2).err
    (monitor.folder / "state" / "history" / "manifest").unlink()
    assert "manifest is missing" in monitor.here("watch", "try", "+12025550123", code=3).err
