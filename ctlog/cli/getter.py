"""What a log publishes, fetched for one command: over one connection after the other, or from a folder.

In scope: GET over http and https with bounds on time and size, no redirects, no cookies. It uses the standard
library's client, which is imported in 30 ms; aiohttp takes 150 ms more, longer than all else that `ctlog verify` does.
Out of scope: many requests at once (`ctlog.client.fetch`).
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from ctlog import __version__
from ctlog.errors import TransportError, UsageError

T = TypeVar("T")
TIMEOUT_S = 30.0  # of silence
DEADLINE_S = 300.0  # of one answer
MAX_BYTES = 64 << 20


class Getter(Protocol):
    """Where a log's public paths are read from."""

    def get(self, path: str) -> bytes | None:
        """What is at `path`; None where there is nothing. Raises TransportError."""


def getter(where: str) -> Getter:
    """A getter for a URL, or for a folder as it is served (with `checkpoint` in it). Raises UsageError."""
    if where.startswith(("http://", "https://")):
        return _Web(where)
    folder = Path(where)
    if (folder / "public" / "checkpoint").is_file():
        folder = folder / "public"
    if not folder.is_dir():
        raise UsageError(f"{where} is neither a URL that begins with http:// or https://, nor a folder")
    return _Folder(folder)


def drive(walk: Generator[Sequence[str], Sequence[bytes | None], T], source: Getter) -> T:
    """Fetch what a walk asks for until it returns."""
    try:
        wanted = next(walk)
        while True:
            wanted = walk.send([source.get(path) for path in wanted])
    except StopIteration as end:
        result: T = end.value
        return result


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, path: str) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise TransportError(f"{self._folder / path} cannot be read: {error.strerror}") from None


class _Web:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.query or parts.fragment or "@" in parts.netloc:
            raise UsageError(f"{url!r} is no log's URL, such as https://log.example/2026/")
        self._url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def get(self, path: str) -> bytes | None:
        try:
            return self._ask(path)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._connection.close()  # a kept connection that the server had closed: once more, afresh
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(path, error) from None
        try:
            return self._ask(path)
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(path, error) from None

    def _ask(self, path: str) -> bytes | None:
        headers = {"User-Agent": f"ctlog/{__version__}", "Accept-Encoding": "identity"}
        self._connection.request("GET", f"{self._path}/{path}", headers=headers)
        response = self._connection.getresponse()
        body, deadline = bytearray(), time.monotonic() + DEADLINE_S
        while chunk := response.read1(1 << 20):
            body += chunk
            if len(body) > MAX_BYTES:
                self._connection.close()
                raise TransportError(f"{self._url}/{path} is larger than {MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError
        response.close()  # whole or not: only then may the connection be used again
        if response.length:
            raise http.client.IncompleteRead(bytes(body), response.length)
        if response.status == 200:
            return bytes(body)
        if response.status in (404, 410):
            return None
        raise TransportError(f"{self._url}/{path} answered {response.status} {response.reason}")

    def _failed(self, path: str, error: Exception) -> TransportError:
        self._connection.close()
        if isinstance(error, TimeoutError):
            return TransportError(f"{self._url}/{path} did not answer in time")
        if isinstance(error, socket.gaierror):
            return TransportError(f"{self._url} cannot be found: {error.strerror}")
        reason = getattr(error, "strerror", None) or getattr(error, "verify_message", None) or str(error)
        return TransportError(f"{self._url}/{path} cannot be fetched: {reason or type(error).__name__}")
