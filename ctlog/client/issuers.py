"""Which certificates stand above this one: chains built from a pool of CA certificates.

In scope: finding a certificate's issuers by name, by key identifier where both sides give one, and by whose key
verifies the signature where several still fit (renewed CAs share a name; cross-certificates share a name and a key).
Out of scope: whether a chain is good: the log decides that (`ctlog.x509.chain`), and a chain that ends too early is
handed on as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ctlog.errors import CtlogError, MalformedError, SignatureError
from ctlog.x509.chain import MAX_CHAIN, check_link
from ctlog.x509.der import Certificate, children, oid, only_child, parse_certificate
from ctlog.x509.precert import OID_AUTHORITY_KEY_ID
from ctlog.x509.signatures import load_key

_OID_SUBJECT_KEY_ID = oid("2.5.29.14")


class IssuerPool:
    """CA certificates to build chains from. What is no certificate is refused with MalformedError, by `add`."""

    def __init__(self, certificates: Iterable[bytes] = ()) -> None:
        self._by_subject: dict[bytes, list[Certificate]] = {}
        self._fingerprints: set[bytes] = set()
        self._chains: dict[bytes, tuple[Certificate, ...]] = {}  # from each issuer upwards
        for der in certificates:
            self.add(der)

    def __len__(self) -> int:
        return len(self._fingerprints)

    def add(self, der: bytes) -> None:
        """Put a certificate in; a second time changes nothing."""
        fingerprint = hashlib.sha256(der).digest()
        if fingerprint in self._fingerprints:
            return
        certificate = parse_certificate(der, "intermediate")
        self._fingerprints.add(fingerprint)
        self._by_subject.setdefault(certificate.subject, []).append(certificate)
        self._chains.clear()

    def issuers(self, certificate: Certificate) -> tuple[Certificate, ...]:
        """What stands above `certificate`: its issuer first, and so on up to a self-issued one or as far as the pool
        goes; at most nine. Empty where the pool does not have its issuer."""
        chains = []
        for issuer in self._signers(certificate):
            if issuer.der not in self._chains:
                self._chains[issuer.der] = self._line((issuer,))
            chains.append(self._chains[issuer.der])
        return min(chains, key=_is_open, default=())

    def _line(self, line: tuple[Certificate, ...]) -> tuple[Certificate, ...]:
        """`line`, lowest first, continued upwards as well as can be."""
        top = line[-1]
        if top.issuer == top.subject or len(line) == MAX_CHAIN - 1:
            return line
        above = [issuer for issuer in self._signers(top) if issuer not in line]  # cross-certificates form circles
        return min((self._line((*line, issuer)) for issuer in above), key=_is_open, default=line)

    def _signers(self, certificate: Certificate) -> list[Certificate]:
        fitting = self._fitting(certificate)
        return fitting if len(fitting) < 2 else [issuer for issuer in fitting if _signed(issuer, certificate)]

    def _fitting(self, certificate: Certificate) -> list[Certificate]:
        named = self._by_subject.get(certificate.issuer, [])
        if len(named) < 2:
            return named
        wanted = _authority_key_id(certificate)
        return [issuer for issuer in named if wanted is None or _subject_key_id(issuer) in (None, wanted)]


def check_issued(certificate: Certificate, issuer: Certificate) -> None:
    """Did the issuer's key sign the certificate? No SCT says so, for what a log signs has no signature of the CA's.

    Raises SignatureError, "certificate-forged"; RefusedError for a key or an algorithm that is not known.
    """
    if not check_link(certificate, issuer, load_key(issuer.spki, "issuer"), 0).holds():
        sentence = "the certificate's own signature is not its issuer's: it is forged or damaged, whatever a log holds"
        raise SignatureError(sentence, reason="certificate-forged")


def _is_open(chain: tuple[Certificate, ...]) -> bool:
    """Whether it ends before a self-issued certificate: such a chain is less likely to meet an accepted root."""
    return chain[-1].issuer != chain[-1].subject


def _signed(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        check_issued(certificate, issuer)
    except CtlogError:
        return False
    return True


def _authority_key_id(certificate: Certificate) -> bytes | None:
    """The keyIdentifier of RFC 5280 section 4.2.1.1, or None where there is none that can be read."""
    extension = certificate.extension(OID_AUTHORITY_KEY_ID)
    if extension is None:
        return None
    value = extension.value
    try:
        inside = children(value, *only_child(value, 0x30, "aki"), "aki")
    except MalformedError:
        return None
    return next((value[lo:hi] for tag, lo, hi in inside if tag == 0x80), None)


def _subject_key_id(certificate: Certificate) -> bytes | None:
    extension = certificate.extension(_OID_SUBJECT_KEY_ID)
    if extension is None:
        return None
    try:
        lo, hi = only_child(extension.value, 0x04, "ski")
    except MalformedError:
        return None
    return extension.value[lo:hi]
