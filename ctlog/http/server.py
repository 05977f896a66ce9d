"""The shell around the handlers: connections, routing, bodies within bounds, and answers on the wire.

In scope: HTTP/1.1 through aiohttp's low-level server (its parser and keep-alive; its Application, Response and router
cost as much again as all the rest, see benchmarks/README.md), methods, HEAD, OPTIONS and CORS, `Expect: 100-continue`,
the size and time that a body may take, the number of connections, and the client's address.
Out of scope: what any path means. A handler takes a `Call` and gives an `Answer` or raises; nothing that it raises
reaches a client as anything but `ctlog.http.problems`' JSON.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from ctlog.errors import BusyError, MalformedError, RefusedError
from ctlog.http.answers import NO_STORE, Answer
from ctlog.http.limits import Proxies
from ctlog.http.problems import answer_to, method_not_allowed, not_found

logger = logging.getLogger("ctlog.http")

KEEPALIVE_S = 75.0  # an idle connection; also what a client has for its first request line
LARGE_BYTES = 1 << 16  # an answer that may have to wait for a slow reader
OUTGOING_BYTES = 64 << 20  # how much of these may wait at once; more are answered 503
DRAIN_S = 30.0  # how long one may wait
_STATUS_LINE = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}

# The same for every path: a log is public, and so is the right to submit to it.
CORS = "Access-Control-Allow-Origin: *\r\n"
_PREFLIGHT = (
    ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
    ("Access-Control-Max-Age", "86400"),
)


class Bounds(NamedTuple):
    """What one client may take."""

    body_bytes: int
    request_s: float
    connections: int


class Call:
    """One request, as a handler sees it."""

    __slots__ = ("_request", "_site", "path", "source")

    def __init__(self, request: web.BaseRequest, site: Site, path: str, source: str) -> None:
        self._request = request
        self._site = site
        self.path = path
        self.source = source
        """The client's address, a proxy's word counted only where it is trusted; "unix" for the Unix socket."""

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters; of one that is given twice, the first."""
        return self._request.query

    def header(self, name: str) -> str:
        """A header's value, or ""."""
        return self._request.headers.get(name, "")

    async def body(self) -> bytes:
        """The whole body. Raises RefusedError, "body-too-large", before it is read whole, or "request-timeout"."""
        limit, seconds, _ = self._site.bounds
        if (self._request.content_length or 0) > limit:
            raise _too_large(limit)
        if self._request.version >= (1, 1) and self.header("Expect").lower() == "100-continue":
            cast(asyncio.Transport, self._request.transport).write(b"HTTP/1.1 100 Continue\r\n\r\n")
        content = self._request.content
        try:
            if content.is_eof():  # it came with the headers: no timer, no wait
                body = content.read_nowait()
            else:
                async with asyncio.timeout(seconds):
                    body = b""
                    while len(body) <= limit and (part := await content.readany()):
                        body += part
        except TimeoutError:
            raise RefusedError(f"the request did not arrive whole within {seconds:g} s",
                               reason="request-timeout") from None
        except (RequestPayloadError, ConnectionError):
            raise MalformedError("the body does not follow HTTP, or was broken off", field="body",
                                 reason="bad-http") from None
        if len(body) > limit:
            raise _too_large(limit)
        return body


Handler = Callable[[Call], Awaitable[Answer]]
Observer = Callable[[str, int, float], None]
"""Told the endpoint's name, the status and the seconds of each request."""


class Route(NamedTuple):
    """A name for the metrics, and a handler for each method. HEAD and OPTIONS need none."""

    name: str
    methods: Mapping[str, Handler]

    @property
    def allowed(self) -> str:
        """The Allow header."""
        return ", ".join([*self.methods, *(["HEAD"] if "GET" in self.methods else []), "OPTIONS"])


