"""PASSporT, the Personal Assertion Token: RFC 8225, in the compact form of a JWS (RFC 7515), between text and values.

In scope: the header and the claims of RFC 8225, of its extensions `shaken` (RFC 8588), `div` (RFC 8946) and `rcd`
(RFC 9795), the deterministic JSON of section 9, and ES256 signatures as JWS writes them. Every claim stays at hand as
JSON, known or not, since certificates can constrain any.
Out of scope: whether a signature holds and who may sign what (`ctlog.client.passport`), the SIP header around a token
(`ctlog.wire.identity_header`), and the JSON serialisation of JWS, which PASSporT does not use.

`parse_passport` raises MalformedError for what is no PASSporT and RefusedError for one that nobody should believe; both
carry one of these words:

    malformed-token    not three parts of base64url, or too long       compact-form    header and claims are left out
    malformed-header   malformed-claims   malformed-x5c                duplicate-name  a member of JSON stands twice
    alg-none           unsupported-alg    wrong-typ                    unknown-critical-header
    missing-claim      malformed-claim    number-not-canonical
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import orjson
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from ctlog.errors import MalformedError, RefusedError
from ctlog.wire.b64 import format_base64, parse_base64

MAX_TOKEN = 96 << 10
"""Characters of the longest token that is read: ten certificates in x5c, and some rich call data."""
MAX_X5C = 10
SIGNATURE_SIZE = 64
NO_SIGNATURE = b"A" * 86
"""The third part of a token that is not signed yet: 64 octets of zero."""
MAX_DIGITS = 15

TN, URI = "tn", "uri"
BASE, SHAKEN, DIV, RCD = "", "shaken", "div", "rcd"
KNOWN_TYPES = frozenset((BASE, SHAKEN, DIV, RCD))
"""Extensions (`ppt`) whose rules are known here; "" is a PASSporT without extension."""

_FIELD = "passport"
_NOBODY: list[object] = []
# base64url to base64; what base64url has not becomes what base64 has not
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"", b"==", b"=")
# the last character before padding, when the bits that no octet takes are zero
_LAST = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")


class Header(NamedTuple):
    """The JOSE header of a PASSporT whose algorithm is ES256. `ppt` is "" without one, `x5u` too.

    `x5c`: DER, the signer's certificate first; empty without one. `text` is the header as it stands in the token.
    """

    text: bytes
    ppt: str
    x5u: str
    x5c: tuple[bytes, ...]


class Party(NamedTuple):
    """Who calls, is called or diverted: `kind` "tn" with canonical digits, or "uri"."""

    kind: str
    value: str


class Passport(NamedTuple):
    """A PASSporT as it was read; nothing in it is verified.

    `iat_s`: seconds since 1970. `orig`, `dest`: RFC 8225 section 5.2. `div`: the party from which the call was diverted
    (RFC 8946), for `ppt` "div" only. `claims`: all of them, as JSON. `signed`: what the signature is over. `signature`:
    64 octets, r and s.
    """

    header: Header
    iat_s: int
    orig: Party
    dest: tuple[Party, ...]
    div: Party | None
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @property
    def attest(self) -> str:
        """The attestation level of `shaken`, "A", "B" or "C"; "" for the others."""
        return str(self.claims.get("attest", "")) if self.header.ppt == SHAKEN else ""


# --- reading ----------------------------------------------------------------------------------------------------------


def parse_passport(token: str | bytes, header_of: Callable[[bytes], Header | None] | None = None) -> Passport:
    """Read a token. `header_of` may know the header already, by its text, for headers repeat and take half the time.

    Raises MalformedError, RefusedError, with the words above.
    """
    header_text, claims_text, signature_text, signed = _parts(token)
    header = header_of(header_text) if header_of is not None else None
    if header is None:
        header = parse_header(header_text)
    claims = _object(_decode(claims_text, "the claims"), "claims")
    signature = _decode(signature_text, "the signature")
    if len(signature) != SIGNATURE_SIZE:
        _fail(f"a signature of ES256 has {SIGNATURE_SIZE} octets, this one {len(signature)}", "malformed-token")
    iat_s = claims.get("iat")
    if type(iat_s) is not int or not 0 <= iat_s < 1 << 48:
        _fail("the claim iat is no time in whole seconds", "missing-claim" if iat_s is None else "malformed-claim")
    orig = _one_party(claims, "orig")
    dest = _parties(claims)
    div = _check_extension(header.ppt, claims)
    return Passport(header, iat_s, orig, dest, div, claims, signed, signature)


def parse_header(text: bytes) -> Header:
    """Read the first part of a token. Raises as `parse_passport`."""
    members = _object(_decode(text, "the header"), "header")
    alg = members.get("alg")
    if not isinstance(alg, str):
        _fail("the header names no algorithm", "malformed-header")
    if alg.lower() == "none":
        raise RefusedError("the token is not signed at all: alg is none", reason="alg-none")
    if alg != "ES256":
        raise RefusedError(f"the algorithm is {alg[:20]!r}, not ES256", reason="unsupported-alg")
    if members.get("typ") != "passport":
        raise RefusedError("typ is not passport, so this token was made for something else", reason="wrong-typ")
    if "crit" in members:
        raise RefusedError("the header has extensions that must be understood, and are not",
                           reason="unknown-critical-header")  # fmt: skip
    ppt, x5u = members.get("ppt", ""), members.get("x5u", "")
    if not isinstance(ppt, str) or not isinstance(x5u, str) or ("ppt" in members and not ppt):
        _fail("ppt and x5u are texts", "malformed-header")
    return Header(text, ppt, x5u, _certificates(members["x5c"]) if "x5c" in members else ())


def _parts(token: str | bytes) -> tuple[bytes, bytes, bytes, bytes]:
    if isinstance(token, str):
        try:
            token = token.encode("ascii")
        except UnicodeEncodeError:
            _fail("the token is not ASCII", "malformed-token")
    if len(token) > MAX_TOKEN:
        _fail(f"the token is longer than {MAX_TOKEN} characters", "malformed-token")
    parts = token.split(b".")
    if len(parts) != 3:
        _fail(f"the token has {len(parts)} parts, not 3", "malformed-token")
    header, claims, signature = parts
    if not header and not claims:
        _fail("the compact form, which leaves out header and claims, is not taken", "compact-form")
    return header, claims, signature, token[: -len(signature) - 1]


def _decode(text: bytes, what: str) -> bytes:
    """base64url without padding (RFC 7515 section 2), in its one canonical form."""
    rest = len(text) % 4
    try:
        data = binascii.a2b_base64(text.translate(_FROM_URL) + _PADDING[rest], strict_mode=True)
    except binascii.Error:
        _fail(f"{what} is not base64url without padding", "malformed-token")
    if rest and (rest == 1 or text[-1] not in _LAST[rest]):
        _fail(f"{what} is base64url in another than its canonical form", "malformed-token")
    return data


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
        # Written deterministically (section 9) it is itself again, and no name can stand twice.
        if isinstance(value, dict) and orjson.dumps(value, option=orjson.OPT_SORT_KEYS) != data:
            value = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, TypeError, RecursionError):
        _fail(f"the {what} cannot be read as JSON", f"malformed-{what}")
    if not isinstance(value, dict):
        _fail(f"the {what} is no JSON object", f"malformed-{what}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 section 4: names must be unique; two readers that take different ones would see different calls."""
    found = dict(pairs)
    if len(found) != len(pairs):
        _fail("a name stands twice in a JSON object", "duplicate-name")
    return found


