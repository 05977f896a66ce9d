"""JSON members are taken out with their type and size, or refused by their name."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.wire.b64 import format_base64
from ctlog.wire.json_members import json_bytes, json_hash, json_hashes, json_object, json_uint64

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def test_taken():
    members = {"n": 0, "m": (1 << 64) - 1, "b": "", "h": format_base64(bytes(32)), "l": [], "k": ["A" * 43 + "="]}
    assert json_object(members, "x") is members
    assert json_uint64(members, "n") == 0
    assert json_uint64(members, "m") == (1 << 64) - 1
    assert json_bytes(members, "b") == b""
    assert json_hash(members, "h") == bytes(32)
    assert json_hashes(members, "l") == []
    assert json_hashes(members, "k") == [bytes(32)]


@pytest.mark.parametrize("value", [None, -1, 1 << 64, True, 1.0, "1", [1]])
def test_no_number(value):
    with pytest.raises(MalformedError) as caught:
        json_uint64({"n": value}, "n")
    assert caught.value.field == "n"


@pytest.mark.parametrize("value", [None, "", "AA==", format_base64(bytes(33)), 5])
def test_no_hash(value):
    with pytest.raises(MalformedError):
        json_hash({"h": value}, "h")
    with pytest.raises(MalformedError):
        json_hashes({"h": [value]}, "h")


@given(JSON)
def test_nothing_else_is_raised(value):
    for take in (json_uint64, json_bytes, json_hash, json_hashes):
        with suppress(MalformedError):
            take(json_object({"x": value}, "y"), "x")
        with suppress(MalformedError):
            take(json_object(value, "y"), "x")
