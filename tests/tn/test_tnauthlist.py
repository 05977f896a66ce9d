"""TNAuthorizationList: the bytes of the specification, every refusal by its reason, and two other decoders."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from cryptography.hazmat import asn1
from hypothesis import example, given
from hypothesis import strategies as st
from pyasn1.codec.der.decoder import decode as pyasn1_decode
from pyasn1.error import PyAsn1Error
from pyasn1_alt_modules import rfc8226

from ctlog.errors import MalformedError
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import _entry, format_tnauthlist, parse_tnauthlist
from ctlog.x509.der import format_tlv
from tests.corpus import leaves, lints, need_corpus
from tests.number_certificates import block, claims, code, lists, number

# The vectors of the working paper: certificates seen, RFC 8226 by hand, and pyasn1-alt-modules.
VECTORS: dict[str, tuple[str, list[Claim]]] = {
    "one code": ("3008a006160436383347", [code("683G")]),
    "one number": ("300fa20d160b3132303235353530313233", [number("12025550123")]),
    "range": ("3014a1123010160b3132303235353530313030020164", [block("12025550100", 100)]),
    "three kinds": (
        "302ca00616043730394aa1133011160b3135353532303030303030020203e8a20d160b3135353531323334353637",
        [code("709J"), block("15552000000", 1000), number("15551234567")],
    ),
    "wildcard": ("3008a20616042a363723", [number("*67#")]),
    "pyasn1-alt-modules": (
        "302ba0071605626f677573a1123010160a3537313535353132313202020314a20c160a37303335353531323132",
        [code("bogus"), block("5715551212", 788), number("7035551212")],
    ),
}


@pytest.mark.parametrize(("value", "entries"), VECTORS.values(), ids=VECTORS.keys())
def test_vectors(value: str, entries: list[Claim]) -> None:
    found = parse_tnauthlist(bytes.fromhex(value))
    assert found.entries == tuple(entries)
    assert found.extended == ()
    assert format_tnauthlist(entries).hex() == value


def test_elements_after_the_extension_marker_are_skipped_and_said() -> None:
    """SEQUENCE { IA5String 111, INTEGER 128, IA5String 222, INTEGER 256 }, as in Botan's test certificate."""
    body = bytes.fromhex("1603313131" "02020080" "1603323232" "02020100")
    value = format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, body)))
    found = parse_tnauthlist(value)
    assert found.entries == (block("111", 128),)
    assert found.extended == ((len(value) - 9, len(value)),)


# Each refusal by its reason: the bytes, the reason, the offset.
REFUSALS: list[tuple[str, str, int]] = [
    ("", "tnauthlist-form", 0),
    ("3108a006160436383347", "tnauthlist-form", 0),
    ("3000", "tnauthlist-empty", 0),
    ("3008a006160436383347dead", "tnauthlist-trailing-data", 10),
    ("3008a006160436383347" "3000", "tnauthlist-trailing-data", 10),
    ("308108a006160436383347", "tnauthlist-length", 1),
    ("3080a0061604363833470000", "tnauthlist-length", 1),
    ("3009a0810616043638334" "7", "tnauthlist-length", 3),
    ("300ca00416043638334716043638", "tnauthlist-truncated", 4),
    ("3008a006163836374a", "tnauthlist-truncated", 0),  # three real leaves: the length of the string is not there
    ("3008a006160536383347", "tnauthlist-truncated", 4),
    ("30028000", "tnauthlist-implicit-tag", 2),
    ("3006800436383347", "tnauthlist-implicit-tag", 2),
    ("300d820b3132303235353530313233", "tnauthlist-implicit-tag", 2),
    ("3012a110160b3132303235353530313030020164", "tnauthlist-implicit-tag", 4),  # [1] around the fields, no SEQUENCE
    ("300613043735354a", "tnauthlist-no-tag", 2),  # two real leaves: a bare PrintableString
    ("300616043735354a", "tnauthlist-no-tag", 2),
    ("3008a306160436383347", "tnauthlist-unknown-entry", 2),
    ("30086006160436383347", "tnauthlist-unknown-entry", 2),
    ("3008a006130436383347", "tnauthlist-string-type", 4),
    ("3008a2060c0431323334", "tnauthlist-string-type", 4),
    ("3008a006040436383347", "tnauthlist-form", 4),
    ("300aa006160436383347a000", "tnauthlist-truncated", 12),
    ("300ea00c160436383347160436383347", "tnauthlist-form", 10),
    ("3004a0020500", "tnauthlist-form", 4),
    ("3004a2021600", "number-length", 2),
    ("3014a2121610" + "31" * 16, "number-length", 2),
    ("3010a20e160c2b3132303235353530313233", "number-characters", 2),
    ("300fa20d160b31323032353535303132" "41", "number-characters", 2),
    ("3014a1123010160b3132303235353530313030020101", "range-count", 2),
    ("3014a1123010160b31323032353535303130300201ff", "range-count", 2),
    ("3015a1133011160b313230323535353031303002020064", "range-count", 2),
    ("3013a111300f160b31323032353535303130300200", "range-count", 2),
    ("3014a1123010160b31323032353535303130300a0164", "range-count", 19),
    ("3011a10f300d160b3132303235353530313030", "tnauthlist-truncated", 19),
    ("300ba109300716023130" "02015b", "range-grows", 2),
    ("301ca11a3018160b3132303235353530313030" "0209" "01" + "00" * 8, "range-grows", 2),
    ("301ba1193017160b3132303235353530313030" "0208" "7f" + "ff" * 7, "range-grows", 2),
    ("300ba1093007160231" "2a020105", "range-signs", 2),
    ("3008a0061604363833e9", "code-characters", 6),
    ("3014a1123010130b3132303235353530313030020164", "tnauthlist-string-type", 6),
    ("3016a1143010160b31323032353535303130300201640500", "tnauthlist-form", 22),
]  # fmt: skip


