"""SIP's header field around a token, and numbers as SIP messages have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.wire.identity_header import MAX_HEADER, canonical_number, parse_identity_header

GOOD = "aa.bb.cc;info=<https://cert.example/a.pem>;alg=ES256;ppt=shaken"


@pytest.mark.parametrize("text", [
    GOOD, f"Identity: {GOOD}", f"y:{GOOD}", GOOD.replace("shaken", '"shaken"'), GOOD.replace(";", " ; "),
    GOOD.replace("=", " = "), GOOD.replace("info", "INFO").replace("ppt", "Ppt"), f"{GOOD};x-new;other=\"a;b\"",
])  # fmt: skip
def test_read(text):
    assert parse_identity_header(text) == ("aa.bb.cc", "https://cert.example/a.pem", "ES256", "shaken")


def test_what_is_not_there_is_empty():
    assert parse_identity_header("aa.bb.cc") == ("aa.bb.cc", "", "", "")
    assert parse_identity_header("aa.bb.cc;info=<>").info == ""
    assert parse_identity_header(r'aa;ppt="sha\ken"').ppt == "shaken"


@pytest.mark.parametrize("text", [
    "", "Identity:", ";info=<x>", "a;info=x", "a;info", "a;info=<x", "a;info=<x>y", "a;info=<x>;info=<y>", "a;;",
    "a;=x", 'a;ppt="x', "a;ppt=x y", "a;ppt=a;PPT=a", "a" * (MAX_HEADER + 1),
])  # fmt: skip
def test_refused(text):
    with pytest.raises(MalformedError) as caught:
        parse_identity_header(text)
    assert caught.value.reason == "malformed-header-field"


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text):
    for whole in (text, "a;" + text, GOOD + ";" + text):
        try:
            parse_identity_header(whole)
        except MalformedError as error:
            assert error.reason == "malformed-header-field"  # noqa: PT017 - it may also be good
    try:
        digits = canonical_number(text)
    except MalformedError as error:
        assert error.reason == "number-not-canonical"  # noqa: PT017 - as above
    else:
        assert canonical_number(digits) == canonical_number("+" + digits) == digits


@pytest.mark.parametrize("text", [
    "12025550123", "+12025550123", "+1 (202) 555-0123", "1.202.555.0123", "tel:+1-202-555-0123", "TEL:12025550123",
    "tel:+12025550123;ext=5", "sip:+12025550123@carrier.example;user=phone", "sips:12025550123@[::1]:5061",
    "sip:+1202%35550123@carrier.example", "sip:12025550123;npdi@carrier.example",
])  # fmt: skip
def test_numbers(text):
    assert canonical_number(text) == "12025550123"


def test_a_country_code_is_added_where_it_is_missing():
    assert canonical_number("(202) 555-0123", "1") == "12025550123"
    assert canonical_number("12025550123", "1") == "12025550123"
    assert canonical_number("+442025550123", "1") == "442025550123"
    assert canonical_number("*67") == "*67"


@pytest.mark.parametrize("text", [
    "", "+", "tel:", "sip:alice@example.com", "sip:12025550123", "1202555012345678", "12a", "１２", "++1", "tel:+1+2",
])  # fmt: skip
def test_no_numbers(text):
    with pytest.raises(MalformedError) as caught:
        canonical_number(text)
    assert caught.value.reason == "number-not-canonical"
