"""Every claim that any followed log ever made, 40 octets each, found by label: sorted runs on disk, mapped to be read.

In scope: appending, looking up, and merging runs, with bounded memory whatever their number. A record is durable when
`flush` returned; the state's position is advanced after that, so what the position has passed is here. After a crash
the entries behind the position come again, and what is here twice counts once. Out of scope: what a record says
(`monitor.claims`). All of it can be made again from the logs.

    FOLDER/names            each name once: 16 bits of length, UTF-8; its number is its place, from 1 on
    FOLDER/manifest         JSON: version, label version, the logs by number, the runs in order; replaced as a whole
    FOLDER/tail-N           records as they came; FOLDER/run-N  sorted, each record once

Not for two writers: the state's lock covers it. `append`, `flush` and look-ups belong to one thread; `tidy` may run in
another one.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from ctlog.errors import StoreError
from ctlog.tn.labels import LABEL_VERSION, Label
from monitor.claims import MAX_LOGS, RECORD_SIZE, Claim, label_key, parse_claim
from monitor.history_files import Names, Run, map_file, merged, replace_file, sort_records, write_at

VERSION = 1
FULL = "history-full"
"""The reason of the StoreError for a log that has no place in the history any more."""
TAIL_RECORDS = 1 << 17
"""Records that are kept in memory, unsorted on disk: 5 MB each."""
FAN_IN = 8
"""Runs of one size that are merged into the next."""

_ANEW = "fill a new one with `ctlog-monitor backfill -d DIR --history`"
_MANIFEST = "manifest"
_NAMES = "names"


def make_history(folder: Path) -> None:
    """Make an empty history; what was begun and not finished is made again. For `init` alone. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / _MANIFEST).exists():
            (folder / "tail-1").touch(mode=0o600)
            (folder / _NAMES).touch(mode=0o600)
            _write_manifest(folder, {"next": 1, "tail": "tail-1", "logs": [], "runs": []})
    except OSError as error:
        raise StoreError(f"{folder}: the history cannot be made: {error}", reason="history-unmade") from error


