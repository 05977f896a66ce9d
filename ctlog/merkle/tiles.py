"""Tiles: the tree as immutable files of up to 256 hashes (C2SP static-ct-api and tlog-tiles, height 8).

In scope: names of tiles, which tiles exist in a tree and which are new, which are needed for given nodes, and
`AuthenticTiles`: constructing one is the check, so whoever holds one need not check again. Out of scope: fetching,
what stands in data tiles (`wire.static_ct`), and checkpoints.

The tile (level, index) holds the hashes of the perfect nodes of tree level 8 * level from index * 256 on. A full tile's
own hash (all 256 folded) stands in the tile above it, at place index % 256 of tile index // 256. Only the last tile of
a level may be partial; the partial ones together hold exactly the perfect subtrees that make up the root. So every
tile is held either by its parent or, at the right edge, by the root.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ctlog.errors import MalformedError, ProofError, UsageError
from ctlog.merkle.hashing import fold_many, hash_levels
from ctlog.merkle.tree import HASH_SIZE, MAX_SIZE, CompactRange, Frontier, Node

HEIGHT = 8
WIDTH = 1 << HEIGHT
_FULL = WIDTH * HASH_SIZE

# static-ct-api, "Merkle Tree": zero-padded groups of three digits, all but the last with an `x` before them.
_INDEX = r"((?:x[0-9]{3}/){0,5})([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
_TILE_PATH = re.compile(rf"tile/(0|[1-9][0-9]?)/{_INDEX}")
_ENTRIES_PATH = re.compile(rf"tile/([a-z][a-z-]*)/{_INDEX}")


class Tile(NamedTuple):
    """A tile of hashes: `width` (1 to 256) nodes of tree level 8 * `level`, from `index` * 256 on."""

    level: int
    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it
    width: int


class EntriesTile(NamedTuple):
    """A tile beside the tree, of the leaves [index * 256, index * 256 + width); `kind` is its folder's name."""

    kind: str
    index: int  # type: ignore[assignment]  # hides tuple.index(), which nobody asks of it
    width: int


def tile_path(tile: Tile) -> str:
    """The tile's address below the log's monitoring prefix, such as "tile/0/x001/x234/067" or "tile/1/000.p/12"."""
    return f"tile/{tile.level}/{_format_index(tile.index, tile.width)}"


def parse_tile_path(path: str) -> Tile:
    """The inverse of `tile_path`; raises MalformedError for whatever that would not have written."""
    match = _TILE_PATH.fullmatch(path)
    if match is None or int(match[1]) > 63:  # tlog-tiles: levels 0 to 63
        raise MalformedError("this is not the path of a tile of hashes", field="tile path")
    return Tile(int(match[1]), *_parse_index(match[2], match[3], match[4]))


def entries_path(kind: str, index: int, width: int) -> str:
    """The address of a tile beside the tree: "tile/data/x001/067.p/3" for `kind` "data"."""
    return f"tile/{kind}/{_format_index(index, width)}"


def parse_entries_path(path: str) -> EntriesTile:
    """The inverse of `entries_path`; raises MalformedError for whatever that would not have written."""
    match = _ENTRIES_PATH.fullmatch(path)
    if match is None:
        raise MalformedError("this is not the path of a tile of entries", field="tile path")
    return EntriesTile(match[1], *_parse_index(match[2], match[3], match[4]))


def partial_width(size: int, level: int) -> int:
    """How many hashes the last, partial tile of this level has in a tree of `size`: 0 to 255, and 0 means none."""
    return (size >> (HEIGHT * level)) % WIDTH


def tiles_of(size: int) -> list[Tile]:
    """Every tile of hashes of a tree of `size`, level by level."""
    return new_tiles(0, size)


