"""The configuration, the watch list and the accepted roots, read from their files, and again when these change.

In scope: what is in force (`Setup`), noticing a change, and keeping what is in force when the new files are wrong: then
`error` says what and where. Out of scope: the forms of the files (`monitor.config`, `monitor.watch_file`), items that
were added by command, and acting on a change (`monitor.daemon`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctlog.errors import ConfigError, CtlogError
from ctlog.x509.chain import AcceptedRoot, PathCache, Roots, accepted_root
from monitor.config import Check, Config, parse_config
from monitor.entry import Trust
from monitor.holder import normalise
from monitor.items import Item
from monitor.watch_file import parse_watch_file

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Setup:
    """What is in force, but for the watch list, which is large: `Reloader.items` reads it."""

    config: Config
    trust: Trust
    folder: Path

    @property
    def state(self) -> Path:
        """The folder of the state."""
        return self.folder / self.config.state


class Reloader:
    """The files behind one `monitor.toml`. `error` is what is wrong with them as they are now; "" if nothing."""

    def __init__(self, path: Path, check_channel: Check = lambda name, table: None) -> None:
        self._path = path
        self._check_channel = check_channel
        self._stamp: Stamp = ()
        self._setup: Setup | None = None
        self._items: list[Item] = []
        self.error = ""

    def load(self) -> Setup:
        """Read everything. Raises ConfigError."""
        self._setup = setup = self._read()
        self._stamp = self._look(setup.config)
        return setup

    def refresh(self) -> Setup | None:
        """What is in force since just now; None where nothing changed, or what changed is wrong. Raises nothing."""
        assert self._setup is not None, "load comes first"
        stamp = self._look(self._setup.config)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            setup = self._read()
        except ConfigError as error:
            self.error = str(error)
            return None
        self._stamp = self._look(setup.config)  # it may name other files now
        self._setup, self.error = setup, ""
        return setup

    def items(self) -> list[Item]:
        """The items of the watch list that was read last. They are handed over once, for there may be a million."""
        items, self._items = self._items, []
        return items

    def _read(self) -> Setup:
        folder = self._path.parent
        config = parse_config(_text(self._path), self._path.name, self._check_channel)
        self._items = _watched(config, folder)
        roots = Roots(_roots(config, folder))
        contacts = {normalise(name): contact for name, contact in config.contacts.items()}
        return Setup(config, Trust(roots, contacts, PathCache()), folder)

    def _look(self, config: Config) -> Stamp:
        folder = self._path.parent
        paths = [self._path, folder / config.watch, *_root_files(config, folder)]
        found = []
        for path in paths:
            try:
                stat = path.stat()
                found.append((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino))
            except OSError:
                found.append((str(path), -1, 0, 0))
        return tuple(found)


def _watched(config: Config, folder: Path) -> list[Item]:
    path = folder / config.watch
    if not config.watch or not path.exists():
        return []
    items = parse_watch_file(_text(path))
    for group in {id(item.group): item.group for item in items}.values():
        for channel in group.tell:
            if channel not in config.channels:
                raise ConfigError(f"{path.name}: {group.name} tells {channel!r}, and there is no such channel")
    return items


def pem_certificates(data: bytes) -> list[bytes]:
    """The certificates of a PEM file, in DER. Raises ConfigError for a block that is no base64."""
    try:
        return [base64.b64decode(b"".join(block.split()), validate=True) for block in _PEM.findall(data)]
    except binascii.Error as error:
        raise ConfigError(f"a certificate is no base64: {error}") from None


def _roots(config: Config, folder: Path) -> Iterator[AcceptedRoot]:
    for group in config.roots:
        for pattern in group.files:
            paths = _matching(folder, pattern)
            if not paths:
                raise ConfigError(f"{pattern}: there is no such file of accepted roots")
            for path in paths:
                yield from _roots_of(path, group.trust_domain)


def _roots_of(path: Path, trust_domain: str) -> Iterator[AcceptedRoot]:
    try:
        ders = pem_certificates(path.read_bytes())
        if not ders:
            raise ConfigError("it holds no certificate in PEM")
        for at, der in enumerate(ders, 1):
            yield accepted_root(der, trust_domain, f"certificate {at}")
    except (OSError, CtlogError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _root_files(config: Config, folder: Path) -> list[Path]:
    return [path for group in config.roots for pattern in group.files for path in _matching(folder, pattern)]


def _matching(folder: Path, pattern: str) -> list[Path]:
    path = folder / pattern
    if "*" not in pattern:
        return [path] if path.exists() else []
    return sorted(path.parent.glob(path.name))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"{path}: {reason}") from error
