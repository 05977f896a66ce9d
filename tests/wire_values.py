"""Values of the wire room for tests: Hypothesis strategies, and a log's keys that sign."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import strategies as st

from ctlog.wire.checkpoint import Checkpoint, sign_rfc6962
from ctlog.wire.rfc6962 import (
    DigitallySigned,
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    SignedTreeHead,
    TimestampedEntry,
    format_merkle_tree_leaf,
    tree_head_input,
)
from ctlog.wire.signed_note import Ed25519Verifier, NoteSignature, sign_ed25519
from ctlog.wire.static_ct import TileLeaf, format_leaf_index

HASH = st.binary(min_size=32, max_size=32)
TIMESTAMP = st.integers(0, (1 << 64) - 1)
DER = st.binary(min_size=1, max_size=40)

X509_ENTRY = st.builds(SignedEntry, st.just(EntryType.X509), DER, st.just(b""))
PRECERT_ENTRY = st.builds(SignedEntry, st.just(EntryType.PRECERT), DER, HASH)
ENTRY = X509_ENTRY | PRECERT_ENTRY
EXTENSIONS = st.builds(format_leaf_index, st.integers(0, (1 << 40) - 1)) | st.binary(max_size=12)
TIMESTAMPED = st.builds(TimestampedEntry, TIMESTAMP, ENTRY, EXTENSIONS)
SIGNATURE = st.builds(DigitallySigned, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80))
SCT = st.builds(SignedCertificateTimestamp, HASH, TIMESTAMP, EXTENSIONS, SIGNATURE)
STH = st.builds(SignedTreeHead, st.integers(0, (1 << 64) - 1), TIMESTAMP, HASH, SIGNATURE)
CHAIN = st.lists(HASH, max_size=4).map(tuple)
TILE_LEAF = st.builds(TileLeaf, TIMESTAMP, X509_ENTRY, EXTENSIONS, st.just(b""), CHAIN) | st.builds(
    TileLeaf, TIMESTAMP, PRECERT_ENTRY, EXTENSIONS, DER, CHAIN
)


class TestLog:
    """A log's two keys, made from a number: the same each time."""

    __test__ = False

    def __init__(self, number: int = 1, origin: str = "log.example.com/2026") -> None:
        self.origin = origin
        self._p256 = ec.derive_private_key(number, ec.SECP256R1())
        self.spki = self._p256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key = LogKey.from_spki(self.spki)
        self._ed25519 = ed25519.Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        self.ed25519_key = self._ed25519.public_key().public_bytes_raw()
        self.ed25519 = Ed25519Verifier(origin, self.ed25519_key)

    def sign(self, message: bytes) -> DigitallySigned:
        return DigitallySigned(4, 3, self._p256.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))

    def sct(self, entry: SignedEntry, timestamp_ms: int, index: int) -> SignedCertificateTimestamp:
        extensions = format_leaf_index(index)
        signed = self.sign(format_merkle_tree_leaf(TimestampedEntry(timestamp_ms, entry, extensions)))
        return SignedCertificateTimestamp(self.key.log_id, timestamp_ms, extensions, signed)

    def sth(self, size: int, timestamp_ms: int, root: bytes) -> SignedTreeHead:
        return SignedTreeHead(size, timestamp_ms, root, self.sign(tree_head_input(timestamp_ms, size, root)))

    def rfc6962_line(self, checkpoint: Checkpoint, timestamp_ms: int) -> NoteSignature:
        return sign_rfc6962(checkpoint, timestamp_ms, self.key.log_id, self.sign)

    def ed25519_line(self, text: str) -> NoteSignature:
        return sign_ed25519(text, self.origin, self.ed25519_key, self._ed25519.sign)


class RsaLog:
    """A log with an RSA key, as RFC 6962 allows; made anew each time."""

    def __init__(self, bits: int = 2048) -> None:
        self._private = rsa.generate_private_key(65537, bits)
        self.spki = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> DigitallySigned:
        return DigitallySigned(4, 1, self._private.sign(message, padding.PKCS1v15(), hashes.SHA256()))
