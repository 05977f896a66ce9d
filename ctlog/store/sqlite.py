"""A HeadStore on an SQLite file, and what it shares with the LookupStore of `lookups.py`.

In scope: the promises of `ctlog.store.HeadStore`. Out of scope: what a head says.

WAL with synchronous=FULL: a swap that returned survives a loss of power, for one fsync (a rollback journal takes four).
The comparison stands in the UPDATE itself and not in a transaction around it, so that nobody who tidies up transactions
can lose it. The file is made by `make_head_store` and by nothing else (P10).

A swap whose fsync failed may still be in the page cache and look durable to the next process. To write the same row
again would not help: SQLite leaves out what does not change, and whatever follows a torn frame of the log is lost with
it. So opening copies the log into the database file and syncs that, before anything in it is believed.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ctlog.errors import ConfigError, FatalError, StoreError
from ctlog.store import Space, StoredHead
from ctlog.store.filesystem import space_of

_T = TypeVar("_T")

_HEADS_ID = 0x63746C68  # PRAGMA application_id, "ctlh"
_VERSION = 1

_HEADS_SCHEMA = """
CREATE TABLE heads (
    log_id BLOB PRIMARY KEY,
    origin TEXT NOT NULL,
    seed_id BLOB NOT NULL UNIQUE,
    head BLOB NOT NULL,
    frozen INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""

_REPLACE = """
UPDATE heads SET head = :new, frozen = :final
WHERE log_id = :log_id AND head = :old AND frozen = 0
"""


class Database:
    """A connection and the one thread that uses it. What fails in `run` becomes a StoreError."""

    def __init__(self, path: Path, mode: str, synchronous: str) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sqlite-{path.name}")
        address = f"{path.absolute().as_uri()}?mode={mode}"
        self.connection = sqlite3.connect(
            address, uri=True, timeout=5, isolation_level=None, check_same_thread=False
        )
        with self.closed_on_error():
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute(f"PRAGMA synchronous = {synchronous}")
            self.connection.execute("PRAGMA fullfsync = ON")  # macOS; elsewhere without effect

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Whoever opens a database and finds that it is not to be used leaves nothing open."""
        try:
            yield
        except BaseException:
            self.connection.close()
            raise

    def check(self, application_id: int) -> None:
        """Is it one of ours, of this version? ConfigError if not."""
        found = self.connection.execute("PRAGMA application_id").fetchone()[0]
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if found != application_id:
            raise ConfigError(f"{self.path}: this is another kind of file")
        if version != _VERSION:
            raise ConfigError(f"{self.path}: its format is version {version}, this program knows {_VERSION}")

    def make(self, application_id: int, statements: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
        """Make it one of ours: all or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        for statement, values in statements:
            self.connection.execute(statement, values)
        self.connection.execute(f"PRAGMA application_id = {application_id}")
        self.connection.execute(f"PRAGMA user_version = {_VERSION}")
        self.connection.execute("COMMIT")

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do this in the thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: {error}") from error

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await self.run(self.connection.close)
        await asyncio.to_thread(self._thread.shutdown)


def make_head_store(path: Path) -> None:
    """Make an empty head store, durably. Raises ConfigError if there is a file already. For `ctlog create` alone."""
    unfinished = path.with_name(path.name + ".new")
    try:
        unfinished.unlink(missing_ok=True)
        database = Database(unfinished, "rwc", "FULL")
        database.make(_HEADS_ID, [(_HEADS_SCHEMA, ())])
        database.connection.close()  # SQLite has written and synced everything into the one file by then
        os.link(unfinished, path)
        unfinished.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        unfinished.unlink(missing_ok=True)
        raise ConfigError(f"{path} exists; a head store is made only once (P10)") from None
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(f"{path}: the head store cannot be made: {error}") from error


class SqliteHeadStore:
    """Heads in one table, one row per log."""

    def __init__(self, path: Path) -> None:
        """Open what `make_head_store` made. Raises ConfigError when nothing is there (P10) or something else is."""
        if not path.exists():
            sentence = f"{path}: the head store is missing. It is never made anew: find the one that belongs here (P10)"
            raise ConfigError(sentence, reason="head-store-missing")
        try:
            self._database = Database(path, "rw", "FULL")
            with self._database.closed_on_error():
                self._database.check(_HEADS_ID)
                busy, _, _ = self._database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    raise ConfigError(f"{path}: the head store is busy for too long", reason="head-store-busy")
        except sqlite3.Error as error:
            raise ConfigError(f"{path}: the head store cannot be read: {error}") from error

    async def fetch(self, log_id: bytes) -> StoredHead | None:
        """See HeadStore."""
        return await self._database.run(lambda: self._fetch(log_id))

    async def create(self, log_id: bytes, origin: str, seed_id: bytes, head: bytes) -> None:
        """See HeadStore."""
        await self._database.run(lambda: self._create(log_id, origin, seed_id, head))

    async def replace(self, log_id: bytes, old: bytes, new: bytes, *, final: bool = False) -> None:
        """See HeadStore."""
        values = {"log_id": log_id, "old": old, "new": new, "final": int(final)}
        changed = await self._database.run(lambda: self._database.connection.execute(_REPLACE, values).rowcount)
        if changed != 1:
            sentence = "the head store does not hold the head that was to be replaced: another writer, or an ended log"
            raise FatalError(sentence, promise="P1", reason="head-moved")

    async def space(self) -> Space | None:
        """See HeadStore."""
        return await self._database.run(lambda: space_of(self._database.path.parent))

    async def close(self) -> None:
        """See HeadStore."""
        await self._database.close()

    def _fetch(self, log_id: bytes) -> StoredHead | None:
        query = "SELECT origin, head, frozen FROM heads WHERE log_id = ?"
        row = self._database.connection.execute(query, (log_id,)).fetchone()
        return None if row is None else StoredHead(row[0], row[1], bool(row[2]))

    def _create(self, log_id: bytes, origin: str, seed_id: bytes, head: bytes) -> None:
        connection = self._database.connection
        try:
            values = (log_id, origin, seed_id, head)
            connection.execute("INSERT INTO heads (log_id, origin, seed_id, head) VALUES (?, ?, ?, ?)", values)
        except sqlite3.IntegrityError:
            query = "SELECT origin FROM heads WHERE log_id = ? OR seed_id = ?"
            known = connection.execute(query, (log_id, seed_id)).fetchone()
            sentence = f"{self._database.path}: this seed is that of the log {known[0]} already; each log has its own"
            raise ConfigError(sentence, reason="log-exists") from None
