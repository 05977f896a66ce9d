"""A log's tree, rebuilt from the entries that it serves: joined batch by batch, compared with every head on the way.

In scope: the frontier behind the newest entry, the last size that had a signed root, and the one head that it must have
and has not. Pure. Out of scope: fetching, and what to do about a head that is not met.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctlog.client.follow import Batch
from ctlog.errors import ProofError
from ctlog.merkle.tree import HASH_SIZE, CompactRange, Frontier, merge_ranges
from ctlog.wire.checkpoint import SignedHead


class UnmetError(ProofError):
    """The entries do not hash to `head`, which the log signed."""

    def __init__(self, head: SignedHead) -> None:
        super().__init__(f"the entries that the log serves do not hash to its tree of {head.size} entries")
        self.head = head


class Rebuilt:
    """Begins at a frontier that is known, and grows. `heads` are those to be met; others are of no interest."""

    def __init__(self, frontier: Frontier, heads: Sequence[SignedHead] = ()) -> None:
        self._base = frontier
        self._spans: list[CompactRange] = []
        self._heads = sorted((head for head in heads if head.size > frontier.size), key=lambda head: head.size)
        self.hi = frontier.size
        """The entry that comes next."""
        self.met: list[SignedHead] = []
        """The heads that were met, in order."""
        self.proven: Frontier | None = None
        """The tree of the last of these."""

    def take(self, batch: Batch) -> None:
        """The entries that come next. Raises UnmetError at the first head that should be met here and is not."""
        at = batch.lo
        while self._heads and self._heads[0].size <= batch.hi:
            self._join(batch, at, self._heads[0].size)
            at = self._heads[0].size
            self._meet(self._heads.pop(0))
        self._join(batch, at, batch.hi)

    def frontier(self) -> Frontier:
        """The tree of everything that was taken."""
        if self._spans:
            self._base = self._base.extend(merge_ranges(self._spans))
            self._spans = []
        return self._base

    def skip(self, frontier: Frontier) -> None:
        """Go on behind entries that were not to be had, from a frontier that was proven otherwise."""
        self._base, self._spans, self.hi = frontier, [], frontier.size
        self._heads = [head for head in self._heads if head.size > frontier.size]

    def _join(self, batch: Batch, lo: int, hi: int) -> None:
        if lo < hi:
            hashes = batch.leaf_hashes[(lo - batch.lo) * HASH_SIZE : (hi - batch.lo) * HASH_SIZE]
            self._spans.append(CompactRange.from_leaves(lo, hashes))
            self.hi = hi

    def _meet(self, head: SignedHead) -> None:
        frontier = self.frontier()
        if frontier.root() != head.root:
            raise UnmetError(head)
        self.met.append(head)
        self.proven = frontier
