"""T-02, T-11, T-15, T-16, T-18: keys that are not the owner's, not good, not his alone, or not valid any more."""

import dataclasses
import re
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ctlog import issuance
from ctlog.tn.numbers import TelephoneNumber
from ctlog.x509.der import parse_certificate, read_extension
from monitor.rules.key import is_misused
from monitor.rules.values import OPERATOR, Context, Refused, Revocations, Revoked
from tests.monitor_certificates import GOOD, NOW_MS, ROGUE, VENDOR, key, logged, rcs_leaf, subject, vendor
from tests.monitor_rules import N, code_entry, findings, item, number_entry, past, severities

MINE, CODE = item(), item("709J")


def spki_of(public):
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def rcs(number=N, **options):
    return logged(rcs_leaf(number, **options), VENDOR)


# T-02 ----------------------------------------------------------------------------------------------------------------


def test_t02_a_key_that_was_not_registered():
    mine = item(keys=frozenset([sha256(key(0).spki).digest()]))
    assert severities(number_entry(key_number=1), mine)["T-02"] == 1


def test_t02_near_miss_a_registered_key_or_none_registered():
    mine = item(keys=frozenset([sha256(key(0).spki).digest()]))
    assert "T-02" not in severities(number_entry(key_number=0), mine)
    assert "T-02" not in severities(number_entry(key_number=1), MINE)


def test_t02_a_registered_participant_counts_if_its_proof_holds():
    mine = item(keys=frozenset([sha256(key(500).spki).digest()]))
    assert "T-02" not in severities(rcs(), mine)
    assert severities(rcs(signer=key(9)), mine)["T-02"] == 1


def test_t02_a_key_that_its_owner_refused():
    """By whom ever it is certified; of an issuer that is refused as well T-01 says it."""
    entry = number_entry(day=9)
    said = Refused(keys={entry.key_hash: NOW_MS})
    found = findings(entry, item(), refused=said)["T-02"]
    assert found.severity == 1
    assert "that it is not yours" in found.reason
    assert "T-02" in findings(entry, item(keys=frozenset([entry.key_hash])), refused=said)
    assert "T-02" not in findings(number_entry(day=9, key_number=8), item(), refused=said)
    both = Refused({entry.key_hash: NOW_MS}, {entry.issuer.text: NOW_MS})
    assert "T-02" not in findings(entry, item(), refused=both)
    assert "T-01" in findings(entry, item(), refused=both)


# T-11 ----------------------------------------------------------------------------------------------------------------


def test_t11_near_miss_a_whole_certificate():
    assert "T-11" not in severities(rcs(), MINE)
    assert "T-11" not in severities(number_entry(), MINE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"leave_out": ".5"}, "extension .5) is absent"),
        ({"expiry_s": NOW_MS // 1000 - 1}, "ended on"),
        ({"leave_out": ".4"}, "extension .4) is absent"),
        ({"signer": key(9)}, "is not valid"),
    ],
)
def test_t11_proofs_that_are_missing_or_bad(options, words):
    found = findings(rcs(**options), MINE)["T-11"]
    assert found.severity == 1
    assert words in found.reason


