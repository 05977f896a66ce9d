"""Was each entry merged in time? One that a tree does not hold, although it was due when that tree was signed, came
late, or is dated back: the log broke its promise, or its dates are false.

Spec: RFC 6962 sections 3 and 3.4. A log promises to merge an entry within its maximum merge delay (MMD) after the
timestamp that stands in the leaf. In scope: which heads were signed before an entry was merged; the entries of a batch
that were due by then; evidence, a proof where the leaf names its place, else a record. The log is accused once a day,
for its alert is one a day. Out of scope: what it means for the owner of a number (`monitor.rules.logs`).

Nothing here compares two clocks: heads and leaves are dated by the log itself. Of what was there when we first met the
log nothing can be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from ctlog.client.evidence import prove_late_merge, record
from ctlog.client.follow import Batch
from ctlog.client.tile_reader import TileReader
from ctlog.errors import CtlogError, MalformedError, Misbehaviour, NotFoundError, ProofError, StoreError
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.tree import TreeHead
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import parse_merkle_tree_leaf
from ctlog.wire.static_ct import parse_leaf_index
from monitor.follow.begin import audit_path, proof_by_hash
from monitor.follow.followed import Clock, Followed
from monitor.follow.misbehaviour import Accuser

DAY_MS = 86_400_000
LOOKED_UP = 16
"""Entries of a batch without an index of which it is asked whether the same stood in the tree before."""


class Late(NamedTuple):
    """An entry (its log's name, its index), its date, and the newest head that does not hold it although it was due."""

    log_name: str
    at: int
    leaf: bytes
    dated_ms: int
    head: SignedHead

    @property
    def by_ms(self) -> int:
        """How long before that head it is dated."""
        return self.head.timestamp_ms - self.dated_ms

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        dated, signed = _day(self.dated_ms), _day(self.head.timestamp_ms)
        place = f"entry {self.at:,} of {self.log_name}"
        return f"{place} is dated {dated}, and the tree that it signed on {signed} did not hold it"


class MergeDelay:
    """The heads of one log by which its entries are measured. `see` every head, then `check` what comes behind it."""

    def __init__(self, log: Followed, accuser: Accuser, now_ms: Clock) -> None:
        self._log = log
        self._accuser = accuser
        self._now_ms = now_ms
        self._heads: list[SignedHead] = []
        self._accused_day = -1

    def see(self, head: SignedHead) -> None:
        """The log signed this head."""
        if head not in self._heads:
            self._heads.append(head)

    def passed(self, size: int) -> None:
        """The entries below `size` were checked: of the heads that end there only the newest is of interest."""
        ended = [head for head in self._heads if head.size <= size]
        newest = max(ended, key=lambda head: head.timestamp_ms, default=None)
        self._heads = [head for head in self._heads if head.size > size or head is newest]

    async def check(self, batch: Batch, tree: SignedHead) -> Mapping[int, str]:
        """The entries of a batch that came late, by index, each with a sentence; the log is accused of the latest.

        tree: signed, and holds them. Raises StoreError.
        """
        late = {each.at: each for each in self.late(batch)}
        if not late:
            return {}
        for each in [each for each in late.values() if not _is_placed(each)][:LOOKED_UP]:
            if await self._stood_before(each):
                del late[each.at]
        day = self._now_ms() // DAY_MS
        if late and day != self._accused_day:
            worst = max(late.values(), key=lambda each: each.by_ms)
            error = await self._misbehaviour(worst, tree)
            if error is not None:
                await self._accuser.accuse(self._log, error, self._now_ms(), f"late on day {day}")
                self._accused_day = day
        return {index: each.sentence for index, each in late.items()}

    def late(self, batch: Batch) -> list[Late]:
        """Which entries of a batch were due when a head was signed that ends before them."""
        heads = [head for head in self._heads if head.size < batch.hi]
        if not heads:
            return []
        mmd_ms = self._log.policy.mmd_ms
        due_ms = max(head.timestamp_ms for head in heads) - mmd_ms
        if due_ms <= 0 or min(leaf[2:10] for leaf in batch.leaves) >= due_ms.to_bytes(8, "big"):
            return []  # all of them, at the cost of one look at each
        found = []
        for index, leaf in enumerate(batch.leaves, batch.lo):
            before = max((head for head in heads if head.size <= index), key=_signed_ms, default=None)
            dated_ms = _dated_ms(leaf)
            if before is not None and dated_ms is not None and dated_ms + mmd_ms < before.timestamp_ms:
                found.append(Late(self._log.name, index, leaf, dated_ms, before))
        return found

    async def _stood_before(self, late: Late) -> bool:
        """Whether the very same leaf stands in the smaller tree too: merged twice, the first time in time."""
        if self._log.is_proven_at_once or not late.head.size:
            return False
        try:
            await proof_by_hash(self._log, late.head, leaf_hash(late.leaf))
        except NotFoundError:
            return False
        except StoreError:
            raise
        except CtlogError:
            return True  # that is not known: nobody is accused
        return True

    async def _misbehaviour(self, late: Late, tree: SignedHead) -> Misbehaviour | None:
        """The proof, if the leaf names its place and the log gives the hashes; else a record. None for a leaf that is
        not in the tree: that is another lie, and noticed as such."""
        policy, sentence = self._log.policy, f"{late.sentence}, more than the maximum merge delay later"
        case = policy.case(self._now_ms())
        try:
            path = await self._path(tree, leaf_hash(late.leaf), late.at)
            if _is_placed(late):
                evidence = prove_late_merge(case, late.head, tree, late.leaf, policy.mmd_ms, path)
                return Misbehaviour(sentence, evidence=evidence, reason="late-merge")
        except ProofError:
            return None
        except StoreError:
            raise
        except CtlogError:
            pass
        evidence = record(case, "late-entry", sentence, heads=[late.head, tree], data=late.leaf)
        return Misbehaviour(sentence, evidence=evidence, reason="late-entry")

    async def _path(self, tree: SignedHead, value: bytes, index: int) -> list[bytes]:
        if self._log.is_proven_at_once:
            return await TileReader(self._log.fetcher).inclusion_proof(TreeHead(tree.size, tree.root), index)
        return await audit_path(self._log, tree, value, index)


def _signed_ms(head: SignedHead) -> int:
    return head.timestamp_ms


def _dated_ms(leaf: bytes) -> int | None:
    """The timestamp of a leaf; None for what is none."""
    try:
        return parse_merkle_tree_leaf(leaf).timestamp_ms
    except MalformedError:
        return None


def _is_placed(late: Late) -> bool:
    """Whether the leaf itself says where it stands, so that it stands nowhere else."""
    try:
        return parse_leaf_index(parse_merkle_tree_leaf(late.leaf).extensions) == late.at
    except MalformedError:
        return False


def _day(ms: int) -> str:
    """A time in UTC, to the second; beyond the calendar the plain number."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
