"""The log list in a file, with its signature in another beside it: loaded, and loaded anew when either changes.

In scope: noticing a change without reading (size, time and inode of both files), keeping the list that is in use when
the new one is bad, with one line that says why. A list and its signature cannot be replaced in one step, so a
signature that does not fit is believed to be half of a change until the next look. Where a file for it is given, the
time of the newest list is kept there, durably and before that list is used, so that an older one is refused after a
restart too. Out of scope: what a list says, and when to look; whoever has a clock calls `refresh`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ctlog.client.log_list import MAX_BYTES, ListKey, LogList, check_successor, open_log_list
from ctlog.errors import CtlogError, SignatureError, StoreError, TransportError, VerificationError

_Stamp = tuple[tuple[int, int, int], tuple[int, int, int]]
_MAX_SIGNATURE = 4096


class LogListFile:
    """A list in `path`, its signature in `signature_path` (by default `path` with ".sig" at the end).

    `current` is the list in use, None before the first that was good; `error` what is wrong with the file as it is
    now, "" if nothing. `memory` is where the time of the newest list is kept; None: nowhere, and a restart forgets it.
    """

    def __init__(
        self, path: Path, keys: Sequence[ListKey], signature_path: Path | None = None, memory: Path | None = None
    ) -> None:
        self.path = path
        self.signature_path = signature_path or path.with_name(path.name + ".sig")
        self.current: LogList | None = None
        self.error = ""
        self._keys = tuple(keys)
        self._memory = memory
        self._seen: _Stamp | None = None
        self._half: _Stamp | None = None
        self._data = b""

    def load(self, now_ms: int) -> LogList:
        """Read the file for the first time. Raises CtlogError: TransportError, SignatureError, MalformedError,
        VerificationError; StoreError where the memory cannot be read or written."""
        stamp = self._stamp()
        self.current, self._data = self._read(now_ms)
        self._settle(stamp, "")
        return self.current

    def refresh(self, now_ms: int) -> bool:
        """Look whether the file has changed, and use what it says now; true if that is another list.

        Raises nothing: what is wrong is in `error`, and the list in use stays.
        """
        try:
            stamp = self._stamp()
        except CtlogError as error:
            self._settle(None, str(error))
            return False
        if stamp == self._seen and self._half is None:
            return False
        try:
            new, data = self._read(now_ms)
        except SignatureError as error:
            if self._half != stamp:
                self._half = stamp  # perhaps the other file is about to follow
            else:
                self._settle(stamp, str(error))
            return False
        except StoreError as error:
            self._settle(None, str(error))  # such as a full disk: tried again at the next look
            return False
        except CtlogError as error:
            self._settle(stamp, str(error))
            return False
        changed = data != self._data
        if changed:
            self.current, self._data = new, data
        self._settle(stamp, "")
        return changed

    def _settle(self, stamp: _Stamp | None, error: str) -> None:
        self._seen, self._half, self.error = stamp, None, error

    def _stamp(self) -> _Stamp:
        try:
            found = [path.stat() for path in (self.path, self.signature_path)]
        except OSError as error:
            raise TransportError(f"{error.filename} cannot be read: {error.strerror}", reason="no-log-list") from None
        first, second = ((one.st_size, one.st_mtime_ns, one.st_ino) for one in found)
        return first, second

    def _read(self, now_ms: int) -> tuple[LogList, bytes]:
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            with self.signature_path.open("rb") as file:
                signature = file.read(_MAX_SIGNATURE)
        except OSError as error:
            raise TransportError(f"{error.filename} cannot be read: {error.strerror}", reason="no-log-list") from None
        new = open_log_list(data, signature, self._keys)
        check_successor(new, self.current, now_ms)
        if self._memory is not None:
            _remember(self._memory, new.timestamp_ms)
        return new, data


def _remember(path: Path, timestamp_ms: int) -> None:
    """Refuse a list older than the newest one that was used, and keep the time of a newer one. One line of decimal
    milliseconds. Raises VerificationError "log-list-older"; StoreError."""
    try:
        newest_ms = int(path.read_bytes()[:32]) if path.exists() else 0
        if timestamp_ms < newest_ms:
            sentence = f"the log list is older than the one that was in use, as {path} says"
            raise VerificationError(sentence, reason="log-list-older")
        if timestamp_ms > newest_ms:
            temporary = path.with_name(path.name + ".new")
            with temporary.open("wb") as file:
                file.write(b"%d\n" % timestamp_ms)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except ValueError:
        sentence = f"{path} does not hold the time of a log list; moved away, an older list would no longer be noticed"
        raise StoreError(sentence, reason="bad-memory") from None
    except OSError as error:
        sentence = f"the time of the log list cannot be kept in {path}: {error.strerror}"
        raise StoreError(sentence, reason="no-memory") from None
