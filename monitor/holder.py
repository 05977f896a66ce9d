"""Whose certificate it says it is: organisation names as people write them, made comparable.

One holder appears under many spellings ("Aeneas Communications " and "Aeneas Communications", "Nemont" and "Nemont
Telephone Cooperative, Inc."): an alarm for each would be noise. In scope: the name of a holder or an issuer from an
X.500 Name, its normal form, and whether two normal forms are the same holder. A name is the CA's claim, and whoever
deceives a CA can copy one exactly; so to be generous here costs nothing. Out of scope: who really holds a code
(`monitor.rules.scope`, with a table of codes).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from ctlog.errors import MalformedError
from ctlog.tn.identity import shaken_code
from ctlog.x509.der import IA5_STRING, PRINTABLE_STRING, SEQUENCE, UTF8_STRING, only_child
from ctlog.x509.names import OID_COMMON_NAME, OID_ORGANIZATION, attribute

LONGEST = 256  # characters of a name that are looked at; the rest tells nobody apart

_MARKS = re.compile(r"['’`.´]")  # within words: "L.L.C.", "Ma'am", "InPhonex.com"
_WORD = re.compile(r"[^\W_]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}\Z")
_LEGAL = frozenset(
    (
        *("inc", "incorporated", "llc", "lc", "ltd", "limited", "corp", "corporation", "co", "company", "lp", "llp"),
        *("plc", "pllc", "pbc", "gmbh", "ag", "kg", "ug", "se", "sa", "sas", "sarl", "srl", "spa", "bv", "nv", "ab"),
        *("as", "oy", "oyj", "aps", "pty", "pte", "sl", "kk", "cv"),
    )
)
_PLURAL = re.compile(r"(?<=[^\W\d_]{3})s\b")
_SHORTEST_WORDS = 4  # letters of a name that may be the beginning of another, ending where a word does
_SHORTEST = 6  # the same, ending anywhere
_ASCII = (UTF8_STRING, PRINTABLE_STRING, IA5_STRING)


def normalise(name: str) -> str:
    """Give the normal form: lower case without accents, punctuation and legal suffixes, words with one space between.

    "" only for a name without letters and digits. Total.
    """
    return _normalise(name[:LONGEST])


@lru_cache(8192)
def _normalise(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name).casefold()
    folded = "".join(character for character in folded if not unicodedata.combining(character))
    words = _WORD.findall(_MARKS.sub("", folded).replace("&", " "))
    kept = [word for word in words if word not in ("and", "the")] or words
    while len(kept) > 1 and kept[-1] in _LEGAL:
        kept.pop()
    return " ".join(kept)


def same_holder(one: str, other: str) -> bool:
    """True if two normal forms are the same holder as far as names tell: equal but for spaces and plurals, or one
    begins with the other. An unknown holder ("") is the same as nobody."""
    if not one or not other:
        return False
    if one == other:
        return True
    short, long = sorted((_PLURAL.sub("", one), _PLURAL.sub("", other)), key=len)
    if len(short) >= _SHORTEST_WORDS and long.startswith(short + " "):
        return True
    short, long = sorted((short.replace(" ", ""), long.replace(" ", "")), key=len)
    return short == long or (len(short) >= _SHORTEST and long.startswith(short))


def bucket(name: str) -> str:
    """Give what two normal forms have in common if they are the same holder: for finding candidates fast."""
    return _PLURAL.sub("", name).replace(" ", "")[:_SHORTEST_WORDS]


def organisation(name: bytes) -> str:
    """Give the organisation of a Name as written (the first, if there are several), else its common name; "" if it has
    neither. Total."""
    found = attribute(name, OID_ORGANIZATION) or attribute(name, OID_COMMON_NAME)
    return found[0] if found else ""


def telling_part(subject: bytes) -> bytes:
    """Give what `holder_name` depends on: the first organisation's value where that is plain ASCII, else all. Total.

    So what was found out for one subject holds for all with this part, though each device has a name of its own.
    """
    size, found = len(subject), b""
    try:
        at, _ = only_child(subject, SEQUENCE, "name")
    except MalformedError:
        return subject
    while at < size:
        length = subject[at + 1] if size - at > 7 else 0x80
        end = at + 2 + length
        if length >= 0x80 or length < 6 or end > size:
            return subject
        value = at + 6 + subject[at + 5]
        if subject[at] != 0x31 or subject[at + 2 : at + 5] != bytes((0x30, length - 2, 6)) or value + 2 > end:
            return subject
        if value + 2 + subject[value + 1] != end:
            return subject
        if not found and subject[at + 6 : value] == OID_ORGANIZATION:
            found = subject[value:end]
            if found[0] not in _ASCII or not found[2:] or not found.isascii():
                return subject
        at = end
    return found or subject


def holder_name(subject: bytes) -> str:
    """Give whom a certificate's subject names, as written: the organisation, else a common name that is neither a
    device's UUID (RCC.16) nor a code ("SHAKEN 709J"). "" if it names nobody. Total."""
    found = attribute(subject, OID_ORGANIZATION)
    if found:
        return found[0]
    for name in attribute(subject, OID_COMMON_NAME):
        if not _UUID.match(name) and shaken_code(name) is None:
            return name
    return ""
