"""RFC 6962 (Certificate Transparency, version 1): its structures, between bytes or JSON and frozen values.

In scope: log entries and Merkle tree leaves (sections 3.1, 3.4), Signed Certificate Timestamps (3.2), their lists
(3.3), signed tree heads (3.5), the JSON of both (4.1, 4.3), `extra_data` (4.6), and a log's public key (2.1.4).
Out of scope: what a certificate says (`ctlog.x509`), the tree (`ctlog.merkle`), and version 2 (RFC 9162), which no
log and no client in production speaks.

Every `parse_*` takes one whole byte string, refuses everything but the one encoding, and raises only MalformedError;
`format_*` is its inverse and raises MalformedError for a value that the encoding cannot hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ctlog.errors import MalformedError, SignatureError
from ctlog.wire.b64 import format_base64
from ctlog.wire.json_members import json_bytes, json_hash, json_object, json_uint64
from ctlog.wire.tls import Reader, uint, vector

HASH_SIZE = 32
"""Bytes of a SHA-256 hash: log ids, issuer key hashes, roots."""

MAX_TIMESTAMP_MS = (1 << 64) - 1
HASH_SHA256 = 4
SIGNATURE_RSA = 1
SIGNATURE_ECDSA = 3

_ECDSA = ec.ECDSA(Prehashed(hashes.SHA256()))
_V1_LEAF = b"\x00\x00"  # version v1, then leaf type timestamped_entry; as signature input: certificate_timestamp
_X509 = b"\x00\x00"
_PRECERT = b"\x00\x01"
_MAX_CERTIFICATE = (1 << 24) - 1
_MAX_U16 = (1 << 16) - 1
_MIN_RSA_BITS = 2048


class EntryType(IntEnum):
    """`LogEntryType`, RFC 6962 section 3.1."""

    X509 = 0
    PRECERT = 1


class SignedEntry(NamedTuple):
    """What an SCT vouches for, RFC 6962 section 3.2.

    `certificate` is the certificate's DER (X509) or the TBSCertificate's as logged, without poison (PRECERT);
    `issuer_key_hash` is the SHA-256 of the issuer's SubjectPublicKeyInfo for PRECERT, empty for X509.
    """

    type: EntryType
    certificate: bytes
    issuer_key_hash: bytes = b""


class TimestampedEntry(NamedTuple):
    """An entry with its place in time, RFC 6962 section 3.4. `extensions` is the inside of CtExtensions."""

    timestamp_ms: int
    entry: SignedEntry
    extensions: bytes = b""


class DigitallySigned(NamedTuple):
    """A signature with its TLS 1.2 algorithm numbers, RFC 5246 section 4.7."""

    hash_algorithm: int
    signature_algorithm: int
    signature: bytes


class SignedCertificateTimestamp(NamedTuple):
    """An SCT of version 1, RFC 6962 section 3.2. `extensions` is the inside of CtExtensions."""

    log_id: bytes
    timestamp_ms: int
    extensions: bytes
    signature: DigitallySigned


class SignedTreeHead(NamedTuple):
    """A signed tree head, RFC 6962 section 3.5. It does not say which log it is of."""

    size: int
    timestamp_ms: int
    root: bytes
    signature: DigitallySigned


def format_signed_entry(entry: SignedEntry) -> bytes:
    """The entry type and the signed entry: the bytes of a TimestampedEntry between timestamp and extensions."""
    certificate = entry.certificate
    length = len(certificate)
    if not 0 < length <= _MAX_CERTIFICATE:
        raise MalformedError(f"entry: a certificate of {length} bytes cannot be logged", field="entry")
    if entry.type == EntryType.X509:
        if entry.issuer_key_hash:
            raise MalformedError("entry: a final certificate's entry has no issuer key hash", field="entry")
        return _X509 + length.to_bytes(3, "big") + certificate
    if len(entry.issuer_key_hash) != HASH_SIZE:
        raise MalformedError("entry: the issuer key hash has 32 bytes", field="entry")
    return _PRECERT + entry.issuer_key_hash + length.to_bytes(3, "big") + certificate


def entry_key(entry: SignedEntry) -> bytes:
    """SHA-256 of `format_signed_entry`: two submissions with the same key get the same SCT."""
    return hashlib.sha256(format_signed_entry(entry)).digest()


def format_timestamped_entry(timestamped: TimestampedEntry) -> bytes:
    """The TimestampedEntry: a Merkle tree leaf without its first two bytes, and the start of a data-tile entry."""
    extensions = timestamped.extensions
    if len(extensions) > _MAX_U16 or not 0 <= timestamped.timestamp_ms <= MAX_TIMESTAMP_MS:
        raise MalformedError("entry: the timestamp or the extensions do not fit", field="entry")
    return b"".join(
        (
            timestamped.timestamp_ms.to_bytes(8, "big"),
            format_signed_entry(timestamped.entry),
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )


def format_merkle_tree_leaf(timestamped: TimestampedEntry) -> bytes:
    """The MerkleTreeLeaf, of which the leaf hash is made; byte for byte also what an SCT's signature is over."""
    return _V1_LEAF + format_timestamped_entry(timestamped)


