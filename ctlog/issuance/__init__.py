"""The CA's side: certificates with numbers, their precertificates, and the final ones with SCTs.

Specs: RFC 5280 section 4 (what a certificate is), ATIS-1000080 section 6.4.1 (SHAKEN), RFC 9060 (delegates), RCC.16
(RCS), RFC 6962 sections 3.1 to 3.3 (precertificates, embedded SCTs).

    write       DER, piece by piece              authority   a CA, and what it signs
    extensions  one by one                       profiles    SHAKEN, delegates
    keys        whoever signs                    rcs         messaging clients
    issue       what is submitted, and what is made of the SCTs

are the names of this module, made without a network. `ctlog.issuance.issuer` brings it all to logs and back.

Out of scope: keeping keys, and whom a number belongs to.
"""

from ctlog.issuance.authority import Authority, Subject
from ctlog.issuance.extensions import (
    CERT_SIGN,
    CP_1_3,
    CP_1_4,
    CP_RCS,
    CRL_URL,
    DIGITAL_SIGNATURE,
    END_ENTITY,
    POISON,
    authority_constraints,
    authority_key_id,
    claim_constraints,
    crl_distribution_point,
    extended_key_usage,
    extension,
    key_id,
    number_range,
    one,
    policies,
    sct_list,
    spc,
    subject_key_id,
    tel_names,
    tn_auth_list,
    tn_auth_list_by_reference,
)
from ctlog.issuance.issue import (
    certificate_submission,
    check_final,
    detached_list,
    final_certificate,
    plain_certificate,
    precertificate,
)
from ctlog.issuance.keys import ECDSA_SHA256, Key, Signer
from ctlog.issuance.profiles import (
    DAY_MS,
    delegate_authority,
    delegate_leaf,
    example_authority,
    intermediate,
    precertificate_signer,
    root,
    shaken_leaf,
)
from ctlog.issuance.rcs import Participant, carrier_proof, rcs_intermediate, rcs_leaf, rcs_root
from ctlog.issuance.write import name

__all__ = [
    "CERT_SIGN",
    "CP_1_3",
    "CP_1_4",
    "CP_RCS",
    "CRL_URL",
    "DAY_MS",
    "DIGITAL_SIGNATURE",
    "ECDSA_SHA256",
    "END_ENTITY",
    "POISON",
    "Authority",
    "Key",
    "Participant",
    "Signer",
    "Subject",
    "authority_constraints",
    "authority_key_id",
    "carrier_proof",
    "certificate_submission",
    "check_final",
    "claim_constraints",
    "crl_distribution_point",
    "delegate_authority",
    "delegate_leaf",
    "detached_list",
    "example_authority",
    "extended_key_usage",
    "extension",
    "final_certificate",
    "intermediate",
    "key_id",
    "name",
    "number_range",
    "one",
    "plain_certificate",
    "policies",
    "precertificate",
    "precertificate_signer",
    "rcs_intermediate",
    "rcs_leaf",
    "rcs_root",
    "root",
    "sct_list",
    "shaken_leaf",
    "spc",
    "subject_key_id",
    "tel_names",
    "tn_auth_list",
    "tn_auth_list_by_reference",
]
