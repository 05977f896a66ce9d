"""ctlog.client.patient: how often, and how long, without a real clock."""

from __future__ import annotations

import asyncio

import pytest

from ctlog.client.patient import LONGEST_PAUSE_S, PatientFetcher, back_off_s
from ctlog.errors import BusyError, NotFoundError, TransportError
from tests.simulator import FakeTime, Simulator, busy


@pytest.fixture
def time():
    return FakeTime()


def patient(log, time, **kwargs):
    return PatientFetcher(log, sleep=time.sleep, clock=time.clock, **kwargs)


async def test_trouble_that_passes_is_not_seen(time):
    log = Simulator()
    log.fail("checkpoint", *[TransportError("no route")] * 5)
    assert await patient(log, time).get("checkpoint") == log.head.note
    assert len(time.slept) == 5
    assert time.slept[-1] > time.slept[0]


async def test_trouble_that_stays_is_raised(time):
    log = Simulator()
    log.fail("checkpoint", *[TransportError(f"no route {at}") for at in range(6)])
    with pytest.raises(TransportError, match="no route 5"):
        await patient(log, time).get("checkpoint")


async def test_what_does_not_exist_is_said_at_once(time):
    log = Simulator()
    with pytest.raises(NotFoundError):
        await patient(log, time).get("tile/0/000")
    assert (time.slept, len(log.requests)) == ([], 1)


async def test_retry_after_is_obeyed_to_the_second(time):
    log = Simulator()
    log.fail("checkpoint", busy(7), busy(30))
    await patient(log, time).get("checkpoint")
    assert time.now == 1037.0


async def test_retry_after_holds_every_request_back(time):
    log = Simulator()
    log.grow(300)
    log.fail("checkpoint", busy(60))
    fetcher = patient(log, time)
    times = {}

    async def one(path):
        await fetcher.get(path)
        times[path] = time.now

    first = asyncio.create_task(one("checkpoint"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(first, *(one(path) for path in ("tile/0/000", "tile/1/000.p/1")))
    assert min(times.values()) >= 1060.0


async def test_a_log_that_is_busy_for_ever_is_given_up(time):
    log = Simulator()
    log.fail("checkpoint", *[busy(100)] * 20)
    with pytest.raises(BusyError):
        await patient(log, time, patience_s=1000).get("checkpoint")
    assert len(log.requests) == 11


async def test_who_is_told_to_come_in_an_hour_does_not_ask_before(time):
    """Whoever polls every 30 seconds gets the error each time, and the log hears nothing of it."""
    log = Simulator()
    log.fail("checkpoint", busy(3600))
    fetcher = patient(log, time, patience_s=900)
    with pytest.raises(BusyError):
        await fetcher.get("checkpoint")
    while (left_s := 4600 - time.now) > 900:
        with pytest.raises(BusyError, match=f"not asked for: .* again in {left_s:,.0f} s") as caught:
            await fetcher.get("checkpoint")
        assert caught.value.retry_after_s == left_s
        time.now += 30
    assert log.requests == ["checkpoint"]
    assert await fetcher.get("checkpoint") == log.head.note
    assert (time.now, len(log.requests)) == (4600, 2), "the rest is within its patience, and waited for"


async def test_what_was_said_last_holds_though_nobody_waits_any_more(time):
    """The patience of this request is at its end; the next one obeys all the same."""
    log = Simulator()
    log.fail("checkpoint", busy(60), busy(60))
    fetcher = patient(log, time, patience_s=100)
    with pytest.raises(BusyError):
        await fetcher.get("checkpoint")
    await fetcher.get("checkpoint")
    assert time.now == 1000 + 120


def test_back_off_grows_to_its_bound():
    for failures in range(1, 200):
        assert 0 < back_off_s(failures) <= LONGEST_PAUSE_S
    assert back_off_s(100) >= LONGEST_PAUSE_S / 2
