"""SCTs under audit, and long tasks that survive a restart.

In scope: storing and finding them. Out of scope: the audit itself (`monitor.follow.audit`), and doing tasks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from monitor.state.alerts import insert_alerts
from monitor.state.answers import insert_learned
from monitor.state.database import Database
from monitor.state.rows import CertificateRow, NewAlert, SctRow

_COLUMNS = "id, log_id, sct, leaf, timestamp_ms, log_index, source, handed_ms, status, detail, checked_ms"
_ADD_TASK = "INSERT INTO tasks (kind, spec, created_ms) VALUES (?, ?, ?)"


class TaskRow(NamedTuple):
    """Something to be done, such as reading the entries of a newly watched item again."""

    id: int
    kind: str
    spec: bytes
    progress: bytes
    created_ms: int
    done_ms: int | None


class Audits:
    """SCTs and tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, scts: Sequence[SctRow]) -> int:
        """Take these into the audit; how many of them were not known."""
        return await self._database.write(lambda connection: insert_scts(connection, scts))

    async def waiting(self, log_id: bytes, *, before_ms: int | None = None, limit: int = 1000) -> list[SctRow]:
        """Those of one log that are not settled, the oldest first."""
        where, values = ("AND timestamp_ms < ?", (log_id, before_ms, limit)) if before_ms else ("", (log_id, limit))
        where = f"WHERE status = 'waiting' AND log_id = ? {where} ORDER BY timestamp_ms LIMIT ?"
        return await self._select(f"SELECT {_COLUMNS} FROM scts {where}", values)

    async def find(self, *, status: str | None = None, limit: int = 100) -> list[SctRow]:
        """SCTs under audit, the newest first."""
        where, values = ("WHERE status = ?", (status, limit)) if status else ("", (limit,))
        return await self._select(f"SELECT {_COLUMNS} FROM scts {where} ORDER BY handed_ms DESC LIMIT ?", values)

    async def counts(self) -> dict[str, int]:
        """How many SCTs there are by status."""
        query = "SELECT status, count(*) FROM scts GROUP BY status"
        return await self._database.read(lambda connection: dict(connection.execute(query).fetchall()))

    async def get(self, sct_id: str) -> SctRow | None:
        """One SCT, by its id."""
        rows = await self._select(f"SELECT {_COLUMNS} FROM scts WHERE id = ?", (sct_id,))
        return rows[0] if rows else None

    async def settle(
        self, results: Sequence[tuple[str, str, str]], now_ms: int, alerts: Sequence[NewAlert] = (),
        tasks: Sequence[tuple[str, bytes]] = (),
    ) -> list[str]:  # fmt: skip
        """What became of these: (id, status, detail), with the alerts that it raises, and the tasks (kind,
        specification) that it brings about, in one transaction."""

        def work(connection: sqlite3.Connection) -> list[str]:
            query = "UPDATE scts SET status = ?, detail = ?, checked_ms = ? WHERE id = ?"
            connection.executemany(query, [(status, detail, now_ms, each) for each, status, detail in results])
            connection.executemany(_ADD_TASK, [(kind, spec, now_ms) for kind, spec in tasks])
            return insert_alerts(connection, alerts, now_ms)

        return await self._database.write(work)

    # Tasks ------------------------------------------------------------------------------------------------------------

    async def add_task(self, kind: str, spec: bytes, now_ms: int) -> int:
        """Do this when there is time; its id."""
        values = (kind, spec, now_ms)
        found = await self._database.write(lambda connection: connection.execute(_ADD_TASK, values).lastrowid)
        assert found is not None
        return found

    async def tasks(self, *, open_only: bool = True, kind: str | None = None) -> list[TaskRow]:
        """Tasks, of one kind or of all, the oldest first."""
        where = "(?1 IS NULL OR kind = ?1)" + (" AND done_ms IS NULL" if open_only else "")
        query = f"SELECT id, kind, spec, progress, created_ms, done_ms FROM tasks WHERE {where} ORDER BY id"
        return await self._database.read(
            lambda connection: [TaskRow(*row) for row in connection.execute(query, (kind,))]
        )

    async def note_task(self, task: int, progress: bytes, now_ms: int, *, done: bool = False) -> None:
        """How far a task is."""
        query = "UPDATE tasks SET progress = ?, done_ms = ? WHERE id = ?"
        values = (progress, now_ms if done else None, task)
        await self._database.write(lambda connection: connection.execute(query, values))

    async def store_found(
        self, alerts: Sequence[NewAlert], now_ms: int, *, baselines: Mapping[str, bytes] | None = None,
        issuers: Iterable[str] = (), certificates: Iterable[CertificateRow] = (), scts: Sequence[SctRow] = (),
        tasks: Iterable[tuple[str, bytes]] = (),
    ) -> list[str]:  # fmt: skip
        """What entries raised that were read again, in one transaction. Returns the ids of the new alerts."""

        def work(connection: sqlite3.Connection) -> list[str]:
            insert_learned(connection, baselines or {}, issuers, certificates, now_ms, tasks)
            insert_scts(connection, scts)
            return insert_alerts(connection, alerts, now_ms)

        return await self._database.write(work)

    async def _select(self, query: str, values: tuple[object, ...]) -> list[SctRow]:
        return await self._database.read(lambda connection: [SctRow(*row) for row in connection.execute(query, values)])


def insert_scts(connection: sqlite3.Connection, scts: Sequence[SctRow]) -> int:
    """Inside the caller's transaction; how many of them were not known."""
    before = connection.total_changes
    marks = ", ".join("?" * len(SctRow._fields))
    connection.executemany(f"INSERT INTO scts ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING", scts)
    return connection.total_changes - before
