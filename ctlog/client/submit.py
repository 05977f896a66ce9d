"""Submitting certificates to a log: one, or any number over one pool of connections; RFC 6962 sections 4.1 and 4.2.

In scope: the chain of each certificate from a pool of issuers, what its SCT must be signed over, and receipts: memory
does not grow with the number of certificates, and an interrupted run goes on where it was (`ctlog.client.receipts`).

Out of scope: speaking to the log (`ctlog.client.log_client`), what it refuses and why (the log says it), proof that
the entry is in the tree (`ctlog verify`).

How a run ends early: as a log client gives up. What was logged by then is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import aiohttp

from ctlog.client.issuers import IssuerPool
from ctlog.client.log_client import IN_FLIGHT, PATIENCE_S, GaveUp, LogClient, Promise
from ctlog.client.receipts import Receipts
from ctlog.client.submission import Submission
from ctlog.errors import CtlogError, MalformedError, RefusedError, VerificationError
from ctlog.wire.rfc6962 import (
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    format_sct,
    parse_sct,
)
from ctlog.wire.static_ct import parse_leaf_index
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.precert import is_precertificate, logged_precertificate

_GROUP = 64  # certificates that go together where the log takes many in one request ...
_GROUPS = 8  # ... and how many such groups are under way at least: what keeps a log busy between two batches


@dataclass(frozen=True, slots=True)
class Logged:
    """A certificate that the log has promised, its SCT verified. `place` counts from 0 in the order handed in.

    `index` is None where the log's SCTs do not say it. `before` is true for one that an earlier run had logged.
    """

    place: int
    certificate: Certificate
    fingerprint: bytes
    index: int | None
    sct: SignedCertificateTimestamp
    before: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A certificate that is not logged: the log's reason, a stable word, and its sentence."""

    place: int
    fingerprint: bytes
    reason: str
    sentence: str


Outcome = Logged | Refused


def signed_entry(certificate: Certificate, issuers: tuple[Certificate, ...]) -> SignedEntry:
    """What an SCT for this certificate or precertificate is signed over (RFC 6962 section 3.2).

    Raises RefusedError for a precertificate whose issuer is not there.
    """
    if not is_precertificate(certificate):
        return SignedEntry(EntryType.X509, certificate.der)
    if not issuers:
        raise RefusedError("the precertificate's issuer is not among the intermediates", reason="issuer-missing")
    key_hash, tbs = logged_precertificate(certificate, issuers)
    return SignedEntry(EntryType.PRECERT, tbs, key_hash)


class Submitter:
    """Submits to one log. Use it from one event loop; it may be used for any number of runs."""

    def __init__(
        self, url: str, key: LogKey, pool: IssuerPool, http: aiohttp.ClientSession, *, receipts: Receipts | None = None,
        token: str = "", in_flight: int = IN_FLIGHT, patience_s: float = PATIENCE_S, bulk_path: str = "",
    ) -> None:  # fmt: skip
        """`url`, `token`, `patience_s` and `bulk_path` are the log client's."""
        self.key = key
        self._log = LogClient(url, key, http, token=token, patience_s=patience_s, bulk_path=bulk_path)
        self._pool = pool
        self._receipts = receipts
        self._group = _GROUP if bulk_path else 1
        self._groups = -(-in_flight // self._group)
        if bulk_path:
            self._groups = max(_GROUPS, self._groups)

    async def run(self, certificates: Iterable[bytes], report: Callable[[Outcome], None]) -> None:
        """Submit all, many at once; `report` is called once for each, in order of completion.

        `certificates` are read as they are needed. Raises what ends a run early, after the last report.
        """
        waiting = enumerate(certificates)
        workers = [asyncio.create_task(self._work(waiting, report)) for _ in range(self._groups)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._log.close()
            if self._receipts is not None:
                self._receipts.flush()

    async def _work(self, waiting: Iterator[tuple[int, bytes]], report: Callable[[Outcome], None]) -> None:
        while group := list(itertools.islice(waiting, self._group)):
            await self._submit_all(group, report)

    async def submit(self, der: bytes, place: int = 0) -> Outcome:
        """Submit one. Raises what ends a run early; everything else is an outcome."""
        outcomes: list[Outcome] = []
        await self._submit_all([(place, der)], outcomes.append)
        return outcomes[0]

    async def _submit_all(self, group: list[tuple[int, bytes]], report: Callable[[Outcome], None]) -> None:
        wanted: dict[EntryType, list[_Wanted]] = {}
        for place, der in group:
            fingerprint = hashlib.sha256(der).digest()
            try:
                certificate = parse_certificate(der)
                issuers = self._pool.issuers(certificate)
                entry = signed_entry(certificate, issuers)
            except (MalformedError, RefusedError) as error:
                report(Refused(place, fingerprint, error.reason, str(error)))
                continue
            one = _Wanted(place, certificate, fingerprint, Submission((der, *(i.der for i in issuers)), entry))
            kept = self._kept(fingerprint, entry)
            if kept is not None:
                report(self._logged(one, kept, before=True))
            else:
                wanted.setdefault(entry.type, []).append(one)
        for several in wanted.values():
            await self._ask(several, report)

    async def _ask(self, wanted: list[_Wanted], report: Callable[[Outcome], None]) -> None:
        def tell(at: int, promise: Promise) -> None:
            report(self._outcome(wanted[at], promise))

        try:
            await self._log.add_many([one.submission for one in wanted], tell)
        except GaveUp as gave_up:
            raise gave_up.error from None

    def _outcome(self, wanted: _Wanted, promise: Promise) -> Outcome:
        if isinstance(promise, VerificationError):
            sentence = f"the log's SCT is not good: {promise}"
            return Refused(wanted.place, wanted.fingerprint, "bad-sct", sentence)
        if isinstance(promise, CtlogError):
            return Refused(wanted.place, wanted.fingerprint, promise.reason, str(promise))
        return self._logged(wanted, promise, before=False)

    def _logged(self, wanted: _Wanted, sct: SignedCertificateTimestamp, *, before: bool) -> Outcome:
        try:
            index = parse_leaf_index(sct.extensions)
        except MalformedError as error:
            return Refused(wanted.place, wanted.fingerprint, "bad-sct", f"the log's SCT is not good: {error}")
        if not before and self._receipts is not None:
            self._receipts.put(self.key.log_id, wanted.fingerprint, format_sct(sct))
        return Logged(wanted.place, wanted.certificate, wanted.fingerprint, index, sct, before)

    def _kept(self, fingerprint: bytes, entry: SignedEntry) -> SignedCertificateTimestamp | None:
        """The SCT of an earlier run, if it is good."""
        data = self._receipts.get(self.key.log_id, fingerprint) if self._receipts is not None else None
        if data is None:
            return None
        try:
            sct = parse_sct(data)
            self.key.verify_sct(sct, entry)
        except (MalformedError, VerificationError):
            return None
        return sct


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A certificate that is to be submitted."""

    place: int
    certificate: Certificate
    fingerprint: bytes
    submission: Submission
