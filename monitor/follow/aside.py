"""PURE Trees that contradict what is trusted: which of them are to be looked at now, besides.

They may hold what concerns an owner, and the log may show them to us for a moment only, or not yet. In scope: when each
is tried, and for how long. Out of scope: reading them (`monitor.follow.watch`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ctlog.wire.checkpoint import SignedHead

RETRY_MS = 600_000
FOR_MS = 86_400_000
"""So long a tree that cannot be read is tried again."""
AT_ONCE = 4
"""Trees that are tried in one round, so that a log which signs a new lie with each look is read on all the same."""


class _Tree(NamedTuple):
    head: SignedHead
    due_ms: int
    until_ms: int
    is_read: bool = False


class Asides:
    """The contradicting trees of one log, by root."""

    def __init__(self) -> None:
        self._trees: dict[bytes, _Tree] = {}

    def take(self, heads: Iterable[SignedHead], now_ms: int) -> None:
        """These contradict the others, too."""
        self._trees = {root: tree for root, tree in self._trees.items() if now_ms < tree.until_ms}
        for head in heads:
            self._trees.setdefault(head.root, _Tree(head, now_ms, now_ms + FOR_MS))

    def due(self, now_ms: int) -> list[SignedHead]:
        """Those to be read now, the longest waiting first."""
        waiting = [tree for tree in self._trees.values() if not tree.is_read and tree.due_ms <= now_ms < tree.until_ms]
        return [tree.head for tree in sorted(waiting, key=lambda tree: tree.due_ms)[:AT_ONCE]]

    def tried(self, head: SignedHead, now_ms: int, *, is_read: bool) -> None:
        """One of these was read, or could not be."""
        tree = self._trees[head.root]
        self._trees[head.root] = tree._replace(due_ms=now_ms + RETRY_MS, is_read=is_read)
