"""An ObjectStore on a directory, and the lock that keeps a second writer out.

In scope: writing files so that they survive a loss of power whole, and the rules of `ctlog.store.ObjectStore`. Out of
scope: what is in them. Needs a local POSIX file system with hard links (ext4, XFS, Btrfs, ZFS, tmpfs, APFS).

How one object is written, and why it costs two fsyncs:

    open(".tmp/N", O_CREAT | O_EXCL)    a name of its own, so that nobody ever sees half an object
    write, fsync, close                 1: the bytes are on the disk before any name leads to them
    link(".tmp/N", key)                 immutable: the kernel refuses a name that exists. Mutable keys: rename
    fsync(directory)                    2: the name is on the disk
    unlink(".tmp/N")

A batch does all of the first before any of the second, and each directory once; what is synced together is synced at
the same time, by a few threads, for a file system with a journal then commits once for all that wait. `prepare` stops
before the link, and `put_prepared` goes on there. When a directory is used for the first
time in a process, its name in its parent is made durable too, since an earlier process may have died before it did.

A write whose fsync failed may sit in the page cache and look durable to the next process. So the same bytes under an
immutable key are not taken for granted: they are written again, to a new file that replaces the old one. Still unsafe:
a failed fsync of a *directory*, repeated by the next process, may succeed without having written the directory. Linux
file systems with a journal stop accepting writes after such an error, which is what this relies on.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from ctlog.errors import ConfigError, FatalError, StoreError, UsageError
from ctlog.store import Collectable, Prepared, Space

_T = TypeVar("_T")

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")  # no segment begins with a dot
_TEMPORARY = ".tmp"
_SYNCED_AT_ONCE = 4  # a batch has three or four objects
_KNOWN_FOLDERS = 1024  # remembered as durable; forgetting one costs an fsync


class FilesystemObjectStore:
    """Objects as files below `root`, which exists. One thread writes, with others that only sync; two read."""

    def __init__(self, root: Path, collectable: Collectable) -> None:
        """Nothing is touched yet. `sweep` before the first write."""
        self._root = root
        self._collectable = collectable
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"write-{root.name}")
        self._syncers = ThreadPoolExecutor(_SYNCED_AT_ONCE - 1, thread_name_prefix=f"sync-{root.name}")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"read-{root.name}")
        self._names = count()
        self._folders: dict[Path, None] = {}  # known to be durable, the oldest first

    def path(self, key: str) -> Path:
        """The file of a key. Raises UsageError for what is no key, such as one that would lead out of the root."""
        if _KEY.fullmatch(key) is None:
            raise UsageError(f"{key!r} is no key of an object store")
        return self._root / key

    async def sweep(self) -> None:
        """Remove what a process that died left behind unfinished. For the one writer, before it writes."""
        await self._run(self._writer, self._sweep)

    async def put_many(self, objects: Sequence[tuple[str, bytes]], *, immutable: bool = True) -> None:
        """See ObjectStore."""
        await self._run(self._writer, lambda: self._put_many(objects, immutable))

    async def prepare(self, objects: Sequence[tuple[str, bytes | memoryview]]) -> Prepared:
        """See ObjectStore."""
        return await self._run(self._writer, lambda: self._prepare(objects))

    async def put_prepared(self, prepared: Prepared) -> None:
        """See ObjectStore."""
        await self._run(self._writer, lambda: self._put_prepared(prepared))

    async def drop_prepared(self, prepared: Prepared) -> None:
        """See ObjectStore."""
        await self._run(self._writer, lambda: _remove(map(Path, prepared.names)))

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """See ObjectStore."""
        target = self.path(key)
        temporary = self._temporary_name()
        handle = await self._run(self._writer, lambda: self._create(temporary, 0o444))
        try:
            async for chunk in chunks:
                await self._run(self._writer, lambda piece=chunk: _write_all(handle, piece))  # type: ignore[misc]
            await self._run(self._writer, lambda: os.fsync(handle))
        except BaseException:
            await self._run(self._writer, lambda: _discard(handle, temporary))
            raise
        await self._run(self._writer, lambda: self._finish_stream(handle, temporary, target))

    async def get(self, key: str) -> bytes | None:
        """See ObjectStore."""
        path = self.path(key)
        return await self._run(self._readers, lambda: _read(path))

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See ObjectStore."""
        paths = [self.path(key) for key in keys]
        return await self._run(self._readers, lambda: [_read(path) for path in paths])

    async def get_range(self, key: str, lo: int, hi: int) -> bytes | None:
        """See ObjectStore."""
        if not 0 <= lo <= hi:
            raise UsageError(f"[{lo}, {hi}) is no range of bytes")
        path = self.path(key)
        return await self._run(self._readers, lambda: _read(path, lo, hi))

    async def list_keys(self, prefix: str) -> list[str]:
        """See ObjectStore."""
        if prefix and not prefix.endswith("/"):
            raise UsageError('a prefix to list ends in "/"')
        folder = self.path(prefix[:-1]) if prefix else self._root
        return await self._run(self._readers, lambda: sorted(self._list(folder)))

    async def delete_many(self, keys: Sequence[str]) -> None:
        """See ObjectStore. A removal that a loss of power undoes is harmless, so nothing is synced."""
        for key in keys:
            if not self._collectable.covers(key):
                raise FatalError(f"{key} was to be deleted, which was never declared collectable", promise="P5")
        paths = [self.path(key) for key in keys]
        await self._run(self._writer, lambda: self._delete_many(paths))

    async def modified_ms(self, key: str) -> int | None:
        """See ObjectStore."""
        path = self.path(key)
        return await self._run(self._readers, lambda: _modified_ms(path))

    async def space(self) -> Space | None:
        """See ObjectStore."""
        return await self._run(self._readers, lambda: space_of(self._root))

    async def close(self) -> None:
        """See ObjectStore."""
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._syncers.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    async def _run(self, executor: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, work)
        except OSError as error:
            raise StoreError(f"{self._root}: {error}") from error

    # What follows runs in a thread. ---------------------------------------------------------------------------------

    def _put_many(self, objects: Sequence[tuple[str, bytes]], immutable: bool) -> None:
        targets = [self.path(key) for key, _ in objects]
        temporaries = self._write_temporaries([data for _, data in objects], 0o444 if immutable else 0o644)
        self._place_all(temporaries, targets, immutable)

    def _prepare(self, objects: Sequence[tuple[str, bytes | memoryview]]) -> Prepared:
        keys = tuple(key for key, _ in objects)
        for key in keys:
            self.path(key)
        names = self._write_temporaries([data for _, data in objects], 0o444)
        return Prepared(keys, tuple(map(str, names)))

    def _put_prepared(self, prepared: Prepared) -> None:
        self._place_all(list(map(Path, prepared.names)), list(map(self.path, prepared.keys)), immutable=True)

    def _place_all(self, temporaries: Sequence[Path], targets: Sequence[Path], immutable: bool) -> None:
        """Give files whose bytes are durable their names, durably; nothing of `temporaries` is left."""
        try:
            for folder in dict.fromkeys(target.parent for target in targets):
                self._make_folder(folder)
            with _open_folders(target.parent for target in targets) as folders:
                for temporary, target in zip(temporaries, targets, strict=True):
                    _place(temporary, target, immutable)
                self._sync(folders)
        finally:
            _remove(temporaries)

    def _write_temporaries(self, datas: Sequence[bytes | memoryview], mode: int) -> list[Path]:
        """All written, then all synced: the disk can then take several in one turn."""
        names = [self._temporary_name() for _ in datas]
        handles: list[int] = []
        try:
            for name, data in zip(names, datas, strict=True):
                handles.append(self._create(name, mode))
                _write_all(handles[-1], data)
            self._sync(handles)
            while handles:
                os.close(handles.pop())  # popped first: a handle is gone even where close fails
        except BaseException:
            for handle in handles:
                with contextlib.suppress(OSError):
                    os.close(handle)
            _remove(names)
            raise
        return names

    def _sync(self, handles: Sequence[int]) -> None:
        """All at the same time; returns, or raises what the first one raised, when none is under way any more."""
        others = [self._syncers.submit(os.fsync, handle) for handle in handles[1:]]
        try:
            for handle in handles[:1]:
                os.fsync(handle)
        finally:
            errors = [other.exception() for other in others]
        for error in errors:
            if error is not None:
                raise error

    def _create(self, path: Path, mode: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, mode)
        except FileNotFoundError:  # the first temporary file ever
            path.parent.mkdir()
            return os.open(path, flags, mode)

    def _finish_stream(self, handle: int, temporary: Path, target: Path) -> None:
        try:
            os.close(handle)
            self._make_folder(target.parent)
            with _open_folders([target.parent]) as folders:
                _place(temporary, target, immutable=True)
                os.fsync(folders[0])
        finally:
            _remove([temporary])

    def _make_folder(self, folder: Path) -> None:
        """The folder and all above it up to the root exist, durably."""
        if folder in self._folders or folder == self._root:
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        with _open_folders([folder.parent]) as parents:
            os.fsync(parents[0])
        self._folders[folder] = None
        if len(self._folders) > _KNOWN_FOLDERS:
            del self._folders[next(iter(self._folders))]

    def _delete_many(self, paths: Sequence[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in dict.fromkeys(path.parent for path in paths):
            if folder.name.endswith(".p"):  # the folder of a tile's partial ones, none of which comes back
                self._folders.pop(folder, None)
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _list(self, folder: Path) -> Iterable[str]:
        try:
            children = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for child in children:
            if child.name == _TEMPORARY:
                continue
            if child.is_dir(follow_symlinks=False):
                yield from self._list(Path(child.path))
            else:
                yield Path(child.path).relative_to(self._root).as_posix()

    def _sweep(self) -> None:
        folder = self._root / _TEMPORARY
        folder.mkdir(exist_ok=True)
        for child in folder.iterdir():
            child.unlink()

    def _temporary_name(self) -> Path:
        return self._root / _TEMPORARY / f"{os.getpid()}-{next(self._names)}"


class FolderLock:
    """Held while a process may write to a log's folder: an flock on a file in it, released when the process ends."""

    def __init__(self, path: Path) -> None:
        """Take it. Raises ConfigError if another process has it, or if the file cannot be opened."""
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"{path}: the lock of the log's folder cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._handle)
            sentence = f"{path}: another process is writing to this log; stop it first (P1)"
            raise ConfigError(sentence, reason="second-writer") from None

    def release(self) -> None:
        """Let it go."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


def space_of(path: Path) -> Space:
    """The room on the file system of `path`, as an unprivileged user sees it."""
    found = os.statvfs(path)
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, found.f_favail, found.f_files)


def _write_all(handle: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _place(temporary: Path, target: Path, immutable: bool) -> None:
    """Give the temporary file its name. An immutable key that exists must hold the same bytes, and gets them anew."""
    if immutable:
        try:
            os.link(temporary, target)
        except FileExistsError:
            if temporary.read_bytes() != target.read_bytes():
                raise FatalError(f"{target} exists and has other bytes than it was to get", promise="P5") from None
        else:
            return
    temporary.rename(target)


class _open_folders:  # noqa: N801 - used as a statement
    """Handles of the folders, each once, opened before anything is placed in them, so that no error is lost."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(dict.fromkeys(folders))
        self._handles: list[int] = []

    def __enter__(self) -> list[int]:
        try:
            for folder in self._folders:
                self._handles.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError:
            self.__exit__()
            raise
        return self._handles

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            with contextlib.suppress(OSError):  # nothing was written through it
                os.close(handle)


def _discard(handle: int, temporary: Path) -> None:
    with contextlib.suppress(OSError):
        os.close(handle)
    _remove([temporary])


def _remove(temporaries: Iterable[Path]) -> None:
    for temporary in temporaries:
        with contextlib.suppress(OSError):  # `sweep` removes what is left
            temporary.unlink(missing_ok=True)


def _read(path: Path, lo: int = 0, hi: int | None = None) -> bytes | None:
    try:
        with path.open("rb", buffering=0) as file:
            if hi is None:
                return file.readall()
            parts = []
            while lo < hi and (part := os.pread(file.fileno(), hi - lo, lo)):
                parts.append(part)
                lo += len(part)
            return b"".join(parts)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _modified_ms(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except (FileNotFoundError, NotADirectoryError):
        return None
