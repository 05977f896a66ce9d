"""Fixtures for tests of the monitor's commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitor_place import Monitor, made


@pytest.fixture
def monitor(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """A monitor, made just now; and no other one is named by the surroundings."""
    monkeypatch.delenv("CTLOG_MONITOR", raising=False)
    monkeypatch.chdir(tmp_path)
    return made(tmp_path, capsys)
