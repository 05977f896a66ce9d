"""Is this call what it says? A PASSporT, its certificate, its number and its SCTs together, and one verdict: RFC 8224
section 6.2, RFC 8226, RFC 8588, RFC 8946, RFC 9118, and rows V1 to V5 of docs/conformance.md.

In scope: everything between a token as it came and the verdict, with no network and no clock. What has to be fetched is
said in `Verdict.needs`; whoever fetched it hands it in with the same token. A certificate in the token (`x5c`) wins:
then nothing is fetched. Cheap questions come first, and nothing that costs a signature is asked once one has failed.
What was found of a certificate is kept in a `CallCache` for as long as it holds, so a further call signed with it costs
one signature.
Out of scope: whether a token was seen before (RFC 8224 section 12.1: within the freshness, whoever keeps state says),
revocation, what `rcd` shows to people, and which calls to take.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ctlog.client.call_cache import CallCache
from ctlog.client.coverage import Fetched, check_scope
from ctlog.client.credential import CallPolicy, Credential, Trust, open_credential, read_bundle
from ctlog.client.verdict import CANNOT_TELL, FAILED, PASSED, REASONS, Check, Need, Verdict, conclude, has_failed
from ctlog.errors import CtlogError, MalformedError, RefusedError
from ctlog.tn.claim_constraints import check_claims
from ctlog.wire.identity_header import IdentityHeader, parse_identity_header
from ctlog.wire.passport import KNOWN_TYPES, SHAKEN, Passport, der_signature, parse_passport

__all__ = ["Call", "CallCache", "CallPolicy", "Fetched", "Trust", "verify_identity", "verify_passport"]

_NOTHING: Fetched = MappingProxyType({})
_ECDSA = ec.ECDSA(Prehashed(hashes.SHA256()))
_PASSING_FAULTS = frozenset(("unreachable", "too-slow", "http-status"))

# What passes is said in the same words each time.
_TOKEN = Check("token", PASSED, "", "a PASSporT, signed with ES256")
_FRESH = Check("freshness", PASSED, "", "made just now")
_SAME_CALL = Check("call", PASSED, "", "caller and called are those of this call")
_X5C = Check("network", PASSED, "", "nothing was fetched: the certificate came with the token")
_X5U = Check("network", PASSED, "", "nothing was fetched but the certificate")
_VALID = Check("validity", PASSED, "", "all certificates are valid")
_LIST_HELD = Check("delegation", PASSED, "", "no CA above it speaks against the list that it refers to")
_ALLOWED = Check("constraints", PASSED, "", "the claims keep within the certificate's constraints")
_SIGNED = Check("signature", PASSED, "", "signed by the certificate's key")


class Call(NamedTuple):
    """What is known of the call from elsewhere, such as the SIP message; what is "" or None is not compared.

    orig, dest: canonical numbers (`ctlog.wire.identity_header.canonical_number`) or URIs, as claims have them. time_s:
    the message's Date, in seconds since 1970. header: the Identity header field around the token.
    """

    orig: str = ""
    dest: str = ""
    time_s: int | None = None
    header: IdentityHeader | None = None


def verify_identity(
    header: str,
    trust: Trust,
    now_ms: int,
    *,
    call: Call | None = None,
    fetched: Fetched = _NOTHING,
    detached: Sequence[bytes] = (),
    cache: CallCache | None = None,
) -> Verdict:
    """The verdict on a whole Identity header field of SIP; see `verify_passport`. Raises nothing for what it says."""
    try:
        read = parse_identity_header(header)
    except MalformedError as error:
        return _end([Check("header-field", FAILED, error.reason, str(error))])
    call = (call or Call())._replace(header=read)
    return verify_passport(read.token, trust, now_ms, call=call, fetched=fetched, detached=detached, cache=cache)


def verify_passport(
    token: str | bytes,
    trust: Trust,
    now_ms: int,
    *,
    call: Call | None = None,
    fetched: Fetched = _NOTHING,
    detached: Sequence[bytes] = (),
    cache: CallCache | None = None,
) -> Verdict:
    """The verdict on a token. Raises nothing, whatever the token is; UsageError for a policy that makes no sense.

    fetched: by URL, the certificates of an `x5u` and number lists by reference, or why they could not be had.
    detached: serialised SCTs that travel beside the certificate.
    """
    if cache is not None:
        cache.serve(trust)
    try:
        passport = parse_passport(token, None if cache is None else cache.headers.get)
    except (MalformedError, RefusedError) as error:
        return _end([Check("token", FAILED, error.reason, str(error))])
    checks = [_TOKEN]
    for check in _ask_cheaply(passport, call, trust.policy, now_ms):
        checks.append(check)
        if check.outcome == FAILED:
            return _end(checks, passport)
    chain = _chain(passport, fetched, cache)
    checks.append(_X5C if passport.header.x5c else _X5U)
    if isinstance(chain, Check):
        needs = (Need("certificate", passport.header.x5u),) if chain.reason == "certificate-needed" else ()
        return _end([*checks, chain], passport, needs=needs)
    credential = _credential(chain, passport, trust, now_ms, detached, cache)
    return _conclude(passport, credential, trust.policy, now_ms, fetched, cache, checks)


def _conclude(
    passport: Passport,
    credential: Credential,
    policy: CallPolicy,
    now_ms: int,
    fetched: Fetched,
    cache: CallCache | None,
    checks: list[Check],
) -> Verdict:
    """What remains once the certificate is known."""
    checks += credential.checks
    if credential.key is None:
        return _end(checks, passport, credential)
    checks.append(_validity(credential, passport, now_ms))
    scope, how, needs = check_scope(credential, passport, policy, fetched, cache)
    checks.append(scope)
    if how == "by-reference":  # then the CAs above it were asked for the list that came
        checks.append(_LIST_HELD)
    checks.append(_constraints(credential, passport, policy))
    if not has_failed(checks):
        checks.append(_signature(credential.key, passport))
    if needs and has_failed(checks):  # nothing is fetched for a call that is refused anyway
        needs = ()
    return _end(checks, passport, credential, how, needs)


def _end(
    checks: Sequence[Check],
    passport: Passport | None = None,
    credential: Credential | None = None,
    coverage: str = "",
    needs: tuple[Need, ...] = (),
) -> Verdict:
    outcome, found = conclude(checks)
    if credential is None:
        return Verdict(outcome, found, coverage, passport, needs=needs)
    return Verdict(outcome, found, coverage, passport, credential.leaf, credential.scts, needs)


# --- the token against the call ---------------------------------------------------------------------------------------


def _ask_cheaply(passport: Passport, call: Call | None, policy: CallPolicy, now_ms: int) -> list[Check]:
    """The questions that need neither a certificate nor arithmetic."""
    found = []
    if passport.header.ppt not in KNOWN_TYPES:
        sentence = f"the extension {passport.header.ppt[:20]!r} is not known, so nor is what it claims"
        found.append(Check("token", CANNOT_TELL, "unknown-ppt", sentence))
    if call is not None and call.header is not None:
        found.append(_header_field(passport, call.header))
    found.append(_freshness(passport, None if call is None else call.time_s, policy.freshness_s, now_ms))
    if call is not None and (call.orig or call.dest):
        found.append(_same_call(passport, call))
    return found


def _header_field(passport: Passport, header: IdentityHeader) -> Check:
    """RFC 8224 section 4: the parameters say again what the token says. `info` may be left out beside an x5c, `alg` and
    `ppt` always."""
    own = passport.header
    if header.info != own.x5u and (header.info or not own.x5c):
        return Check("header-field", FAILED, "info-mismatch", "info of the header field is not the token's x5u")
    if header.alg not in ("", "ES256"):
        return Check("header-field", FAILED, "alg-mismatch", "alg of the header field is not the token's")
    if header.ppt not in ("", own.ppt):
        return Check("header-field", FAILED, "ppt-mismatch", "ppt of the header field is not the token's")
    return Check("header-field", PASSED, "", "says the same as the token")


def _freshness(passport: Passport, date_s: int | None, limit_s: int, now_ms: int) -> Check:
    late_ms = now_ms - passport.iat_s * 1000
    if late_ms > limit_s * 1000:
        sentence = f"made {late_ms // 1000} s ago, where {limit_s} s are allowed"
        return Check("freshness", FAILED, "iat-stale", sentence)
    if -late_ms > limit_s * 1000:
        sentence = f"made {-late_ms // 1000} s in the future, where {limit_s} s are allowed"
        return Check("freshness", FAILED, "iat-from-the-future", sentence)
    if date_s is not None and abs(date_s - passport.iat_s) > limit_s:
        sentence = f"made at another time than the message, by {abs(date_s - passport.iat_s)} s"
        return Check("freshness", FAILED, "date-mismatch", sentence)
    return _FRESH


def _same_call(passport: Passport, call: Call) -> Check:
    if call.orig and passport.orig.value != call.orig:
        return Check("call", FAILED, "orig-mismatch", "the caller of the token is not the caller of this call")
    if call.dest and all(party.value != call.dest for party in passport.dest):
        return Check("call", FAILED, "dest-mismatch", "whom this call is for is not whom the token is for")
    return _SAME_CALL


# --- the certificate --------------------------------------------------------------------------------------------------


def _chain(passport: Passport, fetched: Fetched, cache: CallCache | None) -> tuple[bytes, ...] | Check:
    """The certificates in DER, the signer's first; or the check that did not pass."""
    header = passport.header
    if header.x5c:
        return header.x5c
    if not header.x5u:
        return Check("certificate", FAILED, "no-certificate", "the token names no certificate")
    if not header.x5u.lower().startswith("https://"):
        return Check("certificate", FAILED, "x5u-not-https", "x5u is no https URL")
    came = fetched.get(header.x5u)
    if came is None:
        return Check("certificate", CANNOT_TELL, "certificate-needed", "the certificate has to be fetched")
    if isinstance(came, CtlogError):
        outcome = CANNOT_TELL if came.reason in _PASSING_FAULTS else FAILED
        reason = f"x5u-{came.reason}" if f"x5u-{came.reason}" in REASONS else "x5u-unreachable"
        return Check("certificate", outcome, reason, str(came))
    if cache is not None and (known := cache.bundles.get(came)) is not None:
        return known
    try:
        chain = read_bundle(came)
    except MalformedError as error:
        return Check("certificate", FAILED, error.reason, str(error))
    if cache is not None:
        cache.bundles.put(came, chain, 4 * len(came))
    return chain


