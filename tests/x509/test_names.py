"""Names as text: the same as other people's, total, and safe on a terminal whatever a CA wrote."""

from __future__ import annotations

import unicodedata

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from ctlog.issuance import name
from ctlog.x509.der import format_tlv, oid, oid_text
from ctlog.x509.names import (
    ATTRIBUTE_WORDS,
    OID_COMMON_NAME,
    REMEMBERED_SIZE,
    _short_name_text,
    attribute,
    escape,
    name_text,
)
from tests import der_tree
from tests.corpus import authorities, leaves, need_corpus, null_parameters

_THEIR_WORDS = {x509.ObjectIdentifier(oid_text(kind)): word for kind, word in ATTRIBUTE_WORDS.items()}


def a_name(*rdns: list[tuple[str, int, bytes]]) -> bytes:
    """A Name of RDNs, each a list of (OID, tag of the value, octets of the value)."""
    sets = []
    for rdn in rdns:
        pairs = [format_tlv(0x06, oid(kind)) + format_tlv(tag, value) for kind, tag, value in rdn]
        sets.append(format_tlv(0x31, b"".join(format_tlv(0x30, pair) for pair in pairs)))
    return format_tlv(0x30, b"".join(sets))


@need_corpus
def test_names_are_written_as_cryptography_writes_them() -> None:
    null_roots = set(null_parameters()[0])
    seen = set()
    for der in leaves() + [der for der in authorities() if der not in null_roots]:
        certificate = x509.load_der_x509_certificate(der)
        for theirs in (certificate.subject, certificate.issuer):
            raw = theirs.public_bytes()
            if raw not in seen:
                seen.add(raw)
                assert name_text(raw) == theirs.rfc4514_string(_THEIR_WORDS)
                common = [found.value for found in theirs.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
                assert attribute(raw, OID_COMMON_NAME) == common
    assert len(seen) >= 2000


def test_a_name_is_one_line_most_specific_first() -> None:
    assert name_text(name(C="US", O="T-Mobile USA, Inc.", CN="S 6529")) == r"CN=S 6529,O=T-Mobile USA\, Inc.,C=US"
    assert name_text(b"\x30\x00") == ""
    two = a_name([("2.5.4.3", 0x0C, b"a"), ("1.2.3", 0x13, b"b")], [("2.5.4.10", 0x0C, b"c" * 200)])
    assert name_text(two) == f"O={'c' * 200},CN=a+1.2.3=b"


@pytest.mark.parametrize(("text", "written"), [
    ("plain", "plain"), ("", ""), (" x", r"\ x"), ("x ", r"x\ "), (" ", r"\ "), ("  ", r"\ \ "),
    ("#1", r"\#1"), ("a#", "a#"), ('a"b+c,d;e<f>g\\', r"a\"b\+c\,d\;e\<f\>g\\"), ("a\nb", r"a\0ab"), ("a\x00", r"a\00"),
    ("a\x1b[31m", r"a\1b[31m"),
    ("a\u202eb", r"a\e2\80\aeb"), ("a\u2066b", r"a\e2\81\a6b"),
    ("a\u200bb", r"a\e2\80\8bb"), ("a\u2028", r"a\e2\80\a8"),
    ("a\xa0b", r"a\c2\a0b"), ("Čeština ✓", "Čeština ✓"), ("a\x7f\x85", r"a\7f\c2\85"),
])  # fmt: skip
def test_what_does_not_print_is_escaped(text: str, written: str) -> None:
    assert escape(text) == written
    if text:
        assert name_text(a_name([("2.5.4.3", 0x0C, text.encode())])) == "CN=" + written


@given(st.text(max_size=30))
def test_escaped_text_prints_and_can_be_read_back(text: str) -> None:
    written = escape(text)
    assert written.isprintable()
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in written)
    assert unescape(written) == text


def unescape(written: str) -> str:
    """RFC 4514 section 3, read the plain way."""
    out, at = bytearray(), 0
    while at < len(written):
        if written[at] != "\\":
            out += written[at].encode()
            at += 1
        elif written[at + 1] in '"+,;<>\\ #':
            out += written[at + 1].encode()
            at += 2
        else:
            out.append(int(written[at + 1 : at + 3], 16))
            at += 3
    return out.decode()


@pytest.mark.parametrize(("tag", "value", "text"), [
    (0x0C, "é".encode(), "é"), (0x13, b"a", "a"), (0x16, b"a@b", "a@b"), (0x14, b"\xe9", "é"),
    (0x1E, b"\0a\x20\xac", "a€"),
    (0x1C, b"\0\0\0a", "a"), (0x12, b"12", "12"), (0x1A, b"v", "v"),
    (0x0C, b"\xff", None), (0x13, "é".encode(), None), (0x1E, b"a", None),
    (0x1E, b"\xd8\0\0a", None), (0x02, b"\1", None),
    (0x1C, b"\0\0\xd8\0", None), (0x0C, b"\xed\xa0\x80", None),
])  # fmt: skip
def test_values_of_every_string_type(tag: int, value: bytes, text: str | None) -> None:
    raw = a_name([("2.5.4.3", tag, value)])
    assert attribute(raw, OID_COMMON_NAME) == ([] if text is None else [text])
    assert name_text(raw) == "CN=" + ("#" + format_tlv(tag, value).hex() if text is None else text)


def test_a_name_that_cannot_be_read_is_its_bytes() -> None:
    for junk in (b"", b"\x30", b"\x31\x00", b"\x30\x03\x31\x05\x30", b"\x30\x80\0\0"):
        assert name_text(junk) == "#" + junk.hex()
        assert attribute(junk, OID_COMMON_NAME) == []


def test_attributes_come_in_order_and_unescaped() -> None:
    raw = a_name([("2.5.4.3", 0x0C, b"a,b")], [("2.5.4.10", 0x0C, b"o"), ("2.5.4.3", 0x13, b"c")])
    assert attribute(raw, OID_COMMON_NAME) == ["a,b", "c"]


_RICH = a_name(
    [("2.5.4.6", 0x13, b"US")], [("2.5.4.10", 0x0C, b"x" * 130), ("1.2.3", 2, b"")], [("2.5.4.3", 0x0C, b"y")]
)


@given(st.binary(max_size=60), st.integers(0, len(_RICH)), st.integers(0, 9), st.integers(0, 255))
def test_any_bytes_have_a_text_that_prints(junk: bytes, at: int, cut: int, octet: int) -> None:
    bent = (_RICH[:at] + junk[:3] + _RICH[at + cut :], _RICH[:at] + bytes((octet,)) + _RICH[at + 1 :])
    for raw in (junk, format_tlv(0x30, junk), *bent):
        assert name_text(raw).isprintable()
        attribute(raw, OID_COMMON_NAME)


@pytest.mark.parametrize("path", [(0,), (0, 0), (0, 0, 0), (0, 0, 1), (1,), (1, 0)])
def test_long_forms_in_a_name_are_bytes_not_an_error(path: tuple[int, ...]) -> None:
    tree = der_tree.read(name(C="US", CN="a"))
    tree.child(*path).form = "padded"
    text = name_text(tree.write())
    assert text.startswith("#") or "#" in text


def test_of_long_names_nothing_is_remembered() -> None:
    short, long = (name(O="x" * size) for size in (REMEMBERED_SIZE - 40, REMEMBERED_SIZE))
    _short_name_text.cache_clear()
    assert [name_text(each)[:3] for each in (short, long, short)] == ["O=x"] * 3
    assert _short_name_text.cache_info().currsize == 1
