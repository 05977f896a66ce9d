"""The profile of RCS messaging certificates: a `tel:` name that a vendor vouches for, and the carrier's proof.

Spec: GSMA RCC.16 Annex A (end-to-end encryption of RCS). In scope: the client's certificate with a UUID as its subject,
ParticipantInformation (2.23.146.2.1.4), which the participant's durable key signs, and the carrier's proof (.5); the
CAs with the vendor's id (.6); the longest lives that the profile allows.
Out of scope: making the carrier's proof. Its frame is written here (`carrier_proof`); what the configuration server
signs is between it and the vendor, so the signature is handed in.

The profile's list of extensions is closed and has no SCT list: such a certificate is logged as it is, by add-chain, and
its SCTs travel beside it (`ctlog.issuance.issuer.Issuer.issue_detached`).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ctlog.errors import UsageError
from ctlog.issuance.authority import Authority, Subject, new_tbs, signed
from ctlog.issuance.extensions import (
    CERT_SIGN,
    CP_RCS,
    DIGITAL_SIGNATURE,
    authority_constraints,
    authority_key_id,
    extended_key_usage,
    extension,
    key_id,
    policies,
    subject_key_id,
    tel_names,
    tel_names_value,
)
from ctlog.issuance.keys import Signer
from ctlog.issuance.write import attribute, bit_string, integer, sequence, validity
from ctlog.x509.der import UTF8_STRING

MLS_CLIENT = "2.23.146.2.1.3"  # id-kp-rcsMlsClient
PARTICIPANT_INFORMATION = "2.23.146.2.1.4"
CARRIER_PROOF = "2.23.146.2.1.5"
VENDOR_ID = "2.23.146.2.1.6"
APPLE, GOOGLE = 1, 2
"""Vendor ids."""

_DAY_MS = 86_400_000
ROOT_DAYS, INTERMEDIATE_DAYS, LEAF_DAYS = 3652, 1827, 76
"""The longest lives that the profile allows."""


@dataclass(frozen=True, slots=True)
class Participant:
    """The person's durable key, which outlives certificates and devices, and since when until when it vouches."""

    vendor_id: int
    signer: Signer
    not_before_ms: int
    not_after_ms: int


def subject_name(identifier: UUID | str) -> bytes:
    """The subject of a client: its UUID alone, as UTF8String."""
    return sequence(attribute("CN", str(identifier), UTF8_STRING))


def rcs_root(signer: Signer, subject: Subject, vendor_id: int) -> Authority:
    """A vendor's root. Raises UsageError if it lives longer than the profile allows."""
    _check_life(subject, ROOT_DAYS, "root")
    identifiers = (subject_key_id(signer.spki), authority_key_id(key_id(signer.spki)))
    extensions = (authority_constraints(), CERT_SIGN, *identifiers, vendor(vendor_id))
    return Authority(signed(new_tbs(subject.name, signer.algorithm, subject, extensions), signer), signer, subject.name)


def rcs_intermediate(parent: Authority, signer: Signer, subject: Subject, vendor_id: int) -> Authority:
    """A vendor's issuing CA: end entities only below it. Raises UsageError as `rcs_root`."""
    _check_life(subject, INTERMEDIATE_DAYS, "issuing CA")
    identifiers = (subject_key_id(signer.spki), authority_key_id(parent.key_id))
    extensions = (authority_constraints(0), CERT_SIGN, *identifiers, policies(CP_RCS), vendor(vendor_id))
    return parent.authority(signer, subject, extensions)


def rcs_leaf(
    authority: Authority, subject: Subject, *numbers: str, participant: Participant | bytes | None = None,
    proof: bytes = b"",
) -> bytes:  # fmt: skip
    """The TBSCertificate of a messaging client: `tel:` names (E.164 digits), the client usage, the RCS policy.

    `participant`: whose key signs ParticipantInformation, or its value (DER) as the participant gave it; `proof`: what
    the carrier gave (`carrier_proof`). Neither is looked at here (`ctlog.issuance.vouched`). A vendor's certificate has
    both; without them it is one that monitors warn of.
    """
    names = tel_names(*numbers)
    extensions = [
        DIGITAL_SIGNATURE, extended_key_usage(MLS_CLIENT), subject_key_id(subject.spki),
        authority_key_id(authority.key_id), names, policies(CP_RCS),
    ]  # fmt: skip
    if isinstance(participant, Participant):
        extensions.append(participant_information(participant, subject, *numbers))
    elif participant:
        extensions.append(extension(PARTICIPANT_INFORMATION, participant, critical=True))
    if proof:
        extensions.append(extension(CARRIER_PROOF, proof))
    return authority.leaf(subject, extensions)


def participant_information(participant: Participant, subject: Subject, *numbers: str) -> bytes:
    """The critical extension by which the participant's key vouches for this client, vendor, time, key and numbers.

        ParticipantInformation ::= SEQUENCE { vendorId INTEGER, validity SEQUENCE { notBefore, notAfter },
            algorithm SEQUENCE, signature BIT STRING, participantKey SubjectPublicKeyInfo }

    The signature is over SEQUENCE { leaf's subject, vendorId, validity, leaf's SubjectPublicKeyInfo, leaf's names }.
    """
    signer = participant.signer
    fields = (integer(participant.vendor_id), validity(participant.not_before_ms, participant.not_after_ms))
    signature = signer.sign(vouched_for(subject.name, *fields, subject.spki, tel_names_value(*numbers)))
    value = sequence(*fields, signer.algorithm, bit_string(signature), signer.spki)
    return extension(PARTICIPANT_INFORMATION, value, critical=True)


def vouched_for(subject: bytes, vendor_id: bytes, during: bytes, spki: bytes, names: bytes) -> bytes:
    """What a participant signs; each part in DER, `names` as in the value of the SubjectAltName."""
    return sequence(subject, vendor_id, during, spki, names)


def carrier_proof(expires_ms: int, signature: bytes) -> bytes:
    """The value of the carrier's proof: when it ends (seconds, 8 octets), and its signature behind an MLS length.

    The length is RFC 9000's variable-length integer, the shortest form (RFC 9420 section 2.1.2).
    """
    size = len(signature)
    if size < 1 << 6:
        length = bytes((size,))
    elif size < 1 << 14:
        length = (size | 1 << 14).to_bytes(2, "big")
    else:
        raise UsageError(f"a carrier's signature of {size} octets is none")
    return (expires_ms // 1000).to_bytes(8, "big") + length + signature


def vendor(vendor_id: int) -> bytes:
    """The extension of a vendor's CAs that says which vendor."""
    return extension(VENDOR_ID, integer(vendor_id))


def _check_life(subject: Subject, days: int, what: str) -> None:
    if subject.not_after_ms - subject.not_before_ms > days * _DAY_MS:
        raise UsageError(f"RCC.16 lets a {what} live for {days} days at most")
