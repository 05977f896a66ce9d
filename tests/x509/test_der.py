"""The strict reader of certificates: what it preserves, what it refuses, and other people's opinion of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.issuance import Key, Subject, example_authority, extension, name, spc, tn_auth_list
from ctlog.x509 import der as module
from ctlog.x509.der import (
    Certificate,
    Extension,
    children,
    elements,
    expect,
    format_tlv,
    oid,
    oid_text,
    only_child,
    parse_certificate,
    read_extension,
    read_time,
    read_tlv,
)
from tests import der_tree
from tests.corpus import authorities, leaves, lints, need_corpus, null_parameters, odd
from tests.hot import need_hot

NOW_MS = 1_790_000_000_000
_CA = example_authority(NOW_MS, root_key=Key.from_number(11), key=Key.from_number(12))


def a_certificate(*extensions: bytes) -> bytes:
    subject = Subject(name(C="US", CN="SHAKEN 709J"), Key.from_number(13).spki, NOW_MS, NOW_MS + 1000, serial=77)
    return _CA.certificate_for(_CA.leaf(subject, extensions or (tn_auth_list(spc("709J")),)))


def long_certificate() -> bytes:
    """With lengths of one, two and three octets, and a critical extension."""
    big, bigger = extension("1.2.3.4", b"\x30" * 130, critical=True), extension("1.2.3.5", bytes(70000))
    return a_certificate(tn_auth_list(spc("709J")), big, bigger)


def outcome(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function gives, or the MalformedError that it raises."""
    try:
        return function(*arguments)
    except MalformedError as error:
        return error


# --- other people's opinion ---


def assert_same_as_cryptography(der: bytes) -> None:
    theirs, ours = x509.load_der_x509_certificate(der), parse_certificate(der)
    assert [(oid_text(e.oid), e.critical) for e in ours.extensions] == [
        (e.oid.dotted_string, e.critical) for e in theirs.extensions
    ]
    assert ours.tbs == theirs.tbs_certificate_bytes
    assert ours.signature == theirs.signature
    assert ours.serial_number == theirs.serial_number
    assert (ours.issuer, ours.subject) == (theirs.issuer.public_bytes(), theirs.subject.public_bytes())
    assert ours.spki == theirs.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert ours.version == theirs.version.value + 1
    times = (theirs.not_valid_before_utc, theirs.not_valid_after_utc)
    assert (ours.not_before_ms, ours.not_after_ms) == tuple(int(time.timestamp() * 1000) for time in times)
    for mine, other in zip(ours.extensions, theirs.extensions, strict=True):
        if isinstance(other.value, x509.UnrecognizedExtension):
            assert mine.value == other.value.value


@need_corpus
def test_the_corpus_is_what_cryptography_sees() -> None:
    for der in leaves():
        assert_same_as_cryptography(der)


@need_corpus
def test_an_explicit_null_in_the_algorithm_is_read() -> None:
    for der in (*null_parameters()[0], null_parameters()[1]):
        with pytest.raises(ValueError):
            x509.load_der_x509_certificate(der)
        assert parse_certificate(der).algorithm.endswith(b"\x05\x00")


@need_corpus
def test_certificates_with_one_defect_each_are_read() -> None:
    assert len(lints()) == 75
    for der in lints().values():
        assert_preserved(parse_certificate(der))
    assert parse_certificate(lints()["shakenCaVersion2"]).version == 2


@need_corpus
def test_a_certificate_without_extensions_is_read() -> None:
    found = [parse_certificate(der) for der in odd()]
    assert [len(c.extensions) for c in found] == [7, 0, 8, 8, 7, 7, 7]
    for parsed in found:
        assert_preserved(parsed)


# --- every byte is preserved ---


def assert_preserved(parsed: Certificate) -> None:
    signature = format_tlv(0x03, b"\0" + parsed.signature)
    assert parsed.der == format_tlv(0x30, parsed.tbs + parsed.algorithm + signature)
    tbs_end = len(parsed.der) - len(parsed.algorithm) - len(signature)
    assert parsed.tbs == format_tlv(0x30, parsed.der[parsed.tbs_at : tbs_end])
    start, end = parsed.issuer_at, parsed.issuer_at + len(parsed.issuer)
    assert parsed.der[start:end] == parsed.issuer
    assert parsed.der[end : parsed.extensions_at].startswith(parsed.validity + parsed.subject + parsed.spki)
    assert parsed.der[parsed.tbs_at : start].endswith(format_tlv(0x02, parsed.serial) + parsed.inner_algorithm)
    if parsed.extensions:
        wrapper = format_tlv(0xA3, format_tlv(0x30, b"".join(e.der for e in parsed.extensions)))
        assert parsed.der[parsed.extensions_at : tbs_end] == wrapper
    for found in parsed.extensions:
        flag = b"\x01\x01\xff" if found.critical else b""
        assert found.der == format_tlv(0x30, format_tlv(0x06, found.oid) + flag + format_tlv(0x04, found.value))


