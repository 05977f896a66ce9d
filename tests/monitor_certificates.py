"""Certificates for tests of the monitor: a small world of CAs with fixed keys, and entries made of what they issue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.tn.numbers import Claim
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.wire.rfc6962 import EntryType, SignedEntry, TimestampedEntry, format_merkle_tree_leaf
from ctlog.x509.chain import Roots, accepted_root
from ctlog.x509.der import format_tlv, parse_certificate
from ctlog.x509.precert import logged_precertificate
from monitor.entry import Entry, Place, Trust, read_entry

NOW_MS = 1_790_000_000_000
DOMAIN = "us-shaken"
PLACE = Place(b"\x01" * 32, "log.example", 7)


@cache
def key(number: int) -> Key:
    """The same key each time."""
    return Key.from_number(number + 1)


@cache
def authority(label: str = "Rightful CA", number: int = 1000) -> Authority:
    """An issuing CA below a root of its own."""
    return issuance.example_authority(NOW_MS - 4000 * DAY_MS, label=label, root_key=key(number), key=key(number + 1))


@cache
def vendor(label: str = "Vendor Inc", number: int = 3000, vendor_id: int = 2) -> Authority:
    """A messaging vendor's CA below its own root; both say which vendor."""
    top_key, own, since = key(number), key(number + 1), NOW_MS - 4001 * DAY_MS
    top_name, name = (issuance.name(C="US", O=label, CN=f"{label} {what}") for what in ("Root", "CA"))
    until = since + 20 * 365 * DAY_MS
    usual = (issuance.authority_constraints(), issuance.CERT_SIGN, issuance.rcs.vendor(vendor_id))
    subject = Subject(top_name, top_key.spki, since, until)
    top = replace(issuance.root(top_key, subject).authority(top_key, subject, usual), above=())
    return top.authority(own, Subject(name, own.spki, since, until), [*usual, issuance.authority_key_id(top.key_id)])


GOOD, ROGUE, VENDOR = authority(), authority("Rogue CA", 2000), vendor()


def trust(*authorities: Authority, domain: str = DOMAIN) -> Trust:
    """The roots of these CAs are accepted."""
    return Trust(Roots(accepted_root(each.chain[-1], domain) for each in authorities or (GOOD, ROGUE, VENDOR)))


TRUST = trust()


def subject(
    holder: str = "Example Inc", *, spki: bytes = b"", days: float = 90, start_ms: int = NOW_MS, cn: str = "",
    key_number: int = 0,
) -> Subject:  # fmt: skip
    """Whom a certificate is for."""
    name = issuance.name(**({"C": "US", "O": holder, "CN": cn or holder} if holder else {"CN": cn}))
    # Both ends are included, so that 90 days end one second before the 91st.
    return Subject(name, spki or key(key_number).spki, start_ms, start_ms + int(days * DAY_MS) - 1000)


def number_leaf(claims: Sequence[Claim] | bytes, ca: Authority = GOOD, who: Subject | None = None) -> bytes:
    """A TBSCertificate with these numbers."""
    value = claims if isinstance(claims, bytes) else format_tnauthlist(claims)
    return issuance.delegate_leaf(ca, who or subject(), value)


def code_leaf(code: str, holder: str = "Example Inc", ca: Authority = GOOD, **options: Any) -> bytes:
    """A TBSCertificate with this code and the common name that belongs to it."""
    return number_leaf(issuance.spc(code), ca, subject(holder, cn=f"SHAKEN {code}", **options))


def leaf_of(certificate: bytes, timestamp_ms: int = NOW_MS) -> bytes:
    """The MerkleTreeLeaf of a final certificate."""
    entry = SignedEntry(EntryType.X509, certificate)
    return format_merkle_tree_leaf(TimestampedEntry(timestamp_ms, entry, b"\0\0\5\0\0\0\0\7"))


def precert_leaf_of(pre_certificate: bytes, chain: Sequence[bytes], timestamp_ms: int = NOW_MS) -> bytes:
    """The MerkleTreeLeaf of a precertificate."""
    issuers = [parse_certificate(der) for der in chain]
    key_hash, tbs = logged_precertificate(parse_certificate(pre_certificate), issuers)
    entry = SignedEntry(EntryType.PRECERT, tbs, key_hash)
    return format_merkle_tree_leaf(TimestampedEntry(timestamp_ms, entry, b"\0\0\5\0\0\0\0\7"))


def logged(
    tbs: bytes, ca: Authority = GOOD, *, timestamp_ms: int = NOW_MS, trusting: Trust = TRUST, index: int = 7
) -> Entry:
    """The entry of a certificate that `ca` issued."""
    leaf = leaf_of(ca.certificate_for(tbs), timestamp_ms)
    return read_entry(replace(PLACE, index=index), leaf, chain=ca.chain, trust=trusting)


def rcs_leaf(
    number: str = "12025550123", ca: Authority = VENDOR, *, vendor: int = 2, signer: Key | None = None,
    expiry_s: int | None = None, who: Subject | None = None, leave_out: str = "",
) -> bytes:  # fmt: skip
    """A TBSCertificate of RCC.16 with participant (.4) and provisioning proof (.5), whose parts a test may spoil."""
    participant = key(500)
    who = who or subject("", cn="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11", days=76, key_number=501)
    names = issuance.tel_names(number)
    usual = (
        issuance.DIGITAL_SIGNATURE, issuance.extended_key_usage("2.23.146.2.1.3"), issuance.subject_key_id(who.spki),
        issuance.authority_key_id(ca.key_id), names, issuance.policies(issuance.CP_RCS),
    )  # fmt: skip
    bare = parse_certificate(ca.certificate_for(ca.leaf(who, usual)))
    san = bare.extensions[4].value
    signed = format_tlv(0x30, bare.subject + format_tlv(2, bytes([vendor])) + bare.validity + who.spki + san)
    signature = (signer or participant).sign(signed)
    information = format_tlv(
        0x30,
        format_tlv(2, bytes([vendor])) + bare.validity + issuance.ECDSA_SHA256 + format_tlv(3, b"\0" + signature)
        + participant.spki,
    )  # fmt: skip
    until = (who.not_after_ms // 1000) if expiry_s is None else expiry_s
    proof = until.to_bytes(8, "big") + (0x4000 | 70).to_bytes(2, "big") + bytes(70)
    extra = {
        ".4": issuance.extension("2.23.146.2.1.4", information, critical=True),
        ".5": issuance.extension("2.23.146.2.1.5", proof),
    }
    return ca.leaf(who, [*usual, *(der for name, der in extra.items() if name != leave_out)])
