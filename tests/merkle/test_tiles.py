"""ctlog.merkle.tiles: names, which tiles a tree has, and that no wrong tile ever becomes authentic."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import MalformedError, ProofError, UsageError
from ctlog.merkle.hashing import hash_levels
from ctlog.merkle.proof import (
    build,
    plan_consistency,
    plan_inclusion,
    plan_range,
    verify_consistency,
    verify_inclusion,
    verify_range,
)
from ctlog.merkle.tiles import (
    AuthenticTiles,
    EntriesTile,
    Tile,
    entries_path,
    frontier,
    new_tiles,
    parse_entries_path,
    parse_tile_path,
    partial_width,
    plan,
    right_edge,
    tile_path,
    tiles_of,
)
from ctlog.merkle.tree import EMPTY_ROOT, Frontier, Node

SIZE = 256 * 256 + 2 * 256 + 77  # three levels of tiles, each with a partial one
LEAVES = b"".join(sha256(index.to_bytes(4, "big")).digest() for index in range(SIZE))
LEVELS = [LEAVES, *hash_levels(LEAVES)]
SIZES = [1, 2, 77, 255, 256, 257, 300, 511, 512, 600, 65_535, 65_536, 65_537, SIZE - 1, SIZE]
sizes = st.one_of(st.integers(1, SIZE), st.sampled_from(SIZES))


def root(size: int) -> bytes:
    return Frontier().append(LEAVES[: 32 * size]).root()


ROOTS = {size: root(size) for size in SIZES}


def data(tile: Tile) -> bytes:
    """The tile's bytes, cut from the levels of the whole tree: the definition, without any of the code under test."""
    start = tile.index * 256
    return LEVELS[8 * tile.level][32 * start : 32 * (start + tile.width)]


def fetched(tiles: list[Tile]) -> dict[Tile, bytes]:
    return {tile: data(tile) for tile in tiles}


def whole(size: int) -> AuthenticTiles:
    return AuthenticTiles(size, ROOTS.get(size) or root(size), fetched(tiles_of(size)))


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067, 256), "tile/0/x001/x234/067"),  # the example of static-ct-api
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(3, 999, 255), "tile/3/999.p/255"),
        (Tile(1, 1000, 1), "tile/1/x001/000.p/1"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(63, 0, 2), "tile/63/000.p/2"),
    ],
)
def test_tile_paths(tile, path):
    assert tile_path(tile) == path
    assert parse_tile_path(path) == tile


def test_entries_paths():
    assert entries_path("data", 1067, 3) == "tile/data/x001/067.p/3"
    assert entries_path("numbers", 67, 256) == "tile/numbers/067"
    assert parse_entries_path("tile/data/x001/067.p/3") == EntriesTile("data", 1067, 3)


@given(st.integers(0, 63), st.integers(0, 2**54), st.integers(1, 256))
def test_paths_are_read_back(level, index, width):
    assert parse_tile_path(tile_path(Tile(level, index, width))) == (level, index, width)
    assert parse_entries_path(entries_path("data", index, width)) == ("data", index, width)


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0", "tile/0/", "tile/0/67", "tile/0/0067", "tile/00/067", "tile/64/067", "tile/-1/067",
        "tile/0/x067", "tile/0/x000/067", "tile/0/x000/x001/067", "tile/0/001/067", "tile/0/067.p/0",
        "tile/0/067.p/256", "tile/0/067.p/01", "tile/0/067.p", "tile/0/067.p/", "tile/0/067/", "/tile/0/067",
        "tile/0/067\n", "tile/0/٠٦٧", "tile/0/x001/x234/06", "tile/data/067", "tile/0/067.p/1000", "tile/0/../067",
        "tile/0/" + "x999/" * 6 + "999", "tile/0/" + "x999/" * 5 + "999",
    ],
)
def test_no_other_spelling_of_a_tile_path(path):
    with pytest.raises(MalformedError):
        parse_tile_path(path)


@pytest.mark.parametrize(
    "path", ["tile/0/067", "tile//067", "tile/Data/067", "tile/data/x000/067", "tile/../067", "tile/-a/067"]
)
def test_no_other_spelling_of_an_entries_path(path):
    with pytest.raises(MalformedError):
        parse_entries_path(path)


@given(st.text(max_size=30))
def test_no_text_makes_the_readers_of_paths_raise_anything_else(text):
    for read, write in [(parse_tile_path, tile_path), (parse_entries_path, lambda tile: entries_path(*tile))]:
        with suppress(MalformedError):
            assert write(read(text)) == text


