"""An order as a TBSCertificate: which profile it gets, and what no CA of that profile would sign.

Specs: ATIS-1000080 section 6.4.1 (one code), RFC 9060 section 4 (a delegate's scope lies within those above it), RCC.16
Annex A (a UUID, numbers, 76 days, who vouches). In scope: a function for each profile, made once for a run. Out of
scope: how orders are written (`ctlog.issuance.orders`), the layouts of certificates (`profiles`, `rcs`), what the word
of a participant and a carrier is worth (`vouched`).

The reasons of what is refused: one-code, scope-exceeds-issuer, numbers-only, rcs-only, and those of `words` and
`vouched`; and of a whole run: outlives-issuer, not-a-vendor, bad-country.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

from ctlog.errors import RefusedError, UsageError
from ctlog.issuance.authority import Authority, Subject
from ctlog.issuance.orders import Order
from ctlog.issuance.profiles import delegate_leaf, shaken_leaf
from ctlog.issuance.rcs import LEAF_DAYS, Participant, rcs_leaf, subject_name
from ctlog.issuance.vouched import NOBODY, StandIns, check_participant, check_proof, vendor_of
from ctlog.issuance.words import check_country, check_holder, read_client
from ctlog.issuance.write import name
from ctlog.tn.delegation import Scope
from ctlog.tn.identity import read_identity
from ctlog.tn.numbers import Claim, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import parse_certificate

DAY_MS = 86_400_000

Build = Callable[[Order], bytes]
"""The TBSCertificate as logged of an order.

Raises RefusedError for one that this profile does not allow, MalformedError for words that no certificate has.
"""


class Terms(NamedTuple):
    """What the certificates of a run have in common: how long they live, the country of their subjects, and the time,
    milliseconds since 1970, from which they are good."""

    days: int
    clock: Callable[[], int]
    country: str = "US"

    def check(self, authority: Authority) -> None:
        """Raises UsageError "outlives-issuer" for certificates that would end after a CA above them does.

        MalformedError "bad-country".
        """
        check_country(self.country)
        end_ms = self.life()[1]
        for der in authority.chain:
            until_ms = parse_certificate(der, "a CA's certificate").not_after_ms
            if until_ms is not None and end_ms > until_ms:
                sentence = f"certificates of {self.days} days would end after that of a CA above them"
                raise UsageError(sentence, reason="outlives-issuer")

    def life(self) -> tuple[int, int]:
        """(notBefore, notAfter), both included (RFC 5280 section 4.1.2.5), of one that is made now."""
        now_ms = self.clock()
        return now_ms, now_ms + self.days * DAY_MS - 1000


def shaken_orders(authority: Authority, terms: Terms) -> Build:
    """A service provider's certificate: one code and nothing else."""

    terms.check(authority)

    def build(order: Order) -> bytes:
        (code, *more) = order.claims
        if more or not isinstance(code, ServiceProviderCode):
            raise RefusedError("a SHAKEN certificate is for one code and nothing else", reason="one-code")
        _check_plain(order)
        start, end = terms.life()
        return shaken_leaf(authority, order.spki, code.code, order.holder, not_before_ms=start, not_after_ms=end,
                           country=terms.country)  # fmt: skip

    return build


def delegate_orders(authority: Authority, terms: Terms) -> Build:
    """A delegate's certificate: codes, ranges and numbers that every CA above holds, as far as it has a list."""
    terms.check(authority)
    above = [read_identity(parse_certificate(der, "a CA's certificate")) for der in authority.chain]
    scopes = [Scope(identity.claims) for identity in above if identity.has_list]

    def build(order: Order) -> bytes:
        for claim in order.claims:
            if not all(_holds(scope, claim) for scope in scopes):
                raise RefusedError(f"{claim} lies outside of what its CA holds (RFC 9060 section 4)",
                                   reason="scope-exceeds-issuer")  # fmt: skip
        _check_plain(order)
        who = name(C=terms.country, O=order.holder, CN=order.holder)
        return delegate_leaf(authority, Subject(who, order.spki, *terms.life()), format_tnauthlist(order.claims))

    return build


def rcs_orders(authority: Authority, terms: Terms, stand_ins: StandIns = NOBODY) -> Build:
    """A messaging client's certificate: numbers, a UUID as its holder, and what the order brings of those who vouch.

    `stand_ins` vouch where an order brings nothing. Without either the certificate has no ParticipantInformation, or no
    carrier's proof, and is one that monitors warn of. Raises UsageError as `Terms.check`; "not-a-vendor" for a CA that
    names no vendor, when the first order or key vouches.
    """
    terms.check(authority)
    vendor_id = cache(partial(vendor_of, authority))
    if stand_ins.participant is not None:
        vendor_id()
    if terms.days > LEAF_DAYS:
        raise UsageError(f"RCC.16 lets a client's certificate live for {LEAF_DAYS} days at most")

    def build(order: Order) -> bytes:
        numbers = [claim.digits for claim in order.claims if isinstance(claim, TelephoneNumber) and claim.is_numeric]
        if len(numbers) < len(order.claims):
            raise RefusedError("a messaging certificate names numbers only", reason="numbers-only")
        subject = Subject(subject_name(read_client(order.holder)), order.spki, *terms.life())
        if order.participant:
            check_participant(order.participant, vendor_id(), subject, *numbers)
        if order.proof:
            check_proof(order.proof, subject.not_before_ms)
        participant: Participant | bytes | None = order.participant
        if not participant and stand_ins.participant is not None:
            participant = stand_ins.vouch(vendor_id(), subject)
        proof = order.proof or stand_ins.prove(subject, *numbers)
        return rcs_leaf(authority, subject, *numbers, participant=participant, proof=proof)

    return build


PROFILES: dict[str, Callable[[Authority, Terms], Build]] = {
    "shaken": shaken_orders, "delegate": delegate_orders, "rcs": rcs_orders,
}  # fmt: skip


def _holds(scope: Scope, claim: Claim) -> bool:
    """A code may stand for any number: which ones are its own, no certificate says."""
    return scope.holds(claim) or (scope.has_code and not isinstance(claim, ServiceProviderCode))


def _check_plain(order: Order) -> None:
    check_holder(order.holder)
    if order.participant or order.proof:
        sentence = "participant information and a carrier's proof stand in messaging certificates only"
        raise RefusedError(sentence, reason="rcs-only")
