"""The submitter's end of a bulk submission: docs/bulk-submission.md is the spec.

In scope: one streamed request that is kept open, whose lines many callers may share; answers go to whoever asked, in
the order in which they come. `ask` waits for its answers, so no more lies here than is asked for at once. Out of scope:
trying again, and whether an answer is good (`ctlog.client.log_client`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import aiohttp
import msgspec

from ctlog.errors import BusyError, CtlogError, RefusedError, TransportError

MAX_LINE = 64 << 10
"""Bytes of one answer."""
FIRST_ANSWER_S = 5.0
"""What answers nothing for so long after the beginning collects the stream, as proxies do, or the answers."""
SILENCE_S = 20.0
"""The same later on, while answers are owed: less than whoever submits waits for a log (`SubmissionPolicy.limit_s`)."""
_PART = 64 << 10  # bytes that are written at once, as far as there are so many
_SLICE = 8  # answers that are told in one turn: half a millisecond
_CONNECT_S = 20.0


class BulkAnswer(msgspec.Struct):
    """One line of a log's answer: an SCT's members with status 200, or why there is none. `end` is the last one."""

    line: int = 0
    status: int = 0
    sct_version: int = 0
    id: bytes = b""
    timestamp: int = 0
    extensions: bytes = b""
    signature: bytes = b""
    reason: str = ""
    error_message: str = ""
    retry_after: int | None = None
    end: bool = False
    accepted: int = 0
    refused: int = 0


Tell = Callable[[int, BulkAnswer], None]
_DECODER = msgspec.json.Decoder(BulkAnswer)


class _Asked:
    """One call of `ask`: its lines, the number of the first (0 until it is sent), and how many answers it is owed."""

    __slots__ = ("bodies", "done", "first", "owed", "tell")

    def __init__(self, bodies: Sequence[bytes], tell: Tell) -> None:
        self.bodies = bodies
        self.first = 0
        self.owed = len(bodies)
        self.tell = tell
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class BulkStream:
    """One streamed request. It opens with the first `ask`; when it has `ended`, for whatever reason, make another.

    `url` is the call's, such as `https://log.example/bulk/v1/add-pre-chain`.
    """

    def __init__(
        self, http: aiohttp.ClientSession, url: str, headers: dict[str, str],
        ended: Callable[[CtlogError], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`ended` is told what `ask` raises, once, also when nobody asks any more."""
        self.url = url
        self.ended = False
        self._tell_end = ended
        self._http = http
        self._headers = {**headers, "Content-Type": "application/x-ndjson"}
        self._outgoing: deque[_Asked] = deque()
        self._closing = False
        self._wake = asyncio.Event()
        self._owed: dict[int, _Asked] = {}  # by line number
        self._waiting: set[_Asked] = set()
        self._sent = 0
        self._answered = 0
        self._conversation: asyncio.Task[None] | None = None

    async def ask(self, bodies: Sequence[bytes], tell: Tell) -> None:
        """Submit each of `bodies`, a JSON object on one line; returns when each has its answer.

        `tell(place, answer)` is called for each. What was not told when this raises may or may not be logged. Raises
        TransportError when the log cannot be reached or ends the conversation first; RefusedError, "no-bulk", when
        there is no such call; BusyError, "no-bulk-now", when the call is not to be had now, or not by this way:
        another status, silence, a connection that is cut before anything was answered. Single calls may well do then.
        """
        if self.ended:
            raise TransportError(f"{self.url}: the conversation has ended")
        if self._conversation is None:
            self._conversation = asyncio.create_task(self._converse())
        asked = _Asked(bodies, tell)
        self._waiting.add(asked)
        self._outgoing.append(asked)
        self._wake.set()
        try:
            await asked.done
        finally:
            asked.done.cancel()
            self._waiting.discard(asked)
            if asked.first:
                for number in range(asked.first, asked.first + len(bodies)):
                    self._owed.pop(number, None)
            else:  # nothing of it was sent; a log that reads no more must not fill our memory
                with suppress(ValueError):
                    self._outgoing.remove(asked)

    async def close(self) -> None:
        """Say that nothing more comes, and wait for the end. Raises nothing."""
        conversation = self._conversation
        if conversation is None or self.ended:
            return
        self._closing = True
        self._wake.set()
        await asyncio.wait((conversation,), timeout=SILENCE_S)
        conversation.cancel()

    async def _converse(self) -> None:
        error: CtlogError = TransportError(f"{self.url} ended the conversation")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        try:
            async with asyncio.timeout(FIRST_ANSWER_S) as first_answer, self._http.post(
                self.url, data=self._lines(), headers=self._headers, allow_redirects=False, timeout=timeout
            ) as response:
                if response.status == 200:
                    await self._read(response.content, first_answer)
                else:
                    error = await _refusal(response, self.url)
        except TimeoutError:  # aiohttp's errors may be of this kind as well
            error = _not_now(f"{self.url} did not answer in time")
        except (aiohttp.ClientError, ValueError, ConnectionError) as problem:
            sentence = f"{self.url} cannot be reached: {problem or type(problem).__name__}"
            # A proxy that takes no more of a body may cut it off before its 413 is read.
            cut = self._sent and not self._answered and not isinstance(problem, aiohttp.ClientConnectorError)
            error = _not_now(sentence) if cut else TransportError(sentence)
        except TransportError as problem:
            error = problem
        finally:
            self.ended = True
            self._tell_end(error)
            for asked in self._waiting:
                if not asked.done.done():
                    asked.done.set_exception(error)
                    asked.done.exception()  # whoever waits is told; if nobody does, nobody needs to be

    async def _lines(self) -> AsyncIterator[bytes]:
        """What is asked, as it goes out: what waits while the log reads goes together."""
        while self._outgoing or not self._closing:
            lines: list[bytes] = []
            size = 0
            while self._outgoing and size < _PART:
                asked = self._outgoing.popleft()
                if asked.done.done():  # whoever asked goes just now
                    continue
                asked.first = self._sent + 1
                self._sent += len(asked.bodies)
                for number in range(asked.first, self._sent + 1):
                    self._owed[number] = asked
                lines += asked.bodies
                size += sum(map(len, asked.bodies))
            if lines:
                lines.append(b"")
                yield b"\n".join(lines)
            elif not self._closing:
                self._wake.clear()
                await self._wake.wait()

    async def _read(self, content: aiohttp.StreamReader, first_answer: asyncio.Timeout) -> None:
        """Raises TransportError or TimeoutError for anything but an orderly end."""
        rest = bytearray()
        while True:
            try:
                async with asyncio.timeout(SILENCE_S):
                    part = await content.readany()
            except TimeoutError:
                if self._owed:
                    raise
                continue
            if not part:
                raise TransportError(f"{self.url} broke off")
            *lines, more = part.split(b"\n")
            if lines and rest:
                lines[0] = bytes(rest + lines[0])
                rest.clear()
            rest += more
            if len(rest) > MAX_LINE:
                raise TransportError(f"{self.url} answers with lines that are too long")
            if lines and first_answer.when() is not None:
                first_answer.reschedule(None)
            for at, line in enumerate(lines):
                if self._told(line):
                    return
                if at % _SLICE == _SLICE - 1:  # whoever was told may go on meanwhile, and have the log busy again
                    await asyncio.sleep(0)

    def _told(self, line: bytes) -> bool:
        """Hand on one answer; whether it was the last."""
        try:
            answer = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TransportError(f"{self.url} answers what is no line of a bulk submission: {error}") from None
        if answer.end:
            if answer.status:
                raise TransportError(f"{self.url} ended the conversation: {answer.error_message}",
                                     reason=answer.reason or None)
            if answer.accepted + answer.refused != self._answered:
                raise TransportError(f"{self.url} counts other answers than it gave")
            return True
        self._answered += 1
        asked = self._owed.pop(answer.line, None)
        if asked is not None and not asked.done.done():
            asked.tell(answer.line - asked.first, answer)
            asked.owed -= 1
            if not asked.owed:
                asked.done.set_result(None)
        return False


async def _refusal(response: aiohttp.ClientResponse, url: str) -> CtlogError:
    """What a status other than 200 means: there is no such call, or not now."""
    if response.status in (404, 405, 411, 501):
        return RefusedError(f"{url} is no bulk submission (status {response.status})", reason="no-bulk")
    body = await response.content.read(MAX_LINE)
    shown = body[:200].decode("utf-8", "replace")
    return _not_now(f"{url} answered {response.status}: {shown}")


def _not_now(sentence: str) -> BusyError:
    return BusyError(sentence, reason="no-bulk-now")
