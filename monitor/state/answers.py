"""What people told the monitor: items to watch, authorisations, events; and what it learned: baselines, snapshots.

In scope: storing and finding these. Out of scope: what they mean (`monitor.watchlist`, `monitor.rules`).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ctlog.errors import NotFoundError
from monitor.state.database import IDENTITY, Database
from monitor.state.rows import Authorisation, CertificateRow, EventRow, ItemRow, Snapshot

_PUT_ITEM = (
    "INSERT INTO items (id, spec, added_ms) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET spec = ?2, "
    "added_ms = CASE WHEN removed_ms IS NULL THEN added_ms ELSE ?3 END, removed_ms = NULL"
)
_CERTIFICATE = "issuer, serial, spki, log_id, log_index, not_after_ms, url"
_AUTHORISATION = "id, kind, value, item, by, note, created_ms, until_ms, is_refusal"


class Answers:
    """Answers, items and learned things."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Items ----------------------------------------------------------------------------------------------------------

    async def put_items(self, items: Sequence[tuple[str, bytes]], now_ms: int) -> None:
        """Watch these: (id, specification). One that is there keeps the time when it was added."""
        rows = [(item, spec, now_ms) for item, spec in items]
        await self._database.write(lambda connection: connection.executemany(_PUT_ITEM, rows))

    async def change_items(
        self, ids: Sequence[str], change: Callable[[dict[str, bytes]], Mapping[str, bytes | None]], now_ms: int
    ) -> None:
        """Store what `change` makes of these items, in one transaction with reading them; None: watch it no longer.

        `change` is given the specifications of those that are watched, by id, and may raise: then nothing is stored.
        """

        def work(connection: sqlite3.Connection) -> None:
            query = "SELECT id, spec FROM items WHERE removed_ms IS NULL AND id IN (SELECT value FROM json_each(?))"
            changed = change(dict(connection.execute(query, (json.dumps(list(ids)),)).fetchall()))
            rows = [(item, spec, now_ms) for item, spec in changed.items() if spec is not None]
            connection.executemany(_PUT_ITEM, rows)
            gone = [(now_ms, item) for item, spec in changed.items() if spec is None]
            connection.executemany("UPDATE items SET removed_ms = ? WHERE id = ? AND removed_ms IS NULL", gone)

        await self._database.write(work)

    async def remove_item(self, item: str, now_ms: int) -> None:
        """Watch it no longer. Raises NotFoundError."""

        def work(connection: sqlite3.Connection) -> None:
            query = "UPDATE items SET removed_ms = ? WHERE id = ? AND removed_ms IS NULL"
            if connection.execute(query, (now_ms, item)).rowcount != 1:
                raise NotFoundError(f"{item} is not among the items that were added by command")

        await self._database.write(work)

    async def items(self) -> list[ItemRow]:
        """Every item that is watched by command."""
        query = "SELECT id, spec, added_ms, removed_ms FROM items WHERE removed_ms IS NULL ORDER BY id"
        return await self._database.read(lambda connection: [ItemRow(*row) for row in connection.execute(query)])

    async def data_version(self) -> int:
        """A number that changes whenever another process has changed the state."""
        found: int = await self._database.read(
            lambda connection: connection.execute("PRAGMA data_version").fetchone()[0]
        )
        return found

    # Authorisations ---------------------------------------------------------------------------------------------------

    async def authorise(
        self, kind: str, value: str, item: str, by: str, note: str, now_ms: int, until_ms: int | None = None, *,
        is_refusal: bool = False,
    ) -> Authorisation:  # fmt: skip
        """Somebody says that a certificate, key or issuer is all right; beforehand, too. is_refusal: that it is not."""
        values = (kind, value, item, by, note, now_ms, until_ms, int(is_refusal))

        def work(connection: sqlite3.Connection) -> Authorisation:
            columns = "kind, value, item, by, note, created_ms, until_ms, is_refusal"
            query = f"INSERT INTO authorisations ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            made = connection.execute(query, values).lastrowid
            query = f"SELECT {_AUTHORISATION} FROM authorisations WHERE id = ?"
            return _authorisation(connection.execute(query, (made,)).fetchone())

        return await self._database.write(work)

    async def authorisations(self, now_ms: int) -> list[Authorisation]:
        """Those in force."""
        query = f"SELECT {_AUTHORISATION} FROM authorisations WHERE until_ms IS NULL OR until_ms > ? ORDER BY id"
        return await self._database.read(
            lambda connection: [_authorisation(row) for row in connection.execute(query, (now_ms,))]
        )

    async def revoke(self, authorisation: int, now_ms: int) -> None:
        """It holds no longer, be it a yes or a no. Raises NotFoundError."""

        def work(connection: sqlite3.Connection) -> None:
            query = "UPDATE authorisations SET until_ms = ? WHERE id = ?"
            if connection.execute(query, (now_ms, authorisation)).rowcount != 1:
                raise NotFoundError(f"there is no authorisation {authorisation}")

        await self._database.write(work)

    # Learned ----------------------------------------------------------------------------------------------------------

    async def baselines(self, items: Sequence[str] | None = None) -> dict[str, bytes]:
        """The learned profiles of these items, or of all."""

        def work(connection: sqlite3.Connection) -> dict[str, bytes]:
            if items is None:
                return dict(connection.execute("SELECT item, profile FROM baselines").fetchall())
            query = "SELECT item, profile FROM baselines WHERE item = ?"
            found = (connection.execute(query, (item,)).fetchone() for item in items)
            return dict(row for row in found if row is not None)

        return await self._database.read(work)

    async def put_baselines(self, profiles: Sequence[tuple[str, bytes]], now_ms: int) -> None:
        """Store learned profiles outside `advance` (a history look-up, an answer)."""
        rows = [(item, profile, now_ms) for item, profile in profiles]
        query = "INSERT OR REPLACE INTO baselines VALUES (?, ?, ?)"
        await self._database.write(lambda connection: connection.executemany(query, rows))

    async def add_event(self, kind: str, number: str, at_ms: int, note: str) -> None:
        """A porting or SIM change was reported."""
        query = "INSERT INTO events (kind, number, at_ms, note) VALUES (?, ?, ?, ?)"
        await self._database.write(lambda connection: connection.execute(query, (kind, number, at_ms, note)))

    async def add_events(self, events: Sequence[tuple[str, str, int, str]]) -> None:
        """Many at once, all or none: (kind, number, when in ms, note)."""
        query = "INSERT INTO events (kind, number, at_ms, note) VALUES (?, ?, ?, ?)"
        await self._database.write(lambda connection: connection.executemany(query, events))

    async def events_after(self, event: int) -> list[EventRow]:
        """The events that were handed in after the one with this id, in that order."""
        query = "SELECT id, kind, number, at_ms, note FROM events WHERE id > ? ORDER BY id"
        return await self._database.read(
            lambda connection: [EventRow(*row) for row in connection.execute(query, (event,))]
        )

    async def events(self, number: str | None = None, *, since_ms: int = 0) -> list[EventRow]:
        """The events of one number, or all, oldest first."""
        where, values = ("AND number = ?", (since_ms, number)) if number is not None else ("", (since_ms,))
        query = f"SELECT id, kind, number, at_ms, note FROM events WHERE at_ms >= ? {where} ORDER BY at_ms, id"
        return await self._database.read(
            lambda connection: [EventRow(*row) for row in connection.execute(query, values)]
        )

    async def put_snapshot(self, url: str, body: bytes, sha256: bytes, error: str, now_ms: int) -> bool:
        """Archive what stands at a URL. True where it differs from what stood there last (or is the first)."""

        def work(connection: sqlite3.Connection) -> bool:
            query = "SELECT sha256, error, first_ms FROM snapshots WHERE url = ? ORDER BY first_ms DESC LIMIT 1"
            last = connection.execute(query, (url,)).fetchone()
            if last is not None and last[:2] == (sha256, error):
                query = "UPDATE snapshots SET fetched_ms = ? WHERE url = ? AND first_ms = ?"
                connection.execute(query, (now_ms, url, last[2]))
                return False
            first_ms = now_ms if last is None else max(now_ms, last[2] + 1)  # versions have an order in any case
            values = (url, sha256, now_ms, body, error, first_ms)
            connection.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)", values)
            return True

        return await self._database.write(work)

    async def snapshots(self, url: str, *, limit: int = 10) -> list[Snapshot]:
        """What stood there, the newest first."""
        query = (
            "SELECT url, fetched_ms, sha256, body, error, first_ms FROM snapshots WHERE url = ? "
            "ORDER BY first_ms DESC LIMIT ?"
        )
        return await self._database.read(
            lambda connection: [Snapshot(*row) for row in connection.execute(query, (url, limit))]
        )

    async def issuers(self) -> frozenset[str]:
        """Every issuer that any log showed."""
        return await self._database.read(
            lambda connection: frozenset(row[0] for row in connection.execute("SELECT name FROM issuers"))
        )

    async def certificates(
        self, *, serial: tuple[bytes, bytes] | None = None, spki: bytes | None = None, url: str | None = None
    ) -> list[CertificateRow]:
        """Certificates that concerned a watched item: with this (issuer, serial), this key, or this reference."""
        values: tuple[object, ...] = (url,)
        where = "url = ?"
        if serial is not None:
            where, values = "issuer = ? AND serial = ?", serial
        elif spki is not None:
            where, values = "spki = ?", (spki,)
        query = f"SELECT {_CERTIFICATE} FROM certificates WHERE {where}"
        return await self._database.read(
            lambda connection: [CertificateRow(*row) for row in connection.execute(query, values)]
        )

    async def spki_hashes(self) -> list[bytes]:
        """The keys of certificates that concerned a watched item, each once: SHA-256 of the SubjectPublicKeyInfo."""
        query = "SELECT DISTINCT spki FROM certificates WHERE length(spki) > 0"
        return await self._database.read(lambda connection: [row[0] for row in connection.execute(query)])

    async def serial_keys(self) -> dict[tuple[bytes, bytes], bytes]:
        """The key of every certificate that concerned a watched item, by (issuer, serial)."""
        query = "SELECT issuer, serial, spki FROM certificates"
        return await self._database.read(
            lambda connection: {(row[0], row[1]): row[2] for row in connection.execute(query)}
        )

    async def references(self, now_ms: int) -> list[str]:
        """The references of certificates that are valid still."""
        query = "SELECT DISTINCT url FROM certificates WHERE url != '' AND not_after_ms >= ? ORDER BY url"
        return await self._database.read(lambda connection: [row[0] for row in connection.execute(query, (now_ms,))])

    async def enrolled(self) -> tuple[array[int], array[int]]:
        """Every item that is watched, as a hash of its id, in order; and since when."""

        def work(connection: sqlite3.Connection) -> tuple[array[int], array[int]]:
            hashes, added = array("q"), array("Q")
            for name, added_ms in connection.execute("SELECT hash, added_ms FROM enrolled ORDER BY hash"):
                hashes.append(name)
                added.append(added_ms)
            return hashes, added

        return await self._database.read(work)

    async def enrol(
        self, fresh: Iterable[int], gone: Iterable[int], tasks: Sequence[tuple[str, bytes]], now_ms: int
    ) -> None:
        """These items are watched since now, and those no longer; with the tasks (kind, specification) that this
        brings about, in one transaction."""
        added = [(name, now_ms) for name in fresh]
        removed = [(name,) for name in gone]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM enrolled WHERE hash = ?", removed)
            connection.executemany("INSERT INTO enrolled VALUES (?, ?) ON CONFLICT DO NOTHING", added)
            query = "INSERT INTO tasks (kind, spec, created_ms) VALUES (?, ?, ?)"
            connection.executemany(query, [(kind, spec, now_ms) for kind, spec in tasks])

        await self._database.write(work)

    # Small things -----------------------------------------------------------------------------------------------------

    async def get_meta(self, key: str) -> bytes | None:
        """A value kept under a name; None where there is none."""
        query = "SELECT value FROM meta WHERE key = ?"
        row = await self._database.read(lambda connection: connection.execute(query, (key,)).fetchone())
        return None if row is None else row[0]

    async def identity(self) -> str:
        """What tells this state from every other one, wherever it lies."""

        def work(connection: sqlite3.Connection) -> str:
            values = IDENTITY, secrets.token_hex(16)
            connection.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", values)
            found: str = connection.execute("SELECT value FROM meta WHERE key = ?", (IDENTITY,)).fetchone()[0]
            return found

        known = await self.get_meta(IDENTITY)
        return str(known) if known is not None else await self._database.write(work)

    async def put_meta(self, key: str, value: bytes) -> None:
        """Keep a value under a name."""
        query = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
        await self._database.write(lambda connection: connection.execute(query, (key, value)))


