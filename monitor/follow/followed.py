"""One log that is followed: what it is called, by which keys it is known, and how it is read.

In scope: the value that the rooms of `monitor.follow` pass to each other. Out of scope: where it comes from
(`monitor.config`) and HTTP (`monitor.daemon`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ctlog.client.fetch import Fetcher
from ctlog.client.follow import Follower
from ctlog.client.trusted import LogPolicy
from ctlog.wire.checkpoint import SignedHead

TILES, ENTRIES = "tiles", "rfc6962"


@dataclass(frozen=True, slots=True)
class Followed:
    """A log. `form` is TILES (static-ct-api) or ENTRIES (RFC 6962); `fetcher` reads below its prefix."""

    name: str
    policy: LogPolicy
    form: str
    follower: Follower
    fetcher: Fetcher

    @property
    def log_id(self) -> bytes:
        """SHA-256 of its key."""
        return self.policy.key.log_id

    @property
    def url(self) -> str:
        """Where it is read."""
        return self.policy.source

    @property
    def is_proven_at_once(self) -> bool:
        """Whether entries come with their proof."""
        return self.form == TILES


class Says(Protocol):
    """Where the rooms of the monitor say what they do, for people who run it: `sentence` is one line."""

    def __call__(self, level: str, log: str, sentence: str) -> None: ...


def silent(level: str, log: str, sentence: str) -> None:
    """Says nothing."""


Clock = Callable[[], int]
"""Now, in ms since the epoch."""


def tree_name(head: SignedHead) -> str:
    """A head for people."""
    return f"its tree of {head.size} entries"
