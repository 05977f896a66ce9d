"""Tiles of hashes, fetched and proven: from whichever place has them, at most so many at once, each kept once proven.

In scope: the tiles that nodes of a signed tree need, partial tiles that were replaced by full ones, a cache in memory
and one on disk that hold nothing but what was proven. Out of scope: entries, consistency (`ctlog.client.trusted`),
trying again after trouble with the network (`ctlog.client.patient`).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ctlog.client.fetch import Fetcher
from ctlog.errors import NotFoundError, ProofError
from ctlog.merkle.proof import build, plan_range
from ctlog.merkle.tiles import WIDTH, AuthenticTiles, Tile, plan, tile_path
from ctlog.merkle.tree import HASH_SIZE, Node, TreeHead

T = TypeVar("T")

MEMORY_TILES = 512
"""Proven tiles above the leaves that are kept: 4 MiB, enough for a tree of 30 million entries."""


class VerifiedCache:
    """Full tiles of one log in a folder. Only proven ones get in; what comes out is proven again, since disks rot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, tile: Tile) -> bytes | None:
        """The tile, if it is here."""
        try:
            return self._path(tile).read_bytes()
        except OSError:
            return None

    def keep(self, authentic: AuthenticTiles) -> None:
        """Keep the full ones of these. A cache that cannot be written is no cache, and no trouble."""
        for tile, data in authentic.tiles().items():
            path = self._path(tile)
            if tile.width == WIDTH and not path.exists():
                with suppress(OSError):
                    _write(path, data)

    def forget(self, tile: Tile) -> None:
        """Remove a tile that turned out to be damaged."""
        with suppress(OSError):
            self._path(tile).unlink()

    def _path(self, tile: Tile) -> Path:
        return self._folder / tile_path(tile)


class TileReader:
    """Proven tiles of one log. Several tasks may use it at once."""

    def __init__(self, fetcher: Fetcher, cache: VerifiedCache | None = None, *, at_once: int = 8) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._memory: OrderedDict[Tile, bytes] = OrderedDict()
        self._turns = asyncio.Semaphore(at_once)

    async def authentic(self, tree: TreeHead, nodes: Iterable[Node]) -> AuthenticTiles:
        """The tiles that hold these nodes, proven.

        `tree` is a head that the log signed. Raises ProofError naming the tile that does not belong to it, UsageError
        for nodes that it does not have, and what the fetcher raises.
        """
        return await self.complete(tree, plan(nodes, tree.size), {})

    async def complete(self, tree: TreeHead, tiles: Sequence[Tile], known: dict[Tile, bytes]) -> AuthenticTiles:
        """`known` tiles, such as those made of entries, with the rest of `tiles` fetched: all proven together."""
        missing = [tile for tile in tiles if tile not in known]
        near = await self._near(missing)
        far = await self.fetch([tile for tile in missing if tile not in near])
        try:
            authentic = AuthenticTiles(tree.size, tree.root, {**near, **far, **known})
        except ProofError:
            if not near:
                raise
            # It may be our own copy that is damaged: no log is blamed for that.
            self._forget(near)
            authentic = AuthenticTiles(tree.size, tree.root, {**await self.fetch([*near]), **far, **known})
        await self._keep(authentic)
        return authentic

    async def fetch(self, tiles: Sequence[Tile]) -> dict[Tile, bytes]:
        """These tiles as the log serves them, unproven. All are fetched at once, within the reader's limit."""
        found = await together([self._fetch(tile) for tile in tiles])
        return dict(zip(tiles, found, strict=True))

    async def inclusion_proof(self, tree: TreeHead, index: int) -> list[bytes]:
        """The audit path of RFC 6962 for one leaf. Raises like `authentic`."""
        return await self.range_proof(tree, index, index + 1)

    async def range_proof(self, tree: TreeHead, lo: int, hi: int) -> list[bytes]:
        """What `verify_range` takes for the leaves [lo, hi). Raises like `authentic`."""
        wanted = plan_range(lo, hi, tree.size)
        return build(wanted, await self.authentic(tree, wanted.nodes))

    async def _fetch(self, tile: Tile) -> bytes:
        async with self._turns:
            try:
                data = await self._fetcher.get(tile_path(tile), limit=WIDTH * HASH_SIZE)
            except NotFoundError:
                if tile.width == WIDTH:
                    raise
                # static-ct-api: a partial tile may go once the full one is there, which begins with the same hashes.
                full = await self._fetcher.get(tile_path(tile._replace(width=WIDTH)), limit=WIDTH * HASH_SIZE)
                data = full[: tile.width * HASH_SIZE]
        return data

    async def _near(self, tiles: Sequence[Tile]) -> dict[Tile, bytes]:
        found = {tile: self._memory[tile] for tile in tiles if tile in self._memory}
        if self._cache is not None:
            full = [tile for tile in tiles if tile.width == WIDTH and tile not in found]
            read = await asyncio.to_thread(lambda cache: [cache.read(tile) for tile in full], self._cache)
            found.update((tile, data) for tile, data in zip(full, read, strict=True) if data is not None)
        return found

    def _forget(self, tiles: Iterable[Tile]) -> None:
        for tile in tiles:
            self._memory.pop(tile, None)
            if self._cache is not None:
                self._cache.forget(tile)

    async def _keep(self, authentic: AuthenticTiles) -> None:
        if self._cache is not None:
            await asyncio.to_thread(self._cache.keep, authentic)
        for tile, data in authentic.tiles().items():
            if tile.level > 0 or tile.width < WIDTH:  # whatever many proofs and pieces need again
                self._memory[tile] = data
                self._memory.move_to_end(tile)
        while len(self._memory) > MEMORY_TILES:
            self._memory.popitem(last=False)


async def together(jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all jobs, run at once, in order. The first to fail ends the others, and its error is raised."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
