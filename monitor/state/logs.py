"""The followed logs: how far each was read and proven, every head it ever signed, and `advance`, the one step forward.

`advance` stores a position and everything that was found on the way to it in one transaction: alerts, the messages that
tell them, learned baselines, SCTs to audit. So whatever the position has passed is told, and what is not told yet will
be read again. Out of scope: deciding any of it (`monitor.follow`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from ctlog.errors import StoreError, VerificationError
from ctlog.merkle.tree import HASH_SIZE, Frontier
from ctlog.wire.checkpoint import SignedHead
from monitor.state.alerts import insert_alerts
from monitor.state.answers import insert_learned
from monitor.state.audits import insert_scts
from monitor.state.database import Database
from monitor.state.rows import (
    MET,
    UNVERIFIED,
    CertificateRow,
    Gap,
    HeadRow,
    LogRow,
    NewAlert,
    Position,
    SctRow,
    Unbegun,
)

_COLUMNS = (
    "log_id, name, url, start, size, hashes, proven_size, proven_hashes, met, trusted, last_contact_ms, head_size, "
    "head_ms, failing_since_ms, last_error, unproven_since_ms, accused, "
    "coalesce((SELECT value FROM meta WHERE key = 'log-failure:' || lower(hex(log_id))), '')"
)
_UNBEGUN = "log-unbegun:"
_READY = "ready:"
SETTING_UP_MS = 86_400_000
"""Logs that are added so soon after the first was read are among the first."""
_HEAD_COLUMNS = "log_id, size, timestamp_ms, root, note, source, state, first_seen_ms"


class Logs:
    """Positions and heads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, log_id: bytes, name: str, url: str, position: Position, now_ms: int) -> None:
        """Begin to follow a log at this position. Raises StoreError (`log-known`) for one that is followed already."""

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM logs WHERE log_id = ?", (log_id,)).fetchone():
                raise StoreError(f"the log {name} is followed already", reason="log-known")
            values = (log_id, name, url, position.frontier.size, *_position(position))
            connection.execute(
                "INSERT INTO logs (log_id, name, url, start, size, hashes, proven_size, proven_hashes, met, trusted) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"log-added:{log_id.hex()}", now_ms))
            connection.execute("DELETE FROM meta WHERE key = ?", (_UNBEGUN + log_id.hex(),))

        await self._database.write(work)

    async def get(self, log_id: bytes) -> LogRow | None:
        """One log, or None where it is not followed."""
        rows = await self._select("WHERE log_id = ?", (log_id,))
        return rows[0] if rows else None

    async def all(self) -> list[LogRow]:
        """Every log that was ever followed, by name."""
        return await self._select("ORDER BY name, log_id", ())

    async def rename(self, log_id: bytes, name: str, url: str) -> None:
        """The log is called and reached otherwise now."""
        query = "UPDATE logs SET name = ?, url = ? WHERE log_id = ?"
        await self._database.write(lambda connection: connection.execute(query, (name, url, log_id)))

    async def begun_at(self, log_id: bytes, start: int) -> None:
        """Everything from `start` on was read."""
        query = "UPDATE logs SET start = min(start, ?) WHERE log_id = ?"
        await self._database.write(lambda connection: connection.execute(query, (start, log_id)))

    async def advance(
        self,
        log_id: bytes,
        position: Position,
        alerts: Sequence[NewAlert],
        now_ms: int,
        *,
        baselines: Mapping[str, bytes] | None = None,
        scts: Sequence[SctRow] = (),
        gap: Gap | None = None,
        met: Sequence[SignedHead] = (),
        issuers: Iterable[str] = (),
        certificates: Iterable[CertificateRow] = (),
        tasks: Iterable[tuple[str, bytes]] = (),
    ) -> list[str]:
        """Go on to `position`, and store all that was found on the way: one transaction.

        Alerts and sightings of this log below `position.proven` become proven. `gap`: entries that were passed over;
        `met`: heads of which the rebuilt tree had the root. Going back (a log that served other entries than it signed
        is read again) is the same call: what was seen behind it and never proven keeps no place in the log. Returns the
        ids of the alerts that are new. Raises StoreError: then nothing of it was stored.
        """

        def work(connection: sqlite3.Connection) -> list[str]:
            is_pending = position.frontier.size > position.proven.size
            changed = connection.execute(
                "UPDATE logs SET size = ?, hashes = ?, proven_size = ?, proven_hashes = ?, met = ?, trusted = ?, "
                "unproven_since_ms = CASE WHEN ? THEN coalesce(unproven_since_ms, ?) END WHERE log_id = ?",
                (*_position(position), is_pending, now_ms, log_id),
            )
            if changed.rowcount != 1:
                raise StoreError("this log is not followed", reason="log-unknown")
            disown(connection, log_id, position.frontier.size)
            fresh = insert_alerts(connection, alerts, now_ms)
            prove(connection, log_id, position.proven.size)
            insert_scts(connection, scts)
            insert_learned(connection, baselines or {}, issuers, certificates, now_ms, tasks)
            if gap is not None:
                connection.execute("INSERT OR REPLACE INTO gaps VALUES (?, ?, ?, ?, ?, ?)", gap)
            query = "UPDATE heads SET state = ? WHERE log_id = ? AND id = ?"
            connection.executemany(query, [(MET, log_id, head_id(head)) for head in met])
            return fresh

        return await self._database.write(work)

    async def answered(self, log_id: bytes, head: SignedHead, now_ms: int) -> None:
        """It answered, with this head. Raises VerificationError (`impossible-size`) for one that cannot be stored."""
        _check_storable(head)
        query = (
            "UPDATE logs SET last_contact_ms = ?1, head_size = CASE WHEN ?2 >= coalesce(head_ms, 0) THEN ?3 ELSE "
            "head_size END, head_ms = max(coalesce(head_ms, 0), ?2) WHERE log_id = ?4"
        )
        values = (now_ms, head.timestamp_ms, head.size, log_id)
        await self._database.write(lambda connection: connection.execute(query, values))

    async def failed(self, log_id: bytes, error: str, now_ms: int, reason: str = "") -> None:
        """A round with it could not be finished, and why; "" for one that was. `reason`: the word for it."""
        query = (
            "UPDATE logs SET last_error = ?1, failing_since_ms = CASE WHEN ?1 != '' THEN "
            "coalesce(failing_since_ms, ?2) END WHERE log_id = ?3"
        )
        values = (error[:500], now_ms, log_id)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(query, values)
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"log-failure:{log_id.hex()}", reason))

        await self._database.write(work)

    async def not_begun(self, log_id: bytes, error: str, reason: str, now_ms: int) -> None:
        """It could not be begun with, and why. Since when stays, over restarts too, until it is begun with."""

        def work(connection: sqlite3.Connection) -> None:
            before = connection.execute("SELECT value FROM meta WHERE key = ?", (_UNBEGUN + log_id.hex(),)).fetchone()
            since_ms = json.loads(before[0])[0] if before else now_ms
            value = json.dumps(Unbegun(since_ms, error[:500], reason))
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_UNBEGUN + log_id.hex(), value))

        await self._database.write(work)

    async def unbegun(self) -> dict[bytes, Unbegun]:
        """Every log that could not be begun with, by id."""
        query = "SELECT substr(key, ?1), value FROM meta WHERE key >= ?2 AND key < ?2 || 'g'"
        rows = await self._database.read(
            lambda connection: connection.execute(query, (len(_UNBEGUN) + 1, _UNBEGUN)).fetchall()
        )
        return {bytes.fromhex(key): Unbegun(*json.loads(value)) for key, value in rows}

    async def added_ms(self) -> dict[bytes, int]:
        """Since when each log is followed, by id."""
        query = "SELECT log_id, value FROM logs JOIN meta ON key = 'log-added:' || lower(hex(log_id))"
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return {log_id: int(value) for log_id, value in rows}

    async def ready(self, log_id: bytes, now_ms: int) -> None:
        """Everything that it held was read, for the first time."""
        query = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING"
        values = (_READY + log_id.hex(), str(now_ms).encode())
        await self._database.write(lambda connection: connection.execute(query, values))

    async def is_ready(self, log_id: bytes) -> bool:
        """Whether everything that it held was read once."""
        query, values = "SELECT 1 FROM meta WHERE key = ?", (_READY + log_id.hex(),)
        return await self._database.read(lambda connection: connection.execute(query, values).fetchone()) is not None

    async def joined_ms(self, log_id: bytes) -> int:
        """When it joined logs of which one had been read as a whole a day before, at least; 0 for one of the first."""
        query = (
            "SELECT added.value FROM meta added WHERE added.key = ?1 AND EXISTS (SELECT 1 FROM meta WHERE key >= ?2 "
            "AND key < ?2 || 'g' AND key != ?3 AND CAST(CAST(value AS TEXT) AS INTEGER) + ?4 < added.value)"
        )
        values = (f"log-added:{log_id.hex()}", _READY, _READY + log_id.hex(), SETTING_UP_MS)
        row = await self._database.read(lambda connection: connection.execute(query, values).fetchone())
        return int(row[0]) if row is not None else 0

    async def accuse(self, log_id: bytes, evidence_name: str, alerts: Sequence[NewAlert], now_ms: int) -> list[str]:
        """The log contradicted itself: the evidence file's name and the alerts, at once. Returns the new ids."""

        def work(connection: sqlite3.Connection) -> list[str]:
            connection.execute("UPDATE logs SET accused = ? WHERE log_id = ?", (evidence_name, log_id))
            return insert_alerts(connection, alerts, now_ms)

        return await self._database.write(work)

    # Gaps -----------------------------------------------------------------------------------------------------------

    async def gaps(self, log_id: bytes | None = None) -> list[Gap]:
        """The gaps of one log, or of all."""
        where, values = ("WHERE log_id = ?", (log_id,)) if log_id is not None else ("", ())
        query = f"SELECT log_id, lo, hi, reason, since_ms, tried_ms FROM gaps {where} ORDER BY log_id, lo"
        return await self._database.read(lambda connection: [Gap(*row) for row in connection.execute(query, values)])

    async def fill(self, gap: Gap) -> None:
        """The entries of a gap were handed out after all, and what they raise is stored."""
        query = "DELETE FROM gaps WHERE log_id = ? AND lo = ?"
        await self._database.write(lambda connection: connection.execute(query, (gap.log_id, gap.lo)))

    async def tried(self, gap: Gap, now_ms: int) -> None:
        """They were asked for again, in vain."""
        query = "UPDATE gaps SET tried_ms = ? WHERE log_id = ? AND lo = ?"
        await self._database.write(lambda connection: connection.execute(query, (now_ms, gap.log_id, gap.lo)))

    # Heads ----------------------------------------------------------------------------------------------------------

    async def see(self, log_id: bytes, head: SignedHead, source: str, now_ms: int) -> HeadRow:
        """Remember a head that the log signed, before anything is done with it; the row as it is stored.

        Raises VerificationError (`impossible-size`) for one whose size or time no log can have.
        """
        _check_storable(head)
        key = head_id(head)
        values = (log_id, key, head.size, head.timestamp_ms, head.root, head.note, source, UNVERIFIED, now_ms)

        def work(connection: sqlite3.Connection) -> HeadRow:
            connection.execute(
                "INSERT INTO heads (log_id, id, size, timestamp_ms, root, note, source, state, first_seen_ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                values,
            )
            query = f"SELECT {_HEAD_COLUMNS} FROM heads WHERE log_id = ? AND id = ?"
            return HeadRow(*connection.execute(query, (log_id, key)).fetchone())

        return await self._database.write(work)

    async def judge(self, log_id: bytes, head: SignedHead, state: str, trusted: bytes | None = None) -> None:
        """What became of a head: CONSISTENT, MET or CONTRADICTS; and, where it changed, what is trusted since."""

        def work(connection: sqlite3.Connection) -> None:
            query = "UPDATE heads SET state = ? WHERE log_id = ? AND id = ?"
            connection.execute(query, (state, log_id, head_id(head)))
            if trusted is not None:
                connection.execute("UPDATE logs SET trusted = ? WHERE log_id = ?", (trusted, log_id))

        await self._database.write(work)

    async def heads(self, log_id: bytes, *states: str) -> list[HeadRow]:
        """The heads in these states (in any), the smallest and oldest first."""
        marks = ", ".join("?" * len(states))
        where = f"AND state IN ({marks})" if states else ""
        query = f"SELECT {_HEAD_COLUMNS} FROM heads WHERE log_id = ? {where} ORDER BY size, timestamp_ms"
        return await self._database.read(
            lambda connection: [HeadRow(*row) for row in connection.execute(query, (log_id, *states))]
        )

    async def forget_heads(self, log_id: bytes, keep_after_ms: int) -> int:
        """Drop heads that are a part of the tree that was rebuilt and were seen before this; how many they were.

        Heads that are not verified, and those that contradict, are kept for ever.
        """
        query = (
            "DELETE FROM heads WHERE log_id = ? AND state IN ('met', 'consistent') AND first_seen_ms < ? "
            "AND size <= (SELECT proven_size FROM logs WHERE logs.log_id = heads.log_id)"
        )
        return await self._database.write(
            lambda connection: connection.execute(query, (log_id, keep_after_ms)).rowcount
        )

    async def _select(self, where: str, values: tuple[object, ...]) -> list[LogRow]:
        query = f"SELECT {_COLUMNS} FROM logs {where}"
        return await self._database.read(
            lambda connection: [_log_row(row) for row in connection.execute(query, values)]
        )


