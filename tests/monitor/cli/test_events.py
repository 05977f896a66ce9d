"""`ctlog-monitor events`: ports and SIM changes are handed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitor_place import Monitor


def test_events_are_kept(monitor: Monitor) -> None:
    assert monitor.here("events", "list").out == "There are none.\n"
    assert monitor.here("events", "add", "sim", "+1 202 555 0123").out == "1 event is kept.\n"
    monitor.here("events", "add", "port", "+12025550124", "--at", "2026-03-01T12:00:00Z", "--note", "to Example")
    out = monitor.here("events", "list").out.splitlines()
    assert out[0] == "2026-03-01 12:00:00 UTC  port  +12025550124  to Example"
    assert out[1].endswith("  sim   +12025550123")
    (line,) = monitor.here("events", "list", "+12025550124", "--json").lines
    assert line["number"] == "+12025550124"
    assert "+12025550124" not in monitor.here("events", "list", "--since", "1d").out


def test_a_feed(monitor: Monitor) -> None:
    Path("feed.jsonl").write_text('{"kind": "sim", "number": "+12025550123", "at": "2026-03-01"}\n\n'
                                  '{"kind": "port", "number": "+12025550124"}\n')  # fmt: skip
    assert monitor.here("events", "add", "--from", "feed.jsonl", "--json").lines == [{"events": 2}]
    Path("feed.jsonl").write_text('{"kind": "sim", "number": "+12025550125"}\n{"kind": "sim", "number": "5550125"}\n')
    said = monitor.here("events", "add", "--from", "feed.jsonl", code=2)
    assert "feed.jsonl, line 2: '5550125' is no number with '+'" in said.err
    assert len(monitor.here("events", "list", "--json").lines) == 2, "all of a file or nothing"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what happened to which number"),
        (["sim"], "say what happened to which number"),
        (["swap", "+12025550123"], "`kind` is port or sim"),
        (["sim", "2025550123"], "is no number with '+'"),
        (["sim", "+12025550123", "--at", "soon"], "'soon' is no date"),
        (["sim", "+12025550123", "--at", "2090-01-01"], "more than a day ahead"),
        (["sim", "+12025550123", "--from", "feed"], "either on the command line or in a file"),
    ],
)
def test_no_event(monitor: Monitor, words: list[str], sentence: str) -> None:
    Path("feed").touch()
    assert sentence in monitor.here("events", "add", *words, code=2).err
