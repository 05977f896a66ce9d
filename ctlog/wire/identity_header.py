"""The SIP Identity header field and the numbers beside it: RFC 8224 sections 4 and 8.3.

    Identity = token ";info=<" URI ">" *( ";alg=" token / ";ppt=" quoted-string / ";" other )

In scope: taking one header field's value apart, and a telephone number in canonical form from what a SIP message has
(a `tel:` or `sip:` URI, a number as people write it). Out of scope: the token (`ctlog.wire.passport`), several values
in one field (whoever has the SIP message splits them), national dialling plans: without a country code that the caller
knows, a number without `+` is taken as it is.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from ctlog.errors import MalformedError

MAX_HEADER = 128 << 10

_FIELD = "identity-header"
_NAME = re.compile(r"\s*(?:identity|y)\s*:\s*", re.IGNORECASE)
_PARAMETER = re.compile(r"""\s*([A-Za-z0-9\-.!%*_+`'~]+)\s*(?:=\s*(<[^<>]*>|"(?:[^"\\]|\\.)*"|[^\s;"<>]+))?\s*""")
_SEPARATORS = str.maketrans("", "", " -.()\t")
_SCHEME = re.compile(r"(tel|sips?):", re.IGNORECASE)


class IdentityHeader(NamedTuple):
    """A token and its parameters; a parameter that is not there is ""."""

    token: str
    info: str
    alg: str
    ppt: str


def parse_identity_header(text: str) -> IdentityHeader:
    """Take a header field's value apart; its name may stand before it. Raises MalformedError.

    Parameters that are not known are passed over (generic-param); one that stands twice is refused, for two readers
    would take different ones.
    """
    if len(text) > MAX_HEADER:
        raise _malformed(f"longer than {MAX_HEADER} characters")
    named = _NAME.match(text)
    token, _, rest = text[named.end() if named else 0 :].partition(";")
    token = token.strip()
    if not token:
        raise _malformed("no token in it")
    found: dict[str, str] = {}
    at, stop = 0, len(rest)
    while at < stop:
        part = _PARAMETER.match(rest, at)
        if part is None or (part.end() < stop and rest[part.end()] != ";"):
            raise _malformed("a parameter that is not name=value")
        name, value = part[1].lower(), part[2] or ""
        if name in found:
            raise _malformed(f"the parameter {name} stands twice")
        if name == "info" and not value.startswith("<"):
            raise _malformed("info is not a URI between < and >")
        found[name] = _bare(value)
        at = part.end() + 1
    return IdentityHeader(token, found.get("info", ""), found.get("alg", ""), found.get("ppt", ""))


def _bare(value: str) -> str:
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value[1:-1] if value.startswith("<") else value


def canonical_number(text: str, country_code: str = "") -> str:
    """A telephone number in canonical form: digits, `*` and `#`, with the country code and without `+`.

    `text`: a number with or without `+` and visual separators, a `tel:` URI, or a `sip:` URI whose user part is a
    number. A number without `+` gets `country_code` unless it begins with it; "" adds nothing.

    Raises MalformedError, `number-not-canonical`, for what is no number.
    """
    number = text.strip()
    scheme = _SCHEME.match(number)
    if scheme:
        number = number[scheme.end() :]
        if scheme[1].lower() != "tel":
            number, at, _ = number.partition("@")
            if not at:
                raise _no_number(text)
        number = unquote(number.partition(";")[0])
    number = number.translate(_SEPARATORS)
    is_global = number.startswith("+")
    digits = number.removeprefix("+")
    if not is_global and not digits.startswith(country_code):
        digits = country_code + digits
    if not 0 < len(digits) <= 15 or digits.strip("0123456789*#"):
        raise _no_number(text)
    return digits


def _no_number(text: str) -> MalformedError:
    shown = text if len(text) <= 40 else text[:37] + "..."
    return MalformedError(f"{shown!a} is no telephone number", field="number", reason="number-not-canonical")


def _malformed(problem: str) -> MalformedError:
    return MalformedError(f"Identity header: {problem}", field=_FIELD, reason="malformed-header-field")
