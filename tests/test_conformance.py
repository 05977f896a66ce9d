"""docs/conformance.md names a test for each row; here each name is looked up, and no row of the list is missing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "conformance.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| row ", "| where "))]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: value)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_every_row_has_a_test_or_says_why_not(row: str) -> None:
    shown = row.rstrip(" |").rpartition("|")[2]
    assert "tests/" in shown or shown.strip().startswith("no test: ")


ACTORS = {"L": 13, "C": 5, "A": 3, "V": 5, "M": 9, "U": 5}


@pytest.mark.parametrize("row", [f"{actor}{n + 1}" for actor, last in ACTORS.items() for n in range(last)])
def test_no_row_of_the_checklist_is_missing(row: str) -> None:
    assert sum(line.startswith(f"| {row} |") for line in PAGE.splitlines()) == 1