class History:
    """The history in one folder. Raises StoreError: history-missing, history-damaged, history-version."""

    def __init__(
        self, folder: Path, *, tail_records: int = TAIL_RECORDS, fan_in: int = FAN_IN, is_reader: bool = False
    ) -> None:
        """is_reader: for look-ups alone, beside the monitor that writes. As it is now: what comes later is not seen."""
        self._folder = folder
        self._tail_records = tail_records
        self._fan_in = fan_in
        self._lock = threading.Lock()  # over the manifest; held for a moment only
        self._logs: list[str] = []
        self._numbers: dict[bytes, int] = {}
        self._runs: tuple[Run, ...] = ()
        self._next = 1
        self._tail_name = ""
        self._pending: list[bytes] = []  # to be written
        self._fresh: list[bytes] = []  # not yet among the sorted
        self._sorted: list[bytes] = []  # sorted records, each buffer at most half of the one before it
        self._load()
        if not is_reader:
            self._sweep()
        self._names = Names(folder / _NAMES)
        self._file, tail = self._open_tail()
        self._fresh.append(tail)
        self._size = self._taken = len(tail)  # of the tail's file, as far as it is durable; with what is pending
        self._is_ending = False

    # Writing --------------------------------------------------------------------------------------------------------

    def log_number(self, log_id: bytes) -> int:
        """The number by which records name a log; a new one is stored at once. Raises StoreError, `FULL`."""
        number = self._numbers.get(log_id)
        if number is None:
            self.check_room(log_id)
            number = len(self._logs)
            with self._lock:
                self._save([*self._logs, log_id.hex()])
                self._logs = [*self._logs, log_id.hex()]
            self._numbers[log_id] = number
        return number

    def check_room(self, log_id: bytes) -> None:
        """Raises StoreError, `FULL`, for a log that is one too many."""
        if log_id not in self._numbers and len(self._logs) >= MAX_LOGS:
            raise StoreError(f"the history has room for {MAX_LOGS:,} logs, ended ones included", reason=FULL)

    def log_id(self, number: int) -> bytes:
        """The inverse of `log_number`."""
        return bytes.fromhex(self._logs[number])

    def name_number(self, name: str) -> int:
        """The number by which records name an issuer or a holder; 0 for ""."""
        return self._names.number(name)

    def name(self, number: int) -> str:
        """The inverse of `name_number`; "" for 0, and for a name that came after the first 65,536, of which the number
        is a hash: equal numbers are equal names even so."""
        return self._names.name(number)

    def names(self) -> Iterator[tuple[int, str]]:
        """Every name with its number, but for those of which only a hash is kept."""
        return self._names.items()

    def append(self, records: bytes) -> None:
        """Take whole records in, one behind the other; they are found at once, and durable after the next `flush`."""
        self._pending.append(records)
        self._fresh.append(records)
        self._taken += len(records)

    def flush(self) -> None:
        """Make everything durable that was appended. Raises StoreError; nothing is lost by calling it again."""
        if self._pending:
            data = b"".join(self._pending)
            try:
                self._names.flush()  # before the records that use them
                write_at(self._file, data, self._size)
            except OSError as error:
                raise StoreError(f"{self._folder}: the history cannot be written: {error}", reason="store") from error
            self._size += len(data)
            self._pending = []
        if self._size >= RECORD_SIZE * self._tail_records:
            self._roll()

    def tidy(self) -> bool:
        """Merge one set of runs, if there are enough of one level. True where there may be more to do."""
        for level, same in groupby(self._runs, lambda run: run.level):
            runs = list(same)
            if len(runs) >= self._fan_in:
                self._merge(runs, level + 1)
                return True
        return False

    def stop_tidying(self) -> None:
        """End a merge in another thread soon: it raises StoreError, and leaves everything as it was."""
        self._is_ending = True

    def close(self) -> None:
        """Let go of the files. What was not flushed is gone."""
        os.close(self._file)
        self._names.close()
        self._runs = ()

    # Reading --------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._taken // RECORD_SIZE + sum(len(run) for run in self._runs)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, the widest and oldest first."""
        return self._runs

    def lookup(self, label: Label) -> list[Claim]:
        """Every claim of this label, in order of notBefore."""
        return self.lookup_key(label_key(label))

    def lookup_key(self, key: int) -> list[Claim]:
        """The same by `label_key` or `spki_key`."""
        return self.between(key, key + 1)

    def between(self, lo: int, hi: int, *, limit: int | None = None) -> list[Claim]:
        """Every claim whose key lies in [lo, hi), in order; the first `limit` of them."""
        first, stop = lo.to_bytes(8, "big"), hi.to_bytes(8, "big")
        self._sort()
        found: set[bytes] = set()
        for run in self._everything():
            places = run.find(first), run.find(stop)
            found.update(run.records(places[0], places[1] if limit is None else min(places[1], places[0] + limit)))
        return [parse_claim(record) for record in sorted(found)[:limit]]

    def scan(self, lo: int = 0, hi: int = 1 << 64, at_once: int = 1 << 14) -> Iterator[list[bytes]]:
        """Every record whose key lies in [lo, hi), in pieces, in no order and some perhaps twice: for what is long, and
        for what has no key, such as holders."""
        first = lo.to_bytes(8, "big")
        stop = hi.to_bytes(8, "big") if hi < 1 << 64 else b"\xff" * (RECORD_SIZE + 1)
        self._sort()
        for run in self._everything():
            end = run.find(stop)
            for at in range(run.find(first), end, at_once):
                yield run.records(at, min(at + at_once, end))

    def _everything(self) -> tuple[Run, ...]:
        """The runs, and what is in memory as runs."""
        return (*self._runs, *(Run("", 0, records) for records in self._sorted))

    # The tail -------------------------------------------------------------------------------------------------------

    def _sort(self) -> None:
        """Take what is fresh among the sorted; each record is moved a few times only, however often this is asked."""
        if any(self._fresh):
            data = sort_records(b"".join(self._fresh))
            while self._sorted and len(self._sorted[-1]) <= 2 * len(data):
                data = sort_records(self._sorted.pop() + data)
            self._sorted.append(data)
        self._fresh = []

    def _open_tail(self) -> tuple[int, bytes]:
        path = self._folder / self._tail_name
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}", reason="history-damaged") from error
        # A crash amid a write leaves a part of a record: no flush returned for it, so it will come again.
        return file, data[: len(data) - len(data) % RECORD_SIZE]

    def _roll(self) -> None:
        """The tail becomes a run, and a new one begins."""
        run = self._write_run(0, [sort_records(b"".join((*self._sorted, *self._fresh)))])
        with self._lock:
            old, self._tail_name = self._tail_name, self._new_name("tail")
            self._runs = (*self._runs, run)
            (self._folder / self._tail_name).touch(mode=0o600)  # before the manifest, which syncs the folder
            self._save()
        os.close(self._file)
        self._file, _ = self._open_tail()
        self._fresh, self._sorted, self._size, self._taken = [], [], 0, 0
        (self._folder / old).unlink(missing_ok=True)

    # Runs -----------------------------------------------------------------------------------------------------------

    def _merge(self, runs: list[Run], level: int) -> None:
        wide = self._write_run(level, merged(runs))
        gone = {run.name for run in runs}
        with self._lock:
            rest = [run for run in self._runs if run.name not in gone]
            self._runs = tuple(sorted([*rest, wide], key=lambda run: -run.level))
            self._save()
        for name in gone:
            (self._folder / name).unlink(missing_ok=True)  # whoever reads it still may: it is mapped

    def _write_run(self, level: int, pieces: Iterable[bytes]) -> Run:
        with self._lock:
            name = self._new_name("run")
        path = self._folder / name
        try:
            with path.open("xb") as file:
                for piece in pieces:
                    if self._is_ending and level:
                        raise OSError("the monitor ends")
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            return Run(name, level, map_file(path))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StoreError(f"{path}: the history cannot be written: {error}", reason="store") from error

    # The manifest ---------------------------------------------------------------------------------------------------

    def _new_name(self, kind: str) -> str:
        self._next += 1
        return f"{kind}-{self._next}"

    def _save(self, logs: list[str] | None = None) -> None:
        runs = [[run.name, run.level, len(run)] for run in self._runs]
        logs = self._logs if logs is None else logs
        try:
            _write_manifest(self._folder, {"next": self._next, "tail": self._tail_name, "logs": logs, "runs": runs})
        except OSError as error:
            raise StoreError(f"{self._folder}: the history cannot be written: {error}", reason="store") from error

    def _load(self) -> None:
        path = self._folder / _MANIFEST
        if not path.exists():
            sentence = f"{path} is missing. It is never made anew by itself: restore it, or {_ANEW}"
            raise StoreError(sentence, reason="history-missing")
        try:
            value = json.loads(path.read_bytes())
            version = value["version"], value["labels"]
            self._next, self._tail_name, self._logs = value["next"], value["tail"], list(value["logs"])
            self._numbers = {bytes.fromhex(name): number for number, name in enumerate(self._logs)}
            rows = [(name, level, count) for name, level, count in value["runs"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged: {error}; {_ANEW}", reason="history-damaged") from error
        if version != (VERSION, LABEL_VERSION):
            sentence = f"{path} has version {version}, this program {(VERSION, LABEL_VERSION)}: {_ANEW}"
            raise StoreError(sentence, reason="history-version")
        runs = []
        for name, level, count in rows:
            run = self._folder / name
            if not run.exists() or run.stat().st_size != RECORD_SIZE * count:
                raise StoreError(f"{run} is missing or not whole: {_ANEW}", reason="history-damaged")
            runs.append(Run(name, level, map_file(run)))
        self._runs = tuple(runs)

    def _sweep(self) -> None:
        """Remove what a crash left: files that the manifest does not name."""
        known = {_MANIFEST, self._tail_name, *(run.name for run in self._runs)}
        for path in self._folder.iterdir():
            if path.name not in known and path.name.startswith(("run-", "tail-", "manifest.")):
                path.unlink()


def _write_manifest(folder: Path, value: dict[str, Any]) -> None:
    replace_file(folder / _MANIFEST, json.dumps({"version": VERSION, "labels": LABEL_VERSION, **value}).encode())
