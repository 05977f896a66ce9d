"""monitor.api: health, metrics, and handing in, over a real socket; whom it is open to, and how it refuses."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ctlog.errors import ConfigError, StoreError
from ctlog.wire.rfc6962 import format_sct, sth_to_json
from monitor import api as module
from monitor.api import MAX_BODY, MAX_EVENTS, Api, Counts, parse_listen, serving
from monitor.health import Trouble
from monitor.state import State, make_state
from monitor.state.rows import Position
from tests.cert_sim import CA, CertSim
from tests.follow_kit import followed

SIM = CertSim()
FINAL, SCT = SIM.issue(5)
NOW, LOG_ID = SIM.now_ms, SIM.policy.key.log_id


class FakeMonitor:
    """Just enough of a running monitor; its state is a real one."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.logs = {LOG_ID: followed(SIM)}
        self.now = NOW
        self.bad: list[Trouble] = []
        self.told = 0

    def now_ms(self) -> int:
        return self.now

    async def troubles(self) -> list[Trouble]:
        return self.bad

    def counts(self) -> Counts:
        return Counts(3, 4, {LOG_ID: 2.5})

    async def handed_in(self) -> None:
        self.told += 1


class Client:
    """Calls of one API."""

    def __init__(self, monitor: FakeMonitor, url: str, http: aiohttp.ClientSession) -> None:
        self.monitor, self.url, self._http = monitor, url, http

    async def get(self, path: str) -> tuple[int, str]:
        async with self._http.get(self.url + path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            return answer.status, await answer.text()

    async def post(self, path: str, value: Any, **options: Any) -> tuple[int, dict[str, Any]]:
        body = {"json": value} if not isinstance(value, bytes) else {"data": value}
        async with self._http.post(self.url + path, **body, **options) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as state, aiohttp.ClientSession() as http:
        monitor = FakeMonitor(state)
        async with serving(Api(monitor).application(), "127.0.0.1:0") as url:
            yield Client(monitor, url, http)


async def test_all_is_well_or_not(client: Client) -> None:
    await client.monitor.state.logs.add(LOG_ID, "a log", "https://log.example/", Position(), NOW)
    status, text = await client.get("health")
    value = json.loads(text)
    assert (status, value["ok"], value["reasons"], value["items"]) == (200, True, [], 3)
    (log,) = value["logs"]
    assert (log["name"], log["read"], log["left_s"]) == ("a log", 0, 2.5)
    client.monitor.bad = [Trouble("gap", "x", 2, "a summary", "a sentence", "do this")]
    status, text = await client.get("health")
    assert status == 503
    assert json.loads(text)["reasons"] == [
        {"kind": "gap", "severity": 2, "summary": "a summary", "sentence": "a sentence", "next": "do this"}
    ]


async def test_metrics(client: Client) -> None:
    await client.post("v1/events", {"kind": "sim", "number": "+12025550123"})
    await client.post("v1/events", {"kind": "none"})
    status, text = await client.get("metrics")
    assert status == 200
    assert "ctlog_monitor_watched_items 3.0" in text
    assert 'ctlog_monitor_handed_in_total{outcome="taken",what="events"} 1.0' in text
    assert 'ctlog_monitor_handed_in_total{outcome="refused",what="events"} 1.0' in text
    assert "/v1/scts" in (await client.get(""))[1]


async def test_events_are_stored_all_or_none(client: Client) -> None:
    one = {"kind": "sim", "number": "+12025550123"}
    assert await client.post("v1/events", one) == (200, {"events": 1})
    assert await client.post("v1/events", {"events": [{**one, "kind": "port"}, one]}) == (200, {"events": 2})
    assert client.monitor.told == 2
    status, problem = await client.post("v1/events", {"events": [one, {**one, "number": "555"}]})
    assert (status, problem["error"]) == (400, "usage")
    assert problem["sentence"].startswith("event 1: '555' is no number")
    rows = await client.monitor.state.answers.events()
    assert [row.kind for row in rows] == ["sim", "port", "sim"]


def chain(**more: list[str]) -> dict[str, list[str]]:
    return {"chain": [base64.b64encode(der).decode() for der in (FINAL, *CA.chain)], **more}


async def test_scts_are_taken_once(client: Client) -> None:
    status, value = await client.post("v1/scts", chain())
    assert (status, value["taken"], value["new"]) == (200, 1, 1)
    assert (await client.post("v1/scts", chain()))[1]["new"] == 0
    (row,) = await client.monitor.state.audits.find()
    assert row.source == "over the API, from 127.0.0.1"
    client.monitor.logs = {}
    status, problem = await client.post("v1/scts", chain())
    assert (status, problem["error"]) == (400, "unknown-log")


async def test_an_sct_that_does_not_hold_accuses_nobody(client: Client) -> None:
    spoiled = bytearray(format_sct(SCT))
    spoiled[-1] ^= 1
    status, problem = await client.post("v1/scts", chain(scts=[base64.b64encode(spoiled).decode()]))
    assert status == 400
    assert problem["error"] not in ("usage", "error")
    assert await client.monitor.state.audits.find() == []
    given = [base64.b64encode(each).decode() for each in (bytes(spoiled), format_sct(SCT))]
    status, value = await client.post("v1/scts", chain(scts=given))
    assert (status, value["taken"], len(value["problems"])) == (200, 1, 1)


@pytest.mark.parametrize(
    ("path", "body", "options", "status", "reason"),
    [
        ("v1/scts", {"chain": []}, {}, 400, "usage"),
        ("v1/scts", {"chain": ["MAA="]}, {}, 400, "malformed"),
        ("v1/scts", b"{", {"headers": {"Content-Type": "application/json"}}, 400, "bad-json"),
        ("v1/scts", b"[" * 100_000, {"headers": {"Content-Type": "application/json"}}, 400, "bad-json"),
        ("v1/scts", b"\xff", {"headers": {"Content-Type": "application/json"}}, 400, "bad-json"),
        ("v1/scts", b"chain=x", {}, 415, "bad-content-type"),
        ("v1/events", b" " * (MAX_BODY + 1), {"headers": {"Content-Type": "application/json"}}, 413, "too-large"),
        ("v1/events", {"events": []}, {}, 400, "usage"),
        ("v1/events", {"events": [0] * (MAX_EVENTS + 1)}, {}, 400, "usage"),
        ("v1/events", {"kind": "sim", "number": "+12025550123"}, {"headers": {"Origin": "http://x"}}, 403, "browser"),
        ("v1/events", {"kind": "sim"}, {"headers": {"X-Forwarded-For": "192.0.2.1"}}, 403, "not-from-here"),
        ("v1/nothing", {}, {}, 404, "not-found"),
        ("health", {}, {}, 405, "bad-method"),
    ],
)  # fmt: skip
async def test_refusals_say_why(
    client: Client, path: str, body: Any, options: dict[str, Any], status: int, reason: str
) -> None:
    got, problem = await client.post(path, body, **options)
    assert (got, problem["error"]) == (status, reason)
    assert problem["sentence"]
    assert client.monitor.told == 0


async def test_a_body_that_never_comes_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_S", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    async with aiohttp.ClientSession() as http:
        headers = {"Content-Type": "application/json"}
        async with http.post(client.url + "v1/events", data=slow(), headers=headers) as answer:
            assert (answer.status, (await answer.json())["error"]) == (408, "too-slow")


async def test_a_full_disk_is_no_fault_of_the_caller(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StoreError("the disk is full", reason="disk-full")

    monkeypatch.setattr(client.monitor.state.answers, "add_events", full)
    got = await client.post("v1/events", {"kind": "sim", "number": "+12025550123"})
    assert got == (503, {"error": "disk-full", "sentence": "the disk is full"})
    assert client.monitor.told == 0


class Asked:
    """A request from somewhere else; only what the check looks at."""

    def __init__(self, remote: str | None, **headers: str) -> None:
        self.remote, self.headers = remote, headers


@pytest.mark.parametrize(
    ("remote", "headers", "networks", "may"),
    [
        ("127.0.0.1", {}, (), True), ("::1", {}, (), True), ("::ffff:127.0.0.1", {}, (), True),
        ("192.0.2.1", {}, (), False), ("192.0.2.1", {}, ("192.0.2.0/24",), True), ("2001:db8::1", {}, ("::/0",), True),
        ("192.0.2.1", {}, ("198.51.100.0/24", "2001:db8::/32"), False), (None, {}, (), False), ("", {}, (), False),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}, (), False),
        ("192.0.2.1", {"X-Forwarded-For": "198.51.100.7"}, ("192.0.2.0/24",), True),
        ("192.0.2.1", {"Origin": "null"}, ("192.0.2.0/24",), False),
    ],
)  # fmt: skip
def test_who_may_hand_in(remote: str | None, headers: dict[str, str], networks: tuple[str, ...], may: bool) -> None:
    api = Api(FakeMonitor(None), networks)  # type: ignore[arg-type]  # no state is touched
    asked: Any = Asked(remote, **headers)
    if may:
        api._check_caller(asked)
        return
    with pytest.raises(module._Refusal) as caught:
        api._check_caller(asked)
    assert caught.value.status == 403


