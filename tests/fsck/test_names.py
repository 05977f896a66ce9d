"""ctlog.fsck.names: the same text as `name_text`, whatever was met before."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.fsck.names import NameTexts
from ctlog.x509.der import format_tlv, oid, parse_certificate
from ctlog.x509.names import name_text
from tests.corpus import leaves, need_corpus

OIDS = [oid("2.5.4.3"), oid("2.5.4.10"), oid("2.5.4.6"), oid("1.2.840.113549.1.9.1"), oid("2.5.4.4")]
values = st.one_of(
    st.sampled_from([b"12025550123", b"12025550124", b"Example Inc", b"CN=x", b"a, b", b'"', b"", b" x", b"x "]),
    st.binary(max_size=12),
)
attributes = st.builds(
    lambda kind, tag, value: format_tlv(0x30, format_tlv(6, kind) + format_tlv(tag, value)),
    st.sampled_from(OIDS), st.sampled_from([0x0C, 0x13, 0x16, 0x1E, 0x14, 4]), values,
)  # fmt: skip
rdns = st.lists(attributes, min_size=1, max_size=2).map(lambda parts: format_tlv(0x31, b"".join(parts)))
names = st.lists(rdns, max_size=5).map(lambda parts: format_tlv(0x30, b"".join(parts)))


def wanted(name: bytes) -> tuple[bytes, bool]:
    return msgspec.json.encode(name_text(name))[1:-1], b"shaken" in name.lower() or b"\0" in name


@given(st.lists(names, min_size=1, max_size=4), st.data())
def test_names_and_bent_names(found: list[bytes], data: st.DataObject) -> None:
    texts = NameTexts()
    for name in found:
        assert texts.text(name) == wanted(name)
        for _ in range(3):
            at = data.draw(st.integers(0, len(name) - 1))
            bent = name[:at] + data.draw(st.binary(min_size=1, max_size=1)) + name[at + 1 :]
            assert texts.text(bent) == wanted(bent)


def test_a_common_name_that_differs_is_told_by_its_surroundings() -> None:
    texts = NameTexts()
    for number in range(50):
        name = issuance.name(C="US", O="Example, Inc", CN=f"1202555{number:04d}")
        assert texts.text(name) == (f"CN=1202555{number:04d},O=Example\\\\, Inc,C=US".encode(), False) == wanted(name)
    assert len(texts._around) == len(texts._known) == 1
    odd = ("1202555000\\", "a\"b", "#202555000", " 202555000", "1202555000+", "über")
    for value in ("SHAKEN 709J", "x shaken 9", *odd):
        name = issuance.name(C="US", O="Example, Inc", CN=value)
        assert texts.text(name) == wanted(name)


def test_a_value_that_is_there_twice() -> None:
    texts = NameTexts()
    for value in ("abc", "abd"):
        for other in ("abc", "CN=abc", "U\x04\x03\x0c\x03abc", "U\x04\x03\x0c\x03abd"):
            for name in (issuance.name(O=other, CN=value), issuance.name(CN=value, O=other)):
                assert texts.text(name) == wanted(name)


@need_corpus
def test_every_subject_and_issuer_of_the_corpus() -> None:
    texts = NameTexts()
    for der in leaves():
        certificate = parse_certificate(der)
        assert texts.text(certificate.subject) == wanted(certificate.subject)
        assert texts.text(certificate.issuer) == wanted(certificate.issuer)
