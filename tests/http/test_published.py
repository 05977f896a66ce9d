"""Reading what is published: bounded memory, and hashes that are proven before anything is made of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import ProofError, StoreError
from ctlog.http.published import ObjectCache, Published, issuer_path
from ctlog.merkle.hashing import hash_leaves
from ctlog.merkle.proof import plan_inclusion
from ctlog.merkle.tiles import Tile, tile_path
from ctlog.merkle.tree import Frontier
from ctlog.sequencer.forms import TileKind
from ctlog.store import Collectable
from ctlog.wire.checkpoint import Checkpoint, SignedHead
from ctlog.wire.rfc6962 import DigitallySigned
from tests.faults import MemoryObjectStore
from tests.rfc6962_tree import MTH, PATH, leaves

SIZE = 5


def published(cache_bytes: int = 1 << 20) -> tuple[Published, MemoryObjectStore, list[float]]:
    hashes = hash_leaves(leaves(SIZE))
    root = Frontier().append(hashes).root()
    head = SignedHead(Checkpoint("x", SIZE, root), 0, b"", DigitallySigned(4, 3, b""))
    store = MemoryObjectStore(Collectable())
    store.put(tile_path(Tile(0, 0, SIZE)), hashes)
    reads: list[float] = []
    return Published(store, lambda: head, [TileKind("data", True)], cache_bytes, reads.append), store, reads


async def test_a_proof_is_made_from_proven_tiles_and_read_once() -> None:
    found, _, reads = published()
    for size in range(1, SIZE + 1):
        for index in range(size):
            proof = await found.proof(plan_inclusion(index, size))
            assert proof == PATH(index, leaves(size))
    assert found.tree.root == MTH(leaves(SIZE))
    assert len(reads) == 1


async def test_a_flipped_bit_is_no_proof() -> None:
    found, store, _ = published()
    key = tile_path(Tile(0, 0, SIZE))
    data = bytearray(store.objects[key])
    data[100] ^= 4
    store.objects[key] = bytes(data)
    with pytest.raises(ProofError, match=key):
        await found.proof(plan_inclusion(0, SIZE))


async def test_what_is_missing_is_named() -> None:
    found, store, _ = published()
    store.objects.clear()
    with pytest.raises(StoreError, match=r"tile/0/000\.p/5"):
        await found.proof(plan_inclusion(0, SIZE))
    assert await found.object("issuer/" + "0" * 64) is None


async def test_a_data_tile_with_too_few_entries_is_not_served() -> None:
    found, store, _ = published()
    store.put("tile/data/000.p/5", b"\x00")
    with pytest.raises(Exception, match="data-tile"):
        await found.entries(0, 1, found.tree)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=60))
def test_the_cache_keeps_its_bound_and_its_bytes(steps: list[tuple[int, int]]) -> None:
    cache = ObjectCache(100)
    last: dict[str, bytes] = {}
    for key, size in steps:
        name = str(key)
        data = cache.get(name)
        if data is None:
            data = bytes([key]) * size
            cache.put(name, data)
            last.setdefault(name, data)
        assert set(data) <= {key}
        assert cache.bytes == sum(len(each) for each in cache._objects.values()) <= 100
    assert cache.hits + cache.misses == len(steps)


def test_the_cache_forgets_what_was_not_used_for_longest_and_takes_nothing_huge() -> None:
    cache = ObjectCache(100)
    for name in "abcd":
        cache.put(name, bytes(25))
    cache.get("a")
    cache.put("e", bytes(25))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    cache.put("huge", bytes(26))
    assert cache.get("huge") is None


def test_where_issuers_lie() -> None:
    assert issuer_path(b"\xab" * 32) == "issuer/" + "ab" * 32
