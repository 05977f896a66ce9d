"""ctlog.issuance.vouched: a participant's word for just this client, and a carrier's proof that has not ended."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import RefusedError, UsageError
from ctlog.issuance import DAY_MS, Key, Participant, Subject
from ctlog.issuance.rcs import APPLE, GOOGLE, carrier_proof, participant_information, rcs_leaf, subject_name
from ctlog.issuance.vouched import NOBODY, StandIns, check_participant, check_proof, vendor_of
from ctlog.issuance.write import bit_string, integer, items, sequence, validity
from ctlog.x509.der import parse_certificate
from monitor.rcs import holds_proof, read_participant, read_provisioning
from tests.issued import AUTHORITY, KEY, NOW, vendor

NUMBER = "12025550123"
PERSON = Key.from_number(61)
WHO = Subject(subject_name("7f4df1ad-1a4e-4f26-8a2e-56d6d83c4a43"), KEY.spki, NOW, NOW + DAY_MS)
DURING = validity(NOW, NOW + 9 * DAY_MS)


def value_of(extension: bytes) -> bytes:
    """What stands inside the OCTET STRING."""
    octets = items(extension)[-1]
    return octets[-int.from_bytes(octets[2:4], "big") :] if octets[1] == 0x82 else octets[3 if octets[1] > 127 else 2 :]


def said(vendor_id: int = GOOGLE, until_ms: int = NOW + 9 * DAY_MS, who: Subject = WHO, number: str = NUMBER) -> bytes:
    return value_of(participant_information(Participant(vendor_id, PERSON, NOW, until_ms), who, number))


def reason(value: bytes, who: Subject = WHO, *numbers: str) -> str:
    with pytest.raises(RefusedError) as caught:
        check_participant(value, GOOGLE, who, *(numbers or (NUMBER,)))
    return caught.value.reason


def test_a_participant_vouches() -> None:
    check_participant(said(), GOOGLE, WHO, NUMBER)


def test_in_the_words_of_somebody_else() -> None:
    """Signed by Ed25519, and put together here."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    spki = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    names = b"\x30\x14\x86\x12tel:+1202555012345"
    signature = private.sign(sequence(WHO.name, integer(GOOGLE), DURING, KEY.spki, names))
    value = sequence(integer(GOOGLE), DURING, sequence(bytes.fromhex("06032b6570")), bit_string(signature), spki)
    check_participant(value, GOOGLE, WHO, "1202555012345")


STRANGER = Subject(subject_name("7f4df1ad-1a4e-4f26-8a2e-56d6d83c4a44"), KEY.spki, NOW, NOW + DAY_MS)
OTHER_KEY = Subject(WHO.name, PERSON.spki, NOW, NOW + DAY_MS)


@pytest.mark.parametrize(
    ("value", "who", "expected"),
    [
        (said(), STRANGER, "bad-participant"),
        (said(), OTHER_KEY, "bad-participant"),
        (said(number="12025550124"), WHO, "bad-participant"),
        (said(vendor_id=APPLE), WHO, "wrong-vendor"),
        (said(until_ms=NOW - 1000), WHO, "bad-participant"),
        (said()[:-1], WHO, "bad-participant"),
        (said() + b"\x00", WHO, "bad-participant"),
        (b"", WHO, "bad-participant"),
        (b"\x30\x00", WHO, "bad-participant"),
        (b"\x31" + said()[1:], WHO, "bad-participant"),
    ],
    ids=["another holder", "another key", "another number", "another vendor", "ended", "cut", "longer", "nothing",
         "empty", "no sequence"],
)  # fmt: skip
def test_who_does_not_vouch_for_this_client(value: bytes, who: Subject, expected: str) -> None:
    assert reason(value, who) == expected


def test_a_vendor_that_was_changed_afterwards_is_not_what_was_signed() -> None:
    vendor_id, *rest = items(said(vendor_id=APPLE))
    assert vendor_id == integer(APPLE)
    assert reason(sequence(integer(GOOGLE), *rest)) == "bad-participant"


