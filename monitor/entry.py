"""One log entry as the monitor understands it, made from any bytes.

In scope: what an entry says (its certificate, what that claims, whose it is, by whom it was issued as far as signatures
show), and the one key that joins a precertificate, its final certificate, and the same in every log. `read_entry` is
total: what no parser accepts is an entry all the same, with whatever a tolerant search finds in it, since nothing may
hide by its form. Out of scope: who asked (`monitor.watchlist`), what to think of it (`monitor.rules`); the quick look
that decides which entries are read like this (`monitor.glance`).

What the tree vouches for is the leaf. A precertificate is therefore read from the TBSCertificate in the leaf (RFC 6962
section 3.2). What a log hands over beside it, the precertificate as submitted and the issuers, counts only as far as
signatures tie it to the leaf: an issuer whose signature does not verify is nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from ctlog.errors import CtlogError, MalformedError
from ctlog.tn.identity import Identity, read_identity
from ctlog.tn.labels import Label, entry_labels
from ctlog.tn.numbers import Claim
from ctlog.wire.rfc6962 import EntryType, SignedEntry, TimestampedEntry, parse_merkle_tree_leaf
from ctlog.x509.chain import AcceptedRoot, PathCache, Roots, check_link, plan_chain
from ctlog.x509.der import SEQUENCE, Certificate, format_tlv, parse_certificate
from ctlog.x509.names import name_text
from ctlog.x509.precert import OID_SCT_LIST, logged_precertificate, tbs_of_final
from ctlog.x509.signatures import load_key
from monitor.glance import Glance, Glancer, says_authority
from monitor.holder import holder_name, normalise, organisation
from monitor.salvage import salvage

NOWHERE = -1
MAX_PROBLEM = 240  # characters of a sentence that quotes names, which a CA may choose as long as it likes
_UNKNOWN_KEY = bytes(32)
_UNREADABLE = b"\xff" * 32
_EMPTY_SIGNATURE = b"\x03\x01\x00"


class IssuerId(NamedTuple):
    """Who issued: the operator of an accepted root, and every organisation on the way down to the CA that signed.

    By names, each vouched for by the one above it: a CA that rolls its key, or its root, is the same issuer, and one
    that somebody else gave the same name is not. All in normal form (`monitor.holder`). root: "" if the chain does not
    lead to an accepted root by valid signatures; then `organisation` is only what the certificate says, and is never
    the same issuer as one that is known. via: other organisations between the two, from the issuer upwards.
    """

    trust_domain: str
    root: str
    organisation: str
    via: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """True if signatures lead to an accepted root."""
        return self.root != ""

    @property
    def text(self) -> str:
        """One stable line, for people and for storage: "martini security @ us-shaken", whoever else stands above it in
        between."""
        is_own = self.root == self.organisation and not self.via
        root = "no accepted root" if not self.root else "" if is_own else self.root
        return " @ ".join(part for part in (self.organisation, *self.via, root, self.trust_domain) if part)

    def below(self, name: str) -> IssuerId:
        """A CA with this name (normal form), which this one certified."""
        if name in ("", self.organisation):
            return self
        above = () if self.organisation == self.root and not self.via else (self.organisation, *self.via)
        return self._replace(organisation=name, via=above)

    @property
    def key(self) -> bytes:
        """8 octets that stand for it in small records."""
        names = "\0".join((*self[:3], *self.via))
        return hashlib.sha256(names.encode("utf-8", "surrogatepass")).digest()[:8]


@dataclass(frozen=True, slots=True)
class Trust:
    """Which roots count, in which trust domain, and how an issuer is reached (contact by normalised organisation).

    cache: of chains verified under these roots; whoever makes a Trust may give one.
    """

    roots: Roots = field(default_factory=Roots)
    contacts: Mapping[str, str] = field(default_factory=dict)
    cache: PathCache | None = None


NO_TRUST = Trust()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands; index is NOWHERE if the log only promised it. proven: the size of a tree in which its
    inclusion was proven; None: only seen."""

    log_id: bytes
    log_name: str
    index: int
    proven: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    certificate: DER as logged; of a precertificate what was submitted, if that is known and is the leaf's, else b"".
    parsed: for a precertificate, the final one without its SCTs. None: no parser accepts it. chain: DER of the CAs, the
    root last; () if not given. issuers: the same, parsed and verified, with the accepted root's certificate at the end;
    () if `chain_reason` is not "": then that is a word ("no-chain", or a reason of docs/refusals.md), and
    `chain_problem` a sentence. issuance: 32 octets, equal for precertificate and certificate in every log. holder: as
    written; `holder_key` its normal form. key_hash: SHA-256 of the SubjectPublicKeyInfo, b"" if unparsed. Times are
    None where unreadable.
    """

    log_id: bytes
    log_name: str
    index: int
    timestamp_ms: int
    proven: int | None
    leaf: bytes
    precert: bool
    certificate: bytes
    parsed: Certificate | None
    identity: Identity
    chain: tuple[bytes, ...]
    issuers: tuple[Certificate, ...]
    chain_reason: str
    chain_problem: str
    issuance: bytes
    issuer: IssuerId
    root: AcceptedRoot | None
    holder: str
    holder_key: str
    key_hash: bytes
    not_before_ms: int | None
    not_after_ms: int | None
    is_resolved: bool = False
    """Whether what stands at its references, at all of them, has been added to its claims."""

    @property
    def labels(self) -> tuple[Label, ...]:
        """What it is found by (docs/labels.md)."""
        return self.identity.labels

    @property
    def trust_domain(self) -> str:
        """The operator's word for the ecosystem of its root; "" if unknown."""
        return self.issuer.trust_domain

    @property
    def issuer_name(self) -> bytes:
        """The issuer's Name as the certificate says it, b"" if unparsed."""
        return self.parsed.issuer if self.parsed else b""

    @property
    def issuing_key(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo of the CA that signed, b"" if signatures do not show which."""
        return hashlib.sha256(self.issuers[0].spki).digest() if self.issuers else b""

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate as logged, or of the leaf's TBSCertificate where that is not known."""
        return hashlib.sha256(self.certificate or self.leaf).digest()

    def extension(self, oid: bytes) -> bytes | None:
        """The value of an extension, None if it is not there."""
        found = self.parsed.extension(oid) if self.parsed else None
        return found.value if found else None

    def is_valid_at(self, now_ms: int) -> bool:
        """Whether its validity holds then; unreadable bounds do not exclude."""
        begins = self.not_before_ms is None or self.not_before_ms <= now_ms
        return begins and (self.not_after_ms is None or now_ms <= self.not_after_ms + 999)

    def proven_in(self, size: int) -> Entry:
        """The same entry, its inclusion proven in a tree of that size."""
        return replace(self, proven=size)

    def with_scope(self, claims: Iterable[Claim], *, is_resolved: bool = True) -> Entry:
        """The same entry with what stands at its references taken as its own claims (RFC 8226 section 10.1).

        is_resolved: false if there are references that could not be read.
        """
        known = self.identity
        merged = tuple(dict.fromkeys((*known.claims, *claims)))
        labels = entry_labels((*merged, *known.readings), known.by_reference, readable=False)
        return replace(self, identity=known._replace(claims=merged, labels=labels), is_resolved=is_resolved)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_entry(
    place: Place, leaf: bytes, *, pre_certificate: bytes = b"", chain: Sequence[bytes] = (), trust: Trust = NO_TRUST
) -> Entry:
    """Read a MerkleTreeLeaf in full. Total.

    pre_certificate: as submitted, from a data tile or `extra_data`. chain: DER of its issuers, nearest first, root last
    (the last may be missing); checked here, and nothing of it is believed before.
    """
    logged, parsed, identity = _read_leaf(leaf)
    entry = logged.entry if logged else SignedEntry(EntryType.X509, leaf)
    above = _read_chain(entry, parsed, pre_certificate, tuple(chain), trust)
    holder = holder_name(parsed.subject) if parsed else ""
    certificate = entry.certificate
    if entry.type == EntryType.PRECERT:
        certificate = pre_certificate if above.issuers else b""
    return Entry(
        log_id=place.log_id,
        log_name=place.log_name,
        index=place.index,
        timestamp_ms=logged.timestamp_ms if logged else int.from_bytes(leaf[2:10], "big"),
        proven=place.proven,
        leaf=leaf,
        precert=entry.type == EntryType.PRECERT,
        certificate=certificate,
        parsed=parsed,
        identity=identity,
        chain=tuple(chain),
        issuers=above.issuers,
        chain_reason=above.reason,
        chain_problem=above.problem,
        issuance=_issuance(entry, parsed, above.issuers, chain),
        issuer=_issuer_id(parsed, above.issuers, above.root),
        root=above.root,
        holder=holder,
        holder_key=normalise(holder),
        key_hash=hashlib.sha256(parsed.spki).digest() if parsed else b"",
        not_before_ms=parsed.not_before_ms if parsed else None,
        not_after_ms=parsed.not_after_ms if parsed else None,
    )


def look_at(glancer: Glancer, leaves: Sequence[bytes]) -> list[Glance]:
    """Glance at leaves, and read in full what a glance cannot tell. Total. An unparsed one has only labels.

    `glancer.authorities` says then which of them say to be a CA's, by their places.
    """
    leaves = list(leaves)
    found = glancer.glances(leaves)
    for at, glance in enumerate(found):
        if glance is None:
            found[at], is_authority = _read(leaves[at])
            if is_authority:
                glancer.authorities.append(at)
    return cast("list[Glance]", found)


def look(glancer: Glancer, leaf: bytes) -> Glance:
    """The same for one."""
    return glancer.glance(leaf) or _read(leaf)[0]


def _read(leaf: bytes) -> tuple[Glance, bool]:
    _, parsed, identity = _read_leaf(leaf)
    if parsed is None:
        return Glance(b"", b"", b"", b"", identity.labels), False
    is_authority = any(says_authority(each.oid, each.value) for each in parsed.extensions)
    return Glance(parsed.issuer, parsed.validity, parsed.subject, parsed.spki, identity.labels), is_authority


def _read_leaf(leaf: bytes) -> tuple[TimestampedEntry | None, Certificate | None, Identity]:
    try:
        logged = parse_merkle_tree_leaf(leaf)
    except MalformedError as error:
        return None, None, salvage(leaf, str(error))
    entry = logged.entry
    try:
        if entry.type == EntryType.PRECERT:
            parsed = _parse_tbs(entry.certificate)
        else:
            parsed = parse_certificate(entry.certificate)
    except MalformedError as error:
        return logged, None, salvage(entry.certificate, str(error))
    return logged, parsed, read_identity(parsed)


def _parse_tbs(tbs: bytes) -> Certificate:
    """Read a TBSCertificate as a certificate with an empty signature, its offsets counted from there."""
    # The algorithm outside is whatever stands inside; nothing is judged by it, for the leaf does not hold it.
    bare = parse_certificate(format_tlv(SEQUENCE, tbs + b"\x30\x00" + _EMPTY_SIGNATURE), "TBSCertificate")
    return bare._replace(algorithm=bare.inner_algorithm, signature=b"")


def _issuance(
    entry: SignedEntry, parsed: Certificate | None, issuers: Sequence[Certificate], chain: Sequence[bytes]
) -> bytes:
    """SHA-256 over the issuer's key hash and the TBSCertificate without poison and SCT list.

    Where the issuer is not known the key hash is zeros: such an entry then stands for itself, rather than for another
    issuer's certificate of the same content. Where there are two SCT lists, nothing is taken out.
    """
    if entry.type == EntryType.PRECERT:
        return hashlib.sha256(entry.issuer_key_hash + entry.certificate).digest()
    if parsed is None:
        return hashlib.sha256(_UNREADABLE + entry.certificate).digest()
    spki = issuers[0].spki if issuers else _signer(parsed, chain)
    key = hashlib.sha256(spki).digest() if spki else _UNKNOWN_KEY
    single = len(parsed.extensions_of(OID_SCT_LIST)) == 1
    return hashlib.sha256(key + (tbs_of_final(parsed) if single else parsed.tbs)).digest()


def _signer(parsed: Certificate, chain: Sequence[bytes]) -> bytes:
    """Give the key of the certificate that signed, although nobody vouches for it; b"" if it did not."""
    try:
        issuer = parse_certificate(chain[0]) if chain else None
        if issuer and check_link(parsed, issuer, load_key(issuer.spki, "issuer"), 0).holds():
            return issuer.spki
    except CtlogError:
        pass
    return b""


class _Above(NamedTuple):
    """What stands above an entry, verified, or why it could not be: `reason` is a word, `problem` a sentence."""

    issuers: tuple[Certificate, ...] = ()
    root: AcceptedRoot | None = None
    reason: str = ""
    problem: str = ""


def _read_chain(
    entry: SignedEntry, parsed: Certificate | None, pre_certificate: bytes, chain: tuple[bytes, ...], trust: Trust
) -> _Above:
    """Verify who issued."""
    is_precert = entry.type == EntryType.PRECERT
    if parsed is None:
        return _Above(reason="unreadable", problem="the entry cannot be read")
    if not chain and not trust.roots.named(parsed.issuer):
        return _Above(reason="no-chain", problem="its issuers were not given")
    if is_precert and not pre_certificate:
        return _Above(reason="no-precertificate", problem="the precertificate that was signed was not given")
    leaf = pre_certificate if is_precert else entry.certificate
    try:
        planned = plan_chain((leaf, *chain), trust.roots, trust.cache)
        for check in planned.checks:
            check.run()
        above = planned.path.certificates
        if is_precert:
            logged = logged_precertificate(planned.leaf, above)
            if logged != (entry.issuer_key_hash, entry.certificate):
                problem = "the precertificate beside the entry is another than the one in the tree"
                return _Above(reason="other-precertificate", problem=problem)
            if hashlib.sha256(above[0].spki).digest() != entry.issuer_key_hash:
                above = above[1:]  # a precertificate signing certificate; the certificate's issuer is above it
    except CtlogError as error:
        return _Above(reason=error.reason, problem=str(error)[:MAX_PROBLEM])
    return _Above(above, planned.path.anchor)


def _issuer_id(parsed: Certificate | None, issuers: Sequence[Certificate], root: AcceptedRoot | None) -> IssuerId:
    if parsed is None:
        return IssuerId("", "", "")
    if root is None or not issuers:
        return IssuerId("", "", normalise(organisation(parsed.issuer)))
    return issuer_below(root, issuers)


def issuer_below(root: AcceptedRoot, issuers: Sequence[Certificate]) -> IssuerId:
    """Who issued, by the verified CAs up to a root and with it, nearest first."""
    operator = normalise(organisation(root.certificate.subject)) or root.fingerprint.hex()
    found = IssuerId(root.trust_domain, operator, operator)
    for ca in reversed(issuers[:-1]):
        found = found.below(normalise(organisation(ca.subject)))
    return found


def describe_issuer(entry: Entry) -> str:
    """Say who issued, for people; a name that no signature vouches for is said to be one."""
    if entry.parsed is None:
        return "an issuer that cannot be read"
    if entry.issuers:
        above = f", a CA below {entry.issuer.via[0]}" if entry.issuer.via else ""
        return (organisation(entry.issuers[0].subject) or name_text(entry.issuers[0].subject)) + above
    return f"somebody who says to be {organisation(entry.parsed.issuer) or name_text(entry.parsed.issuer)}"
