"""monitor.tell.heartbeat: it beats while all is well, and harms nothing."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from monitor.tell.heartbeat import Heartbeat
from tests.tell_kit import MINUTE, MORNING, Clock, Said


@asynccontextmanager
async def listening(status=200, hang=False):
    """A real server: the URL, and the beats that it got."""
    beats = []

    async def take(request):
        beats.append(request.path)
        if hang:
            await asyncio.sleep(30)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/ping/secret", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/ping/secret", beats
    finally:
        await runner.cleanup()


def heart(url, well=True, **options):
    said = Said()

    async def is_well():
        if isinstance(well, Exception):
            raise well
        return well

    return Heartbeat(lambda: url, is_well, said, **options), said


async def test_it_beats_every_minute_while_all_is_well():
    clock = Clock()
    async with listening() as (url, beats):
        one, said = heart(url, sleep=clock.sleep)
        task = asyncio.create_task(one.run())
        await clock.run(MORNING + 3 * MINUTE + 1000, 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(beats) == 4
    assert said == []


@pytest.mark.parametrize("well", [False, RuntimeError("the health cannot be told")])
async def test_it_does_not_beat_otherwise(well):
    async with listening() as (url, beats):
        one, _ = heart(url, well)
        assert not await one.beat()
    assert beats == []


async def test_without_a_url_nothing_happens():
    one, said = heart("")
    assert not await one.beat()
    assert (said, one.error) == ([], "")


async def test_failures_are_said_once_and_harm_nothing():
    async with listening(status=500) as (url, beats):
        one, said = heart(url)
        for _ in range(3):
            assert not await one.beat()
    assert len(beats) == 3
    assert one.error == "it answered 500"
    assert len(said) == 1
    assert "secret" not in repr(said)
    assert not await one.beat()
    assert one.error == "ClientConnectorError"


async def test_whoever_hangs_is_left():
    async with listening(hang=True) as (url, _):
        one, _ = heart(url, limit_s=0.1)
        assert not await one.beat()
    assert one.error == "no answer within 0.1 s"
