"""What holds for the whole suite: names that are the same in every process that runs it, and no time limits."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

# How long an example takes says more of who else uses the machine than of the code.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


def pytest_make_parametrize_id(config: Any, val: object, argname: str) -> str | None:
    """What is long is often a certificate that each process made a moment ago for itself: it is numbered instead."""
    is_long = (isinstance(val, bytes) and len(val) > 16) or (isinstance(val, str) and len(val) > 64)
    return argname if is_long else None
