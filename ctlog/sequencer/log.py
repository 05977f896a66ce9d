"""One log: what others may ask of the workshop. (Signatures first: the walk behind them is being written.)"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ctlog.errors import StoreError
from ctlog.sequencer.forms import EntryForm
from ctlog.store import Shelves

if TYPE_CHECKING:
    from ctlog.sequencer.signer import Signer
    from ctlog.wire.checkpoint import SignedHead

E = TypeVar("E")

Cosign = Callable[[bytes], Awaitable[bytes]]
"""Given a head's note, the further signature lines (of witnesses) that arrived; b"" for none."""


class Sequenced(NamedTuple):
    """Where an entry stands: in a head that is published."""

    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it
    timestamp_ms: int


class Found(NamedTuple):
    """A published entry, read from its data tile and proven against the level-0 tile."""

    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it
    timestamp_ms: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may choose. Times in milliseconds."""

    period_ms: int = 25
    """From the first entry of a pool to its batch."""
    pool_size: int = 512
    """Entries that may wait; more are refused."""
    resign_ms: int = 60_000
    """An idle log signs a fresh head this often."""
    cosign_limit_ms: int = 1_000
    """How long a head waits for witnesses."""
    partial_age_ms: int = 3_600_000
    """A partial tile is removed when its full tile has been public for so long."""
    min_free_bytes: int = 1 << 30
    min_free_share: float = 0.05
    """Below either, of bytes or (the share) of inodes, submissions are refused."""


class BatchReport(NamedTuple):
    """What one round did, for metrics."""

    size: int
    entries: int
    duplicates: int
    timestamp_ms: int
    seconds: dict[str, float]


class Log(Generic[E]):
    """One log, the only writer of its stores."""

    head: SignedHead
    """The last published head."""
    frozen: bool
    shelves: Shelves
    signer: Signer
    form: EntryForm[E]

    @classmethod
    async def create(cls, shelves: Shelves, signer: Signer, *, clock: Callable[[], int]) -> SignedHead:
        """Begin a log, once: the head of the empty tree. Raises ConfigError if the head store knows it (P10)."""
        raise StoreError("being written")

    @classmethod
    async def open(
        cls,
        shelves: Shelves,
        signer: Signer,
        form: EntryForm[E],
        *,
        clock: Callable[[], int],
        settings: Settings | None = None,
        outside: Sequence[SignedHead] = (),
        cosign: Cosign | None = None,
        on_batch: Callable[[BatchReport], None] | None = None,
    ) -> Log[E]:
        """The recovery walk. Raises ConfigError or FatalError, which say what to do. `clock` gives Unix time in ms."""
        raise StoreError("being written")

    async def run(self) -> None:
        """Sequence until `close`; raises FatalError, after which the process must end."""

    def check_accepting(self) -> None:
        """Would `add` refuse anything at all now? Raises FrozenError, PoolFullError or BusyError; cheap."""

    async def add(self, entry: E) -> Sequenced:
        """Give an entry its place; returns when it is in a published head. A duplicate gets the place of the first.

        Raises PoolFullError or BusyError (try again), FrozenError, StoreError (this batch failed, nothing was signed),
        FatalError (the process is about to end).
        """
        raise StoreError("being written")

    async def find_leaf(self, leaf_hash: bytes) -> int | None:
        """The index of the published entry with this leaf hash, proven against the level-0 tile."""

    async def find_certificate(self, certificate_hash: bytes) -> Found | None:
        """The published entry whose submitted certificate has this SHA-256."""

    async def freeze(self) -> SignedHead:
        """End submissions: the batch in hand is finished, a final head is signed and published; returns it."""
        raise StoreError("being written")

    async def close(self) -> None:
        """Finish the batch in hand, refuse later ones, end `run`. The stores stay open: they are the caller's."""
