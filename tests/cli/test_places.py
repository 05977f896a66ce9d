"""ctlog.cli.places follows the XDG Base Directory specification."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlog.cli.places import state_folder


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/srv/state", "/srv/state/ctlog"), ("", "/home/x/.local/state/ctlog"), ("here", "/home/x/.local/state/ctlog")],
)
def test_state_lies_where_the_user_said(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("XDG_STATE_HOME", value)
    assert state_folder() == Path(expected)
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_folder() == Path("/home/x/.local/state/ctlog")
