"""A leaf at a glance: its labels, and the few parts that watching and history need, without a full parse.

A follower sees every entry of a log, and nearly all of them concern nobody: a glance takes some 2 us and decides which
are read in full (`monitor.entry`). Exact, not approximate: its labels are those of the full reading (docs/labels.md),
and what cannot be read here is left to the full reading.

How: the DER walk of a certificate depends only on the tags, lengths and OIDs that it meets, so a leaf that has the same
octets there as one walked before has its parts at the same places. A `Shape` holds these octets and places; to cut a
leaf by a known shape is one call and one comparison. What rarely differs between certificates of one CA (its name, key
usage, policies) is compared with them, since one long slice costs less than several. Out of scope: who asked for what.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import NamedTuple, cast

from ctlog.errors import MalformedError
from ctlog.tn.by_reference import OID_ACCESS
from ctlog.tn.identity import read_identity
from ctlog.tn.labels import ONE, PREFIX, Label, entry_labels
from ctlog.tn.numbers import NumberRange, TelephoneNumber
from ctlog.tn.plain import plain_number
from ctlog.tn.tel_uri import OID_ALT_NAME
from ctlog.tn.tnauthlist import OID_TNAUTHLIST, parse_tnauthlist
from ctlog.x509.der import (
    BIT_STRING,
    INTEGER,
    SEQUENCE,
    Certificate,
    expect,
    oid,
    read_extension,
)
from monitor.hot import HOT

MAX_SHAPES = 4096  # some 2 KB each; the corpus of 8,800 real certificates has 660
MAX_ALIKE = 8  # shapes that begin alike and are tried one after another
MAX_KNOWN = 32768  # lists and subjects whose labels are remembered
MAX_EXTENSIONS = 40  # a certificate with more is left to the full reading

# Where a certificate (X509) or a TBSCertificate (PRECERT) begins in a MerkleTreeLeaf, RFC 6962 section 3.4.
_X509_AT, _PRECERT_AT = 15, 47
_VERSION_3 = b"\xa0\x03\x02\x01\x02"
_FORMS = frozenset((OID_TNAUTHLIST, OID_ALT_NAME, OID_ACCESS))
# Key usage, basic constraints, authority key, policies, CRL, extended key usage: the same in all leaves of one CA.
_CONSTANT = frozenset(
    map(oid, ("2.5.29.15", "2.5.29.19", "2.5.29.35", "2.5.29.32", "2.5.29.31", "2.5.29.37"))
)  # fmt: skip
_BASIC_CONSTRAINTS, _KEY_USAGE = oid("2.5.29.19"), oid("2.5.29.15")
_BARE = Certificate(b"", b"", b"", b"", b"", 3, b"", b"", b"", None, None, b"", b"", (), 0, 0, 0)
_new = tuple.__new__


class Glance(NamedTuple):
    """What a glance gives: raw DER (two Names, a Validity, a SubjectPublicKeyInfo) and the labels of the entry."""

    issuer: bytes
    validity: bytes
    subject: bytes
    spki: bytes
    labels: tuple[Label, ...]


class Shape(NamedTuple):
    """Where the parts of a leaf lie.

    size: octets of the leaf. cut: takes validity, SPKI, subject and the extensions that may name numbers out of it,
    `forms` parts in all, and then what must be equal to `octets`. issuer: which is among these. is_authority: it says
    to be a CA's (`says_authority`).
    """

    size: int
    cut: Callable[[bytes], tuple[bytes, ...]]
    forms: int
    octets: tuple[bytes, ...]
    issuer: bytes
    is_authority: bool


class Glancer:
    """Glances at leaves, and remembers shapes and lists that it has met. For one thread; its memory is bounded."""

    def __init__(self) -> None:
        self._shapes: dict[bytes, list[Shape]] = {}
        self._count = 0
        self._known: dict[tuple[bytes, ...], tuple[Label, ...]] = {}
        self._is_authority = False
        self.authorities: list[int] = []
        """Positions of those of the last batch that say to be a CA's; only of those that a glance can tell."""

    def glance(self, leaf: bytes) -> Glance | None:
        """Look at a MerkleTreeLeaf; None if only the full reading can tell."""
        key = leaf[10:30] if leaf[11:12] == b"\0" else leaf[10:12] + leaf[44:58]
        if not key:
            return None
        at = key[-1] + (40 if len(key) == 20 else 68)  # behind the serial number: the issuer's name
        key += leaf[at : at + 40]
        for size, cut, forms, octets, issuer, is_authority in self._shapes.get(key, ()):
            if size == len(leaf):
                parts = cut(leaf)
                if parts[forms:] == octets:
                    scope = parts[2:forms]
                    labels = self._known.get(scope)
                    if labels is None:
                        labels = self._learn(scope)
                    self._is_authority = is_authority
                    return _new(Glance, (issuer, parts[0], parts[2], parts[1], labels))
        return self._meet(key, leaf)

    def glances(self, leaves: list[bytes]) -> list[Glance | None]:
        """Look at many, as `glance` does at each."""
        self.authorities = []
        if HOT is not None:
            found: list[Glance | None] = HOT.glance(
                leaves, self._known, self._learn, Glance, Label, ONE, PREFIX, self.authorities
            )
            return found
        glances = []
        for at, leaf in enumerate(leaves):
            glances.append(self.glance(leaf))
            if glances[-1] is not None and self._is_authority:
                self.authorities.append(at)
        return glances

    def _learn(self, scope: tuple[bytes, ...]) -> tuple[Label, ...]:
        labels = _plain_labels(scope) or _listed_labels(scope)
        if labels is not None:
            return labels  # numbers are hardly ever seen again, and would only push out what is
        labels = _labels(scope)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[scope] = labels
        return labels

    def _meet(self, key: bytes, leaf: bytes) -> Glance | None:
        shape = find_shape(leaf)
        if shape is None:
            return None
        if self._count >= MAX_SHAPES:
            self._shapes.clear()
            self._count = 0
        alike = self._shapes.setdefault(key, [])
        if len(alike) < MAX_ALIKE:
            self._count += 1
        else:
            alike.pop(0)
        alike.append(shape)
        return self.glance(leaf)


