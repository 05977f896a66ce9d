"""Proven tiles that are kept: the same hashes as `AuthenticTiles` gives, at every size, and nothing unproven ever."""

from __future__ import annotations

import random

import pytest

from ctlog.errors import ProofError, UsageError
from ctlog.http import proven as module
from ctlog.http.proven import ProvenTiles
from ctlog.merkle.hashing import hash_leaves, hash_levels
from ctlog.merkle.proof import build, plan_consistency, plan_inclusion
from ctlog.merkle.tiles import AuthenticTiles, Tile, plan, tiles_of
from ctlog.merkle.tree import Frontier, Node, TreeHead

HASHES = hash_leaves([b"%d" % at for at in range(70_000)])
LEVELS = [HASHES, *hash_levels(HASHES)]


def head(size: int) -> TreeHead:
    return TreeHead(size, Frontier().append(HASHES[: size * 32]).root())


def data(tile: Tile) -> bytes:
    row = LEVELS[8 * tile.level]
    return row[tile.index * 8192 : (tile.index * 256 + tile.width) * 32]


def bring(proven: ProvenTiles, nodes: list[Node], tree: TreeHead) -> int:
    missing = proven.missing(nodes, tree)
    proven.add(tree, {tile: data(tile) for tile in missing})
    assert proven.missing(nodes, tree) == []
    return len(missing)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 65535, 65536, 65537, 66_000, 70_000])
def test_proofs_are_those_of_authentic_tiles(size: int) -> None:
    tree, proven = head(size), ProvenTiles(1 << 22)
    dice = random.Random(size)
    plans = [plan_inclusion(dice.randrange(size), size) for _ in range(20)]
    plans += [plan_consistency(dice.randrange(1, size + 1), size) for _ in range(20)]
    plans += [plan_inclusion(0, 1 + size // 2), plan_consistency(1 + size // 3, 1 + size // 2)]
    for each in plans:
        bring(proven, each.nodes, tree)
        tiles = {tile: data(tile) for tile in plan(each.nodes, size)}
        assert build(each, proven) == build(each, AuthenticTiles(size, tree.root, tiles))


def test_what_is_here_is_not_asked_for_again_as_the_tree_grows() -> None:
    proven = ProvenTiles(1 << 22)
    nodes = plan_inclusion(5, 1000).nodes
    assert bring(proven, nodes, head(1000)) > 0
    assert bring(proven, nodes, head(1000)) == 0
    missing = proven.missing(nodes, head(1001))
    assert missing
    assert all(tile.width < 256 for tile in missing)  # only the new right edge
    proven.add(head(1001), {tile: data(tile) for tile in missing})
    assert proven.tree == head(1001)
    assert proven.missing(nodes, head(1000)) != []


def test_every_flipped_tile_is_found_and_named() -> None:
    tree = head(66_000)
    nodes = [Node(0, 5), Node(0, 300), Node(3, 8191)]
    for bad in ProvenTiles(0).missing(nodes, tree):
        proven = ProvenTiles(0)
        tiles = {tile: data(tile) for tile in proven.missing(nodes, tree)}
        flipped = bytearray(tiles[bad])
        flipped[7] ^= 0x10
        tiles[bad] = bytes(flipped)
        with pytest.raises(ProofError):
            proven.add(tree, tiles)
        tiles[bad] = data(bad)[:-1]
        with pytest.raises(ProofError):
            ProvenTiles(0).add(tree, tiles)


def test_a_wrong_root_proves_nothing() -> None:
    proven = ProvenTiles(0)
    tree = TreeHead(66_000, bytes(32))
    with pytest.raises(ProofError):
        proven.add(tree, {tile: data(tile) for tile in proven.missing([Node(0, 5)], tree)})
    with pytest.raises(UsageError):
        proven.hash(Node(0, 5))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_TILES", 8)
    proven = ProvenTiles(0)
    tree = head(66_000)
    for at in range(0, 66_000, 256):
        bring(proven, [Node(0, min(at, 65_999))], tree)
        assert len(proven) <= 8


def test_a_tile_whose_parent_was_forgotten_is_passed_over() -> None:
    proven = ProvenTiles(0)
    tree = head(66_000)
    bring(proven, [Node(0, 5)], tree)
    proven._rows.pop((1, 0))
    child = Tile(0, 7, 256)
    proven.add(tree, {child: data(child)})
    assert child in proven.missing([Node(0, 7 * 256)], tree)
    assert len(tiles_of(66_000)) > 250
