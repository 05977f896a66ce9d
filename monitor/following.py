"""All logs at once: one task for each, begun, ended and begun again as the catalogue changes.

In scope: putting a log together (fetcher, follower, heads, inspector, auditor, watch), keeping each task alive whatever
happens in it, progress with the time that is left, reading some entries of a log again. Out of scope: which logs
(`monitor.catalogue`), and everything about a single one (`monitor.follow`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

from ctlog.client.fetch import Fetcher
from ctlog.client.follow import Follower, TileFollower
from ctlog.client.get_entries import EntriesFollower
from ctlog.client.http_fetcher import HttpFetcher
from ctlog.client.patient import PatientFetcher
from ctlog.errors import CtlogError, NotFoundError, ProofError, StoreError
from ctlog.wire.checkpoint import SignedHead
from monitor.catalogue import LogSpec
from monitor.follow.audit import Auditor
from monitor.follow.begin import audit_path, begin
from monitor.follow.followed import TILES, Clock, Followed, Says
from monitor.follow.heads import Heads
from monitor.follow.inspect import EntryInspector, Shared
from monitor.follow.misbehaviour import Accuser
from monitor.follow.unkept import Unkept
from monitor.follow.watch import Found, Pace, Watch, reason_of
from monitor.history import FULL
from monitor.state import State

RESTART_S = 30.0
"""After a fault of ours, a log's task begins again after so long."""
REPORT_S = 10.0
BEHIND = 4096
"""Entries: whoever is further behind than this says how far he is."""


class Progress(NamedTuple):
    """How far a log is read, how fast, and how many seconds are left; None where that cannot be said."""

    position: int
    target: int
    per_s: float
    left_s: float | None


class Running(NamedTuple):
    """A log that is being read."""

    spec: LogSpec
    watch: Watch
    inspector: EntryInspector


