"""Reading one log: its heads, then every entry up to the newest tree, in order, none passed over.

In scope: one round after another; the position, advanced together with what was found; entries that are proven when
they are handed over (tiles) or when a head is met (RFC 6962); entries that the log does not hand out as signed; what
stands on the other side of a fork. A failing log waits and tries again, and concerns no other. Out of scope: what
entries say (`Inspector`), heads (`monitor.follow.heads`), sending.

The position passes an entry only together with what the entry raised. An entry that the log withholds, or serves
otherwise than it signed, becomes a gap: it is told at once, the tree is carried on from what the log itself proves, and
the gap is asked for until it is filled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from ctlog.client.evidence import record
from ctlog.client.follow import Batch, system_now_ms
from ctlog.errors import BusyError, CtlogError, Misbehaviour, ProofError, StoreError, TransportError
from ctlog.merkle.tiles import WIDTH
from ctlog.wire.checkpoint import SignedHead
from monitor.follow.aside import FOR_MS, Asides
from monitor.follow.begin import frontier_at
from monitor.follow.followed import Clock, Followed, Says, silent
from monitor.follow.heads import Heads
from monitor.follow.merge_delay import MergeDelay
from monitor.follow.misbehaviour import Accuser, record_id
from monitor.follow.rebuilt import Rebuilt, UnmetError
from monitor.rules.values import LogEvent
from monitor.state import State
from monitor.state.rows import CertificateRow, Gap, LogRow, NewAlert, SctRow

ASIDE = 65_536
"""Entries of a contradicting tree that are looked at besides: its newest."""
GAP_RETRY_MS = 600_000
NOBODY: Mapping[int, str] = MappingProxyType({})


@dataclass(slots=True)
class Found:
    """What entries raised since the position was last advanced. `is_aside`: they stand in a tree that contradicts the
    trusted one. `log_events`: what is known of the entry that is read again. `tasks`: what is to be done when the
    position has passed them. `at_end` is called when all of it is
    stored, or was given up."""

    alerts: list[NewAlert] = field(default_factory=list)
    scts: list[SctRow] = field(default_factory=list)
    baselines: dict[str, bytes] = field(default_factory=dict)
    issuers: set[str] = field(default_factory=set)
    certificates: list[CertificateRow] = field(default_factory=list)
    is_aside: bool = False
    log_events: tuple[LogEvent, ...] = ()
    tasks: list[tuple[str, bytes]] = field(default_factory=list)
    at_end: list[Callable[[], None]] = field(default_factory=list)

    @property
    def is_news(self) -> bool:
        """Whether there is anything to be stored at once."""
        return bool(self.alerts or self.baselines or self.issuers or self.certificates or self.at_end)

    def placeless(self) -> list[NewAlert]:
        """The alerts, of entries that have no place in the log: of a tree that contradicts the trusted one, or only
        promised."""
        return [replace(alert, log_index=None, proven=None) for alert in self.alerts]

    def end(self) -> None:
        """It was stored, or given up."""
        while self.at_end:
            self.at_end.pop()()


class Inspector(Protocol):
    """Whoever reads the entries."""

    async def inspect(
        self, log: Followed, batch: Batch, proven: int | None, found: Found, late: Mapping[int, str] = NOBODY
    ) -> None:
        """Look at every entry; what they raise goes into `found`. `proven`: the tree's size, None if only seen. `late`:
        entries that came into the tree later than the log promised, by index, each with a sentence about it.

        Raises only for what concerns the machine (StoreError); an entry that cannot be read raises an alert.
        """
        ...

    async def flush(self) -> None:
        """Make durable whatever is kept besides, before the position passes it. Raises StoreError."""
        ...

    async def caught_up(self) -> None:
        """Every entry up to the newest head was read."""
        ...

    def stored(self, log: Followed, hi: int, found: Found) -> None:
        """What it found up to entry `hi` is stored now. Where this does not come, the entries come again."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often. The position advances after so many entries or so long, and at once when there is news."""

    poll_s: float = 30.0
    trouble_s: float = 300.0
    entries: int = 65_536
    ms: int = 2000


