"""One log, as whoever submits sees it: a chain goes in, an SCT comes out whose signature was verified.

RFC 6962 sections 4.1 and 4.2, and docs/bulk-submission.md where the log offers that. In scope: the right one of the two
calls, back-off when the log says that it is busy, trying again when the network fails, and an SCT counted only after
its signature was verified over what was submitted. Memory does not grow with what was submitted.
Out of scope: which chain (`ctlog.client.submit`), and several logs at once (`ctlog.client.several`).

An answer that concerns one chain only is a RefusedError, a MalformedError or a VerificationError. What concerns all
comes as GaveUp, around the error that says why: a log that has ended (FrozenError), does not take this submitter
(RefusedError), is none (TransportError), or gave no answer to anything for `patience_s` (the last error).
"""

from __future__ import annotations

import asyncio
import binascii
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple

import aiohttp

from ctlog import __version__
from ctlog.client.bulk import BulkAnswer, BulkStream
from ctlog.client.log_answers import REQUEST_S, TRY_AGAIN, Reply, ask, json_answer, read_bulk, request
from ctlog.client.submission import Submission
from ctlog.errors import (
    BusyError,
    CtlogError,
    FrozenError,
    MalformedError,
    RefusedError,
    SctError,
    TransportError,
)
from ctlog.wire.rfc6962 import (
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
)

IN_FLIGHT = 64
PATIENCE_S = 120.0
_MAX_BACK_OFF_S = 30.0
_REST_S = 15.0  # how long single calls take the place of a bulk submission that was not to be had ...
_MAX_REST_S = 900.0  # ... which doubles each time: a proxy in the way costs FIRST_ANSWER_S whenever it is tried again
MAX_SERVER_ERRORS = 4  # the same certificate answered 500 so often is given up, for it may be the cause
_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*/?")


Promise = SignedCertificateTimestamp | CtlogError
"""An SCT that holds, or why there is none for this one."""


class GaveUp(Exception):  # noqa: N818 - not an error of its own, but the wrapper of one that ends everything
    """Nothing more is to be had from this log now; `error` says why."""

    def __init__(self, error: CtlogError) -> None:
        super().__init__(str(error))
        self.error = error


class Description(NamedTuple):
    """What a log says of itself in log.v3.json: its key, and where bulk submissions go (below its address), or ""."""

    key: LogKey
    bulk_path: str


