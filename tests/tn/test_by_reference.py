"""Scopes by reference: where a list is said to lie, and what is odd about the place."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.by_reference import OID_STIR_TN_LIST, References, read_references
from ctlog.x509.der import format_tlv, oid

LIST = b"https://tnlist.example.com/list"


def aia(*places: tuple[bytes, int, bytes]) -> bytes:
    """The value of an AuthorityInfoAccess: (method, tag, location) of each."""
    return format_tlv(
        0x30,
        b"".join(format_tlv(0x30, format_tlv(6, method) + format_tlv(tag, place)) for method, tag, place in places),
    )


def ids(found: References | None) -> list[str]:
    """The ids of the findings."""
    return [each.id for each in found.findings] if found else []


def test_a_list_beside_an_issuer_as_cryptography_writes_it() -> None:
    place = x509.UniformResourceIdentifier(LIST.decode())
    value = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://a/")),
            x509.AccessDescription(x509.ObjectIdentifier("1.3.6.1.5.5.7.48.14"), place),
        ]
    ).public_bytes()
    found = read_references(value)
    assert found is not None
    assert found.urls == (LIST.decode(),)
    assert ids(found) == ["scope-by-reference"]


def test_other_methods_name_no_scope() -> None:
    assert read_references(aia((oid("1.3.6.1.5.5.7.48.2"), 0x86, LIST))) is None
    assert read_references(aia((oid("1.3.6.1.5.5.7.48.2"), 0x86, b"http://a/" + OID_STIR_TN_LIST))) is None
    assert read_references(b"") is None


@pytest.mark.parametrize(
    ("place", "urls", "expected"),
    [
        ((0x86, LIST), (LIST.decode(),), []),
        ((0x86, b"HTTPS://A.example/"), ("HTTPS://A.example/",), []),
        ((0x86, b"http://a.example/"), ("http://a.example/",), ["reference-not-https"]),
        ((0x86, b"ldap://a.example/"), (), ["reference-unreadable"]),
        ((0x86, b"https://a b/"), (), ["reference-unreadable"]),
        ((0x86, b"https://"), (), ["reference-unreadable"]),
        ((0x86, b""), (), ["reference-unreadable"]),
        ((0x82, b"tnlist.example.com"), (), ["reference-unreadable"]),
    ],
)
def test_places(place: tuple[int, bytes], urls: tuple[str, ...], expected: list[str]) -> None:
    found = read_references(aia((OID_STIR_TN_LIST, *place)))
    assert found is not None
    assert found.urls == urls
    assert ids(found) == ["scope-by-reference", *expected]


def test_several_lists() -> None:
    found = read_references(aia((OID_STIR_TN_LIST, 0x86, LIST), (OID_STIR_TN_LIST, 0x86, b"https://b.example/")))
    assert found is not None
    assert found.urls == (LIST.decode(), "https://b.example/")


@pytest.mark.parametrize(
    "value",
    [aia((OID_STIR_TN_LIST, 0x86, LIST)) + b"\0", b"\x30\x80" + OID_STIR_TN_LIST + b"\x86\x1f" + LIST + b"\0\0",
     OID_STIR_TN_LIST + LIST],
)  # fmt: skip
def test_what_is_not_der_names_a_scope_all_the_same(value: bytes) -> None:
    found = read_references(value)
    assert found is not None
    assert found.urls == (LIST.decode(),)
    assert "reference-unreadable" in ids(found)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_any_bytes(before: bytes, after: bytes) -> None:
    read_references(before + after)
    found = read_references(before + OID_STIR_TN_LIST + after)
    assert found is None or ids(found)[0] == "scope-by-reference"
