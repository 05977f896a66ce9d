"""The outbox: every message that must reach a channel, until it did, or was declared dead and said so elsewhere.

In scope: which messages are due, what became of each attempt, dead letters, and how each channel fares. Rows enter it
with the alert that they tell, in the same transaction (`alerts.insert_alerts`); none is ever deleted. Out of scope:
sending, back-off, digests (`monitor.tell`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from monitor.state.alerts import COLUMNS, alert_row, insert_alerts
from monitor.state.database import Database
from monitor.state.rows import ChannelRow, NewAlert, OutboxRow

_ALERT = ", ".join(f"alerts.{name}" for name in COLUMNS.split(", "))
_MINE = (
    "outbox.id, outbox.channel, outbox.kind, outbox.status, outbox.due_ms, outbox.created_ms, outbox.attempts, "
    "outbox.last_error, outbox.done_ms"
)
_MESSAGES = f"SELECT {_MINE}, {_ALERT} FROM outbox JOIN alerts ON alerts.id = outbox.alert_id"


class Outbox:
    """Messages, each to one channel. Ids are given in the order in which they entered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now_ms: int, *, channel: str | None = None, limit: int = 100) -> list[OutboxRow]:
        """What should be sent now, the longest due first; for one channel or for all."""
        where = "AND outbox.channel = ?" if channel is not None else ""
        values = (now_ms, *([channel] if channel is not None else []), limit)
        where = f"WHERE outbox.status = 'waiting' AND outbox.due_ms <= ? {where} ORDER BY due_ms, outbox.id LIMIT ?"
        return await self._select(f"{_MESSAGES} {where}", values)

    async def next_due_ms(self, channel: str | None = None) -> int | None:
        """When the next waiting message is due; None where none waits."""
        where, values = ("AND channel = ?", (channel,)) if channel is not None else ("", ())
        query = f"SELECT min(due_ms) FROM outbox WHERE status = 'waiting' {where}"
        row = await self._database.read(lambda connection: connection.execute(query, values).fetchone())
        found: int | None = row[0]
        return found

    async def waiting_channels(self) -> list[str]:
        """The channels for which messages wait, configured or not."""
        query = "SELECT DISTINCT channel FROM outbox WHERE status = 'waiting' ORDER BY channel"
        return await self._database.read(lambda connection: [row[0] for row in connection.execute(query)])

    async def mark_sent(self, ids: Sequence[int], now_ms: int) -> None:
        """These reached their channel."""

        def work(connection: sqlite3.Connection) -> None:
            what = "status = 'sent', attempts = attempts + 1, done_ms = ?, last_error = ''"
            query = f"UPDATE outbox SET {what} WHERE id = ?"
            connection.executemany(query, [(now_ms, each) for each in ids])
            for name in _channels(connection, ids):
                connection.execute(
                    "INSERT INTO channels (name, last_success_ms) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET "
                    "last_success_ms = ?2, failing_since_ms = NULL, last_error = ''",
                    (name, now_ms),
                )

        await self._database.write(work)

    async def mark_failed(self, ids: Sequence[int], next_ms: int, error: str, now_ms: int) -> None:
        """These did not get through; they are due again at `next_ms`."""

        def work(connection: sqlite3.Connection) -> None:
            query = "UPDATE outbox SET due_ms = ?, attempts = attempts + 1, last_error = ? WHERE id = ?"
            connection.executemany(query, [(next_ms, error[:500], each) for each in ids])
            _note_failure(connection, ids, error, now_ms)

        await self._database.write(work)

    async def dead_letter(self, ids: Sequence[int], error: str, now_ms: int, words: Sequence[NewAlert] = ()) -> None:
        """Nobody tries these any more. `words` are the alerts that say so over other channels, stored with it."""

        def work(connection: sqlite3.Connection) -> None:
            query = (
                "UPDATE outbox SET status = 'dead', attempts = attempts + 1, last_error = ?, done_ms = ? WHERE id = ?"
            )
            connection.executemany(query, [(error[:500], now_ms, each) for each in ids])
            _note_failure(connection, ids, error, now_ms)
            insert_alerts(connection, words, now_ms)

        await self._database.write(work)

    async def add(self, alert_id: str, channel: str, kind: str, due_ms: int, now_ms: int) -> int:
        """One more message about a stored alert: "reminder", "word" or "test". Returns its id."""
        query = "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) VALUES (?, ?, ?, ?, ?)"
        values = (alert_id, channel, kind, due_ms, now_ms)
        found = await self._database.write(lambda connection: connection.execute(query, values).lastrowid)
        assert found is not None
        return found

    async def dead_letters(self, *, limit: int = 100) -> list[OutboxRow]:
        """The dead ones, the newest first."""
        return await self._select(f"{_MESSAGES} WHERE outbox.status = 'dead' ORDER BY outbox.id DESC LIMIT ?", (limit,))

    async def of_alert(self, alert_id: str) -> list[OutboxRow]:
        """Every message about one alert, in order."""
        return await self._select(f"{_MESSAGES} WHERE outbox.alert_id = ? ORDER BY outbox.id", (alert_id,))

    async def resend(self, ids: Sequence[int], now_ms: int) -> None:
        """Try again, dead or sent: due now, with a fresh count of attempts."""
        what = "status = 'waiting', due_ms = ?, created_ms = ?, attempts = 0, done_ms = NULL"
        query = f"UPDATE outbox SET {what} WHERE id = ?"
        rows = [(now_ms, now_ms, each) for each in ids]
        await self._database.write(lambda connection: connection.executemany(query, rows))

    async def channels(self) -> list[ChannelRow]:
        """How every channel that ever had a message fares."""
        query = (
            "SELECT names.name, c.last_success_ms, c.failing_since_ms, coalesce(c.last_error, ''), "
            "(SELECT count(*) FROM outbox o WHERE o.channel = names.name AND o.status = 'waiting'), "
            "(SELECT count(*) FROM outbox o WHERE o.channel = names.name AND o.status = 'dead'), "
            "(SELECT min(created_ms) FROM outbox o WHERE o.channel = names.name AND o.status = 'waiting') "
            "FROM (SELECT name FROM channels UNION SELECT DISTINCT channel FROM outbox) AS names "
            "LEFT JOIN channels c ON c.name = names.name ORDER BY names.name"
        )
        return await self._database.read(lambda connection: [ChannelRow(*row) for row in connection.execute(query)])

    async def counts(self) -> dict[str, int]:
        """How many messages there are by status."""
        query = "SELECT status, count(*) FROM outbox GROUP BY status"
        return await self._database.read(lambda connection: dict(connection.execute(query).fetchall()))

    async def _select(self, query: str, values: tuple[object, ...]) -> list[OutboxRow]:
        return await self._database.read(lambda connection: [_row(row) for row in connection.execute(query, values)])


def _row(row: Sequence[object]) -> OutboxRow:
    number, *mine = row[:9]
    return OutboxRow(number, alert_row(row[9:]), *mine)  # type: ignore[arg-type]  # SQLite's columns have no types


def _channels(connection: sqlite3.Connection, ids: Sequence[int]) -> list[str]:
    names: dict[str, None] = {}
    for each in ids:
        row = connection.execute("SELECT channel FROM outbox WHERE id = ?", (each,)).fetchone()
        if row is not None:
            names[row[0]] = None
    return list(names)


def _note_failure(connection: sqlite3.Connection, ids: Sequence[int], error: str, now_ms: int) -> None:
    for name in _channels(connection, ids):
        connection.execute(
            "INSERT INTO channels (name, failing_since_ms, last_error) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (name) DO UPDATE SET failing_since_ms = coalesce(failing_since_ms, ?2), last_error = ?3",
            (name, now_ms, error[:500]),
        )
