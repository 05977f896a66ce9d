"""ctlog.issuance.ordered: what an order becomes, and what no CA of its profile would sign."""

from __future__ import annotations

from typing import Any

import pytest

from ctlog import issuance
from ctlog.errors import InputError, UsageError
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.issuance.ordered import PROFILES, Terms, delegate_orders, rcs_orders, shaken_orders
from ctlog.issuance.orders import Order
from ctlog.tn.identity import read_identity
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.names import name_text
from tests.issued import AUTHORITY, KEY, NOW

TERMS = Terms(7, lambda: NOW, "CA")
CODE, NUMBER, RANGE = ServiceProviderCode("709J"), TelephoneNumber("12025550100"), NumberRange("12025550100", 100)
UUID = "01234567-89ab-cdef-0123-456789abcdef"


def order(*claims: Claim, holder: str = "Example") -> Order:
    return Order(1, KEY.spki, holder, claims)


def delegate(tn_value: bytes) -> Authority:
    key = Key.from_number(31)
    who = Subject(issuance.name(CN="Delegate CA"), key.spki, NOW, NOW + 99 * DAY_MS)
    return issuance.delegate_authority(AUTHORITY, key, who, tn_value)


def made(tbs: bytes, authority: Authority = AUTHORITY) -> Certificate:
    return parse_certificate(authority.certificate_for(tbs))


def reason(build: Any, wanted: Order) -> str:
    with pytest.raises(InputError) as caught:
        build(wanted)
    return caught.value.reason


@pytest.mark.parametrize(
    ("profile", "wanted", "subject"),
    [
        ("shaken", order(CODE), "CN=SHAKEN 709J,O=Example,C=CA"),
        ("delegate", order(CODE, RANGE, NUMBER), "CN=Example,O=Example,C=CA"),
        ("rcs", order(NUMBER, holder=UUID), f"CN={UUID}"),
    ],
)
def test_each_profile_says_what_was_ordered(profile: str, wanted: Order, subject: str) -> None:
    certificate = made(PROFILES[profile](AUTHORITY, TERMS)(wanted))
    assert read_identity(certificate).claims == wanted.claims
    assert (name_text(certificate.subject), certificate.spki) == (subject, KEY.spki)
    assert (certificate.not_before_ms, certificate.not_after_ms) == (NOW, NOW + 7 * DAY_MS - 1000)


def test_each_certificate_has_a_serial_of_its_own() -> None:
    build = delegate_orders(AUTHORITY, TERMS)
    assert build(order(NUMBER)) != build(order(NUMBER))


@pytest.mark.parametrize("wanted", [order(NUMBER), order(RANGE), order(CODE, NUMBER), order(CODE, CODE)])
def test_a_service_provider_has_one_code(wanted: Order) -> None:
    assert reason(shaken_orders(AUTHORITY, TERMS), wanted) == "one-code"


def test_somebody_holds_it() -> None:
    assert reason(shaken_orders(AUTHORITY, TERMS), order(CODE, holder="")) == "no-holder"
    assert reason(delegate_orders(AUTHORITY, TERMS), order(NUMBER, holder="")) == "no-holder"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (order(NUMBER), ""), (order(RANGE), ""), (order(TelephoneNumber("12025550199")), ""),
        (order(TelephoneNumber("12025550200")), "scope-exceeds-issuer"),
        (order(NUMBER, NumberRange("12025550199", 2)), "scope-exceeds-issuer"),
        (order(TelephoneNumber("2025550100")), "scope-exceeds-issuer"),
        (order(CODE), "scope-exceeds-issuer"),
    ],
)  # fmt: skip
def test_a_delegate_ca_issues_for_what_it_holds(wanted: Order, expected: str) -> None:
    build = delegate_orders(delegate(issuance.number_range("12025550100", 100)), TERMS)
    assert (reason(build, wanted) if expected else build(wanted) and "") == expected


def test_behind_a_code_may_be_any_number_but_no_other_code() -> None:
    build = delegate_orders(delegate(issuance.spc("709J")), TERMS)
    assert build(order(NUMBER, CODE))
    assert reason(build, order(ServiceProviderCode("683G"))) == "scope-exceeds-issuer"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (order(CODE, holder=UUID), "numbers-only"), (order(RANGE, holder=UUID), "numbers-only"),
        (order(TelephoneNumber("*67"), holder=UUID), "numbers-only"),
        (order(NUMBER, holder="Example"), "not-a-uuid"), (order(NUMBER, holder=""), "not-a-uuid"),
    ],
)  # fmt: skip
def test_a_messaging_client_is_a_uuid_with_numbers(wanted: Order, expected: str) -> None:
    assert reason(rcs_orders(AUTHORITY, TERMS), wanted) == expected


def test_lives_that_are_too_long_end_it_before_anything_is_issued() -> None:
    with pytest.raises(UsageError, match="76 days"):
        rcs_orders(AUTHORITY, TERMS._replace(days=77))
    short = delegate(issuance.spc("709J"))
    for make in PROFILES.values():
        with pytest.raises(UsageError) as caught:
            make(short, TERMS._replace(days=100))
        assert caught.value.reason == "outlives-issuer"
    assert shaken_orders(short, TERMS._replace(days=99))
