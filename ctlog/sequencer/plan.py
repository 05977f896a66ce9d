"""What a batch is going to be, as a value: every object to write, and the next head. Pure.

In scope: the right edge of a tree (`Edge`), the plan of a batch on top of it (`plan_batch`), the staging bundle in
which a batch is written down before it is signed, the check of a bundle that was read back (`check_bundle`), and of
published tiles that are read back. Out of scope: signing, storing, and when to do it (`commit.py`).

Plan and check reach the root by different ways. The plan hashes the leaves that it made and appends them to a compact
range. The check takes the leaves out of the bytes that were stored, makes the tiles anew from them and from the old
tiles, which must lead to the old head, and lets `AuthenticTiles` find the new root in the result.

A staging bundle (written and read by nobody else):

    "ctlog staging bundle v1\\n"
    <old size> " " <old root, hex> "\\n"
    <new size> " " <new root, hex> "\\n"
    <number of objects> "\\n"
    <length> " " <key> "\\n"          for each object
    the objects' bytes
    SHA-256 of everything before, 32 bytes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, TypeVar

from zlib_ng import zlib_ng as zlib  # the same format in 60 % of the time

from ctlog.errors import MalformedError, ProofError, UsageError
from ctlog.merkle.hashing import fold_many, hash_leaves
from ctlog.merkle.tiles import WIDTH, AuthenticTiles, Tile, entries_path, partial_width, plan, right_edge, tile_path
from ctlog.merkle.tree import HASH_SIZE, Frontier, Node, TreeHead
from ctlog.sequencer.forms import EntryForm, Object, StoredEntry, TileKind

E = TypeVar("E")

GZIP_LEVEL = 3  # 3.3 us an entry; level 6 takes 5 and makes the tiles 1 % smaller
_GZIP = 31  # zlib's name for the gzip container; it has no time in it, so equal tiles are equal files
_MAX_TILE = 1 << 30  # bytes that a full tile may inflate to: 256 entries of 2^24 bytes could not be more than four
_BUNDLE = b"ctlog staging bundle v1"


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a log: all that is needed to append to it.

    `levels` has the hashes of each level's partial tile, lowest first, b"" where there is none; `tails` has the bytes
    of the partial tile of each kind, uncompressed, and `tail_digests` their SHA-256: not all of a tile is hashed into
    its leaves, and what lies in memory must not change before it is written again.
    """

    frontier: Frontier
    levels: tuple[bytes, ...]
    tails: tuple[bytes, ...]
    tail_digests: tuple[bytes, ...]

    @classmethod
    def seal(cls, frontier: Frontier, levels: tuple[bytes, ...], tails: Sequence[bytes]) -> Edge:
        """The edge that has these parts, all of which were checked."""
        return cls(frontier, levels, tuple(tails), tuple(sha256(tail).digest() for tail in tails))

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.frontier.size


class Batch(NamedTuple):
    """What is to be done. `objects` are new ones of the public store; the rest is what will be true afterwards."""

    old: TreeHead
    head: TreeHead
    objects: tuple[Object, ...]
    leaf_hashes: bytes
    frontier: Frontier
    levels: tuple[bytes, ...]
    tails: tuple[bytes, ...]


class Bundle(NamedTuple):
    """A batch as it is staged."""

    old: TreeHead
    head: TreeHead
    objects: tuple[Object, ...]


def empty_edge(kinds: Sequence[TileKind]) -> Edge:
    """The edge of the empty tree."""
    return Edge.seal(Frontier(), (), [b""] * len(kinds))


# Planning -----------------------------------------------------------------------------------------------------------