def test_t11_the_proof_may_end_in_the_second_of_the_sct():
    assert "T-11" not in severities(rcs(expiry_s=NOW_MS // 1000), MINE)


@pytest.mark.parametrize(("vendor", "fires"), [(2, False), (1, True)])
def test_t11_the_vendor_of_the_root(vendor, fires):
    entry = logged(rcs_leaf(N, vendor=vendor), VENDOR)
    assert ("T-11" in severities(entry, MINE)) is fires


def test_t11_below_cas_that_are_no_vendors():
    """Any accepted CA could say so, with a participant of its own: the carrier's signature cannot be verified."""
    entry = logged(rcs_leaf(N, GOOD), GOOD)
    found = findings(entry, MINE)["T-11"]
    assert found.severity == 1
    assert "no CA above it is a vendor's" in found.reason
    other = vendor("Other Vendor", 3100, vendor_id=1)
    whole = rcs()
    between = dataclasses.replace(whole, issuers=(parse_certificate(other.certificate), whole.issuers[-1]))
    assert "a CA above it is vendor 1's" in findings(between, MINE)["T-11"].reason


def test_t11_near_miss_cas_that_are_not_known():
    """Who issued is T-01's; of whose vendor nobody could say more."""
    entry = dataclasses.replace(logged(rcs_leaf(N), VENDOR), issuers=())
    assert "T-11" not in severities(entry, MINE)


def beside(*numbers):
    """A `tel:` name of the number beside a TNAuthList, without the extended key usage of RCC.16."""
    who = subject("", cn="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11", days=76, key_number=501)
    lists = [issuance.tn_auth_list(issuance.one(number)) for number in numbers]
    usual = (issuance.END_ENTITY, issuance.DIGITAL_SIGNATURE)
    return [who, [*usual, *lists]]


def test_t11_a_name_beside_a_list():
    who, extensions = beside("13035550000")
    entry = logged(VENDOR.leaf(who, [*extensions, issuance.tel_names(N)]), VENDOR)
    assert entry.identity.family == "mixed"
    assert severities(entry, MINE)["T-11"] == 1


def test_t11_near_miss_a_list_alone():
    who, extensions = beside(N)
    assert "T-11" not in severities(logged(VENDOR.leaf(who, extensions), VENDOR), MINE)


def parse_extension(der):


    return read_extension(der, 0, len(der), "x")


# T-15 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "public",
    [
        rsa.generate_private_key(65537, 1024).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ec.generate_private_key(ec.BrainpoolP256R1()).public_key(),
    ],
)
def test_t15_weak_keys_and_foreign_curves(public):
    found = findings(number_entry(spki=spki_of(public)), MINE)["T-15"]
    assert found.severity == 2
    assert re.fullmatch(
        r"The key of the certificate is (of a kind with which no call may be signed: an elliptic curve key on \w+"
        r"|an RSA key of only 1024 bits)\.", found.reason
    )  # fmt: skip


def test_t15_a_point_off_the_curve():
    spki = bytearray(key(0).spki)
    spki[-1] ^= 1
    found = findings(number_entry(spki=bytes(spki)), MINE)["T-15"]
    assert found.severity == 2
    assert found.reason.startswith("The key of the certificate cannot be read: ")


@pytest.mark.parametrize(
    "public",
    [
        rsa.generate_private_key(65537, 2048).public_key(),
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP521R1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
    ],
)
def test_t15_near_misses(public):
    assert "T-15" not in severities(number_entry(spki=spki_of(public)), MINE)


def test_t15_known_weak_keys():
    entry = number_entry()
    assert severities(entry, MINE, weak_keys=frozenset([entry.key_hash]))["T-15"] == 2
    assert findings(entry, weak_keys=frozenset([entry.key_hash]))["T-15"].to == OPERATOR


# T-16 ----------------------------------------------------------------------------------------------------------------


def test_t16_one_key_under_two_holders():
    used = past(code_entry("683G", "Other Carrier"), b"spc:683G")
    found = findings(code_entry(), CODE, key_uses=(used,))["T-16"]
    assert found.severity == 1
    reason = "The same key was certified for Example Inc, and for Other Carrier with the code 683G on 2026-09-21."
    assert found.reason == reason


def test_t16_near_misses():
    """The holder's own other code; the same code under another name (T-03 says that); another key."""
    own = past(code_entry("683G", "Example Telephone Inc"), b"spc:683G")
    renamed = past(code_entry("709J", "Other Carrier"), b"spc:709J")
    another = past(code_entry("683G", "Other Carrier", key_number=5), b"spc:683G")
    for use in (own, renamed, another):
        assert "T-16" not in severities(code_entry(), CODE, key_uses=(use,))


def test_t16_devices_without_a_name_share_a_key_only_under_one_vendor():
    number = TelephoneNumber("12025550124")
    who = subject("", cn="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11")
    other = past(number_entry([number], who=who), b"one:12025550124")
    assert "T-16" not in severities(number_entry(who=who), MINE, key_uses=(other,))
    elsewhere = past(number_entry([number], ROGUE, who=who), b"one:12025550124")
    found = findings(number_entry(who=who), MINE, key_uses=(elsewhere,))["T-16"]
    assert found.severity == 1
    assert found.reason.startswith("The same key was certified by Rightful CA, and by Rogue Ca for +12025550124 on")


def test_t16_a_holder_who_is_not_named_is_nobody_else():
    """A range's certificate with a name and one for a number in it without: one issuer, or the same numbers."""
    who = subject("", cn="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11")
    of_range = past(number_entry(holder="Example VoIP"), b"prefix:120255501xx")
    assert "T-16" not in severities(number_entry(who=who), MINE, key_uses=(of_range,))
    of_number = past(number_entry([TelephoneNumber("12025550124")], who=who), b"one:12025550124")
    assert "T-16" not in severities(number_entry(holder="Example VoIP"), MINE, key_uses=(of_number,))
    elsewhere = past(number_entry(ca=ROGUE, holder="Example VoIP"), b"prefix:120255501xx")
    assert "T-16" not in severities(number_entry(who=who), MINE, key_uses=(elsewhere,), claims=(elsewhere,))
    apart = past(number_entry(ca=ROGUE, holder="Example VoIP"), b"prefix:120255502xx")
    assert severities(number_entry(who=who), MINE, key_uses=(apart,))["T-16"] == 1


# T-18 ----------------------------------------------------------------------------------------------------------------


def revoked(entry, *, serial=None, with_key=True, ms=0):
    parsed = entry.parsed
    return Revoked(parsed.issuer, serial or parsed.serial, entry.key_hash if with_key else b"", NOW_MS + ms)


def test_t18_a_revoked_key_seen_again():
    entry = code_entry()
    sources = Revocations([revoked(entry, serial=b"\x55", ms=-5)])
    assert severities(entry, CODE, revocations=sources)["T-18"] == 1


def test_t18_a_revoked_serial_number_seen_again():
    entry = code_entry()
    sources = Revocations([revoked(entry, with_key=False, ms=-5)])
    assert severities(entry, CODE, revocations=sources)["T-18"] == 1


def test_t18_attack_a_revoked_key_for_another_number():
    """The revoked certificate's own owner hears of it, when his certificate is judged again."""
    entry = code_entry()
    itself = Revocations([revoked(entry, ms=5)])
    elsewhere = past(entry, b"", logged_ms=entry.timestamp_ms + 10_000)
    assert severities(entry, CODE, revocations=itself, key_uses=(elsewhere,))["T-18"] == 1
    for use in (
        elsewhere._replace(label=b"spc:709J"), elsewhere._replace(key=b"other!"),
        elsewhere._replace(not_after_ms=entry.timestamp_ms),
    ):  # fmt: skip
        assert "T-18" not in severities(entry, CODE, revocations=itself, key_uses=(use,))
    assert "T-18" not in severities(entry, CODE, revocations=Revocations(), key_uses=(elsewhere,))


def test_a_key_is_misused_where_it_is_revoked_or_another_holder_s():
    entry = code_entry()
    mine = past(entry, b"", logged_ms=entry.timestamp_ms - 10_000)
    assert not is_misused(entry, Context(NOW_MS, key_uses=(mine,)))
    assert is_misused(entry, Context(NOW_MS, key_uses=(mine, mine._replace(holder="somebody else"))))
    sources = Revocations([revoked(entry, serial=b"\x55", ms=-5)])
    assert is_misused(entry, Context(NOW_MS, key_uses=(mine,), revocations=sources))


def test_t18_near_misses():
    """A reissue with a new key; the revoked one itself, logged before; one that had ended by then; no source."""
    entry = code_entry()
    reissued = Revocations([revoked(code_entry(key_number=4), serial=b"\x55", ms=-5)])
    itself = Revocations([revoked(entry, ms=5)])
    ended = Revocations([revoked(entry, serial=b"\x55", ms=91 * 86_400_000)])
    for sources in (reissued, itself, ended, None):
        assert "T-18" not in severities(entry, CODE, revocations=sources)
    assert findings(entry, revocations=Revocations([revoked(entry, serial=b"\x55", ms=-5)]))["T-18"].to == OPERATOR