def _authorisation(row: Sequence[Any]) -> Authorisation:
    made = Authorisation(*row)
    return made._replace(is_refusal=bool(made.is_refusal))


def insert_learned(
    connection: sqlite3.Connection,
    baselines: Mapping[str, bytes],
    issuers: Iterable[str],
    certificates: Iterable[CertificateRow],
    now_ms: int,
    tasks: Iterable[tuple[str, bytes]] = (),
) -> None:
    """What was learned on the way to a position, inside the caller's transaction; with tasks (kind, specification) that
    it brings about."""
    query = "INSERT INTO tasks (kind, spec, created_ms) VALUES (?, ?, ?)"
    connection.executemany(query, [(kind, spec, now_ms) for kind, spec in tasks])
    rows = [(item, profile, now_ms) for item, profile in baselines.items()]
    connection.executemany("INSERT OR REPLACE INTO baselines VALUES (?, ?, ?)", rows)
    query = "INSERT INTO issuers VALUES (?, ?) ON CONFLICT DO NOTHING"
    connection.executemany(query, [(name, now_ms) for name in issuers])
    marks = ", ".join("?" * len(CertificateRow._fields))
    connection.executemany(f"INSERT INTO certificates VALUES ({marks}) ON CONFLICT DO NOTHING", certificates)
