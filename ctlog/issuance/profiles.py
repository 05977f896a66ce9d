"""The profiles of STIR certificates, each as a TBSCertificate or an `Authority`.

Specs: ATIS-1000080 section 6.4.1 (SHAKEN: root, issuing CA, service provider), RFC 9060 and ATIS-1000092 (delegate CAs
and delegates), RFC 8226 section 10.1 (a scope by reference), RFC 6962 section 3.1 (who may sign precertificates).

In scope: which fields and extensions, in which order: those of the layout that 61 % of the deployed service provider
certificates have. Out of scope: whether a number is the subject's to have; and whether what is asked for follows the
profile, for tests issue what no CA should: `ctlog show` tells the findings.

ATIS-1000080, as far as it is published, has a closed list of extensions, and the SCT list is not in it. A CA that keeps
to the letter issues these certificates without SCTs in them, logs them by add-chain, and hands the SCTs on beside them
(`ctlog.issuance.issuer.Issuer.issue_detached`); draft-ietf-stir-certificate-transparency wants them embedded.
"""

from __future__ import annotations

from ctlog.errors import UsageError
from ctlog.issuance.authority import Authority, Subject, new_tbs, signed
from ctlog.issuance.extensions import (
    CERT_SIGN,
    CP_1_4,
    DIGITAL_SIGNATURE,
    END_ENTITY,
    authority_constraints,
    authority_key_id,
    claim_constraints,
    crl_distribution_point,
    extended_key_usage,
    key_id,
    policies,
    spc,
    subject_key_id,
    tn_auth_list,
    tn_auth_list_by_reference,
)
from ctlog.issuance.keys import Key, Signer
from ctlog.issuance.write import name
from ctlog.tn.claim_constraints import ClaimConstraints

DAY_MS = 86_400_000


# --- authorities ------------------------------------------------------------------------------------------------------


def root(signer: Signer, subject: Subject) -> Authority:
    """A self-signed CA without a policy, a CRL or numbers (ATIS-1000080: none of these on a root)."""
    identifiers = (subject_key_id(signer.spki), authority_key_id(key_id(signer.spki)))
    extensions = (authority_constraints(), CERT_SIGN, *identifiers)
    certificate = signed(new_tbs(subject.name, signer.algorithm, subject, extensions), signer)
    return Authority(certificate, signer, subject.name)


def intermediate(
    parent: Authority, signer: Signer, subject: Subject, *, tn_value: bytes = b"", policy: str = CP_1_4,
    path_length: int | None = None,
) -> Authority:  # fmt: skip
    """An issuing CA. With `tn_value`, a TNAuthorizationList in DER, it is a delegate CA (RFC 9060 section 4)."""
    extensions = [
        authority_constraints(path_length), CERT_SIGN, subject_key_id(signer.spki), authority_key_id(parent.key_id),
        policies(policy), crl_distribution_point(),
    ]  # fmt: skip
    return parent.authority(signer, subject, [*extensions, tn_auth_list(tn_value)] if tn_value else extensions)


def delegate_authority(
    parent: Authority, signer: Signer, subject: Subject, tn_value: bytes, *, path_length: int | None = 0
) -> Authority:
    """A delegate CA (RFC 9060 section 4): it issues for numbers within `tn_value`, which must lie within its parent's.

    `path_length` 0: only end entities below it; None: no limit.
    """
    if not tn_value:
        raise UsageError("a delegate CA has a TNAuthList (RFC 9060 section 4)")
    return intermediate(parent, signer, subject, tn_value=tn_value, path_length=path_length)


def precertificate_signer(parent: Authority, signer: Signer, subject: Subject) -> Authority:
    """A CA that may sign precertificates for `parent` and nothing else (RFC 6962 section 3.1)."""
    usage = extended_key_usage("1.3.6.1.4.1.11129.2.4.4")
    identifiers = (subject_key_id(signer.spki), authority_key_id(parent.key_id))
    return parent.authority(signer, subject, (authority_constraints(0), CERT_SIGN, usage, *identifiers))


# --- end entities -----------------------------------------------------------------------------------------------------


def _number_leaf(authority: Authority, subject: Subject, tn_value: bytes, policy: str, *more: bytes) -> bytes:
    """The commonest layout of the deployed certificates: 61 % have these seven extensions in this order."""
    numbers = (tn_auth_list(tn_value),) if tn_value else ()
    return authority.leaf(subject, (
        END_ENTITY, DIGITAL_SIGNATURE, subject_key_id(subject.spki), authority_key_id(authority.key_id),
        policies(policy), crl_distribution_point(), *numbers, *more,
    ))  # fmt: skip


def shaken_leaf(
    authority: Authority, spki: bytes, code: str, organization: str, *, not_before_ms: int, not_after_ms: int,
    country: str = "US", serial: int | None = None, policy: str = CP_1_4, constraints: ClaimConstraints | None = None,
) -> bytes:  # fmt: skip
    """The TBSCertificate of a service provider (ATIS-1000080 section 6.4.1): one code, and `CN=SHAKEN <code>`.

    `constraints`: what its PASSporTs may claim.
    """
    who = name(C=country, O=organization, CN=f"SHAKEN {code}")
    more = [] if constraints is None else [claim_constraints(constraints)]
    return _number_leaf(authority, Subject(who, spki, not_before_ms, not_after_ms, serial), spc(code), policy, *more)


def delegate_leaf(
    authority: Authority, subject: Subject, tn_value: bytes, *, constraints: ClaimConstraints | None = None,
    enhanced: bool | None = None, reference: str = "", policy: str = CP_1_4,
) -> bytes:  # fmt: skip
    """The TBSCertificate of a delegate (RFC 9060): whatever numbers, ranges and codes stand in `tn_value`.

    `constraints`: what its PASSporTs may claim; `enhanced` as in `claim_constraints`. `reference`: an HTTPS URL with
    the scope, beside `tn_value` or, where that is empty, in its place: the scope can then change after the certificate
    was logged, and nobody can tell from the log what it was.
    """
    if not tn_value and not reference:
        raise UsageError("a delegate certificate has a TNAuthList, or the URL of one (RFC 9060 section 4)")
    more = []
    if constraints is not None:
        more.append(claim_constraints(constraints, enhanced=enhanced))
    if reference:
        more.append(tn_auth_list_by_reference(reference))
    return _number_leaf(authority, subject, tn_value, policy, *more)


# --- everything at once -----------------------------------------------------------------------------------------------


def example_authority(
    now_ms: int, *, label: str = "Example", root_key: Key | None = None, key: Key | None = None
) -> Authority:
    """A small hierarchy in one call: an issuing CA below a root of its own. Its keys are for tests and first tries."""
    root_key, key = root_key or Key.generate(), key or Key.generate()
    since, years = now_ms - DAY_MS, 365 * DAY_MS
    top_name = name(C="US", O=label, CN=f"{label} SHAKEN ROOT")
    top = root(root_key, Subject(top_name, root_key.spki, since, now_ms + 20 * years))
    who = name(C="US", O=label, CN=f"{label} SHAKEN Issuing CA")
    return intermediate(top, key, Subject(who, key.spki, since, now_ms + 10 * years))
