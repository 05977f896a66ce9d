"""Answers that go on while their request is still being read: chunked, each part as soon as it is there.

RFC 9112 section 7.1. In scope: the frame around each part, a reader that is slow to take them, and the end. The
connection is closed behind such an answer, for a client that stops in the middle leaves no other way to go on.
Out of scope: what the parts are (`ctlog.http.bulk`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from ctlog.http import site as bounds
from ctlog.http.answers import Answer
from ctlog.http.site import Site


class Chunks:
    """Where a streamed answer goes. `write` waits while the client is behind, and raises ConnectionResetError when it
    is gone."""

    def __init__(self, request: web.BaseRequest, transport: asyncio.Transport) -> None:
        self._request = request
        self._transport = transport
        self._chunked = request.version >= (1, 1)  # before that, the connection's end is the answer's

    async def write(self, data: bytes) -> None:
        """One part."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if not data:
            return  # an empty chunk would end the answer
        self._transport.write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)
        try:
            async with asyncio.timeout(bounds.DRAIN_S):
                await self._request.writer.drain()
        except TimeoutError:
            self._transport.abort()
            raise ConnectionResetError("the client reads too slowly") from None

    def end(self) -> None:
        """All is said."""
        if self._chunked and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")


class StreamedReply(web.StreamResponse):
    """An `Answer` with a `stream` on its way out."""

    def __init__(self, site: Site, answer: Answer) -> None:  # no super(): none of its state is used
        self._site = site
        self._answer = answer
        self._keep_alive = False

    @property
    def status(self) -> int:
        return self._answer.status

    async def prepare(self, request: web.BaseRequest) -> Any:
        transport, stream = request.transport, self._answer.stream
        if transport is None or transport.is_closing() or stream is None:
            raise ConnectionResetError("the client has gone")
        if request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue":
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        transport.write(self._site.head(self._answer, close=True, chunked=request.version >= (1, 1)))
        chunks = Chunks(request, transport)
        await stream(chunks)
        chunks.end()

    async def write_eof(self, data: bytes = b"") -> None:
        """All is written already."""
