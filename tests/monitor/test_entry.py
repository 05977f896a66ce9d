"""Entries from any bytes: who issued, whose it is, one key for one issuance, and nothing that hides by its form."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.issuance import DAY_MS, Subject
from ctlog.tn.labels import UNINDEXABLE, Label
from ctlog.tn.numbers import NumberRange, TelephoneNumber
from ctlog.x509.chain import PathCache, Roots, accepted_root
from monitor.entry import NO_TRUST, IssuerId, Trust, describe_issuer, look, read_entry
from monitor.glance import Glancer
from tests.corpus import leaves, need_corpus, odd
from tests.monitor_certificates import (
    DOMAIN,
    GOOD,
    NOW_MS,
    PLACE,
    ROGUE,
    TRUST,
    code_leaf,
    key,
    leaf_of,
    logged,
    number_leaf,
    precert_leaf_of,
    subject,
    trust,
)

NUMBER = TelephoneNumber("12025550123")
TBS = number_leaf([NUMBER])


def precert_entry(tbs, ca=GOOD, *, chain=None, trusting=TRUST, **options):
    pre = ca.precertificate(tbs)
    leaf = precert_leaf_of(pre, chain or ca.chain)
    return read_entry(PLACE, leaf, pre_certificate=pre, chain=chain or ca.chain, trust=trusting, **options)


def test_what_a_certificate_says():
    entry = logged(TBS, timestamp_ms=NOW_MS + 5)
    assert entry.labels == (Label("one", "12025550123"),)
    assert (entry.index, entry.log_name, entry.timestamp_ms) == (7, "log.example", NOW_MS + 5)
    assert (entry.holder, entry.holder_key) == ("Example Inc", "example")
    assert entry.issuer == IssuerId(DOMAIN, "rightful ca", "rightful ca")
    assert entry.issuer.text == "rightful ca @ us-shaken"
    assert len(entry.issuer.key) == 8
    assert (entry.not_before_ms, entry.not_after_ms) == (NOW_MS, NOW_MS + 90 * DAY_MS - 1000)
    assert entry.issuers[-1].der == GOOD.chain[-1]
    assert entry.chain_reason == ""
    assert not entry.precert
    assert entry.certificate == GOOD.certificate_for(TBS) or entry.parsed.tbs == TBS
    assert describe_issuer(entry) == "Rightful CA"


def test_one_issuance_whatever_its_form():
    """Precertificate, final certificate with and without SCTs, in two logs, proven or not: one key."""
    plain = logged(TBS)
    pre = precert_entry(TBS)
    with_scts = leaf_of(GOOD.final(TBS, [bytes(50)]))
    final = read_entry(dataclasses.replace(PLACE, index=9), with_scts, chain=GOOD.chain, trust=TRUST)
    other_log, later = dataclasses.replace(PLACE, log_id=b"\2" * 32), leaf_of(GOOD.certificate_for(TBS), NOW_MS + 9)
    elsewhere = read_entry(other_log, later, chain=GOOD.chain[:1], trust=TRUST)
    assert pre.precert
    assert pre.certificate == GOOD.precertificate(TBS)
    assert pre.issuer == plain.issuer
    assert len({each.issuance for each in (plain, pre, final, elsewhere)}) == 1
    assert plain.proven is None
    assert plain.proven_in(12).issuance == plain.issuance
    assert plain.proven_in(12).proven == 12


def test_another_issuance_is_another():
    other = number_leaf([NUMBER], GOOD, subject(key_number=1))
    assert logged(TBS).issuance != logged(other).issuance


def test_the_same_content_by_another_issuer_is_another_issuance():
    """A rogue CA that copies name, serial number and key identifier byte for byte does not hide behind the real one."""
    twin = dataclasses.replace(ROGUE, name=GOOD.name)
    forged = read_entry(PLACE, leaf_of(twin.certificate_for(TBS)), chain=ROGUE.chain, trust=TRUST)
    assert forged.parsed.tbs == logged(TBS).parsed.tbs
    assert forged.issuance != logged(TBS).issuance
    assert forged.issuer.organisation == "rogue ca"


def test_joined_even_without_accepted_roots():
    """Who vouches for the issuer is unknown, but not who signed."""
    final = read_entry(PLACE, leaf_of(GOOD.certificate_for(TBS)), chain=GOOD.chain)
    assert final.issuance == precert_entry(TBS).issuance
    assert final.chain_reason == "unknown-root"
    assert final.issuer == IssuerId("", "", "rightful ca")
    assert not final.issuer.is_known
    assert describe_issuer(final) == "somebody who says to be Rightful CA"


def test_an_issuer_that_did_not_sign_is_nobody():
    """A log that hands over somebody else's issuers beside an entry convinces nobody."""
    forged = read_entry(PLACE, leaf_of(ROGUE.certificate_for(number_leaf([NUMBER], ROGUE))), chain=GOOD.chain,
                        trust=TRUST)  # fmt: skip
    assert forged.chain_reason in ("bad-signature", "chain-out-of-order")
    assert forged.issuers == ()
    assert not forged.issuer.is_known
    copied = dataclasses.replace(ROGUE, name=GOOD.name)  # the real CA's name, signed with another key
    named = read_entry(PLACE, leaf_of(copied.certificate_for(TBS)), chain=GOOD.chain, trust=TRUST)
    assert named.chain_reason == "bad-signature"
    assert named.issuer == IssuerId("", "", "rightful ca")
    assert named.issuer != logged(TBS).issuer


