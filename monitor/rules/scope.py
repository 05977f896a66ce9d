"""What is claimed, and by what right: T-04, T-05, T-06, T-07, T-17.

In scope: ranges that are too wide, codes that do not serve a number, delegates that claim more than their issuers hold
(RFC 9060 section 4), scopes that are kept elsewhere. Out of scope: how claims are written (`form`).
"""

from __future__ import annotations

from ctlog.errors import CtlogError
from ctlog.tn.delegation import Scope, check_encompassed
from ctlog.tn.findings import MEANINGS
from ctlog.tn.findings import Finding as Oddity
from ctlog.tn.identity import Identity, read_identity
from ctlog.tn.labels import fold_code
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, contains
from ctlog.x509.chain import is_ca
from ctlog.x509.der import Certificate, children, oid, only_child
from ctlog.x509.precert import OID_AUTHORITY_KEY_ID
from monitor.entry import Entry
from monitor.holder import same_holder
from monitor.items import ANYTHING, GROUP, Item
from monitor.reading_roles import EXACT
from monitor.rules.next_steps import ask, revoke
from monitor.rules.values import OPERATOR, OWNER, S1, S2, S3, Context, Finding, say, say_claim, say_day, sentence
from monitor.watchlist import Hit

WIDE = 10_000
"""Numbers of a block as they are allotted (an exchange code of North America); more in one entry is suspect."""

OID_SUBJECT_KEY_ID = oid("2.5.29.14")


