"""Looking at every entry of one log: a glance at each, history for all, and a full reading of those that may concern
somebody.

In scope: the hot path, a batch at a time; which entries are read in full; that nothing which goes wrong with one entry
keeps anybody from being told of it. Out of scope: what an alert says and whether there is one (`Judge`), the position
(`monitor.follow.watch`).

Besides what the watch list selects, three kinds are read for the operator: the first entry of an issuer that no log had
before, what says to be a CA's certificate, whether it claims numbers or not, and what no parser accepts.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from ctlog.client.follow import Batch
from ctlog.errors import MalformedError, StoreError
from monitor.entry import NOWHERE, Entry, Place, Trust, look_at, read_entry
from monitor.follow.audit import Known, TakenIn, take_in
from monitor.follow.collect import Collector
from monitor.follow.followed import Clock, Followed, Says, silent
from monitor.follow.issuers import Issuers, chain_keys, precertificates
from monitor.follow.watch import NOBODY, Found
from monitor.glance import Glance, Glancer
from monitor.history import History
from monitor.state.rows import NewAlert
from monitor.watchlist import Watchlist

SCT_LIST = bytes.fromhex("060a2b06010401d679020402")
"""The OID of the SCT list extension (RFC 6962 section 3.3) as it stands in a certificate."""
FILLING = 0.25
"""A log of which so large a part was logged more than 30 days after its validity began is being filled."""


class Reading(NamedTuple):
    """How an entry came to be read, as far as it matters for what is thought of it.

    filling: the log is being filled from older records. is_ready: all that it held when it was first followed has been
    read, so that what was never seen before is news. was_there: the log had the entry before that, or it is read again
    for some items or from further back: whether it is older than an item may then go by its timestamp. joined_ms: when
    the log joined others that had been read by then; 0 for one of the first. late: "", or that it came into the tree
    later than the log promised, or is dated back (`monitor.follow.merge_delay`). bad_scts: "", or what is wrong with
    the SCTs of followed logs that it carries. is_again: it was judged before.
    """

    filling: bool = False
    is_ready: bool = True
    was_there: bool = False
    joined_ms: int = 0
    late: str = ""
    bad_scts: str = ""
    is_again: bool = False


class Judge(Protocol):
    """Whoever decides."""

    @property
    def keys(self) -> Set[int]:
        """`key_number` of each key of a certificate that concerned a watched item."""
        ...

    def is_familiar(self, glance: Glance) -> bool:
        """Whether a key of somebody who is watched is used as it was before: by the same issuer, for the same holder.
        Such an entry need not be read, for one holder's numbers may share a key."""
        ...

    async def prepare(self, entry: Entry) -> Any:
        """Fetch whatever the judgement of this entry needs, and give it back with the entry."""
        ...

    async def judge(
        self, case: Any, found: Found, reading: Reading, only: frozenset[str] | None = None
    ) -> None:
        """Put the alerts that a prepared entry raises into `found`, with all that was learned. Waits for no network.

        only: the items that it is judged for; None: all.
        """
        ...

    def unjudged(self, place: Place, leaf: bytes, error: Exception) -> list[NewAlert]:
        """The alerts for an entry on which our own code failed: a fault of ours, and nobody may miss it."""
        ...

    def stored(self, found: Found) -> None:
        """What is in `found` is stored."""
        ...


class Shared:
    """What the inspectors of all logs share. `stored`: by number of the log in history, how far its position is."""

    def __init__(
        self, judge: Judge, history: History, watchlist: Callable[[], Watchlist], trust: Callable[[], Trust],
        logs: Callable[[], Mapping[bytes, Known]], now_ms: Clock, ready: Callable[[bytes], Awaitable[None]],
        says: Says = silent, *, audits: bool = True, stored: dict[int, int] | None = None,
    ) -> None:  # fmt: skip
        """`ready` keeps, by a log's id, that it has been caught up with once."""
        self.judge = judge
        self.history = history
        self.watchlist = watchlist
        self.trust = trust
        self.logs = logs
        self.now_ms = now_ms
        self.ready = ready
        self.says = says
        self.audits = audits
        self.glancer = Glancer()
        self.collector = Collector(history.name_number)
        self.stored: dict[int, int] = {} if stored is None else stored
        self.issuers: set[int] = set()
        """Numbers of the issuers of which an entry was read in full, and stored."""


