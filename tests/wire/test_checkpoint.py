"""Checkpoints: the specification's text, the RFC 6962 signature, and what open_checkpoint refuses."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError, SignatureError
from ctlog.wire import checkpoint as cp
from ctlog.wire.checkpoint import Checkpoint, check_origin, format_checkpoint, open_checkpoint, parse_checkpoint
from ctlog.wire.rfc6962 import DigitallySigned, LogKey
from ctlog.wire.signed_note import format_note, open_note, parse_note
from tests.wire_values import HASH, SIGNATURE, STH, TIMESTAMP, RsaLog, TestLog

LOG = TestLog()
HEAD = Checkpoint(LOG.origin, 70_000, b"r" * 32)
TEXT = format_checkpoint(HEAD)
NOTE = format_note(TEXT, [LOG.rfc6962_line(HEAD, 1_700_000_000_000), LOG.ed25519_line(TEXT)])


def test_the_example_of_the_specification():
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    found = parse_checkpoint(text)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.root.hex().startswith("0ac5186a91863e8e")
    assert found.extensions == ()
    assert format_checkpoint(found) == text


ORIGIN = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(ORIGIN, st.integers(0, (1 << 64) - 1), HASH, st.lists(ORIGIN, max_size=3).map(tuple))
def test_round_trip(origin, size, root, extensions):
    checkpoint = Checkpoint(origin, size, root, extensions)
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        TEXT[:-1],
        TEXT + "\n",
        "\n" + TEXT,
        TEXT + "\nextension\n",
        TEXT.replace("70000", "070000"),
        TEXT.replace("70000", "-1"),
        TEXT.replace("70000", "+70000"),
        TEXT.replace("70000", "7_0000"),
        TEXT.replace("70000", "70000 "),
        TEXT.replace("70000", "٧٠٠٠٠"),
        TEXT.replace("70000", ""),
        TEXT.replace("70000", str(1 << 64)),
        TEXT.replace("70000", "9" * 5000),
        "\n".join(TEXT.split("\n")[:2]) + "\n",
        TEXT.replace("cnI=", ""),
        TEXT.replace("cnI=", "cnJy"),
        TEXT.replace("cnI=", "cnJ="),
    ],
)
def test_malformed(text):
    with pytest.raises(MalformedError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "wrong",
    [{"origin": ""}, {"origin": "a\nb"}, {"size": -1}, {"size": 1 << 64}, {"root": b""}, {"extensions": ("",)}],
)
def test_what_cannot_be_written(wrong):
    with pytest.raises(MalformedError):
        format_checkpoint(HEAD._replace(**wrong))


# Origins ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    ["log.example.com", "rome.ct.example.com/2024h1", "localhost:8080", "127.0.0.1:1/x/y", "[::1]:80/log", "h/ü"],
)
def test_origins(origin):
    check_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        *("", "/", "/x", "https://log.example.com", "log.example.com/", "log.example.com//x", "log.example.com/x?y"),
        *("log.example.com/x#y", "a b", "a+b", "a\n", "log\x00", "-log", "log:http", "[::1", "\u2003", "\ud800"),
    ],
)
def test_no_origins(origin):
    with pytest.raises(MalformedError):
        check_origin(origin)


# The RFC 6962 signature ---------------------------------------------------------------------------------------------


def test_signature_by_hand():
    signature = cp.Rfc6962Signature(1, DigitallySigned(4, 3, b"sig"))
    assert cp.format_rfc6962_signature(signature) == b"\0\0\0\0\0\0\0\1\4\3\0\3sig"


@given(TIMESTAMP, SIGNATURE)
def test_signature_round_trip(timestamp_ms, signed):
    signature = cp.Rfc6962Signature(timestamp_ms, signed)
    assert cp.parse_rfc6962_signature(cp.format_rfc6962_signature(signature)) == signature


@given(st.binary(max_size=30))
def test_signature_raises_nothing_else(data):
    with suppress(MalformedError):
        assert cp.format_rfc6962_signature(cp.parse_rfc6962_signature(data)) == data
    with pytest.raises(SignatureError):
        cp.Rfc6962NoteVerifier(LOG.origin, LOG.key).verify(TEXT, data)


def test_key_id_by_hand():
    expected = hashlib.sha256(LOG.origin.encode() + b"\n\x05" + LOG.key.log_id).digest()[:4]
    assert cp.rfc6962_key_id(LOG.origin, LOG.key.log_id) == expected
    assert parse_note(NOTE).signatures[0].key_id == expected


def test_no_extension_lines_under_an_rfc_6962_signature():
    extended = HEAD._replace(extensions=("more",))
    with pytest.raises(MalformedError, match="no extension lines"):
        LOG.rfc6962_line(extended, 1)
    text = format_checkpoint(extended)
    note = format_note(text, [LOG.rfc6962_line(HEAD, 1), LOG.ed25519_line(text)])
    with pytest.raises(SignatureError):
        open_checkpoint(note, LOG.origin, LOG.key)
    open_note(note, [LOG.ed25519])  # as a note it is good


def test_another_origin_under_the_same_key_is_refused_though_no_signature_covers_it():
    text = format_checkpoint(HEAD._replace(origin="other.example"))
    note = format_note(text, [LOG.rfc6962_line(HEAD, 1)])
    with pytest.raises(SignatureError):
        open_note(note, [cp.Rfc6962NoteVerifier(LOG.origin, LOG.key)])


@pytest.mark.parametrize("text", ["no checkpoint\n", "", "\ud800\n1\n"])
def test_texts_that_are_no_checkpoint(text):
    line = LOG.rfc6962_line(HEAD, 1)
    with pytest.raises(SignatureError):
        cp.Rfc6962NoteVerifier(LOG.origin, LOG.key).verify(text, line.signature)


# Opening ------------------------------------------------------------------------------------------------------------


def test_open():
    for ed25519 in (None, LOG.ed25519):
        head = open_checkpoint(NOTE, LOG.origin, LOG.key, ed25519)
        assert head.checkpoint == HEAD
        assert (head.origin, head.size, head.root, head.timestamp_ms) == (*HEAD[:3], 1_700_000_000_000)
        assert head.note == NOTE
        LOG.key.verify_tree_head(head.sth)


def test_open_with_an_rsa_key():
    log = RsaLog()
    key = LogKey.from_spki(log.spki)
    note = format_note(TEXT, [cp.sign_rfc6962(HEAD, 5, key.log_id, log.sign)])
    assert open_checkpoint(note, LOG.origin, key).timestamp_ms == 5


def test_lines_of_others_are_ignored_and_both_of_ours_wanted():
    witness = TestLog(9, "witness.example")
    lines = list(parse_note(NOTE).signatures)
    note = format_note(TEXT, [witness.ed25519_line("something else\n"), *lines])
    assert open_checkpoint(note, LOG.origin, LOG.key, LOG.ed25519).size == 70_000
    for kept, reason in ((lines[:1], "unsigned"), (lines[1:], "unsigned"), ([witness.ed25519_line(TEXT)], "unsigned")):
        with pytest.raises(SignatureError) as caught:
            open_checkpoint(format_note(TEXT, kept), LOG.origin, LOG.key, LOG.ed25519)
        assert caught.value.reason == reason


def test_the_first_of_two_good_lines_gives_the_time():
    lines = [LOG.rfc6962_line(HEAD, 2), LOG.rfc6962_line(HEAD, 1)]
    head = open_checkpoint(format_note(TEXT, lines), LOG.origin, LOG.key)
    assert head.timestamp_ms == 2
    assert head.signature == head.sth.signature == cp.parse_rfc6962_signature(lines[0].signature).signature


def test_refused():
    with pytest.raises(SignatureError) as caught:
        open_checkpoint(NOTE, "other.example", LOG.key)
    assert caught.value.reason == "wrong-origin"
    with pytest.raises(SignatureError) as caught:
        open_checkpoint(NOTE, LOG.origin, TestLog(2).key)
    assert caught.value.reason == "unsigned"
    with pytest.raises(SignatureError) as caught:
        open_checkpoint(NOTE.replace(b"70000", b"70001"), LOG.origin, LOG.key)
    assert caught.value.reason == "bad-signature"
    with pytest.raises(MalformedError):
        open_checkpoint(NOTE.replace(b"70000", b"x"), LOG.origin, LOG.key)


def test_every_flipped_bit_is_refused():
    for at in range(len(NOTE)):
        for bit in range(0, 8, 3):
            wrong = NOTE[:at] + bytes([NOTE[at] ^ 1 << bit]) + NOTE[at + 1 :]
            with pytest.raises((MalformedError, SignatureError)):
                open_checkpoint(wrong, LOG.origin, LOG.key, LOG.ed25519)


@given(st.binary(max_size=60), st.integers(0, len(NOTE)))
def test_no_byte_string_raises_anything_else(data, at):
    for candidate in (data, NOTE[:at] + data + NOTE[at:], NOTE[:at] + data + NOTE[at + len(data) :]):
        with suppress(MalformedError, SignatureError):
            assert open_checkpoint(candidate, LOG.origin, LOG.key, LOG.ed25519).checkpoint == HEAD


# A tree head is a checkpoint ----------------------------------------------------------------------------------------


def test_from_sth_and_back():
    sth = LOG.sth(3, 4, b"x" * 32)
    head = open_checkpoint(cp.checkpoint_from_sth(sth, LOG.origin, LOG.key.log_id), LOG.origin, LOG.key)
    assert head.sth == sth


@given(STH)
def test_from_any_sth(sth):
    note = parse_note(cp.checkpoint_from_sth(sth, LOG.origin, LOG.key.log_id))
    assert parse_checkpoint(note.text) == (LOG.origin, sth.size, sth.root, ())
    assert cp.parse_rfc6962_signature(note.signatures[0].signature) == (sth.timestamp_ms, sth.signature)
