"""The files of the history: sorted runs that are mapped and merged, names that are numbered, and durable writes.

In scope: one file each. Out of scope: which files are in force, and when any of this is done (`monitor.history`).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from ctlog.errors import StoreError
from monitor.claims import RECORD_SIZE
from monitor.hot import HOT

MAX_NAMES = 1 << 16
"""Names beyond these are kept as a hash only: no flood of invented holders fills the memory."""
HASHED = 1 << 31
"""The numbers from here on stand for names of which only a hash is known."""
MAX_NAME = 1024  # octets; what is longer is cut
MERGE_RECORDS = 1 << 16  # what a merge holds in memory

_RECORDS = struct.Struct(f"{RECORD_SIZE}s")
_first: Any = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Run:
    """A file of sorted records, mapped. `level` says how often its records were merged."""

    name: str
    level: int
    data: mmap.mmap | bytes

    def __len__(self) -> int:
        return len(self.data) // RECORD_SIZE

    def find(self, key: bytes) -> int:
        """The place of the first record that is not below `key`."""
        data = self.data
        size = len(key)
        return bisect_left(range(len(self)), key, key=lambda at: data[RECORD_SIZE * at : RECORD_SIZE * at + size])

    def records(self, lo: int, hi: int) -> list[bytes]:
        """The records at the places [lo, hi)."""
        return split_records(self.data[RECORD_SIZE * lo : RECORD_SIZE * hi])


def split_records(data: bytes) -> list[bytes]:
    """A buffer of whole records, one by one."""
    return list(map(_first, _RECORDS.iter_unpack(data)))


class Names:
    """Names and their numbers, in memory and in a file that only grows. Raises StoreError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error}", reason="history-damaged") from error
        self._names = [""]
        self._size = 0  # of the file, as far as it is durable; a crash may leave half a name behind that
        while (end := self._size + 2 + int.from_bytes(data[self._size : self._size + 2], "big")) <= len(data):
            self._names.append(data[self._size + 2 : end].decode("utf-8", "replace"))
            self._size = end
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._pending: list[bytes] = []

    def number(self, name: str) -> int:
        """See `History.name_number`."""
        found = self._numbers.get(name)
        if found is not None:
            return found
        data = name.encode("utf-8", "replace")[:MAX_NAME]
        name = data.decode("utf-8", "replace")
        if name not in self._numbers:
            if len(self._names) > MAX_NAMES:
                return HASHED | int.from_bytes(hashlib.sha256(data).digest()[:4], "big") >> 1
            self._numbers[name] = len(self._names)
            self._names.append(name)
            self._pending.append(len(data).to_bytes(2, "big") + data)
        return self._numbers[name]

    def name(self, number: int) -> str:
        """See `History.name`."""
        return self._names[number] if number < len(self._names) else ""

    def items(self) -> Iterator[tuple[int, str]]:
        """See `History.names`."""
        return ((number, name) for number, name in enumerate(list(self._names)) if number)

    def flush(self) -> None:
        """Make them durable. Raises OSError; nothing is lost by calling it again."""
        data = b"".join(self._pending)
        if data:
            write_at(self._file, data, self._size)
            self._size += len(data)
            self._pending = []

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def write_at(file: int, data: bytes, offset: int) -> None:
    """Write this there, durably. Raises OSError; whatever was written then is written over by the next call."""
    if os.pwrite(file, data, offset) != len(data):
        raise OSError("the disk took only a part")
    os.fdatasync(file)


def merged(runs: Sequence[Run]) -> Iterator[bytes]:
    """All records of sorted runs, in order, each once, in pieces.

    From each run comes a piece; what is not above the smallest of the pieces' ends is complete, and is sorted in one
    go, which for sorted parts is a merge.
    """
    places = [0] * len(runs)
    at_once = max(MERGE_RECORDS // len(runs), 1)
    while True:
        pieces = [Run("", 0, run.data[RECORD_SIZE * at : RECORD_SIZE * (at + at_once)])
                  for run, at in zip(runs, places, strict=True)]  # fmt: skip
        ends = [piece.data[-RECORD_SIZE:] for piece in pieces if piece.data]
        if not ends:
            return
        bound = min(ends)
        taken = []
        for number, piece in enumerate(pieces):
            count = piece.find(bound)
            count += piece.data[RECORD_SIZE * count : RECORD_SIZE * (count + 1)] == bound
            taken.append(piece.data[: RECORD_SIZE * count])
            places[number] += count
        yield sort_records(b"".join(taken))


def sort_records(records: bytes) -> bytes:
    """Whole records, one behind the other, in order and each once."""
    if HOT is not None:
        found: bytes = HOT.sort_records(records)
        return found
    return b"".join(sorted(set(split_records(records))))


def map_file(path: Path) -> mmap.mmap | bytes:
    """A file's bytes, read when they are looked at."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def replace_file(path: Path, data: bytes) -> None:
    """The file holds these bytes, durably, or still the ones before. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
