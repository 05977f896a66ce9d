"""Items as people write them, read strictly; what each covers."""

import pytest
from hypothesis import given

from ctlog.errors import UsageError
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber, interval
from monitor.items import (
    CODE,
    HOLDER,
    KEY,
    NUMBER,
    PREFIX,
    RANGE,
    Group,
    Item,
    parse_claim,
    parse_code,
    parse_key,
    parse_name,
    parse_number,
    parse_prefix,
    parse_range,
    prefix_blocks,
)
from tests.number_certificates import block, code, number, ranges

OFFICE = Group("office", trust_domain="us-shaken")


@pytest.mark.parametrize("text", ["+12025550123", " +1 202 555 0123 ", "+1 (202) 555-0123", "+1.202.555.0123"])
def test_numbers(text):
    assert parse_number(text) == TelephoneNumber("12025550123")


@pytest.mark.parametrize(
    "text", ["", "12025550123", "+", "+1", "+1202555012345678", "+1 202 CALL NOW", "+*67", "2025550123"]
)
def test_what_is_no_number(text):
    with pytest.raises(UsageError) as caught:
        parse_number(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["+12025550100 to +12025550199", "+1 202 555 0100..+1 202 555 0199"])
def test_ranges(text):
    assert parse_range(text) == NumberRange("12025550100", 100)


@pytest.mark.parametrize(
    "text",
    ["+12025550100", "+12025550199 to +12025550100", "+12025550100 to +1202555019", "+1202 to 1203", "+12025550100-199",
     "+12025550100 to +12025550100"],
)  # fmt: skip
def test_what_is_no_range(text):
    with pytest.raises(UsageError):
        parse_range(text)


def test_other_kinds():
    assert parse_prefix("+1 202") == "1202"
    assert parse_code(" 709j ") == ServiceProviderCode("709J")
    assert parse_key("AB:" * 31 + "AB") == b"\xab" * 32
    assert parse_name(" Example, Inc. ") == "Example, Inc."
    assert parse_claim("+12025550123") == number("12025550123")
    assert parse_claim("+12025550120 to +12025550129") == block("12025550120", 10)
    assert parse_claim("709j") == code("709J")


@pytest.mark.parametrize(
    ("parse", "text"),
    [(parse_code, "70 9J"), (parse_code, ""), (parse_key, "ab"), (parse_name, " .,"), (parse_claim, "")],
)
def test_what_is_none_of_them(parse, text):
    with pytest.raises(UsageError):
        parse(text)


def test_ids_are_stable_and_tell_items_apart():
    items = [
        Item(NUMBER, number("12025550123"), OFFICE),
        Item(RANGE, block("12025550100", 100), OFFICE),
        Item(PREFIX, "1202", OFFICE),
        Item(CODE, code("709j"), OFFICE),
        Item(HOLDER, "Example Inc", OFFICE),
        Item(KEY, b"\xab" * 32, OFFICE),
    ]
    assert [item.id for item in items] == [
        "office/number:+12025550123",
        "office/range:+12025550100 to +12025550199",
        "office/prefix:+1202",
        "office/spc:709J@us-shaken",
        "office/holder:Example Inc",
        "office/key:" + "ab" * 32,
    ]
    assert [item.is_numeric for item in items] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("item", "claim", "touched"),
    [
        (Item(NUMBER, number("12025550123"), OFFICE), block("12025550100", 100), True),
        (Item(NUMBER, number("12025550123"), OFFICE), number("2025550123"), False),
        (Item(RANGE, block("12025550100", 100), OFFICE), block("12025550199", 2), True),
        (Item(RANGE, block("12025550100", 100), OFFICE), number("12025550200"), False),
        (Item(PREFIX, "1202", OFFICE), number("12025550123"), True),
        (Item(PREFIX, "1202", OFFICE), number("1202"), True),
        (Item(PREFIX, "1202", OFFICE), block("12019999990", 100), True),
        (Item(PREFIX, "1202", OFFICE), number("13025550123"), False),
        (Item(CODE, code("709J"), OFFICE), code("709j"), True),
        (Item(CODE, code("709J"), OFFICE), code("708J"), False),
        (Item(CODE, code("709J"), OFFICE), number("709"), False),
        (Item(HOLDER, "x", OFFICE), number("709"), False),
    ],
)
def test_what_touches_an_item(item, claim, touched):
    assert item.is_touched_by(claim) is touched


def test_exclusions_leave_out_what_they_hold_whole():
    group = Group("x", exclude=(number("12025550123"), block("12025550140", 10), code("709J")))
    assert group.excludes(number("12025550123"))
    assert group.excludes(block("12025550142", 3))
    assert not group.excludes(block("12025550145", 10))
    assert not group.excludes(number("12025550124"))
    assert group.excludes(code("709j"))
    assert not group.excludes(code("12025550123"))


def test_trust_domains():
    assert OFFICE.concerns("us-shaken")
    assert OFFICE.concerns("")
    assert not OFFICE.concerns("ca-shaken")
    assert Group("x").concerns("ca-shaken")


def test_a_prefix_is_every_number_that_begins_so():
    blocks = [interval(each) for each in prefix_blocks("12")]
    assert len(blocks) == 14
    assert blocks[0] == (2, 12, 13)
    assert blocks[-1] == (15, 12 * 10**13, 13 * 10**13)


@given(ranges())
def test_ranges_are_read_as_they_are_written(numbers):
    item = Item(RANGE, numbers, OFFICE)
    assert parse_range(item.text) == numbers
