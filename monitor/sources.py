"""What stands outside of the logs and says more about them: revocation lists, a table of codes, lists of weak keys,
scopes by reference.

In scope: four sources, each off until it is switched on; fetching them from URLs that strangers choose, through
`ctlog.client.guarded` only; reading them as far as can be; archiving every version, with the hash and the time. Out of
scope: what follows from them (`monitor.rules`), and opening anything that nobody switched on.

What cannot be fetched or read is a value too (`error`), and what was read before stays in force.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509

from ctlog.errors import CtlogError, MalformedError, TransportError
from ctlog.tn.labels import fold_code
from ctlog.tn.numbers import Claim
from ctlog.tn.tnauthlist import parse_tnauthlist
from monitor.config import SourcesConfig
from monitor.holder import normalise
from monitor.rules.values import CodeTable, Revocations, Revoked, Snapshot
from monitor.state import State

Get = Callable[[str], Awaitable[bytes]]
"""Fetches an https URL that a stranger may have chosen (`GuardedFetcher.get`). Raises CtlogError."""

MAX_LIST = 16 << 20
"""Bytes of a revocation list or a table."""
MAX_CODES = 1 << 20
AT_ONCE = 8
"""References that are fetched at a time, in the background."""


MAX_VERSIONS = 64
"""Versions of what stood at one reference that a judgement looks at."""

_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
Listed = TypeVar("Listed")
Place = tuple[bytes, int]
"""A log's id, and the index of an entry there."""
Rejudge = Callable[[Sequence[Place]], Awaitable[None]]
Serial = tuple[bytes, bytes]
"""Issuer (Name in DER) and serial number (the INTEGER's octets)."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the sources say now; None for those that are switched off or were never read.

    revoked: since when, by certificate; the same with keys in `revocations`. codes: code -> holder.
    errors: what could not be fetched or read, and why. weak_keys: SHA-256 of each SubjectPublicKeyInfo.
    """

    revoked: Mapping[Serial, int] | None = None
    revocations: Revocations | None = None
    codes: Mapping[str, str] | None = None
    table: CodeTable | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    weak_keys: frozenset[bytes] = frozenset()


class Patience:
    """How long readings of logs wait for what strangers named: a few seconds for one entry, and in all so many of each
    minute. Else whoever logs references to slow places keeps everybody's alerts from being sent."""

    def __init__(self, each_s: float = 2.0, minute_s: float = 10.0) -> None:
        self._each_s = each_s
        self._minute_s = minute_s
        self._left_s = minute_s
        self._at = 0.0

    async def wait(self, begin: Callable[[], Awaitable[Any]]) -> None:
        """Begin this and wait for it, if any patience is left; where it ends it is cancelled. Raises what it raises."""
        clock = asyncio.get_running_loop().time
        began = clock()
        self._left_s = min(self._minute_s, self._left_s + (began - self._at) * self._minute_s / 60)
        self._at = began
        if self._left_s <= 0:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._each_s, self._left_s)):
                    await begin()
        finally:
            self._at = clock()
            self._left_s -= self._at - began


