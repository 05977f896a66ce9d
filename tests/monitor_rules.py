"""Judging one entry in a test: the hit that an item has, what each rule says, what a profile learned before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Subject
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import Certificate
from monitor.entry import Entry
from monitor.items import CODE, NUMBER, RANGE, Expect, Group, Item
from monitor.replay import Replay
from monitor.rules import judge, verdicts
from monitor.rules.baseline import Profile
from monitor.rules.values import Context, Finding, PastClaim, sentence
from monitor.rules.verdict import Verdict
from monitor.watchlist import Hit, Watchlist
from tests.monitor_certificates import DOMAIN, GOOD, NOW_MS, key, logged, number_leaf, subject

N = "12025550123"
NUMBER_CLAIM = TelephoneNumber(N)


def item(value: Claim | str = N, *, added_ms: int = 0, name: str = "mine", **expect: Any) -> Item:
    """A watched number, range or code (text that is no number), with what its owner expects."""
    if isinstance(value, str):
        value = TelephoneNumber(value) if value.isdecimal() and len(value) > 6 else ServiceProviderCode(value)
    kinds = {TelephoneNumber: NUMBER, NumberRange: RANGE, ServiceProviderCode: CODE}
    return Item(kinds[type(value)], value, Group(name, ("mail",), DOMAIN, Expect(**expect)), added_ms)


def hit_of(entry: Entry, of: Item) -> Hit:
    """How the entry concerns the item."""
    (found,) = Watchlist([of]).match(entry)
    return found


def findings(entry: Entry, of: Item | None = None, **context: Any) -> dict[str, Finding]:
    """What every rule says of an entry, for an item or for nobody."""
    hit = hit_of(entry, of) if of is not None else None
    found = judge(entry, hit, Context(now_ms=entry.timestamp_ms, **context))
    for each in found:
        assert each.reason[-1] in ".)", each
        assert each.action == sentence(each.action), each
        assert each.action.endswith("."), each
        assert "somebody" not in each.action, "whoever is not known cannot be asked"
    return {finding.rule: finding for finding in found}


def severities(entry: Entry, of: Item | None = None, **context: Any) -> dict[str, int]:
    """The same, with the severities alone."""
    return {rule: int(finding.severity) for rule, finding in findings(entry, of, **context).items()}


def verdict(entry: Entry, of: Item, **context: Any) -> Verdict:
    """What the owner of the item is told."""
    return verdicts(entry, hit_of(entry, of), Context(now_ms=entry.timestamp_ms, **context))[0]


def learned(of: Item, *entries: Entry) -> Profile:
    """What the item's profile has learned from these entries."""
    replay = Replay([of])
    for entry in entries:
        replay.take(entry)
    return replay.profiles[of.id]


def number_entry(
    claims: Iterable[Claim] = (NUMBER_CLAIM,), ca: Authority = GOOD, who: Subject | None = None, *,
    day: float = 0, **options: Any,
) -> Entry:  # fmt: skip
    """A logged certificate for numbers, `day` days later than the others; `options` are those of `subject`."""
    at_ms = NOW_MS + int(day * DAY_MS)
    who = who or subject(start_ms=at_ms, **options)
    return logged(number_leaf(list(claims), ca, who), ca, timestamp_ms=at_ms)


def code_entry(
    code: str = "709J", holder: str = "Example Inc", ca: Authority = GOOD, *, day: float = 0, **options: Any
) -> Entry:
    """The same for a provider's code."""
    at_ms = NOW_MS + int(day * DAY_MS)
    value, who = issuance.spc(code), subject(holder, cn=f"SHAKEN {code}", start_ms=at_ms, **options)
    return logged(number_leaf(value, ca, who), ca, timestamp_ms=at_ms)


def past(entry: Entry, label: bytes = b"one:" + N.encode(), **changes: Any) -> PastClaim:
    """An entry as history remembers it."""
    assert entry.not_before_ms is not None
    assert entry.not_after_ms is not None
    claim = PastClaim(
        label, entry.issuer.text, entry.holder_key, entry.key_hash[:6], entry.not_before_ms, entry.not_after_ms,
        entry.timestamp_ms, entry.log_id, entry.index,
    )  # fmt: skip
    return claim._replace(**changes)


def delegate(claims: Iterable[Claim], ca: Authority = GOOD, number: int = 700, **options: Any) -> Authority:
    """A delegate CA that holds these numbers."""


    listed = list(claims)
    value = format_tnauthlist(listed) if listed else b""
    who = replace(subject("Delegate Inc", key_number=number, days=1000), **options)
    return issuance.intermediate(ca, key(number), who, tn_value=value)


def without(certificate: Certificate, oid: bytes) -> Certificate:
    """The same certificate, as if it lacked an extension."""
    return certificate._replace(extensions=tuple(each for each in certificate.extensions if each.oid != oid))
