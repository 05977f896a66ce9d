"""What a log may be trusted for: a head that only ever moves forward, each step proven or refused with evidence.

The caller brings a head that the log signed; `offer` compares it with the trusted one and says what it needs to see;
`accept` takes that and gives the next TrustedLog, or raises Misbehaviour with evidence (`ctlog.client.evidence`).
Nothing here fetches, waits or asks the time. Out of scope: fetching (`ctlog.client.follow`), entries, SCTs.

What a head can be, measured against the trusted one:

    size and time       another root of the same size      fork: a proof, at once
    larger              a root that does not continue      rewrite: a proof, when what came shows it
    smaller and newer   -                                  rollback: a proof, at once. Larger and older is the same lie
    smaller, not newer  consistent with the trusted one    a cache served it: nothing changes
    same root           newer                              the log lives: only the time moves

What came may also show nothing about the log's signatures, only that it was served wrong: tiles that do not hash to the
root, entries that make another tree, a consistency proof that leads nowhere. That is a record, not a proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from ctlog.client.evidence import (
    Case,
    parse_evidence,
    prove_empty_root,
    prove_fork,
    prove_rewrite,
    prove_rollback,
    record,
)
from ctlog.client.evidence_text import clean
from ctlog.errors import Misbehaviour, ProofError, UsageError, VerificationError
from ctlog.merkle.proof import build, fold_consistency, plan_consistency_path, verify_consistency
from ctlog.merkle.tiles import AuthenticTiles, Tile, plan
from ctlog.merkle.tree import EMPTY_ROOT, MAX_SIZE, CompactRange, Frontier
from ctlog.wire.checkpoint import SignedHead, checkpoint_from_sth, open_checkpoint
from ctlog.wire.rfc6962 import LogKey, SignedTreeHead
from ctlog.wire.signed_note import NoteVerifier

Came = Mapping[Tile, bytes] | CompactRange | Sequence[bytes] | None
"""Any one of: hash tiles of the larger tree; the leaves from the old size on; an RFC 6962 consistency proof."""


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """Which log, by which keys, and how far its clock may be ahead of ours.

    `origin` is the name in its checkpoints (or, for a log of RFC 6962 only, any name for it); `ed25519` a second key
    without whose signature no head counts; `mmd_ms` its maximum merge delay; `source` the URL that records name.
    """

    origin: str
    key: LogKey
    ed25519: NoteVerifier | None = None
    source: str = ""
    mmd_ms: int = 86_400_000
    max_ahead_ms: int = 300_000

    def __post_init__(self) -> None:
        if clean(self.origin) != self.origin or not self.origin:
            raise UsageError("a log's origin is a name without control characters")

    def open(self, note: bytes) -> SignedHead:
        """The head of a checkpoint. Raises MalformedError, or SignatureError when the log did not sign it."""
        return open_checkpoint(note, self.origin, self.key, self.ed25519)

    def open_sth(self, sth: SignedTreeHead) -> SignedHead:
        """The same for a tree head of RFC 6962's get-sth, which carries one signature only."""
        return open_checkpoint(checkpoint_from_sth(sth, self.origin, self.key.log_id), self.origin, self.key)

    def case(self, seen_ms: int) -> Case:
        """Who and where, for evidence."""
        return Case(self.origin, self.key, self.source, seen_ms)


class StepKind(Enum):
    """What an offered head is to the trusted one."""

    FIRST = "first"
    """There was none. Taken as it is, on first use; tiles or leaves give its frontier."""
    SAME = "same"
    """The same tree, signed again or seen again."""
    GROWN = "grown"
    """A larger tree."""
    OLDER = "older"
    """A smaller tree, not signed later: from a cache, if it is consistent."""


