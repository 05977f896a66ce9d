"""One log: what the rest of the house asks of the workshop, and the loop that turns submissions into batches.

In scope: accepting entries, the rounds, freezing and ending. Out of scope: how a batch is committed (`commit.py`), how
a start recovers (`recovery.py`), what an entry is (`forms.py`).

Two tasks use a `Log`: everybody's `add`, which only touches the pool and the objects that an entry brings along, and
`run`, which alone writes batches. The pool is rotated before anything is awaited, so an entry is always in the pool, in
flight, in the LookupStore, or nowhere. An entry takes its place first and is looked up afterwards, with all others of
its batch in one hop: so no second submission of it slips through, and a duplicate costs a place for one period.

A fatal error ends `run`, fails everybody who waits, and is raised again by every later call. Nothing is resumed in
place; the process ends, and a start finds out where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from ctlog.errors import BusyError, CtlogError, FatalError, FrozenError, StoreError, UsageError
from ctlog.sequencer.attachments import Attachments
from ctlog.sequencer.commit import Committer, Cosign
from ctlog.sequencer.forms import EntryForm
from ctlog.sequencer.places import Found, Places, Sequenced
from ctlog.sequencer.pool import Pool, Ticket
from ctlog.sequencer.recovery import create_log, recover
from ctlog.sequencer.signer import Signer
from ctlog.sequencer.upkeep import Upkeep
from ctlog.store import Shelves
from ctlog.wire.checkpoint import SignedHead

E = TypeVar("E")

_Ticket = Ticket[E, Sequenced]
_Known = tuple[Ticket[E, Sequenced], Sequenced]
Clock = Callable[[], int]
"""Unix time in milliseconds. One clock for everything that is signed (P4)."""

_RETRY_S, _UPKEEP_S = 1.0, 5.0  # between attempts at what could not be published or recorded; between upkeeps


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may choose. Times in milliseconds."""

    period_ms: int = 25
    """From the first entry of a pool to its batch."""
    pool_size: int = 512
    """Entries that may wait; more are refused."""
    retry_after_s: int = 1
    """What who is refused is told to wait."""
    resign_ms: int = 60_000
    """An idle log signs a fresh head this often."""
    cosign_limit_ms: int = 1_000
    """How long a head waits for witnesses."""
    partial_age_ms: int = 3_600_000
    """A partial tile is removed when its full tile has been public for so long."""
    min_free_bytes: int = 1 << 30
    min_free_share: float = 0.05
    """Below either, of bytes or (the share) of inodes, submissions are refused."""


class BatchReport(NamedTuple):
    """What one round did, for metrics: the size afterwards, new entries, duplicates, and the seconds of each step."""
    size: int
    entries: int
    duplicates: int
    timestamp_ms: int
    seconds: dict[str, float]