def test_parts_make_the_whole_again() -> None:
    assert_preserved(parse_certificate(long_certificate()))
    assert_preserved(parse_certificate(a_certificate()))


@need_corpus
def test_parts_make_the_whole_again_on_the_corpus() -> None:
    for der in leaves():
        parsed = parse_certificate(der)
        if all(b"\x01\x01\x00" not in e.der[:20] for e in parsed.extensions):
            assert_preserved(parsed)


def test_look_up_of_extensions() -> None:
    pairs = (("1.2.3", b"a"), ("1.2.4", b"b"), ("1.2.3", b"c"))
    parsed = parse_certificate(a_certificate(*(extension(*pair) for pair in pairs)))
    assert parsed.extension(oid("1.2.3")) == parsed.extensions[0]
    assert parsed.extension(oid("1.2.5")) is None
    assert [e.value for e in parsed.extensions_of(oid("1.2.3"))] == [b"a", b"c"]


# --- strict about the frame, and about nothing else ---


@pytest.mark.parametrize("form", ["padded", "indefinite"])
def test_every_length_of_the_frame_is_definite_and_minimal(form: str) -> None:
    names = [place for place, _ in der_tree.frame(der_tree.read(long_certificate()))]
    assert len(names) == 23
    for at, place in enumerate(names):
        tree = der_tree.read(long_certificate())
        der_tree.frame(tree)[at][1].form = form
        with pytest.raises(MalformedError, match="not minimal" if form == "padded" else "indefinite") as caught:
            parse_certificate(tree.write(), "the leaf")
        assert caught.value.field == "the leaf", place
        assert str(caught.value).startswith("the leaf: "), place
        assert caught.value.offset is not None, place


def test_nothing_may_follow_at_any_level() -> None:
    containers = ("certificate", "tbs", "extensions", "tbs field 7", "extension 0", "extension 1")
    for place in containers:
        for extra in (b"\0", b"\x05\0", b"\0" * 300):
            tree = der_tree.read(long_certificate())
            dict(der_tree.frame(tree))[place].trailing = extra
            with pytest.raises(MalformedError):
                parse_certificate(tree.write())
    with pytest.raises(MalformedError, match="1 bytes follow its end") as caught:
        parse_certificate(a_certificate() + b"\0")
    assert caught.value.offset == len(a_certificate())


def test_the_inside_of_a_field_is_opaque() -> None:
    """Lengths as BER allows them inside of a Name, a key, validity and an extension's value are the CA's business."""
    for path in ((0, 3, 0), (0, 3, 0, 0), (0, 5, 0), (0, 6, 0), (0, 6, 1)):
        tree = der_tree.read(a_certificate())
        tree.child(*path).form = "padded"
        parsed = parse_certificate(tree.write())
        assert parsed.der == tree.write()
    tree = der_tree.read(a_certificate())
    tree.child(0, 4, 1).form = "padded"
    assert parse_certificate(tree.write()).not_after_ms is None
    odd_value = extension("1.3.6.1.5.5.7.1.26", b"\x30\x80\0\0")
    assert parse_certificate(a_certificate(odd_value)).extensions[0].value == b"\x30\x80\0\0"


@pytest.mark.parametrize(
    ("flag", "critical"), [(b"", False), (b"\x01\x01\xff", True), (b"\x01\x01\x01", True), (b"\x01\x01\0", False),
                           (b"\x01\x02\0\x01", True), (b"\x01\0", False)]
)  # fmt: skip
def test_critical_is_any_bit_of_the_flag(flag: bytes, critical: bool) -> None:
    found = format_tlv(0x30, format_tlv(0x06, oid("1.2.3")) + flag + format_tlv(0x04, b"x"))
    assert parse_certificate(a_certificate(found)).extensions == (Extension(oid("1.2.3"), critical, b"x", found),)