def _credential(
    chain: tuple[bytes, ...],
    passport: Passport,
    trust: Trust,
    now_ms: int,
    detached: Sequence[bytes],
    cache: CallCache | None,
) -> Credential:
    if cache is None:
        return open_credential(chain, trust, now_ms, None, detached)
    key = (*chain, b"", *detached) if detached else chain
    found = cache.credentials.get(key)
    if found is None or not found.holds_at(now_ms):
        found = open_credential(chain, trust, now_ms, cache.paths, detached)
        if found.is_anchored:  # anybody can make others, and would fill the cache with them
            cache.credentials.put(key, found, 4 * sum(map(len, key)) + 4096)
    text = passport.header.text
    if found.is_anchored and text not in cache.headers:
        cache.headers.put(text, passport.header, 2 * len(text) + 256)
    return found


def _validity(credential: Credential, passport: Passport, now_ms: int) -> Check:
    lo, hi = credential.window
    iat_ms = passport.iat_s * 1000
    if max(now_ms, iat_ms) >= hi:
        return Check("validity", FAILED, "certificate-expired", "the certificate has expired")
    if min(now_ms, iat_ms) < lo:
        return Check("validity", FAILED, "certificate-not-yet-valid", "the certificate is not valid yet")
    lo, hi = credential.issuers_window
    if now_ms >= hi:
        return Check("validity", FAILED, "issuer-expired", "a CA's certificate has expired")
    if now_ms < lo:
        return Check("validity", FAILED, "issuer-not-yet-valid", "a CA's certificate is not valid yet")
    return _VALID


def _constraints(credential: Credential, passport: Passport, policy: CallPolicy) -> Check:
    if credential.constraints is None:
        sentence = "the certificate constrains the claims in a way that cannot be read"
        return Check("constraints", FAILED, "unreadable-constraints", sentence)
    if policy.shaken_needs_code and passport.header.ppt == SHAKEN and not credential.identity.codes:
        sentence = "shaken is for service providers, and the certificate has no code"
        return Check("constraints", FAILED, "shaken-without-code", sentence)
    if credential.constraints:
        try:
            check_claims(credential.constraints, passport.claims)
        except RefusedError as error:
            return Check("constraints", FAILED, error.reason, str(error))
    return _ALLOWED


def _signature(key: ec.EllipticCurvePublicKey, passport: Passport) -> Check:
    try:
        # hashed here, since in there it takes 6 us more, a tenth of the whole
        key.verify(der_signature(passport.signature), hashlib.sha256(passport.signed).digest(), _ECDSA)
    except InvalidSignature:
        return Check("signature", FAILED, "bad-signature", "the signature is not by the certificate's key")
    return _SIGNED
