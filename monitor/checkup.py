"""The checkup: what health looks at, gathered from the state and the running parts; its alerts raised once, and over.

In scope: gathering `Vitals`, remembering since when a log is behind, raising what is new and resolving what is no
longer so, in the state; the whole as one value for people and machines (`Status`). Out of scope: what counts as
trouble (`monitor.health`), showing it (`monitor.cli`, `monitor.api`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ctlog.errors import StoreError
from monitor.alert_text import in_monitor
from monitor.catalogue import LogSpec
from monitor.follow.followed import Clock
from monitor.following import Following, Progress
from monitor.health import PREFIX, Behind, Failure, Trouble, Vitals, alerts, store_trouble, troubles
from monitor.parts import FATAL
from monitor.state import State
from monitor.state.rows import MISBEHAVIOUR, NEW, ChannelRow, LogRow, NewAlert, Position, Unbegun, short_id


class Surroundings(NamedTuple):
    """What stands outside the state, as it is when it is asked for."""

    specs: Callable[[], Mapping[bytes, LogSpec]]
    lost: Callable[[], Sequence[str]]
    configured: Callable[[], frozenset[str]]
    """The channels that there are."""
    operators: Callable[[], Sequence[str]]
    sources: Callable[[], Mapping[str, Failure]]
    parts: Callable[[], Mapping[str, Failure]]
    mistake: Callable[[], str]
    items: Callable[[], int | None] = lambda: None
    """How many are watched."""
    roots: Callable[[], int | None] = lambda: None
    """How many [[roots]] there are."""
    store: Callable[[], Failure | None] = lambda: None
    """How the state fails, if it does."""
    unstored: Callable[[Sequence[NewAlert]], Awaitable[None]] | None = None
    """Tells alerts that cannot be stored."""
    homeless: Callable[[], Sequence[str]] = tuple
    """Items that name channels which there are not."""
    monitor: Callable[[], str] = str
    """The monitor's folder, for the commands that are named."""
    listed: Callable[[], bool] = lambda: False
    """Whether there are logs to be read, or a list of them, whose descriptions may not be known yet."""


class LogStatus(NamedTuple):
    """One log. `row` is None before it was begun, `progress` while it is not read at present."""

    spec: LogSpec
    row: LogRow | None
    progress: Progress | None
    gaps: int
    """Entries that could not be read as they were signed."""


class Status(NamedTuple):
    """How the monitor is. troubles: with the lies of logs that nobody answered yet. alerts: how many by (severity,
    status); messages, scts: by status."""

    now_ms: int
    logs: tuple[LogStatus, ...]
    channels: tuple[ChannelRow, ...]
    troubles: tuple[Trouble, ...]
    alerts: Mapping[tuple[int, str], int]
    messages: Mapping[str, int]
    scts: Mapping[str, int]
    open_tasks: int

    @property
    def is_well(self) -> bool:
        """Whether there is none of these."""
        return not self.troubles

    @property
    def is_young(self) -> bool:
        """Whether one of these has just begun, such as a log that was not asked yet: it may be over in a moment."""
        return any(trouble.is_young for trouble in self.troubles)


