"""How it is made: T-08, T-14, T-21, T-22, T-23, T-24, T-25, T-27.

In scope: certificates that are built wrong, or so that different readers see different things; constraints that were
dropped; attributes that harm. Most of it was found while reading (`ctlog.tn.findings`, `ctlog.x509.findings`); here it
is weighed for one recipient, by the reading that concerns him. Out of scope: numbers themselves (`scope`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice

from ctlog.errors import MalformedError
from ctlog.tn.claim_constraints import OID_CLAIM_CONSTRAINTS, OID_ENHANCED_CONSTRAINTS, ClaimConstraints
from ctlog.tn.claim_constraints import parse_claim_constraints as parse_constraints
from ctlog.tn.findings import MEANINGS
from ctlog.tn.findings import Finding as Oddity
from ctlog.tn.identity import read_identity, shaken_code
from ctlog.tn.labels import claim_labels, format_label
from ctlog.tn.national import INTENDED, regions_of
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.readings import SHORTEST
from ctlog.x509.chain import is_ca
from ctlog.x509.der import BIT_STRING, children, only_child
from ctlog.x509.findings import MEANINGS as CERTIFICATE_MEANINGS
from ctlog.x509.findings import OID_KEY_USAGE, certificate_findings, path_findings
from ctlog.x509.names import OID_COMMON_NAME, attribute
from ctlog.x509.precert import OID_EXTENDED_KEY_USAGE, OID_SCT_LIST
from monitor.entry import Entry
from monitor.items import GROUP
from monitor.reading_roles import EXACT, dialling_of
from monitor.rules.baseline import MAX_KNOWN, needs_answer
from monitor.rules.key import is_rcs
from monitor.rules.next_steps import ask, revoke
from monitor.rules.scope import delegation
from monitor.rules.values import OPERATOR, OWNER, S1, S2, S3, S4, Context, Finding, Severity, say, sentence
from monitor.salvage import UNREADABLE
from monitor.watchlist import Hit

# Bits of KeyUsage (RFC 5280 section 4.2.1.3), in the first octet.
_DIGITAL_SIGNATURE, _KEY_CERT_SIGN = 0x80, 0x04

# Oddities that every reader takes for the same, or takes not at all: recorded, and no alarm. docs/alerts.md says why.
_HARMLESS = frozenset(
    (
        *("code-lower-case", "tnauthlist-critical", "entry-repeated", "labels-over-limit"),
        *("tel-visual-separators", "algorithm-parameters", "issuer-renamed"),
    )
)
# Oddities whose content can be taken for two things, so that it depends on the reading whom they harm.
_AMBIGUOUS = frozenset(("code-odd-characters", "code-looks-like-number", "tel-local-number", "tel-extension"))


# --- built wrong ------------------------------------------------------------------------------------------------------


def t08(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A chain that is deeper or wider than it may be: path length, an end entity that is a CA, a list on a root."""
    del context
    if entry.parsed is None:
        return None
    problem = _chain_problem(entry)
    if problem is None:
        return None
    action = ask(entry, "to replace it")
    return Finding("T-08", S2, problem, action, OWNER if hit and hit.reading == EXACT else OPERATOR)


def _chain_problem(entry: Entry) -> str | None:
    assert entry.parsed is not None, "the caller looked"
    if is_ca(entry.parsed) and _is_end_entity(entry):
        return "It is an end entity's certificate and says that it is a CA's, so that its holder can issue others."
    found = path_findings(entry.issuers)
    if "path-too-long" in found:
        return CERTIFICATE_MEANINGS["path-too-long"][1]
    if "issuer-not-ca" in found:
        return CERTIFICATE_MEANINGS["issuer-not-ca"][1]
    top = entry.issuers[-1] if entry.issuers else None
    if top is not None and top.issuer == top.subject and read_identity(top).has_list:
        return "The root of its chain has a TNAuthList, which no root may have."
    return None


