"""How numbers are dialled, and what a second reading of an entry probably was meant to be."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.tn.numbers import TelephoneNumber
from monitor.reading_roles import dialling_of, first_digits, reading_role
from tests.monitor_certificates import GOOD, logged, number_leaf, subject
from tests.number_certificates import code, number

US, GB, DE = dialling_of(["US"]), dialling_of(["GB"]), dialling_of(["DE"])


@pytest.mark.parametrize(
    ("dialling", "digits", "variants"),
    [
        (US, "2025550123", ["12025550123"]),
        (US, "12025550123", []),
        (US, "5550123", []),
        (GB, "02079460000", ["442079460000"]),
        (GB, "2079460000", ["442079460000"]),
        (GB, "442079460000", []),
        (GB, "4402079460000", ["442079460000"]),
        (GB, "44002079460000", ["442079460000"]),
        (GB, "0012025550123", ["12025550123"]),
        (US, "112025550123", ["12025550123"]),
        (dialling_of(["JP"]), "01012025550123", ["811012025550123", "12025550123"]),
        (dialling_of([]), "2025550123", []),
        (dialling_of(["XX"]), "2025550123", []),
    ],
)
def test_variants(dialling, digits, variants):
    assert dialling.variants(digits) == variants


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_variants_of_every_country_are_at_least_the_readings(region):
    """Also where trunk prefixes stand twice, behind a code, or behind the code of a country that was dialled."""
    dialling, metadata = dialling_of([region]), phonenumbers.PhoneMetadata.metadata_for_region(region)
    national, code = str(phonenumbers.example_number(region).national_number), str(metadata.country_code)
    trunk = metadata.national_prefix or "0"
    abroad = metadata.international_prefix if (metadata.international_prefix or "").isdecimal() else "00"
    local = [trunk * times + national for times in range(4)]
    behind = [head + each for head in (code, abroad + code, "011" + code, code * 2, "00") for each in local]
    for digits in [*local, *behind, *(str(digit) + national for digit in range(10))]:
        if len(digits) <= 15:
            found = {each.claim.digits for each in dialling.readings(TelephoneNumber(digits)) if each.is_valid}
            assert found <= set(dialling.variants(digits)), digits
            assert not found or dialling.may_vary(digits)


@pytest.mark.parametrize(
    ("pattern", "digits"),
    [
        ("", set()), ("00", {0}), ("00|99(?:[01469]|5(?:[14]1|3))", {0, 9}), ("(?:0|1(?:1[0-69]|2))0", {0, 1}),
        ("0?(?:(11|2(?:2))15)?", {0, 1, 2}), ("([457]\\d{6})$|1", {1, 4, 5, 7}), ("\\d1", set(range(10))),
        ("8~10", {8}),
    ],
)  # fmt: skip
def test_first_digits(pattern, digits):
    assert first_digits(pattern) == digits


def test_a_number_as_it_should_be_written_is_not_weighed():
    assert not US.may_vary("12025550123")
    assert GB.variants("447400123456") == []
    assert US.may_vary("447400123456")


dialled = st.from_regex("(00|011|010|1|0|44)?[0-9]{5,12}", fullmatch=True)


@given(st.sampled_from([US, GB, DE, dialling_of(["JP", "AU", "IT"])]), dialled)
def test_variants_are_at_least_the_readings(dialling, digits):
    """What the metadata reads is always found by the fast way."""
    claim = TelephoneNumber(digits)
    found = {reading.claim.digits for reading in dialling.readings(claim) if reading.is_valid}
    assert found <= set(dialling.variants(digits))
    assert not found or dialling.may_vary(digits)


def test_as_written_is_weighed_only_against_numbers_in_use():
    assert US.as_written(number("5715551212")).role == "accidental"
    assert US.as_written(number("12025550123")) is None
    assert US.as_written(number("4915112345678")) is None


def test_roles_of_codes():
    entry = logged(number_leaf(issuance.spc("70 9J"), GOOD, subject(cn="SHAKEN 709J")))
    assert reading_role(entry, code("709J")) == "intended"
    assert reading_role(entry, code("9J")) == "accidental"


def test_roles_of_numbers():
    entry = logged(number_leaf([number("01112025550123")]))
    assert reading_role(entry, number("12025550123")) == "intended"
    entry = logged(number_leaf([number("01112025550123"), number("01112025550124")]))
    assert reading_role(entry, number("12025550123")) == "accidental"
