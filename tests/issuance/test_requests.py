"""ctlog.issuance.requests: whose key it is, and what a CA must not sign."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.errors import CtlogError, UsageError
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.issuance.requests import Request, check_issuable, read_request, read_subject_key
from tests.issued import AUTHORITY, KEY, NOW, shaken, subject
from tests.pem import pem

PRIVATE = ec.derive_private_key(13, ec.SECP256R1())  # of KEY
PEM = serialization.Encoding.PEM


def csr(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = PRIVATE) -> bytes:
    names = [(NameOID.COUNTRY_NAME, "CA"), (NameOID.ORGANIZATION_NAME, "Acme"), (NameOID.COMMON_NAME, "Acme 1")]
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(*each) for each in names]))
    return builder.sign(private, hashes.SHA256()).public_bytes(PEM)


def test_a_request_gives_its_key_and_names() -> None:
    assert read_request(csr()) == Request(KEY.spki, "Acme", "Acme 1", "CA")


def test_a_key_of_any_half() -> None:
    public = PRIVATE.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert read_subject_key(public) == read_subject_key(KEY.to_pem()) == Request(KEY.spki)


def test_a_request_by_another_key_is_refused() -> None:
    """Whoever cannot sign with a key must not get a certificate for it."""
    der = bytearray(x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(PEM)
    with pytest.raises(UsageError, match=r"not signed by the key|no certification request"):
        read_request(forged)


@pytest.mark.parametrize("private", [ec.derive_private_key(5, ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_a_key_with_which_no_call_can_be_signed(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    public = private.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for read, data in ((read_request, csr(private)), (read_subject_key, public)):
        with pytest.raises(UsageError) as caught:
            read(data)
        assert caught.value.reason == "unsupported-key"


@pytest.mark.parametrize("data", [b"", b"nonsense", KEY.to_pem()[:-30], csr()[:100]])
def test_what_is_neither(data: bytes) -> None:
    for read in (read_request, read_subject_key):
        with pytest.raises(UsageError) as caught:
            read(data)
        assert caught.value.reason == "bad-request"


DER = x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER)
UNUSED_BITS = len(DER) - len(x509.load_der_x509_csr(DER).signature) - 1
"""Where the signature says how many bits of its last octet do not count: those are 0, so saying so changes nothing."""


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(DER) - 1), st.integers(0, 7))
def test_no_flipped_bit_of_a_request_passes_or_raises_anything_else(at: int, bit: int) -> None:
    wrong = bytearray(DER)
    wrong[at] ^= 1 << bit
    try:
        found = read_request(pem(bytes(wrong), label="CERTIFICATE REQUEST"))
    except UsageError:
        return
    assert at == UNUSED_BITS
    assert found == read_request(pem(DER, label="CERTIFICATE REQUEST"))


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for text in (data, pem(data, label="CERTIFICATE REQUEST"), pem(data, label="PUBLIC KEY")):
        for read in (read_request, read_subject_key):
            with pytest.raises(UsageError):
                read(text)


def reason(authority: issuance.Authority, tbs: bytes) -> str:
    with pytest.raises(CtlogError) as caught:
        check_issuable(authority, tbs, NOW)
    return caught.value.reason


def test_what_a_ca_must_not_sign() -> None:
    key = Key.from_number(81)
    who = Subject(issuance.name(CN="Delegate CA"), key.spki, NOW, NOW + DAY_MS)
    delegate = issuance.delegate_authority(AUTHORITY, key, who, issuance.number_range("12025550100", 100))
    late = Subject(issuance.name(CN="x"), KEY.spki, NOW, NOW + 2 * DAY_MS)
    assert check_issuable(delegate, issuance.delegate_leaf(delegate, subject(), issuance.one("12025550199")), NOW) == ()
    assert reason(delegate, issuance.delegate_leaf(delegate, subject(), issuance.one("12025550200"))) == (
        "scope-exceeds-issuer"
    )
    assert reason(delegate, issuance.rcs_leaf(delegate, subject(), "12025550100")) == "scope-list-missing"
    assert reason(delegate, issuance.delegate_leaf(delegate, late, issuance.one("12025550100"))) == "outlives-issuer"
    assert reason(AUTHORITY, AUTHORITY.leaf(subject(), [issuance.END_ENTITY])) == "no-number"
    assert reason(AUTHORITY, b"\x30\x00") == "malformed"


def test_what_is_worth_a_second_look() -> None:
    assert check_issuable(AUTHORITY, shaken(), NOW) == ()
    long = Subject(issuance.name(CN="x"), KEY.spki, NOW, NOW + 400 * DAY_MS)
    odd = check_issuable(AUTHORITY, issuance.delegate_leaf(AUTHORITY, long, issuance.one("0049301234567")), NOW)
    assert any("begins with 0" in sentence for sentence in odd)
    assert any("398 days" in sentence for sentence in odd)


def test_nothing_is_signed_to_find_out() -> None:
    class Silent(Key):
        def sign(self, data: bytes) -> bytes:
            raise AssertionError("signed")

    silent = Silent(ec.derive_private_key(12, ec.SECP256R1()))
    authority = issuance.Authority.of(AUTHORITY.chain, silent)
    assert check_issuable(authority, shaken(), NOW) == ()