def test_a_precertificate_beside_another_leaf_is_not_believed():
    pre = GOOD.precertificate(number_leaf([NUMBER], GOOD, subject(key_number=3)))
    leaf = precert_leaf_of(GOOD.precertificate(TBS), GOOD.chain)
    entry = read_entry(PLACE, leaf, pre_certificate=pre, chain=GOOD.chain, trust=TRUST)
    assert entry.chain_reason == "other-precertificate"
    assert entry.certificate == b""
    assert entry.key_hash == logged(TBS).key_hash
    assert read_entry(PLACE, leaf, chain=GOOD.chain, trust=TRUST).chain_reason == "no-precertificate"


def test_a_precertificate_signer_is_not_the_issuer():
    who = Subject(issuance.name(C="US", O="Rightful CA", CN="Precert Signer"), key(50).spki, NOW_MS, NOW_MS + DAY_MS)
    signer = issuance.precertificate_signer(GOOD, key(50), who)
    entry = precert_entry(TBS, signer, chain=signer.chain)
    assert entry.chain_reason == ""
    assert entry.issuers[0].der == GOOD.certificate
    assert entry.issuance == logged(TBS).issuance


def test_a_ca_that_rolls_keys_and_roots_is_the_same_issuer():
    rolled = issuance.example_authority(NOW_MS, label="Rightful CA, Inc.", root_key=key(60), key=key(61))
    entry = logged(number_leaf([NUMBER], rolled), rolled, trusting=trust(GOOD, rolled))
    assert entry.issuer == logged(TBS).issuer
    assert entry.root.fingerprint != logged(TBS).root.fingerprint


def test_another_organisation_below_the_same_root_is_another_issuer():
    other = issuance.intermediate(GOOD, key(62), Subject(issuance.name(O="Reseller", CN="Reseller CA"), key(62).spki,
                                                         NOW_MS, NOW_MS + DAY_MS))  # fmt: skip
    entry = logged(number_leaf([NUMBER], other), other)
    assert entry.issuer == IssuerId(DOMAIN, "rightful ca", "reseller")
    assert entry.issuer.text == "reseller @ rightful ca @ us-shaken"


def test_the_same_names_in_another_trust_domain_are_another_issuer():
    assert logged(TBS, trusting=trust(domain="ca-shaken")).issuer != logged(TBS).issuer


def test_an_operator_without_any_name_is_its_fingerprint():
    bare = issuance.root(key(63), Subject(issuance.name(C="US"), key(63).spki, NOW_MS, NOW_MS + DAY_MS))
    entry = logged(number_leaf([NUMBER], bare), bare, trusting=trust(bare))
    assert entry.issuer.root == entry.root.fingerprint.hex()


def test_issuers_that_were_not_given():
    leaf = leaf_of(GOOD.certificate_for(TBS))
    assert read_entry(PLACE, leaf, trust=TRUST).chain_reason == "no-chain"
    directly = issuance.root(key(64), Subject(issuance.name(O="Root"), key(64).spki, NOW_MS, NOW_MS + DAY_MS))
    trusting = trust(directly)
    found = read_entry(PLACE, leaf_of(directly.certificate_for(number_leaf([NUMBER], directly))), trust=trusting)
    assert found.chain_reason == ""  # the accepted root itself issued it


