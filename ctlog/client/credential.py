"""The certificate behind a call, checked once: its chain, its scope, its constraints, its SCTs; RFC 8226, RFC 5280
section 6, RFC 9060, RFC 6962.

In scope: everything that is true of a certificate whatever is signed with it, so that each further call costs one
signature. What is decided here, where the standards leave it open:

  - An accepted root is trusted as it is: its own dates are not looked at. Every certificate below it must be valid at
    the time of the call, the signer's also when the token was made.
  - A CA must say cA TRUE, keep to path lengths above it, and have keyCertSign if it has a key usage; the signer must
    not be a CA, and have digitalSignature if it has a key usage. Policies and name constraints are not evaluated, so a
    critical extension beyond those that are (or that cannot matter) refuses.
  - An extended key usage leaves the signer's key for calls if it has anyExtendedKeyUsage, for no purpose is named for
    them; so must a CA's that is critical. What a precertificate signing certificate issued refuses (RFC 6962 3.1).
  - The signer's key is on P-256, since ES256 is; a precertificate is refused by name.
  - Revocation is not looked up: the call path fetches nothing but the certificate.

Out of scope: the token and the call (`ctlog.client.passport`); fetching.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.client.log_list import LogList
from ctlog.client.sct_policy import SctPolicy, SctVerdict, verify_scts
from ctlog.client.verdict import CANNOT_TELL, FAILED, PASSED, Check
from ctlog.errors import CtlogError, MalformedError, RefusedError
from ctlog.tn.claim_constraints import (
    OID_CLAIM_CONSTRAINTS,
    OID_ENHANCED_CONSTRAINTS,
    ClaimConstraints,
    constraints_of,
)
from ctlog.tn.delegation import Scope, check_encompassed
from ctlog.tn.findings import UNREADABLE_LIST
from ctlog.tn.identity import NOTHING, Identity, read_identity
from ctlog.tn.tnauthlist import OID_TNAUTHLIST, parse_tnauthlist
from ctlog.x509.chain import MAX_CHAIN, OID_BASIC_CONSTRAINTS, Path, PathCache, Roots, is_ca, walk
from ctlog.x509.der import BIT_STRING, Certificate, oid, only_child, parse_certificate
from ctlog.x509.findings import OID_KEY_USAGE, path_findings
from ctlog.x509.precert import OID_EXTENDED_KEY_USAGE, OID_POISON, is_precert_signer, key_purposes
from ctlog.x509.signatures import load_key

MAX_BUNDLE = 64 << 10
"""Bytes of the longest answer of an x5u that is read: some twenty times the usual chain."""

# those that are evaluated; and policies, alternative names, CRLs and key identifiers
_KNOWN_CRITICAL = frozenset(
    (
        *(OID_BASIC_CONSTRAINTS, OID_KEY_USAGE, OID_TNAUTHLIST, OID_CLAIM_CONSTRAINTS, OID_ENHANCED_CONSTRAINTS),
        OID_EXTENDED_KEY_USAGE,
        *map(oid, ("2.5.29.32", "2.5.29.17", "2.5.29.31", "2.5.29.35", "2.5.29.14")),
    )
)
_ANY_PURPOSE = oid("2.5.29.37.0")
_DIGITAL_SIGNATURE, _CERT_SIGN = 0x80, 0x04
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
_UNREADABLE = frozenset((*UNREADABLE_LIST, "reference-unreadable"))
_FAILING_SCOPES = ("scope-exceeds-issuer", "scope-list-missing")


@dataclass(frozen=True)
class CallPolicy:
    """What a call must be like.

    scts: how many SCTs, of whom; None: none are asked for. freshness_s: by how much `iat` may differ from now, either
    way (RFC 8224 section 6.2: 60 s). by_code: a service provider code covers any number (SHAKEN), which no certificate
    can show; else the answer is "cannot-tell". shaken_needs_code: a `shaken` PASSporT by a certificate without a code
    is refused (ATIS-1000092: delegates do not sign these).
    """

    scts: SctPolicy | None = field(default_factory=SctPolicy)
    freshness_s: int = 60
    by_code: bool = True
    shaken_needs_code: bool = False


@dataclass(frozen=True)
class Trust:
    """Whom to trust: accepted roots, the list of logs (None where SCTs are not asked for), and the policy.

    Make one and keep it until a part of it changes: what is remembered is remembered for the very object.
    """

    roots: Roots
    log_list: LogList | None
    policy: CallPolicy = field(default_factory=CallPolicy)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and what was found of it. `key` is None unless everything needed to use it is there.

    checks: "certificate", "chain", "delegation", "scts", "log-list", as far as they were reached. scope: what its own
    TNAuthList says, to be asked for a number; None if that cannot be read for certain. above: what each CA above it
    claims. constraints: None if they cannot be read. window, issuers_window: half-open, when the signer's certificate
    and all CAs below the root are valid. found_ms, until_ms: from when until when this holds, half-open.
    """

    leaf: Certificate | None
    key: ec.EllipticCurvePublicKey | None
    checks: tuple[Check, ...]
    identity: Identity = NOTHING
    scope: Scope | None = None
    above: tuple[Identity, ...] = ()
    constraints: tuple[ClaimConstraints, ...] | None = ()
    scts: SctVerdict | None = None
    window: tuple[int, int] = (0, 0)
    issuers_window: tuple[int, int] = (0, 0)
    found_ms: int = 0
    until_ms: int = 0

    @property
    def is_anchored(self) -> bool:
        """Whether an accepted root vouches for it: then it is worth remembering, whatever else is wrong with it."""
        return self.key is not None

    def holds_at(self, now_ms: int) -> bool:
        """Whether nothing of this can have changed since it was found."""
        return self.found_ms <= now_ms < self.until_ms