def test_a_missing_part_is_named() -> None:
    names = ("version", "serialNumber", "signature", "issuer", "validity", "subject", "subjectPublicKeyInfo")
    for at, part in enumerate(names):
        tree = der_tree.read(a_certificate())
        del tree.child(0).children[at]
        if at == 0:
            assert parse_certificate(tree.write()).version == 1
            continue
        with pytest.raises(MalformedError) as caught:
            parse_certificate(tree.write())
        # SEQUENCEs cannot be told apart, so a missing one is noticed where they run out
        assert part in str(caught.value) or "subjectPublicKeyInfo has tag 0xa3" in str(caught.value)


def test_unique_identifiers_are_kept() -> None:
    tree = der_tree.read(a_certificate())
    tree.child(0).children[7:7] = [der_tree.Element(0x81, b"\0a"), der_tree.Element(0x82, b"\0b")]
    parsed = parse_certificate(tree.write())
    assert parsed.der[parsed.extensions_at - 8 : parsed.extensions_at] == b"\x81\x02\0a\x82\x02\0b"
    assert len(parsed.extensions) == 1
    tree.child(0).children[7:9] = [der_tree.Element(0x82, b"\0b"), der_tree.Element(0x81, b"\0a")]
    with pytest.raises(MalformedError, match="extensions has tag 0x81"):
        parse_certificate(tree.write())


@pytest.mark.parametrize(("version", "read"), [
    (b"\x02\x01\0", 1), (b"\x02\x01\x01", 2), (b"\x02\x01\x02", 3), (b"\x02\x01\x7f", 128),
    (b"\x02\x02\0\x02", None), (b"junk", None),
])  # fmt: skip
def test_version(version: bytes, read: int | None) -> None:
    tree = der_tree.read(a_certificate())
    tree.child(0).children[0] = der_tree.Element(0xA0, version)
    assert parse_certificate(tree.write()).version == read


def test_a_signature_of_loose_bits_is_refused() -> None:
    for content in (b"", b"\x01ab", b"\xffab"):
        tree = der_tree.read(a_certificate())
        tree.children[2].content = content
        with pytest.raises(MalformedError, match="whole octets"):
            parse_certificate(tree.write())


def test_every_truncation_and_every_flipped_bit_is_refused_cleanly_or_read() -> None:
    der = a_certificate(tn_auth_list(spc("709J")), extension("1.2.3.4", b"\x30" * 130, critical=True))
    for size in range(len(der)):
        with pytest.raises(MalformedError):
            parse_certificate(der[:size])
    refused = 0
    for at in range(len(der)):
        for bit in range(8):
            bent = bytearray(der)
            bent[at] ^= 1 << bit
            try:
                assert parse_certificate(bytes(bent)).der == bent
            except MalformedError:
                refused += 1
    assert refused > 200


@given(st.binary(max_size=80), st.integers(0, 500), st.integers(0, 60))
def test_any_bytes_are_read_or_malformed(junk: bytes, at: int, cut: int) -> None:
    for data in (junk, der_tree_sample[:at] + junk + der_tree_sample[at + cut :]):
        found = outcome(parse_certificate, data)
        assert 0 <= found.offset <= len(data) if isinstance(found, MalformedError) else found.der == data


der_tree_sample = long_certificate()[:600]


# --- the C code says what the Python says ---


def assert_same(der: bytes) -> None:
    """`parse_certificate` and `elements` in C, where they do not leave it to Python."""
    for fast, plain in (
        (lambda: module._fast.parse(der, Certificate, Extension), lambda: module._parse_certificate(der, "x")),
        (lambda: module._fast.elements(der), lambda: module._elements(der, "x")),
    ):
        found = fast()
        assert found is None or found == outcome(plain)
        assert found is None or type(found) is type(plain())


@need_hot
@need_corpus
def test_real_certificates_are_cut_in_c_as_in_python() -> None:
    left = 0
    for der in leaves():
        assert_same(der)
        left += module._fast.parse(der, Certificate, Extension) is None
    assert left == 0, "these are what the C code is for"
    for der in (*authorities(), *lints().values(), *odd()):
        assert_same(der)


@need_hot
def test_cut_and_flipped_certificates_are_cut_in_c_as_in_python() -> None:
    for sample in (a_certificate(), a_certificate(extension("1.2.3.4", b"\x30" * 130, critical=True))):
        assert module._fast.parse(sample, Certificate, Extension) == module._parse_certificate(sample, "x")
        for at in range(len(sample)):
            assert_same(sample[:at])
            assert_same(sample[at:])
            for octet in (0, 1, 0x30, 0x7F, 0x80, 0x81, 0x82, 0x84, 0x85, 0xFF, sample[at] ^ 1, sample[at] - 1 & 0xFF):
                assert_same(sample[:at] + bytes((octet,)) + sample[at + 1 :])