def test_a_cache_changes_nothing():
    cached = Trust(TRUST.roots, cache=PathCache())
    assert logged(TBS, trusting=cached) == logged(TBS, trusting=cached) == logged(TBS)


def test_scope_by_reference_taken_as_its_own():
    entry = logged(number_leaf([NUMBER])).with_scope([NumberRange("13035550100", 10), NUMBER])
    assert entry.identity.claims == (NUMBER, NumberRange("13035550100", 10))
    assert Label("prefix", "1303555010x") in entry.labels
    assert UNINDEXABLE in entry.labels


# What no parser accepts ----------------------------------------------------------------------------------------------


def test_an_unparsable_certificate_is_searched():
    """Cut off behind its list, so that no parser takes it: the number in it is found all the same."""
    der = GOOD.certificate_for(number_leaf([NUMBER]))
    at = der.index(b"12025550123") + 11
    broken = bytearray(der)
    broken[4] ^= 0xFF  # the TBSCertificate is no SEQUENCE
    for data in (bytes(broken), der[:at] + b"\xff" * 8):
        entry = read_entry(PLACE, leaf_of(data), chain=GOOD.chain, trust=TRUST)
        assert entry.parsed is None
        assert entry.identity.claims == ()
        assert NUMBER in entry.identity.readings
        assert {Label("one", "12025550123"), UNINDEXABLE} <= set(entry.labels)
        assert next(finding.id for finding in entry.identity.findings) == "entry-unreadable"
        assert (entry.chain_reason, entry.key_hash, entry.holder) == ("unreadable", b"", "")
        assert describe_issuer(entry) == "an issuer that cannot be read"
        assert entry.is_valid_at(NOW_MS)


def test_tel_names_and_references_are_searched_too():
    who = subject(cn="x")
    tbs = GOOD.leaf(who, [issuance.tel_names("12025550124"), issuance.tn_auth_list_by_reference("https://tn.example/l")])
    broken = bytearray(GOOD.certificate_for(tbs))
    broken[4] ^= 0xFF
    entry = read_entry(PLACE, leaf_of(bytes(broken)))
    assert TelephoneNumber("12025550124") in entry.identity.readings
    assert entry.identity.by_reference == ("https://tn.example/l0", "https://tn.example/l")
    assert entry.identity.family == "mixed"


def test_a_leaf_that_is_none():
    entry = read_entry(PLACE, b"\0\0" + bytes(6) + b"\1\2" + b"\xff\xff")
    assert entry.timestamp_ms == 0x102
    assert entry.labels == (UNINDEXABLE,)
    assert entry.issuance != read_entry(PLACE, b"other").issuance


@given(st.binary(max_size=200), st.binary(max_size=60), st.lists(st.binary(max_size=40), max_size=3))
def test_total_over_any_bytes(data, pre, chain):
    for leaf in (data, leaf_of(data or b"x")):
        entry = read_entry(PLACE, leaf, pre_certificate=pre, chain=chain, trust=TRUST)
        assert len(entry.issuance) == 32
        assert entry.labels == look(Glancer(), leaf).labels
        assert len(entry.fingerprint) == 32


@need_corpus
def test_total_over_mutated_real_certificates():
    for at, der in enumerate(leaves()[::400] + odd()):
        for step in (3, 50, 200):
            data = bytearray(der)
            data[(at * 37 + step) % len(data)] ^= 0x80
            assert read_entry(PLACE, leaf_of(bytes(data)), chain=[der], trust=NO_TRUST).issuance


def test_two_sct_lists_are_left_as_they_are():
    tbs = GOOD.leaf(subject(), [issuance.sct_list([b"a" * 50]), issuance.sct_list([b"b" * 50])])
    assert logged(tbs).issuance != logged(number_leaf([NUMBER])).issuance


def test_codes_and_keys():
    entry = logged(code_leaf("709J", "Example Inc"))
    assert entry.labels == (Label("spc", "709J"),)
    assert entry.trust_domain == DOMAIN
    root = accepted_root(GOOD.chain[-1], DOMAIN)
    assert Roots([root]).anchor(entry.issuers[-1]) is not None
    assert entry.extension(b"\x55\x1d\x0f") == b"\x03\x02\x07\x80"
    assert entry.extension(b"\x55\x1d\x63") is None
