"""Simulators over real sockets, as other people's servers are: with quirks (`ForeignLog`), or in trouble (`Troubled`).

A foreign RFC 6962 log answers as big old logs do: get-entries gives at most so many and cuts at multiples of that,
get-sth-consistency refuses `first=0` with 400, errors come as JSON or HTML, and every answer has members that nobody
asked for.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from aiohttp import web

from ctlog.errors import NotFoundError
from tests.simulator import Simulator

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """The URL of a loopback server that answers every GET by `handler`."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


class ForeignLog:
    """An RFC 6962 log over HTTP with another's quirks; `cap`: entries of one answer. `asked` is what it was asked."""

    def __init__(self, sim: Simulator, cap: int = 32) -> None:
        self.sim = sim
        self.cap = cap
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        name, values = request.match_info["path"].rpartition("/")[2], dict(request.query)
        self.asked.append((name, values))
        if name == "get-sth-consistency" and values.get("first") == "0":
            return web.json_response({"error_message": "first must be 1 or more", "success": False}, status=400)
        if name == "get-entries":
            start, end = int(values["start"]), int(values["end"])
            size = self.sim.served.size
            if not 0 <= start <= end or start >= size:
                return web.Response(text="<html><h1>400 Bad Request</h1></html>", status=400, content_type="text/html")
            end = min(end, size - 1, (start // self.cap + 1) * self.cap - 1)  # cut where its own tiles end
            values = {"start": str(start), "end": str(end)}
        query = urlencode(values)
        try:
            data = await self.sim.get(f"ct/v1/{name}" + (f"?{query}" if query else ""))
        except NotFoundError:
            return web.json_response({"error_code": "not found"}, status=404)
        answer = json.loads(data)
        answer["unknown"] = {"nested": [None, 1.5, "é"]}
        for entry in answer.get("entries", []):
            entry["sct"] = None
        body = json.dumps(answer, indent=3).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", "Vary": "*", "Set-Cookie": "lb=7"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        return web.Response(body=body, headers=headers)


class Troubled:
    """A simulator over HTTP, all answers of which go through `trouble` while there is one."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.trouble: Answer | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.lstrip("/")
        try:
            body = await self.sim.get(path)
        except NotFoundError:
            return web.Response(status=404)
        return web.Response(body=body) if self.trouble is None else await self.trouble(request, body)


# Troubles: each an `Answer` ---------------------------------------------------------------------------------------


async def cut_short(request: web.Request, body: bytes) -> web.StreamResponse:
    """Half of the JSON, or of the tile, and a length that says that it is whole."""
    return web.Response(body=body[: len(body) // 2])


async def no_json(request: web.Request, body: bytes) -> web.StreamResponse:
    """A page of somebody's load balancer."""
    return web.Response(text="<html>We are down for maintenance</html>", content_type="text/html")


async def deep_json(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(body=b"[" * 100_000)


async def error_500(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(status=500, text="oops")


async def busy_429(request: web.Request, body: bytes) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "600"})


async def elsewhere(request: web.Request, body: bytes) -> web.StreamResponse:
    """A redirect, which is not followed."""
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})


async def bomb(request: web.Request, body: bytes) -> web.StreamResponse:
    """Some 100 KB that become more than the bound of any answer."""
    return web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"})


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(bytes(65 << 20), 6)


async def endless(request: web.Request, body: bytes) -> web.StreamResponse:
    """Bytes for ever."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    try:
        while True:
            await answer.write(b" " * 65536)
    except (ConnectionError, asyncio.CancelledError):
        return answer


async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
    """A byte now and then."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    try:
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.02)
    except (ConnectionError, asyncio.CancelledError):
        return answer


async def silent(request: web.Request, body: bytes) -> web.StreamResponse:
    """Nothing at all."""
    await asyncio.sleep(10)
    return web.Response()


async def hangs_up(request: web.Request, body: bytes) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


TROUBLES = (
    cut_short, no_json, deep_json, error_500, busy_429, elsewhere, bomb, endless, slow, silent, hangs_up,
)  # fmt: skip

