"""The TLS reader never over-reads, leaves nothing over, and is undone by the writer."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.wire.tls import Reader, uint, vector


@given(st.integers(1, 8), st.data())
def test_uint_round_trip(width, data):
    value = data.draw(st.integers(0, (1 << 8 * width) - 1))
    written = uint(value, width)
    assert len(written) == width
    reader = Reader(written)
    assert reader.uint(width) == value
    reader.end()


@pytest.mark.parametrize("value", [-1, 256])
def test_uint_that_does_not_fit(value):
    with pytest.raises(MalformedError, match="does not fit"):
        uint(value, 1, "x")


@given(st.binary(max_size=300), st.binary(max_size=5))
def test_vector_round_trip(body, behind):
    reader = Reader(vector(body, 2) + behind)
    assert reader.vector(2) == body
    assert reader.rest() == behind
    reader.end()


def test_vector_limits():
    assert vector(bytes(255), 1)[0] == 255
    with pytest.raises(MalformedError, match="256 bytes"):
        vector(bytes(256), 1, field="x")
    with pytest.raises(MalformedError, match="0 bytes"):
        vector(b"", 1, 1)
    with pytest.raises(MalformedError, match="1 to 2 are allowed"):
        Reader(b"\x03abc").vector(1, 1, 2)
    with pytest.raises(MalformedError, match="at least 1 are allowed"):
        Reader(b"\x00").vector(1, 1)


def test_error_says_field_and_offset():
    reader = Reader(b"\x01\x00\x02a", "thing")
    reader.uint(1)
    with pytest.raises(MalformedError) as caught:
        reader.vector(2)
    assert (caught.value.field, caught.value.offset) == ("thing", 1)
    assert str(caught.value) == "thing: a vector of 2 bytes does not fit into the 1 left (at byte 1)"


def test_a_failed_read_does_not_move_the_reader():
    reader = Reader(b"ab")
    with pytest.raises(MalformedError):
        reader.octets(3)
    assert reader.octets(2) == b"ab"


def test_nested_readers_count_from_the_outermost_byte_and_stop_at_their_end():
    outer = Reader(b"\xff\x00\x03abcd", "thing")
    outer.uint(1)
    inner = outer.nested(2)
    assert inner.offset == 3
    with pytest.raises(MalformedError) as caught:
        inner.octets(4)
    assert caught.value.offset == 3
    assert inner.octets(3) == b"abc"
    inner.end()
    with pytest.raises(MalformedError) as caught:
        outer.end()
    assert (caught.value.offset, outer.left) == (6, 1)


@given(st.binary(max_size=40), st.lists(st.sampled_from(["uint", "octets", "vector", "nested", "rest", "end"])))
def test_no_byte_string_raises_anything_else(data, calls):
    reader = Reader(data)
    with suppress(MalformedError):
        for call in calls:
            result = getattr(reader, call)(*([] if call in ("rest", "end") else [2]))
            reader = result if call == "nested" else reader
    assert 0 <= reader.offset <= len(data)
