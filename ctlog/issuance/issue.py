"""The way of a certificate, decision by decision: what is submitted, and what is made of the SCTs that come back.

Specs: RFC 6962 sections 3.1 to 3.3, 4.1 and 4.2; rows C1 to C5 of docs/conformance.md. In scope, all of it pure but for
the signer's signature: the precertificate, signed by the CA or by a precertificate signing certificate, with the entry
that its SCTs must be signed over; the final certificate made of the same TBSCertificate and verified SCTs, and the
check that it is the logged one; the certificate without SCTs, for profiles that forbid them, and the list that travels
beside it. Out of scope: sending (`ctlog.issuance.issuer`), how many SCTs are enough (`ctlog.client.several`).

The reasons of what is raised here:

    not-as-logged      the TBSCertificate has a poison or an SCT list already, or is not this CA's
    not-its-signer     the precertificate signing certificate is not one, or not of this CA
    no-sct             there is no SCT to embed
    same-log           two SCTs are of one log
    wrong-certificate  an SCT vouches for something else
    final-differs      the signed certificate is not the one that was logged
    wrong-key          the signer's key is not that of the CA's certificate
    bad-signature      the signer's signature does not hold under the CA's key
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from ctlog.client.sct import VerifiedSct
from ctlog.client.submission import Submission
from ctlog.errors import MalformedError, RefusedError, SctError, SignatureError, UsageError, VerificationError
from ctlog.issuance.authority import Authority
from ctlog.issuance.keys import Key
from ctlog.wire.rfc6962 import EntryType, SignedEntry, format_sct, format_sct_list
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.precert import (
    OID_POISON,
    OID_SCT_LIST,
    is_precert_signer,
    logged_precertificate,
    tbs_of_final,
)
from ctlog.x509.signatures import load_key, read_scheme, verify


def precertificate(authority: Authority, tbs: bytes, signer: Authority | None = None) -> Submission:
    """What goes to add-pre-chain for `tbs`, a TBSCertificate of `authority` as logged (no poison, no SCT list).

    signer: the precertificate signing certificate that signs in the CA's place. The entry is what a log will make of
    it, read back from the precertificate by the rules of section 3.2, so that no log is asked about another one.

    Raises UsageError "not-as-logged", "not-its-signer"; whatever the signer raises.
    """
    if signer is not None and (signer.above[:1] != (authority.certificate,) or not _is_signer(signer)):
        sentence = "the precertificate signing certificate is not one, or was not issued by this CA"
        raise UsageError(sentence, reason="not-its-signer")
    entry = logged_entry(authority, tbs)
    by = signer or authority
    try:
        der = by.precertificate(tbs)
        read = parse_certificate(der)
        _check_signature(by, read)
        same = logged_precertificate(read, [_parsed(each) for each in by.chain]) == (entry.issuer_key_hash, tbs)
    except (MalformedError, RefusedError) as error:
        raise UsageError(f"this TBSCertificate cannot be logged: {error}", reason="not-as-logged") from None
    if not same or read.extension(OID_SCT_LIST) is not None or len(read.extensions_of(OID_POISON)) != 1:
        raise UsageError(
            "the TBSCertificate has a poison or SCTs, or names another issuer or key identifier than the CA's",
            reason="not-as-logged",
        )
    return Submission((der, *by.chain), entry)


def precertificate_submission(der: bytes, authority: Authority, signer: Authority | None = None) -> Submission:
    """What goes to add-pre-chain for a precertificate that was made before, by `precertificate` with these.

    Raises MalformedError, RefusedError for bytes that are none.
    """
    by = signer or authority
    key_hash, tbs = logged_precertificate(parse_certificate(der), [_parsed(each) for each in by.chain])
    return Submission((der, *by.chain), SignedEntry(EntryType.PRECERT, tbs, key_hash))


def logged_entry(authority: Authority, tbs: bytes) -> SignedEntry:
    """What the SCTs to embed must be signed over (RFC 6962 section 3.2)."""
    return SignedEntry(EntryType.PRECERT, tbs, _key_hash(authority.signer.spki))


def final_certificate(authority: Authority, tbs: bytes, scts: Sequence[VerifiedSct]) -> bytes:
    """The certificate with its SCTs embedded, in the order given; checked to be the one that was logged.

    Raises SctError "no-sct", "same-log", "wrong-certificate"; VerificationError "final-differs"; SignatureError.
    """
    check_scts(scts, logged_entry(authority, tbs))
    certificate = authority.final(tbs, [format_sct(one.sct) for one in scts])
    check_final(authority, certificate, tbs)
    return certificate


def check_scts(scts: Sequence[VerifiedSct], entry: SignedEntry) -> None:
    """Is there one, of each log one, and do all vouch for `entry`? Raises SctError."""
    if not scts:
        raise SctError("there is no SCT to go with this certificate", reason="no-sct")
    if len({one.sct.log_id for one in scts}) < len(scts):
        raise SctError("two of the SCTs are of one log, which counts once", reason="same-log")
    for one in scts:
        if one.entry != entry:
            raise SctError("an SCT vouches for another certificate", reason="wrong-certificate")


def check_final(authority: Authority, certificate: bytes, tbs: bytes) -> None:
    """Is `certificate` `tbs` with an SCT list, or as it is, signed by the CA? Raises VerificationError, SignatureError.

    The signature is verified unless a `Key` made it, which computes with the very library that would check it.
    """
    try:
        read = parse_certificate(certificate)
        same = tbs_of_final(read) == tbs and read.extension(OID_POISON) is None
    except MalformedError as error:
        raise VerificationError(f"the final certificate cannot be read: {error}", reason="final-differs") from None
    if not same:
        raise VerificationError("the final certificate is not the one that was logged", reason="final-differs")
    _check_signature(authority, read)


def plain_certificate(authority: Authority, tbs: bytes) -> Submission:
    """The certificate without SCTs, as what goes to add-chain: for profiles whose extensions are a closed list.

    Its first certificate is the one to hand out. Raises as `precertificate`.
    """
    certificate = authority.certificate_for(tbs)
    try:
        read = parse_certificate(certificate)
    except MalformedError as error:
        raise UsageError(f"this TBSCertificate is none: {error}", reason="not-as-logged") from None
    if read.issuer != authority.name or {OID_POISON, OID_SCT_LIST} & {each.oid for each in read.extensions}:
        sentence = "the TBSCertificate has a poison or SCTs, or names another issuer than the CA"
        raise UsageError(sentence, reason="not-as-logged")
    _check_signature(authority, read)
    return certificate_submission(certificate, authority)


def certificate_submission(certificate: bytes, authority: Authority) -> Submission:
    """What goes to add-chain for a final certificate, with SCTs in it or without."""
    return Submission((certificate, *authority.chain), SignedEntry(EntryType.X509, certificate))


def detached_list(scts: Sequence[VerifiedSct]) -> bytes:
    """SCTs as they travel beside a certificate: a SignedCertificateTimestampList (RFC 6962 section 3.3), TLS bytes."""
    return format_sct_list([format_sct(one.sct) for one in scts])


@lru_cache(64)  # CAs repeat
def _parsed(der: bytes) -> Certificate:
    return parse_certificate(der, "issuer")


@lru_cache(64)
def _key_hash(spki: bytes) -> bytes:
    return hashlib.sha256(spki).digest()


def _is_signer(signer: Authority) -> bool:
    return is_precert_signer(_parsed(signer.certificate))


def _check_signature(authority: Authority, read: Certificate) -> None:
    """Is it signed by the CA's key? A `Key` is believed; any other signer's signature is verified."""
    spki = _parsed(authority.certificate).spki
    if spki != authority.signer.spki:
        raise UsageError("the signer's key is not that of the CA's certificate", reason="wrong-key")
    if isinstance(authority.signer, Key):
        return
    try:
        scheme, key = read_scheme(read.algorithm, "the certificate"), load_key(spki, "the CA")
    except RefusedError as error:
        raise SignatureError(str(error), reason=error.reason) from None
    if read.algorithm != read.inner_algorithm or not verify(key, scheme, read.signature, read.tbs):
        raise SignatureError("the signer's signature does not hold under the CA's key")