@pytest.mark.parametrize("tile", [Tile(0, -1, 256), Tile(0, 0, 0), Tile(0, 0, 257)])
def test_what_is_no_tile_has_no_path(tile):
    with pytest.raises(UsageError):
        tile_path(tile)


@pytest.mark.parametrize("size", SIZES)
def test_the_tiles_of_a_tree_are_all_its_complete_hashes(size):
    tiles = tiles_of(size)
    for level in range(3):
        count = size >> (8 * level)
        row = [tile for tile in tiles if tile.level == level]
        assert sum(tile.width for tile in row) == count
        assert [tile.index for tile in row] == list(range(len(row)))
        assert all(tile.width == 256 for tile in row[:-1])
        assert partial_width(size, level) == (row[-1].width % 256 if row else 0)
    assert max(tile.level for tile in tiles) < 3


@given(sizes, sizes)
def test_new_tiles_are_those_that_the_old_tree_had_not(a, b):
    old, new = sorted((a, b))
    assert set(new_tiles(old, new)) == set(tiles_of(new)) - set(tiles_of(old))
    assert len(new_tiles(old, new)) == len(set(new_tiles(old, new)))


def test_no_tiles_where_there_are_no_leaves():
    assert tiles_of(0) == right_edge(0) == plan([], 0) == []
    empty = AuthenticTiles(0, EMPTY_ROOT, {})
    assert frontier(empty) == Frontier()
    assert empty.leaf_hashes(0, 0) == b""
    with pytest.raises(ProofError, match="the empty tree"):
        AuthenticTiles(0, ROOTS[1], {})
    with pytest.raises(UsageError):
        new_tiles(2, 1)


@settings(max_examples=60)
@given(sizes, st.data())
def test_plan_fetch_finish(size, draw):
    index = draw.draw(st.integers(0, size - 1))
    old = draw.draw(st.integers(1, size))
    hi = draw.draw(st.integers(index + 1, min(size, index + 600)))
    plans = [plan_inclusion(index, size), plan_consistency(old, size), plan_range(index, hi, size)]
    the_root = root(size)
    for one in plans:  # each with just its own tiles
        authentic = AuthenticTiles(size, the_root, fetched(plan(one.nodes, size)))
        assert len(plan(one.nodes, size)) <= 3 * 3
        build(one, authentic)
    nodes = [node for one in plans for node in one.nodes] + [Node(0, index)]
    authentic = AuthenticTiles(size, the_root, fetched(plan(nodes, size)))
    leaf = authentic.hash(Node(0, index))
    assert leaf == LEAVES[32 * index : 32 * index + 32]
    verify_inclusion(index, size, leaf, build(plans[0], authentic), the_root)
    verify_consistency(old, size, root(old), the_root, build(plans[1], authentic))
    verify_range(index, hi, size, LEAVES[32 * index : 32 * hi], build(plans[2], authentic), the_root)


