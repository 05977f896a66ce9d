"""The teller: one courier for each channel, all at once, so that no channel ever waits for another.

In scope: couriers begun and ended as the configuration changes, messages for channels that are gone, snoozes that are
over, reminders. Out of scope: what one courier does (`monitor.tell.courier`).

    teller = Teller(state, channels, now_ms, says, operators=..., digest_hour=...)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(teller.run())
    ...
    teller.wake()        after alerts were stored, so that nobody waits for the next look
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ctlog.errors import CtlogError
from monitor.state import State
from monitor.state.rows import CANCELLED, DEAD, NOWHERE, RESOLVED, OutboxRow
from monitor.tell.channel import Channel
from monitor.tell.courier import LOOKED_AT, Courier, Surroundings
from monitor.tell.words import dead_word

LOOK_S = 30.0
"""How often the teller looks by itself; `wake` makes it look at once."""
AFTER_FAULT_MS = 10_000
REMIND_AFTER_MS = (24 * 3_600_000, 72 * 3_600_000)
"""An S1 that nobody answered is brought to mind after a day, and after three."""
REMIND_EVERY_MS = 600_000


class Teller:
    """Delivers what is in the outbox, for ever.

    channels: what is configured now, asked again at every look. says(level, who, sentence): for the daemon's own
    output. operators: the channels of whoever runs this. monitor: its folder. sleep, jitter, look_s:
    tests bring theirs.
    """

    def __init__(
        self, state: State, channels: Callable[[], Mapping[str, Channel]], now_ms: Callable[[], int],
        says: Callable[[str, str, str], None], *, operators: Callable[[], Sequence[str]] = tuple,
        digest_hour: Callable[[], int] = lambda: 8, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random, look_s: float = LOOK_S, monitor: str = "",
    ) -> None:  # fmt: skip
        self._state = state
        self._channels = channels
        self._now_ms = now_ms
        self._says = says
        self._operators = operators
        self._sleep = sleep
        self._look_s = look_s
        self._around = Surroundings(state, now_ms, jitter, says, digest_hour, self._others, self.wake, monitor)
        self._couriers: dict[str, tuple[Courier, asyncio.Event, asyncio.Task[None]]] = {}
        self._news = asyncio.Event()
        self._reminded_ms = -REMIND_EVERY_MS

    def wake(self) -> None:
        """There is something new to tell."""
        self._news.set()
        for _, news, _ in self._couriers.values():
            news.set()

    @property
    def gone(self) -> dict[str, str]:
        """The channels that asked never to be called again, and what they said. A new table, or a start, tries anew."""
        return {name: courier.gone_why for name, (courier, _, _) in self._couriers.items() if courier.gone_why}

    async def run(self) -> None:
        """Deliver for ever. Ends only by being cancelled; a letter that is being sent then is sent again later."""
        try:
            while True:
                self._news.clear()
                try:
                    await self.look()
                except CtlogError as error:
                    self._says("error", "outbox", str(error))
                await self._wait(self._news, self._look_s)
        finally:
            await self._end(list(self._couriers))

    async def look(self) -> None:
        """One look at everything but deliveries. Raises StoreError."""
        await self._reconcile(self._channels())
        now_ms = self._now_ms()
        for name in await self._state.outbox.waiting_channels():
            if name not in self._couriers:
                await self._redirect(name, now_ms)
        news = bool(await self._state.alerts.wake(now_ms))
        if now_ms - self._reminded_ms >= REMIND_EVERY_MS:
            people = [name for name, (courier, _, _) in self._couriers.items() if courier.channel.for_people]
            news = bool(await self._state.outbox.remind(people, REMIND_AFTER_MS, now_ms)) or news
            self._reminded_ms = now_ms
        if news:
            self.wake()

    async def _reconcile(self, channels: Mapping[str, Channel]) -> None:
        """Couriers for these channels and no others; one whose table is the same goes on as it is."""
        gone = [
            name for name, (courier, _, _) in self._couriers.items()
            if name not in channels or channels[name].table != courier.channel.table
        ]  # fmt: skip
        await self._end(gone)
        for name, channel in channels.items():
            if name not in self._couriers:
                courier, news = Courier(channel, self._around), asyncio.Event()
                task = asyncio.create_task(self._deliver(courier, news), name=f"channel {name}")
                self._couriers[name] = (courier, news, task)

    async def _end(self, names: Sequence[str]) -> None:
        tasks = [self._couriers.pop(name)[2] for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, courier: Courier, news: asyncio.Event) -> None:
        while True:
            news.clear()
            try:
                next_ms = await courier.step()
            except Exception as error:  # neither a full disk nor a fault of ours may end a courier
                sentence = str(error) if isinstance(error, CtlogError) else f"a fault in the monitor itself: {error!r}"
                self._says("error", courier.channel.name, sentence)
                next_ms = self._now_ms() + AFTER_FAULT_MS
                news.clear()
            wait_s = self._look_s if next_ms is None else min(self._look_s, (next_ms - self._now_ms()) / 1000)
            await self._wait(news, max(wait_s, 0.0))

    async def _redirect(self, name: str, now_ms: int) -> None:
        """Messages for a channel that is not configured any more go to others, and that is said. While there is none at
        all, they wait."""
        if not self._couriers:
            return
        rows = await self._state.outbox.due(now_ms, channel=name, limit=LOOKED_AT, bodies=False)
        if not rows:
            return
        over = [row.id for row in rows if row.alert.status == RESOLVED]
        if over:  # what is over needs no other channel
            await self._state.outbox.cancel(over, now_ms)
        rows = [row for row in rows if row.alert.status != RESOLVED]
        if not rows:
            return
        others = self._others(name)
        if name == NOWHERE:
            await self._deliver_late(rows, others, now_ms)
            return
        why = "it is not in the configuration any more"
        instead = f"they go to {', '.join(others)}" if others else "there is no other channel: they are given up"
        self._says("warning", name, f"{len(rows):,} messages wait for this channel, and {why}: {instead}")
        word = dead_word(name, rows, why, others, now_ms, self._around.monitor)
        status = CANCELLED if others else DEAD
        await self._state.outbox.dead_letter([row.id for row in rows], why, now_ms, [word], others, status)
        self.wake()

    async def _deliver_late(self, rows: Sequence[OutboxRow], channels: Sequence[str], now_ms: int) -> None:
        """What was found while there was no channel goes to those that there are now. Where all of these want no more,
        it waits on."""
        if not channels:
            return
        self._says("info", "outbox", f"{len(rows):,} messages waited for a channel: they go to {', '.join(channels)}")
        why = "there was no channel"
        await self._state.outbox.dead_letter([row.id for row in rows], why, now_ms, (), channels, CANCELLED)
        self.wake()

    def _others(self, name: str) -> list[str]:
        """The channels that are told what `name` could not: those of operators, else whatever there is."""
        working = [each for each in self._couriers if each != name and each not in self.gone]
        return [each for each in self._operators() if each in working] or working

    async def _wait(self, news: asyncio.Event, seconds: float) -> None:
        """Until there is news, or so long."""
        waits = [asyncio.ensure_future(news.wait()), asyncio.ensure_future(self._sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
