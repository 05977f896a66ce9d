"""A log on a loopback socket that signs whatever comes, and that can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from ctlog.wire.rfc6962 import SignedCertificateTimestamp, SignedEntry, TimestampedEntry, sct_to_json
from tests.small_log import AUTHORITY, KEY, NOW, SmallLog, tbs

__all__ = ["AUTHORITY", "CUT", "FINALS", "KEY", "NOW", "PRECERTIFICATES", "FakeLog", "error", "in_a_thread", "make_sct"]

CUT = object()
"""An answer that is none: the log breaks off."""

FINALS = [AUTHORITY.certificate_for(tbs(n)) for n in range(20)]
PRECERTIFICATES = [AUTHORITY.precertificate(tbs(n)) for n in range(20)]


class FakeLog:
    """Signs whatever comes; `answers` are given first, in order, to whoever asks."""

    def __init__(self) -> None:
        self.url = ""
        self.log = SmallLog()
        self.chains: list[list[bytes]] = []
        self.paths: list[str] = []
        self.headers: list[Any] = []
        self.answers: Iterator[Any] = iter(())
        self.alter: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.most_at_once = self._now = 0
        self.in_the_way: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        """What answers bulk submissions in its place."""
        self.app = web.Application()
        self.app.router.add_post("/a/log/ct/v1/{call}", self.handle)
        self.app.router.add_post("/a/log/bulk/v1/{call}", self.many)
        self.app.router.add_get("/a/log/{path:.+}", self.read)

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

    async def many(self, request: web.Request) -> web.StreamResponse:
        """Bulk submission: each line is answered as `answers` say; without an answer of its own it ends there."""
        if self.in_the_way is not None:
            return await self.in_the_way(request)
        response = web.StreamResponse()
        await response.prepare(request)
        counts = [0, 0]
        number = 0
        async for line in request.content:
            number += 1
            chain = [base64.b64decode(c) for c in json.loads(line)["chain"]]
            self.paths.append(f"bulk {request.match_info['call']}")
            self.headers.append(request.headers)
            answer = next(self.answers, None)
            answer = answer(chain) if callable(answer) else answer
            if answer is CUT:
                return response
            said: Any = {"status": 200}
            if answer is None:
                self.chains.append(chain)
                said |= self.alter(self.sign(chain))
            else:
                said |= {"status": answer.status, **json.loads(answer.body)}
                if "Retry-After" in answer.headers:
                    said["retry_after"] = int(answer.headers["Retry-After"])
            counts[said["status"] != 200] += 1
            await response.write(json.dumps({"line": number, **said}).encode() + b"\n")
        end = {"end": True, "accepted": counts[0], "refused": counts[1]}
        await response.write(json.dumps(end).encode() + b"\n")
        return response

    def sign(self, chain: list[bytes]) -> dict[str, Any]:
        return sct_to_json(self.log.add(chain))

    async def read(self, request: web.Request) -> web.Response:
        data = self.log.files().get(request.match_info["path"])
        return web.Response(status=404) if data is None else web.Response(body=data)


def make_sct(entry: SignedEntry, timestamp_ms: int, extensions: bytes) -> SignedCertificateTimestamp:
    return SmallLog().promise(TimestampedEntry(timestamp_ms, entry, extensions))


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
