"""ctlog.client.log_client, one by one and in bulk: the same outcomes both ways, from a log that misbehaves."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ctlog.client import bulk, log_client
from ctlog.client.log_client import GaveUp, LogClient, Promise, bulk_path, describe, session
from ctlog.client.submission import Submission
from ctlog.client.submit import signed_entry
from ctlog.errors import (
    BusyError,
    CtlogError,
    FrozenError,
    RefusedError,
    SctError,
    SignatureError,
    TransportError,
)
from ctlog.wire.rfc6962 import SignedCertificateTimestamp
from ctlog.wire.static_ct import parse_leaf_index
from ctlog.x509.der import parse_certificate
from tests.fake_log import AUTHORITY, CUT, FINALS, KEY, PRECERTIFICATES, FakeLog, error

ISSUERS = tuple(parse_certificate(der) for der in AUTHORITY.chain)
BULK = "bulk/v1/"


def submission(der: bytes) -> Submission:
    return Submission((der, *AUTHORITY.chain), signed_entry(parse_certificate(der), ISSUERS))


SUBMISSIONS = [submission(der) for der in PRECERTIFICATES]


@pytest.fixture
async def log() -> AsyncIterator[FakeLog]:
    fake = FakeLog()
    server = TestServer(fake.app)
    await server.start_server()
    fake.url = str(server.make_url("/a/log/"))
    yield fake
    await server.close()


@pytest.fixture(params=["", BULK], ids=["single", "bulk"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def add_many(log: FakeLog, way: str, submissions: list[Submission], **options: Any) -> dict[int, Promise]:
    told: dict[int, Promise] = {}

    def tell(place: int, promise: Promise) -> None:
        assert place not in told
        told[place] = promise

    async with session() as http:
        client = LogClient(log.url, KEY, http, bulk_path=way, **options)
        try:
            await client.add_many(submissions, tell)
        finally:
            await client.close()
    return told


async def test_many_are_promised(log: FakeLog, way: str) -> None:
    told = await add_many(log, way, SUBMISSIONS, token="secret")
    assert sorted(told) == list(range(20))
    indexes = [parse_leaf_index(sct.extensions) for sct in told.values() if isinstance(sct, SignedCertificateTimestamp)]
    assert sorted(index for index in indexes if index is not None) == list(range(20))
    assert set(log.paths) == {"bulk add-pre-chain" if way else "add-pre-chain"}
    assert {headers["Authorization"] for headers in log.headers} == {"Bearer secret"}
    assert all(chain[1:] == list(AUTHORITY.chain) for chain in log.chains)


async def test_finals_go_to_the_other_call(log: FakeLog, way: str) -> None:
    assert len(await add_many(log, way, [submission(der) for der in FINALS])) == 20
    assert set(log.paths) == {"bulk add-chain" if way else "add-chain"}


async def test_what_is_refused_is_refused_alone(log: FakeLog, way: str) -> None:
    def two(chain: list[bytes]) -> web.Response | None:
        if chain[0] == PRECERTIFICATES[3]:
            return error(400, "unknown-root", "who is this")
        return error(413, "", "too large") if chain[0] == PRECERTIFICATES[5] else None

    log.answers = iter([two] * 100)
    told = await add_many(log, way, SUBMISSIONS)
    refused = {place: promise.reason for place, promise in told.items() if isinstance(promise, RefusedError)}
    assert refused == {3: "unknown-root", 5: "body-too-large"}
    assert len(told) == 20


async def test_scts_that_do_not_hold_are_none(log: FakeLog, way: str) -> None:
    log.alter = lambda answer: {**answer, "timestamp": answer["timestamp"] + 1}
    told = await add_many(log, way, SUBMISSIONS[:3])
    assert all(isinstance(promise, SignatureError) for promise in told.values())
    log.alter = lambda answer: {**answer, "signature": "BAM="}
    told = await add_many(log, way, SUBMISSIONS[:3])
    assert all(isinstance(promise, SctError) for promise in told.values())


async def test_a_busy_log_is_asked_again_for_what_is_left(log: FakeLog, way: str) -> None:
    log.answers = iter([None, error(503, "pool-full"), error(429, "rate-limited", **{"Retry-After": "1"}), None])
    start = asyncio.get_running_loop().time()
    told = await add_many(log, way, SUBMISSIONS[:4])
    assert sorted(told) == [0, 1, 2, 3]
    assert all(isinstance(promise, SignedCertificateTimestamp) for promise in told.values())
    assert asyncio.get_running_loop().time() - start >= 1
    assert len(log.paths) == 6


async def test_one_that_breaks_the_log_is_given_up_alone(log: FakeLog, way: str) -> None:
    log.answers = iter([lambda chain: error(500) if chain[0] == PRECERTIFICATES[1] else None] * 100)
    told = await add_many(log, way, SUBMISSIONS[:3])
    assert isinstance(told[1], RefusedError)
    assert told[1].reason == "server-error"
    assert log.chains[-1] != PRECERTIFICATES[1]
    assert len(told) == 3


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda: error(410, "frozen", "it ended"), FrozenError),
        (lambda: error(403, "submitter-not-allowed"), RefusedError),
        (lambda: error(418), TransportError),
    ],
    ids=["frozen", "not allowed", "no log"],
)
async def test_what_concerns_all_is_said_so(
    log: FakeLog, way: str, answer: Callable[[], web.Response], expected: type[CtlogError]
) -> None:
    log.answers = iter([None, *(answer() for _ in range(30))])
    with pytest.raises(GaveUp) as caught:
        await add_many(log, way, SUBMISSIONS[:6])
    assert isinstance(caught.value.error, expected)


async def test_a_client_that_was_idle_is_as_patient_as_ever(
    log: FakeLog, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence counts from the first question that was not answered, not from the last one that was."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    async with session() as http:
        client = LogClient(log.url, KEY, http, bulk_path=way, patience_s=5)
        await client.add_many(SUBMISSIONS[:2], lambda place, promise: None)
        monkeypatch.setattr(loop, "time", lambda: clock() + 1000)
        log.answers = iter([error(503, "pool-full", **{"Retry-After": "0"})] * (2 if way else 1))
        told: dict[int, Promise] = {}
        await client.add_many(SUBMISSIONS[2:4], told.__setitem__)
        await client.close()
    assert all(isinstance(promise, SignedCertificateTimestamp) for promise in told.values())


async def test_patience_ends(log: FakeLog, way: str) -> None:
    log.answers = (error(503, "pool-full", **{"Retry-After": "9"}) for _ in itertools.count())
    with pytest.raises(GaveUp) as caught:
        await add_many(log, way, SUBMISSIONS[:3], patience_s=5)
    assert isinstance(caught.value.error, BusyError)


async def test_a_failing_log_says_so_until_it_answers(log: FakeLog, way: str) -> None:
    log.answers = iter([error(503), *([None] * 9)])
    async with session() as http:
        client = LogClient(log.url, KEY, http, bulk_path=way)
        adding = asyncio.create_task(client.add_many(SUBMISSIONS[:1] if not way else SUBMISSIONS[:2], lambda *_: None))
        seen = set()
        while not adding.done():
            seen.add(client.failing)
            await asyncio.sleep(0.005)
        await adding
        assert (seen, client.failing) == ({True, False}, False)
        await client.close()


async def test_a_conversation_that_breaks_off_is_taken_up_again(log: FakeLog) -> None:
    log.answers = iter([None, None, CUT])
    told = await add_many(log, BULK, SUBMISSIONS)
    assert len(told) == 20
    assert all(isinstance(promise, SignedCertificateTimestamp) for promise in told.values())
    assert len(log.chains) == 20


async def test_without_the_call_single_ones_take_its_place(log: FakeLog) -> None:
    told = await add_many(log, "no/such/", SUBMISSIONS)
    assert len(told) == 20
    assert log.paths == ["add-pre-chain"] * 20


async def collects(request: web.Request) -> web.Response:
    """A proxy that wants the whole body first."""
    await request.read()
    return web.Response(status=502)


def answers(status: int) -> Callable[[web.Request], Any]:
    async def at_once(request: web.Request) -> web.Response:
        return web.Response(status=status, text="not here, not now")

    return at_once


async def cuts(request: web.Request) -> web.Response:
    await request.content.readany()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    "proxy", [collects, cuts, *map(answers, (400, 403, 408, 413, 500, 502, 503))],
    ids=["collects", "cuts", "400", "403", "408", "413", "500", "502", "503"],
)  # fmt: skip
async def test_a_way_that_lets_no_stream_through_is_left_for_single_calls(
    log: FakeLog, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that collects the request or bounds it, and conversations that others hold open, stop nobody."""
    monkeypatch.setattr(bulk, "FIRST_ANSWER_S", 0.2)
    log.in_the_way = proxy
    async with session() as http:
        client = LogClient(log.url, KEY, http, bulk_path=BULK, patience_s=2)
        told: dict[int, Promise] = {}
        await client.add_many(SUBMISSIONS, told.__setitem__)
        log.in_the_way = None
        await client.add_many(SUBMISSIONS[:2], told.__setitem__)  # which does not try that way again at once
        await client.close()
    assert len(told) == 20
    assert all(isinstance(promise, SignedCertificateTimestamp) for promise in told.values())
    assert set(log.paths) == {"add-pre-chain"}


