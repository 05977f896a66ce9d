"""Admission: a chain comes in, and an entry that may be logged goes out, or the one reason why not.

Specs: RFC 6962 sections 3.1, 3.2, 4.1 and 4.2; docs/refusals.md has every reason. "Refuse little, record all": a log
exists so that misissuance is seen, so a chain is refused only for what that page says, and whatever else is wrong is a
finding in the entry's line of the numbers feed.

In scope: the policy, the order of the checks, the entry, its line in the feed. Everything here is decided from bytes
and from `now_ms`; nothing is fetched, least of all a URL that stands in a certificate.
Out of scope: signatures and names (`ctlog.x509`), what is claimed (`ctlog.tn`), duplicates and rates (who calls).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ctlog.errors import RefusedError
from ctlog.tn.delegation import check_encompassed
from ctlog.tn.identity import Identity, read_identity
from ctlog.wire.numbers_feed import VERSION, FeedBody, format_feed_body
from ctlog.wire.rfc6962 import EntryType, SignedEntry, entry_key
from ctlog.wire.static_ct import Issuer, PendingEntry
from ctlog.x509.chain import (
    MAX_CHAIN,
    BoundedCache,
    Path,
    PathCache,
    PlannedChain,
    Roots,
    SignatureCheck,
    is_ca,
    place,
    plan_chain,
)
from ctlog.x509.der import Certificate
from ctlog.x509.findings import certificate_findings, outlives, path_findings
from ctlog.x509.names import name_text
from ctlog.x509.precert import (
    OID_SCT_LIST,
    check_poison,
    is_precert_signer,
    is_precertificate,
    logged_precertificate,
)

MAX_LEAF = 256 << 10
"""Octets of a certificate or precertificate as submitted."""

STALE_MS = 48 * 3_600_000
"""A certificate whose notBefore lies further back gives way to a fresh one when the pool is full."""

LARGE_LEAF = 8 << 10
"""Octets from which a leaf's signature is verified before its contents are read: reading them takes up to a quarter of
a second at 256 KiB, and nobody but the CA that it names may cost a log so much."""

_KINDS = {EntryType.X509: "x509", EntryType.PRECERT: "precert"}


class _Above(NamedTuple):
    """What is needed of the CAs above a leaf, made once for each path."""

    issuers: tuple[Issuer, ...]
    identities: tuple[Identity, ...]
    names: tuple[str, ...]
    """Subjects of the issuers as text."""
    keys: tuple[str, ...]
    """SHA-256 of the issuers' SubjectPublicKeyInfo, hexadecimal."""
    signs_precertificates: bool
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a log accepts.

    window: notAfter in ms since 1970, half-open, None for no bound. require_number: refuse what claims no number and is
    no CA's. max_chain: certificates in a chain, the leaf included. max_leaf: octets of the leaf.

    It holds what is remembered of issuers, in bounded size, under these roots; used from one thread.
    """

    roots: Roots
    window: tuple[int | None, int | None] = (None, None)
    require_number: bool = True
    max_chain: int = MAX_CHAIN
    max_leaf: int = MAX_LEAF
    paths: PathCache = field(default_factory=BoundedCache, init=False, repr=False, compare=False)
    above: BoundedCache[tuple[bytes, ...], _Above] = field(
        default_factory=BoundedCache, init=False, repr=False, compare=False
    )


class Planned(NamedTuple):
    """An entry that may be logged if every one of `checks` holds; each can be run anywhere."""

    pending: PendingEntry
    checks: tuple[SignatureCheck, ...]


def accept(chain: Sequence[bytes], kind: EntryType, policy: Policy, now_ms: int) -> PendingEntry:
    """Decide about a submission, all signatures included. Raises: MalformedError, RefusedError."""
    planned = plan_accept(chain, kind, policy, now_ms)
    for check in planned.checks:
        check.run()
    return planned.pending


def plan_accept(chain: Sequence[bytes], kind: EntryType, policy: Policy, now_ms: int) -> Planned:
    """Decide about a submission but for the signatures that are not yet known to be good: the leaf's, as a rule.

    chain: DER, leaf first, the root may be left out. kind: X509 for add-chain, PRECERT for add-pre-chain.

    Raises: MalformedError, RefusedError; `reason` is one of the words of docs/refusals.md.
    """
    if chain and len(chain[0]) > policy.max_leaf:
        raise RefusedError(
            f"{place(0)} has {len(chain[0])} bytes, more than {policy.max_leaf}", reason="certificate-too-large"
        )
    planned = plan_chain(chain, policy.roots, policy.paths, policy.max_chain)
    leaf, path = planned.leaf, planned.path
    if len(leaf.der) >= LARGE_LEAF:
        for check in planned.checks:
            check.run()
        planned = planned._replace(checks=())
    entry = _entry(leaf, path, kind)
    _check_window(leaf, policy.window)
    identity, ca = read_identity(leaf), is_ca(leaf)
    if policy.require_number and not identity.claims_number and not ca:
        raise RefusedError(
            f"{place(0)} claims no telephone number and no code: it has no TNAuthList, by value or by reference, and "
            "no tel: name, and it is not a CA's",
            reason="no-number",
        )
    above = policy.above.get(path.fingerprints)
    if above is None:
        above = _look_above(path)
        policy.above.put(path.fingerprints, above, 4096 + 2 * sum(len(issuer.der) for issuer in above.issuers))
    certificate_hash = hashlib.sha256(leaf.der).digest()
    body = _feed_body(planned, above, identity, ca, kind, certificate_hash, now_ms)
    pending = PendingEntry(
        entry=entry,
        pre_certificate=leaf.der if kind is EntryType.PRECERT else b"",
        issuers=above.issuers,
        feed=format_feed_body(body),
        low=_is_low(leaf, now_ms),
        certificate_hash=certificate_hash,
        trust_domain=path.anchor.trust_domain,
        root=path.anchor.fingerprint,
        key=entry_key(entry),
    )
    return Planned(pending, planned.checks)


def _entry(leaf: Certificate, path: Path, kind: EntryType) -> SignedEntry:
    """Give what is hashed and signed. Every certificate belongs to one of the two calls. Raises: RefusedError."""
    if kind is EntryType.PRECERT:
        check_poison(leaf, place(0))
        key_hash, tbs = logged_precertificate(leaf, path.certificates)
        return SignedEntry(kind, tbs, key_hash)
    if is_precertificate(leaf):
        raise RefusedError(f"{place(0)} is a precertificate: submit it with add-pre-chain", reason="wrong-endpoint")
    return SignedEntry(EntryType.X509, leaf.der)


def _check_window(leaf: Certificate, window: tuple[int | None, int | None]) -> None:
    lo, hi = window
    if lo is None and hi is None:
        return
    end = leaf.not_after_ms
    if end is None:
        raise RefusedError(
            f"the notAfter of {place(0)} cannot be read, so it is not known whether it is in this log's window",
            reason="unreadable-validity",
        )
    if (lo is not None and end < lo) or (hi is not None and end >= hi):
        raise RefusedError(
            f"the notAfter of {place(0)} is outside of what this log accepts, {_bounds(lo, hi)} (ms since 1970)",
            reason="outside-window",
        )


def _bounds(lo: int | None, hi: int | None) -> str:
    return " and ".join([f"from {lo} on"] * (lo is not None) + [f"before {hi}"] * (hi is not None))


def _is_low(leaf: Certificate, now_ms: int) -> bool:
    start = leaf.not_before_ms
    return start is None or now_ms - start > STALE_MS or leaf.extension(OID_SCT_LIST) is not None


def _look_above(path: Path) -> _Above:
    certificates = path.certificates
    return _Above(
        tuple(Issuer(*pair) for pair in zip(path.fingerprints, (c.der for c in certificates), strict=True)),
        tuple(read_identity(certificate) for certificate in certificates),
        tuple(name_text(certificate.subject) for certificate in certificates),
        tuple(hashlib.sha256(certificate.spki).hexdigest() for certificate in certificates),
        is_precert_signer(certificates[0]),
        tuple(path_findings(certificates)),
    )


def _feed_body(
    planned: PlannedChain, above: _Above, identity: Identity, ca: bool, kind: EntryType, fingerprint: bytes, now_ms: int
) -> FeedBody:
    leaf, path = planned.leaf, planned.path
    # A precertificate signing certificate stands for the CA above it, which will issue the final certificate.
    at = 1 if above.signs_precertificates and kind is EntryType.PRECERT and len(above.names) > 1 else 0
    findings = [found.id for found in identity.findings]
    findings += [found.id for found in check_encompassed(identity, above.identities)]
    findings += certificate_findings(leaf, now_ms)
    if outlives(leaf, path.certificates[at]):
        findings.append("outlives-issuer")
    if planned.renamed:
        findings.append("issuer-renamed")
    findings += above.findings
    return FeedBody(
        v=VERSION,
        kind=_KINDS[kind],
        family=identity.family,
        numbers=identity.numbers,
        ranges=identity.ranges,
        codes=identity.codes,
        by_reference=identity.by_reference,
        labels=[f"{name}:{value}" if value else name for name, value in identity.labels],
        issuer=above.names[at],
        issuer_key=above.keys[at],
        subject=name_text(leaf.subject),
        key=hashlib.sha256(leaf.spki).hexdigest(),
        ca=ca,
        not_before=leaf.not_before_ms,
        not_after=leaf.not_after_ms,
        trust_domain=path.anchor.trust_domain,
        root=path.anchor.fingerprint.hex(),
        findings=findings,
        certificate=fingerprint.hex(),
    )
