"""What a judgement may look at: earlier claims, answers, events and sources, gathered for one entry and one item.

In scope: what a `Context` needs from the history and the state. Only what is settled counts: a claim that was read and
whose alert is not stored yet would hide itself after a crash, so of every log only what its stored position has passed
is history, and of the entry's own log only what stands before it. Out of scope: rules, and when this is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ctlog.tn.labels import PREFIX, UNINDEXABLE, Label, claim_labels, format_label, labels_holding
from ctlog.tn.numbers import Claim as NumberClaim
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from monitor.claims import Claim, hint, key_label, label_key, numbers_between, parse_claim, seconds, spki_key
from monitor.entry import NOWHERE, Entry
from monitor.history import History
from monitor.history_files import HASHED
from monitor.holder import normalise, same_holder
from monitor.items import HOLDER, ISSUER, Item, prefix_blocks
from monitor.rules.values import NOTHING_AUTHORISED, NOTHING_REFUSED, Authorised, Event, PastClaim, Refused
from monitor.state.rows import Authorisation, EventRow

MAX_CLAIMS = 512
"""Earlier claims that one judgement looks at, the newest ones."""


class Place(NamedTuple):
    """Where an entry stands, when it was logged, and from when until when its certificate is valid; whole seconds."""

    log_id: bytes
    log_index: int
    logged_ms: int
    not_before_ms: int
    not_after_ms: int


class Past:
    """The history as far as it is settled. `stored`: by number of the log, the position that is stored."""

    def __init__(self, history: History, stored: Mapping[int, int]) -> None:
        self._history = history
        self._stored = stored

    def claims(self, entry: Entry, claim: NumberClaim | None) -> tuple[PastClaim, ...]:
        """Earlier claims of labels that this claim has, or that hold it."""
        if claim is None:
            return ()
        found: dict[bytes, PastClaim] = {}
        for key, label in _wanted(claim):
            rows = self._between(*key) if isinstance(key, tuple) else self._history.lookup_key(key)
            for row in self._settled(entry, rows):
                known = label or key_label(row.label)
                if known is not None:
                    found[_place(row) + format_label(known)] = self._past(entry, row, format_label(known), row.key)
        return tuple(sorted(found.values(), key=lambda each: each.logged_ms)[-MAX_CLAIMS:])

    def key_uses(self, entry: Entry, *, later: bool = False) -> tuple[PastClaim, ...]:
        """Earlier certificates with the entry's key, or (later) all others. Of another label than the entry has only
        that is known (b"")."""
        if not entry.key_hash:
            return ()
        own = {hint(label_key(label)): format_label(label) for label in entry.labels}
        rows = self._history.lookup_key(int.from_bytes(spki_key(entry.key_hash), "big"))
        key = entry.key_hash[:7]
        uses = [self._past(entry, row, own.get(row.key, b""), key) for row in self._settled(entry, rows, later=later)]
        return tuple(sorted(uses, key=lambda each: each.logged_ms)[-MAX_CLAIMS:])

    def holds(self, entry: Entry) -> bool:
        """Whether what was read of the entry's own log has this certificate, logged at this time, anywhere."""
        own, claimed = self._history.log_number(entry.log_id), {hint(label_key(label)) for label in entry.labels}
        rows = self._history.lookup_key(int.from_bytes(spki_key(entry.key_hash), "big")) if entry.key_hash else []
        times = seconds(entry.timestamp_ms) * 1000, seconds(entry.not_before_ms) * 1000
        return any(
            row.log == own and row.log_index < self._stored.get(own, 0) and row.key in claimed
            and (row.logged_ms, row.not_before_ms) == times
            for row in rows
        )  # fmt: skip

    def places(self, item: Item) -> Iterator[list[Place]]:
        """Where claims stand that concern an item, in pieces, some perhaps twice. Names are looked for everywhere.

        Settled or not: an entry that is being read just now may have been compared with the watch list of before.
        """
        if item.kind in (HOLDER, ISSUER) and isinstance(item.value, str):
            yield from self._by_name(item.kind, normalise(item.value))
        elif isinstance(item.value, bytes):
            yield from self._by_key(int.from_bytes(spki_key(item.value), "big"))
        elif isinstance(item.value, str):
            for block in prefix_blocks(item.value):
                yield from self.touching(block)
        else:
            yield from self.touching(item.value)

    def touching(self, claim: NumberClaim) -> Iterator[list[Place]]:
        """The same of claims that touch this one."""
        for key, _ in _wanted(claim):
            yield from self._by_key(*key) if isinstance(key, tuple) else self._by_key(key)

    def unindexable(self) -> Iterator[list[Place]]:
        """The same of entries whose labels do not say all, such as those of more than 1,024: may concern any number."""
        yield from self._by_key(label_key(UNINDEXABLE))

    def _by_key(self, lo: int, hi: int | None = None) -> Iterator[list[Place]]:
        for piece in self._history.scan(lo, lo + 1 if hi is None else hi):
            yield self._places(map(parse_claim, piece))

    def _by_name(self, kind: str, wanted: str) -> Iterator[list[Place]]:
        history = self._history
        named = {
            number for number, name in history.names()
            if same_holder(wanted, name.partition(" @ ")[0] if kind == ISSUER else name)
        }  # fmt: skip
        for piece in history.scan():
            rows = map(parse_claim, piece)
            yield self._places(row for row in rows if (row.issuer if kind == ISSUER else row.holder) in named)

    def _places(self, rows: Iterable[Claim]) -> list[Place]:
        log_id = self._history.log_id
        return [
            Place(log_id(row.log), row.log_index, row.logged_ms, row.not_before_ms, row.not_after_ms) for row in rows
        ]

    def _between(self, lo: int, hi: int) -> list[Claim]:
        return self._history.between(lo, hi, limit=8 * MAX_CLAIMS)

    def _settled(self, entry: Entry, rows: Iterable[Claim], *, later: bool = False) -> Iterable[Claim]:
        own = self._history.log_number(entry.log_id) if entry.index != NOWHERE else None
        for row in rows:
            is_own = row.log == own
            stop = entry.index if is_own and not later else self._stored.get(row.log, 0)
            if row.log_index < stop and not (is_own and row.log_index == entry.index):
                yield row

    def _past(self, entry: Entry, row: Claim, label: bytes, key: bytes) -> PastClaim:
        history = self._history
        holder = history.name(row.holder)
        if row.holder >= HASHED:  # a name that did not fit any more: it can be compared, and not read
            holder = entry.holder_key if row.holder == history.name_number(entry.holder_key) else f"#{row.holder:08x}"
        return PastClaim(
            label, history.name(row.issuer), holder, key, row.not_before_ms, row.not_after_ms, row.logged_ms,
            history.log_id(row.log), row.log_index, row.is_precertificate,
        )


