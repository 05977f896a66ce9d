"""Bulk submission over a real socket: docs/bulk-submission.md, sentence by sentence."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.http import bulk, streaming
from ctlog.http import site as bounds
from ctlog.http.bulk import GROUP, lines
from ctlog.wire.rfc6962 import EntryType, SignedEntry, sct_from_json
from tests.counted_parts import CountedParts
from tests.server import RunningLog, running_log

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[RunningLog]:
    async with running_log(tmp_path) as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_PATIENCE_S", 0.05)


def line(*chain: bytes) -> bytes:
    return json.dumps({"chain": [base64.b64encode(der).decode() for der in chain]}).encode()


def whole(log: RunningLog, der: bytes) -> bytes:
    return line(der, *log.authority.chain)


async def converse(log: RunningLog, body: Any, call: str = "add-pre-chain") -> list[dict[str, Any]]:
    """Every line of the answer."""
    async with log.session.post(f"{log.url}bulk/v1/{call}", data=body) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/x-ndjson"
        data = await answer.read()
    assert data.endswith(b"\n")
    return [json.loads(each) for each in data.splitlines()]


def scts(log: RunningLog, answers: Iterable[dict[str, Any]], ders: list[bytes]) -> dict[int, int]:
    """Line -> index, every SCT verified over the certificate of its line."""
    found = {}
    for answer in answers:
        sct = sct_from_json(answer)
        log.key.verify_sct(sct, SignedEntry(EntryType.X509, ders[answer["line"] - 1]))
        found[answer["line"]] = int.from_bytes(sct.extensions[3:], "big")
    return found


# Lines in, lines out --------------------------------------------------------------------------------------------------


async def test_every_line_is_answered_once_and_the_end_counts(log: RunningLog) -> None:
    ders = [log.certificate() for _ in range(150)]
    body = b"\n".join(whole(log, der) for der in ders)
    *answers, end = await converse(log, body, "add-chain")
    assert end == {"end": True, "accepted": 150, "refused": 0}
    assert all(answer["status"] == 200 for answer in answers)
    found = scts(log, answers, ders)
    assert sorted(found) == list(range(1, 151))
    assert sorted(found.values()) == list(range(150))
    assert log.app.log.head.size == 150


async def test_same_rules_and_same_scts_as_one_by_one(log: RunningLog) -> None:
    ders = [log.precertificate() for _ in range(6)]
    single = [(await log.post("add-pre-chain", [der, *log.authority.chain])).json for der in ders[:3]]
    above = log.authority.chain
    bad = [line(log.certificate(), *above), line(ders[0]), line(ders[0][:-1], *above), b"{}"]
    *answers, end = await converse(log, b"\n".join([*(whole(log, der) for der in ders), *bad]) + b"\n")
    by_line = {answer["line"]: answer for answer in answers}
    for number, expected in enumerate(single, 1):
        assert {key: by_line[number][key] for key in expected} == expected
    assert end == {"end": True, "accepted": 6, "refused": 4}
    for number, der_line in enumerate(bad, 7):
        answer = await log.ask("POST", "ct/v1/add-pre-chain", data=der_line)
        said = {**answer.json, "line": number, "status": answer.status}
        assert by_line[number] == said
    again = await converse(log, whole(log, ders[5]))
    assert again[0] == {**by_line[6], "line": 1}
    assert log.app.log.head.size == 6


async def test_answers_come_while_the_request_goes_on(log: RunningLog) -> None:
    """The first answer is awaited before the second line is sent, in a request whose length nobody knows."""
    go = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield whole(log, log.precertificate()) + b"\n"
        await go.wait()
        yield whole(log, log.precertificate())

    async with log.session.post(f"{log.url}bulk/v1/add-pre-chain", data=body()) as answer:
        first = json.loads(await answer.content.readline())
        assert (first["line"], first["status"]) == (1, 200)
        go.set()
        rest = [json.loads(each) for each in (await answer.read()).splitlines()]
    assert [each.get("line") for each in rest] == [2, None]
    assert rest[-1] == {"end": True, "accepted": 2, "refused": 0}


async def test_what_is_refused_waits_for_nobody(log: RunningLog) -> None:
    *answers, _ = await converse(log, b"\n".join([whole(log, log.precertificate()), b"[]"]))
    assert [answer["line"] for answer in answers] == [2, 1]


async def test_blank_lines_count_and_are_not_answered(log: RunningLog) -> None:
    body = b"\n \r\n" + whole(log, log.precertificate()) + b"\r\n\n" + whole(log, log.precertificate())
    *answers, end = await converse(log, body)
    assert sorted(answer["line"] for answer in answers) == [3, 5]
    assert end == {"end": True, "accepted": 2, "refused": 0}
    assert await converse(log, b"") == [{"end": True, "accepted": 0, "refused": 0}]


# Limits of a line, and of nothing else --------------------------------------------------------------------------------


async def test_limits_are_a_lines_own(tmp_path: Path) -> None:
    async with running_log(tmp_path, limits={"body_bytes": 8192}) as log:
        good = whole(log, log.precertificate())
        body = b"\n".join([good, b'{"chain":["' + b"A" * 100_000 + b'"]}', good, b" " * 8193, good + b" " * 8000])
        assert len(body) > 8192
        *answers, end = await converse(log, body)
        by_line = {answer["line"]: answer for answer in answers}
        assert [by_line[n]["status"] for n in range(1, 6)] == [200, 413, 200, 413, 413]
        assert by_line[2]["reason"] == "body-too-large"
        assert end == {"end": True, "accepted": 2, "refused": 3}


async def test_a_rate_is_charged_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "_MAX_PAUSE_S", 0.01)
    async with running_log(tmp_path, limits={"source_rate": 0.01, "source_burst": 3}) as log:
        body = b"\n".join(whole(log, log.precertificate()) for _ in range(5))
        *answers, end = await converse(log, body)
        late = [answer for answer in answers if answer["status"] == 429]
        assert [answer["line"] for answer in late] == [4, 5]
        assert late[0]["reason"] == "rate-limited-source"
        assert late[0]["retry_after"] == 100
        assert end == {"end": True, "accepted": 3, "refused": 2}


async def test_after_a_rate_nothing_is_read_for_a_while(tmp_path: Path) -> None:
    async with running_log(tmp_path, limits={"source_rate": 1, "source_burst": 1}) as log:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield whole(log, log.precertificate()) + b"\n"
                await asyncio.sleep(0.1)

        start = asyncio.get_running_loop().time()
        *answers, end = await converse(log, body())
        assert asyncio.get_running_loop().time() - start >= 1
        assert {answer["line"]: answer["status"] for answer in answers} == {1: 200, 2: 429, 3: 200}
        assert end == {"end": True, "accepted": 2, "refused": 1}


async def test_a_full_pool_answers_that_line_and_pauses(tmp_path: Path) -> None:
    """More than the pool takes at once: each line is answered, 200 or 503, and in the end nothing is lost."""
    async with running_log(tmp_path, pool={"size": 4, "period_ms": 50}) as log:
        ders = [log.certificate() for _ in range(20)]
        left = dict(enumerate(ders))
        refusals = 0
        for _ in range(20):
            places = list(left)
            *answers, end = await converse(log, b"\n".join(whole(log, left[at]) for at in places), "add-chain")
            assert end["accepted"] + end["refused"] == len(places)
            for answer in answers:
                if answer["status"] == 200:
                    del left[places[answer["line"] - 1]]
                else:
                    assert (answer["status"], answer["reason"]) == (503, "pool-full")
                    assert "retry_after" not in answer
                    refusals += 1
            if not left:
                break
        assert not left
        assert refusals > 0
        assert log.app.log.head.size == 20


async def test_a_submitter_that_is_too_fast_waits(log: RunningLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the window is in work, however much is sent."""
    monkeypatch.setattr(bulk, "WINDOW_LINES", 8)
    monkeypatch.setattr(bulk, "GROUP", 4)
    most = 0
    begin = bulk._Conversation._begin

    def watched(self: Any, group: Any) -> None:
        nonlocal most
        begin(self, group)
        most = max(most, self._lines)

    monkeypatch.setattr(bulk._Conversation, "_begin", watched)
    answers = await converse(log, b"\n".join(whole(log, log.precertificate()) for _ in range(60)))
    assert answers[-1] == {"end": True, "accepted": 60, "refused": 0}
    assert 4 < most <= 8


