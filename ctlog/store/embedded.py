"""The shelves of one log in one folder, and its heads in a file elsewhere: the default, with nothing to install.

    FOLDER/public/          checkpoint, tile/, issuer/ ...: a web server may serve it as it is
    FOLDER/staging/         what is signed next; empty most of the time
    FOLDER/lookup.sqlite    derived
    FOLDER/lock             held by the one writer
    HEADS                   the head store, never below FOLDER (P11)

In scope: this layout. Out of scope: configuration, keys and roots, which lie in FOLDER too.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from ctlog.errors import ConfigError
from ctlog.store import Collectable, Shelves
from ctlog.store.filesystem import FilesystemObjectStore, FolderLock
from ctlog.store.lookups import SqliteLookupStore
from ctlog.store.sqlite import SqliteHeadStore

PUBLIC = "public"
STAGING = "staging"
LOOKUP = "lookup.sqlite"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class EmbeddedShelves(Shelves):
    """Shelves of which this process is the only writer; closing them lets another be it."""

    lock: FolderLock

    async def close(self) -> None:
        """Close the stores, then let go of the lock."""
        try:
            await Shelves.close(self)
        finally:
            self.lock.release()


def make_shelves(folder: Path) -> None:
    """Make the folders of a new log's shelves below `folder`, durably. For `ctlog create` alone (P10)."""
    for name in (PUBLIC, STAGING):
        (folder / name).mkdir()
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_head_store_path(folder: Path, heads: Path) -> None:
    """Raises ConfigError if the head store lies below the log's folder, from where a backup would restore it (P11)."""
    if heads.resolve().is_relative_to(folder.resolve()):
        sentence = f"{heads} lies below {folder}: a head store must not be restored together with the log (P11)"
        raise ConfigError(sentence, reason="head-store-inside")


async def open_shelves(folder: Path, heads: Path, log_id: bytes) -> EmbeddedShelves:
    """Open everything for writing. Raises ConfigError when something is missing, damaged, or written to by another.

    It blocks, for a third of a second per million entries, while the look-ups are checked.
    """
    check_head_store_path(folder, heads)
    for name in (PUBLIC, STAGING):
        if not (folder / name).is_dir():
            raise ConfigError(f"{folder / name} is missing: this is no log's folder, or not all of it (P10)")
    async with AsyncExitStack() as undo:
        lock = undo.enter_context(FolderLock(folder / LOCK))
        public = FilesystemObjectStore(folder / PUBLIC, Collectable(partial_tiles=True))
        staging = FilesystemObjectStore(folder / STAGING, Collectable(prefixes=("",)))
        for store in (public, staging):
            undo.push_async_callback(store.close)
            await store.sweep()
        head_store = SqliteHeadStore(heads)
        undo.push_async_callback(head_store.close)
        shelves = EmbeddedShelves(public, staging, head_store, SqliteLookupStore(folder / LOOKUP, log_id), lock)
        undo.pop_all()
    return shelves
