"""What a run of bulk issuance must not forget: one SQLite file that knows of each order how far it came.

In scope: the steps of an order, each durable when its call returns. *Begun*: the bytes that go to the logs, before
any log sees them; whoever begins the order again sends the same bytes, so that no second certificate comes of it.
*Finished*: the certificate and its SCTs, before anybody is given them; whoever asks again is given the same ones.
SCTs need no step between: a log gives the same one again for the same bytes. *Logged*, where a run submits finished
certificates too: enough logs have this one; without this step it is submitted again, and a log that had it gives the
same SCT. Out of scope: what is signed and sent (`ctlog.issuance.bulk`), and orders (`ctlog.issuance.orders`).

A journal is one CA's and one kind of certificate's, which it says itself. One of version 1, which knows nothing of the
third step, is brought up to date when it is opened. One process at a time uses it. It is as
precious as the certificates in it: with the journal lost, the same orders are new ones.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ctlog.errors import StoreError, UsageError

_APPLICATION_ID = 0x63746C6A  # PRAGMA application_id, "ctlj"
_VERSION = 2
_SCHEMA = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE begun (place INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, content BLOB NOT NULL, "
    "submitted BLOB NOT NULL)",
    "CREATE TABLE finished (place INTEGER PRIMARY KEY, certificate BLOB NOT NULL, scts BLOB NOT NULL)",
)
_LOGGED = "CREATE TABLE logged (place INTEGER PRIMARY KEY)"  # since version 2
_BEGIN = "INSERT INTO begun (key, content, submitted) VALUES (?, ?, ?)"
_FINISH = "INSERT INTO finished VALUES (?, ?, ?)"
_LOG = "INSERT OR IGNORE INTO logged VALUES (?)"
_FIND = (
    "SELECT begun.place, content, submitted, certificate, scts, logged.place IS NOT NULL "
    "FROM begun LEFT JOIN finished ON finished.place = begun.place LEFT JOIN logged ON logged.place = begun.place "
    "WHERE key = ?"
)


class Entry(NamedTuple):
    """An order that was begun. Where it was not finished, `certificate` and `scts` are b"".

    content: SHA-256 of what was ordered. submitted: DER, what the logs get. scts: a SignedCertificateTimestampList.
    is_logged: enough logs have the finished certificate itself.
    """

    place: int
    content: bytes
    submitted: bytes
    certificate: bytes = b""
    scts: bytes = b""
    is_logged: bool = False

    @property
    def is_finished(self) -> bool:
        return bool(self.certificate)


class Begun(NamedTuple):
    """An order that begins: `key` is what tells it from all others, 32 bytes."""

    key: bytes
    content: bytes
    submitted: bytes


class Finished(NamedTuple):
    """An order that ends well; `place` is its entry's."""

    place: int
    certificate: bytes
    scts: bytes


class Journal:
    """The file, made where it does not exist. Use it from one thread at a time. `about`: what all runs have in common.

    Raises UsageError "not-a-journal" for a file that is something else, "other-journal" for one that is about something
    else, "journal-in-use"; StoreError, where the disk does not do what it should.
    """

    def __init__(self, path: Path, about: Mapping[str, str]) -> None:
        self.path = path
        self._is_broken = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # From any thread: whoever has the journal sees to it that it is one at a time.
            self._db = sqlite3.connect(path, timeout=0.2, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, OSError) as error:
            raise UsageError(f"{path} cannot be a journal: {error}", reason="not-a-journal") from None
        try:
            self._open(about)
        except BaseException as error:
            self._db.close()
            if not isinstance(error, sqlite3.Error):
                raise
            in_use = error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if in_use:
                raise UsageError(f"{path} is in use by another run", reason="journal-in-use") from None
            raise UsageError(f"{path} cannot be a journal: {error}", reason="not-a-journal") from None

    def _open(self, about: Mapping[str, str]) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # until it is closed, or the process ends, however that be
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a commit that returned survives a loss of power
        db.execute("PRAGMA fullfsync = ON")  # macOS; elsewhere without effect
        found = db.execute("PRAGMA application_id").fetchone()[0]
        if not found and not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._make(about)
        elif found != _APPLICATION_ID or not self._is_up_to_date(db.execute("PRAGMA user_version").fetchone()[0]):
            raise UsageError(f"{self.path} is another kind of file", reason="not-a-journal")
        # What an fsync that failed left in the page cache looks durable: it is written again before it is believed.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        known = dict(db.execute("SELECT name, value FROM about"))
        for name, value in about.items():
            if known.get(name) != value:
                sentence = f"{self.path} is the journal of another {name}: {known.get(name)}, not {value}"
                raise UsageError(f"{sentence}; give this run one of its own", reason="other-journal")

    def _is_up_to_date(self, version: int) -> bool:
        """Make it so, where this program knows how."""
        if version == 1:
            for statement in ("BEGIN IMMEDIATE", _LOGGED, f"PRAGMA user_version = {_VERSION}", "COMMIT"):
                self._db.execute(statement)
        return version in (1, _VERSION)

    def _make(self, about: Mapping[str, str]) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        for statement in (*_SCHEMA, _LOGGED):
            db.execute(statement)
        db.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def find(self, key: bytes) -> Entry | None:
        """What is known of an order. Raises StoreError."""
        try:
            row = self._db.execute(_FIND, (key,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be read: {error}") from error
        return None if row is None else Entry(row[0], row[1], row[2], row[3] or b"", row[4] or b"", bool(row[5]))

    def write(
        self, begun: Sequence[Begun] = (), finished: Iterable[Finished] = (), logged: Iterable[int] = ()
    ) -> list[int]:
        """Write down what will be sent, what may be handed out and which places are logged; gives the places of the
        first. All or nothing.

        It is on the disk when this returns. Raises StoreError: then nothing of it may leave, and the journal is to be
        opened anew.
        """
        if self._is_broken:
            raise StoreError(f"{self.path} could not be written before, and has to be opened anew")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            places = [int(self._db.execute(_BEGIN, each).lastrowid or 0) for each in begun]
            self._db.executemany(_FINISH, finished)
            self._db.executemany(_LOG, ((place,) for place in logged))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._is_broken = True
            with suppress(sqlite3.Error):
                self._db.rollback()
            raise StoreError(f"{self.path} cannot be written: {error}") from error
        return places

    def counts(self) -> tuple[int, int]:
        """(orders begun, orders finished)."""
        query = "SELECT (SELECT count(*) FROM begun), (SELECT count(*) FROM finished)"
        begun, finished = self._db.execute(query).fetchone()
        return begun, finished

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
