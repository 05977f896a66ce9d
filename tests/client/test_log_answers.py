"""ctlog.client.log_answers: every answer that logs give, read the same from one request and from a line of many."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.bulk import BulkAnswer
from ctlog.client.log_answers import TRY_AGAIN, Reply, ask, json_answer, read_bulk, request
from ctlog.errors import BusyError, MalformedError, TransportError
from ctlog.wire.rfc6962 import EntryType, SignedEntry, sct_to_json
from ctlog.wire.static_ct import format_leaf_index
from tests.fake_log import NOW, make_sct

SCT = make_sct(SignedEntry(EntryType.X509, b"\x30\x00"), NOW, format_leaf_index(7))


async def asked(status: int, body: bytes, **headers: str) -> Reply:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    app = web.Application()
    app.router.add_post("/x", handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        return await ask(http, str(server.make_url("/x")), b"{}", {})


def line(value: dict[str, Any]) -> Reply:
    return read_bulk(msgspec.json.decode(json.dumps(value).encode(), type=BulkAnswer))


async def test_an_sct_is_the_same_both_ways() -> None:
    value = sct_to_json(SCT)
    one = await asked(200, json.dumps(value).encode())
    assert one == line({"line": 1, "status": 200, **value}) == Reply(200, None, "", "", SCT)


async def test_a_refusal_is_the_same_both_ways() -> None:
    value = {"error_message": "a sentence", "reason": "a-word"}
    for status in (400, 403, 410, 413, 429, 500, 503):
        one = await asked(status, json.dumps(value).encode(), Retry_After="7")
        assert one == line({"line": 1, "status": status, "retry_after": 7, **value})
        assert one == Reply(status, 7.0, "a-word", "a sentence", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sct_version": 1}, "version"),
        ({"id": "AAAA"}, "range"),
        ({"timestamp": -1}, "range"),
        ({"signature": "BAM="}, "signature"),
    ],
)
def test_a_line_with_200_and_no_sct_says_why(change: dict[str, Any], said: str) -> None:
    reply = line({"line": 1, "status": 200, **sct_to_json(SCT), **change})
    assert (reply.status, reply.sct) == (200, None)
    assert said in reply.sentence


async def test_what_other_logs_say_is_kept() -> None:
    assert (await asked(400, b"chain does not verify\n")).sentence == "chain does not verify"
    assert (await asked(400, b"")).sentence == "status 400"
    assert (await asked(400, b'{"error": "x"}')).sentence == "x"
    assert (await asked(200, b"[]")).sentence == "the answer is no JSON object"
    assert (await asked(503, b"", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT")).retry_after is None
    assert (await asked(503, b"", Retry_After="9999999")).retry_after is None


async def test_what_does_not_arrive_is_a_reply_too() -> None:
    async with aiohttp.ClientSession() as http:
        reply = await ask(http, "http://127.0.0.1:1/", b"", {})
    assert reply.status == 0
    assert isinstance(reply.problem("x"), TransportError)
    assert reply.status in TRY_AGAIN
    huge = await asked(200, b" " * 100_000)
    assert (huge.status, "more than" in huge.sentence) == (0, True)


def test_whose_fault_it_is() -> None:
    assert isinstance(Reply(503, None, "", "x", None).problem("call"), BusyError)
    assert isinstance(Reply(502, None, "", "x", None).problem("call"), TransportError)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert isinstance(json_answer(data), dict)


async def test_redirects_are_not_followed() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.router.add_get("/x", handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        assert (await request(http, "GET", str(server.make_url("/x")), None, {}))[0] == 302
