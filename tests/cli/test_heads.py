"""ctlog.cli.heads: compare-and-swap on a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlog.cli.heads import HeadFile
from ctlog.errors import StoreError


def test_a_head_is_replaced_only_by_who_knows_it(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "state", b"\x01" * 32)
    assert file.load() is None
    file.replace(None, b"one")
    assert HeadFile(tmp_path / "state", b"\x01" * 32).load() == b"one"
    for wrong in (None, b"zero"):
        with pytest.raises(StoreError) as refusal:
            file.replace(wrong, b"two")
        assert refusal.value.reason == "moved"
    assert file.load() == b"one"
    file.replace(b"one", b"two")
    assert file.load() == b"two"


def test_each_log_has_its_own(tmp_path: Path) -> None:
    HeadFile(tmp_path, b"\x01" * 32).replace(None, b"one")
    assert HeadFile(tmp_path, b"\x02" * 32).load() is None
    assert [p.name for p in (tmp_path / "heads").iterdir()] == ["01" * 32]