class Checkup:
    """Looks, again and again. `told` is called when alerts wait to be sent."""

    def __init__(
        self, state: State, following: Following, around: Surroundings, now_ms: Clock, told: Callable[[], None]
    ) -> None:
        self._state = state
        self._following = following
        self._around = around
        self._now_ms = now_ms
        self._told = told
        self._behind: dict[bytes, Behind] = {}
        self._began_ms = now_ms()
        self._unstored: set[str] = set()
        self._turn = asyncio.Lock()

    async def look(self) -> Status:
        """Gather everything, raise what is new and resolve what is over. Raises StoreError."""
        async with self._turn:
            return await self._look()

    async def _look(self) -> Status:
        now_ms = self._now_ms()
        try:
            return await self._look_into(now_ms)
        except StoreError as error:  # it cannot even be read
            if error.reason in FATAL:
                raise
            failure = self._around.store() or Failure(str(error), now_ms)
            found = store_trouble(failure)
            await self._tell_unstored([found], now_ms)
            return Status(now_ms, (), (), (found,), {}, {}, {}, 0)

    async def _look_into(self, now_ms: int) -> Status:
        vitals = await self._vitals(now_ms)
        found = troubles(now_ms, vitals)
        is_open = await self._state.alerts.open_ids(PREFIX)
        fresh = [trouble for trouble in found if trouble.id not in is_open and not trouble.is_young]
        try:
            if fresh:
                await self._state.alerts.raise_all(self._alerts(fresh, now_ms), now_ms)
                self._told()
            for alert_id in is_open - {trouble.id for trouble in found}:
                await self._state.alerts.resolve(alert_id, now_ms)
            self._unstored &= {trouble.id for trouble in found}
        except StoreError as error:
            if error.reason in FATAL:
                raise
            if vitals.store is None:
                found.insert(0, store_trouble(Failure(str(error), now_ms)))
            await self._tell_unstored([found[0], *fresh], now_ms)
        return await self._status(now_ms, vitals, [*await self._lies(), *found])

    async def _tell_unstored(self, found: Sequence[Trouble], now_ms: int) -> None:
        """Each of these once, over the channels at once: the state does not take them."""
        new = {trouble.id: trouble for trouble in found if trouble.id not in self._unstored}
        self._unstored |= new.keys()
        if new and self._around.unstored is not None:
            await self._around.unstored(self._alerts(new.values(), now_ms))

    def _alerts(self, found: Iterable[Trouble], now_ms: int) -> list[NewAlert]:
        return alerts(found, self._around.operators(), now_ms, self._around.monitor())

    async def _lies(self) -> list[Trouble]:
        """Logs that contradict themselves: that was told already, and is not told here."""
        look = f"Look at it: ctlog-monitor alerts show{in_monitor(self._around.monitor())}"
        return [
            Trouble(alert.rule, alert.id, alert.severity, alert.summary, "It was told, and nobody has answered.",
                    f"{look} {short_id(alert.id)}", alert.log_id)
            for alert in await self._state.alerts.find(kind=MISBEHAVIOUR, status=NEW)
        ]  # fmt: skip

    async def _vitals(self, now_ms: int) -> Vitals:
        around, specs = self._around, self._around.specs()
        rows = [row for row in await self._state.logs.all() if row.log_id in specs]
        self._behind = {row.log_id: behind for row in rows if (behind := self._is_behind(row, now_ms))}
        begun = await self._state.logs.added_ms()
        waiting = await self._state.logs.unbegun()
        known = {row.log_id for row in rows}
        others = [unbegun_row(spec, waiting.get(log_id)) for log_id, spec in specs.items() if log_id not in known]
        return Vitals(
            logs=[*rows, *others],
            gaps=[gap for gap in await self._state.logs.gaps() if gap.log_id in specs],
            added_ms={each: begun.get(each, self._began_ms) for each in specs}
            | {each: waiting[each].since_ms for each in specs if each in waiting and each not in known},
            mmd_ms={log_id: spec.mmd_ms for log_id, spec in specs.items()},
            behind=self._behind,
            channels=await self._state.outbox.channels(),
            configured=around.configured(),
            sources=around.sources(),
            parts=around.parts(),
            store=around.store(),
            homeless=around.homeless(),
            lost=around.lost(),
            items=around.items(),
            followed=len(specs) or int(around.listed()),
            roots=around.roots(),
            began_ms=self._began_ms,
            mistake=around.mistake(),
            monitor=around.monitor(),
        )

    def _is_behind(self, row: LogRow, now_ms: int) -> Behind | None:
        """Since when it is not read as far as it was at that time."""
        size = row.position.frontier.size
        before = self._behind.get(row.log_id)
        if before is None or size >= before.target:
            before = Behind(row.head_size, now_ms) if size < row.head_size else None
        progress = self._following.progress(row.log_id)
        if before is None or progress is None:
            return before
        return before._replace(per_s=progress.per_s, left_s=progress.left_s)

    async def _status(self, now_ms: int, vitals: Vitals, found: Sequence[Trouble]) -> Status:
        rows = {row.log_id: row for row in await self._state.logs.all()}
        gaps = {log_id: sum(gap.hi - gap.lo for gap in vitals.gaps if gap.log_id == log_id) for log_id in rows}
        logs = [
            LogStatus(spec, rows.get(log_id), self._following.progress(log_id), gaps.get(log_id, 0))
            for log_id, spec in self._around.specs().items()
        ]
        return Status(
            now_ms, tuple(sorted(logs, key=lambda log: log.spec.name)), tuple(vitals.channels), tuple(found),
            await self._state.alerts.count(), await self._state.outbox.counts(), await self._state.audits.counts(),
            len(await self._state.audits.tasks()),
        )  # fmt: skip


def unbegun_row(spec: LogSpec, why: Unbegun | None) -> LogRow:
    """A log that is not begun yet, as a row like others: nothing is read, and it never answered."""
    since_ms, error, reason = why or (None, "", "")
    return LogRow(spec.log_id, spec.name, spec.url, 0, Position(), None, 0, None, since_ms, error, None, "", reason)
