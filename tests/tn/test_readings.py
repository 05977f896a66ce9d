"""Second readings: each careless reader that is known, as a test; and that they hold at least what was meant."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber, contains
from ctlog.tn.readings import (
    MAX_READINGS,
    careless_reading,
    claim_readings,
    code_readings,
    is_read_whole,
    is_unbounded,
    looks_like_number,
    number_readings,
    second_reading,
)
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import format_tlv
from tests import der_tree
from tests.number_certificates import block, claims, code, lists, number

NUMBER = format_tlv(0x16, b"12025550123")
SPC = format_tlv(0x16, b"709J")
FIELDS = format_tlv(0x16, b"12025550100") + bytes.fromhex("020164")


# The form, and what has to be among the readings.
FORMS: dict[str, tuple[bytes, list[Claim]]] = {
    "implicit code": (b"\x30\x06\x80\x04709J", [code("709J")]),
    "implicit number": (b"\x30\x0d\x82\x0b12025550123", [number("12025550123")]),
    "implicit range": (b"\x30\x12" + format_tlv(0xA1, FIELDS), [block("12025550100", 100)]),
    "implicit, constructed all the same": (b"\x30\x06\xa0\x04709J", [code("709J")]),
    "no tags": (format_tlv(0x30, SPC + NUMBER), [code("709J"), number("12025550123")]),
    "a bare range": (format_tlv(0x30, format_tlv(0x30, FIELDS)), [block("12025550100", 100)]),
    "a bare string": (SPC, [code("709J")]),
    "a tag of another class": (format_tlv(0x30, format_tlv(0x60, SPC)), [code("709J")]),
    "a tag from the future": (format_tlv(0x30, format_tlv(0xA3, NUMBER)), [number("12025550123")]),
    "a tag of two octets": (b"\x30\x09\xbf\x22\x06\x16\x04709J", [code("709J")]),
    "a SET": (format_tlv(0x31, format_tlv(0xA0, SPC)), [code("709J")]),
    "a list in a list": (format_tlv(0x30, format_tlv(0x30, format_tlv(0xA0, SPC))), [code("709J")]),
    "an OCTET STRING too many": (format_tlv(4, format_tlv(0x30, format_tlv(0xA0, SPC))), [code("709J")]),
    "text in an OCTET STRING": (format_tlv(0x30, format_tlv(0xA0, format_tlv(4, b"709J"))), [code("709J")]),
    "UTF8String": (format_tlv(0x30, format_tlv(0xA2, format_tlv(12, b"12025550123"))), [number("12025550123")]),
    "NumericString": (format_tlv(0x30, format_tlv(0xA2, format_tlv(18, b"1202 555 0123"))), [number("12025550123")]),
    "BMPString": (format_tlv(0x30, format_tlv(0xA0, format_tlv(30, b"\0007\0000\0009\0J"))), [code("709J")]),
    "UniversalString": (
        format_tlv(0x30, format_tlv(0xA0, format_tlv(28, "709J".encode("utf-32-be")))), [code("709J")],
    ),
    "a string in parts": (
        format_tlv(0x30, format_tlv(0xA0, format_tlv(0x36, format_tlv(0x16, b"70") + format_tlv(0x16, b"9J")))),
        [code("709J")],
    ),
    "bytes after the end": (format_tlv(0x30, format_tlv(0xA0, SPC)) + NUMBER, [code("709J"), number("12025550123")]),
    "a length left out": (b"\x30\x08\xa0\x06\x16867J", [code("867J")]),
    "a length too long": (b"\x30\x20\xa0\x20\x16\x20709J", [code("709J")]),
    "a length too short": (b"\x30\x05\xa0\x03\x16\x01709J", [code("709J"), code("7")]),
    "a long length": (b"\x30\x88\0\0\0\0\0\0\0\x08\xa0\x06\x16\x04709J", [code("709J")]),
    "text": (b"12025550123,12025550124", [number("12025550123"), number("12025550124")]),
    "a plus": (format_tlv(0x30, format_tlv(0xA2, format_tlv(22, b"+12025550123"))), [number("12025550123")]),
    "too many digits": (format_tlv(0x30, format_tlv(0xA2, format_tlv(22, b"1" * 16))), [number("1" * 15)]),
    "an extension": (format_tlv(0x30, format_tlv(0xA2, format_tlv(22, b"12025550123x5"))), [number("12025550123")]),
    "a code where a number belongs": (format_tlv(0x30, format_tlv(0xA2, SPC)), [code("709J")]),
    "a number where a code belongs": (
        format_tlv(0x30, format_tlv(0xA0, format_tlv(12, b"+1 (202) 555-0123"))), [number("12025550123")],
    ),
    "an unsigned count": (
        format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, NUMBER + b"\x02\x01\xc8"))), [block("12025550123", 200)],
    ),
    "a count of one": (
        format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, NUMBER + b"\x02\x01\x01"))), [number("12025550123")],
    ),
    "a range that grows": (
        format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, format_tlv(22, b"95") + b"\x02\x02\x03\xf0"))),
        [block("95", 5), block("100", 900), block("1000", 103)],
    ),
    "a range without end": (
        format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, format_tlv(22, b"9" * 14) + b"\x02\x11" + b"\x7f" * 17))),
        [number("9" * 14), block("1" + "0" * 14, 9 * 10**14)],
    ),
    "a range of a wildcard": (
        format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, format_tlv(22, b"12*") + b"\x02\x01\x05"))), [number("12*")],
    ),
    "two starts and counts": (
        format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, format_tlv(22, b"111") + b"\x02\x01\x04"
                                                     + format_tlv(22, b"222") + b"\x02\x01\x05"))),
        [block("111", 4), block("111", 5), block("222", 4), block("222", 5)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), FORMS.values(), ids=FORMS.keys())
def test_forms(value: bytes, expected: list[Claim]) -> None:
    found = second_reading(value)
    assert not set(expected) - set(found), found


@given(lists, st.sampled_from(["padded", "indefinite"]), st.integers(0, 40))
def test_whole_numbers_in_an_odd_form_are_all_that_there_is(entries: list[Claim], form: str, at: int) -> None:
    numbers = [each for each in entries if not isinstance(each, ServiceProviderCode)] or [number("12025550123")]
    tree = der_tree.read(format_tnauthlist(numbers))
    elements = [each for each in tree.walk() if each.children or form == "padded"]
    elements[at % len(elements)].form = form
    assert careless_reading(tree.write()).is_whole
    assert not careless_reading(tree.write()[:-1]).is_whole


@pytest.mark.parametrize(
    ("text", "is_whole"),
    [
        ("+12025550123", True),
        ("tel:+1 (202) 555-0123", True),
        ("12025550123x99", True),
        ("12025550123;12025550124", True),
        ("12025550123 12025550124", False),
        ("12025550123 or 12025550124", False),
        ("00,1;2|" * 9 + "12025550124", False),
        ("", True),
    ],
)
def test_what_of_a_text_is_left_out(text: str, is_whole: bool) -> None:
    assert is_read_whole(text) == is_whole


@pytest.mark.parametrize("value", [b"", b"\x30\0", b"\x30\x04\xa0\x02\x16\0", b"\x05\0", b"\x30\x80\0\0", b"\0" * 40])
def test_nothing_to_read(value: bytes) -> None:
    assert second_reading(value) == ()


@given(lists)
def test_a_second_reading_holds_the_first(entries: list[Claim]) -> None:
    """What is strictly readable is read: numbers and ranges whole, codes if they are words."""
    found = second_reading(format_tnauthlist(entries))
    for entry in entries:
        if isinstance(entry, ServiceProviderCode):
            assert entry in found or not (entry.code.isprintable() and entry.code)
        else:
            assert any(contains(each, entry) for each in found)


@given(lists, st.sampled_from(["padded", "indefinite"]), st.integers(0, 40))
def test_lengths_of_ber(entries: list[Claim], form: str, at: int) -> None:
    tree = der_tree.read(format_tnauthlist(entries))
    elements = [each for each in tree.walk() if each.children or form == "padded"]
    elements[at % len(elements)].form = form
    test = second_reading(tree.write())
    for entry in entries:
        if not isinstance(entry, ServiceProviderCode):
            assert any(contains(each, entry) for each in test)


@given(st.binary(max_size=80))
def test_any_bytes(value: bytes) -> None:
    found = second_reading(value)
    assert len(set(found)) == len(found) <= MAX_READINGS
    assert second_reading(value) == found


@pytest.mark.parametrize(
    "unit",
    [b"\x30\x80", b"\xa0\x80", b"\xa2\x03\x16\x011", b"\x16\x021,", b"7J-", b"\x04\x82\x01\0", b"\xbf\xff", b"1,"],
)
def test_time_and_results_are_bounded(unit: bytes) -> None:
    value = (unit * (262_144 // len(unit) + 1))[:262_144]
    began = time.perf_counter()
    for data in (value, format_tlv(0xA0, value), format_tlv(0x16, value)):
        assert len(second_reading(data)) <= MAX_READINGS
    assert time.perf_counter() - began < 5  # 0.1 s where it was measured; quadratic would be minutes


def test_many_numbers_are_cut() -> None:
    many = format_tnauthlist([number(str(10**9 + at)) for at in range(3000)])
    assert len(second_reading(many[:-1])) == MAX_READINGS


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (number("12025550123"), []),
        (number("0612345678"), []),  # whose number that is depends on the country: `national`
        (number("00"), []),
        (number("0012025550123"), [number("12025550123")]),
        (number("01112025550123"), [number("12025550123")]),
        (number("12345678901234*"), [number("12345678901234"), block("123456789012340", 10)]),
        (number("12345678901234#"), [number("12345678901234"), block("123456789012340", 10)]),
        (number("*67#"), []),
        (block("12025550100", 100), []),
        (block("0012025550100", 100), [block("12025550100", 100)]),
        (block("00999", 2), []),
        (block("01112025550100", 100), [block("12025550100", 100)]),
        (block("0019", 2), [block("19", 2)]),
        (code("709J"), []),
        (code("709j"), []),  # case is a matter of labels
        (code(""), []),
        (code("J" * 300), []),
        (code("709J "), [code("709J")]),
        (code("709J\0 710J"), [code("709J710J"), code("709J"), code("710J")]),
        (code("709-J"), [code("709J"), code("709"), code("J")]),
        (code("12025550123"), [number("12025550123")]),
        (code("+1 202 555 0123"), [number("12025550123")]),
        (code("\x01\x02"), []),
    ],
)
def test_what_else_a_readable_claim_may_be(claim: Claim, expected: list[Claim]) -> None:
    assert claim_readings(claim) == expected


def test_a_pattern_holds_all_that_begins_like_it() -> None:
    found = claim_readings(number("1202555*"))
    for digits in ("1202555", "12025550", "12025550123", "120255599999999"):
        assert any(contains(each, number(digits)) for each in found)
    for digits in ("1202556", "120255", "202555"):
        assert not any(contains(each, number(digits)) for each in found)


def test_patterns_without_a_beginning() -> None:
    assert is_unbounded(number("*67#"))
    assert is_unbounded(number("#"))
    assert not is_unbounded(number("1*"))


@given(claims)
def test_readings_of_any_claim(claim: Claim) -> None:
    assert claim not in claim_readings(claim)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+12025550123", ["12025550123"]),
        ("tel:+1-202-555-0123", ["12025550123"]),
        (" 1 (202) 555.0123\0", ["12025550123"]),
        ("0012025550123", ["0012025550123", "12025550123"]),
        ("+1202555O123", ["1202555"]),  # the letter O
        ("12025550123 ext 9", ["12025550123"]),
        ("12025550123@example.com", ["12025550123"]),
        ("12;13|14", ["12", "13", "14"]),
        ("none", []),
        ("", []),
        ("*67#", ["*67#"]),
    ],
)
def test_numbers_in_text(text: str, expected: list[str]) -> None:
    assert [found.digits for found in number_readings(text)] == expected


def test_codes_in_text() -> None:
    assert list(code_readings("709J")) == [code("709J")]
    assert list(code_readings("")) == []
    assert list(code_readings("a" * 256)) == []
    assert list(code_readings("\x16709J")) == [code("709J")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12025550123", True), ("+1 202 555 0123", True), ("1234567", True), ("123456", False), ("12345A7", False),
     ("1------", False), ("(202) 555-0123", True), ("709J", False), ("", False), ("1234567\n8", True),
     ("é1234567", False)],
)  # fmt: skip
def test_codes_that_look_like_numbers(text: str, expected: bool) -> None:
    assert looks_like_number(text) == expected


@given(st.text(max_size=30))
def test_any_text(text: str) -> None:
    list(number_readings(text))
    looks_like_number(text)


def test_readings_are_values_of_the_room() -> None:
    kinds = (TelephoneNumber, NumberRange, ServiceProviderCode)
    assert all(isinstance(each, kinds) for value, _ in FORMS.values() for each in second_reading(value))