def _check_storable(head: SignedHead) -> None:
    """SQLite's integers have 63 bits; so many entries, or milliseconds, there never were."""
    if max(head.size, head.timestamp_ms) >= 1 << 63:
        sentence = f"no tree has {head.size} entries at {head.timestamp_ms} ms after 1970"
        raise VerificationError(sentence, reason="impossible-size")


def head_id(head: SignedHead) -> bytes:
    """What tells heads apart: size, root and time; not the signature lines."""
    fields = head.size.to_bytes(8, "big") + head.timestamp_ms.to_bytes(8, "big") + head.root
    return hashlib.sha256(fields).digest()


def prove(connection: sqlite3.Connection, log_id: bytes, size: int) -> None:
    """Everything of this log below `size` is proven in a tree of `size` entries."""
    for table in ("alerts", "sightings"):
        query = f"UPDATE {table} SET proven = ? WHERE log_id = ? AND log_index < ? AND proven IS NULL"
        connection.execute(query, (size, log_id, size))


def disown(connection: sqlite3.Connection, log_id: bytes, size: int) -> None:
    """What was seen at `size` or later and never proven may stand anywhere, or nowhere: it is not in this tree yet."""
    where = "log_id = ? AND log_index >= ? AND proven IS NULL"
    connection.execute(f"UPDATE alerts SET log_index = NULL WHERE {where}", (log_id, size))
    connection.execute(f"DELETE FROM sightings WHERE {where}", (log_id, size))


def _position(position: Position) -> tuple[object, ...]:
    frontier, proven = position.frontier, position.proven
    joined = b"".join(frontier.hashes), b"".join(proven.hashes)
    return frontier.size, joined[0], proven.size, joined[1], position.met, position.trusted


def _log_row(row: Sequence[object]) -> LogRow:
    log_id, name, url, start, size, hashes, proven_size, proven_hashes, met, trusted, *rest = row
    position = Position(_frontier(size, hashes), _frontier(proven_size, proven_hashes), met, trusted)  # type: ignore[arg-type]  # SQLite's columns have no types
    return LogRow(log_id, name, url, start, position, *rest)  # type: ignore[arg-type]  # as above


def _frontier(size: object, hashes: object) -> Frontier:
    assert isinstance(size, int)
    assert isinstance(hashes, bytes)
    return Frontier(size, tuple(hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)))


