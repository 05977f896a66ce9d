"""ctlog.client.receipts: what was kept is found again, by another process too; another file is not taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlog.client.receipts import Receipts
from ctlog.errors import UsageError


def test_what_was_put_is_found_by_the_next_process(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path / "new folder" / "receipts")
    for n in range(1200):
        receipts.put(b"log", n.to_bytes(32, "big"), b"sct %d" % n)
    assert receipts.get(b"log", (1199).to_bytes(32, "big")) == b"sct 1199"
    receipts.close()
    again = Receipts(tmp_path / "new folder" / "receipts")
    assert [again.get(b"log", n.to_bytes(32, "big")) for n in range(1200)] == [b"sct %d" % n for n in range(1200)]
    assert again.get(b"other log", (0).to_bytes(32, "big")) is None


def test_a_killed_process_loses_the_last_group_at_most(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path / "receipts")
    for n in range(700):
        receipts.put(b"log", b"%d" % n, b"sct")
    reader = Receipts(tmp_path / "receipts")  # sees what a successor of a killed process would see
    assert reader.get(b"log", b"499") == b"sct"
    receipts.flush()
    assert reader.get(b"log", b"699") == b"sct"


def test_without_a_file_nothing_is_left(tmp_path: Path) -> None:
    receipts = Receipts(None)
    receipts.put(b"log", b"certificate", b"sct")
    assert receipts.get(b"log", b"certificate") == b"sct"
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(UsageError, match="cannot hold receipts"):
        Receipts(tmp_path / "letter")
    assert (tmp_path / "letter").read_text().startswith("Dear")