# --- the walk --------------------------------------------------------------------------------------------------------


def find_shape(leaf: bytes) -> Shape | None:
    """Walk a leaf; None for one that is not an ordinary certificate of version 3 in good DER. Total."""
    try:
        return _walk(leaf)
    except (MalformedError, IndexError):
        return None


def _walk(leaf: bytes) -> Shape | None:
    """Walk as `ctlog.wire.rfc6962` and `ctlog.x509.der` do; whatever they would complain of has no shape."""
    start = _PRECERT_AT if leaf[11] else _X509_AT
    stop = start + int.from_bytes(leaf[start - 3 : start], "big")
    size = stop + 2 + int.from_bytes(leaf[stop : stop + 2], "big")
    if leaf[:2] != b"\0\0" or leaf[10] or leaf[11] > 1 or size != len(leaf):
        return None
    seen = [(0, 2), (10, 12), (start - 3, start), (stop, stop + 2)]  # on which octets the walk depends
    at, end = start, stop
    if start == _X509_AT:
        at, last = _enter(leaf, start, stop, SEQUENCE, seen)
        _, end = expect(leaf, at, last, SEQUENCE, "leaf")
        _, lo = _enter(leaf, end, last, SEQUENCE, seen)
        lo, hi = _enter(leaf, lo, last, BIT_STRING, seen)
        if last != stop or hi != stop or lo == hi or leaf[lo]:
            return None
        seen.append((lo, lo + 1))
    at, hi = _enter(leaf, at, end, SEQUENCE, seen)
    if hi != end or leaf[at : at + 5] != _VERSION_3:
        return None
    seen.append((at, at + 5))
    _, algorithm = _enter(leaf, at + 5, end, INTEGER, seen)
    _, issuer = _enter(leaf, algorithm, end, SEQUENCE, seen)
    _, validity = expect(leaf, issuer, end, SEQUENCE, "leaf")
    seen.append((algorithm, validity))
    _, subject = _enter(leaf, validity, end, SEQUENCE, seen)
    _, spki = _enter(leaf, subject, end, SEQUENCE, seen)
    _, extensions = _enter(leaf, spki, end, SEQUENCE, seen)
    parts = [slice(validity, subject), slice(spki, extensions), slice(subject, spki)]
    at, hi = _enter(leaf, extensions, end, 0xA3, seen)
    at, last = _enter(leaf, at, hi, SEQUENCE, seen)
    if hi != end or last != end or (says := _walk_extensions(leaf, at, end, seen, parts)) is None:
        return None
    spans = _joined(seen)
    cut = cast("Callable[[bytes], tuple[bytes, ...]]", itemgetter(*parts, *(slice(lo, hi) for lo, hi in spans)))
    octets = tuple(leaf[lo:hi] for lo, hi in spans)
    return Shape(size, cut, len(parts), octets, leaf[issuer:validity], says)


