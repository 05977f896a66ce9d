"""Where fsck reads a log's published files: a folder, or a server; the walk over the log is the same for both.

A folder is read by the workers themselves. Over a network the files of a span are fetched here, many at once, while the
workers are busy with the spans before, and handed to them as bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from ctlog.client.fetch import DirectoryFetcher, Fetcher
from ctlog.client.parallel import Span
from ctlog.errors import CtlogError, NotFoundError
from ctlog.merkle.tiles import WIDTH, Tile, entries_path, tile_path
from ctlog.wire.static_ct import parse_data_tile

_AT_ONCE = 32


class Source(Protocol):
    """A log's published files."""

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one: what lies in it beyond what the log needs is looked at, too."""

    def read(self, path: str) -> bytes:
        """One file, decompressed. Raises NotFoundError, or another CtlogError where it cannot be read."""

    def files(self, span: Span, size: int) -> str | dict[str, bytes]:
        """What a worker needs to check this span of a log of `size` entries."""


class FolderSource:
    """A folder with `checkpoint`, `tile/` and `issuer/` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self.read = DirectoryFetcher(folder).read

    def files(self, span: Span, size: int) -> str | dict[str, bytes]:
        """See Source."""
        return str(self.folder)


class ServedSource:
    """A log behind a Fetcher; everything happens on this thread, in an event loop of its own."""

    folder: Path | None = None

    def __init__(self, fetcher: Fetcher, loop: asyncio.AbstractEventLoop) -> None:
        self._fetcher = fetcher
        self._loop = loop
        self._issuers: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        """See Source."""
        return self._loop.run_until_complete(self._fetcher.get(path))

    def files(self, span: Span, size: int) -> dict[str, bytes]:
        """See Source. Raises TransportError: that the network fails says nothing about the log."""
        found = self._fetch(_wanted(span, size))
        chains = {name for path, data in found.items() if path.startswith("tile/data/") for name in _issuers(data)}
        self._issuers |= self._fetch([(path, path) for path in sorted(chains - set(self._issuers))])
        return found | {path: self._issuers[path] for path in chains if path in self._issuers}

    def _fetch(self, wanted: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """What is there of these (path, the full tile that may stand in its place)."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(path: str, full: str) -> tuple[str, bytes] | None:
            async with turns:
                for name in (path, full):
                    try:
                        return name, await self._fetcher.get(name)
                    except NotFoundError:
                        continue
                return None

        async def all_of_them() -> list[tuple[str, bytes] | None]:
            return await asyncio.gather(*(one(path, full) for path, full in wanted))

        return dict(pair for pair in self._loop.run_until_complete(all_of_them()) if pair is not None)


@contextmanager
def served(url: str) -> Iterator[ServedSource]:
    """A log at a URL. Raises UsageError for what is none."""
    from ctlog.client.http_fetcher import HttpFetcher  # slow to import
    from ctlog.client.patient import PatientFetcher

    loop = asyncio.new_event_loop()
    fetcher = HttpFetcher(url, connections=_AT_ONCE)
    try:
        loop.run_until_complete(fetcher.__aenter__())
        with suppress(NotFoundError):  # whether anybody answers is found out at once, without patience
            loop.run_until_complete(fetcher.get("checkpoint"))
        yield ServedSource(PatientFetcher(fetcher), loop)
    finally:
        loop.run_until_complete(fetcher.__aexit__(None, None, None))
        loop.close()


def _wanted(span: Span, size: int) -> list[tuple[str, str]]:
    pairs = []
    for tile in span.tiles:
        pairs.append((tile_path(tile), tile_path(tile._replace(width=WIDTH))))
        pairs += [
            (entries_path(kind, tile.index, tile.width), entries_path(kind, tile.index, WIDTH))
            for kind in ("data", "numbers")
        ]
    for index in sorted({tile.index // WIDTH for tile in span.tiles if tile.width == WIDTH}):
        above = Tile(1, index, min(WIDTH, size // WIDTH - index * WIDTH))
        pairs.append((tile_path(above), tile_path(above._replace(width=WIDTH))))
    return pairs


def _issuers(data: bytes) -> Iterable[str]:
    try:
        return {f"issuer/{name.hex()}" for leaf in parse_data_tile(data) for name in leaf.chain}
    except CtlogError:
        return ()  # the worker says what is wrong with it
