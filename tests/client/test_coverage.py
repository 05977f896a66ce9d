"""Which number a certificate covers, and how: in its list, by its code, by reference, or not at all."""

import pytest

from ctlog import issuance
from ctlog.client import coverage
from ctlog.client.call_cache import CallCache
from ctlog.client.coverage import check_scope
from ctlog.client.credential import CallPolicy, open_credential
from ctlog.client.passport import verify_passport
from ctlog.errors import TransportError
from ctlog.issuance import Authority, Key
from ctlog.tn.numbers import ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.wire.passport import parse_passport
from tests.call_values import CA, NOW, NUMBER, ROOT_KEY, claims, referring, signed, subject, trust

POLICY = CallPolicy(scts=None)
TRUST = trust(POLICY)
LIST, OTHER_LIST = "https://numbers.example/a", "https://numbers.example/b"


def certificate(*extensions: bytes, authority: Authority = CA) -> tuple[bytes, ...]:
    tbs = authority.leaf(subject(), (issuance.END_ENTITY, issuance.DIGITAL_SIGNATURE, *extensions))
    return (authority.certificate_for(tbs), *authority.chain)


def covered(*extensions: bytes, orig: str = NUMBER, policy=POLICY, fetched=None, chain=(), cache=None):
    credential = open_credential(chain or certificate(*extensions), TRUST, NOW)
    passport = parse_passport(signed(claims(orig)))
    found = check_scope(credential, passport, policy, fetched or {}, cache)
    return found.check.outcome, found.check.reason, found.how, [need.url for need in found.needs]


def listed(value: bytes) -> bytes:
    return issuance.tn_auth_list(value)


def test_numbers_and_ranges():
    for value in (issuance.one("13035550100", NUMBER), issuance.number_range("12025550100", 100)):
        assert covered(listed(value)) == ("passed", "", "number", [])
    for value in (issuance.one("13035550100"), issuance.number_range("12025550124", 100), issuance.one("2025550123")):
        assert covered(listed(value)) == ("failed", "scope-does-not-cover", "", [])
    assert covered(listed(issuance.one("*67")), orig="*67")[0] == "passed"


def test_attack_a_messaging_certificate_that_calls():
    """Its `tel:` names are for messages: a list of numbers alone says who may call."""
    names = issuance.tel_names(NUMBER)
    assert covered(names) == ("failed", "no-scope", "", [])
    assert covered(names, listed(issuance.one("13035550100"))) == ("failed", "scope-does-not-cover", "", [])
    assert covered(names, listed(issuance.one(NUMBER))) == ("passed", "", "number", [])
    assert covered(names, listed(b"\x30\x00")) == ("failed", "scope-unreadable", "", [])


def test_attack_a_name_beside_a_code():
    """A code with a `tel:` name covers by code, and not as if the number stood in the list."""
    strict = CallPolicy(scts=None, by_code=False)
    both = (listed(issuance.spc("709J")), issuance.tel_names(NUMBER))
    assert covered(*both, policy=strict) == ("cannot-tell", "by-code", "by-code", [])


def test_attack_a_delegate_below_a_name():
    """A CA's `tel:` names hold nothing either: RFC 9060 compares lists."""
    key = Key.from_number(95)
    lists = (listed(issuance.one("13035550100")), issuance.tel_names(NUMBER))
    usual = (issuance.authority_constraints(), issuance.CERT_SIGN, issuance.subject_key_id(key.spki))
    above = CA.authority(key, subject("delegate", key), (*usual, *lists))
    chain = certificate(listed(issuance.one(NUMBER)), authority=above)
    check = next(c for c in open_credential(chain, TRUST, NOW).checks if c.name == "delegation")
    assert (check.outcome, check.reason) == ("failed", "scope-exceeds-issuer")


def test_codes():
    assert covered(listed(issuance.spc("709J"))) == ("passed", "by-code", "by-code", [])
    strict = CallPolicy(scts=None, by_code=False)
    assert covered(listed(issuance.spc("709J")), policy=strict) == ("cannot-tell", "by-code", "by-code", [])
    both = format_tnauthlist([ServiceProviderCode("709J"), TelephoneNumber(NUMBER)])
    assert covered(listed(both), policy=strict) == ("passed", "", "number", [])


def test_nothing_and_what_cannot_be_read():
    assert covered() == ("failed", "no-scope", "", [])
    for value in (b"", b"\x30\x00", bytes.fromhex("30061304373535") + b"J"):
        assert covered(listed(value)) == ("failed", "scope-unreadable", "", [])


