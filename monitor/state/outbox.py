"""The outbox: every message that must reach a channel, until it did, or was declared dead and said so elsewhere.

In scope: which messages are due, what became of each attempt, dead letters, and how each channel fares. Rows enter it
with the alert that they tell, in the same transaction (`alerts.insert_alerts`); none is ever deleted. Out of scope:
sending, back-off, digests (`monitor.tell`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from monitor.state.alerts import COLUMNS, alert_row, insert_alerts
from monitor.state.database import Database
from monitor.state.rows import DEAD, NOWHERE, ChannelRow, NewAlert, OutboxRow

_ALERT = ", ".join(f"alerts.{name}" for name in COLUMNS.split(", "))
_MINE = (
    "outbox.id, outbox.channel, outbox.kind, outbox.status, outbox.due_ms, outbox.created_ms, outbox.attempts, "
    "outbox.tried_ms, outbox.last_error, outbox.done_ms"
)
_WIDTH = len(_MINE.split(", "))
_JOINED = "FROM outbox JOIN alerts ON alerts.id = outbox.alert_id"
_MESSAGES = f"SELECT {_MINE}, {_ALERT} {_JOINED}"
_WITHOUT_BODIES = _MESSAGES.replace("alerts.body", "x''")
_THESE = "IN (SELECT value FROM json_each(?))"


class Outbox:
    """Messages, each to one channel. Ids are given in the order in which they entered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(
        self, now_ms: int, *, channel: str | None = None, limit: int = 100, bodies: bool = True
    ) -> list[OutboxRow]:
        """What should be sent now, for one channel or for all; S1 first, then the longest due.

        bodies: whether each alert is read whole; without, its `body` is b"", and thousands can be looked at.
        """
        index, where = "", ""
        values: tuple[object, ...] = (now_ms, limit)
        if channel is not None:  # in the order of this index no backlog is sorted: 100,000 messages cost what 100 do
            index, where, values = "INDEXED BY outbox_in_turn", "AND outbox.channel = ?", (now_ms, channel, limit)
        order = "ORDER BY outbox.is_later, outbox.due_ms, outbox.id"
        due = f"outbox.status = 'waiting' AND outbox.due_ms <= ? {where}"
        chosen = f"SELECT outbox.id FROM outbox {index} WHERE {due} {order}"
        query = f"{_MESSAGES if bodies else _WITHOUT_BODIES} WHERE outbox.id IN ({chosen} LIMIT ?) {order}"
        return await self._select(query, values)

    async def get(self, ids: Sequence[int], *, bodies: bool = True) -> list[OutboxRow]:
        """These messages, as they stand now, in the order of their ids. bodies: as for `due`."""
        query = f"{_MESSAGES if bodies else _WITHOUT_BODIES} WHERE outbox.id {_THESE} ORDER BY outbox.id"
        return await self._select(query, (_list(ids),))

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

    async def failing_threads(self, channel: str, threads: Iterable[str], now_ms: int) -> dict[str, tuple[int, int]]:
        """Those of these threads of which a message was tried in vain and waits: its id, and when it is due again."""
        query = (
            f"SELECT alerts.thread, min(outbox.id), max(outbox.due_ms) {_JOINED} WHERE outbox.status = 'waiting' "
            f"AND outbox.channel = ? AND outbox.attempts > 0 AND outbox.due_ms > ? AND alerts.thread {_THESE} "
            "GROUP BY alerts.thread"
        )
        values = (channel, now_ms, json.dumps([thread for thread in threads if thread]))
        return await self._database.read(
            lambda connection: {row[0]: (row[1], row[2]) for row in connection.execute(query, values)}
        )

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

    async def tested(self, channels: Sequence[str], now_ms: int) -> None:
        """A test went through these. Whether alerts do is still for alerts to say: what fails is failing."""
        query = (
            "INSERT INTO channels (name, last_success_ms) VALUES (?1, ?2) "
            "ON CONFLICT (name) DO UPDATE SET last_success_ms = ?2"
        )
        rows = [(name, now_ms) for name in channels]
        await self._database.write(lambda connection: connection.executemany(query, rows))

    async def mark_failed(self, ids: Sequence[int], next_ms: int | Sequence[int], error: str, now_ms: int) -> None:
        """These did not get through; they are due again at `next_ms`, which may be given for each of them. Whatever
        somebody answered while they were under way holds."""
        when = [next_ms] * len(ids) if isinstance(next_ms, int) else next_ms

        def work(connection: sqlite3.Connection) -> None:
            snoozed = "SELECT until_ms FROM alerts WHERE alerts.id = outbox.alert_id AND alerts.status = 'snoozed'"
            what = f"due_ms = max(?, coalesce(({snoozed}), 0)), attempts = attempts + 1, last_error = ?"
            what += ", tried_ms = coalesce(tried_ms, ?)"
            rows = [(due_ms, error[:500], now_ms, each) for each, due_ms in zip(ids, when, strict=True)]
            connection.executemany(f"UPDATE outbox SET {what} WHERE id = ? AND status = 'waiting'", rows)
            _note_failure(connection, ids, error, now_ms)

        await self._database.write(work)

    async def postpone(self, due: Mapping[int, int]) -> None:
        """These wait until then (for a digest, behind another of their thread); that is no attempt."""
        rows = [(due_ms, each) for each, due_ms in due.items()]
        query = "UPDATE outbox SET due_ms = ? WHERE id = ? AND status = 'waiting'"
        await self._database.write(lambda connection: connection.executemany(query, rows))

    async def bring_forward(self, channel: str, now_ms: int) -> None:
        """The channel answers again: what failed before is due now, but for what somebody snoozed."""
        query = (
            "UPDATE outbox SET due_ms = ?1 WHERE channel = ?2 AND status = 'waiting' AND due_ms > ?1 AND attempts > 0 "
            "AND alert_id NOT IN (SELECT id FROM alerts WHERE status = 'snoozed')"
        )
        await self._database.write(lambda connection: connection.execute(query, (now_ms, channel)))

    async def cancel(self, ids: Sequence[int], now_ms: int) -> None:
        """Nobody needs these any more, such as a reminder of what was answered."""
        query = f"UPDATE outbox SET status = 'cancelled', done_ms = ? WHERE status = 'waiting' AND id {_THESE}"
        await self._database.write(lambda connection: connection.execute(query, (now_ms, _list(ids))))

    async def dead_letter(
        self, ids: Sequence[int], error: str, now_ms: int, words: Sequence[NewAlert] = (),
        redirect: Sequence[str] = (), status: str = DEAD,
    ) -> None:  # fmt: skip
        """Nobody tries those of these that still wait any more. In the same transaction: `words`, the alerts that say
        so over other channels, and the alerts themselves go to the channels `redirect`, unless they were told there.

        status: what becomes of them; CANCELLED where the channel did not fail, but was taken away.
        """

        def work(connection: sqlite3.Connection) -> None:
            what = "status = ?, attempts = attempts + 1, last_error = ?, done_ms = ?"
            rows = [(status, error[:500], now_ms, each) for each in ids]
            connection.executemany(f"UPDATE outbox SET {what} WHERE id = ? AND status = 'waiting'", rows)
            if status == DEAD:
                _note_failure(connection, ids, error, now_ms)
            for channel in redirect:
                query = (
                    "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) "
                    f"SELECT alert_id, ?, 'alert', ?, ? FROM outbox WHERE status = ? AND id {_THESE} "
                    "ON CONFLICT DO NOTHING"
                )
                connection.execute(query, (channel, now_ms, now_ms, status, _list(ids)))
            insert_alerts(connection, words, now_ms)

        await self._database.write(work)

    async def add(self, alert_id: str, channel: str, kind: str, due_ms: int, now_ms: int) -> int:
        """One more message about a stored alert: "reminder", "word" or "test". Returns its id."""
        query = "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) VALUES (?, ?, ?, ?, ?)"
        values = (alert_id, channel, kind, due_ms, now_ms)
        found = await self._database.write(lambda connection: connection.execute(query, values).lastrowid)
        assert found is not None
        return found

    async def remind(self, channels: Sequence[str], after_ms: Sequence[int], now_ms: int) -> int:
        """Put reminders in: of each S1 alert about a certificate or a log that nobody answered, over those of these
        channels that told it so long ago; the second after the second time, and so on. Returns how many."""
        query = (
            "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) "
            f"SELECT outbox.alert_id, outbox.channel, 'reminder', ?1, ?1 {_JOINED} "
            "WHERE outbox.kind = 'alert' AND outbox.status = 'sent' AND outbox.done_ms <= ?2 "
            "AND alerts.status = 'new' AND alerts.severity = 1 AND alerts.kind IN ('certificate', 'misbehaviour') "
            "AND outbox.channel IN (SELECT value FROM json_each(?3)) AND ?4 = (SELECT count(*) FROM outbox other "
            "WHERE other.alert_id = outbox.alert_id AND other.channel = outbox.channel AND other.kind = 'reminder')"
        )

        def work(connection: sqlite3.Connection) -> int:
            names = json.dumps(list(channels))
            made = 0
            for given in reversed(range(len(after_ms))):  # backwards, so that one call gives one reminder at most
                made += connection.execute(query, (now_ms, now_ms - after_ms[given], names, given)).rowcount
            return made

        return await self._database.write(work)

    async def dead_letters(self, *, limit: int = 100) -> list[OutboxRow]:
        """The dead ones, the newest first."""
        return await self._select(f"{_MESSAGES} WHERE outbox.status = 'dead' ORDER BY outbox.id DESC LIMIT ?", (limit,))

    async def of_alert(self, alert_id: str) -> list[OutboxRow]:
        """Every message about one alert, in order."""
        return await self._select(f"{_MESSAGES} WHERE outbox.alert_id = ? ORDER BY outbox.id", (alert_id,))

    async def resend(self, ids: Sequence[int], now_ms: int) -> None:
        """Try again, dead or sent: due now, with a fresh count of attempts."""
        what = "status = 'waiting', due_ms = ?, attempts = 0, tried_ms = NULL, done_ms = NULL"
        query = f"UPDATE outbox SET {what} WHERE id = ?"
        rows = [(now_ms, each) for each in ids]
        await self._database.write(lambda connection: connection.executemany(query, rows))

    async def channels(self) -> list[ChannelRow]:
        """How every channel that ever had a message fares. `NOWHERE` is none."""
        mine = "FROM outbox o WHERE o.channel = names.name AND o.status ="
        query = (
            "SELECT names.name, c.last_success_ms, c.failing_since_ms, coalesce(c.last_error, ''), "
            f"(SELECT count(*) {mine} 'waiting'), (SELECT count(*) {mine} 'dead'), "
            f"(SELECT min(coalesce(o.tried_ms, o.due_ms)) {mine} 'waiting') "
            "FROM (SELECT name FROM channels UNION SELECT DISTINCT channel FROM outbox) AS names "
            f"LEFT JOIN channels c ON c.name = names.name WHERE names.name != '{NOWHERE}' ORDER BY names.name"
        )
        return await self._database.read(lambda connection: [ChannelRow(*row) for row in connection.execute(query)])

    async def counts(self) -> dict[str, int]:
        """How many messages there are by status."""
        query = "SELECT status, count(*) FROM outbox GROUP BY status"
        return await self._database.read(lambda connection: dict(connection.execute(query).fetchall()))

    async def _select(self, query: str, values: tuple[object, ...]) -> list[OutboxRow]:
        return await self._database.read(lambda connection: [_row(row) for row in connection.execute(query, values)])


def _row(row: Sequence[object]) -> OutboxRow:
    number, *mine = row[:_WIDTH]
    return OutboxRow(number, alert_row(row[_WIDTH:]), *mine)  # type: ignore[arg-type]  # SQLite's columns have no types


def _list(ids: Sequence[int]) -> str:
    return json.dumps(list(ids))


def _channels(connection: sqlite3.Connection, ids: Sequence[int]) -> list[str]:
    query = f"SELECT channel FROM outbox WHERE id {_THESE} GROUP BY channel ORDER BY min(id)"
    return [row[0] for row in connection.execute(query, (_list(ids),))]


def _note_failure(connection: sqlite3.Connection, ids: Sequence[int], error: str, now_ms: int) -> None:
    for name in _channels(connection, ids):
        connection.execute(
            "INSERT INTO channels (name, failing_since_ms, last_error) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (name) DO UPDATE SET failing_since_ms = coalesce(failing_since_ms, ?2), last_error = ?3",
            (name, now_ms, error[:500]),
        )
