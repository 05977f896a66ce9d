"""Files that a command makes: never in the place of another, and never half of one.

In scope: whether a file can be made there, which is asked before anything happens that cannot be taken back (a
certificate that is logged stays logged); writing it whole or not at all: beside its place first, then put there by a
link, which the system gives only where nothing is. Out of scope: what is done with contents that found no place.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctlog.errors import UsageError

_MODE = 0o666
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # of file systems such as FAT


def check_new(*paths: Path | None) -> None:
    """Can each of these files be made, none of them there and no two the same? None: one that is not asked for.

    Raises UsageError "file-exists", "same-file", "no-place".
    """
    seen: dict[Path, Path] = {}
    for path in (each for each in paths if each is not None):
        if os.path.lexists(path):
            raise UsageError(f"{path} is there already; nothing is overwritten", reason="file-exists")
        place = path.parent.resolve() / path.name
        if place in seen:
            raise UsageError(f"two files would be one: {seen[place]} and {path}", reason="same-file")
        seen[place] = path
        check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Can files be made in it? Raises UsageError "no-place"."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        sentence = f"no file can be made in {folder}: {error.strerror or error}"
        raise UsageError(sentence, reason="no-place") from None


def write_new(path: Path, data: bytes, mode: int = _MODE) -> None:
    """Make a file that is there whole or not at all, and durable. mode: as for `open`, before the umask.

    Raises FileExistsError, also for one that came into being just now; OSError.
    """
    with _beside(path, data, mode, durable=True) as whole:
        _put(whole, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keep_new(path: Path, data: bytes) -> bool:
    """The same for files by the thousand that can be had again: one that holds `data` already is left as it is, and is
    good. False: there is another in its place, which is left as it is too. Raises OSError.
    """
    try:
        with _beside(path, data, _MODE, durable=False) as whole:
            _put(whole, path)
    except FileExistsError:
        return path.is_file() and path.read_bytes() == data
    return True


@contextmanager
def _beside(path: Path, data: bytes, mode: int, *, durable: bool) -> Iterator[Path]:
    """A file beside `path` with this content; in the end its name is gone."""
    whole = path.with_name(f".ctlog-{os.getpid()}-{os.urandom(8).hex()}")
    with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        try:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            yield whole
        finally:
            whole.unlink(missing_ok=True)


def _put(whole: Path, path: Path) -> None:
    """Give a file its name. Raises FileExistsError where that is taken."""
    try:
        os.link(whole, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        whole.rename(path)
