"""Who issued, and to whom: T-01, T-03, T-09, T-19.

In scope: issuers and holders that are not the item's usual or expected ones; several issuers at once; CAs that nobody
has seen before. An issuer is its accepted root and organisation (`monitor.entry.IssuerId`). Out of scope: keys (`key`),
what a certificate claims (`scope`).
"""

from __future__ import annotations

from ctlog.tn.identity import read_identity
from ctlog.tn.numbers import NumberRange
from ctlog.x509.chain import is_ca
from ctlog.x509.names import name_text
from monitor.entry import Entry, describe_issuer
from monitor.holder import normalise, organisation
from monitor.items import CODE, HOLDER, ISSUER, KEY, Item
from monitor.reading_roles import EXACT
from monitor.rules.baseline import (
    FIRST,
    LEARNED,
    NEW,
    REFUSED,
    REPORTED,
    UNANSWERED,
    holder_standing,
    is_before,
    is_from_later_log,
    is_history,
    issuer_standing,
)
from monitor.rules.next_steps import revoke, supervisor
from monitor.rules.values import (
    OPERATOR,
    S1,
    S2,
    S3,
    S4,
    Context,
    Finding,
    Severity,
    say,
    say_claim,
    say_day,
    say_issuer,
    say_name,
    sentence,
)
from monitor.watchlist import Hit

NARROW = 100
"""Numbers that an entry may cover and still be as grave as one for a single number."""

ASK = "Ask your provider whether it was requested; if not, {revoke}, and tell {supervisor}."
IS_IT_YOURS = "If you or your provider asked for it, authorise it; if not, refuse it, and {revoke}."
REFUSED_AGAIN = "{revoke}, and tell {supervisor}: it goes on although you refused it."
ASK_NOBODY = "Ask your provider whether it was requested; if not, show them this: who issued it is not known."


