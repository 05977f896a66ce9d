"""When: T-10, T-12, T-13, T-26.

In scope: certificates soon after a number changed hands, older than the item, valid for too long, or logged at odd
times. Times of certificates include their last second. Out of scope: what is late in the monitor itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from ctlog.errors import MalformedError
from ctlog.tn.numbers import Claim, ServiceProviderCode, TelephoneNumber, overlaps
from ctlog.x509.chain import is_ca
from monitor.entry import Entry, describe_issuer
from monitor.items import CODE, GROUP, Item
from monitor.reading_roles import EXACT
from monitor.rules.baseline import EXPECTED, NEW, REFUSED, REPORTED, is_before, is_from_later_log, is_history
from monitor.rules.issuer import standing_of
from monitor.rules.key import is_rcs
from monitor.rules.next_steps import ask, revoke
from monitor.rules.values import (
    DAY_MS,
    HOUR_MS,
    OPERATOR,
    OWNER,
    S1,
    S2,
    S3,
    Context,
    Event,
    Finding,
    PastClaim,
    say,
    say_claim,
    say_day,
)
from monitor.watchlist import Hit

SOON_MS = 72 * HOUR_MS
LONGEST_DAYS, LONGEST_RCS_DAYS = 398, 76
LATE_MS = 30 * DAY_MS
MANY_AN_HOUR = 5

NOT_YOUR_CHANGE = (
    "Compare with your carrier's notice. If you changed nothing, call your carrier at once: your number may have been "
    "taken over."
)
_EVENTS = {"port": "was ported", "sim": "got another SIM"}


def t10(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A certificate soon after a number was ported or its SIM changed, or as if it had been: with a new key."""
    if hit is None or hit.reading != EXACT or not _is_number(hit.claim):
        return None
    if is_before(entry, hit.item, context.was_there):
        return None
    if not entry.key_hash:
        return None
    events = [event for event in context.events if _concerns(event, hit.claim)]
    for event in events:
        if context.profile.knows_key(entry.key_hash, event.at_ms):
            continue  # what came after the event makes no key old, the entry itself least: it may be judged again
        if is_soon_after(entry.not_before_ms, event.at_ms) or is_soon_after(entry.timestamp_ms, event.at_ms):
            what = _EVENTS.get(event.kind, say(event.kind))
            reason = f"A certificate with a new key came within 72 hours after +{event.number} {what}."
            return Finding("T-10", S1, reason, NOT_YOUR_CHANGE)
    if events or context.profile.count == 0 or hit.item.kind == GROUP:  # somebody's renewal is no news for the others
        return None
    if context.profile.knows_key(entry.key_hash):
        return None
    standing = standing_of(entry, hit.item, context)
    if standing in (NEW, REPORTED, REFUSED) and is_soon_after(entry.timestamp_ms, context.profile.last_ms):
        reason = f"Issuer and key of {hit.item.text} both changed within 72 hours after its last renewal."
        action = "If you changed nothing, your number may have been taken over: call your carrier at once."
        return Finding("T-10", S1, reason, action)
    return None


def _is_number(claim: Claim | None) -> bool:
    return claim is not None and not isinstance(claim, ServiceProviderCode)


def _concerns(event: Event, claim: Claim | None) -> bool:
    try:
        return claim is not None and overlaps(TelephoneNumber(event.number.removeprefix("+")), claim)
    except MalformedError:
        return False


def is_soon_after(at_ms: int | None, since_ms: int) -> bool:
    """Whether a time is within 72 hours after an event."""
    return at_ms is not None and 0 <= at_ms - since_ms <= SOON_MS


