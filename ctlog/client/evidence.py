"""Evidence against a log: what it shows, and making it. docs/evidence.md is the specification.

A *proof* verifies offline, by anyone who knows the log's key: only the log can have made what it holds. A *record* is
what we saw, when and where, and convinces nobody who does not trust us. In scope: `verify_evidence`, which says what
a text shows, and the makers. Out of scope: noticing that a log lies (`ctlog.client.trusted`, `ctlog.client.follow`),
and showing it to people.

Everything that the makers return was verified by `verify_evidence` first, so an accusation that does not hold never
leaves this module. A new kind is one more entry in `_KINDS`, with its function and its section in the document.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from ctlog.client.evidence_text import (
    MAGIC,
    MAX_EVIDENCE,
    Case,
    Evidence,
    Member,
    clean,
    format_evidence,
    parse_evidence,
    parse_number,
)
from ctlog.errors import MalformedError, ProofError, SignatureError
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.proof import fold_consistency, verify_inclusion
from ctlog.merkle.tree import EMPTY_ROOT
from ctlog.wire.b64 import format_base64, parse_base64
from ctlog.wire.checkpoint import SignedHead, open_checkpoint
from ctlog.wire.rfc6962 import (
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    TimestampedEntry,
    format_merkle_tree_leaf,
    format_sct,
    parse_merkle_tree_leaf,
    parse_sct,
)
from ctlog.wire.static_ct import parse_leaf_index

__all__ = [
    "MAGIC",
    "MAX_EVIDENCE",
    "Case",
    "Evidence",
    "Member",
    "Verdict",
    "format_evidence",
    "parse_evidence",
    "prove_broken_sct",
    "prove_empty_root",
    "prove_fork",
    "prove_late_merge",
    "prove_rewrite",
    "prove_rollback",
    "record",
    "verify_evidence",
]

MAX_DATA = 64 << 10
"""Bytes of what was received that a record keeps; of more it keeps the hash and the length."""

_FIELD = "evidence"


class Verdict(NamedTuple):
    """Evidence that holds. `sentence` says what it shows; when `is_proof` is false, only that somebody claims it."""

    evidence: Evidence
    is_proof: bool
    sentence: str


def verify_evidence(text: str, key: LogKey | None = None) -> Verdict:
    """What this evidence shows, checked from its own bytes alone.

    `key` is the key that the reader knows the log by; without it the caller must compare `evidence.case.key` with a
    source that he trusts, since anyone can make a key and "prove" that its owner lies.

    Raises MalformedError for what cannot be read (`unknown-kind` for a kind of a later version), SignatureError when
    the log did not sign what is in it (`wrong-key` for another log's key), ProofError when it shows nothing.
    """
    evidence = parse_evidence(text)
    if key is not None and evidence.case.key != key:
        raise SignatureError("the evidence is about another log's key", reason="wrong-key")
    kind = _KINDS.get(evidence.kind)
    if kind is None or kind.is_proof != evidence.is_proof:
        word = "proof" if evidence.is_proof else "record"
        raise MalformedError(f"evidence: no {word} of this kind is known", field=_FIELD, reason="unknown-kind")
    return Verdict(evidence, kind.is_proof, kind.check(evidence))


def _expect(evidence: Evidence, *names: str) -> None:
    """Exactly these members, in this order; a name that ends in `*` may be there any number of times."""
    pattern = "".join(f"(?:{name[:-1]} )*" if name.endswith("*") else f"{name} " for name in names)
    if not re.fullmatch(pattern, "".join(f"{member.name} " for member in evidence.members)):
        raise MalformedError(f"evidence: {evidence.kind} needs the members {', '.join(names)}", field=_FIELD)
    if any(member.value.endswith("\n") != (member.name == "head") for member in evidence.members):
        raise MalformedError("evidence: heads are blocks, and everything else is one line", field=_FIELD)


def _heads(evidence: Evidence) -> list[SignedHead]:
    """The heads in it, each verified."""
    case = evidence.case
    return [open_checkpoint(note.encode(), case.origin, case.key) for note in evidence.values("head")]


def _check_fork(evidence: Evidence) -> str:
    _expect(evidence, "head", "head")
    one, other = _heads(evidence)
    if one.size != other.size or one.root == other.root:
        raise ProofError("these two heads are not of one size with different roots")
    return (
        f"The log signed two different trees of {one.size} entries: root {one.root.hex()} at {_time(one)}, "
        f"and root {other.root.hex()} at {_time(other)}."
    )


def _check_rollback(evidence: Evidence) -> str:
    _expect(evidence, "head", "head")
    one, other = _heads(evidence)
    if not (one.timestamp_ms < other.timestamp_ms and one.size > other.size):
        raise ProofError("the second of these heads is not both newer and smaller")
    return (
        f"The log signed a tree of {one.size} entries at {_time(one)}, and later, at {_time(other)}, "
        f"one of only {other.size}."
    )


def _check_rewrite(evidence: Evidence) -> str:
    _expect(evidence, "head", "head", "hash*")
    old, new = _heads(evidence)
    path = [_hash(value, "hash") for value in evidence.values("hash")]
    implied_old, implied_new = fold_consistency(old.size, new.size, path)
    if implied_new != new.root:
        raise ProofError("the hashes do not fold to the root of the larger tree")
    if implied_old == old.root:
        raise ProofError("the hashes fold to both roots: the two trees are consistent")
    return (
        f"The log rewrote its past: its tree of {new.size} entries, signed at {_time(new)}, begins with {old.size} "
        f"entries with root {implied_old.hex()}, but at {_time(old)} it signed {old.root.hex()} for that size."
    )


def _check_empty_root(evidence: Evidence) -> str:
    _expect(evidence, "head")
    (head,) = _heads(evidence)
    if head.size != 0 or head.root == EMPTY_ROOT:
        raise ProofError("this head is not of an empty tree with a root of its own")
    return f"At {_time(head)} the log signed the root {head.root.hex()} for a tree without entries."


def _check_broken_sct(evidence: Evidence) -> str:
    is_beyond = not evidence.values("found")
    _expect(evidence, "sct", "leaf", "mmd", "head", *(() if is_beyond else ("found", "hash*")))
    sct = parse_sct(parse_base64(evidence.values("sct")[0], "sct"))
    leaf = parse_base64(evidence.values("leaf")[0], "leaf")
    mmd_ms = parse_number(evidence.values("mmd")[0], "mmd")
    timestamped = parse_merkle_tree_leaf(leaf, "leaf")
    if (timestamped.timestamp_ms, timestamped.extensions) != (sct.timestamp_ms, sct.extensions):
        raise ProofError("the leaf is not the one that the SCT promises: another time or other extensions")
    evidence.case.key.verify_sct(sct, timestamped.entry)
    index = parse_leaf_index(sct.extensions)
    if index is None:
        raise ProofError("the SCT names no place in the log, so no head can break its promise provably")
    (head,) = _heads(evidence)
    promise = f"At {_format_ms(sct.timestamp_ms)} the log promised, by an SCT, to hold this entry at index {index}"
    if is_beyond:
        if head.size > index or head.timestamp_ms <= sct.timestamp_ms + mmd_ms:
            raise ProofError("this head is too large or too early to break the SCT's promise")
        return f"{promise} within {mmd_ms} ms; at {_time(head)} its tree ended before that, at {head.size} entries."
    found = _hash(evidence.values("found")[0], "found")
    if found == leaf_hash(leaf):
        raise ProofError("the entry is where the SCT promises it")
    path = [_hash(value, "hash") for value in evidence.values("hash")]
    verify_inclusion(index, head.size, found, path, head.root)
    return f"{promise}; its tree of {head.size} entries, signed at {_time(head)}, holds another there."


def _check_late_merge(evidence: Evidence) -> str:
    _expect(evidence, "head", "head", "leaf", "mmd", "hash*")
    old, new = _heads(evidence)
    leaf = parse_base64(evidence.values("leaf")[0], "leaf")
    mmd_ms = parse_number(evidence.values("mmd")[0], "mmd")
    timestamped = parse_merkle_tree_leaf(leaf, "leaf")
    index = parse_leaf_index(timestamped.extensions)
    if index is None:
        raise ProofError("the entry names no place in the log, so the same may have been merged before")
    if not old.size <= index < new.size:
        raise ProofError("the entry's place is not in the second of these trees alone")
    if old.timestamp_ms <= timestamped.timestamp_ms + mmd_ms:
        raise ProofError("when the first of these trees was signed the entry was not due yet")
    path = [_hash(value, "hash") for value in evidence.values("hash")]
    verify_inclusion(index, new.size, leaf_hash(leaf), path, new.root)
    return (
        f"The log dates its entry {index} {_format_ms(timestamped.timestamp_ms)}, and so promised to have merged it "
        f"within {mmd_ms} ms; but the tree that it signed at {_time(old)} ended before it, at {old.size} entries. It "
        "was merged too late, or is dated back."
    )


def _check_record(evidence: Evidence) -> str:
    _expect(evidence, "detail", "path*", "head*", "sct*", "sha256*", "length*", "data*")
    _heads(evidence)
    case = evidence.case
    place = f" from {case.source}" if case.source else ""
    return f"Somebody states that at {_format_ms(case.seen_ms)}{place}: {evidence.values('detail')[0]}"


def _hash(text: str, field: str) -> bytes:
    value = parse_base64(text, field)
    if len(value) != 32:
        raise MalformedError(f"{field}: 32 bytes expected, {len(value)} found", field=field)
    return value


def _time(head: SignedHead) -> str:
    return _format_ms(head.timestamp_ms)


def _format_ms(timestamp_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds; beyond the year 9999 the plain number."""
    if timestamp_ms >= 253_402_300_800_000:
        return f"{timestamp_ms} ms"
    seconds, ms = divmod(timestamp_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


class _Kind(NamedTuple):
    is_proof: bool
    check: Callable[[Evidence], str]


_KINDS = {
    "fork": _Kind(True, _check_fork),
    "rewrite": _Kind(True, _check_rewrite),
    "rollback": _Kind(True, _check_rollback),
    "empty-root": _Kind(True, _check_empty_root),
    "broken-sct": _Kind(True, _check_broken_sct),
    "late-merge": _Kind(True, _check_late_merge),
    "bad-tile": _Kind(False, _check_record),
    "bad-entries": _Kind(False, _check_record),
    "missing-data": _Kind(False, _check_record),
    "no-consistency": _Kind(False, _check_record),
    "sct-not-found": _Kind(False, _check_record),
    "late-entry": _Kind(False, _check_record),
}


def prove_fork(case: Case, one: SignedHead, other: SignedHead) -> str:
    """Two heads of one size with different roots."""
    return _verified(True, "fork", case, _head_members(sorted((one, other), key=lambda head: head.timestamp_ms)))


def prove_rollback(case: Case, one: SignedHead, other: SignedHead) -> str:
    """Two heads of which the newer one is the smaller."""
    return _verified(True, "rollback", case, _head_members(sorted((one, other), key=lambda head: head.timestamp_ms)))


def prove_rewrite(case: Case, old: SignedHead, new: SignedHead, path: Sequence[bytes]) -> str:
    """Two heads, and the hashes (for `fold_consistency`) that lead to the larger root and not to the smaller."""
    return _verified(True, "rewrite", case, (*_head_members([old, new]), *_hash_members(path)))


def prove_empty_root(case: Case, head: SignedHead) -> str:
    """A head of no entries with another root than SHA-256 of nothing."""
    return _verified(True, "empty-root", case, _head_members([head]))


def prove_broken_sct(
    case: Case,
    sct: SignedCertificateTimestamp,
    entry: SignedEntry,
    mmd_ms: int,
    head: SignedHead,
    found: tuple[bytes, Sequence[bytes]] | None,
) -> str:
    """An SCT with a leaf index, and a head that does not hold its entry there.

    `found` is the leaf hash that stands at that index with its inclusion proof; None when the tree, signed later than
    the SCT's time plus `mmd_ms`, ends before the index.
    """
    leaf = format_merkle_tree_leaf(TimestampedEntry(sct.timestamp_ms, entry, sct.extensions))
    members = [
        Member("sct", format_base64(format_sct(sct))),
        Member("leaf", format_base64(leaf)),
        Member("mmd", str(mmd_ms)),
        *_head_members([head]),
    ]
    if found is not None:
        members += [Member("found", format_base64(found[0])), *_hash_members(found[1])]
    return _verified(True, "broken-sct", case, members)


def prove_late_merge(
    case: Case, old: SignedHead, new: SignedHead, leaf: bytes, mmd_ms: int, path: Sequence[bytes]
) -> str:
    """An entry with a leaf index (its MerkleTreeLeaf) that is in the tree of `new`, with its inclusion proof, and that
    was due when `old`, which ends before it, was signed."""
    members = [
        *_head_members([old, new]),
        Member("leaf", format_base64(leaf)),
        Member("mmd", str(mmd_ms)),
        *_hash_members(path),
    ]
    return _verified(True, "late-merge", case, members)


def record(
    case: Case,
    kind: str,
    detail: str,
    *,
    heads: Sequence[SignedHead] = (),
    path: str = "",
    sct: SignedCertificateTimestamp | None = None,
    data: bytes | None = None,
) -> str:
    """What was seen: `detail` is one sentence, `path` what was asked for, `data` what came.

    Kinds: bad-tile, bad-entries, missing-data, no-consistency, sct-not-found, late-entry.
    """
    members = [Member("detail", clean(detail) or "(no detail)")]
    members += [Member("path", clean(path))] if path else []
    members += _head_members(heads)
    members += [Member("sct", format_base64(format_sct(sct)))] if sct is not None else []
    if data is not None:
        members += [Member("sha256", hashlib.sha256(data).hexdigest()), Member("length", str(len(data)))]
        members += [Member("data", format_base64(data))] if 0 < len(data) <= MAX_DATA else []
    return _verified(False, kind, case, members)


def _head_members(heads: Sequence[SignedHead]) -> list[Member]:
    return [Member("head", head.note.decode()) for head in heads]


def _hash_members(hashes: Sequence[bytes]) -> list[Member]:
    return [Member("hash", format_base64(value)) for value in hashes]


def _verified(is_proof: bool, kind: str, case: Case, members: Sequence[Member]) -> str:
    case = case._replace(source=clean(case.source))
    text = format_evidence(Evidence(is_proof, kind, case, tuple(members)))
    verify_evidence(text, case.key)
    return text