def read_timestamped_entry(reader: Reader) -> TimestampedEntry:
    """Read a TimestampedEntry; the reader goes on behind it."""
    timestamp_ms = reader.uint(8)
    at = reader.offset
    kind = reader.uint(2)
    if kind == EntryType.X509:
        entry = SignedEntry(EntryType.X509, reader.vector(3, 1))
    elif kind == EntryType.PRECERT:
        issuer_key_hash = reader.octets(HASH_SIZE)
        entry = SignedEntry(EntryType.PRECERT, reader.vector(3, 1), issuer_key_hash)
    else:
        reader.fail(f"entry type {kind} is unknown", at)
    return TimestampedEntry(timestamp_ms, entry, reader.vector(2))


def parse_merkle_tree_leaf(data: bytes, field: str = "leaf_input") -> TimestampedEntry:
    """The inverse of `format_merkle_tree_leaf`."""
    reader = Reader(data, field)
    if reader.octets(2) != _V1_LEAF:
        reader.fail("neither version 1 nor a timestamped entry", 0)
    timestamped = read_timestamped_entry(reader)
    reader.end()
    return timestamped


def format_digitally_signed(signed: DigitallySigned) -> bytes:
    """Two algorithm bytes, then the signature behind its length in two."""
    head = uint(signed.hash_algorithm, 1, "signature") + uint(signed.signature_algorithm, 1, "signature")
    return head + vector(signed.signature, 2, field="signature")


def read_digitally_signed(reader: Reader) -> DigitallySigned:
    """Read a DigitallySigned; the reader goes on behind it."""
    return DigitallySigned(reader.uint(1), reader.uint(1), reader.vector(2))


def parse_digitally_signed(data: bytes, field: str = "signature") -> DigitallySigned:
    """The inverse of `format_digitally_signed`. Which algorithms are good is for `LogKey` to say."""
    reader = Reader(data, field)
    signed = read_digitally_signed(reader)
    reader.end()
    return signed


def format_sct(sct: SignedCertificateTimestamp) -> bytes:
    """The SCT as it stands in an SCT list or a TLS extension (without a length before it)."""
    if len(sct.log_id) != HASH_SIZE:
        raise MalformedError("sct: a log id has 32 bytes", field="sct")
    return b"".join(
        (
            b"\x00",  # version v1
            sct.log_id,
            uint(sct.timestamp_ms, 8, "sct"),
            vector(sct.extensions, 2, field="sct"),
            format_digitally_signed(sct.signature),
        )
    )


def parse_sct(data: bytes, field: str = "sct") -> SignedCertificateTimestamp:
    """The inverse of `format_sct`; an SCT of another version is refused with the reason `unknown-version`."""
    reader = Reader(data, field)
    version = reader.uint(1)
    if version != 0:
        sentence = f"{field}: version number {version} of SCTs is unknown (at byte 0)"
        raise MalformedError(sentence, field=field, offset=0, reason="unknown-version")
    log_id = reader.octets(HASH_SIZE)
    timestamp_ms = reader.uint(8)
    extensions = reader.vector(2)
    sct = SignedCertificateTimestamp(log_id, timestamp_ms, extensions, read_digitally_signed(reader))
    reader.end()
    return sct


