"""The verdict on a call: every check by name, with the rows of the conformance table that it answers and a stable word.

In scope: the values, which check answers which row of docs/conformance.md (draft-ietf-stir-certificate-transparency
section 7.2), every word that a verdict can carry, and the SIP response code (RFC 8224 section 6.2.2) that goes with
it. Out of scope: finding it (`ctlog.client.passport`).

A verdict is no boolean: "cannot-tell" is neither yes nor no, so that whoever must decide decides, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple, NoReturn

from ctlog.client.sct_policy import SctVerdict
from ctlog.errors import VerificationError
from ctlog.wire.passport import Passport
from ctlog.x509.der import Certificate

PASSED, FAILED, CANNOT_TELL, NOT_CHECKED = "passed", "failed", "cannot-tell", "not-checked"

CHECKS: Mapping[str, tuple[str, tuple[str, ...], str]] = MappingProxyType(
    {
        "token": ("is it a PASSporT, signed with ES256?", ("V1",), "RFC 8225, RFC 7515"),
        "header-field": ("does the SIP header field say the same as the token?", (), "RFC 8224 section 4"),
        "freshness": ("was it made just now?", (), "RFC 8224 section 6.2"),
        "call": ("is it about this call?", (), "RFC 8224 section 6.2, RFC 8946"),
        "network": ("was nothing fetched but, at most, the certificate?", ("V3",), "s7.2.2-3"),
        "certificate": ("is it an end entity's, and can its key sign this?", ("V1",), "RFC 5280, RFC 8226"),
        "chain": ("does an accepted root vouch for it?", ("V1",), "RFC 5280 section 6"),
        "delegation": ("does each CA above it hold what it claims?", ("V1",), "RFC 9060 section 4"),
        "scts": ("do enough logs vouch for it?", ("V1", "V2", "V4"), "RFC 6962 section 3.2"),
        "log-list": ("are the logs' keys from a list that is signed and fresh?", ("V4", "V5"), "s7.2.3, s9"),
        "validity": ("is it valid now, and was it when the token was made?", ("V1",), "RFC 5280 section 4.1.2.5"),
        "scope": ("does it cover the number?", (), "RFC 8226 section 9, RFC 8946"),
        "constraints": ("may it claim this?", (), "RFC 8226 section 8, RFC 9118"),
        "signature": ("did its key sign the token?", ("V1",), "RFC 7515 section 5.2"),
    }
)
"""name -> (the question, the rows that it answers, where it comes from), in the order in which they are asked."""

ROWS = ("V1", "V2", "V3", "V4", "V5")

STALE_DATE, BAD_INFO, UNSUPPORTED, INVALID = 403, 436, 437, 438
SIP_TEXTS: Mapping[int, str] = MappingProxyType(
    {
        STALE_DATE: "Stale Date",
        428: "Use Identity Header",
        BAD_INFO: "Bad Identity Info",
        UNSUPPORTED: "Unsupported Credential",
        INVALID: "Invalid Identity Header",
    }
)

_WORDS: dict[int, str] = {
    STALE_DATE: "iat-stale iat-from-the-future date-mismatch",
    BAD_INFO: """no-certificate certificate-needed info-mismatch
        x5u-bad-url x5u-not-https x5u-inward-address x5u-redirect x5u-too-large x5u-too-slow x5u-http-status
        x5u-unreachable x5u-no-certificate""",
    UNSUPPORTED: """malformed-certificate wrong-curve unsupported-key precertificate unknown-critical-extension
        repeated-extension not-an-end-entity key-usage extended-key-usage
        issued-by-precert-signer times-unreadable certificate-expired
        certificate-not-yet-valid issuer-expired
        issuer-not-yet-valid unknown-root chain-bad-signature chain-out-of-order chain-too-long sha1-signature
        unsupported-signature issuer-not-ca path-too-long malformed-issuer
        scope-exceeds-issuer scope-list-missing scope-incomparable scope-does-not-cover scope-unreadable no-scope
        no-number by-code number-list-needed number-list-unreadable number-list-unreachable too-many-lists
        claim-missing claim-forbidden claim-value-forbidden unreadable-constraints shaken-without-code
        no-log-list log-list-stale no-sct unreadable-scts too-few-scts too-few-operators only-retired-logs
        sct-from-the-future sct-retired-log sct-bad-signature sct-wrong-certificate sct-bad-extensions""",
    INVALID: """malformed-token compact-form malformed-header malformed-claims malformed-x5c duplicate-name alg-none
        unsupported-alg wrong-typ unknown-critical-header missing-claim malformed-claim number-not-canonical
        unknown-ppt malformed-header-field alg-mismatch ppt-mismatch orig-mismatch dest-mismatch
        diversion-broken diversion-alone bad-signature""",
}
REASONS: Mapping[str, int] = MappingProxyType({word: code for code, words in _WORDS.items() for word in words.split()})
"""Every word of a check that did not pass -> the SIP response code for it. docs/verify-calls.md explains them."""


class Check(NamedTuple):
    """One question and its answer. `outcome` is "passed", "failed", "cannot-tell" or "not-checked".

    `reason` is one of `REASONS`, and "" for what passed or was not checked; but "by-code" may stand beside "passed":
    the certificate covers the number by a service provider code, which no certificate can show.
    """

    name: str
    outcome: str
    reason: str = ""
    sentence: str = ""


class Need(NamedTuple):
    """What must be fetched before more can be said: `kind` "certificate" or "number-list", and from where."""

    kind: str
    url: str


class Verdict(NamedTuple):
    """What is known of a call. `outcome`: "failed" if any check failed, else "cannot-tell" if any could not be made,
    else "passed".

    checks: all, by the order of `CHECKS`. coverage: how the certificate covers the number: "number", "by-code",
    "by-reference" or "". passport, certificate, scts: as far as they could be read. needs: to be fetched, and handed in
    with the same token again.
    """

    outcome: str
    checks: tuple[Check, ...]
    coverage: str = ""
    passport: Passport | None = None
    certificate: Certificate | None = None
    scts: SctVerdict | None = None
    needs: tuple[Need, ...] = ()

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is not a boolean: look at its outcome, or call require()")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass: the words of what failed, then of what could not be told. Empty if it passed."""
        return tuple(
            check.reason for wanted in (FAILED, CANNOT_TELL) for check in self.checks if check.outcome == wanted
        )

    @property
    def sentence(self) -> str:
        """The first reason, for people."""
        for wanted in (FAILED, CANNOT_TELL):
            for check in self.checks:
                if check.outcome == wanted:
                    return check.sentence
        return "every check passed"

    def check(self, name: str) -> Check:
        """The check of this name."""
        return next(check for check in self.checks if check.name == name)

    def row(self, row: str) -> str:
        """The outcome for a row of the conformance table: the worst of its checks."""
        return worst(check.outcome for check in self.checks if row in CHECKS[check.name][1])

    def require(self) -> None:
        """Raises VerificationError, its reason the first of `reasons`, unless the outcome is "passed"."""
        if self.outcome != PASSED:
            raise VerificationError(self.sentence, reason=self.reasons[0])


def worst(outcomes: Iterable[str]) -> str:
    """ "failed" before "cannot-tell" before "not-checked" before "passed"."""
    found = set(outcomes)
    return next((each for each in (FAILED, CANNOT_TELL, NOT_CHECKED) if each in found), PASSED)


_OUTCOME = attrgetter("outcome")
_NOT_MADE = {name: Check(name, NOT_CHECKED) for name in CHECKS}


def has_failed(checks: Iterable[Check]) -> bool:
    """Whether any of the checks failed."""
    return FAILED in map(_OUTCOME, checks)


def conclude(checks: Iterable[Check]) -> tuple[str, tuple[Check, ...]]:
    """The outcome, and the checks with those that were not made, in order. Of two of one name the later counts."""
    made = _NOT_MADE.copy()
    for check in checks:
        made[check.name] = check
    found = tuple(made.values())
    outcomes = set(map(_OUTCOME, found))
    return (FAILED if FAILED in outcomes else CANNOT_TELL if CANNOT_TELL in outcomes else PASSED), found