class Following:
    """The tasks. `reach` makes the fetcher of a log; tests bring their own."""

    def __init__(
        self, state: State, shared: Shared, accuser: Accuser, now_ms: Clock, says: Says, *, contact: str,
        pace: Callable[[], Pace], told: Callable[[], None],
        reach: Callable[[LogSpec, AsyncExitStack], Awaitable[Fetcher]] | None = None,
        store_fails: Callable[[str], None] = lambda sentence: None,
    ) -> None:  # fmt: skip
        """`store_fails` is called with the sentence of each failure of the store, "" when it works again."""
        self._state = state
        self._shared = shared
        self._accuser = accuser
        self._now_ms = now_ms
        self._says = says
        self._contact = contact
        self._pace = pace
        self._told = told
        self._reach = reach or self._reach_by_http
        self._store_fails = store_fails
        self._tasks: dict[bytes, tuple[LogSpec, asyncio.Task[None]]] = {}
        self.running: dict[bytes, Running] = {}
        self._samples: dict[bytes, tuple[float, int, float]] = {}

    @property
    def logs(self) -> Mapping[bytes, Followed]:
        """The logs that are read now, by id."""
        return {log_id: each.watch.log for log_id, each in self.running.items()}

    async def reconcile(self, specs: Mapping[bytes, LogSpec]) -> None:
        """Follow these and no others. A log that is described otherwise now is begun again, where it was."""
        for log_id, (spec, task) in list(self._tasks.items()):
            if specs.get(log_id) != spec:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                del self._tasks[log_id]
        for log_id, spec in specs.items():
            if log_id not in self._tasks:
                self._tasks[log_id] = (spec, asyncio.create_task(self._keep(spec), name=f"log {spec.name}"))

    async def close(self) -> None:
        """End all of them."""
        await self.reconcile({})

    async def again(self, log_id: bytes, index: int, only: frozenset[str] | None, found: Found) -> bool:
        """Read one entry again, for some items or for all. False where its log is not read, or not so far, at present.

        An entry that the log serves otherwise than it signed is judged all the same, as seen. Raises what reading
        raises.
        """
        running = self.running.get(log_id)
        head = running.watch.heads.trusted.head if running else None
        if running is None or head is None or head.size <= index:
            return False
        log = running.watch.log
        async for batch in log.follower.entries(head, index, index + 1):
            proven: int | None = head.size
            if not log.is_proven_at_once:
                try:
                    await audit_path(log, head, batch.leaf_hashes, index)
                except (ProofError, NotFoundError) as error:
                    self._says("error", running.spec.name, f"entry {index} was served otherwise than signed: {error}")
                    proven = None
            await running.inspector.again(batch, proven, found, only)
        return True

    def trusted(self, log_id: bytes) -> tuple[Followed, SignedHead] | None:
        """A log that is read at present, and the newest head of it that is trusted; None where there is none."""
        running = self.running.get(log_id)
        head = running.watch.heads.trusted.head if running else None
        return (running.watch.log, head) if running and head else None

    def stored(self, log_id: bytes, found: Found) -> None:
        """What was found by reading again is stored."""
        running = self.running.get(log_id)
        if running is not None:
            running.inspector.stored(running.watch.log, running.watch.position.frontier.size, found)

    def progress(self, log_id: bytes) -> Progress | None:
        """How far a log is read."""
        running = self.running.get(log_id)
        if running is None:
            return None
        position, target = running.watch.position.frontier.size, max(running.watch.target, 0)
        now, (then, before, rate) = time.monotonic(), self._samples.get(log_id, (0.0, position, 0.0))
        if now - then >= 1.0:
            fresh = (position - before) / (now - then) if then else 0.0
            rate = fresh if not rate else 0.7 * rate + 0.3 * fresh
            self._samples[log_id] = (now, position, rate)
        left = (target - position) / rate if rate > 0 else (0.0 if position >= target else None)
        return Progress(position, target, rate, left)

    async def report(self) -> None:
        """Say how far those are that are behind, for ever."""
        while True:
            await asyncio.sleep(REPORT_S)
            for log_id, running in list(self.running.items()):
                progress = self.progress(log_id)
                if progress is not None and progress.target - progress.position > BEHIND:
                    self._says("info", running.spec.name, describe(progress))

    # One log --------------------------------------------------------------------------------------------------------

    async def _keep(self, spec: LogSpec) -> None:
        """Read a log for ever; a fault of ours begins it again, from what is stored."""
        while True:
            try:
                await self._follow(spec)
            except StoreError as error:
                self._says("error", spec.name, str(error))
                if error.reason == FULL:  # it concerns this log alone
                    await self._note_unbegun(spec, error)
                else:  # ours, such as a full disk
                    self._store_fails(str(error))
            except CtlogError as error:
                self._says("warning", spec.name, str(error))
                await self._note_unbegun(spec, error)
            except Exception as error:  # no fault in one log's task may end it, or the others
                self._says("error", spec.name, f"a fault in the monitor itself: {error!r}")
            self.running.pop(spec.log_id, None)
            await asyncio.sleep(RESTART_S)

    async def _note_unbegun(self, spec: LogSpec, error: CtlogError) -> None:
        """A log that could not be begun with has no row that could say so."""
        try:
            if await self._state.logs.get(spec.log_id) is None:
                await self._state.logs.not_begun(spec.log_id, str(error), reason_of(error), self._now_ms())
        except StoreError as failed:
            self._says("error", spec.name, str(failed))
            self._store_fails(str(failed))

    async def _follow(self, spec: LogSpec) -> None:
        self._shared.history.check_room(spec.log_id)
        async with AsyncExitStack() as stack:
            fetcher = PatientFetcher(await self._reach(spec, stack))
            log = Followed(spec.name, spec.policy, spec.form, self._follower(spec, fetcher), fetcher)
            row = await begin(log, self._state, spec.begin, self._now_ms())
            if (row.name, row.url) != (spec.name, spec.url):
                await self._state.logs.rename(log.log_id, spec.name, spec.url)
            inspector = EntryInspector(
                log, self._shared, row.position.frontier.size, is_ready=await self._state.logs.is_ready(log.log_id),
                joined_ms=await self._state.logs.joined_ms(log.log_id),
            )  # fmt: skip
            heads = await Heads.resume(log, self._state, self._accuser)
            unkept = Unkept(log, self._state, inspector, self, self._now_ms, self._told)
            auditor = Auditor(log, self._state, self._accuser, self._shared.history, self._now_ms, self._told)

            async def audit() -> None:
                await auditor.audit(heads.trusted.head, range(row.start, watch.position.frontier.size))
                await unkept.work()

            watch = Watch(
                log, self._state, heads, inspector, self._accuser, row, pace=self._pace(), now_ms=self._now_ms,
                says=self._says, told=self._told, then=audit, store_fails=self._store_fails,
            )  # fmt: skip
            self.running[log.log_id] = Running(spec, watch, inspector)
            try:
                await watch.run()
            finally:
                self.running.pop(log.log_id, None)

    def _follower(self, spec: LogSpec, fetcher: Fetcher) -> Follower:
        if spec.form == TILES:
            return TileFollower(spec.policy, fetcher, now_ms=self._now_ms)
        return EntriesFollower(spec.policy, fetcher, now_ms=self._now_ms)

    async def _reach_by_http(self, spec: LogSpec, stack: AsyncExitStack) -> Fetcher:
        return await stack.enter_async_context(HttpFetcher(spec.url, contact=self._contact))


def describe(progress: Progress) -> str:
    """Progress as a sentence."""
    share = 100 * progress.position / max(progress.target, 1)
    text = f"{progress.position:,} of {progress.target:,} entries ({share:.1f} %), {progress.per_s:,.0f}/s"
    return text if progress.left_s is None else f"{text}, {_duration(progress.left_s)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
