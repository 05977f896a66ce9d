"""Other people's programs: a missing one is a skip with its reason, and a failure where CI=true promises them all."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def tool(name: str) -> str:
    """The path of a program."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not installed")
    return path


def missing(reason: str) -> NoReturn:
    """This machine lacks something that the test needs."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI must have it", pytrace=False)
    pytest.skip(reason)
