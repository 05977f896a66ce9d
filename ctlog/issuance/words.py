"""What people and files may say of a certificate that they want: one rule for each word, whatever way it came.

Specs: RFC 8226 section 9 (numbers and ranges) and 10.1 (a scope by reference), ATIS-1000080 section 6.4.1 (codes), RFC
5280 appendix A.1 (how long names are, and countries), RCC.16 Annex A (who a messaging client is). In scope: text in,
the value out, or the reason why it is none. A certificate that is logged stays logged, so one by one (`ctlog ca
certificate`) and by the thousand (`orders`, `ordered`) say no to the same.
Out of scope: whether a word fits its profile and its CA (`ordered`, `requests`); tests, which issue what no CA should,
call `profiles` and `rcs` directly.

Everything here raises MalformedError, whose sentence does not repeat the text: it may be long, and a stranger's. The
reasons: those of `ctlog.tn.numbers`; bad-range, bad-code, no-holder, bad-holder, bad-country, bad-url, not-a-uuid,
numbers-only.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit
from uuid import UUID

from ctlog.errors import MalformedError
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber

MAX_HOLDER = 64
"""Characters: RFC 5280 appendix A.1 allows an organization and a common name no more."""

_MAX_URL = 2048
_CODE = re.compile(r"[0-9A-Z]{1,16}")
_RANGE = re.compile(r"([0-9]+)\+([0-9]{1,15})")
_COUNTRY = re.compile(r"[A-Z]{2}")
_URL = re.compile(r"[!-~]+")


def read_number(text: str) -> TelephoneNumber:
    """A number: digits with its country code, or with `*` and `#`; no plus sign, no blanks."""
    return TelephoneNumber(text)


def read_messaging_number(text: str) -> TelephoneNumber:
    """A number for a `tel:` name of a messaging client, which has digits only."""
    number = read_number(text)
    if not number.is_numeric:
        raise MalformedError("a messaging certificate names numbers only", reason="numbers-only")
    return number


def read_range(text: str) -> NumberRange:
    """First number and count: 12025550100+100."""
    match = _RANGE.fullmatch(text)
    if match is None:
        sentence = "this is no range, which is its first number and its count, as in 12025550100+100"
        raise MalformedError(sentence, reason="bad-range")
    return NumberRange(match[1], int(match[2]))


def read_code(text: str) -> ServiceProviderCode:
    """A service provider code."""
    if not _CODE.fullmatch(text):
        raise MalformedError("a code is 1 to 16 digits and capital letters", reason="bad-code")
    return ServiceProviderCode(text)


def read_client(text: str) -> UUID:
    """Who a messaging client is."""
    try:
        return UUID(text)
    except ValueError:
        raise MalformedError("the holder of a messaging certificate is a UUID", reason="not-a-uuid") from None


def check_holder(text: str, what: str = "a holder") -> str:
    """An organization, or a common name; `what` it is called. Gives it back."""
    if not text or text.isspace():
        raise MalformedError("it names no holder", reason="no-holder")
    if not text.isprintable() or len(text) > MAX_HOLDER:
        raise MalformedError(f"{what} is at most {MAX_HOLDER} printable characters", reason="bad-holder")
    return text


def check_country(text: str) -> str:
    """A country as X.520 and ISO 3166-1 write it. Gives it back."""
    if not _COUNTRY.fullmatch(text):
        raise MalformedError("a country is two capital letters, as in US", reason="bad-country")
    return text


def check_scope_url(text: str) -> str:
    """Where a list of numbers lies. Gives it back."""
    try:
        parts = urlsplit(text)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(text) > _MAX_URL or not _URL.fullmatch(text):
        sentence = f"a list of numbers lies at an https URL of at most {_MAX_URL} visible ASCII characters"
        raise MalformedError(sentence, reason="bad-url")
    return text
