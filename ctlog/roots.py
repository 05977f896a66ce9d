"""The accepted roots of a log, with their history: `DIR/roots/history.jsonl`, one event per line, only ever appended.

In scope: adding from files (any CA certificate, self-issued or not, under a trust domain), retiring with a reason, the
set that is accepted now, and everything that ever was. The certificates stand in the history itself, so no other file
has to be there: one that vanished, such as the PEM from which a root came, changes nothing.
Out of scope: what a root anchors (`ctlog.x509.chain`), and when a running log looks again (SIGHUP, `ctlog.app`).

Several may write (`ctlog roots` while the log runs): a writer holds a lock on the folder and replaces the file whole.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ctlog.errors import ConfigError, CtlogError, MalformedError, NotFoundError, UsageError
from ctlog.x509.chain import AcceptedRoot, Roots, accepted_root
from ctlog.x509.der import parse_certificate
from ctlog.x509.names import name_text

FILE_NAME = "history.jsonl"
MAX_FILE_BYTES = 64 << 20

_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the history. `source` says where an added root came from, `why` why one was retired."""

    at: datetime
    act: Literal["added", "retired"]
    sha256: str
    name: str
    domain: str = ""
    source: str = ""
    why: str = ""
    certificate: str = ""  # base64 of the DER, of an added root


class Record(NamedTuple):
    """What the history says of one certificate: the last time it was added, and retired if it was."""

    certificate: bytes
    fingerprint: bytes
    name: str
    domain: str
    source: str
    added_ms: int
    retired_ms: int | None
    why: str


class Added(NamedTuple):
    """What came of adding files: new roots, those that were accepted already, and what was left out and why."""

    added: tuple[Record, ...]
    known: tuple[Record, ...]
    left_out: tuple[tuple[str, str], ...]  # (name or place, sentence)


