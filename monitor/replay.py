"""Judging a sequence of entries with nothing but memory: what items would have been told, and what they learn.

In scope: the loop that the daemon runs with its stored state, over values: profiles, a small history, the issuers seen.
For dry runs before an item is watched (`dry_run`), and for measuring how many alarms the rules raise. Out of scope:
sources outside of the logs, unless the caller puts them into the context; keeping anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from ctlog.tn.labels import ONE, Label, format_label, labels_holding
from monitor.entry import Entry
from monitor.items import Item
from monitor.rules import next_profile, verdicts
from monitor.rules.baseline import EMPTY_PROFILE, Profile
from monitor.rules.values import OWNER, Context, PastClaim
from monitor.rules.verdict import Verdict
from monitor.watchlist import Hit, Watchlist

_KEY = 6  # octets of a key's hash, as many as `monitor.claims` keeps
_MOST = 256  # claims of one label or one key that are looked at, the newest


class Judged(NamedTuple):
    """One verdict on one entry. hit: None for what concerns only the operator."""

    entry: Entry
    hit: Hit | None
    verdict: Verdict


class Replay:
    """Judges entries in the order in which they are given."""

    def __init__(self, items: Iterable[Item], known_issuers: Iterable[str] = ()) -> None:
        """known_issuers: `IssuerId.text` of those that are no news."""
        self.watchlist = Watchlist(items)
        self.profiles: dict[str, Profile] = {}
        self._issuers = set(known_issuers)
        self._by_label: dict[Label, list[PastClaim]] = {}
        self._by_key: dict[bytes, list[PastClaim]] = {}

    def take(self, entry: Entry, adapt: Callable[[Context], Context] = lambda context: context) -> list[Judged]:
        """Judge an entry and learn from it. `adapt` may add to the context what comes from outside."""
        hits = self.watchlist.match(entry)
        found: list[Judged] = []
        concerned: list[Hit | None] = [*hits] or [None]
        for hit in concerned:
            context = adapt(self._context(entry, hit))
            for verdict in verdicts(entry, hit, context):
                if verdict.to == OWNER and hit is not None:
                    self.profiles[hit.item.id] = next_profile(entry, hit, context, verdict)
                    self._teach_crowd(entry, hit, context, verdict)
                elif any(each.verdict.to == verdict.to and each.verdict.rules == verdict.rules for each in found):
                    continue  # the operator is told once, however many items it concerns
                found.append(Judged(entry, hit, verdict))
        self._remember(entry)
        return found

    def _teach_crowd(self, entry: Entry, hit: Hit, context: Context, verdict: Verdict) -> None:
        """A claim that touches most of a group is judged by what its members have had, as in `monitor.judge`."""
        if crowd := self.watchlist.crowd(hit.item):
            context = replace(context, profile=self.profiles.get(crowd.id, EMPTY_PROFILE))
            self.profiles[crowd.id] = next_profile(entry, hit._replace(item=crowd), context, verdict)

    def _context(self, entry: Entry, hit: Hit | None) -> Context:
        claims: list[PastClaim] = []
        if hit is not None:
            for label in _related(entry.labels[:64]):
                claims += self._by_label.get(label, ())
        return Context(
            now_ms=entry.timestamp_ms,
            profile=self.profiles.get(hit.item.id, EMPTY_PROFILE) if hit else EMPTY_PROFILE,
            claims=tuple(claims),
            key_uses=tuple(self._by_key.get(entry.key_hash[:_KEY], ())),
            known_issuers=frozenset(self._issuers),
            was_there=True,
        )

    def _remember(self, entry: Entry) -> None:
        if entry.issuer.is_known:
            self._issuers.add(entry.issuer.text)
        if entry.not_before_ms is None or entry.not_after_ms is None:
            return
        key = entry.key_hash[:_KEY]
        for label in entry.labels:
            claim = PastClaim(
                format_label(label), entry.issuer.text, entry.holder_key, key, entry.not_before_ms, entry.not_after_ms,
                entry.timestamp_ms, entry.log_id, entry.index, entry.precert,
            )  # fmt: skip
            for where in (self._by_label.setdefault(label, []), self._by_key.setdefault(key, [])):
                where.append(claim)
                if len(where) > _MOST:
                    del where[0]


def _related(labels: Iterable[Label]) -> list[Label]:
    """The labels under which earlier claims may overlap with these."""
    found: dict[Label, None] = {}
    for label in labels:
        found[label] = None
        if label.kind == ONE:
            found |= dict.fromkeys(labels_holding(label.value))
    return list(found)


def dry_run(items: Iterable[Item], entries: Iterable[Entry], limit: int = 1000) -> Iterator[Judged]:
    """Say what the owners of these items would have been told, had they watched from the first of these entries on.

    What is all as expected is left out; at most `limit` verdicts are given.
    """
    replay = Replay([replace(item, added_ms=0) for item in items])
    judged = (each for entry in entries for each in replay.take(entry))
    yield from islice((each for each in judged if each.verdict.to == OWNER and each.verdict.findings), limit)