def plan_batch(edge: Edge, old: TreeHead, form: EntryForm[E], entries: Sequence[E], timestamp_ms: int) -> Batch:
    """The batch that puts these entries behind `edge`, whose head is `old`. Raises UsageError if they do not fit."""
    size = edge.size + len(entries)
    if not entries or size > form.max_size or old.size != edge.size:
        raise UsageError(f"no batch leads from {old.size} entries to {size}")
    placed = form.place(entries, edge.size, timestamp_ms)
    leaf_hashes = hash_leaves([entry.leaf for entry in placed])
    objects: list[Object] = []
    tails = []
    for at, kind in enumerate(form.kinds):
        made, tail = _grow_tiles(kind, edge.tails[at], [entry.pieces[at] for entry in placed], edge.size)
        objects += made
        tails.append(tail)
    hash_tiles, levels = grow_levels(edge.levels, edge.size, leaf_hashes)
    objects += hash_tiles
    frontier = edge.frontier.append(leaf_hashes)
    return Batch(old, frontier.head(), tuple(objects), leaf_hashes, frontier, levels, tuple(tails))


def grow_levels(levels: Sequence[bytes], size: int, leaf_hashes: bytes) -> tuple[list[Object], tuple[bytes, ...]]:
    """The hash tiles that change when leaves are added to a tree of `size`, and its partial tiles afterwards."""
    objects: list[Object] = []
    grown: list[bytes] = []
    new = leaf_hashes
    for level in range(64):
        if not new and level >= len(levels):
            break
        row = (levels[level] if level < len(levels) else b"") + new
        full = len(row) // (WIDTH * HASH_SIZE)
        index = size >> (8 * (level + 1))
        if new:
            for at in range(full):
                tile = Tile(level, index + at, WIDTH)
                objects.append((tile_path(tile), row[at * WIDTH * HASH_SIZE : (at + 1) * WIDTH * HASH_SIZE]))
        rest = row[full * WIDTH * HASH_SIZE :]
        if new and rest:
            objects.append((tile_path(Tile(level, index + full, len(rest) // HASH_SIZE)), rest))
        new = fold_many(row[: full * WIDTH * HASH_SIZE], WIDTH) if full else b""
        grown.append(rest)
    return objects, tuple(grown)


def _grow_tiles(kind: TileKind, tail: bytes, pieces: Sequence[bytes], size: int) -> tuple[list[Object], bytes]:
    """The tiles of one kind after these pieces were added, and the bytes of the one that is partial then."""
    objects = []
    index, width = divmod(size, WIDTH)
    at = 0
    while at < len(pieces):
        taken = pieces[at : at + WIDTH - width]
        tail += b"".join(taken)
        width += len(taken)
        at += len(taken)
        objects.append((entries_path(kind.name, index, width), pack_tile(kind, width, tail)))
        if width == WIDTH:
            index, width, tail = index + 1, 0, b""
    return objects, tail


def pack_tile(kind: TileKind, width: int, tile: bytes) -> bytes:
    """A tile of entries as it is stored."""
    return zlib.compress(tile, GZIP_LEVEL, _GZIP) if width == WIDTH and kind.gzip_full else tile


def unpack_tile(kind: TileKind, width: int, stored: bytes) -> bytes:
    """The inverse of `pack_tile`. Raises MalformedError."""
    if width < WIDTH or not kind.gzip_full:
        return stored
    inflater = zlib.decompressobj(_GZIP)
    try:
        tile = inflater.decompress(stored, _MAX_TILE)
    except zlib.error as error:  # type: ignore[misc]  # the stub of zlib-ng calls it an instance
        raise MalformedError(f"{kind.name} tile: not gzip: {error}", field=kind.name) from None
    if not inflater.eof or inflater.unused_data:
        raise MalformedError(f"{kind.name} tile: not one whole gzip member", field=kind.name)
    return tile


# The bundle ---------------------------------------------------------------------------------------------------------


def bundle_key(head: TreeHead) -> str:
    """Under which key of the staging store the batch that leads to this head is written."""
    return f"{head.size}-{head.root.hex()}"


def parse_bundle_key(key: str) -> int:
    """The size to which the batch under this key leads. Raises MalformedError for what is no bundle's key."""
    size, dash, root = key.partition("-")
    if not (size.isdecimal() and dash and len(root) == 2 * HASH_SIZE):
        raise MalformedError(f"staging: {key} is no bundle", field="staging")
    return int(size)


def format_bundle(batch: Batch | Bundle) -> bytes:
    """Everything of a batch that a restart needs in order to finish it."""
    lines = [_BUNDLE]
    lines += [b"%d %b" % (head.size, head.root.hex().encode()) for head in (batch.old, batch.head)]
    lines.append(b"%d" % len(batch.objects))
    lines += [b"%d %b" % (len(data), key.encode()) for key, data in batch.objects]
    body = b"".join([b"\n".join(lines), b"\n", *(data for _, data in batch.objects)])
    return body + sha256(body).digest()


def bundle_objects(bundle: bytes, objects: Sequence[Object]) -> list[tuple[str, memoryview]]:
    """The `objects` of a bundle, their bytes not copied but where they are in `bundle`, which `format_bundle` made."""
    view = memoryview(bundle)
    found = []
    at = len(bundle) - HASH_SIZE - sum(len(data) for _, data in objects)
    for key, data in objects:
        found.append((key, view[at : at + len(data)]))
        at += len(data)
    return found


def parse_bundle(data: bytes) -> Bundle:
    """The inverse of `format_bundle`. Raises MalformedError for anything else."""
    end = len(data) - HASH_SIZE
    if not data.startswith(_BUNDLE + b"\n") or sha256(memoryview(data)[:end]).digest() != data[end:]:
        raise MalformedError("staging bundle: torn or damaged", field="staging bundle")
    try:
        _, old, head, number, rest = data[:end].split(b"\n", 4)
        *lines, blob = rest.split(b"\n", int(number))
        objects = []
        at = 0
        for line in lines:
            length, _, key = line.partition(b" ")
            objects.append((key.decode(), blob[at : at + int(length)]))
            at += int(length)
        if at != len(blob):
            raise ValueError("lengths")
        return Bundle(_parse_head(old), _parse_head(head), tuple(objects))
    except ValueError:
        raise MalformedError("staging bundle: cannot be read", field="staging bundle") from None


def _parse_head(line: bytes) -> TreeHead:
    size, _, root = line.partition(b" ")
    return TreeHead(int(size), bytes.fromhex(root.decode()))


def check_bundle(bundle: Bundle, edge: Edge, form: EntryForm[E]) -> tuple[Edge, bytes]:
    """Do the bytes of a bundle, on top of `edge`, lead to the bundle's head, and are they all that changes?

    Returns the edge afterwards and the hashes of the new leaves, made from the bytes of the bundle. Raises ProofError
    or MalformedError, also when `edge` does not lead to the bundle's old head.
    """
    edge_of_levels(bundle.old, edge.levels)
    objects = dict(bundle.objects)
    if len(objects) != len(bundle.objects):
        raise ProofError("an object is staged twice")
    tails, leaf_hashes = [], b""
    for at, kind in enumerate(form.kinds):
        tiles = _tiles_between(kind, bundle.old.size, bundle.head.size, objects)
        if sha256(memoryview(tiles[0][1])[: len(edge.tails[at])]).digest() != edge.tail_digests[at]:
            raise ProofError(f"the {kind.name} tile before the new entries has changed")
        if at == 0:
            leaf_hashes = _new_leaf_hashes(form, tiles, edge.levels)
        tails.append(tiles[-1][1] if bundle.head.size % WIDTH else b"")
    made, levels = grow_levels(edge.levels, bundle.old.size, leaf_hashes)
    if objects != dict(made):  # the tiles of entries were taken out above
        raise ProofError("the staged hash tiles are not those of the staged entries")
    frontier = edge_of_levels(bundle.head, levels)
    return Edge.seal(frontier, levels, tails), leaf_hashes


def edge_of_levels(head: TreeHead, levels: Sequence[bytes]) -> Frontier:
    """The compact range of a tree, from its partial tiles. Raises ProofError if they do not lead to this head."""
    if [len(level) for level in levels] != [HASH_SIZE * partial_width(head.size, at) for at in range(len(levels))]:
        raise ProofError(f"these are not the partial tiles of a tree of {head.size}")
    tiles = {tile: levels[tile.level] for tile in right_edge(head.size) if tile.level < len(levels)}
    return AuthenticTiles(head.size, head.root, tiles).frontier()


def _tiles_between(kind: TileKind, old: int, new: int, objects: dict[str, bytes]) -> list[tuple[int, bytes]]:
    """Take the tiles of a kind that change from one size to the next out of `objects`: (width, uncompressed bytes)."""
    tiles = []
    for index in range(old // WIDTH, -(-new // WIDTH)):
        width = min(WIDTH, new - index * WIDTH)
        stored = objects.pop(entries_path(kind.name, index, width), None)
        if stored is None:
            raise ProofError(f"{entries_path(kind.name, index, width)} is not in the staging bundle")
        tiles.append((width, unpack_tile(kind, width, stored)))
    return tiles


def _new_leaf_hashes(form: EntryForm[E], tiles: Sequence[tuple[int, bytes]], levels: Sequence[bytes]) -> bytes:
    """The hashes of the entries in these tiles, without those that were there before, which must be unchanged."""
    leaves: list[bytes] = []
    for width, tile in tiles:
        found = form.leaves(tile)
        if len(found) != width:
            raise ProofError(f"a staged tile has {len(found)} entries where there should be {width}")
        leaves += found
    hashes = hash_leaves(leaves)
    before = levels[0] if levels else b""
    if hashes[: len(before)] != before:
        raise ProofError("the entries before the new ones have changed")
    return hashes[len(before) :]


# Reading back what is published ---------------------------------------------------------------------------------------


def edge_keys(size: int, kinds: Sequence[TileKind]) -> list[str]:
    """The objects from which `read_edge` makes the edge of a tree of `size`."""
    if size == 0:
        return []
    index, width = _last_tile(size)
    tiles = [tile_path(tile) for tile in plan([Node(0, size - 1)], size)]
    return tiles + [entries_path(kind.name, index, width) for kind in kinds]


def read_edge(head: TreeHead, form: EntryForm[E], objects: Mapping[str, bytes | None]) -> Edge:
    """The edge of a published tree, with each entry of the last tile checked against its hash.

    Raises ProofError or MalformedError, which name the object that is missing or damaged.
    """
    for key, data in objects.items():
        if data is None:
            raise ProofError(f"{key} is missing")
    found = {key: data for key, data in objects.items() if data is not None}
    if head.size == 0:
        return Edge.seal(edge_of_levels(head, ()), (), [b""] * len(form.kinds))
    tiles = {tile: found[tile_path(tile)] for tile in plan([Node(0, head.size - 1)], head.size)}
    authentic = AuthenticTiles(head.size, head.root, tiles)
    index, width = _last_tile(head.size)
    lo = index * WIDTH
    tails = []
    entries: list[StoredEntry] = []
    for at, kind in enumerate(form.kinds):
        key = entries_path(kind.name, index, width)
        try:
            tile = unpack_tile(kind, width, found[key])
            if at == 0:
                entries = read_entries(form, tile, authentic.leaf_hashes(lo, head.size))
            else:
                form.check_tile(kind.name, tile, lo, entries)
        except (MalformedError, ProofError) as error:
            raise ProofError(f"{key} is damaged: {error}") from error
        tails.append(tile if width < WIDTH else b"")
    edge = {tile.level: tiles[tile] for tile in right_edge(head.size)}
    levels = tuple(edge.get(level, b"") for level in range(max(edge, default=-1) + 1))
    return Edge.seal(authentic.frontier(), levels, tails)


def read_entries(form: EntryForm[E], tile: bytes, leaf_hashes: bytes) -> list[StoredEntry]:
    """The entries of a tile (uncompressed), each compared with its hash. Raises ProofError or MalformedError."""
    entries = form.stored(tile)
    if hash_leaves([entry.leaf for entry in entries]) != leaf_hashes:
        raise ProofError("its entries do not have the hashes of the level-0 tile")
    return entries


def _last_tile(size: int) -> tuple[int, int]:
    """Index and width of the tile of the last entry."""
    index = (size - 1) // WIDTH
    return index, size - index * WIDTH
