"""ctlog.client.http_fetcher: bounds on time and size, gzip, and only the documented errors, whatever a server does."""

from __future__ import annotations

import asyncio
import gzip
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from ctlog import __version__
from ctlog.client import http_fetcher
from ctlog.client.http_fetcher import HttpFetcher, retry_after_s
from ctlog.errors import BusyError, NotFoundError, TransportError, UsageError

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@asynccontextmanager
async def serving(handler, **kwargs):
    """A fetcher of a loopback server that answers everything by `handler`."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with HttpFetcher(f"http://127.0.0.1:{port}/log", **kwargs) as fetcher:
            yield fetcher
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(answer: bytes, *, then_wait: bool = False):
    """A fetcher of a server that sends these bytes, whatever is asked."""
    done = asyncio.Event()

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if then_wait:
            await done.wait()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with HttpFetcher(f"http://127.0.0.1:{port}/") as fetcher:
            yield fetcher
    finally:
        done.set()
        server.close()
        await server.wait_closed()


def answering(status: int = 200, body: bytes = b"", **headers: str):
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler


async def test_it_asks_below_the_prefix_and_says_who_it_is():
    asked = []

    async def handler(request):
        asked.append(request)
        return web.Response(body=b"ok")

    async with serving(handler, contact="https://me.example/ct") as fetcher:
        assert await fetcher.get("ct/v1/get-proof-by-hash?hash=a%2Bb%3D&tree_size=5") == b"ok"
    assert asked[0].raw_path == "/log/ct/v1/get-proof-by-hash?hash=a%2Bb%3D&tree_size=5"
    assert asked[0].headers["User-Agent"] == f"ctlog/{__version__} (+https://me.example/ct)"


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_what_does_not_exist(status):
    async with serving(answering(status)) as fetcher:
        with pytest.raises(NotFoundError):
            await fetcher.get("x")


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_says_how_long(status):
    async with serving(answering(status, Retry_After="7")) as fetcher:
        with pytest.raises(BusyError) as error:
            await fetcher.get("x")
    assert error.value.retry_after_s == 7


@pytest.mark.parametrize("status", [204, 206, 301, 302, 307, 401, 403, 418, 500, 502])
async def test_any_other_status_is_trouble_and_no_redirect_is_followed(status):
    async with serving(answering(status, Location="/elsewhere")) as fetcher:
        with pytest.raises(TransportError, match=f"status {status}"):
            await fetcher.get("x")


async def test_gzip_is_decoded():
    body = bytes(100_000)
    async with serving(answering(body=gzip.compress(body), Content_Encoding="gzip")) as fetcher:
        assert await fetcher.get("x") == body
        with pytest.raises(TransportError, match="beyond all bounds"):
            await fetcher.get("x", limit=len(body) - 1)


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (gzip.compress(b"abc")[:-3], "gzip", "ends too early"),
        (gzip.compress(b"abc") + b"x", "gzip", "behind the gzip"),
        (b"abc", "gzip", "is not"),
        (b"abc", "br", "nobody asked for"),
    ],
)
async def test_gzip_that_is_none(body, encoding, said):
    async with serving(answering(body=body, Content_Encoding=encoding)) as fetcher:
        with pytest.raises(TransportError, match=said):
            await fetcher.get("x")


async def test_a_gzip_bomb_is_stopped_at_the_bound():
    bomb = gzip.compress(bytes(50_000_000))
    async with serving(answering(body=bomb, Content_Encoding="gzip")) as fetcher:
        with pytest.raises(TransportError, match="beyond all bounds"):
            await fetcher.get("x", limit=100_000)


async def test_gzip_may_be_a_little_longer_than_what_is_in_it():
    hashes = os.urandom(8192)
    assert len(gzip.compress(hashes)) > 8192
    async with serving(answering(body=gzip.compress(hashes), Content_Encoding="gzip")) as fetcher:
        assert await fetcher.get("x", limit=8192) == hashes


async def test_an_answer_that_is_too_long_announced_or_not():
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(10_000))

    for handler in (answering(body=bytes(1001)), endless):
        async with serving(handler) as fetcher:
            with pytest.raises(TransportError, match="longer than 1000"):
                await fetcher.get("x", limit=1000)


async def test_a_slow_drip_ends(monkeypatch):
    monkeypatch.setattr(http_fetcher, "TOTAL_S", 0.3)

    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    async with serving(drip) as fetcher:
        with pytest.raises(TransportError, match="in time"):
            await fetcher.get("x")


async def test_a_silent_server_ends(monkeypatch):
    monkeypatch.setattr(http_fetcher, "SILENCE_S", 0.2)
    async with raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", then_wait=True) as fetcher:
        with pytest.raises(TransportError):
            await fetcher.get("x")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"\x00\xff garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_no_server_makes_it_raise_anything_else(answer):
    async with raw(answer) as fetcher:
        with pytest.raises(TransportError):
            await fetcher.get("x")


async def test_nobody_listens():
    async with HttpFetcher("http://127.0.0.1:1/") as fetcher:
        with pytest.raises(TransportError, match=r"^checkpoint: 127\.0\.0\.1:1: Connection refused$"):
            await fetcher.get("checkpoint")


@pytest.mark.parametrize("url", ["", "log.example", "ftp://log.example", "http://", "http://a/?b=c", "http://[::1"])
def test_what_is_no_logs_url(url):
    with pytest.raises(UsageError):
        HttpFetcher(url)


@pytest.mark.parametrize("contact", ["a\r\nX: y", "ü"])
def test_a_contact_is_one_plain_line(contact):
    with pytest.raises(UsageError):
        HttpFetcher("http://a/", contact=contact)


async def test_it_is_used_inside_a_with():
    with pytest.raises(UsageError):
        await HttpFetcher("http://a/").get("x")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5), ("0", 1), ("", 1), ("soon", 1), ("-3", 1), ("99999999999999999999", 3600), (" 7 ", 7), ("٣", 1),
        ("Mon, 23 Nov 2026 09:00:30 GMT", 30), ("Mon, 23 Nov 2026 08:00:00 GMT", 1),
        ("Mon, 23 Nov 2027 09:00:00 GMT", 3600),
    ],
)
def test_retry_after(header, seconds):
    assert retry_after_s(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_makes_it_raise(header):
    assert 1 <= retry_after_s(header, NOW) <= 3600
