"""A log's folder: what lies where, its format's version, and how one is made.

    DIR/format      "1": the layout's version; written last, so a folder without it was never finished
    DIR/log.toml    the configuration                DIR/seed     32 random bytes, mode 0600
    DIR/roots/      the accepted roots' history      DIR/public/, DIR/staging/, DIR/lookup.sqlite, DIR/lock: the shelves
    HEADS           the head store: beside DIR, or wherever log.toml says; never inside

In scope: creating a log (once, and by this alone: P10), opening its parts, ending it. Out of scope: the layout of the
shelves (`ctlog.store.embedded`), and serving (`ctlog.app`).
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ctlog import config as configuration
from ctlog.config import Config
from ctlog.errors import ConfigError
from ctlog.log_v3 import log_v3_json
from ctlog.roots import Added, RootsStore, check_domain, read_certificates
from ctlog.sequencer.forms import StaticCtForm
from ctlog.sequencer.log import Log, Settings
from ctlog.sequencer.signer import SeedSigner, make_seed, read_seed
from ctlog.store.embedded import EmbeddedShelves, check_head_store_path, make_shelves, open_shelves
from ctlog.store.sqlite import make_head_store
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.static_ct import PendingEntry

FORMAT = 1
METADATA_KEY = "log.v3.json"


@dataclass(frozen=True, slots=True)
class Folder:
    """A log's folder that was opened: its configuration is read, its format is ours."""

    path: Path
    config: Config

    @property
    def roots(self) -> RootsStore:
        """The accepted roots."""
        return RootsStore(self.path / "roots")

    def signer(self) -> SeedSigner:
        """The log's keys. Raises ConfigError."""
        return SeedSigner(self.config.origin, read_seed(self.path / "seed"))

    async def shelves(self, log_id: bytes) -> EmbeddedShelves:
        """The stores, for writing. Raises ConfigError, also when another process has them."""
        return await open_shelves(self.path, self.config.head_store_path(self.path), log_id)

    def settings(self) -> Settings:
        """What the configuration says to the sequencer."""
        pool, space = self.config.pool, self.config.space
        return Settings(period_ms=pool.period_ms, pool_size=pool.size, resign_ms=pool.head_interval_s * 1000,
                        min_free_bytes=space.min_bytes, min_free_share=space.min_percent / 100)


def clock_ms() -> int:
    """Unix time in milliseconds, by this machine's clock: the log's only one (P4)."""
    return time.time_ns() // 1_000_000


def open_folder(path: Path) -> Folder:
    """Read a log's format and configuration. Raises ConfigError, which says what to do."""
    try:
        text = (path / "format").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        if not path.exists():
            raise ConfigError(f"{path} does not exist; `ctlog create` makes a log", reason="no-log") from None
        raise ConfigError(f"{path} holds no log, or one whose creation was broken off: it has no file `format`",
                          reason="no-log") from None
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{path}/format holds no version", reason="bad-format")
    if int(text) > FORMAT:
        raise ConfigError(f"{path} has format {text}, made by a newer ctlog; this one knows {FORMAT}: install that "
                          "version", reason="newer-format")
    if int(text) < FORMAT:
        raise ConfigError(f"{path} has format {text}; `ctlog migrate {path}` brings it to {FORMAT}",
                          reason="older-format")
    return Folder(path, configuration.load(path / configuration.FILE_NAME))


async def create(path: Path, config: Config, roots: Sequence[tuple[Path, str]] = ()) -> tuple[Folder, list[Added]]:
    """Make a log: its folder, seed, keys, roots (files with their trust domains), head store and first head.

    The head store may exist already and serve other logs. Raises ConfigError and leaves what exists alone; UsageError
    for a roots file that holds no certificate, before anything is made.
    """
    configuration.check_origin(config.origin)
    for file, domain in roots:
        check_domain(domain)
        read_certificates(file)
    heads = config.head_store_path(path)
    check_head_store_path(path, heads)
    _make_folder(path)
    make_seed(path / "seed")
    _write(path / configuration.FILE_NAME, configuration.dump(config))
    folder = Folder(path, config)
    folder.roots.create()
    added = [folder.roots.add([file], domain, clock_ms()) for file, domain in roots]
    make_shelves(path)
    if not heads.exists():
        make_head_store(heads)
    signer = folder.signer()
    shelves = await folder.shelves(signer.key.log_id)
    try:
        await Log.create(shelves, signer, clock=clock_ms)
        await shelves.public.put_many([(METADATA_KEY, log_v3_json(config, signer.key, None))], immutable=False)
    finally:
        await shelves.close()
    _write(path / "format", f"{FORMAT}\n")
    return folder, added


@asynccontextmanager
async def recovered(folder: Folder) -> AsyncIterator[Log[PendingEntry]]:
    """The log, recovered, with nobody serving it: for commands. Raises ConfigError, FatalError."""
    signer = folder.signer()
    shelves = await folder.shelves(signer.key.log_id)
    try:
        yield await Log.open(shelves, signer, StaticCtForm(), clock=clock_ms, settings=folder.settings())
    finally:
        await shelves.close()


async def freeze(folder: Folder) -> SignedHead:
    """End the log for ever: no more submissions, a final head, and log.v3.json says so. Returns the final head.

    Nobody may be serving it meanwhile. Ending a log that has ended gives the same head. Raises ConfigError, FatalError.
    """
    async with recovered(folder) as log:
        head = await log.freeze()
        await log.shelves.public.put_many([(METADATA_KEY, log_v3_json(folder.config, log.signer.key, head))],
                                          immutable=False)
    return head


def _make_folder(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        what = "a log" if (path / "format").exists() else "something else, or a log whose creation was broken off"
        raise ConfigError(f"{path} exists and holds {what}; a log is made in a new folder", reason="exists")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror}", reason="unwritable") from error


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