def format_sct_list(scts: Sequence[bytes]) -> bytes:
    """A SignedCertificateTimestampList of serialized SCTs (section 3.3), without the DER OCTET STRINGs around it."""
    body = b"".join(vector(sct, 2, 1, "sct-list") for sct in scts)
    return vector(body, 2, 1, "sct-list")


def parse_sct_list(data: bytes, field: str = "sct-list") -> list[bytes]:
    """The inverse of `format_sct_list`. The SCTs stay unread, since one of an unknown version spoils no other."""
    outer = Reader(data, field)
    reader = outer.nested(2, 1)
    outer.end()
    scts = []
    while reader.left:
        scts.append(reader.vector(2, 1))
    return scts


def sct_to_json(sct: SignedCertificateTimestamp) -> dict[str, Any]:
    """The answer of add-chain and add-pre-chain, section 4.1."""
    return {
        "sct_version": 0,
        "id": format_base64(sct.log_id),
        "timestamp": sct.timestamp_ms,
        "extensions": format_base64(sct.extensions),
        "signature": format_base64(format_digitally_signed(sct.signature)),
    }


def sct_from_json(value: object) -> SignedCertificateTimestamp:
    """The inverse of `sct_to_json`; members that it does not know are ignored. Raises MalformedError."""
    members = json_object(value, "sct")
    if json_uint64(members, "sct_version") != 0:
        raise MalformedError("sct: its sct_version is unknown", field="sct_version", reason="unknown-version")
    sct = SignedCertificateTimestamp(
        log_id=json_hash(members, "id"),
        timestamp_ms=json_uint64(members, "timestamp"),
        extensions=json_bytes(members, "extensions"),
        signature=parse_digitally_signed(json_bytes(members, "signature")),
    )
    if len(sct.extensions) > _MAX_U16:
        raise MalformedError("sct: its extensions are too long", field="extensions")
    return sct


def tree_head_input(timestamp_ms: int, size: int, root: bytes) -> bytes:
    """What a tree head's signature is over: version v1, tree_hash, the time, the size and the 32-byte root."""
    if len(root) != HASH_SIZE:
        raise MalformedError("tree head: a root has 32 bytes", field="root")
    return b"\x00\x01" + uint(timestamp_ms, 8, "timestamp") + uint(size, 8, "tree_size") + root


def sth_to_json(sth: SignedTreeHead) -> dict[str, Any]:
    """The answer of get-sth, section 4.3."""
    return {
        "tree_size": sth.size,
        "timestamp": sth.timestamp_ms,
        "sha256_root_hash": format_base64(sth.root),
        "tree_head_signature": format_base64(format_digitally_signed(sth.signature)),
    }


def sth_from_json(value: object) -> SignedTreeHead:
    """The inverse of `sth_to_json`; members that it does not know are ignored. Raises MalformedError."""
    members = json_object(value, "sth")
    return SignedTreeHead(
        size=json_uint64(members, "tree_size"),
        timestamp_ms=json_uint64(members, "timestamp"),
        root=json_hash(members, "sha256_root_hash"),
        signature=parse_digitally_signed(json_bytes(members, "tree_head_signature"), "tree_head_signature"),
    )


def format_extra_data_x509(chain: Sequence[bytes]) -> bytes:
    """`extra_data` of a final certificate: its issuers' DER, the leaf's issuer first, the accepted root last."""
    return vector(b"".join(vector(der, 3, 1, "chain") for der in chain), 3, field="chain")


def parse_extra_data_x509(data: bytes, field: str = "extra_data") -> tuple[bytes, ...]:
    """The inverse of `format_extra_data_x509`."""
    reader = Reader(data, field)
    chain = _read_chain(reader)
    reader.end()
    return chain


def format_extra_data_precert(pre_certificate: bytes, chain: Sequence[bytes]) -> bytes:
    """`extra_data` of a precertificate: the precertificate as submitted, then its issuers."""
    return vector(pre_certificate, 3, 1, "pre_certificate") + format_extra_data_x509(chain)


