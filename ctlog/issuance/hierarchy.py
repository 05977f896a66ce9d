"""A whole hierarchy for tests, in one call: what a SHAKEN ecosystem, a delegate and a messaging vendor look like.

Specs: as in `profiles` and `rcs`. In scope: the CAs of each family with keys in memory. Its keys are for tests: they
are made here, have been nowhere safe, and nobody's CA should ever hold such ones.
Out of scope: files (`ctlog ca init`), and end entities.
"""

from __future__ import annotations

from typing import NamedTuple

from ctlog.errors import MalformedError
from ctlog.issuance.authority import Authority, Subject
from ctlog.issuance.keys import Key
from ctlog.issuance.profiles import DAY_MS, delegate_authority, intermediate, precertificate_signer, root
from ctlog.issuance.rcs import GOOGLE, INTERMEDIATE_DAYS, ROOT_DAYS, rcs_intermediate, rcs_root
from ctlog.issuance.words import MAX_HOLDER, check_country
from ctlog.issuance.write import name

_YEAR_MS = 365 * DAY_MS

MAX_LABEL = MAX_HOLDER - len(" Test Precertificate Signer")
"""Characters: the longest name that is made of it has no more than a name may have."""


class Member(NamedTuple):
    """A CA and its key."""

    authority: Authority
    key: Key


class Hierarchy(NamedTuple):
    """shaken_root, shaken_ca: an STI-CA. precert_signer: signs precertificates for shaken_ca. delegate_ca: below
    shaken_ca, for some numbers only (RFC 9060). rcs_root, rcs_ca: a messaging vendor."""

    shaken_root: Member
    shaken_ca: Member
    precert_signer: Member
    delegate_ca: Member
    rcs_root: Member
    rcs_ca: Member

    @property
    def roots(self) -> tuple[bytes, bytes]:
        """What a log or a verifier accepts (DER)."""
        return self.shaken_root.authority.certificate, self.rcs_root.authority.certificate


def make_hierarchy(
    now_ms: int, delegated: bytes, *, label: str = "Example", country: str = "US", vendor_id: int = GOOGLE
) -> Hierarchy:
    """All of it, valid from a day ago. `delegated`: what the delegate CA holds, a TNAuthorizationList in DER.

    Raises MalformedError "bad-label", "bad-country".
    """
    if len(label) > MAX_LABEL or not label.isprintable() or not label.strip():
        raise MalformedError(f"a label is 1 to {MAX_LABEL} printable characters", reason="bad-label")
    check_country(country)
    since = now_ms - DAY_MS

    def subject(key: Key, until_ms: int, **names: str) -> Subject:
        return Subject(name(C=country, O=f"{label} (for tests)", **names), key.spki, since, until_ms)

    keys = [Key.generate() for _ in range(6)]
    top = root(keys[0], subject(keys[0], now_ms + 20 * _YEAR_MS, CN=f"{label} Test SHAKEN ROOT"))
    issuing = intermediate(top, keys[1], subject(keys[1], now_ms + 10 * _YEAR_MS, CN=f"{label} Test SHAKEN CA"))
    signer_name = subject(keys[2], now_ms + 10 * _YEAR_MS, CN=f"{label} Test Precertificate Signer")
    signer = precertificate_signer(issuing, keys[2], signer_name)
    delegate_name = subject(keys[3], now_ms + 2 * _YEAR_MS, CN=f"{label} Test Delegate CA SHAKEN")
    delegate = delegate_authority(issuing, keys[3], delegate_name, delegated)
    rcs_top = rcs_root(keys[4], subject(keys[4], since + ROOT_DAYS * DAY_MS, CN=f"{label} Test RCS Root"), vendor_id)
    rcs_name = subject(keys[5], since + INTERMEDIATE_DAYS * DAY_MS, CN=f"{label} Test RCS CA")
    rcs = rcs_intermediate(rcs_top, keys[5], rcs_name, vendor_id)
    return Hierarchy(*map(Member, (top, issuing, signer, delegate, rcs_top, rcs), keys))
