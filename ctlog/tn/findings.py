"""Findings about what a certificate says of numbers: stable ids, and what each means (docs/findings.md).

A finding is recorded, never a reason to refuse: monitors judge. In scope: the ids of this room, each with its meaning
and the rule of the threat catalogue under which it falls. Out of scope: findings about keys, validity and profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Finding(NamedTuple):
    """One finding. id: a key of `MEANINGS`, stable. text: one sentence about this certificate, safe to print."""

    id: str
    text: str


class Meaning(NamedTuple):
    """What an id stands for. rule: the threat it is a sign of ("T-22"). sentence: what is wrong, in general."""

    rule: str
    sentence: str


# The list cannot be read as RFC 8226 says; what it may mean is in the identity's readings.
UNREADABLE_LIST: Mapping[str, str] = MappingProxyType(
    {
        "tnauthlist-form": "The TNAuthList is not built as RFC 8226 section 9 says.",
        "tnauthlist-empty": "The TNAuthList has no entry; RFC 8226 demands one.",
        "tnauthlist-trailing-data": "Bytes follow the end of the TNAuthList.",
        "tnauthlist-length": "A length in the TNAuthList is not DER: indefinite, or not minimal.",
        "tnauthlist-truncated": "An element of the TNAuthList ends beyond what holds it.",
        "tnauthlist-implicit-tag": "An entry of the TNAuthList is tagged implicitly; RFC 8226 tags explicitly.",
        "tnauthlist-no-tag": "An entry of the TNAuthList lacks its context tag.",
        "tnauthlist-unknown-entry": "An entry of the TNAuthList has a tag that RFC 8226 does not know.",
        "tnauthlist-string-type": "A string of the TNAuthList is no IA5String.",
        "number-length": "A number in the TNAuthList is empty or has more than 15 characters.",
        "number-characters": "A number in the TNAuthList has characters other than 0 to 9, * and #.",
        "range-count": "The count of a range is no INTEGER of at least 2.",
        "range-grows": "The count of a range makes the number increase in length.",
        "range-signs": "A range starts at a number with * or #.",
        "code-characters": "A service provider code has octets that no IA5String has.",
    }
)

_T06 = {
    "scope-exceeds-issuer": "It claims more than a CA above it holds (RFC 9060 section 4).",
    "scope-list-missing": "It, or a CA above it, has no TNAuthList although one stands further up.",
}
_T07 = {"scope-unverifiable": "Its numbers stand under a code; whether they are behind it is not known."}
_T17 = {"scope-by-reference": "Its scope is kept elsewhere, where it can change after logging (RFC 8226 section 10.1)."}
_T21 = {
    "number-leading-zero": "A number begins with 0, which no country code does: it is written as dialled, or national.",
    "number-short": "A number has fewer than 7 characters, too few for one with its country code.",
    "code-looks-like-number": "A service provider code looks like a telephone number.",
    "tel-local-number": "A tel: name gives a local number, without + and country code.",
    "tel-extension": "A tel: name gives an extension beside the number.",
}
_T22 = {
    **UNREADABLE_LIST,
    "tnauthlist-critical": "The TNAuthList is marked critical.",
    "tnauthlist-several": "It has more than one TNAuthList extension.",
    "range-extended": "A range carries elements beyond start and count; legal, and unknown.",
    "range-strict-reading": "A range ends at the last number of its length; the letter of RFC 8226 forbids it.",
    "entry-repeated": "The same entry stands in the TNAuthList more than once.",
    "code-empty": "A service provider code is empty.",
    "code-lower-case": "A service provider code has lower-case letters.",
    "code-odd-characters": "A service provider code has characters other than letters and digits.",
    "code-long": "A service provider code has more than 255 characters.",
    "tel-unreadable": "A tel: name does not follow RFC 3966.",
    "tel-misplaced": "A tel: URI does not stand by itself in a uniformResourceIdentifier, or its extension is not DER.",
    "tel-visual-separators": "A tel: name has visual separators.",
    "tel-parameters": "A tel: name has parameters.",
    "tel-several": "It has more than one tel: name; RCC.16 allows one.",
    "list-and-name-disagree": "A tel: name gives a number that the TNAuthList does not hold.",
    "reference-unreadable": "The place of its scope by reference is no URL that can be read.",
    "reference-not-https": "Its scope by reference is not fetched over HTTPS.",
    "scope-incomparable": "Its scope, or that of a CA above it, cannot be read, so that they cannot be compared.",
    "labels-over-limit": "It has more than 1,024 labels, so that it is found only under the label unindexable.",
}
_T23 = {"number-signs": "A number has * or #."}
_T27 = {"cn-code-differs": "The common name says a service provider code that the TNAuthList does not hold."}

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        name: Meaning(rule, sentence)
        for rule, group in (
            ("T-06", _T06), ("T-07", _T07), ("T-17", _T17), ("T-21", _T21), ("T-22", _T22), ("T-23", _T23),
            ("T-27", _T27),
        )
        for name, sentence in group.items()
    }
)  # fmt: skip


def finding(name: str, detail: str = "") -> Finding:
    """Make a finding: its meaning, and in parentheses what is particular to this certificate."""
    sentence = MEANINGS[name].sentence
    return Finding(name, f"{sentence[:-1]} ({detail})." if detail else sentence)


def quote(text: str, limit: int = 40) -> str:
    """Quote a text that a CA chose, safe to print and of bounded length."""
    return ascii(text) if len(text) <= limit else ascii(text[:limit]) + "..."
