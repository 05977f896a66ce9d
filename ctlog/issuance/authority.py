"""A CA and what it signs: a TBSCertificate as logged, and the three certificates that are made of it.

Specs: RFC 5280 section 4.1; RFC 6962 sections 3.1 to 3.3 (precertificates, embedded SCTs). In scope: the unit is a
TBSCertificate *as logged* (no poison, no SCT list), made by a profile or by `Authority.leaf`; an `Authority` signs it
as `certificate_for`, as `precertificate`, and as `final` with its SCTs.
Out of scope: submitting (`ctlog.issuance.issuer`), and whom a number belongs to.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ctlog.errors import MalformedError, UsageError
from ctlog.issuance.extensions import POISON, authority_key_id, key_id, sct_list
from ctlog.issuance.keys import Signer
from ctlog.issuance.write import bit_string, integer, items, object_id, sequence, tlv, validity
from ctlog.x509.chain import is_ca
from ctlog.x509.der import OCTET_STRING, oid, only_child, parse_certificate
from ctlog.x509.precert import insert_extension

_AKI = object_id("2.5.29.35")
_SKI = oid("2.5.29.14")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for: a Name in DER, a SubjectPublicKeyInfo in DER, and its time, both ends included."""

    name: bytes
    spki: bytes
    not_before_ms: int
    not_after_ms: int
    serial: int | None = None  # None: 127 random bits with the top one set, so that the length never varies


def new_tbs(issuer: bytes, algorithm: bytes, subject: Subject, extensions: Sequence[bytes]) -> bytes:
    """A TBSCertificate (RFC 5280 section 4.1) with just these extensions in this order."""
    serial = subject.serial if subject.serial is not None else secrets.randbits(126) | 1 << 126
    return sequence(
        b"\xa0\x03\x02\x01\x02",
        integer(serial),
        algorithm,
        issuer,
        validity(subject.not_before_ms, subject.not_after_ms),
        subject.name,
        subject.spki,
        tlv(0xA3, sequence(*extensions)),
    )


def signed(tbs: bytes, signer: Signer) -> bytes:
    """A Certificate: `tbs` and the signature over it."""
    return sequence(tbs, signer.algorithm, bit_string(signer.sign(tbs)))


@lru_cache(1024)
def _subject_key_id(certificate: bytes) -> bytes:
    """RFC 5280 section 4.2.1.2: any CA may number its keys as it likes. b"" where there is none."""
    found = parse_certificate(certificate, "the CA's certificate").extension(_SKI)
    if found is None:
        return b""
    lo, hi = only_child(found.value, OCTET_STRING, "subjectKeyIdentifier")
    return found.value[lo:hi]


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: its certificate, the key that goes with it, and the certificates above it, nearest first, root last."""

    certificate: bytes
    signer: Signer
    name: bytes
    above: tuple[bytes, ...] = ()

    @property
    def chain(self) -> tuple[bytes, ...]:
        """What goes after the leaf in a submission."""
        return (self.certificate, *self.above)

    @classmethod
    def of(cls, chain: Sequence[bytes], signer: Signer) -> Authority:
        """A CA that there is already: its certificate, then those above it (DER), and whoever holds its key.

        Raises UsageError "wrong-key" if the key is not the certificate's, "not-a-ca"; MalformedError.
        """
        read = parse_certificate(chain[0], "the CA's certificate")
        if read.spki != signer.spki:
            raise UsageError("the signer's key is not that of the CA's certificate", reason="wrong-key")
        if not is_ca(read):
            raise UsageError("the certificate is no CA's, so nobody would accept what it signs", reason="not-a-ca")
        return cls(chain[0], signer, read.subject, tuple(chain[1:]))

    @property
    def key_id(self) -> bytes:
        """The identifier of its key, as its certificate gives it; below it, it is the authority key identifier."""
        return _subject_key_id(self.certificate) or key_id(self.signer.spki)

    def leaf(self, subject: Subject, extensions: Sequence[bytes]) -> bytes:
        """A TBSCertificate of this CA with just these extensions in this order."""
        return new_tbs(self.name, self.signer.algorithm, subject, extensions)

    def certificate_for(self, tbs: bytes) -> bytes:
        """The certificate without SCTs, for profiles that forbid them; it is logged by add-chain."""
        return signed(tbs, self.signer)

    def precertificate(self, tbs: bytes) -> bytes:
        """What add-pre-chain takes; nobody else accepts it, for the poison is critical.

        Where this authority is a precertificate signing certificate, it puts its own name and key identifier in place
        of the real issuer's; the log puts them back (RFC 6962 section 3.2). Raises MalformedError, UsageError.
        """
        fields = items(tbs)
        if len(fields) < 7:  # version to subjectPublicKeyInfo; without extensions it names no number
            raise MalformedError("this is no TBSCertificate", field="tbsCertificate")
        if fields[3] != self.name:
            if fields[2] != self.signer.algorithm:
                raise UsageError("a precertificate signing certificate must sign by the algorithm of the real issuer")
            own = [authority_key_id(self.key_id) if _AKI in e[:8] else e for e in items(items(fields[-1])[0])]
            tbs = sequence(*fields[:3], self.name, *fields[4:-1], tlv(0xA3, sequence(*own)))
        return signed(insert_extension(tbs, POISON), self.signer)

    def final(self, tbs: bytes, scts: Sequence[bytes]) -> bytes:
        """The certificate with its SCTs (each one serialised): without them it is `tbs`, byte for byte."""
        return signed(insert_extension(tbs, sct_list(scts)), self.signer)

    def authority(self, signer: Signer, subject: Subject, extensions: Sequence[bytes]) -> Authority:
        """A CA below this one; `signer` holds the key of `subject.spki`."""
        certificate = signed(self.leaf(subject, extensions), self.signer)
        return Authority(certificate, signer, subject.name, self.chain)
