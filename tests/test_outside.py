"""Heads that others have: those of this log count, everything else is said and skipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from ctlog import outside
from ctlog.outside import heads_outside
from ctlog.sequencer.signer import SeedSigner, sign_head

SIGNER = SeedSigner("log.example", bytes(32))
HEAD = sign_head(SIGNER, 7, bytes(32), 5)
OTHER = sign_head(SeedSigner("log.example", bytes([1]) * 32), 9, bytes(32), 5)


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    stop = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.match_info["which"]:
            case "good":
                return web.Response(body=HEAD.note)
            case "other":
                return web.Response(body=OTHER.note)
            case "garbage":
                return web.Response(body=b"\xff" * 100_000)
            case "slow":
                response = web.StreamResponse()
                await response.prepare(request)
                await stop.wait()
                return response
        raise web.HTTPServiceUnavailable

    app = web.Application()
    app.router.add_get("/{which}/checkpoint", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    stop.set()
    await runner.cleanup()


async def test_only_heads_of_this_log_count(url: str, caplog: pytest.LogCaptureFixture,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "TIMEOUT_S", 0.5)
    asked = [url + which for which in ("good/", "good", "other", "garbage", "absent", "slow")] + ["http://127.0.0.1:9"]
    found = await heads_outside(asked, SIGNER)
    assert {head.note for head in found} == {HEAD.note}
    for said in ("other/checkpoint holds no head of this log", "garbage/checkpoint holds no head",
                 "absent/checkpoint answered 503", "slow/checkpoint did not answer", "127.0.0.1:9/checkpoint did not"):
        assert said in caplog.text, said


async def test_nobody_to_ask() -> None:
    assert await heads_outside([], SIGNER) == []