def t01(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Issuer not expected for this number or code; the first one of all; or a known issuer's new key."""
    if hit is None or hit.reading != EXACT:
        return None
    if hit.item.kind == ISSUER:
        return _by_watched_issuer(entry, hit.item, context)
    item, standing = hit.item, standing_of(entry, hit.item, context)
    is_late = standing in (NEW, FIRST) and is_from_later_log(item, context.joined_ms)
    if _is_past(entry, item, context, is_asked=bool(item.expect.issuers) or standing == REFUSED or is_late):
        return None
    issuer = say(describe_issuer(entry))
    steps = {"revoke": revoke(entry), "supervisor": supervisor(entry)}
    if standing == REFUSED:
        day = say_day(context.refused.issuers[entry.issuer.text])
        reason = f"{issuer} issued for {item.text}, and on {day} you said that it may not."
        return Finding("T-01", severity_of(hit), reason, sentence(REFUSED_AGAIN.format(**steps)))
    if standing == FIRST:
        return _first(entry, hit, issuer)
    if standing == UNANSWERED:
        reason = f"{issuer} issued again for {item.text}, and you have not said yet that it may."
        return Finding("T-01", S2, reason, IS_IT_YOURS.format(**steps))
    if is_late and not item.expect.issuers and is_before(entry, item, context.was_there):
        reason = (
            f"{issuer} has never issued for {item.text} in the logs that were read so far. {say(entry.log_name)}, "
            f"which was added on {say_day(context.joined_ms)}, has a certificate from before you began to watch."
        )
        return Finding("T-01", S2, reason, IS_IT_YOURS.format(**steps))
    if standing == NEW or (standing == REPORTED and item.is_numeric):
        action = ASK.format(**steps) if entry.issuers else ASK_NOBODY
        return Finding("T-01", severity_of(hit), _unexpected(entry, hit, standing, issuer), action)
    if standing == REPORTED:
        since = context.profile.issuers[entry.issuer.text].since_ms
        reason = f"{issuer} issued again for {item.text}; you were told on {say_day(since)} and have not answered."
        return Finding("T-01", S4, reason, "Answer the alert that told you: authorise the issuer, or refuse it.")
    if standing == LEARNED and entry.issuers and not context.profile.knows_issuing_key(entry.issuing_key):
        reason = f"{issuer} issues for {item.text} with a key that it did not use before."
        return Finding("T-01", S4, reason, "Nothing: issuers change their keys.")
    return None


def _first(entry: Entry, hit: Hit, issuer: str) -> Finding | None:
    """The first certificate of all. A code's is expected to come, a name's or a key's is what its owner waits for."""
    item = hit.item
    what = say_claim(hit.claim) if item.is_single else f"the {item.kind} {item.text}" if item.is_nominal else item.text
    reason = f"The first certificate that was ever seen for {what} is by {issuer}."
    action = IS_IT_YOURS.format(revoke=revoke(entry))
    severity = S2 if item.is_numeric or not entry.issuer.is_known else S4 if item.kind == CODE else S3
    return Finding("T-01", severity, reason, action)


def _by_watched_issuer(entry: Entry, item: Item, context: Context) -> Finding | None:
    """Whoever watches an issuer is told of all that it issues, or that somebody issues in its name."""
    if is_before(entry, item, context.was_there):
        return None
    first = entry.identity.claims[:1]
    claimed = f"{say_claim(first[0])}{' and more' if len(entry.identity.claims) > 1 else ''}" if first else "no number"
    issuer, holder = say(describe_issuer(entry)), say(entry.holder) or "nobody who is named"
    reason = f"{issuer}, whom you watch, issued a certificate for {claimed}, to {holder}."
    return Finding("T-01", S3, sentence(reason), "See whether it is one that you asked for, or know of.")


def standing_of(entry: Entry, item: Item, context: Context) -> str:
    """How the entry's issuer stands with this item (`monitor.rules.baseline`)."""
    return issuer_standing(entry, item, context.profile, context.authorised.issuers, context.refused.issuers)


def _is_past(entry: Entry, item: Item, context: Context, *, is_asked: bool) -> bool:
    """Whether an entry is no news: from before the item was watched; and ended, if it is asked of such entries too."""
    return (is_history if is_asked else is_before)(entry, item, context.was_there)


def _unexpected(entry: Entry, hit: Hit, standing: str, issuer: str) -> str:
    """Whoever is not answered for is as grave each time, and so is who hides behind a name: a log can leave out the
    chain by which he would be known."""
    reason = f"{issuer} has never issued for {hit.item.text} before"
    if hit.item.expect.issuers:
        reason = f"{issuer} is none of the issuers that you expect for {hit.item.text}"
    elif standing == REPORTED:
        reason = f"{issuer} issued again for {hit.item.text}, and you have not said that it may"
    if not entry.issuer.is_known:
        reason += f"; who really issued is not certain, for {entry.chain_problem or 'its issuers were not given'}"
    return reason + "."


def severity_of(hit: Hit) -> Severity:
    """How grave a certificate of a stranger is: for numbers S1 if it covers at most 100 of them, else S2."""
    if not hit.item.is_numeric:
        return S2
    count = hit.claim.count if isinstance(hit.claim, NumberRange) else 1
    return S1 if count <= NARROW else S2


def t03(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A different holder's name for the same number or code."""
    if hit is None or hit.reading != EXACT or hit.item.kind in (HOLDER, ISSUER, KEY):
        return None
    if _is_past(entry, hit.item, context, is_asked=bool(hit.item.expect.holders)):
        return None
    item, holder = hit.item, say(entry.holder)
    standing = holder_standing(entry, item, context.profile)
    grave = S3 if item.kind == CODE else S1
    action = f"If that is you under another name, expect it too (holders); if not, {revoke(entry)}."
    if standing == NEW:
        usual = list(map(say, item.expect.holders)) or list(map(say_name, context.profile.holders))
        known = f"; so far: {', '.join(usual[:3])}" if usual else ""
        return Finding("T-03", grave, sentence(f"{say_claim(hit.claim)} is certified for {holder}{known}."), action)
    if standing == REPORTED:
        reason = f"{holder} is certified again for {item.text}, and you have not said that it may be."
        severity = S4 if item.kind == CODE else grave  # as grave as it was at first
        if standing_of(entry, item, context) == REFUSED:
            severity = grave
        return Finding("T-03", severity, reason, action)
    return None


def t09(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Certificates of several issuers valid at once: when their number grows by one that is not expected."""
    if hit is None or hit.reading != EXACT or hit.claim is None:
        return None
    if is_before(entry, hit.item, context.was_there):
        return None
    if entry.not_before_ms is None or entry.not_after_ms is None:
        return None
    if standing_of(entry, hit.item, context) not in (NEW, REPORTED, REFUSED):
        return None
    begin, end, own = entry.not_before_ms, entry.not_after_ms, entry.issuer.text
    valid = {claim.issuer for claim in context.claims if claim.not_before_ms <= end and begin <= claim.not_after_ms}
    if not valid or own in valid:
        return None
    severity = S4 if told_of_issuers(entry) in context.profile.told else S2
    others = ", ".join(say_issuer(issuer) for issuer in sorted(valid)[:3])
    reason = f"Certificates for {hit.item.text} by {others} are valid at the same time."
    return Finding("T-09", severity, reason, "Find out whether a second device, app or provider is really in use.")


def told_of_issuers(entry: Entry) -> str:
    """Name what T-09 says once of each issuer."""
    return f"T-09 {entry.issuer.text}"


def t19(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """An unknown CA: the chain ends at no accepted root, or an organisation issues that never did. For the operator."""
    del hit  # it concerns everyone
    if entry.parsed is None or not context.has_roots:
        return None
    if entry.chain_reason in ("unknown-root", "bad-signature", "chain-out-of-order"):
        reason = f"Entry {entry.index} of {say(entry.log_name)} leads to no accepted root: {entry.chain_problem}."
        action = "Ask the log's operator why it took the entry; if you should know this CA, add its root ([[roots]])."
        return Finding("T-19", S1, reason, action, OPERATOR)
    if not entry.issuer.is_known or context.known_issuers is None:
        return None
    issuer, ca = entry.issuer, entry.issuers[0]
    if is_ca(entry.parsed) and not entry.identity.has_list:
        ca = entry.parsed
        issuer = issuer.below(normalise(organisation(ca.subject)))
    if issuer.text in context.known_issuers or read_identity(ca).has_list:
        return None
    name = say(organisation(ca.subject) or name_text(ca.subject))
    reason = f"{name} was never seen as an issuer before ({say(issuer.text)})."
    return Finding("T-19", S1, reason, f"Ask {supervisor(entry)}, whether this CA may issue.", OPERATOR)
