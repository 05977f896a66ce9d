"""The values that rules are given, and how they say what a CA chose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from monitor.rules.values import (
    CodeTable,
    Revocations,
    Revoked,
    say,
    say_claim,
    say_day,
    say_issuer,
    say_label,
    say_name,
    sentence,
)


@given(st.text())
def test_whatever_a_ca_wrote_can_be_printed(text):
    assert say(text).isprintable()
    assert len(say(text, 10)) <= 13 * 10


def test_texts():
    assert say("Example, Inc.") == "Example, Inc."
    assert say("a\x00b\u202ec") == "a\\u{0}b\\u{202e}c"
    assert say("x" * 100, 5) == "xxxxx..."
    assert sentence("the end") == "The end"
    assert sentence("") == ""


def test_what_is_stored_in_a_normal_form_is_no_id_in_a_sentence():
    assert say_name("example telephone") == "Example Telephone"
    assert say_issuer("carrier for tests @ story") == "Carrier For Tests"
    assert say_issuer("delegate @ root ca @ us-shaken") == "Delegate"
    assert say_issuer("example @ no accepted root") == "somebody who says to be Example"
    assert say_issuer("no accepted root") == "somebody unknown"


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (b"one:12025550123", "+12025550123"),
        (b"prefix:120255501xx", "numbers of the form +120255501xx"),
        (b"spc:683G", "the code 683G"),
        (b"", "another number or code"),
        (b"unindexable", "another number or code"),
    ],
)
def test_labels(label, text):
    assert say_label(label) == text


def test_claims():
    assert say_claim(TelephoneNumber("12025550123")) == "the number +12025550123"
    assert say_claim(NumberRange("12025550000", 10000)) == "the range +12025550000 to +12025559999 (10,000 numbers)"
    assert say_claim(ServiceProviderCode("709J")) == "the code 709J"
    assert say_claim(None) == "the item"


@pytest.mark.parametrize(
    ("ms", "day"),
    [
        (0, "1970-01-01"),
        (951_782_400_000, "2000-02-29"),
        (1_790_000_000_000, "2026-09-21"),
        (2**63, "a date beyond the calendar"),
        (None, "an unreadable date"),
    ],
)
def test_days(ms, day):
    assert say_day(ms) == day


def test_codes_are_found_whatever_their_case():
    table = CodeTable({"709j": ["Example, Inc."]})
    assert table.holders("709J") == ("example",)
    assert table.holders("1234") == ()


def test_revocations():
    one, two = Revoked(b"i", b"\1", b"k", 1), Revoked(b"i", b"\2", b"k", 2)
    found = Revocations([one, two, Revoked(b"i", b"\3", b"", 3)])
    assert found.by_serial(b"i", b"\2") == two
    assert found.by_serial(b"j", b"\2") is None
    assert found.by_key(b"k") == [one, two]
    assert found.by_key(b"") == []
