"""What would have been told, had these items been watched all along: their past, read again, judged with memory alone.

In scope: where the history has claims about the items, reading those entries once more from their logs, proven to the
head that is trusted, and giving them to `monitor.replay` in the order in which they were logged. Nothing is stored and
nobody is told. Out of scope: showing it (`monitor.cli.watch_try`), what is not in the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ctlog.errors import CtlogError
from ctlog.wire.checkpoint import SignedHead
from monitor.context import Past
from monitor.context import Place as Claimed
from monitor.entry import Entry, Place, Trust, read_entry
from monitor.follow.followed import Clock, Followed
from monitor.follow.issuers import Issuers, chain_keys, precertificates
from monitor.history import History
from monitor.items import HOLDER, ISSUER, KEY, Item
from monitor.replay import Judged, dry_run

MOST = 512
"""Entries that are read for one item, the newest."""


class Source(NamedTuple):
    """A log that can be read, and its head that is trusted."""

    log: Followed
    head: SignedHead


class Rehearsed(NamedTuple):
    """verdicts: what would have been told, in order. read: entries that were judged. unread: of how many that could not
    be read now, and why. more: whether there are older ones that were not looked at."""

    verdicts: Sequence[Judged]
    read: int
    unread: Mapping[str, int]
    more: bool


def find_places(items: Iterable[Item], history: History, *, most: int = 0) -> tuple[list[Claimed], bool]:
    """Where the history has claims about these items, in the order of logging: the newest `most` (else MOST) of each;
    and whether there are more. The same of entries that may concern any number or code."""
    past = Past(history, {})
    chosen: set[Claimed] = set()
    more = False
    items = list(items)
    pieces = [past.places(item) for item in items]
    if any(item.kind not in (HOLDER, ISSUER, KEY) for item in items):
        pieces.append(past.unindexable())
    for each in pieces:
        found = {place for piece in each for place in piece}
        newest = sorted(found, key=lambda place: (place.logged_ms, place.log_index))[-(most or MOST) :]
        more |= len(newest) < len(found)
        chosen.update(newest)
    unique = {(place.log_id, place.log_index): place for place in chosen}
    return sorted(unique.values(), key=lambda place: (place.logged_ms, place.log_index)), more


async def rehearse(
    items: Sequence[Item], history: History, sources: Mapping[bytes, Source], trust: Trust, now_ms: Clock,
    done: Callable[[int], None] = lambda count: None,
) -> Rehearsed:  # fmt: skip
    """Read the past of these items and judge it. `done` is told of each entry."""
    places, more = find_places(items, history)
    issuers = {
        log_id: Issuers(source.log, lambda: trust, lambda name: 0, now_ms) for log_id, source in sources.items()
    }
    entries: list[Entry] = []
    unread: dict[str, int] = {}
    for place in places:
        source = sources.get(place.log_id)
        try:
            if source is None:
                raise CtlogError(f"the log {place.log_id.hex()[:16]} is not read any more")
            entries += await _read(source, place.log_index, issuers[place.log_id], trust)
        except CtlogError as error:
            unread[str(error)] = unread.get(str(error), 0) + 1
        done(1)
    verdicts = list(dry_run(items, entries, limit=len(entries) * max(len(items), 1)))
    return Rehearsed(verdicts, len(entries), unread, more)


async def _read(source: Source, index: int, issuers: Issuers, trust: Trust) -> list[Entry]:
    """The entry at an index."""
    found = []
    async for batch in source.log.follower.entries(source.head, index, index + 1):
        (key,), (before,) = chain_keys(batch), precertificates(batch)
        place = Place(source.log.log_id, source.log.name, index, source.head.size)
        chain = await issuers.chain(key)
        found.append(read_entry(place, batch.leaves[0], pre_certificate=before, chain=chain, trust=trust))
    return found
