"""Following a log: its head, what shows that the head is consistent, and its entries, proven when handed over.

In scope: what a `Follower` is, whichever form the log has, and `TileFollower`, over static-ct-api tiles. The other one,
`EntriesFollower` over RFC 6962, is in `ctlog.client.get_entries`. Both hand entries over in order, fetch several pieces
at once, and hold a bounded number of them. Out of scope: what a head may be (`ctlog.client.trusted`), what stands in
entries, where to begin, and what to do about a log that lies.

What is raised: TransportError and BusyError, after trying again, say nothing about the log. Misbehaviour carries a
record: of entries that do not belong to the tree, or of what a signed tree must have and that was not to be had.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar

from ctlog.client.evidence import record
from ctlog.client.fetch import Fetcher
from ctlog.client.patient import PatientFetcher, back_off_s
from ctlog.client.tile_reader import TileReader, VerifiedCache, together
from ctlog.client.trusted import Came, LogPolicy, Step, StepKind, TrustedLog
from ctlog.errors import MalformedError, Misbehaviour, NotFoundError, ProofError, UsageError
from ctlog.merkle.hashing import hash_leaves
from ctlog.merkle.tiles import WIDTH, Tile, entries_path, plan, tile_path
from ctlog.merkle.tree import HASH_SIZE, CompactRange, Node, TreeHead
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.static_ct import TileLeaf, leaves_and_chains, parse_data_tile

T = TypeVar("T")

MAX_HEAD = 1 << 20
MAX_DATA_TILE = 256 * (1 << 19)
"""Bytes of the largest data tile that is read: 256 entries of 512 KiB."""
TRIES_IF_MISSING = 4
"""How often something that must exist is asked for before its absence is recorded: caches lag behind."""


def system_now_ms() -> int:
    """The system's clock, in ms since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Neighbouring entries, in order, from index `lo` on.

    `leaves` are the MerkleTreeLeaf structures (RFC 6962 section 3.4), `leaf_hashes` their hashes (n * 32 bytes).
    """

    lo: int
    leaves: Sequence[bytes]
    leaf_hashes: bytes

    @property
    def hi(self) -> int:
        """The index after the last."""
        return self.lo + len(self.leaves)

    def as_range(self) -> CompactRange:
        """What `TrustedLog.accept` takes, once joined with its neighbours."""
        return CompactRange.from_leaves(self.lo, self.leaf_hashes)


@dataclass(frozen=True, slots=True)
class ProvenBatch(Batch):
    """Entries from a data tile, proven to stand in `tree`. `tile` has its bytes, of which the first `skip` entries are
    not among these. `chains` are the fingerprints of each one's issuers, joined, which the tree does not cover."""

    tree: SignedHead
    tile: bytes
    skip: int
    chains: Sequence[bytes]

    def entries(self) -> list[TileLeaf]:
        """The same entries with their precertificates and issuers' fingerprints, which the tree does not cover."""
        return parse_data_tile(self.tile)[self.skip : self.skip + len(self.leaves)]


class Follower(Protocol):
    """One log, in either form."""

    async def head(self) -> SignedHead:
        """The newest head that the log serves, its signature checked. Raises MalformedError, SignatureError."""
        ...

    async def show(self, step: Step) -> Came:
        """What the step needs to see, or None where it needs nothing."""
        ...

    def entries(self, head: SignedHead, lo: int, hi: int) -> AsyncIterator[Batch]:
        """The entries [lo, hi) of the tree of `head`, in order. Raises UsageError for others."""
        ...


async def advance(follower: Follower, log: TrustedLog, now_ms: int) -> TrustedLog:
    """Fetch the log's head and whatever shows that it is consistent; what is trusted after that."""
    step = log.offer(await follower.head(), now_ms)
    return log.accept(step, await follower.show(step))


