"""monitor.cli.times: moments and lengths as people type them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import UsageError
from monitor.cli.times import parse_length, parse_moment

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90s", 90_000), ("30min", 1_800_000), ("12h", 43_200_000), ("3 d", 259_200_000), ("2w", 1_209_600_000)],
)
def test_lengths(text: str, ms: int) -> None:
    assert parse_length(text) == ms
    assert parse_moment(text, NOW) == NOW - ms
    assert parse_moment(text, NOW, ahead=True) == NOW + ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("now", NOW), ("2026-01-31", 1_769_817_600_000), ("2026-01-31T00:00:00Z", 1_769_817_600_000),
        ("2026-01-31T01:00:00+01:00", 1_769_817_600_000), ("1970-01-01", 0),
    ],
)  # fmt: skip
def test_moments(text: str, ms: int) -> None:
    assert parse_moment(text, NOW) == ms


NONE = ("", "soon", "2026-02-30", "3", "3m", "-1d", "2026-01-31T00:00:00", "1969-12-31", "1e9d")


@pytest.mark.parametrize("text", NONE)
def test_what_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_moment(text, NOW)


@given(st.text(max_size=30))
def test_total(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(parse_moment(text, NOW, ahead=True), int)