@pytest.mark.parametrize(("value", "reason", "offset"), REFUSALS)
def test_refusals(value: str, reason: str, offset: int) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_tnauthlist(bytes.fromhex(value), "it")
    assert (caught.value.reason, caught.value.offset, caught.value.field) == (reason, offset, "it")
    assert str(caught.value).startswith("it: ")


@given(lists)
def test_the_writer_is_the_inverse_of_the_reader(entries: list[Claim]) -> None:
    assert parse_tnauthlist(format_tnauthlist(entries)).entries == tuple(entries)


def test_what_cannot_be_written() -> None:
    with pytest.raises(MalformedError):
        format_tnauthlist([])
    with pytest.raises(MalformedError):
        format_tnauthlist([ServiceProviderCode("7\xe9")])


@pytest.mark.parametrize("length", [0, 1, 9, 121, 122, 123, 124, 125, 126, 127, 128, 129, 255, 256, 300, 70_000])
def test_codes_of_every_form_of_length(length: int) -> None:
    entries = [code("7" * length), number("12")]
    assert parse_tnauthlist(format_tnauthlist(entries)).entries == tuple(entries)


@given(st.lists(claims, min_size=1, max_size=3), st.data())
def test_short_entries_are_read_as_the_specification_reads_them(entries: list[Claim], data: st.DataObject) -> None:
    """What `parse_tnauthlist` reads in place is what `_entry`, which knows no shortcut, reads."""
    content = bytearray(b"".join(format_tnauthlist([entry])[2:] for entry in entries if len(str(entry)) < 100))
    for _ in range(data.draw(st.integers(0, 3 if content else 0))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    value = format_tlv(0x30, bytes(content))
    if content:
        assert outcome(value) == slow_outcome(value, len(value) - len(content))


def outcome(value: bytes) -> object:
    """The entries, or the reason of the refusal."""
    try:
        return parse_tnauthlist(value)
    except MalformedError as error:
        return error.reason


def slow_outcome(value: bytes, at: int) -> object:
    """The same through `_entry` alone, for a list whose content begins at `at`."""
    entries: list[Claim] = []
    extended: list[tuple[int, int]] = []
    try:
        while at < len(value):
            entry, at = _entry(value, at, len(value), "it", extended)
            entries.append(entry)
    except MalformedError as error:
        return error.reason
    return (tuple(entries), tuple(extended))


# --- other people's decoders ---------------------------------------------------------------------------------------


@asn1.sequence
class _Range:
    start: asn1.IA5String
    count: int


_Entry = (
    Annotated[asn1.Variant[asn1.IA5String, Literal["spc"]], asn1.Explicit(0)]
    | Annotated[asn1.Variant[_Range, Literal["range"]], asn1.Explicit(1)]
    | Annotated[asn1.Variant[asn1.IA5String, Literal["one"]], asn1.Explicit(2)]
)


@asn1.sequence
class _Wrapped:
    """`cryptography` decodes no SEQUENCE OF by itself, so one more SEQUENCE stands around it."""

    entries: Annotated[list[_Entry], asn1.Size(min=1, max=None)]


def by_cryptography(value: bytes) -> tuple[Claim, ...] | None:
    """The entries as `cryptography` reads them and RFC 8226 allows them; None if either refuses.

    Known differences: it checks neither the characters and lengths of numbers nor counts, and refuses extension fields.
    """
    try:
        decoded = asn1.decode_der(_Wrapped, format_tlv(0x30, value))
        return tuple(_claim(entry.tag, entry.value) for entry in decoded.entries)
    except (ValueError, MalformedError, OverflowError):
        return None


def _claim(kind: str, value: Any) -> Claim:
    if kind == "range":
        return NumberRange(value.start.as_str(), value.count)
    return ServiceProviderCode(value.as_str()) if kind == "spc" else TelephoneNumber(value.as_str())


def by_pyasn1(value: bytes) -> tuple[Claim, ...] | None:
    """The entries as `pyasn1-alt-modules` reads them; None if it refuses.

    Known differences: it refuses extension fields, and takes empty lists, lengths of BER and trailing bytes.
    """
    try:
        decoded, _ = pyasn1_decode(value, asn1Spec=rfc8226.TNAuthorizationList())
    except PyAsn1Error:
        return None
    found: list[Claim] = []
    for entry in decoded:
        kind, inner = entry.getName(), entry.getComponent()
        if kind == "range":
            found.append(NumberRange(str(inner["start"]), int(inner["count"])))
        else:
            found.append(ServiceProviderCode(str(inner)) if kind == "spc" else TelephoneNumber(str(inner)))
    return tuple(found)


@given(lists)
def test_others_read_what_we_write(entries: list[Claim]) -> None:
    value = format_tnauthlist(entries)
    assert by_cryptography(value) == tuple(entries)
    assert by_pyasn1(value) == tuple(entries)


@st.composite
def bent_lists(draw: st.DrawFn) -> bytes:
    """A list with a few bytes changed, left out or put in."""
    value = bytearray(format_tnauthlist(draw(st.lists(claims, min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value) - 1))
        octet = draw(st.one_of(st.integers(0, 255), st.sampled_from(b"\x30\xa0\xa1\xa2\x16\x02\x80\x81\x00")))
        edit = draw(st.sampled_from(["set", "set", "drop", "put"]))
        value[at : at + (edit != "put")] = b"" if edit == "drop" and len(value) > 1 else bytes((octet,))
    return bytes(value)


@given(bent_lists())
@example(bytes.fromhex("3008a006163836374a"))
@example(bytes.fromhex("3015a1133011160b313230323535353031303002020064"))
def test_we_accept_what_cryptography_accepts_and_the_rfc_allows(value: bytes) -> None:
    """An equivalence, but for extension fields, which cryptography refuses."""
    try:
        found = parse_tnauthlist(value)
    except MalformedError:
        assert by_cryptography(value) is None
    else:
        assert by_cryptography(value) == (None if found.extended else found.entries)


@given(bent_lists())
def test_pyasn1_reads_the_same_in_what_we_accept(value: bytes) -> None:
    try:
        found = parse_tnauthlist(value)
    except MalformedError:
        return
    if not found.extended:
        assert by_pyasn1(value) == found.entries


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    outcome(value)


@need_corpus
def test_the_corpus_is_read_as_cryptography_reads_it() -> None:
    marker = bytes.fromhex("06082b0601050507011a04")
    values = set()
    for der in [*leaves(), *lints().values()]:
        if (at := der.find(marker)) >= 0:
            at += len(marker)
            values.add(der[at + 1 : at + 1 + der[at]])
    assert len(values) > 500
    for value in values:
        try:
            ours: tuple[Claim, ...] | None = parse_tnauthlist(value).entries
        except MalformedError:
            ours = None
        assert by_cryptography(value) == ours
