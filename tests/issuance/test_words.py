"""ctlog.issuance.words: what may be said of a certificate that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.issuance import name, words
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.names import name_text

RULES: list[Callable[[str], Any]] = [
    words.read_number, words.read_messaging_number, words.read_range, words.read_code, words.read_client,
    words.check_holder, words.check_country, words.check_scope_url,
]  # fmt: skip
ID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (words.read_number, "*67#", TelephoneNumber("*67#")), (words.read_number, "1" * 15, TelephoneNumber("1" * 15)),
        (words.read_messaging_number, "12025550123", TelephoneNumber("12025550123")),
        (words.read_range, "12025550100+100", NumberRange("12025550100", 100)),
        (words.read_code, "709J", ServiceProviderCode("709J")), (words.read_client, ID, UUID(ID)),
        (words.check_holder, "x" * 64, "x" * 64), (words.check_holder, "Žluťoučký, a.s.", "Žluťoučký, a.s."),
        (words.check_country, "CZ", "CZ"),
        (words.check_scope_url, "https://tn.example:8443/list?a=b", "https://tn.example:8443/list?a=b"),
    ],
)  # fmt: skip
def test_what_is_good(read: Callable[[str], Any], text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (words.read_number, "+12025550123", "number-characters"), (words.read_number, "1" * 16, "number-length"),
        (words.read_number, "", "number-length"), (words.read_number, "1202x", "number-characters"),
        (words.read_number, "１２", "number-characters"), (words.read_messaging_number, "*67", "numbers-only"),
        (words.read_messaging_number, "+1202x", "number-characters"), (words.read_range, "12025550177", "bad-range"),
        (words.read_range, "+1202+5", "bad-range"), (words.read_range, "1202+" + "9" * 16, "bad-range"),
        (words.read_range, "1202+٣", "bad-range"), (words.read_range, "1202+1", "range-count"),
        (words.read_range, "9999+2", "range-grows"), (words.read_range, "1202+5\n", "bad-range"),
        (words.read_code, "ab!", "bad-code"), (words.read_code, "ab cd!", "bad-code"),
        (words.read_code, "", "bad-code"),
        (words.read_code, "A" * 17, "bad-code"), (words.read_code, "709J\n", "bad-code"),
        (words.read_client, "not a uuid", "not-a-uuid"), (words.read_client, "", "not-a-uuid"),
        (words.check_holder, "", "no-holder"), (words.check_holder, " \u3000", "no-holder"),
        (words.check_holder, "x" * 65, "bad-holder"), (words.check_holder, "a\x00b", "bad-holder"),
        (words.check_holder, "a\u202eb", "bad-holder"), (words.check_country, "USA", "bad-country"),
        (words.check_country, "Usa", "bad-country"), (words.check_country, "us", "bad-country"),
        (words.check_country, "US\n", "bad-country"), (words.check_country, "ÅÄ", "bad-country"),
        (words.check_scope_url, "http://x", "bad-url"), (words.check_scope_url, "https://", "bad-url"),
        (words.check_scope_url, "https:///list", "bad-url"), (words.check_scope_url, "https://x:99999/", "bad-url"),
        (words.check_scope_url, "https://[::1/", "bad-url"), (words.check_scope_url, "https://x/a b", "bad-url"),
        (words.check_scope_url, "https://x/\n", "bad-url"), (words.check_scope_url, "https://é.example/", "bad-url"),
        (words.check_scope_url, "https://x/" + "a" * 2048, "bad-url"), (words.check_scope_url, "", "bad-url"),
    ],
)  # fmt: skip
def test_what_no_certificate_says(read: Callable[[str], Any], text: str, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(text)
    assert caught.value.reason == reason
    assert len(text) < 4 or text not in str(caught.value)  # it may be long, and a stranger's


@given(st.sampled_from(RULES), st.text(max_size=80))
def test_any_text_is_a_value_or_malformed(read: Callable[[str], Any], text: str) -> None:
    reason = ""
    try:
        read(text)
    except MalformedError as error:
        reason = error.reason
    assert reason != "malformed"


@given(st.text(max_size=80))
def test_a_good_holder_stands_in_a_name_as_it_was_said(text: str) -> None:
    try:
        words.check_holder(text)
    except MalformedError:
        return
    assert name(O=text)
    assert len(text) <= words.MAX_HOLDER
    assert "\n" not in name_text(name(O=text))
