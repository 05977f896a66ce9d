"""Labels: the published vectors, their bytes, and that whoever looks up a number finds every entry that holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.tn.by_reference import OID_ACCESS
from ctlog.tn.labels import (
    LABEL_VERSION,
    MAX_LABELS,
    MAX_VALUE,
    UNINDEXABLE,
    Label,
    claim_labels,
    code_labels,
    entry_labels,
    fold_code,
    format_label,
    label_range,
    labels_holding,
    parse_label,
)
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber, contains
from ctlog.tn.tel_uri import OID_ALT_NAME
from ctlog.tn.tnauthlist import OID_TNAUTHLIST
from tests.number_certificates import block, claims, code, extension, identity, number, numeric, ranges

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "labels.json").read_text("utf-8"))
FORMS = {"tnauthlist": OID_TNAUTHLIST, "alt_name": OID_ALT_NAME, "access": OID_ACCESS}


def text(labels: list[Label] | tuple[Label, ...]) -> list[str]:
    """Labels as the vectors write them, in the order of their bytes."""
    return sorted(format_label(label).decode("latin-1") for label in labels)


def test_the_vectors_are_of_this_version() -> None:
    assert VECTORS["version"] == LABEL_VERSION


@pytest.mark.parametrize("vector", VECTORS["claims"], ids=lambda vector: vector["name"])
def test_vectors_of_claims(vector: dict[str, Any]) -> None:
    kinds = {"one": TelephoneNumber, "range": NumberRange, "spc": ServiceProviderCode}
    kind, *values = vector["claim"]
    assert text(claim_labels(kinds[kind](*values))) == vector["labels"]


@pytest.mark.parametrize("vector", VECTORS["entries"], ids=lambda vector: vector["name"])
def test_vectors_of_entries(vector: dict[str, Any]) -> None:
    forms = [extension(kind, bytes.fromhex(vector[key])) for key, kind in FORMS.items() if key in vector]
    found = identity(*forms, common_name=vector.get("common_name"))
    assert [format_label(label).decode("latin-1") for label in found.labels] == vector["labels"]


@given(claims)
def test_bytes_and_labels_are_inverse(claim: Claim) -> None:
    for label in claim_labels(claim):
        assert parse_label(format_label(label)) == label


@pytest.mark.parametrize(
    "data",
    [b"", b"one", b"one:", b"spc:", b"unindexable:", b"two:1", b"ONE:12", b"one:+12", b"one:1234567890123456",
     b"prefix:120", b"prefix:1x2x", b"prefix:12X", b"prefix:", b"prefix:" + b"1" * 15 + b"x", b"prefix:1*x",
     b"spc:" + b"7" * 256, b"\xff"],
)  # fmt: skip
def test_what_is_no_label(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_label(data)


@given(st.binary(max_size=30))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        label = parse_label(data)
    except MalformedError:
        return
    assert format_label(label) == data


@given(ranges(), st.data())
def test_a_number_is_found_by_every_range_that_holds_it(numbers: NumberRange, data: st.DataObject) -> None:
    inside = data.draw(st.integers(numbers.lo, numbers.hi - 1))
    wanted = labels_holding(str(inside).zfill(numbers.width))
    assert len(set(wanted) & set(claim_labels(numbers))) == 1
    for outside in (numbers.lo - 1, numbers.hi):
        if 0 <= outside < 10**numbers.width:
            assert not set(labels_holding(str(outside).zfill(numbers.width))) & set(claim_labels(numbers))


@given(numeric, ranges())
def test_a_number_is_found_exactly_if_it_is_held(one: TelephoneNumber, numbers: NumberRange) -> None:
    found = set(labels_holding(one.digits)) & set(claim_labels(numbers))
    assert bool(found) == contains(numbers, one)
    assert one.digits not in [label.value for label in claim_labels(numbers)] or contains(numbers, one)


@given(ranges())
def test_labels_of_a_range_stand_for_its_numbers(numbers: NumberRange) -> None:
    for label in claim_labels(numbers):
        piece = label_range(label)
        assert piece is not None
        assert contains(numbers, piece)


def test_what_stands_for_no_numbers() -> None:
    assert label_range(UNINDEXABLE) is None
    assert label_range(Label("spc", "1234")) is None
    assert label_range(Label("ref", "https://a.example/")) is None


def test_where_a_number_may_be_found() -> None:
    assert text(labels_holding("120")) == ["one:120", "prefix:12x", "prefix:1xx", "prefix:xxx"]
    assert text(labels_holding("1*")) == ["one:1*"]
    with pytest.raises(MalformedError):
        labels_holding("+120")


@given(st.text(st.characters(max_codepoint=255), max_size=10))
def test_one_look_up_finds_a_code_in_any_case(logged: str) -> None:
    labels = claim_labels(code(logged))
    if logged:
        assert Label("spc", fold_code(logged)) in labels
        assert Label("spc", logged) in labels
        assert labels == code_labels(logged)
        for other in (logged.swapcase(), logged.upper(), logged.lower()):
            if logged.isascii():
                assert labels[0] in claim_labels(code(other))


def test_folding_knows_only_ascii() -> None:
    assert fold_code("az09é ß") == "AZ09é ß"
    assert fold_code("aé") == "Aé"


def test_a_code_too_long_to_be_looked_up() -> None:
    assert claim_labels(code("7" * MAX_VALUE)) == [Label("spc", "7" * MAX_VALUE)]
    assert claim_labels(code("7" * (MAX_VALUE + 1))) == [UNINDEXABLE]


def test_the_limit_of_labels() -> None:
    full = [number(str(10**9 + at)) for at in range(MAX_LABELS)]
    assert len(entry_labels(full)) == MAX_LABELS
    assert len(entry_labels([*full, full[0]])) == MAX_LABELS  # the same one again is no more
    assert entry_labels([*full, number("1")]) == (UNINDEXABLE,)
    assert len(entry_labels(full[1:], readable=False)) == MAX_LABELS
    assert entry_labels(full, readable=False) == (UNINDEXABLE,)


def test_the_limit_is_of_labels_and_not_of_claims() -> None:
    widest = [block(f"{digit}00000000000001", 10**14 - 2) for digit in range(1, 10)]
    assert len(claim_labels(widest[0])) == 13 * 18 + 8
    assert len(entry_labels(widest[:4])) == 4 * (13 * 18 + 8)
    assert entry_labels(widest[:5]) == (UNINDEXABLE,)


def test_references() -> None:
    assert text(entry_labels([], ["https://a.example/list"])) == ["ref:https://a.example/list", "unindexable"]
    assert text(entry_labels([], ["https://a.example/" + "l" * 300])) == ["unindexable"]
    assert text(entry_labels([number("12")], [""])) == ["one:12", "unindexable"]
    assert entry_labels([]) == ()


@given(st.lists(claims, max_size=5))
def test_labels_are_a_set_in_the_order_of_their_bytes(entries: list[Claim]) -> None:
    labels = entry_labels(entries)
    as_bytes = [format_label(label) for label in labels]
    assert as_bytes == sorted(set(as_bytes))
    assert labels == entry_labels([*reversed(entries), *entries])
