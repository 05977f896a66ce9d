"""Checks in the loop or on threads give the same answers; waiting ones go over in batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from ctlog.errors import RefusedError
from ctlog.http import verifier as module
from ctlog.http.verifier import Verifier, threads_for


class Good:
    def __init__(self) -> None:
        self.ran_on = 0

    def run(self) -> None:
        self.ran_on = threading.get_ident()


class Bad:
    def run(self) -> None:
        raise RefusedError("no", reason="bad-signature")


class Crashing:
    def run(self) -> None:
        raise ZeroDivisionError


@pytest.fixture(params=[0, 1, 3])
async def verifier(request: pytest.FixtureRequest) -> AsyncIterator[Verifier]:
    made = Verifier(request.param)
    yield made
    made.close()


async def test_good_and_bad(verifier: Verifier) -> None:
    await verifier.verify([])
    await verifier.verify([Good(), Good()])
    with pytest.raises(RefusedError):
        await verifier.verify([Good(), Bad(), Crashing()])
    with pytest.raises(ZeroDivisionError):
        await verifier.verify([Crashing()])
    await verifier.verify([Good()])


async def test_many_at_once_each_get_their_own_answer(verifier: Verifier) -> None:
    checks = [[Good()] if at % 3 else [Bad()] for at in range(200)]
    answers = await asyncio.gather(*(verifier.verify(each) for each in checks), return_exceptions=True)
    assert [answer is None for answer in answers] == [at % 3 != 0 for at in range(200)]


async def test_threads_are_used_and_hops_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Verifier(1)
    hops = 0
    work = made._work

    def counted(*args: object) -> None:
        nonlocal hops
        hops += 1
        work(*args)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(made, "_work", counted)
    checks = [Good() for _ in range(module.BATCH * 4)]
    await asyncio.gather(*(made.verify([check]) for check in checks))
    assert hops == 4
    assert all(check.ran_on not in (0, threading.get_ident()) for check in checks)
    made.close()


async def test_a_cancelled_request_hurts_nobody() -> None:
    made = Verifier(1)
    block = threading.Event()

    class Slow:
        def run(self) -> None:
            block.wait(5)

    first = asyncio.create_task(made.verify([Slow()]))
    await asyncio.sleep(0.01)
    second, third = (asyncio.create_task(made.verify([Good()])) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    second.cancel()
    block.set()
    await third
    await made.verify([Good()])
    made.close()


async def test_in_the_loop_others_have_a_turn_between_batches() -> None:
    made = Verifier(0)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await asyncio.gather(*(made.verify([Good()]) for _ in range(module.BATCH_IN_LOOP * 5)))
    assert turns >= 5
    task.cancel()


def test_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads_for(0) == 0
    assert threads_for(5) == 5
    for cores, threads in [(1, 0), (2, 1), (4, 3), (64, 8)]:
        monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)), raising=False)
        assert threads_for(-1) == threads


async def test_each_of_many_has_its_own_outcome(verifier: Verifier) -> None:
    submissions = [[] if n % 5 == 4 else [Good(), Bad()] if n % 7 == 3 else [Good()] for n in range(200)]
    outcomes = await verifier.verify_each(submissions)
    assert [isinstance(outcome, RefusedError) for outcome in outcomes] == [len(each) == 2 for each in submissions]
    assert {type(outcome) for outcome in outcomes} == {type(None), RefusedError}
    assert await verifier.verify_each([]) == []