def _is_end_entity(entry: Entry) -> bool:
    """Whether it is used by somebody who signs calls: digitalSignature, or the common name of a provider.

    A CA that claims no number may sign other things too, such as CRLs and answers about revocation.
    """
    assert entry.parsed is not None, "the caller looked"
    usage, names = _key_usage(entry), attribute(entry.parsed.subject, OID_COMMON_NAME)
    signs_calls = usage & _DIGITAL_SIGNATURE and (entry.identity.claims_number or not usage & _KEY_CERT_SIGN)
    return bool(signs_calls) or any(shaken_code(name) for name in names)


def _key_usage(entry: Entry) -> int:
    """The first octet of the key usage, 0 if there is none or it cannot be read."""
    value = entry.extension(OID_KEY_USAGE) or b""
    try:
        lo, hi = only_child(value, BIT_STRING, "keyUsage")
    except MalformedError:
        return 0
    return value[lo + 1] if hi - lo > 1 else 0


def t14(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Its profile is broken. An alarm only if it may sign certificates and is no CA's; the rest is for operators."""
    if entry.parsed is None:
        return None
    ca = is_ca(entry.parsed)
    if _key_usage(entry) & _KEY_CERT_SIGN and not ca:
        reason = "Its key may sign certificates (keyCertSign), although it is no CA's."
        to = OWNER if hit and hit.reading == EXACT else OPERATOR
        return Finding("T-14", S1, reason, f"{sentence(revoke(entry))}.", to)
    problems = [each for each in certificate_findings(entry.parsed, entry.timestamp_ms) if _rule_of(each) == "T-14"]
    if entry.precert and entry.extension(OID_SCT_LIST) is not None:
        problems.append("precertificate-with-scts")  # the leaf has no poison any more, by which it would be known
    usage = entry.extension(OID_EXTENDED_KEY_USAGE)
    if not ca and usage is not None and entry.identity.family == "stir" and not is_rcs(entry):
        problems.append("extended-key-usage")
    if not problems or not (entry.identity.claims_number or ca):
        return None
    reason = f"It does not keep to its profile: {', '.join(problems)}."
    return Finding("T-14", S4, reason, ask(entry, "to keep to its profile"), OPERATOR)


def _rule_of(name: str) -> str:
    return CERTIFICATE_MEANINGS[name][0]


# --- read in two ways -------------------------------------------------------------------------------------------------


def t21(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A number in a form that can be taken for another. Whoever was meant reviews it, whoever was not verifies it."""
    del context
    if hit is None:
        return None
    odd = [each for each in entry.identity.findings if _threat(each) == "T-21"]
    if hit.reading == EXACT:
        if not _is_national(entry, hit.claim):
            return None
    elif not odd and hit.claim not in entry.identity.claims:  # then it comes from a list that cannot be read: T-22
        return None
    what = odd[0].text if odd else "It gives a number as it is dialled in a country, without the country code."
    action = ask(entry, "to issue it anew, with the number as E.164 writes it (+ and the country code first)")
    if hit.reading == INTENDED:
        return Finding("T-21", S3, f"{what} It was probably meant for {hit.item.text}.", action)
    return Finding("T-21", S2, f"{what} It can be taken for {hit.item.text}, which was perhaps not meant.", action)


def _is_national(entry: Entry, claim: Claim | None) -> bool:
    """Whether a number, exactly as written, looks like one without its country code, or is one in use without it."""
    if isinstance(claim, TelephoneNumber | NumberRange):
        digits = claim.digits if isinstance(claim, TelephoneNumber) else claim.start
        if digits[0] == "0" or len(digits) < SHORTEST:
            return True
        return dialling_of(regions_of(entry.trust_domain)).as_written(claim) is not None
    return False


def t22(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A form that readers take differently: whoever reads it otherwise is deceived."""
    del context
    odd = [each for each in (*entry.identity.findings, *_certificate_oddities(entry)) if _threat(each) == "T-22"]
    if not odd or (hit is None and not entry.identity.claims_number and entry.parsed is not None):
        return None
    severity, at = min((_weight(each, hit), at) for at, each in enumerate(odd))
    to = OWNER if hit is not None else OPERATOR
    action = ask(entry, "to issue it anew in the form that the standard demands (RFC 8226)")
    return Finding("T-22", severity, odd[at].text, action, to)


def _certificate_oddities(entry: Entry) -> Iterable[Oddity]:
    if entry.parsed is None:
        return
    for name in certificate_findings(entry.parsed, entry.timestamp_ms):
        if _rule_of(name) == "T-22":
            yield Oddity(name, CERTIFICATE_MEANINGS[name][1])
    yield from (each for each in (delegation(entry) if entry.issuers else ()) if each.id == "scope-incomparable")


def _weight(oddity: Oddity, hit: Hit | None) -> Severity:
    if oddity.id in _HARMLESS:
        return S4
    return S3 if oddity.id in _AMBIGUOUS and hit is not None and hit.reading == INTENDED else S2


def _threat(oddity: Oddity) -> str:
    if oddity.id == UNREADABLE or oddity.id in CERTIFICATE_MEANINGS:
        return "T-22"
    return MEANINGS[oddity.id].rule


def t23(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """`*` and `#` in a number, which some take for a pattern."""
    del context
    found = next((each for each in entry.identity.findings if each.id == "number-signs"), None)
    if found is None or hit is None:
        return None
    action = ask(entry, "what the sign is meant to say, and to issue it anew without")
    return Finding("T-23", S3, found.text, action)


def t27(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A common name that says another code than the TNAuthList. The owners of both are told."""
    found = next((each for each in entry.identity.findings if each.id == "cn-code-differs"), None)
    if found is None or hit is None or not isinstance(hit.claim, ServiceProviderCode):
        return None
    severity = S3 if TOLD_OF_NAMES in context.profile.told else S2
    listed = ", ".join(say(code) for code in entry.identity.codes[:3]) or "no code"
    reason = f"{found.text} The list holds {listed}."
    return Finding("T-27", severity, reason, ask(entry, "whose certificate it is, and to replace it"))


TOLD_OF_NAMES = "T-27"
"""What T-27 says aloud once for each code."""


# --- what it allows ---------------------------------------------------------------------------------------------------


def constraints_by_label(entry: Entry, hit: Hit) -> dict[str, str]:
    """What a profile keeps of an entry: its constraints by label and holder, "" if it has none."""
    if entry.parsed is None:
        return {}
    values = [each for each in entry.parsed.extensions if each.oid in _CONSTRAINTS]
    shown = " ".join(f"{each.oid.hex()}:{each.value.hex()}" for each in values)
    return {f"{label} {entry.holder_key}": shown for label in _labels_of(entry, hit)}


def _labels_of(entry: Entry, hit: Hit) -> Iterable[str]:
    """What an entry claims of an item, however much it claims besides: a number or a code is itself, whatever block it
    is claimed with; of wider items, each claim that touches it."""
    value = hit.item.value
    if isinstance(value, TelephoneNumber | ServiceProviderCode):
        claims: Iterable[Claim] = (value,)
    elif hit.item.kind == GROUP and hit.claim is not None:
        claims = (hit.claim,)
    else:
        claims = (each for each in entry.identity.claims if hit.item.is_nominal or hit.item.is_touched_by(each))
    for claim in islice(claims, MAX_KNOWN):
        if isinstance(claim, NumberRange):
            yield f"range:{claim.start}+{claim.count}"
        else:
            yield format_label(claim_labels(claim)[0]).decode("latin-1")


_CONSTRAINTS = (OID_CLAIM_CONSTRAINTS, OID_ENHANCED_CONSTRAINTS)


def t24(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Claim constraints that the last certificate for the same label and holder had, absent or widened."""
    if hit is None or hit.reading != EXACT:
        return None
    known = context.profile.constraints
    if not known:
        return None
    allowed = {(known[where], now) for where, now in constraints_by_label(entry, hit).items() if where in known}
    for before, now in sorted(allowed):
        if problem := _widened(_parsed(before), _parsed(now)):
            reason = f"What PASSporTs under it may claim was widened since the last one: {problem}."
            action = f"Ask whoever orders your certificates whether that was meant; if not: {revoke(entry)}."
            return Finding("T-24", S2, reason, action)
    return None


def _parsed(stored: str) -> list[ClaimConstraints] | None:
    """Read stored constraints; None if they cannot be read, so that nobody can say what is allowed."""
    found = []
    for each in stored.split():
        kind, _, value = each.partition(":")
        try:
            der, enhanced = bytes.fromhex(value), kind == OID_ENHANCED_CONSTRAINTS.hex()
            found.append(parse_constraints(der, enhanced=enhanced))
        except MalformedError:
            return None
    return found


def _widened(before: Sequence[ClaimConstraints] | None, now: Sequence[ClaimConstraints] | None) -> str | None:
    if before is None:
        return None
    if now is None:
        return "they cannot be read any more"
    if not now:
        return "they are gone"
    for name, old, new in (
        ("a claim need not be there any more", _names(before, 0), _names(now, 0)),
        ("a claim is not excluded any more", _names(before, 2), _names(now, 2)),
    ):
        if old - new:
            return f"{name} ({say(', '.join(sorted(old - new)))})"
    allowed = _permitted(now)
    for claim, values in _permitted(before).items():
        if claim not in allowed:
            return f"{say(claim)} may have any value now"
        if allowed[claim] - values:
            return f"{say(claim)} may also be {say(', '.join(sorted(allowed[claim] - values)))}"
    return None


def _names(constraints: Sequence[ClaimConstraints], member: int) -> set[str]:
    return {str(name) for each in constraints for name in each[member]}


def _permitted(constraints: Sequence[ClaimConstraints]) -> dict[str, set[str]]:
    """The values that each claim may have; where several bind, those that all allow."""
    found: dict[str, set[str]] = {}
    for each in constraints:
        for claim, values in each.permitted:
            found[claim] = found[claim] & set(values) if claim in found else set(values)
    return found


_URI = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{1,15}:[^\0- \x7f]+")
_CONSTRUCTED = 0x20
_DEEPEST = 8  # levels of an attribute that are looked into


def t25(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Attributes that can harm: do-not-originate marks, other places for calls, authorised originators.

    The drafts have no OIDs yet, so which extensions these are is configured. Of ranges and codes, which renew often,
    the same one is said aloud once.
    """
    if hit is None or hit.reading != EXACT:
        return None
    harmful = _harmful(entry, hit, context)
    if not harmful:
        return None
    known = () if needs_answer(hit.item) else context.profile.told
    name = next((name for name in harmful if name not in known), next(iter(harmful)))
    reason = f"It carries {harmful[name]}, which can divert or silence calls."
    action = ask(entry, "at whose word it was put there")
    return Finding("T-25", S4 if name in known else S2, reason, action)


def told_of_attributes(entry: Entry, hit: Hit, context: Context) -> Iterable[str]:
    """Name what T-25 says aloud once of each attribute."""
    return _harmful(entry, hit, context)


def _harmful(entry: Entry, hit: Hit, context: Context) -> dict[str, str]:
    """The attributes that the owner does not expect: what names each with its value, and what it is."""
    found: dict[str, str] = {}
    for extension in entry.parsed.extensions if entry.parsed and context.attributes else ():
        name = context.attributes.get(extension.oid)
        if name is None:
            continue
        uris = _uris(extension.value)
        strange = [uri for uri in uris if not _is_within(uri, hit.item.expect.uris)]
        if strange or not uris:
            key = f"T-25 {sha256(extension.oid + extension.value).hexdigest()[:16]}"
            found[key] = say(name) + (f" with {say(strange[0])}" if strange else "")
    return found


def _uris(value: bytes) -> list[str]:
    """What in an attribute looks like a URI; each of its strings by itself, for a length before one may be a letter."""
    try:
        texts = list(_strings(value, 0, len(value), _DEEPEST))
    except MalformedError:
        texts = [value]
    return [uri.decode("latin-1") for text in texts for uri in _URI.findall(text)]


def _strings(value: bytes, lo: int, hi: int, depth: int) -> Iterator[bytes]:
    for tag, start, stop in children(value, lo, hi, "attribute"):
        if tag & _CONSTRUCTED and depth:
            yield from _strings(value, start, stop, depth - 1)
        else:
            yield value[start:stop]


def _is_within(uri: str, expected: Iterable[str]) -> bool:
    """Whether a URI is one of these, or below it; "https://cps.example.evil/" is not below "https://cps.example"."""
    return any(uri == each or uri.startswith(each if each.endswith("/") else f"{each}/") for each in expected)
