"""All SCTs of a certificate against a list and a policy: each reason, what is passed over, and what is remembered."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.client.sct_policy import MAX_SCTS, SctCache, SctPolicy, verify_scts
from ctlog.errors import MalformedError, UsageError
from ctlog.wire.rfc6962 import EntryType, SignedEntry, format_sct
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import insert_extension
from tests.call_values import CA, DAY_MS, LOGS, NOW, OTHER_CA, log_list, logged, operator_entry, sct, subject
from tests.wire_values import TestLog

LIST = log_list()
TBS = issuance.delegate_leaf(CA, subject(), issuance.one("12025550123"))
OTHER_TBS = issuance.delegate_leaf(CA, subject("other"), issuance.one("12025550124"))
ONE, SAME_OPERATOR, TWO = (sct(log, TBS) for log in LOGS)
GOOD = CA.final(TBS, [ONE, TWO])
ONCE = SctPolicy(1, 1)


def judged(*scts: bytes, policy=None, found=LIST, now_ms=NOW, **options):
    return verify_scts(CA.final(TBS, scts) if scts else CA.certificate_for(TBS), CA.chain, found, now_ms, policy,
                       **options)


def words(verdict) -> list[str]:
    return [one.reason for one in verdict.scts]


# What is enough -----------------------------------------------------------------------------------------------------


def test_two_of_two_operators_are_enough():
    verdict = verify_scts(GOOD, CA.chain, LIST, NOW)
    assert (verdict.outcome, verdict.reason, verdict.is_met) == ("met", "enough", True)
    assert verdict.sentence == "2 good SCTs of 2 operators"
    assert [one.log for one in verdict.good] == [LIST.logs[0], LIST.logs[2]]
    assert verdict.operators == ["One", "Two"]
    assert [one.verified.leaf_index for one in verdict.good] == [7, 7]
    assert all(one.embedded for one in verdict.scts)
    parsed = verify_scts(parse_certificate(GOOD), [parse_certificate(CA.certificate)], LIST, NOW)
    assert parsed == verdict


def test_too_few():
    assert judged(ONE).reason == "too-few-scts"
    assert judged(ONE).sentence == "1 good SCT of 1 operator, where 2 of 2 are wanted"
    assert judged(ONE, SAME_OPERATOR).reason == "too-few-operators"
    assert judged(ONE, SAME_OPERATOR, policy=SctPolicy(2, 1)).is_met
    assert judged(ONE, SAME_OPERATOR, TWO, policy=SctPolicy(3, 2)).is_met
    assert judged(ONE, TWO, policy=SctPolicy(3, 2)).reason == "too-few-scts"
    assert judged(ONE, policy=ONCE).is_met


def test_none_at_all():
    verdict = judged()
    assert (verdict.outcome, verdict.reason) == ("not-met", "no-sct")


def test_two_of_one_log_count_once():
    later = sct(LOGS[0], TBS, timestamp_ms=NOW - 1, index=9)
    verdict = judged(ONE, later)
    assert words(verdict) == ["good", "same-log"]
    assert verdict.reason == "too-few-scts"
    assert words(judged(later[:-1] + bytes([later[-1] ^ 1]), later, policy=ONCE)) == ["bad-signature", "good"]


def test_one_operator_under_two_names_in_time():
    """The operator that counts is the one at the time of the SCT."""
    entry = operator_entry("Two", LOGS[2])
    entry["tiled_logs"][0]["previous_operators"] = [{"name": "One", "end_time": "2026-11-18T00:00:00Z"}]
    verdict = judged(ONE, TWO, found=log_list(operator_entry("One", LOGS[0]), entry))
    assert (verdict.reason, verdict.operators) == ("too-few-operators", ["One"])


def test_detached_beside_embedded():
    plain = CA.certificate_for(TBS)
    for certificate in (plain, CA.final(TBS, [TWO])):
        own = format_sct(LOGS[0].sct(SignedEntry(EntryType.X509, certificate), NOW - 1, 3))
        verdict = verify_scts(certificate, CA.chain, LIST, NOW, SctPolicy(1, 1), detached=[own])
        assert verdict.is_met
        assert [one.embedded for one in verdict.scts] == [True, False][certificate is plain :]
    both = verify_scts(CA.final(TBS, [TWO]), CA.chain, LIST, NOW, detached=[ONE])
    assert both.is_met


# What is passed over ------------------------------------------------------------------------------------------------


def test_unknown_ones_spoil_nothing():
    unknown = sct(TestLog(99), TBS)
    verdict = judged(b"\x01" + ONE[1:], unknown, b"\x00short", b"\xff", ONE, TWO)
    assert words(verdict) == ["unknown-version", "unknown-log", "malformed-sct", "unknown-version", "good", "good"]
    assert verdict.is_met
    verdict = judged(unknown, ONE)
    assert (verdict.reason, verdict.sentence) == (
        "too-few-scts", "1 good SCT of 1 operator, where 2 of 2 are wanted; 1 further SCT passed over",
    )  # fmt: skip


def test_logs_that_are_not_accepted():
    for state in ("pending", "rejected"):
        found = log_list(operator_entry("One", LOGS[0], states={state: NOW - DAY_MS}), operator_entry("Two", LOGS[2]))
        verdict = judged(ONE, TWO, found=found)
        assert words(verdict) == ["log-not-accepted", "good"]
        assert verdict.reason == "too-few-scts"
    for state in ("qualified", "usable", "readonly"):
        found = log_list(operator_entry("One", LOGS[0], states={state: NOW}), operator_entry("Two", LOGS[2]))
        assert judged(ONE, TWO, found=found).is_met


def test_more_than_anyone_needs_are_not_looked_at():
    bad = sct(LOGS[0], OTHER_TBS)
    verdict = judged(*[bad] * (MAX_SCTS + 3), TWO, policy=ONCE)
    assert words(verdict) == ["bad-signature"] * MAX_SCTS + ["too-many"] * 4
    unknown = [sct(TestLog(99), TBS)] * 40
    assert judged(*unknown, ONE, TWO).is_met


# What is not good ---------------------------------------------------------------------------------------------------


def test_an_sct_for_another_certificate():
    foreign = sct(LOGS[0], OTHER_TBS)
    verdict = judged(foreign, TWO)
    assert words(verdict) == ["bad-signature", "good"]
    assert verdict.reason == "bad-signature"
    assert judged(foreign, ONE, TWO).is_met


def test_an_sct_under_another_issuer():
    assert verify_scts(GOOD, OTHER_CA.chain, LIST, NOW).reason == "wrong-certificate"
    assert verify_scts(GOOD, [], LIST, NOW).reason == "wrong-certificate"


def test_an_sct_from_the_future():
    ahead = sct(LOGS[2], TBS, timestamp_ms=NOW + 1)
    assert judged(ONE, ahead).reason == "from-the-future"
    assert judged(ONE, ahead, policy=SctPolicy(tolerance_ms=1)).is_met
    assert judged(ONE, ahead, now_ms=NOW + 1).is_met


def test_an_sct_of_a_retired_log():
    """Given at the date or later it does not count; given before it does, but not alone."""
    found = log_list(
        operator_entry("One", LOGS[0], states={"usable": NOW - 9 * DAY_MS, "retired": NOW - DAY_MS}),
        operator_entry("Two", LOGS[2]),
    )
    at, before = (sct(LOGS[0], TBS, timestamp_ms=NOW - DAY_MS - back) for back in (0, 1))
    verdict = judged(at, TWO, found=found)
    assert (words(verdict), verdict.reason) == (["retired-log", "good"], "retired-log")
    assert judged(before, TWO, found=found).is_met
    assert judged(before, policy=ONCE, found=found).reason == "only-retired-logs"
    assert judged(before, policy=SctPolicy(1, 1, current=0), found=found).is_met
    announced = log_list(
        operator_entry("One", LOGS[0], states={"usable": NOW - DAY_MS, "retired": NOW + 1}),
        operator_entry("Two", LOGS[2]),
    )
    assert judged(ONE, TWO, found=announced).until_ms == NOW + 1
    assert judged(ONE, policy=ONCE, found=announced).is_met
    assert judged(ONE, policy=ONCE, found=announced, now_ms=NOW + 1).reason == "only-retired-logs"


def test_a_list_that_cannot_be_read():
    twice = CA.final(parse_certificate(GOOD).tbs, [ONE, TWO])
    short = insert_extension(TBS, issuance.extension("1.3.6.1.4.1.11129.2.4.2", b"\x04\x01\x00"))
    for certificate in (twice, CA.certificate_for(short)):
        verdict = verify_scts(certificate, CA.chain, LIST, NOW)
        assert verdict.reason == "unreadable-scts"
    assert words(verify_scts(twice, CA.chain, LIST, NOW, detached=[ONE])) == ["wrong-certificate"]


def test_a_stale_list_is_an_outcome_of_its_own():
    verdict = judged(ONE, TWO, now_ms=LIST.timestamp_ms + 70 * DAY_MS + 1)
    assert (verdict.outcome, verdict.reason, verdict.scts) == ("stale", "log-list-stale", ())
    assert not verdict.is_met
    soon = SctPolicy(max_list_age_ms=DAY_MS)
    assert judged(ONE, TWO, now_ms=LIST.timestamp_ms + 5 * DAY_MS, policy=soon).outcome == "stale"


def test_wrong_use():
    for numbers in ((0, 1), (1, 0), (1, 1, 2), (1, 1, -1), (1, 1, 1, -1)):
        policy = SctPolicy(*numbers)
        with pytest.raises(UsageError):
            judged(ONE, policy=policy)
    with pytest.raises(MalformedError):
        verify_scts(b"no certificate", [], LIST, NOW)


@given(st.lists(st.binary(max_size=60), max_size=3), st.lists(st.binary(min_size=1, max_size=140), max_size=4))
def test_no_scts_raise_anything(detached, embedded):
    mutated = [ONE[: len(data)] + data + ONE[len(data) :] for data in detached]
    certificate = CA.final(TBS, [*embedded, TWO])
    verdict = verify_scts(certificate, CA.chain, LIST, NOW, detached=[*detached, *mutated])
    assert sum(one.reason == "good" for one in verdict.scts) >= 1
    assert verdict.outcome in ("met", "not-met")


# What is remembered -------------------------------------------------------------------------------------------------


def test_a_verdict_is_found_again_until_it_ends():
    cache = SctCache()
    first = verify_scts(GOOD, CA.chain, LIST, NOW, cache=cache)
    assert verify_scts(bytes(bytearray(GOOD)), CA.chain, LIST, NOW + 5, cache=cache) is first
    assert first.until_ms == NOW + 30 * DAY_MS + 1000
    again = verify_scts(GOOD, CA.chain, LIST, first.until_ms, cache=cache)
    assert again is not first
    assert verify_scts(GOOD, CA.chain, LIST, first.until_ms - 1, cache=cache) is not again  # the clock was set back
    assert len(cache) == 1


def test_another_list_or_policy_starts_anew():
    cache = SctCache()
    first = verify_scts(GOOD, CA.chain, LIST, NOW, cache=cache)
    assert verify_scts(GOOD, CA.chain, LIST, NOW, SctPolicy(3, 2), cache=cache).reason == "too-few-scts"
    assert verify_scts(GOOD, CA.chain, LIST, NOW, cache=cache) is not first
    other = log_list(operator_entry("One", LOGS[0], states={"rejected": 0}), operator_entry("Two", LOGS[2]))
    assert not verify_scts(GOOD, CA.chain, other, NOW, cache=cache).is_met


def test_what_is_remembered_is_for_these_bytes_only():
    cache = SctCache()
    assert verify_scts(GOOD, CA.chain, LIST, NOW, cache=cache).is_met
    assert not verify_scts(GOOD, OTHER_CA.chain, LIST, NOW, cache=cache).is_met
    assert not verify_scts(GOOD, [], LIST, NOW, cache=cache, detached=[CA.certificate]).is_met
    broken = bytearray(GOOD)
    broken[GOOD.index(hashlib.sha256(LOGS[0].spki).digest())] ^= 1
    assert not verify_scts(bytes(broken), CA.chain, LIST, NOW, cache=cache).is_met


def test_an_sct_from_the_future_is_looked_at_again_when_its_time_comes():
    cache = SctCache()
    certificate = logged(TBS, logs=[LOGS[0]])
    ahead = CA.final(TBS, [ONE, sct(LOGS[2], TBS, timestamp_ms=NOW + 10)])
    assert not verify_scts(ahead, CA.chain, LIST, NOW, cache=cache).is_met
    assert not verify_scts(ahead, CA.chain, LIST, NOW + 9, cache=cache).is_met
    assert verify_scts(ahead, CA.chain, LIST, NOW + 10, cache=cache).is_met
    assert not verify_scts(certificate, CA.chain, LIST, NOW + 10, cache=cache).is_met


def test_the_cache_is_bounded():
    cache = SctCache(entries=2)
    for name in "abc":
        tbs = issuance.delegate_leaf(CA, subject(name), issuance.one("12025550123"))
        verify_scts(logged(tbs), CA.chain, LIST, NOW, cache=cache)
    assert len(cache) == 2