def t12(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A certificate from before the item was watched that had not ended then: the former owner's, perhaps."""
    if hit is None or hit.reading != EXACT or hit.claim is None:
        return None
    there = context.was_there
    if not is_before(entry, hit.item, there) or is_history(entry, hit.item, there):
        return None
    if hit.item.kind == CODE:
        return _present_for_code(entry, hit.item, context)
    if not _is_number(hit.claim):
        return None
    if is_from_later_log(hit.item, context.joined_ms) and _is_known_elsewhere(entry, context):
        return None
    reason = (
        f"A certificate for {say_claim(hit.claim)} was there when you began to watch it: valid from "
        f"{say_day(entry.not_before_ms)} until {say_day(entry.not_after_ms)}."
    )
    action = f"If it is yours, authorise it; if it is a former owner's or a stranger's, refuse it, and {revoke(entry)}."
    return Finding("T-12", S2, reason, action)


def _present_for_code(entry: Entry, item: Item, context: Context) -> Finding | None:
    """A code has many certificates, and its issuers are few: each of them is shown once. Whoever comes with a log that
    was added later is T-01's."""
    standing = standing_of(entry, item, context)
    if standing in (EXPECTED, REFUSED) or is_from_later_log(item, context.joined_ms):
        return None
    if told_of_present(entry) in context.profile.told:
        return None
    issuer, holder = say(describe_issuer(entry)), say(entry.holder) or "nobody who is named"
    reason = (
        f"{issuer} had issued for {item.text} when you began to watch it: to {holder}, valid until "
        f"{say_day(entry.not_after_ms)}. Until you say otherwise it counts as usual."
    )
    action = f"If this issuer is yours, authorise it; if not, refuse it, and {revoke(entry)}."
    return Finding("T-12", S2, reason, action)


def told_of_present(entry: Entry) -> str:
    """Name what T-12 says once of each issuer of a code."""
    return f"T-12 {entry.issuer.text}"


def _is_known_elsewhere(entry: Entry, context: Context) -> bool:
    """Whether another log had the same certificate, which was judged there."""
    return any(
        claim.log_id != entry.log_id
        and entry.key_hash.startswith(claim.key)
        and claim.issuer == entry.issuer.text
        and _same_second(claim.not_before_ms, entry.not_before_ms)
        and _same_second(claim.not_after_ms, entry.not_after_ms)
        for claim in context.claims
    )


def t13(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Validity beyond 398 days, 76 for RCS, or what the owner expects; notAfter is included."""
    del context
    begin, end = entry.not_before_ms, entry.not_after_ms
    if entry.parsed is None or begin is None or end is None or is_ca(entry.parsed):
        return None
    days = (end - begin + 1000) / DAY_MS
    limit: float = LONGEST_RCS_DAYS if is_rcs(entry) else LONGEST_DAYS
    wanted = hit.item.expect.max_validity_days if hit and hit.reading == EXACT else None
    if days <= (limit if wanted is None else min(limit, wanted)):
        return None
    reason = f"It is valid for {days:,.0f} days, more than {limit if wanted is None else min(limit, wanted):g}."
    action = ask(entry, "for one that is valid for a shorter time")
    return Finding("T-13", S3, reason, action, OWNER if hit and hit.reading == EXACT else OPERATOR)


def t26(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Logged long after it began, or one of many for a number within an hour."""
    to = OWNER if hit and hit.reading == EXACT else OPERATOR
    if hit is not None and is_before(entry, hit.item, context.was_there):
        return None
    begin = entry.not_before_ms
    if begin is not None and entry.timestamp_ms - begin > LATE_MS and not context.filling:
        days = (entry.timestamp_ms - begin) // DAY_MS
        reason = f"It was logged {days:,} days after its validity begins."
        return Finding("T-26", S3, reason, ask(entry, "why it was logged so late"), to)
    if hit is None or not isinstance(hit.claim, TelephoneNumber):
        return None
    count = _issuances(entry, hit.claim, context.claims)
    if count <= MANY_AN_HOUR:
        return None
    reason = f"{count} certificates were issued for +{hit.claim.digits} within an hour."
    action = "Find out which of your devices and apps ask for them, and switch it off there."
    return Finding("T-26", S3, reason, action, to)


def _issuances(entry: Entry, number: TelephoneNumber, claims: Iterable[PastClaim]) -> int:
    """How many certificates for a number were issued within the hour before this one, and with it.

    History keeps no serial numbers. One issuance stands in each log once as a precertificate and once as a certificate,
    all with one issuer, key and time: so there are at least as many as one log has of one form. The entry itself may
    be another form of one of them.
    """
    label = b"one:" + number.digits.encode()
    found: dict[tuple[str, bytes, int, int], dict[tuple[bytes, bool], set[int]]] = {}
    for claim in claims:
        if claim.label == label and 0 <= entry.timestamp_ms - claim.logged_ms <= HOUR_MS:
            same = claim.issuer, claim.key, claim.not_before_ms // 1000, claim.not_after_ms // 1000
            found.setdefault(same, {}).setdefault((claim.log_id, claim.precert), set()).add(claim.log_index)
    times = (entry.not_before_ms or 0) // 1000, (entry.not_after_ms or 0) // 1000
    own = next((same for same in found if entry.key_hash.startswith(same[1]) and same[2:] == times
                and same[0] == entry.issuer.text), (entry.issuer.text, entry.key_hash, *times))  # fmt: skip
    found.setdefault(own, {}).setdefault((entry.log_id, entry.precert), set()).add(entry.index)
    return sum(max(map(len, forms.values())) for forms in found.values())


def _same_second(one_ms: int, other_ms: int | None) -> bool:
    return other_ms is not None and one_ms // 1000 == other_ms // 1000