def _walk_extensions(
    leaf: bytes, at: int, end: int, seen: list[tuple[int, int]], parts: list[slice]
) -> bool | None:
    """Whether one of them says that it is a CA's; None if there are too many, or they do not end where they should."""
    says = False
    for _ in range(MAX_EXTENSIONS):
        if at == end:
            return says
        extension = read_extension(leaf, at, end, "leaf")
        stop = at + len(extension.der)
        seen.append((at, stop if extension.oid in _CONSTANT else stop - len(extension.value)))
        says = says or says_authority(extension.oid, extension.value)
        if extension.oid in _FORMS:
            parts.append(slice(at, stop))
        at = stop
    return says if at == end else None


def says_authority(kind: bytes, value: bytes) -> bool:
    """Whether an extension says that a certificate is a CA's: cA TRUE, or keyCertSign, as DER writes them (RFC 5280
    sections 4.2.1.9 and 4.2.1.3)."""
    if kind == _BASIC_CONSTRAINTS:
        return len(value) >= 5 and value[0] == SEQUENCE and value[2:4] == b"\1\1" and value[4] != 0
    return kind == _KEY_USAGE and len(value) >= 4 and value[0] == BIT_STRING and bool(value[3] & 4)


def _enter(leaf: bytes, at: int, end: int, tag: int, seen: list[tuple[int, int]]) -> tuple[int, int]:
    """Read the header of an element, and note that the walk depends on it."""
    lo, hi = expect(leaf, at, end, tag, "leaf")
    seen.append((at, lo))
    return lo, hi


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for lo, hi in sorted(spans):
        if joined and lo <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(hi, joined[-1][1]))
        else:
            joined.append((lo, hi))
    return joined


# --- labels ----------------------------------------------------------------------------------------------------------


def _listed_labels(scope: tuple[bytes, ...]) -> tuple[Label, ...] | None:
    """Read a list of numbers and ranges, all with their country code, beside a subject that says no code.

    Only saves time: else None.
    """
    if len(scope) != 2 or _may_say_code(scope[0]):
        return None
    try:
        form = read_extension(scope[1], 0, len(scope[1]), "extension")
        if form.oid != OID_TNAUTHLIST or form.critical:
            return None
        entries, extended = parse_tnauthlist(form.value)
    except MalformedError:
        return None
    plain = not extended and all(
        entry.start[0] != "0" if isinstance(entry, NumberRange)
        else isinstance(entry, TelephoneNumber) and entry.is_numeric and entry.digits[0] != "0"
        for entry in entries
    )  # fmt: skip
    return entry_labels(entries) if plain else None


def _labels(scope: tuple[bytes, ...]) -> tuple[Label, ...]:
    """Read the labels from a subject and the extensions that may name numbers, on which alone they depend."""
    subject, *forms = scope
    extensions = tuple(read_extension(form, 0, len(form), "extension") for form in forms)
    return read_identity(_BARE._replace(subject=subject, extensions=extensions)).labels


def _may_say_code(subject: bytes) -> bool:
    """Whether a common name may say a code, in any of the encodings that a Name may have."""
    return b"\0" in subject or b"shaken" in subject.lower()


def _plain_labels(scope: tuple[bytes, ...]) -> tuple[Label, ...] | None:
    """Read one E.164 number in its usual form, beside a subject that says no code. Only saves time: else None."""
    if len(scope) != 2:
        return None
    subject, form = scope
    digits = plain_number(form)
    if digits is None or _may_say_code(subject):
        return None
    return (Label(ONE, digits.decode("ascii")),)
