"""Is this certificate's SCT good? RFC 6962 sections 3.2, 3.3 and 5.2, with nothing but the log's key: the call path.

In scope: one SCT against one certificate, embedded in it or handed in beside it, and the SCTs that a certificate
carries. A good SCT is a signed promise by a log; that the entry is in the tree is another question (`leaf_index` and
`ctlog verify`). Out of scope: whether the certificate is valid and whom to trust (`ctlog.client.passport`), which log
has which key (`ctlog.client.log_list`), how many SCTs are enough (`ctlog.client.sct_policy`), network and clock:
`now_ms` is an argument.

The reasons of an SctError:

    unknown-version    an SCT of another version than 1
    unknown-log        the SCT is of another log than the key
    from-the-future    its time is later than now, by more than the tolerance
    wrong-certificate  the signature does not hold, and cannot: the right issuer's certificate was not handed in
    bad-signature      the signature is not the log's over this certificate
    bad-extensions     signed, but its extensions are no list of extensions (static-ct-api)
    no-sct             the certificate carries no SCT of this log
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from ctlog.errors import MalformedError, RefusedError, SctError, SignatureError
from ctlog.wire.rfc6962 import (
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    TimestampedEntry,
    format_merkle_tree_leaf,
    parse_sct,
    parse_sct_list,
)
from ctlog.wire.static_ct import parse_leaf_index
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.precert import (
    OID_SCT_LIST,
    is_precertificate,
    logged_precertificate,
    sct_list_extension,
    tbs_of_final,
)

CLOCK_SKEW_MS = 300_000
"""By how much a log's clock may be ahead of that of whoever has just submitted to it: five minutes, as in OpenSSL's
check of SCTs. On the call path nothing is forgiven: the certificate was issued before the call."""


class VerifiedSct(NamedTuple):
    """An SCT that holds for a certificate: the log's promise to have `entry` in its tree.

    `leaf_index` is where, counted from 0, when the SCT says so (static-ct-api); it is a part of what was signed.
    """

    sct: SignedCertificateTimestamp
    entry: SignedEntry
    leaf_index: int | None

    @property
    def merkle_tree_leaf(self) -> bytes:
        """The bytes whose leaf hash must be in the tree (RFC 6962 section 3.4)."""
        return format_merkle_tree_leaf(TimestampedEntry(self.sct.timestamp_ms, self.entry, self.sct.extensions))


def embedded_scts(certificate: bytes) -> list[bytes]:
    """The SCTs, serialized, in a certificate's SCT list extension; empty where there is none.

    Raises MalformedError for what is no certificate, two lists, or a list that cannot be read.
    """
    data = sct_list_extension(parse_certificate(certificate))
    return [] if data is None else parse_sct_list(data)


def verify_sct(
    certificate: bytes,
    issuers: Sequence[bytes],
    sct: bytes | SignedCertificateTimestamp,
    key: LogKey,
    now_ms: int,
    tolerance_ms: int = 0,
) -> VerifiedSct:
    """Does the log of `key` vouch for `certificate` by `sct`? All certificates in DER.

    `certificate` is final or a precertificate; `issuers` are the ones above it, its own issuer first. One is enough,
    but for a precertificate that a precertificate signing certificate issued, which needs two; an SCT over a final
    certificate as it is needs none. The SCT may be over the precertificate, as the embedded ones are, or over the final
    certificate itself: `entry` says which. Its time may be later than `now_ms` by `tolerance_ms`.

    Raises SctError with one of the reasons above; MalformedError for bytes that cannot be read at all.
    """
    candidate = Candidate(
        parse_certificate(certificate), tuple(parse_certificate(der, "issuer") for der in issuers)
    )
    read = read_sct(sct) if isinstance(sct, bytes) else sct
    if read.log_id != key.log_id:
        raise SctError("the SCT is of another log than the key", reason="unknown-log")
    check_time(read, now_ms, tolerance_ms)
    return candidate.verify(read, key)


def verify_embedded_sct(
    certificate: bytes, issuers: Sequence[bytes], key: LogKey, now_ms: int, tolerance_ms: int = 0
) -> VerifiedSct:
    """Does the log of `key` vouch for `certificate` by an SCT that stands in it? See `verify_sct`.

    Of several SCTs of this log the first good one counts; if none is good, the first one's error is raised.
    """
    refusal = None
    for data in embedded_scts(certificate):
        if data[:1] != b"\x00" or data[1:33] != key.log_id:
            continue
        try:
            return verify_sct(certificate, issuers, data, key, now_ms, tolerance_ms)
        except (SctError, MalformedError) as error:
            refusal = refusal or error
    raise refusal or SctError("the certificate carries no SCT of this log", reason="no-sct")


class Candidate(NamedTuple):
    """A certificate that SCTs are held against, with what stands above it, its own issuer first."""

    certificate: Certificate
    issuers: tuple[Certificate, ...]

    def verify(self, sct: SignedCertificateTimestamp, key: LogKey) -> VerifiedSct:
        """Is `sct` signed by `key` over this certificate? Nothing is said of its time. Raises as `verify_sct`."""
        entry = _entry_signed(sct, key, _entries(self.certificate, self.issuers))
        if entry is None:
            raise _not_signed(self.certificate, self.issuers)
        try:
            return VerifiedSct(sct, entry, parse_leaf_index(sct.extensions))
        except MalformedError as error:
            raise SctError(f"the SCT is signed, but malformed inside: {error}", reason="bad-extensions") from None


def read_sct(data: bytes) -> SignedCertificateTimestamp:
    """Read one SCT of a list. Raises SctError "unknown-version"; MalformedError."""
    try:
        return parse_sct(data)
    except MalformedError as error:
        if error.reason == "unknown-version":
            raise SctError(str(error), reason="unknown-version") from None
        raise


def check_time(sct: SignedCertificateTimestamp, now_ms: int, tolerance_ms: int) -> None:
    """Raises SctError, "from-the-future"."""
    if sct.timestamp_ms > now_ms + tolerance_ms:
        sentence = f"the SCT's time is {sct.timestamp_ms - now_ms} ms in the future"
        raise SctError(sentence, reason="from-the-future")


def _entries(certificate: Certificate, issuers: Sequence[Certificate]) -> list[SignedEntry]:
    """What an SCT of this certificate can be over, the likeliest first."""
    final = SignedEntry(EntryType.X509, certificate.der)
    if not issuers:
        return [final]
    if is_precertificate(certificate):
        try:
            issuer_key_hash, tbs = logged_precertificate(certificate, issuers)
        except RefusedError as error:
            raise SctError(str(error), reason="wrong-certificate") from None
        return [SignedEntry(EntryType.PRECERT, tbs, issuer_key_hash)]
    issuer_key_hash = hashlib.sha256(issuers[0].spki).digest()
    precertificate = SignedEntry(EntryType.PRECERT, tbs_of_final(certificate), issuer_key_hash)
    has_list = certificate.extension(OID_SCT_LIST) is not None
    return [precertificate, final] if has_list else [final, precertificate]


def _entry_signed(sct: SignedCertificateTimestamp, key: LogKey, entries: Sequence[SignedEntry]) -> SignedEntry | None:
    for entry in entries:
        try:
            key.verify_sct(sct, entry)
        except SignatureError:
            continue
        return entry
    return None


def _not_signed(certificate: Certificate, issuers: Sequence[Certificate]) -> SctError:
    if not issuers:
        sentence = "the SCT is not over this certificate as it is, and no issuer was given to try its precertificate"
        return SctError(sentence, reason="wrong-certificate")
    if certificate.issuer != issuers[0].subject:
        sentence = "the SCT does not hold for this certificate under this issuer, whose name is not that of its issuer"
        return SctError(sentence, reason="wrong-certificate")
    return SctError("the SCT's signature is not the log's over this certificate", reason="bad-signature")
