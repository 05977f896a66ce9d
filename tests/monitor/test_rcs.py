"""RCC.16: its extensions read where well made, None where not, and the proof in each reading of the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.x509.der import format_tlv, parse_certificate
from monitor.rcs import Participant, Provisioning, holds_proof, read_participant, read_provisioning, vendor_of
from tests.monitor_certificates import GOOD, VENDOR, key, rcs_leaf, subject


def certificate(tbs):
    return parse_certificate(VENDOR.certificate_for(tbs))


def with_extension(oid, value):
    return parse_certificate(GOOD.certificate_for(GOOD.leaf(subject(), [issuance.extension(oid, value)])))


def test_a_participant():
    leaf = certificate(rcs_leaf())
    found = read_participant(leaf)
    assert isinstance(found, Participant)
    assert found.vendor == 2
    assert (found.not_before_ms, found.not_after_ms) == (leaf.not_before_ms, leaf.not_after_ms)
    assert found.spki == key(500).spki
    assert holds_proof(leaf, found)


def test_a_proof_by_another_key_or_over_another_certificate():
    leaf = certificate(rcs_leaf(signer=key(9)))
    assert not holds_proof(leaf, read_participant(leaf))
    good, other = certificate(rcs_leaf()), certificate(rcs_leaf("12025550124"))
    assert not holds_proof(other, read_participant(good))
    assert not holds_proof(other, read_participant(good)._replace(algorithm=b"\x30\x00"))
    assert not holds_proof(other, read_participant(good)._replace(spki=b"\x30\x00"))


@pytest.mark.parametrize("whole_extension", [False, True])
def test_both_readings_of_the_san_hold(whole_extension):
    leaf = certificate(rcs_leaf())
    san = leaf.extensions[4]
    data = san.der if whole_extension else san.value
    signed = format_tlv(0x30, leaf.subject + b"\x02\x01\x02" + leaf.validity + leaf.spki + data)
    assert holds_proof(leaf, read_participant(leaf)._replace(signature=key(500).sign(signed)))


def test_no_name_no_proof():
    leaf = certificate(rcs_leaf())
    without = leaf._replace(extensions=tuple(each for each in leaf.extensions if each.oid != b"\x55\x1d\x11"))
    assert not holds_proof(without, read_participant(leaf))


def test_provisioning():
    assert read_provisioning(certificate(rcs_leaf(expiry_s=77))) == Provisioning(77, bytes(70))
    assert read_provisioning(certificate(rcs_leaf(leave_out=".5"))) is None


@pytest.mark.parametrize(
    ("value", "signature"),
    [
        (bytes(8) + b"\x02ab", b"ab"),
        (bytes(8) + b"\x40\x02ab", b"ab"),
        (bytes(8) + b"\x80\0\0\x02ab", b"ab"),
        (bytes(8) + b"\xc0" + bytes(6) + b"\x02ab", None),
        (bytes(8) + b"\x03ab", None),
        (bytes(8) + b"\x01ab", None),
        (bytes(8) + b"\x80ab", None),
        (bytes(8), None),
    ],
)
def test_lengths_as_mls_writes_them(value, signature):
    found = read_provisioning(with_extension("2.23.146.2.1.5", value))
    assert (found and found.signature) == signature


def test_vendors_of_cas():
    assert vendor_of(with_extension("2.23.146.2.1.6", b"\x02\x01\x02")) == 2
    assert vendor_of(with_extension("2.23.146.2.1.6", b"\x04\x01\x02")) is None
    assert vendor_of(parse_certificate(GOOD.certificate)) is None


@given(st.binary(max_size=60))
def test_total(value):
    for oid in ("2.23.146.2.1.4", "2.23.146.2.1.5", "2.23.146.2.1.6"):
        leaf = with_extension(oid, value)
        found = read_participant(leaf)
        assert found is None or not holds_proof(leaf, found)
        read_provisioning(leaf)
        vendor_of(leaf)


def test_unreadable_times_and_doubles():
    odd = format_tlv(0x30, b"\x02\x01\x01\x30\x02\x05\x00\x30\x00\x03\x01\x00\x30\x00")
    assert read_participant(with_extension("2.23.146.2.1.4", odd)).not_before_ms is None
    odd = format_tlv(0x30, b"\x02\x01\x01\x30\x02\x05\x09\x30\x00\x03\x01\x00\x30\x00")
    assert read_participant(with_extension("2.23.146.2.1.4", odd)).not_after_ms is None
    twice = [issuance.extension("2.23.146.2.1.4", odd)] * 2
    assert read_participant(parse_certificate(GOOD.certificate_for(GOOD.leaf(subject(), twice)))) is None
