"""Signature schemes: certificates signed by other software verify, and nothing else does."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import RefusedError
from ctlog.x509.der import Certificate, format_tlv, oid, parse_certificate
from ctlog.x509.signatures import Family, Scheme, load_key, read_scheme, verify
from tests import der_tree
from tests.corpus import lints, need_corpus, null_parameters

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA")])
_RSA = rsa.generate_private_key(65537, 2048)
_EC = {curve.name: ec.derive_private_key(7, curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())}
_ED = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
_SHA2 = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())


def spki(private: Any) -> bytes:
    public = private.public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(private: Any, hashed: Any, pad: Any = None) -> Certificate:
    """A self-signed certificate by `cryptography`, split by us."""
    builder = x509.CertificateBuilder(_NAME, _NAME, private.public_key(), 7,
                                      datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip
    certificate = builder.sign(private, hashed, rsa_padding=pad)
    return parse_certificate(certificate.public_bytes(serialization.Encoding.DER))


def holds(certificate: Certificate) -> bool:
    scheme = read_scheme(certificate.algorithm, "x")
    return verify(load_key(certificate.spki, "x"), scheme, certificate.signature, certificate.tbs)


GOOD = [
    *((f"{curve} {hashed.name}", lambda key=key, hashed=hashed: signed(key, hashed)) for curve, key in _EC.items()
      for hashed in _SHA2),
    *((f"rsa {hashed.name}", lambda hashed=hashed: signed(_RSA, hashed)) for hashed in _SHA2),
    *((f"pss {hashed.name} {salt}", lambda hashed=hashed, salt=salt:
       signed(_RSA, hashed, padding.PSS(padding.MGF1(hashed), salt))) for hashed in _SHA2 for salt in (0, 20, 32, 64)),
    ("ed25519", lambda: signed(_ED, None)),
]  # fmt: skip


@pytest.mark.parametrize("make", [make for _, make in GOOD], ids=[name for name, _ in GOOD])
def test_every_scheme_verifies_and_every_changed_octet_does_not(make: Any) -> None:
    good = make()
    assert holds(good)
    for at in (0, 1, len(good.signature) // 2, len(good.signature) - 1):
        bent = bytearray(good.signature)
        bent[at] ^= 1
        assert not holds(good._replace(signature=bytes(bent)))
    assert not holds(good._replace(signature=b""))
    assert not holds(good._replace(signature=good.signature + b"\0"))
    assert not holds(good._replace(tbs=good.tbs[:-1] + bytes((good.tbs[-1] ^ 1,))))


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    good = signed(_EC["secp256r1"], hashes.SHA256())
    key, scheme = load_key(good.spki, "x"), read_scheme(good.algorithm, "x")
    for at in range(len(good.signature) * 8):
        bent = bytearray(good.signature)
        bent[at // 8] ^= 1 << at % 8
        assert not verify(key, scheme, bytes(bent), good.tbs)


def test_a_key_of_another_kind_verifies_nothing() -> None:
    schemes = [Scheme(family, hashes.SHA256(), 32) for family in Family]
    keys = [load_key(spki(private), "x") for private in (_EC["secp256r1"], _RSA, _ED)]
    for scheme in schemes:
        for key in keys:
            assert not verify(key, scheme, b"\x30\x06\x02\x01\x01\x02\x01\x01", b"data")


@pytest.mark.parametrize(("kind", "parameters", "family"), [
    ("1.2.840.10045.4.3.2", b"\x05\0", Family.ECDSA), ("1.2.840.10045.4.3.4", b"", Family.ECDSA),
    ("1.2.840.113549.1.1.11", b"", Family.RSA), ("1.2.840.113549.1.1.13", b"\x05\0", Family.RSA),
    ("1.3.101.112", b"", Family.ED25519), ("1.2.840.10045.4.3.3", b"junk", Family.ECDSA),
])  # fmt: skip
def test_parameters_that_say_nothing_are_not_looked_at(kind: str, parameters: bytes, family: Family) -> None:
    algorithm = format_tlv(0x30, format_tlv(0x06, oid(kind)) + parameters)
    assert read_scheme(algorithm, "x").family is family


@need_corpus
def test_the_explicit_null_of_a_real_hierarchy_verifies() -> None:
    by_key = [parse_certificate(der) for der in null_parameters()[0]]
    roots = [found for found in by_key if found.issuer == found.subject]
    assert len(roots) == 2
    for root in roots:
        assert root.algorithm.endswith(b"\x05\0")
        assert holds(root)


@pytest.mark.parametrize(("kind", "reason"), [
    ("1.2.840.10045.4.1", "sha1-signature"), ("1.2.840.113549.1.1.5", "sha1-signature"),
    ("1.3.14.3.2.29", "sha1-signature"),
    ("1.2.840.113549.1.1.4", "unsupported-signature"), ("1.2.840.10045.4.3.1", "unsupported-signature"),
    ("1.3.101.113", "unsupported-signature"), ("2.16.840.1.101.3.4.3.17", "unsupported-signature"),
])  # fmt: skip
def test_other_schemes_are_refused_by_name(kind: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=r"^certificate 3 of the chain is signed with") as caught:
        read_scheme(format_tlv(0x30, format_tlv(0x06, oid(kind))), "certificate 3 of the chain")
    assert caught.value.reason == reason
    if reason == "unsupported-signature":
        assert kind in str(caught.value)


@need_corpus
def test_sha1_of_the_field_is_refused() -> None:
    for name in ("shakenCP1_4WSHA1", "shakenCaSigAlgSHA1"):
        with pytest.raises(RefusedError) as caught:
            read_scheme(parse_certificate(lints()[name]).algorithm, "x")
        assert caught.value.reason == "sha1-signature"


def pss(*parts: bytes) -> bytes:
    return format_tlv(0x30, format_tlv(0x06, oid("1.2.840.113549.1.1.10")) + format_tlv(0x30, b"".join(parts)))


def hashed(tag: int, kind: str, *inner: bytes) -> bytes:
    return format_tlv(tag, format_tlv(0x30, format_tlv(0x06, oid(kind)) + b"".join(inner)))


def mask(kind: str) -> bytes:
    return hashed(0xA1, "1.2.840.113549.1.1.8", format_tlv(0x30, format_tlv(0x06, oid(kind)) + b"\x05\0"))


SHA1, SHA256, SHA384 = "1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2"


@pytest.mark.parametrize(("algorithm", "reason"), [
    (pss(), "sha1-signature"), (pss(hashed(0xA0, SHA256)), "sha1-signature"), (pss(mask(SHA256)), "sha1-signature"),
    (pss(hashed(0xA0, SHA1), mask(SHA1)), "sha1-signature"), (pss(hashed(0xA0, SHA256), mask(SHA1)), "sha1-signature"),
    (pss(hashed(0xA0, SHA256), mask(SHA384)), "unsupported-signature"),
    (pss(hashed(0xA0, "1.2.3"), mask("1.2.3")), "unsupported-signature"),
    (pss(hashed(0xA0, SHA256), hashed(0xA1, "1.2.840.113549.1.1.8")), "unsupported-signature"),
    (pss(hashed(0xA0, SHA256), mask(SHA256), b"\xa2\x03\x02\x01\xff"), "unsupported-signature"),
    (pss(hashed(0xA0, SHA256), mask(SHA256), b"\xa2\x05\x02\x03\x7f\xff\xff"), "unsupported-signature"),
    (pss(hashed(0xA0, SHA256), mask(SHA256), b"\xa2\x03\x04\x01\x20"), "unsupported-signature"),
    (pss(b"\xa0"), "unsupported-signature"), (b"", "unsupported-signature"), (b"\x30\0", "unsupported-signature"),
])  # fmt: skip
def test_pss_parameters_that_are_refused(algorithm: bytes, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_scheme(algorithm, "x")
    assert caught.value.reason == reason


@pytest.mark.parametrize("salt", [b"", b"\xa2\x03\x02\x01\x20", b"\xa2\x03\x02\x01\x20\xa3\x03\x02\x01\x01"])
def test_pss_parameters_that_are_read(salt: bytes) -> None:
    scheme = read_scheme(pss(hashed(0xA0, SHA256, b"\x05\0"), mask(SHA256), salt), "x")
    assert (scheme.family, scheme.salt) == (Family.PSS, 32 if salt else 20)


@given(st.binary(max_size=40))
def test_any_algorithm_is_read_or_refused(junk: bytes) -> None:
    for algorithm in (junk, format_tlv(0x30, junk), pss(junk), pss(hashed(0xA0, SHA256), junk)):
        with suppress(RefusedError):
            assert read_scheme(algorithm, "x").family in Family


@pytest.mark.parametrize("private", [
    ec.derive_private_key(7, ec.SECP256K1()), ec.derive_private_key(7, ec.SECP224R1()),
    ed448.Ed448PrivateKey.from_private_bytes(bytes(57)), x25519.X25519PrivateKey.from_private_bytes(bytes(32)),
])  # fmt: skip
def test_keys_of_other_kinds_are_refused(private: Any) -> None:
    with pytest.raises(RefusedError, match="the key of certificate 2") as caught:
        load_key(spki(private), "certificate 2 of the chain")
    assert caught.value.reason == "unsupported-key"


def test_keys_that_cannot_be_read_are_refused() -> None:
    tree = der_tree.read(spki(_EC["secp256r1"]))
    tree.children[1].content = tree.children[1].content[:-1] + b"\0"  # a point that is not on the curve
    for bad in (tree.write(), b"", b"\x30\0", spki(_RSA)[:-1], spki(_RSA) + b"\0"):
        with pytest.raises(RefusedError) as caught:
            load_key(bad, "x")
        assert caught.value.reason == "unsupported-key"


def test_an_rsa_key_that_is_too_large_is_refused() -> None:
    modulus = (1 << 9000) + 1
    body = format_tlv(0x02, modulus.to_bytes(1126, "big")) + format_tlv(0x02, b"\x01\x00\x01")
    algorithm = format_tlv(0x30, format_tlv(0x06, oid("1.2.840.113549.1.1.1")) + b"\x05\0")
    with pytest.raises(RefusedError, match="RSA key of 9001 bits"):
        load_key(format_tlv(0x30, algorithm + format_tlv(0x03, b"\0" + format_tlv(0x30, body))), "x")
