"""ctlog.client.bulk against a peer that can be told to misbehave: docs/bulk-submission.md from the submitter's side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ctlog.client import bulk
from ctlog.client.bulk import BulkAnswer, BulkStream
from ctlog.errors import BusyError, CtlogError, RefusedError, TransportError
from tests.counted_parts import CountedParts

Say = Callable[[dict[str, Any]], Awaitable[None]]


class Peer:
    """Answers each line by `answer`, which may do as it likes."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.requests = 0
        self.status = 200
        self.answer: Callable[[int, Say], Awaitable[None]] = self.good
        self.end: dict[str, Any] | None = None
        self.silent_end = False

    async def good(self, line: int, say: Say) -> None:
        await say({"line": line, "status": 200, "timestamp": line})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.status != 200:
            return web.json_response({"error_message": "not here"}, status=self.status)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        answered = number = 0

        async def say(value: dict[str, Any]) -> None:
            nonlocal answered
            answered += 1
            await response.write(json.dumps(value).encode() + b"\n")

        async for text in request.content:
            number += 1
            self.lines.append(text)
            await self.answer(number, say)
        if not self.silent_end:
            end = {"end": True, "accepted": answered, "refused": 0, **(self.end or {})}
            await response.write(json.dumps(end).encode() + b"\n")
        return response


