"""Diverted calls: which tokens tell one story, in whatever order they come."""

import itertools

import pytest

from ctlog.client.diversion import follow_diversions
from ctlog.errors import VerificationError
from ctlog.wire.passport import parse_passport
from tests.call_values import claims, signed

A, B, C, D, E = (f"1202555010{digit}" for digit in range(5))


def first(dest: str = B):
    return parse_passport(signed(claims(A, dest)))


def diverted(at: str, to: str, orig: str = A):
    return parse_passport(signed(claims(orig, to, div={"tn": at}), "div"))


def test_none():
    assert [party.value for party in follow_diversions(first(), [])] == [B]


def test_in_any_order():
    steps = [diverted(B, C), diverted(C, D), diverted(D, E)]
    for order in itertools.permutations(steps):
        assert [party.value for party in follow_diversions(first(), order)] == [E]


def test_a_call_that_came_back_in_any_order():
    """B to C, back to B, and on to D: whoever takes B to D first is left with two that fit nowhere."""
    steps = [diverted(B, D), diverted(B, C), diverted(C, B)]
    for order in itertools.permutations(steps):
        assert [party.value for party in follow_diversions(first(), order)] == [D]
    around = [diverted(B, C), diverted(C, B)] * 7
    assert [party.value for party in follow_diversions(first(), [diverted(B, D), *around])] == [D]


def test_attack_a_maze_of_diversions():
    """Every way between four numbers, and one that nothing leads to: it ends, and soon."""
    ways = [diverted(a, b) for a, b in itertools.permutations((B, C, D, E), 2)]
    with pytest.raises(VerificationError) as caught:
        follow_diversions(first(), [*ways, diverted("12025550109", B)])
    assert caught.value.reason == "diversion-broken"
    assert follow_diversions(first(), ways)[0].value == B


@pytest.mark.parametrize(("diversions", "reason"), [
    ([diverted(B, C, orig=D)], "orig-mismatch"),
    ([diverted(C, D)], "diversion-broken"),
    ([diverted(B, C), diverted(B, D)], "diversion-broken"),
    ([diverted(B, C), diverted(D, E)], "diversion-broken"),
])  # fmt: skip
def test_no_story(diversions, reason):
    with pytest.raises(VerificationError) as caught:
        follow_diversions(first(), diversions)
    assert caught.value.reason == reason


def test_a_circle_ends():
    assert [p.value for p in follow_diversions(first(), [diverted(B, C), diverted(C, B)])] == [B]