class EntryInspector:
    """Looks at the entries of one log. See `monitor.follow.watch.Inspector`."""

    def __init__(
        self, log: Followed, shared: Shared, stored: int, *, is_ready: bool = False, joined_ms: int = 0
    ) -> None:
        """`stored`: how far the log's position is; `joined_ms`: see Reading."""
        self._log = log
        self._shared = shared
        self._issuers = Issuers(log, shared.trust, shared.history.name_number, shared.now_ms)
        self._number = shared.history.log_number(log.log_id)
        self._late = self._counted = 0.0
        self._met: set[int] = set()
        self.is_ready = is_ready
        self._joined_ms = joined_ms
        self._has_met_end = is_ready
        self._has_read = False
        shared.stored[self._number] = stored

    async def inspect(
        self, log: Followed, batch: Batch, proven: int | None, found: Found, late: Mapping[int, str] = NOBODY
    ) -> None:
        """See Inspector."""
        leaves, shared = list(batch.leaves), self._shared
        glances = look_at(shared.glancer, leaves)
        authorities = shared.glancer.authorities
        issuers = await self._issuers.numbers(batch, glances)
        if not found.is_aside:
            shared.history.append(shared.collector.records(self._number, batch.lo, leaves, glances, issuers))
            self._note_late(len(leaves), shared.collector.late)
        wanted = set(shared.watchlist().select(glances))
        wanted.update(authorities, self._for_operators(glances, issuers))
        keys = array("Q", b"" if found.is_aside else shared.collector.keys)[::4]
        await self._read_all(batch, glances, wanted, keys, proven, found, late=late)

    async def earlier(self, batch: Batch, proven: int, found: Found, *, is_judged: bool = True) -> None:
        """Look at entries from before where reading began. Whatever was never seen before is no news there.

        is_judged: False where they were judged before, and only the history has lost them.
        """
        leaves, shared = list(batch.leaves), self._shared
        glances = look_at(shared.glancer, leaves)
        issuers = await self._issuers.numbers(batch, glances)
        shared.history.append(shared.collector.records(self._number, batch.lo, leaves, glances, issuers))
        if is_judged:
            keys = array("Q", shared.collector.keys)[::4]
            wanted = set(shared.watchlist().select(glances))
            await self._read_all(batch, glances, wanted, keys, proven, found, is_news=False)

    async def again(self, batch: Batch, proven: int | None, found: Found, only: frozenset[str] | None) -> None:
        """Read all of these entries, for some items or for all: some are newly watched, or something changed."""
        await self._read(batch, range(len(batch.leaves)), proven, found, only, is_again=True)

    async def promised(self, leaf: bytes, found: Found) -> None:
        """Judge what the log promised to hold, and does not: only its issuer's names are known."""
        place, judge = Place(self._log.log_id, self._log.name, NOWHERE), self._shared.judge
        with self._fault_told(place, leaf, found):
            case = await judge.prepare(read_entry(place, leaf, trust=self._shared.trust()))
            await judge.judge(case, found, Reading(is_ready=self.is_ready))

    async def flush(self) -> None:
        """See Inspector."""
        self._shared.history.flush()

    async def caught_up(self) -> None:
        """See Inspector."""
        self._has_met_end = True
        if not self.is_ready and self._has_read:  # of an empty log nothing is known yet
            await self._shared.ready(self._log.log_id)
            self.is_ready = True

    def stored(self, log: Followed, hi: int, found: Found) -> None:
        """See Inspector."""
        self._has_read = self._has_read or hi > self._shared.stored[self._number]
        self._shared.stored[self._number] = hi
        self._shared.issuers |= self._met
        self._met = set()
        self._shared.judge.stored(found)

    def _note_late(self, count: int, late: int) -> None:
        """A moving average over some thousand entries."""
        self._counted = min(self._counted + count, 1000 + count)
        self._late += (late / max(count, 1) - self._late) * count / max(self._counted, 1)

    def _for_operators(self, glances: Sequence[Glance], issuers: Sequence[int]) -> list[int]:
        """Entries that are read whoever watches what: nobody could parse them, or their issuer is new."""
        found = [at for at, glance in enumerate(glances) if not glance.spki]
        known = self._shared.issuers
        if not known.issuperset(issuers):
            fresh = set(issuers) - known
            self._met |= fresh
            found += [issuers.index(number) for number in fresh]
        return found

    async def _read_all(
        self, batch: Batch, glances: Sequence[Glance], wanted: set[int], keys: array[int], proven: int | None,
        found: Found, *, is_news: bool = True, late: Mapping[int, str] = NOBODY,
    ) -> None:  # fmt: skip
        """Read the wanted entries, and whatever has a key of somebody who is watched: those that are wanted have such
        keys from then on."""
        judge, done = self._shared.judge, set[int]()
        while True:
            if not judge.keys.isdisjoint(keys):
                shared = (at for at, key in enumerate(keys) if key in judge.keys)
                wanted.update(at for at in shared if not judge.is_familiar(glances[at]))
            if wanted <= done:
                return
            await self._read(batch, sorted(wanted - done), proven, found, None, is_news=is_news, late=late)
            done |= wanted

    async def _read(
        self, batch: Batch, wanted: Sequence[int], proven: int | None, found: Found, only: frozenset[str] | None,
        *, is_news: bool = True, late: Mapping[int, str] = NOBODY, is_again: bool = False,
    ) -> None:  # fmt: skip
        keys, before, judge = chain_keys(batch), precertificates(batch), self._shared.judge
        ready: list[tuple[Place, bytes, Any, str]] = []
        for at in wanted:
            place, leaf = Place(self._log.log_id, self._log.name, batch.lo + at, proven), batch.leaves[at]
            with self._fault_told(place, leaf, found):
                chain = await self._issuers.chain(keys[at])
                entry = read_entry(place, leaf, pre_certificate=before[at], chain=chain, trust=self._shared.trust())
                rows, faults = self._promises(entry)
                found.scts += rows
                ready.append((place, leaf, await judge.prepare(entry), "; ".join(map(str, faults))))
        for place, leaf, case, bad_scts in ready:
            with self._fault_told(place, leaf, found):
                there = not (self._has_met_end and is_news) or only is not None
                reading = Reading(
                    self._late > FILLING, self.is_ready and is_news, there, self._joined_ms, late.get(place.index, ""),
                    bad_scts, is_again,
                )
                await judge.judge(case, found, reading, only)

    @contextmanager
    def _fault_told(self, place: Place, leaf: bytes, found: Found) -> Iterator[None]:
        """A fault of ours must not hide an entry, nor stop the log: it is an alert of its own."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            self._shared.says("error", self._log.name, f"entry {place.index} could not be judged: {error!r}")
            found.alerts += self._shared.judge.unjudged(place, leaf, error)

    def _promises(self, entry: Entry) -> TakenIn:
        """The SCTs of followed logs in a final certificate."""
        if not self._shared.audits or entry.precert or not entry.issuers or SCT_LIST not in entry.certificate:
            return TakenIn([], [])
        issuers = [issuer.der for issuer in entry.issuers]
        try:
            source = f"{self._log.name}, entry {entry.index}"
            return take_in(entry.certificate, issuers, [], self._shared.logs(), source, self._shared.now_ms())
        except MalformedError as error:
            return TakenIn([], [error])


def key_number(spki_hash: bytes) -> int:
    """What stands for a key's SHA-256 where each entry's is compared: its first 8 octets, as an array has them."""
    return int.from_bytes(spki_hash[:8], sys.byteorder)
