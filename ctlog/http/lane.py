"""The ordinary request, read at once: a strict subset of HTTP/1.1, a third of the cost of the general parser.

RFC 9112. In scope: GET, HEAD and POST with an absolute path without percent-encoding, one Host, header lines of plain
tokens, and for POST one Content-Length within bounds: what every client of a log sends. Whatever deviates in the least
(a partial head, chunked, Expect, Upgrade, close, HTTP/1.0, folding, garbage) is not judged here: the connection is
handed over, with all that was read, to `ctlog.http.server`, and stays there. A request that is taken here is one on
which no two parsers differ.

In scope too: pipelined requests, one after the other; bodies that come in parts, within the time they have; idle
connections; readers that are slow to take a large answer. See docs/decisions/0002-the-lane.md.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import cast
from urllib.parse import parse_qsl

from ctlog.http import site as bounds
from ctlog.http.answers import Answer
from ctlog.http.problems import answer_to
from ctlog.http.site import LARGE_BYTES, Call, Site, too_slow

KEEPALIVE_S = 75.0  # an idle connection; also what a client has for its first request line
MAX_HEAD_BYTES = 8190  # longer ones are for the general parser to refuse
MAX_WAITING_BYTES = 1 << 20  # of pipelined requests behind one that is being answered

_HEAD = re.compile(
    rb"(GET|HEAD|POST) (/[!$&'()*+,\-./0-9:;=@A-Z_a-z~]*)(?:\?([!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*))? HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[ \t]*[!-~]?[ -~]*\r\n)+)\r\n")
# Headers that change what follows, or that make the request less than ordinary.
_UNUSUAL = re.compile(
    rb"^(?:transfer-encoding|expect|upgrade|te|trailer|keep-alive|proxy-connection|content-encoding|http2-settings|"
    rb"connection(?!:[ \t]*keep-alive[ \t]*\r$)):",
    re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,8})[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_COUNTED = re.compile(rb"^(?:content-length|host):", re.IGNORECASE | re.MULTILINE)
_HOST = re.compile(rb"^host:", re.IGNORECASE | re.MULTILINE)


class Lanes:
    """The connections that are in the lane, and where they go when they leave it."""

    def __init__(self, site: Site, general: Callable[[], asyncio.Protocol]) -> None:
        self.site = site
        self.general = general
        self.open: set[Lane] = set()
        self.closing = False

    def pre_shutdown(self) -> None:
        """Close what is idle; the others close with their answer."""
        self.closing = True
        for lane in list(self.open):
            lane.close_if_idle()

    async def shutdown(self, seconds: float) -> None:
        """Wait for answers under way, `seconds` at most, then cut off what is left."""
        self.pre_shutdown()
        tasks = [lane.task for lane in self.open if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for lane in list(self.open):
            lane.abort()


class Lane(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._site = lanes.site
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._buffer = b""
        self._active_s = 0.0
        self._needed = 0  # bytes that the request at the buffer's start has, while its body is still coming
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None
        self.task: asyncio.Task[None] | None = None
        """Answers the request under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        self._lanes.open.add(self)
        self._active_s = self._loop.time()
        self._timer = self._loop.call_later(KEEPALIVE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._transport = None
        if self._drained is not None:
            self._drained.set()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self.task is None:
            self._next()
        elif len(self._buffer) > MAX_WAITING_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._drained = asyncio.Event()

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def close_if_idle(self) -> None:
        """For a server that stops."""
        if self.task is None and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut off."""
        if self._transport is not None:
            self._transport.abort()

    def _next(self) -> None:
        """Begin with the request at the start of the buffer, if it is there whole."""
        buffer = self._buffer
        if len(buffer) < self._needed:
            return
        match = _HEAD.match(buffer, 0, MAX_HEAD_BYTES)
        length = -1 if match is None else body_length(match[1], match[4])
        site = self._site
        if match is None or not 0 <= length <= site.bounds.body_bytes or match[2] in site.streamed:
            self._hand_over()
            return
        at = match.end()
        if len(buffer) < at + length:
            if not self._needed:
                self._wait_for(at + length)
            return
        if self._needed:
            self._wait_for(0)
        self._buffer = buffer[at + length :]
        call = _LaneCall(match, buffer[at : at + length], self._site, self._peer)
        self.task = self._loop.create_task(self._run(call))

    async def _run(self, call: Call) -> None:
        answer = await self._site.answer(call)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        close = self._lanes.closing
        head = self._site.head(answer, close=close)
        if call.method == "HEAD":
            transport.write(head)
        elif len(answer.body) < LARGE_BYTES:
            transport.write(head + answer.body)
        else:
            await self._write_large(transport, head, answer)
        if close:
            transport.close()
        self._active_s = self._loop.time()
        self.task = None
        if self._buffer and not transport.is_closing():
            transport.resume_reading()
            self._next()

    async def _write_large(self, transport: asyncio.Transport, head: bytes, answer: Answer) -> None:
        """Wait until the reader has taken it, for as long as that may last."""
        transport.write(head)  # not writelines: in 3.12 and 3.13.0 it never tells us to wait (CVE-2024-12254)
        transport.write(answer.body)
        if self._drained is None:
            return
        self._site.outgoing_bytes += len(answer.body)
        try:
            async with asyncio.timeout(bounds.DRAIN_S):
                await self._drained.wait()
        except TimeoutError:
            transport.abort()
        finally:
            self._site.outgoing_bytes -= len(answer.body)

    def _hand_over(self) -> None:
        """The rest of this connection's life is the general parser's."""
        transport, buffer = self._transport, self._buffer
        self._leave()
        if transport is None or transport.is_closing():
            return
        general = self._lanes.general()
        transport.set_protocol(general)
        general.connection_made(transport)
        general.data_received(buffer)

    def _leave(self) -> None:
        self._lanes.open.discard(self)
        self._buffer = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for(self, needed: int) -> None:
        """The body is still coming, and has its time; or it has come (0)."""
        self._needed = needed
        self._active_s = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
        wait_s = self._site.bounds.request_s if needed else KEEPALIVE_S
        self._timer = self._loop.call_later(wait_s, self._look)

    def _look(self) -> None:
        """The timer: too slow, or idle for too long?"""
        self._timer = None
        if self._transport is None:
            return
        idle_s = self._loop.time() - self._active_s
        if self._needed and self.task is None:
            answer = answer_to(too_slow(self._site.bounds.request_s))
            self._transport.write(self._site.head(answer, close=True) + answer.body)
            self._transport.close()
        elif self.task is None and idle_s >= KEEPALIVE_S - 0.01:
            self._transport.close()
        else:
            wait_s = KEEPALIVE_S if self.task is not None else KEEPALIVE_S - idle_s
            self._timer = self._loop.call_later(wait_s, self._look)


class _LaneCall(Call):
    """A request that the lane has read."""

    __slots__ = ("_body", "_headers", "_query")

    def __init__(self, match: re.Match[bytes], body: bytes, site: Site, peer: str) -> None:
        method, path, query, headers = match.groups()
        self._headers: bytes = headers
        self._query: bytes | None = query
        self._body = body
        source = peer
        if not peer or b"orwarded-" in headers or b"ORWARDED-" in headers:
            source = site.proxies.client(peer, self.header("X-Forwarded-For"))
        super().__init__(method.decode(), path.decode(), source)

    @property
    def query(self) -> Mapping[str, str]:
        if not self._query:
            return {}
        pairs = parse_qsl(self._query.decode(), keep_blank_values=True, errors="surrogateescape")
        return dict(reversed(pairs))

    def header(self, name: str) -> str:
        found = re.search(rb"^" + name.encode() + rb":[ \t]*([^\r]*)", self._headers, re.IGNORECASE | re.MULTILINE)
        return found[1].decode().strip() if found else ""

    async def body(self) -> bytes:
        return self._body


@lru_cache(256)  # a client's headers are the same each time but for the length: at most 2 MiB
def body_length(method: bytes, headers: bytes) -> int:
    """How long the body is; -1 when this is no ordinary request after all."""
    if _UNUSUAL.search(headers) is not None or _HOST.search(headers) is None:
        return -1
    length = _LENGTH.search(headers)
    counted = len(_COUNTED.findall(headers))
    if method != b"POST":
        return 0 if counted == 1 else -1
    return int(length[1]) if length is not None and counted == 2 else -1
