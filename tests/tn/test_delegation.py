"""RFC 9060 section 4: scopes within scopes, against plain sets of numbers, and case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.delegation import Scope, check_encompassed
from ctlog.tn.identity import Identity
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber, contains
from tests.number_certificates import access, block, claims, code, holding, identity, names, number, number_list, ranges

NOTHING = identity()
UNREADABLE = identity(number_list(b"\x30\x06\x80\x04709J"))
ELSEWHERE = identity(access(b"https://a.example/"))
RANGE = block("12025550100", 100)


def ids(child: Identity, *issuers: Identity) -> list[str]:
    """The ids of the findings about a certificate below these CAs, its issuer first."""
    return [found.id for found in check_encompassed(child, issuers)]


CASES: dict[str, tuple[Identity, list[Identity], list[str]]] = {
    "no CA has a list": (holding(RANGE), [NOTHING, NOTHING], []),
    "no CA at all": (holding(RANGE), [], []),
    "the same": (holding(RANGE), [holding(RANGE), NOTHING], []),
    "a number in a range": (holding(number("12025550199")), [holding(RANGE)], []),
    "the number after a range": (holding(number("12025550200")), [holding(RANGE)], ["scope-exceeds-issuer"]),
    "a longer number": (holding(number("120255501001")), [holding(RANGE)], ["scope-exceeds-issuer"]),
    "a leading zero more": (holding(number("012025550100")), [holding(RANGE)], ["scope-exceeds-issuer"]),
    "a range over two of the issuer's": (
        holding(block("12025550150", 100)), [holding(RANGE, block("12025550200", 100))], [],
    ),
    "a range with a gap in the issuer's": (
        holding(block("12025550150", 100)), [holding(RANGE, block("12025550201", 100))], ["scope-exceeds-issuer"],
    ),
    "a range made of single numbers": (
        holding(block("1201", 2)), [holding(number("1201"), number("1202"))], [],
    ),
    "a CA further up": (holding(RANGE), [holding(RANGE), holding(number("12025550100"))], ["scope-exceeds-issuer"]),
    "a code": (holding(code("709J")), [holding(code("710J"), code("709J"))], []),
    "a code in another case": (holding(code("709j")), [holding(code("709J"))], ["scope-exceeds-issuer"]),
    "a code that it has not": (holding(code("709J")), [holding(code("710J"))], ["scope-exceeds-issuer"]),
    "a code under numbers": (holding(code("709J")), [holding(RANGE)], ["scope-exceeds-issuer"]),
    "numbers under a code": (holding(RANGE), [holding(code("709J"))], ["scope-unverifiable"]),
    "numbers under a code and beside it": (
        holding(number("12025550100"), number("13")), [holding(code("709J"), RANGE)], ["scope-unverifiable"],
    ),
    "numbers listed beside a code": (holding(number("12025550100")), [holding(code("709J"), RANGE)], []),
    "numbers and a foreign code under a code": (
        holding(RANGE, code("710J")), [holding(code("709J"))], ["scope-unverifiable", "scope-exceeds-issuer"],
    ),
    "a number with signs": (holding(number("*67#")), [holding(number("*67#"))], []),
    "a number with signs is in no range": (holding(number("1*")), [holding(block("10", 10))], ["scope-exceeds-issuer"]),
    "signs are no pattern": (holding(number("1202")), [holding(number("1*"))], ["scope-exceeds-issuer"]),
    "a number with signs under a code": (holding(number("*67#")), [holding(code("709J"))], ["scope-unverifiable"]),
    "a CA between without a list": (holding(RANGE), [NOTHING, holding(RANGE)], ["scope-list-missing"]),
    "CAs above the last list need none": (holding(RANGE), [holding(RANGE), NOTHING, NOTHING], []),
    "the certificate itself has no list": (NOTHING, [holding(RANGE)], ["scope-list-missing"]),
    "a tel: name in the issuer's range": (
        identity(names(b"tel:+12025550100")), [holding(RANGE)], ["scope-list-missing"],
    ),
    "a tel: name outside": (
        identity(names(b"tel:+12025550200")), [holding(RANGE)], ["scope-list-missing", "scope-exceeds-issuer"],
    ),
    "an unreadable list": (UNREADABLE, [holding(code("709J"))], ["scope-incomparable"]),
    "an unreadable list above": (holding(code("709J")), [UNREADABLE], ["scope-incomparable"]),
    "a list elsewhere": (ELSEWHERE, [holding(RANGE)], ["scope-incomparable"]),
    "a list elsewhere above": (holding(RANGE), [ELSEWHERE], ["scope-incomparable"]),
    "one CA readable, one not": (
        holding(RANGE), [UNREADABLE, holding(number("1"))], ["scope-incomparable", "scope-exceeds-issuer"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("child", "issuers", "expected"), CASES.values(), ids=CASES.keys())
def test_cases(child: Identity, issuers: list[Identity], expected: list[str]) -> None:
    assert ids(child, *issuers) == expected


def test_a_finding_names_what_and_where() -> None:
    (found,) = check_encompassed(holding(number("13")), [holding(number("13")), holding(RANGE)])
    assert found.text.endswith("('13', the CA 2 steps above it).")
    (found,) = check_encompassed(holding(RANGE), [holding(number("13"))])
    assert found.text.endswith("('12025550100-12025550199', its issuer).")


narrow = st.one_of(
    ranges(max_width=2),
    st.builds(TelephoneNumber, st.text("0159*", min_size=1, max_size=2)),
    st.builds(ServiceProviderCode, st.text("15", min_size=1, max_size=1)),
)


def members(claim: Claim) -> set[str]:
    """Everything that a claim of narrow width claims, one by one."""
    if isinstance(claim, NumberRange):
        return {str(value).zfill(claim.width) for value in range(claim.lo, claim.hi)}
    return {"code " + claim.code if isinstance(claim, ServiceProviderCode) else claim.digits}


@given(st.lists(narrow, max_size=6), narrow)
def test_a_scope_holds_what_the_union_of_its_claims_holds(held: list[Claim], claim: Claim) -> None:
    union: set[str] = set().union(*map(members, held))
    assert Scope(held).holds(claim) == (members(claim) <= union)


@given(st.lists(claims, max_size=6), claims)
def test_a_scope_holds_what_one_of_its_claims_holds(held: list[Claim], claim: Claim) -> None:
    assert Scope([*held, claim]).holds(claim)
    if any(contains(each, claim) for each in held):
        assert Scope(held).holds(claim)


@given(st.lists(narrow, min_size=1, max_size=4), st.lists(narrow, min_size=1, max_size=4))
def test_nothing_is_found_exactly_in_a_subset_without_codes_above(child: list[Claim], parent: list[Claim]) -> None:
    parent = [claim for claim in parent if not isinstance(claim, ServiceProviderCode)] or [number("1")]
    subset = set().union(*map(members, child)) <= set().union(*map(members, parent))
    assert (ids(holding(*child), holding(*parent)) == []) == subset