def new_tiles(old_size: int, new_size: int) -> list[Tile]:
    """The tiles that a tree has and that it did not have, in this width, when it was smaller; level by level."""
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise UsageError(f"a tree of {old_size} does not grow to {new_size}")
    tiles = []
    level = 0
    while new := new_size >> (HEIGHT * level):
        old = old_size >> (HEIGHT * level)
        if old != new:
            tiles += [_tile(level, index, new_size) for index in range(old // WIDTH, -(-new // WIDTH))]
        level += 1
    return tiles


def right_edge(size: int) -> list[Tile]:
    """The partial tiles of a tree of `size`, at most one a level, from the root down: they hold the Frontier."""
    levels = range(size.bit_length() // HEIGHT, -1, -1)
    widths = ((level, partial_width(size, level)) for level in levels)
    return [Tile(level, size >> (HEIGHT * (level + 1)), width) for level, width in widths if width]


def plan(nodes: Iterable[Node], size: int) -> list[Tile]:
    """The tiles that hold these nodes, and those that authenticate them, in a tree of `size`; level by level.

    Raises UsageError for a node that is not wholly inside the tree.
    """
    wanted = set(right_edge(size))
    for node in nodes:
        if not 0 <= node.level < 64 or not 0 <= node.lo < node.hi <= size:
            raise UsageError(f"{node} is no perfect subtree of a tree of {size}")
        level, index, _ = _place(node)
        tile = _tile(level, index, size)
        while tile not in wanted:  # up to the first that is held already, at the latest on the right edge
            wanted.add(tile)
            tile = _tile(tile.level + 1, tile.index // WIDTH, size)
    return sorted(wanted)


class AuthenticTiles:
    """Tiles that are proven to belong to the tree of `size` leaves with this root.

    `tiles` maps each tile to its bytes (width * 32) and must hold, for each tile, those that authenticate it, as
    `plan` lists them. Raises ProofError, which names the tile, when one is not of this tree, is missing, has the
    wrong length or does not hash to its place.
    """

    def __init__(self, size: int, root: bytes, tiles: Mapping[Tile, bytes]) -> None:
        self.size = size
        self.root = root
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._rows: dict[tuple[int, int], list[bytes]] = {}  # the levels above a tile's hashes, when first asked for
        for tile, data in tiles.items():
            _check_shape(tile, data, size)
            self._tiles[tile.level, tile.index] = bytes(data)
        self._frontier = self._check_right_edge()
        self._check_full_tiles()

    def tiles(self) -> dict[Tile, bytes]:
        """All that is held here, such as for a cache that keeps only what was proven."""
        return {Tile(*key, len(data) // HASH_SIZE): data for key, data in self._tiles.items()}

    def hash(self, node: Node) -> bytes:
        """The hash of a perfect subtree. Raises UsageError if the tile that holds it is not among these."""
        level, index, place = _place(node)
        data = self._tiles.get((level, index))
        rise = node.level % HEIGHT
        if data is None or (place + 1) << rise > len(data) // HASH_SIZE:
            raise UsageError(f"no tile that holds {node} is at hand; ask `plan` for the tiles")
        if rise:
            data = self._row(level, index, rise)
        return data[place * HASH_SIZE : (place + 1) * HASH_SIZE]

    def leaf_hashes(self, lo: int, hi: int) -> bytes:
        """The leaf hashes [lo, hi), 32 bytes each. Raises UsageError if a tile that holds some is not among these."""
        if not 0 <= lo <= hi <= self.size:
            raise UsageError(f"there are no leaves [{lo}, {hi}) in a tree of {self.size}")
        if lo == hi:
            return b""
        first = lo // WIDTH
        try:
            run = b"".join(self._tiles[0, index] for index in range(first, (hi - 1) // WIDTH + 1))
        except KeyError as error:
            path = tile_path(_tile(0, error.args[0][1], self.size))
            raise UsageError(f"{path} is not at hand; ask `plan` for the tiles") from None
        start = (lo - first * WIDTH) * HASH_SIZE
        return run[start : start + (hi - lo) * HASH_SIZE]

    def frontier(self) -> Frontier:
        """The tree as a compact range, ready to be appended to."""
        return self._frontier

    def _row(self, level: int, index: int, rise: int) -> bytes:
        """The hashes `rise` levels above those that the tile holds, complete ones only."""
        key = (level, index)
        if key not in self._rows:
            self._rows[key] = hash_levels(self._tiles[key])
        return self._rows[key][rise - 1]

    def _check_right_edge(self) -> Frontier:
        hashes: list[bytes] = []
        edge = right_edge(self.size)
        for tile in edge:
            data = self._tiles.get((tile.level, tile.index))
            if data is None:
                raise ProofError(f"{tile_path(tile)} is missing: the root cannot be checked without it")
            hashes += CompactRange.from_leaves(0, data).hashes
        frontier = Frontier(self.size, tuple(hashes))
        if frontier.root() != self.root:
            names = " and ".join(tile_path(tile) for tile in edge) or "the empty tree"
            raise ProofError(f"{names} does not hash to the root of the tree of {self.size}")
        return frontier

    def _check_full_tiles(self) -> None:
        """Each full tile against its place in its parent, from the top down: the first to fail is the bad one."""
        full = sorted((key for key, data in self._tiles.items() if len(data) == _FULL), reverse=True)
        row = fold_many(b"".join(self._tiles[key] for key in full), WIDTH)  # all at once
        for at, (level, index) in enumerate(full):
            path = tile_path(Tile(level, index, WIDTH))
            parent = self._tiles.get((level + 1, index // WIDTH))
            if parent is None:
                above = tile_path(_tile(level + 1, index // WIDTH, self.size))
                raise ProofError(f"{above} is missing: {path} cannot be checked without it")
            place = index % WIDTH * HASH_SIZE
            if parent[place : place + HASH_SIZE] != row[at * HASH_SIZE : (at + 1) * HASH_SIZE]:
                raise ProofError(f"{path} does not hash to its place in the tree of {self.size}")


def frontier(authentic: AuthenticTiles) -> Frontier:
    """The whole tree as a compact range, read from proven tiles."""
    return authentic.frontier()


def _place(node: Node) -> tuple[int, int, int]:
    """Where a node is found: its tile's level and index, and its place among the nodes of its level in that tile."""
    level, rise = divmod(node.level, HEIGHT)
    across = HEIGHT - rise  # 2 ** across nodes of this level lie in one tile
    return level, node.index >> across, node.index & ((1 << across) - 1)


def _tile(level: int, index: int, size: int) -> Tile:
    """This tile in the width that it has in a tree of `size`."""
    return Tile(level, index, min(WIDTH, (size >> (HEIGHT * level)) - index * WIDTH))


def _check_shape(tile: Tile, data: bytes, size: int) -> None:
    level, index, width = tile
    if not 0 <= level < 64 or index < 0 or width < 1 or _tile(level, index, size) != tile:
        raise ProofError(f"{tile} is no tile of the tree of {size}")
    if len(data) != width * HASH_SIZE:
        raise ProofError(f"{tile_path(tile)} has {len(data)} bytes, not {width * HASH_SIZE}")


def _format_index(index: int, width: int) -> str:
    if index < 0 or not 1 <= width <= WIDTH:
        raise UsageError(f"there is no tile {index} with {width} hashes")
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups) + ("" if width == WIDTH else f".p/{width}")


def _parse_index(groups: str, last: str, width: str | None) -> tuple[int, int]:
    index = int(groups.replace("x", "").replace("/", "") + last)
    count = WIDTH if width is None else int(width)
    if groups.startswith("x000") or index > MAX_SIZE // WIDTH or (width is not None and count >= WIDTH):
        raise MalformedError("this is not how a tile's index is written", field="tile path")
    return index, count