@need_hot
def test_more_elements_than_the_c_code_counts_are_left_to_python() -> None:
    for count, left in ((64, False), (65, True)):
        der = a_certificate(*(extension(f"1.2.3.{at}", b"") for at in range(count)))
        assert (module._fast.parse(der, Certificate, Extension) is None) is left
        assert len(parse_certificate(der).extensions) == count
        assert (module._fast.elements(format_tlv(0x30, b"\x05\x00" * count)) is None) is left
        assert elements(format_tlv(0x30, b"\x05\x00" * count), "x") == [b"\x05\x00"] * count


@need_hot
@given(st.binary(max_size=80), st.integers(0, 600), st.integers(0, 60))
def test_any_bytes_are_cut_in_c_as_in_python(junk: bytes, at: int, cut: int) -> None:
    for data in (junk, format_tlv(0x30, junk), der_tree_sample[:at] + junk + der_tree_sample[at + cut :]):
        assert_same(data)


@need_hot
@given(st.lists(st.integers(0, 99), min_size=6, max_size=6), st.sampled_from(["Z", "Y", "0"]))
def test_any_time_is_read_in_c_as_in_python(pairs: list[int], end: str) -> None:
    for usual in (pairs, [pairs[0], 1 + pairs[1] % 12, 1 + pairs[2] % 31, pairs[3] % 24, pairs[4] % 60, pairs[5] % 60]):
        text = "".join(f"{pair:02}" for pair in usual) + end
        tree = der_tree.read(a_certificate())
        tree.child(0).child(4).children[0].content = text.encode()
        der = tree.write()
        assert_same(der)
        is_time = module._utc_time(text.encode()) is not None
        assert (module._fast.parse(der, Certificate, Extension) is not None) is is_time


def test_what_is_no_bytes_object_is_refused_in_c() -> None:
    if module._fast is not None:
        for wrong in (bytearray(b"0"), "0", None):
            with pytest.raises(TypeError):
                module._fast.parse(wrong, Certificate, Extension)
            with pytest.raises(TypeError):
                module._fast.elements(wrong)
        with pytest.raises(TypeError):
            module._fast.parse(a_certificate(), dict, Extension)


# --- the fast way through extensions is the plain one ---


def plain_extensions(der: bytes, at: int, stop: int) -> tuple[Extension, ...]:
    found = []
    while at < stop:
        found.append(read_extension(der, at, stop, "x"))
        at += len(found[-1].der)
    return tuple(found)


tags = st.sampled_from([0x01, 0x04, 0x05, 0x06, 0x30])
lengths = st.one_of(st.integers(0, 12), st.sampled_from([0x80, 0x81, 0x82, 0x7F, 0xFF]))
soup = st.lists(st.one_of(tags, lengths, st.integers(0, 255)), max_size=40).map(bytes)
parts = st.builds(
    lambda kind, flag, value: format_tlv(0x30, format_tlv(0x06, kind) + flag + format_tlv(0x04, value)),
    st.binary(max_size=140),
    st.sampled_from([b"", b"\x01\x01\xff", b"\x01\x01\0", b"\x01\x02aa"]),
    st.binary(max_size=140),
)  # fmt: skip


@given(st.lists(st.one_of(parts, soup), max_size=4).map(b"".join), st.integers(0, 400), st.integers(0, 255))
def test_extensions_read_in_place_are_those_read_plainly(data: bytes, at: int, octet: int) -> None:
    bent = bytearray(data)
    if at < len(bent):
        bent[at] = octet
    for body in (data, bytes(bent)):
        whole = body + b"\x30\0\x03\x01\0"  # the least that can follow a TBSCertificate
        wanted = outcome(plain_extensions, whole, 0, len(body))
        found = outcome(module._read_extensions, whole, 0, len(body), "x")
        assert str(found) == str(wanted) if isinstance(wanted, MalformedError) else found == wanted


# --- single elements ---


@pytest.mark.parametrize(("data", "problem"), [
    (b"", "cut short"), (b"\x30", "cut short"), (b"\x30\x01", "1 bytes beyond"), (b"\x1f\x01\0", "above 30"),
    (b"\x30\x80\0\0", "indefinite"), (b"\x30\x81\x7f" + bytes(127), "not minimal"),
    (b"\x30\x82\0\x80" + bytes(128), "not minimal"),
    (b"\x30\x81", "cut short"), (b"\x30\x85\0\0\0\0\0", "5 octets"), (b"\x30\xff", "127 octets"),
])  # fmt: skip
def test_elements_that_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedError, match=problem):
        read_tlv(data, 0, len(data), "x")
    with pytest.raises(MalformedError):
        expect(data, 0, len(data), 0x30, "x")


