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