class FollowerBase:
    """What followers of both forms share: patience with the network, and records of what a log owes."""

    def __init__(
        self,
        policy: LogPolicy,
        fetcher: Fetcher,
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._policy = policy
        self._fetcher = fetcher if isinstance(fetcher, PatientFetcher) else PatientFetcher(fetcher, sleep=sleep)
        self._now_ms = now_ms
        self._sleep = sleep

    async def _must(
        self, job: Callable[[], Coroutine[Any, Any, T]], head: SignedHead, kind: str = "missing-data"
    ) -> T:
        """Run a job that fetches what a signed tree must have; what stays missing is recorded."""
        for failures in range(1, TRIES_IF_MISSING):
            try:
                return await job()
            except NotFoundError:
                await self._sleep(back_off_s(failures))
        try:
            return await job()
        except NotFoundError as error:
            self._accuse(kind, f"the tree of {head.size} entries lacks {error}", head)

    def _accuse(
        self, kind: str, sentence: str, head: SignedHead, path: str = "", data: bytes | None = None
    ) -> NoReturn:
        case = self._policy.case(self._now_ms())
        evidence = record(case, kind, sentence, heads=[head], path=path, data=data)
        raise Misbehaviour(sentence, evidence=evidence, reason=kind)


class TileFollower(FollowerBase):
    """A log's static tiles. `window` pieces of `tiles_per_piece` data tiles are fetched at once.

    A data tile of 256 entries has about 200 KB, so the defaults hold some 6 MB.
    """

    def __init__(
        self,
        policy: LogPolicy,
        fetcher: Fetcher,
        *,
        cache: VerifiedCache | None = None,
        window: int = 4,
        tiles_per_piece: int = 8,
        now_ms: Callable[[], int] = system_now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(policy, fetcher, now_ms, sleep)
        self._reader = TileReader(self._fetcher, cache, at_once=2 * window)
        self._window = window
        self._tiles_per_piece = tiles_per_piece

    async def head(self) -> SignedHead:
        """See Follower."""
        return self._policy.open(await self._fetcher.get("checkpoint", limit=MAX_HEAD))

    async def show(self, step: Step) -> dict[Tile, bytes] | None:
        """See Follower: the hash tiles of the larger tree, unproven: `accept` proves them."""
        if step.kind is StepKind.SAME:
            return None
        return await self._must(lambda: self._reader.fetch(step.tiles), step.new)

    async def entries(self, head: SignedHead, lo: int, hi: int) -> AsyncIterator[ProvenBatch]:
        """See Follower; one batch for each data tile, each proven. Memory is bounded by the window."""
        check_span(head, lo, hi)
        first, stop = lo // WIDTH, -(-hi // WIDTH) if lo < hi else 0
        pieces = (
            self._piece(head, range(at, min(at + self._tiles_per_piece, stop)))
            for at in range(first, stop, self._tiles_per_piece)
        )
        async with aclosing(in_order(pieces, self._window)) as done:
            async for piece in done:
                for batch in piece:
                    yield _cut(batch, lo, hi)

    async def _piece(self, head: SignedHead, indexes: range) -> list[ProvenBatch]:
        return await self._must(lambda: self._proven(head, indexes), head)

    async def _proven(self, head: SignedHead, indexes: range) -> list[ProvenBatch]:
        """The entries of these data tiles. Their hashes *are* the tiles of level 0, which need not be fetched."""
        tiles = [Tile(0, index, min(WIDTH, head.size - index * WIDTH)) for index in indexes]
        datas = await together([self._data(tile) for tile in tiles])
        read = [self._leaves(head, tile, data) for tile, data in zip(tiles, datas, strict=True)]
        row = hash_leaves([leaf for leaves, _ in read for leaf in leaves])
        hashes = {}
        for tile, (leaves, _) in zip(tiles, read, strict=True):
            hashes[tile], row = row[: len(leaves) * HASH_SIZE], row[len(leaves) * HASH_SIZE :]
        nodes = [Node(0, tile.index * WIDTH) for tile in tiles]
        try:
            await self._reader.complete(TreeHead(head.size, head.root), plan(nodes, head.size), hashes)
        except ProofError as error:
            await self._blame(head, hashes, dict(zip(tiles, datas, strict=True)), error)
        return [
            ProvenBatch(tile.index * WIDTH, leaves, hashes[tile], head, data, 0, chains)
            for tile, (leaves, chains), data in zip(tiles, read, datas, strict=True)
        ]

    async def _data(self, tile: Tile) -> bytes:
        try:
            return await self._fetcher.get(entries_path("data", tile.index, tile.width), limit=MAX_DATA_TILE)
        except NotFoundError:
            if tile.width == WIDTH:
                raise
            # The full tile is there by now, and begins with the same entries.
            return await self._fetcher.get(entries_path("data", tile.index, WIDTH), limit=MAX_DATA_TILE)

    def _leaves(self, head: SignedHead, tile: Tile, data: bytes) -> tuple[list[bytes], list[bytes]]:
        path = entries_path("data", tile.index, tile.width)
        try:
            leaves, chains = leaves_and_chains(data)
        except MalformedError as error:
            self._accuse("bad-entries", f"{path} cannot be read: {error}", head, path, data)
        if len(leaves) not in (tile.width, WIDTH):
            self._accuse("bad-entries", f"{path} has {len(leaves)} entries", head, path, data)
        return leaves[: tile.width], chains[: tile.width]

    async def _blame(
        self, head: SignedHead, hashes: dict[Tile, bytes], datas: dict[Tile, bytes], error: ProofError
    ) -> NoReturn:
        """Say what is wrong: entries that are not those of the log's own hash tile, or else the hash tiles."""
        for tile, served in (await self._reader.fetch(list(hashes))).items():
            if served != hashes[tile]:
                path = entries_path("data", tile.index, tile.width)
                sentence = f"the entries of {path} do not hash to {tile_path(tile)}"
                self._accuse("bad-entries", sentence, head, path, datas[tile])
        self._accuse("bad-tile", str(error), head)


async def in_order(jobs: Iterator[Coroutine[Any, Any, T]], window: int) -> AsyncGenerator[T, None]:
    """The results of the jobs, in order, `window` of them running at a time. Whoever stops early ends the rest."""
    waiting: deque[asyncio.Task[T]] = deque()
    try:
        for job in jobs:
            waiting.append(asyncio.create_task(job))
            if len(waiting) == window:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def check_span(head: SignedHead, lo: int, hi: int) -> None:
    """Refuse, with a UsageError, entries that the tree of `head` does not have."""
    if not 0 <= lo <= hi <= head.size:
        raise UsageError(f"there are no entries [{lo}, {hi}) in a tree of {head.size}")


def _cut(batch: ProvenBatch, lo: int, hi: int) -> ProvenBatch:
    """The part of a batch inside [lo, hi)."""
    start, stop = max(lo - batch.lo, 0), min(hi - batch.lo, len(batch.leaves))
    if (start, stop) == (0, len(batch.leaves)):
        return batch
    hashes = batch.leaf_hashes[start * HASH_SIZE : stop * HASH_SIZE]
    leaves, chains = batch.leaves[start:stop], batch.chains[start:stop]
    return ProvenBatch(batch.lo + start, leaves, hashes, batch.tree, batch.tile, start, chains)