@given(st.integers(0, 255).filter(lambda tag: tag & 0x1F != 0x1F), st.integers(0, 70000), st.binary(max_size=6))
def test_an_element_written_is_read(tag: int, size: int, before: bytes) -> None:
    data = before + format_tlv(tag, bytes(size)) + b"after"
    stop = len(data) - 5
    assert read_tlv(data, len(before), stop, "x") == (tag, stop - size, stop)
    assert expect(data, len(before), stop, tag, "x") == (stop - size, stop)
    with pytest.raises(MalformedError, match="beyond what holds it" if size else "cut short"):
        read_tlv(data, len(before), stop - 1, "x")
    with pytest.raises(MalformedError, match="has tag"):
        expect(data, len(before), stop, tag ^ 0x20, "x")


@given(soup.filter(lambda data: not data or data[0] & 0x1F != 0x1F))
def test_expect_agrees_with_read_tlv(data: bytes) -> None:
    for stop in (len(data), len(data) // 2):
        try:
            tag, lo, hi = read_tlv(data, 0, stop, "x")
        except MalformedError:
            with pytest.raises(MalformedError):
                expect(data, 0, stop, data[0] if data else 0, "x")
        else:
            assert expect(data, 0, stop, tag, "x") == (lo, hi)


def test_children_fill_what_holds_them() -> None:
    assert children(b"\x02\x01\x05\x04\0", 0, 5, "x") == [(2, 2, 3), (4, 5, 5)]
    with pytest.raises(MalformedError):
        children(b"\x02\x01\x05\x04", 0, 4, "x")
    assert only_child(b"\x04\x01a", 4, "x") == (2, 3)
    with pytest.raises(MalformedError, match="1 bytes follow its end"):
        only_child(b"\x04\x01ab", 4, "x")


@pytest.mark.parametrize(("dotted", "octets"), [
    ("1.2.840.10045.4.3.2", "2a8648ce3d040302"), ("2.5.29.17", "551d11"), ("2.999.3", "883703"), ("0.9.2342", "099226"),
    ("1.3.6.1.5.5.7.1.26", "2b0601050507011a"), ("2.16.840.1.114569.1.1.4", "6086480186ff0901" + "0104"),
])  # fmt: skip
def test_object_identifiers(dotted: str, octets: str) -> None:
    assert oid(dotted).hex() == octets
    assert oid_text(bytes.fromhex(octets)) == dotted


@given(st.binary(max_size=12))
def test_octets_of_an_oid_as_text_are_total(octets: bytes) -> None:
    text = oid_text(octets)
    assert text == "#" + octets.hex() if text.startswith("#") else oid(text) == octets


@pytest.mark.parametrize(("tag", "text", "ms"), [
    (0x17, b"700101000000Z", 0), (0x17, b"491231235959Z", 2524607999000), (0x17, b"500101000000Z", -631152000000),
    (0x18, b"20500101000000Z", 2524608000000), (0x18, b"99991231235959Z", 253402300799000),
    (0x17, b"240229120000Z", 1709208000000), (0x17, b"230229120000Z", None), (0x17, b"2402291200Z", None),
    (0x17, b"240229120060Z", None), (0x17, b"240229240000Z", None), (0x17, b"240229120000+0100", None),
    (0x18, b"20240229120000.5Z", None), (0x18, b"00000101000000Z", None), (0x17, b"", None),
    (0x17, b"24022912000 Z", None), (0x17, b"2402+9120000Z", None), (0x17, b"24_229120000Z", None),
    (0x13, b"240229120000Z", None),
])  # fmt: skip
def test_times(tag: int, text: bytes, ms: int | None) -> None:
    assert read_time(tag, text) == ms
    tree = der_tree.read(a_certificate())
    tree.child(0, 4).children[1] = der_tree.Element(tag, text)
    parsed = parse_certificate(tree.write())
    assert parsed.not_after_ms == ms
    assert parsed.not_before_ms == NOW_MS


def test_validity_of_another_shape_is_unreadable_not_refused() -> None:
    for content in (b"", b"junk", b"\x17\x0d240229120000Z", b"\x17\x0d240229120000Z" * 3):
        tree = der_tree.read(a_certificate())
        tree.child(0).children[4] = der_tree.Element(0x30, content)
        parsed = parse_certificate(tree.write())
        assert (parsed.not_before_ms, parsed.not_after_ms) == (None, None)
