"""For tests of telling: a channel that does what a test says, a clock that is an argument, and rows of the outbox."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from monitor.state import State, make_state
from monitor.state.rows import AlertRow, OutboxRow
from monitor.tell.channel import Channel, DeliveryError, Table
from monitor.tell.courier import Courier, Surroundings
from monitor.tell.letter import Letter
from tests.state_values import NOW, alert

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MORNING = NOW - NOW % DAY + 6 * HOUR
"""Six o'clock in the morning, UTC: the digest is due at eight."""


class Recorder:
    """A channel that keeps what it gets. `answer` may raise, or wait, or do anything else first."""

    def __init__(self, name: str = "mail", *, for_people: bool = True, limit_s: float = 5.0) -> None:
        self.name = name
        self.table: Table = {"kind": "recorder"}
        self.for_people = for_people
        self.limit_s = limit_s
        self.where = "a test"
        self.letters: list[Letter] = []
        self.tries = 0
        self.answer: Callable[[Letter], Awaitable[None]] | None = None

    async def send(self, letter: Letter) -> None:
        self.tries += 1
        if self.answer is not None:
            await self.answer(letter)
        self.letters.append(letter)

    def refuse(self, error: Exception | None = None) -> None:
        async def answer(letter: Letter) -> None:
            raise error or DeliveryError("no route to the post office")

        self.answer = answer

    @property
    def told(self) -> list[str]:
        """The ids of the alerts that it got, in order."""
        return [each.id for letter in self.letters for each in letter.alerts]


class Clock:
    """A clock that moves when a test says so, and sleeps that end by it."""

    def __init__(self, now_ms: int = MORNING) -> None:
        self.ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def __call__(self) -> int:
        return self.ms

    async def sleep(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.ms + int(seconds * 1000) + 1, self._count, done))
        await done

    async def run(self, until_ms: int, tasks: int) -> None:
        """Let time pass. tasks: how many of them sleep when nothing is left to do now."""
        while True:
            await self.settle(tasks)
            if self._sleepers[0][0] > until_ms:
                self.ms = until_ms
                return
            self.ms, _, done = heapq.heappop(self._sleepers)
            done.set_result(None)

    async def settle(self, tasks: int) -> None:
        """Until so many tasks sleep."""
        for _ in range(20):  # whoever was woken just now has not noticed yet
            await asyncio.sleep(0)
        for _ in range(20_000):
            self._sleepers = [each for each in self._sleepers if not each[2].done()]
            heapq.heapify(self._sleepers)
            if len(self._sleepers) >= tasks:
                return
            await asyncio.sleep(0.0005)
        raise AssertionError(f"{len(self._sleepers)} of {tasks} tasks sleep")


class Said(list[tuple[str, str, str]]):
    """What was said to the daemon's output."""

    def __call__(self, level: str, who: str, sentence: str) -> None:
        self.append((level, who, sentence))

    def __contains__(self, text: object) -> bool:
        return any(str(text) in sentence for _, _, sentence in self)


def opened(folder: Path) -> AbstractAsyncContextManager[State]:
    """The state in a folder, made if there is none."""
    if not (folder / "state.sqlite").exists():
        make_state(folder, NOW)
    return State.open(folder)


def courier(
    state: State, channel: Channel, clock: Callable[[], int], *, others: Sequence[str] = (), said: Said | None = None,
    by_chance: bool = False,
) -> Courier:  # fmt: skip
    """A courier with surroundings: the same chance at every run, or none; digests at eight."""
    roll, says = (random.Random(7).random if by_chance else lambda: 0.0), Said() if said is None else said
    around = Surroundings(state, clock, roll, says, lambda: 8, lambda name: others, lambda: None)
    return Courier(channel, around)


async def put(state: State, *alerts: Any, at_ms: int = MORNING) -> None:
    """Store alerts with their messages."""
    await state.alerts.raise_all(alerts, at_ms)


def mailed(name: str, severity: int = 1, **changes: Any) -> Any:
    """An alert for the channel `mail`, in a thread of its own."""
    return alert(name, severity=severity, **{"channels": ("mail",), "thread": name, "log_id": b"", **changes})


def row(
    number: int = 1, severity: int = 1, *, kind: str = "alert", alert_kind: str = "certificate", due_ms: int = MORNING,
    created_ms: int = MORNING, attempts: int = 0, thread: str = "", **changes: Any,
) -> OutboxRow:  # fmt: skip
    """A message of the outbox, as a value."""
    told = AlertRow(
        id=f"{number:064x}", kind=alert_kind, severity=severity, rule="T-01", rules=("T-01",), addressee="owner",
        summary=f"alert number {number}", body=b"{}", item="home/number:+12025550123", group="home",
        thread=thread or f"thread-{number}", log_id=b"", log_index=None, proven=None, created_ms=created_ms,
        last_seen_ms=created_ms, times_seen=1, status="new", status_by="", status_note="", until_ms=None,
    )  # fmt: skip
    told = told._replace(**changes)
    return OutboxRow(number, told, "mail", kind, "waiting", due_ms, created_ms, attempts, None, "", None)


def channels_of(*channels: Recorder) -> dict[str, Channel]:
    return {each.name: each for each in channels}


