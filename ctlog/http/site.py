"""All paths of one log: from a request, however it was read, to its answer; and an answer's head as bytes.

In scope: routing, methods, HEAD, OPTIONS and CORS, the bounds on bodies; no failure reaches a client as anything
but `ctlog.http.problems`' JSON. Out of scope: connections (`ctlog.http.server`, `ctlog.http.lane`), and what a path
means: a handler takes a `Call` and gives an `Answer` or raises.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

from ctlog.errors import BusyError, RefusedError
from ctlog.http.answers import NO_STORE, Answer
from ctlog.http.limits import Proxies
from ctlog.http.problems import answer_to, method_not_allowed, not_found

LARGE_BYTES = 1 << 16  # an answer that may have to wait for a slow reader
OUTGOING_BYTES = 64 << 20  # how much of these may wait at once; more are answered 503
DRAIN_S = 30.0  # how long one may wait

_STATUS_LINE = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
# The same for every path: a log is public, and so is the right to submit to it.
_CORS = "Access-Control-Allow-Origin: *\r\nCache-Control: "
_PREFLIGHT = (
    ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
    ("Access-Control-Max-Age", "86400"),
)


class Call(ABC):
    """One request, as a handler sees it."""

    __slots__ = ("method", "path", "source")

    def __init__(self, method: str, path: str, source: str) -> None:
        self.method = method
        self.path = path
        self.source = source
        """The client's address, a proxy's word counted only where it is trusted; "unix" for the Unix socket."""

    @property
    @abstractmethod
    def query(self) -> Mapping[str, str]:
        """The query's parameters; of one that is given twice, the first."""

    @abstractmethod
    def header(self, name: str) -> str:
        """A header's value, or ""."""

    @abstractmethod
    async def body(self) -> bytes:
        """The whole body. Raises RefusedError, "body-too-large", before it is read whole, or "request-timeout"."""

    async def parts(self) -> AsyncIterator[bytes]:
        """The body as it comes, of any length, with no limit in time. Raises MalformedError when it is broken off."""
        yield await self.body()


Handler = Callable[[Call], Awaitable[Answer]]
Observer = Callable[[str, int, float], None]
"""Told the endpoint's name, the status and the seconds of each request."""


class Bounds(NamedTuple):
    """What one client may take."""

    body_bytes: int
    request_s: float
    connections: int


class Route(NamedTuple):
    """A name for the metrics, and a handler for each method. HEAD and OPTIONS need none. `streamed`: it reads its
    request while it answers."""

    name: str
    methods: Mapping[str, Handler]
    streamed: bool = False

    @property
    def allowed(self) -> str:
        """The Allow header."""
        return ", ".join([*self.methods, *(["HEAD"] if "GET" in self.methods else []), "OPTIONS"])


class Site:
    """The routes, by exact path or by what a path begins with, and the bounds that hold for each request."""

    def __init__(self, exact: Mapping[str, Route], prefixes: Mapping[str, Route], bounds: Bounds, proxies: Proxies,
                 observe: Observer) -> None:
        self.bounds = bounds
        self.proxies = proxies
        self.outgoing_bytes = 0
        """Bytes of large answers that wait for their readers."""
        self.streamed = frozenset(path.encode() for path, route in exact.items() if route.streamed)
        """Paths whose answers are streamed: these are not for the lane."""
        self._exact = dict(exact)
        self._prefixes = tuple(prefixes.items())
        self._observe = observe
        self._date = (0, "")

    async def answer(self, call: Call) -> Answer:
        """Answer one request; raises nothing but a cancellation."""
        started = time.perf_counter()
        name = "other"
        try:
            if self.outgoing_bytes > OUTGOING_BYTES:
                raise BusyError("too many large answers wait for slow readers", retry_after_s=15)
            route = self._exact.get(call.path) or self._by_prefix(call.path)
            if route is None:
                raise not_found(call.path)
            name = route.name
            handler = route.methods.get("GET" if call.method == "HEAD" else call.method)
            answer = await handler(call) if handler is not None else _without_handler(call.method, route)
        except Exception as error:  # the one place where everything ends: a client never sees a traceback
            answer = answer_to(error)
        self._observe(name, answer.status, time.perf_counter() - started)
        return answer

    def head(self, answer: Answer, *, close: bool = False, keep_alive: bool = False, chunked: bool = False) -> bytes:
        """Everything before the body. `close` and `keep_alive` say what Connection says; neither: nothing."""
        status, body, content_type, cache, headers, stream = answer
        lines = [_STATUS_LINE[status], _CORS, cache, "\r\nDate: ", self._now(), "\r\n"]
        if status != 204:
            lines += ("Content-Type: ", content_type, "\r\nX-Content-Type-Options: nosniff\r\n")
        if chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        elif status != 204 and stream is None:
            lines += ("Content-Length: ", str(len(body)), "\r\n")
        for name, value in headers:
            lines += (name, ": ", value, "\r\n")
        if close:
            lines.append("Connection: close\r\n")
        elif keep_alive:
            lines.append("Connection: keep-alive\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1", "replace")

    def _now(self) -> str:
        """The Date header, made once a second."""
        second = int(time.time())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    def _by_prefix(self, path: str) -> Route | None:
        for prefix, route in self._prefixes:
            if path.startswith(prefix):
                return route
        return None


def too_large(limit: int) -> RefusedError:
    """For a body beyond the bounds."""
    return RefusedError(f"a submission may have at most {limit} bytes", reason="body-too-large")


def too_slow(seconds: float) -> RefusedError:
    """For a request that trickles."""
    return RefusedError(f"the request did not arrive whole within {seconds:g} s", reason="request-timeout")


def _without_handler(method: str, route: Route) -> Answer:
    if method != "OPTIONS":
        return method_not_allowed(method, route.allowed)
    headers = (("Allow", route.allowed), ("Access-Control-Allow-Methods", route.allowed), *_PREFLIGHT)
    return Answer(204, b"", "", NO_STORE, headers)
