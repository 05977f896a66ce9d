"""The shell, over real sockets: bounds, CORS, HEAD, garbage, trickles; no failure shows more than a sentence."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctlog.http.answers import IMMUTABLE, OCTETS, Answer, json_answer
from ctlog.http.limits import Proxies
from ctlog.http.server import Connections, _AiohttpCall
from ctlog.http.site import Bounds, Call, Route, Site
from tests.counted_parts import CountedParts

BOUNDS = Bounds(body_bytes=4096, request_s=0.3, connections=8)
LAST = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def echo(call: Call) -> Answer:
    return Answer(200, await call.body(), OCTETS)


async def hello(call: Call) -> Answer:
    return json_answer({"source": call.source, "query": dict(call.query), "ua": call.header("User-Agent")})


async def broken(call: Call) -> Answer:
    raise KeyError("a secret")


async def unread(call: Call) -> Answer:
    return json_answer({}, 503)


async def large(call: Call) -> Answer:
    return Answer(200, bytes(1 << 20), OCTETS, IMMUTABLE, (("Vary", "Accept-Encoding"),))


class Running:
    """A server on a loopback socket, what it saw, and a way to talk to it byte by byte."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: list[tuple[str, int]] = []

    async def raw(self, data: bytes) -> bytes:
        """All that comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()

    async def ask(self, head: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        answer = await self.raw(head.replace("\n", "\r\n").encode() + b"\r\nConnection: close\r\n\r\n" + body)
        return split(answer)


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@asynccontextmanager
async def running(bounds: Bounds = BOUNDS, trusted: str = "") -> AsyncIterator[Running]:
    server = Running(0)
    proxies = Proxies([ipaddress.ip_network(trusted)] if trusted else [])
    site = Site({
        "/echo": Route("echo", {"POST": echo}), "/hello": Route("hello", {"GET": hello}),
        "/broken": Route("broken", {"GET": broken}), "/unread": Route("unread", {"POST": unread}),
        "/large": Route("large", {"GET": large}),
    }, {"/under/": Route("under", {"GET": hello})}, bounds, proxies,
        lambda name, status, seconds: server.seen.append((name, status)))
    loop = asyncio.get_running_loop()
    factory = Connections(site)
    listening = await loop.create_server(factory, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await factory.shutdown(1)


async def test_an_answer_and_its_headers() -> None:
    async with running() as server:
        status, headers, body = await server.ask("GET /hello?a=1&b=%2B HTTP/1.1\nHost: x\nUser-Agent: me")
        assert status == 200
        assert json.loads(body) == {"source": "127.0.0.1", "query": {"a": "1", "b": "+"}, "ua": "me"}
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Content-Type"] == "application/json"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Length"] == str(len(body))
        assert headers["Date"].endswith("GMT")
        assert (await server.ask("GET /under/x HTTP/1.1\nHost: x"))[0] == 200
        assert server.seen == [("hello", 200), ("under", 200)]


async def test_head_is_get_without_its_body() -> None:
    async with running() as server:
        status, headers, body = await server.ask("HEAD /large HTTP/1.1\nHost: x")
        assert (status, headers["Content-Length"], body) == (200, str(1 << 20), b"")
        assert headers["Cache-Control"] == IMMUTABLE
        assert headers["Vary"] == "Accept-Encoding"
        assert len((await server.ask("GET /large HTTP/1.1\nHost: x"))[2]) == 1 << 20


async def test_options_and_other_methods() -> None:
    async with running() as server:
        status, headers, body = await server.ask("OPTIONS /echo HTTP/1.1\nHost: x\nOrigin: https://a")
        assert (status, body) == (204, b"")
        assert headers["Access-Control-Allow-Methods"] == headers["Allow"] == "POST, OPTIONS"
        assert headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert "Content-Length" not in headers
        assert (await server.ask("OPTIONS /hello HTTP/1.1\nHost: x"))[1]["Allow"] == "GET, HEAD, OPTIONS"
        status, headers, body = await server.ask("GET /echo HTTP/1.1\nHost: x")
        assert (status, headers["Allow"]) == (405, "POST, OPTIONS")
        assert json.loads(body)["reason"] == "method-not-allowed"
        assert (await server.ask("DELETE /hello HTTP/1.1\nHost: x"))[0] == 405
        assert (await server.ask("GET /nowhere HTTP/1.1\nHost: x"))[0] == 404


async def test_bodies_within_bounds_and_beyond() -> None:
    async with running() as server:
        for size in (0, 1, 4096):
            body = bytes(size)
            assert (await server.ask(f"POST /echo HTTP/1.1\nHost: x\nContent-Length: {size}", body))[2] == body
        status, _, body = await server.ask("POST /echo HTTP/1.1\nHost: x\nContent-Length: 4097")
        assert (status, json.loads(body)["reason"]) == (413, "body-too-large")  # none of the body was sent
        chunk = b"800\r\n" + bytes(2048) + b"\r\n"
        head = "POST /echo HTTP/1.1\nHost: x\nTransfer-Encoding: chunked"
        assert (await server.ask(head, chunk * 2 + b"0\r\n\r\n"))[2] == bytes(4096)
        assert (await server.ask(head, chunk * 3))[0] == 413  # no end in sight
        assert (await server.ask(head, b"zz\r\n"))[0] == 400


async def test_a_compressed_body_is_not_unpacked() -> None:
    async with running() as server:
        body = b"\x1f\x8b not really gzip"
        answer = await server.ask(f"POST /echo HTTP/1.1\nHost: x\nContent-Encoding: gzip\nContent-Length: {len(body)}",
                                  body)
        assert answer[2] == body


async def test_a_trickle_is_cut_off_and_holds_nobody_up() -> None:
    async with running() as server:
        trickle = asyncio.create_task(server.raw(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"))
        assert (await server.ask("GET /hello HTTP/1.1\nHost: x"))[0] == 200
        status, headers, body = split(await trickle)
        assert (status, json.loads(body)["reason"]) == (408, "request-timeout")
        assert headers["Connection"] == "close"


async def test_a_body_broken_off_is_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.sleep(0.1)
        assert server.seen in ([("echo", 400)], [])
    assert caplog.text == ""


async def test_a_refusal_before_the_body_closes_the_connection() -> None:
    async with running() as server:
        answer = await server.raw(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        assert split(answer)[1]["Connection"] == "close"
        two = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" * 2
        answer = await server.raw(two + LAST)  # a small unread body is simply skipped
        assert answer.count(b"HTTP/1.1 503 Service Unavailable") == 2
        assert answer.count(b"HTTP/1.1 200 OK") == 1


async def test_expect_100_continue() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        answer = await server.raw(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("garbage", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"\x00" * 100 + b"\r\n\r\n",
    b"GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    b"GET /hello HTTP/1.1\r\nHost: x\r\nBad Header: \x01\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /hello HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
])
async def test_garbage_gets_a_sentence(garbage: bytes) -> None:
    async with running() as server:
        answer = await server.raw(garbage)
        status, headers, body = split(answer)
        assert status == 400
        assert json.loads(body)["reason"] == "bad-http"
        assert headers["Connection"] == "close"
        assert b"Traceback" not in answer
        assert b"aiohttp" not in answer
        assert (await server.ask("GET /hello HTTP/1.1\nHost: x"))[0] == 200


async def test_a_failure_inside_shows_an_id_only(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server:
        status, _, body = await server.ask("GET /broken HTTP/1.1\nHost: x")
        answer = json.loads(body)
        assert (status, answer["reason"]) == (500, "internal")
        assert "secret" not in body.decode()
        assert answer["id"] in caplog.text
        assert "a secret" in caplog.text


async def test_keep_alive_and_pipelining() -> None:
    async with running() as server:
        answer = await server.raw(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + LAST)
        assert answer.count(b"HTTP/1.1 200 OK") == 4
        answer = await server.raw(b"GET /hello HTTP/1.0\r\n\r\n")
        assert split(answer)[1]["Connection"] == "close"
        answer = await server.raw(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + LAST)
        assert split(answer)[1]["Connection"] == "keep-alive"


async def test_connections_are_bounded() -> None:
    async with running(BOUNDS._replace(connections=3)) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises((ConnectionError, IndexError)):
            await server.ask("GET /hello HTTP/1.1\nHost: x")
        held[0][1].close()
        await asyncio.sleep(0.05)
        assert (await server.ask("GET /hello HTTP/1.1\nHost: x"))[0] == 200
        for _, writer in held:
            writer.close()


async def test_the_clients_address_comes_from_trusted_proxies_only() -> None:
    head = "GET /hello HTTP/1.1\nHost: x\nX-Forwarded-For: 192.0.2.9, 198.51.100.7"
    async with running() as server:
        assert json.loads((await server.ask(head))[2])["source"] == "127.0.0.1"
    async with running(trusted="127.0.0.0/8") as server:
        assert json.loads((await server.ask(head))[2])["source"] == "198.51.100.7"


async def test_a_unix_socket_is_a_trusted_proxy(tmp_path: Path) -> None:
    site = Site({"/hello": Route("hello", {"GET": hello})}, {}, BOUNDS, Proxies([]), lambda *seen: None)
    factory = Connections(site)
    listening = await asyncio.get_running_loop().create_unix_server(factory, str(tmp_path / "s"))
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: close\r\n\r\n")
    assert json.loads(split(await reader.read())[2])["source"] == "192.0.2.9"
    writer.close()
    listening.close()
    await factory.shutdown(1)


async def test_slow_readers_of_large_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from ctlog.http import site as module

    monkeypatch.setattr(module, "DRAIN_S", 0.3)
    monkeypatch.setattr(module, "OUTGOING_BYTES", 1 << 20)
    async with running() as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
        for each in slow:
            each.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        await asyncio.sleep(0.1)
        assert (await server.ask("GET /hello HTTP/1.1\nHost: x"))[0] == 503
        await asyncio.sleep(0.5)
        assert (await server.ask("GET /hello HTTP/1.1\nHost: x"))[0] == 200
        for each in slow:
            each.close()


async def test_a_body_in_many_parts_is_copied_once() -> None:
    content = CountedParts(b"x" * 20_000)
    request: Any = SimpleNamespace(
        method="POST", rel_url=SimpleNamespace(path="/echo"), headers={}, version=(1, 1), content_length=None,
        protocol=SimpleNamespace(peername=("127.0.0.1", 1)), content=content,
    )  # fmt: skip
    site = Site({}, {}, Bounds(30_000, 20, 8), Proxies([]), lambda *_: None)
    assert await _AiohttpCall(request, site).body() == b"x" * 20_000
    assert content.copied < 40_000
