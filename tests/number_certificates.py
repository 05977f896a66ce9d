"""Certificates whose extensions and common name a test chooses freely, unsigned, and the lists that go into them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from ctlog.tn.by_reference import OID_ACCESS, OID_STIR_TN_LIST
from ctlog.tn.identity import Identity, read_identity
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tel_uri import OID_ALT_NAME
from ctlog.tn.tnauthlist import OID_TNAUTHLIST, format_tnauthlist
from ctlog.x509.der import Certificate, format_tlv, oid, parse_certificate

_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")
_VALIDITY = format_tlv(0x30, (b"\x17\x0d250101000000Z") * 2)


def extension(kind: bytes, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension in DER."""
    flag = b"\x01\x01\xff" if critical else b""
    return format_tlv(0x30, format_tlv(6, kind) + flag + format_tlv(4, value))


def number_list(value: bytes | Sequence[Claim], *, critical: bool = False) -> bytes:
    """A TNAuthList extension, around these bytes or these claims."""
    return extension(OID_TNAUTHLIST, value if isinstance(value, bytes) else format_tnauthlist(value), critical=critical)


def names(*uris: bytes, tag: int = 0x86) -> bytes:
    """A SubjectAltName extension with these names."""
    return extension(OID_ALT_NAME, format_tlv(0x30, b"".join(format_tlv(tag, uri) for uri in uris)))


def access(*urls: bytes, tag: int = 0x86, method: bytes = OID_STIR_TN_LIST) -> bytes:
    """An AuthorityInfoAccess extension with these places of the scope."""
    places = [format_tlv(0x30, format_tlv(6, method) + format_tlv(tag, url)) for url in urls]
    return extension(OID_ACCESS, format_tlv(0x30, b"".join(places)))


def certificate(*extensions: bytes, common_name: str | None = "Example") -> Certificate:
    """A certificate with these extensions (DER). Its signature is none."""
    pair = format_tlv(0x30, format_tlv(6, oid("2.5.4.3")) + format_tlv(12, (common_name or "").encode()))
    subject = format_tlv(0x30, format_tlv(0x31, pair) if common_name is not None else b"")
    tbs = [
        bytes.fromhex("a003020102"), bytes.fromhex("020101"), _ALGORITHM, bytes.fromhex("3000"), _VALIDITY, subject,
        bytes.fromhex("3000"),
    ]  # fmt: skip
    if extensions:
        tbs.append(format_tlv(0xA3, format_tlv(0x30, b"".join(extensions))))
    return parse_certificate(format_tlv(0x30, format_tlv(0x30, b"".join(tbs)) + _ALGORITHM + b"\x03\x01\x00"))


def identity(*extensions: bytes, common_name: str | None = "Example") -> Identity:
    """What a certificate with these extensions claims."""
    return read_identity(certificate(*extensions, common_name=common_name))


def holding(*claims: Claim) -> Identity:
    """What a certificate claims whose TNAuthList has these entries."""
    return identity(number_list(claims))


def number(digits: str) -> TelephoneNumber:
    """A number."""
    return TelephoneNumber(digits)


def block(start: str, count: int) -> NumberRange:
    """A range."""
    return NumberRange(start, count)


def code(text: str) -> ServiceProviderCode:
    """A service provider code."""
    return ServiceProviderCode(text)


numbers = st.builds(TelephoneNumber, st.text("0123456789*#", min_size=1, max_size=15))
numeric = st.builds(TelephoneNumber, st.text("0123456789", min_size=1, max_size=15))
codes = st.builds(ServiceProviderCode, st.text(st.characters(max_codepoint=127), max_size=12))


@st.composite
def ranges(draw: st.DrawFn, max_width: int = 15) -> NumberRange:
    """Any range, those at the end of their length too."""
    width = draw(st.integers(1, max_width))
    lo = draw(st.integers(0, 10**width - 2))
    hi = draw(st.one_of(st.integers(lo + 2, 10**width), st.just(10**width), st.just(lo + 2)))
    return NumberRange(str(lo).zfill(width), hi - lo)


claims: st.SearchStrategy[Claim] = st.one_of(numbers, numeric, codes, ranges())
lists = st.lists(claims, min_size=1, max_size=6)
