"""One stretch of a log, checked in a worker: what its data tiles hold, against its hashes, its feed and its issuers.

In scope: data tiles that can be read and have as many entries as they should, the hash tiles of level 0, and the
partial tiles that are still there. Out of scope: the entries themselves (`entries`), and the levels above (`whole`).

A damaged file is a finding, not an exception: whatever its bytes are, its name and what is wrong with it come back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ctlog.client.fetch import DirectoryFetcher
from ctlog.client.parallel import Damage, Span
from ctlog.errors import CtlogError, NotFoundError
from ctlog.fsck.entries import Entries, Memory, Read
from ctlog.merkle.hashing import fold, hash_leaves, hash_messages
from ctlog.merkle.tiles import WIDTH, Tile, entries_path, tile_path
from ctlog.merkle.tree import HASH_SIZE
from ctlog.wire.static_ct import DataTile, parse_data_tile

_MAX_PER_FILE = 3  # sentences about one file; there may be 256 things wrong with it


class SpanTask(NamedTuple):
    """What a worker is given. `files` is the public folder, or the files themselves by path, decompressed.

    `size` and `head_ms` are those of the signed head; `quick` leaves out what has to be derived from certificates;
    `with_keys` asks for what a look-up store should know.
    """

    span: Span
    size: int
    head_ms: int
    files: str | dict[str, bytes]
    quick: bool = False
    with_keys: bool = False


@dataclass(slots=True)
class SpanResult:
    """What came of it.

    `parents` has the hash of each full tile, None where neither data nor hashes could be read. `by_data` and `by_tile`
    are the leaf hashes of the log's last tile where it is partial: those of its entries, and those of its hash tile.
    """

    span: Span
    parents: list[bytes | None] = field(default_factory=list)
    by_data: bytes | None = None
    by_tile: bytes | None = None
    damages: list[Damage] = field(default_factory=list)
    issuers: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    """Fingerprint -> the first data tile that names it, and how many entries do."""
    domains: dict[tuple[str, str], str] = field(default_factory=dict)
    """(Root, trust domain) -> the first tile of the feed that says so."""
    keys: bytes = b""
    """The entry keys (32 bytes each), up to the first tile that cannot be read; only if they were asked for."""
    times: list[tuple[int, int]] = field(default_factory=list)
    """(Index, time in ms) of each entry whose time is not that of the one before it."""



class SpanChecker:
    """Checks spans, one after another, and remembers what it met. Pickled, it begins afresh."""

    def __init__(self) -> None:
        self._memory = Memory()

    def __call__(self, task: SpanTask) -> SpanResult:
        """Check one span. Bad bytes and files that cannot be read raise nothing: they are damages."""
        return _Checker(task, self._memory).run()

    def __reduce__(self) -> tuple[type[SpanChecker], tuple[()]]:
        return SpanChecker, ()


def check_span(task: SpanTask) -> SpanResult:
    """Check one span alone."""
    return SpanChecker()(task)


class _Checker:
    def __init__(self, task: SpanTask, memory: Memory) -> None:
        self._task = task
        self._result = SpanResult(task.span)
        self._folder = Path(task.files) if isinstance(task.files, str) else None
        self._read = _reader(task.files)
        self._entries = Entries(self._read, self._say, task.head_ms, memory, quick=task.quick)

    def run(self) -> SpanResult:
        for tile in self._task.span.tiles:
            self._tile(tile)
        result, entries = self._result, self._entries
        result.issuers, result.domains, result.times = entries.issuers, entries.domains, entries.times
        return result

    def _say(self, path: str, sentence: str) -> None:
        if sum(damage.path == path for damage in self._result.damages) < _MAX_PER_FILE:
            self._result.damages.append(Damage(path, sentence))

    def _get(self, path: str, full: str) -> bytes | None:
        """A tile, or the full one in the place of a partial one that is gone; None, and a damage, where neither is."""
        try:
            return self._read(path)
        except NotFoundError as error:
            if path != full:
                try:
                    return self._read(full)
                except CtlogError:
                    pass
            self._say(path, f"it is missing: {error}")
        except CtlogError as error:
            self._say(path, str(error))
        return None

    def _is_named(self, path: str) -> bool:
        return any(damage.path == path for damage in self._result.damages)

    # Hashes ---------------------------------------------------------------------------------------------------------

    def _tile(self, tile: Tile) -> None:
        """One data tile and the hash tile above it."""
        path, data_path = tile_path(tile), entries_path("data", tile.index, tile.width)
        served = self._hash_tile(tile, path)
        data = self._get(data_path, entries_path("data", tile.index, WIDTH))
        entries = self._cut(tile, data_path, data) if data is not None else None
        hashes = hash_leaves(entries.leaves) if entries is not None else None
        if data is not None and entries is not None and hashes is not None:
            doubt = _differing(hashes, served)
            feed_path = entries_path("numbers", tile.index, tile.width)
            feed = self._get(feed_path, entries_path("numbers", tile.index, WIDTH))
            self._entries.check(tile, entries, feed, doubt)
            if not doubt:
                self._partials(tile, hashes, data)
                self._keys(tile, entries.leaves)
        if tile.width < WIDTH:
            self._result.by_data, self._result.by_tile = hashes, served
        else:
            self._result.parents.append(self._parent(tile, path, data_path, hashes, served))

    def _keys(self, tile: Tile, leaves: Sequence[bytes]) -> None:
        """The entry keys, as long as no tile is left out."""
        if self._task.with_keys and len(self._result.keys) == (tile.index * WIDTH - self._task.span.lo) * HASH_SIZE:
            # A leaf is version, type and time (10 bytes), the signed entry, and 10 bytes of extensions.
            self._result.keys += hash_messages([leaf[10:-10] for leaf in leaves])

    def _hash_tile(self, tile: Tile, path: str) -> bytes | None:
        served = self._get(path, tile_path(tile._replace(width=WIDTH)))
        length = tile.width * HASH_SIZE
        if served is not None and len(served) not in (length, WIDTH * HASH_SIZE):
            self._say(path, f"it has {len(served)} bytes, not {length}")
            return None
        return None if served is None else served[:length]

    def _cut(self, tile: Tile, path: str, data: bytes) -> DataTile | None:
        try:
            entries = DataTile(data)
        except CtlogError as error:
            self._say(path, str(error))
            return None
        if len(entries) not in (tile.width, WIDTH):
            self._say(path, f"it has {len(entries)} entries, not {tile.width}")
            return None
        return entries.first(tile.width)

    def _parent(
        self, tile: Tile, path: str, data_path: str, hashes: bytes | None, served: bytes | None
    ) -> bytes | None:
        """The hash of a full tile. Where entries and hashes disagree, the level above says which of them is damaged."""
        if hashes is None or served is None or hashes == served:
            one = hashes or served
            return fold(one) if one is not None else None
        above = self._above(tile)
        by_data, by_tile = fold(hashes), fold(served)
        if by_tile != above:
            self._say(path, "its hashes are not those of the entries in the data tile")
        if by_data != above:
            self._say(data_path, "its entries do not hash to the hashes of level 0")
        return by_tile if by_tile == above else by_data

    def _above(self, tile: Tile) -> bytes | None:
        """What the tile of level 1 says of a full tile of level 0; whether that is right, `whole` finds out."""
        index, place = divmod(tile.index, WIDTH)
        width = min(WIDTH, self._task.size // WIDTH - index * WIDTH)
        for each in (width, WIDTH):
            try:
                data = self._read(tile_path(Tile(1, index, each)))
            except CtlogError:
                continue
            return data[place * HASH_SIZE : (place + 1) * HASH_SIZE]
        return None

    # Partial tiles that are still there -----------------------------------------------------------------------------

    def _partials(self, tile: Tile, hashes: bytes, data: bytes) -> None:
        """Each must be a beginning of what stands now; those beyond the head belong to a batch that was broken off."""
        if self._folder is None:
            return
        full = tile_path(tile._replace(width=WIDTH))
        self._partial(full, tile, lambda: hashes, lambda part: len(part) // HASH_SIZE)
        now, full = entries_path("data", tile.index, tile.width), entries_path("data", tile.index, WIDTH)
        if not self._is_named(now) and now not in self._entries.unsure:
            self._partial(full, tile, lambda: data, lambda part: len(parse_data_tile(part)))
        now, full = entries_path("numbers", tile.index, tile.width), entries_path("numbers", tile.index, WIDTH)
        if not self._is_named(now):
            self._partial(full, tile, lambda: self._read(now), _count_lines)

    def _partial(self, full: str, tile: Tile, whole: Callable[[], bytes], count: Callable[[bytes], int]) -> None:
        for found, name in partial_files(self._folder, full):
            if found >= tile.width:
                continue
            try:
                part = self._read(name)
                good = whole().startswith(part) and count(part) == found
            except CtlogError:
                good = False
            if not good:
                self._say(name, "it is not the beginning of the tile that followed it (P5)")


def _count_lines(feed: bytes) -> int:
    """How many lines there are, if the last one is whole."""
    return feed.count(b"\n") if feed.endswith(b"\n") else 0


def _differing(hashes: bytes, served: bytes | None) -> frozenset[int]:
    """The places at which two rows of hashes differ."""
    if served is None or hashes == served:
        return frozenset()
    places = range(len(hashes) // HASH_SIZE)
    return frozenset(at for at in places if hashes[at * 32 : at * 32 + 32] != served[at * 32 : at * 32 + 32])


def partial_files(folder: Path | None, full: str) -> list[tuple[int, str]]:
    """The partial tiles beside a full one: (width, path), narrowest first."""
    if folder is None:
        return []
    try:
        names = os.listdir(f"{folder}/{full}.p")  # noqa: PTH208 - three times a tile
    except OSError:
        return []
    return sorted((int(name), f"{full}.p/{name}") for name in names if name.isdigit())


def _reader(files: str | dict[str, bytes]) -> Read:
    if isinstance(files, str):
        return DirectoryFetcher(Path(files)).read

    def read(path: str) -> bytes:
        if path not in files:
            raise NotFoundError("the log does not hand it out")
        return files[path]

    return read
