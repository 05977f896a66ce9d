"""Logs for whoever submits to several: scripted in the place of a LogClient, or on a socket, each with its own key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from ctlog.client.log_client import GaveUp, Promise
from ctlog.client.submission import Submission
from ctlog.client.submit import signed_entry
from ctlog.wire.rfc6962 import EntryType, SignedEntry, sct_to_json
from ctlog.x509.der import parse_certificate
from tests.issued import NOW
from tests.wire_values import TestLog


def submission(at: int) -> Submission:
    return Submission((b"leaf %d" % at,), SignedEntry(EntryType.X509, b"leaf %d" % at))


class Scripted:
    """What a LogClient looks like from here; `does` says, by place, what the log answers."""

    def __init__(self, seed: int, does: Callable[[int], Any] = lambda place: None) -> None:
        self.log = TestLog(seed)
        self.key = self.log.key
        self.url = f"https://log{seed}.example/"
        self.failing = False
        self.does = does
        self.asked = self.cancelled = 0

    def promise(self, one: Submission, place: int = 0, at_ms: int = NOW) -> Promise:
        return self.log.sct(one.entry, at_ms, place)

    async def add_many(self, submissions: Sequence[Submission], tell: Callable[[int, Promise], None]) -> None:
        self.asked += 1
        try:
            for place, one in enumerate(submissions):
                answer = self.does(place)
                if isinstance(answer, asyncio.Event):
                    await answer.wait()
                    answer = None
                if isinstance(answer, GaveUp):
                    raise answer
                if answer == "silent":
                    continue
                await asyncio.sleep(0)
                tell(place, self.promise(one, place) if answer is None else answer)
            if any(self.does(place) == "silent" for place in range(len(submissions))):
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class SocketLog:
    """A log that signs what comes, final or not, by its own key, as `wrong` makes it; and tells it again at sct/."""

    def __init__(self, seed: int, wrong: Callable[[dict[str, Any]], Any] = lambda answer: answer) -> None:
        self.log, self.wrong, self.places = TestLog(seed), wrong, itertools.count()
        self.given: dict[str, dict[str, Any]] = {}
        self.refuses = False
        app = web.Application()
        app.router.add_post("/ct/v1/{call}", self.add)
        app.router.add_get("/sct/{fingerprint}", self.tell)
        app.router.add_get("/log.v3.json", self.describe)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/"))

    async def add(self, request: web.Request) -> web.Response:
        chain = [base64.b64decode(each) for each in json.loads(await request.read())["chain"]]
        leaf, *issuers = map(parse_certificate, chain)
        entry = signed_entry(leaf, tuple(issuers))
        assert request.match_info["call"] == ("add-chain" if entry.type is EntryType.X509 else "add-pre-chain")
        if self.refuses:
            return web.json_response({"error_message": "no such root", "reason": "unknown-root"}, status=400)
        sct = self.log.sct(entry, time.time_ns() // 1_000_000, next(self.places))
        answer = self.given[hashlib.sha256(chain[0]).hexdigest()] = self.wrong(sct_to_json(sct))
        return web.json_response(answer)

    async def describe(self, request: web.Request) -> web.Response:
        key, log_id = base64.b64encode(self.log.spki).decode(), base64.b64encode(self.log.key.log_id).decode()
        return web.json_response({"key": key, "log_id": log_id, "mmd": 86400, "submission_url": self.url,
                                  "monitoring_url": self.url, "description": "a log"})  # fmt: skip

    async def tell(self, request: web.Request) -> web.Response:
        answer = self.given.get(request.match_info["fingerprint"])
        return web.Response(status=404) if answer is None else web.json_response(answer)


@contextmanager
def in_a_thread(*logs: SocketLog) -> Iterator[list[str]]:
    """Serve them beside the test, for commands that have an event loop of their own. Gives their URLs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    for log in logs:
        asyncio.run_coroutine_threadsafe(log.server.start_server(), loop).result()
    try:
        yield [log.url for log in logs]
    finally:
        for log in logs:
            asyncio.run_coroutine_threadsafe(log.server.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
