"""`tel:` names: RFC 3966's own examples, the names of an extension, and what is no such URI."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.tn.numbers import TelephoneNumber
from ctlog.tn.tel_uri import TelNames, TelUri, find_tel_names, format_tel_san, format_tel_uri, parse_tel_uri
from ctlog.x509.der import format_tlv
from tests.number_certificates import number, numeric


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("tel:+12025550123", TelUri("12025550123", True, False, ())),
        ("TEL:+12025550123", TelUri("12025550123", True, False, ())),
        ("tel:+1-201-555-0123", TelUri("12015550123", True, True, ())),  # RFC 3966 section 6
        ("tel:7042;phone-context=example.com", TelUri("7042", False, False, (("phone-context", "example.com"),))),
        ("tel:863-1234;phone-context=+1-914-555",
         TelUri("8631234", False, True, (("phone-context", "+1-914-555"),))),
        ("tel:+1(202)555.0123", TelUri("12025550123", True, True, ())),
        ("tel:+358-555-1234567;postd=pp22", TelUri("3585551234567", True, True, (("postd", "pp22"),))),
        ("tel:+12025550123;EXT=55;isub=a%20b;npdi",
         TelUri("12025550123", True, False, (("ext", "55"), ("isub", "a%20b"), ("npdi", "")))),
        ("tel:*67#", TelUri("*67#", False, False, ())),
        ("tel:ab12", TelUri("ab12", False, False, ())),
        ("tel:+123456789012345", TelUri("123456789012345", True, False, ())),
    ],
)  # fmt: skip
def test_uris(uri: str, found: TelUri) -> None:
    assert parse_tel_uri(uri.encode()) == found


@pytest.mark.parametrize(
    "uri",
    ["", "tel", "tel:", "tel:+", "tel:+-", "tel:-", "sip:+12025550123", "tel:+1202555012x", "tel:+1*2", "tel:+12 02",
     "tel: +1202", "tel:+1234567890123456", "tel:+1202;", "tel:+1202;a=;b", "tel:+1202;ext=5;EXT=6", "tel:+1202;a b=1",
     "tel:+1202;a=%2", "tel:%2B12025550123", "tel:++1202", "tel:12g", "tel:+1202\n", "tel:+1202;a=b\n", "tel:1202\n",
     "tel:+1202é", "tel://+1202", "tel:+1202?x", "tel:+١٢"],
)  # fmt: skip
def test_what_is_no_tel_uri(uri: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_tel_uri(uri.encode())
    assert caught.value.reason == "tel-unreadable"


@given(st.one_of(st.binary(max_size=30), st.binary(max_size=30).map(lambda rest: b"tel:" + rest)))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        found = parse_tel_uri(data)
    except MalformedError:
        return
    if found.is_global:
        assert TelephoneNumber(found.number).is_numeric


@given(st.lists(numeric, min_size=1, max_size=4))
def test_what_is_written_is_read(numbers: list[TelephoneNumber]) -> None:
    value = format_tel_san(numbers)
    found = find_tel_names(value)
    assert found == TelNames(tuple(format_tel_uri(one) for one in numbers), is_der=True)
    assert [parse_tel_uri(uri) for uri in found.uris] == [TelUri(one.digits, True, False, ()) for one in numbers]


def test_the_working_papers_bytes_and_cryptographys() -> None:
    value = format_tel_san([number("12025550123")])
    assert value.hex() == "3012861074656c3a2b3132303235353530313233"
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("tel:+12025550123")])
    assert names.public_bytes() == value


def test_what_cannot_be_written() -> None:
    for numbers in ([], [number("*67#")], [number("12025550123"), number("12#")]):
        with pytest.raises(MalformedError):
            format_tel_san(numbers)


def san(*names: tuple[int, bytes]) -> bytes:
    """The value of a SubjectAltName: (tag, content) of each name."""
    return format_tlv(0x30, b"".join(format_tlv(tag, content) for tag, content in names))


URI = b"tel:+12025550123"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (san((0x82, b"example.com")), None),
        (san((0x86, b"https://example.com/"), (0x86, URI)), TelNames((URI,), True)),
        (san((0x86, URI), (0x86, b"Tel:+1")), TelNames((URI, b"Tel:+1"), True)),
        (san((0x82, b"hotel:5")), None),  # no URI, and no tel:
        (san((0x86, b"https://hotel:80/")), None),
        (san((0x82, URI)), TelNames((URI,), False)),
        (san((0x86, b" " + URI)), TelNames((URI,), False)),
        (san((0xA0, format_tlv(0x0C, URI))), TelNames((URI,), False)),
        (san((0x86, URI), (0x81, b"<tel:+44>")), TelNames((URI, b"tel:+44>"), False)),
        (san((0x86, URI)) + b"\0", TelNames((URI,), False, is_whole=False)),
        (b"\x30\x80\x86\x10" + URI + b"\0\0", TelNames((URI,), False, is_whole=False)),
        (san((0x86, b"tel:" + b"5" * 61)), TelNames((b"tel:" + b"5" * 61,), True)),  # its length octet is an "A"
        (b"\x31\x10A" + b"tel:+44" + b"\xff" * 8, TelNames((b"tel:+44",), False, is_whole=False)),
        (b"", None),
    ],
)
def test_names(value: bytes, found: TelNames | None) -> None:
    assert find_tel_names(value) == found


@given(st.binary(max_size=40), st.binary(max_size=10))
def test_a_tel_name_is_found_wherever_it_stands(before: bytes, after: bytes) -> None:
    """Unless the value is DER and the letters stand within another word."""
    found = find_tel_names(before + b"\0tel:+44" + after)
    assert found is not None
    assert any(uri.startswith(b"tel:+44") for uri in found.uris)
