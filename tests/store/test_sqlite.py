"""The head store's file: made once, durable, never trusted when it is not what it should be."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ctlog.errors import ConfigError, FatalError, StoreError
from ctlog.store.sqlite import SqliteHeadStore, make_head_store

LOG_ID = b"L" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "heads with a % and a ?.sqlite"
    make_head_store(made)
    return made


async def test_opening_never_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(P10\)") as refused:
        SqliteHeadStore(tmp_path / "missing.sqlite")
    assert refused.value.reason == "head-store-missing"
    assert list(tmp_path.iterdir()) == []


def test_making_never_replaces_one(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"\(P10\)"):
        make_head_store(path)
    assert path.read_bytes() == before
    with pytest.raises(ConfigError):
        make_head_store(tmp_path / "no such folder" / "heads.sqlite")
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_making_is_finished_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "heads.sqlite.new").write_bytes(b"half of a database")
    make_head_store(tmp_path / "heads.sqlite")
    assert [child.name for child in tmp_path.iterdir()] == ["heads.sqlite"]


async def test_it_is_there_after_a_restart(path: Path) -> None:
    store = SqliteHeadStore(path)
    await store.create(LOG_ID, "log.example", b"S" * 32, b"head 0")
    await store.replace(LOG_ID, b"head 0", b"head 1", final=True)
    await store.close()
    again = SqliteHeadStore(path)
    assert await again.fetch(LOG_ID) == ("log.example", b"head 1", True)
    await again.close()


async def test_a_swap_costs_one_sync(path: Path) -> None:
    store = SqliteHeadStore(path)
    mode, synchronous = store._database.connection.execute(
        "SELECT * FROM pragma_journal_mode, pragma_synchronous"
    ).fetchone()
    assert (mode, synchronous) == ("wal", 2)  # FULL: the log is synced at each commit, and nothing else is
    await store.close()


async def test_opening_makes_durable_what_it_finds(path: Path) -> None:
    """A process that died may have left the newest head in the write-ahead log alone, not synced."""
    dead = SqliteHeadStore(path)
    await dead.create(LOG_ID, "log.example", b"S" * 32, b"head 0")
    await dead.replace(LOG_ID, b"head 0", b"head 1")
    wal = path.with_name(path.name + "-wal")
    assert wal.stat().st_size > 0
    assert b"head 1" not in path.read_bytes()
    store = SqliteHeadStore(path)
    assert wal.stat().st_size == 0
    assert b"head 1" in path.read_bytes()
    await store.close()
    await dead.close()


async def test_two_processes_share_it_and_only_one_moves_the_head(path: Path) -> None:
    one, two = SqliteHeadStore(path), SqliteHeadStore(path)
    await one.create(LOG_ID, "log.example", b"S" * 32, b"head 0")
    assert (await two.fetch(LOG_ID)) is not None
    await two.replace(LOG_ID, b"head 0", b"head 1")
    with pytest.raises(FatalError, match=r"\(P1\)"):
        await one.replace(LOG_ID, b"head 0", b"head 1b")
    await one.close()
    await two.close()


async def test_foreign_and_damaged_files_are_refused(path: Path, tmp_path: Path) -> None:
    store = SqliteHeadStore(path)
    await store.create(LOG_ID, "log.example", b"S" * 32, b"head 0")
    await store.close()
    foreign = tmp_path / "foreign.sqlite"
    sqlite3.connect(foreign).execute("CREATE TABLE heads (x)").connection.close()
    with pytest.raises(ConfigError, match="another kind of file"):
        SqliteHeadStore(foreign)
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 2")
    newer.close()
    with pytest.raises(ConfigError, match="version 2"):
        SqliteHeadStore(path)
    for content in (b"", b"not a database at all" * 100, path.read_bytes()[:4097]):
        torn = tmp_path / "torn.sqlite"
        torn.write_bytes(content)
        with pytest.raises((ConfigError, StoreError)):
            await SqliteHeadStore(torn).fetch(LOG_ID)
        torn.unlink()


async def test_what_goes_wrong_inside_is_a_store_error(path: Path) -> None:
    store = SqliteHeadStore(path)
    await store.create(LOG_ID, "log.example", b"S" * 32, b"head 0")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    store._database.connection.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreError, match="locked"):
        await store.replace(LOG_ID, b"head 0", b"head 1")
    blocker.execute("ROLLBACK")
    blocker.close()
    await store.close()
