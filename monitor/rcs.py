"""What RCC.16 adds to a messaging client's certificate: who vouches for the participant, and for the number.

    2.23.146.2.1.4  ParticipantInformation, critical: SEQUENCE { vendorId INTEGER, validity SEQUENCE { notBefore,
                    notAfter }, algorithm SEQUENCE, signature BIT STRING, participant SubjectPublicKeyInfo }; signed by
                    the participant's key: SEQUENCE { subject, vendorId, validity, SubjectPublicKeyInfo, SAN }
    2.23.146.2.1.5  8 octets of expiry, seconds since 1970; an MLS varint (RFC 9420 section 2.1.2); an ECDSA signature
                    of the carrier's configuration server, whose key no certificate holds
    2.23.146.2.1.6  vendorId of a CA

In scope: reading these from parsed certificates, and the participant's proof of possession. Total: what cannot be read
is None. The published text does not say whether "validity" is the extension's or the certificate's, and "SAN" the
extension or its value: a proof that holds in any of these ways holds. Out of scope: what its absence means
(`monitor.rules.key`), and the configuration server's signature, which cannot be verified from outside.
"""

from __future__ import annotations

from typing import NamedTuple

from ctlog.errors import CtlogError, MalformedError
from ctlog.tn.tel_uri import OID_ALT_NAME
from ctlog.x509.der import (
    BIT_STRING,
    INTEGER,
    SEQUENCE,
    Certificate,
    children,
    format_tlv,
    oid,
    only_child,
    read_time,
)
from ctlog.x509.signatures import load_key, read_scheme, verify

OID_PARTICIPANT = oid("2.23.146.2.1.4")
OID_PROVISIONING = oid("2.23.146.2.1.5")
OID_VENDOR = oid("2.23.146.2.1.6")
OID_CLIENT_USAGE = oid("2.23.146.2.1.3")


class Participant(NamedTuple):
    """ParticipantInformation. validity, algorithm and spki are whole elements; times None where unreadable."""

    vendor: int
    validity: bytes
    not_before_ms: int | None
    not_after_ms: int | None
    algorithm: bytes
    signature: bytes
    spki: bytes


class Provisioning(NamedTuple):
    """SignedEncryptionIdentityProof: until when (seconds since 1970), and the server's signature."""

    expiry_s: int
    signature: bytes


def read_participant(certificate: Certificate) -> Participant | None:
    """Read extension .4; None if it is not there, there twice, or cannot be read."""
    found = certificate.extensions_of(OID_PARTICIPANT)
    if len(found) != 1:
        return None
    value = found[0].value
    try:
        at, hi = only_child(value, SEQUENCE, "ParticipantInformation")
        parts = children(value, at, hi, "ParticipantInformation")
    except MalformedError:
        return None
    if [tag for tag, _, _ in parts] != [INTEGER, SEQUENCE, SEQUENCE, BIT_STRING, SEQUENCE]:
        return None
    vendor, validity, _, signature, _ = (value[lo:stop] for _, lo, stop in parts)
    ends = [at, *(stop for _, _, stop in parts)]
    whole = [value[ends[index] : ends[index + 1]] for index in range(len(parts))]
    try:
        found_times = children(validity, 0, len(validity), "validity")
        times = [read_time(tag, validity[lo:stop]) for tag, lo, stop in found_times]
    except MalformedError:
        times = []
    before, after = times if len(times) == 2 else (None, None)
    return Participant(
        vendor=int.from_bytes(vendor, "big", signed=True),
        validity=whole[1],
        not_before_ms=before,
        not_after_ms=after,
        algorithm=whole[2],
        signature=signature[1:],
        spki=whole[4],
    )


def holds_proof(certificate: Certificate, participant: Participant) -> bool:
    """Whether the participant's key signed this certificate's subject, key and name. Total."""
    names = certificate.extension(OID_ALT_NAME)
    if names is None:
        return False
    try:
        scheme = read_scheme(participant.algorithm, "the participant")
        key = load_key(participant.spki, "the participant")
    except CtlogError:
        return False
    size = max(1, participant.vendor.bit_length() // 8 + 1)
    vendor = format_tlv(INTEGER, participant.vendor.to_bytes(size, "big", signed=True))
    for validity in (participant.validity, certificate.validity):
        for san in (names.value, names.der):
            parts = (certificate.subject, vendor, validity, certificate.spki, san)
            if verify(key, scheme, participant.signature, format_tlv(SEQUENCE, b"".join(parts))):
                return True
    return False


def read_provisioning(certificate: Certificate) -> Provisioning | None:
    """Read extension .5; None if it is not there, there twice, or cannot be read."""
    found = certificate.extensions_of(OID_PROVISIONING)
    if len(found) != 1 or len(found[0].value) < 10:
        return None
    value = found[0].value
    octets = 1 << (value[8] >> 6)
    if octets == 8 or len(value) < 8 + octets:
        return None
    length = int.from_bytes(value[8 : 8 + octets], "big") & ((1 << (8 * octets - 2)) - 1)
    signature = value[8 + octets :]
    if len(signature) != length:
        return None
    return Provisioning(int.from_bytes(value[:8], "big"), signature)


def vendor_of(ca: Certificate) -> int | None:
    """Read extension .6 of a CA; None if it is not there or cannot be read."""
    found = ca.extension(OID_VENDOR)
    if found is None:
        return None
    try:
        lo, hi = only_child(found.value, INTEGER, "vendorId")
    except MalformedError:
        return None
    return int.from_bytes(found.value[lo:hi], "big", signed=True)
