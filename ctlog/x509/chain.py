"""A chain of certificates, link by link on raw bytes, to an accepted root.

Spec: RFC 6962 section 3.1 ("Each following certificate MUST directly certify the one preceding it; the final
certificate MUST either be, or be issued by, a root certificate accepted by the log") and section 4.1.

In scope: which accepted root anchors a chain, and that every link up to it holds. A link is a valid signature over
the raw TBSCertificate, by schemes listed in `ctlog.x509.signatures`. Names are compared as raw bytes; a link whose
names differ but whose signature verifies holds too (names are re-encoded in the wild, and a key that signed has
issued), and the leaf's is noted in `PlannedChain.renamed`.
Out of scope, on purpose: validity, basic constraints, key usage, policies, revocation. A log records what was issued;
whether it should have been is for monitors to say.

How a root anchors: an anchor is a name and a key, so a certificate *is* an accepted root if it has the subject and the
key of one, as a renewed root and a cross-certificate do. The first such certificate above the leaf ends the chain, so
that the same leaf and issuers give the same stored chain whether or not the submitter adds the root and what is above
it. The stored chain ends with the accepted root's own certificate. What was submitted beyond it must follow by name, is
not verified, and is not stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from ctlog.errors import MalformedError, RefusedError
from ctlog.x509.der import BOOLEAN, SEQUENCE, Certificate, expect, oid, parse_certificate, read_tlv
from ctlog.x509.names import name_text
from ctlog.x509.signatures import PublicKey, Scheme, load_key, read_scheme, verify

K = TypeVar("K")
V = TypeVar("V")

MAX_CHAIN = 10
"""Certificates in a chain as submitted, the leaf included."""

OID_BASIC_CONSTRAINTS = oid("2.5.29.19")


def place(index: int) -> str:
    """Name a certificate's place for people: the leaf, at index 0, is "certificate 1 of the chain"."""
    return f"certificate {index + 1} of the chain"


def is_ca(certificate: Certificate) -> bool:
    """Whether a certificate says that it is a CA's: basicConstraints with cA TRUE (RFC 5280 section 4.2.1.9), or it is
    older than version 3, so that it could not say, and self-issued. Total."""
    constraints = certificate.extension(OID_BASIC_CONSTRAINTS)
    if constraints is None:
        return certificate.version in (1, 2) and certificate.issuer == certificate.subject
    value = constraints.value
    try:
        lo, hi = expect(value, 0, len(value), SEQUENCE, "basicConstraints")
        if lo == hi:
            return False
        tag, lo, hi = read_tlv(value, lo, hi, "basicConstraints")
    except MalformedError:
        return False
    return tag == BOOLEAN and any(value[lo:hi])


# --- the accepted roots ----------------------------------------------------------------------------------------------


class AcceptedRoot(NamedTuple):
    """A trust anchor: a CA certificate, self-issued or not, whose subject and key are trusted; made by `accepted_root`.

    fingerprint: SHA-256 of its DER. trust_domain: the operator's word for the ecosystem, such as "us-shaken". key: its
    key, loaded.
    """

    certificate: Certificate
    fingerprint: bytes
    trust_domain: str
    key: PublicKey


def accepted_root(der: bytes, trust_domain: str, field: str = "root") -> AcceptedRoot:
    """Read one accepted root. Raises: MalformedError; RefusedError "not-a-ca" if it is no CA's certificate and
    "unsupported-key" if its key could verify nothing."""
    certificate = parse_certificate(der, field)
    if not is_ca(certificate):
        raise RefusedError(f"{field} is not a CA's certificate: {name_text(certificate.subject)}", reason="not-a-ca")
    return AcceptedRoot(certificate, hashlib.sha256(der).digest(), trust_domain, load_key(certificate.spki, field))