# Who may, and how it ends ---------------------------------------------------------------------------------------------


async def test_strangers_and_ended_logs_are_told_before_anything_is_read(tmp_path: Path) -> None:
    async with running_log(tmp_path, submitters={"networks": ["192.0.2.0/24"]}) as log:
        answer = await log.ask("POST", "bulk/v1/add-chain", data=b"x" * 1_000_000)
        assert (answer.status, answer.json["reason"]) == (403, "submitter-not-allowed")
    async with running_log(tmp_path / "other") as log:
        await log.app.log.freeze()
        answer = await log.ask("POST", "bulk/v1/add-chain", data=b"")
        assert (answer.status, answer.json["reason"]) == (410, "frozen")
        assert (await log.ask("GET", "bulk/v1/add-chain")).status == 405


@pytest.mark.parametrize("bound", ["STREAMS", "STREAMS_OF_ONE"], ids=["of all", "of one source"])
async def test_conversations_are_counted(log: RunningLog, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(bulk, bound, 1)
    hold = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{}\n"
        await hold.wait()

    async with log.session.post(f"{log.url}bulk/v1/add-chain", data=body()) as first:
        await first.content.readline()
        second = await log.ask("POST", "bulk/v1/add-chain", data=b"")
        assert (second.status, second.json["reason"]) == (503, "busy")
        hold.set()
        await first.read()
    assert (await log.ask("POST", "bulk/v1/add-chain", data=b"")).status == 200


async def hold(
    log: RunningLog, body: Callable[[], bytes], end: asyncio.Event, answers: list[dict[str, Any]]
) -> asyncio.Task[None]:
    """A conversation that says `body()` again and again, until `end`; returns when it has its first answer."""
    begun = asyncio.Event()

    async def again() -> AsyncIterator[bytes]:
        while not end.is_set():
            yield body() + b"\n"
            await asyncio.sleep(0.02)

    async def converse() -> None:
        async with asyncio.timeout(30), log.session.post(f"{log.url}bulk/v1/add-pre-chain", data=again()) as answer:
            async for text in answer.content:
                answers.append(json.loads(text))
                begun.set()

    conversation = asyncio.create_task(converse())
    await asyncio.wait_for(begun.wait(), 10)
    return conversation


@pytest.mark.parametrize("idle", ["refused", "logged already"])
async def test_conversations_that_have_nothing_new_logged_stop_nobody(
    log: RunningLog, monkeypatch: pytest.MonkeyPatch, idle: str
) -> None:
    """Four of one address, each with lines that are refused, or with one that is logged already, used to keep that
    address's CA out for ever."""
    again = b"{}" if idle == "refused" else whole(log, log.precertificate())
    monkeypatch.setattr(bulk, "GIVE_WAY_S", 0.3)
    end = asyncio.Event()
    told: list[list[dict[str, Any]]] = [[] for _ in range(bulk.STREAMS_OF_ONE)]
    holding = []
    for at, answers in enumerate(told):  # the one that is of use is the oldest
        body = (lambda: again) if at else (lambda: whole(log, log.precertificate()))
        holding.append(await hold(log, body, end, answers))
    early = await log.ask("POST", "bulk/v1/add-pre-chain", data=b"")
    assert (early.status, early.json["reason"]) == (503, "busy")
    await asyncio.sleep(0.5)
    *_, counts = await converse(log, whole(log, log.precertificate()))
    assert counts == {"end": True, "accepted": 1, "refused": 0}
    await asyncio.wait_for(holding[1], 5)
    assert (told[1][-1]["end"], told[1][-1]["status"], told[1][-1]["reason"]) == (True, 503, "busy")
    assert not holding[0].done()
    end.set()
    await asyncio.gather(*holding)
    assert all(answers[-1].get("status") is None for at, answers in enumerate(told) if at != 1)


async def test_of_all_places_the_idlest_gives_way(log: RunningLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "STREAMS", 1)
    monkeypatch.setattr(bulk, "GIVE_WAY_S", 0.0)
    answers: list[dict[str, Any]] = []
    holding = await hold(log, lambda: b"[]", asyncio.Event(), answers)
    assert (await converse(log, b""))[-1] == {"end": True, "accepted": 0, "refused": 0}
    await asyncio.wait_for(holding, 5)
    assert answers[-1]["reason"] == "busy"


async def test_a_log_that_is_frozen_in_the_middle_ends_the_conversation(log: RunningLog) -> None:
    frozen = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield whole(log, log.precertificate()) + b"\n"
        await frozen.wait()
        for _ in range(200):
            yield whole(log, log.precertificate()) + b"\n"
            await asyncio.sleep(0.001)

    async with log.session.post(f"{log.url}bulk/v1/add-pre-chain", data=body()) as answer:
        first = json.loads(await answer.content.readline())
        await log.app.log.freeze()
        frozen.set()
        *answers, end = [json.loads(each) for each in (await answer.content.read()).splitlines()]
    assert (first["status"], answers[0]["status"], answers[0]["reason"]) == (200, 410, "frozen")
    assert (end["end"], end["accepted"], end["status"], end["reason"]) == (True, 1, 410, "frozen")
    assert end["refused"] == len(answers)


async def raw(log: RunningLog) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = log.url.removeprefix("http://").rstrip("/").partition(":")
    return await asyncio.open_connection(host, int(port))


HEAD = b"POST /bulk/v1/add-pre-chain HTTP/1.%d\r\nHost: x\r\n"


async def test_silence_ends_a_conversation(tmp_path: Path) -> None:
    async with running_log(tmp_path, limits={"request_s": 1}) as log:
        reader, writer = await raw(log)
        writer.write(HEAD % 1 + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert b'"reason":"request-timeout"' in answer
        assert answer.endswith(b"\r\n0\r\n\r\n")
        writer.close()


@pytest.mark.parametrize("drop", [b" ", b"\n"])
async def test_a_line_that_trickles_ends_a_conversation(tmp_path: Path, drop: bytes) -> None:
    """A byte now and then, or blank lines, hold a place among the few conversations no longer than silence does."""
    async with running_log(tmp_path, limits={"request_s": 1}) as log:
        reader, writer = await raw(log)
        writer.write(HEAD % 1 + b"Transfer-Encoding: chunked\r\n\r\n")
        # To its end it cannot be read: what is written behind the log's last word resets the connection.
        reading = asyncio.create_task(asyncio.wait_for(reader.readuntil(b'"reason":"request-timeout"'), 10))
        while not reading.done():
            writer.write(b"1\r\n%b\r\n" % drop)
            await asyncio.sleep(0.05)
        await reading
        writer.close()


async def test_http_1_0_has_its_answer_without_chunks(log: RunningLog) -> None:
    reader, writer = await raw(log)
    good = whole(log, log.precertificate())
    writer.write(HEAD % 0 + b"Content-Length: %d\r\n\r\n%s" % (len(good), good))
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert [json.loads(each).get("status") for each in body.splitlines()] == [200, None]
    writer.close()


async def test_a_client_that_goes_away_leaves_nothing_behind(log: RunningLog) -> None:
    reader, writer = await raw(log)
    good = whole(log, log.precertificate()) + b"\n"
    writer.write(HEAD % 1 + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(good), good))
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    for _ in range(100):
        if not log.app._bulk._conversations and log.app.log.head.size == 1:  # what was read is logged all the same
            break
        await asyncio.sleep(0.02)
    assert not log.app._bulk._conversations
    assert log.app.log.head.size == 1
    assert log.app._submissions.places == log.app.log.settings.pool_size


async def test_answers_that_nobody_reads_stop_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are refused at once are in work for no time: what they leave behind is bounded all the same."""
    monkeypatch.setattr(bulk, "WINDOW_LINES", 100)
    most = 0
    tell = bulk._Conversation._tell

    def watched(self: Any, number: int, outcome: Any, new: bool) -> None:
        nonlocal most
        tell(self, number, outcome, new)
        most = max(most, len(self._out))

    monkeypatch.setattr(bulk._Conversation, "_tell", watched)
    monkeypatch.setattr(bounds, "DRAIN_S", 0.5)
    async with running_log(tmp_path, limits={"source_rate": 0}) as log:
        await write_without_reading(log)
    assert 100 <= most < 100 + 2 * GROUP


async def test_a_client_that_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DRAIN_S", 0.1)
    assert streaming.bounds is bounds
    async with running_log(tmp_path, limits={"source_rate": 0}) as log:
        await write_without_reading(log)


async def write_without_reading(log: RunningLog) -> None:
    host, _, port = log.url.removeprefix("http://").rstrip("/").partition(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
    _, writer = await asyncio.open_connection(sock=small, limit=1024)
    writer.transport.pause_reading()
    body = b"{}\n" * 2000
    writer.write(HEAD % 1 + b"Content-Length: 100000000\r\n\r\n")

    async def write() -> None:
        while True:
            writer.write(body)
            await writer.drain()
            await asyncio.sleep(0)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(write(), 30)
    writer.close()


async def test_a_log_that_stops_says_so(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield whole(log, log.precertificate()) + b"\n"
                await asyncio.sleep(0.005)

        async with aiohttp.ClientSession() as session:
            async with session.post(f"{log.url}bulk/v1/add-pre-chain", data=body()) as answer:
                await answer.content.readline()
                stopping = asyncio.create_task(log.restart())
                rest = [json.loads(each) for each in (await answer.content.read()).splitlines()]
            await stopping
        assert (rest[-1]["end"], rest[-1]["reason"]) == (True, "stopping")
        assert log.app.log.head.size == rest[-1]["accepted"]


# The reader of lines --------------------------------------------------------------------------------------------------


async def parts_of(data: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        if cut > at:
            yield data[at:cut]
            at = cut


async def test_a_line_in_many_parts_is_copied_once() -> None:
    """Half a megabyte, byte by byte, used to cost a hundred gigabytes of copying, in everybody's event loop."""
    content = CountedParts(b"x" * 20_000 + b"\n" + b"y" * 10_000)

    async def parts() -> AsyncIterator[bytes]:
        while part := await content.readany():
            yield part

    found = [each async for group in lines(parts(), 15_000) for each in group]
    assert [(n, len(body), error is not None) for n, body, error in found] == [(1, 0, True), (2, 10_000, False)]
    assert content.copied < 40_000


TEXTS = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=200)


@given(TEXTS, st.data(), st.integers(1, 9))
def test_lines_are_the_same_however_they_are_cut(texts: list[bytes], data: st.DataObject, limit: int) -> None:
    whole_text = b"\n".join(texts)
    cuts = data.draw(st.lists(st.integers(0, len(whole_text)), max_size=8))

    async def collect() -> list[bulk.Line]:
        found = []
        async for group in lines(parts_of(whole_text, cuts), limit):
            assert 0 < len(group) <= GROUP
            found += group
        return found

    expected = []
    for number, text in enumerate(texts, 1):
        if len(text) > limit:
            expected.append((number, b"", True))
        elif text and not text.isspace():
            expected.append((number, text, False))
    assert [(n, body, error is not None) for n, body, error in asyncio.run(collect())] == expected