def _place(row: Claim) -> bytes:
    return row.log.to_bytes(2, "big") + row.log_index.to_bytes(5, "big")


def _wanted(claim: NumberClaim) -> Iterable[tuple[int | tuple[int, int], Label | None]]:
    """Keys to look up, or spans of keys, with their labels where these are known."""
    if isinstance(claim, NumberRange):
        width, first = len(claim.start), int(claim.start)
        yield numbers_between(width, first, first + claim.count - 1), None
        for label in labels_holding(claim.start):
            if label.kind == PREFIX and claim.last.startswith(label.value.rstrip("x")):
                yield label_key(label), label
    elif isinstance(claim, TelephoneNumber):
        for label in labels_holding(claim.digits):
            yield label_key(label), label
    elif isinstance(claim, ServiceProviderCode):
        label = claim_labels(claim)[0]
        yield label_key(label), label


def refused_for(item: Item | None, rows: Iterable[Authorisation]) -> Refused:
    """What was refused for an item, or for all; since when."""
    refused = _decisive(item, rows, is_refusal=True)
    keys = {bytes.fromhex(row.value): row.created_ms for row in refused if row.kind == "key"}
    issuers = {row.value: row.created_ms for row in refused if row.kind == "issuer"}
    return Refused(keys, issuers) if keys or issuers else NOTHING_REFUSED


def _decisive(item: Item | None, rows: Iterable[Authorisation], *, is_refusal: bool) -> list[Authorisation]:
    """The answers that hold for an item: of several about one thing that which is about less, else the later one.

    So a word for everything that is watched takes back nobody's own refusal.
    """
    found: dict[tuple[str, str], tuple[int, int, Authorisation]] = {}
    for row in rows:
        if row.item and (item is None or row.item not in (item.id, item.group.name)):
            continue
        nearness = 0 if not row.item else 2 if item is not None and row.item == item.id else 1
        known = found.get((row.kind, row.value))
        if known is None or (nearness, row.id) > known[:2]:
            found[row.kind, row.value] = nearness, row.id, row
    return [row for _, _, row in found.values() if row.is_refusal == is_refusal]


def in_force(rows: Iterable[Authorisation], now_ms: int) -> list[Authorisation]:
    """Those that have not ended: whoever keeps them keeps some for longer than they hold."""
    return [row for row in rows if row.until_ms is None or row.until_ms > now_ms]


def authorised_for(item: Item | None, rows: Iterable[Authorisation]) -> Authorised:
    """What was authorised for an item, or for all."""
    issuances, keys, issuers = set(), set(), set()
    for row in _decisive(item, rows, is_refusal=False):
        if row.kind == "certificate":
            issuances.add(bytes.fromhex(row.value))
        elif row.kind == "key":
            keys.add(bytes.fromhex(row.value))
        elif row.kind == "issuer":
            issuers.add(row.value)
    if not (issuances or keys or issuers):
        return NOTHING_AUTHORISED
    return Authorised(frozenset(issuances), frozenset(keys), frozenset(issuers))


def events_for(claim: NumberClaim | None, rows: Mapping[str, list[EventRow]]) -> tuple[Event, ...]:
    """The events of the numbers that a claim covers; of a range, those of every number in it that had one."""
    if isinstance(claim, TelephoneNumber):
        found = rows.get(claim.digits, [])
    elif isinstance(claim, NumberRange):
        found = [row for number, each in rows.items() if _is_in(number, claim) for row in each]
    else:
        return ()
    return tuple(Event(row.kind, row.number, row.at_ms, row.note) for row in found)


def _is_in(number: str, block: NumberRange) -> bool:
    return len(number) == len(block.start) and block.start <= number <= block.last