class Log(Generic[E]):
    """One log, the only writer of its shelves. `open` makes it, one task runs `run`, anybody calls the rest."""

    def __init__(
        self, shelves: Shelves, signer: Signer, form: EntryForm[E], committer: Committer[E], clock: Clock,
        settings: Settings, on_batch: Callable[[BatchReport], None] | None,
    ) -> None:  # fmt: skip
        """For `open`, which recovers first."""
        self.shelves = shelves
        self.signer = signer
        self.form = form
        self.settings = settings
        self._committer = committer
        self._standing = committer.standing
        self._clock, self._on_batch = clock, on_batch
        self._pool: Pool[E, Sequenced] = Pool(settings.pool_size, settings.retry_after_s, self._on_first)
        self._places, self._attachments = Places(shelves, form), Attachments(shelves.public)
        room = settings.min_free_bytes, settings.min_free_share
        self._upkeep = Upkeep(shelves, form.kinds, settings.partial_age_ms, *room)
        self._wake, self._ended = asyncio.Event(), asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._running = self._closing = False
        self._freezing: asyncio.Future[None] | None = None
        self._fatal: FatalError | None = None
        self._trouble: str | None = None
        self._next_resign_s = self._busy_s = 0.0  # the event loop's time of the next fresh head, of the last batch

    @classmethod
    async def create(cls, shelves: Shelves, signer: Signer, *, clock: Clock) -> SignedHead:
        """Begin a log, once: the head of the empty tree. Raises ConfigError if the log or its seed is known (P10)."""
        return await create_log(shelves, signer, clock)

    @classmethod
    async def open(
        cls,
        shelves: Shelves,
        signer: Signer,
        form: EntryForm[E],
        *,
        clock: Clock,
        settings: Settings | None = None,
        outside: Sequence[SignedHead] = (),
        cosign: Cosign | None = None,
        on_batch: Callable[[BatchReport], None] | None = None,
    ) -> Log[E]:
        """The recovery walk, then a log that is ready to run.

        `outside` are verified heads of this log from elsewhere, such as its public URL: a start refuses to go back
        behind them (P11). Raises ConfigError for what contradicts the head store or is damaged, StoreError for a store
        that fails, FatalError for another writer; each says what to do.
        """
        settings = settings or Settings()
        standing = await recover(shelves, signer, form, clock(), outside)
        committer = Committer(shelves, signer, form, standing, clock, cosign, settings.cosign_limit_ms)
        log = cls(shelves, signer, form, committer, clock, settings, on_batch)
        await log._upkeep.measure_room()
        return log

    # Reading ----------------------------------------------------------------------------------------------------------

    @property
    def head(self) -> SignedHead:
        """The last published head."""
        return self._standing.published

    @property
    def frozen(self) -> bool:
        """Is the last head the last that there will be?"""
        return self._standing.frozen

    @property
    def waiting(self) -> int:
        """Entries in the pool."""
        return len(self._pool)

    @property
    def evicted(self) -> int:
        """Low entries that gave way to fresh ones, since the start."""
        return self._pool.evicted

    @property
    def trouble(self) -> str | None:
        """What keeps the log from its work, in one sentence, or None."""
        return str(self._fatal) if self._fatal else self._upkeep.shortage or self._trouble

    async def find_leaf(self, leaf_hash: bytes) -> int | None:
        """The index of the published entry with this leaf hash, compared with the level-0 tile."""
        return await self._places.find_leaf(leaf_hash, self._standing.published_edge)

    async def find_certificate(self, certificate_hash: bytes) -> Found | None:
        """The first published entry whose submitted certificate has this SHA-256."""
        return await self._places.find_certificate(certificate_hash, self._standing.published_edge)

    # Submitting -------------------------------------------------------------------------------------------------------

    def check_accepting(self) -> None:
        """Would `add` refuse every entry now? Cheap, so it is asked before a submission is read.

        Raises FrozenError, PoolFullError or another BusyError, or the FatalError that ended the log.
        """
        self._check_open()
        self._pool.check_room()

    async def add(self, entry: E) -> Sequenced:
        """Give an entry its place; returns when it is in a published head (P3). A duplicate gets the first one's place.

        Raises PoolFullError or BusyError (try again), FrozenError (never again), StoreError (this batch failed, or its
        head is not visible yet: try again), FatalError (the process is about to end).
        """
        await self.keep(entry)
        return await self.enter(entry)

    async def keep(self, entry: E) -> None:
        """What comes before `enter`: whatever belongs to the entry is durable. Raises as `add`."""
        self._check_open()
        attachments = self.form.attachments(entry)
        if not self._attachments.has(attachments):
            try:
                await self._attachments.keep(attachments)
            except FatalError as error:
                self._end(error)
                raise

    def enter(self, entry: E) -> asyncio.Future[Sequenced]:
        """`add` for an entry that was kept; its place, or what `add` raises, is the future's. Raises as `add`, too."""
        self._check_open()
        return self._pool.add(entry, self.form.key(entry), self.form.is_low(entry))

    def _check_open(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        if self.frozen or self._freezing is not None:
            raise FrozenError("this log has ended; it takes no more certificates and serves what it has for ever")
        if self._standing.signed.size + len(self._pool) >= self.form.max_size:
            raise FrozenError("this log is full; it takes no more certificates", reason="log-full")
        if self._closing:
            raise BusyError("the log is being stopped; try again", retry_after_s=5, reason="stopping")
        if self._upkeep.shortage is not None:
            raise BusyError(f"{self._upkeep.shortage}; reading goes on", retry_after_s=60, reason="no-room")

    # Running ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Sequence until `close`. Raises FatalError, after which the process must end."""
        if self._running or self._ended.is_set():
            raise UsageError("a log runs once")
        self._running = True
        age_ms = self._clock() - self.head.timestamp_ms
        self._next_resign_s = asyncio.get_running_loop().time() + max(0, self.settings.resign_ms - age_ms) / 1000
        upkeep = asyncio.create_task(self._keep_up())
        try:
            await self._rounds()
        except FatalError as error:
            self._end(error)
            raise
        except Exception as error:
            self._end(FatalError(f"something that should not happen: {error!r}", promise="P2", reason="bug"))
            raise self._fatal or error from error
        except BaseException:
            self._end(FatalError("the log was stopped in the middle of its work", promise="P3", reason="stopped"))
            raise
        finally:
            upkeep.cancel()
            self._set_alarm(None)
            self._running = False
            self._ended.set()

    async def freeze(self) -> SignedHead:
        """End the log: what waits is sequenced, a final head is signed and published; nothing is accepted ever again.

        The head store keeps the end, so a later start is frozen too. Raises StoreError if the final head is in force
        and could not be published: call it again. Else FatalError.
        """
        if self._fatal is not None:
            raise self._fatal
        if self._freezing is None:
            self._freezing = asyncio.get_running_loop().create_future()
            if not self._running:
                await self._end_log(self._freezing)
        self._wake.set()
        await asyncio.shield(self._freezing)
        return self.head

    async def close(self) -> None:
        """Refuse what comes, sequence what waits, end `run`. The shelves stay open: they are the caller's."""
        self._closing = True
        self._wake.set()
        if self._running:
            await self._ended.wait()

    def _on_first(self) -> None:
        self._set_alarm(asyncio.get_running_loop().time() + self.settings.period_ms / 1000)

    def _set_alarm(self, when_s: float | None) -> None:
        """Wake the rounds at this time of the event loop, unless they are to be woken sooner. None: not at all."""
        if self._alarm is not None and when_s is not None and self._alarm.when() <= when_s:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if when_s is None else asyncio.get_running_loop().call_at(when_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._wake.set()

    def _end(self, error: FatalError) -> None:
        """Nobody gets anything any more; `run` ends when it comes to itself."""
        self._fatal = self._fatal or error
        self._pool.fail_all(self._fatal)
        self._wake.set()

    async def _rounds(self) -> None:
        while True:
            if self._committer.unpublished or self._committer.unrecorded is not None:
                self._set_alarm(asyncio.get_running_loop().time() + _RETRY_S)
            elif not self.frozen:
                self._set_alarm(self._next_resign_s)
            await self._wake.wait()
            self._wake.clear()
            if self._fatal is not None:
                raise self._fatal
            await self._round()
            if self._freezing is not None and not self._freezing.done():
                await self._end_log(self._freezing)
            if self._closing and not len(self._pool):
                return await self._committer.discard()

    async def _round(self) -> None:
        """One batch, or what there is to do without one. Raises FatalError."""
        tickets = self._pool.rotate()
        fresh = 0
        try:
            await self._committer.record()
            known, new = await self._sort_out(tickets)
            if new:
                first, timestamp_ms = await self._committer.sequence([ticket.entry for ticket in new])
                known += [(ticket, Sequenced(first + at, timestamp_ms)) for at, ticket in enumerate(new)]
                fresh = len(new)
            elif not self.frozen and asyncio.get_running_loop().time() >= self._next_resign_s:
                await self._committer.sign_fresh()
            await self._publish(known)
        except CtlogError as error:  # else a StoreError, or an entry that cannot be written down: nothing was signed
            if isinstance(error, FatalError):
                raise
            self._trouble = str(error)
            for ticket in tickets:
                ticket.fail(error)
        self._pool.land()
        self._report(fresh, len(tickets) - fresh)
        if not fresh:  # else the next batch does it by the way, or the quiet that follows
            await self._committer.discard()

    async def _sort_out(self, tickets: Sequence[_Ticket[E]]) -> tuple[list[_Known[E]], list[_Ticket[E]]]:
        """Duplicates of what is published are answered; returned are those of what is not yet, and what is new."""
        if not tickets:
            return [], []
        places = await self._places.find_entries([ticket.entry for ticket in tickets], self._standing.edge)
        known, new = [], []
        for ticket, place in zip(tickets, places, strict=True):
            if place is None:
                new.append(ticket)
            elif place.index < self.head.size:
                ticket.resolve(place)
            else:
                known.append((ticket, place))
        return known, new

    async def _publish(self, known: Sequence[_Known[E]]) -> None:
        """Steps 11 to 13. What fails once the head is visible is tried again later, and costs nobody an SCT."""
        committer = self._committer
        published: BaseException | None = None
        recorded: BaseException | None = None
        if committer.unpublished or committer.unrecorded is not None:
            acts = committer.publish_checkpoint(), committer.record()
            published, recorded = await asyncio.gather(*acts, return_exceptions=True)
        for outcome in (published, recorded):
            if outcome is not None and not isinstance(outcome, StoreError):
                raise outcome
        self._trouble = f"the look-ups cannot be written: {recorded}" if recorded is not None else None
        if published is not None:
            raise published
        for ticket, place in known:
            ticket.resolve(place)

    async def _end_log(self, done: asyncio.Future[None]) -> None:
        """The final head, once what waited is through. Raises FatalError; the outcome is in `done` too."""
        try:
            while len(self._pool):
                await self._round()
            if not self.frozen:
                await self._committer.sign_fresh(final=True)
            await self._publish([])
            await self._committer.discard()
        except BaseException as error:
            done.set_exception(error)
            done.exception()  # that is enough, if nobody waits for it
            if not isinstance(error, StoreError):
                raise
            self._freezing = None
        else:
            done.set_result(None)

    def _report(self, fresh: int, duplicates: int) -> None:
        seconds, self._committer.seconds = self._committer.seconds, {}
        now_s = asyncio.get_running_loop().time()
        if "sign" in seconds:
            self._next_resign_s = now_s + self.settings.resign_ms / 1000
        if fresh or duplicates:
            self._busy_s = now_s
        if self._on_batch is not None and (seconds or duplicates):
            signed = self._standing.signed
            self._on_batch(BatchReport(signed.size, fresh, duplicates, signed.timestamp_ms, seconds))

    async def _keep_up(self) -> None:
        """Upkeep beside the rounds. What a store cannot do now it is asked again later."""
        more = False
        while True:
            await asyncio.sleep(_RETRY_S if more else _UPKEEP_S)
            try:
                idle = asyncio.get_running_loop().time() - self._busy_s > _UPKEEP_S
                more = await self._upkeep.round(self.head.size, self._clock(), idle=idle)
            except StoreError as error:
                self._trouble = f"upkeep: {error}"
            except Exception as error:
                self._end(FatalError(f"upkeep found what should not be: {error}", promise="P5", reason="upkeep"))
                return