class RootsStore:
    """The history in one folder."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / FILE_NAME

    def create(self) -> None:
        """Make an empty history, once."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if self.path.exists():
                raise ConfigError(f"{self.path} exists already", reason="roots-exist")
            self._write([])

    def history(self) -> list[Event]:
        """Every event, oldest first. Raises ConfigError that names the line."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}", reason="roots-unreadable") from error
        decoder = msgspec.json.Decoder(Event)
        events = []
        for number, line in enumerate(data.splitlines(), 1):
            try:
                events.append(decoder.decode(line))
            except msgspec.DecodeError as error:
                raise ConfigError(f"{self.path}, line {number}: {error}", reason="roots-damaged") from error
        return events

    def records(self) -> list[Record]:
        """Every certificate that ever was accepted, in the order in which they were last added."""
        found: dict[str, Record] = {}
        for number, event in enumerate(self.history(), 1):
            if event.act == "added":
                found.pop(event.sha256, None)
                found[event.sha256] = self._record(event, number)
            elif event.sha256 in found:
                found[event.sha256] = found[event.sha256]._replace(retired_ms=_to_ms(event.at), why=event.why)
        return list(found.values())

    def accepted(self) -> tuple[Roots, list[Record]]:
        """The roots that are accepted now, and their records in the same order. Raises ConfigError."""
        records = [record for record in self.records() if record.retired_ms is None]
        roots: list[AcceptedRoot] = []
        for record in records:
            try:
                roots.append(accepted_root(record.certificate, record.domain))
            except CtlogError as error:
                raise ConfigError(f"{self.path}: {record.name} cannot be a root: {error}", reason="roots-damaged"
                                  ) from error
        return Roots(roots), records

    def add(self, files: Sequence[Path], domain: str, now_ms: int) -> Added:
        """Accept every CA certificate in these files (PEM, DER, or either as .gz). What is no CA is left out and named.

        Raises UsageError for a bad domain or a file without certificates; then nothing was added.
        """
        check_domain(domain)
        ders = [(der, f"{path.name}#{at}", path.name) for path in files
                for at, der in enumerate(read_certificates(path), 1)]
        return self.add_certificates(ders, domain, now_ms)

    def add_certificates(self, ders: Sequence[tuple[bytes, str, str]], domain: str, now_ms: int) -> Added:
        """The same for (DER, its place for people, its source)."""
        check_domain(domain)
        added: dict[bytes, Event] = {}
        left_out: list[tuple[str, str]] = []
        known: list[Record] = []
        with self._locked():
            events = self.history()
            present = {record.fingerprint: record for record in self.records() if record.retired_ms is None}
            for der, place, source in ders:
                fingerprint = hashlib.sha256(der).digest()
                if fingerprint in present:
                    known.append(present[fingerprint])
                    continue
                try:
                    root = accepted_root(der, domain, place)
                except CtlogError as error:
                    left_out.append((_name_of(der, place), str(error)))
                    continue
                added.setdefault(fingerprint, Event(
                    at=_from_ms(now_ms), act="added", sha256=fingerprint.hex(), domain=domain, source=source,
                    name=name_text(root.certificate.subject), certificate=base64.b64encode(der).decode()))
            if added:
                self._write([*events, *added.values()])
        records = tuple(self._record(event, 0) for event in added.values())
        return Added(records, tuple(known), tuple(left_out))

    def retire(self, which: str, why: str, now_ms: int) -> Record:
        """No longer accept a root. `which` is its SHA-256 in hex, or an unambiguous beginning of at least 8 digits.

        Entries that it anchored stay, and so does its certificate in the log. Raises NotFoundError, UsageError.
        """
        wanted = which.lower().replace(":", "")
        if not re.fullmatch("[0-9a-f]{8,64}", wanted):
            raise UsageError("a root is named by its SHA-256 in hex, or by its first 8 digits or more")
        with self._locked():
            events = self.history()
            found = [record for record in self.records() if record.retired_ms is None
                     and record.fingerprint.hex().startswith(wanted)]
            if not found:
                raise NotFoundError(f"no accepted root's SHA-256 begins with {wanted}", reason="unknown-root")
            if len(found) > 1:
                raise UsageError(f"{len(found)} accepted roots begin with {wanted}: give more digits")
            record = found[0]._replace(retired_ms=now_ms, why=why)
            self._write([*events, Event(at=_from_ms(now_ms), act="retired", sha256=record.fingerprint.hex(),
                                        name=record.name, why=why)])
        return record

    def _record(self, event: Event, number: int) -> Record:
        try:
            der = base64.b64decode(event.certificate, validate=True)
        except binascii.Error:
            der = b""
        fingerprint = hashlib.sha256(der).digest()
        if fingerprint.hex() != event.sha256:
            raise ConfigError(f"{self.path}, line {number}: the certificate is not the one with its SHA-256",
                              reason="roots-damaged")
        return Record(der, fingerprint, event.name, event.domain, event.source, _to_ms(event.at), None, "")

    def _write(self, events: Sequence[Event]) -> None:
        """Replace the file whole, durably."""
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            for event in events:
                file.write(msgspec.json.encode(event) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        with self._folder() as descriptor:
            os.fsync(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._folder() as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _folder(self) -> Iterator[int]:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def check_domain(domain: str) -> None:
    """Raises UsageError unless `domain` is a short word such as "us-shaken", "ca", "fr" or "rcs"."""
    if not _DOMAIN.fullmatch(domain):
        raise UsageError(f"a trust domain is a short word of small letters, digits and hyphens, not {domain!a}")


def read_certificates(path: Path) -> list[bytes]:
    """The DER of each certificate in a PEM or DER file, or in one of these as .gz. Raises UsageError."""
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = _gunzip(data, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", reason="unreadable") from error
    if data.startswith(b"\x30"):
        return [data]
    try:
        ders = [base64.b64decode(b"".join(block.split()), validate=True) for block in _PEM.findall(data)]
    except binascii.Error:
        raise UsageError(f"{path} holds a PEM block that is not base64", reason="unreadable") from None
    if not ders:
        raise UsageError(f"{path} holds no certificate, neither as PEM nor as DER", reason="unreadable")
    return ders


def _gunzip(data: bytes, path: Path) -> bytes:
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(data, MAX_FILE_BYTES + 1)
    except zlib.error:
        raise UsageError(f"{path} is damaged gzip", reason="unreadable") from None
    if len(unpacked) > MAX_FILE_BYTES:
        raise UsageError(f"{path} holds more than {MAX_FILE_BYTES >> 20} MiB", reason="unreadable")
    return unpacked


def _name_of(der: bytes, place: str) -> str:
    try:
        return f"{place}: {name_text(parse_certificate(der, place).subject)}"
    except MalformedError:
        return place


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _from_ms(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