async def test_what_answers_only_in_part_is_left_too(log: FakeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that collects the answer hands on what fills its buffer, and keeps the rest."""
    monkeypatch.setattr(bulk, "SILENCE_S", 0.2)

    async def keeps_the_rest(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        chain = json.loads(await request.content.readline())["chain"]
        answer = log.sign([base64.b64decode(each) for each in chain])
        await response.write(json.dumps({"line": 1, "status": 200, **answer}).encode() + b"\n")
        await request.read()
        return response

    log.in_the_way = keeps_the_rest
    told = await add_many(log, BULK, SUBMISSIONS, patience_s=5)
    assert len(told) == 20
    assert log.paths == ["add-pre-chain"] * 19


async def test_bulk_is_tried_again_after_a_rest_that_grows(log: FakeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """All conversations were taken: that passes, and a proxy in the way stays."""
    monkeypatch.setattr(log_client, "_REST_S", 100.0)
    clock = asyncio.get_running_loop().time
    later = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock() + later)
    log.in_the_way = answers(503)
    async with session() as http:
        client = LogClient(log.url, KEY, http, bulk_path=BULK)
        ways = []
        for later in (0.0, 50.0, 150.0, 300.0, 400.0):
            await client.add_many(SUBMISSIONS[:2], lambda *_: None)
            ways.append(set(log.paths))
            log.paths.clear()
            if later == 150.0:
                log.in_the_way = None
        await client.close()
    assert ways == [{"add-pre-chain"}] * 4 + [{"bulk add-pre-chain"}]


async def test_who_stops_waiting_does_not_forget_a_way_that_is_closed(
    log: FakeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other logs were enough each time: all the same the next submissions must not go into the same silence."""
    monkeypatch.setattr(bulk, "FIRST_ANSWER_S", 0.2)
    log.in_the_way = collects
    async with session() as http:
        client = LogClient(log.url, KEY, http, bulk_path=BULK)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.add_many(SUBMISSIONS[:2], lambda *_: None), 0.05)
        await asyncio.sleep(0.3)
        told: dict[int, Promise] = {}
        await asyncio.wait_for(client.add_many(SUBMISSIONS, told.__setitem__), 10)
        await client.close()
    assert len(told) == 20
    assert set(log.paths) == {"add-pre-chain"}