@dataclass(frozen=True, slots=True)
class Step:
    """An offer that must still be accepted. `offer` makes these.

    Where `needs_proof`, one of: `tiles` (hash tiles of the larger tree, which also authenticate themselves), the
    consistency proof from `old.size` to `new.size`, or the leaves [old.size, new.size) as one CompactRange (GROWN
    only, and only where the trusted log knows its frontier).
    """

    kind: StepKind
    old: SignedHead | None
    new: SignedHead
    base: SignedHead | None
    """What was trusted when the step was made."""
    seen_ms: int

    @property
    def needs_proof(self) -> bool:
        """Must something come before this step can be accepted?"""
        return self.old is not None and 0 < self.old.size < self.new.size

    @property
    def old_size(self) -> int:
        """The size of the smaller tree; 0 where nothing was trusted."""
        return self.old.size if self.old is not None else 0

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The hash tiles that show consistency; with them, the right edge of the larger tree."""
        nodes = plan_consistency_path(self.old_size, self.new.size).nodes if self.needs_proof else []
        return tuple(plan(nodes, self.new.size))


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log's trusted head and, where it is known, the frontier of its tree. Immutable: `accept` gives the next one.

    Raises UsageError for a frontier that is not of this head.
    """

    policy: LogPolicy
    head: SignedHead | None = None
    frontier: Frontier | None = None

    def __post_init__(self) -> None:
        if self.frontier is not None:
            size, root = (self.head.size, self.head.root) if self.head is not None else (0, EMPTY_ROOT)
            if self.frontier.head() != (size, root):
                raise UsageError("the frontier is not of the trusted head")

    @classmethod
    def resume(cls, policy: LogPolicy, note: bytes, hashes: Sequence[bytes] | None = None) -> TrustedLog:
        """What was stored: the head's note, and the hashes of its frontier. The signature is checked again.

        Raises MalformedError, SignatureError, or UsageError for hashes that are not of this head.
        """
        head = policy.open(note)
        return cls(policy, head, None if hashes is None else Frontier(head.size, tuple(hashes)))

    def offer(self, head: SignedHead, now_ms: int) -> Step:
        """What this head is to the trusted one, and what must be seen before it can be accepted.

        Raises Misbehaviour with a proof where the two heads alone contradict each other; VerificationError for a head
        that is dated more than `policy.max_ahead_ms` after `now_ms` (`head-from-the-future`: one of the two clocks is
        wrong, and nobody can say which) or whose size no tree can have (`impossible-size`).
        """
        self._check_head(head, now_ms)
        base = self.head
        if base is None:
            return Step(StepKind.FIRST, None, head, None, now_ms)
        case = self.policy.case(now_ms)
        if head.size == base.size:
            if head.root != base.root:
                _accuse(prove_fork(case, base, head), f"the log signed two trees of {head.size} entries")
            return Step(StepKind.SAME, base, head, base, now_ms)
        old, new = (base, head) if head.size > base.size else (head, base)
        if old.timestamp_ms > new.timestamp_ms:
            evidence = prove_rollback(case, new, old)
            _accuse(evidence, f"the log went back from {new.size} entries to {old.size}")
        return Step(StepKind.GROWN if new is head else StepKind.OLDER, old, new, base, now_ms)

    def accept(self, step: Step, came: Came = None) -> TrustedLog:
        """The log as it is trusted after this step; `came` is one of the things that the step asked for, or None.

        Raises Misbehaviour with a proof when what came shows that the log contradicts itself, with a record when it
        does not fit the signed heads; UsageError for a step of another state, or for something that it did not ask for.
        """
        if step.base != self.head:
            raise UsageError("the trusted head has changed since this step was made: offer the head again")
        frontier: Frontier | None = None
        if came is None:
            if step.needs_proof:
                raise UsageError(f"to go from {step.old_size} to {step.new.size} entries, something must be shown")
        elif isinstance(came, CompactRange):
            frontier = self._accept_leaves(step, came)
        elif isinstance(came, Mapping):
            frontier = self._accept_tiles(step, came)
        else:
            self._accept_proof(step, came)
        if step.kind in (StepKind.FIRST, StepKind.GROWN):
            return TrustedLog(self.policy, step.new, frontier)
        newest = step.new if step.kind is StepKind.SAME and self._is_newer(step.new) else self.head
        return TrustedLog(self.policy, newest, frontier or self.frontier)

    def _is_newer(self, head: SignedHead) -> bool:
        return self.head is None or head.timestamp_ms > self.head.timestamp_ms

    def _check_head(self, head: SignedHead, now_ms: int) -> None:
        if head.origin != self.policy.origin:
            raise UsageError("this head is of another log")
        if head.size > MAX_SIZE:
            raise VerificationError(f"no tree has {head.size} entries", reason="impossible-size")
        if head.timestamp_ms > now_ms + self.policy.max_ahead_ms:
            ahead = head.timestamp_ms - now_ms
            raise VerificationError(f"the head is dated {ahead} ms after our clock", reason="head-from-the-future")
        if head.size == 0 and head.root != EMPTY_ROOT:
            evidence = prove_empty_root(self.policy.case(now_ms), head)
            _accuse(evidence, "the log signed a root for a tree without entries")

    def _accept_leaves(self, step: Step, leaves: CompactRange) -> Frontier:
        known = Frontier() if step.old_size == 0 else self.frontier
        if step.kind is StepKind.OLDER or known is None:
            raise UsageError("leaves lead on from a known frontier, and only forward")
        if (leaves.lo, leaves.hi) != (step.old_size, step.new.size):
            raise UsageError(f"leaves [{step.old_size}, {step.new.size}) are asked for, not [{leaves.lo}, {leaves.hi})")
        frontier = known.extend(leaves)
        if frontier.root() != step.new.root:
            self._record(step, "bad-entries", f"entries [{leaves.lo}, {leaves.hi}) make another tree than the head's")
        return frontier

    def _accept_tiles(self, step: Step, tiles: Mapping[Tile, bytes]) -> Frontier:
        try:
            authentic = AuthenticTiles(step.new.size, step.new.root, tiles)
        except ProofError as error:
            self._record(step, "bad-tile", str(error))
        if step.old is not None and step.needs_proof:
            path = build(plan_consistency_path(step.old_size, step.new.size), authentic)
            if fold_consistency(step.old_size, step.new.size, path)[0] != step.old.root:
                self._accuse_rewrite(step, step.old, path)
        return authentic.frontier()

    def _accept_proof(self, step: Step, proof: Sequence[bytes]) -> None:
        if step.old is None or not step.needs_proof:
            if proof:
                raise UsageError("this step needs no consistency proof")
            return
        old, new = step.old, step.new
        try:
            verify_consistency(old.size, new.size, old.root, new.root, proof)
        except ProofError as error:
            try:  # one that leads to the new root alone is the log's own word against its old root
                _, implied_new = fold_consistency(old.size, new.size, proof)
            except ProofError:
                implied_new = b""
            if implied_new == new.root:
                self._accuse_rewrite(step, old, proof)
            self._record(step, "no-consistency", str(error))

    def _accuse_rewrite(self, step: Step, old: SignedHead, path: Sequence[bytes]) -> NoReturn:
        evidence = prove_rewrite(self.policy.case(step.seen_ms), old, step.new, path)
        _accuse(evidence, f"the log's tree of {step.new.size} entries does not continue its tree of {old.size}")

    def _record(self, step: Step, kind: str, sentence: str) -> NoReturn:
        heads = [step.new] if step.old is None or step.old == step.new else [step.old, step.new]
        evidence = record(self.policy.case(step.seen_ms), kind, sentence, heads=heads)
        raise Misbehaviour(sentence, evidence=evidence, reason=kind)


def _accuse(evidence: str, sentence: str) -> NoReturn:
    raise Misbehaviour(sentence, evidence=evidence, reason=parse_evidence(evidence).kind)
