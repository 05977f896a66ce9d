"""Whoever signs for a CA: the protocol that any key store can meet, and a key in memory for tests.

In scope: `Signer`, three members wide, behind which a PKCS #11 token or a cloud's key service
stands; `Key`, for tests and a first try. Out of scope: keeping keys safe.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.errors import UsageError

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
"""AlgorithmIdentifier (RFC 5758 section 3.2)."""
class Signer(Protocol):
    """A key that signs, wherever it is kept.

    `spki` is its SubjectPublicKeyInfo in DER, `algorithm` the AlgorithmIdentifier (DER) of what `sign` returns, and
    `sign(data)` the value of the certificate's signature field over `data` (not over its hash).
    """

    @property
    def spki(self) -> bytes: ...

    @property
    def algorithm(self) -> bytes: ...

    def sign(self, data: bytes) -> bytes: ...


class Key:
    """A P-256 key in memory, for tests and a first try. Signatures are deterministic (RFC 6979)."""

    algorithm = ECDSA_SHA256
    _ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(private.curve, ec.SECP256R1):
            raise UsageError("the key is not on the curve P-256")
        self._private = private
        self.spki: bytes = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def generate(cls) -> Key:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_number(cls, scalar: int) -> Key:
        """The same key each time, for tests and benchmarks that repeat. 1 <= scalar < the order of the group."""
        return cls(ec.derive_private_key(scalar, ec.SECP256R1()))

    @classmethod
    def from_pem(cls, data: bytes) -> Key:
        """Reads an unencrypted PKCS #8 or SEC 1 file. Raises UsageError."""
        try:
            private = serialization.load_pem_private_key(data, None)
        except (ValueError, TypeError) as error:
            raise UsageError(f"this is no unencrypted private key in PEM: {error}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise UsageError("the key is not on the curve P-256")
        return cls(private)

    def to_pem(self) -> bytes:
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data, self._ECDSA)

