"""The configuration, the watch list and the accepted roots, read from their files, and again when these change.

In scope: what is in force (`Setup`, and the watch list: that of the file with the tables that were added by command),
noticing a change, and keeping what is in force when the new files are wrong: then `error` says what and where. Out of
scope: the forms of the files (`monitor.config`, `monitor.watch_file`), since when an item is watched
(`monitor.enrolment`), and acting on a change (`monitor.daemon`).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctlog.errors import ConfigError, CtlogError, UsageError
from ctlog.x509.chain import AcceptedRoot, PathCache, Roots, accepted_root
from monitor.config import Check, Config, parse_config
from monitor.entry import Trust
from monitor.holder import normalise
from monitor.items import Group, Item
from monitor.watch_file import parse_watch_table, read_watch_file
from monitor.watchlist import Watchlist

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)

KEPT = "watch-in-force.toml"
"""In the folder of the state: a copy of the watch file that was in force last."""
MISTAKE = "watch-list"
"""The reason word of all that is wrong with the watch file alone."""

Stamp = tuple[tuple[str, int, int, int], ...]
Tables = Sequence[tuple[str, bytes]]
"""What was added by command: the name of each table of the watch list, and the table as JSON."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is in force, but for the watch list, which is large: `Reloader.take_watchlist` hands it over."""

    config: Config
    trust: Trust
    folder: Path

    @property
    def state(self) -> Path:
        """The folder of the state."""
        return self.folder / self.config.state


class Reloader:
    """The files behind one `monitor.toml`. Reading a million items takes seconds: call it in a thread of its own.

    error: what is wrong with the files as they are now; "" if nothing. unread: what is wrong with single tables that
    were added by command; all the others are watched. homeless: which of these name channels that there are not.
    """

    def __init__(self, path: Path, check_channel: Check = lambda name, table: None) -> None:
        self._path = path
        self._check_channel = check_channel
        self._stamp: Stamp = ()
        self._seen: Stamp = ()
        self._setup: Setup | None = None
        self._watched: Path | None = None
        self._keep_at = path.parent
        self._watchlist: Watchlist | None = None
        self.error = ""
        self.unread: tuple[str, ...] = ()
        self.homeless: tuple[str, ...] = ()

    def state_folder(self) -> Path:
        """Where the state lies, of which nothing else is read yet. Raises ConfigError."""
        config = parse_config(_text(self._path), self._path.name, self._check_channel)
        return self._path.parent / config.state

    def load(self, tables: Tables = ()) -> Setup:
        """Read everything. Raises ConfigError.

        Where only the watch list is wrong, and the state keeps the one that was in force, this one is in force again.
        """
        try:
            setup = self._read(tables)
        except ConfigError as error:
            if error.reason != MISTAKE or not self._kept().exists():
                raise
            setup = self._read(tables, _text(self._kept()))
            self.error = str(error)
        self._stamp = self._seen = self._look(setup.config)
        return setup

    def refresh(self, tables: Tables = ()) -> Setup | None:
        """What is in force since just now; None where nothing changed, or what changed is wrong. Raises nothing.

        A file counts as changed when it has stayed the same since the last call, so that none is read half written.
        """
        assert self._setup is not None, "load comes first"
        stamp, seen = self._look(self._setup.config), self._seen
        self._seen = stamp
        return None if stamp == self._stamp or stamp != seen else self.renew(tables)

    def renew(self, tables: Tables) -> Setup | None:
        """Read everything again, for the tables changed; None where something is wrong. Raises nothing."""
        assert self._setup is not None, "load comes first"
        self._stamp = self._look(self._setup.config)
        try:
            setup = self._read(tables)
        except ConfigError as error:
            self.error = str(error)
            return None
        self._stamp = self._seen = self._look(setup.config)  # it may name other files now
        self.error = ""
        return setup

    def take_watchlist(self) -> Watchlist | None:
        """The watch list that was read last; handed over once."""
        watchlist, self._watchlist = self._watchlist, None
        return watchlist

    def _read(self, tables: Tables, kept: str | None = None) -> Setup:
        folder = self._path.parent
        config = parse_config(_text(self._path), self._path.name, self._check_channel)
        roots = Roots(_roots(config, folder))
        contacts = {normalise(name): contact for name, contact in config.contacts.items()}
        path = folder / config.watch if config.watch else None
        self._keep_at = folder / config.state
        if path is not None and not path.exists() and kept is None:
            if path == self._watched or self._kept().exists():
                raise ConfigError(f"{path} is gone: to watch nothing of it, leave it empty", reason=MISTAKE)
            path = None
        unread: list[str] = []
        homeless: list[str] = []
        try:
            text = kept if kept is not None else _text(path, MISTAKE) if path is not None else ""
            self._watchlist = Watchlist(_watched(text, tables, config, unread, homeless))
        except (UsageError, ConfigError) as error:
            named = "" if config.watch in str(error) else f"{config.watch}: "
            raise ConfigError(f"{named}{error}", reason=MISTAKE) from error
        if kept is None:
            self._keep(text if path is not None else None)
        self._watched, self.unread, self.homeless = path, tuple(unread), tuple(homeless)
        self._setup = Setup(config, Trust(roots, contacts, PathCache()), folder)
        return self._setup

    def _kept(self) -> Path:
        """The last watch file that was in force; none before there was one."""
        return self._keep_at / KEPT

    def _keep(self, text: str | None) -> None:
        """Keep what is in force for the next start. Where that cannot be done the start will say what is wrong."""
        path = self._kept()
        try:
            if text is None:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_text("utf-8") != text:
                unfinished = path.with_name(f"{KEPT}.new")
                with unfinished.open("w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(path)
        except OSError:
            return

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


def _watched(
    text: str, tables: Tables, config: Config, unread: list[str], homeless: list[str]
) -> Iterator[Item]:
    """The items of the file, then those that were added by command. What is wrong with one of these goes to `unread`.

    One whose channels are gone is watched all the same: whoever has no channel is told as operators are.
    """
    groups: dict[str, Group] = {}
    for item in read_watch_file(text):
        if groups.get(item.group.name) is not item.group:
            groups[item.group.name] = item.group
            for channel in item.group.tell:
                if channel not in config.channels:
                    sentence = f"{config.watch}: {item.group.name} tells {channel!r}, and there is no such channel"
                    raise ConfigError(sentence, reason=MISTAKE)
        yield item
    for name, spec in tables:
        try:
            table = json.loads(spec)
            if table["name"] in groups:
                table["name"] = f"{name[:56]} (added)"  # the file has one of this name, too
            told = table.get("tell", [])
            table["tell"] = [channel for channel in told if channel in config.channels]
            homeless += [f"{name} tells {each!r}, and there is no such channel" for each in told
                         if each not in config.channels]  # fmt: skip
            yield from parse_watch_table(table)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError, UsageError) as error:
            unread.append(f"{name}: {error}")


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
                yield from read_roots(path, group.trust_domain)


def read_roots(path: Path, trust_domain: str) -> Iterator[AcceptedRoot]:
    """The accepted roots of one PEM file. Raises ConfigError."""
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


def _text(path: Path, word: str = ConfigError.reason) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"{path}: {reason}", reason=word) from error
