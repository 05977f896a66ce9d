"""Names as text for people, in the manner of RFC 4514; total, and safe to print whatever a CA wrote.

In scope: one line for a Name, the values of an attribute, escaping. Out of scope: comparing names, which is done on
raw bytes (`chain`), and writing them (`ctlog.issuance`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from ctlog.errors import MalformedError
from ctlog.x509.der import (
    IA5_STRING,
    OBJECT_IDENTIFIER,
    PRINTABLE_STRING,
    SEQUENCE,
    SET,
    UTF8_STRING,
    expect,
    oid,
    oid_text,
    only_child,
    read_tlv,
)

# RFC 4514 section 3, with the few further words that certificates of this field use.
ATTRIBUTE_WORDS = {
    oid("2.5.4.3"): "CN",
    oid("2.5.4.5"): "serialNumber",
    oid("2.5.4.6"): "C",
    oid("2.5.4.7"): "L",
    oid("2.5.4.8"): "ST",
    oid("2.5.4.9"): "STREET",
    oid("2.5.4.10"): "O",
    oid("2.5.4.11"): "OU",
    oid("2.5.4.97"): "organizationIdentifier",
    oid("0.9.2342.19200300.100.1.1"): "UID",
    oid("0.9.2342.19200300.100.1.25"): "DC",
    oid("1.2.840.113549.1.9.1"): "emailAddress",
}
OID_COMMON_NAME, OID_COUNTRY, OID_ORGANIZATION = oid("2.5.4.3"), oid("2.5.4.6"), oid("2.5.4.10")

REMEMBERED_SIZE = 512
"""Bytes of the longest Name of which anything is remembered: certificates of one holder share theirs."""

_CHARSETS = {
    UTF8_STRING: "utf-8", PRINTABLE_STRING: "ascii", IA5_STRING: "ascii", 0x12: "ascii", 0x1A: "ascii",
    0x14: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be",
}  # fmt: skip
_SPECIAL = frozenset('"+,;<>\\')
_PLAIN = re.compile(r'(?![ #])[^"+,;<>\\]*(?<! )').fullmatch


def name_text(name: bytes) -> str:
    r"""Write a Name as one line for people, in the manner of RFC 4514 ("CN=SHAKEN 709J,O=Example,C=US").

    Total: never raises, whatever the bytes. Safe to print: controls, bidirectional marks and whatever else does not
    print are written as `\` and two hexadecimal digits for each octet of their UTF-8. A value that is not text is
    "#" and its DER in hexadecimal, and so is a Name that cannot be read.
    """
    return _short_name_text(name) if len(name) <= REMEMBERED_SIZE else _name_text(name)


@lru_cache(2048)  # 4 MB at most
def _short_name_text(name: bytes) -> str:
    return _name_text(name)


def _name_text(name: bytes) -> str:
    try:
        rdns = _relative_names(name)
    except MalformedError:
        return "#" + name.hex()
    rdns.reverse()
    return ",".join(["+".join([_attribute_text(kind, value) for kind, value in rdn]) for rdn in rdns])


def attribute(name: bytes, oid: bytes) -> list[str]:
    """Give the text of every attribute with this OID, in order, unescaped; unreadable ones are left out. Total."""
    try:
        rdns = _relative_names(name)
    except MalformedError:
        return []
    values = [_decode(value) for rdn in rdns for found, value in rdn if found == oid]
    return [value for value in values if value is not None]


def escape(text: str) -> str:
    r"""Escape a value as RFC 4514 section 2.4 says, and all that does not print besides."""
    if _PLAIN(text) and text.isprintable():
        return text
    out = "".join([_escape_character(character) for character in text])
    if text.startswith(("#", " ")):
        out = "\\" + out
    if text.endswith(" ") and len(text) > 1:
        out = out[:-1] + "\\ "
    return out


def _relative_names(name: bytes) -> list[list[tuple[bytes, bytes]]]:
    """Read Name: for each RDN its (attribute OID, value element). Raises: MalformedError.

    An RDN of one attribute and below 128 bytes, as nearly all are, is read in place; a long form of a length (an octet
    from 0x80) never fits there.
    """
    rdns = []
    lo, hi = only_child(name, SEQUENCE, "name")
    while lo < hi:
        if lo + 6 < hi and name[lo] == SET and name[lo + 2] == SEQUENCE and name[lo + 4] == OBJECT_IDENTIFIER:
            length = name[lo + 1]
            end, stop = lo + 2 + length, lo + 6 + name[lo + 5]
            if stop < end <= hi and length < 0x80 and name[lo + 3] == length - 2:
                rdns.append([(name[lo + 6 : stop], name[stop:end])])
                lo = end
                continue
        at, end = expect(name, lo, hi, SET, "name", "an RDN")
        rdn = []
        while at < end:
            start, at = expect(name, at, end, SEQUENCE, "name", "an attribute")
            start, stop = expect(name, start, at, OBJECT_IDENTIFIER, "name", "an attribute's OID")
            rdn.append((name[start:stop], name[stop:at]))
        rdns.append(rdn)
        lo = end
    return rdns


def _attribute_text(kind: bytes, value: bytes) -> str:
    text = _decode(value)
    word = ATTRIBUTE_WORDS.get(kind) or oid_text(kind)
    return word + "=#" + value.hex() if text is None else word + "=" + escape(text)


def _decode(value: bytes) -> str | None:
    size = len(value)
    try:
        if 2 <= size < 0x82 and value[1] == size - 2:
            return value[2:].decode(_CHARSETS[value[0]])
        tag, lo, hi = read_tlv(value, 0, size, "value")
        return value[lo:hi].decode(_CHARSETS[tag]) if hi == size else None
    except (MalformedError, KeyError, UnicodeDecodeError):
        return None


def _escape_character(character: str) -> str:
    if character in _SPECIAL:
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\{octet:02x}" for octet in character.encode("utf-8", "surrogatepass"))
