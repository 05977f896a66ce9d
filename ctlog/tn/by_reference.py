"""Scopes kept elsewhere: RFC 8226 section 10.1, access method id-ad-stirTNList in AuthorityInfoAccess (RFC 5280).

In scope: the URLs at which a TNAuthorizationList is said to lie. They are recorded and never opened here. Out of scope:
fetching, and the other access methods.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ctlog.errors import MalformedError
from ctlog.tn.findings import Finding, finding, quote
from ctlog.x509.der import OBJECT_IDENTIFIER, SEQUENCE, children, expect, oid, only_child, read_tlv

OID_ACCESS = oid("1.3.6.1.5.5.7.1.1")  # id-pe-authorityInfoAccess
OID_STIR_TN_LIST = oid("1.3.6.1.5.5.7.48.14")
UNREADABLE_REFERENCE = "reference-unreadable"
_URI = 0x86
_URL = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://[!-~]+")


class References(NamedTuple):
    """urls: in their order, each character one octet. findings: about them."""

    urls: tuple[str, ...]
    findings: tuple[Finding, ...]


def read_references(access: bytes) -> References | None:
    """Read the value of an AuthorityInfoAccess extension; None if it names no scope. Total.

    What is not DER but has the access method in it names one too: every URL in it is then taken for its place.
    """
    if OID_STIR_TN_LIST not in access:
        return None
    try:
        places, unreadable = _locations(access), False
    except MalformedError:
        places, unreadable = [found.group() for found in _URL.finditer(access)], True
    if not places and not unreadable:
        return None  # these octets are part of something else
    urls = tuple(place.decode("latin-1") for place in places if _URL.fullmatch(place))
    findings = [finding("scope-by-reference", quote(urls[0]) if urls else "")]
    if unreadable or len(urls) < len(places):
        findings.append(finding(UNREADABLE_REFERENCE))
    if not all(url.lower().startswith("https:") for url in urls):
        findings.append(finding("reference-not-https"))
    return References(urls, tuple(findings))


def _locations(access: bytes) -> list[bytes]:
    """Give accessLocation of every id-ad-stirTNList, b"" for one that is no URI. Raises: MalformedError."""
    places = []
    lo, hi = only_child(access, SEQUENCE, "AIA")
    for tag, at, stop in children(access, lo, hi, "AIA"):
        if tag != SEQUENCE:
            raise MalformedError("an access description is no SEQUENCE", field="AIA", offset=at)
        first, last = expect(access, at, stop, OBJECT_IDENTIFIER, "AIA")
        kind, start, end = read_tlv(access, last, stop, "AIA")
        if access[first:last] == OID_STIR_TN_LIST:
            places.append(access[start:end] if kind == _URI and end == stop else b"")
    return places
