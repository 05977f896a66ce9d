"""Numbers, ranges and codes: what is one, what lies in what, and the fewest prefixes that tile a range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.tn.numbers import (
    Claim,
    NumberRange,
    ServiceProviderCode,
    TelephoneNumber,
    contains,
    interval,
    overlaps,
    prefix_cover,
)
from tests.number_certificates import block, claims, code, number, ranges


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("", "number-length"),
        ("1" * 16, "number-length"),
        ("+12025550123", "number-characters"),
        ("1202 5550123", "number-characters"),
        ("1202-5550123", "number-characters"),
        ("12A", "number-characters"),
        ("12\0", "number-characters"),
        ("١٢٣", "number-characters"),  # digits, but not these
        ("１２３", "number-characters"),
    ],
)
def test_what_is_no_number(digits: str, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        TelephoneNumber(digits)
    assert caught.value.reason == reason


def test_leading_zeros_count() -> None:
    assert number("0123") != number("123")
    assert not contains(number("0123"), number("123"))
    assert number("0" * 15).digits == "0" * 15


def test_kinds_never_compare_equal() -> None:
    assert number("1234") != code("1234")
    assert len({number("1234"), code("1234"), block("1234", 2)}) == 3


def test_values_do_not_change() -> None:
    with pytest.raises(AttributeError):
        number("12").digits = "13"  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize(
    ("start", "count", "reason"),
    [
        ("10", 91, "range-grows"),  # RFC 8226's own example
        ("9" * 15, 2, "range-grows"),
        ("12", 10**400, "range-grows"),
        ("12", 1, "range-count"),
        ("12", 0, "range-count"),
        ("12", -5, "range-count"),
        ("12*", 2, "range-signs"),
        ("#", 2, "range-signs"),
        ("", 2, "number-length"),
        ("1" * 16, 2, "number-length"),
        ("+12", 2, "number-characters"),
    ],
)
def test_what_is_no_range(start: str, count: int, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        NumberRange(start, count)
    assert caught.value.reason == reason


def test_the_last_number_of_a_length_may_end_a_range() -> None:
    """One more than the letter of RFC 8226 section 9 allows, and what its example means."""
    whole = block("10", 90)
    assert whole.last == "99"
    assert not whole.fits_strictly
    assert block("10", 89).fits_strictly
    assert block("0", 10).last == "9"
    assert block("000", 1000).last == "999"


def test_the_parts_of_a_range() -> None:
    found = block("0099", 3)
    assert (found.lo, found.hi, found.width, found.last, str(found)) == (99, 102, 4, "0101", "0099-0101")


def test_a_code_is_any_octets() -> None:
    assert code("").code == ""
    assert code("7\xff").code == "7\xff"
    with pytest.raises(MalformedError) as caught:
        ServiceProviderCode("7Ā")
    assert caught.value.reason == "code-characters"


def members(claim: Claim) -> set[str]:
    """Everything that a claim of narrow width claims, one by one."""
    if isinstance(claim, NumberRange):
        return {str(value).zfill(claim.width) for value in range(claim.lo, claim.hi)}
    return {"code " + claim.code if isinstance(claim, ServiceProviderCode) else claim.digits}


narrow = st.one_of(
    ranges(max_width=3),
    st.builds(TelephoneNumber, st.text("0159*", min_size=1, max_size=3)),
    st.builds(ServiceProviderCode, st.text("15a", max_size=2)),
)


@given(narrow, narrow)
def test_contains_and_overlaps_are_those_of_sets(one: Claim, other: Claim) -> None:
    assert contains(one, other) == (members(one) >= members(other))
    assert overlaps(one, other) == bool(members(one) & members(other))


@given(claims, claims)
def test_contains_and_overlaps_agree_at_any_width(one: Claim, other: Claim) -> None:
    assert contains(one, one)
    assert overlaps(one, one)
    assert overlaps(one, other) == overlaps(other, one)
    if contains(one, other):
        assert overlaps(one, other)
        if contains(other, one) and one != other:
            assert interval(one) == interval(other)


def slow_cover(numbers: NumberRange, prefix: str = "") -> list[str]:
    """The maximal decimal blocks within a range, by walking down from all numbers: each is needed, so it is minimal."""
    free = 10 ** (numbers.width - len(prefix))
    lo = int(prefix or "0") * free
    if lo >= numbers.hi or lo + free <= numbers.lo:
        return []
    if numbers.lo <= lo and lo + free <= numbers.hi:
        return [prefix]
    return [found for digit in "0123456789" for found in slow_cover(numbers, prefix + digit)]


@given(ranges())
def test_a_cover_tiles_the_range_with_the_fewest_prefixes(numbers: NumberRange) -> None:
    cover = prefix_cover(numbers)
    assert cover == slow_cover(numbers)
    at = numbers.lo
    for prefix in cover:
        free = 10 ** (numbers.width - len(prefix))
        assert int(prefix or "0") * free == at
        at += free
    assert at == numbers.hi
    assert len(cover) <= 18 * numbers.width


@pytest.mark.parametrize(
    ("start", "count", "cover"),
    [
        ("12025550100", 100, ["120255501"]),
        ("12025550199", 2, ["12025550199", "12025550200"]),
        ("15552000000", 1000, ["15552000"]),
        ("098", 4, ["098", "099", "100", "101"]),
        ("00", 100, [""]),
        ("5715551212", 788, [*(f"571555121{d}" for d in range(2, 10)), *(f"57155512{d}" for d in range(2, 10)),
                             *(f"5715551{d}" for d in range(3, 10))]),
    ],
)  # fmt: skip
def test_covers_by_name(start: str, count: int, cover: list[str]) -> None:
    assert prefix_cover(block(start, count)) == cover
