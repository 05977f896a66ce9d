"""Base64 has one spelling for each byte string."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.wire.b64 import format_base64, parse_base64


@given(st.binary(max_size=100))
def test_as_the_standard_library_writes_it(data):
    assert format_base64(data) == base64.b64encode(data).decode()
    assert parse_base64(format_base64(data), "x") == data


@pytest.mark.parametrize(
    "text",
    ["YQ", "YQ=", "YQ===", "YR==", "YQ==\n", " YQ==", "YQ= =", "Y-_=", "=", "YQ==YQ==", "é", "YQ\x00==", b"YQ==", 7],
)
def test_refused(text):
    with pytest.raises(MalformedError) as caught:
        parse_base64(text, "x")
    assert caught.value.field == "x"


@given(st.text(max_size=30) | st.text("YQ=+/A\n", max_size=12))
def test_what_is_taken_is_what_would_be_written(text):
    try:
        data = parse_base64(text, "x")
    except MalformedError:
        return
    assert format_base64(data) == text
