"""What owners asked for, made to be compared with every entry of every log; does this entry touch it?

In scope: the watch list as one immutable value, small enough for a million numbers; `select`, which in about a
microsecond says whether an entry must be read in full; `match`, which says whom an entry concerns and by which reading
of it. An entry is matched on its own digits, on every plausible reading of a malformed one, and what cannot be read at
all concerns everyone whom it might. Codes are only unique in one trust domain; numbers are the same in all. Out of
scope: what to think of it (`monitor.rules`), the file form (`monitor.watch_file`).

`select` may say yes where `match` finds nobody, never the other way round: what a trust domain, an exclusion or a
country's metadata leaves out is decided with the whole entry at hand.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from ctlog.tn.labels import ONE, PREFIX, SPC, UNINDEXABLE, Label, fold_code
from ctlog.tn.national import ACCIDENTAL, INTENDED, regions_of
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber, interval
from ctlog.tn.readings import is_unbounded
from monitor.entry import Entry
from monitor.glance import Glance
from monitor.holder import bucket, holder_name, normalise, organisation, same_holder, telling_part
from monitor.hot import HOT
from monitor.items import ANYTHING, CODE, GROUP, HOLDER, ISSUER, KEY, NUMBER, RANGE, Group, Item, prefix_blocks
from monitor.items import PREFIX as PREFIX_ITEM
from monitor.number_index import point
from monitor.reading_roles import EXACT, UNREADABLE, Dialling, dialling_of, reading_role
from monitor.watch_columns import OTHER, Times, sort_out

MANY = 64  # items of one group that one claim touches before they are told of together
_CACHED = 65536
_RANK = {EXACT: 0, INTENDED: 1, ACCIDENTAL: 1, UNREADABLE: 2}


class Hit(NamedTuple):
    """An item that an entry concerns.

    claim: what of the entry touches it; None for holders, issuers, keys, and where nothing can be read. reading:
    "exact" (it says so), "intended" or "accidental" (it may be taken to say so, and probably was or was not meant to),
    "unreadable". covers: how many numbers the claim covers besides one. items: how many items this stands for; above 1
    the item is the whole group.
    """

    item: Item
    claim: Claim | None
    reading: str
    covers: int = 0
    items: int = 1


class Watchlist:
    """An immutable watch list; it remembers which labels concern nobody, so it is for one thread."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        """items: each kind as often as wanted; ids must differ. Raises: UsageError."""
        self._columns = sort_out(items)
        self._numbers, self._ranges, self._groups, self._others = self._columns
        self._plain = array("I", (at for at, owner in enumerate(self._ranges.owners) if owner < OTHER))
        self._sort_others()
        # A group of nothing but codes has no part in other trust domains; numbers, names and keys are the same in all.
        self._everywhere = {id(item.group) for item in self._others if item.kind != CODE}
        owners = {*self._numbers.owners, *map(self._ranges.owners.__getitem__, self._plain)}
        self._everywhere |= {id(self._groups[owner]) for owner in owners}
        self._order = {id(group): at for at, group in enumerate(self._groups)}
        self._sizes = self._count(self._numbers.owners, self._ranges.owners)
        self._dialling = dialling_of(self._regions())
        self._labels: dict[tuple[Label, ...], bool] = {}
        self._subjects: dict[bytes, bool] = {}
        self._issuers: dict[bytes, bool] = {}
        self._times: Sequence[Times] = ()

    def _sort_others(self) -> None:
        self._by_code: dict[str, list[Item]] = {}
        self._by_holder: dict[str, list[Item]] = {}
        self._by_issuer: dict[str, list[Item]] = {}
        self._by_key: dict[bytes, list[Item]] = {}
        for item in self._others:
            if isinstance(item.value, ServiceProviderCode):
                self._by_code.setdefault(fold_code(item.value.code), []).append(item)
            elif item.kind == KEY and isinstance(item.value, bytes):
                self._by_key.setdefault(item.value, []).append(item)
            elif item.kind in (HOLDER, ISSUER) and isinstance(item.value, str):
                where = self._by_holder if item.kind == HOLDER else self._by_issuer
                where.setdefault(bucket(normalise(item.value)), []).append(item)

    def __len__(self) -> int:
        return len(self._numbers) + len(self._plain) + len(self._others)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups, in the order of their first item."""
        return tuple(self._groups)

    def items(self) -> Iterator[Item]:
        """Every item, in the same order each time: first codes, names, keys and prefixes; then ranges; then numbers."""
        yield from self._others
        yield from map(self._spanned, self._plain)
        yield from map(self._number, range(len(self._numbers)))

    def set_added(self, added_ms: Sequence[int]) -> None:
        """Say since when each item is watched, in the order of `items`. For whoever made it, before anybody asks."""
        if len(added_ms) != len(self):
            raise ValueError("there is a time for each item")
        ranges_at, numbers_at = len(self._others), len(self._others) + len(self._plain)
        self._others[:] = [
            replace(item, added_ms=at_ms) for item, at_ms in zip(self._others, added_ms[:ranges_at], strict=True)
        ]
        for at, at_ms in zip(self._plain, added_ms[ranges_at:numbers_at], strict=True):
            self._ranges.added[at] = at_ms
        self._numbers.added[:] = array("Q", added_ms[numbers_at:])
        self._sort_others()
        self._times = self._columns.times()

    def since(self, group: Group) -> Times:
        """Since when the items of one of its groups are watched."""
        self._times = self._times or self._columns.times()
        return self._times[self._order[id(group)]]

    # The hot path -----------------------------------------------------------------------------------------------------

    def select(self, glances: list[Glance]) -> list[int]:
        """Give the positions of the entries that have to be read in full, because they may concern somebody."""
        found = self._select_by_labels(glances)
        if self._by_holder or self._by_issuer or self._by_key:
            found = sorted({*found, *self._select_by_names(glances)})
        return found

    def _select_by_labels(self, glances: list[Glance]) -> list[int]:
        if HOT is None:
            return self.match_labels([glance[4] for glance in glances])
        numbers, ranges, dialling = self._numbers.points, self._ranges, self._dialling
        candidates = HOT.candidates(
            glances, self._labels, numbers, ranges.los, ranges.reach, dialling.lengths, dialling.heads
        )
        return [at for at in candidates if self._concerns(glances[at][4])]

    def _select_by_names(self, glances: list[Glance]) -> Iterator[int]:
        """Issuers are few, and asked about first; a holder by the part of the subject that tells him."""
        named, keyed = bool(self._by_holder), bool(self._by_key)
        for at, (issuer, _, subject, spki, _) in enumerate(glances):
            if (
                self._has_name(self._issuers, issuer, issuer, self._by_issuer, organisation)
                or (named and self._has_holder(subject))
                or (keyed and sha256(spki).digest() in self._by_key)
            ):
                yield at

    def match_labels(self, batch: Sequence[tuple[Label, ...]]) -> list[int]:
        """The same by labels alone, for entries of which nothing else is known (a feed, an index)."""
        known = self._labels
        return [
            at for at, labels in enumerate(batch) if (known[labels] if labels in known else self._concerns(labels))
        ]

    def watches(self, number: str) -> bool:
        """Whether somebody watches this number (digits), or may mean it by another."""
        return self._label_concerns(Label(ONE, number))

    def _concerns(self, labels: tuple[Label, ...]) -> bool:
        known = self._labels.get(labels)
        if known is not None:
            return known
        if len(labels) == 1 and labels[0][0] == ONE:
            return self._label_concerns(labels[0])  # hardly ever seen again, and soon found: not to be remembered
        if len(self._labels) >= _CACHED:
            self._labels.clear()
        self._labels[labels] = found = any(map(self._label_concerns, labels))
        return found

    def _label_concerns(self, label: Label) -> bool:
        kind, value = label
        if kind == SPC:
            return value in self._by_code
        if kind == ONE:
            if not value.isdecimal():
                return False  # "*67#": whoever it may concern has a label of his own, or it is unindexable
            width = len(value)
            at = point(width, int(value))
            if self._numbers.has(at) or self._ranges.has(at):
                return True
            return self._dialling.may_vary(value) and self._dialled_concerns(value, 1)
        if kind == PREFIX:
            fixed = value.rstrip("x")
            count = 10 ** (len(value) - len(fixed))
            start = fixed.ljust(len(value), "0")
            return self._has(len(value), int(start), count) or self._dialled_concerns(start, count)
        return label == UNINDEXABLE and len(self) > 0

    def _has(self, width: int, first: int, count: int) -> bool:
        lo = point(width, first)
        return bool(self._numbers.between(lo, lo + count) or self._ranges.meeting(lo, lo + count))

    def _dialled_concerns(self, start: str, count: int) -> bool:
        return any(self._has(len(digits), int(digits), count) for digits in self._dialling.variants(start))

    def _has_holder(self, subject: bytes) -> bool:
        return self._has_name(self._subjects, telling_part(subject), subject, self._by_holder, holder_name)

    def _has_name(
        self, known: dict[bytes, bool], key: bytes, name: bytes, items: dict[str, list[Item]],
        read: Callable[[bytes], str],
    ) -> bool:  # fmt: skip
        found = known.get(key)
        if found is None:
            if len(known) >= _CACHED:
                known.clear()
            known[key] = found = bool(_named(items, normalise(read(name))))
        return found

    # The whole answer -------------------------------------------------------------------------------------------------

    def match(self, entry: Entry) -> list[Hit]:
        """Say whom an entry concerns: each item once, by the reading that says most; those it says least about last.

        Hits by claims come in the order of the entry's claims. One claim that touches more than 64 items of a group is
        one hit for the group, which is watched since its first item is.
        """
        found: dict[str, Hit] = {}
        touching = self._touching(entry.identity.claims, EXACT)
        for hit in (*touching, *self._by_reading(entry), *self._by_names(entry)):
            if hit.item.kind != CODE or hit.item.group.concerns(entry.trust_domain):
                known = found.get(hit.item.id)
                if known is None or _says_more(hit, known):
                    found[hit.item.id] = hit
        if self._is_anybodys(entry):
            told = {hit.item.group.tell for hit in found.values()}
            for group in self._groups:
                is_possible = id(group) in self._everywhere or group.concerns(entry.trust_domain)
                if group.tell not in told and is_possible:
                    told.add(group.tell)
                    hit = Hit(Item(ANYTHING, group.name, group, self.since(group).first_ms), None, UNREADABLE)
                    found[hit.item.id] = hit
        return sorted(found.values(), key=lambda hit: _RANK[hit.reading])

    def _touching(self, claims: Iterable[Claim], reading: str) -> Iterator[Hit]:
        for claim in claims:
            yield from self._hits(claim, claim, reading)

    def _by_reading(self, entry: Entry) -> Iterator[Hit]:
        """What it may be taken to say: second readings, and numbers as they are dialled in a country."""
        for claim in entry.identity.readings:
            hits = self._hits(claim, claim, EXACT)
            first = next(hits, None)
            if first:
                role = reading_role(entry, claim)
                yield first._replace(reading=role)
                yield from (hit._replace(reading=role) for hit in hits)
        dialling = dialling_of(regions_of(entry.trust_domain)) if entry.trust_domain else self._dialling
        for claim in entry.identity.claims:
            if not isinstance(claim, ServiceProviderCode):
                yield from self._dialled(claim, dialling)

    def _dialled(self, claim: TelephoneNumber | NumberRange, dialling: Dialling) -> Iterator[Hit]:
        span = interval(claim)
        if span is None or not any(
            self._has(len(digits), int(digits), span[2] - span[1]) for digits in dialling.variants(_start(claim))
        ):
            return
        for reading in dialling.readings(claim):
            # What cannot be told is taken for an accident, the graver of the two: somebody watches just this number.
            yield from self._hits(reading.claim, claim, INTENDED if reading.role == INTENDED else ACCIDENTAL)

    def _hits(self, wanted: Claim, claim: Claim, reading: str) -> Iterator[Hit]:
        """Find the items that `wanted` touches, for hits by `claim`."""
        if isinstance(wanted, ServiceProviderCode):
            for item in self._by_code.get(fold_code(wanted.code), ()):
                if not item.group.excludes(wanted):
                    yield Hit(item, claim, reading)
            return
        span = interval(wanted)
        if span is None:
            return
        lo = point(span[0], span[1])
        hi = lo + span[2] - span[1]
        places, spans = self._numbers.between(lo, hi), self._ranges.meeting(lo, hi)
        many = self._crowds(places, spans) if len(places) + len(spans) > MANY else {}
        for at, count in many.items():
            group = self._groups[at]
            item = Item(GROUP, group.name, group, self.since(group).first_ms)
            yield Hit(item, claim, reading, hi - lo - 1, count)
        crowded = {id(self._groups[at]) for at in many}
        for item in (
            *map(self._spanned, spans),
            *(self._number(at) for at in places if self._numbers.owners[at] not in many),
        ):
            if id(item.group) not in crowded and not _is_excluded(item, wanted):
                yield Hit(item, claim, reading, hi - lo - 1)

    def _crowds(self, places: range, spans: Sequence[int]) -> dict[int, int]:
        """Find the groups of which more than `MANY` items are touched: which, and how many items."""
        numbers, ranges = self._numbers.owners, self._ranges.owners
        counts = self._count(map(numbers.__getitem__, places), map(ranges.__getitem__, spans))
        return {owner: count for owner, count in counts.items() if count > MANY}

    def _count(self, numbers: Iterable[int], spans: Iterable[int]) -> Counter[int]:
        counts, order = Counter(numbers), self._order
        counts.update(owner if owner < OTHER else order[id(self._others[owner - OTHER].group)] for owner in spans)
        return counts

    def crowd(self, item: Item) -> Item | None:
        """The group of an item as an item, where one claim may touch it as such: it learns what each number does."""
        if item.kind not in (NUMBER, RANGE, PREFIX_ITEM) or self._sizes[self._order.get(id(item.group), -1)] <= MANY:
            return None
        return Item(GROUP, item.group.name, item.group, item.added_ms)

    def _regions(self) -> list[str]:
        """The countries in whose format a watched number may be written: those of its country code."""
        found: dict[str, None] = {}
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
            if any(self._has_between(block) for block in prefix_blocks(str(code))):
                found |= dict.fromkeys(regions)
        return list(found)

    def _has_between(self, block: TelephoneNumber | NumberRange) -> bool:
        span = interval(block)
        return span is not None and self._has(span[0], span[1], span[2] - span[1])

    def _number(self, at: int) -> Item:
        width, value = divmod(self._numbers.points[at], point(1, 0))
        digits = TelephoneNumber(str(value).zfill(width))
        return Item(NUMBER, digits, self._groups[self._numbers.owners[at]], self._numbers.added[at])

    def _spanned(self, at: int) -> Item:
        owner = self._ranges.owners[at]
        if owner >= OTHER:
            return self._others[owner - OTHER]
        width, value = divmod(self._ranges.los[at], point(1, 0))
        block = NumberRange(str(value).zfill(width), self._ranges.his[at] - self._ranges.los[at])
        return Item(RANGE, block, self._groups[owner], self._ranges.added[at])

    def _by_names(self, entry: Entry) -> Iterator[Hit]:
        if entry.parsed is None:
            return
        issuing = normalise(organisation(entry.parsed.issuer))
        for item in (
            *_named(self._by_holder, entry.holder_key), *_named(self._by_issuer, issuing),
            *self._by_key.get(entry.key_hash, ()),
        ):  # fmt: skip
            yield Hit(item, None, EXACT)

    def _is_anybodys(self, entry: Entry) -> bool:
        """Whether an entry may concern people whom no reading of it names."""
        identity = entry.identity
        if not identity.is_unindexable or not (identity.claims_number or entry.parsed is None):
            return False
        if not identity.is_whole or (identity.by_reference and not entry.is_resolved):
            return True  # whatever else was read: it may be there to hide this
        claims = (*identity.claims, *identity.readings)
        return not claims or any(isinstance(each, TelephoneNumber) and is_unbounded(each) for each in claims)


def _start(claim: TelephoneNumber | NumberRange) -> str:
    return claim.digits if isinstance(claim, TelephoneNumber) else claim.start


def _says_more(hit: Hit, known: Hit) -> bool:
    if _RANK[hit.reading] != _RANK[known.reading]:
        return _RANK[hit.reading] < _RANK[known.reading]
    return hit.covers < known.covers


def _named(items: dict[str, list[Item]], name: str) -> list[Item]:
    candidates = items.get(bucket(name), ())
    return [item for item in candidates if isinstance(item.value, str) and same_holder(normalise(item.value), name)]


def _is_excluded(item: Item, wanted: Claim) -> bool:
    return item.group.excludes(item.value if isinstance(item.value, TelephoneNumber) else wanted)
