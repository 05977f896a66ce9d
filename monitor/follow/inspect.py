"""Looking at every entry of one log: a glance at each, history for all, and a full reading of those that may concern
somebody.

In scope: the hot path, a batch at a time; which entries are read in full; that nothing which goes wrong with one entry
keeps anybody from being told of it. Out of scope: what an alert says and whether there is one (`Judge`), the position
(`monitor.follow.watch`).

Besides what the watch list selects, three kinds are read for the operator: the first entry of an issuer that no log had
before, certificates that claim no number (those of CAs), and what no parser accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ctlog.client.follow import Batch
from ctlog.errors import MalformedError, SctError, StoreError
from monitor.entry import Entry, Place, Trust, look, read_entry
from monitor.follow.audit import take_in
from monitor.follow.collect import Collector
from monitor.follow.followed import Clock, Followed, Says, silent
from monitor.follow.issuers import Issuers, chain_keys, precertificates
from monitor.follow.watch import Found
from monitor.glance import Glance, Glancer
from monitor.history import History
from monitor.state.rows import NewAlert, SctRow
from monitor.watchlist import Hit, Watchlist

SCT_LIST = bytes.fromhex("060a2b06010401d679020402")
"""The OID of the SCT list extension (RFC 6962 section 3.3) as it stands in a certificate."""


class Judge(Protocol):
    """Whoever decides."""

    async def judge(self, entry: Entry, hits: Sequence[Hit], found: Found) -> list[NewAlert]:
        """The alerts that an entry raises. Without hits, only what concerns operators."""
        ...

    def unjudged(self, place: Place, leaf: bytes, error: Exception) -> list[NewAlert]:
        """The alerts for an entry on which our own code failed: a fault of ours, and nobody may miss it."""
        ...


class Shared:
    """What the inspectors of all logs share. `stored`: by number of the log in history, how far its position is."""

    def __init__(
        self, judge: Judge, history: History, watchlist: Callable[[], Watchlist], trust: Callable[[], Trust],
        logs: Callable[[], Mapping[bytes, Followed]], now_ms: Clock, says: Says = silent,
    ) -> None:  # fmt: skip
        self.judge = judge
        self.history = history
        self.watchlist = watchlist
        self.trust = trust
        self.logs = logs
        self.now_ms = now_ms
        self.says = says
        self.glancer = Glancer()
        self.collector = Collector(history.name_number)
        self.stored: dict[int, int] = {}


class EntryInspector:
    """Looks at the entries of one log. See `monitor.follow.watch.Inspector`."""

    def __init__(self, log: Followed, shared: Shared, stored: int) -> None:
        """`stored`: how far the log's position is."""
        self._log = log
        self._shared = shared
        self._issuers = Issuers(log, shared.trust, shared.history.name_number, shared.now_ms)
        self._number = shared.history.log_number(log.log_id)
        self._known_issuers: set[int] = set()
        shared.stored[self._number] = stored

    async def inspect(self, log: Followed, batch: Batch, proven: int | None, found: Found) -> None:
        """See Inspector."""
        leaves, shared = batch.leaves, self._shared
        glance, glancer = shared.glancer.glance, shared.glancer
        glances = [glance(leaf) or look(glancer, leaf) for leaf in leaves]
        issuers = await self._issuers.numbers(batch, glances)
        if not found.is_aside:
            records = shared.collector.records(self._number, batch.lo, leaves, glances, issuers)
            shared.history.append(records)
        wanted = set(shared.watchlist().select(glances))
        wanted.update(self._for_operators(glances, issuers))
        if wanted:
            await self._read_all(batch, sorted(wanted), proven, found)

    async def flush(self) -> None:
        """See Inspector."""
        self._shared.history.flush()

    async def stored(self, log: Followed, hi: int, found: Found) -> None:
        """See Inspector."""
        self._shared.stored[self._number] = hi

    def _for_operators(self, glances: Sequence[Glance], issuers: Sequence[int]) -> list[int]:
        """Entries that are read whoever watches what."""
        known = self._known_issuers
        found = [at for at, glance in enumerate(glances) if not glance.labels or not glance.spki]
        if not known.issuperset(issuers):
            found += [issuers.index(number) for number in set(issuers) - known]
            known.update(issuers)
        return found

    async def _read_all(self, batch: Batch, wanted: Sequence[int], proven: int | None, found: Found) -> None:
        keys, before = chain_keys(batch), precertificates(batch)
        for at in wanted:
            place = Place(self._log.log_id, self._log.name, batch.lo + at, proven)
            leaf = batch.leaves[at]
            try:
                chain = await self._issuers.chain(keys[at])
                entry = read_entry(place, leaf, pre_certificate=before[at], chain=chain, trust=self._shared.trust())
                found.alerts += await self._shared.judge.judge(entry, self._shared.watchlist().match(entry), found)
                found.scts += self._promises(entry)
            except StoreError:
                raise
            except Exception as error:  # a fault of ours must not hide an entry, nor stop the log
                self._shared.says("error", self._log.name, f"entry {place.index} could not be judged: {error!r}")
                found.alerts += self._shared.judge.unjudged(place, leaf, error)

    def _promises(self, entry: Entry) -> list[SctRow]:
        """The SCTs of followed logs in a final certificate; those that do not hold are a finding of the rules'."""
        if entry.precert or entry.parsed is None or SCT_LIST not in entry.certificate or not entry.issuers:
            return []
        issuers = [issuer.der for issuer in entry.issuers]
        try:
            source = f"{self._log.name}, entry {entry.index}"
            return take_in(entry.certificate, issuers, [], self._shared.logs(), source, self._shared.now_ms())
        except (SctError, MalformedError):
            return []
