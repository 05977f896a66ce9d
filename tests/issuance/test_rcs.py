"""ctlog.issuance.rcs: the messaging profile, field by field, and what the participant vouches for."""

from __future__ import annotations

from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyasn1.codec.der.decoder import decode

from ctlog import issuance
from ctlog.errors import UsageError
from ctlog.issuance import DAY_MS, Key, Participant, Subject
from ctlog.issuance.rcs import (
    GOOGLE,
    LEAF_DAYS,
    carrier_proof,
    rcs_intermediate,
    rcs_leaf,
    rcs_root,
    subject_name,
    vouched_for,
)
from ctlog.issuance.write import items
from ctlog.tn.identity import read_identity
from ctlog.x509.der import parse_certificate
from tests.issued import AUTHORITY, KEY, NOW, check_chain, load, subject, vendor


def test_an_rcs_leaf_names_its_numbers_as_uris() -> None:
    who = subject(issuance.name(CN="7f4df1ad-1a4e-4f26-8a2e-56d6d83c4a43"))
    certificate = load(AUTHORITY.certificate_for(issuance.rcs_leaf(AUTHORITY, who, "12025550123", "12025550124")))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["tel:+12025550123", "tel:+12025550124"]
    check_chain(AUTHORITY.certificate_for(issuance.rcs_leaf(AUTHORITY, who, "12025550123")), AUTHORITY)


WHO = UUID("7f4df1ad-1a4e-4f26-8a2e-56d6d83c4a43")
PERSON = Key.from_number(61)


def client(number: str = "12025550123") -> bytes:
    who = Subject(subject_name(WHO), KEY.spki, NOW, NOW + LEAF_DAYS * DAY_MS)
    participant = Participant(GOOGLE, PERSON, NOW, NOW + 365 * DAY_MS)
    proof = carrier_proof(NOW + 90 * DAY_MS, b"\x30" * 71)
    return rcs_leaf(vendor(), who, number, participant=participant, proof=proof)


def test_a_vendors_certificate_is_the_profile_field_by_field() -> None:
    authority = vendor()
    der = authority.certificate_for(client())
    check_chain(der, authority)
    found = load(der)
    assert found.subject.public_bytes() == subject_name(WHO)
    assert items(items(items(found.subject.public_bytes())[0])[0])[1][0] == 0x0C  # UTF8String
    assert [(e.oid.dotted_string, e.critical) for e in found.extensions] == [
        ("2.5.29.15", True), ("2.5.29.37", False), ("2.5.29.14", False), ("2.5.29.35", False), ("2.5.29.17", False),
        ("2.5.29.32", False), ("2.23.146.2.1.4", True), ("2.23.146.2.1.5", False),
    ]  # fmt: skip
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [each.dotted_string for each in usage] == ["2.23.146.2.1.3"]
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("tel:+12025550123")]
    (policy,) = found.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert (policy.policy_identifier.dotted_string, policy.policy_qualifiers) == ("2.23.146.2.1.2", None)
    assert read_identity(parse_certificate(der)).family == "rcs"


def test_the_participant_vouches_for_just_this_client() -> None:
    found = parse_certificate(vendor().certificate_for(client()))
    value = found.extensions[6].value
    vendor_id, during, algorithm, signature, key = items(value)
    read, rest = decode(value)
    assert (len(read), rest, int(read[0])) == (5, b"", GOOGLE)
    assert key == PERSON.spki != found.spki
    assert algorithm == PERSON.algorithm
    signed = vouched_for(found.subject, vendor_id, during, found.spki, found.extensions[4].value)
    public = serialization.load_der_public_key(key)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature[3:], signed, ec.ECDSA(hashes.SHA256()))
    other = parse_certificate(vendor().certificate_for(client("12025550124")))
    assert items(other.extensions[6].value)[3] != signature


def test_what_a_participant_brings_stands_in_it_as_it_came() -> None:
    who = Subject(subject_name(WHO), KEY.spki, NOW, NOW + LEAF_DAYS * DAY_MS, 1)
    signed = rcs_leaf(vendor(), who, "12025550123", participant=Participant(GOOGLE, PERSON, NOW, NOW + DAY_MS))
    value = parse_certificate(vendor().certificate_for(signed)).extensions[6].value
    assert rcs_leaf(vendor(), who, "12025550123", participant=value) == signed
    bare = rcs_leaf(vendor(), who, "12025550123")
    assert rcs_leaf(vendor(), who, "12025550123", participant=b"") == bare != signed


def test_the_cas_say_which_vendor_they_are_and_issue_no_cas() -> None:
    authority = vendor()
    for der in authority.chain:
        last = load(der).extensions[-1]
        assert (last.oid.dotted_string, last.value.value, last.critical) == ("2.23.146.2.1.6", b"\x02\x01\x02", False)
    constraints = load(authority.certificate).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.path_length == 0


@pytest.mark.parametrize(("size", "prefix"), [(63, "3f"), (71, "4047"), (72, "4048")])
def test_the_carriers_proof_is_framed_as_mls_does(size: int, prefix: str) -> None:
    """The 71-octet one is that of deployed certificates: 8 octets of time, 4047, the signature; 81 in all."""
    framed = carrier_proof(1_791_149_096_000, bytes(size))
    assert framed.hex() == "000000006ac2c428" + prefix + "00" * size
    with pytest.raises(UsageError, match="16384 octets"):
        carrier_proof(0, bytes(1 << 14))


def test_cas_that_live_too_long_are_refused() -> None:
    who = Subject(issuance.name(CN="x"), KEY.spki, NOW, NOW + 3653 * DAY_MS)
    with pytest.raises(UsageError, match="3652 days"):
        rcs_root(KEY, who, GOOGLE)
    with pytest.raises(UsageError, match="1827 days"):
        rcs_intermediate(AUTHORITY, KEY, who, GOOGLE)
