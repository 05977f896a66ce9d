"""requirements.lock: what pyproject.toml asks for, pinned with hashes, and nothing about where it is fetched from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.floor_plan import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WANTED = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
WANTED += [name for extra in PROJECT["project"]["optional-dependencies"].values() for name in extra]


@pytest.mark.parametrize("wanted", [Requirement(text) for text in WANTED], ids=lambda wanted: wanted.name)
def test_everything_that_is_asked_for_is_pinned(wanted: Requirement) -> None:
    name = re.sub(r"[-_.]+", "-", wanted.name).lower()
    assert name in PINS, f"`make lock` writes the lock file anew: {wanted} is not in it"
    assert wanted.specifier.contains(PINS[name])


def test_every_pin_has_hashes_and_no_line_says_where_from() -> None:
    blocks = [block for block in re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE) if "==" in block]
    assert len(blocks) == len(PINS)
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]
    assert "://" not in LOCK
    assert "index-url" not in LOCK
