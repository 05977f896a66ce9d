"""Answers in parts: the frame, the end, and readers that are gone or slow. (Over a socket: test_bulk.py.)"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web

from ctlog.http import site as bounds
from ctlog.http.answers import NDJSON, Answer, Sink
from ctlog.http.limits import Proxies
from ctlog.http.site import Bounds, Site
from ctlog.http.streaming import Chunks, StreamedReply


class Peer:
    """A connection and its request in one."""

    def __init__(self, version: tuple[int, int] = (1, 1), expect: str = "") -> None:
        self.version = version
        self.headers = {"Expect": expect} if expect else {}
        self.written = b""
        self.closing = False
        self.slow = False
        self.transport: Any = self
        self.writer = self

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    async def drain(self) -> None:
        if self.slow:
            await asyncio.Event().wait()


def chunks(peer: Peer) -> Chunks:
    return Chunks(cast(web.BaseRequest, peer), peer.transport)


async def test_each_part_is_a_chunk_and_the_end_is_one() -> None:
    peer = Peer()
    sink = chunks(peer)
    await sink.write(b"0123456789abcdef0")
    await sink.write(b"")  # would be the end
    await sink.write(b"\n")
    sink.end()
    assert peer.written == b"11\r\n0123456789abcdef0\r\n1\r\n\n\r\n0\r\n\r\n"


async def test_http_1_0_knows_no_chunks() -> None:
    peer = Peer((1, 0))
    sink = chunks(peer)
    await sink.write(b"part")
    sink.end()
    assert peer.written == b"part"


async def test_readers_that_are_gone_or_slow_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DRAIN_S", 0.01)
    peer = Peer()
    peer.slow = True
    with pytest.raises(ConnectionResetError, match="too slowly"):
        await chunks(peer).write(b"x")
    assert peer.closing
    with pytest.raises(ConnectionResetError, match="gone"):
        await chunks(peer).write(b"x")
    written = peer.written
    chunks(peer).end()
    assert peer.written == written


def reply(answer: Answer) -> StreamedReply:
    site = Site({}, {}, Bounds(1 << 20, 20, 100), Proxies(()), lambda *_: None)
    return StreamedReply(site, answer)


@pytest.mark.parametrize(("version", "expect"), [((1, 1), "100-Continue"), ((1, 1), ""), ((1, 0), "100-continue")])
async def test_a_whole_answer(version: tuple[int, int], expect: str) -> None:
    async def stream(sink: Sink) -> None:
        await sink.write(b"{}\n")

    peer = Peer(version, expect)
    answer = reply(Answer(200, b"", NDJSON, stream=stream))
    await answer.prepare(cast(web.BaseRequest, peer))
    await answer.write_eof()
    assert answer.status == 200
    head, _, body = peer.written.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    assert (peer.written.startswith(b"HTTP/1.1 100")) == (expect != "" and version == (1, 1))
    assert b"Content-Length" not in head
    assert b"Connection: close" in head
    assert (b"Transfer-Encoding: chunked" in head) == (version == (1, 1))
    assert body == (b"3\r\n{}\n\r\n0\r\n\r\n" if version == (1, 1) else b"{}\n")


async def test_nothing_is_begun_for_a_client_that_is_gone() -> None:
    async def stream(_: Sink) -> None:
        pytest.fail("it was begun")

    peer = Peer()
    peer.closing = True
    with pytest.raises(ConnectionResetError):
        await reply(Answer(200, b"", stream=stream)).prepare(cast(web.BaseRequest, peer))
    assert peer.written == b""