class Sources:
    """The sources that are switched on."""

    def __init__(self, config: SourcesConfig, folder: Path, state: State, get: Get) -> None:
        self._config = config
        self._folder = folder
        self._state = state
        self._get = get
        self._lists: dict[str, dict[Serial, int]] = {}
        self._patience = Patience()
        self.known = Known()

    def use(self, config: SourcesConfig) -> None:
        """Other sources are switched on from now on; what those said that are off now is forgotten."""
        self._config = config
        self._lists = {url: revoked for url, revoked in self._lists.items() if url in config.crl}
        codes, table = (self.known.codes, self.known.table) if config.codes else (None, None)
        revoked, revocations = (self.known.revoked, self.known.revocations) if config.crl else (None, None)
        weak_keys = self.known.weak_keys if config.weak_keys else frozenset()
        self.known = Known(revoked, revocations, codes, table, weak_keys=weak_keys)

    async def refresh(self, now_ms: int, rejudge: Rejudge) -> None:
        """Fetch everything again: lists, the table, and the references of certificates that are valid still.

        `rejudge` is given where the certificates stand that are to be judged again: they, or their keys, were revoked
        since, their keys were found to be weak, or something else stands at their reference. After a crash it is given
        them once more.
        """
        before, weak = self.known.revoked or {}, self.known.weak_keys
        await self._refresh(now_ms)
        places = await self._revoked_since(before) | await self._weak_since(weak)
        judged: dict[str, bytes] = {}
        urls = await self._state.answers.references(now_ms) if self._config.references else []
        some = asyncio.Semaphore(AT_ONCE)

        async def fetch(url: str) -> bytes | None:
            async with some:
                body = await self._fetch(url, now_ms, {})
                return None if body is None else hashlib.sha256(body).digest()

        for url, digest in zip(urls, await asyncio.gather(*map(fetch, urls)), strict=True):
            if digest is not None and await self._state.answers.get_meta(f"judged:{url}") != digest:
                judged[url] = digest
                rows = await self._state.answers.certificates(url=url)
                places |= {(row.log_id, row.log_index) for row in rows}
        await rejudge(sorted(places))
        for url, digest in judged.items():
            await self._state.answers.put_meta(f"judged:{url}", digest)

    async def _revoked_since(self, before: Mapping[Serial, int]) -> set[Place]:
        fresh = (self.known.revoked or {}).keys() - before.keys()
        places: set[Place] = set()
        for serial in fresh & (await self._state.answers.serial_keys()).keys():
            for row in await self._state.answers.certificates(serial=serial):
                places.add((row.log_id, row.log_index))
                same_key = await self._state.answers.certificates(spki=row.spki) if row.spki else []
                places |= {(each.log_id, each.log_index) for each in same_key}
        return places

    async def _weak_since(self, before: frozenset[bytes]) -> set[Place]:
        fresh = self.known.weak_keys - before
        places: set[Place] = set()
        for spki in fresh.intersection((await self._state.answers.serial_keys()).values()) if fresh else ():
            places |= {(row.log_id, row.log_index) for row in await self._state.answers.certificates(spki=spki)}
        return places

    async def _refresh(self, now_ms: int) -> None:
        before = self.known
        errors: dict[str, str] = {}
        for url in self._config.crl:
            body = await self._fetch(url, now_ms, errors)
            if body is not None:
                try:
                    self._lists[url] = await asyncio.to_thread(read_crl, body)  # it may be long
                except MalformedError as error:
                    errors[url] = str(error)
        codes = await self._listed(self._config.codes, read_codes, now_ms, errors) or before.codes
        weak_keys = await self._listed(self._config.weak_keys, read_weak_keys, now_ms, errors)
        weak_keys = before.weak_keys if weak_keys is None else weak_keys
        revoked = {key: value for found in self._lists.values() for key, value in found.items()} or before.revoked
        table = None if codes is None else CodeTable({code: [holder] for code, holder in codes.items()})
        self.known = Known(revoked, await self._with_keys(revoked), codes, table, errors, weak_keys)

    async def snapshots(self, urls: Iterable[str], now_ms: int) -> tuple[Snapshot, ...]:
        """What stands at these references now, after all that stood there before; nothing while they are switched off.

        Each is fetched, and archived with its hash; for as long as there is patience. What is not here by then is
        unread for now: `refresh` fetches it, and has its certificates judged again.
        """
        if not self._config.references:
            return ()
        found: list[Snapshot] = []
        urls = list(urls)
        if urls:
            await self._patience.wait(lambda: asyncio.gather(*(self._fetch(url, now_ms, {}) for url in urls)))
        for url in urls:
            for row in reversed(await self._state.answers.snapshots(url, limit=MAX_VERSIONS)):
                claims, error = (None, row.error) if row.error else read_scope(row.body)
                found.append(Snapshot(url, row.first_ms, claims, error))
        return tuple(found)

    async def _with_keys(self, revoked: Mapping[Serial, int] | None) -> Revocations | None:
        """The revocations, with the keys of those certificates that concerned a watched item."""
        if revoked is None:
            return None
        keys = await self._state.answers.serial_keys()
        return Revocations(Revoked(*serial, keys.get(serial, b""), at_ms) for serial, at_ms in revoked.items())

    async def _listed(
        self, where: str, read: Callable[[bytes], Listed], now_ms: int, errors: dict[str, str]
    ) -> Listed | None:
        """What a file or a URL lists; None where it is switched off, or could not be had or read."""
        if not where:
            return None
        body = await self._fetch(where, now_ms, errors) if "://" in where else _file(self._folder / where, errors)
        if body is None:
            return None
        try:
            return await asyncio.to_thread(read, body)  # it may be long
        except MalformedError as error:
            errors[where] = str(error)
            return None

    async def _fetch(self, url: str, now_ms: int, errors: dict[str, str]) -> bytes | None:
        """The body at a URL, archived; None where it could not be had, which is archived too."""
        try:
            body = await self._get(url)
        except CtlogError as error:
            errors[url] = str(error)
            await self._state.answers.put_snapshot(url, b"", b"", str(error)[:300], now_ms)
            return None
        await self._state.answers.put_snapshot(url, body, hashlib.sha256(body).digest(), "", now_ms)
        return body