def test_more_numbers_than_were_signed_for() -> None:
    assert reason(said(), WHO, NUMBER, "12025550124") == "bad-participant"


@given(st.data())
def test_no_octet_of_it_can_be_changed(data: Any) -> None:
    value = bytearray(said())
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] ^= data.draw(st.integers(1, 255))
    assert reason(bytes(value)) in ("bad-participant", "wrong-vendor")


# The carrier's proof --------------------------------------------------------------------------------------------------

SIGNATURE = b"\x30" * 71
PROOF = carrier_proof(NOW + DAY_MS, SIGNATURE)


@pytest.mark.parametrize("size", [1, 63, 64, 71, 16383])
def test_a_proof_of_any_length(size: int) -> None:
    check_proof(carrier_proof(NOW + DAY_MS, bytes(size)), NOW)


@pytest.mark.parametrize(
    "proof",
    [
        b"x", PROOF[:8], PROOF[:9], PROOF[:-1], PROOF + b"x", carrier_proof(NOW + DAY_MS, b""),
        PROOF[:8] + b"\x80\x00\x00\x47" + SIGNATURE, PROOF[:8] + b"\xc0" + bytes(6) + b"\x47" + SIGNATURE,
        PROOF[:8] + b"\x40\x01x", PROOF[:8] + b"\x80\x00\x40\x00" + bytes(1 << 14),
    ],
    ids=["one octet", "no length", "no signature", "cut", "longer", "empty signature", "a length of four", "of eight",
         "not the shortest", "too long"],
)  # fmt: skip
def test_what_has_not_the_form_of_a_proof(proof: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        check_proof(proof, NOW)
    assert caught.value.reason == "bad-proof"


@given(st.binary(max_size=100))
def test_whatever_is_no_proof_is_refused_in_words(proof: bytes) -> None:
    try:
        check_proof(proof, 0)
    except RefusedError:
        return
    assert carrier_proof(int.from_bytes(proof[:8], "big") * 1000, proof[9 + (proof[8] >> 6) :]) == proof


@pytest.mark.parametrize("ago_ms", [0, 1000, DAY_MS])
def test_a_proof_that_has_ended(ago_ms: int) -> None:
    with pytest.raises(RefusedError) as caught:
        check_proof(PROOF, NOW + DAY_MS + ago_ms)
    assert caught.value.reason == "expired-proof"


# A hierarchy for tests ------------------------------------------------------------------------------------------------


def test_stand_ins_vouch_as_monitors_understand_it() -> None:
    stand_ins, authority = StandIns(PERSON, Key.from_number(64)), vendor()
    participant = stand_ins.vouch(vendor_of(authority), WHO)
    tbs = rcs_leaf(authority, WHO, NUMBER, participant=participant, proof=stand_ins.prove(WHO, NUMBER))
    certificate = parse_certificate(authority.certificate_for(tbs))
    found = read_participant(certificate)
    assert found is not None
    assert holds_proof(certificate, found)
    assert (found.vendor, found.spki, found.not_after_ms) == (GOOGLE, PERSON.spki, WHO.not_after_ms)
    proof = read_provisioning(certificate)
    assert proof is not None
    assert proof.expiry_s == WHO.not_after_ms // 1000
    check_participant(certificate.extensions[-2].value, GOOGLE, WHO, NUMBER)
    check_proof(certificate.extensions[-1].value, NOW)


def test_nobody_vouches_where_nobody_stands_in() -> None:
    assert NOBODY.vouch(GOOGLE, WHO) is None
    assert NOBODY.prove(WHO, NUMBER) == b""


def test_which_vendor_a_ca_is() -> None:
    assert vendor_of(vendor()) == GOOGLE
    with pytest.raises(UsageError) as caught:
        vendor_of(AUTHORITY)
    assert caught.value.reason == "not-a-vendor"
