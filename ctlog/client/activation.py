"""The caller's side: a certificate is checked when it is taken into use, and then each call costs one signature: draft-
ietf-stir-certificate-transparency section 7.2.1, rows A1 to A3 of docs/conformance.md.

In scope: the same questions that the other end will ask (`ctlog.client.credential`), asked once; that the key is the
certificate's; how the certificate is conveyed (`x5c`, or `x5u`); and a PASSporT whose claims the certificate allows.
What the other end would refuse is refused here, before it is signed.
Out of scope: who may use a number, attestation levels, SIP; keeping keys: `sign` is handed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.client.coverage import Fetched, check_scope
from ctlog.client.credential import CallPolicy, Credential, Trust, open_credential
from ctlog.client.verdict import FAILED, NOT_CHECKED, PASSED, Check, worst
from ctlog.errors import MalformedError, RefusedError
from ctlog.tn.claim_constraints import check_claims
from ctlog.wire.passport import (
    KNOWN_TYPES,
    NO_SIGNATURE,
    format_claims,
    format_header,
    format_signature,
    parse_passport,
)

Sign = Callable[[bytes], bytes]
"""Gives an ECDSA signature (SHA-256, DER) over its data: `ctlog.issuance.Signer.sign`, PKCS #11, a cloud's KMS."""

ROWS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"A1": ("scts", "log-list"), "A2": ("scts", "conveyed"), "A3": ("sct-times",)}
)
"""Row -> the checks that answer it."""

_PROBE = b"ctlog: is this the key of the certificate?"


@dataclass(frozen=True)
class Activation:
    """A certificate in use. `checks`: those of a `Credential`, then "key", "conveyed" and "sct-times".

    It holds until `until_ms` (half-open): then activate again, for a log may have been retired, or the list be stale.
    """

    checks: tuple[Check, ...]
    until_ms: int
    _credential: Credential = field(repr=False)
    _policy: CallPolicy = field(repr=False)
    _headers: Mapping[str, bytes] = field(repr=False)
    _sign: Sign = field(repr=False)
    _fetched: Fetched = field(repr=False)

    @property
    def outcome(self) -> str:
        """ "passed", "failed" or "cannot-tell": the worst of the checks."""
        return worst(check.outcome for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, as the words of `ctlog.client.verdict.REASONS`, and "wrong-key"."""
        return tuple(check.reason for check in self.checks if check.outcome != PASSED)

    def row(self, row: str) -> str:
        """The outcome for row A1, A2 or A3."""
        made = {check.name: check.outcome for check in self.checks}
        return worst(made.get(name, NOT_CHECKED) for name in ROWS[row])

    def passport(self, claims: Mapping[str, Any], now_ms: int, ppt: str = "") -> str:
        """A PASSporT with these claims; `iat` is now, unless it is among them.

        Raises RefusedError with the word of the check that does not pass: of the activation, of validity, scope or
        constraints; MalformedError for claims that are none.
        """
        self._require_valid(now_ms)
        if ppt not in KNOWN_TYPES:
            raise RefusedError(f"the extension {ppt[:20]!r} is not known", reason="unknown-ppt")
        signed = self._headers[ppt] + b"." + format_claims({"iat": now_ms // 1000, **claims})
        draft = parse_passport(signed + b"." + NO_SIGNATURE)
        scope = check_scope(self._credential, draft, self._policy, self._fetched).check
        if scope.outcome != PASSED:
            raise RefusedError(scope.sentence, reason=scope.reason)
        if self._credential.constraints is None:
            sentence = "the certificate constrains the claims in a way that cannot be read"
            raise RefusedError(sentence, reason="unreadable-constraints")
        check_claims(self._credential.constraints, draft.claims)
        return (signed + b"." + format_signature(self._sign(signed))).decode("ascii")

    def _require_valid(self, now_ms: int) -> None:
        for check in self.checks:
            if check.outcome != PASSED:
                raise RefusedError(f"this certificate is not fit for use: {check.sentence}", reason=check.reason)
        (lo, hi), (above_lo, above_hi) = self._credential.window, self._credential.issuers_window
        if not max(lo, above_lo) <= now_ms < min(hi, above_hi):
            word = "certificate-not-yet-valid" if now_ms < max(lo, above_lo) else "certificate-expired"
            raise RefusedError("the certificate or a CA's above it is not valid now", reason=word)
        if now_ms >= self.until_ms:
            raise RefusedError("what was found when it was activated is over: activate it again", reason="over")


def activate(
    chain: Sequence[bytes],
    sign: Sign,
    trust: Trust,
    now_ms: int,
    *,
    x5u: str = "",
    detached: Sequence[bytes] = (),
    fetched: Fetched = MappingProxyType({}),
) -> Activation:
    """Take a certificate into use. Raises nothing for certificates; whatever `sign` raises.

    chain: DER, the signer's certificate first; what is conveyed in `x5c`, the accepted root left out. x5u: convey this
    URL instead, at which the chain lies. detached: SCTs that the other end has by other means. fetched: lists of
    numbers to which the certificate refers, by URL.
    """
    credential = open_credential(chain, trust, now_ms, None, detached)
    checks = [*credential.checks]
    if credential.key is not None:
        checks.append(_key(credential.key, sign))
    checks.append(_conveyed(x5u))
    if credential.scts is not None:
        checks.append(_times(credential))
    carried = tuple(der for der in chain if trust.roots.by_fingerprint(hashlib.sha256(der).digest()) is None)
    headers = {ppt: format_header(ppt, x5u, () if x5u else carried) for ppt in KNOWN_TYPES}
    return Activation(tuple(checks), credential.until_ms, credential, trust.policy, headers, sign, fetched)


def _key(key: ec.EllipticCurvePublicKey, sign: Sign) -> Check:
    try:
        key.verify(sign(_PROBE), _PROBE, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, MalformedError):
        return Check("key", FAILED, "wrong-key", "what signs is not the key of the certificate")
    return Check("key", PASSED, "", "what signs is the key of the certificate")


def _conveyed(x5u: str) -> Check:
    if x5u and not x5u.lower().startswith("https://"):
        return Check("conveyed", FAILED, "x5u-not-https", "x5u is no https URL, so nobody would fetch it")
    return Check("conveyed", PASSED, "", "by x5u" if x5u else "by x5c, so that nobody has to fetch it")


def _times(credential: Credential) -> Check:
    ahead = [one for one in (credential.scts.scts if credential.scts else ()) if one.reason == "from-the-future"]
    if ahead and credential.scts is not None and not credential.scts.is_met:
        return Check("sct-times", FAILED, "sct-from-the-future", ahead[0].sentence)
    counted = f"{len(ahead)} from the future not counted" if ahead else "none is from the future"
    return Check("sct-times", PASSED, "", counted)