class Roots:
    """The accepted roots, found by fingerprint, by subject, and by subject and key. Does not change once made.

    Iterates in the order given, each certificate once. Of several certificates with one subject and key, the first is
    the one that anchors.
    """

    def __init__(self, roots: Iterable[AcceptedRoot] = ()) -> None:
        self._by_fingerprint: dict[bytes, AcceptedRoot] = {}
        self._by_anchor: dict[tuple[bytes, bytes], AcceptedRoot] = {}
        self._by_name: dict[bytes, list[AcceptedRoot]] = {}
        for root in roots:
            if self._by_fingerprint.setdefault(root.fingerprint, root) is not root:
                continue
            subject, spki = root.certificate.subject, root.certificate.spki
            if self._by_anchor.setdefault((subject, spki), root) is root:
                self._by_name.setdefault(subject, []).append(root)

    def __len__(self) -> int:
        return len(self._by_fingerprint)

    def __iter__(self) -> Iterator[AcceptedRoot]:
        return iter(self._by_fingerprint.values())

    def by_fingerprint(self, fingerprint: bytes) -> AcceptedRoot | None:
        """Give the root whose certificate has this SHA-256."""
        return self._by_fingerprint.get(fingerprint)

    def named(self, subject: bytes) -> Sequence[AcceptedRoot]:
        """Give the roots with this subject (raw bytes), one for each key."""
        return self._by_name.get(subject, ())

    def anchor(self, certificate: Certificate) -> AcceptedRoot | None:
        """Give the root that this certificate is, by its subject and key."""
        return self._by_anchor.get((certificate.subject, certificate.spki))


# --- signatures as values --------------------------------------------------------------------------------------------


class SignatureCheck(NamedTuple):
    """One signature that has still to be verified. `run` takes 50 us and more, holds no lock and needs nothing else,
    so it can run in a thread.

    same_name: whether the certificate names this issuer. position: the certificate's place in the chain, from 0;
    above: its issuer's, for people.
    """

    key: PublicKey
    scheme: Scheme
    signature: bytes
    tbs: bytes
    same_name: bool
    position: int
    above: str

    def holds(self) -> bool:
        """Whether the signature is valid."""
        return verify(self.key, self.scheme, self.signature, self.tbs)

    def run(self) -> None:
        """Raises: RefusedError if the signature is not valid: "bad-signature", or "chain-out-of-order" where neither
        name nor key say that this is the issuer."""
        if not self.holds():
            raise self.refusal()

    def refusal(self) -> RefusedError:
        """Say what it means that the signature is not valid."""
        child, above = place(self.position), self.above
        if self.same_name:
            sentence = f"the signature of {child} is not valid under the key of {above}"
            return RefusedError(sentence, reason="bad-signature")
        return RefusedError(f"{above} did not issue {child}: neither name nor key agree", reason="chain-out-of-order")


def check_link(child: Certificate, issuer: Certificate, key: PublicKey, index: int, above: str = "") -> SignatureCheck:
    """Give the check that `issuer`, whose key is `key`, issued `child`, which is the chain's certificate `index`.

    Raises: RefusedError, "sha1-signature" or "unsupported-signature".
    """
    scheme = read_scheme(child.algorithm, place(index))
    same_name = child.issuer == issuer.subject
    return SignatureCheck(key, scheme, child.signature, child.tbs, same_name, index, above or place(index + 1))


# --- walking ---------------------------------------------------------------------------------------------------------


class Path(NamedTuple):
    """What stands above a leaf, every link of it verified: its issuer first, the accepted root's certificate last.

    key: the issuer's key, loaded. fingerprints: SHA-256 of each certificate's DER.
    """

    certificates: tuple[Certificate, ...]
    fingerprints: tuple[bytes, ...]
    anchor: AcceptedRoot
    key: PublicKey


class PlannedChain(NamedTuple):
    """A chain that holds if `checks` do. renamed: the leaf's issuer is not, byte for byte, its issuer's subject."""

    leaf: Certificate
    path: Path
    checks: tuple[SignatureCheck, ...]
    renamed: bool


class BoundedCache(Generic[K, V]):
    """A mapping that holds values up to a sum of costs (bytes) and lets the oldest go first. It belongs to whoever
    makes it; used from one thread."""

    def __init__(self, capacity: int = 16 << 20) -> None:
        self._capacity = capacity
        self._used = 0
        self._items: dict[K, tuple[V, int]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """Give the value, or None."""
        found = self._items.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, cost: int) -> None:
        """Keep the value, unless it alone costs more than an eighth of the capacity."""
        if cost > self._capacity // 8 or key in self._items:
            return
        self._items[key] = (value, cost)
        self._used += cost
        while self._used > self._capacity:
            oldest = next(iter(self._items))
            self._used -= self._items.pop(oldest)[1]


PathCache = BoundedCache[tuple[bytes, ...], Path]