def read_bundle(data: bytes) -> tuple[bytes, ...]:
    """The certificates (DER) of what an x5u gave: PEM, the signer's first, or one certificate in DER.

    Raises MalformedError, "x5u-no-certificate".
    """
    if len(data) <= MAX_BUNDLE and data[:1] == b"\x30":
        return (data,)
    blocks = _PEM.findall(data) if len(data) <= MAX_BUNDLE else []
    if not 0 < len(blocks) <= MAX_CHAIN:
        raise MalformedError("the x5u gave no certificates in PEM or DER", field="x5u", reason="x5u-no-certificate")
    try:
        return tuple(binascii.a2b_base64(b"".join(block.split()), strict_mode=True) for block in blocks)
    except binascii.Error:
        raise MalformedError("the x5u gave PEM that is damaged", field="x5u", reason="x5u-no-certificate") from None


def open_credential(
    chain: Sequence[bytes],
    trust: Trust,
    now_ms: int,
    paths: PathCache | None = None,
    detached: Sequence[bytes] = (),
) -> Credential:
    """Check a certificate with the chain above it (DER, the signer's first, the root optional). Raises nothing.

    paths: chains of CAs that were verified before, under the same roots. detached: SCTs beside the certificate.
    """
    checks: list[Check] = []
    leaf = None
    try:
        leaf = parse_certificate(chain[0])
        key = _check_leaf(leaf)
    except (MalformedError, RefusedError) as error:
        reason = "malformed-certificate" if isinstance(error, MalformedError) else error.reason
        return Credential(leaf, None, (Check("certificate", FAILED, reason, str(error)),))
    checks.append(Check("certificate", PASSED, "", "an end entity's, whose key is on P-256"))
    try:
        path = walk(chain, trust.roots, paths).path
        _check_path(path)
    except (MalformedError, RefusedError) as error:
        return Credential(leaf, None, (*checks, Check("chain", FAILED, _chain_reason(error), str(error))))
    domain = path.anchor.trust_domain
    checks.append(Check("chain", PASSED, "", f"anchored by an accepted root{f' of {domain}' if domain else ''}"))
    identity = voice_identity(leaf)
    above = tuple(voice_identity(certificate) for certificate in path.certificates)
    checks.append(check_delegation(identity, above, trust.policy))
    verdict = _judge_scts(leaf, path, trust, now_ms, detached, checks)
    window, issuers = _window([leaf]), _window(path.certificates[:-1])
    until_ms = verdict.until_ms if verdict is not None else max(window[1], now_ms + 1)
    try:
        constraints: tuple[ClaimConstraints, ...] | None = constraints_of(leaf)
    except MalformedError:
        constraints = None
    readable = _UNREADABLE.isdisjoint(finding.id for finding in identity.findings)
    scope = Scope(identity.claims) if readable else None
    return Credential(leaf, key, tuple(checks), identity, scope, above, constraints, verdict, window,
                      issuers, now_ms, until_ms)  # fmt: skip