def read_crl(data: bytes) -> dict[Serial, int]:
    """A revocation list (RFC 5280 section 5), in DER or PEM: since when, by certificate. Raises MalformedError.

    An entry of an indirect list is of the issuer that it, or the last one before it that says so, names (section
    5.3.3). Its signature is not checked: no trust anchor of the list is known here, and https vouches for the place.
    """
    try:
        load = x509.load_pem_x509_crl if data.lstrip().startswith(b"-----") else x509.load_der_x509_crl
        found = load(data)
        issuer = found.issuer.public_bytes()
        revoked: dict[Serial, int] = {}
        for entry in found:
            issuer = _named_issuer(entry) or issuer
            serial = entry.serial_number.to_bytes(entry.serial_number.bit_length() // 8 + 1, "big")
            revoked[issuer, serial] = int(entry.revocation_date_utc.timestamp() * 1000)
    except (ValueError, TypeError, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise MalformedError(f"this is no revocation list: {error}", field="crl") from None
    return revoked


def _named_issuer(entry: x509.RevokedCertificate) -> bytes | None:
    try:
        names = entry.extensions.get_extension_for_class(x509.CertificateIssuer).value
    except x509.ExtensionNotFound:
        return None
    directory = names.get_values_for_type(x509.DirectoryName)
    return directory[0].public_bytes() if directory else None


def read_codes(data: bytes) -> dict[str, str]:
    """A table of codes: CSV in UTF-8, its first line naming the columns `code` and `holder`. Raises MalformedError."""
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), strict=True)
        columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
        if "code" not in columns or "holder" not in columns:
            raise MalformedError("the table's first line must name the columns code and holder", field="codes")
        table: dict[str, str] = {}
        for row in rows:
            code, holder = row[columns["code"]] or "", row[columns["holder"]] or ""
            if code.strip() and normalise(holder):
                table[fold_code(code.strip())] = holder.strip()
            if len(table) > MAX_CODES:
                raise MalformedError("the table has too many codes", field="codes")
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedError(f"the table is no CSV in UTF-8: {error}", field="codes") from None
    return table


def read_weak_keys(data: bytes) -> frozenset[bytes]:
    """Keys known to be weak: in each line the SHA-256 of one SubjectPublicKeyInfo, in hexadecimal; lines that are empty
    or begin with # say nothing. Raises MalformedError."""
    found = set()
    for at, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not _SHA256.fullmatch(text):
            sentence = f"line {at}: this is no SHA-256 of a SubjectPublicKeyInfo, 64 hexadecimal digits: {text[:80]!r}"
            raise MalformedError(sentence, field="weak_keys")
        found.add(bytes.fromhex(text))
    return frozenset(found)


def read_scope(data: bytes) -> tuple[tuple[Claim, ...] | None, str]:
    """The claims of a TNAuthorizationList in DER (media type application/tnauthlist), or why it has none. Total."""
    try:
        return tuple(parse_tnauthlist(data).entries), ""
    except MalformedError as error:
        return None, f"what stands there is no TNAuthorizationList: {error}"


def _file(path: Path, errors: dict[str, str]) -> bytes | None:
    try:
        data = path.read_bytes()
        if len(data) > MAX_LIST:
            raise TransportError(f"it is longer than {MAX_LIST} bytes")
        return data
    except (OSError, TransportError) as error:
        errors[str(path)] = str(error)
        return None