def plan_chain(
    chain: Sequence[bytes], roots: Roots, cache: PathCache | None = None, max_chain: int = MAX_CHAIN
) -> PlannedChain:
    """Find the accepted root of a chain (DER, leaf first, root optional) and verify all but the leaf's signature.

    cache: paths that were verified before *under the same roots*; the same issuers are then neither parsed nor
    verified again. When several accepted roots have the name of the leaf's issuer, the leaf's signature decides among
    them, is verified at once, and `checks` is empty.

    Raises: MalformedError; RefusedError with "empty-chain", "chain-too-long", "unknown-root", "bad-signature",
    "chain-out-of-order", "sha1-signature", "unsupported-signature", "unsupported-key".
    """
    if not chain:
        raise RefusedError("the chain is empty", reason="empty-chain")
    if len(chain) > max_chain:
        raise RefusedError(f"the chain has {len(chain)} certificates, more than {max_chain}", reason="chain-too-long")
    leaf = parse_certificate(chain[0], place(0))
    above = tuple(chain[1:])
    if not above:
        root, checks = _choose_root(leaf, 0, roots)
        return PlannedChain(leaf, _path([], [], root), checks, False)
    path = None if cache is None else cache.get(above)
    if path is None:
        path = verify_path(above, roots)
        if cache is not None:
            cache.put(above, path, 4 * sum(map(len, above)) + 4096)
    issuer = path.certificates[0]
    return PlannedChain(leaf, path, (check_link(leaf, issuer, path.key, 0),), leaf.issuer != issuer.subject)


def walk(chain: Sequence[bytes], roots: Roots, cache: PathCache | None = None) -> PlannedChain:
    """Verify a whole chain: `plan_chain`, and its checks run. Raises: as `plan_chain`."""
    planned = plan_chain(chain, roots, cache)
    for check in planned.checks:
        check.run()
    return planned


def verify_path(issuers: Sequence[bytes], roots: Roots) -> Path:
    """Verify what stands above a leaf, from the root downwards, so that no key is used before it is vouched for.

    issuers: DER of at least one, the leaf's own issuer first. Raises: as `plan_chain`.
    """
    certificates = [parse_certificate(der, place(index)) for index, der in enumerate(issuers, 1)]
    found = [roots.anchor(certificate) for certificate in certificates]
    top = next((at for at, root in enumerate(found) if root is not None), len(found))
    for at in range(top, len(found) - 1):
        if certificates[at].issuer != certificates[at + 1].subject:
            raise RefusedError(
                f"{place(at + 2)} is not what {place(at + 1)} names as its issuer", reason="chain-out-of-order"
            )
    root = found[top] if top < len(found) else None
    if root is None:
        root, checks = _choose_root(certificates[-1], len(certificates), roots)
        for check in checks:
            check.run()
    for at in reversed(range(min(top, len(found) - 1))):
        issuer = certificates[at + 1]
        check_link(certificates[at], issuer, load_key(issuer.spki, place(at + 2)), at + 1).run()
    return _path(certificates[:top], issuers[:top], root)


def _path(certificates: Sequence[Certificate], ders: Sequence[bytes], root: AcceptedRoot) -> Path:
    fingerprints = [hashlib.sha256(der).digest() for der in ders]
    key = load_key(certificates[0].spki, place(1)) if certificates else root.key
    return Path((*certificates, root.certificate), (*fingerprints, root.fingerprint), root, key)


def _choose_root(last: Certificate, index: int, roots: Roots) -> tuple[AcceptedRoot, tuple[SignatureCheck, ...]]:
    """Find the accepted root that issued the last certificate of a chain; the check is left open if there is one only.

    An issuer's name must here agree byte for byte; a root whose name is written otherwise is to be part of the chain.
    """
    named = roots.named(last.issuer)
    if not named:
        if last.issuer == last.subject:
            problem = f"{place(index)} is not among the accepted roots"
        else:
            problem = f"the issuer of {place(index)} is neither in the chain nor among the accepted roots"
        raise RefusedError(f"{problem}: {name_text(last.issuer)}", reason="unknown-root")
    above = "the accepted root of that name" if len(named) == 1 else "any accepted root of that name"
    for root in named:
        check = check_link(last, root.certificate, root.key, index, above)
        if len(named) == 1:
            return root, (check,)
        if check.holds():
            return root, ()
    raise check.refusal()
