"""The SCTs that a log gave, kept in one SQLite file, so that an interrupted submission goes on where it was.

In scope: one SCT for each log and certificate, written in groups. An SCT that was lost with the last group costs one
more submission, whose answer is the same SCT. Out of scope: whether an SCT is good; whoever reads one here asks again.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from ctlog.errors import UsageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS receipts (
    log_id BLOB NOT NULL, certificate BLOB NOT NULL, sct BLOB NOT NULL, PRIMARY KEY (log_id, certificate)
) WITHOUT ROWID
"""
_GROUP = 500  # receipts in one transaction ...
_GROUP_S = 1.0  # ... or as many as came in this time


class Receipts:
    """SCTs (serialised, RFC 6962 section 3.3) by log id and SHA-256 of the certificate as it was submitted.

    Raises UsageError for a file that is something else, OSError where it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        """`path` is made when it does not exist; None keeps nothing beyond the process."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._waiting = 0
        self._since = time.monotonic()
        try:
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(_SCHEMA)
            self._db.execute("SELECT log_id, certificate, sct FROM receipts LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{path} cannot hold receipts: {error}") from None

    def get(self, log_id: bytes, fingerprint: bytes) -> bytes | None:
        """The SCT that this log gave for this certificate, or None."""
        query = "SELECT sct FROM receipts WHERE log_id = ? AND certificate = ?"
        row = self._db.execute(query, (log_id, fingerprint)).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, log_id: bytes, fingerprint: bytes, sct: bytes) -> None:
        """Keep an SCT; it is on the disk when `flush` returned."""
        if not self._waiting:
            self._db.execute("BEGIN")
        self._db.execute("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?)", (log_id, fingerprint, sct))
        self._waiting += 1
        if self._waiting >= _GROUP or time.monotonic() - self._since > _GROUP_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._db.execute("COMMIT")
        self._waiting = 0
        self._since = time.monotonic()

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self.flush()
        self._db.close()
