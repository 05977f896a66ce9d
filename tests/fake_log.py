"""A log on a loopback socket that signs whatever comes, and that can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from ctlog import issuance
from ctlog.client.submit import signed_entry
from ctlog.issuance import DAY_MS, Key
from ctlog.wire.rfc6962 import (
    DigitallySigned,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    TimestampedEntry,
    format_merkle_tree_leaf,
    sct_to_json,
)
from ctlog.wire.static_ct import format_leaf_index
from ctlog.x509.der import parse_certificate

NOW = 1_790_000_000_000
AUTHORITY = issuance.example_authority(NOW, root_key=Key.from_number(1), key=Key.from_number(2))
LOG_KEY = Key.from_number(3)
KEY = LogKey.from_spki(LOG_KEY.spki)
LEAF_SPKI = Key.from_number(4).spki


def tbs(number: int) -> bytes:
    who = issuance.Subject(issuance.name(CN=f"leaf {number}"), LEAF_SPKI, NOW, NOW + DAY_MS, number + 1)
    return issuance.delegate_leaf(AUTHORITY, who, issuance.one(f"1202555{number:04d}"))


FINALS = [AUTHORITY.certificate_for(tbs(n)) for n in range(20)]
PRECERTIFICATES = [AUTHORITY.precertificate(tbs(n)) for n in range(20)]


class FakeLog:
    """Signs whatever comes; `answers` are given first, in order, to whoever asks."""

    def __init__(self) -> None:
        self.url = ""
        self.entries: list[SignedEntry] = []
        self.chains: list[list[bytes]] = []
        self.paths: list[str] = []
        self.headers: list[Any] = []
        self.answers: Iterator[Any] = iter(())
        self.alter: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.most_at_once = self._now = 0
        self.app = web.Application()
        self.app.router.add_post("/a/log/ct/v1/{call}", self.handle)
        self.app.router.add_get("/a/log/log.v3.json", self.about)

    async def about(self, _request: web.Request) -> web.Response:
        return web.json_response({"key": base64.b64encode(LOG_KEY.spki).decode()})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            chain = [base64.b64decode(c) for c in json.loads(await request.read())["chain"]]
            self.paths.append(request.match_info["call"])
            self.headers.append(request.headers)
            await asyncio.sleep(0.002)
            answer = next(self.answers, None)
            if callable(answer):
                answer = answer(chain)
            if answer is not None:
                return answer
            self.chains.append(chain)
            return web.json_response(self.alter(self.sign(chain)))
        finally:
            self._now -= 1

    def sign(self, chain: list[bytes]) -> dict[str, Any]:
        certificates = [parse_certificate(der) for der in chain]
        entry = signed_entry(certificates[0], tuple(certificates[1:]))
        if entry not in self.entries:
            self.entries.append(entry)
        index = self.entries.index(entry)
        return sct_to_json(make_sct(entry, NOW + index, format_leaf_index(index)))


def make_sct(entry: SignedEntry, timestamp_ms: int, extensions: bytes) -> SignedCertificateTimestamp:
    message = format_merkle_tree_leaf(TimestampedEntry(timestamp_ms, entry, extensions))
    signature = DigitallySigned(4, 3, LOG_KEY.sign(message))
    return SignedCertificateTimestamp(KEY.log_id, timestamp_ms, extensions, signature)


def error(status: int, reason: str = "", sentence: str = "no", **headers: str) -> web.Response:
    """An answer as our log words it."""
    return web.json_response({"error_message": sentence, "reason": reason}, status=status, headers=headers)


@contextmanager
def in_a_thread(log: FakeLog) -> Iterator[str]:
    """Serve `log` beside the test, for commands that have an event loop of their own. Gives its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = TestServer(log.app)
    asyncio.run_coroutine_threadsafe(server.start_server(), loop).result()
    try:
        yield str(server.make_url("/a/log/"))
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
