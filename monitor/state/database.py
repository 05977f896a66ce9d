"""The file of the state: made once, by `init`; opened only if it is whole, ours, and of a version that we know.

In scope: making, checking and upgrading the file, the lock that one daemon holds, and transactions in a thread of their
own. Out of scope: what the tables mean. WAL with synchronous=FULL: a transaction that returned survives a power cut.

A state that is lost, empty, damaged or newer is never replaced by a fresh one: whoever begins again at the newest entry
never sees those between. So each of these is a StoreError whose reason begins with "state-".
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ctlog.errors import StoreError, UsageError
from monitor.state.schema import APPLICATION_ID, SCHEMA, UPGRADES, VERSION

T = TypeVar("T")

FILE_NAME = "state.sqlite"
LOCK_NAME = "lock"
IDENTITY = "identity"
"""Under this name the table `meta` has what tells this state from every other one."""
RESTORE = "restore it from a copy; without one, move it away and begin anew by `ctlog-monitor init DIR --anew`"
PATIENCE_MS = 90_000
"""So long a command waits for a daemon that writes."""


def make_state(folder: Path, now_ms: int) -> None:
    """Make an empty state in a folder, durably. Raises UsageError where there is one already. For `init` alone."""
    path = folder / FILE_NAME
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} exists: a state is made only once")
    unfinished = path.with_name(FILE_NAME + ".new")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite would ask the umask
        connection = _connect(unfinished, "rwc")
        connection.executescript(f"BEGIN; {SCHEMA}; COMMIT;")
        connection.execute("INSERT INTO meta VALUES ('made_ms', ?)", (now_ms,))
        connection.execute("INSERT INTO meta VALUES (?, ?)", (IDENTITY, secrets.token_hex(16)))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.close()  # SQLite has written and synced everything into the one file by then
        os.link(unfinished, path)
        unfinished.unlink()
        _sync_folder(folder)
    except FileExistsError:
        raise UsageError(f"{path} exists: a state is made only once") from None
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: the state cannot be made: {error}", reason="state-unmade") from error


class Database:
    """The connection, and the one thread that uses it. Use `open_database`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int | None) -> None:
        self.path = path
        self.connection = connection
        self._lock = lock
        found = path.stat()
        self._place = found.st_dev, found.st_ino
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do this in the thread, outside any transaction. Raises StoreError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do this in the thread as one transaction: all of it is stored, or nothing. Raises StoreError.

        Whoever is cancelled while he waits does not know which; so does whoever crashes.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, self._whole(work))

    def check_place(self) -> None:
        """Raises StoreError (`state-gone`) where another file, or none, stands where this one was opened: what is
        written would be lost with the process."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            found = None
        except OSError:
            return  # that is not known
        if found is None or (found.st_dev, found.st_ino) != self._place:
            sentence = f"{self.path} was removed or replaced while the monitor ran: restore it from a copy, then start"
            raise StoreError(sentence, reason="state-gone")

    async def close(self) -> None:
        """Close the file and let go of the lock."""
        try:
            await self.read(lambda connection: connection.close())
        finally:
            self._thread.shutdown()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self.connection)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: {_said(error)}", reason=_reason(error)) from error

    def _whole(self, work: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
        def run(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

        return run


def open_database(folder: Path, *, exclusive: bool) -> Database:
    """Open the state in `folder`. `exclusive`: as the daemon, of which there can be only one.

    Raises StoreError: state-missing, state-empty, state-foreign, state-newer, state-old, state-damaged, state-locked,
    state-closed (to this user), state-busy, state-io, disk-full.
    """
    path = folder / FILE_NAME
    if not path.exists():
        sentence = f"{path} is missing. It is never made anew by itself: restore a copy of it, or begin with an empty "
        sentence += "one by `ctlog-monitor init DIR --anew`"
        raise StoreError(sentence, reason="state-missing")
    lock = _take_lock(folder) if exclusive else None
    try:
        connection = _open(path)
        _upgrade(path, connection, is_alone=exclusive)
        if not exclusive:  # a daemon that enrols a million items writes for half a minute
            connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        return Database(path, connection, lock)
    except BaseException:
        if lock is not None:
            os.close(lock)
        raise


def _open(path: Path) -> sqlite3.Connection:
    if path.stat().st_size == 0:
        raise StoreError(f"{path} is empty: restore it from a copy", reason="state-empty")
    try:
        connection = _connect(path, "rw")
        (found,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        sentence = f"{path} cannot be opened: {_said(error)}{_next(error)}"
        raise StoreError(sentence, reason=_reason(error, "state-damaged")) from error
    try:
        _check(path, connection, found, version)
    except sqlite3.Error as error:
        connection.close()
        reason = _reason(error, "state-damaged")
        what = "is damaged" if reason == "state-damaged" else "cannot be opened"
        raise StoreError(f"{path} {what}: {_said(error)}{_next(error)}", reason=reason) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check(path: Path, connection: sqlite3.Connection, found: int, version: int) -> None:
    if found != APPLICATION_ID:
        raise StoreError(f"{path} is no monitor's state", reason="state-foreign")
    if version > VERSION:
        sentence = f"{path} is of version {version}, and this program knows {VERSION}: it was used by a later program"
        raise StoreError(sentence, reason="state-newer")
    faults = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if faults != ["ok"]:
        found_faults = " ".join("; ".join(faults).split())[:300]
        raise StoreError(f"{path} is damaged: {found_faults}; {RESTORE}", reason="state-damaged")
    if version < VERSION and version not in UPGRADES:
        raise StoreError(f"{path}: no way leads from version {version}", reason="state-foreign")


def _upgrade(path: Path, connection: sqlite3.Connection, *, is_alone: bool) -> None:
    """Bring the tables to this version, one step after another, each whole or not at all. Never under the feet of a
    monitor that runs: it may be an earlier program. Raises StoreError."""
    lock: int | None = None
    try:
        if _version(connection) == VERSION:
            return
        lock = None if is_alone else _take_lock(path.parent)
        while (version := _version(connection)) < VERSION:
            connection.execute("BEGIN IMMEDIATE")
            for statement in UPGRADES[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.close()
        sentence = f"{path} cannot be brought to version {VERSION}, and stays as it was: {_said(error)}"
        raise StoreError(sentence, reason=_reason(error, "state-old")) from error
    except StoreError:
        connection.close()
        sentence = f"{path} is of an earlier version, and a monitor runs on it: restart that first"
        raise StoreError(sentence, reason="state-old") from None
    finally:
        if lock is not None:
            os.close(lock)


def _version(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(address, uri=True, timeout=15, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS; elsewhere without effect
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _take_lock(folder: Path) -> int:
    """A lock that the kernel lets go of when the process ends, however it ends."""
    handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        sentence = f"another monitor runs on {folder}: two on one state would each tell half"
        raise StoreError(sentence, reason="state-locked") from None
    return handle


# What is no damage, when a state is opened.
_OPENING = {
    sqlite3.SQLITE_CANTOPEN: "state-closed", sqlite3.SQLITE_READONLY: "state-closed",
    sqlite3.SQLITE_PERM: "state-closed", sqlite3.SQLITE_BUSY: "state-busy", sqlite3.SQLITE_LOCKED: "state-busy",
    sqlite3.SQLITE_IOERR: "state-io",
}  # fmt: skip
_SHORTENED = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)
_ADVICE = {
    "state-damaged": f"; {RESTORE}",
    "state-closed": "; it belongs to the user as whom the monitor runs: call this as that user",
    "state-io": "; look at the disk, which may be full: what is in the state is kept",
    "disk-full": "; make room on the disk: what is in the state is kept",
}


def _reason(error: Exception, otherwise: str = "store") -> str:
    if isinstance(error, sqlite3.DatabaseError):
        whole = getattr(error, "sqlite_errorcode", 0)
        code = whole & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return "disk-full"
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or whole in _SHORTENED:
            return "state-damaged"
        if otherwise.startswith("state-") and code in _OPENING:
            return _OPENING[code]
    return otherwise


def _said(error: Exception) -> str:
    """What SQLite says in several lines, in one."""
    return " ".join(str(error).split())


def _next(error: Exception) -> str:
    return _ADVICE.get(_reason(error, "state-damaged"), "")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
