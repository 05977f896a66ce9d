"""National readings: which number a number is, in which country, and which was probably meant."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.national import ACCIDENTAL, INTENDED, UNCLEAR, regions_of, second_readings
from ctlog.tn.numbers import Claim
from tests.number_certificates import block, claims, code, number


def roles(claim: Claim, *regions: str) -> list[tuple[str, str, str]]:
    """(claim, region, role) of each reading."""
    return [(str(found.claim), found.region, found.role) for found in second_readings(claim, regions)]


@pytest.mark.parametrize(
    ("written", "region", "expected"),
    [
        ("12025550123", "US", [("12025550123", "", INTENDED)]),
        ("12025550123", "CA", [("12025550123", "", INTENDED)]),
        ("2025550123", "US", [("2025550123", "", ACCIDENTAL), ("12025550123", "US", INTENDED)]),
        # reads as a Colombian number of a plan that has ended
        ("5715551212", "US", [("5715551212", "", ACCIDENTAL), ("15715551212", "US", INTENDED)]),
        ("0612345678", "FR", [("0612345678", "", ACCIDENTAL), ("33612345678", "FR", INTENDED)]),
        ("33612345678", "FR", [("33612345678", "", INTENDED)]),
        ("0033612345678", "FR", [("0033612345678", "", ACCIDENTAL), ("33612345678", "FR", INTENDED)]),
        # good in both: Singapore as it is written, Florida as it is dialled
        ("6562345678", "US", [("6562345678", "", UNCLEAR), ("16562345678", "US", UNCLEAR)]),
        ("911", "US", [("911", "", INTENDED)]),
        ("*67#", "US", [("*67#", "", INTENDED)]),
        ("2025550123", "ZZ", [("2025550123", "", INTENDED)]),
    ],
)
def test_numbers(written: str, region: str, expected: list[tuple[str, str, str]]) -> None:
    assert roles(number(written), region) == expected


def test_without_a_country_there_is_one_reading() -> None:
    assert roles(number("2025550123")) == [("2025550123", "", INTENDED)]


def test_codes_are_no_numbers() -> None:
    assert roles(code("2025550123"), "US") == []


def test_ranges() -> None:
    assert roles(block("5715551212", 788), "US") == [
        ("5715551212-5715551999", "", ACCIDENTAL),
        ("15715551212-15715551999", "US", INTENDED),
    ]
    assert roles(block("12025550100", 100), "US") == [("12025550100-12025550199", "", INTENDED)]
    # from +1 999 ... into what begins with another digit: no range that could be dialled
    assert len(roles(block("1999999990", 20), "FR")) == 1


def test_several_countries() -> None:
    found = second_readings(number("2025550123"), ["US", "CA", "FR"])
    assert [str(each.claim) for each in found] == ["2025550123", "12025550123"]


@pytest.mark.parametrize(
    ("domain", "regions"),
    [("us-shaken", ("US",)), ("ca", ("CA",)), ("fr", ("FR",)), ("FR-man", ("FR",)), ("rcs", ()), ("", ()), ("zz", ())],
)
def test_countries_of_a_trust_domain(domain: str, regions: tuple[str, ...]) -> None:
    assert regions_of(domain) == regions


@given(claims, st.lists(st.sampled_from(["US", "FR", "GB", "DE", "IT", "??"]), max_size=2))
def test_the_first_reading_is_what_is_written(claim: Claim, regions: list[str]) -> None:
    found = second_readings(claim, regions)
    if found:
        assert found[0].claim == claim
        assert len({each.claim for each in found}) == len(found)
        assert sum(each.role == INTENDED for each in found) == (found[0].role != UNCLEAR)


def test_reading_certificates_does_not_depend_on_the_metadata() -> None:
    """Claims, labels and findings are the same for ever; `phonenumbers` is not even imported for them."""
    program = "import sys, ctlog.tn.identity, ctlog.tn.delegation; print('phonenumbers' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
