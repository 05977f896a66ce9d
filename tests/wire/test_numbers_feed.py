"""The numbers feed: what is written is read, one line each, and other versions are told apart."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.wire.numbers_feed import (
    VERSION,
    FeedBody,
    FeedLine,
    format_feed_body,
    format_feed_line,
    parse_feed_line,
)

BODY = FeedBody(
    v=VERSION, kind="precert", family="stir", numbers=["12025550100"], ranges=[("12025550200", 100)], codes=["709J"],
    by_reference=["https://tn.example/list"], labels=["one:12025550100", "unindexable"], issuer="CN=CA",
    issuer_key="ab", subject="CN=SHAKEN 709J", key="cd", ca=False, not_before=1, not_after=None,
    trust_domain="us-shaken", root="ef", findings=["expired"], certificate="01",
)  # fmt: skip


def test_a_line_is_this_text() -> None:
    """Pinned: readers depend on it, and docs/numbers-feed.md shows it."""
    assert format_feed_line(7, 1790000000000, format_feed_body(BODY)).decode() == (
        '{"index":7,"timestamp":1790000000000,"v":1,"kind":"precert","family":"stir","numbers":["12025550100"],'
        '"ranges":[["12025550200",100]],"codes":["709J"],"by_reference":["https://tn.example/list"],'
        '"labels":["one:12025550100","unindexable"],"issuer":"CN=CA","issuer_key":"ab","subject":"CN=SHAKEN 709J",'
        '"key":"cd","ca":false,"not_before":1,"not_after":null,"trust_domain":"us-shaken","root":"ef",'
        '"findings":["expired"],"certificate":"01"}\n'
    )


texts = st.text(max_size=20)


@given(st.integers(0, 2**40), st.integers(0, 2**53), texts, st.lists(texts, max_size=3), st.integers(-(2**53), 2**53))
def test_a_line_written_is_read(index: int, timestamp: int, text: str, several: list[str], time: int) -> None:
    body = msgspec.structs.replace(BODY, issuer=text, subject=text, codes=several, findings=several, not_before=time)
    line = format_feed_line(index, timestamp, format_feed_body(body))
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    read = parse_feed_line(line)
    assert (read.index, read.timestamp) == (index, timestamp)
    assert {name: getattr(read, name) for name in FeedBody.__struct_fields__} == msgspec.structs.asdict(body)
    assert json.loads(line)["subject"] == text


def test_keys_that_are_not_known_are_ignored() -> None:
    line = json.loads(format_feed_line(1, 2, format_feed_body(BODY))) | {"new": [1]}
    assert isinstance(parse_feed_line(json.dumps(line).encode()), FeedLine)


def test_another_version_is_told_apart_whatever_else_it_says() -> None:
    for line in (b'{"v":2}', b'{"v":0,"index":"x"}', b'{"v":2,"numbers":{}}'):
        with pytest.raises(MalformedError, match="has version") as caught:
            parse_feed_line(line)
        assert caught.value.reason == "feed-version"


@pytest.mark.parametrize("key", FeedLine.__struct_fields__)
def test_every_key_must_be_there_with_its_type(key: str) -> None:
    line = json.loads(format_feed_line(1, 2, format_feed_body(BODY)))
    del line[key]
    for bad in (line, line | {key: {"a": 1}}):
        with pytest.raises(MalformedError) as caught:
            parse_feed_line(json.dumps(bad).encode())
        assert caught.value.reason == "malformed"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_line_or_malformed(junk: bytes) -> None:
    whole = format_feed_line(1, 2, format_feed_body(BODY))
    for line in (junk, whole[:-2] + junk, whole[: len(junk)] + junk + whole[len(junk) + 2 :]):
        with suppress(MalformedError):
            assert parse_feed_line(line).v == VERSION