def _certificates(value: object) -> tuple[bytes, ...]:
    """RFC 7515 section 4.1.6: base64, not base64url, of DER."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_X5C:
        _fail(f"x5c is no list of 1 to {MAX_X5C} certificates", "malformed-x5c")
    try:
        return tuple(parse_base64(one, "x5c") for one in value)
    except MalformedError as error:
        _fail(str(error), "malformed-x5c")


def _one_party(claims: Mapping[str, Any], name: str) -> Party:
    """`{"tn": "12025550123"}` or `{"uri": "sip:..."}`: section 5.2.1; `div` has other members beside it."""
    value = claims.get(name)
    if not isinstance(value, dict):
        _fail(f"the claim {name} is no object", "missing-claim" if value is None else "malformed-claim")
    number, uri = value.get(TN), value.get(URI)
    if (number is None) == (uri is None):
        _fail(f"the claim {name} has not one of tn and uri", "malformed-claim")
    return _party(TN, number, name) if uri is None else _party(URI, uri, name)


def _parties(claims: Mapping[str, Any]) -> tuple[Party, ...]:
    value = claims.get("dest")
    if not isinstance(value, dict):
        _fail("the claim dest is no object", "missing-claim" if value is None else "malformed-claim")
    numbers, uris = value.get(TN, _NOBODY), value.get(URI, _NOBODY)
    if not isinstance(numbers, list) or not isinstance(uris, list):
        _fail("the claim dest has a tn or uri that is no list", "malformed-claim")
    if not numbers and not uris:
        _fail("the claim dest names nobody", "malformed-claim")
    return tuple([_party(TN, one, "dest") for one in numbers] + [_party(URI, one, "dest") for one in uris])


def _party(kind: str, value: object, name: str) -> Party:
    if not isinstance(value, str) or not value:
        _fail(f"the claim {name} has a {kind} that is no text", "malformed-claim")
    if kind == TN and (len(value) > MAX_DIGITS or value.strip("0123456789*#")):
        _fail(f"the claim {name} has a number that is not in canonical form (RFC 8224 section 8.3)",
              "number-not-canonical")  # fmt: skip
    return Party(kind, value)


def _check_extension(ppt: str, claims: Mapping[str, Any]) -> Party | None:
    """What the extension adds to the claims; gives the diverting party."""
    if ppt == SHAKEN:
        for name in ("attest", "origid"):
            if not isinstance(claims.get(name), str):
                _fail(f"shaken needs the claim {name} (RFC 8588)", "missing-claim")
        if claims["attest"] not in ("A", "B", "C"):
            _fail("the claim attest is not A, B or C", "malformed-claim")
    elif ppt == DIV:
        return _one_party(claims, "div")
    elif ppt == RCD:
        _check_rcd(claims)
    return None


def _check_rcd(claims: Mapping[str, Any]) -> None:
    """RFC 9795: `rcd` is an object with `nam`, `crn` a text; one of them at least, for ppt rcd to say anything."""
    rcd, reason = claims.get("rcd"), claims.get("crn")
    if rcd is None and reason is None:
        _fail("rcd needs the claim rcd or crn (RFC 9795)", "missing-claim")
    if rcd is not None and not (isinstance(rcd, dict) and isinstance(rcd.get("nam"), str)):
        _fail("the claim rcd is no object with nam", "malformed-claim")
    if reason is not None and not isinstance(reason, str):
        _fail("the claim crn is no text", "malformed-claim")


def _fail(problem: str, reason: str) -> NoReturn:
    raise MalformedError(f"PASSporT: {problem}", field=_FIELD, reason=reason)


# --- writing ----------------------------------------------------------------------------------------------------------


def canonical_json(value: object) -> bytes:
    """RFC 8225 section 9: members in lexicographic order, no white space, UTF-8.

    Raises MalformedError for what is no JSON.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise MalformedError(f"PASSporT: a value that JSON cannot hold: {error}", field=_FIELD) from None


