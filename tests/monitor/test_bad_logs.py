"""Logs that answer badly, over real sockets: none of them loses an alert, stops another log, or is called a liar.

Each way of answering badly lasts for a while, beside a log that is well; then the log answers well, and everything that
it holds is told.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import asynccontextmanager
from functools import cache

import pytest
from aiohttp import web

from ctlog import issuance
from ctlog.client import http_fetcher, patient
from ctlog.errors import BusyError, NotFoundError
from ctlog.issuance import DAY_MS, Key, Subject
from monitor.daemon import Daemon
from monitor.follow.followed import ENTRIES, TILES
from tests.cert_sim import CA, CertSim
from tests.daemon_kit import DaemonKit

OTHER = '[[watch]]\nname = "home"\ntell = ["out"]\nnumbers = ["+12025550123", "+12025550124", "+12025550125"]\n'


class Served:
    """A simulated log behind a real HTTP server; `bad` may answer in its place."""

    def __init__(self, sim: CertSim) -> None:
        self.sim, self.bad, self.hits, self.agents = sim, None, 0, set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.agents.add(request.headers.get("User-Agent", ""))
        if self.bad is not None:
            self.hits += 1
            return await self.bad(self, request)
        return await self.well(request)

    async def well(self, request: web.Request) -> web.Response:
        try:
            return web.Response(body=await self.sim.get(request.path_qs[1:]))
        except NotFoundError:
            return web.Response(status=404)
        except BusyError as error:
            return web.Response(status=429, headers={"Retry-After": str(int(error.retry_after_s))})

    @asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()


async def truncated(served, request):
    body = (await served.well(request)).body
    return web.Response(body=body[: len(body) // 2])


async def endless(served, request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(100_000):
        await answer.write(b'{"tree_size": ' + b"1" * 65536)
    return answer


async def slow(served, request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(1000):
        await answer.write(b" ")
        await asyncio.sleep(0.02)
    return answer


@cache
def zeros():
    return gzip.compress(bytes(100 << 20), 1)


async def bomb(served, request):
    return web.Response(body=zeros(), headers={"Content-Encoding": "gzip"})


async def no_gzip(served, request):
    return web.Response(body=zlib.compress(b"x")[:3], headers={"Content-Encoding": "gzip"})


async def error_page(served, request):
    return web.Response(status=503, text="<html>maintenance</html>")


async def busy(served, request):
    return web.Response(status=429, headers={"Retry-After": "1"})


async def html(served, request):
    return web.Response(text="<html>Welcome to the hotel's Wi-Fi</html>", content_type="text/html")


async def redirect(served, request):
    raise web.HTTPFound("http://127.0.0.1:9/elsewhere")


async def hang_up(served, request):
    request.transport.close()
    return web.Response()


WAYS = [truncated, endless, slow, bomb, no_gzip, error_page, busy, html, redirect, hang_up]


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(http_fetcher, "TOTAL_S", 0.3)
    monkeypatch.setattr(http_fetcher, "SILENCE_S", 0.2)
    monkeypatch.setattr(patient, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(patient, "LONGEST_PAUSE_S", 0.002)
    monkeypatch.setattr(http_fetcher, "MAX_RETRY_AFTER_S", 0)
    return monkeypatch


@pytest.mark.parametrize("form", [TILES, ENTRIES])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_log_that_answers_badly(tmp_path, hurried, way, form):
    one, other = CertSim(), CertSim("two.example/log", secret=8)
    kit = DaemonKit(tmp_path, one, other, watch=OTHER, monkeypatch=hurried)
    served = [Served(one), Served(other)]
    async with served[0].serving() as bad_url, served[1].serving() as good_url:
        path = tmp_path / "monitor.toml"
        text = path.read_text().replace("[[log]]", f'[[log]]\nform = "{form}"')
        path.write_text(text.replace(f"https://{one.origin}/", bad_url).replace(f"https://{other.origin}/", good_url))
        kit.make = lambda: Daemon(path, now_ms=kit.clock, says=kit.says, get=kit.get, get_guarded=kit.get)
        one.add(123)
        kit.clock.now_ms = one.now_ms
        async with kit.running():
            await kit.until(lambda: len(kit.told()) == 1)
            served[0].bad = way
            one.add(124, serial=2)
            before = served[0].hits
            await kit.until(lambda: served[0].hits > before + 3)
            other.add(125, serial=3)
            await kit.until(lambda: len(kit.told()) == 2)
            served[0].bad = None
            await kit.until(lambda: {each["item"]["text"] for each in kit.told()} == {
                "+12025550123", "+12025550124", "+12025550125"})  # fmt: skip
            assert await kit.alerts(kind="misbehaviour") == []
            rows = await kit.daemon.state.logs.all()
            assert [row.accused for row in rows] == ["", ""]
    assert all("(+me@example.com)" in agent for agent in served[0].agents)


NASTY = {
    "a name with control characters": b"Evil\x1b[2J\r\nSubject: all is well\x00",
    "a name of 64 KB": b"x" * 65_000,
    "a name that turns the line": "\u202egnp.tekcit".encode(),
}


@pytest.mark.parametrize("name", NASTY.values(), ids=list(NASTY))
async def test_names_that_strangers_chose(tmp_path, monkeypatch, name):
    """Told, and nothing of it leaves its place: one line stays one line, and it is cut to a length."""
    sim = CertSim()
    kit = DaemonKit(tmp_path, sim, monkeypatch=monkeypatch)
    text = name.decode()
    who = Subject(issuance.name(O=text, CN=text), Key.from_number(21).spki, sim.now_ms, sim.now_ms + DAY_MS, 5)
    sim.submit([CA.precertificate(issuance.delegate_leaf(CA, who, issuance.one("12025550123"))), *CA.chain])
    sim.publish()
    async with kit.running():
        (told,) = await kit.until(kit.told)
        assert told["item"]["text"] == "+12025550123"
        shown = [told["holder"], told["certificate"]["subject"], told["reason"]]
        assert all(each.isprintable() and len(each) < 1000 for each in shown)
        assert all(sentence.isprintable() for _, _, sentence in kit.said)
