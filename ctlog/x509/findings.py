"""Findings about the certificate itself: what is wrong with it besides its numbers, recorded and never a refusal.

In scope: what RFC 5280 and RFC 6962 demand and a log can see at once, with a stable id for each; which threat of the
catalogue it may be a sign of. Out of scope: profiles of one ecosystem (SHAKEN, RCC.16), which monitors check, and what
is said about numbers (`ctlog.tn.findings`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ctlog.errors import MalformedError
from ctlog.x509.chain import OID_BASIC_CONSTRAINTS, is_ca
from ctlog.x509.der import INTEGER, SEQUENCE, Certificate, children, oid, only_child
from ctlog.x509.precert import OID_POISON, OID_SCT_LIST, is_precertificate, sct_list_extension

MEANINGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "validity-unreadable": ("T-13", "notBefore or notAfter is not written as RFC 5280 section 4.1.2.5 says."),
        "validity-reversed": ("T-13", "It ends before it begins."),
        "validity-long": ("T-13", "It is valid for more than 398 days, and is not a CA's."),
        "expired": ("T-26", "It had expired when it was logged."),
        "outlives-issuer": ("T-13", "It ends after its issuer's certificate does."),
        "version-not-3": ("T-14", "Its version is not 3."),
        "serial-odd": ("T-14", "Its serial number is not positive, not minimal, or longer than 20 octets."),
        "algorithm-parameters": ("T-22", "Its signature algorithm has parameters that its specification omits."),
        "algorithm-differs": ("T-22", "The signature algorithms inside and outside of the TBSCertificate differ."),
        "extension-repeated": ("T-22", "An extension is there more than once."),
        "key-type": ("T-15", "Its key is neither P-256 nor P-384 nor RSA of 2,048 bits or more."),
        "key-usage": ("T-14", "Its key usage is not digitalSignature alone, and it is not a CA's."),
        "poison-odd": ("T-22", "It has a poison extension that is not critical, not NULL, or not alone."),
        "precertificate-with-scts": ("T-14", "It is a precertificate and carries SCTs."),
        "sct-list-unreadable": ("T-22", "Its SCT list is not one OCTET STRING, or is there twice."),
        "issuer-not-ca": ("T-08", "A certificate above it is not a CA's."),
        "issuer-renamed": ("T-22", "Its issuer's name is not, byte for byte, the name of the CA that signed it."),
        "path-too-long": ("T-08", "More CAs stand between it and a CA above than that one's path length allows."),
    }
)
"""id -> (threat, sentence)."""

OID_KEY_USAGE = oid("2.5.29.15")
_DIGITAL_SIGNATURE = b"\x03\x02\x07\x80"
_DAY_MS = 86_400_000
LONG_MS = 398 * _DAY_MS

# AlgorithmIdentifiers as their specifications write them: RFC 5758 section 3.2, RFC 8410 section 3, RFC 4055 section 5.
_ALGORITHMS = frozenset(
    bytes.fromhex(value)
    for value in (
        "300a06082a8648ce3d040302", "300a06082a8648ce3d040303", "300a06082a8648ce3d040304", "300506032b6570",
        "300d06092a864886f70d01010b0500", "300d06092a864886f70d01010c0500", "300d06092a864886f70d01010d0500",
    )
)  # fmt: skip
_PSS = bytes.fromhex("06092a864886f70d01010a")

# What a SubjectPublicKeyInfo begins with (RFC 5480, RFC 3279): an uncompressed point on P-256 and on P-384; RSA.
_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
_P384 = bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004")
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")
_RSA_2048 = 294  # octets of one with a modulus of 2,048 bits and the usual exponent


def certificate_findings(certificate: Certificate, now_ms: int) -> list[str]:
    """Give the ids of what is odd about a certificate in itself. Total."""
    found: list[str] = []
    ca = is_ca(certificate)
    _judge_validity(certificate, now_ms, ca, found)
    if certificate.version != 3:
        found.append("version-not-3")
    serial = certificate.serial
    if not 0 < len(serial) <= 20 or serial[0] >= 0x80 or (serial[0] == 0 and (len(serial) == 1 or serial[1] < 0x80)):
        found.append("serial-odd")
    algorithm = certificate.algorithm
    if algorithm not in _ALGORITHMS and _PSS not in algorithm:
        found.append("algorithm-parameters")
    if algorithm != certificate.inner_algorithm:
        found.append("algorithm-differs")
    _judge_extensions(certificate, ca, found)
    return found


def _judge_validity(certificate: Certificate, now_ms: int, ca: bool, found: list[str]) -> None:
    start, end = certificate.not_before_ms, certificate.not_after_ms
    if start is None or end is None:
        found.append("validity-unreadable")
        return
    if end < start:
        found.append("validity-reversed")
    elif end - start > LONG_MS and not ca:
        found.append("validity-long")
    if end < now_ms:
        found.append("expired")


def _judge_extensions(certificate: Certificate, ca: bool, found: list[str]) -> None:
    extensions = {extension.oid: extension for extension in certificate.extensions}
    if len(extensions) != len(certificate.extensions):
        found.append("extension-repeated")
    if not _is_good_key(certificate.spki):
        found.append("key-type")
    usage = extensions.get(OID_KEY_USAGE)
    if not ca and (usage is None or usage.value != _DIGITAL_SIGNATURE):
        found.append("key-usage")
    if OID_POISON in extensions:
        if not is_precertificate(certificate):
            found.append("poison-odd")
        elif OID_SCT_LIST in extensions:
            found.append("precertificate-with-scts")
    if OID_SCT_LIST in extensions:
        try:
            sct_list_extension(certificate)
        except MalformedError:
            found.append("sct-list-unreadable")


def _is_good_key(spki: bytes) -> bool:
    return spki.startswith((_P256, _P384)) or (_RSA in spki[:24] and len(spki) >= _RSA_2048)


def path_findings(path: Sequence[Certificate]) -> list[str]:
    """Give the ids of what is odd about the CAs above a certificate (its issuer first, the anchor last). Total."""
    found = []
    if not all(map(is_ca, path)):
        found.append("issuer-not-ca")
    below = 0  # CAs between the one looked at and the certificate, the self-issued ones not counted (RFC 5280)
    for certificate in path:
        limit = _path_length(certificate)
        if limit is not None and below > limit:
            found.append("path-too-long")
            break
        below += certificate.issuer != certificate.subject
    return found


def outlives(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether a certificate ends after its issuer's does; false where either time is unreadable."""
    end, limit = certificate.not_after_ms, issuer.not_after_ms
    return end is not None and limit is not None and end > limit


def _path_length(certificate: Certificate) -> int | None:
    """Read pathLenConstraint (RFC 5280 section 4.2.1.9); None if there is none, or it cannot be read."""
    constraints = certificate.extension(OID_BASIC_CONSTRAINTS)
    if constraints is None:
        return None
    value = constraints.value
    try:
        lo, hi = only_child(value, SEQUENCE, "basicConstraints")
        parts = children(value, lo, hi, "basicConstraints")
    except MalformedError:
        return None
    numbers = [value[start:end] for tag, start, end in parts if tag == INTEGER]
    return int.from_bytes(numbers[0], "big", signed=True) if numbers else None