# --- the certificate itself -------------------------------------------------------------------------------------------


def voice_identity(certificate: Certificate) -> Identity:
    """What a certificate says of who calls: its TNAuthList and its references, and nothing else (RFC 8226 section 9).

    The `tel:` names of a messaging client (RCC.16) are for messages, so no call is signed by them. Total.
    """
    identity = read_identity(certificate)
    if identity.family in ("", "stir"):
        return identity
    extension = certificate.extension(OID_TNAUTHLIST)
    try:
        claims = () if extension is None else parse_tnauthlist(extension.value).entries
    except MalformedError:
        claims = ()  # which is one of the identity's findings
    return identity._replace(claims=claims, family="stir" if identity.has_list else "")


def _check_leaf(leaf: Certificate) -> ec.EllipticCurvePublicKey:
    """The signer's key. Raises RefusedError with the reason."""
    if leaf.extension(OID_POISON) is not None:
        raise RefusedError("this is a precertificate, which nobody accepts", reason="precertificate")
    _check_critical(leaf, "the certificate")
    if is_ca(leaf):
        raise RefusedError("this is a CA's certificate, not an end entity's", reason="not-an-end-entity")
    if not _may(leaf, _DIGITAL_SIGNATURE):
        raise RefusedError("its key usage is not for signatures", reason="key-usage")
    if not _is_for_anything(leaf):
        raise RefusedError("its extended key usage is for something else than calls", reason="extended-key-usage")
    if leaf.not_before_ms is None or leaf.not_after_ms is None:
        raise RefusedError("its validity cannot be read", reason="times-unreadable")
    key = load_key(leaf.spki, "the certificate")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RefusedError("its key is not for ECDSA, as ES256 is", reason="unsupported-key")
    if not isinstance(key.curve, ec.SECP256R1):
        raise RefusedError(f"its key is on {key.curve.name}, not on P-256, as ES256 is", reason="wrong-curve")
    return key


def _check_path(path: Path) -> None:
    """What RFC 5280 asks of CAs, besides signatures. Raises RefusedError with the reason."""
    for certificate in path.certificates:
        if is_precert_signer(certificate):
            sentence = "a certificate above it may sign precertificates only"
            raise RefusedError(sentence, reason="issued-by-precert-signer")
    for problem in path_findings(path.certificates):
        sentence = "a certificate above it is no CA's" if problem == "issuer-not-ca" else (
            "more CAs stand above it than one of them allows"
        )  # fmt: skip
        raise RefusedError(sentence, reason=problem)
    for certificate in path.certificates[:-1]:
        _check_critical(certificate, "a CA above it")
        usage = certificate.extension(OID_EXTENDED_KEY_USAGE)
        if usage is not None and usage.critical and not _is_for_anything(certificate):
            sentence = "the extended key usage of a CA above it is for something else than calls"
            raise RefusedError(sentence, reason="extended-key-usage")
        if certificate.not_before_ms is None or certificate.not_after_ms is None:
            raise RefusedError("the validity of a CA above it cannot be read", reason="times-unreadable")
    for certificate in path.certificates:
        if not _may(certificate, _CERT_SIGN):
            raise RefusedError("the key usage of a CA above it is not for certificates", reason="issuer-not-ca")


