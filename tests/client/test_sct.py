"""SCTs against certificates: what holds, each way in which one does not, and the reason that is given."""

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.client.sct import CLOCK_SKEW_MS, embedded_scts, verify_embedded_sct, verify_sct
from ctlog.errors import MalformedError, SctError
from ctlog.issuance import Authority, Key, Subject
from ctlog.wire.rfc6962 import (
    DigitallySigned,
    EntryType,
    SignedCertificateTimestamp,
    SignedEntry,
    TimestampedEntry,
    format_merkle_tree_leaf,
    format_sct,
    parse_merkle_tree_leaf,
)
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import tbs_of_precertificate
from tests.corpus import leaves, need_corpus
from tests.wire_values import TestLog

NOW = 1_795_000_000_000
LOG, OTHER_LOG = TestLog(1), TestLog(2)
CA = issuance.example_authority(NOW, root_key=Key.from_number(11), key=Key.from_number(12))
OTHER_CA = issuance.example_authority(NOW, label="Other", root_key=Key.from_number(13), key=Key.from_number(14))
SAME_NAME_CA = issuance.example_authority(NOW, root_key=Key.from_number(15), key=Key.from_number(16))
SPKI = Key.from_number(21).spki


def leaf_of(authority: Authority, code: str = "709J") -> bytes:
    return issuance.shaken_leaf(
        authority, SPKI, code, "Carrier", not_before_ms=NOW, not_after_ms=NOW + issuance.DAY_MS, serial=1 << 126
    )


TBS = leaf_of(CA)
KEY_HASH = hashlib.sha256(CA.signer.spki).digest()
PRECERT = SignedEntry(EntryType.PRECERT, TBS, KEY_HASH)
SCT = format_sct(LOG.sct(PRECERT, NOW, 7))
FINAL = CA.final(TBS, [format_sct(OTHER_LOG.sct(PRECERT, NOW, 1)), SCT])
PLAIN = CA.certificate_for(TBS)


def refused(certificate=FINAL, issuers=CA.chain, sct=SCT, key=LOG.key, now_ms=NOW) -> str:
    with pytest.raises(SctError) as caught:
        verify_sct(certificate, issuers, sct, key, now_ms)
    return caught.value.reason


# What holds ---------------------------------------------------------------------------------------------------------


def test_embedded():
    assert embedded_scts(FINAL) == [format_sct(OTHER_LOG.sct(PRECERT, NOW, 1)), SCT]
    one = verify_sct(FINAL, CA.chain, SCT, LOG.key, NOW)
    for verified in (one, verify_embedded_sct(FINAL, CA.chain, LOG.key, NOW)):
        assert verified.entry == PRECERT
        assert (verified.leaf_index, verified.sct.timestamp_ms) == (7, NOW)
        assert parse_merkle_tree_leaf(verified.merkle_tree_leaf).entry == PRECERT
    assert verify_embedded_sct(FINAL, CA.chain[:1], OTHER_LOG.key, NOW).leaf_index == 1


def test_detached_over_the_final_certificate():
    for certificate in (PLAIN, FINAL):
        sct = LOG.sct(SignedEntry(EntryType.X509, certificate), NOW, 3)
        verified = verify_sct(certificate, CA.chain, sct, LOG.key, NOW)
        assert verified.entry == SignedEntry(EntryType.X509, certificate)
        assert verify_sct(certificate, CA.chain, format_sct(sct), LOG.key, NOW) == verified
        assert verify_sct(certificate, [], sct, LOG.key, NOW) == verified


def test_detached_over_the_precertificate():
    for certificate in (CA.precertificate(TBS), PLAIN, FINAL):
        assert verify_sct(certificate, CA.chain, SCT, LOG.key, NOW).entry == PRECERT


def test_of_a_precertificate_by_a_precertificate_signing_certificate():
    key = Key.from_number(17)
    who = Subject(issuance.name(C="US", O="Example", CN="Precert signer"), key.spki, NOW, NOW + issuance.DAY_MS)
    signer = issuance.precertificate_signer(CA, key, who)
    precertificate = signer.precertificate(TBS)
    assert tbs_of_precertificate(parse_certificate(precertificate), parse_certificate(signer.certificate)) == TBS
    assert verify_sct(precertificate, signer.chain, SCT, LOG.key, NOW).entry == PRECERT
    assert refused(precertificate, signer.chain[:1]) == "wrong-certificate"


def test_without_a_leaf_index_an_sct_is_as_good():
    bare = SignedCertificateTimestamp(LOG.key.log_id, NOW, b"", DigitallySigned(4, 3, b""))
    signed = LOG.sign(format_merkle_tree_leaf(TimestampedEntry(NOW, PRECERT, b"")))
    assert verify_sct(FINAL, CA.chain, bare._replace(signature=signed), LOG.key, NOW).leaf_index is None


@need_corpus
def test_real_certificates_carry_an_sct_as_well():
    """A SHAKEN leaf is issued without SCTs; one over the final certificate holds for it and for no other."""
    first, second = leaves()[:2]
    sct = LOG.sct(SignedEntry(EntryType.X509, first), NOW, 0)
    assert verify_sct(first, [CA.certificate], sct, LOG.key, NOW).leaf_index == 0
    assert refused(second, [CA.certificate], sct) == "wrong-certificate"
    assert embedded_scts(first) == []


# What does not ------------------------------------------------------------------------------------------------------


