"""Signed notes: the specification's vector, its rules one by one, inverses, and bytes from anywhere."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError, SignatureError, UsageError
from ctlog.wire.b64 import format_base64
from ctlog.wire.signed_note import (
    Ed25519Verifier,
    Note,
    NoteSignature,
    format_note,
    format_vkey,
    key_id,
    open_note,
    parse_note,
    parse_vkey,
)
from tests.wire_values import TestLog

# The example of c2sp.org/signed-note@v1.0.0, sections "Verifier keys" and "Example".
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n"
    "\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
UNKNOWN = "— example.com/foo AAAAAAAA\n".encode()


def test_the_example_of_the_specification():
    verifier = Ed25519Verifier.from_vkey(VKEY)
    opened = open_note(NOTE, [verifier])
    assert opened.text == "This is an example message.\n"
    assert [(line.name, line.key_id.hex()) for line in opened.verified] == [("example.com/foo", "530d903a")]
    assert verifier.vkey == VKEY
    assert format_note(opened.text, opened.verified) == NOTE


def test_the_text_may_have_blank_lines():
    """The other example of the specification, whose key is not given: the last blank line ends the text."""
    poem = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n"
    signature = "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc="
    note = parse_note(f"{poem}\n— quasimodo.example/salvatore {signature}\n".encode())
    assert note.text == poem
    assert note.signatures[0].name == "quasimodo.example/salvatore"
    assert (note.signatures[0].key_id, len(note.signatures[0].signature)) == (bytes.fromhex("367ba04b"), 64)


def signed(text: str, *logs: TestLog) -> bytes:
    return format_note(text, [log.ed25519_line(text) for log in logs])


def test_sixteen_signatures_and_more():
    logs = [TestLog(number, f"witness{number}") for number in range(1, 41)]
    note = signed("text\n", *logs)
    assert len(open_note(note, [log.ed25519 for log in logs]).verified) == 40
    assert [line.name for line in open_note(note, [logs[15].ed25519]).verified] == ["witness16"]


def test_too_many_signatures():
    parse_note(b"text\n\n" + UNKNOWN * 100)
    with pytest.raises(MalformedError, match="more than 100"):
        parse_note(b"text\n\n" + UNKNOWN * 101)


def test_a_note_that_is_too_long():
    with pytest.raises(MalformedError, match="longer than"):
        parse_note(b"x" * (1 << 20) + b"\n\n" + UNKNOWN)


def test_unknown_keys_are_ignored_and_alone_are_not_enough():
    log = TestLog(1)
    assert len(open_note(NOTE + UNKNOWN, [Ed25519Verifier.from_vkey(VKEY)]).verified) == 1
    for verifiers in ([], [log.ed25519]):
        with pytest.raises(SignatureError) as caught:
            open_note(NOTE, verifiers)
        assert caught.value.reason == "unsigned"


def test_a_known_name_with_another_id_and_a_known_id_with_another_name_are_unknown():
    verifier = Ed25519Verifier.from_vkey(VKEY)
    good = parse_note(NOTE).signatures[0]
    other_id = good._replace(key_id=b"\0\0\0\0", signature=b"not by that key")
    other_name = good._replace(name="example.com/bar", signature=b"not by that key")
    text = "This is an example message.\n"
    assert open_note(format_note(text, [other_id, other_name, good]), [verifier]).verified == (good,)
    with pytest.raises(SignatureError):
        open_note(format_note(text, [other_id, other_name]), [verifier])


def test_one_bad_signature_by_a_known_key_spoils_the_note():
    first, second = TestLog(1, "a"), TestLog(2, "b")
    good = first.ed25519_line("text\n")
    bad = second.ed25519_line("other text\n")
    note = format_note("text\n", [good, bad])
    with pytest.raises(SignatureError) as caught:
        open_note(note, [first.ed25519, second.ed25519])
    assert caught.value.reason == "bad-signature"
    assert open_note(note, [first.ed25519]).verified == (good,)
    with pytest.raises(SignatureError):
        open_note(format_note("text\n", [good, first.ed25519_line("other text\n")]), [first.ed25519])


def test_every_flipped_bit_of_text_or_signature_is_refused():
    verifier = Ed25519Verifier.from_vkey(VKEY)
    for at in range(len(NOTE)):
        for bit in range(8):
            wrong = NOTE[:at] + bytes([NOTE[at] ^ 1 << bit]) + NOTE[at + 1 :]
            with pytest.raises((MalformedError, SignatureError)):
                open_note(wrong, [verifier])


def test_two_trusted_keys_with_one_name_and_id():
    class Other:
        name, key_id = "example.com/foo", bytes.fromhex("530d903a")

        def verify(self, text: str, signature: bytes) -> None:
            raise AssertionError

    with pytest.raises(UsageError):
        open_note(NOTE, [Ed25519Verifier.from_vkey(VKEY), Other()])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n" + UNKNOWN,
        b"text\n\n" + UNKNOWN[:-1],
        b"text\n\n" + UNKNOWN + b"\n",
        b"text\n\n" + UNKNOWN + b"trailing",
        b"te\xffxt\n\n" + UNKNOWN,
        b"text\xed\xa0\x80\n\n" + UNKNOWN,  # a surrogate
        b"te\x00xt\n\n" + UNKNOWN,
        b"te\txt\n\n" + UNKNOWN,
        b"text\r\n\n" + UNKNOWN,
        b"text\n\n" + UNKNOWN.replace("—".encode(), b"-"),
        b"text\n\n" + UNKNOWN.replace(b"example.com/foo", b""),
        b"text\n\n" + UNKNOWN.replace(b"/foo", b"+foo"),
        b"text\n\n" + UNKNOWN.replace(b"/foo", "\u00a0foo".encode()),
        b"text\n\n" + UNKNOWN.replace(b"/foo", "\u3000foo".encode()),
        b"text\n\n" + UNKNOWN.replace(b"AAAAAAAA", b""),
        b"text\n\n" + UNKNOWN.replace(b"AAAAAAAA", b"AAAAAA=="),  # a key id without a signature
        b"text\n\n" + UNKNOWN.replace(b"AAAAAAAA", b"AAAAAAB="),
        b"text\n\n" + UNKNOWN.replace(b"AAAAAAAA", b"AAAAAAA"),
        b"text\n\n" + UNKNOWN.replace(b"AAAAAAAA", b"AAAAAAAA "),
    ],
)
def test_malformed(note):
    with pytest.raises(MalformedError):
        parse_note(note)
    with pytest.raises(MalformedError):
        open_note(note, [])


NAME = st.from_regex(r"[^\s+\x00-\x1f\ud800-\udfff]{1,12}", fullmatch=True)
LINE = st.builds(NoteSignature, NAME, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=70))
TEXT = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32) | st.just("\n"), max_size=40)


@given(TEXT, st.lists(LINE, min_size=1, max_size=20))
def test_round_trip(text, signatures):
    text += "\n"
    assert parse_note(format_note(text, signatures)) == Note(text, tuple(signatures))


@given(st.binary(max_size=80), st.lists(st.tuples(st.integers(0, len(NOTE) - 1), st.integers(0, 255)), max_size=4))
def test_no_byte_string_raises_anything_else(data, edits):
    changed = bytearray(NOTE)
    for at, value in edits:
        changed[at] = value
    for candidate in (data, data + NOTE, bytes(changed)):
        with suppress(MalformedError):
            note = parse_note(candidate)
            assert format_note(note.text, note.signatures) == candidate
        with suppress(MalformedError, SignatureError):
            open_note(candidate, [Ed25519Verifier.from_vkey(VKEY)])


@pytest.mark.parametrize("text", ["", "text", "a\n\x00\n", "\ud800\n"])
def test_texts_that_cannot_be_written(text):
    with pytest.raises(MalformedError):
        format_note(text, parse_note(NOTE).signatures)


@pytest.mark.parametrize("wrong", [{"name": "a b"}, {"name": ""}, {"key_id": b"123"}, {"signature": b""}])
def test_lines_that_cannot_be_written(wrong):
    with pytest.raises(MalformedError):
        format_note("text\n", [parse_note(NOTE).signatures[0]._replace(**wrong)])
    with pytest.raises(MalformedError):
        format_note("text\n", [])


# Keys ---------------------------------------------------------------------------------------------------------------


def test_key_id_by_hand():
    assert key_id("name", 1, b"k" * 32) == hashlib.sha256(b"name\n\x01" + b"k" * 32).digest()[:4]


@given(NAME, st.sampled_from([1, 4, 5, 6]), st.binary(min_size=1, max_size=40))
def test_vkey_round_trip(name, type, key):
    vkey = parse_vkey(format_vkey(name, type, key))
    assert vkey == (name, key_id(name, type, key), type, key)


def test_vkeys_of_other_types():
    spki = TestLog().spki
    ecdsa = f"witness+{hashlib.sha256(spki).hexdigest()[:8]}+{format_base64(bytes([2]) + spki)}"
    assert parse_vkey(ecdsa).key == spki
    assert parse_vkey("future+00112233+/0FBQQ==").type == 0xFF
    with pytest.raises(MalformedError) as caught:
        Ed25519Verifier.from_vkey(ecdsa)
    assert caught.value.reason == "unsupported-key"


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        VKEY.replace("foo", "bar"),  # the id is not that of this name
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "530d903"),
        VKEY.replace("530d903a", "530d903g"),
        VKEY.replace("530d903a", "0530d903a"),
        VKEY[:-1],
        VKEY + "\n",
        VKEY.replace("foo", "f oo"),
        VKEY.replace("example.com/foo", ""),
        "example.com/foo+530d903a+AQ==",
        "example.com/foo+530d903a+",
        "witness+00000000+AkFB",  # ECDSA: the id is a hash of the key alone
        format_vkey("short", 1, b"k" * 31),
        "\ud800+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_vkey_malformed(vkey):
    with pytest.raises(MalformedError):
        Ed25519Verifier.from_vkey(vkey)


@given(st.text(max_size=50))
def test_no_text_raises_anything_else(text):
    for candidate in (text, VKEY[:20] + text, text + VKEY[20:]):
        with suppress(MalformedError):
            Ed25519Verifier.from_vkey(candidate)


def test_verifiers_are_values():
    first, again = Ed25519Verifier.from_vkey(VKEY), Ed25519Verifier.from_vkey(VKEY)
    assert first == again
    assert len({first, again, TestLog().ed25519}) == 2
    assert VKEY in repr(first)


def test_a_verifier_refuses_text_that_has_no_bytes():
    with pytest.raises(SignatureError):
        TestLog().ed25519.verify("\ud800", b"x" * 64)
