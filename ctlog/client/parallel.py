"""A whole log hashed over all cores: spans that begin and end where tiles do, whose edges join as compact ranges.

In scope: cutting a log into spans, the leaf hashes of data tiles, worker processes that are fed in order and never more
than a few spans ahead, and joining what they found. Out of scope: what a difference means (`fsck` and followers say),
fetching over a network: that is done beside the workers, which are then handed bytes.

Reading a data tile is Python, so threads do not help; a span's result is a few hashes, so processes cost little.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ctlog.client.fetch import DirectoryFetcher
from ctlog.errors import CtlogError, UsageError
from ctlog.merkle.hashing import hash_leaves
from ctlog.merkle.tiles import WIDTH, Tile, entries_path, tile_path
from ctlog.merkle.tree import HASH_SIZE, CompactRange
from ctlog.wire.static_ct import merkle_tree_leaves

A = TypeVar("A")
B = TypeVar("B")

SPAN_TILES = 64
"""Data tiles in a span: 16,384 entries, some 12 MB, a tenth of a second of work."""


class Span(NamedTuple):
    """The entries [lo, hi) of a log; `lo` is a multiple of 256, and `hi` is one too, or the end of the log."""

    lo: int
    hi: int

    @property
    def tiles(self) -> list[Tile]:
        """The tiles of level 0 that cover it."""
        return [Tile(0, at // WIDTH, min(WIDTH, self.hi - at)) for at in range(self.lo, self.hi, WIDTH)]


class Damage(NamedTuple):
    """A file that is not what the log says, and how."""

    path: str
    sentence: str


class SpanReport(NamedTuple):
    """What a span's entries hash to; None where some could not be read. `damages` names each file that is wrong."""

    span: Span
    hashes: CompactRange | None
    damages: tuple[Damage, ...]


def plan_spans(lo: int, hi: int, tiles: int = SPAN_TILES) -> list[Span]:
    """The entries [lo, hi) in spans of so many tiles; `lo` must be a multiple of 256."""
    if lo % WIDTH or not 0 <= lo <= hi or tiles < 1:
        raise UsageError(f"[{lo}, {hi}) cannot be cut into spans of {tiles} tiles")
    return [Span(at, min(at + tiles * WIDTH, hi)) for at in range(lo, hi, tiles * WIDTH)]


def tile_leaf_hashes(datas: Sequence[bytes]) -> bytes:
    """The leaf hashes (n * 32 bytes) of the entries of neighbouring data tiles. Raises MalformedError."""
    return hash_leaves([leaf for data in datas for leaf in merkle_tree_leaves(data)])


def span_range(lo: int, datas: Sequence[bytes]) -> CompactRange:
    """The same as a range that joins with its neighbours. Raises MalformedError."""
    return CompactRange.from_leaves(lo, tile_leaf_hashes(datas))


def check_folder_span(folder: str, span: Span) -> SpanReport:
    """Read a span's data tiles from a log's public folder, hash them, and compare with its tiles of level 0."""
    fetcher = DirectoryFetcher(Path(folder))
    damages: list[Damage] = []
    parts: list[bytes] = []
    for tile in span.tiles:
        path = entries_path("data", tile.index, tile.width)
        try:
            leaves = tile_leaf_hashes([_read(fetcher, path, entries_path("data", tile.index, WIDTH))])
        except CtlogError as error:
            damages.append(Damage(path, str(error)))
            continue
        count = len(leaves) // HASH_SIZE
        if count not in (tile.width, WIDTH):
            damages.append(Damage(path, f"it has {count} entries, not {tile.width}"))
            continue
        parts.append(leaves[: tile.width * HASH_SIZE])
        damages += _compare(fetcher, tile, parts[-1])
    whole = len(parts) == len(span.tiles)
    return SpanReport(span, CompactRange.from_leaves(span.lo, b"".join(parts)) if whole else None, tuple(damages))


def _compare(fetcher: DirectoryFetcher, tile: Tile, leaf_hashes: bytes) -> list[Damage]:
    path = tile_path(tile)
    try:
        served = _read(fetcher, path, tile_path(tile._replace(width=WIDTH)))[: len(leaf_hashes)]
    except CtlogError as error:
        return [Damage(path, str(error))]
    same = served == leaf_hashes
    return [] if same else [Damage(path, "its hashes are not those of the entries in the data tile")]


def _read(fetcher: DirectoryFetcher, path: str, full: str) -> bytes:
    """A tile, or the full one that took the place of a partial one."""
    try:
        return fetcher.read(path)
    except CtlogError:
        if path == full:
            raise
        try:
            return fetcher.read(full)
        except CtlogError:
            pass
        raise


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(job: Callable[[A], B], items: Iterable[A], processes: int | None = None) -> Iterator[B]:
    """`job` of each item, in order, in so many processes (as many as there are cores).

    At most two items per process are under way, so `items` may be a generator of large things. One process, or a single
    item, is done here and now. `job` is anything that can be pickled; each process has one of its own from its
    beginning to its end, which may remember what it met.
    """
    count = processes or cores()
    source = iter(items)
    head = [item for _, item in zip(range(2), source, strict=False)]
    if count == 1 or len(head) < 2:
        yield from (job(item) for items in (head, source) for item in items)
        return
    # A fork would copy this process's threads' locks, held or not; these workers begin afresh, in 0.1 s.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(count, context, _Worker.begin, (job,)) as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for items in (head, source):
                for item in items:
                    waiting.append(pool.submit(_Worker.work, item))
                    if len(waiting) == 2 * count:
                        yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Worker:
    """A worker process's job. Nothing of it lives in a process that hands out work."""

    job: Callable[[Any], Any]

    @classmethod
    def begin(cls, job: Callable[[Any], Any]) -> None:
        cls.job = staticmethod(job)

    @classmethod
    def work(cls, item: Any) -> Any:
        return cls.job(item)
