"""Alerts as they are stored, what people answered to them, and the messages that they put into the outbox.

In scope: one alert per id however often it is found; sightings; acknowledge, snooze, refuse, resolve, wake; counting
what an issuer goes on to do that nobody answered for. Out of scope: what an alert says (`monitor.alert`), and sending
(`monitor.tell`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from ctlog.errors import NotFoundError
from monitor.state.database import Database
from monitor.state.rows import (
    ACKNOWLEDGED,
    AUTHORISED,
    NEW,
    NOWHERE,
    REFUSED,
    RESOLVED,
    S4,
    SNOOZED,
    AlertRow,
    NewAlert,
    Sighting,
    Told,
)

COLUMNS = (
    "id, kind, severity, rule, rules, addressee, summary, body, item, item_group, thread, log_id, log_index, proven, "
    "created_ms, last_seen_ms, times_seen, status, status_by, status_note, until_ms, issuer, "
    "repeats, repeated_ms"
)
REMIND_MS = 30 * 86_400_000
"""An alert that nobody answers is brought to mind while its issuer goes on issuing, at most so often."""


class Alerts:
    """The stored alerts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def raise_all(self, alerts: Sequence[NewAlert], now_ms: int) -> list[str]:
        """Store alerts that belong to no position (health, misbehaviour, tests). Returns the ids of the new ones."""
        return await self._database.write(lambda connection: insert_alerts(connection, alerts, now_ms))

    async def get(self, alert_id: str) -> AlertRow:
        """One alert. An unambiguous beginning of its id is enough. Raises NotFoundError."""
        return await self._database.read(lambda connection: find_alert(connection, alert_id))

    async def find(
        self, *, status: str | None = None, kind: str | None = None, item: str | None = None, thread: str | None = None,
        of: str | None = None, worst: int | None = None, since_ms: int = 0, until_ms: int = 1 << 62,
        limit: int = 100, skip: int = 0,
    ) -> list[AlertRow]:  # fmt: skip
        """Alerts, the newest first. of: an item's id, or the name of its group; worst: this severity, and graver."""
        wanted = {"status": status, "kind": kind, "item": item, "thread": thread, "of": of, "worst": worst}
        given = {name: value for name, value in wanted.items() if value is not None}
        special = {"of": "(item = :of OR item_group = :of)", "worst": "severity <= :worst"}
        where = " ".join(f"AND {special.get(name, f'{name} = :{name}')}" for name in given)
        where = f"WHERE created_ms BETWEEN :since AND :until {where}"
        query = f"SELECT {COLUMNS} FROM alerts {where} ORDER BY created_ms DESC, id LIMIT :limit OFFSET :skip"
        values = {**given, "since": since_ms, "until": until_ms, "limit": limit, "skip": skip}
        return await self._database.read(
            lambda connection: [alert_row(row) for row in connection.execute(query, values)]
        )

    async def told(self, thread: str, items: Sequence[str]) -> dict[tuple[str, str], list[Told]]:
        """What was said of one issuance, by (item, addressee), the gravest first; "" is no item. Reads no bodies."""

        def work(connection: sqlite3.Connection) -> dict[tuple[str, str], list[Told]]:
            query = (
                "SELECT item, addressee, id, severity, rules FROM alerts WHERE thread = ? "
                "AND item IN (SELECT value FROM json_each(?)) ORDER BY severity, id"
            )
            found: dict[tuple[str, str], list[Told]] = {}
            for item, addressee, name, severity, rules in connection.execute(query, (thread, json.dumps(list(items)))):
                told = Told(name, severity, tuple(json.loads(rules)))
                found.setdefault((item, addressee), []).append(told)
            return found

        return await self._database.read(work)

    async def count(self) -> dict[tuple[int, str], int]:
        """How many alerts there are by (severity, status)."""
        query = "SELECT severity, status, count(*) FROM alerts GROUP BY severity, status"
        return await self._database.read(
            lambda connection: {(row[0], row[1]): row[2] for row in connection.execute(query)}
        )

    async def sightings(self, alert_id: str) -> list[Sighting]:
        """Everywhere that this alert's issuance was seen."""
        query = "SELECT alert_id, log_id, log_index, proven, seen_ms FROM sightings WHERE alert_id = ? ORDER BY seen_ms"
        return await self._database.read(
            lambda connection: [Sighting(*row) for row in connection.execute(query, (alert_id,))]
        )

    async def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are stored already."""

        def work(connection: sqlite3.Connection) -> set[str]:
            query = "SELECT id FROM alerts WHERE id IN (SELECT value FROM json_each(?))"
            return {row[0] for row in connection.execute(query, (json.dumps(list(ids)),))}

        return await self._database.read(work)

    async def open_ids(self, prefix: str) -> set[str]:
        """The ids that begin so, of alerts that are not resolved."""
        query = "SELECT id FROM alerts WHERE id >= ?1 AND id < ?1 || char(1114111) AND status != 'resolved'"
        return await self._database.read(
            lambda connection: {row[0] for row in connection.execute(query, (prefix,))}
        )

    async def acknowledge(self, alert_id: str, by: str, note: str) -> AlertRow:
        """Somebody has seen it and deals with it: reminders end. Raises NotFoundError."""
        return await self._database.write(lambda connection: _answer(connection, alert_id, ACKNOWLEDGED, by, note))

    async def snooze(self, alert_id: str, until_ms: int, by: str, note: str) -> AlertRow:
        """Be quiet about it until then; messages that wait, wait until then, and `wake` reminds."""

        def work(connection: sqlite3.Connection) -> AlertRow:
            row = _answer(connection, alert_id, SNOOZED, by, note, until_ms)
            query = "UPDATE outbox SET due_ms = max(due_ms, ?) WHERE alert_id = ? AND status = 'waiting'"
            connection.execute(query, (until_ms, row.id))
            return row

        return await self._database.write(work)

    async def resolve(self, alert_id: str, now_ms: int) -> bool:
        """What it was about is over (a log answers again). False where it was not open."""

        def work(connection: sqlite3.Connection) -> bool:
            query = "UPDATE alerts SET status = ?, last_seen_ms = ? WHERE id = ? AND status != ?"
            return connection.execute(query, (RESOLVED, now_ms, alert_id, RESOLVED)).rowcount == 1

        return await self._database.write(work)

    async def mark_authorised(self, alert_id: str, by: str, note: str, *, says_more: bool = False) -> AlertRow:
        """It is all right: messages that wait are cancelled. The authorisation itself is `Answers.authorise`.

        says_more: of something too that this does not answer, so that messages which wait are sent all the same.
        """

        def work(connection: sqlite3.Connection) -> AlertRow:
            row = _answer(connection, alert_id, AUTHORISED, by, note)
            if not says_more:
                query = "UPDATE outbox SET status = 'cancelled' WHERE alert_id = ? AND status = 'waiting'"
                connection.execute(query, (row.id,))
            return row

        return await self._database.write(work)

    async def mark_refused(self, alert_id: str, by: str, note: str) -> AlertRow:
        """It is not theirs. Messages that wait are sent all the same; the refusal itself is `Answers.authorise`."""
        return await self._database.write(lambda connection: _answer(connection, alert_id, REFUSED, by, note))

    async def by_issuer(self, item: str, issuer: str, since_ms: int, *, limit: int = 100) -> list[AlertRow]:
        """The alerts about certificates of one issuer for one item that were stored after this, the newest first."""
        query = (
            f"SELECT {COLUMNS} FROM alerts WHERE item = ? AND issuer = ? AND created_ms > ? AND addressee = 'owner' "
            "ORDER BY created_ms DESC, id LIMIT ?"
        )
        values = (item, issuer, since_ms, limit)
        return await self._database.read(
            lambda connection: [alert_row(row) for row in connection.execute(query, values)]
        )

    async def unvouched(self, *, limit: int) -> list[tuple[bytes, int, str]]:
        """Where the entries stand of open alerts whose issuer no signature shows, and for which item: (log id, index,
        item); those of the newest alerts."""
        query = (
            "SELECT DISTINCT sightings.log_id, sightings.log_index, alerts.item FROM alerts "
            "JOIN sightings ON sightings.alert_id = alerts.id WHERE alerts.kind = 'certificate' AND alerts.issuer = '' "
            "AND alerts.item != '' AND alerts.status NOT IN ('authorised', 'resolved') "
            "ORDER BY alerts.created_ms DESC LIMIT ?"
        )
        return await self._database.read(lambda connection: connection.execute(query, (limit,)).fetchall())

    async def wake(self, now_ms: int) -> list[str]:
        """End the snoozes that are over: these alerts are new again, and every channel that had one is reminded."""

        def work(connection: sqlite3.Connection) -> list[str]:
            query = "SELECT id FROM alerts WHERE status = 'snoozed' AND until_ms <= ?"
            ids: list[str] = [row[0] for row in connection.execute(query, (now_ms,))]
            for alert_id in ids:
                connection.execute("UPDATE alerts SET status = ?, until_ms = NULL WHERE id = ?", (NEW, alert_id))
                query = (
                    "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) "
                    "SELECT alert_id, channel, 'reminder', ?, ? FROM outbox WHERE alert_id = ? AND kind = 'alert' "
                    "AND status != 'waiting'"
                )
                connection.execute(query, (now_ms, now_ms, alert_id))
            return ids

        return await self._database.write(work)


def insert_alerts(connection: sqlite3.Connection, alerts: Sequence[NewAlert], now_ms: int) -> list[str]:
    """Store alerts and their messages, inside the caller's transaction. Returns the ids that are new.

    One that is known counts once more, and is told over channels that it did not have yet. One that was resolved and
    comes back is new again, and told again. What is to be told while there is no channel waits for one (`NOWHERE`).
    """
    return [alert.id for alert in alerts if _insert(connection, alert, now_ms)]


def _insert(connection: sqlite3.Connection, alert: NewAlert, now_ms: int) -> bool:
    status = alert.answered or NEW
    values = (
        alert.id, alert.kind, alert.severity, alert.rule, json.dumps(alert.rules), alert.addressee, alert.summary,
        alert.body, alert.item, alert.group, alert.thread, alert.log_id, alert.log_index, alert.proven, now_ms, now_ms,
        status, alert.issuer,
    )  # fmt: skip
    columns = COLUMNS.replace(", times_seen", "").partition(", status_by")[0] + ", issuer"
    marks = ", ".join("?" * len(values))
    # Not OR IGNORE: that would also ignore, and so lose, an alert that breaks another rule of its table.
    query = f"INSERT INTO alerts ({columns}) VALUES ({marks}) ON CONFLICT (id) DO NOTHING"
    is_new = connection.execute(query, values).rowcount == 1
    if not is_new:
        is_new = _again(connection, alert, now_ms)
    elif alert.is_repeat:
        _count_repeat(connection, alert, now_ms)
    if alert.log_index is not None:
        query = "INSERT INTO sightings VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        connection.execute(query, (alert.id, alert.log_id, alert.log_index, alert.proven, now_ms))
    if not alert.answered:
        query = (
            "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) VALUES (?, ?, 'alert', ?, ?) "
            "ON CONFLICT DO NOTHING"
        )
        channels = alert.channels or ((NOWHERE,) if alert.severity < S4 else ())
        rows = [(alert.id, channel, now_ms, now_ms) for channel in channels]
        connection.executemany(query, rows)
    return is_new


def _again(connection: sqlite3.Connection, alert: NewAlert, now_ms: int) -> bool:
    """A known id. True where it had been resolved: it is as new, with what it says now."""
    query = "UPDATE alerts SET times_seen = times_seen + 1, last_seen_ms = ? WHERE id = ?"
    connection.execute(query, (now_ms, alert.id))
    if alert.log_index is not None:  # it had been seen where nothing could prove it
        query = "UPDATE alerts SET log_id = ?, log_index = ?, proven = ? WHERE id = ? AND log_index IS NULL"
        connection.execute(query, (alert.log_id, alert.log_index, alert.proven, alert.id))
    if alert.issuer:  # what is known by now of who issued; how grave it is stays as it was told
        query = "UPDATE alerts SET issuer = ?, rules = ?, summary = ?, body = ? WHERE id = ? AND issuer = ''"
        now = (alert.issuer, json.dumps(alert.rules), alert.summary, alert.body, alert.id)
        connection.execute(f"{query} AND status NOT IN ('authorised', 'resolved')", now)
    query = "UPDATE alerts SET status = ?, summary = ?, body = ?, created_ms = ? WHERE id = ? AND status = ?"
    values = (NEW, alert.summary, alert.body, now_ms, alert.id, RESOLVED)
    if connection.execute(query, values).rowcount != 1:
        return False
    query = "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) VALUES (?, ?, 'reminder', ?, ?)"
    known = {row[0] for row in connection.execute("SELECT channel FROM outbox WHERE alert_id = ?", (alert.id,))}
    rows = [(alert.id, channel, now_ms, now_ms) for channel in alert.channels if channel in known]
    connection.executemany(query, rows)
    return True


def _count_repeat(connection: sqlite3.Connection, alert: NewAlert, now_ms: int) -> None:
    """The alert that told of this issuer counts one more; while nobody answers it, it is brought to mind at times."""
    query = (
        "SELECT id, status FROM alerts WHERE item = ? AND issuer = ? AND id != ? AND addressee = ? AND severity < 4 "
        "AND status NOT IN ('authorised', 'resolved') ORDER BY created_ms, id LIMIT 1"
    )
    told = connection.execute(query, (alert.item, alert.issuer, alert.id, alert.addressee)).fetchone()
    if told is None:
        return
    query = "UPDATE alerts SET repeats = repeats + 1, repeated_ms = ? WHERE id = ?"
    connection.execute(query, (now_ms, told[0]))
    query = "SELECT 1 FROM outbox WHERE alert_id = ? AND (status = 'waiting' OR created_ms > ?)"
    if told[1] == NEW and connection.execute(query, (told[0], now_ms - REMIND_MS)).fetchone() is None:
        query = (
            "INSERT INTO outbox (alert_id, channel, kind, due_ms, created_ms) "
            "SELECT alert_id, channel, 'reminder', ?, ? FROM outbox WHERE alert_id = ? AND kind = 'alert'"
        )
        connection.execute(query, (now_ms, now_ms, told[0]))


def find_alert(connection: sqlite3.Connection, alert_id: str) -> AlertRow:
    """The alert with this id, or with the one id that begins so. Raises NotFoundError."""
    query = f"SELECT {COLUMNS} FROM alerts WHERE id = ?1 OR substr(id, 1, length(?1)) = ?1 ORDER BY id != ?1 LIMIT 2"
    rows = [alert_row(row) for row in connection.execute(query, (alert_id,))] if alert_id else []
    if not rows or (len(rows) == 2 and rows[0].id != alert_id):
        what = "several alerts begin with" if rows else "there is no alert"
        raise NotFoundError(f"{what} {alert_id}; `ctlog-monitor alerts list` shows them")
    return rows[0]


def alert_row(row: Sequence[object]) -> AlertRow:
    """A row of `COLUMNS` as a value."""
    values = list(row)
    values[4] = tuple(json.loads(str(values[4])))
    return AlertRow(*values)  # type: ignore[arg-type]  # SQLite's columns have no types


def _answer(
    connection: sqlite3.Connection, alert_id: str, status: str, by: str, note: str, until_ms: int | None = None
) -> AlertRow:
    found = find_alert(connection, alert_id)
    query = "UPDATE alerts SET status = ?, status_by = ?, status_note = ?, until_ms = ? WHERE id = ?"
    connection.execute(query, (status, by, note, until_ms, found.id))
    return find_alert(connection, found.id)
