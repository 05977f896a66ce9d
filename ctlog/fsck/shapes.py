"""Certificates that are parsed alike: where their parts lie, and every octet on which anything else depends.

How a certificate is parsed depends only on its tags, lengths and OIDs; what admission says of it, on the values of most
extensions, and on these parts: serial number, validity, subject, key, and the extensions that name numbers. A `Shape`
holds where the parts lie, and all other octets but three: the key's point, the subject key identifier and the
signature, of which nobody asks anything. So a certificate as long as another, with the same octets there, is the other
one but for these parts.

In scope: making a shape from a certificate that was parsed and its line of the numbers feed; the line with its parts
left open; what a log records of a precertificate, as slices. Out of scope: what the parts say (`alike`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple, cast

from ctlog.tn.by_reference import OID_ACCESS
from ctlog.tn.tel_uri import OID_ALT_NAME
from ctlog.tn.tnauthlist import OID_TNAUTHLIST
from ctlog.x509.der import SEQUENCE, Certificate, expect, format_header, oid
from ctlog.x509.findings import LONG_MS
from ctlog.x509.precert import OID_POISON, OID_SCT_LIST

SUBJECT, START, END, SPKI, SERIAL, FORMS = range(6)
"""Places in what `Shape.cut` gives; from FORMS on, the extensions that may name numbers."""

BEGINNING = 15
"""Octets with which shapes are told apart at first: lengths of the certificate, the TBSCertificate and, as a rule, of
the serial number."""

_NAMES_NUMBERS = frozenset((OID_TNAUTHLIST, OID_ALT_NAME, OID_ACCESS))
_SUBJECT_KEY_ID = oid("2.5.29.14")
_KEY_HEAD = 27  # octets of a SubjectPublicKeyInfo at which `x509.findings` looks: algorithm, curve, form of the point
_SCTS_HEAD = 6  # octets of an SCT list's value at which it looks: at most so many are the header of what is inside
_TWO_UTC_TIMES = b"\x30\x1e\x17\x0d\x17\x0d"  # headers of a Validity, notBefore and notAfter


class Shape(NamedTuple):
    """Certificates of one length, from one chain, that are parsed alike.

    cut: gives subject (element), notBefore and notAfter (contents), SubjectPublicKeyInfo (element), serial number
    (content); extensions that may name numbers, up to `forms`; for a precertificate the three slices that are logged,
    up to `logged`; and then what has to be `octets`. heads: what comes before the first and the second of the three in
    a MerkleTreeLeaf, from the entry's type on. line: a line of the feed to be filled in. tails: `judge` of the times ->
    the findings of the line about the certificate itself, filled in by whoever learns them.
    """

    size: int
    cut: Callable[[bytes], tuple[bytes, ...]]
    forms: int
    logged: int
    octets: tuple[bytes, ...]
    heads: tuple[bytes, bytes]
    line: bytes
    tails: dict[int, bytes]


def judge(start_ms: int, end_ms: int, now_ms: int, issuer_end_ms: int) -> int:
    """All that findings about times depend on (`x509.findings`), as one number."""
    return (
        (end_ms < start_ms)
        | (end_ms - start_ms > LONG_MS) << 1
        | (end_ms < now_ms) << 2
        | (end_ms > issuer_end_ms) << 3
    )


def is_good_serial(serial: bytes) -> bool:
    """Positive and minimal; of the others there is a finding."""
    first = serial[0] if serial else 0x80
    return 0 < first < 0x80 or (not first and len(serial) > 1 and serial[1] >= 0x80)


def make_shape(certificate: Certificate, leaf: bytes, feed: bytes) -> Shape | None:
    """The shape of a certificate that was logged as `leaf` (a MerkleTreeLeaf), with `feed` as its line's body; None
    where it is too odd to have one."""
    der, validity = certificate.der, certificate.validity
    if len(validity) != 32 or validity[:4] + validity[17:19] != _TWO_UTC_TIMES:
        return None
    parts, free = _fields(certificate)
    head, _ = expect(certificate.tbs, 0, len(certificate.tbs), SEQUENCE, "tbsCertificate")
    stop = certificate.tbs_at + len(certificate.tbs) - head
    first = at = stop - sum(len(extension.der) for extension in certificate.extensions)
    poisons = []
    for extension in certificate.extensions:
        end = at + len(extension.der)
        value = end - len(extension.value)
        if extension.oid in _NAMES_NUMBERS:
            parts.append(slice(at, end))
        elif extension.oid == OID_POISON:
            poisons.append(slice(at, end))
        if extension.oid in _NAMES_NUMBERS or extension.oid == _SUBJECT_KEY_ID:
            free.append((value, end))
        elif extension.oid == OID_SCT_LIST:
            free.append((value + _SCTS_HEAD, end))
        at = end
    forms, heads = len(parts), (b"", b"")
    if leaf[11]:
        if len(poisons) != 1:
            return None
        logged = [slice(certificate.tbs_at, certificate.extensions_at), slice(first, poisons[0].start),
                  slice(poisons[0].stop, stop)]  # fmt: skip
        heads = _heads(leaf[10:44], *(part.stop - part.start for part in logged))
        parts += logged
    spans = _others(free, len(der))
    cut = cast("Callable[[bytes], tuple[bytes, ...]]", itemgetter(*parts, *spans))
    return Shape(len(der), cut, forms, len(parts), tuple(der[span] for span in spans), heads, _line(feed), {})


def _fields(certificate: Certificate) -> tuple[list[slice], list[tuple[int, int]]]:
    """The parts that are no extensions, and the stretches that differ from one certificate to another."""
    serial_end = certificate.issuer_at - len(certificate.inner_algorithm)
    serial = serial_end - len(certificate.serial)
    validity = certificate.issuer_at + len(certificate.issuer)
    subject = validity + len(certificate.validity)
    spki = subject + len(certificate.subject)
    spki_end = spki + len(certificate.spki)
    name, _ = expect(certificate.subject, 0, len(certificate.subject), SEQUENCE, "subject")
    size = len(certificate.der)
    start, end = slice(validity + 4, validity + 17), slice(validity + 19, validity + 32)
    parts = [slice(subject, spki), start, end, slice(spki, spki_end), slice(serial, serial_end)]
    free = [(serial, serial_end), (start.start, start.stop), (end.start, end.stop), (subject + name, spki),
            (spki + _KEY_HEAD, spki_end), (size - len(certificate.signature), size)]  # fmt: skip
    return parts, free


def _others(free: Sequence[tuple[int, int]], size: int) -> list[slice]:
    """All that is not free."""
    found, at = [], 0
    for lo, hi in sorted(free):
        if lo < hi:
            found.append(slice(at, lo))
            at = hi
    return [*found, slice(at, size)]


def _heads(entry: bytes, fields: int, before: int, after: int) -> tuple[bytes, bytes]:
    """What stands before the fields, and before the extensions, of a logged TBSCertificate (RFC 6962 section 3.2).
    `entry` is the entry's type and the issuer's key hash."""
    extensions = before + after
    inner = format_header(SEQUENCE, extensions)
    wrapper = format_header(0xA3, len(inner) + extensions) + inner
    content = fields + len(wrapper) + extensions
    outer = format_header(SEQUENCE, content)
    return entry + (len(outer) + content).to_bytes(3, "big") + outer, wrapper


# A quotation mark inside of a JSON string has a backslash before it, so each of these is there once.
_MARKS = (b',"issuer":"', b',"subject":"', b'","key":"', b',"not_before":', b',"trust_domain":"', b',"findings":[')
_LAST = b'],"certificate":"'


def claims_of(feed: bytes) -> bytes:
    """The beginning of a line's body, up to its labels: all that it says of numbers."""
    return feed[: feed.index(_MARKS[0])]


def findings_of(feed: bytes) -> bytes:
    """The findings of a line's body, between the brackets."""
    return feed[feed.index(_MARKS[-1]) + len(_MARKS[-1]) : feed.index(_LAST)]


def _line(feed: bytes) -> bytes:
    """A line to be filled in with index, time, claims, subject, key, notBefore, notAfter, findings and certificate."""
    issuer, subject, key, times, domain, findings = map(feed.index, _MARKS)
    fixed = [feed[issuer : subject + len(_MARKS[1])], feed[key + len(_MARKS[2]) + 64 : times + len(_MARKS[3])],
             feed[domain : findings + len(_MARKS[5])]]  # fmt: skip
    before, ca, root = (part.replace(b"%", b"%%") for part in fixed)
    return b"".join((
        b'{"index":%d,"timestamp":%d,%b', before, b"%b", _MARKS[2], b"%b", ca, b'%d,"not_after":%d', root, b"%b",
        _LAST, b'%b"}',
    ))  # fmt: skip