def format_header(ppt: str = "", x5u: str = "", x5c: tuple[bytes, ...] = ()) -> bytes:
    """The first part of a token: the same for all that are signed with one certificate."""
    members: dict[str, object] = {"alg": "ES256", "typ": "passport"}
    if ppt:
        members["ppt"] = ppt
    if x5u:
        members["x5u"] = x5u
    if x5c:
        members["x5c"] = [format_base64(der) for der in x5c]
    return _encode(canonical_json(members))


def format_claims(claims: Mapping[str, Any]) -> bytes:
    """The second part of a token."""
    return _encode(canonical_json(dict(claims)))


def format_signature(der: bytes) -> bytes:
    """The third part of a token, from an ECDSA signature in DER. Raises MalformedError."""
    return _encode(raw_signature(der))


def format_passport(header: bytes, claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A whole token. `header` is what `format_header` made; `sign` gives an ECDSA signature, in DER, over its data."""
    signed = header + b"." + format_claims(claims)
    return (signed + b"." + format_signature(sign(signed))).decode("ascii")


def raw_signature(der: bytes) -> bytes:
    """r and s in 32 octets each, as JWS wants them (RFC 7518 section 3.4), from DER. Raises MalformedError."""
    try:
        r, s = decode_dss_signature(der)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    except (ValueError, OverflowError):
        raise MalformedError("this is no ECDSA signature on P-256 in DER", field="signature") from None


def der_signature(raw: bytes) -> bytes:
    """The inverse of `raw_signature`, for 64 octets."""
    # Not by the library: within a call its way takes 2 us more, of the 36 that a call takes beside its verification.
    both = _der_integer(raw[:32]) + _der_integer(raw[32:])
    return b"\x30%c%b" % (len(both), both)


def _der_integer(octets: bytes) -> bytes:
    value = octets.lstrip(b"\0") or b"\0"
    if value[0] > 0x7F:
        value = b"\0" + value
    return b"\x02%c%b" % (len(value), value)


def _encode(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).translate(bytes.maketrans(b"+/", b"-_"), b"=")
