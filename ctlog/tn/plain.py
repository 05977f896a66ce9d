"""One telephone number in its usual form, told without reading: what nearly all number certificates have.

In scope: an extension that names one E.164 number, as a TNAuthList (RFC 8226 section 9) or as a `tel:` name (GSMA
RCC.16), in the DER that every writer makes of it. Such a certificate claims that number and nothing else, and nothing
is odd about it (`identity`), unless its subject may say a code. Out of scope: all other forms, which `identity` reads.
"""

from __future__ import annotations

from ctlog.tn.numbers import MAX_DIGITS
from ctlog.tn.readings import SHORTEST
from ctlog.tn.tel_uri import OID_ALT_NAME
from ctlog.tn.tnauthlist import OID_TNAUTHLIST
from ctlog.x509.der import IA5_STRING, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, format_header


def _heads(kind: bytes, before: bytes, *tags: int) -> dict[int, bytes]:
    """What stands before the digits of the one number, by the length of the whole extension."""
    heads = {}
    for digits in range(SHORTEST, MAX_DIGITS + 1):
        head = before
        for tag in tags:
            head = format_header(tag, digits + len(head)) + head
        head = format_header(OBJECT_IDENTIFIER, len(kind)) + kind + head
        head = format_header(SEQUENCE, digits + len(head)) + head
        heads[digits + len(head)] = head
    return heads


_LISTS = _heads(OID_TNAUTHLIST, b"", IA5_STRING, 0xA2, SEQUENCE, OCTET_STRING)
_NAMES = _heads(OID_ALT_NAME, b"tel:+", 0x86, SEQUENCE, OCTET_STRING)


def plain_number(extension: bytes) -> bytes | None:
    """The digits of the one number that an extension (the whole element) names; None where it has to be read."""
    head = _LISTS.get(len(extension))
    if head is None or not extension.startswith(head):
        head = _NAMES.get(len(extension))
        if head is None or not extension.startswith(head):
            return None
    digits = extension[len(head) :]
    return digits if digits.isdigit() and digits[0] != 0x30 else None
