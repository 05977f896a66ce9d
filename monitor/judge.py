"""Judging an entry with all that is stored: whom it concerns, what every rule says, what is told, what is learned.

In scope: the loop around `monitor.rules`: contexts from history and state, profiles, one alert for each item and
issuance however many certificates and logs show it. Judgements of all logs happen one after another, and each is stored
before the next begins: otherwise two of them could learn over each other. What raises very many alerts is stored in
parts, and the other logs have their turn in between; if it is read again after a crash, it raises the same. Out of
scope: the rules, and what an alert says (`monitor.alert`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ctlog.errors import MalformedError
from monitor.context import Past, authorised_for, events_for, in_force, refused_for
from monitor.entry import Entry, Place, Trust
from monitor.follow.followed import Clock
from monitor.follow.inspect import Reading, key_number
from monitor.follow.watch import Found
from monitor.glance import Glance
from monitor.holder import telling_part
from monitor.items import ANYTHING, GROUP, Item
from monitor.rules import next_profile, verdicts
from monitor.rules.baseline import EMPTY_PROFILE, Profile, format_profile, parse_profile, without_refused
from monitor.rules.key import is_misused
from monitor.rules.logs import bad_sct_events, late_events
from monitor.rules.values import OWNER, S4, Context, LogEvent, Revocations, Snapshot
from monitor.rules.verdict import Verdict, unsaid
from monitor.sources import Sources
from monitor.state import State
from monitor.state.rows import Authorisation, CertificateRow, EventRow, NewAlert, Told
from monitor.tasks import plan_rejudge
from monitor.watchlist import Hit, Watchlist

MAX_PROFILES = 65_536
"""Profiles that are kept in memory."""
HELD = 64
"""Alerts after which they are stored, and hits that are judged in between, each of which raises two at most: one
certificate may have any number of hits, and an alert 90,000 octets."""
MAX_SHARED = 64
"""Certificates with one key that are judged again when it appears where it should not."""
MAX_REFERENCES = 4
"""References of one certificate that are fetched."""

Write = Callable[[Entry, Hit | None, Verdict, Context], NewAlert]
"""Makes the alert that a verdict calls for."""


_ToldOf = dict[tuple[str, str], list[Told]]
"""(item, addressee) -> what they were told of one issuance."""


class Case(NamedTuple):
    """An entry with all that had to be fetched for its judgement."""

    entry: Entry
    snapshots: tuple[Snapshot, ...] = ()


class StateJudge:
    """See `monitor.follow.inspect.Judge`."""

    def __init__(
        self, state: State, past: Past, sources: Sources, watchlist: Callable[[], Watchlist],
        trust: Callable[[], Trust], write: Write, write_fault: Callable[[Place, bytes, Exception], list[NewAlert]],
        now_ms: Clock, *, wake: Callable[[], None] = lambda: None,
        attributes: Callable[[], Mapping[bytes, str]] = dict,
    ) -> None:  # fmt: skip
        """`attributes`: as in `Context`. `wake` is called when alerts were stored here, before the position passed what
        raised them."""
        self._state = state
        self._wake = wake
        self._attributes = attributes
        self._past = past
        self._sources = sources
        self._watchlist = watchlist
        self._trust = trust
        self._write = write
        self._write_fault = write_fault
        self._now_ms = now_ms
        self._turn = asyncio.Lock()
        self._profiles: dict[str, Profile] = {}
        self._issuers: frozenset[str] | None = None
        self._answers: list[Authorisation] = []
        self.keys: set[int] = set()
        """See Judge."""
        self._has_keys = False
        self._familiar: set[tuple[bytes, bytes, bytes]] = set()
        self._revocations: Revocations | None = None
        self._events: dict[str, list[EventRow]] = {}

    async def refresh(self) -> None:
        """Read the answers that people gave again; and the first time, whose keys are looked for."""
        if not self._has_keys:
            self.keys.update(map(key_number, await self._state.answers.spki_hashes()))
            self._has_keys = True
        self._answers = await self._state.answers.authorisations(self._now_ms())
        events: dict[str, list[EventRow]] = {}
        for row in await self._state.answers.events():
            events.setdefault(row.number, []).append(row)
        self._events = events

    async def prepare(self, entry: Entry) -> Case:
        """See Judge."""
        urls = entry.identity.by_reference
        snapshots = await self._sources.snapshots(urls[:MAX_REFERENCES], self._now_ms())
        scopes = {each.url: each.claims for each in snapshots if each.claims is not None}  # the newest comes last
        if not scopes:
            return Case(entry, snapshots)
        claims = [claim for scope in scopes.values() for claim in scope]
        return Case(entry.with_scope(claims, is_resolved=scopes.keys() >= set(urls)), snapshots)

    async def judge(
        self, case: Case, found: Found, reading: Reading, only: frozenset[str] | None = None
    ) -> None:
        """See Judge."""
        entry, snapshots = case
        watchlist = self._watchlist()
        hits: list[Hit | None] = [*_newly_watched(watchlist.match(entry), only, watchlist)]
        if only is not None and not hits:
            return
        await self._begin(found)
        if self._issuers is None:
            self._issuers = await self._state.answers.issuers()
        common = Context(
            now_ms=self._now_ms(),
            key_uses=self._past.key_uses(entry, later=reading.is_again and only is None),
            revocations=self._sources.known.revocations,
            codes=self._sources.known.table,
            snapshots=snapshots,
            known_issuers=self._issuers | found.issuers if reading.is_ready else None,
            has_roots=len(self._trust().roots) > 0,
            filling=reading.filling,
            was_there=reading.was_there,
            joined_ms=reading.joined_ms,
            weak_keys=self._sources.known.weak_keys,
            attributes=self._attributes(),
            log_events=(*self._log_events(entry, found), *bad_sct_events(reading.bad_scts)),
        )
        for at in range(0, max(len(hits), 1), HELD):
            if len(found.alerts) >= HELD:
                await self._store_part(found)
                await self._begin(found)
            part = hits[at : at + HELD] or [None]
            told = await self._told(entry, part, found)
            await self._load_profiles(part, found)
            for hit in part:
                self._judge_for(entry, hit, common, told, found, reading.late)
        if entry.issuer.is_known:
            found.issuers.add(entry.issuer.text)
        if hits or snapshots:  # what stands at a reference may concern somebody later
            found.certificates += _rows(entry)
            self.keys.update({key_number(entry.key_hash)} if entry.key_hash else ())
        if not reading.is_again and key_number(entry.key_hash) in self.keys:
            await self._look_at_key(entry, common, found)

    async def _look_at_key(self, entry: Entry, context: Context, found: Found) -> None:
        """A key that certificates of watched items have: where it should not be here, these are judged again, so that
        their owners hear of it."""
        if is_misused(entry, context):
            rows = await self._state.answers.certificates(spki=entry.key_hash)
            newest = sorted((row.log_index, row.log_id) for row in rows)[-MAX_SHARED:]
            found.tasks += plan_rejudge((log_id, index) for index, log_id in newest)
        elif entry.parsed is not None:
            if len(self._familiar) >= MAX_PROFILES or self._revocations is not context.revocations:
                self._familiar.clear()
            self._revocations = context.revocations
            self._familiar.add((entry.parsed.spki, entry.parsed.issuer, telling_part(entry.parsed.subject)))

    def is_familiar(self, glance: Glance) -> bool:
        """See Judge."""
        is_current = self._revocations is self._sources.known.revocations
        return is_current and (glance.spki, glance.issuer, telling_part(glance.subject)) in self._familiar

    def _log_events(self, entry: Entry, found: Found) -> tuple[LogEvent, ...]:
        """What following and auditing showed of it. An entry that contradicting trees have both is no news of a log."""
        if not found.is_aside or found.log_events or self._past.holds(entry):
            return found.log_events
        what = f"the log {entry.log_name} showed it in a tree that contradicts the one that it shows here"
        return (LogEvent("T-28", what),)

    def unjudged(self, place: Place, leaf: bytes, error: Exception) -> list[NewAlert]:
        """See Judge."""
        return self._write_fault(place, leaf, error)

    def stored(self, found: Found) -> None:
        """See Judge."""
        if self._issuers is not None and not found.issuers <= self._issuers:
            self._issuers |= found.issuers

    async def _store_part(self, found: Found) -> None:
        """Store what was found so far, all of it or nothing, and let others have their turn. Raises StoreError."""
        now_ms = self._now_ms()
        if found.is_aside:
            fresh = await self._state.alerts.raise_all(found.placeless(), now_ms)
        else:
            fresh = await self._state.audits.store_found(
                found.alerts, now_ms, baselines=found.baselines, issuers=found.issuers, certificates=found.certificates
            )
            self.stored(found)
        found.end()
        found.alerts, found.baselines, found.issuers, found.certificates = [], {}, set(), []
        if fresh:
            self._wake()

    async def _begin(self, found: Found) -> None:
        """Wait for the turn, which lasts until what was found is stored or given up."""
        if not found.at_end:
            await self._turn.acquire()
            found.at_end.append(lambda: self._end(found))

    def _end(self, found: Found) -> None:
        """Whether it was stored or not is read from the state: whoever was cancelled does not know."""
        for item in found.baselines:
            self._profiles.pop(item, None)
        if self._issuers is not None and not found.issuers <= self._issuers:
            self._issuers = None
        self._turn.release()

    def _judge_for(
        self, entry: Entry, hit: Hit | None, common: Context, told_of: _ToldOf, found: Found, late: str = ""
    ) -> None:
        context = common
        if hit is not None:
            context = replace(
                self._answered(common, hit.item, found),
                log_events=(*common.log_events, *late_events(late)) if late else common.log_events,
                claims=self._past.claims(entry, hit.claim),
                events=events_for(hit.claim, self._events),
            )
        for verdict in verdicts(entry, hit, context):
            to = hit if verdict.to == OWNER else None  # the operator is told once, however many items it concerns
            told = told_of.setdefault((to.item.id if to is not None else "", verdict.to), [])
            if to is not None and not found.is_aside and not told:  # the other forms of an issuance teach nothing more
                found.baselines[to.item.id] = format_profile(next_profile(entry, to, context, verdict))
                self._teach_crowd(entry, to, context, verdict, found)
            if told or (verdict.findings and (verdict.severity < S4 or to is not None)):
                fresh = unsaid(verdict, hit, [(each.severity, each.rules) for each in told])
                alert = self._write(entry, to, fresh or verdict, context)
                found.alerts.append(alert := _louder(alert, told) if fresh is not None else _joined(alert, told))
                if fresh is not None:
                    told.append(Told(alert.id, alert.severity, alert.rules))

    def _teach_crowd(self, entry: Entry, hit: Hit, context: Context, verdict: Verdict, found: Found) -> None:
        """A claim that touches most of a group is judged by what its members have had."""
        if crowd := self._watchlist().crowd(hit.item):
            context = self._answered(context, crowd, found)
            found.baselines[crowd.id] = format_profile(next_profile(entry, hit._replace(item=crowd), context, verdict))

    def _answered(self, context: Context, item: Item, found: Found) -> Context:
        """With what is known of an item: its profile, and its owner's answers, which are stronger."""
        answers = in_force(self._answers, context.now_ms)
        authorised, refused = authorised_for(item, answers), refused_for(item, answers)
        profile = without_refused(self._profile(item.id, found), *refused)
        return replace(context, profile=profile, authorised=authorised, refused=refused)

    def _profile(self, item: str, found: Found) -> Profile:
        """As it is with what was found and is not stored yet."""
        if item in found.baselines:
            return parse_profile(found.baselines[item])
        return self._profiles[item]

    async def _load_profiles(self, hits: Sequence[Hit | None], found: Found) -> None:
        """Have the profiles of these at hand."""
        if len(self._profiles) >= MAX_PROFILES:
            self._profiles.clear()
        items = [hit.item for hit in hits if hit is not None]
        crowds = filter(None, map(self._watchlist().crowd, items))
        names = {item.id for item in (*items, *crowds)} - found.baselines.keys() - self._profiles.keys()
        stored = await self._state.answers.baselines(sorted(names)) if names else {}
        for name in names:
            try:
                self._profiles[name] = parse_profile(stored[name]) if name in stored else EMPTY_PROFILE
            except MalformedError:  # of an earlier version: it is learned again
                self._profiles[name] = EMPTY_PROFILE

    async def _told(self, entry: Entry, hits: Sequence[Hit | None], found: Found) -> _ToldOf:
        """The alerts that there are for this issuance, by item and addressee, stored or held."""
        thread, items = entry.issuance.hex(), {"", *(hit.item.id for hit in hits if hit is not None)}
        told = await self._state.alerts.told(thread, sorted(items))
        for each in found.alerts:
            if each.thread == thread and each.item in items:
                told.setdefault((each.item, each.addressee), []).append(Told(each.id, each.severity, each.rules))
        return told


