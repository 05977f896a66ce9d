"""docs/promises.md: each promise has its row, and each test that a row names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [line for line in (ROOT / "docs" / "promises.md").read_text().splitlines() if line.startswith("| P")]


def test_there_are_twelve_promises() -> None:
    assert [row.split("|")[1].strip() for row in ROWS] == [f"P{number}" for number in range(1, 13)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_tests_of_a_promise_are_there(row: str) -> None:
    named = re.findall(r"`(tests/[^`]+)`", row)
    assert named
    for name in named:
        path, _, function = name.partition("::")
        text = (ROOT / path).read_text()
        assert not function or re.search(rf"^(async def|def|class) {function}\b", text, re.MULTILINE), name


def test_an_error_that_names_a_promise_names_one_of_these() -> None:
    sources = [path.read_text() for room in ("store", "sequencer") for path in (ROOT / "ctlog" / room).glob("*.py")]
    promised = {f"P{number}" for number in range(1, 13)}
    named = {name for text in sources for name in re.findall(r'promise="(P\d+)"|\((P\d+)\)"', text) for name in name}
    assert named - {""} <= promised
    assert len(named) > 8
