"""monitor.cli.place: where commands find the monitor."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from ctlog.errors import ConfigError
from monitor.cli.place import find_place, now_ms, who
from tests.monitor_place import Monitor


def test_the_folder_by_option_by_the_surroundings_and_here(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monitor("watch", "list", "-d", monitor.folder)
    monitor("watch", "-h")
    monkeypatch.setenv("CTLOG_MONITOR", str(monitor.folder))
    monitor("watch", "list")
    monkeypatch.delenv("CTLOG_MONITOR")
    assert "there is no monitor.toml" in monitor("watch", "list", code=2).err
    monkeypatch.chdir(monitor.folder)
    monitor("watch", "list")


def test_what_stands_where(monitor: Monitor) -> None:
    monitor.write("monitor.toml", 'contact = "x@example.com"\nstate = "../elsewhere"\nwatch = "w.toml"\n')
    place = find_place(monitor.folder)
    assert place.state == monitor.folder / "../elsewhere"
    assert place.watch_file == monitor.folder / "w.toml"
    assert place.path == monitor.folder / "monitor.toml"
    with pytest.raises(ConfigError, match="begin with"):
        find_place(monitor.folder / "monitor.toml")


def test_who_answers_when_nobody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert who() == "somebody"
    assert now_ms() > 1_700_000_000_000
