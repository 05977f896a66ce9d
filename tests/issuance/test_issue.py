"""ctlog.issuance.issue: what is submitted is what is issued, and nothing else is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.client.sct import VerifiedSct, embedded_scts, verify_embedded_sct, verify_sct
from ctlog.client.submission import check_promise
from ctlog.errors import CtlogError
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.issuance.extensions import POISON, sct_list
from ctlog.issuance.issue import (
    certificate_submission,
    check_final,
    check_scts,
    detached_list,
    final_certificate,
    logged_entry,
    plain_certificate,
    precertificate,
)
from ctlog.issuance.keys import ECDSA_SHA256
from ctlog.wire.rfc6962 import EntryType, SignedEntry, parse_sct_list
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import insert_extension, is_precertificate
from tests.issued import AUTHORITY, CA_KEY, KEY, NOW, ROOT_KEY, check_chain, shaken, subject
from tests.wire_values import TestLog

LOGS = [TestLog(seed) for seed in (71, 72, 73)]
PRECERT_SIGNER = issuance.precertificate_signer(
    AUTHORITY, Key.from_number(97), Subject(issuance.name(CN="Precert Signer"), Key.from_number(97).spki, NOW, NOW + 1)
)
OTHER = issuance.example_authority(NOW, label="Other", root_key=Key.from_number(95), key=Key.from_number(96))


def promises(entry: SignedEntry, logs: Sequence[TestLog] = LOGS) -> list[VerifiedSct]:
    return [check_promise(log.sct(entry, NOW, at), entry, NOW) for at, log in enumerate(logs)]


def reason(what: Callable[[], object]) -> str:
    with pytest.raises(CtlogError) as caught:
        what()
    return caught.value.reason


# The way of a certificate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signer", [None, PRECERT_SIGNER], ids=["by the CA", "by a precertificate signer"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_the_logs_promised_is_in_the_final_certificate(signer: Authority | None, count: int) -> None:
    tbs = shaken()
    submission = precertificate(AUTHORITY, tbs, signer)
    assert is_precertificate(parse_certificate(submission.chain[0]))
    assert submission.chain[1:] == (signer or AUTHORITY).chain
    check_chain(submission.chain[0], signer or AUTHORITY)
    scts = promises(submission.entry, LOGS[:count])
    certificate = final_certificate(AUTHORITY, tbs, scts)
    check_chain(certificate, AUTHORITY)
    assert len(embedded_scts(certificate)) == count
    for at, log in enumerate(LOGS[:count]):
        assert verify_embedded_sct(certificate, AUTHORITY.chain, log.key, NOW).leaf_index == at
        # and the precertificate itself tells every verifier the same entry
        verified = verify_sct(submission.chain[0], submission.chain[1:], scts[at].sct, log.key, NOW)
        assert verified.entry == submission.entry == logged_entry(AUTHORITY, tbs)


def test_a_profile_without_scts_is_logged_as_it_is_and_its_list_goes_beside_it() -> None:
    submission = plain_certificate(AUTHORITY, shaken())
    certificate = submission.chain[0]
    assert submission.entry == SignedEntry(EntryType.X509, certificate)
    assert submission == certificate_submission(certificate, AUTHORITY)
    scts = promises(submission.entry)
    check_scts(scts, submission.entry)
    beside = parse_sct_list(detached_list(scts))
    assert not embedded_scts(certificate)
    for log, sct in zip(LOGS, beside, strict=True):
        verify_sct(certificate, [], sct, log.key, NOW)


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(range(3)), organization=st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1),
    serial=st.integers(1, 1 << 126), by=st.sampled_from([None, PRECERT_SIGNER]),
)  # fmt: skip
def test_scts_stand_in_the_order_given_and_hold(
    order: list[int], organization: str, serial: int, by: Authority | None
) -> None:
    tbs = shaken(organization=organization, serial=serial)
    scts = promises(precertificate(AUTHORITY, tbs, by).entry, [LOGS[at] for at in order])
    certificate = final_certificate(AUTHORITY, tbs, scts)
    assert [sct[1:33] for sct in embedded_scts(certificate)] == [LOGS[at].key.log_id for at in order]
    check_final(AUTHORITY, certificate, tbs)


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tbs",
    [
        insert_extension(shaken(), POISON),
        insert_extension(shaken(), sct_list([b"x" * 50])),
        issuance.delegate_leaf(OTHER, subject(), issuance.one("12025550123")),
        b"\x30\x03\x02\x01\x01",
        b"",
        shaken()[:-1],
    ],
    ids=["poison", "SCT list", "another CA's", "no TBSCertificate", "empty", "cut off"],
)
def test_what_cannot_be_logged_as_it_is_is_not_signed_for_a_log(tbs: bytes) -> None:
    for way in (precertificate, plain_certificate):
        assert reason(lambda way=way: way(AUTHORITY, tbs)) == "not-as-logged"


@pytest.mark.parametrize("tbs", [issuance.delegate_leaf(OTHER, subject(), issuance.one("12025550123"))])
def test_a_signer_does_not_hide_another_cas_certificate(tbs: bytes) -> None:
    """The signer's name would take the place of any name, and the log would put back the CA's."""
    assert reason(lambda: precertificate(AUTHORITY, tbs, PRECERT_SIGNER)) == "not-as-logged"


def test_only_a_precertificate_signer_of_this_ca_stands_in() -> None:
    key = Key.from_number(94)
    who = Subject(issuance.name(CN="An issuing CA"), key.spki, NOW, NOW + DAY_MS)
    others = issuance.precertificate_signer(OTHER, key, who)
    for wrong in (AUTHORITY, issuance.intermediate(AUTHORITY, key, who), others):
        assert reason(lambda wrong=wrong: precertificate(AUTHORITY, shaken(), wrong)) == "not-its-signer"


def test_only_scts_for_this_very_certificate_are_embedded() -> None:
    tbs, other = shaken(serial=1), shaken(serial=2)
    entry = logged_entry(AUTHORITY, tbs)
    good = promises(entry)
    assert reason(lambda: final_certificate(AUTHORITY, tbs, [])) == "no-sct"
    assert reason(lambda: final_certificate(AUTHORITY, tbs, [good[0], good[0]])) == "same-log"
    for wrong in (logged_entry(AUTHORITY, other), logged_entry(OTHER, tbs), SignedEntry(EntryType.X509, tbs)):
        scts = [good[0], promises(wrong)[1]]
        assert reason(lambda scts=scts: final_certificate(AUTHORITY, tbs, scts)) == "wrong-certificate"


def test_a_final_certificate_that_is_another_is_found_out() -> None:
    tbs = shaken(serial=1)
    for wrong in (
        AUTHORITY.certificate_for(shaken(serial=2)), AUTHORITY.precertificate(tbs), b"", AUTHORITY.certificate,
        AUTHORITY.certificate_for(insert_extension(tbs, issuance.END_ENTITY)),
    ):  # fmt: skip
        assert reason(lambda wrong=wrong: check_final(AUTHORITY, wrong, tbs)) == "final-differs"
    check_final(AUTHORITY, AUTHORITY.certificate_for(tbs), tbs)
    check_final(AUTHORITY, final_certificate(AUTHORITY, tbs, promises(logged_entry(AUTHORITY, tbs))), tbs)


# Signers that are not what they seem ----------------------------------------------------------------------------------


class Remote:
    """A signer that is not ours: its signatures are looked at."""

    algorithm = ECDSA_SHA256

    def __init__(self, key: Key, spki: bytes = b"") -> None:
        self.spki, self.calls = spki or key.spki, 0
        self._key = key

    def sign(self, data: bytes) -> bytes:
        self.calls += 1
        return self._key.sign(data)


def with_signer(signer: issuance.Signer) -> Authority:
    return dataclasses.replace(AUTHORITY, signer=signer)


def test_a_signer_of_another_make_signs_twice_for_a_certificate() -> None:
    signer = Remote(CA_KEY)
    authority = with_signer(signer)
    tbs = shaken()
    certificate = final_certificate(authority, tbs, promises(precertificate(authority, tbs).entry))
    check_chain(certificate, AUTHORITY)
    assert signer.calls == 2


@pytest.mark.parametrize(
    ("signer", "expected"),
    [
        (Remote(KEY, CA_KEY.spki), "bad-signature"),
        (Remote(KEY), "wrong-key"),
        (KEY, "wrong-key"),
    ],
    ids=["signs with another key", "is another key", "is another key in memory"],
)
def test_a_signer_that_is_not_the_cas_is_found_out(signer: issuance.Signer, expected: str) -> None:
    authority, tbs = with_signer(signer), shaken()
    assert reason(lambda: precertificate(authority, tbs)) == expected
    assert reason(lambda: plain_certificate(authority, tbs)) == expected
    scts = promises(logged_entry(authority, tbs))
    assert reason(lambda: final_certificate(authority, tbs, scts)) == expected


def test_a_signer_that_says_another_algorithm_inside_than_outside_is_found_out() -> None:
    class Fickle(Remote):
        algorithm = bytes.fromhex("300a06082a8648ce3d040303")  # of P-384 keys, while the TBSCertificate says SHA-256

    assert reason(lambda: precertificate(with_signer(Fickle(CA_KEY)), shaken())) == "bad-signature"


def test_an_authority_that_there_is_already() -> None:
    chain = AUTHORITY.chain
    made = Authority.of(chain, CA_KEY)
    assert (made.name, made.chain, made.key_id) == (AUTHORITY.name, chain, AUTHORITY.key_id)
    assert reason(lambda: Authority.of(chain, ROOT_KEY)) == "wrong-key"
    leaf = AUTHORITY.certificate_for(shaken())
    assert reason(lambda: Authority.of((leaf, *chain), KEY)) == "not-a-ca"


def test_a_ca_numbers_its_keys_as_it_likes() -> None:
    """RFC 5280 section 4.2.1.2 lets it; what it issues must name the key as its own certificate does."""
    key = Key.from_number(93)
    who = Subject(issuance.name(CN="CA SHAKEN"), key.spki, NOW, NOW + DAY_MS)
    extensions = [
        issuance.authority_constraints(0), issuance.CERT_SIGN, issuance.authority_key_id(AUTHORITY.key_id),
        issuance.extension("2.5.29.14", b"\x04\x03abc"),
    ]  # fmt: skip
    authority = AUTHORITY.authority(key, who, extensions)
    assert authority.key_id == b"abc"
    tbs = issuance.delegate_leaf(authority, subject(), issuance.one("12025550123"))
    check_chain(precertificate(authority, tbs).chain[0], authority)
    nameless = AUTHORITY.authority(key, who, extensions[:-1])
    assert nameless.key_id == issuance.key_id(key.spki)


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_names_every_reason_that_issuing_raises() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "issue-certificates.md").read_text("utf-8")
    told = set(re.findall(r"`([a-z-]+)`", page.partition("## When it is no")[2]))
    rooms = ("issuance/issue", "issuance/authority", "issuance/requests", "client/several", "client/submission")
    raised = {word for room in rooms for word in
              re.findall(r'reason="([a-z-]+)"', (root / "ctlog" / f"{room}.py").read_text("utf-8"))}  # fmt: skip
    assert {"not-as-logged", "wrong-key", "bad-policy", "bad-extensions", "no-number"} <= raised <= told
