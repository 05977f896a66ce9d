"""Delegate certificates, RFC 9060 section 4: a certificate's scope is equal to or a subset of its parent's scope.

In scope: the comparison of what a certificate claims with what each CA above it holds, as far as certificates alone can
tell. Every CA above that has a list counts, not only the direct issuer. Codes, and numbers with `*` or `#`, must stand
in the list verbatim; other numbers must lie within its numbers and ranges taken together. The numbers behind a service
provider code are known to no certificate, so a list with a code may hold any number: such a claim is not refuted, and
said to be unverifiable. Out of scope: cA, path length and key identifiers (`ctlog.x509`), porting data.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from ctlog.tn.findings import UNREADABLE_LIST, Finding, finding, quote
from ctlog.tn.identity import Identity
from ctlog.tn.numbers import Claim, ServiceProviderCode, interval


class Scope:
    """What a list holds, made to be asked many times: `holds` is exact and takes logarithmic time."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self._verbatim: set[Claim] = set()  # codes, and numbers with signs
        self.has_code = False
        spans: dict[int, list[tuple[int, int]]] = {}
        for claim in claims:
            span = interval(claim)
            if span is None:
                self._verbatim.add(claim)
                self.has_code |= isinstance(claim, ServiceProviderCode)
            else:
                spans.setdefault(span[0], []).append(span[1:])
        self._spans = {width: _joined(found) for width, found in spans.items()}

    def holds(self, claim: Claim) -> bool:
        """True if the claim lies within the list, several of its entries taken together if need be."""
        span = interval(claim)
        if span is None:
            return claim in self._verbatim
        width, lo, hi = span
        joined = self._spans.get(width, [])
        at = bisect_right(joined, (lo, 10**width)) - 1
        return at >= 0 and joined[at][0] <= lo and hi <= joined[at][1]


def check_encompassed(identity: Identity, issuers: Sequence[Identity]) -> tuple[Finding, ...]:
    """Compare what a certificate claims with what the CAs above it hold.

    issuers: of the CAs from its own issuer up to the anchor. An empty answer means that nothing speaks against it;
    where no CA above has a list there is nothing to compare, and the answer is empty.
    """
    listed = [at for at, issuer in enumerate(issuers) if issuer.has_list]
    if not listed:
        return ()
    found: dict[str, Finding] = {}
    if not identity.has_list:
        found["scope-list-missing"] = finding("scope-list-missing", "the certificate itself")
    gaps = [at for at in range(listed[-1]) if not issuers[at].has_list]
    if gaps:
        found.setdefault("scope-list-missing", finding("scope-list-missing", _which(gaps[0])))
    if not _is_known(identity):
        found["scope-incomparable"] = finding("scope-incomparable", "the certificate itself")
    for at in listed:
        if not _is_known(issuers[at]):
            found.setdefault("scope-incomparable", finding("scope-incomparable", _which(at)))
        for each in _compare(identity.claims, issuers[at], _which(at)):
            found.setdefault(each.id, each)
    return tuple(found.values())


def _compare(claims: Sequence[Claim], issuer: Identity, which: str) -> list[Finding]:
    """Compare with one CA that has a list; what stands in a list of which a part is unknown may stand in that part."""
    scope = Scope(issuer.claims)
    outside = [claim for claim in claims if not scope.holds(claim)]
    found = []
    if scope.has_code and any(not isinstance(claim, ServiceProviderCode) for claim in outside):
        found.append(finding("scope-unverifiable", which))
        outside = [claim for claim in outside if isinstance(claim, ServiceProviderCode)]
    if outside and _is_known(issuer):
        found.append(finding("scope-exceeds-issuer", f"{quote(str(outside[0]))}, {which}"))
    return found


def _is_known(identity: Identity) -> bool:
    """True if all that the identity's lists say has been read: no list is unreadable or kept elsewhere."""
    return not any(each.id == "scope-by-reference" or each.id in UNREADABLE_LIST for each in identity.findings)


def _which(at: int) -> str:
    return "its issuer" if at == 0 else f"the CA {at + 1} steps above it"


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join half-open spans that overlap or touch; ascending."""
    joined: list[tuple[int, int]] = []
    for lo, hi in sorted(spans):
        if joined and lo <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(hi, joined[-1][1]))
        else:
            joined.append((lo, hi))
    return joined