async def test_an_address_that_is_taken_and_none() -> None:
    application = Api(FakeMonitor(None)).application()  # type: ignore[arg-type]
    async with serving(application, "127.0.0.1:0") as url:
        taken = url.split("/")[2]
        with pytest.raises(ConfigError, match=f"cannot listen on {taken}") as caught:
            async with serving(Api(FakeMonitor(None)).application(), taken):  # type: ignore[arg-type]
                pass
        assert caught.value.reason == "cannot-listen"
    async with serving(application, "") as url:
        assert url == ""


def test_addresses() -> None:
    assert parse_listen("127.0.0.1:8462") == ("127.0.0.1", 8462)
    assert parse_listen("[::1]:0") == ("::1", 0)
    assert parse_listen("localhost:1") == ("localhost", 1)
    for text in ("8462", ":8462", "example.com:1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x"):
        with pytest.raises(ConfigError, match="is no address with a port"):
            parse_listen(text)


async def test_heads_are_taken_from_whoever_was_shown_them(client: Client) -> None:
    head = SIM.head
    for value in (head.note.decode(), head.note.decode().rstrip("\n"), sth_to_json(head.sth)):
        status, answer = await client.post("v1/heads", {"head": value})
        assert (status, answer["log_id"], answer["tree_size"], answer["state"]) == (
            200, LOG_ID.hex(), head.size, "unverified",
        )  # fmt: skip
    (row,) = await client.monitor.state.logs.heads(LOG_ID)
    assert (row.note, row.source) == (head.note, "over the API, from 127.0.0.1")
    assert client.monitor.told == 3
    assert 'handed_in_total{outcome="taken",what="heads"} 3.0' in (await client.get("metrics"))[1]


@pytest.mark.parametrize(
    ("value", "reason", "sentence"),
    [
        ({"head": CertSim(secret=9).head.note.decode()}, "unknown-log", "no log that is read here signed this head"),
        ({"head": sth_to_json(CertSim(secret=9).head.sth)}, "unknown-log", "no log that is read here"),
        ({"head": SIM.sign(1 << 63, root=bytes(32)).note.decode()}, "impossible-size", "no tree has"),
        ({"head": "\ud800"}, "malformed", ""),
        ({"head": ""}, "malformed", ""),
        ({"head": {}}, "malformed", "tree_size"),
        ({"head": 3}, "usage", "`head` is a checkpoint as a text, or what get-sth answered"),
        ({"heads": ""}, "usage", "has no member 'heads'"),
        ([], "usage", "a submission is a JSON object"),
    ],
)
async def test_heads_that_are_none(client: Client, value: Any, reason: str, sentence: str) -> None:
    status, answer = await client.post("v1/heads", value)
    assert (status, answer["error"]) == (400, reason)
    assert sentence in answer["sentence"]
    assert await client.monitor.state.logs.heads(LOG_ID) == []