def session(connections: int = IN_FLIGHT) -> aiohttp.ClientSession:
    """A pool of connections, for any number of logs; the caller closes it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=connections, keepalive_timeout=60),
        timeout=aiohttp.ClientTimeout(total=REQUEST_S),
        headers={"User-Agent": f"ctlog/{__version__} (submit)"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def describe(http: aiohttp.ClientSession, url: str) -> Description:
    """What the log at `url` says of itself: good for a first try, no proof of anything.

    Raises TransportError, MalformedError.
    """
    status, _, body = await request(http, "GET", f"{url.rstrip('/')}/log.v3.json", None, {})
    if status != 200:
        raise TransportError(f"{url} has no log.v3.json (status {status}), so its key must be given", reason="no-key")
    try:
        value = json_answer(body)
        spki = binascii.a2b_base64(value["key"], strict_mode=True)
    except (KeyError, TypeError, ValueError):
        raise MalformedError(f"{url}: log.v3.json names no key", field="log.v3.json") from None
    path = value.get("bulk_submission_path")
    # Below the address that was asked, so that nobody is sent elsewhere with their token.
    offered = isinstance(path, str) and _PATH.fullmatch(path) is not None and ".." not in path
    return Description(LogKey.from_spki(spki), str(path).rstrip("/") + "/" if offered else "")


async def published_key(http: aiohttp.ClientSession, url: str) -> LogKey:
    """The key that the log at `url` names as its own. Raises as `describe`."""
    return (await describe(http, url)).key


async def bulk_path(http: aiohttp.ClientSession, url: str) -> str:
    """Where the log at `url` takes bulk submissions; "" if it does not, or does not say. Raises nothing."""
    try:
        return (await describe(http, url)).bulk_path
    except (TransportError, MalformedError):
        return ""


class LogClient:
    """Submits to one log. Use it from one event loop, by as many tasks as like; `close` it at the end."""

    def __init__(
        self, url: str, key: LogKey, http: aiohttp.ClientSession, *, token: str = "", bulk_path: str = "",
        patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        """`url` is the log's submission prefix; `token` goes along as a bearer token where it is not empty.

        `bulk_path` (`describe` tells it) makes all that is under way in `add_many` share one streamed request, also
        where each call brings one; where the log has no such call after all, single ones take its place, and for a
        while also where it is not to be had (all conversations are taken, a proxy collects the stream).
        """
        self.url = url.rstrip("/")
        self.key = key
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._bulk_path = bulk_path
        self._streams: dict[EntryType, BulkStream] = {}
        self._bulk_at = 0.0  # event loop time before which single calls take the place of a bulk submission
        self._rest_s = _REST_S
        self._patience_s = patience_s
        self._open_at = 0.0  # event loop time before which nothing is sent: one busy answer slows all
        self._silent_since: float | None = None  # when it was first asked after it last settled a submission
        self._failing = False
        self._under_way = 0  # submissions of `add_many`
        self._texts: dict[bytes, str] = {}  # issuers in base64, since they repeat

    @property
    def failing(self) -> bool:
        """Did it leave the last question open? Whoever has other logs need not wait for this one."""
        return self._failing

    async def close(self) -> None:
        """End what is open."""
        for stream in self._streams.values():
            await stream.close()
        self._streams.clear()

    async def add(self, submission: Submission) -> SignedCertificateTimestamp:
        """Submit one. Raises RefusedError, MalformedError, VerificationError; GaveUp."""
        body = self._body(submission)
        call = f"{self.url}/ct/v1/{_call(submission)}"
        server_errors = 0
        for attempt in itertools.count():
            await self._turn()
            reply = await ask(self._http, call, body, self._headers)
            if reply.status not in TRY_AGAIN:
                return self.settle(reply, submission, call)
            server_errors += reply.status == 500
            if server_errors == MAX_SERVER_ERRORS:
                raise RefusedError(f"{reply.problem(call)}, {server_errors} times", reason="server-error")
            self._put_off(reply.retry_after, attempt, reply.problem(call))
        raise AssertionError("unreachable")

    async def add_many(self, submissions: Sequence[Submission], tell: Callable[[int, Promise], None]) -> None:
        """Submit all, at once; `tell(place, promise)` is called once for each, in order of completion.

        They are all of one kind, certificates or precertificates. Raises GaveUp.
        """
        waiting = dict(enumerate(submissions))
        self._under_way += len(waiting)
        try:
            if self._under_way > 1:
                await self._add_in_bulk(waiting, tell)
            await _all(self._add_one(place, one, tell) for place, one in waiting.items())
        finally:
            self._under_way -= len(submissions)

    async def _add_one(self, place: int, submission: Submission, tell: Callable[[int, Promise], None]) -> None:
        try:
            promise: Promise = await self.add(submission)
        except CtlogError as error:
            promise = error
        tell(place, promise)

    async def _add_in_bulk(self, waiting: dict[int, Submission], tell: Callable[[int, Promise], None]) -> None:
        """Take from `waiting` what is settled; what is left when there is no such call, or not now, stays there."""
        server_errors: Counter[int] = Counter()
        for attempt in itertools.count():
            await self._turn()
            if not self._bulk_path or asyncio.get_running_loop().time() < self._bulk_at:
                return
            stream = self._stream(next(iter(waiting.values())))
            around = _Round(self, waiting, server_errors, stream.url, tell)
            try:
                await stream.ask([self._body(waiting[place]) for place in around.places], around.answered)
            except (RefusedError, BusyError):  # no such call, or not now; `_ended` knows
                if around.gave_up is None:
                    return
            except TransportError as error:
                around.problem = error
            if around.gave_up is not None:
                raise around.gave_up
            if not waiting:
                return
            problem = around.problem or TransportError(f"{stream.url} left lines unanswered")
            self._put_off(around.retry_after, attempt, problem)

    def _stream(self, submission: Submission) -> BulkStream:
        kind = submission.entry.type
        stream = self._streams.get(kind)
        if stream is None or stream.ended:
            url = f"{self.url}/{self._bulk_path}{_call(submission)}"
            stream = self._streams[kind] = BulkStream(self._http, url, self._headers, self._ended)
        return stream

    def _ended(self, error: CtlogError) -> None:
        """A stream has, whether or not anybody still waits for it."""
        if isinstance(error, RefusedError):
            self._bulk_path = ""
        elif isinstance(error, BusyError):
            self._bulk_at = asyncio.get_running_loop().time() + self._rest_s
            self._rest_s = min(2 * self._rest_s, _MAX_REST_S)

    def settle(self, reply: Reply, submission: Submission, call: str) -> SignedCertificateTimestamp:
        """What an answer that is final means. Raises RefusedError, SctError, SignatureError; GaveUp."""
        self._silent_since = None
        self._failing = False
        if reply.status == 200:
            if reply.sct is None:
                raise SctError(f"{call} answered with no SCT: {reply.sentence}")
            self.key.verify_sct(reply.sct, submission.entry)
            return reply.sct
        if reply.status == 410:
            raise GaveUp(FrozenError(f"{call}: {reply.sentence}"))
        if reply.status in (401, 403):
            raise GaveUp(RefusedError(f"{call}: {reply.sentence}", reason=reply.reason or "submitter-not-allowed"))
        if reply.status in (400, 413, 422):
            reason = reply.reason or ("body-too-large" if reply.status == 413 else "refused")
            raise RefusedError(reply.sentence, reason=reason)
        raise GaveUp(TransportError(f"{call} answered {reply.status}, so there is no log that takes submissions"))

    def _body(self, submission: Submission) -> bytes:
        texts = [_base64(submission.chain[0])]
        for issuer in submission.chain[1:]:
            text = self._texts.get(issuer)
            if text is None:
                text = self._texts[issuer] = _base64(issuer)
            texts.append(text)
        return ('{"chain":["' + '","'.join(texts) + '"]}').encode()

    async def _turn(self) -> None:
        """Wait until the log may be asked again."""
        loop = asyncio.get_running_loop()
        if self._silent_since is None:
            self._silent_since = loop.time()
        delay = self._open_at - loop.time()
        while delay > 0:
            await asyncio.sleep(delay)
            delay = self._open_at - loop.time()  # another answer may have put it off further

    def _put_off(self, retry_after: float | None, attempt: int, problem: CtlogError) -> None:
        """Not now. Raises GaveUp when it has been so for too long."""
        loop = asyncio.get_running_loop()
        self._failing = True
        pause = retry_after if retry_after is not None else min(_MAX_BACK_OFF_S, 0.1 * 2 ** min(attempt, 16))
        since = loop.time() if self._silent_since is None else self._silent_since
        if loop.time() + pause - since > self._patience_s:
            raise GaveUp(problem)
        self._open_at = max(self._open_at, loop.time() + pause * random.uniform(1, 1.25))


class _Round:
    """One time of asking for all that is still waiting, in bulk: takes the answers, and says what to do next."""

    def __init__(self, log: LogClient, waiting: dict[int, Submission], server_errors: Counter[int], call: str,
                 tell: Callable[[int, Promise], None]) -> None:  # fmt: skip
        self.places = list(waiting)
        self.problem: CtlogError | None = None
        self.retry_after: float | None = None
        self.gave_up: GaveUp | None = None
        self._log = log
        self._waiting = waiting
        self._server_errors = server_errors
        self._call = call
        self._tell = tell

    def answered(self, at: int, answer: BulkAnswer) -> None:
        """One line."""
        place, reply = self.places[at], read_bulk(answer)
        if reply.status in TRY_AGAIN:
            self.problem, self.retry_after = reply.problem(self._call), reply.retry_after
            self._server_errors[place] += reply.status == 500
            if self._server_errors[place] < MAX_SERVER_ERRORS:
                return
            sentence = f"{self.problem}, {MAX_SERVER_ERRORS} times"
            promise: Promise = RefusedError(sentence, reason="server-error")
        else:
            try:
                promise = self._log.settle(reply, self._waiting[place], self._call)
            except CtlogError as error:
                promise = error
            except GaveUp as gave_up:
                self.gave_up = gave_up
                return
        del self._waiting[place]
        self._tell(place, promise)


async def _all(tasks: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all; the first that raises ends the others."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _call(submission: Submission) -> str:
    return "add-pre-chain" if submission.entry.type is EntryType.PRECERT else "add-chain"


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
