"""Does a log keep the promises of its SCTs? Each SCT that comes to our knowledge is audited until it is merged.

Spec: RFC 6962 sections 3 and 5.4, static-ct-api. In scope: taking SCTs in (handed in, or found in certificates), after
their signature was verified; one pass over those of a log that wait; the evidence of a broken promise. An SCT with a
leaf index is kept or broken by what stands at that index; one without is looked for by its hash, and then in what we
read ourselves. Out of scope: when passes are made, and SCTs whose signature is bad: these accuse nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ctlog.client.evidence import prove_broken_sct, record
from ctlog.client.sct import Candidate, VerifiedSct, check_time, embedded_scts, read_sct
from ctlog.client.tile_reader import TileReader
from ctlog.client.trusted import LogPolicy
from ctlog.errors import (
    CtlogError,
    MalformedError,
    Misbehaviour,
    NotFoundError,
    ProofError,
    SctError,
    StoreError,
)
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.tree import Node, TreeHead
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import (
    SignedCertificateTimestamp,
    SignedEntry,
    format_sct,
    parse_merkle_tree_leaf,
    parse_sct,
)
from ctlog.x509.der import parse_certificate
from monitor.entry import look
from monitor.follow.begin import audit_path, leaves, proof_by_hash
from monitor.follow.followed import Clock, Followed
from monitor.follow.misbehaviour import Accuser
from monitor.follow.unkept import plan_unkept
from monitor.glance import Glancer
from monitor.history import History
from monitor.state import State
from monitor.state.rows import SCT_BROKEN, SCT_MERGED, SCT_MISSING, SCT_WAITING, SctRow

CANDIDATES = 64
"""Entries with a label of the promised one that are compared with it."""


AHEAD_MS = 600_000
"""So far ahead of our clock an SCT may be dated: clocks differ. One that is dated further has a later deadline than it
should."""


class Known(Protocol):
    """A log that is known by its key."""

    @property
    def log_id(self) -> bytes: ...
    @property
    def policy(self) -> LogPolicy: ...


class TakenIn(NamedTuple):
    """rows: the SCTs that hold, ready to be audited. faults: what is wrong with others, or with these; they do not keep
    the good ones from being audited, for then one bad SCT would hide all promises of a certificate."""

    rows: list[SctRow]
    faults: list[CtlogError]


def take_in(
    certificate: bytes, issuers: Sequence[bytes], scts: Sequence[bytes], logs: Mapping[bytes, Known], source: str,
    now_ms: int,
) -> TakenIn:  # fmt: skip
    """The SCTs of followed logs for this certificate, one by one; those of other logs are left out.

    `scts`: serialized; where there are none, those in the certificate. One that is dated ahead of `now_ms` holds: it
    waits until its time has come, and is a fault beyond AHEAD_MS. Raises MalformedError for a certificate or a list of
    SCTs that cannot be read.
    """
    candidate = Candidate(parse_certificate(certificate), tuple(parse_certificate(der, "issuer") for der in issuers))
    taken = TakenIn([], [])
    for data in scts or embedded_scts(certificate):
        log = logs.get(data[1:33])
        if log is None:
            continue
        try:
            verified = candidate.verify(read_sct(data), log.policy.key)
            taken.rows.append(sct_row(log, verified, source, now_ms))
            check_time(verified.sct, now_ms, AHEAD_MS)
        except (SctError, MalformedError) as error:
            taken.faults.append(error)
    return taken


def sct_row(log: Known, verified: VerifiedSct, source: str, now_ms: int) -> SctRow:
    """A verified SCT as it is stored."""
    sct = format_sct(verified.sct)
    return SctRow(
        hashlib.sha256(sct).hexdigest(), log.log_id, sct, verified.merkle_tree_leaf, verified.sct.timestamp_ms,
        verified.leaf_index, source, now_ms, SCT_WAITING, "", None,
    )  # fmt: skip


class Auditor:
    """Audits the SCTs of one log."""

    def __init__(
        self, log: Followed, state: State, accuser: Accuser, history: History | None, now_ms: Clock,
        told: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._log = log
        self._state = state
        self._accuser = accuser
        self._history = history
        self._now_ms = now_ms
        self._told = told
        self._reader = TileReader(log.fetcher)

    async def audit(self, head: SignedHead | None, read: range) -> None:
        """One pass against the trusted head; `read`: the entries that we have read ourselves.

        SCTs about which the network keeps us from knowing go on waiting.
        """
        if head is None:
            return
        for row in await self._state.audits.waiting(self._log.log_id):
            if row.log_index is not None and row.log_index >= head.size and not self._is_late(row, head):
                continue
            try:
                status, detail = await self._one(row, head, read)
            except Misbehaviour as error:
                await self._accuser.accuse(self._log, error, self._now_ms(), row.id)
                self._told()
                status, detail = (SCT_MISSING if error.reason == "sct-not-found" else SCT_BROKEN), str(error)
                await self._state.audits.settle([(row.id, status, detail)], self._now_ms(), tasks=[plan_unkept(row)])
                continue
            except StoreError:
                raise
            except CtlogError:  # the network, or a proof that does not hold: nothing is known about this promise
                continue
            if status != SCT_WAITING:
                await self._state.audits.settle([(row.id, status, detail)], self._now_ms())

    def _is_late(self, row: SctRow, head: SignedHead) -> bool:
        return head.timestamp_ms > row.timestamp_ms + self._log.policy.mmd_ms

    async def _one(self, row: SctRow, head: SignedHead, read: range) -> tuple[str, str]:
        sct, entry = parse_sct(row.sct), parse_merkle_tree_leaf(row.leaf).entry
        if row.log_index is None:
            return await self._without_index(row, sct, head, read)
        if row.log_index >= head.size:
            sentence = f"an SCT promised entry {row.log_index}, and when it was due the tree ended at {head.size}"
            self._broken(sct, entry, head, None, sentence)
        found, path = await self._at(head, row.log_index, leaf_hash(row.leaf))
        if found != leaf_hash(row.leaf):
            sentence = f"an SCT promised entry {row.log_index}, where another stands"
            self._broken(sct, entry, head, (found, path), sentence)
        return SCT_MERGED, f"entry {row.log_index}"

    async def _at(self, head: SignedHead, index: int, wanted: bytes) -> tuple[bytes, list[bytes]]:
        """The leaf hash at this index with its audit path, verified."""
        if self._log.is_proven_at_once:
            tree = TreeHead(head.size, head.root)
            authentic = await self._reader.authentic(tree, [Node(0, index)])
            return authentic.hash(Node(0, index)), await self._reader.inclusion_proof(tree, index)
        try:
            return wanted, await audit_path(self._log, head, wanted, index)
        except (NotFoundError, ProofError):
            pass  # not there, says the log; what is there convicts it, or shows that it erred
        (leaf,) = await leaves(self._log, head, index, index + 1)
        return leaf_hash(leaf), await audit_path(self._log, head, leaf_hash(leaf), index)

    async def _without_index(
        self, row: SctRow, sct: SignedCertificateTimestamp, head: SignedHead, read: range
    ) -> tuple[str, str]:
        """By its hash, as the log finds it and proves it; else among the entries that we read ourselves."""
        if not self._log.is_proven_at_once:
            try:
                index, _ = await proof_by_hash(self._log, head, leaf_hash(row.leaf))
                return SCT_MERGED, f"entry {index}"
            except NotFoundError:
                pass
        index_read = await self._in_history(head, row.leaf)
        if index_read is not None:
            return SCT_MERGED, f"entry {index_read}"
        has_said_no = not self._log.is_proven_at_once
        if not self._is_late(row, head) or read.stop < head.size or (read.start > 0 and not has_said_no):
            return SCT_WAITING, ""
        sentence = "the entry of an SCT is not in the tree, after the maximum merge delay"
        case = self._log.policy.case(self._now_ms())
        evidence = record(case, "sct-not-found", sentence, heads=[head], sct=sct)
        raise Misbehaviour(sentence, evidence=evidence, reason="sct-not-found")

    async def _in_history(self, head: SignedHead, leaf: bytes) -> int | None:
        """The index at which we read this very leaf."""
        if self._history is None:
            return None
        number = self._history.log_number(self._log.log_id)
        indexes = {
            claim.log_index
            for label in look(Glancer(), leaf).labels
            for claim in self._history.lookup(label)
            if claim.log == number and claim.log_index < head.size
        }
        for index in sorted(indexes)[:CANDIDATES]:
            if await leaves(self._log, head, index, index + 1) == [leaf]:
                return index
        return None

    def _broken(
        self, sct: SignedCertificateTimestamp, entry: SignedEntry, head: SignedHead,
        found: tuple[bytes, Sequence[bytes]] | None, sentence: str,
    ) -> None:  # fmt: skip
        """Raises Misbehaviour with the proof."""
        policy = self._log.policy
        evidence = prove_broken_sct(policy.case(self._now_ms()), sct, entry, policy.mmd_ms, head, found)
        raise Misbehaviour(sentence, evidence=evidence, reason="broken-sct")
