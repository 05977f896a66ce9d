"""ctlog.issuance.extensions against published vectors and other people's decoders."""

from __future__ import annotations

import pytest
from pyasn1.codec.der.decoder import decode
from pyasn1_alt_modules import rfc8226, rfc9118

from ctlog import issuance
from ctlog.errors import MalformedError
from ctlog.tn.claim_constraints import ClaimConstraints
from tests.issued import AUTHORITY, TN_OID, load, subject


@pytest.mark.parametrize(
    ("value", "expected"),
    [  # phone-certificates.md, section 1.1
        (issuance.spc("683G"), "3008a006160436383347"),
        (issuance.one("12025550123"), "300fa20d160b3132303235353530313233"),
        (issuance.number_range("12025550100", 100), "3014a1123010160b3132303235353530313030020164"),
        (issuance.one("*67#"), "3008a20616042a363723"),
    ],
)
def test_tn_auth_lists_are_the_published_vectors(value: bytes, expected: str) -> None:
    assert value.hex() == expected
    certificate = load(AUTHORITY.certificate_for(issuance.delegate_leaf(AUTHORITY, subject(), value)))
    assert certificate.extensions.get_extension_for_oid(TN_OID).value.value.hex() == expected


CONSTRAINTS = ClaimConstraints(("rcd",), (("attest", ("A", "B")), ("origid", ("x",))))


def constrained(constraints: ClaimConstraints, enhanced: bool | None = None) -> tuple[str, bytes, bool]:
    tbs = issuance.delegate_leaf(
        AUTHORITY, subject(), issuance.one("12025550123"), constraints=constraints, enhanced=enhanced
    )
    last = load(AUTHORITY.certificate_for(tbs)).extensions[-1]
    return last.oid.dotted_string, last.value.value, last.critical


def test_claim_constraints_are_those_of_rfc_8226() -> None:
    oid, value, critical = constrained(CONSTRAINTS)
    assert (oid, critical) == ("1.3.6.1.5.5.7.1.27", False)
    read, rest = decode(value, asn1Spec=rfc8226.JWTClaimConstraints())
    assert not rest
    assert [str(claim) for claim in read["mustInclude"]] == ["rcd"]
    values = {str(one["claim"]): [str(value) for value in one["permitted"]] for one in read["permittedValues"]}
    assert values == {"attest": ["A", "B"], "origid": ["x"]}


def test_what_is_excluded_takes_the_enhanced_form_of_rfc_9118() -> None:
    oid, value, critical = constrained(CONSTRAINTS._replace(must_exclude=("crn", "rcdi")))
    assert (oid, critical) == ("1.3.6.1.5.5.7.1.33", False)
    read, rest = decode(value, asn1Spec=rfc9118.EnhancedJWTClaimConstraints())
    assert not rest
    assert [str(claim) for claim in read["mustExclude"]] == ["crn", "rcdi"]
    assert constrained(CONSTRAINTS, enhanced=True)[:2] == ("1.3.6.1.5.5.7.1.33", constrained(CONSTRAINTS)[1])


def test_constraints_that_cannot_be_said_are_refused() -> None:
    with pytest.raises(MalformedError, match="does not belong here"):
        issuance.claim_constraints(ClaimConstraints(must_exclude=("crn",)), enhanced=False)
    with pytest.raises(MalformedError, match="says nothing"):
        issuance.claim_constraints(ClaimConstraints())
    with pytest.raises(MalformedError, match="orig is excluded"):  # every call would be refused
        issuance.claim_constraints(ClaimConstraints(must_exclude=("crn", "orig")))
    with pytest.raises(MalformedError, match="rcd must be there and must not"):
        issuance.claim_constraints(ClaimConstraints(("attest", "rcd"), (), ("crn", "rcd")))
