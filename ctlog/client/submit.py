"""Submitting certificates to a log: one, or any number over one pool of connections; RFC 6962 sections 4.1 and 4.2.

In scope: the chain of each certificate from a pool of issuers, the right one of the two calls, back-off when the log
says that it is busy, and an SCT counted only after its signature was verified over what was submitted. Memory does not
grow with the number of certificates, and an interrupted run goes on where it was (`ctlog.client.receipts`).

Out of scope: what the log refuses and why (the log says it), proof that the entry is in the tree (`ctlog verify`).

How a run ends early: a log that has ended (FrozenError), does not take this submitter (RefusedError), is none
(TransportError), or gave no answer to anything for `patience_s` (the last error). What was logged by then is kept.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from ctlog import __version__
from ctlog.client.issuers import IssuerPool
from ctlog.client.receipts import Receipts
from ctlog.errors import (
    BusyError,
    CtlogError,
    FrozenError,
    MalformedError,
    RefusedError,
    SctError,
    TransportError,
    VerificationError,
)
from ctlog.wire.rfc6962 import (
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    format_sct,
    parse_sct,
    sct_from_json,
)
from ctlog.wire.static_ct import parse_leaf_index
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.precert import is_precertificate, logged_precertificate

IN_FLIGHT = 64
PATIENCE_S = 120.0
_REQUEST_S = 60.0
_MAX_ANSWER = 64 << 10
_MAX_BACK_OFF_S = 30.0
_MAX_SERVER_ERRORS = 4  # the same certificate answered 500 so often is given up, for it may be the cause

_Object = dict[str, Any]


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


def session(connections: int = IN_FLIGHT) -> aiohttp.ClientSession:
    """A pool of connections for a Submitter; the caller closes it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=60),
        timeout=aiohttp.ClientTimeout(total=_REQUEST_S),
        headers={"User-Agent": f"ctlog/{__version__} (submit)"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def published_key(http: aiohttp.ClientSession, url: str) -> LogKey:
    """The key that the log at `url` names as its own in log.v3.json: good for a first try, no proof of anything.

    Raises TransportError, MalformedError.
    """
    status, _, body = await _request(http, "GET", f"{url.rstrip('/')}/log.v3.json", None, {})
    if status != 200:
        raise TransportError(f"{url} has no log.v3.json (status {status}), so its key must be given", reason="no-key")
    try:
        spki = binascii.a2b_base64(_object(body)["key"], strict_mode=True)
    except (KeyError, TypeError, ValueError):
        raise MalformedError(f"{url}: log.v3.json names no key", field="log.v3.json") from None
    return LogKey.from_spki(spki)


class Submitter:
    """Submits to one log. Use it from one event loop; it may be used for any number of runs."""

    def __init__(
        self, url: str, key: LogKey, pool: IssuerPool, http: aiohttp.ClientSession, *, receipts: Receipts | None = None,
        token: str = "", in_flight: int = IN_FLIGHT, patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        """`url` is the log's submission prefix; `token` goes along as a bearer token where it is not empty."""
        self.url = url.rstrip("/")
        self.key = key
        self._pool = pool
        self._http = http
        self._receipts = receipts
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._in_flight = in_flight
        self._patience_s = patience_s
        self._open_at = 0.0  # event loop time before which nothing is sent: one busy answer slows all
        self._heard_at: float | None = None  # when the log last answered anything that settles a certificate
        self._texts: dict[bytes, str] = {}  # issuers in base64, since they repeat

    async def run(self, certificates: Iterable[bytes], report: Callable[[Outcome], None]) -> None:
        """Submit all, many at once; `report` is called once for each, in order of completion.

        `certificates` are read as they are needed. Raises what ends a run early, after the last report.
        """
        waiting = enumerate(certificates)
        workers = [asyncio.create_task(self._work(waiting, report)) for _ in range(self._in_flight)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            if self._receipts is not None:
                self._receipts.flush()

    async def _work(self, waiting: Iterator[tuple[int, bytes]], report: Callable[[Outcome], None]) -> None:
        for place, der in waiting:
            report(await self.submit(der, place))

    async def submit(self, der: bytes, place: int = 0) -> Outcome:
        """Submit one. Raises what ends a run early; everything else is an outcome."""
        fingerprint = hashlib.sha256(der).digest()
        try:
            certificate = parse_certificate(der)
            issuers = self._pool.issuers(certificate)
            entry = signed_entry(certificate, issuers)
            before = self._kept(fingerprint, entry)
            sct = before or await self._answered(self._call(certificate), self._body(certificate, issuers))
            if before is None:
                self.key.verify_sct(sct, entry)
            index = _index(sct)
        except VerificationError as error:
            return Refused(place, fingerprint, "bad-sct", f"the log's SCT is not good: {error}")
        except _Fatal as fatal:
            raise fatal.error from None
        except (MalformedError, RefusedError) as error:
            return Refused(place, fingerprint, error.reason, str(error))
        if before is None and self._receipts is not None:
            self._receipts.put(self.key.log_id, fingerprint, format_sct(sct))
        return Logged(place, certificate, fingerprint, index, sct, before is not None)

    async def _turn(self) -> None:
        """Wait until the log may be asked again."""
        loop = asyncio.get_running_loop()
        delay = self._open_at - loop.time()
        while delay > 0:
            await asyncio.sleep(delay)
            delay = self._open_at - loop.time()  # another answer may have put it off further

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

    def _call(self, certificate: Certificate) -> str:
        return f"{self.url}/ct/v1/{'add-pre-chain' if is_precertificate(certificate) else 'add-chain'}"

    def _body(self, certificate: Certificate, issuers: tuple[Certificate, ...]) -> bytes:
        texts = [_base64(certificate.der)]
        for issuer in issuers:
            text = self._texts.get(issuer.der)
            if text is None:
                text = self._texts[issuer.der] = _base64(issuer.der)
            texts.append(text)
        return ('{"chain":["' + '","'.join(texts) + '"]}').encode()

    async def _answered(self, call: str, body: bytes) -> SignedCertificateTimestamp:
        """Ask until the log answers for or against. Raises RefusedError, MalformedError, SctError; _Fatal."""
        loop = asyncio.get_running_loop()
        if self._heard_at is None:
            self._heard_at = loop.time()
        server_errors = 0
        for attempt in itertools.count():
            await self._turn()
            try:
                status, retry_after, answer = await _request(self._http, "POST", call, body, self._headers)
                if status not in _TRY_AGAIN:
                    self._heard_at = loop.time()
                    return _read_answer(status, answer, call)
                problem: CtlogError = _busy(status, answer, call)
            except TransportError as error:
                status, retry_after, problem = 0, None, error
            server_errors += status == 500
            if server_errors == _MAX_SERVER_ERRORS:
                raise RefusedError(f"{problem}, {server_errors} times", reason="server-error")
            pause = retry_after if retry_after is not None else min(_MAX_BACK_OFF_S, 0.1 * 2**min(attempt, 16))
            if loop.time() + pause - self._heard_at > self._patience_s:
                raise _Fatal(problem)
            self._open_at = max(self._open_at, loop.time() + pause * random.uniform(1, 1.25))
        raise AssertionError("unreachable")


_TRY_AGAIN = frozenset((408, 429, 500, 502, 503, 504))


class _Fatal(Exception):  # noqa: N818 - not an error of its own, but the wrapper of one that ends the run
    def __init__(self, error: CtlogError) -> None:
        self.error = error


async def _request(
    http: aiohttp.ClientSession, method: str, url: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, float | None, bytes]:
    """(status, Retry-After in seconds, body). Raises TransportError."""
    if body is not None:
        headers = {**headers, "Content-Type": "application/json"}
    try:
        async with http.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            answer = await response.content.read(_MAX_ANSWER + 1)
            while len(answer) <= _MAX_ANSWER and (more := await response.content.read(_MAX_ANSWER)):
                answer += more
            if len(answer) > _MAX_ANSWER:
                raise TransportError(f"{url} answered with more than {_MAX_ANSWER} bytes")
            return response.status, _retry_after(response.headers.get("Retry-After")), answer
    except (aiohttp.ClientError, ValueError) as error:
        raise TransportError(f"{url} cannot be reached: {error or type(error).__name__}") from None
    except TimeoutError:
        raise TransportError(f"{url} did not answer in {_REQUEST_S:.0f} seconds") from None


def _index(sct: SignedCertificateTimestamp) -> int | None:
    try:
        return parse_leaf_index(sct.extensions)
    except MalformedError as error:
        raise SctError(str(error)) from None


def _retry_after(text: str | None) -> float | None:
    """RFC 9110 section 10.2.3; a date counts as not said, for then two clocks would have to agree."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None


def _read_answer(status: int, answer: bytes, call: str) -> SignedCertificateTimestamp:
    if status == 200:
        try:
            return sct_from_json(_object(answer))
        except MalformedError as error:
            raise SctError(f"{call} answered with no SCT: {error}") from None
    reason, sentence = _explanation(status, answer)
    if status == 410:
        raise _Fatal(FrozenError(f"{call}: {sentence}"))
    if status in (401, 403):
        raise _Fatal(RefusedError(f"{call}: {sentence}", reason=reason or "submitter-not-allowed"))
    if status in (400, 413, 422):
        raise RefusedError(sentence, reason=reason or ("body-too-large" if status == 413 else "refused"))
    raise _Fatal(TransportError(f"{call} answered {status}, so there is no log that takes submissions"))


def _busy(status: int, answer: bytes, call: str) -> CtlogError:
    sentence = _explanation(status, answer)[1]
    kind = TransportError if status in (500, 502, 504) else BusyError
    return kind(f"{call} answered {status}: {sentence}")


def _explanation(status: int, answer: bytes) -> tuple[str, str]:
    """(reason, sentence) of an answer that is no SCT; other logs answer with plain text."""
    try:
        value = _object(answer)
        sentence, reason = str(value.get("error_message") or value.get("error") or ""), str(value.get("reason") or "")
    except MalformedError:
        sentence, reason = answer[:300].decode("utf-8", "replace").strip(), ""
    return reason, sentence or f"status {status}"


def _object(answer: bytes) -> _Object:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        raise MalformedError("the answer is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("the answer is no JSON object")
    return value


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
