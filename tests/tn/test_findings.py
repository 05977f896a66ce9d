"""Every finding by name: one certificate that has it, and one that has it nearly."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ctlog.tn.delegation import check_encompassed
from ctlog.tn.findings import MEANINGS, UNREADABLE_LIST, Finding, finding, quote
from ctlog.tn.identity import Identity
from ctlog.tn.numbers import Claim
from tests.number_certificates import access, block, code, holding, identity, names, number, number_list

Made = Callable[[], Sequence[Finding]]


def having(identity_found: Identity) -> Made:
    """The findings of an identity."""
    return lambda: identity_found.findings


def listing(hexadecimal: str) -> Made:
    """The findings about a TNAuthList of these bytes."""
    return lambda: identity(number_list(bytes.fromhex(hexadecimal))).findings


def entries(*claims: Claim) -> Made:
    """The findings about a TNAuthList of these entries."""
    return lambda: holding(*claims).findings


def uris(*found: bytes) -> Made:
    """The findings about a SubjectAltName with these URIs."""
    return lambda: identity(names(*found)).findings


def under(child: Identity, *issuers: Identity) -> Made:
    """The findings about a certificate below these CAs."""
    return lambda: check_encompassed(child, issuers)


NOTHING = identity()
TEL = b"tel:+12025550123"
NUMBER = number("12025550123")
RANGE = block("12025550100", 100)

CASES: dict[str, tuple[Made, Made]] = {
    # the list cannot be read
    "tnauthlist-form": (listing("310aa0081606363833473334"), listing("300aa0081606363833473334")),
    "tnauthlist-empty": (listing("3000"), listing("3004a0021600")),
    "tnauthlist-trailing-data": (listing("3008a00616043638334700"), listing("3008a006160436383347")),
    "tnauthlist-length": (listing("308108a006160436383347"), entries(code("J" * 124))),  # that needs 81
    "tnauthlist-truncated": (listing("3008a006163836374a"), listing("3008a006160438363741")),
    "tnauthlist-implicit-tag": (listing("3006800436383347"), listing("3008a006160436383347")),
    "tnauthlist-no-tag": (listing("300613043735354a"), listing("3008a00616043735354a")),
    "tnauthlist-unknown-entry": (listing("3008a306160436383347"), listing("3008a206160436383337")),
    "tnauthlist-string-type": (listing("3008a006130436383347"), listing("3008a006160436383347")),
    "number-length": (listing("3014a2121610" + "31" * 16), listing("3013a211160f" + "31" * 15)),
    "number-characters": (listing("3010a20e160c2b3132303235353530313233"), entries(NUMBER)),
    "range-count": (listing("3014a1123010160b3132303235353530313030020101"), entries(block("12025550100", 2))),
    "range-grows": (listing("300ba10930071602313002015b"), listing("300ba10930071602313002015a")),
    "range-signs": (listing("300ba1093007160231" "2a020105"), entries(number("1*"))),
    "code-characters": (listing("3008a0061604363833e9"), entries(code("683\x7f"))),
    # the list is odd
    "tnauthlist-critical": (
        having(identity(number_list([NUMBER], critical=True))), having(identity(number_list([NUMBER]))),
    ),
    "tnauthlist-several": (
        having(identity(number_list([NUMBER]), number_list([NUMBER]))), having(holding(NUMBER, code("709J"))),
    ),
    "range-extended": (
        listing("3014a112301016033131310201021603323232020102"), entries(block("111", 2), block("222", 2)),
    ),
    "range-strict-reading": (entries(block("12025559900", 10**11 - 12025559900)), entries(block("99999999990", 9))),
    "entry-repeated": (entries(NUMBER, code("709J"), NUMBER), entries(NUMBER, code("12025550123"), RANGE)),
    "number-signs": (entries(number("*67#")), entries(NUMBER)),
    "number-leading-zero": (entries(number("0612345678")), entries(number("6012345678"))),
    "number-short": (entries(number("123456")), entries(number("1234567"))),
    "code-empty": (entries(code("")), entries(code("0"))),
    "code-lower-case": (entries(code("709j")), entries(code("709J"))),
    "code-odd-characters": (entries(code("709J ")), entries(code("709J"))),
    "code-long": (entries(code("7J" * 128)), entries(code("7J" * 127 + "J"))),
    "code-looks-like-number": (entries(code("1202555")), entries(code("120255"))),
    "cn-code-differs": (
        having(identity(number_list([code("5678")]), common_name="SHAKEN 1234")),
        having(identity(number_list([code("5678")]), common_name="SHAKEN 1234 Example Inc 5678")),
    ),
    # names
    "tel-unreadable": (uris(b"tel:+1202555x123"), uris(b"tel:+12025550123")),
    "tel-local-number": (uris(b"tel:12025550123"), uris(TEL)),
    "tel-extension": (uris(b"tel:+12025550123;ext=55"), uris(b"tel:+12025550123;extra=55")),
    "tel-misplaced": (having(identity(names(TEL, tag=0x82))), uris(TEL)),
    "tel-visual-separators": (uris(b"tel:+1-202-555-0123"), uris(TEL)),
    "tel-parameters": (uris(b"tel:+12025550123;npdi"), uris(b"tel:+12025550123;ext=5")),
    "tel-several": (uris(TEL, b"tel:+12025550124"), uris(TEL, b"https://example.com/")),
    "list-and-name-disagree": (
        having(identity(number_list([RANGE]), names(b"tel:+12025550200"))),
        having(identity(number_list([RANGE]), names(b"tel:+12025550199"))),
    ),
    # by reference
    "scope-by-reference": (
        having(identity(access(b"https://a.example/"))),
        having(identity(access(b"https://a.example/", method=bytes.fromhex("2b06010505073002")))),
    ),
    "reference-unreadable": (
        having(identity(access(b"a.example", tag=0x82))), having(identity(access(b"https://a.example/"))),
    ),
    "reference-not-https": (
        having(identity(access(b"http://a.example/"))), having(identity(access(b"HTTPS://a.example/"))),
    ),
    "labels-over-limit": (
        entries(*(number(str(10**9 + at)) for at in range(1025))),
        entries(*(number(str(10**9 + at)) for at in range(1024))),
    ),
    # delegation
    "scope-exceeds-issuer": (
        under(holding(block("12025550100", 101)), holding(RANGE)), under(holding(RANGE), holding(RANGE)),
    ),
    "scope-list-missing": (
        under(holding(NUMBER), NOTHING, holding(RANGE)), under(holding(NUMBER), holding(RANGE), NOTHING),
    ),
    "scope-unverifiable": (
        under(holding(NUMBER), holding(code("709J"))), under(holding(NUMBER), holding(code("709J"), RANGE)),
    ),
    "scope-incomparable": (
        under(holding(NUMBER), identity(number_list(b"\x30\0"))), under(holding(NUMBER), holding(NUMBER)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_one_that_has_it_and_one_that_nearly_has(name: str) -> None:
    positive, near_miss = CASES[name]
    assert name in [found.id for found in positive()]
    assert name not in [found.id for found in near_miss()]


def test_there_is_a_case_for_each() -> None:
    assert CASES.keys() == MEANINGS.keys()


def test_every_id_is_a_word_for_machines_and_every_meaning_a_sentence() -> None:
    for name, meaning in MEANINGS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert re.fullmatch(r"T-\d\d", meaning.rule)
        assert meaning.sentence[0].isupper()
        assert meaning.sentence.endswith(".")
        assert len(meaning.sentence) < 120
    assert set(UNREADABLE_LIST) < set(MEANINGS)


def test_the_page_lists_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "findings.md").read_text("utf-8")
    for name, meaning in MEANINGS.items():
        assert f"| `{name}` | {meaning.rule} | {meaning.sentence} |" in page.splitlines()


def test_a_finding_says_what_is_particular() -> None:
    assert finding("number-signs").text == "A number has * or #."
    assert finding("number-signs", "*67#").text == "A number has * or # (*67#)."


def test_what_a_ca_wrote_is_quoted_safely() -> None:
    assert quote("\x1b[2J\u202e") == r"'\x1b[2J\u202e'"
    assert len(quote("\0" * 10_000)) < 200
    text = identity(number_list([code("\x1b]0;owned\x07" + "7" * 100)])).findings
    assert all(found.text.isprintable() and len(found.text) < 300 for found in text)
    hostile = identity(number_list([code("5678")]), common_name="SHAKEN\n\u202e1234")
    assert [found.text.isprintable() for found in hostile.findings] == [True]
