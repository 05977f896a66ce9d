"""Keys and the proofs that go with them: T-02, T-11, T-15, T-16, T-18.

In scope: keys that the owner does not know, that are weak, that belong to somebody else or were revoked; what ties an
RCS certificate to the number (RCC.16). Out of scope: keys of issuers (`issuer`).
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import rsa

from ctlog.errors import CtlogError
from ctlog.tn.labels import format_label
from ctlog.x509.precert import OID_EXTENDED_KEY_USAGE
from ctlog.x509.signatures import load_key
from monitor.entry import Entry, describe_issuer
from monitor.holder import same_holder
from monitor.items import ISSUER
from monitor.rcs import OID_CLIENT_USAGE, holds_proof, read_participant, read_provisioning, vendor_of
from monitor.reading_roles import EXACT
from monitor.rules.baseline import is_history
from monitor.rules.next_steps import ask, revoke, supervisor
from monitor.rules.values import (
    OPERATOR,
    OWNER,
    S1,
    S2,
    Context,
    Finding,
    PastClaim,
    say,
    say_day,
    say_issuer,
    say_label,
    say_name,
    sentence,
)
from monitor.watchlist import Hit

RSA_BITS = 2048
REFUSED_KEY = "Ask your provider at once to have it revoked: whoever has this key tries again."


def t02(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A key that is none of those that the owner registered, or that he refused. A participant's key counts if its
    proof holds."""
    if hit is None or hit.reading != EXACT or is_history(entry, hit.item, context.was_there):
        return None
    refused_ms = context.refused.keys.get(entry.key_hash)
    if refused_ms is not None and entry.issuer.text not in context.refused.issuers:  # else T-01 says it
        day = say_day(refused_ms)
        reason = f"The certificate for {hit.item.text} has a key of which you said on {day} that it is not yours."
        return Finding("T-02", S1, reason, REFUSED_KEY)
    if not hit.item.expect.keys:
        return None
    if entry.parsed is None or entry.key_hash in hit.item.expect.keys or _participant_is_known(entry, hit):
        return None
    reason = f"The certificate for {hit.item.text} has a key that you did not register ({entry.key_hash.hex()[:16]})."
    action = "Assume interception: set the device up again, warn your contacts, and ask your provider who requested it."
    return Finding("T-02", S1, reason, action)


def _participant_is_known(entry: Entry, hit: Hit) -> bool:
    if entry.parsed is None:
        return False
    participant = read_participant(entry.parsed)
    known = participant is not None and sha256(participant.spki).digest() in hit.item.expect.keys
    return known and participant is not None and holds_proof(entry.parsed, participant)


def is_rcs(entry: Entry) -> bool:
    """Whether a certificate may serve as one of RCC.16: by a `tel:` name, whatever stands beside it, or by its extended
    key usage."""
    usage = entry.extension(OID_EXTENDED_KEY_USAGE) or b""
    return entry.identity.family in ("rcs", "mixed") or OID_CLIENT_USAGE in usage


