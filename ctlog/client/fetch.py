"""Reading what a log publishes: what a fetcher promises, and the one that reads a folder with the same files.

In scope: the `Fetcher` protocol, `DirectoryFetcher`, and gzip with a bound. Out of scope: HTTP, whose client takes
long to import (`ctlog.client.http_fetcher`); believing any of it (`ctlog.client.trusted`, `ctlog.client.tile_reader`);
trying again (`ctlog.client.patient`).

Only three errors leave a fetcher: NotFoundError, where the other side says that there is no such thing; BusyError,
where it says to come later; TransportError for all else. None of them says anything about the log's honesty.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol

from zlib_ng import zlib_ng as zlib  # the same answers, in a third of the time

from ctlog.errors import NotFoundError, TransportError

MAX_BYTES = 64 << 20
"""Bytes of the longest answer, after decompression: a thousand RFC 6962 entries of 48 KB, in base64."""

_GZIP_MAGIC = b"\x1f\x8b"


class Fetcher(Protocol):
    """Where a log is read from."""

    async def get(self, path: str, *, limit: int = MAX_BYTES) -> bytes:
        """What stands at `path` below the log's prefix (a query may follow), at most `limit` bytes, decompressed.

        Raises NotFoundError, BusyError (with `retry_after_s`) or TransportError, and nothing else.
        """
        ...


class Inflater:
    """gzip (RFC 1952, one member), never to more than `limit` bytes. Raises TransportError."""

    def __init__(self, limit: int) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._left = limit

    def feed(self, data: bytes) -> bytes:
        """What these bytes add."""
        try:
            out = self._inflate.decompress(data, self._left + 1)
        except zlib.error:  # type: ignore[misc]  # the stub of zlib-ng calls it an instance
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
        if path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise NotFoundError(f"{path!a} is no path below the log's folder")
        try:
            # Read as it is, into as much memory as it needs: a follower or fsck opens three files for 256 entries.
            with open(f"{self._folder}/{path}", "rb", buffering=0) as file:  # noqa: PTH123
                is_long = os.fstat(file.fileno()).st_size > limit
                data = b"" if is_long else file.readall()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFoundError(f"{path} does not exist") from None
        except OSError as error:
            raise TransportError(f"{path} cannot be read: {error.strerror}") from None
        if is_long or len(data) > limit:
            raise TransportError(f"{path} is longer than {limit} bytes")
        # A data tile begins with a time of 64 bits, the feed with a brace: neither looks like gzip.
        is_packed = data.startswith(_GZIP_MAGIC) and path.startswith("tile/") and not path[5:6].isdigit()
        return gunzip(data, limit) if is_packed else data
