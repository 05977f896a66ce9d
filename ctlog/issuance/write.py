"""DER for certificates, piece by piece: what `ctlog.x509.der` reads, written.

Spec: X.690; RFC 5280 sections 4.1.2.4 (names) and 4.1.2.5 (times). In scope: the elements that a TBSCertificate is made
of, as bytes, so that what is signed at the end is byte for byte what was logged. Out of scope: what belongs into a
certificate (`profiles`, `rcs`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from ctlog.errors import UsageError
from ctlog.x509.der import PRINTABLE_STRING, UTF8_STRING, elements, format_tlv, oid

_ATTRIBUTES = {
    "C": "2.5.4.6", "ST": "2.5.4.8", "L": "2.5.4.7", "O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3",
    "serialNumber": "2.5.4.5",
}  # fmt: skip
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


def tlv(tag: int, *parts: bytes) -> bytes:
    """One element with these contents."""
    return format_tlv(tag, b"".join(parts))


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE."""
    return format_tlv(0x30, b"".join(parts))


def integer(value: int) -> bytes:
    """An INTEGER."""
    bits = (value if value >= 0 else ~value).bit_length()  # -128 fits into one octet
    return format_tlv(0x02, value.to_bytes(bits // 8 + 1, "big", signed=True))


def bit_string(data: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return format_tlv(0x03, b"\x00" + data)


@lru_cache(256)
def object_id(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    return format_tlv(0x06, oid(dotted))


@lru_cache(1024)  # by the second: certificates of one run share their times
def _moment(second: int) -> bytes:
    when = datetime.fromtimestamp(second, UTC)
    if when.year < 2050:
        return format_tlv(0x17, when.strftime("%y%m%d%H%M%SZ").encode())
    return format_tlv(0x18, when.strftime("%Y%m%d%H%M%SZ").encode())


def moment(ms: int) -> bytes:
    """RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds."""
    return _moment(ms // 1000)


def validity(not_before_ms: int, not_after_ms: int) -> bytes:
    """A Validity, both ends included."""
    return sequence(_moment(not_before_ms // 1000), _moment(not_after_ms // 1000))


def name(**attributes: str) -> bytes:
    """A Name in DER, one attribute to a part, in the order given: `name(C="US", O="Example", CN="SHAKEN 709J")`.

    PrintableString where the characters allow it, else UTF8String (RFC 5280 section 4.1.2.4).
    """
    return _name(tuple(attributes.items()))


@lru_cache(1024)  # the certificates of one holder share theirs
def _name(attributes: tuple[tuple[str, str], ...]) -> bytes:
    parts = []
    for key, text in attributes:
        if key not in _ATTRIBUTES:
            raise UsageError(f"a name has no attribute {key}; it may have {', '.join(_ATTRIBUTES)}")
        parts.append(attribute(key, text, PRINTABLE_STRING if _PRINTABLE.issuperset(text) else UTF8_STRING))
    return sequence(*parts)


def attribute(key: str, text: str, tag: int) -> bytes:
    """One RelativeDistinguishedName, its string of the given type."""
    return tlv(0x31, sequence(object_id(_ATTRIBUTES[key]), tlv(tag, text.encode())))


def items(der: bytes) -> list[bytes]:
    """The elements inside one constructed element. Raises MalformedError."""
    return elements(der, "tbs")