def test_another_log():
    assert refused(key=TestLog(3).key) == "unknown-log"
    with pytest.raises(SctError) as caught:
        verify_embedded_sct(FINAL, CA.chain, TestLog(3).key, NOW)
    assert caught.value.reason == "no-sct"
    with pytest.raises(SctError) as caught:
        verify_embedded_sct(PLAIN, CA.chain, LOG.key, NOW)
    assert caught.value.reason == "no-sct"


def test_the_future_begins_now():
    verify_sct(FINAL, CA.chain, SCT, LOG.key, NOW)
    assert refused(now_ms=NOW - 1) == "from-the-future"


def test_or_after_the_tolerance():
    verify_sct(FINAL, CA.chain, SCT, LOG.key, NOW - CLOCK_SKEW_MS, CLOCK_SKEW_MS)
    verify_embedded_sct(FINAL, CA.chain, LOG.key, NOW - CLOCK_SKEW_MS, CLOCK_SKEW_MS)
    for call in (verify_sct, lambda *args: verify_embedded_sct(args[0], args[1], *args[3:])):
        with pytest.raises(SctError) as caught:
            call(FINAL, CA.chain, SCT, LOG.key, NOW - CLOCK_SKEW_MS - 1, CLOCK_SKEW_MS)
        assert caught.value.reason == "from-the-future"


def test_another_certificate():
    assert refused(CA.certificate_for(leaf_of(CA, "1234"))) == "bad-signature"
    assert refused(OTHER_CA.final(leaf_of(OTHER_CA), [SCT]), OTHER_CA.chain) == "bad-signature"


def test_another_issuer():
    assert refused(issuers=OTHER_CA.chain) == "wrong-certificate"
    assert refused(issuers=CA.chain[::-1]) == "wrong-certificate"
    assert refused(issuers=SAME_NAME_CA.chain) == "bad-signature"
    assert refused(issuers=()) == "wrong-certificate"


def test_another_version():
    assert refused(sct=b"\x01" + SCT[1:]) == "unknown-version"


def test_an_sct_over_the_other_kind_of_entry():
    """The same bytes as certificate and as TBSCertificate are two entries: the type is signed."""
    sct = LOG.sct(SignedEntry(EntryType.X509, TBS), NOW, 1)
    assert refused(sct=sct) == "bad-signature"


def test_extensions_that_are_no_list():
    twice = LOG.sct(PRECERT, NOW, 7).extensions * 2
    signed = LOG.sign(format_merkle_tree_leaf(TimestampedEntry(NOW, PRECERT, twice)))
    assert refused(sct=SignedCertificateTimestamp(LOG.key.log_id, NOW, twice, signed)) == "bad-extensions"


def test_of_several_scts_one_good_one_is_enough():
    bad = format_sct(LOG.sct(PRECERT._replace(certificate=b"other"), NOW, 6))
    both = CA.final(TBS, [bad, SCT])
    assert verify_embedded_sct(both, CA.chain, LOG.key, NOW).leaf_index == 7
    future = format_sct(LOG.sct(PRECERT, NOW + CLOCK_SKEW_MS + 1, 6))
    for scts, reason in (([bad, future], "bad-signature"), ([future, bad], "from-the-future")):
        with pytest.raises(SctError) as caught:
            verify_embedded_sct(CA.final(TBS, scts), CA.chain, LOG.key, NOW)
        assert caught.value.reason == reason


def test_scts_of_other_versions_in_the_list_are_passed_over():
    mixed = CA.final(TBS, [b"\x01" + SCT[1:], b"\xff", SCT])
    assert verify_embedded_sct(mixed, CA.chain, LOG.key, NOW).leaf_index == 7


def test_two_sct_lists():
    twice = CA.final(parse_certificate(FINAL).tbs, [SCT])
    for call in (lambda: embedded_scts(twice), lambda: verify_sct(twice, CA.chain, SCT, LOG.key, NOW)):
        with pytest.raises(MalformedError):
            call()


@pytest.mark.parametrize("part", ["certificate", "issuer", "sct"])
def test_every_flipped_bit_is_refused(part):
    """Bits of the certificate's own signature do not count: the SCT is over what is signed, not over the signature."""
    tbs_at = FINAL.index(parse_certificate(FINAL).tbs)
    spki_at = CA.certificate.index(CA.signer.spki)
    data, lo, hi = {
        "certificate": (FINAL, tbs_at, tbs_at + len(parse_certificate(FINAL).tbs) - len(SCT) * 2 - 40),
        "issuer": (CA.certificate, spki_at, spki_at + len(CA.signer.spki)),
        "sct": (SCT, 0, len(SCT)),
    }[part]
    for at in range(lo, hi):
        wrong = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        arguments = {"certificate": FINAL, "issuer": CA.certificate, "sct": SCT} | {part: wrong}
        with pytest.raises((SctError, MalformedError)):
            verify_sct(arguments["certificate"], [arguments["issuer"]], arguments["sct"], LOG.key, NOW)


@given(st.binary(max_size=40), st.integers(0, len(FINAL)))
def test_no_byte_string_raises_anything_else(data, at):
    for certificate in (data, FINAL[:at] + data + FINAL[at:], FINAL[:at] + data + FINAL[at + len(data) :]):
        with suppress(MalformedError):
            embedded_scts(certificate)
        with suppress(MalformedError, SctError):
            verify_embedded_sct(certificate, CA.chain, LOG.key, NOW)
        with suppress(MalformedError, SctError):
            verify_sct(certificate, [certificate], SCT[:at] + data, LOG.key, NOW)
