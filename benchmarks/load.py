"""A load generator for one core: prepared requests over kept connections, and nothing done per answer but counting.

A general HTTP client costs more per request than the log that is to be measured. This one writes bytes that were made
before, finds the status and the length in what comes back, and notes the time. It is for benchmarks only.

Two ways of asking: `closed`, where each connection sends its next request when it has its answer, and `open`, where
requests come at a given rate whether or not the log keeps up.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

Take = Callable[[], bytes | None]
"""The next request, whole, or None when there are no more."""


@dataclass
class Result:
    """What came of one phase. Latencies are seconds, of answers with status 200 only; `refused_s` of the others."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    unsent: int = 0

    @property
    def good(self) -> int:
        return self.statuses[200]

    def rate(self) -> float:
        """Good answers per second."""
        return self.good / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """A quantile of the latencies, in milliseconds."""
        return quantile(self.latencies, share) * 1000


def quantile(values: list[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed; 0 without values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def http_request(path: str, body: bytes) -> bytes:
    """A POST as it goes over the wire."""
    lines = (f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection(asyncio.Protocol):
    """One connection, one request at a time. `done(connection, status, request)` is called for each answer."""

    def __init__(self, done: Callable[[Connection, int, bytes], None]) -> None:
        self._done = done
        self._buffer = b""
        self._request = b""
        self._transport: asyncio.Transport | None = None
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def send(self, request: bytes, due: float = 0.0) -> None:
        """`due`: when it should have been sent, from which its latency counts."""
        assert self._transport is not None
        self._request = request
        self.sent_at = due or time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._buffer.find(b"Content-Length: ")
        length = int(self._buffer[at + 16 : self._buffer.find(b"\r", at)])
        if len(self._buffer) < end + 4 + length:
            return
        status = int(self._buffer[9:12])
        self._buffer = b""
        self._done(self, status, self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._request and self._transport is not None:
            self._transport = None
            self._done(self, 0, self._request)


async def connect(port: int, count: int, done: Callable[[Connection, int, bytes], None]) -> list[Connection]:
    """Open `count` connections to 127.0.0.1."""
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(count):
        _, protocol = await loop.create_connection(lambda: Connection(done), "127.0.0.1", port)
        made.append(protocol)
    return made


async def closed(port: int, connections: int, seconds: float, take: Take) -> Result:
    """Each connection asks again when it is answered, for `seconds`."""
    result = Result()
    finished = asyncio.Event()
    stop_at = time.perf_counter() + seconds
    busy = connections

    def done(connection: Connection, status: int, request: bytes) -> None:
        nonlocal busy
        now = time.perf_counter()
        result.statuses[status] += 1
        (result.latencies if status == 200 else result.refused_s).append(now - connection.sent_at)
        following = take() if now < stop_at and status else None
        if following is None:
            busy -= 1
            if not busy:
                finished.set()
        else:
            connection.send(following)

    made = await connect(port, connections, done)
    began = time.perf_counter()
    stop_at = began + seconds
    gc.disable()
    for connection in made:
        first = take()
        assert first is not None, "too few requests were prepared"
        connection.send(first)
    await finished.wait()
    gc.enable()
    result.seconds = time.perf_counter() - began
    for connection in made:
        connection.close()
    return result


async def opened(port: int, connections: int, seconds: float, rate: float, take: Take,
                 give_back: Callable[[bytes], None]) -> Result:
    """Requests fall due `rate` times a second for `seconds`, whatever comes back. One whose turn comes while all
    connections are busy is never sent (`unsent`): its client has given up. What was refused is given back."""
    result = Result()
    idle: deque[Connection] = deque()
    busy = 0

    def done(connection: Connection, status: int, request: bytes) -> None:
        nonlocal busy
        busy -= 1
        result.statuses[status] += 1
        (result.latencies if status == 200 else result.refused_s).append(time.perf_counter() - connection.sent_at)
        if status != 200:
            give_back(request)
        if status:
            idle.append(connection)

    idle.extend(await connect(port, connections, done))
    began = time.perf_counter()
    due = 0
    gc.disable()
    while (elapsed := time.perf_counter() - began) < seconds:
        until = int(elapsed * rate)
        while due < until:
            if idle and (request := take()) is not None:
                busy += 1
                idle.popleft().send(request)
            else:
                result.unsent += 1
            due += 1
        await asyncio.sleep(0.0005)
    result.seconds = time.perf_counter() - began
    good = result.good  # what is answered later does not count as this phase's rate
    while busy and time.perf_counter() - began < seconds + 5:  # noqa: ASYNC110 - an Event would cost each answer
        await asyncio.sleep(0.01)
    gc.enable()
    result.statuses[200] = good
    for connection in idle:
        connection.close()
    return result


class DiskProbe(threading.Thread):
    """Appends 4 KiB and fsyncs, `every_s` seconds apart, until `stop`: what the disk itself does meanwhile."""

    def __init__(self, folder: Path, every_s: float = 0.02) -> None:
        super().__init__(daemon=True)
        self._path = folder / "fsync-probe"
        self._every_s = every_s
        self._ending = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        block = os.urandom(4096)
        with self._path.open("ab", buffering=0) as file:
            while not self._ending.wait(self._every_s):
                began = time.perf_counter()
                file.write(block)
                os.fsync(file.fileno())
                self.seconds.append(time.perf_counter() - began)

    def stop(self) -> list[float]:
        self._ending.set()
        self.join()
        self._path.unlink(missing_ok=True)
        return self.seconds
