"""Identity: total on every byte string, the same by the short way and the long one, and what real certificates say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctlog.tn.by_reference import OID_ACCESS, OID_STIR_TN_LIST
from ctlog.tn.findings import MEANINGS
from ctlog.tn.identity import _FORMS, NOTHING, Identity, _read_forms, read_identity, shaken_code
from ctlog.tn.labels import UNINDEXABLE, Label
from ctlog.tn.numbers import Claim
from ctlog.tn.tel_uri import OID_ALT_NAME
from ctlog.tn.tnauthlist import OID_TNAUTHLIST, format_tnauthlist
from ctlog.x509.der import Certificate, parse_certificate
from tests.corpus import authorities, leaves, lints, need_corpus, null_parameters, odd
from tests.number_certificates import (
    access,
    block,
    certificate,
    code,
    extension,
    holding,
    identity,
    lists,
    names,
    number,
    number_list,
)

TEL = b"tel:+12025550123"


def ids(found: Identity) -> list[str]:
    """The ids of the findings."""
    return [each.id for each in found.findings]


def long_way(parsed: Certificate) -> Identity:
    """The identity without the shortcut for ordinary certificates."""
    forms = [each for each in parsed.extensions if each.oid in _FORMS]
    return _read_forms(parsed, forms) if forms else NOTHING


def test_an_ordinary_certificate() -> None:
    found = identity(number_list([code("709J")]), common_name="SHAKEN 709J")
    assert found == Identity((code("709J"),), (), (), (), (Label("spc", "709J"),), "stir", True)
    assert found.claims_number
    assert not found.is_unindexable


def test_plain_values() -> None:
    found = holding(number("12025550123"), block("12025550100", 100), code("709J"), number("*67#"))
    assert found.numbers == ["12025550123", "*67#"]
    assert found.ranges == [("12025550100", 100)]
    assert found.codes == ["709J"]


@pytest.mark.parametrize(
    ("extensions", "family", "has_list"),
    [
        ((), "", False),
        ((number_list([code("709J")]),), "stir", True),
        ((number_list(b""),), "stir", True),
        ((access(b"https://a.example/"),), "stir", True),
        ((access(b""),), "stir", True),
        ((access(b"https://a.example/", method=b"\x2a"),), "", False),
        ((names(TEL),), "rcs", False),
        ((names(b"tel:"),), "rcs", False),
        ((names(TEL, tag=0x82),), "rcs", False),
        ((names(b"https://a.example/"),), "", False),
        ((names(TEL), number_list([code("709J")])), "mixed", True),
        ((names(TEL), access(b"https://a.example/")), "mixed", True),
        ((extension(b"\x55\x1d\x13", b"\x30\x00"),), "", False),
    ],
)
def test_what_claims_a_number(extensions: tuple[bytes, ...], family: str, has_list: bool) -> None:
    found = identity(*extensions)
    assert found.family == family
    assert found.claims_number == bool(family)
    assert found.has_list == has_list
    assert bool(found.labels) == bool(family)


def test_several_lists_are_all_read() -> None:
    found = identity(number_list([code("709J")]), number_list(b"\x30\x06\x80\x04710J"), number_list([code("711J")]))
    assert found.claims == (code("709J"), code("711J"))
    assert found.readings == (code("710J"),)
    assert set(ids(found)) == {"tnauthlist-implicit-tag", "tnauthlist-several"}
    assert {label.value for label in found.labels} == {"709J", "710J", "711J", ""}


def test_a_reading_that_is_claimed_elsewhere_is_no_reading() -> None:
    found = identity(number_list([number("0012025550123"), number("12025550123")]))
    assert found.readings == ()


def test_number_and_name_that_disagree() -> None:
    assert "list-and-name-disagree" in ids(identity(number_list([code("709J")]), names(TEL)))
    assert "list-and-name-disagree" not in ids(identity(number_list([number("12025550123")]), names(TEL)))
    assert "list-and-name-disagree" not in ids(identity(access(b"https://a.example/"), names(TEL)))


@pytest.mark.parametrize(
    ("common_name", "expected"),
    [
        ("SHAKEN 709J", "709J"),
        ("SHAKEN 709j", "709J"),
        ("shaken 0226", "0226"),
        ("SHAKEN IDT America, Corp 363A", "363A"),
        ("Google SHAKEN cert 969H", "969H"),
        ("***SHAKEN***464D", "464D"),
        ("SHAKEN_0377", "0377"),
        ("Everstream SHAKEN Cert 472C ", "472C"),
        ("SHAKEN", None),
        ("Edify SHAKEN", None),
        ("HD CARRIER LLC 321J", None),
        ("SHAKEN 709J Example", None),
        ("SHAKEN 5G", None),
        ("SHAKEN 1234567", None),
        ("702 SHAKEN", None),
        ("SHAKEN1", None),
        ("", None),
    ],
)
def test_the_code_in_a_common_name(common_name: str, expected: str | None) -> None:
    assert shaken_code(common_name) == expected


def test_the_owner_of_the_code_in_the_common_name_finds_it_too() -> None:
    found = identity(number_list([code("5678")]), common_name="SHAKEN 1234")
    assert found.claims == (code("5678"),)
    assert found.readings == (code("1234"),)
    assert found.labels == (Label("spc", "1234"), Label("spc", "5678"))


def test_a_name_says_nothing_without_a_list() -> None:
    assert identity(common_name="SHAKEN 1234") == NOTHING
    assert identity(names(TEL), common_name="SHAKEN 1234").readings == ()


def test_a_code_elsewhere_in_the_subject_does_not_hide_another_in_the_common_name() -> None:
    """The bytes of an agreeing common name inside of the disagreeing one."""
    decoy = "\x06\x03U\x04\x03\x0c\x0bSHAKEN 5678"
    found = identity(number_list([code("5678")]), common_name=decoy + " SHAKEN 1234")
    assert found == long_way(certificate(number_list([code("5678")]), common_name=decoy + " SHAKEN 1234"))


@given(
    st.one_of(st.text("0123456789ABCJaj -\0", max_size=8), st.just("709J")),
    st.sampled_from(["SHAKEN {}", "SHAKEN X {}", "SHAKEN-{}", "{}", "SHAKEN 1234", "{} ", "x{}", "é{}", "SHAKEN {} A"]),
    st.booleans(),
)
def test_the_short_way_says_what_the_long_way_says(text: str, common_name: str, critical: bool) -> None:
    extensions = number_list([code(text)], critical=critical)
    made = certificate(extensions, common_name=common_name.format(text).replace("\0", ""))
    assert read_identity(made) == long_way(made)


FORMS = st.sampled_from([OID_TNAUTHLIST, OID_TNAUTHLIST, OID_ALT_NAME, OID_ACCESS])


@given(st.lists(st.tuples(FORMS, st.binary(max_size=60), st.booleans()), min_size=1, max_size=3))
@example([(OID_ACCESS, OID_STIR_TN_LIST, False)])
@example([(OID_ALT_NAME, b"tel:", False)])
@example([(OID_TNAUTHLIST, b"", False)])
def test_any_bytes_in_any_extension(forms: list[tuple[bytes, bytes, bool]]) -> None:
    made = certificate(*(extension(kind, value, critical=critical) for kind, value, critical in forms))
    found = read_identity(made)
    assert found == long_way(made)
    check(found)
    if any(kind == OID_TNAUTHLIST for kind, _, _ in forms):
        assert found.claims_number


@given(lists, st.data())
def test_a_list_with_any_byte_changed(entries: list[Claim], data: st.DataObject) -> None:
    value = bytearray(format_tnauthlist(entries))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    found = identity(number_list(bytes(value)))
    check(found)
    assert found.claims or UNINDEXABLE in found.labels


@given(st.binary(max_size=30), st.sampled_from([b"", TEL, b"tel:+1;ext=", b"TEL:0", b"tel:%"]), st.binary(max_size=30))
def test_any_bytes_around_a_name(before: bytes, uri: bytes, after: bytes) -> None:
    check(identity(names(before + uri + after)))
    check(identity(extension(OID_ALT_NAME, before + uri + after)))


def check(found: Identity) -> None:
    """What is true of every identity."""
    assert all(each.id in MEANINGS and each.text.isprintable() for each in found.findings)
    assert len({each.id for each in found.findings}) == len(found.findings)
    assert not set(found.claims) & set(found.readings)
    assert len(set(found.labels)) == len(found.labels) <= 1024
    assert found.is_unindexable == (UNINDEXABLE in found.labels)
    assert found.claims_number == bool(found.labels)


# --- real certificates ---------------------------------------------------------------------------------------------

LENGTH_LEFT_OUT = {"867J", "558J"}  # 3 leaves, 2 codes: 30 08 a0 06 16 38 36 37 4a, without the length of the string


@need_corpus
def test_every_leaf_of_the_corpus_claims_the_one_code_in_its_bytes() -> None:
    broken = []
    for der in leaves():
        parsed = parse_certificate(der)
        found = read_identity(parsed)
        assert found == long_way(parsed)
        value = next(each.value for each in parsed.extensions if each.oid == OID_TNAUTHLIST)
        if len(value) == 9:
            broken.append(value[5:].decode())
            assert ids(found) == ["tnauthlist-truncated"]
            assert found.claims == ()
            assert Label("spc", broken[-1]) in found.labels
            assert found.is_unindexable
            continue
        logged = value[6:].decode()
        assert value == bytes.fromhex("3008a0061604") + logged.encode()
        assert found.claims == (code(logged),)
        assert ids(found) == (["code-lower-case"] if logged != logged.upper() else [])
        assert found.labels[0] == Label("spc", logged.upper())
        assert not found.readings
        assert not found.is_unindexable
    assert len(broken) == 3
    assert set(broken) == LENGTH_LEFT_OUT


@need_corpus
def test_the_odd_leaves() -> None:
    found = [read_identity(parse_certificate(der)) for der in odd()]
    assert [each.claims_number for each in found] == [True, False, True, True, True, True, True]
    for at in (0, 4, 5, 6):
        assert found[at].codes == ["6529"]
        assert found[at].findings == ()
    for at, logged in ((2, "755J"), (3, "620K")):
        assert ids(found[at]) == ["tnauthlist-no-tag"]
        assert found[at].claims == ()
        assert found[at].readings == (code(logged),)
        assert found[at].labels == (Label("spc", logged), UNINDEXABLE)
    assert read_identity(parse_certificate(null_parameters()[1])).codes == ["2068"]


@need_corpus
def test_no_ca_of_the_corpus_claims_a_number() -> None:
    assert {read_identity(parse_certificate(der)) for der in authorities()} == {NOTHING}


@need_corpus
def test_the_lints() -> None:
    found = {name: read_identity(parse_certificate(der)) for name, der in lints().items()}
    expected = {
        "shakenTNAuthEmpty": ["tnauthlist-empty", "cn-code-differs"],
        "shakenTNAuthEmptyString": ["code-empty", "cn-code-differs"],
        "shakenTNAuthMultiple": ["entry-repeated"],
        "shakenTNAuthWithoutSPC": ["number-short", "cn-code-differs"],
        # SHAKEN 6628 in the name, 6629 in the list
        "shakenSubjectCN": ["cn-code-differs"],
        "shakenKeyAlgP384": ["cn-code-differs"],
        "shakenKeyAlgRSA": ["cn-code-differs"],
        "shakenSubjectWithoutC": ["cn-code-differs"],
        "shakenSubjectWithoutO": ["cn-code-differs"],
    }
    assert {name: ids(each) for name, each in found.items() if each.findings} == expected
    assert found["shakenTNAuthWithoutSPC"].numbers == ["1234"]
    assert found["shakenSubjectAmbiguous"].codes == ["6628"]
    assert found["shakenSubjectWithoutCN"].codes == ["6629"]
    claiming = [name for name, each in found.items() if each.claims_number]
    assert not any("Root" in name or name.startswith("shakenCa") for name in claiming)
    assert len(claiming) == 36
