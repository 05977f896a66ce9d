"""The log's keys: derived from one seed, or wherever a `Signer` keeps them. (Being written; see docs/keys.md.)"""

from __future__ import annotations

from typing import Protocol

from ctlog.wire.rfc6962 import DigitallySigned


class Signer(Protocol):
    """Signs for one log. `deterministic`: the same message gets the same signature, for ever (P6)."""

    origin: str
    spki: bytes
    """The log's P-256 key, DER SubjectPublicKeyInfo."""
    log_id: bytes
    seed_id: bytes
    """Names the secret from which the keys come, without telling it; 32 bytes."""
    checkpoint_vkey: str
    """The Ed25519 key of checkpoints, as a note verifier key (type 0x01, name = origin)."""
    deterministic: bool

    def digitally_sign(self, message: bytes) -> DigitallySigned:
        """SHA-256 with ECDSA. `message` is a MerkleTreeLeaf (an SCT's input) or a tree head's input."""

    def sign_note(self, text: bytes) -> bytes:
        """The Ed25519 signature over a note's text."""
