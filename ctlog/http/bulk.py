"""Many submissions in one streamed request: docs/bulk-submission.md is the spec.

In scope: lines in, answer lines out, each as soon as it is there; limits per line and not per body; when reading
pauses; how a conversation ends. Out of scope: what is admitted and how, which is just as for add-chain and
add-pre-chain (`ctlog.http.submission`), whose steps are taken here for a group of lines at once.

Reading is what is held back: while as many lines are in work as fit, and while the pool has no place, nothing more is
read, so a submitter that is too fast waits in its own `write`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import NamedTuple

from ctlog.errors import BusyError, FatalError, FrozenError, PoolFullError
from ctlog.http.answers import NDJSON, Answer, Sink
from ctlog.http.limits import source_key
from ctlog.http.problems import answer_to
from ctlog.http.site import Bounds, Call, Route, too_large, too_slow
from ctlog.http.submission import Submissions

PREFIX = "/bulk/v1/"
CALLS = ("add-chain", "add-pre-chain")

STREAMS = 16  # conversations at once ...
STREAMS_OF_ONE = 4  # ... and of one source, or whoever lets a few lie idle keeps everybody else out
GIVE_WAY_S = 5.0  # a conversation that has had nothing new logged for so long gives its place to one that has none
WINDOW_LINES = 1024  # of one conversation, in work: what 4,000 a second need when an answer takes a quarter of one
WINDOW_BYTES = 4 << 20  # the same; one line may be longer than that only where the limit of a submission is
GROUP = 64  # lines that take their steps together
_POLL_S = 0.002  # how often a full pool is looked at
_PATIENCE_S = 1.0  # after which a line tries its luck with a full pool, and is told so
_MAX_PAUSE_S = 5.0
_END = b'{"end":true,'


class Line(NamedTuple):
    """`number` counts from 1, blank lines too. `error`: it is no submission at all."""

    number: int
    body: bytes
    error: Exception | None = None


class Bulk:
    """The handlers. `bounds` are those of a single request: a line has them, and the body has none."""

    def __init__(self, submissions: Submissions, bounds: Bounds) -> None:
        self._submissions = submissions
        self._bounds = bounds
        self._conversations: set[_Conversation] = set()

    def routes(self) -> dict[str, Route]:
        """One for each of the two calls."""
        return {PREFIX + name: Route(f"bulk-{name}", {"POST": partial(self._handle, name=name)}, streamed=True)
                for name in CALLS}

    async def _handle(self, call: Call, *, name: str) -> Answer:
        self._submissions.check_welcome(call)
        self._make_room(source_key(call.source))
        return Answer(200, b"", NDJSON, stream=partial(self._converse, call, name))

    def _make_room(self, source: str) -> None:
        """For one conversation more, of this source. Raises BusyError.

        Whoever holds conversations without having anything new logged, with refused lines, with the same ones again and
        again, or with none, would keep out those who have: the one that has been idle longest ends for them.
        """
        going = [each for each in self._conversations if not each.ending]
        own = [each for each in going if source_key(each.source) == source]
        if len(own) >= STREAMS_OF_ONE:
            going = own
        elif len(going) < STREAMS:
            return
        longest = max(going, key=_Conversation.idle_s)
        if longest.idle_s() < GIVE_WAY_S:
            raise BusyError("as many bulk submissions are under way as the log takes at once", retry_after_s=5)
        longest.end(BusyError("this bulk submission had nothing new logged for a while, and another needs its place"))

    async def _converse(self, call: Call, name: str, sink: Sink) -> None:
        conversation = _Conversation(self._submissions, call.source, name, sink)
        self._conversations.add(conversation)
        try:
            await conversation.run(lines(call.parts(), self._bounds.body_bytes), self._bounds.request_s)
        finally:
            self._conversations.discard(conversation)

    def stop(self) -> None:
        """The log is being stopped: read nothing more, answer what was read."""
        for conversation in self._conversations:
            conversation.end(BusyError("the log is being stopped; try again", retry_after_s=5, reason="stopping"))


class _Conversation:
    """One request. The reader starts a task for each group of lines; what these have to say, one writer writes."""

    def __init__(self, submissions: Submissions, source: str, name: str, sink: Sink) -> None:
        self.source = source
        self._submissions = submissions
        self._name = name
        self._sink = sink
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines = self._bytes = 0  # in work
        self._changed = asyncio.Event()
        self._out: list[bytes] = []
        self._said = asyncio.Event()
        self._accepted = self._refused = 0
        self._pause_s = 0.0
        self._ending: Exception | None = None
        """Why nothing more is read."""
        self._reading: asyncio.Task[None] | None = None
        self._useful_at = time.monotonic()
        """When it began, or a line of it became a new entry the last time."""
        self._fruitless = False
        """Since then, did any of its lines end otherwise: refused, or logged already?"""

    @property
    def ending(self) -> bool:
        """Is nothing more read? Its place is another's then, although its client may not have read all yet."""
        return self._ending is not None

    def idle_s(self) -> float:
        """For how many seconds it has had nothing new logged.

        0 while its lines are in work and none has come to nothing: that may be the log's own slowness.
        """
        return 0.0 if self._tasks and not self._fruitless else time.monotonic() - self._useful_at

    async def run(self, groups: AsyncIterator[list[Line]], line_s: float) -> None:
        """Read, answer, and say how many of each there were; a line may take `line_s` to arrive.

        Raises ConnectionError when the client is gone.
        """
        writing = asyncio.create_task(self._write())
        self._reading = asyncio.create_task(self._read(groups, line_s))
        try:
            await asyncio.wait((self._reading, writing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._reading.cancel()
            await asyncio.wait((self._reading, *self._tasks))
            self._out.append(self._end_line())
            self._said.set()
            await writing

    def end(self, error: Exception) -> None:
        """Read nothing more, and say why in the end line."""
        self._ending = self._ending or error
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, groups: AsyncIterator[list[Line]], line_s: float) -> None:
        try:
            while group := await _next(groups, line_s):
                await self._wait_for_room(group)
                if self._ending is not None:
                    return
                self._begin(group)
                await asyncio.sleep(0)  # lines that are refused at once must not keep everybody else waiting
        except Exception as error:  # the request broke off, or no line came for too long: what was read is answered
            self._ending = self._ending or error

    async def _write(self) -> None:
        """The one who writes; it ends behind the end line, which is the last."""
        ended = False
        while not ended:
            await self._said.wait()
            self._said.clear()
            out, self._out = self._out, []
            self._changed.set()
            ended = bool(out) and out[-1].startswith(_END)
            await self._sink.write(b"".join(out))

    async def _wait_for_room(self, group: list[Line]) -> None:
        """Until the window has room for these, and the pool too; or until that has taken too long."""
        size = _size(group)
        while self._ending is None and (len(self._out) >= WINDOW_LINES or (self._tasks and (
            self._lines + len(group) > WINDOW_LINES or self._bytes + size > WINDOW_BYTES
        ))):  # fmt: skip
            self._changed.clear()
            await self._changed.wait()
        pause_s, self._pause_s = self._pause_s, 0.0
        if pause_s:
            await asyncio.sleep(pause_s)
        wanted = min(len(group), max(1, self._submissions.pool_size // 4))
        polls = int(_PATIENCE_S / _POLL_S)
        while self._ending is None and self._submissions.places < wanted and polls:
            await asyncio.sleep(_POLL_S)
            polls -= 1

    def _begin(self, group: list[Line]) -> None:
        numbers, planned = [], []
        for number, body, error in group:
            try:
                if error is not None:
                    raise error
                planned.append(self._submissions.plan(self.source, body, self._name))
                numbers.append(number)
            except Exception as refusal:
                self._tell(number, refusal, False)
        if not planned:
            return

        def tell(at: int, outcome: bytes | Exception, new: bool) -> None:
            self._tell(numbers[at], outcome, new)

        self._lines += len(group)
        self._bytes += _size(group)
        task = asyncio.create_task(self._submissions.finish_all(planned, self._name, tell))
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, group))

    def _done(self, group: list[Line], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._lines -= len(group)
        self._bytes -= _size(group)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.end(error)
        self._changed.set()

    def _tell(self, number: int, outcome: bytes | Exception, new: bool) -> None:
        self._fruitless = not new
        if new:
            self._useful_at = time.monotonic()
        if isinstance(outcome, bytes):
            self._accepted += 1
            self._out.append(b'{"line":%d,"status":200,%b\n' % (number, outcome[1:]))
        else:
            self._refused += 1
            self._hold_back(outcome)
            self._out.append(_refusal(number, outcome))
        self._said.set()

    def _hold_back(self, error: Exception) -> None:
        """What an outcome means for the lines that come."""
        if isinstance(error, FrozenError | FatalError) or (isinstance(error, BusyError) and error.reason == "stopping"):
            self.end(error)
        elif isinstance(error, BusyError) and not isinstance(error, PoolFullError):
            self._pause_s = min(max(self._pause_s, float(error.retry_after_s)), _MAX_PAUSE_S)

    def _end_line(self) -> bytes:
        counts = b'%b"accepted":%d,"refused":%d' % (_END, self._accepted, self._refused)
        if self._ending is None:
            return counts + b"}\n"
        answer = answer_to(self._ending)
        return b'%b,"status":%d,%b\n' % (counts, answer.status, answer.body[1:])


async def _next(groups: AsyncIterator[list[Line]], line_s: float) -> list[Line]:
    """The lines that come next; [] at the end. Raises RefusedError when none came whole within `line_s`."""
    try:
        async with asyncio.timeout(line_s):
            return await anext(groups, [])
    except TimeoutError:
        raise too_slow(line_s) from None


def _size(group: list[Line]) -> int:
    return sum(len(line.body) for line in group)


def _refusal(number: int, error: Exception) -> bytes:
    answer = answer_to(error)
    # Nothing is read while the pool is full, so that line may be sent again at once.
    headers = () if isinstance(error, PoolFullError) else answer.headers
    retry = b"".join(b'"retry_after":%b,' % value.encode() for name, value in headers if name == "Retry-After")
    return b'{"line":%d,"status":%d,%b%b\n' % (number, answer.status, retry, answer.body[1:])


async def lines(parts: AsyncIterator[bytes], limit: int) -> AsyncIterator[list[Line]]:
    """The lines that are there, in groups. A line beyond `limit` is passed over, and said; blank ones only count.

    A last line without its end of line is one too, unless the body broke off.
    """
    rest, number, skipping = bytearray(), 0, False  # a bytearray: growing copies nothing again for each part
    async for part in parts:
        *whole, more = part.split(b"\n")
        if whole and rest:
            whole[0] = bytes(rest + whole[0])
            rest.clear()
        rest += more
        group: list[Line] = []
        for body in whole:
            number += 1
            if skipping or len(body) > limit:
                group.append(Line(number, b"", too_large(limit)))
                skipping = False
            elif body and not body.isspace():
                group.append(Line(number, body))
        if skipping or len(rest) > limit:
            rest, skipping = bytearray(), True
        for at in range(0, len(group), GROUP):
            yield group[at : at + GROUP]
    if skipping:
        yield [Line(number + 1, b"", too_large(limit))]
    elif rest and not rest.isspace():
        yield [Line(number + 1, bytes(rest))]
