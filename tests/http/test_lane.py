"""The lane takes what no two parsers read differently, hands over all else, and nobody can tell which it was."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any

import pytest
from aiohttp import http_exceptions
from aiohttp.http_parser import HttpRequestParser
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ctlog.http import lane as module
from ctlog.http.lane import _HEAD, _LaneCall, body_length
from ctlog.http.limits import Proxies
from ctlog.http.site import Site
from tests.http.test_server import BOUNDS, Running, running, split


def taken(data: bytes) -> bool:
    """Would the lane begin with this as a request?"""
    match = _HEAD.match(data, 0, module.MAX_HEAD_BYTES)
    return match is not None and body_length(match[1], match[4]) >= 0


Answers = list[tuple[int, dict[str, str], bytes]]


async def exchange(server: Running, *parts: bytes, answers: int = 1) -> Answers:
    """Send parts on one kept connection; `answers` of them come back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.02)
    found = []
    for _ in range(answers):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        length = int(split(head)[1].get("Content-Length", 0))
        found.append((*split(head)[:2], await reader.readexactly(length)))
    writer.close()
    return found


GET = b"GET /hello?a=1&b=%2B HTTP/1.1\r\nHost: x\r\nUser-Agent: me\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"


@pytest.mark.parametrize("request_", [
    GET, POST, b"HEAD /x HTTP/1.1\r\nhost:x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    b"GET /a?b HTTP/1.1\r\nHost: [::1]:80\r\nAccept: */*\r\nX:\r\n\r\n",
])
def test_the_ordinary_is_taken(request_: bytes) -> None:
    assert taken(request_)


@pytest.mark.parametrize("request_", [
    b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
    b"get / HTTP/1.1\r\nHost: x\r\n\r\n", b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n", b"GET /a|b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: \xe4\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\ntransfer-encoding:\tgzip\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", b"\x16\x03\x01\x02\x00\x01",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
])
def test_the_rest_is_handed_over(request_: bytes) -> None:
    assert not taken(request_)


NAMES = ["Host", "host", "Content-Length", "content-length", "Transfer-Encoding", "Expect", "X-A", "Accept",
         "Connection", "X-Forwarded-For", "Content-Length ", "Upgrade"]
VALUES = ["x", "3", "0", "03", "3, 3", "+3", "chunked", "identity", "100-continue", "close", "keep-alive", "", " 3 ",
          "3\t", "a:b", "\x0b", "a\x00", "ä", "1_0", "h2c"]
TARGETS = ["/", "/a", "/a?b=c&d=%2B+e", "/a%20b", "//x/y", "/a?b?c=d", "*", "/a;b", "/\x7f", "/a#b", "/?", "/a|b",
           "/?a=1&a=2&b", "/x/../y"]


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A request's head: a good one, with a few more headers, and up to two things about it changed."""
    def one_of(*choices: str) -> str:
        return draw(st.sampled_from(choices))

    method = one_of("GET", "HEAD", "POST")
    lines = ["Host: x", *(["Content-Length: 3"] if method == "POST" else [])]
    more = draw(st.lists(st.tuples(st.sampled_from(["X-A", "Accept", "X-Forwarded-For", "Connection"]),
                                   st.sampled_from([":", ": ", ":\t"]), st.sampled_from(VALUES)), max_size=3))
    lines = draw(st.permutations([*lines, *("".join(line) for line in more)]))
    parts = {"method": method, "space": " ", "target": one_of(*TARGETS), "version": " HTTP/1.1", "end": "\r\n"}
    for _ in range(draw(st.integers(0, 2))):
        match one_of("method", "space", "version", "end", "line", "line", "none", "none"):
            case "method":
                parts["method"] = one_of("get", "POST", "GET", "PUT", "")
            case "space":
                parts["space"] = one_of("  ", "\t")
            case "version":
                parts["version"] = one_of(" HTTP/1.0", " HTTP/2.0", "", " HTTP/1.1 ")
            case "end":
                parts["end"] = one_of("\n", "\r", "\r\r\n")
            case "line":
                lines = [*lines, one_of(*NAMES) + one_of(":", ": ", " :", "\r\n ") + one_of(*VALUES)]
    first = "".join(parts[name] for name in ("method", "space", "target", "version"))
    return parts["end"].join([first, *lines, "", ""]).encode("latin-1")


@settings(max_examples=400)
@given(heads())
def test_what_is_taken_is_read_as_the_general_parser_reads_it(head: bytes) -> None:
    event(f"taken: {taken(head)}")
    if not taken(head):
        return
    match = _HEAD.match(head)
    assert match is not None
    length = body_length(match[1], match[4])
    body = b"0123456789"[:length] if length <= 10 else bytes(length)
    site = Site({}, {}, BOUNDS, Proxies([]), lambda *_: None)
    call = _LaneCall(match, body, site, "192.0.2.1")
    message, payload = read_by_aiohttp(head + body + b"GET")
    assert message.method == call.method
    assert message.url.path == call.path
    assert {name: message.url.query[name] for name in message.url.query} == dict(call.query)
    assert not message.upgrade
    assert not message.chunked
    assert not message.should_close
    assert payload == body
    for name in ("X-A", "Accept", "X-Forwarded-For", "Host"):
        assert call.header(name) == message.headers.get(name, "").strip()


def read_by_aiohttp(data: bytes) -> tuple[Any, bytes]:
    """The first request as aiohttp reads it; AssertionError if it does not."""
    async def read() -> tuple[Any, bytes]:
        loop = asyncio.get_running_loop()
        from aiohttp.base_protocol import BaseProtocol

        parser = HttpRequestParser(BaseProtocol(loop), loop, 1 << 16)
        try:
            messages, _, _ = parser.feed_data(data)
        except http_exceptions.HttpProcessingError as error:
            raise AssertionError(f"aiohttp refuses {data!r}") from error
        message, stream = messages[0]
        assert stream.is_eof()
        return message, stream.read_nowait()

    return asyncio.run(read())


async def test_kept_connections_and_pipelines() -> None:
    async with running() as server:
        answers = await exchange(server, GET, POST + GET + POST, GET, answers=5)
        assert [status for status, _, _ in answers] == [200] * 5
        assert [body for _, _, body in answers[1::2]] == [b"abcde", b"abcde"][:2]
        assert json.loads(answers[0][2])["query"] == {"a": "1", "b": "+"}
        assert "Connection" not in answers[0][1]


async def test_bodies_in_parts() -> None:
    async with running() as server:
        big = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n"
        answers = await exchange(server, big + b"a" * 10, b"b" * 3000, b"c" * 990 + GET, answers=2)
        assert answers[0][2] == b"a" * 10 + b"b" * 3000 + b"c" * 990
        assert answers[1][0] == 200


async def test_a_body_that_trickles_is_cut_off() -> None:
    async with running() as server:
        answer = await server.raw(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        status, headers, body = split(answer)
        assert (status, json.loads(body)["reason"], headers["Connection"]) == (408, "request-timeout", "close")


async def test_a_body_too_large_and_the_unusual_after_the_ordinary() -> None:
    async with running() as server:
        large = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
        answers = await exchange(server, GET, large, answers=2)
        assert [status for status, _, _ in answers] == [200, 413]
        chunked = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        answers = await exchange(server, GET + chunked + GET, answers=3)
        assert [status for status, _, _ in answers] == [200] * 3
        assert answers[1][2] == b"abc"
        answers = await exchange(server, POST + b"garbage\r\n\r\n", answers=2)
        assert [status for status, _, _ in answers] == [200, 400]


async def test_a_head_in_parts_is_read_too() -> None:
    async with running() as server:
        assert (await exchange(server, GET[:20], GET[20:], answers=1))[0][0] == 200
        answers = await exchange(server, POST + POST[:30], POST[30:], answers=2)
        assert [body for _, _, body in answers] == [b"abcde"] * 2


async def test_head_requests_in_the_lane() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"HEAD /large HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert split(head)[1]["Content-Length"] == str(1 << 20)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEPALIVE_S", 0.2)
    async with running() as server:
        began = asyncio.get_running_loop().time()
        answer = await server.raw(GET)
        assert answer.startswith(b"HTTP/1.1 200")
        assert 0.15 < asyncio.get_running_loop().time() - began < 2
        assert await server.raw(b"") == b""


async def test_a_client_that_leaves_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server:
        for data in (GET, POST[:-2], b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            writer.transport.abort()
        await asyncio.sleep(0.1)
        assert (await exchange(server, GET))[0][0] == 200
    assert caplog.text == ""


async def test_the_address_behind_a_trusted_proxy() -> None:
    head = b"GET /hello HTTP/1.1\r\nHost: x\r\nx-FORWARDED-for: 192.0.2.9, 198.51.100.7\r\n\r\n"
    async with running(trusted="127.0.0.0/8") as server:
        assert json.loads((await exchange(server, head))[0][2])["source"] == "198.51.100.7"
    async with running() as server:
        assert json.loads((await exchange(server, head))[0][2])["source"] == "127.0.0.1"


async def test_too_much_waiting_behind_one_request_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 1000)
    async with running() as server:
        answers = await exchange(server, POST * 500, answers=500)
        assert [body for _, _, body in answers] == [b"abcde"] * 500


def read_to_the_end(slow: socket.socket) -> bytes:
    """Whatever still comes, until the other side has had enough."""
    slow.settimeout(20)
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := slow.recv(1 << 20):
            got += part
    return bytes(got)


async def test_slow_readers_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from ctlog.http import site

    monkeypatch.setattr(site, "DRAIN_S", 0.2)
    async with running() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as slow:
            slow.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 16)
            await asyncio.sleep(0.6)
            assert len(await asyncio.to_thread(read_to_the_end, slow)) < 16 << 20
