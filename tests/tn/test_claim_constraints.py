"""What certificates allow PASSporTs to claim: read as Housley's module reads it, and applied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc8226, rfc9118

from ctlog import issuance
from ctlog.errors import MalformedError, RefusedError
from ctlog.tn.claim_constraints import (
    ClaimConstraints,
    check_claims,
    constraints_of,
    format_claim_constraints,
    parse_claim_constraints,
)
from ctlog.x509.der import parse_certificate
from tests.call_values import CA, subject

OIDS = {False: "1.3.6.1.5.5.7.1.27", True: "1.3.6.1.5.5.7.1.33"}
# The value of pyasn1-modules' own test of RFC 8226.
FIRST = bytes.fromhex(
    "303da00730051603666f6fa13230303019160"
    "3666f6f30120c04666f6f310c04666f6f320c04666f6f3330131603626172300c0c04626172310c0462617232"
)
NAMES = st.lists(st.text("abcdefghijklmnopqrstuvwxyz_-", max_size=6), min_size=1, max_size=3, unique=True).map(tuple)
VALUES = st.lists(st.text(max_size=5), min_size=1, max_size=3).map(tuple)
PERMITTED = st.lists(st.tuples(st.text("abc", max_size=3), VALUES), min_size=1, max_size=3).map(tuple)
NONE = st.just(())
CONSTRAINTS = st.builds(ClaimConstraints, NAMES | NONE, PERMITTED | NONE, NAMES | NONE).filter(any)


def certificate(*values: tuple[bool, bytes]):
    extensions = [issuance.extension(OIDS[enhanced], value) for enhanced, value in values]
    return parse_certificate(CA.certificate_for(CA.leaf(subject(), extensions)))


def refused(constraints: ClaimConstraints, **claims) -> str:
    with pytest.raises(RefusedError) as caught:
        check_claims([constraints], claims)
    return caught.value.reason


# Reading and writing ------------------------------------------------------------------------------------------------


def test_a_published_value():
    expected = ClaimConstraints(("foo",), (("foo", ("foo1", "foo2", "foo3")), ("bar", ("bar1", "bar2"))))
    for enhanced in (False, True):
        assert parse_claim_constraints(FIRST, enhanced=enhanced) == expected
    assert format_claim_constraints(expected) == FIRST


@given(CONSTRAINTS)
def test_written_as_another_program_writes_it(constraints):
    der = format_claim_constraints(constraints)
    assert parse_claim_constraints(der, enhanced=True) == constraints
    spec = rfc9118.EnhancedJWTClaimConstraints() if constraints.must_exclude else rfc8226.JWTClaimConstraints()
    value, rest = decoder.decode(der, asn1Spec=spec)
    assert not rest
    assert encoder.encode(value) == der
    assert tuple(map(str, value["mustInclude"])) == constraints.must_include
    if constraints.must_exclude:
        assert tuple(map(str, value["mustExclude"])) == constraints.must_exclude
        with pytest.raises(MalformedError):
            parse_claim_constraints(der, enhanced=False)


@pytest.mark.parametrize("value", [
    "", "3000", "0400", "3002a000", "3004a0023000", "3007a00530031601", "3007a0053003160161ff",
    "3007a0053003040161",  # a name that is no IA5String
    "3007a00530031601ff",  # nor ASCII
    "300ea0053003160161a0053003160162",  # twice
    "300ea1053003160161a0053003160162",  # in the wrong order
    "3009a1073005300316016130",  # no values
    "300ba1093007300516016130003000", "300da10b3009300716016130020c01", "300ea10c300a3008160161300304016a",
    "300ea10c300a300816016130030c01ff", "3080a00530031601610000", "3007a3053003160161",
])  # fmt: skip
def test_unreadable(value):
    der = bytes.fromhex(value)
    for enhanced in (False, True):
        with pytest.raises(MalformedError):
            parse_claim_constraints(der, enhanced=enhanced)


@given(st.binary(max_size=30), st.integers(0, len(FIRST)))
def test_no_bytes_raise_anything_else(data, at):
    for der in (data, FIRST[:at] + data, FIRST[:at] + data + FIRST[at + len(data) :]):
        try:
            found = parse_claim_constraints(der, enhanced=True)
        except MalformedError:
            continue
        assert format_claim_constraints(found) == der


def test_what_cannot_be_written():
    for constraints in (ClaimConstraints(), ClaimConstraints(("é",)), ClaimConstraints((), (("a", ()),))):
        with pytest.raises(MalformedError):
            format_claim_constraints(constraints)


# In certificates ----------------------------------------------------------------------------------------------------


def test_in_a_certificate():
    one, two = ClaimConstraints(("rcd",)), ClaimConstraints((), (), ("attest",))
    first, second = (False, format_claim_constraints(one)), (True, format_claim_constraints(two))
    assert constraints_of(certificate()) == ()
    assert constraints_of(certificate(first)) == (one,)
    assert constraints_of(certificate(first, second)) == (one, two)
    with pytest.raises(MalformedError):
        constraints_of(certificate((False, second[1])))
    with pytest.raises(MalformedError):
        constraints_of(certificate(first, (True, b"\x30\x00")))


@pytest.mark.parametrize("name", ["iat", "orig", "dest"])
def test_excluding_what_is_always_there_opens_no_door(name):
    """RFC 9118 section 3 forbids it. Taken as absent, the extension would set free what its CA wanted to forbid."""
    value = format_claim_constraints(ClaimConstraints(("rcd",), (), ("attest", name)))
    with pytest.raises(MalformedError, match=f"{name} is excluded") as caught:
        constraints_of(certificate((True, value)))
    assert caught.value.reason == "unreadable-constraints"
    with pytest.raises(MalformedError):  # nor can another extension beside it heal it
        constraints_of(certificate((False, format_claim_constraints(ClaimConstraints(("rcd",)))), (True, value)))


# Applied ------------------------------------------------------------------------------------------------------------


def test_a_claim_that_is_demanded():
    constraints = ClaimConstraints(must_include=("rcd", "rcdi"))
    check_claims([constraints], {"rcd": {}, "rcdi": {}, "other": 1})
    assert refused(constraints, rcd={}) == "claim-missing"


def test_a_claim_that_is_forbidden():
    constraints = ClaimConstraints(must_exclude=("attest",))
    check_claims([constraints], {"rcd": {}})
    assert refused(constraints, attest="A") == "claim-forbidden"
    assert refused(constraints, attest=None) == "claim-forbidden"


def test_a_value_that_is_not_permitted():
    constraints = ClaimConstraints(permitted=(("attest", ("B", "C")), ("rcd", ('{"nam":"Example","url":"https://e"}',))))
    check_claims([constraints], {})
    check_claims([constraints], {"attest": "B", "rcd": {"url": "https://e", "nam": "Example"}})
    assert refused(constraints, attest="A") == "claim-value-forbidden"
    assert refused(constraints, attest="b") == "claim-value-forbidden"
    assert refused(constraints, attest=["B"]) == "claim-value-forbidden"
    assert refused(constraints, attest=2**70) == "claim-value-forbidden"
    assert refused(constraints, rcd={"nam": "Example"}) == "claim-value-forbidden"


def test_all_of_them_bind():
    both = [ClaimConstraints(("a",)), ClaimConstraints(must_exclude=("b",))]
    check_claims(both, {"a": 1})
    for claims in ({}, {"a": 1, "b": 1}):
        with pytest.raises(RefusedError):
            check_claims(both, claims)