def parse_extra_data_precert(data: bytes, field: str = "extra_data") -> tuple[bytes, tuple[bytes, ...]]:
    """The inverse of `format_extra_data_precert`: (pre_certificate, chain)."""
    reader = Reader(data, field)
    pre_certificate = reader.vector(3, 1)
    chain = _read_chain(reader)
    reader.end()
    return pre_certificate, chain


def _read_chain(outer: Reader) -> tuple[bytes, ...]:
    reader = outer.nested(3)
    chain = []
    while reader.left:
        chain.append(reader.vector(3, 1))
    return tuple(chain)


def log_id(spki: bytes) -> bytes:
    """A log's id: SHA-256 of its key's DER SubjectPublicKeyInfo, section 3.2."""
    return hashlib.sha256(spki).digest()


class LogKey:
    """A log's public key, with which its SCTs and tree heads are verified. Immutable; equal when the keys are.

    Section 2.1.4: ECDSA on P-256 with SHA-256, or RSA (PKCS #1 v1.5) of 2,048 bits or more with SHA-256.
    """

    __slots__ = ("_key", "_p256", "log_id", "spki")

    def __init__(self, spki: bytes, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> None:
        """For `from_spki`, which checks."""
        self.spki = spki
        self.log_id = log_id(spki)
        self._key = key
        self._p256 = key if isinstance(key, ec.EllipticCurvePublicKey) else None

    @classmethod
    def from_spki(cls, spki: bytes) -> LogKey:
        """The key of a DER SubjectPublicKeyInfo.

        Raises MalformedError, with the reason `unsupported-key` when it is a key, but none of RFC 6962.
        """
        try:
            key = serialization.load_der_public_key(spki)
            again = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise MalformedError("log key: not a SubjectPublicKeyInfo that can be read", field="log-key") from None
        if again != spki:  # the log id is a hash of these bytes, so another spelling would be another log
            raise MalformedError("log key: not in its canonical DER form", field="log-key")
        is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        is_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) or not (is_p256 or is_rsa):
            sentence = "log key: RFC 6962 allows P-256, or RSA of at least 2048 bits"
            raise MalformedError(sentence, field="log-key", reason="unsupported-key")
        return cls(spki, key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogKey) and self.spki == other.spki

    def __hash__(self) -> int:
        return hash(self.spki)

    def __repr__(self) -> str:
        return f"LogKey(log_id={self.log_id.hex()})"

    def verify_sct(self, sct: SignedCertificateTimestamp, entry: SignedEntry) -> None:
        """Is `sct` this log's word on `entry`? Its time and its extensions are bound by the signature.

        Raises SignatureError: `unknown-log` when the SCT names another log, else `bad-signature`. MalformedError
        for an entry that cannot be encoded.
        """
        if sct.log_id != self.log_id:
            raise SignatureError("the SCT is of another log", reason="unknown-log")
        self.verify(sct.signature, format_merkle_tree_leaf(TimestampedEntry(sct.timestamp_ms, entry, sct.extensions)))

    def verify_tree_head(self, sth: SignedTreeHead) -> None:
        """Did this log sign this head? Raises SignatureError; MalformedError for a head that cannot be encoded."""
        self.verify(sth.signature, tree_head_input(sth.timestamp_ms, sth.size, sth.root))

    def verify(self, signed: DigitallySigned, message: bytes) -> None:
        """Is `signed` this key's signature over `message`? Raises SignatureError."""
        key, p256 = self._key, self._p256
        wanted = SIGNATURE_RSA if p256 is None else SIGNATURE_ECDSA
        if signed.hash_algorithm != HASH_SHA256 or signed.signature_algorithm != wanted:
            raise SignatureError("the signature's algorithm is not that of the log's key")
        try:
            if p256 is not None:  # hashed here, since in there it takes 6 us more, a tenth of the whole
                p256.verify(signed.signature, hashlib.sha256(message).digest(), _ECDSA)
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(signed.signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise SignatureError("the signature is not by the log's key over these bytes") from None
