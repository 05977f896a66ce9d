"""ctlog.issuance.write: what is written reads back, by ours and by `cryptography`."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.errors import UsageError
from ctlog.issuance import DAY_MS, Subject
from ctlog.issuance.write import attribute, integer, items, moment, sequence
from ctlog.x509.der import UTF8_STRING, parse_certificate
from tests.issued import AUTHORITY, KEY, NOW


@given(
    organization=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60),
    serial=st.integers(-(1 << 159), (1 << 159) - 1),
    day=st.integers(-3650, 365 * 60),
)
def test_names_serials_and_times_read_back(organization: str, serial: int, day: int) -> None:
    at = NOW + day * DAY_MS
    who = Subject(issuance.name(C="US", O=organization, CN="x"), KEY.spki, at, at + DAY_MS, serial)
    certificate = parse_certificate(AUTHORITY.certificate_for(AUTHORITY.leaf(who, [issuance.END_ENTITY])))
    assert certificate.serial_number == serial
    assert (certificate.not_before_ms, certificate.not_after_ms) == (at // 1000 * 1000, at // 1000 * 1000 + DAY_MS)
    assert organization.encode() in certificate.subject


def test_a_name_refuses_an_attribute_that_it_does_not_know() -> None:
    with pytest.raises(UsageError, match="no attribute Country"):
        issuance.name(Country="US")


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0, "170d3730303130313030303030305a"),
        (2_524_607_999_999, "170d3439313233313233353935395a"),  # the last second of 2049
        (2_524_608_000_000, "180f32303530303130313030303030305a"),
    ],
)
def test_times_change_their_type_at_2050(ms: int, expected: str) -> None:
    assert moment(ms).hex() == expected


@given(st.integers(-(1 << 200), 1 << 200))
def test_integers_are_minimal(value: int) -> None:
    octets = integer(value)[2:]
    assert int.from_bytes(octets, "big", signed=True) == value
    assert len(octets) == 1 or octets[:1] not in (b"\x00", b"\xff") or (octets[0] ^ octets[1]) & 0x80


@given(st.lists(st.binary(max_size=3).map(lambda b: b"\x04" + bytes((len(b),)) + b), max_size=5))
def test_items_are_what_a_sequence_was_made_of(parts: list[bytes]) -> None:
    assert items(sequence(*parts)) == parts


def test_a_string_type_can_be_demanded() -> None:
    name = sequence(attribute("CN", "plain", UTF8_STRING))
    assert name.hex() == "3010310e300c06035504030c05706c61696e"
    assert x509.Name.from_rfc4514_string("CN=plain").public_bytes() == name
