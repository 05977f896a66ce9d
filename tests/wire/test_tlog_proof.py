"""Offline proofs: the specification's lines, inverses, strictness, and one that verifies from end to end."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.wire.checkpoint import Checkpoint, format_checkpoint, open_checkpoint
from ctlog.wire.signed_note import format_note
from ctlog.wire.tlog_proof import TlogProof, format_tlog_proof, parse_tlog_proof
from tests.wire_values import HASH, TestLog

LOG = TestLog()
HEAD = Checkpoint(LOG.origin, 109_482, b"r" * 32)
NOTE = format_note(format_checkpoint(HEAD), [LOG.rfc6962_line(HEAD, 1)])
B64_A = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
GOOD = f"c2sp.org/tlog-proof@v1\nextra ZXh0cmE=\nindex 73894\n{B64_A}\n{B64_A}\n\n".encode() + NOTE


def test_by_hand():
    proof = TlogProof(73894, (b"a" * 32, b"a" * 32), NOTE, b"extra")
    assert format_tlog_proof(proof) == GOOD
    assert parse_tlog_proof(GOOD) == proof
    bare = b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + NOTE
    assert parse_tlog_proof(bare) == TlogProof(0, (), NOTE)
    assert format_tlog_proof(TlogProof(0, (), NOTE)) == bare
    assert open_checkpoint(parse_tlog_proof(GOOD).checkpoint, LOG.origin, LOG.key).size == 109_482


@given(st.integers(0, (1 << 64) - 1), st.lists(HASH, max_size=64).map(tuple), st.binary(max_size=50))
def test_round_trip(index, hashes, extra):
    proof = TlogProof(index, hashes, NOTE, extra)
    assert parse_tlog_proof(format_tlog_proof(proof)) == proof


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD.replace(b"@v1", b"@v2"),
        GOOD.replace(b"\n\n", b"\n", 1),
        GOOD.replace(b"extra ZXh0cmE=", b"extra "),
        GOOD.replace(b"extra ZXh0cmE=", b"extra"),
        GOOD.replace(b"extra ZXh0cmE=", b"extra ZXh0cmF="),
        GOOD.replace(b"extra ZXh0cmE=", b"extra ZXh0cmE=\nextra ZXh0cmE="),
        GOOD.replace(b"index 73894", b"index 073894"),
        GOOD.replace(b"index 73894", b"index -1"),
        GOOD.replace(b"index 73894", b"index  1"),
        GOOD.replace(b"index 73894", b"index 18446744073709551616"),
        GOOD.replace(b"index 73894\n", b""),
        GOOD.replace(b"YWE=\n\n", b"YQ==\n\n"),
        GOOD.replace(b"YWE=\n\n", b"\n\n"),
        GOOD.replace(b"\nindex", b"\r\nindex"),
        GOOD.replace(b"\nindex", b"\xff\nindex"),
        GOOD.replace(b"\n\n", f"\n{B64_A}".encode() * 63 + b"\n\n", 1),
        GOOD + b"x",
        GOOD[:-1],
        GOOD.replace(b"109482", b"0109482"),
        b"c2sp.org/tlog-proof@v1\n\n" + NOTE,
    ],
)
def test_malformed(data):
    with pytest.raises(MalformedError):
        parse_tlog_proof(data)


@pytest.mark.parametrize("wrong", [{"index": -1}, {"index": 1 << 64}, {"hashes": (b"a",)}, {"checkpoint": b"x\n"}])
def test_what_cannot_be_written(wrong):
    with pytest.raises(MalformedError):
        format_tlog_proof(replace(parse_tlog_proof(GOOD), **wrong))


@given(st.binary(max_size=60), st.integers(0, len(GOOD)))
def test_no_byte_string_raises_anything_else(data, at):
    for candidate in (data, GOOD[:at] + data + GOOD[at:], GOOD[:at] + data + GOOD[at + len(data) :]):
        with suppress(MalformedError):
            assert format_tlog_proof(parse_tlog_proof(candidate)) == candidate
