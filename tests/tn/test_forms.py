"""The forms of a claim, each by itself: what goes into the account, and what is only a second reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.forms import Account, read_access, read_list, read_tel_names
from ctlog.tn.labels import MAX_LABELS
from ctlog.tn.numbers import Claim
from ctlog.tn.tel_uri import TelNames
from ctlog.tn.tnauthlist import OID_TNAUTHLIST, format_tnauthlist
from ctlog.x509.der import Extension
from tests.number_certificates import block, claims, code, number


def account_of(*uris: bytes, is_der: bool = True) -> tuple[Account, list[str]]:
    """The account of these names, and the numbers that they claim."""
    account = Account()
    numbers = read_tel_names(account, TelNames(uris, is_der))
    return account, [found.digits for found in numbers]


def account_of_list(value: bytes) -> Account:
    """The account of a TNAuthList."""
    account = Account()
    read_list(account, Extension(OID_TNAUTHLIST, False, value, b""))
    return account


@pytest.mark.parametrize(
    ("uri", "claimed", "readings", "findings"),
    [
        (b"tel:+12025550123", ["12025550123"], [], []),
        (b"tel:+1-202-555-0123", ["12025550123"], [], ["tel-visual-separators"]),
        (b"tel:+12025550123;ext=5-5", ["12025550123"], [number("1202555012355")], ["tel-extension"]),
        (b"tel:+12025550123;ext=12345", ["12025550123"], [number("120255501231234")], ["tel-extension"]),
        (b"tel:+12025550123;npdi;rn=+1202", ["12025550123"], [], ["tel-parameters"]),
        (b"tel:+0012025550123", ["0012025550123"], [number("12025550123")], ["number-leading-zero"]),
        (b"tel:+123", ["123"], [], ["number-short"]),
        (b"tel:5550123", [], [number("5550123")], ["tel-local-number"]),
        (b"tel:555-0123;phone-context=+1-202", [], [number("5550123"), number("12025550123")],
         ["tel-parameters", "tel-visual-separators", "tel-local-number"]),
        (b"tel:5550123;phone-context=example.com", [], [number("5550123")], ["tel-parameters", "tel-local-number"]),
        (b"tel:%2B12025550123", [], [number("12025550123")], ["tel-unreadable"]),
        (b"tel:+1 202 555 0123", [], [number("12025550123")], ["tel-unreadable"]),
        (b"tel:+1202555012345678", [], [number("120255501234567")], ["tel-unreadable"]),
        (b"tel:", [], [], ["tel-unreadable"]),
        (b"tel:+12025550123;;", [], [number("12025550123")], ["tel-unreadable"]),
    ],
)  # fmt: skip
def test_tel_names(uri: bytes, claimed: list[str], readings: list[Claim], findings: list[str]) -> None:
    account, numbers = account_of(uri)
    assert numbers == claimed
    assert [str(claim) for claim in account.claims] == claimed
    assert list(dict.fromkeys(account.readings)) == readings
    assert list(account.findings) == findings
    assert account.readable == (not {"tel-local-number", "tel-unreadable"} & set(findings))


def test_a_misplaced_name_claims_nothing_that_is_read() -> None:
    account, numbers = account_of(b"tel:+12025550123", b"tel:x", is_der=False)
    assert numbers == []
    assert list(account.claims) == []
    assert list(account.readings) == [number("12025550123")]
    assert list(account.findings) == ["tel-unreadable", "tel-misplaced"]
    assert not account.readable


def test_a_list_in_order_and_once_each() -> None:
    entries = [number("12025550123"), code("709J"), number("12025550123"), block("12025550100", 100)]
    account = account_of_list(format_tnauthlist(entries))
    assert list(account.claims) == [entries[0], entries[1], entries[3]]
    assert list(account.findings) == ["entry-repeated"]
    assert account.readable


def test_a_list_is_read_whole_or_not_at_all() -> None:
    """One bad entry among good ones: nothing is claimed, everything is a reading."""
    value = bytearray(format_tnauthlist([number("12025550123"), number("12025550124")]))
    value[-1] = ord("x")
    account = account_of_list(bytes(value))
    assert list(account.claims) == []
    assert list(account.findings) == ["number-characters"]
    assert account.findings["number-characters"].text.endswith("(offset 17).")
    assert {number("12025550123"), number("1202555012")} <= set(account.readings)
    assert not account.readable


def test_what_an_extension_marker_hides_cannot_be_told() -> None:
    account = account_of_list(bytes.fromhex("3014a112301016033131310201021603323232020102"))
    assert list(account.claims) == [block("111", 2)]
    assert block("222", 2) in account.readings
    assert not account.readable


def test_only_the_first_of_each_finding_is_kept() -> None:
    account = account_of_list(format_tnauthlist([number("*1"), number("*2")]))
    assert [found.text for found in account.findings.values()] == ["A number has * or # (*1)."]


@pytest.mark.parametrize(
    ("claim", "readable"),
    [(number("1*"), True), (number("*1"), False), (number("#"), False), (code("709J"), True), (code("709j"), True),
     (code("709-J"), False), (code(""), False), (code("12025550123"), True), (code("J" * 256), False)],
)  # fmt: skip
def test_what_no_label_can_stand_for(claim: Claim, readable: bool) -> None:
    account = Account()
    account.add([claim])
    assert account.readable == readable


def test_readings_are_bounded_and_said_to_be() -> None:
    """Nine readings each: what is left out could be anything, so it is found under "unindexable"."""
    account = Account()
    account.add([number(f"{at}*") for at in range(1000000, 1000113)])
    assert len(account.readings) == 113 * 9
    assert account.readable
    account.add([number("1000113*")])
    assert len(account.readings) == MAX_LABELS
    assert not account.readable
    account.add([number("1000000*")])
    assert len(account.claims) == 114


def test_the_same_entry_in_two_lists_is_not_repeated_in_one() -> None:
    account = Account()
    for _ in range(2):
        read_list(account, Extension(OID_TNAUTHLIST, False, format_tnauthlist([code("709J")]), b""))
    assert list(account.findings) == []


def test_access() -> None:
    account = Account()
    assert not read_access(account, b"")
    assert account.readable
    assert read_access(account, bytes.fromhex("2b06010505073 00e".replace(" ", "")) + b"https://a.example/")
    assert list(account.urls) == ["https://a.example/"]
    assert not account.readable


@given(st.lists(claims, min_size=1))
def test_what_is_claimed_is_what_is_written(entries: list[Claim]) -> None:
    account = account_of_list(format_tnauthlist(entries))
    assert list(account.claims) == list(dict.fromkeys(entries))
