"""The promises of `ctlog.store`, one suite for every ObjectStore and for every HeadStore and LookupStore."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ctlog.errors import ConfigError, FatalError, UsageError
from ctlog.store import Candidate, Collectable, HeadStore, LookupRow, LookupStore, ObjectStore, StoredHead
from ctlog.store.filesystem import FilesystemObjectStore
from ctlog.store.lookups import SqliteLookupStore
from ctlog.store.sqlite import SqliteHeadStore, make_head_store
from tests.faults import MemoryHeadStore, MemoryLookupStore, MemoryObjectStore

COLLECTABLE = Collectable(prefixes=("staging/",), partial_tiles=True)
LOG_ID = b"L" * 32


@pytest.fixture(params=["filesystem", "memory"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    store: ObjectStore = MemoryObjectStore(COLLECTABLE)
    if request.param == "filesystem":
        store = FilesystemObjectStore(tmp_path, COLLECTABLE)
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "memory"])
async def heads(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HeadStore]:
    store: HeadStore = MemoryHeadStore()
    if request.param == "sqlite":
        make_head_store(tmp_path / "heads.sqlite")
        store = SqliteHeadStore(tmp_path / "heads.sqlite")
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "memory"])
async def lookup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LookupStore]:
    store: LookupStore = MemoryLookupStore()
    if request.param == "sqlite":
        store = SqliteLookupStore(tmp_path / "lookup.sqlite", LOG_ID)
    yield store
    await store.close()


def row(index: int, timestamp_ms: int = 1000) -> LookupRow:
    return LookupRow(timestamp_ms, *(hashlib.sha256(b"%d %d" % (kind, index)).digest() for kind in range(3)))


# Objects ------------------------------------------------------------------------------------------------------------


async def test_what_is_put_is_got(objects: ObjectStore) -> None:
    await objects.put_many([("tile/0/000.p/3", b"abc"), ("tile/data/x001/000", b"d" * 100_000)])
    await objects.put_many([("checkpoint", b"one")], immutable=False)
    await objects.put_many([("checkpoint", b"two")], immutable=False)
    assert await objects.get("tile/0/000.p/3") == b"abc"
    assert await objects.get_many(["checkpoint", "tile/0/001", "tile/data/x001/000"]) == [b"two", None, b"d" * 100_000]
    assert await objects.get("tile/0") is None
    assert await objects.get("checkpoint/below/a/file") is None


async def test_an_immutable_key_refuses_other_bytes_and_takes_the_same(objects: ObjectStore) -> None:
    await objects.put_many([("issuer/aa", b"first")])
    await objects.put_many([("issuer/aa", b"first"), ("issuer/bb", b"new")])
    with pytest.raises(FatalError, match=r"\(P5\)"):
        await objects.put_many([("issuer/aa", b"other")])
    assert await objects.get_many(["issuer/aa", "issuer/bb"]) == [b"first", b"new"]


async def test_what_is_prepared_is_seen_by_nobody_until_it_is_put(objects: ObjectStore) -> None:
    whole = b"-abc" + b"d" * 100_000
    pieces = [("tile/0/000.p/3", memoryview(whole)[1:4]), ("tile/data/x001/000", memoryview(whole)[4:])]
    prepared = await objects.prepare(pieces)
    assert prepared.keys == ("tile/0/000.p/3", "tile/data/x001/000")
    assert await objects.list_keys("") == []
    dropped = await objects.prepare(pieces)
    await objects.put_prepared(prepared)
    assert await objects.get_many(prepared.keys) == [b"abc", b"d" * 100_000]
    await objects.drop_prepared(dropped)
    assert await objects.list_keys("") == list(prepared.keys)


async def test_what_was_prepared_keeps_to_the_rule_of_immutable_keys(objects: ObjectStore) -> None:
    await objects.put_prepared(await objects.prepare([("issuer/aa", b"first")]))
    await objects.put_prepared(await objects.prepare([("issuer/aa", b"first")]))
    with pytest.raises(FatalError, match=r"\(P5\)"):
        await objects.put_prepared(await objects.prepare([("issuer/aa", b"other")]))
    assert await objects.get("issuer/aa") == b"first"


async def test_ranges_end_where_the_object_ends(objects: ObjectStore) -> None:
    await objects.put_many([("tile/0/000", bytes(range(256)))])
    assert await objects.get_range("tile/0/000", 3, 6) == b"\x03\x04\x05"
    assert await objects.get_range("tile/0/000", 250, 300) == bytes(range(250, 256))
    assert await objects.get_range("tile/0/000", 300, 400) == b""
    assert await objects.get_range("tile/0/000", 7, 7) == b""
    assert await objects.get_range("tile/0/001", 0, 1) is None
    with pytest.raises(UsageError):
        await objects.get_range("tile/0/000", 6, 3)


async def test_listing_is_by_folder_and_sorted(objects: ObjectStore) -> None:
    keys = ["checkpoint", "tile/0/000.p/1", "tile/0/000.p/10", "tile/0/000", "tile/1/000.p/1"]
    await objects.put_many([(key, b"x") for key in keys])
    assert await objects.list_keys("") == sorted(keys)
    assert await objects.list_keys("tile/0/") == ["tile/0/000", "tile/0/000.p/1", "tile/0/000.p/10"]
    assert await objects.list_keys("tile/9/") == []
    with pytest.raises(UsageError):
        await objects.list_keys("tile/0")


async def test_only_what_was_declared_collectable_is_deleted(objects: ObjectStore) -> None:
    gone, stays = ["tile/0/000.p/1", "staging/9-ab"], ["tile/0/000", "issuer/aa", "checkpoint", "stagings/1"]
    await objects.put_many([(key, b"x") for key in gone + stays])
    await objects.delete_many([*gone, "tile/0/000.p/2"])
    for key in stays:
        with pytest.raises(FatalError, match=r"\(P5\)"):
            await objects.delete_many([key])
    assert await objects.list_keys("") == sorted(stays)


async def test_a_stream_becomes_one_object(objects: ObjectStore) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two ", b"three"):
            yield part

    await objects.put_stream("runs/1", chunks())
    assert await objects.get("runs/1") == b"one two three"


async def test_time_and_room(objects: ObjectStore) -> None:
    await objects.put_many([("issuer/aa", b"x")])
    assert await objects.modified_ms("issuer/bb") is None
    assert isinstance(await objects.modified_ms("issuer/aa"), int)
    room = await objects.space()
    assert room is not None
    assert 0 < room.free_bytes <= room.total_bytes


# Heads --------------------------------------------------------------------------------------------------------------


async def test_a_head_moves_only_from_the_exact_bytes(heads: HeadStore) -> None:
    assert await heads.fetch(LOG_ID) is None
    await heads.create(LOG_ID, "log.example", b"S" * 32, b"head 0")
    await heads.replace(LOG_ID, b"head 0", b"head 1")
    assert await heads.fetch(LOG_ID) == StoredHead("log.example", b"head 1", False)
    for old in (b"head 0", b"head 2", b"", b"head 1 "):
        with pytest.raises(FatalError, match=r"\(P1\)"):
            await heads.replace(LOG_ID, old, b"head 2")
    with pytest.raises(FatalError):
        await heads.replace(b"M" * 32, b"head 1", b"head 2")
    assert await heads.fetch(LOG_ID) == StoredHead("log.example", b"head 1", False)


async def test_a_log_and_a_seed_are_created_once(heads: HeadStore) -> None:
    await heads.create(LOG_ID, "log.example", b"S" * 32, b"head")
    for log_id, seed_id in ((LOG_ID, b"T" * 32), (b"M" * 32, b"S" * 32)):
        with pytest.raises(ConfigError):
            await heads.create(log_id, "other.example", seed_id, b"head")
    assert await heads.fetch(b"M" * 32) is None
    await heads.create(b"M" * 32, "other.example", b"T" * 32, b"head")
    assert await heads.fetch(LOG_ID) == StoredHead("log.example", b"head", False)


async def test_nothing_replaces_the_final_head(heads: HeadStore) -> None:
    await heads.create(LOG_ID, "log.example", b"S" * 32, b"head")
    await heads.replace(LOG_ID, b"head", b"final", final=True)
    for final in (False, True):
        with pytest.raises(FatalError, match=r"\(P1\)"):
            await heads.replace(LOG_ID, b"final", b"another", final=final)
    assert await heads.fetch(LOG_ID) == StoredHead("log.example", b"final", True)


# Look-ups -----------------------------------------------------------------------------------------------------------


async def test_what_was_added_is_among_the_candidates(lookup: LookupStore) -> None:
    rows = [row(index, 1000 + index // 3) for index in range(10)]
    await lookup.add(0, rows[:4])
    await lookup.add(4, rows[4:])
    assert await lookup.size() == 10
    assert await lookup.by_entry_keys([]) == []
    found = await lookup.by_entry_keys([one.entry_key for one in rows] + [b"?" * 32])
    for index, one in enumerate(rows):
        place = Candidate(index, one.timestamp_ms)
        assert place in found[index]
        assert place in await lookup.by_leaf_hash(one.leaf_hash)
        assert place in await lookup.by_certificate_hash(one.certificate_hash)
    assert all(candidates == sorted(candidates) for candidates in found)


async def test_rows_may_be_added_again_but_not_with_a_gap(lookup: LookupStore) -> None:
    rows = [row(index) for index in range(10)]
    await lookup.add(0, rows[:6])
    await lookup.add(2, rows[2:8])
    await lookup.add(0, rows[:3])
    with pytest.raises(UsageError):
        await lookup.add(9, rows[9:])
    assert await lookup.size() == 8
    assert Candidate(7, 1000) in (await lookup.by_entry_keys([rows[7].entry_key]))[0]


async def test_two_entries_of_one_certificate_are_both_candidates(lookup: LookupStore) -> None:
    first, second = row(0), row(1, 2000)._replace(certificate_hash=row(0).certificate_hash)
    await lookup.add(0, [first])
    await lookup.add(1, [second])
    await lookup.settle()
    assert await lookup.by_certificate_hash(first.certificate_hash) == [Candidate(0, 1000), Candidate(1, 2000)]