@pytest.fixture
async def peer() -> AsyncIterator[tuple[Peer, Callable[..., BulkStream]]]:
    made = Peer()
    app = web.Application()
    app.router.add_post("/bulk/v1/add-chain", made.handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield made, lambda *ended: BulkStream(
            http, str(server.make_url("/bulk/v1/add-chain")), {"Authorization": "Bearer x"}, *ended
        )


async def ask(stream: BulkStream, bodies: list[bytes]) -> dict[int, BulkAnswer]:
    told: dict[int, BulkAnswer] = {}

    def tell(place: int, answer: BulkAnswer) -> None:
        assert place not in told
        told[place] = answer

    await stream.ask(bodies, tell)
    return told


async def reason(stream: BulkStream, bodies: list[bytes]) -> str:
    with pytest.raises(CtlogError) as caught:
        await ask(stream, bodies)
    assert stream.ended
    return f"{type(caught.value).__name__}: {caught.value}"


Both = tuple[Peer, Callable[..., BulkStream]]


async def test_many_share_one_request(peer: Both) -> None:
    log, new = peer
    stream = new()
    told = await asyncio.gather(*(ask(stream, [b"%d-%d" % (n, k) for k in range(n + 1)]) for n in range(20)))
    assert [sorted(each) for each in told] == [list(range(n + 1)) for n in range(20)]
    for n, each in enumerate(told):
        assert {log.lines[answer.line - 1]: place for place, answer in each.items()} == {
            b"%d-%d\n" % (n, k): k for k in range(n + 1)
        }
    assert await ask(stream, [b"later"])
    await stream.close()
    assert (log.requests, stream.ended) == (1, True)
    await stream.close()


async def test_nothing_is_opened_for_nothing(peer: Both) -> None:
    log, new = peer
    await new().close()
    assert log.requests == 0


async def test_answers_in_any_order(peer: Both) -> None:
    log, new = peer
    held: list[int] = []

    async def reversed_by_three(line: int, say: Say) -> None:
        held.append(line)
        if len(held) == 3:
            for each in reversed(held):
                await say({"line": each, "status": 200})
            held.clear()

    log.answer = reversed_by_three
    stream = new()
    told = await ask(stream, [b"a", b"b", b"c", b"d", b"e", b"f"])
    assert list(told) == [2, 1, 0, 5, 4, 3]
    await stream.close()


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_log_without_the_call_is_known(peer: Both, status: int) -> None:
    log, new = peer
    log.status = status
    stream = new()
    with pytest.raises(RefusedError) as caught:
        await ask(stream, [b"a"])
    assert caught.value.reason == "no-bulk"
    assert await reason(stream, [b"b"]) == f"TransportError: {stream.url}: the conversation has ended"


@pytest.mark.parametrize("status", [302, 400, 403, 410, 413, 500, 503])
async def test_a_call_that_is_not_to_be_had_now_is_known(peer: Both, status: int) -> None:
    log, new = peer
    log.status = status
    ended: list[CtlogError] = []
    stream = new(ended.append)
    with pytest.raises(BusyError, match=f"answered {status}") as caught:
        await ask(stream, [b"a"])
    assert (caught.value.reason, ended) == ("no-bulk-now", [caught.value])


async def test_what_ends_too_early_or_counts_wrong_or_is_no_answer(peer: Both) -> None:
    log, new = peer

    async def nothing(line: int, say: Say) -> None:
        pass

    log.answer = nothing
    for end, said in (
        ({"status": 410, "reason": "frozen", "error_message": "it ended"}, "it ended"),
        ({"accepted": 5}, "counts other answers"),
        ({}, "ended the conversation"),
    ):
        log.end = end
        stream = new()
        asking = asyncio.create_task(reason(stream, [b"a", b"b"]))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(stream.close())
        assert said in await asking
        await closing
    log.silent_end = True
    stream = new()
    asking = asyncio.create_task(reason(stream, [b"a"]))
    await asyncio.sleep(0.05)
    await stream.close()
    assert "broke off" in await asking


async def test_lines_that_are_none_or_too_long_end_it(peer: Both) -> None:
    log, new = peer

    async def strange(line: int, say: Say) -> None:
        await say({"line": "1"})

    async def endless(line: int, say: Say) -> None:
        await say({"line": 1, "reason": "x" * (3 * bulk.MAX_LINE)})

    log.answer = strange
    assert "no line of a bulk submission" in await reason(new(), [b"a"])
    log.answer = endless
    assert "too long" in await reason(new(), [b"a"])


async def test_a_log_that_says_nothing_is_left(peer: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SILENCE_S", 0.1)
    log, new = peer

    async def nothing(line: int, say: Say) -> None:
        await asyncio.sleep(0.5)

    stream = new()
    assert await ask(stream, [b"a"])
    await asyncio.sleep(0.25)  # it owes nothing
    assert not stream.ended
    log.answer = nothing
    assert "BusyError" in (said := await reason(stream, [b"b"]))
    assert "in time" in said


async def test_a_first_answer_that_does_not_come_is_not_waited_for_as_long(
    peer: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty seconds of silence are what a proxy that collects the request used to cost, each time."""
    monkeypatch.setattr(bulk, "FIRST_ANSWER_S", 0.1)
    log, new = peer

    async def slow(line: int, say: Say) -> None:
        await asyncio.sleep(0.3 if line == 2 else 0)
        await log.good(line, say)

    log.answer = slow
    stream = new()
    assert await ask(stream, [b"a", b"later ones may take their time"])
    await stream.close()

    async def nothing(line: int, say: Say) -> None:
        pass

    log.answer = nothing
    assert "in time" in await reason(new(), [b"a"])


async def test_a_line_in_many_parts_is_copied_once(peer: Both) -> None:
    _, new = peer
    stream = new()
    content = CountedParts(json.dumps({"line": 1, "status": 400, "reason": "x" * 10_000}).encode() + b"\n",
                           end=b'{"end":true,"refused":1}\n')
    async with asyncio.timeout(None) as limit:
        await stream._read(content, limit)  # type: ignore[arg-type]
    assert stream._answered == 1
    assert content.copied < 20_000


async def test_a_log_that_cannot_be_reached() -> None:
    async with aiohttp.ClientSession() as http:
        stream = BulkStream(http, "http://127.0.0.1:1/bulk/v1/add-chain", {})
        assert "cannot be reached" in await reason(stream, [b"a"])


async def test_who_stops_waiting_does_not_disturb_the_others(peer: Both) -> None:
    log, new = peer
    go = asyncio.Event()

    async def slow(line: int, say: Say) -> None:
        await go.wait()
        await self_good(line, say)

    self_good = log.good
    log.answer = slow
    stream = new()
    asking = [asyncio.create_task(ask(stream, [b"%d" % n, b"x"])) for n in range(12)]
    await asyncio.sleep(0.05)
    for task in asking[::2]:
        task.cancel()
    go.set()
    for task in asking[1::2]:
        assert sorted(await task) == [0, 1]
    assert await ask(stream, [b"after"])
    await stream.close()
    assert b"after\n" in log.lines
    with pytest.raises(TransportError):
        await ask(stream, [b"too late"])


async def test_who_goes_unsent_takes_no_answers_from_those_before(peer: Both) -> None:
    """What was never sent has no numbers yet: giving it up must not touch lines 0 and on, which are others'."""
    log, new = peer
    go = asyncio.Event()

    async def slow(line: int, say: Say) -> None:
        await go.wait()
        await log.good(line, say)

    log.answer = slow
    stream = new()
    first = asyncio.create_task(ask(stream, [b"a", b"b", b"c"]))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(ask(stream, [b"d", b"e", b"f"]))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go.set()
    assert sorted(await asyncio.wait_for(first, 5)) == [0, 1, 2]
    await stream.close()
    assert len(log.lines) == 3


async def test_what_is_asked_at_the_same_time_goes_together(peer: Both) -> None:
    log, new = peer
    stream = new()
    told = await asyncio.gather(*(ask(stream, [b"%d" % n]) for n in range(50)))
    assert [list(each) for each in told] == [[0]] * 50
    last = asyncio.create_task(ask(stream, [b"x"]))
    await asyncio.sleep(0)
    last.cancel()
    await asyncio.wait_for(stream.close(), 5)  # although all that was left to write has gone
    assert (log.requests, len(log.lines)) == (1, 50)


async def test_a_log_that_reads_no_more_does_not_fill_our_memory(peer: Both) -> None:
    """Whoever has another log stops waiting for this one, again and again: nothing of that stays here."""
    log, new = peer
    hung = asyncio.Event()

    async def hang(line: int, say: Say) -> None:
        await hung.wait()

    log.answer = hang
    stream = new()
    for _ in range(60):
        asking = asyncio.create_task(ask(stream, [b"x" * (64 << 10)]))
        await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert not stream._outgoing
    assert not stream._owed
    assert not stream._waiting
    assert len(log.lines) < 60
    hung.set()
    await stream.close()
