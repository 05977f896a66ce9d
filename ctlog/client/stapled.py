"""A proof that travels with a certificate: C2SP tlog-proof@v1, made once and checked offline; docs/stapled-proof.md.

An SCT is a promise; this is its keeping: the entry stands at this index of that signed tree. For whoever can carry two
kilobytes beside a certificate, such as a messaging application.

In scope: what stands in `extra`, so that the entry can be rebuilt from the certificate alone (the SCT and the hash of
the issuer's key: both are hints, bound by the leaf's hash); making one from what `ctlog.client.inclusion` proved, or
from an entry that was read in the log, of which nobody need have the SCT; checking one against the log's key. A file by
another maker, without `extra`, is checked with the SCT that stands in the certificate. Out of scope: cosignatures of
witnesses, and whether the certificate is good otherwise: its own signature is no part of an entry made from a
precertificate, so its chain has to be checked besides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ctlog.client.inclusion import Kept
from ctlog.client.sct import CLOCK_SKEW_MS, embedded_scts
from ctlog.errors import MalformedError, ProofError, SctError, SignatureError, UsageError, VerificationError
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.proof import verify_inclusion
from ctlog.wire.checkpoint import open_checkpoint, parse_checkpoint
from ctlog.wire.rfc6962 import (
    HASH_SIZE,
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    TimestampedEntry,
    format_merkle_tree_leaf,
    format_sct,
    parse_merkle_tree_leaf,
    parse_sct,
)
from ctlog.wire.signed_note import Ed25519Verifier, open_note, parse_note
from ctlog.wire.static_ct import parse_leaf_index
from ctlog.wire.tlog_proof import TlogProof, format_tlog_proof, parse_tlog_proof
from ctlog.wire.tls import Reader, vector
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.precert import is_precertificate, tbs_of_final, tbs_of_precertificate

_VERSION = b"\x01"
_SEEN = b"\x02"  # without an SCT: of an entry that was read in the log
_FIELD = "tlog-proof"


@dataclass(frozen=True, slots=True)
class Stapled:
    """What was proven: the certificate's entry is number `index` of the tree of `size` that `origin` signed.

    head_ms: when the log signed that tree; None where only a checkpoint key was given, whose signature has no time.
    timestamp_ms: when the entry was logged. sct: the SCT that was given for it, None where the file carries none.
    sct_checked: whether the SCT's signature was checked too, which needs the log's own key.
    """

    origin: str
    index: int
    size: int
    root: bytes
    head_ms: int | None
    timestamp_ms: int
    sct: SignedCertificateTimestamp | None
    entry: SignedEntry
    sct_checked: bool


def format_stapled(kept: Kept) -> bytes:
    """The `.tlog-proof` file for one kept promise."""
    verified = kept.verified
    extra = b"".join((
        _VERSION, vector(verified.entry.issuer_key_hash, 1), vector(format_sct(verified.sct), 2, 1),
    ))  # fmt: skip
    return format_tlog_proof(TlogProof(kept.index, kept.proof, kept.head.note, extra))


def format_seen(leaf: bytes, index: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """The file for an entry that was read in the log: its MerkleTreeLeaf, its place, and the signed tree (a note).

    Nothing is checked here. Raises MalformedError for what is no leaf.
    """
    seen = parse_merkle_tree_leaf(leaf)
    extra = b"".join((
        _SEEN, vector(seen.entry.issuer_key_hash, 1), seen.timestamp_ms.to_bytes(8, "big"), vector(seen.extensions, 2),
    ))  # fmt: skip
    return format_tlog_proof(TlogProof(index, tuple(proof), note, extra))


def verify_stapled(
    certificate: bytes,
    data: bytes,
    key: LogKey | None,
    now_ms: int,
    *,
    checkpoints: Ed25519Verifier | None = None,
    issuers: Sequence[bytes] = (),
) -> Stapled:
    """Does this file prove that the certificate (DER) is in the log of these keys? At least one key is needed.

    key: the log's own. checkpoints: the Ed25519 key of its checkpoints. issuers: the certificates above, its own issuer
    first; needed only where the file does not say by whose key the certificate was issued.

    Raises ProofError; SignatureError for a checkpoint that the log did not sign; SctError; VerificationError,
    "from-the-future"; MalformedError for what cannot be read; UsageError without a key.
    """
    proof = parse_tlog_proof(data)
    origin, size, root, head_ms = _open(proof.checkpoint, key, checkpoints)
    if head_ms is not None and head_ms > now_ms + CLOCK_SKEW_MS:
        raise VerificationError("the log signed the tree in the future", reason="from-the-future")
    parsed = parse_certificate(certificate)
    refusal: VerificationError | None = None
    for hint in _hints(proof, parsed, issuers):
        entry = _entry(parsed, hint.issuer_key_hash)
        try:
            if parse_leaf_index(hint.extensions) not in (None, proof.index):
                raise SctError("the SCT promises another place in the log", reason="wrong-index")
            leaf = format_merkle_tree_leaf(TimestampedEntry(hint.timestamp_ms, entry, hint.extensions))
            verify_inclusion(proof.index, size, leaf_hash(leaf), proof.hashes, root)
            if key is not None and hint.sct is not None:
                key.verify_sct(hint.sct, entry)
        except (ProofError, SctError, SignatureError) as error:
            refusal = refusal or error
            continue
        is_checked = key is not None and hint.sct is not None
        return Stapled(origin, proof.index, size, root, head_ms, hint.timestamp_ms, hint.sct, entry, is_checked)
    raise refusal or ProofError("nothing says which entry this certificate has: the file carries no SCT, nor does it")


def _open(
    note: bytes, key: LogKey | None, checkpoints: Ed25519Verifier | None
) -> tuple[str, int, bytes, int | None]:
    """The signed head: (origin, size, root, time). A checkpoint key names the origin; a log's own vouches for it."""
    checkpoint = parse_checkpoint(parse_note(note, _FIELD).text)
    if key is not None:
        origin = checkpoint.origin if checkpoints is None else checkpoints.name
        head = open_checkpoint(note, origin, key, checkpoints)
        return origin, head.size, head.root, head.timestamp_ms
    if checkpoints is None:
        raise UsageError("a key of the log is needed to check a proof")
    if checkpoint.origin != checkpoints.name:
        raise SignatureError("the checkpoint is of another log's origin", reason="wrong-origin")
    open_note(note, [checkpoints])
    return checkpoint.origin, checkpoint.size, checkpoint.root, None