@pytest.mark.parametrize("size", SIZES)
def test_every_node_can_be_read_from_the_tiles_that_were_planned_for_it(size):
    for level in range(size.bit_length()):
        for index in {0, 1, (size >> level) // 2, (size >> level) - 1}:
            if 0 <= index < size >> level:
                node = Node(level, index)
                authentic = AuthenticTiles(size, ROOTS[size], fetched(plan([node], size)))
                assert authentic.hash(node) == LEVELS[level][32 * index : 32 * index + 32]


@pytest.mark.parametrize("size", SIZES)
def test_the_right_edge_alone_is_the_frontier(size):
    edge = right_edge(size)
    assert edge == sorted(edge, reverse=True)
    authentic = AuthenticTiles(size, ROOTS[size], fetched(edge))
    assert frontier(authentic) == Frontier().append(LEAVES[: 32 * size])


def test_what_is_held_can_be_taken_out_again():
    tiles = fetched(plan([Node(0, 300)], SIZE))
    assert AuthenticTiles(SIZE, ROOTS[SIZE], tiles).tiles() == tiles


def test_leaf_hashes_over_many_tiles():
    authentic = whole(SIZE)
    for lo, hi in [(0, SIZE), (0, 0), (255, 257), (256, 512), (300, 301), (SIZE - 1, SIZE), (100, 5000)]:
        assert authentic.leaf_hashes(lo, hi) == LEAVES[32 * lo : 32 * hi]
    for lo, hi in [(-1, 2), (3, 2), (0, SIZE + 1)]:
        with pytest.raises(UsageError):
            authentic.leaf_hashes(lo, hi)


def test_a_node_or_leaf_whose_tile_is_not_held_is_never_guessed():
    authentic = AuthenticTiles(SIZE, ROOTS[SIZE], fetched(plan([Node(0, 0)], SIZE)))
    assert authentic.hash(Node(0, 255)) == LEAVES[255 * 32 : 256 * 32]
    with pytest.raises(UsageError, match="at hand"):
        authentic.hash(Node(0, 256))
    with pytest.raises(UsageError, match="tile/0/001 is not at hand"):
        authentic.leaf_hashes(0, 257)
    for node in [Node(0, SIZE), Node(5, SIZE >> 5), Node(17, 0), Node(0, -1), Node(-1, 0)]:
        with pytest.raises(UsageError):
            plan([node], SIZE)
        with pytest.raises(UsageError):
            whole(600).hash(node)


@pytest.mark.parametrize("size", [1, 77, 256, 257, 600, SIZE])
def test_any_flipped_bit_in_any_tile_is_found_and_the_tile_named(size):
    tiles = fetched(tiles_of(size)[:3] + tiles_of(size)[-3:])
    tiles |= fetched(plan([Node(8 * tile.level, tile.index * 256) for tile in tiles], size))
    AuthenticTiles(size, ROOTS[size], tiles)
    for tile, good in tiles.items():
        for bit in range(0, 8 * len(good), 61 if len(good) < 1000 else 4999):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            with pytest.raises(ProofError, match=tile_path(tile).replace(".", r"\.")):
                AuthenticTiles(size, ROOTS[size], tiles | {tile: bytes(bad)})


def test_two_bad_tiles_the_upper_one_is_named():
    tiles = fetched(plan([Node(0, 0), Node(0, 300)], SIZE))
    for tile in (Tile(0, 1, 256), Tile(1, 0, 256)):
        tiles[tile] = bytes(32) + tiles[tile][32:]
    with pytest.raises(ProofError, match="tile/1/000 does not hash"):
        AuthenticTiles(SIZE, ROOTS[SIZE], tiles)


def test_tiles_in_each_others_place_are_refused():
    tiles = fetched(plan([Node(0, 0), Node(0, 300)], SIZE))
    tiles[Tile(0, 0, 256)], tiles[Tile(0, 1, 256)] = tiles[Tile(0, 1, 256)], tiles[Tile(0, 0, 256)]
    with pytest.raises(ProofError, match="tile/0/001 does not hash"):
        AuthenticTiles(SIZE, ROOTS[SIZE], tiles)


def test_a_missing_parent_or_edge_is_refused_by_name():
    tiles = fetched(plan([Node(0, 0)], SIZE))
    for tile in tiles:
        if tile != Tile(0, 0, 256):
            with pytest.raises(ProofError, match=tile_path(tile).replace(".", r"\.") + " is missing"):
                AuthenticTiles(SIZE, ROOTS[SIZE], {key: value for key, value in tiles.items() if key != tile})


@pytest.mark.parametrize(
    "tile",
    [Tile(0, 2, 87), Tile(0, 2, 89), Tile(0, 2, 256), Tile(0, 3, 1), Tile(2, 0, 1), Tile(-1, 0, 1), Tile(0, -1, 256)],
)
def test_a_tile_that_a_tree_of_600_does_not_have_is_refused(tile):
    with pytest.raises(ProofError, match="no tile of the tree of 600"):
        AuthenticTiles(600, ROOTS[600], fetched(tiles_of(600)) | {tile: bytes(32 * max(tile.width, 0))})


@pytest.mark.parametrize("length", [0, 31, 32 * 255, 32 * 257])
def test_a_tile_of_another_length_is_refused(length):
    with pytest.raises(ProofError, match="tile/0/001 has"):
        AuthenticTiles(600, ROOTS[600], fetched(tiles_of(600)) | {Tile(0, 1, 256): bytes(length)})


def test_tiles_of_one_size_do_not_pass_for_another():
    for other in (599, 601, 512, 65_536 + 600):
        with pytest.raises(ProofError):
            AuthenticTiles(other, ROOTS[600], fetched(tiles_of(600)))
    with pytest.raises(ProofError, match="does not hash to the root"):
        AuthenticTiles(600, ROOTS[600][:31], fetched(tiles_of(600)))


some_tiles = st.builds(Tile, *[st.integers(-1, 2**40)] * 3)


@given(st.integers(0, 2**63 - 1), st.dictionaries(some_tiles, st.binary(max_size=64)))
def test_no_bytes_make_the_check_raise_anything_else(size, tiles):
    with pytest.raises(ProofError):
        AuthenticTiles(size, bytes(32), tiles)
