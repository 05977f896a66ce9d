"""The signature schemes under which a log believes a certificate: what an AlgorithmIdentifier says, and verification.

Specs: RFC 5758 (ECDSA), RFC 4055 (RSA PKCS #1 v1.5 and PSS), RFC 8410 (Ed25519), RFC 5280 section 4.1.1.2.

In scope: ECDSA on P-256, P-384 and P-521, and RSA up to 8,192 bits, with SHA-256, SHA-384 and SHA-512; Ed25519. The
parameters of every scheme but PSS say nothing and are not looked at: real hierarchies write a NULL where RFC 5758 says
that there is none. SHA-1 is refused by name, also inside of PSS. Keys are loaded from SubjectPublicKeyInfo alone, so
that no parser's opinion of the rest of a certificate matters.
Out of scope: who issued what (`chain`).
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ctlog.errors import MalformedError, RefusedError
from ctlog.x509.der import INTEGER, OBJECT_IDENTIFIER, SEQUENCE, children, expect, format_tlv, oid, oid_text, only_child

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
Hash: TypeAlias = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

MAX_RSA_BITS = 8192  # a verification takes 0.2 ms at 4,096 bits and grows with the square
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


class Family(Enum):
    """What kind of key a scheme needs, and how it pads."""

    ECDSA = "ECDSA"
    RSA = "RSA"
    PSS = "RSA-PSS"
    ED25519 = "Ed25519"


class Scheme(NamedTuple):
    """A signature scheme. salt: length in bytes, of PSS only."""

    family: Family
    hash: Hash | None
    salt: int = 0


_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
_ECDSA_SHA256 = ec.ECDSA(Prehashed(_SHA256))
_PSS = oid("1.2.840.113549.1.1.10")
_MGF1 = oid("1.2.840.113549.1.1.8")
_SHA1 = frozenset(map(oid, ("1.3.14.3.2.26", "1.3.14.3.2.29", "1.2.840.10045.4.1", "1.2.840.113549.1.1.5")))
_HASHES: dict[bytes, Hash] = {
    oid("2.16.840.1.101.3.4.2.1"): _SHA256,
    oid("2.16.840.1.101.3.4.2.2"): _SHA384,
    oid("2.16.840.1.101.3.4.2.3"): _SHA512,
}
_SCHEMES = {
    oid("1.2.840.10045.4.3.2"): Scheme(Family.ECDSA, _SHA256),
    oid("1.2.840.10045.4.3.3"): Scheme(Family.ECDSA, _SHA384),
    oid("1.2.840.10045.4.3.4"): Scheme(Family.ECDSA, _SHA512),
    oid("1.2.840.113549.1.1.11"): Scheme(Family.RSA, _SHA256),
    oid("1.2.840.113549.1.1.12"): Scheme(Family.RSA, _SHA384),
    oid("1.2.840.113549.1.1.13"): Scheme(Family.RSA, _SHA512),
    oid("1.3.101.112"): Scheme(Family.ED25519, None),
}


# The same by the whole element, as nearly all certificates write it, with a NULL for RSA and nothing for the others.
_PARAMETERS = {Family.RSA: b"\x05\0"}
_WHOLE = {
    format_tlv(SEQUENCE, format_tlv(OBJECT_IDENTIFIER, kind) + _PARAMETERS.get(scheme.family, b"")): scheme
    for kind, scheme in _SCHEMES.items()
}


def read_scheme(algorithm: bytes, field: str) -> Scheme:
    """Read an AlgorithmIdentifier (the whole element). `field` names the certificate in the error.

    Raises: RefusedError, "sha1-signature" or "unsupported-signature".
    """
    scheme = _WHOLE.get(algorithm)
    if scheme is not None:
        return scheme
    try:
        lo, hi = only_child(algorithm, SEQUENCE, "signatureAlgorithm")
        lo, end = expect(algorithm, lo, hi, OBJECT_IDENTIFIER, "signatureAlgorithm")
    except MalformedError as error:
        raise RefusedError(f"{field}: {error}", reason="unsupported-signature") from error
    kind = algorithm[lo:end]
    scheme = _SCHEMES.get(kind)
    if scheme is not None:
        return scheme
    if kind in _SHA1:
        raise _sha1(field)
    if kind == _PSS:
        return _read_pss(algorithm[end:hi], field)
    raise RefusedError(f"{field} is signed with an algorithm that this log does not know, {oid_text(kind)}; it knows "
                       "ECDSA, RSA and RSA-PSS with SHA-256, SHA-384 or SHA-512, and Ed25519",
                       reason="unsupported-signature")  # fmt: skip


def load_key(spki: bytes, field: str) -> PublicKey:
    """Load a SubjectPublicKeyInfo. `field` names the certificate in the error.

    Raises: RefusedError "unsupported-key".
    """
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedError(f"the key of {field} cannot be read: {error}", reason="unsupported-key") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name in _CURVES:
            return key
        kind = f"an elliptic curve key on {key.curve.name}"
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size <= MAX_RSA_BITS:
            return key
        kind = f"an RSA key of {key.key_size} bits"
    elif isinstance(key, ed25519.Ed25519PublicKey):
        return key
    else:
        kind = type(key).__name__
    raise RefusedError(f"the key of {field} is of a kind that this log does not know: {kind}", reason="unsupported-key")


def verify(key: PublicKey, scheme: Scheme, signature: bytes, data: bytes) -> bool:
    """Whether this is a valid signature over `data`. Total: a key of another kind than the scheme's gives False."""
    family, hashed = scheme.family, scheme.hash
    try:
        if family is Family.ECDSA and isinstance(key, ec.EllipticCurvePublicKey) and hashed:
            if hashed is _SHA256:  # nearly all: hashed here, since in there it takes 6 us more, a tenth of the whole
                key.verify(signature, hashlib.sha256(data).digest(), _ECDSA_SHA256)
            else:
                key.verify(signature, data, ec.ECDSA(hashed))
        elif family is Family.RSA and isinstance(key, rsa.RSAPublicKey) and hashed:
            key.verify(signature, data, padding.PKCS1v15(), hashed)
        elif family is Family.PSS and isinstance(key, rsa.RSAPublicKey) and hashed:
            key.verify(signature, data, padding.PSS(padding.MGF1(hashed), scheme.salt), hashed)
        elif family is Family.ED25519 and isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            return False
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _read_pss(parameters: bytes, field: str) -> Scheme:
    """Read RSASSA-PSS-params (RFC 4055 section 3.1), all of whose defaults are SHA-1's.

    The mask must be made with the same hash, as RFC 4055 recommends and everyone does.
    """
    try:
        lo, hi = only_child(parameters, SEQUENCE, "RSASSA-PSS parameters")
        parts = {tag: (start, end) for tag, start, end in children(parameters, lo, hi, "RSASSA-PSS parameters")}
        hashed, mask, salt = parts.get(0xA0), parts.get(0xA1), 20
        if hashed is None or mask is None:
            raise _sha1(field)
        inner = expect(parameters, *hashed, SEQUENCE, "hashAlgorithm")
        hash_oid = _first_oid(parameters, *inner)
        inner = expect(parameters, *mask, SEQUENCE, "maskGenAlgorithm")
        _, start, end = children(parameters, *inner, "maskGenAlgorithm")[1]
        mask_oids = _first_oid(parameters, *inner), _first_oid(parameters, start, end)
        if 0xA2 in parts:
            start, end = expect(parameters, *parts[0xA2], INTEGER, "saltLength")
            salt = int.from_bytes(parameters[start:end], "big", signed=True)
    except (MalformedError, IndexError) as error:
        raise _unknown_pss(field) from error
    if hash_oid in _SHA1 or mask_oids[1] in _SHA1:
        raise _sha1(field)
    if hash_oid not in _HASHES or mask_oids != (_MGF1, hash_oid) or not 0 <= salt <= MAX_RSA_BITS // 8:
        raise _unknown_pss(field)
    return Scheme(Family.PSS, _HASHES[hash_oid], salt)


def _first_oid(data: bytes, lo: int, hi: int) -> bytes:
    start, end = expect(data, lo, hi, OBJECT_IDENTIFIER, "algorithm")
    return data[start:end]


def _sha1(field: str) -> RefusedError:
    return RefusedError(f"{field} is signed with SHA-1, which no longer proves who signed", reason="sha1-signature")


def _unknown_pss(field: str) -> RefusedError:
    return RefusedError(f"{field}: unknown parameters of RSASSA-PSS", reason="unsupported-signature")
