"""What bytes that no parser accepts may claim all the same, so that nothing hides from owners by being broken.

In scope: searching raw bytes for the forms in which a certificate claims numbers, each read as carelessly as anybody
might. Bounded and total; what is found are readings, never claims, and the result always says "unindexable" too. Out of
scope: lists that are odd inside of a certificate that can be read (`ctlog.tn.readings`).
"""

from __future__ import annotations

import re

from ctlog.tn.by_reference import OID_STIR_TN_LIST
from ctlog.tn.findings import Finding
from ctlog.tn.forms import Account, read_tel_names
from ctlog.tn.identity import Identity
from ctlog.tn.labels import entry_labels
from ctlog.tn.readings import second_reading
from ctlog.tn.tel_uri import TelNames
from ctlog.tn.tnauthlist import OID_TNAUTHLIST

REACH = 65536  # octets behind an OID that are searched
MAX_LISTS = 8  # searched in one entry; more of them is no accident, and everyone is shown the entry anyway
MAX_TEXTS = 64
UNREADABLE = "entry-unreadable"

_TEL = re.compile(rb"(.?)(tel:[ -~]*)", re.IGNORECASE | re.DOTALL)
_URL = re.compile(rb"(.?)(https?://[!-~]+)", re.IGNORECASE | re.DOTALL)


def salvage(data: bytes, problem: str) -> Identity:
    """Search bytes that no parser accepts for whatever they may claim.

    Total, bounded; always "unindexable", and never whole.
    """
    account = Account()
    account.findings[UNREADABLE] = Finding(UNREADABLE, f"No parser accepts the entry: {problem}.")
    at = data.find(OID_TNAUTHLIST)
    has_list = at >= 0
    for _ in range(MAX_LISTS):
        if at < 0:
            break
        behind = at + len(OID_TNAUTHLIST)
        account.may_mean(second_reading(data[behind : behind + REACH]))
        at = data.find(OID_TNAUTHLIST, behind)
    names = _texts(_TEL, data)
    if names:
        read_tel_names(account, TelNames(tuple(names), is_der=False))
    has_reference = OID_STIR_TN_LIST in data
    urls = tuple(url.decode("latin-1") for url in _texts(_URL, data)) if has_reference else ()
    readings = tuple(account.readings)
    has_list |= has_reference
    return Identity(
        claims=(),
        readings=readings,
        by_reference=urls,
        findings=tuple(account.findings.values()),
        labels=entry_labels(readings, urls, readable=False),
        family=("mixed" if names else "stir") if has_list else "rcs" if names else "",
        has_list=has_list,
        is_whole=False,  # whoever spoils a certificate may hide a number behind others that are found
    )


def _texts(pattern: re.Pattern[bytes], data: bytes) -> list[bytes]:
    """Find texts, each once: as far as they print, and cut where the octet before them says that they end."""
    found: dict[bytes, None] = {}
    for match in pattern.finditer(data):
        text, before = match.group(2), match.group(1)
        found[text] = None
        if before and 4 < before[0] < len(text):
            found[text[: before[0]]] = None
        if len(found) >= MAX_TEXTS:
            break
    return list(found)