def test_a_caller_without_a_number():
    credential = open_credential(certificate(listed(issuance.one(NUMBER))), TRUST, NOW)
    passport = parse_passport(signed(claims() | {"orig": {"uri": "sip:alice@example.com"}}))
    assert check_scope(credential, passport, POLICY, {}).check[1:3] == ("cannot-tell", "no-number")


# By reference -------------------------------------------------------------------------------------------------------

BY_REFERENCE = issuance.tn_auth_list_by_reference(LIST)
HELD, NOT_HELD = issuance.one(NUMBER), issuance.one("13035550100")


def test_nobody_can_tell_unless_the_list_is_brought():
    assert covered(BY_REFERENCE) == ("cannot-tell", "number-list-needed", "", [LIST])
    assert covered(BY_REFERENCE, fetched={LIST: HELD}) == ("passed", "", "by-reference", [])
    assert covered(BY_REFERENCE, fetched={LIST: NOT_HELD}) == ("failed", "scope-does-not-cover", "", [])
    assert covered(BY_REFERENCE, fetched={LIST: b"<html>"}) == ("failed", "number-list-unreadable", "", [])
    assert covered(BY_REFERENCE, fetched={LIST: issuance.spc("1")}) == ("passed", "by-code", "by-code", [])
    failed = TransportError("no answer", reason="unreachable")
    assert covered(BY_REFERENCE, fetched={LIST: failed}) == ("cannot-tell", "number-list-unreachable", "", [])


def test_of_several_lists_one_is_enough():
    both = referring(LIST, OTHER_LIST)
    assert covered(both) == ("cannot-tell", "number-list-needed", "", [LIST, OTHER_LIST])
    assert covered(both, fetched={LIST: NOT_HELD}) == ("cannot-tell", "number-list-needed", "", [OTHER_LIST])
    assert covered(both, fetched={LIST: NOT_HELD, OTHER_LIST: HELD})[0] == "passed"
    assert covered(both, fetched={OTHER_LIST: HELD})[0] == "passed"
    assert covered(both, fetched={LIST: NOT_HELD, OTHER_LIST: NOT_HELD})[1] == "scope-does-not-cover"
    failed = TransportError("no answer", reason="unreachable")
    assert covered(both, fetched={LIST: NOT_HELD, OTHER_LIST: failed})[1] == "number-list-unreachable"


def test_attack_a_certificate_that_has_us_fetch_four_hundred_lists():
    many = [f"https://numbers.example/{at}" for at in range(400)]
    assert covered(referring(*many[: coverage.MAX_LISTS]))[3] == many[: coverage.MAX_LISTS]
    assert covered(referring(*many[: coverage.MAX_LISTS + 1])) == ("failed", "too-many-lists", "", [])
    assert covered(referring(*many)) == ("failed", "too-many-lists", "", [])
    assert covered(referring(*many), listed(issuance.one(NUMBER)))[2] == "number"


def test_a_list_beyond_what_the_ca_holds():
    """The bytes of a list are not signed, so the CA's own list bounds them too."""
    top = issuance.root(ROOT_KEY, subject("root", ROOT_KEY))
    key = issuance.Key.from_number(61)
    held = issuance.tn_auth_list(issuance.number_range("12025550000", 1000))
    usual = (issuance.authority_constraints(), issuance.CERT_SIGN)
    delegate = top.authority(key, subject("delegate", key), (*usual, held))
    chain = certificate(BY_REFERENCE, authority=delegate)
    whom = trust(POLICY, roots=(top.certificate,))
    for value, outcome, word in (
        (HELD, "passed", None),
        (issuance.one(NUMBER, "13035550100"), "failed", "scope-exceeds-issuer"),
    ):
        verdict = verify_passport(signed(x5c=chain), whom, NOW, fetched={LIST: value})
        assert (verdict.outcome, verdict.reasons[:1]) == (outcome, (word,) if word else ())
    assert verify_passport(signed(x5c=chain), whom, NOW).outcome == "cannot-tell"


def test_a_list_is_read_once(monkeypatch):
    cache = CallCache()
    assert covered(BY_REFERENCE, fetched={LIST: HELD}, cache=cache)[0] == "passed"
    monkeypatch.setattr(coverage, "parse_tnauthlist", None)
    assert covered(BY_REFERENCE, fetched={LIST: HELD}, cache=cache)[0] == "passed"
    with pytest.raises(TypeError):
        covered(BY_REFERENCE, fetched={LIST: NOT_HELD}, cache=cache)
