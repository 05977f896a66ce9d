"""Bytes that no parser accepts: whatever is in them is found, and nothing in them takes long."""

import time

from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.tn.labels import MAX_LABELS, UNINDEXABLE, Label
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import OID_TNAUTHLIST
from monitor.salvage import salvage


def test_every_list_is_found():
    data = b"??" + issuance.tn_auth_list(issuance.spc("709J")) + b"!!" + issuance.tn_auth_list(
        issuance.number_range("12025550100", 100)
    )
    found = salvage(data, "no reason")
    assert ServiceProviderCode("709J") in found.readings
    assert NumberRange("12025550100", 100) in found.readings
    assert UNINDEXABLE in found.labels
    assert found.claims == ()
    assert (found.family, found.has_list) == ("stir", True)
    assert found.findings[0].text == "No parser accepts the entry: no reason."


def test_tel_names_end_where_their_length_says():
    """The octet behind a name may print too: 0x30, the tag of what follows, is the digit 0."""
    found = salvage(issuance.tel_names("12025550123") + b"0\x0c", "x")
    assert TelephoneNumber("12025550123") in found.readings
    assert found.family == "rcs"


def test_references():
    found = salvage(issuance.tn_auth_list_by_reference("https://tn.example/list") + b"\0", "x")
    assert "https://tn.example/list" in found.by_reference
    assert Label("ref", "https://tn.example/list") in found.labels
    assert salvage(b"https://tn.example/list", "x").by_reference == ()


def test_nothing_to_find():
    found = salvage(b"\x30\x80 nothing", "x")
    assert (found.readings, found.labels, found.family) == ((), (UNINDEXABLE,), "")


@given(st.binary(max_size=300), st.binary(max_size=30))
def test_total(before, behind):
    for middle in (OID_TNAUTHLIST, b"\x0dtel:+", b"https://"):
        found = salvage(before + middle + behind, "x")
        assert UNINDEXABLE in found.labels


def test_bounded():
    start = time.process_time()
    found = salvage((OID_TNAUTHLIST + b"\x04\x08\x30\x06\x16\x04") * 20_000 + b"tel:1 " * 20_000, "x")
    assert time.process_time() - start < 5
    assert len(found.readings) <= MAX_LABELS
