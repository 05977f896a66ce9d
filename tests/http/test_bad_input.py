"""Whatever is sent, the answer is one sentence with a stable word, and the log goes on as before."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ctlog import issuance
from ctlog.folder import clock_ms
from ctlog.wire.rfc6962 import sct_from_json
from tests.server import DAY_MS, Reply, RunningLog, running_log

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningLog]:
    now = clock_ms()
    window = {"window_start": _rfc3339(now - DAY_MS), "window_end": _rfc3339(now + 400 * DAY_MS)}
    async with running_log(tmp_path_factory.mktemp("log"), **window) as log:
        yield log


def _rfc3339(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


async def send(log: RunningLog, body: bytes, call: str = "add-chain") -> Reply:
    answers = [await log.ask("POST", prefix + call, data=body) for prefix in ("ct/v1/", "stict/v1/")]
    assert answers[0].status == answers[1].status
    assert answers[0].body == answers[1].body
    return answers[0]


def chain(*ders: bytes) -> bytes:
    return json.dumps({"chain": [base64.b64encode(der).decode() for der in ders]}).encode()


def check(answer: Reply, status: int, reason: str) -> dict[str, Any]:
    assert answer.status == status, answer.body
    value: dict[str, Any] = answer.json
    assert value["reason"] == reason
    assert value["error_message"]
    assert value["error_message"].isprintable()
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    return value


async def test_not_json_and_not_base64(log: RunningLog) -> None:
    assert check(await send(log, b"{"), 400, "bad-json")["field"] == "body"
    assert check(await send(log, b'{"chain":["!"]}'), 400, "bad-json")["field"] == "chain[0]"
    assert check(await send(log, b'{"chain":["YQ==", 7]}'), 400, "bad-json")["field"] == "chain[1]"
    assert check(await send(log, b'{"chains":[]}'), 400, "bad-json")["field"] == "body"


async def test_not_a_certificate_and_trailing_bytes(log: RunningLog) -> None:
    der = log.certificate()
    for bad, at in [((b"hello",), 0), ((der + b"\x00", *log.authority.chain), 0), ((b"",), 0),
                    ((der, b"\x30\x80\x00\x00"), 1), ((der[:-1], *log.authority.chain), 0),
                    ((der, log.authority.chain[0] + b"x"), 1)]:
        value = check(await send(log, chain(*bad)), 400, "malformed")
        assert value["field"] == f"certificate {at + 1} of the chain"
        assert isinstance(value["offset"], int)


async def test_empty_chain_and_too_long(log: RunningLog) -> None:
    check(await send(log, chain()), 400, "empty-chain")
    check(await send(log, chain(*[log.certificate()] * 11)), 400, "chain-too-long")


async def test_chain_out_of_order(log: RunningLog) -> None:
    issuing, root = log.authority.chain
    answer = await send(log, chain(log.certificate(), root, issuing))
    assert check(answer, 400, "chain-out-of-order")


async def test_the_wrong_endpoint_for_the_kind(log: RunningLog) -> None:
    check(await send(log, chain(log.precertificate(), *log.authority.chain)), 400, "wrong-endpoint")
    check(await send(log, chain(log.certificate(), *log.authority.chain), "add-pre-chain"), 400, "wrong-endpoint")


async def test_unknown_root(log: RunningLog) -> None:
    stranger = issuance.example_authority(clock_ms(), label="Stranger")
    der = stranger.certificate_for(log.tbs(authority=stranger))
    check(await send(log, chain(der, *stranger.chain)), 400, "unknown-root")


async def test_bad_signature(log: RunningLog) -> None:
    der = bytearray(log.certificate())
    der[-1] ^= 1
    check(await send(log, chain(bytes(der), *log.authority.chain)), 400, "bad-signature")


async def test_outside_the_window(log: RunningLog) -> None:
    now = clock_ms()
    for not_after_ms in (now - 2 * DAY_MS, now + 500 * DAY_MS):
        der = log.certificate(not_before_ms=now - 3 * DAY_MS, not_after_ms=not_after_ms)
        check(await send(log, chain(der, *log.authority.chain)), 400, "outside-window")


async def test_no_number_claimed(log: RunningLog) -> None:
    now = clock_ms()
    subject = issuance.Subject(issuance.name(CN="nobody"), issuance.Key.generate().spki, now, now + DAY_MS)
    der = log.authority.certificate_for(log.authority.leaf(subject, [issuance.END_ENTITY]))
    check(await send(log, chain(der, *log.authority.chain)), 400, "no-number")


async def test_a_body_over_the_limit(log: RunningLog) -> None:
    check(await send(log, b" " * (512 << 10) + b"x"), 413, "body-too-large")
    host, port = log.url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /ct/v1/add-chain HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 413")  # nothing of it was sent
    writer.close()


async def test_methods(log: RunningLog) -> None:
    for call in ("add-chain", "add-pre-chain"):
        for prefix in ("ct/v1/", "stict/v1/"):
            answer = await log.get(prefix + call)
            check(answer, 405, "method-not-allowed")
            assert answer.headers["Allow"] == "POST, OPTIONS"
            options = await log.ask("OPTIONS", prefix + call)
            assert options.headers["Access-Control-Allow-Methods"] == "POST, OPTIONS"
            assert options.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"


async def test_after_all_that_a_good_one_is_taken_and_taken_again_alike(log: RunningLog) -> None:
    for call, der in (("add-chain", log.certificate()), ("add-pre-chain", log.precertificate())):
        one = await send(log, chain(der, *log.authority.chain), call)
        assert one.status == 200
        log.key.verify_sct(sct_from_json(one.json), _entry(log, der, call))
        again = await send(log, chain(der, log.authority.chain[0]), call)  # without its root
        assert again.body == one.body
    metrics = (await log.get("metrics")).body.decode()
    for line in ('ctlog_refusals_total{endpoint="add-chain",log="log.test/2026",reason="unknown-root"} 2.0',
                 'ctlog_accepted_total{endpoint="add-chain",kind="new",log="log.test/2026"} 1.0',
                 'ctlog_accepted_total{endpoint="add-chain",kind="resubmission",log="log.test/2026"} 3.0'):
        assert line in metrics


def _entry(log: RunningLog, der: bytes, call: str) -> Any:
    from ctlog.client.submit import signed_entry
    from ctlog.x509.der import parse_certificate

    return signed_entry(parse_certificate(der), tuple(parse_certificate(each) for each in log.authority.chain))


async def test_the_pool_is_full(tmp_path: Path) -> None:
    async with running_log(tmp_path, pool={"size": 2, "period_ms": 1000}) as log:
        posts = [asyncio.create_task(log.post("add-chain", [log.certificate(), *log.authority.chain]))
                 for _ in range(2)]
        await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
        answer = await log.ask("POST", "ct/v1/add-chain", data=b"not even JSON")  # decided before it is decoded
        check(answer, 503, "pool-full")
        assert int(answer.headers["Retry-After"]) >= 1
        assert asyncio.get_running_loop().time() - began < 0.5
        assert [(await post).status for post in posts] == [200, 200]


async def test_a_flood_is_refused_before_it_costs_anything(tmp_path: Path) -> None:
    async with running_log(tmp_path, pool={"size": 8, "period_ms": 1000}) as log:
        chains = [[log.certificate(), *log.authority.chain] for _ in range(40)]
        answers = await asyncio.gather(*(log.post("add-chain", chain) for chain in chains))
        assert sorted(answer.status for answer in answers) == [200] * 8 + [503] * 32
        again = await asyncio.gather(*(log.post("add-chain", chain) for chain in chains[:8]))
        assert {answer.status for answer in again} == {200}


async def test_rates_by_source_issuer_and_root(tmp_path: Path) -> None:
    for which in ("source", "issuer", "root"):
        limits = {f"{which}_rate": 0.01, f"{which}_burst": 2}
        async with running_log(tmp_path / which, limits=limits) as log:
            one = log.certificate()
            for der in (one, log.certificate()):
                assert (await log.post("add-chain", [der, *log.authority.chain])).status == 200
            answer = await log.post("add-chain", [log.certificate(), *log.authority.chain])
            check(answer, 429, f"rate-limited-{which}")
            assert 1 <= int(answer.headers["Retry-After"]) <= 100
            assert (await log.get("ct/v1/get-sth")).status == 200  # reads are not limited


async def test_resubmissions_cost_no_issuer_anything(tmp_path: Path) -> None:
    async with running_log(tmp_path, limits={"issuer_rate": 0.01, "issuer_burst": 2}) as log:
        one = log.certificate()
        for _ in range(5):
            assert (await log.post("add-chain", [one, *log.authority.chain])).status == 200
        assert (await log.post("add-chain", [log.certificate(), *log.authority.chain])).status == 200
        assert (await log.post("add-chain", [log.certificate(), *log.authority.chain])).status == 429


async def test_only_listed_submitters(tmp_path: Path) -> None:
    token = hashlib.sha256(b"s3cret").hexdigest()
    async with running_log(tmp_path, submitters={"networks": ["192.0.2.0/24"], "tokens": {"bob": token}}) as log:
        body = chain(log.certificate(), *log.authority.chain)
        check(await log.ask("POST", "ct/v1/add-chain", data=body), 403, "submitter-not-allowed")
        answer = await log.ask("POST", "ct/v1/add-chain", data=body, headers={"Authorization": "Bearer s3cret"})
        assert answer.status == 200
        assert "Submitters whom the operator has listed" in " ".join((await log.get("")).body.decode().split())


async def test_a_trickle_is_cut_off_and_slows_nobody(tmp_path: Path) -> None:
    async with running_log(tmp_path, limits={"request_s": 1}) as log:
        host, port = log.url.removeprefix("http://").rstrip("/").split(":")
        slow = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"POST /ct/v1/add-chain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{")
        began = asyncio.get_running_loop().time()
        assert (await log.post("add-chain", [log.certificate(), *log.authority.chain])).status == 200
        assert asyncio.get_running_loop().time() - began < 0.8
        for reader, writer in slow:
            assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 408")
            writer.close()
