"""The channels `file` and `stdout`: one JSON object a line, for programs that read along.

In scope: a line that is on the disk when `send` returns, or not there at all; a file that others rotate (it is opened
anew for every letter). Out of scope: rotating it.

Disks and pipes can hang for ever, and nothing can end a thread that waits for them. So each channel has one thread, and
while that hangs, the next letters fail at once.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from monitor.config import Key
from monitor.rules.values import say_time
from monitor.tell.channel import DeliveryError, Table, TableError, read_table
from monitor.tell.letter import Letter

FILE_KEYS = (
    Key("path", str, None, "The file to which a line is added for every alert; made where there is none, readable by "
        "its owner only."),
)  # fmt: skip
STDOUT_KEYS = (
    Key("format", str, "json", "`json`: one object a line; `text`: what an e-mail would say."),
)  # fmt: skip
LIMIT_S = 10.0
MODE = 0o600


class _Lines:
    """What both have in common: one thread that writes."""

    limit_s = LIMIT_S
    for_people = False

    def __init__(self, name: str, table: Table) -> None:
        self.name = name
        self.table = table
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"channel {name}")
        self._running: Future[None] | None = None

    async def _write(self, work: Callable[[bytes], None], line: bytes) -> None:
        if self._running is not None and not self._running.done():
            raise DeliveryError("an earlier line is still being written: the disk or the reader does not answer")
        self._running = self._thread.submit(work, line)
        try:
            await asyncio.wrap_future(self._running)
        except OSError as error:
            raise DeliveryError(f"it cannot be written: {error.strerror or error}") from error


class FileChannel(_Lines):
    """Adds to a file. Relative paths are relative to the folder of the configuration."""

    def __init__(self, name: str, table: Table, folder: Path) -> None:
        super().__init__(name, table)
        self._path = folder / read_table(table, FILE_KEYS, "path")["path"]

    @property
    def where(self) -> str:
        """The path."""
        return str(self._path)

    async def send(self, letter: Letter) -> None:
        """Add its line, durably. Raises DeliveryError, and then the file is as it was."""
        await self._write(self._append, json_line(letter))

    def _append(self, line: bytes) -> None:
        is_new = not self._path.exists()
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line  # somebody was killed in the middle of his line
            try:
                _write_all(handle, line)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
        if is_new:
            _sync_folder(self._path.parent)


class StdoutChannel(_Lines):
    """Writes to standard output, for whatever runs the monitor to collect."""

    def __init__(self, name: str, table: Table, out: BinaryIO | None = None) -> None:
        super().__init__(name, table)
        self._format = read_table(table, STDOUT_KEYS)["format"]
        if self._format not in ("json", "text"):
            raise TableError("the format is `json` or `text`", "format")
        self._out = out

    @property
    def where(self) -> str:
        """For people."""
        return "standard output"

    async def send(self, letter: Letter) -> None:
        """Write it. Raises DeliveryError."""
        text = f"{letter.subject}\n\n{letter.text}\n".encode()
        await self._write(self._print, json_line(letter) if self._format == "json" else text)

    def _print(self, line: bytes) -> None:
        out = self._out or sys.stdout.buffer
        out.write(line)
        out.flush()


def json_line(letter: Letter) -> bytes:
    """A letter as one line. `message` is the same however often it is written."""
    document = {
        "message": letter.id,
        "type": letter.kind,
        "time": say_time(letter.made_ms),
        "subject": letter.subject,
        "data": letter.document,
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _write_all(handle: int, data: bytes) -> None:
    """A disk that is nearly full takes a part, and refuses the rest."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
