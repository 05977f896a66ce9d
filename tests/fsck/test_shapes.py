"""ctlog.fsck.shapes: parts where the parser finds them, and numbers that stand for what findings depend on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.admission import Policy, accept
from ctlog.fsck.shapes import (
    END,
    FORMS,
    SERIAL,
    SPKI,
    START,
    SUBJECT,
    Shape,
    claims_of,
    findings_of,
    is_good_serial,
    judge,
    make_shape,
)
from ctlog.issuance import DAY_MS, Subject
from ctlog.tn.tnauthlist import OID_TNAUTHLIST
from ctlog.wire.numbers_feed import format_feed_line
from ctlog.wire.rfc6962 import EntryType, TimestampedEntry, format_merkle_tree_leaf
from ctlog.wire.static_ct import PendingEntry, format_leaf_index
from ctlog.x509.chain import Roots, accepted_root
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.findings import certificate_findings, outlives
from tests.whole_log import FIRST, LEAF_SPKI, NOW, chain

POLICY = Policy(Roots([accepted_root(FIRST.above[0], "us-shaken")]))


def shaped(number: int) -> tuple[Certificate, PendingEntry, bytes, Shape]:
    pending = accept(*chain(number), POLICY, NOW)
    certificate = parse_certificate(chain(number)[0][0])
    leaf = format_merkle_tree_leaf(TimestampedEntry(NOW, pending.entry, format_leaf_index(7)))
    shape = make_shape(certificate, leaf, pending.feed)
    assert shape is not None
    return certificate, pending, leaf, shape


def test_a_shape_cuts_where_the_parser_does() -> None:
    for number in (1, 3):  # a precertificate, a final certificate
        certificate, pending, leaf, shape = shaped(number)
        parts = shape.cut(certificate.der)
        assert (parts[SUBJECT], parts[SPKI]) == (certificate.subject, certificate.spki)
        assert parts[SERIAL] == certificate.serial
        assert (parts[START], parts[END]) == (certificate.validity[4:17], certificate.validity[19:])
        (form,) = parts[FORMS : shape.forms]
        assert form == next(each.der for each in certificate.extensions if each.oid == OID_TNAUTHLIST)
        assert parts[shape.logged :] == shape.octets
        if pending.pre_certificate:
            fields, before, after = parts[shape.forms : shape.logged]
            assert b"".join((shape.heads[0], fields, shape.heads[1], before, after)) == leaf[10:-10]
        else:
            assert shape.forms == shape.logged


def test_every_octet_is_compared_or_belongs_to_a_part_that_may_differ() -> None:
    certificate, _, _, shape = shaped(1)
    der = certificate.der
    key_id = next(each.value for each in certificate.extensions if each.oid == bytes.fromhex("551d0e"))
    may = [certificate.serial, certificate.validity[4:17], certificate.validity[19:], certificate.subject[2:],
           certificate.spki[27:], certificate.signature, key_id]  # fmt: skip
    may += [each.value for each in certificate.extensions if each.oid == OID_TNAUTHLIST]
    places = [der.index(part, 15) for part in may]  # behind the length of the serial number
    free = {at for lo, part in zip(places, may, strict=True) for at in range(lo, lo + len(part))}
    for at in range(len(der)):
        bent = der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]
        assert (shape.cut(bent)[shape.logged :] == shape.octets) is (at in free), at


def test_a_line_is_filled_in() -> None:
    certificate, pending, _, shape = shaped(1)
    key = pending.feed.partition(b'"key":"')[2][:64]
    subject = pending.feed.partition(b'"subject":"')[2].partition(b'"')[0]
    line = shape.line % (7, NOW, claims_of(pending.feed), subject, key, certificate.not_before_ms,
                         certificate.not_after_ms, findings_of(pending.feed), pending.certificate_hash.hex().encode())
    assert line + b"\n" == format_feed_line(7, NOW, pending.feed)


def test_text_of_others_in_a_line_does_not_mislead() -> None:
    """Marks of a line inside of names, where a quotation mark has a backslash before it; and signs of formatting."""
    odd = 'x","key":"%d,"findings":["a"],"certificate":"%b'
    who = Subject(issuance.name(O=odd, CN=odd), LEAF_SPKI, NOW, NOW + DAY_MS, 9)
    der = FIRST.certificate_for(issuance.delegate_leaf(FIRST, who, issuance.spc(odd)))
    pending = accept([der, *FIRST.chain], EntryType.X509, POLICY, NOW)
    leaf = format_merkle_tree_leaf(TimestampedEntry(NOW, pending.entry, format_leaf_index(7)))
    shape = make_shape(parse_certificate(der), leaf, pending.feed)
    assert shape is not None
    assert claims_of(pending.feed).endswith(b"]")
    assert b"code-odd-characters" in findings_of(pending.feed)
    filled = shape.line % (7, NOW, b"A", b"B", b"C", 1, 2, b"D", b"E")
    assert filled.startswith(b'{"index":7,"timestamp":%d,A,"issuer":"' % NOW)
    assert filled.endswith(b'"findings":[D],"certificate":"E"}')
    assert b',"subject":"B","key":"C","ca":false,"not_before":1,"not_after":2,"trust_domain":"' in filled


times = st.integers(-3, 3).map(lambda days: NOW + days * 199 * DAY_MS) | st.integers(NOW - 2, NOW + 2)


@given(st.tuples(times, times, times, times), st.tuples(times, times, times, times))
def test_what_is_judged_alike_has_the_same_findings(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    def findings(start: int, end: int, now: int, limit: int) -> tuple[list[str], bool]:
        certificate = CERTIFICATE._replace(not_before_ms=start, not_after_ms=end)
        return certificate_findings(certificate, now), outlives(certificate, CERTIFICATE._replace(not_after_ms=limit))

    if judge(*one) == judge(*other):
        assert findings(*one) == findings(*other)


CERTIFICATE = shaped(1)[0]


@given(st.binary(max_size=20))
def test_a_serial_number_is_good_if_there_is_no_finding(serial: bytes) -> None:
    odd = "serial-odd" in certificate_findings(CERTIFICATE._replace(serial=serial), NOW)
    assert is_good_serial(serial) is not odd