def _check_critical(certificate: Certificate, what: str) -> None:
    """RFC 5280 section 4.2: each extension once, and none that is critical and not understood."""
    if len({extension.oid for extension in certificate.extensions}) < len(certificate.extensions):
        raise RefusedError(f"{what} has an extension twice, so it has two meanings", reason="repeated-extension")
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            sentence = f"{what} has a critical extension that is not understood"
            raise RefusedError(sentence, reason="unknown-critical-extension")


def _may(certificate: Certificate, usage: int) -> bool:
    """Whether the key usage (RFC 5280 section 4.2.1.3) has this bit of its first octet; true if there is none."""
    extension = certificate.extension(OID_KEY_USAGE)
    if extension is None:
        return True
    try:
        lo, hi = only_child(extension.value, BIT_STRING, "keyUsage")
    except MalformedError:
        return False
    return hi > lo + 1 and bool(extension.value[lo + 1] & usage)


def _is_for_anything(certificate: Certificate) -> bool:
    """Whether the extended key usage (RFC 5280 section 4.2.1.12) leaves its key for calls: there is no purpose of that
    name, so it must be absent (as ATIS-1000080 has it) or hold anyExtendedKeyUsage."""
    purposes = key_purposes(certificate)
    return purposes is None or _ANY_PURPOSE in purposes


def _window(certificates: Sequence[Certificate]) -> tuple[int, int]:
    """When all of them are valid: both ends count (RFC 5280 section 4.1.2.5), the last for its whole second."""
    starts = [c.not_before_ms for c in certificates if c.not_before_ms is not None]
    ends = [c.not_after_ms + 1000 for c in certificates if c.not_after_ms is not None]
    return max(starts, default=0), min(ends, default=1 << 63)


_CHAIN_REASONS: Mapping[str, str] = MappingProxyType(
    {"bad-signature": "chain-bad-signature", "malformed": "malformed-issuer", "empty-chain": "no-certificate"}
)


def _chain_reason(error: CtlogError) -> str:
    return _CHAIN_REASONS.get(error.reason, error.reason)


# --- what logs and CAs say of it --------------------------------------------------------------------------------------


def check_delegation(identity: Identity, above: Sequence[Identity], policy: CallPolicy) -> Check:
    """Does every CA above hold what the certificate claims (RFC 9060 section 4)? Certificates alone cannot always tell:
    numbers below a code are a matter of policy, as for the certificate itself."""
    found = {finding.id: finding.text for finding in check_encompassed(identity, above)}
    for reason in _FAILING_SCOPES:
        if reason in found:
            return Check("delegation", FAILED, reason, found[reason])
    if "scope-incomparable" in found:
        return Check("delegation", CANNOT_TELL, "scope-incomparable", found["scope-incomparable"])
    if "scope-unverifiable" in found:
        outcome = PASSED if policy.by_code else CANNOT_TELL
        return Check("delegation", outcome, "by-code", found["scope-unverifiable"])
    return Check("delegation", PASSED, "", "nothing that CAs above it hold speaks against it")


def _judge_scts(
    leaf: Certificate, path: Path, trust: Trust, now_ms: int, detached: Sequence[bytes], checks: list[Check]
) -> SctVerdict | None:
    """Adds the checks "scts" and "log-list"; None where SCTs are not asked for."""
    policy = trust.policy.scts
    if policy is None:
        return None
    if trust.log_list is None:
        checks.append(Check("log-list", CANNOT_TELL, "no-log-list", "there is no list of logs to check SCTs with"))
        return None
    verdict = verify_scts(leaf, path.certificates, trust.log_list, now_ms, policy, detached=detached)
    if verdict.outcome == "stale":
        checks.append(Check("log-list", CANNOT_TELL, verdict.reason, verdict.sentence))
        return verdict
    if verdict.is_met:
        checks.append(Check("scts", PASSED, "", verdict.sentence))
    else:
        of_one = any(one.reason == verdict.reason for one in verdict.scts)
        checks.append(Check("scts", FAILED, f"sct-{verdict.reason}" if of_one else verdict.reason, verdict.sentence))
    checks.append(Check("log-list", PASSED, "", f"version {trust.log_list.version}, not stale"))
    return verdict