def _newly_watched(hits: Sequence[Hit], only: frozenset[str] | None, watchlist: Watchlist) -> Iterator[Hit]:
    """The hits of these items; None: all. One hit for a group, or for whoever may be concerned, is for what is newly
    watched in that group, and so for its last item: it is no member of the list itself."""
    groups = {name.partition("/")[0] for name in only or ()}
    for hit in hits:
        item = hit.item
        if only is None or item.id in only:
            yield hit
        elif item.kind in (GROUP, ANYTHING) and item.group.name in groups:
            yield hit._replace(item=replace(item, added_ms=watchlist.since(item.group).last_ms))


def _louder(alert: NewAlert, told: Sequence[Told]) -> NewAlert:
    """The same rule may lead again, and be graver now: that is another alert."""
    if all(alert.id != each.id for each in told):
        return alert
    name = hashlib.sha256(f"{alert.id} S{alert.severity}".encode()).hexdigest()
    return replace(alert, id=name, body=alert.body.replace(alert.id.encode(), name.encode()))


def _joined(alert: NewAlert, told: Sequence[Told]) -> NewAlert:
    """One alert for each issuance: what says nothing new is the one again that said it."""
    same = min(told, key=lambda each: (alert.rule not in each.rules, each.severity > alert.severity, each.severity))
    return replace(alert, id=same.id)


def _rows(entry: Entry) -> list[CertificateRow]:
    if entry.parsed is None:
        return []
    end = entry.not_after_ms if entry.not_after_ms is not None else (1 << 62)
    urls = entry.identity.by_reference[:MAX_REFERENCES] or ("",)
    return [
        CertificateRow(entry.issuer_name, entry.parsed.serial, entry.key_hash, entry.log_id, entry.index, end, url)
        for url in urls
    ]
