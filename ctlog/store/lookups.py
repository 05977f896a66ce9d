"""A LookupStore on an SQLite file: from hashes to places, cheap to add to and flat in memory.

In scope: the promises of `ctlog.store.LookupStore`. Out of scope: where the hashes come from, and whether an answer is
right, which the caller finds out.

Three trees (entry key, leaf hash, certificate hash) lead from the first 64 bits of a hash to an index. Whole hashes
would make the file more than twice as large and prove nothing, since every answer is compared with the tiles anyway.
Written at once, each entry would touch three random pages: 40 us of CPU at a million entries. So entries wait in
memory, in 256 slices by hash, and each `add` writes the slices whose turn it is, in order, into few pages: 11 us. An
entry is covered on disk when every slice had its turn after it came; the rest, 66,000 at most, the sequencer reads
again from the data tiles after a crash.

WAL with synchronous=NORMAL: no fsync per batch; a loss of power may take the newest rows and, as it stands in the same
transaction, the size that was covered.

Because a row that rots would be a duplicate that is not found (P6), opening adds up every row and compares with sums
that are kept with them: about 0.3 s for a million entries.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from bisect import bisect_right
from collections.abc import Sequence
from operator import mul
from pathlib import Path
from typing import NamedTuple

from ctlog.errors import ConfigError, UsageError
from ctlog.store import Candidate, LookupRow
from ctlog.store.sqlite import Database

_LOOKUP_ID = 0x63746C6C  # PRAGMA application_id, "ctll"
_SLICES = 256
_WAITING = 32_768  # entries in memory before slices are written: some 16 MB
_SETTLED_AT_ONCE = 16  # slices
_TABLES = ("entry", "leaf", "certificate")

_LOOKUP_SCHEMA = (
    *(
        f"CREATE TABLE {name} (prefix INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (prefix, place))"
        " WITHOUT ROWID"
        for name in _TABLES
    ),
    "CREATE TABLE times (first INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), record TEXT NOT NULL, digest BLOB NOT NULL)",
)

_SAVE = "INSERT OR REPLACE INTO state VALUES (1, ?, ?)"

_SUMS = (
    "SELECT count(*), coalesce(sum({0} >> 32), 0), coalesce(sum(({0} & 4294967295) - 2147483648), 0),"
    " coalesce(sum({1}), 0), coalesce(sum({1} < ?), 0) FROM {2}"
)  # halves, and the low one made signed, so that no sum leaves 64 bits below 2^32 rows


class _Sums(NamedTuple):
    """What is known of all rows of a table: how many, and the sums of their two columns."""

    rows: int = 0
    firsts: int = 0
    seconds: int = 0

    def plus(self, rows: Sequence[tuple[int, int]]) -> _Sums:
        firsts, seconds = map(sum, zip(*rows, strict=True)) if rows else (0, 0)
        return _Sums(self.rows + len(rows), self.firsts + firsts, self.seconds + seconds)


class KeySums(NamedTuple):
    """What can be said of many entry keys at once, so that they need not be looked up one by one: how many there are,
    and sums over their first 64 bits, over their places, and over products of both, which bind each to its own."""

    rows: int = 0
    high: int = 0
    low: int = 0
    places: int = 0
    products: int = 0

    def plus(self, lo: int, keys: bytes) -> KeySums:
        """With the keys (32 bytes each) of the entries from place `lo` on."""
        rows = len(keys) // 32
        words = struct.unpack(">" + "iHH24x" * rows, keys)  # the high half of the prefix, the quarters of the low one
        lasts, places = words[2::3], range(lo, lo + rows)
        return KeySums(
            self.rows + rows,
            self.high + sum(words[::3]),
            self.low + (sum(words[1::3]) << 16) + sum(lasts) - (rows << 31),
            self.places + sum(places),
            self.products + sum(map(mul, lasts, [place & 0xFFFF for place in places])),
        )


_KEY_SUMS = (
    "SELECT count(*), coalesce(sum(prefix >> 32), 0), coalesce(sum((prefix & 4294967295) - 2147483648), 0),"
    " coalesce(sum(place), 0), coalesce(sum((prefix & 65535) * (place & 65535)), 0) FROM entry WHERE place < ?"
)


class Contents(NamedTuple):
    """All that is on the disk of the entries [0, covered): the sums of their keys, and their times as (first place,
    time in ms), where each time holds up to the next place."""

    covered: int
    keys: KeySums
    times: list[tuple[int, int]]


class _State(NamedTuple):
    """The one record beside the trees: all entries below `covered` are on disk, and none from `touched` on."""

    log_id: str
    covered: int
    touched: int
    sums: dict[str, _Sums]

    def format(self) -> tuple[str, bytes]:
        record = json.dumps(self)
        return record, hashlib.sha256(record.encode()).digest()

    @classmethod
    def parse(cls, record: str, digest: bytes) -> _State:
        if hashlib.sha256(record.encode()).digest() != digest:
            raise ValueError("its state record is not the one that was written")
        log_id, covered, touched, sums = json.loads(record)
        return cls(log_id, covered, touched, {name: _Sums(*values) for name, values in sums.items()})


class SqliteLookupStore:
    """Three trees on disk, and before them the newest entries in memory."""

    def __init__(self, path: Path, log_id: bytes) -> None:
        """Open it, or make it: it is derived, so an empty one is only slow.

        Raises ConfigError when it is damaged or of another log; the way out is then to rebuild it.
        """
        try:
            self._database = Database(path, "rwc", "NORMAL")
            self._connection = self._database.connection
            with self._database.closed_on_error():
                self._connection.execute("PRAGMA cache_size = -8000")
                if not self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                    self._make(log_id)
                self._database.check(_LOOKUP_ID)
                self._check(log_id)
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise _damaged(path, str(error)) from error
        self._forget()

    async def size(self) -> int:
        """See LookupStore."""
        return await self._database.run(lambda: self._size)

    async def add(self, lo: int, rows: Sequence[LookupRow]) -> None:
        """See LookupStore."""
        await self._database.run(lambda: self._add(lo, rows))

    async def settle(self) -> bool:
        """See LookupStore. A call takes some 30 ms at most."""
        return await self._database.run(self._settle)

    async def by_entry_keys(self, keys: Sequence[bytes]) -> list[list[Candidate]]:
        """See LookupStore."""
        return await self._database.run(lambda: self._find("entry", keys))

    async def by_leaf_hash(self, leaf_hash: bytes) -> list[Candidate]:
        """See LookupStore."""
        return (await self._database.run(lambda: self._find("leaf", [leaf_hash])))[0]

    async def by_certificate_hash(self, certificate_hash: bytes) -> list[Candidate]:
        """See LookupStore."""
        return (await self._database.run(lambda: self._find("certificate", [certificate_hash])))[0]

    async def contents(self) -> Contents:
        """What is on the disk, to be compared with the tiles by `ctlog fsck`."""
        return await self._database.run(self._contents)

    async def close(self) -> None:
        """See LookupStore. What is in memory is written first, so that the next start has nothing to read again."""
        try:
            await self._database.run(lambda: None if self._is_settled() else self._write(_SLICES))
        finally:
            await self._database.close()

    # What follows runs in the one thread. ---------------------------------------------------------------------------

    def _forget(self) -> None:
        """The state of memory right after opening."""
        state = self._state()
        self._size = state.covered
        self._doubtful = state.touched  # rows below this may be on disk already, those from here on are not
        self._turn = 0  # the slice that is written next, and so the one that was written longest ago
        self._written = [state.covered] * _SLICES  # how many entries there were when each slice was written
        self._waiting = 0
        self._slices: dict[str, list[dict[int, tuple[int, ...]]]] = {
            name: [{} for _ in range(_SLICES)] for name in _TABLES
        }
        self._times: list[tuple[int, int]] = []

    def _make(self, log_id: bytes) -> None:
        state = _State(log_id.hex(), 0, 0, {name: _Sums() for name in (*_TABLES, "times")})
        schema = [(statement, ()) for statement in _LOOKUP_SCHEMA]
        self._database.make(_LOOKUP_ID, [*schema, (_SAVE, state.format())])

    def _check(self, log_id: bytes) -> None:
        """Every row against the sums, so that a lost or a rotten one is noticed."""
        state = self._state()
        if state.log_id != log_id.hex():
            raise ConfigError(f"{self._database.path}: the look-ups of another log")
        for name in (*_TABLES, "times"):
            columns = ("first", "timestamp_ms") if name == "times" else ("prefix", "place")
            query = _SUMS.format(*columns, name)
            rows, high, low, seconds, covered = self._connection.execute(query, (state.covered,)).fetchone()
            sums = _Sums(rows, (high << 32) + low + (rows << 31), seconds)
            if sums != state.sums[name] or (name != "times" and covered != state.covered):
                raise _damaged(self._database.path, f"the rows of {name} are not those that were written")

    def _state(self) -> _State:
        return _State.parse(*self._connection.execute("SELECT record, digest FROM state").fetchone())

    def _contents(self) -> Contents:
        covered = self._state().covered
        sums = KeySums(*self._connection.execute(_KEY_SUMS, (covered,)).fetchone())
        times = "SELECT first, timestamp_ms FROM times WHERE first < ? ORDER BY first"
        return Contents(covered, sums, self._connection.execute(times, (covered,)).fetchall())

    def _add(self, lo: int, rows: Sequence[LookupRow]) -> None:
        if lo > self._size:
            raise UsageError(f"rows from {lo} on do not follow the {self._size} that are covered")
        new = rows[self._size - lo :]
        columns = ("entry", [row.entry_key for row in new]), ("leaf", [row.leaf_hash for row in new])
        for name, values in (*columns, ("certificate", [row.certificate_hash for row in new])):
            slices = self._slices[name]
            for place, prefix in enumerate(_prefixes(values), self._size):
                waiting = slices[(prefix >> 56) + _SLICES // 2]
                waiting[prefix] = (*waiting[prefix], place) if prefix in waiting else (place,)
        for place, row in enumerate(new, self._size):
            if not self._times or self._times[-1][1] != row.timestamp_ms:
                self._times.append((place, row.timestamp_ms))
        self._size += len(new)
        self._waiting += len(new)
        turns = 0
        surplus = self._waiting - _WAITING
        while surplus > 0 and turns < _SLICES:
            surplus -= len(self._slices["entry"][(self._turn + turns) % _SLICES])
            turns += 1
        if turns:
            self._write(turns)

    def _is_settled(self) -> bool:
        return self._waiting == 0 and min(self._written) == self._size

    def _settle(self) -> bool:
        if not self._is_settled():
            self._write(_SETTLED_AT_ONCE)
        return not self._is_settled()

    def _write(self, turns: int) -> None:
        """Write the slices whose turn it is, in one transaction; memory forgets them when it is through."""
        due = [(self._turn + turn) % _SLICES for turn in range(turns)]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            state = self._state()
            sums = {name: state.sums[name].plus(self._insert(name, self._due_rows(name, due))) for name in _TABLES}
            sums["times"] = state.sums["times"].plus(self._insert("times", self._times))
            covered = self._size if turns == _SLICES else self._written[(due[-1] + 1) % _SLICES]
            self._connection.execute(_SAVE, _State(state.log_id, covered, self._size, sums).format())
            self._connection.execute("COMMIT")
        except BaseException:
            self._doubtful = self._size
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        for at in due:
            self._waiting -= sum(map(len, self._slices["entry"][at].values()))
            self._written[at] = self._size
            for name in _TABLES:
                self._slices[name][at] = {}
        self._turn = (self._turn + turns) % _SLICES
        self._times = self._times[-1:]  # kept, so that the next batch at the same time adds none

    def _due_rows(self, name: str, due: Sequence[int]) -> list[tuple[int, int]]:
        slices = (self._slices[name][at] for at in due)
        return [(prefix, place) for waiting in slices for prefix in sorted(waiting) for place in waiting[prefix]]

    def _insert(self, name: str, rows: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """Insert what is not there yet, and tell what was not."""
        statement = f"INSERT OR IGNORE INTO {name} VALUES (?, ?)"
        if name != "times" and all(place >= self._doubtful for _, place in rows):
            self._connection.executemany(statement, rows)
            return rows
        return [row for row in rows if self._connection.execute(statement, row).rowcount == 1]

    def _find(self, name: str, hashes: Sequence[bytes]) -> list[list[Candidate]]:
        prefixes = _prefixes(hashes)
        slices = self._slices[name]
        places = {prefix: set(slices[(prefix >> 56) + _SLICES // 2].get(prefix, ())) for prefix in prefixes}
        query = f"SELECT prefix, place FROM json_each(?) CROSS JOIN {name} ON prefix = value"
        for prefix, place in self._connection.execute(query, (json.dumps(list(places)),)):
            places[prefix].add(place)
        return [[Candidate(place, self._time(place)) for place in sorted(places[prefix])] for prefix in prefixes]

    def _time(self, place: int) -> int:
        at = bisect_right(self._times, (place, 1 << 63))
        if at:
            return self._times[at - 1][1]
        query = "SELECT timestamp_ms FROM times WHERE first <= ? ORDER BY first DESC LIMIT 1"
        found = self._connection.execute(query, (place,)).fetchone()
        if found is None:
            raise _damaged(self._database.path, f"the time of entry {place} is missing")
        time: int = found[0]
        return time


def _prefixes(hashes: Sequence[bytes]) -> tuple[int, ...]:
    """The first 64 bits of each hash, as a signed number."""
    return struct.unpack(">" + "q24x" * len(hashes), b"".join(hashes))


def _damaged(path: Path, what: str) -> ConfigError:
    sentence = f"{path}: the look-ups are damaged ({what}); they can be rebuilt from the tiles: ctlog reindex (P6)"
    return ConfigError(sentence, reason="lookup-damaged")
