"""DER as RFC 5280 section 4.1 uses it: a certificate split into its raw parts, every byte preserved.

In scope: the frame of Certificate, TBSCertificate and its extensions, read strictly (X.690 section 10.1: definite,
minimal lengths; no bytes left over); the parts as slices of the original; validity as milliseconds. Everything
*inside* a part (a Name, a key, a serial number, an extension's value) is opaque: what a log cannot read it still
records. Out of scope: names as text (`names`), signatures (`chain`), CT (`precert`), numbers (`ctlog.tn`).

`read_tlv` and `children` are the strict reader for whoever looks inside a part. OIDs are kept as their content octets,
which compare fast and exactly; `oid("1.2.840.10045.2.1")` gives these and `oid_text` the dotted form.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

from ctlog.errors import MalformedError

try:
    _fast: Any = import_module("ctlog.x509._der")
except ImportError:  # it was not compiled, or CTLOG_NO_KERNEL switches it off: the same more slowly
    _fast = None

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, PRINTABLE_STRING, IA5_STRING, UTC_TIME, GENERALIZED_TIME = 0x0C, 0x13, 0x16, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MAX_LENGTH_OCTETS = 4  # lengths below 2^32; every limit of the log is far smaller


# --- reading and writing one element ---------------------------------------------------------------------------------


def read_tlv(data: bytes, at: int, stop: int, field: str, what: str = "an element") -> tuple[int, int, int]:
    """Read the element at `at`, which must end at or before `stop`. Returns (tag, content start, content end).

    Strict: low tag numbers, definite and minimal length. `field` names `data` and `what` the element in the error.

    Raises: MalformedError, its offset counted from the start of `data`.
    """
    if at + 2 > stop:
        raise _malformed(field, f"{what} is cut short", at)
    tag, length, lo = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise _malformed(field, f"{what} has a tag number above 30", at)
    if length >= 0x80:
        octets = length & 0x7F
        if octets == 0:
            raise _malformed(field, f"{what} has an indefinite length", at + 1)
        if octets > _MAX_LENGTH_OCTETS:
            raise _malformed(field, f"{what} has a length of {octets} octets", at + 1)
        lo += octets
        if lo > stop:
            raise _malformed(field, f"{what} is cut short", at)
        length = int.from_bytes(data[at + 2 : lo], "big")
        if length < 0x80 or length >> (8 * (octets - 1)) == 0:
            raise _malformed(field, f"{what} has a length that is not minimal", at + 1)
    hi = lo + length
    if hi > stop:
        raise _malformed(field, f"{what} ends {hi - stop} bytes beyond what holds it", at)
    return tag, lo, hi


def expect(data: bytes, at: int, stop: int, tag: int, field: str, what: str = "an element") -> tuple[int, int]:
    """Read the element at `at`, which must have the given tag (of a number up to 30): (content start, content end).

    Raises: MalformedError, as `read_tlv`.
    """
    if at + 4 < stop and data[at] == tag:  # what nearly all are, read in place; `read_tlv` is the specification
        length = data[at + 1]
        if length < 0x80:
            hi = at + 2 + length
            if hi <= stop:
                return at + 2, hi
        elif length == 0x82 and data[at + 2]:
            hi = at + 4 + (data[at + 2] << 8) + data[at + 3]
            if hi <= stop:
                return at + 4, hi
        elif length == 0x81 and data[at + 2] >= 0x80:
            hi = at + 3 + data[at + 2]
            if hi <= stop:
                return at + 3, hi
    found, lo, hi = read_tlv(data, at, stop, field, what)
    if found != tag:
        raise _malformed(field, f"{what} has tag 0x{found:02x}, not 0x{tag:02x}", at)
    return lo, hi


def children(data: bytes, lo: int, hi: int, field: str, what: str = "an element") -> list[tuple[int, int, int]]:
    """Read the elements that fill data[lo:hi] exactly, each as (tag, content start, content end).

    Raises: MalformedError.
    """
    found = []
    while lo < hi:
        element = read_tlv(data, lo, hi, field, what)
        found.append(element)
        lo = element[2]
    return found


def elements(der: bytes, field: str) -> list[bytes]:
    """The elements inside of `der`, one constructed element, each whole. Raises: MalformedError."""
    found: list[bytes] | None = _fast.elements(der) if _fast is not None else None
    return _elements(der, field) if found is None else found


def _elements(der: bytes, field: str) -> list[bytes]:
    """`elements`: the specification of `der.c`, and who says what is wrong."""
    (at, stop), found = only_child(der, der[0] if der else SEQUENCE, field), []
    for _, _, end in children(der, at, stop, field):
        found.append(der[at:end])
        at = end
    return found


def only_child(data: bytes, tag: int, field: str) -> tuple[int, int]:
    """Read `data` as exactly one element with the given tag: (content start, content end). Raises: MalformedError."""
    lo, hi = expect(data, 0, len(data), tag, field, "it")
    if hi != len(data):
        raise _malformed(field, f"{len(data) - hi} bytes follow its end", hi)
    return lo, hi


@lru_cache(4096)  # there are few tags, and what is issued in bulk has few lengths
def format_header(tag: int, length: int) -> bytes:
    """Write an identifier octet and a minimal length."""
    if length < 0x80:
        return bytes((tag, length))
    octets = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | octets)) + length.to_bytes(octets, "big")


def format_tlv(tag: int, content: bytes) -> bytes:
    """Write one element."""
    return format_header(tag, len(content)) + content


def oid(dotted: str) -> bytes:
    """Give the content octets of an OBJECT IDENTIFIER written with dots (X.690 section 8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        out += bytes(reversed(groups))
    return bytes(out)


def oid_text(content: bytes) -> str:
    """Give an OID's dotted form; total: octets that are no OID are given as "#" and hexadecimal."""
    arcs, arc, fresh = [], 0, True
    for octet in content:
        if fresh and octet == 0x80:
            return "#" + content.hex()
        arc, fresh = arc << 7 | octet & 0x7F, octet < 0x80
        if fresh:
            arcs.append(arc)
            arc = 0
    if not arcs or not fresh:
        return "#" + content.hex()
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _malformed(field: str, problem: str, offset: int) -> MalformedError:
    return MalformedError(f"{field}: {problem} (offset {offset})", field=field, offset=offset)


# --- a certificate ---------------------------------------------------------------------------------------------------


class Extension(NamedTuple):
    """One extension (RFC 5280 section 4.1).

    oid: content octets of extnID. critical: true if the BOOLEAN is there with any bit set. value: what is inside
    extnValue's OCTET STRING. der: the whole element.
    """

    oid: bytes
    critical: bool
    value: bytes
    der: bytes


class Certificate(NamedTuple):
    """A certificate's raw parts, all slices of `der`; holding one means that its frame was read strictly.

    tbs: TBSCertificate, whole element. algorithm, inner_algorithm: AlgorithmIdentifier elements, outside and inside
    of the TBSCertificate. signature: the BIT STRING's octets. version: 1, 2, 3 ..., None if unreadable. serial: the
    INTEGER's octets. issuer, subject, spki, validity: whole elements. not_before_ms, not_after_ms: milliseconds since
    1970, None if the time is not written as RFC 5280 section 4.1.2.5 says. Offsets into `der`: tbs_at (first field of
    the TBSCertificate), issuer_at, extensions_at ([3], or the end of the TBSCertificate if there is none).
    """

    der: bytes
    tbs: bytes
    algorithm: bytes
    signature: bytes
    inner_algorithm: bytes
    version: int | None
    serial: bytes
    issuer: bytes
    validity: bytes
    not_before_ms: int | None
    not_after_ms: int | None
    subject: bytes
    spki: bytes
    extensions: tuple[Extension, ...]
    tbs_at: int
    issuer_at: int
    extensions_at: int

    @property
    def serial_number(self) -> int:
        """The serial number as a signed integer."""
        return int.from_bytes(self.serial, "big", signed=True)

    def extension(self, oid: bytes) -> Extension | None:
        """Give the first extension with this OID (RFC 5280 allows one)."""
        for extension in self.extensions:
            if extension.oid == oid:
                return extension
        return None

    def extensions_of(self, oid: bytes) -> list[Extension]:
        """Give all extensions with this OID."""
        return [extension for extension in self.extensions if extension.oid == oid]


def parse_certificate(der: bytes, field: str = "certificate") -> Certificate:
    """Split a certificate (RFC 5280 section 4.1) into its raw parts.

    Refuses only what is no certificate: indefinite or non-minimal lengths in Certificate, TBSCertificate and the
    wrappers of extensions, a part that is missing or has another tag, bytes left over.

    Raises: MalformedError, with `field` and the offset from the certificate's first byte.
    """
    found: Certificate | None = _fast.parse(der, Certificate, Extension) if _fast is not None else None
    return _parse_certificate(der, field) if found is None else found


def _parse_certificate(der: bytes, field: str) -> Certificate:
    """`parse_certificate`: the specification of `der.c`, and who says what is wrong."""
    # The outer three first: that something follows the TBSCertificate is relied upon in `_read_extensions`.
    size = len(der)
    at, stop = expect(der, 0, size, SEQUENCE, field, "the certificate")
    if stop != size:
        raise _malformed(field, f"{size - stop} bytes follow its end", stop)
    tbs_at, tbs_stop = expect(der, at, stop, SEQUENCE, field, "tbsCertificate")
    tbs = der[at:tbs_stop]
    _, at = expect(der, tbs_stop, stop, SEQUENCE, field, "signatureAlgorithm")
    algorithm = der[tbs_stop:at]
    lo, hi = expect(der, at, stop, BIT_STRING, field, "signatureValue")
    if hi != stop:
        raise _malformed(field, f"{stop - hi} bytes follow signatureValue", hi)
    if lo == hi or der[lo] != 0:
        raise _malformed(field, "signatureValue is not made of whole octets", lo)
    signature = der[lo + 1 : hi]

    at = tbs_at
    version: int | None = 1
    if at < tbs_stop and der[at] == 0xA0:
        lo, at = expect(der, at, tbs_stop, 0xA0, field, "version")
        version = 3 if der[lo:at] == b"\x02\x01\x02" else _read_version(der[lo:at])
    lo, at = expect(der, at, tbs_stop, INTEGER, field, "serialNumber")
    serial = der[lo:at]
    start = at
    _, issuer_at = expect(der, at, tbs_stop, SEQUENCE, field, "signature")
    inner_algorithm = der[start:issuer_at]
    _, at = expect(der, issuer_at, tbs_stop, SEQUENCE, field, "issuer")
    issuer, start = der[issuer_at:at], at
    lo, at = expect(der, at, tbs_stop, SEQUENCE, field, "validity")
    validity, start = der[start:at], at
    not_before_ms, not_after_ms = _read_validity(der[lo:at])
    _, at = expect(der, at, tbs_stop, SEQUENCE, field, "subject")
    subject, start = der[start:at], at
    _, at = expect(der, at, tbs_stop, SEQUENCE, field, "subjectPublicKeyInfo")
    spki = der[start:at]
    for tag, what in ((0x81, "issuerUniqueID"), (0x82, "subjectUniqueID")):
        if at < tbs_stop and der[at] == tag:
            _, at = expect(der, at, tbs_stop, tag, field, what)
    extensions_at = at
    extensions: tuple[Extension, ...] = ()
    if at < tbs_stop:
        lo, at = expect(der, at, tbs_stop, 0xA3, field, "extensions")
        if at != tbs_stop:
            raise _malformed(field, f"{tbs_stop - at} bytes follow the extensions", at)
        lo, hi = expect(der, lo, at, SEQUENCE, field, "extensions")
        if hi != at:
            raise _malformed(field, f"{at - hi} bytes follow the last extension", hi)
        extensions = _read_extensions(der, lo, hi, field)
    return Certificate(
        der, tbs, algorithm, signature, inner_algorithm, version, serial, issuer, validity, not_before_ms,
        not_after_ms, subject, spki, extensions, tbs_at, issuer_at, extensions_at,
    )  # fmt: skip


def _read_extensions(der: bytes, at: int, stop: int, field: str) -> tuple[Extension, ...]:
    """Read SEQUENCE OF Extension. Elements below 128 bytes, nearly all, are read in place; `read_extension` is the
    specification, and says what is wrong with the others.

    What follows the TBSCertificate has five bytes at least, so nothing here can look beyond the end of `der`; and a
    long form of a length (an octet from 0x80) always points beyond the element, so it is left to `read_extension`.
    """
    found: list[Extension] = []
    new = tuple.__new__
    while at < stop:
        end = at + 2 + der[at + 1]
        lo = at + 4 + der[at + 3]  # where the OID ends
        if der[at] == SEQUENCE and end <= stop and lo < end and der[at + 2] == OBJECT_IDENTIFIER and end - at < 130:
            value, critical = lo, False
            if der[lo] == BOOLEAN and der[lo + 1] == 1:
                critical = der[lo + 2] != 0
                value = lo + 3
            if der[value] == OCTET_STRING and value + 2 + der[value + 1] == end:
                found.append(new(Extension, (der[at + 4 : lo], critical, der[value + 2 : end], der[at:end])))
                at = end
                continue
        extension = read_extension(der, at, stop, field)
        found.append(extension)
        at += len(extension.der)
    return tuple(found)


def read_extension(data: bytes, at: int, stop: int, field: str) -> Extension:
    """Read the one Extension at `at`. Raises: MalformedError."""
    lo, end = expect(data, at, stop, SEQUENCE, field, "an extension")
    lo, value = expect(data, lo, end, OBJECT_IDENTIFIER, field, "an extension's OID")
    oid, critical = data[lo:value], False
    if value < end and data[value] == BOOLEAN:
        lo, value = expect(data, value, end, BOOLEAN, field, "an extension's critical flag")
        critical = any(data[lo:value])
    lo, hi = expect(data, value, end, OCTET_STRING, field, "an extension's value")
    if hi != end:
        raise _malformed(field, f"{end - hi} bytes follow an extension's value", hi)
    return Extension(oid, critical, data[lo:hi], data[at:end])


def _read_version(content: bytes) -> int | None:
    if len(content) == 3 and content[:2] == b"\x02\x01":
        return content[2] + 1
    return None


@lru_cache(4096)  # of 30 bytes each; what is issued in bulk shares its times
def _usual_validity(content: bytes) -> tuple[int | None, int | None]:
    return _utc_time(content[2:15]), _utc_time(content[17:])


def _read_validity(content: bytes) -> tuple[int | None, int | None]:
    """Read notBefore and notAfter; what is inside `validity` is opaque, so unreadable is None."""
    if len(content) == 30 and content[:2] == b"\x17\x0d" and content[15:17] == b"\x17\x0d":
        return _usual_validity(content)
    try:
        times = children(content, 0, len(content), "validity")
    except MalformedError:
        return None, None
    if len(times) != 2:
        return None, None
    first, second = (read_time(tag, content[lo:hi]) for tag, lo, hi in times)
    return first, second


def read_time(tag: int, content: bytes) -> int | None:
    """Read a Time as RFC 5280 section 4.1.2.5 writes it (seconds, "Z", no fraction): ms since 1970, else None."""
    if tag == UTC_TIME:
        return _utc_time(content)
    if tag != GENERALIZED_TIME or len(content) != 15 or content[14:] != b"Z" or not content[:14].isdigit():
        return None
    return _instant_ms(int(content[:14]))


def _utc_time(content: bytes) -> int | None:
    digits = content[:12]
    if len(content) != 13 or content[12] != 0x5A or not digits.isdigit():
        return None
    number = int(digits)
    # RFC 5280 section 4.1.2.5.1: "YY >= 50 shall be interpreted as 19YY"
    return _instant_ms(number + (19000000000000 if number >= 500000000000 else 20000000000000))


def _instant_ms(number: int) -> int | None:
    """Turn the number YYYYMMDDhhmmss, UTC, into milliseconds since 1970; None if there is no such time."""
    days, clock = divmod(number, 1000000)
    hour, clock = divmod(clock, 10000)
    minute, second = divmod(clock, 100)
    if hour > 23 or minute > 59 or second > 59:
        return None
    try:
        day = date(days // 10000, days // 100 % 100, days % 100).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    return (((day * 24 + hour) * 60 + minute) * 60 + second) * 1000