def t04(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A range that covers the item and is very wide, or does not stand on the boundaries of its own decimal block."""
    del context
    if hit is None or hit.reading != EXACT or not hit.item.is_numeric:
        return None
    for claim in entry.identity.claims:
        if isinstance(claim, NumberRange) and _touches(hit, claim) and not _is_own(hit.item, claim):
            if claim.count > WIDE:
                problem = f"covers {claim.count:,} numbers"
            elif not is_aligned(claim):
                problem = "begins or ends inside of a decimal block of its own size"
            else:
                continue
            reason = f"It claims {say_claim(claim)}, which {problem}."
            action = f"Ask your provider whether the block is its own: if so, expect it (ranges); else {revoke(entry)}."
            return Finding("T-04", S2, reason, action)
    return None


def is_aligned(claim: NumberRange) -> bool:
    """Whether both ends stand on multiples of the largest power of ten that the range holds."""
    size: int = 10 ** (len(str(claim.count)) - 1)
    return claim.lo % size == 0 and claim.hi % size == 0


def _touches(hit: Hit, claim: Claim) -> bool:
    return bool(hit.claim == claim) if hit.item.kind == GROUP else hit.item.is_touched_by(claim)


def _is_own(item: Item, claim: NumberRange) -> bool:
    own = [*item.expect.ranges, *([item.value] if isinstance(item.value, NumberRange) else [])]
    return any(isinstance(held, NumberRange) and contains(held, claim) for held in own)


def t05(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A code that somebody else holds, by the table of codes."""
    if hit is None or not entry.identity.codes:
        return None
    if hit.reading != EXACT or context.codes is None or not isinstance(hit.claim, ServiceProviderCode):
        return None
    holders = context.codes.holders(hit.claim.code)
    if not holders or not entry.holder_key or any(same_holder(holder, entry.holder_key) for holder in holders):
        return None
    reason = f"{say(hit.claim.code)} is held by {say(', '.join(holders))}, not by {say(entry.holder)}, the table says."
    return Finding("T-05", S3, reason, ask(entry, "by which authority token it gave the code to another holder"))


def t06(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A delegate that claims more than a CA above it holds, or below one that may not delegate."""
    del context
    if entry.parsed is None or not entry.issuers:
        return None
    problem = _exceeds(entry) or _is_no_delegate(entry.parsed, entry.issuers)
    if problem is None:
        return None
    action = sentence(f"{revoke(entry)}; the certificates themselves prove it.")
    return Finding("T-06", S1, problem, action, OWNER if hit and hit.reading == EXACT else OPERATOR)


def above(entry: Entry) -> list[Identity]:
    """What each CA above holds, the nearest first."""
    return [read_identity(issuer) for issuer in entry.issuers]


def delegation(entry: Entry) -> list[Oddity]:
    """What comparing the entry with the CAs above it shows.

    A CA directly under an accepted root may have no list: so a list that stands only at the root is missed by nobody.
    """
    identities = above(entry)
    found = [each for each in check_encompassed(entry.identity, identities) if each.id != "scope-list-missing"]
    missing = check_encompassed(entry.identity, identities[:-1])
    return [*found, *(each for each in missing if each.id == "scope-list-missing")]


def _exceeds(entry: Entry) -> str | None:
    found = [each for each in delegation(entry) if MEANINGS[each.id].rule == "T-06"]
    return found[0].text if found else None


def _is_no_delegate(child: Certificate, issuers: tuple[Certificate, ...]) -> str | None:
    """What speaks against a delegation besides numbers: an issuer that is no CA, key identifiers that differ."""
    for issuer in issuers[:-1]:
        if read_identity(issuer).has_list:
            if not is_ca(issuer):
                return "It was issued below a certificate that holds numbers and is no CA's (RFC 9060 section 4)."
            wanted, own = _key_id(child, OID_AUTHORITY_KEY_ID), _key_id(issuer, OID_SUBJECT_KEY_ID)
            if wanted and own and wanted != own:
                return "Its authority key identifier is not that of the delegate CA that signed it (RFC 9060)."
        child = issuer
    return None


def _key_id(certificate: Certificate, kind: bytes) -> bytes:
    """The identifier in a subject or authority key identifier; b"" if it cannot be read."""
    found = certificate.extension(kind)
    if found is None:
        return b""
    value = found.value
    try:
        if kind == OID_SUBJECT_KEY_ID:
            lo, hi = only_child(value, 0x04, "key identifier")
            return value[lo:hi]
        lo, hi = only_child(value, 0x30, "key identifier")
        return next((value[start:stop] for tag, start, stop in children(value, lo, hi, "id") if tag == 0x80), b"")
    except CtlogError:
        return b""


def t07(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Numbers under a code: whether they are behind it, no certificate can say; the owner may."""
    del context
    if hit is None or hit.reading != EXACT or isinstance(hit.claim, ServiceProviderCode) or not entry.issuers:
        return None
    holders = [identity for identity in above(entry) if identity.codes and not _holds(identity, hit.claim)]
    if hit.claim is None or not holders:
        return None
    codes = frozenset(fold_code(code) for identity in holders for code in identity.codes)
    shown = say(", ".join(sorted(codes)))
    right = frozenset(map(fold_code, hit.item.expect.codes))
    if right and codes.isdisjoint(right):
        reason = f"{say_claim(hit.claim)} was delegated under {shown}, but {', '.join(sorted(right))} serves it."
        action = f"Ask your carrier who requested it; if nobody did, {revoke(entry)}."
        return Finding("T-07", S1, sentence(reason), action)
    reason = f"{say_claim(hit.claim)} was delegated under {shown}; no certificate says whether it is behind that code."
    return Finding("T-07", S3, sentence(reason), "Ask your carrier whether your number is behind that code.")


def _holds(identity: Identity, claim: Claim | None) -> bool:
    return claim is not None and Scope(identity.claims).holds(claim)


def t17(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A scope that is kept elsewhere, where it can change after logging."""
    if hit is None or not entry.identity.by_reference:
        return None
    where = say(entry.identity.by_reference[0])
    action = ask(entry, "to put the scope into the certificate, where it cannot change")
    read = [snapshot for snapshot in context.snapshots if snapshot.claims is not None]
    if hit.item.kind != ANYTHING and len(read) > 1 and _adds(hit.item, [snapshot.claims or () for snapshot in read]):
        reason = f"What stands at {where} was changed after logging, and now holds {hit.item.text}."
        return Finding("T-17", S2, reason, action)
    failed = [snapshot for snapshot in context.snapshots[-1:] if snapshot.claims is None]
    if failed:
        reason = f"Its scope is kept at {where}, which could not be read on {say_day(failed[0].fetched_ms)}."
        return Finding("T-17", S3, reason, action)
    return Finding("T-17", S3, f"Its scope is kept at {where}, where it can change after logging.", action)


def _adds(item: Item, scopes: list[tuple[Claim, ...]]) -> bool:
    """Whether the last scope holds the item and the first did not."""
    first, last = (any(item.is_touched_by(claim) for claim in scope) for scope in (scopes[0], scopes[-1]))
    return last and not first
