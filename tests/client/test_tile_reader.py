"""ctlog.client.tile_reader: proven tiles from wherever they are, and nothing else is kept."""

from __future__ import annotations

import pytest

from ctlog.client.tile_reader import TileReader, VerifiedCache, together
from ctlog.errors import NotFoundError, ProofError, TransportError
from ctlog.merkle.proof import verify_inclusion, verify_range
from ctlog.merkle.tiles import Tile, tile_path
from ctlog.merkle.tree import Node, TreeHead
from tests.simulator import Simulator


def big() -> tuple[Simulator, TreeHead]:
    log = Simulator()
    head = log.grow(1000)
    return log, TreeHead(head.size, head.root)


async def test_a_proof_from_tiles():
    log, tree = big()
    reader = TileReader(log)
    for index in (0, 255, 256, 999):
        proof = await reader.inclusion_proof(tree, index)
        verify_inclusion(index, 1000, log.tree.hash(Node(0, index)), proof, tree.root)
    proof = await reader.range_proof(tree, 250, 600)
    verify_range(250, 600, 1000, log.tree.levels[0][32 * 250 : 32 * 600], proof, tree.root)


async def test_only_what_is_needed_is_fetched_and_once():
    log, tree = big()
    reader = TileReader(log)
    await reader.inclusion_proof(tree, 5)
    assert sorted(log.requests) == ["tile/0/000", "tile/0/003.p/232", "tile/1/000.p/3"]
    await reader.inclusion_proof(tree, 300)
    assert log.requests[3:] == ["tile/0/001"]


async def test_a_partial_tile_that_is_gone_is_cut_from_the_full_one():
    log, tree = big()
    log.grow(100_000)
    log.pruned = True
    assert await TileReader(log).inclusion_proof(tree, 999) == await TileReader(big()[0]).inclusion_proof(tree, 999)
    assert "tile/0/003" in log.requests


async def test_rot_is_named_and_not_kept(tmp_path):
    log, tree = big()
    await log.rot("tile/0/000", 77)
    reader = TileReader(log, VerifiedCache(tmp_path))
    with pytest.raises(ProofError, match="tile/0/000 does not hash"):
        await reader.inclusion_proof(tree, 5)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    log.rotten.clear()
    await reader.inclusion_proof(tree, 5)


async def test_what_is_missing_is_said():
    log, tree = big()
    log.withhold("tile/0/000", "tile/0/003.p/232")
    with pytest.raises(NotFoundError):
        await TileReader(log).inclusion_proof(tree, 5)


async def test_the_disk_holds_full_proven_tiles_and_spares_the_network(tmp_path):
    log, tree = big()
    await TileReader(log, VerifiedCache(tmp_path)).inclusion_proof(tree, 5)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == ["tile/0/000"]
    log.requests.clear()
    await TileReader(log, VerifiedCache(tmp_path)).inclusion_proof(tree, 5)
    assert "tile/0/000" not in log.requests


async def test_our_own_damaged_copy_is_no_accusation(tmp_path):
    log, tree = big()
    await TileReader(log, VerifiedCache(tmp_path)).inclusion_proof(tree, 5)
    path = tmp_path / "tile/0/000"
    for damage in (b"", bytes(32), bytes(8192), path.read_bytes()[:-1] + b"\0"):
        path.write_bytes(damage)
        proof = await TileReader(log, VerifiedCache(tmp_path)).inclusion_proof(tree, 5)
        verify_inclusion(5, 1000, log.tree.hash(Node(0, 5)), proof, tree.root)
        assert path.read_bytes() == log.tree.tile(Tile(0, 0, 256))


async def test_a_cache_that_cannot_be_written_is_no_trouble(tmp_path):
    log, tree = big()
    (tmp_path / "file").write_bytes(b"")
    proof = await TileReader(log, VerifiedCache(tmp_path / "file")).inclusion_proof(tree, 5)
    verify_inclusion(5, 1000, log.tree.hash(Node(0, 5)), proof, tree.root)
    assert (tmp_path / "file").read_bytes() == b""


async def test_no_more_than_so_many_at_once():
    log, tree = big()
    log.delay_s = 0.001
    reader = TileReader(log, at_once=3)
    await reader.authentic(tree, [Node(0, index) for index in range(0, 1000, 256)])
    assert log.most_at_once == 3


async def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("ctlog.client.tile_reader.MEMORY_TILES", 2)
    log = Simulator()
    reader = TileReader(log)
    for _ in range(5):
        head = log.grow(100)
        await reader.inclusion_proof(TreeHead(head.size, head.root), 0)
        assert len(reader._memory) <= 2


async def test_the_first_of_several_to_fail_ends_the_others():
    log, tree = big()
    log.delay_s = 0.01
    log.fail("tile/0/000", TransportError("no route"))
    with pytest.raises(TransportError, match="no route"):
        await TileReader(log).authentic(tree, [Node(0, 0), Node(0, 300)])
    assert log.running == 0
    assert await together([]) == []
    assert tile_path(Tile(0, 0, 256)) == "tile/0/000"
