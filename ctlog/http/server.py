"""Connections, by aiohttp's low-level server: its parser, its keep-alive, and all requests out of the ordinary.

In scope: HTTP/1.x as aiohttp reads it (its Application, Response and router are not used: they cost as much again),
bodies within bounds, `Expect: 100-continue`, the number of connections, slow readers. Out of scope: routing and answers
(`ctlog.http.site`). A connection begins in `ctlog.http.lane`, which hands it over here, for good, when a request comes
that it does not read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from ctlog.errors import MalformedError
from ctlog.http import site as bounds
from ctlog.http.answers import Answer
from ctlog.http.lane import KEEPALIVE_S, Lane, Lanes
from ctlog.http.problems import answer_to
from ctlog.http.site import LARGE_BYTES, Call, Site, too_large, too_slow
from ctlog.http.streaming import StreamedReply

logger = logging.getLogger("ctlog.http")

LINGER_S = 1.0  # how long an unread body is listened to after its answer


class Connections:
    """A protocol factory for `loop.create_server` and `create_unix_server`; `open` is how many there are.

    Needs a running loop. `shutdown` waits for answers under way, then closes what is left.
    """

    def __init__(self, site: Site) -> None:
        self._server = _Server(site)
        self._lanes = Lanes(site, self._server)

    @property
    def open(self) -> int:
        """Connections of both kinds."""
        return len(self._lanes.open) + self._server.open

    def __call__(self) -> asyncio.Protocol:
        if self.open >= self._lanes.site.bounds.connections:
            return _Refusal()
        return Lane(self._lanes)

    def pre_shutdown(self) -> None:
        """Take no further request; connections that are idle are closed."""
        self._lanes.pre_shutdown()
        self._server.pre_shutdown()

    async def shutdown(self, seconds: float) -> None:
        """Wait for answers under way, `seconds` at most, and close everything."""
        await asyncio.gather(self._lanes.shutdown(seconds), self._server.shutdown(seconds))


class _Refusal(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


class _Server(web.Server):
    """Makes aiohttp's connections."""

    def __init__(self, site: Site) -> None:
        super().__init__(self._handle)
        self.site = site
        self.open = 0
        self._settings: dict[str, Any] = {
            "keepalive_timeout": KEEPALIVE_S,
            "lingering_time": LINGER_S,
            "access_log": None,
            "auto_decompress": False,  # else 512 KiB of gzip could become 512 MiB
            "logger": logger,
        }

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._settings)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self.site.answer(_AiohttpCall(request, self.site))
        if answer.stream is not None:
            return StreamedReply(self.site, answer)
        # A client that was refused before its body was read is cut off rather than listened to.
        return _Reply(self.site, answer, close=not request.content.is_eof())


class _Connection(RequestHandler):
    """One of aiohttp's connections. What is no HTTP is answered in our JSON, and closed."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(_Server, self._manager).open += 1
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._manager is not None:
            cast(_Server, self._manager).open -= 1
        super().connection_lost(exc)

    def handle_error(self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None,
                     message: str | None = None) -> web.StreamResponse:
        if status == 400:
            error: Exception = MalformedError("this is not an HTTP request that can be read", field="request",
                                              reason="bad-http")
        else:
            error = exc if isinstance(exc, Exception) else RuntimeError(message)
        return _Reply(cast(_Server, self._manager).site, answer_to(error), close=True)


class _AiohttpCall(Call):
    """A request that aiohttp has read."""

    __slots__ = ("_request", "_site")

    def __init__(self, request: web.BaseRequest, site: Site) -> None:
        peer = request.protocol.peername
        source = site.proxies.client(peer[0] if isinstance(peer, tuple) else "",
                                     request.headers.get("X-Forwarded-For", ""))
        super().__init__(request.method, request.rel_url.path, source)
        self._request = request
        self._site = site

    @property
    def query(self) -> Mapping[str, str]:
        return self._request.query

    def header(self, name: str) -> str:
        return self._request.headers.get(name, "")

    async def body(self) -> bytes:
        limit, seconds, _ = self._site.bounds
        if (self._request.content_length or 0) > limit:
            raise too_large(limit)
        if self._request.version >= (1, 1) and self.header("Expect").lower() == "100-continue":
            cast(asyncio.Transport, self._request.transport).write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()  # whose growth copies nothing again for each part, however small these are
        try:
            async with asyncio.timeout(seconds):
                while len(body) <= limit and (part := await self._request.content.readany()):
                    body.extend(part)
        except TimeoutError:
            raise too_slow(seconds) from None
        except (RequestPayloadError, ConnectionError):
            raise _broken_off() from None
        if len(body) > limit:
            raise too_large(limit)
        return bytes(body)

    async def parts(self) -> AsyncIterator[bytes]:
        try:
            while part := await self._request.content.readany():
                yield part
        except (RequestPayloadError, ConnectionError):
            raise _broken_off() from None


def _broken_off() -> MalformedError:
    sentence = "the body does not follow HTTP, or was broken off"
    return MalformedError(sentence, field="body", reason="bad-http")


class _Reply(web.StreamResponse):
    """An `Answer` on its way out: head and body in one write."""

    def __init__(self, site: Site, answer: Answer, close: bool) -> None:  # no super(): none of its state is used
        self._site = site
        self._answer = answer
        self._keep_alive = False if close else None

    @property
    def status(self) -> int:
        return self._answer.status

    async def prepare(self, request: web.BaseRequest) -> Any:
        body = self._answer.body
        keep_alive = request.keep_alive and self._keep_alive is None
        self._keep_alive = keep_alive
        head = self._site.head(self._answer, close=not keep_alive, keep_alive=request.version < (1, 1))
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if request.method == "HEAD":
            transport.write(head)
        elif len(body) < LARGE_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)  # not writelines: see lane.py
            transport.write(body)
            await self._drain(request, transport, len(body))

    async def _drain(self, request: web.BaseRequest, transport: asyncio.Transport, size: int) -> None:
        self._site.outgoing_bytes += size
        try:
            async with asyncio.timeout(bounds.DRAIN_S):
                await request.writer.drain()
        except TimeoutError:
            transport.abort()
        finally:
            self._site.outgoing_bytes -= size

    async def write_eof(self, data: bytes = b"") -> None:
        """All is written already."""
