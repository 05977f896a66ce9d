"""PASSporTs between text and values: the RFC's own example, each form of refusal, and what bytes can do."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import example, given
from hypothesis import strategies as st

from ctlog.errors import InputError, MalformedError, RefusedError
from ctlog.wire.passport import (
    MAX_TOKEN,
    Party,
    canonical_json,
    der_signature,
    format_header,
    format_passport,
    parse_header,
    parse_passport,
    raw_signature,
)

# RFC 8225 appendix A. Its signature is not by the key given there; that of section 7.1 is, where iat is a text.
RFC_TOKEN = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9"
    ".eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEy"
    "In19.VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUkqk79UD81fHQ0E1b3_GluIkba7UWYRM47ZbNFdOJquE35cw"
)
RFC_SECTION_7 = (
    RFC_TOKEN.partition(".")[0]
    + ".eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6IjE0NDMyMDgzNDUiLCJvcmlnIjp7InRuIjoiMTIxNTU1"
    "NTEyMTIifX0.rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w"
)
RFC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH78YTU8qLS8I5HLHSSmlATLcslQMhNC/OhlWBYC626nIlo7Xe"
    "ebYS7Sb37g=="
)

KEY = ec.derive_private_key(77, ec.SECP256R1())
CLAIMS = {"iat": 1_795_000_000, "orig": {"tn": "12025550123"}, "dest": {"tn": ["13035550199"]}}
SHAKEN = CLAIMS | {"attest": "A", "origid": "123e4567-e89b-12d3-a456-426655440000"}
URL = "https://cert.example/a.pem"


def sign(data: bytes) -> bytes:
    return KEY.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def part(value) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims=CLAIMS, signature: bytes = bytes(64), **header) -> str:
    members = {"alg": "ES256", "typ": "passport", "x5u": URL} | header
    return f"{part({k: v for k, v in members.items() if v is not None})}.{part(claims)}.{part(signature)}"


def refused(text) -> str:
    with pytest.raises(InputError) as caught:
        parse_passport(text)
    assert isinstance(caught.value, MalformedError | RefusedError)
    return caught.value.reason


# What is read -------------------------------------------------------------------------------------------------------


def test_the_example_of_the_rfc():
    found = parse_passport(RFC_TOKEN)
    assert (found.iat_s, found.orig, found.dest) == (
        1471375418, Party("tn", "12155551212"), (Party("uri", "sip:alice@example.com"),),
    )  # fmt: skip
    assert (found.header.x5u, found.header.ppt, found.header.x5c) == ("https://cert.example.org/passport.cer", "", ())
    header = format_header(x5u=found.header.x5u)
    assert format_passport(header, found.claims, lambda _: der_signature(found.signature)) == RFC_TOKEN
    assert parse_passport(RFC_TOKEN.encode()) == found


def test_the_signature_of_the_rfc():
    assert refused(RFC_SECTION_7) == "malformed-claim"
    signed, _, signature = RFC_SECTION_7.rpartition(".")
    der = der_signature(base64.urlsafe_b64decode(signature + "=="))
    load_der_public_key(base64.b64decode(RFC_KEY)).verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))


def test_what_is_written_is_read():
    header = format_header("shaken", x5c=(b"one", b"two"))
    written = format_passport(header, SHAKEN, sign)
    found = parse_passport(written)
    assert (found.header.ppt, found.header.x5c, found.header.x5u) == ("shaken", (b"one", b"two"), "")
    assert (found.claims, found.attest, found.div) == (SHAKEN, "A", None)
    KEY.public_key().verify(der_signature(found.signature), found.signed, ec.ECDSA(hashes.SHA256()))


def test_a_header_that_is_known_is_not_read_again():
    known = parse_header(format_header(x5u=URL))
    assert parse_passport(token(x5u="https://other.example/"), lambda text: known).header is known
    assert parse_passport(token(), lambda text: None).header.x5u == URL


def test_div_and_rcd():
    diverted = CLAIMS | {"div": {"tn": "13035550100", "hi": "1.1"}}
    assert parse_passport(token(diverted, ppt="div")).div == Party("tn", "13035550100")
    assert parse_passport(token(diverted)).div is None
    for claims in ({"rcd": {"nam": "Example"}}, {"crn": "Your delivery"}, {"rcd": {"nam": "x", "icn": "https://i"}}):
        assert parse_passport(token(CLAIMS | claims, ppt="rcd")).claims.keys() >= claims.keys()


def test_several_called():
    claims = CLAIMS | {"dest": {"uri": ["sip:b@example"], "tn": ["1303", "*67#"]}}
    found = parse_passport(token(claims)).dest
    assert found == (Party("tn", "1303"), Party("tn", "*67#"), Party("uri", "sip:b@example"))


def test_json_need_not_be_deterministic():
    data = b' {"orig" : {"tn":"12025550123"}, "iat":1795000000, "dest":{"tn":["\\u0031"]}} '
    assert parse_passport(token(data)).dest == (Party("tn", "1"),)


# What is refused ----------------------------------------------------------------------------------------------------

TWO_ALGS = b'{"alg":"none","alg":"ES256","typ":"passport"}'
FORMS = {
    "nothing": ("", "malformed-token"),
    "two-parts": ("a.b", "malformed-token"),
    "four-parts": (token() + ".a", "malformed-token"),
    "compact-form": (".." + part(bytes(64)), "compact-form"),
    "not-ascii": (token() + "é", "malformed-token"),
    "too-long": ("a" * (MAX_TOKEN + 1), "malformed-token"),
    "padding": (token().replace(".", "=.", 1), "malformed-token"),
    "base64-not-base64url": (token(CLAIMS | {"x": "?>?>?>?>"}).replace("_", "/").replace("-", "+"), "malformed-token"),
    "newline": (token()[:-1] + "\n", "malformed-token"),
    "short-signature": (token(signature=bytes(63)), "malformed-token"),
    "signature-in-der": (token(signature=sign(b"x")), "malformed-token"),
    "other-last-bits": (token()[:-1] + "B", "malformed-token"),
    "header-is-no-json": (f"{part(b'{')}.{part(CLAIMS)}.{part(bytes(64))}", "malformed-header"),
    "header-is-a-list": (f"{part([])}.{part(CLAIMS)}.{part(bytes(64))}", "malformed-header"),
    "header-is-deep": (f"{part(b'[' * 9000)}.{part(CLAIMS)}.{part(bytes(64))}", "malformed-header"),
    "alg-none": (token(alg="none"), "alg-none"),
    "alg-None": (token(alg="None", signature=b""), "alg-none"),
    "alg-missing": (token(alg=None), "malformed-header"),
    "alg-number": (token(alg=256), "malformed-header"),
    "alg-hs256": (token(alg="HS256"), "unsupported-alg"),
    "alg-es384": (token(alg="ES384"), "unsupported-alg"),
    "alg-lower-case": (token(alg="es256"), "unsupported-alg"),
    "typ-jwt": (token(typ="JWT"), "wrong-typ"),
    "typ-missing": (token(typ=None), "wrong-typ"),
    "crit": (token(crit=["b64"], b64=False), "unknown-critical-header"),
    "ppt-number": (token(ppt=1), "malformed-header"),
    "ppt-empty": (token(ppt=""), "malformed-header"),
    "x5u-list": (token(x5u=[URL]), "malformed-header"),
    "x5c-empty": (token(x5c=[]), "malformed-x5c"),
    "x5c-text": (token(x5c="AAAA"), "malformed-x5c"),
    "x5c-base64url": (token(x5c=["_-__"]), "malformed-x5c"),
    "x5c-number": (token(x5c=[1]), "malformed-x5c"),
    "x5c-eleven": (token(x5c=["AAAA"] * 11), "malformed-x5c"),
    "header-name-twice": (
        f"{part(TWO_ALGS)}.{part(CLAIMS)}.{part(bytes(64))}",
        "duplicate-name",
    ),
    "claim-twice": (token(b'{"iat":1,"orig":{"tn":"1"},"orig":{"tn":"2"},"dest":{"tn":["3"]}}'), "duplicate-name"),
    "claim-twice-within": (token(b'{"iat":1,"orig":{"tn":"1","tn":"2"},"dest":{"tn":["3"]}}'), "duplicate-name"),
    "claims-are-text": (token(b'"x"'), "malformed-claims"),
    "claims-are-not-utf8": (token(b'{"a":"\xff"}'), "malformed-claims"),
}
WRONG_CLAIMS = {
    "no-iat": ({"iat": None}, "missing-claim"),
    "iat-text": ({"iat": "1795000000"}, "malformed-claim"),
    "iat-float": ({"iat": 1795000000.5}, "malformed-claim"),
    "iat-true": ({"iat": True}, "malformed-claim"),
    "iat-negative": ({"iat": -1}, "malformed-claim"),
    "iat-huge": ({"iat": 10**40}, "malformed-claim"),
    "no-orig": ({"orig": None}, "missing-claim"),
    "orig-text": ({"orig": "12025550123"}, "malformed-claim"),
    "orig-both": ({"orig": {"tn": "1", "uri": "sip:a"}}, "malformed-claim"),
    "orig-neither": ({"orig": {}}, "malformed-claim"),
    "orig-list": ({"orig": {"tn": ["1"]}}, "malformed-claim"),
    "orig-plus": ({"orig": {"tn": "+12025550123"}}, "number-not-canonical"),
    "orig-separators": ({"orig": {"tn": "1-202-555-0123"}}, "number-not-canonical"),
    "orig-16-digits": ({"orig": {"tn": "1" * 16}}, "number-not-canonical"),
    "orig-arabic-digits": ({"orig": {"tn": "١٢٣"}}, "number-not-canonical"),
    "orig-empty": ({"orig": {"tn": ""}}, "malformed-claim"),
    "no-dest": ({"dest": None}, "missing-claim"),
    "dest-text": ({"dest": {"tn": "1"}}, "malformed-claim"),
    "dest-empty": ({"dest": {"tn": []}}, "malformed-claim"),
    "dest-number": ({"dest": {"tn": [1]}}, "malformed-claim"),
}
WRONG_EXTENSIONS = {
    "shaken-without-attest": ("shaken", SHAKEN | {"attest": None}, "missing-claim"),
    "shaken-without-origid": ("shaken", CLAIMS | {"attest": "A"}, "missing-claim"),
    "attest-d": ("shaken", SHAKEN | {"attest": "D"}, "malformed-claim"),
    "attest-lower-case": ("shaken", SHAKEN | {"attest": "a"}, "malformed-claim"),
    "div-without-div": ("div", CLAIMS, "missing-claim"),
    "div-text": ("div", CLAIMS | {"div": "1303"}, "malformed-claim"),
    "rcd-without-rcd": ("rcd", CLAIMS, "missing-claim"),
    "rcd-without-name": ("rcd", CLAIMS | {"rcd": {}}, "malformed-claim"),
    "rcd-text": ("rcd", CLAIMS | {"rcd": "Example"}, "malformed-claim"),
    "crn-list": ("rcd", CLAIMS | {"crn": []}, "malformed-claim"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_wrong_form(name):
    text, reason = FORMS[name]
    assert refused(text) == reason


@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_a_wrong_claim(name):
    changed, reason = WRONG_CLAIMS[name]
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    assert refused(token(claims)) == reason


@pytest.mark.parametrize("name", WRONG_EXTENSIONS)
def test_a_wrong_extension(name):
    ppt, claims, reason = WRONG_EXTENSIONS[name]
    assert refused(token(claims, ppt=ppt)) == reason


def test_every_base64url_character_in_the_signature_matters():
    """The last one has four bits that mean nothing; they must be zero, so a signature has one spelling."""
    text = token(signature=bytes(range(64)))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    readable = [last for last in alphabet if _reads(text[:-1] + last)]
    assert readable == ["A", "Q", "g", "w"]


def _reads(text: str) -> bool:
    try:
        return len(parse_passport(text).signature) == 64
    except InputError:
        return False


@given(st.binary(max_size=80) | st.text(max_size=80), st.integers(0, len(RFC_TOKEN)), st.integers(0, 3))
def test_no_text_raises_anything_else(data, at, taken):
    base = RFC_TOKEN if isinstance(data, str) else RFC_TOKEN.encode()
    for text in (data, base[:at] + data + base[at + taken :]):
        try:
            parse_passport(text)
        except (MalformedError, RefusedError) as error:
            assert error.reason in KNOWN_WORDS  # noqa: PT017 - which of the two it is does not matter here


KNOWN_WORDS = {
    *("malformed-token", "compact-form", "malformed-header", "malformed-claims", "malformed-x5c", "duplicate-name"),
    *("alg-none", "unsupported-alg", "wrong-typ", "unknown-critical-header", "missing-claim", "malformed-claim"),
    "number-not-canonical",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["alg", "typ", "ppt", "x5u", "x5c", "crit", "iat", "orig", "dest", "div", "rcd", "attest", "tn"]
)


@given(st.dictionaries(MEMBERS, JSON, max_size=3), st.dictionaries(MEMBERS, JSON, max_size=4),
       st.sampled_from(["", "shaken", "div", "rcd"]))  # fmt: skip
def test_no_json_raises_anything_else(header, claims, ppt):
    text = token(SHAKEN | {"div": {"tn": "1"}, "rcd": {"nam": ""}} | claims, **({"ppt": ppt or None} | header))
    try:
        found = parse_passport(text)
    except (MalformedError, RefusedError) as error:
        assert error.reason in KNOWN_WORDS  # noqa: PT017 - as above
    else:
        assert found.orig.value


# What is written ----------------------------------------------------------------------------------------------------


def test_json_is_written_deterministically():
    """RFC 8225 section 9.1's example, in its order."""
    value = {"orig": {"tn": "12155551212"}, "iat": 1443208345, "dest": {"uri": ["sip:alice@example.com"]}}
    written = b'{"dest":{"uri":["sip:alice@example.com"]},"iat":1443208345,"orig":{"tn":"12155551212"}}'
    assert canonical_json(value) == written
    with pytest.raises(MalformedError):
        canonical_json({"x": b"bytes"})


@given(st.binary(min_size=64, max_size=64))
@example(bytes(64))
@example(bytes(31) + b"\x80" + bytes(30) + b"\0\x7f")
@example(b"\xff" * 64)
def test_signatures_between_their_two_forms(raw):
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    assert der_signature(raw) == encode_dss_signature(r, s)
    assert raw_signature(der_signature(raw)) == raw


def test_what_is_no_signature_on_p256():
    p384 = ec.generate_private_key(ec.SECP384R1()).sign(b"x", ec.ECDSA(hashes.SHA384()))
    for der in (b"", b"0", bytes(70), p384):
        with pytest.raises(MalformedError):
            raw_signature(der)
