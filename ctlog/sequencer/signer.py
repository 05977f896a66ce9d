"""A log's keys: derived from one seed of 32 random bytes, each for one use and one origin (docs/keys.md).

In scope: the seed's file, the derivation, the protocol `Signer` behind which a PKCS #11 token can stand as well, and
making and opening signed heads with a signer's keys. Out of scope: what is signed when (`commit.py`).

ECDSA here is deterministic (RFC 6979), so that a resubmission gets the identical SCT (P6).
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ctlog.errors import ConfigError, SignatureError
from ctlog.wire.checkpoint import Checkpoint, SignedHead, format_checkpoint, open_checkpoint, sign_rfc6962
from ctlog.wire.rfc6962 import HASH_SHA256, SIGNATURE_ECDSA, DigitallySigned, LogKey
from ctlog.wire.signed_note import Ed25519Verifier, format_note, sign_ed25519

SEED_SIZE = 32
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-4, D.1.2.3

LOG_USE = "log"
CHECKPOINT_USE = "checkpoint"
SEED_ID_USE = "seed-id"

_BLOCK = 32
_BLOCKS_AT_ONCE = 4  # HKDF's output does not depend on how much of it is asked for


class Signer(Protocol):
    """Signs for one log."""

    @property
    def origin(self) -> str:
        """The log's name, which is also the name of its keys in notes."""

    @property
    def key(self) -> LogKey:
        """The public key of SCTs and tree heads: P-256."""

    @property
    def log_id(self) -> bytes:
        """SHA-256 of that key's SubjectPublicKeyInfo, 32 bytes."""

    @property
    def checkpoint_key(self) -> Ed25519Verifier:
        """The public key of checkpoints' Ed25519 signatures (note type 0x01, name = origin)."""

    @property
    def seed_id(self) -> bytes:
        """Names the secret from which the keys come, without telling it; 32 bytes, the same for every origin."""

    @property
    def deterministic(self) -> bool:
        """Does the same message get the same signature, for ever?"""

    def digitally_sign(self, message: bytes) -> DigitallySigned:
        """ECDSA with SHA-256. `message` is a MerkleTreeLeaf (what an SCT is over) or a tree head's input."""

    def sign_text(self, text: bytes) -> bytes:
        """The 64-byte Ed25519 signature over a note's text."""


class SeedSigner:
    """A Signer whose keys come from a seed."""

    deterministic = True

    def __init__(self, origin: str, seed: bytes) -> None:
        """Derive the keys. Raises ConfigError for a seed of the wrong size, MalformedError for a bad origin."""
        if len(seed) != SEED_SIZE:
            raise ConfigError(f"a seed has {SEED_SIZE} bytes, this one has {len(seed)}")
        self.origin = origin
        self._log_key = ec.derive_private_key(first_scalar(blocks(seed, LOG_USE, origin)), ec.SECP256R1())
        self._checkpoint_key = Ed25519PrivateKey.from_private_bytes(next(blocks(seed, CHECKPOINT_USE, origin)))
        spki = self._log_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.key = LogKey.from_spki(spki)
        self.log_id = self.key.log_id
        self.checkpoint_key = Ed25519Verifier(origin, self._checkpoint_key.public_key().public_bytes_raw())
        self.seed_id = next(blocks(seed, SEED_ID_USE, ""))
        self._algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

    def digitally_sign(self, message: bytes) -> DigitallySigned:
        """See Signer."""
        return DigitallySigned(HASH_SHA256, SIGNATURE_ECDSA, self._log_key.sign(message, self._algorithm))

    def sign_text(self, text: bytes) -> bytes:
        """See Signer."""
        return self._checkpoint_key.sign(text)


# Derivation: docs/keys.md -------------------------------------------------------------------------------------------


def blocks(seed: bytes, use: str, origin: str) -> Iterator[bytes]:
    """The successive 32-byte blocks of HKDF-SHA-256 (RFC 5869, no salt) for one use and one origin."""
    info = b"ctlog/" + use.encode() + b"/v1\x00" + origin.encode()
    output = HKDF(hashes.SHA256(), _BLOCK * _BLOCKS_AT_ONCE, salt=None, info=info).derive(seed)
    for at in range(0, len(output), _BLOCK):
        yield output[at : at + _BLOCK]


def first_scalar(candidates: Iterable[bytes]) -> int:
    """The first block that is a private key of P-256 as a big-endian number: rejection sampling, so without bias.

    One block in 2^32 is refused; that four in a row are is not expected in the life of the universe.
    """
    for candidate in candidates:
        scalar = int.from_bytes(candidate, "big")
        if 0 < scalar < P256_ORDER:
            return scalar
    raise ConfigError("no private key could be derived from this seed")


# The seed's file ----------------------------------------------------------------------------------------------------


def make_seed(path: Path) -> bytes:
    """Make a new seed and keep it in a file that only its owner reads. Raises ConfigError if there is one (P10)."""
    seed = secrets.token_bytes(SEED_SIZE)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, seed)
            os.fsync(handle)
        finally:
            os.close(handle)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise ConfigError(f"{path} exists; a log's seed is made only once (P10)") from None
    except OSError as error:
        raise ConfigError(f"{path}: the seed cannot be written: {error.strerror}") from error
    return seed


def read_seed(path: Path) -> bytes:
    """The seed of a log. Raises ConfigError if it is missing, of the wrong size, or open to others than its owner."""
    try:
        seed = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        sentence = f"{path}: the seed cannot be read ({error.strerror}); it is never made anew, so restore it (P10)"
        raise ConfigError(sentence, reason="seed-missing") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path}: others than its owner may read the seed; chmod 600 it", reason="seed-open")
    if len(seed) != SEED_SIZE:
        raise ConfigError(f"{path}: a seed has {SEED_SIZE} bytes, this file has {len(seed)}", reason="seed-damaged")
    return seed


# Heads --------------------------------------------------------------------------------------------------------------


def sign_head(signer: Signer, size: int, root: bytes, timestamp_ms: int) -> SignedHead:
    """A head with both signatures, verified: a bit that flips while signing must not leave this process.

    Raises SignatureError when the signer's own keys do not verify what it made.
    """
    checkpoint = Checkpoint(signer.origin, size, root)
    text = format_checkpoint(checkpoint)
    tree_head = sign_rfc6962(checkpoint, timestamp_ms, signer.key.log_id, signer.digitally_sign)
    note = sign_ed25519(text, signer.origin, signer.checkpoint_key.key, signer.sign_text)
    head = open_head(signer, format_note(text, [tree_head, note]))
    if (head.timestamp_ms, head.checkpoint) != (timestamp_ms, checkpoint):
        raise SignatureError("the signed head does not say what was to be signed")
    return head


def open_head(signer: Signer, note: bytes) -> SignedHead:
    """The head of this log in a note. Raises MalformedError or SignatureError."""
    return open_checkpoint(note, signer.origin, signer.key, signer.checkpoint_key)
