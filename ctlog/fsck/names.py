"""Names as they stand in the numbers feed, told from names like them.

In scope: `x509.names.name_text`, as text inside of a JSON string, for names that differ in their common name alone. Out
of scope: how a name is written. `name_text` says that of each name that is not like one that it was asked for.
"""

from __future__ import annotations

import re

import msgspec

from ctlog.x509.der import IA5_STRING, PRINTABLE_STRING, UTF8_STRING
from ctlog.x509.names import OID_COMMON_NAME, name_text

MAX_KNOWN = 16384

# What neither RFC 4514 nor JSON escapes, and is the same octets in each of these types.
_PLAIN = re.compile(rb"[0-9A-Za-z](?:[0-9A-Za-z .:@/()'-]*[0-9A-Za-z.)])?").fullmatch
_TEXTS = frozenset((UTF8_STRING, PRINTABLE_STRING, IA5_STRING))


class NameTexts:
    """Remembers names, and what stands around common names. For one thread; its memory is bounded."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[bytes, bool]] = {}
        self._places: dict[int, set[tuple[int, int]]] = {}
        self._around: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}

    def text(self, name: bytes) -> tuple[bytes, bool]:
        """A Name (the whole element) as `name_text` writes it, as text inside of a JSON string; and whether a code may
        be read from it (`tn.identity`)."""
        known = self._known.get(name)
        if known is not None:
            return known
        for lo, hi in self._places.get(len(name), ()):
            around = self._around.get((name[:lo], name[hi:]))
            if around is not None:
                value = name[lo:hi]
                if _PLAIN(value) and b"shaken" not in value.lower():
                    return around[0] + value + around[1], False
        known = (_encoded(name), _may_tell(name))
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[name] = known
        if not known[1]:
            self._learn(name, known[0])
        return known

    def _learn(self, name: bytes, text: bytes) -> None:
        """A name as long as this one, with the same octets around a plain common name, has the same text around it."""
        lo = name.find(OID_COMMON_NAME) + len(OID_COMMON_NAME) + 2
        if lo >= len(name) or name[lo - 2] not in _TEXTS or name[lo - 1] >= 0x80:
            return
        hi = lo + name[lo - 1]
        before, _, after = text.partition(b"CN=" + name[lo:hi])
        before += b"CN="
        # These octets may be part of something else, which looks like a common name.
        probe = b"X" * (hi - lo)
        if not _PLAIN(name[lo:hi]) or _encoded(name[:lo] + probe + name[hi:]) != before + probe + after:
            return
        if len(self._around) >= MAX_KNOWN:
            self._around.clear()
            self._places.clear()
        self._places.setdefault(len(name), set()).add((lo, hi))
        self._around[name[:lo], name[hi:]] = (before, after)


def _encoded(name: bytes) -> bytes:
    return msgspec.json.encode(name_text(name))[1:-1]


def _may_tell(name: bytes) -> bool:
    """A code is only read behind the word SHAKEN, whose letters may have 8 bits, or 16 or 32."""
    return b"shaken" in name.lower() or b"\0" in name
