"""`ctlog-monitor test`: a test through each channel, and what became of it."""

from __future__ import annotations

import json

from tests.monitor_place import Monitor

CONFIG = """contact = "you@example.com"
[channels.first]
kind = "file"
path = "first.jsonl"
[channels.second]
kind = "file"
path = "no such folder/second.jsonl"
"""


def test_each_is_tried_and_told(monitor: Monitor) -> None:
    monitor.write("monitor.toml", CONFIG)
    said = monitor.here("test", code=1)
    assert "taken   first (" in said.out
    assert "FAILED  second (" in said.out
    assert "No such file" in said.out
    (line,) = (monitor.folder / "first.jsonl").read_text().splitlines()
    assert json.loads(line)["type"] == "test"
    assert monitor.here("test", "first").out.startswith("taken   first")
    out = monitor.here("status", code=1).out
    assert "Channel first: delivered 20" in out
    assert f"Channel second: nothing yet; `ctlog-monitor test -d {monitor.folder}` tries it" in out
    (value,) = monitor.here("test", "first", "--json").lines
    assert (value["channel"], value["error"]) == ("first", "")


def test_without_a_state_it_is_tried_all_the_same(monitor: Monitor) -> None:
    (monitor.folder / "state" / "state.sqlite").unlink()
    assert "taken   screen" in monitor.here("test").out


def test_what_cannot_be_tried(monitor: Monitor) -> None:
    assert "the nearest is 'screen'" in monitor.here("test", "scren", code=2).err
    monitor.write("monitor.toml", 'contact = "x"\n')
    assert "has no channel: write one" in monitor.here("test", code=2).err
    monitor.write("monitor.toml", CONFIG.replace('path = "first.jsonl"\n', 'pth = "first.jsonl"\n'))
    said = monitor.here("test", code=2)
    assert "line 4, column 1" in said.err
    monitor.write("monitor.toml", CONFIG.replace('kind = "file"', 'kind = "pigeon"'))
    assert "line 3, column 8" in monitor.here("test", code=2).err
