"""Certificates and keys that people hand to commands, by what the monitor knows them by.

In scope: the issuance of a certificate, the hash of a key (from a certificate, a request, a public key), in PEM or DER.
Out of scope: what is done with them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ctlog.cli.files import read_certificates
from ctlog.errors import CtlogError, UsageError

if TYPE_CHECKING:
    from ctlog.x509.der import Certificate

_MAX = 64 << 10


def key_in(path: Path) -> bytes:
    """The SHA-256 of the SubjectPublicKeyInfo of what a file holds. Raises UsageError."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_der_public_key,
        load_pem_public_key,
    )

    data = path.read_bytes()[:_MAX]
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    try:
        if b"PRIVATE KEY-----" in data:
            raise UsageError(f"{path} holds a private key: keep it, and give the certificate or the public key")
        if b"-----BEGIN PUBLIC KEY-----" in data:
            return hashlib.sha256(load_pem_public_key(data).public_bytes(*form)).digest()
        if b"CERTIFICATE REQUEST-----" in data:
            return hashlib.sha256(x509.load_pem_x509_csr(data).public_key().public_bytes(*form)).digest()
        try:
            return hashlib.sha256(load_der_public_key(data).public_bytes(*form)).digest()
        except ValueError:
            return hashlib.sha256(certificate_in(path).spki).digest()
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} holds no key that can be read: {error}") from None


def key_hash(text: str) -> str:
    """The SHA-256 of a SubjectPublicKeyInfo, as given, or of the key in a file. Raises UsageError."""
    path = Path(text)
    if len(text) < 1024 and path.is_file():
        return key_in(path).hex()
    return text


def certificate_in(path: Path) -> Certificate:
    """The first certificate of a file. Raises UsageError."""
    from ctlog.x509.der import parse_certificate

    try:
        return parse_certificate(next(iter(read_certificates(path))))
    except CtlogError as error:
        raise UsageError(f"{path} holds no certificate that can be read: {error}") from None


def issuance_in(path: Path) -> bytes:
    """What the certificate or precertificate in a file has in common with every other form of it, in every log.

    Its issuer stands behind it in the file. Raises UsageError.
    """
    from ctlog.wire.rfc6962 import EntryType, SignedEntry, TimestampedEntry, format_merkle_tree_leaf
    from ctlog.x509.der import parse_certificate
    from ctlog.x509.precert import is_precertificate, logged_precertificate
    from monitor.entry import Place, read_entry

    try:
        first, *above = read_certificates(path)
        parsed, issuers = parse_certificate(first), [parse_certificate(der) for der in above]
        if not issuers:
            raise UsageError(f"{path} needs the issuer's certificate behind the one to be authorised")
        if is_precertificate(parsed):
            key, tbs = logged_precertificate(parsed, issuers)
            signed = SignedEntry(EntryType.PRECERT, tbs, key)
        else:
            signed = SignedEntry(EntryType.X509, first)
    except CtlogError as error:
        raise UsageError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    leaf = format_merkle_tree_leaf(TimestampedEntry(0, signed, b""))
    return read_entry(Place(b"", "", 0), leaf, pre_certificate=first, chain=above).issuance
