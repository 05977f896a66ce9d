"""ctlog.issuance.ordered: what an order becomes, and what no CA of its profile would sign."""

from __future__ import annotations

from typing import Any

import pytest

from ctlog import issuance
from ctlog.errors import InputError, UsageError
from ctlog.issuance import DAY_MS, Authority, Key, Participant, Subject
from ctlog.issuance.ordered import PROFILES, Terms, delegate_orders, rcs_orders, shaken_orders
from ctlog.issuance.orders import Order
from ctlog.issuance.rcs import APPLE, GOOGLE, carrier_proof, rcs_leaf, subject_name
from ctlog.issuance.vouched import StandIns, check_participant, check_proof
from ctlog.tn.identity import read_identity
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.names import name_text
from tests.issued import AUTHORITY, KEY, NOW, vendor

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


def test_words_that_no_certificate_has_are_none_however_an_order_was_made() -> None:
    for profile in ("shaken", "delegate"):
        assert reason(PROFILES[profile](AUTHORITY, TERMS), order(CODE, holder="x" * 65)) == "bad-holder"
        with pytest.raises(InputError, match="two capital letters"):
            PROFILES[profile](AUTHORITY, TERMS._replace(country="Usa"))


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


VENDOR = vendor()
STAND_INS = StandIns(Key.from_number(7), Key.from_number(8))
PROOF = carrier_proof(NOW + DAY_MS, b"signed")
WHO = Subject(subject_name(UUID), KEY.spki, NOW, NOW + 7 * DAY_MS - 1000)


def participant(vendor_id: int = GOOGLE, number: str = NUMBER.digits) -> bytes:
    person = Participant(vendor_id, Key.from_number(61), NOW, NOW + 99 * DAY_MS)
    return made(rcs_leaf(VENDOR, WHO, number, participant=person), VENDOR).extensions[6].value


def vouched(wanted: Order, *more: Any) -> list[bytes]:
    """What stands in it behind the policies."""
    return [each.value for each in made(rcs_orders(VENDOR, TERMS, *more)(wanted), VENDOR).extensions[6:]]


def test_who_vouches_for_a_messaging_client_comes_with_its_order() -> None:
    """Byte for byte, also where somebody would stand in."""
    wanted = order(NUMBER, holder=UUID)._replace(participant=participant(), proof=PROOF)
    assert vouched(wanted) == vouched(wanted, STAND_INS) == [participant(), PROOF]
    assert vouched(order(NUMBER, holder=UUID)) == []


def test_in_a_hierarchy_for_tests_somebody_stands_in() -> None:
    said, proof = vouched(order(NUMBER, holder=UUID), STAND_INS)
    check_participant(said, GOOGLE, WHO, NUMBER.digits)
    check_proof(proof, NOW + 7 * DAY_MS - 1001)
    with pytest.raises(UsageError, match="no messaging vendor"):
        rcs_orders(AUTHORITY, TERMS, STAND_INS)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"participant": participant(number="12025550199")}, "bad-participant"),
        ({"participant": b"mine"}, "bad-participant"),
        ({"participant": participant(APPLE)}, "wrong-vendor"),
        ({"proof": b"mine"}, "bad-proof"),
        ({"proof": carrier_proof(NOW - 1000, b"signed")}, "expired-proof"),
    ],
)
def test_whoever_does_not_vouch_for_this_client_is_refused_before_it_is_signed(
    change: dict[str, bytes], expected: str
) -> None:
    wanted = order(NUMBER, holder=UUID)._replace(**change)
    assert reason(rcs_orders(VENDOR, TERMS), wanted) == expected
    assert reason(rcs_orders(VENDOR, TERMS, STAND_INS), wanted) == expected


def test_nobody_vouches_for_other_profiles() -> None:
    for more in {"participant": participant()}, {"proof": PROOF}:
        assert reason(shaken_orders(AUTHORITY, TERMS), order(CODE)._replace(**more)) == "rcs-only"
        assert reason(delegate_orders(AUTHORITY, TERMS), order(NUMBER)._replace(**more)) == "rcs-only"


def test_lives_that_are_too_long_end_it_before_anything_is_issued() -> None:
    with pytest.raises(UsageError, match="76 days"):
        rcs_orders(AUTHORITY, TERMS._replace(days=77))
    short = delegate(issuance.spc("709J"))
    for make in PROFILES.values():
        with pytest.raises(UsageError) as caught:
            make(short, TERMS._replace(days=100))
        assert caught.value.reason == "outlives-issuer"
    assert shaken_orders(short, TERMS._replace(days=99))
