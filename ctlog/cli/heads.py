"""The head of each log that was verified last, one file for each log id: the log can never take it back unnoticed.

A head is replaced only by somebody who read the bytes that are there (compare-and-swap under a lock), durably. What is
stored is the log's own checkpoint, whose signature is checked again when it is read (`TrustedLog.resume`).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ctlog.errors import StoreError


class HeadFile:
    """The last verified checkpoint of one log. Raises OSError where the folder cannot be written."""

    def __init__(self, folder: Path, log_id: bytes) -> None:
        self.path = folder / "heads" / log_id.hex()

    def load(self) -> bytes | None:
        """The checkpoint's bytes, or None where none was ever verified."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def replace(self, old: bytes | None, new: bytes) -> None:
        """Put `new` in the place of `old`. Raises StoreError with the reason "moved" when something else is there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if self.load() != old:
                raise StoreError(f"{self.path} was changed by another command at the same time", reason="moved")
            temporary = self.path.with_suffix(".new")
            with temporary.open("wb") as file:
                file.write(new)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            os.fsync(folder)
        finally:
            os.close(folder)