def t11(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """An RCS certificate without the provisioning proof, or whose participant or vendor does not fit."""
    del context
    if entry.parsed is None or not is_rcs(entry):
        return None
    problem = _provisioning_problem(entry) or _participant_problem(entry)
    if problem is None:
        return None
    action = "Ask the vendor and your carrier whether the number was provisioned for this device."
    return Finding("T-11", S1, f"{problem}.", action, OWNER if hit and hit.reading == EXACT else OPERATOR)


def _provisioning_problem(entry: Entry) -> str | None:
    assert entry.parsed is not None, "the caller looked"
    proof = read_provisioning(entry.parsed)
    if proof is None:
        return "The proof that the carrier provisioned the number (RCC.16, extension .5) is absent or cannot be read"
    if proof.expiry_s < entry.timestamp_ms // 1000:
        return f"The carrier's provisioning proof ended on {say_day(proof.expiry_s * 1000)}, before it was logged"
    return None


def _participant_problem(entry: Entry) -> str | None:
    assert entry.parsed is not None, "the caller looked"
    participant = read_participant(entry.parsed)
    if participant is None:
        return "The participant's proof of possession (RCC.16, extension .4) is absent or cannot be read"
    if not holds_proof(entry.parsed, participant):
        return "The participant's proof of possession (RCC.16, extension .4) is not valid"
    vendors = [vendor for vendor in map(vendor_of, entry.issuers) if vendor is not None]
    if entry.issuers and not vendors:
        return f"It says vendor {participant.vendor}, and no CA above it is a vendor's (RCC.16, extension .6)"
    other = next((vendor for vendor in reversed(vendors) if vendor != participant.vendor), None)
    return None if other is None else f"It says vendor {participant.vendor}, and a CA above it is vendor {other}'s"


def t15(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A weak or unusable key."""
    if entry.parsed is None:
        return None
    problem = "is on a list of weak keys" if entry.key_hash in context.weak_keys else _weakness(entry.parsed.spki)
    if problem is None:
        return None
    to = OWNER if hit and hit.reading == EXACT else OPERATOR
    action = ask(entry, "to replace it by one with a strong key, and why it certified this one")
    return Finding("T-15", S2, f"The key of the certificate {problem}.", action, to)


def _weakness(spki: bytes) -> str | None:
    try:
        key = load_key(spki, "it")
    except CtlogError as error:
        said = str(error).removeprefix("the key of it ")
        return say(said.replace("that this log does not know", "with which no call may be signed"), 120)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS:
        return f"is an RSA key of only {key.key_size} bits"
    return None


def t16(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """The same key under numbers or codes of two different holders."""
    if not entry.key_hash or (hit is not None and hit.item.kind == ISSUER):
        return None
    own = set(map(format_label, entry.labels))
    same = {(claim.log_id, claim.log_index) for claim in context.claims}  # of the same number, or of a block with it
    other = next((use for use in context.key_uses if _is_anothers(use, entry, own, same)), None)
    if other is None:
        return None
    where, day = say_label(other.label), say_day(other.logged_ms)
    if entry.holder_key and other.holder:
        names = f"for {say(entry.holder)}, and for {say_name(other.holder)} with {where}"
    else:  # whose they are is not known: the issuers are, and they are two
        names = f"by {say(describe_issuer(entry))}, and by {say_issuer(other.issuer)} for {where}"
    reason = f"The same key was certified {names} on {day}."
    action = "Warn the other holder, and have both certificates revoked: whoever has the key can speak for both."
    return Finding("T-16", S1, reason, action, OWNER if hit and hit.reading == EXACT else OPERATOR)


def is_misused(entry: Entry, context: Context) -> bool:
    """Whether its key was revoked, or is somebody else's too: those who had it before are to hear of this entry."""
    own = set(map(format_label, entry.labels))
    return bool(
        (context.revocations is not None and context.revocations.by_key(entry.key_hash))
        or any(_is_anothers(use, entry, own, set()) for use in context.key_uses)
    )


def _is_anothers(use: PastClaim, entry: Entry, own: set[bytes], same: set[tuple[bytes, int]]) -> bool:
    if use.label in own or not entry.key_hash.startswith(use.key):
        return False
    if not use.holder or not entry.holder_key:
        # A holder who is not named is nobody else. What one issuer certified is one vendor's affair; a key that comes
        # from two issuers for numbers of which none is the other's is somebody's mistake, whoever they are.
        return use.issuer != entry.issuer.text and (use.log_id, use.log_index) not in same
    return not same_holder(use.holder, entry.holder_key)


def _has_revoked_key(use: PastClaim, entry: Entry, revoked_ms: int) -> bool:
    """Whether it has the entry's key, which was revoked, still or again; for a label that the entry has, it is judged
    itself. `label`: b"" of another one (`monitor.context`)."""
    return not use.label and entry.key_hash.startswith(use.key) and use.not_after_ms >= revoked_ms


def t18(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A revoked certificate's key or serial number seen again."""
    if entry.parsed is None or context.revocations is None:
        return None
    to = OWNER if hit and hit.reading == EXACT else OPERATOR
    action = sentence(f"{revoke(entry)}, and tell {supervisor(entry)}.")
    named = context.revocations.by_serial(entry.parsed.issuer, entry.parsed.serial)
    if named and named.revoked_ms < entry.timestamp_ms:
        reason = f"Its serial number was revoked on {say_day(named.revoked_ms)}, before it was logged."
        return Finding("T-18", S1, reason, action, to)
    for use in context.key_uses if named else ():
        if named and _has_revoked_key(use, entry, named.revoked_ms):
            where = f"certified for another number or code by {say_issuer(use.issuer)} on {say_day(use.logged_ms)}"
            reason = f"It was revoked on {say_day(named.revoked_ms)}, and its key was {where}."
            return Finding("T-18", S1, reason, action, to)
    end = entry.not_after_ms
    for revoked in context.revocations.by_key(entry.key_hash):
        is_another = (revoked.issuer, revoked.serial) != (entry.parsed.issuer, entry.parsed.serial)
        if is_another and (end is None or end >= revoked.revoked_ms):
            reason = f"Its key is that of a certificate that was revoked on {say_day(revoked.revoked_ms)}."
            return Finding("T-18", S1, reason, action, to)
    return None
