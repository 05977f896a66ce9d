"""The look-ups: slices on disk and in memory give the same answers, a crash loses nothing, rot is noticed."""

from __future__ import annotations

import contextlib
import hashlib
import random
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import ConfigError, StoreError
from ctlog.store import Candidate, LookupRow, lookups
from ctlog.store.lookups import SqliteLookupStore

LOG_ID = b"L" * 32


def row(index: int, timestamp_ms: int = 1000) -> LookupRow:
    return LookupRow(timestamp_ms, *(hashlib.sha256(b"%d %d" % (kind, index)).digest() for kind in range(3)))


def rows(lo: int, hi: int) -> list[LookupRow]:
    return [row(index, 1000 + index // 7) for index in range(lo, hi)]


async def check_all(store: SqliteLookupStore, wanted: Sequence[LookupRow]) -> None:
    found = await store.by_entry_keys([one.entry_key for one in wanted])
    assert found == [[Candidate(index, one.timestamp_ms)] for index, one in enumerate(wanted)]
    for index in random.Random(1).sample(range(len(wanted)), min(len(wanted), 20)):
        place = [Candidate(index, wanted[index].timestamp_ms)]
        assert await store.by_leaf_hash(wanted[index].leaf_hash) == place
        assert await store.by_certificate_hash(wanted[index].certificate_hash) == place


def crash(store: SqliteLookupStore, path: Path, to: Path) -> Path:
    """The files as they are now, as a process that is killed leaves them."""
    for name in (path.name, path.name + "-wal"):
        if path.with_name(name).exists():
            shutil.copy(path.with_name(name), to / name)
    return to / path.name


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few entries wait in memory, so that slices are written all the time."""
    monkeypatch.setattr(lookups, "_WAITING", 300)


@pytest.mark.usefixtures("small")
async def test_memory_and_disk_answer_alike_and_the_size_on_disk_follows(tmp_path: Path) -> None:
    store = SqliteLookupStore(tmp_path / "l.sqlite", LOG_ID)
    wanted = rows(0, 2000)
    for lo in range(0, 2000, 40):
        await store.add(lo, wanted[lo : lo + 40])
    await check_all(store, wanted)
    (tmp_path / "dead").mkdir()
    dead = SqliteLookupStore(crash(store, tmp_path / "l.sqlite", tmp_path / "dead"), LOG_ID)
    covered = await dead.size()
    assert 2000 - 3 * 300 <= covered < 2000
    await dead.add(covered, wanted[covered:])
    await check_all(dead, wanted)
    await dead.close()
    await store.close()
    closed = SqliteLookupStore(tmp_path / "l.sqlite", LOG_ID)
    assert await closed.size() == 2000
    await check_all(closed, wanted)
    await closed.close()


@pytest.mark.usefixtures("small")
async def test_settling_covers_everything(tmp_path: Path) -> None:
    store = SqliteLookupStore(tmp_path / "l.sqlite", LOG_ID)
    wanted = rows(0, 700)
    await store.add(0, wanted[:650])
    calls = 1
    while await store.settle():
        calls += 1
    assert 1 < calls <= 16
    assert not await store.settle()
    await store.add(650, wanted[650:])
    (tmp_path / "dead").mkdir()
    dead = SqliteLookupStore(crash(store, tmp_path / "l.sqlite", tmp_path / "dead"), LOG_ID)
    assert await dead.size() == 650
    await dead.add(650, wanted[650:])
    await check_all(dead, wanted)
    await dead.close()
    await store.close()


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from(["add", "add", "add", "crash", "settle", "fail"]), max_size=25))
async def test_whatever_happens_no_covered_row_is_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("lookups")
    path = folder / "l.sqlite"
    wanted = rows(0, 25 * 90)
    head = 0
    patch = pytest.MonkeyPatch()
    patch.setattr(lookups, "_WAITING", 64)
    store = SqliteLookupStore(path, LOG_ID)
    try:
        for number, step in enumerate(steps):
            if step == "settle":
                await store.settle()
            elif step == "crash":
                (folder / str(number)).mkdir()
                path = crash(store, path, folder / str(number))
                await store.close()
                store = SqliteLookupStore(path, LOG_ID)
                await store.add(await store.size(), wanted[await store.size() : head])
            else:
                if step == "fail":
                    blocker = sqlite3.connect(path, isolation_level=None)
                    blocker.execute("BEGIN IMMEDIATE")
                    store._connection.execute("PRAGMA busy_timeout = 0")
                    with contextlib.suppress(StoreError):
                        await store.add(head, wanted[head : head + 90])
                    blocker.execute("ROLLBACK")
                    blocker.close()
                await store.add(head, wanted[head : head + 90])
                head += 90
            assert await store.size() == head
        await check_all(store, wanted[:head])
    finally:
        patch.undo()
        await store.close()


async def test_equal_prefixes_give_several_candidates(tmp_path: Path) -> None:
    store = SqliteLookupStore(tmp_path / "l.sqlite", LOG_ID)
    same = b"12345678"
    twins = [row(index)._replace(entry_key=same + bytes([index]) * 24) for index in range(4)]
    await store.add(0, twins[:1])
    while await store.settle():
        pass
    await store.add(1, twins[1:])
    everything = [Candidate(index, 1000) for index in range(4)]
    assert await store.by_entry_keys([twins[2].entry_key, twins[0].entry_key]) == [everything, everything]
    while await store.settle():
        pass
    assert await store.by_entry_keys([twins[3].entry_key]) == [everything]
    await store.close()


async def test_another_log_s_file_and_another_kind_are_refused(tmp_path: Path) -> None:
    await SqliteLookupStore(tmp_path / "l.sqlite", LOG_ID).close()
    with pytest.raises(ConfigError, match="another log"):
        SqliteLookupStore(tmp_path / "l.sqlite", b"M" * 32)
    (tmp_path / "text").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError) as refused:
        SqliteLookupStore(tmp_path / "text", LOG_ID)
    assert refused.value.reason == "lookup-damaged"


async def test_a_flipped_bit_is_noticed_or_changes_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    store = SqliteLookupStore(path, LOG_ID)
    wanted = rows(0, 600)
    await store.add(0, wanted)
    await store.close()
    good = path.read_bytes()
    dice = random.Random(7)
    noticed = 0
    for _ in range(250):
        bad = bytearray(good)
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        path.write_bytes(bad)
        for leftover in ("-wal", "-shm"):
            path.with_name(path.name + leftover).unlink(missing_ok=True)
        try:
            store = SqliteLookupStore(path, LOG_ID)
        except (ConfigError, StoreError):
            noticed += 1
            continue
        try:
            if await store.size() == len(wanted):
                await check_all(store, wanted)
        except StoreError:
            noticed += 1
        finally:
            await store.close()
    assert noticed > 100