class _Hint(NamedTuple):
    """What an entry is rebuilt with; wrong hints lead to another leaf hash."""

    timestamp_ms: int
    extensions: bytes
    issuer_key_hash: bytes
    sct: SignedCertificateTimestamp | None


def _of_sct(sct: SignedCertificateTimestamp, issuer_key_hash: bytes) -> _Hint:
    return _Hint(sct.timestamp_ms, sct.extensions, issuer_key_hash, sct)


def _hints(proof: TlogProof, certificate: Certificate, issuers: Sequence[bytes]) -> list[_Hint]:
    """What the file says; or, where it says nothing, the certificate and its issuer."""
    if proof.extra[:1] in (_VERSION, _SEEN):
        reader = Reader(proof.extra, "extra", start=1)
        issuer_key_hash = reader.vector(1)
        if proof.extra[:1] == _VERSION:
            hint = _of_sct(parse_sct(reader.vector(2, 1)), issuer_key_hash)
        else:
            hint = _Hint(reader.uint(8), reader.vector(2), issuer_key_hash, None)
        reader.end()
        if len(issuer_key_hash) not in (0, HASH_SIZE):
            raise MalformedError("tlog-proof: a hash of the issuer's key that has not 32 bytes", field=_FIELD)
        return [hint]
    found = []
    for issuer in issuers[:1]:
        key_hash = hashlib.sha256(parse_certificate(issuer, "issuer").spki).digest()
        for data in embedded_scts(certificate.der):
            try:
                found.append(_of_sct(parse_sct(data), key_hash))
            except MalformedError:
                continue  # of a version that is not known
    return found


def _entry(certificate: Certificate, issuer_key_hash: bytes) -> SignedEntry:
    """What the log has of this certificate."""
    if not issuer_key_hash:
        return SignedEntry(EntryType.X509, certificate.der)
    tbs = tbs_of_precertificate(certificate) if is_precertificate(certificate) else tbs_of_final(certificate)
    return SignedEntry(EntryType.PRECERT, tbs, issuer_key_hash)
