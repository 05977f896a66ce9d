"""What a CA looks at before it signs: the request for a certificate, and whether its own scope and time allow it.

Specs: RFC 2986 (PKCS #10), RFC 9060 section 4 (a delegate claims no more than the CAs above it), RFC 5280 section 6.1
(a certificate is of no use beyond its CA's). In scope: the requester's key, with the proof that they hold it; what is
wrong with a certificate that is about to be issued. Out of scope: whom a number belongs to; no request says that.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ctlog.errors import RefusedError, UsageError
from ctlog.issuance.authority import Authority
from ctlog.issuance.write import bit_string, sequence
from ctlog.tn.delegation import check_encompassed
from ctlog.tn.identity import read_identity
from ctlog.x509.der import parse_certificate
from ctlog.x509.findings import MEANINGS, certificate_findings, outlives


class Request(NamedTuple):
    """Whom a certificate is asked for: the key (SubjectPublicKeyInfo, DER), and the names that the request has."""

    spki: bytes
    organization: str = ""
    common_name: str = ""
    country: str = ""


def read_request(pem: bytes) -> Request:
    """A certification request in PEM, signed by the key that it asks for. Raises UsageError."""
    try:
        request = x509.load_pem_x509_csr(pem)
        key, held = request.public_key(), request.is_signature_valid
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature) as error:
        raise UsageError(f"this is no certification request in PEM: {error}", reason="bad-request") from None
    if not held:
        raise UsageError("the request is not signed by the key that it asks for", reason="bad-request")

    def first(oid: x509.ObjectIdentifier) -> str:
        found = request.subject.get_attributes_for_oid(oid)
        return str(found[0].value) if found else ""

    names = (first(NameOID.ORGANIZATION_NAME), first(NameOID.COMMON_NAME), first(NameOID.COUNTRY_NAME))
    return Request(_spki(key), *names)


def read_subject_key(pem: bytes) -> Request:
    """A public key in PEM, or a private one, of which only the public half is looked at. Raises UsageError."""
    try:
        if b"PRIVATE KEY" in pem:
            return Request(_spki(serialization.load_pem_private_key(pem, None).public_key()))
        return Request(_spki(serialization.load_pem_public_key(pem)))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"this is no key in PEM: {error}", reason="bad-request") from None


def _spki(key: object) -> bytes:
    """ES256, with which PASSporTs are signed, is ECDSA on P-256 (RFC 8225 section 6)."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UsageError("the key is not on the curve P-256, with which calls are signed", reason="unsupported-key")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def check_issuable(authority: Authority, tbs: bytes, now_ms: int) -> tuple[str, ...]:
    """May `authority` issue this TBSCertificate? Gives what is worth a second look, as sentences. Nothing is signed.

    Raises RefusedError "no-number", "scope-exceeds-issuer", "scope-list-missing", "outlives-issuer"; MalformedError.
    """
    certificate = parse_certificate(sequence(tbs, authority.signer.algorithm, bit_string(b"")))
    above = [parse_certificate(der, "a CA above it") for der in authority.chain]
    identity = read_identity(certificate)
    if not identity.claims_number:
        raise RefusedError("it claims no telephone number, range or code, in any form", reason="no-number")
    scope = check_encompassed(identity, [read_identity(each) for each in above])
    for finding in scope:
        if finding.id in ("scope-exceeds-issuer", "scope-list-missing"):
            raise RefusedError(finding.text, reason=finding.id)
    if any(outlives(certificate, each) for each in above):
        raise RefusedError("it ends after the certificate of a CA above it does", reason="outlives-issuer")
    odd = [MEANINGS[each][1] for each in certificate_findings(certificate, now_ms)]
    return (*(each.text for each in (*identity.findings, *scope)), *odd)