class Site:
    """All paths of one log, and the bounds that hold for each request."""

    def __init__(self, exact: Mapping[str, Route], prefixes: Mapping[str, Route], bounds: Bounds, proxies: Proxies,
                 observe: Observer) -> None:
        self.bounds = bounds
        self._exact = dict(exact)
        self._prefixes = tuple(prefixes.items())
        self._proxies = proxies
        self._observe = observe
        self._date = (0, "")
        self.outgoing_bytes = 0
        """Bytes of large answers that wait for their readers."""

    def server(self) -> Connections:
        """A protocol factory for `loop.create_server` and `create_unix_server`. Needs a running loop."""
        return Connections(self)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; raises nothing."""
        started = time.perf_counter()
        path = request.rel_url.path
        route = self._exact.get(path) or self._by_prefix(path)
        name = "other"
        try:
            if self.outgoing_bytes > OUTGOING_BYTES:
                raise BusyError("too many large answers wait for slow readers", retry_after_s=15)
            if route is None:
                raise not_found(path)
            name = route.name
            answer = await self._answer(request, path, route)
        except Exception as error:  # the one place where everything ends: a client never sees a traceback
            answer = answer_to(error)
        self._observe(name, answer.status, time.perf_counter() - started)
        # A client that was refused before its body was read is cut off rather than listened to.
        return _Reply(self, answer, close=not request.content.is_eof())

    def date(self) -> str:
        """The Date header, made once a second."""
        second = int(time.time())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    async def _answer(self, request: web.BaseRequest, path: str, route: Route) -> Answer:
        method = request.method
        handler = route.methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            if method == "OPTIONS":
                headers = (("Allow", route.allowed), ("Access-Control-Allow-Methods", route.allowed), *_PREFLIGHT)
                return Answer(204, b"", "", NO_STORE, headers)
            return method_not_allowed(method, route.allowed)
        peer = request.protocol.peername
        source = self._proxies.client(peer[0] if isinstance(peer, tuple) else "",
                                      request.headers.get("X-Forwarded-For", ""))
        return await handler(Call(request, self, path, source))

    def _by_prefix(self, path: str) -> Route | None:
        for prefix, route in self._prefixes:
            if path.startswith(prefix):
                return route
        return None


class Connections(web.Server):
    """Makes our connections, and no more of them than fit; `open` is how many there are."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.handle)
        self.site = site
        self.open = 0
        self._settings: dict[str, Any] = {
            "keepalive_timeout": KEEPALIVE_S,
            "lingering_time": 1.0,  # how long an unread body is listened to after its answer
            "access_log": None,
            "auto_decompress": False,  # else 512 KiB of gzip could become 512 MiB
            "logger": logger,
        }

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._settings)


class _Connection(RequestHandler):
    """One connection. What is no HTTP is answered in our JSON, and closed."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = cast(Connections, self._manager)
        if server.open >= server.site.bounds.connections:
            cast(asyncio.Transport, transport).abort()
            self._manager = None  # as after connection_lost: nothing was begun
            return
        server.open += 1
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._manager is not None:
            cast(Connections, self._manager).open -= 1
        super().connection_lost(exc)

    def handle_error(self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None,
                     message: str | None = None) -> web.StreamResponse:
        if status == 400:
            error: Exception = MalformedError("this is not an HTTP request that can be read", field="request",
                                              reason="bad-http")
        else:
            error = exc if isinstance(exc, Exception) else RuntimeError(message)
        return _Reply(cast(Connections, self._manager).site, answer_to(error), close=True)


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
        status, body, content_type, cache, headers = self._answer
        keep_alive = request.keep_alive and self._keep_alive is None
        self._keep_alive = keep_alive
        lines = [_STATUS_LINE[status], CORS, "Cache-Control: ", cache, "\r\nDate: ", self._site.date(), "\r\n"]
        if status != 204:
            lines += ("Content-Type: ", content_type, "\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ",
                      str(len(body)), "\r\n")
        for name, value in headers:
            lines += (name, ": ", value, "\r\n")
        if not keep_alive:
            lines.append("Connection: close\r\n")
        elif request.version < (1, 1):
            lines.append("Connection: keep-alive\r\n")
        lines.append("\r\n")
        head = "".join(lines).encode("latin-1", "replace")
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if request.method == "HEAD":
            transport.write(head)
        elif len(body) < LARGE_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
            await self._drain(request, transport, len(body))

    async def _drain(self, request: web.BaseRequest, transport: asyncio.Transport, size: int) -> None:
        self._site.outgoing_bytes += size
        try:
            async with asyncio.timeout(DRAIN_S):
                await request.writer.drain()
        except TimeoutError:
            transport.abort()
        finally:
            self._site.outgoing_bytes -= size

    async def write_eof(self, data: bytes = b"") -> None:
        """All is written already."""


def _too_large(limit: int) -> RefusedError:
    return RefusedError(f"a submission may have at most {limit} bytes", reason="body-too-large")
