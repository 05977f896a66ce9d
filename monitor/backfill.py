"""Reading a log from further back than where it was begun: the entries before, proven, judged for everything watched.

In scope: one task for each log ("backfill"), done piece by piece, so that a stop loses nothing and the log is read on
meanwhile. Entries from tiles are proven as they come; those from get-entries are hashed from one proven frontier to
the next, and judged only then. What was never seen before is no news there: an old issuer is not a new one. Out of
scope: items that are newly watched (`monitor.tasks`), and the command that asks for it (`monitor.cli.backfill`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from ctlog.client.follow import Batch
from ctlog.errors import CtlogError, ProofError, StoreError
from ctlog.wire.checkpoint import SignedHead
from monitor.follow.begin import FIRST, Start, first_since, frontier_at
from monitor.follow.followed import Clock, Followed, Says
from monitor.follow.watch import Found
from monitor.following import Running
from monitor.history import make_history
from monitor.state import State
from monitor.state.audits import TaskRow

BACKFILL, REFILL = "backfill", "refill"
HISTORY = "history"
"""The folder of the history, in that of the state."""
PIECE = 4096
"""Entries that are read, judged and stored at once."""


class Span(NamedTuple):
    """Entries [lo, hi) are asked for; `at`: how far they were read."""

    lo: int
    at: int
    hi: int


class Reading(Protocol):
    """The part of `monitor.following.Following` that is needed here."""

    @property
    def running(self) -> Mapping[bytes, Running]: ...

    def stored(self, log_id: bytes, found: Found) -> None: ...


def plan_backfill(log_id: bytes, since: Start) -> bytes:
    """The specification of a task. `since`: FIRST, or a time in ms."""
    return json.dumps({"log": log_id.hex(), "since": since}).encode()


def read_plan(task: TaskRow) -> tuple[bytes, Start]:
    """The inverse."""
    value = json.loads(task.spec)
    return bytes.fromhex(value["log"]), value.get("since", FIRST)


def read_span(task: TaskRow) -> Span | None:
    """How far a task is; None where it was not begun."""
    if task.progress:
        return Span(*json.loads(task.progress))
    value = json.loads(task.spec)
    return Span(value["lo"], value["lo"], value["hi"]) if task.kind == REFILL else None


async def renew_history(state: State, now_ms: int) -> Path | None:
    """Make an empty history in the place of one that is lost or damaged, which is moved aside (to the path that is
    given back), and note the tasks that fill it again. No daemon may run. Raises StoreError.

    Nobody is told anything by filling it: all of it was judged before. Until it is filled, rules that look at earlier
    certificates see less.
    """
    folder = state.folder / HISTORY
    for row in await state.logs.all():  # first: a crash after this fills one that is whole once more, which is no harm
        if row.position.frontier.size > row.start:
            plan = {"log": row.log_id.hex(), "lo": row.start, "hi": row.position.frontier.size}
            await state.audits.add_task(REFILL, json.dumps(plan).encode(), now_ms)
    aside = folder.with_name(f"{HISTORY}.lost-{now_ms}")
    try:
        if folder.exists():
            folder.rename(aside)
    except OSError as error:
        raise StoreError(f"{folder} cannot be moved aside: {error}", reason="history-unmade") from error
    make_history(folder)
    return aside if aside.exists() else None


class Backfill:
    """Does these tasks. `told` is called when alerts wait to be sent."""

    def __init__(
        self, state: State, reading: Reading, now_ms: Clock, says: Says, told: Callable[[], None]
    ) -> None:
        self._state = state
        self._reading = reading
        self._now_ms = now_ms
        self._says = says
        self._told = told

    async def work(self) -> None:
        """Do what there is to be done; what is not possible now stays. Raises StoreError."""
        for task in await self._state.audits.tasks():
            if task.kind in (BACKFILL, REFILL):
                try:
                    await self._do(task)
                except StoreError:
                    raise
                except CtlogError as error:
                    self._says("warning", BACKFILL, str(error))

    async def _do(self, task: TaskRow) -> None:
        log_id, since = read_plan(task)
        span = read_span(task)
        while (running := self._reading.running.get(log_id)) is not None:
            head = running.watch.heads.trusted.head
            if head is None:
                return
            if span is None:
                span = await self._begin(running.watch.log, head, since)
            elif span.at < span.hi:
                span = await self._piece(running, head, span, is_judged=task.kind == BACKFILL)
            await self._note(task, log_id, span)
            if span.at >= span.hi:
                self._says("info", running.spec.name, f"entries {span.lo:,} to {span.hi:,} were read as well")
                return

    async def _begin(self, log: Followed, head: SignedHead, since: Start) -> Span:
        row = await self._state.logs.get(log.log_id)
        assert row is not None
        lo = 0 if since == FIRST else min(await first_since(log, head, int(since)), row.start)
        return Span(lo, lo, row.start)

    async def _piece(self, running: Running, head: SignedHead, span: Span, *, is_judged: bool) -> Span:
        """Read, prove, judge and store what comes next."""
        log, hi = running.watch.log, min(span.at + PIECE, span.hi)
        batches = [batch async for batch in log.follower.entries(head, span.at, hi)]
        if not log.is_proven_at_once:
            await _prove(log, head, span.at, hi, batches)
        for batch in batches:  # each by itself, so that no other log's judgements wait for the network of the next
            found = Found()
            try:
                await running.inspector.earlier(batch, head.size, found, is_judged=is_judged)
                await running.inspector.flush()
                fresh = await self._state.audits.store_found(
                    found.alerts, self._now_ms(), baselines=found.baselines, issuers=found.issuers,
                    certificates=found.certificates, scts=found.scts, tasks=found.tasks,
                )  # fmt: skip
                self._reading.stored(log.log_id, found)
            finally:
                found.end()
            if fresh:
                self._told()
        return span._replace(at=hi)

    async def _note(self, task: TaskRow, log_id: bytes, span: Span) -> None:
        """How far it is; when it is done, the log begins where it began."""
        is_done = span.at >= span.hi
        if is_done:
            await self._state.logs.begun_at(log_id, span.lo)
        await self._state.audits.note_task(task.id, json.dumps(span).encode(), self._now_ms(), done=is_done)


async def _prove(log: Followed, head: SignedHead, lo: int, hi: int, batches: list[Batch]) -> None:
    """Raises ProofError where the entries are not those between two frontiers that the head proves."""
    frontier = await frontier_at(log, head, lo)
    for batch in batches:
        frontier = frontier.append(batch.leaf_hashes)
    if frontier != await frontier_at(log, head, hi):
        raise ProofError(f"{log.name}: entries {lo:,} to {hi:,} are not those of its tree of {head.size:,} entries")
