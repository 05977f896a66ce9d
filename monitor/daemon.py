"""The daemon: the one place where the rooms of the monitor are joined, opened in order, and closed.

In scope: opening the state as the only one, putting everything together, acting on changes (files, answers, the roster
of logs), the parts that work on and on, a clean stop. Out of scope: every decision, which the rooms make themselves,
and commands (`monitor.cli`), which reach a running daemon through the state alone.

    daemon = Daemon(Path("/srv/monitor/monitor.toml"), says=print)
    loop.add_signal_handler(signal.SIGTERM, daemon.stop)
    await daemon.run()

Order. Files are read first, then the state is opened with its lock, then the history. What is watched is enrolled
before any log is read. At the end logs stop before the state is closed; what was read and not stored is read again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from ctlog import __version__
from ctlog.client.fetch import Fetcher
from ctlog.client.follow import system_now_ms
from ctlog.client.guarded import GuardedFetcher
from ctlog.client.http_fetcher import HttpFetcher
from monitor.api import Api, Counts, serving
from monitor.backfill import HISTORY, Backfill
from monitor.bundle import Keeper
from monitor.catalogue import LogSpec
from monitor.checkup import Checkup, Status, Surroundings
from monitor.context import Past
from monitor.enrolment import Enrolment
from monitor.follow.followed import Clock, Says, silent
from monitor.follow.inspect import Shared
from monitor.follow.misbehaviour import Accuser
from monitor.follow.watch import Pace
from monitor.following import Following
from monitor.health import Failure, Trouble
from monitor.history import History
from monitor.items import say_items
from monitor.judge import StateJudge
from monitor.parts import Parts
from monitor.reload import Reloader, Setup
from monitor.roster import Roster
from monitor.sources import MAX_LIST, Sources
from monitor.state import State
from monitor.state.rows import NewAlert
from monitor.tasks import Tasks
from monitor.tell import Channel, Heartbeat, Teller, check_channel, make_channels
from monitor.tell.trial import say_unstored
from monitor.watchlist import Watchlist
from monitor.writing import Writer

EVIDENCE = "evidence"
STATUS_MS = 5000

# What the parts are called when they fail.
FILES, ANSWERS, LOGS, SOURCES, TASKS, HEALTH, TIDY, PAST = (
    "reads its files again", "reads answers", "reads which logs there are", "asks outside sources",
    "reads entries again", "looks after itself", "keeps the history short", "reads further back",
)  # fmt: skip
FILES_S, ANSWERS_S, LOGS_S, TASKS_S, HEALTH_S, TIDY_S, PROOFS_S = 2.0, 1.0, 5.0, 60.0, 30.0, 10.0, 10.0

Reach = Callable[[LogSpec, AsyncExitStack], Awaitable[Fetcher]]
Get = Callable[[str], Awaitable[bytes]]


class Daemon:
    """One monitor. `reach` and `get` (for what the configuration names) and `get_guarded` (for what strangers name) are
    the only ways out; tests bring their own."""

    def __init__(
        self, path: Path, *, now_ms: Clock = system_now_ms, says: Says = silent, reach: Reach | None = None,
        get: Get | None = None, get_guarded: Get | None = None,
    ) -> None:  # fmt: skip
        self._now_ms = now_ms
        self._says = says
        self._reach = reach
        self._get = get
        self._get_guarded = get_guarded
        self._reloader = Reloader(path, check_channel)
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tables: list[tuple[str, bytes]] = []
        self._next: Watchlist | None = None
        self._tidying: asyncio.Future[bool] | None = None
        self._version = -1
        self._store_failing: Failure | None = None
        self._sources_failing: dict[str, Failure] = {}
        self._status: Status | None = None
        self.setup: Setup
        self.state: State
        self.history: History
        self.watchlist = Watchlist()
        self.channels: Mapping[str, Channel] = {}
        self.following: Following
        self.url = ""
        """Where it answers; "" for nowhere."""
        self.is_started = False

    def stop(self) -> None:
        """End `run`, in good order. May be called from a signal handler of the loop."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop`. Raises ConfigError and StoreError for what keeps it from starting, StoreError (a damaged
        state) for what ends it."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            await self._assemble(stack)
            began = time.monotonic()
            await self._start(stack)
            self._says("info", "monitor", self._start_line())
            stopping = asyncio.ensure_future(self._stopping.wait())
            ends: list[asyncio.Future[Any]] = [stopping, self._parts.fatal]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            self._says("info", "monitor", f"stops after {time.monotonic() - began:,.0f} s")
        if self._parts.fatal.done():
            raise self._parts.fatal.result()

    # Opening --------------------------------------------------------------------------------------------------------

    async def _open(self, stack: AsyncExitStack) -> None:
        folder = self._reloader.state_folder()
        self.state = await stack.enter_async_context(State.open(folder))
        self.history = await asyncio.to_thread(History, folder / HISTORY)
        stack.push_async_callback(self._close_history)
        self._enrolment = Enrolment(self.state, self._now_ms)
        self._tables = await self._read_tables()
        self.setup = await asyncio.to_thread(self._reloader.load, self._tables)
        await self._watch()
        self._channels()

    async def _assemble(self, stack: AsyncExitStack) -> None:
        state, now_ms, says = self.state, self._now_ms, self._says
        get_guarded = self._get_guarded or await self._open_guarded(stack)
        self._parts = Parts(now_ms, says)
        self._writer = Writer(lambda: self.setup)
        self._sources = Sources(self.setup.config.sources, self.setup.folder, state, get_guarded)
        self._roster = Roster(state, self._get or self._fetch, now_ms, says, self._writer.operators, self._told)
        await self._roster.load()
        stored = {self.history.log_number(row.log_id): row.position.frontier.size for row in await state.logs.all()}
        past = Past(self.history, stored)
        judge = self._judge = StateJudge(
            state, past, self._sources, lambda: self.watchlist, lambda: self.setup.trust, self._writer.write,
            self._writer.fault, now_ms, wake=self._told, attributes=lambda: self.setup.config.attributes,
        )  # fmt: skip
        self._shared = Shared(
            judge, self.history, lambda: self.watchlist, lambda: self.setup.trust, lambda: self._roster.specs, now_ms,
            self._ready, says, audits=self.setup.config.audit != "none", stored=stored,
        )  # fmt: skip
        accuser = Accuser(state, state.folder / EVIDENCE, self._writer.operators)
        self.following = Following(
            state, self._shared, accuser, now_ms, says, contact=self.setup.config.contact, pace=self._pace,
            told=self._told, reach=self._reach, store_fails=self._store_fails,
        )  # fmt: skip
        self._tasks = Tasks(
            state, self.following, past, lambda: self.watchlist, judge.refresh, now_ms, says, self._told,
            self._writer.operators, lambda: self._next is None, lambda: self.setup.trust,
        )  # fmt: skip
        self._keeper = Keeper(state, self.following, now_ms, says)
        self._backfill = Backfill(state, self.following, now_ms, says, self._told)
        self._teller = Teller(
            state, lambda: self.channels, now_ms, says, operators=self._writer.operators,
            digest_hour=lambda: self.setup.config.digest_hour, monitor=self._writer.monitor(),
        )  # fmt: skip
        self._checkup = Checkup(state, self.following, self._around(), now_ms, self._told)
        await judge.refresh()

    async def _start(self, stack: AsyncExitStack) -> None:
        """Begin all parts. They end before the state is closed, the logs first. Raises ConfigError where it cannot
        listen."""
        stack.push_async_callback(self._parts.close)
        parts = self._parts
        parts.start("tells", self._teller.run, lambda: 0.0)
        beat = Heartbeat(lambda: self.setup.config.heartbeat, self._is_well, self._says)
        parts.start("beats", beat.run, lambda: 0.0)
        parts.start(FILES, self._look_at_files, lambda: FILES_S)
        parts.start(ANSWERS, self._look_at_answers, lambda: ANSWERS_S)
        parts.start(LOGS, self._look_at_logs, lambda: LOGS_S)
        parts.start(SOURCES, self._ask_sources, lambda: float(self.setup.config.sources.every_s))
        parts.start(TASKS, self._tasks.round, lambda: TASKS_S)
        parts.start(HEALTH, self._look_at_health, lambda: HEALTH_S)
        parts.start(TIDY, self._tidy, lambda: TIDY_S)
        parts.start("keeps proofs of what was told", self._keeper.work, lambda: PROOFS_S)
        parts.start(PAST, self._backfill.work, lambda: TASKS_S)
        parts.start("says how far it is", self.following.report, lambda: 0.0)
        stack.push_async_callback(self.following.close)
        application = Api(self, self.setup.config.hand_in).application()
        self.url = await stack.enter_async_context(serving(application, self.setup.config.listen))
        self.is_started = True

    def _around(self) -> Surroundings:
        return Surroundings(
            specs=lambda: self._roster.specs,
            lost=lambda: [spec.name for spec in self._roster.lost],
            configured=lambda: frozenset(self.channels),
            operators=self._writer.operators,
            sources=lambda: {**self._sources_failing, **self._roster.failures},
            parts=lambda: self._parts.failing,
            store=lambda: self._store_failing or self._parts.store_failing,
            homeless=lambda: self._reloader.homeless,
            unstored=self._tell_unstored,
            mistake=self._mistake,
            monitor=self._writer.monitor,
            items=lambda: len(self.watchlist),
            roots=lambda: len(self.setup.config.roots),
            listed=lambda: self.setup.config.log_list is not None or bool(self.setup.config.logs),
        )

    # What the parts do ------------------------------------------------------------------------------------------------

    async def _look_at_files(self) -> None:
        """Put in force what the files say now; a mistake is said once, and what was in force stays."""
        async with self._reloading:
            await self._read_again(self._reloader.refresh)

    async def _look_at_answers(self) -> None:
        """Notice what another process wrote into the state: answers, events, tables of the watch list, resent mail."""
        await asyncio.to_thread(self.state.database.check_place)
        version = await self.state.answers.data_version()
        if version == self._version:
            return
        await self._judge.refresh()
        tables = await self._read_tables()
        if tables != self._tables:
            async with self._reloading:
                self._tables = tables
                await self._read_again(self._reloader.renew)
        self._version = version
        self._teller.wake()
        self._parts.wake(TASKS, PAST)

    async def _read_again(self, read: Callable[[list[tuple[str, bytes]]], Setup | None]) -> None:
        error = self._reloader.error
        setup = await asyncio.to_thread(read, self._tables)
        if self._reloader.error and self._reloader.error != error:
            self._says("error", "configuration", f"{self._reloader.error}. What was in force stays in force.")
            self._parts.wake(HEALTH)
        if setup is not None:
            self._put_in_force(setup)
        await self._watch()

    def _put_in_force(self, setup: Setup) -> None:
        before, self.setup = self.setup, setup
        self._sources.use(setup.config.sources)
        self._channels()
        for key in ("state", "listen", "hand_in", "contact", "audit", "poll_s"):
            if getattr(setup.config, key) != getattr(before.config, key):
                self._says("warning", "configuration", f"`{key}` changed: it is in force after the next start")
        self._parts.wake(LOGS, SOURCES, HEALTH)
        self._teller.wake()

    async def _look_at_logs(self) -> None:
        await self._roster.refresh(self.setup.config, self.setup.folder)
        await self.following.reconcile(self._roster.specs)

    async def _ask_sources(self) -> None:
        await self._sources.refresh(self._now_ms(), self._tasks.add_rejudge)
        now_ms, before = self._now_ms(), self._sources_failing
        self._sources_failing = {
            name: Failure(sentence, before[name].since_ms if name in before else now_ms)
            for name, sentence in self._sources.known.errors.items()
        }
        self._parts.wake(TASKS)

    async def _look_at_health(self) -> None:
        self._status = await self._checkup.look()

    async def _tell_unstored(self, alerts: Sequence[NewAlert]) -> None:
        """What cannot be stored is told all the same, once: the outbox is of no use on a full disk."""
        operators = set(self._writer.operators())
        channels = [channel for name, channel in self.channels.items() if name in operators]
        for alert in alerts:
            for outcome in await say_unstored(channels, alert, self._now_ms()):
                if outcome.error:
                    self._says("error", outcome.channel, f"does not take the word about the state: {outcome.error}")

    async def _tidy(self) -> None:
        more = True
        while more:
            self._tidying = asyncio.ensure_future(asyncio.to_thread(self.history.tidy))
            more = await asyncio.shield(self._tidying)

    async def _close_history(self) -> None:
        """Only when nobody writes into it any more: another monitor may open it at once."""
        self.history.stop_tidying()
        if self._tidying is not None:
            await asyncio.gather(self._tidying, return_exceptions=True)
        self.history.close()

    # Smaller things ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Put the watch list that was read last in force. After a StoreError it is done by the next call."""
        fresh = self._reloader.take_watchlist()
        if fresh is not None:
            self._next = fresh
            for sentence in self._reloader.unread:
                self._says("error", "watch list", f"what was added by command cannot be read: {sentence}")
        if self._next is None:
            return
        new = await self._enrolment.enrol(self._next, has_history=len(self.history) > 0)
        self.watchlist, self._next = self._next, None
        self._says("info", "watch list", f"{say_items(len(self.watchlist), 'watched')}, {new:,} of them newly")
        if self.is_started:
            self._parts.wake(TASKS)

    def _channels(self) -> None:
        self.channels = make_channels(self.setup.config.channels, self.setup.folder, self.channels)

    async def _read_tables(self) -> list[tuple[str, bytes]]:
        return [(row.id, row.spec) for row in await self.state.answers.items()]

    async def _ready(self, log_id: bytes) -> None:
        await self.state.logs.ready(log_id, self._now_ms())

    def _store_fails(self, sentence: str) -> None:
        """The state cannot be written, or ("") can be again: health knows it at once, without the state."""
        if not sentence:
            self._store_failing = None
            return
        if self._store_failing is None:
            self._parts.wake(HEALTH)
            self._status = None
        since_ms = self._store_failing.since_ms if self._store_failing else self._now_ms()
        self._store_failing = Failure(sentence, since_ms, is_grave=True)

    def _told(self) -> None:
        self._teller.wake()

    def _pace(self) -> Pace:
        return Pace(poll_s=float(self.setup.config.poll_s))

    def _mistake(self) -> str:
        unread = [f"{sentence} (added by command; it is not watched)" for sentence in self._reloader.unread]
        return "; ".join(filter(None, [self._reloader.error, *unread]))

    def _start_line(self) -> str:
        config = self.setup.config
        return (
            f"ctlog-monitor {__version__} watches {say_items(len(self.watchlist))} for {config.contact}, and tells "
            f"over {', '.join(self.channels) or 'no channel'}; its history has {len(self.history):,} records"
            f"{f'; {self.url} answers' if self.url else ''}"
        )

    async def _open_guarded(self, stack: AsyncExitStack) -> Get:
        agent = f"ctlog-monitor/{__version__} (+{self.setup.config.contact})"
        fetcher = await stack.enter_async_context(GuardedFetcher(user_agent=agent, max_bytes=MAX_LIST))
        return fetcher.get

    async def _fetch(self, url: str) -> bytes:
        """What the configuration names by URL."""
        prefix, _, name = url.rpartition("/")
        async with HttpFetcher(prefix, contact=self.setup.config.contact) as fetcher:
            return await fetcher.get(name, limit=MAX_LIST)

    # For the API (`monitor.api.Monitor`) ------------------------------------------------------------------------------

    @property
    def logs(self) -> Mapping[bytes, LogSpec]:
        """Those that are followed, by id."""
        return self._roster.specs

    def now_ms(self) -> int:
        """Its clock."""
        return self._now_ms()

    async def troubles(self) -> Sequence[Trouble]:
        """What is not well. Raises StoreError."""
        return (await self.status()).troubles

    async def status(self) -> Status:
        """How it is, as of a few seconds ago at most. Raises StoreError."""
        found = self._status
        if found is None or found.is_young or not 0 <= self._now_ms() - found.now_ms < STATUS_MS:
            self._status = found = await self._checkup.look()
        return found

    async def _is_well(self) -> bool:
        return (await self.status()).is_well

    def counts(self) -> Counts:
        """What only a monitor that runs knows."""
        progress = {log_id: self.following.progress(log_id) for log_id in self._roster.specs}
        left_s = {log_id: each.left_s if each is not None else None for log_id, each in progress.items()}
        return Counts(len(self.watchlist), len(self.history), left_s)

    async def handed_in(self) -> None:
        """An event was handed in."""
        await self._judge.refresh()
        self._parts.wake(TASKS)
