"""Routing and answers as values: what `test_server.py` and `test_lane.py` show over sockets, here without any."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from ctlog.errors import FatalError, NotFoundError
from ctlog.http.answers import TEXT, Answer
from ctlog.http.limits import Proxies
from ctlog.http.site import OUTGOING_BYTES, Bounds, Call, Route, Site


class Asked(Call):
    """A request from nowhere."""

    __slots__ = ()

    @property
    def query(self) -> Mapping[str, str]:
        return {}

    def header(self, name: str) -> str:
        return ""

    async def body(self) -> bytes:
        return b""


async def good(call: Call) -> Answer:
    return Answer(200, call.path.encode(), TEXT, "no-store", (("X-Y", "ä\u202e"),))


async def bad(call: Call) -> Answer:
    raise NotFoundError("not here")


async def worst(call: Call) -> Answer:
    raise FatalError("secret", promise="P1")


@pytest.fixture
def seen() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def site(seen: list[tuple[str, int]]) -> Site:
    return Site({"/good": Route("good", {"GET": good}), "/bad": Route("bad", {"GET": bad, "POST": worst})},
                {"/under/": Route("under", {"GET": good}), "/under/more/": Route("never", {"GET": bad})},
                Bounds(1, 1, 1), Proxies([]), lambda name, status, seconds: seen.append((name, status)))


@pytest.mark.parametrize(("method", "path", "name", "status"), [
    ("GET", "/good", "good", 200), ("HEAD", "/good", "good", 200), ("POST", "/good", "good", 405),
    ("OPTIONS", "/good", "good", 204), ("GET", "/bad", "bad", 404), ("POST", "/bad", "bad", 503),
    ("GET", "/under/more/x", "under", 200), ("GET", "/under", "other", 404), ("GET", "", "other", 404),
])
async def test_routes(site: Site, seen: list[tuple[str, int]], method: str, path: str, name: str, status: int) -> None:
    answer = await site.answer(Asked(method, path, "x"))
    assert answer.status == status
    assert seen == [(name, status)]
    assert b"secret" not in answer.body


async def test_allow_says_what_there_is(site: Site) -> None:
    answer = await site.answer(Asked("PATCH", "/bad", "x"))
    assert dict(answer.headers)["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert json.loads(answer.body)["reason"] == "method-not-allowed"


async def test_too_much_on_its_way_out_is_a_reason_to_wait(site: Site) -> None:
    site.outgoing_bytes = OUTGOING_BYTES + 1
    assert (await site.answer(Asked("GET", "/good", "x"))).status == 503


async def test_a_head_is_one_and_safe(site: Site) -> None:
    answer = await site.answer(Asked("GET", "/good", "x"))
    for options, line in (({}, None), ({"close": True}, "Connection: close"),
                          ({"keep_alive": True}, "Connection: keep-alive")):
        lines = site.head(answer, **options).decode("latin-1").split("\r\n")
        assert lines[0] == "HTTP/1.1 200 OK"
        assert lines[-2:] == ["", ""]
        assert "X-Y: ä?" in lines
        assert "Content-Length: 5" in lines
        assert [each for each in lines if each.startswith("Connection")] == ([line] if line else [])
    assert b"Content-" not in site.head(Answer(204, b""))
