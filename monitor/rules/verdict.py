"""One verdict from many findings: which rule leads, how grave it is, and whom it concerns.

In scope: precedence between rules on one certificate, rules that are only grave together, what the owner's word
silences. One certificate and one item make at most one verdict for the owner and one for the operator. Out of scope:
what a single rule says (the families).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from monitor.entry import Entry
from monitor.items import CODE
from monitor.rules.values import OPERATOR, OWNER, S1, S2, S4, Authorised, Finding, Severity
from monitor.watchlist import Hit

# Of equally grave findings the first of these leads. T-06 comes before T-08, T-14 and T-23, whose cause it mostly is;
# T-09 is folded into T-01 where that is as grave, and else stands beside it.
PRECEDENCE = (
    *("T-28", "T-20", "T-18", "T-06", "T-11", "T-10", "T-02", "T-12", "T-01", "T-09", "T-03", "T-16", "T-19"),
    *("T-21", "T-27", "T-22", "T-23", "T-04", "T-05", "T-07", "T-17", "T-08", "T-14", "T-15", "T-24", "T-25"),
    *("T-26", "T-13"),
)
FOLDS_INTO = "T-01"
_RANK = {rule: rank for rank, rule in enumerate(PRECEDENCE)}

WORD_OF_OWNER = frozenset(
    ("T-01", "T-02", "T-03", "T-04", "T-05", "T-07", "T-09", "T-10", "T-12", "T-13", "T-24", "T-25", "T-26")
)
"""Rules that only ask whether something is meant to be: the owner's yes to a certificate or a key settles them."""
WORD_ON_ISSUER = frozenset(("T-01", "T-09"))
"""Rules that only ask whether an issuer may: the owner's yes to him settles them. All others ask about more, such as
whose the key is."""

ONE_QUESTION = frozenset(("T-01", "T-09", "T-12"))
"""Rules that put one question, whether somebody may issue: of one issuance, which of them asks it depends on the log in
which it was met first."""


class Verdict(NamedTuple):
    """What is said of one entry to one addressee.

    leading: the rule that is named first, "" if there is nothing to say. rules: all of them, the leading one first.
    severity: the gravest; S4 if there is none. findings: in the order of `rules`. folded: those that are no findings of
    their own, for another one says it with them; their rules stand behind that one's.
    """

    to: str
    severity: Severity
    leading: str
    rules: tuple[str, ...]
    findings: tuple[Finding, ...]
    folded: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, a sentence for each rule."""
        return tuple(finding.reason for finding in self.findings)

    @property
    def action(self) -> str:
        """What to do next."""
        return self.findings[0].action if self.findings else "Nothing: this is as expected."


def combine(findings: Sequence[Finding], hit: Hit | None, to: str = OWNER) -> Verdict:
    """Make the verdict for one addressee."""
    own, folded = _fold(_together([finding for finding in findings if finding.to == to], hit))
    own.sort(key=lambda finding: (finding.severity, _RANK.get(finding.rule, len(_RANK))))
    severity = min((finding.severity for finding in own), default=S4)
    ordered = [finding.rule for finding in own]
    for finding in folded:
        ordered.insert(ordered.index(FOLDS_INTO) + 1, finding.rule)
    return Verdict(to, severity, ordered[0] if ordered else "", tuple(ordered), tuple(own), folded)


def unsaid(verdict: Verdict, hit: Hit | None, said: Sequence[tuple[int, tuple[str, ...]]]) -> Verdict | None:
    """Of a later verdict on the same issuance, what its addressee has not been told; None where that is worth no other
    word. said: the severity and the rules of each alert that he had.

    S1 and S2 are always worth it: that a key was revoked is news for whoever was told of a stranger, or has said that
    the certificate is his. S3 and S4 are where nothing was said as loudly.
    """
    if not said:
        return verdict
    known = [(severity, ONE_QUESTION.union(rules) if ONE_QUESTION & {*rules} else rules) for severity, rules in said]
    fresh = [
        finding for finding in verdict.findings
        if not any(finding.rule in rules and severity <= finding.severity for severity, rules in known)
    ]  # fmt: skip
    if not fresh:
        return None
    news = combine(fresh, hit, verdict.to)
    return news if news.severity <= S2 or all(severity > news.severity for severity, _ in said) else None


def _together(findings: list[Finding], hit: Hit | None) -> list[Finding]:
    """Operator and holder both new for a code: the one alarm of a takeover, S1."""
    fresh = {finding.rule for finding in findings if finding.severity < S4}
    if hit is None or hit.item.kind != CODE or not {"T-01", "T-03"} <= fresh:
        return findings
    return [finding._replace(severity=S1) if finding.rule == "T-01" else finding for finding in findings]


def _fold(findings: list[Finding]) -> tuple[list[Finding], tuple[Finding, ...]]:
    """T-09 in T-01, that a stranger issued: one finding, which says both."""
    stranger = next((finding for finding in findings if finding.rule == FOLDS_INTO), None)
    beside = next((finding for finding in findings if finding.rule == "T-09"), None)
    if stranger is None or beside is None or beside.severity < stranger.severity:
        return findings, ()
    both = stranger._replace(reason=f"{stranger.reason} {beside.reason}")
    return [both if each is stranger else each for each in findings if each is not beside], (beside,)


def settle(findings: Sequence[Finding], entry: Entry, authorised: Authorised) -> list[Finding]:
    """Leave out what the owner said is all right: this certificate, or this key."""
    if entry.issuance in authorised.issuances or entry.key_hash in authorised.keys:
        return [finding for finding in findings if finding.rule not in WORD_OF_OWNER]
    return list(findings)


def rules_answered(what: str, item_kind: str) -> frozenset[str]:
    """The rules that an owner's yes answers. what: "certificate", "key" or "issuer"; item_kind: of the watched item.

    A code's issuers are all that is asked of what was there when it came to be watched; of a number's certificates,
    T-12 asks about each, for a former owner may have had the same issuer.
    """
    if what != "issuer":
        return WORD_OF_OWNER
    return WORD_ON_ISSUER | {"T-12"} if item_kind == CODE else WORD_ON_ISSUER


__all__ = ["OPERATOR", "OWNER", "Verdict", "combine", "rules_answered", "settle", "unsaid"]
