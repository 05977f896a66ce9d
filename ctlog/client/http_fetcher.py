"""A log over HTTP: bounds on time and size, gzip, no redirects, no cookies, and a User-Agent that says who asks.

In scope: `HttpFetcher`, over aiohttp. Out of scope: trying again (`ctlog.client.patient`), and URLs that strangers
choose (`ctlog.client.guarded`). Raises what `ctlog.client.fetch` says; RFC 6962 servers say by 400, too, that there is
no such thing, so that is NotFoundError.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType

import aiohttp
from yarl import URL

from ctlog import __version__
from ctlog.client.fetch import MAX_BYTES, Inflater
from ctlog.errors import BusyError, CtlogError, NotFoundError, TransportError, UsageError

TOTAL_S = 120.0
"""Seconds for one answer from the first byte of the request to the last of the body, however it drips."""
SILENCE_S = 20.0
"""Seconds without a byte after which a server is taken for dead."""
MAX_RETRY_AFTER_S = 3600

_CHUNK = 256 << 10


class HttpFetcher:
    """A log over HTTP, as an async context manager; it keeps one pool of connections.

    Redirects are not followed: a log's address is part of what one trusts. No cookies, no credentials.
    """

    def __init__(self, url: str, *, contact: str = "", connections: int = 16) -> None:
        """`url` is the log's prefix; `contact` (a URL or an address) goes into the User-Agent, so that an operator can
        write to whoever reads his log. Raises UsageError for what is no http or https URL."""
        try:
            self._url = URL(url.rstrip("/") + "/")
        except ValueError:
            raise UsageError("this is no URL") from None
        if self._url.scheme not in ("http", "https") or not self._url.host or self._url.query_string:
            raise UsageError("a log's URL begins with http:// or https:// and has no query")
        if not contact.isprintable() or not contact.isascii():
            raise UsageError("a contact is one line of ASCII")
        self._agent = f"ctlog/{__version__}" + (f" (+{contact})" if contact else "")
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpFetcher:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=SILENCE_S, sock_read=SILENCE_S),
            headers={"User-Agent": self._agent, "Accept-Encoding": "gzip"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # here, with a bound
            read_bufsize=_CHUNK,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """See Fetcher."""
        if self._session is None:
            raise UsageError("an HttpFetcher is used inside `async with`")
        url = URL(str(self._url) + path, encoded=True)
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise _refusal(path, answer)
                return await _read(path, answer, limit)
        except CtlogError:
            raise
        except TimeoutError:
            raise TransportError(f"{path}: no whole answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(f"{path}: {_why(error)}"[:300]) from None


def _why(error: Exception) -> str:
    """For people: a connection that is not made is said without the library's own words for it."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        cause = error.os_error
        why = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror or cause
        return f"{error.host}:{error.port}: {why}"
    return f"{type(error).__name__}: {error}"


async def _read(path: str, answer: aiohttp.ClientResponse, limit: int) -> bytes:
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise TransportError(f"{path}: an encoding that nobody asked for")
    slack = 0 if encoding == "identity" else limit // 64 + 1024  # what gzip adds to bytes that it cannot compress
    if (answer.content_length or 0) > limit + slack:
        raise TransportError(f"{path}: longer than {limit} bytes")
    inflater = Inflater(limit) if encoding != "identity" else None
    parts: list[bytes] = []
    total = 0
    async for chunk in answer.content.iter_any():
        part = chunk if inflater is None else inflater.feed(chunk)
        total += len(part)
        if total > limit:
            raise TransportError(f"{path}: longer than {limit} bytes")
        parts.append(part)
    if inflater is not None:
        inflater.end()
    return b"".join(parts)


def _refusal(path: str, answer: aiohttp.ClientResponse) -> CtlogError:
    if answer.status in (400, 404, 410):
        return NotFoundError(f"{path}: there is no such thing (status {answer.status})")
    if answer.status in (429, 503):
        wait_s = retry_after_s(answer.headers.get("Retry-After", ""), datetime.now(UTC))
        return BusyError(f"{path}: the log is busy (status {answer.status})", retry_after_s=wait_s)
    return TransportError(f"{path}: status {answer.status}")


def retry_after_s(header: str, now: datetime) -> int:
    """Seconds to wait by a Retry-After header (RFC 9110 section 10.2.3): a number or a date; 1 where it says nothing.

    At least 1, at most an hour, so that nobody can send a follower to sleep.
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = int(text[:9])
    else:
        try:
            when = parsedate_to_datetime(text)
            seconds = round(((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())
        except (ValueError, OverflowError):
            seconds = 1
    return min(max(seconds, 1), MAX_RETRY_AFTER_S)