class Watch:
    """One log, read on and on."""

    def __init__(
        self, log: Followed, state: State, heads: Heads, inspector: Inspector, accuser: Accuser, row: LogRow, *,
        pace: Pace = Pace(), now_ms: Clock = system_now_ms, says: Says = silent,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, told: Callable[[], None] = lambda: None,
        then: Callable[[], Awaitable[None]] | None = None, store_fails: Callable[[str], None] = lambda sentence: None,
    ) -> None:  # fmt: skip
        """`told` is called when new alerts wait to be sent, `then` at the end of each round, `store_fails` with what
        kept a round from being stored, or "" after one that was."""
        self.log = log
        self.heads = heads
        self.position = row.position
        self.target = row.position.frontier.size
        self._state = state
        self._inspector = inspector
        self._accuser = accuser
        self._pace = pace
        self._now_ms = now_ms
        self._sleep = sleep
        self._says = says
        self._told = told
        self._then = then
        self._store_fails = store_fails
        self._found = Found()
        self._committed_ms = now_ms()
        self._asides: Asides | None = None
        self._delay = MergeDelay(log, accuser, now_ms)
        self._is_first = True

    async def run(self) -> None:
        """Round after round, for ever."""
        while True:
            pause_s = self._pace.poll_s
            try:
                await self.round()
                self._store_fails("")
            except Misbehaviour as error:  # it was told
                self._says("error", self.log.name, str(error))
                pause_s = self._pace.trouble_s
            except StoreError as error:  # ours, such as a full disk
                self._says("error", self.log.name, str(error))
                self._store_fails(str(error))
            except CtlogError as error:
                self._says("warning", self.log.name, str(error))
            await self._sleep(pause_s * (0.9 + random.random() / 5))

    async def round(self) -> None:
        """The log's newest head, then everything up to it.

        Raises what kept it from being finished: TransportError and the like, StoreError, or Misbehaviour, which was
        told already. Whatever was found before is stored.
        """
        try:
            for known in await self.heads.known() if self._is_first else ():
                self._delay.see(known)
            self._is_first = False
            await self.heads.meet(self._now_ms())
            head = await self.log.follower.head()
            await self._state.logs.answered(self.log.log_id, head, self._now_ms())
            await self.heads.take(head, self.log.url, self._now_ms())
            await self.heads.settle(self._now_ms())
            await self._look_at_liars()
            if self.heads.trusted.head is not None:
                self._delay.see(self.heads.trusted.head)
            await self._read()
            await self._fill_gaps()
            if self._then is not None:
                await self._then()
        except StoreError:
            raise
        except CtlogError as error:
            await self._state.logs.failed(self.log.log_id, str(error), self._now_ms(), reason_of(error))
            raise
        await self._state.logs.failed(self.log.log_id, self.heads.problem, self._now_ms())

    # Entries --------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Every entry up to the newest tree that may be read: over tiles the trusted one, else any not contradicted."""
        trusted = self.heads.trusted.head
        heads = [] if self.log.is_proven_at_once else await self.heads.waiting(self._now_ms())
        if trusted is not None:
            heads.append(trusted)
        if not heads:
            return
        target = max(heads, key=lambda head: (head.size, head.timestamp_ms))
        self.target = target.size
        self._found = Found()
        rebuilt = Rebuilt(self.position.frontier, [] if self.log.is_proven_at_once else heads)
        try:
            await self._read_to(target, rebuilt)
        finally:
            self._found.end()

    async def _read_to(self, target: SignedHead, rebuilt: Rebuilt) -> None:
        while rebuilt.hi < target.size:
            try:
                await self._span(target, rebuilt, target.size)
            except UnmetError as error:
                await self._refuse(error, target, rebuilt)
            except Misbehaviour as error:
                await self._commit(target, rebuilt)
                await self._skip(target, rebuilt, error)
            except StoreError:
                raise
            except CtlogError:
                await self._commit(target, rebuilt)
                raise
        await self._commit(target, rebuilt)
        await self._inspector.caught_up()

    async def _span(self, target: SignedHead, rebuilt: Rebuilt, hi: int) -> None:
        proven = target.size if self.log.is_proven_at_once else None
        async with aclosing(self._batches(target, rebuilt.hi, hi)) as batches:
            async for batch in batches:
                late = await self._delay.check(batch, target)
                if late:
                    self._told()
                await self._inspector.inspect(self.log, batch, proven, self._found, late)
                rebuilt.take(batch)
                if self._is_time(rebuilt):
                    await self._commit(target, rebuilt)

    def _is_time(self, rebuilt: Rebuilt) -> bool:
        return (
            rebuilt.hi - self.position.frontier.size >= self._pace.entries
            or self._found.is_news
            or self._now_ms() - self._committed_ms >= self._pace.ms
        )

    async def _commit(self, target: SignedHead, rebuilt: Rebuilt, gap: Gap | None = None) -> None:
        """Advance the position with everything that was found: all of it, or nothing."""
        frontier, found = rebuilt.frontier(), self._found
        trusted = self.heads.trusted.head
        position = replace(self.position, frontier=frontier, trusted=trusted.note if trusted else None)
        if self.log.is_proven_at_once:
            position = replace(position, proven=frontier, met=target.note)
        elif rebuilt.proven is not None:
            position = replace(position, proven=rebuilt.proven, met=rebuilt.met[-1].note)
        if position == self.position and not found.is_news and gap is None:
            return
        await self._inspector.flush()
        now_ms = self._now_ms()
        fresh = await self._state.logs.advance(
            self.log.log_id, position, found.alerts, now_ms,
            scts=found.scts, gap=gap, met=rebuilt.met, **_learned(found),
        )  # fmt: skip
        self.position, self._found, self._committed_ms = position, Found(), now_ms
        self._delay.passed(frontier.size)
        rebuilt.met = rebuilt.met[-1:]
        self._inspector.stored(self.log, frontier.size, found)
        found.end()
        if fresh:
            self._told()

    # What is not as it was signed -------------------------------------------------------------------------------------

    async def _refuse(self, error: UnmetError, target: SignedHead, rebuilt: Rebuilt) -> None:
        """The entries are not those of a head: what they raised is told all the same, and all since the last head that
        was met is read again, later."""
        await self._commit(target, rebuilt)
        self.position = replace(self.position, frontier=self.position.proven)
        await self._state.logs.advance(self.log.log_id, self.position, [], self._now_ms())
        evidence = record(self.log.policy.case(self._now_ms()), "bad-entries", str(error), heads=[error.head])
        told = Misbehaviour(str(error), evidence=evidence, reason="bad-entries")
        await self._accuse(told, f"unmet {self.position.proven.size}")
        raise told

    async def _skip(self, target: SignedHead, rebuilt: Rebuilt, error: Misbehaviour) -> None:
        """Something from `rebuilt.hi` on is not as signed: read what can be read, and pass over the rest as a gap."""
        lo, hi = rebuilt.hi, min((rebuilt.hi // WIDTH + 1) * WIDTH, target.size)
        try:
            await self._span(target, rebuilt, hi)
            return
        except UnmetError as unmet:
            await self._refuse(unmet, target, rebuilt)
        except Misbehaviour as again:
            error = again
        await self._accuse(error, _gap_key(lo))
        rebuilt.skip(await frontier_at(self.log, target, hi))
        now_ms = self._now_ms()
        await self._commit(target, rebuilt, Gap(self.log.log_id, lo, hi, error.reason, now_ms, now_ms))

    async def _fill_gaps(self) -> None:
        """Ask again for what was passed over."""
        trusted = self.heads.trusted.head
        for gap in await self._state.logs.gaps(self.log.log_id):
            if trusted is None or trusted.size < gap.hi or self._now_ms() - gap.tried_ms < GAP_RETRY_MS:
                continue
            try:
                await self._fill(gap, trusted)
            except StoreError:
                raise
            except CtlogError:
                await self._state.logs.tried(gap, self._now_ms())

    async def _fill(self, gap: Gap, trusted: SignedHead) -> None:
        """Each batch is stored by itself, so that nobody waits for the network of the next; the gap goes at the end."""
        batches = [batch async for batch in self._batches(trusted, gap.lo, gap.hi)]
        if not self.log.is_proven_at_once:
            await self._check_place(trusted, gap, b"".join(batch.leaf_hashes for batch in batches))
        for batch in batches:
            found = Found()
            try:
                await self._inspector.inspect(self.log, batch, trusted.size, found)
                await self._inspector.flush()
                now_ms = self._now_ms()
                if await self._state.audits.store_found(found.alerts, now_ms, scts=found.scts, **_learned(found)):
                    self._told()
                self._inspector.stored(self.log, self.position.frontier.size, found)
            finally:
                found.end()
        await self._state.logs.fill(gap)
        for kind in ("missing-data", "bad-entries", "bad-tile"):
            await self._accuser.over(self.log, record_id(self.log, kind, _gap_key(gap.lo)), self._now_ms())

    async def _look_at_liars(self) -> None:
        """Each contradicting tree by itself, for nothing says that one of them continues another. What cannot be read
        now is tried again, and after a restart too."""
        now_ms = self._now_ms()
        if self._asides is None:
            self._asides = Asides()
            self._asides.take(await self.heads.liars_since(now_ms - FOR_MS), now_ms)
        self._asides.take(self.heads.liars, now_ms)
        self.heads.liars.clear()
        for head in self._asides.due(now_ms):
            self._asides.tried(head, self._now_ms(), is_read=await self._look_aside(head))

    async def _look_aside(self, head: SignedHead) -> bool:
        """A tree that contradicts the others may hold what concerns an owner: its newest entries, proven nowhere."""
        lo = max(min(self.position.frontier.size, head.size) - ASIDE, 0)
        try:
            async for batch in self._batches(head, lo, head.size):
                await self._look_aside_at(batch)
        except StoreError:
            raise
        except CtlogError as error:
            self._says("warning", self.log.name, f"the contradicting tree cannot be read: {error}")
            return False
        return True

    async def _look_aside_at(self, batch: Batch) -> None:
        found = Found(is_aside=True)
        try:
            await self._inspector.inspect(self.log, batch, None, found)
            if await self._state.alerts.raise_all(found.placeless(), self._now_ms()):
                self._told()
        finally:
            found.end()

    async def _batches(self, head: SignedHead, lo: int, hi: int) -> AsyncGenerator[Batch, None]:
        batches: Any = self.log.follower.entries(head, lo, hi)
        async with aclosing(batches):
            async for batch in batches:
                yield batch

    async def _check_place(self, head: SignedHead, gap: Gap, hashes: bytes) -> None:
        """Raises ProofError unless entries with these hashes fill the gap."""
        before = await frontier_at(self.log, head, gap.lo)
        if before.append(hashes) != await frontier_at(self.log, head, gap.hi):
            raise ProofError("these are not the entries of the tree")

    async def _accuse(self, error: Misbehaviour, key: str) -> None:
        await self._accuser.accuse(self.log, error, self._now_ms(), key)
        self._told()


def reason_of(error: CtlogError) -> str:
    """The word for what keeps a log from being read; one for all trouble with the network."""
    return TransportError.reason if isinstance(error, TransportError | BusyError) else error.reason


def _learned(found: Found) -> dict[str, Any]:
    return {
        "baselines": found.baselines, "issuers": found.issuers, "certificates": found.certificates,
        "tasks": found.tasks,
    }  # fmt: skip


def _gap_key(lo: int) -> str:
    return f"entries from {lo}"
