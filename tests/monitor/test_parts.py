"""monitor.parts: a part goes on whatever happens in it, says so, and keeps no other from working."""

import asyncio

import pytest

from ctlog.errors import StoreError, TransportError
from monitor import parts as module
from monitor.parts import Parts


class Kit:
    """Parts, with a clock, and what was said."""

    def __init__(self):
        self.now_ms, self.said = 1000, []
        self.parts = Parts(lambda: self.now_ms, lambda *words: self.said.append(words))


@pytest.fixture
async def kit(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_S", 0.001)
    made = Kit()
    yield made
    await made.parts.close()


async def times(count):
    """A part that sets an event when it has worked so often."""
    done, left = asyncio.Event(), [count]

    async def work():
        left[0] -= 1
        if left[0] == 0:
            done.set()

    return work, done


async def test_each_works_again_and_again(kit):
    work, done = await times(5)
    kit.parts.start("works", work, lambda: 0.001)
    async with asyncio.timeout(5):
        await done.wait()
    assert (kit.parts.failing, kit.said) == ({}, [])


async def test_one_that_is_woken_does_not_wait(kit):
    work, done = await times(2)
    kit.parts.start("works", work, lambda: 3600.0)
    await asyncio.sleep(0.01)
    assert not done.is_set()
    kit.parts.wake("works", "nobody")
    async with asyncio.timeout(5):
        await done.wait()


@pytest.mark.parametrize(("error", "sentence"), [
    (TransportError("no route"), "no route"), (StoreError("full", reason="disk-full"), "full"),
    (ZeroDivisionError("a bug"), "a fault in the monitor itself: ZeroDivisionError('a bug')"),
])  # fmt: skip
async def test_what_fails_is_said_once_and_tried_again(kit, error, sentence):
    failing, tried, ended = [True], [0], asyncio.Event()

    async def work():
        tried[0] += 1
        if failing:
            raise error
        ended.set()

    other, done = await times(3)
    kit.parts.start("works", work, lambda: 0.001)
    kit.parts.start("another", other, lambda: 0.001)
    async with asyncio.timeout(5):
        await done.wait()
        while tried[0] < 5:  # noqa: ASYNC110 - it counts
            await asyncio.sleep(0.001)
        assert kit.said == [("error", "works", sentence)]
        assert kit.parts.failing["works"] == (sentence, 1000, isinstance(error, StoreError))
        kit.now_ms += module.SAY_AGAIN_MS
        while len(kit.said) < 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        assert kit.parts.failing["works"].since_ms == 1000
        failing.clear()
        await ended.wait()
    await asyncio.sleep(0.01)
    assert kit.parts.failing == {}
    assert not kit.parts.fatal.done()


async def test_a_damaged_state_ends_everything(kit):
    error = StoreError("damaged", reason="state-damaged")

    async def work():
        raise error

    kit.parts.start("works", work, lambda: 1.0)
    async with asyncio.timeout(5):
        assert await kit.parts.fatal is error


async def test_the_end(kit):
    ended = []

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hangs")

    kit.parts.start("hangs", hang, lambda: 1.0)
    await asyncio.sleep(0)
    await kit.parts.close()
    await kit.parts.close()
    assert ended == ["hangs"]
