"""The exceptions are the tree that the module's docstring draws, and each carries what it says it does."""

import re

import pytest

from ctlog import errors
from ctlog.errors import CtlogError


def drawn() -> dict[str, str]:
    """Class name -> name of the class above it, as drawn with box characters."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│ ]*(?:├── |└── )?)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            parents[found[2]] = path[depth - 1] if depth else "Exception"
    return parents


CLASSES = {name: value for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__}


def test_the_drawing_is_the_tree():
    assert {name: value.__base__.__name__ for name, value in CLASSES.items()} == drawn()
    assert len(drawn()) > 15


def test_reasons_are_stable_words_one_for_each():
    reasons = [value.reason for value in CLASSES.values()]
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", reason) for reason in reasons)


@pytest.mark.parametrize("kind", CLASSES.values(), ids=lambda kind: kind.__name__)
def test_sentence_and_reason(kind):
    needed = {"Misbehaviour": {"evidence": "text"}, "FatalError": {"promise": "P1"}}.get(kind.__name__, {})
    plain, special = kind("One sentence.", **needed), kind("One sentence.", reason="a-word", **needed)
    assert str(plain).startswith("One sentence.")
    assert (plain.reason, special.reason) == (kind.reason, "a-word")
    assert kind.reason != "a-word"
    assert isinstance(plain, CtlogError)


def test_what_some_carry():
    malformed = errors.MalformedError("x", field="sct", offset=7)
    assert (malformed.field, malformed.offset) == ("sct", 7)
    assert errors.MalformedError("x").offset is None
    assert errors.Misbehaviour("x", evidence="proof").evidence == "proof"
    assert errors.PoolFullError("x", retry_after_s=3).retry_after_s == 3
    assert str(errors.FatalError("The head moved", promise="P1")) == "The head moved (P1)"