async def test_one_alone_needs_no_conversation(log: FakeLog) -> None:
    await add_many(log, BULK, SUBMISSIONS[:1])
    assert log.paths == ["add-pre-chain"]


async def test_callers_that_bring_one_each_share_a_conversation(log: FakeLog) -> None:
    """All but the first, which is alone when it comes."""
    async with session() as http:
        client = LogClient(log.url, KEY, http, bulk_path=BULK)
        told: list[Any] = []
        for _ in range(2):
            calls = (client.add_many([one], lambda _, promise: told.append(promise)) for one in SUBMISSIONS)
            await asyncio.gather(*calls)
        await client.close()
    assert all(isinstance(promise, SignedCertificateTimestamp) for promise in told)
    assert sorted(log.paths) == ["add-pre-chain"] * 2 + ["bulk add-pre-chain"] * 38


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bulk/v1/", BULK), ("bulk/v1", BULK), ("https://elsewhere.example/", ""), ("//elsewhere.example/", ""),
        ("../up/", ""), ("a/../../b", ""), ("", ""), (None, ""), (5, ""), ("a?b", ""),
    ],
)  # fmt: skip
async def test_where_bulk_goes_is_below_the_log_or_nowhere(path: Any, expected: str) -> None:
    async def about(_: web.Request) -> web.Response:
        from ctlog.wire.b64 import format_base64

        return web.json_response({"key": format_base64(KEY.spki), "bulk_submission_path": path})

    app = web.Application()
    app.router.add_get("/log.v3.json", about)
    async with TestServer(app) as server, session() as http:
        assert await describe(http, str(server.make_url("/"))) == (KEY, expected)


async def test_a_log_that_says_nothing_offers_nothing() -> None:
    async with session() as http:
        assert await bulk_path(http, "http://127.0.0.1:1/") == ""
