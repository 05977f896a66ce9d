"""ctlog.client.submit against a log that can be told to misbehave, on a socket of its own."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ctlog.client.issuers import IssuerPool
from ctlog.client.log_client import published_key, session
from ctlog.client.receipts import Receipts
from ctlog.client.submit import Logged, Outcome, Refused, Submitter, signed_entry
from ctlog.errors import BusyError, CtlogError, FrozenError, MalformedError, RefusedError, TransportError
from ctlog.wire.rfc6962 import format_sct, sct_to_json
from ctlog.wire.static_ct import format_leaf_index
from ctlog.x509.der import parse_certificate
from tests.fake_log import AUTHORITY, FINALS, KEY, NOW, PRECERTIFICATES, FakeLog, error, make_sct


@pytest.fixture
async def log() -> AsyncIterator[FakeLog]:
    fake = FakeLog()
    server = TestServer(fake.app)
    await server.start_server()
    fake.url = str(server.make_url("/a/log/"))
    yield fake
    await server.close()


async def run(log: FakeLog, certificates: list[bytes], **options: Any) -> list[Outcome]:
    outcomes: list[Outcome] = []
    pool = IssuerPool(options.pop("pool", AUTHORITY.chain))
    async with session() as http:
        await Submitter(log.url, KEY, pool, http, **options).run(certificates, outcomes.append)
    return sorted(outcomes, key=lambda o: o.place)


async def test_many_are_submitted_at_once_with_their_chains(log: FakeLog) -> None:
    outcomes = await run(log, FINALS + PRECERTIFICATES, in_flight=8)
    assert [o.place for o in outcomes] == list(range(40))
    assert all(isinstance(o, Logged) for o in outcomes)
    assert sorted(o.index for o in outcomes if isinstance(o, Logged)) == list(range(40))
    assert 2 < log.most_at_once <= 8
    assert all(chain[1:] == list(AUTHORITY.chain) for chain in log.chains)
    assert log.paths.count("add-chain") == log.paths.count("add-pre-chain") == 20


async def test_certificates_are_read_only_as_they_are_needed(log: FakeLog) -> None:
    read = []

    def source() -> Iterator[bytes]:
        for n, der in enumerate(FINALS):
            read.append(n)
            yield der

    seen: list[int] = []
    async with session() as http:
        submitter = Submitter(log.url, KEY, IssuerPool(AUTHORITY.chain), http, in_flight=3)
        await submitter.run(source(), lambda _: seen.append(len(read)))
    assert seen[0] <= 4
    assert len(seen) == 20


async def test_a_busy_log_is_asked_again_not_before_it_says(log: FakeLog) -> None:
    busy = [error(503, "pool-full", **{"Retry-After": "1"}), error(429, "rate-limited", **{"Retry-After": "0"})]
    log.answers = iter(busy)
    start = asyncio.get_running_loop().time()
    assert all(isinstance(o, Logged) for o in await run(log, FINALS[:3], in_flight=1))
    assert asyncio.get_running_loop().time() - start >= 1
    assert len(log.paths) == 5


async def test_what_is_refused_keeps_its_reason_and_the_rest_goes_on(log: FakeLog) -> None:
    plain = web.Response(status=400, text="chain does not verify")
    log.answers = iter([error(400, "unknown-root", "who is this"), plain, error(413, "", "too large")])
    outcomes = await run(log, FINALS[:5], in_flight=1)
    refused = [(o.reason, o.sentence) for o in outcomes if isinstance(o, Refused)]
    assert refused == [
        ("unknown-root", "who is this"), ("refused", "chain does not verify"), ("body-too-large", "too large"),
    ]  # fmt: skip
    assert [o.place for o in outcomes if isinstance(o, Logged)] == [3, 4]


async def test_what_is_no_certificate_or_has_no_issuer_is_refused_here(log: FakeLog) -> None:
    outcomes = await run(log, [b"\x30\x03junk", PRECERTIFICATES[0]], pool=())
    assert [o.reason for o in outcomes if isinstance(o, Refused)] == ["malformed", "issuer-missing"]
    assert log.paths == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda: error(410, "frozen", "it ended"), FrozenError),
        (lambda: error(403, "submitter-not-allowed"), RefusedError),
        (lambda: web.Response(status=404), TransportError),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), TransportError),
    ],
    ids=["frozen", "not allowed", "no log", "redirect"],
)
async def test_what_concerns_all_ends_the_run(
    log: FakeLog, answer: Callable[[], web.Response], expected: type[CtlogError]
) -> None:
    log.answers = iter([None, *(answer() for _ in range(8))])
    with pytest.raises(expected):
        await run(log, FINALS, in_flight=4)
    assert len(log.paths) <= 5  # nothing more was sent


async def test_silence_ends_a_run_when_patience_does(log: FakeLog) -> None:
    busy = (error(503, "pool-full", **{"Retry-After": "9"}) for _ in itertools.count())
    log.answers = busy
    with pytest.raises(BusyError, match="503"):
        await run(log, FINALS, in_flight=2, patience_s=5)
    async with session() as http:
        submitter = Submitter("http://127.0.0.1:1", KEY, IssuerPool(AUTHORITY.chain), http, patience_s=0.3)
        with pytest.raises(TransportError, match="cannot be reached"):
            await submitter.submit(FINALS[0])


async def test_one_certificate_that_breaks_the_server_is_given_up_alone(log: FakeLog) -> None:
    def breaks(chain: list[bytes]) -> web.Response | None:
        return error(500) if chain[0] == FINALS[1] else None

    log.answers = iter([breaks] * 100)
    outcomes = await run(log, FINALS[:3])
    assert [type(o) for o in outcomes] == [Logged, Refused, Logged]
    assert isinstance(outcomes[1], Refused)
    assert outcomes[1].reason == "server-error"


def other_entry(answer: dict[str, Any]) -> dict[str, Any]:
    return sct_to_json(make_sct(signed_entry(parse_certificate(FINALS[9]), ()), NOW, format_leaf_index(1)))


@pytest.mark.parametrize(
    "alter",
    [
        lambda a: {**a, "timestamp": a["timestamp"] + 1},
        lambda a: {**a, "extensions": ""},
        lambda a: {**a, "id": base64.b64encode(bytes(32)).decode()},
        lambda a: {**a, "sct_version": 1},
        lambda a: {**a, "signature": "BAMAAA=="},
        lambda a: {k: v for k, v in a.items() if k != "signature"},
        lambda a: [a],
        lambda a: None,
        other_entry,
    ],
    ids=["time", "extensions", "log", "version", "signature", "missing", "list", "null", "another certificate's"],
)
async def test_an_sct_that_does_not_verify_is_not_counted(
    log: FakeLog, alter: Callable[[Any], Any], tmp_path: Path
) -> None:
    log.alter = alter
    receipts = Receipts(tmp_path / "receipts")
    (outcome,) = await run(log, FINALS[:1], receipts=receipts)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "bad-sct"
    assert receipts.get(KEY.log_id, outcome.fingerprint) is None


async def test_a_leaf_index_that_cannot_be_read_is_a_bad_sct_and_none_is_fine(log: FakeLog) -> None:
    entry = signed_entry(parse_certificate(FINALS[0]), ())
    log.alter = lambda _: sct_to_json(make_sct(entry, NOW, b"\x00"))
    (outcome,) = await run(log, FINALS[:1])
    assert isinstance(outcome, Refused)
    log.alter = lambda _: sct_to_json(make_sct(entry, NOW, b""))
    (outcome,) = await run(log, FINALS[:1])
    assert isinstance(outcome, Logged)
    assert outcome.index is None


async def test_an_answer_without_end_is_cut_off(log: FakeLog) -> None:
    log.answers = iter([web.Response(status=400, body=b"x" * 1_000_000)])
    assert all(isinstance(o, Logged) for o in await run(log, FINALS[:1]))


async def test_an_interrupted_run_goes_on_where_it_was(log: FakeLog, tmp_path: Path) -> None:
    log.answers = itertools.chain([None] * 7, itertools.repeat(lambda _: error(410)))
    with pytest.raises(FrozenError):
        await run(log, FINALS, in_flight=1, receipts=Receipts(tmp_path / "receipts"))
    sent = len(log.paths)
    log.answers = iter(())
    outcomes = await run(log, FINALS, receipts=Receipts(tmp_path / "receipts"))
    assert len(log.paths) - sent == 13
    assert [o.before for o in outcomes if isinstance(o, Logged)] == [True] * 7 + [False] * 13
    assert [o.index for o in outcomes[:7] if isinstance(o, Logged)] == list(range(7))


async def test_a_receipt_that_went_bad_is_asked_for_again(log: FakeLog, tmp_path: Path) -> None:
    receipts = Receipts(tmp_path / "receipts")
    (first,) = await run(log, FINALS[:1], receipts=receipts)
    assert isinstance(first, Logged)
    for bad in (b"junk", format_sct(first.sct)[:-1] + b"\x00"):
        receipts.put(KEY.log_id, first.fingerprint, bad)
        (again,) = await run(log, FINALS[:1], receipts=receipts)
        assert isinstance(again, Logged)
        assert (again.before, again.sct) == (False, first.sct)


async def test_the_token_goes_along(log: FakeLog) -> None:
    await run(log, FINALS[:1], token="secret")
    await run(log, FINALS[:1])
    assert [h.get("Authorization") for h in log.headers] == ["Bearer secret", None]
    assert log.headers[0]["User-Agent"].startswith("ctlog/")


async def test_the_published_key_is_read_or_its_absence_said(log: FakeLog) -> None:
    async with session() as http:
        assert await published_key(http, log.url) == KEY
        with pytest.raises(TransportError, match="key must be given"):
            await published_key(http, log.url.replace("/a/log/", "/nothing"))


@pytest.mark.parametrize("answer", ["[]", "{}", '{"key": 5}', '{"key": "!"}', '{"key": "AAAA"}', "junk"])
async def test_a_published_key_that_is_none_is_said(answer: str) -> None:
    app = web.Application()

    async def about(_: web.Request) -> web.Response:
        return web.Response(text=answer)

    app.router.add_get("/log.v3.json", about)
    async with TestServer(app) as server, session() as http:
        with pytest.raises(MalformedError):
            await published_key(http, str(server.make_url("/")))
