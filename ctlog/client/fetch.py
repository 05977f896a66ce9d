"""Reading what a log publishes: over HTTP, or from a folder that holds the same files.

In scope: the `Fetcher` protocol and its two implementations, with bounds on time and size, and gzip. Out of scope:
believing any of it (`ctlog.client.trusted`, `ctlog.client.tile_reader`), trying again (`ctlog.client.follow`), and
URLs that strangers choose (`ctlog.client.guarded`).

Only three errors leave a fetcher: NotFoundError, where the other side says that there is no such thing (RFC 6962
servers say so by 400, too); BusyError, where it says to come later; TransportError for all else. None of them says
anything about the log's honesty.
"""

from __future__ import annotations

import asyncio
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol

import aiohttp
from yarl import URL

from ctlog import __version__
from ctlog.errors import BusyError, CtlogError, NotFoundError, TransportError, UsageError

MAX_BYTES = 64 << 20
"""Bytes of the longest answer, after decompression: a thousand RFC 6962 entries of 48 KB, in base64."""
TOTAL_S = 120.0
"""Seconds for one answer from the first byte of the request to the last of the body, however it drips."""
SILENCE_S = 20.0
"""Seconds without a byte after which a server is taken for dead."""
MAX_RETRY_AFTER_S = 3600

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 256 << 10


class Fetcher(Protocol):
    """Where a log is read from."""

    async def get(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """What stands at `path` below the log's prefix (a query may follow), at most `limit` bytes, decompressed.

        Raises NotFoundError, BusyError (with `retry_after_s`) or TransportError, and nothing else.
        """
        ...


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
            raise TransportError(f"{path}: {type(error).__name__}: {error}"[:300]) from None


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


class Inflater:
    """gzip (RFC 1952, one member), never to more than `limit` bytes. Raises TransportError."""

    def __init__(self, limit: int) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._left = limit

    def feed(self, data: bytes) -> bytes:
        """What these bytes add."""
        try:
            out = self._inflate.decompress(data, self._left + 1)
        except zlib.error:
            raise TransportError("the answer says that it is gzip, and is not") from None
        self._left -= len(out)
        if self._left < 0:
            raise TransportError("the answer grows beyond all bounds when it is decompressed")
        if self._inflate.unused_data:
            raise TransportError("there is something behind the gzip data")
        return out

    def end(self) -> None:
        """Refuse what was cut short."""
        if not self._inflate.eof:
            raise TransportError("the gzip data ends too early")


def gunzip(data: bytes, limit: int = MAX_BYTES) -> bytes:
    """The whole of one gzip file. Raises TransportError."""
    inflater = Inflater(limit)
    plain = inflater.feed(data)
    inflater.end()
    return plain


class DirectoryFetcher:
    """A log whose public files lie in a folder; no RFC 6962 calls, which need a server.

    Full tiles of entries may be stored compressed, as a web server sends them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """See Fetcher."""
        return await asyncio.to_thread(self.read, path, limit)

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """`get` for callers that may block, such as the workers of `ctlog.client.parallel`."""
        if PurePosixPath(path).is_absolute() or ".." in path.split("/") or "\0" in path:
            raise NotFoundError(f"{path!a} is no path below the log's folder")
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFoundError(f"{path} does not exist") from None
        except OSError as error:
            raise TransportError(f"{path} cannot be read: {error.strerror}") from None
        if len(data) > limit:
            raise TransportError(f"{path} is longer than {limit} bytes")
        # A data tile begins with a time of 64 bits, the feed with a brace: neither looks like gzip.
        is_packed = data.startswith(_GZIP_MAGIC) and path.startswith("tile/") and not path[5:6].isdigit()
        return gunzip(data, limit) if is_packed else data
