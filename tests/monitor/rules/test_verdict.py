"""Many findings, one verdict: which leads, how grave it is, who is told, and what the owner's word settles."""

import pytest

from monitor.rules import RULES
from monitor.rules.values import OPERATOR, OWNER, S1, S2, S3, S4, Authorised, Finding
from monitor.rules.verdict import PRECEDENCE, WORD_OF_OWNER, combine, rules_answered, settle, unsaid
from monitor.watchlist import Hit
from tests.monitor_rules import code_entry, item, number_entry

CODE_HIT, NUMBER_HIT = Hit(item("709J"), None, "exact"), Hit(item(), None, "exact")


def finding(rule, severity=S2, to=OWNER):
    return Finding(rule, severity, f"Reason of {rule}.", f"Action of {rule}.", to)


def leading(*findings, hit=NUMBER_HIT):
    return combine([finding(*each) if isinstance(each, tuple) else finding(each) for each in findings], hit).leading


def test_every_rule_has_a_place():
    assert sorted(PRECEDENCE) == sorted(RULES)


@pytest.mark.parametrize("others", [["T-08"], ["T-14"], ["T-23"], ["T-23", "T-14", "T-08"]])
def test_t06_leads(others):
    graves = {"T-08": S2, "T-14": S1, "T-23": S3}
    findings = [finding(rule, graves[rule]) for rule in others] + [finding("T-06", S1)]
    told = combine(findings, NUMBER_HIT)
    assert told.leading == "T-06"
    assert set(told.rules) == {"T-06", *others}
    assert told.severity == S1


def test_the_gravest_leads():
    assert leading(("T-13", S3), ("T-22", S2)) == "T-22"
    assert leading(("T-01", S2), ("T-16", S1)) == "T-16"


def test_t09_is_folded_into_t01():
    told = combine([finding("T-09"), finding("T-01")], CODE_HIT)
    assert told.rules == ("T-01", "T-09")
    assert [(each.rule, each.reason) for each in told.findings] == [("T-01", "Reason of T-01. Reason of T-09.")]
    assert [each.rule for each in told.folded] == ["T-09"]
    told = combine([finding("T-09"), finding("T-10", S1), finding("T-01")], NUMBER_HIT)
    assert told.rules == ("T-10", "T-01", "T-09")
    assert told.action == "Action of T-10."


def test_t09_stands_beside_a_t01_that_is_old_news():
    told = combine([finding("T-09"), finding("T-01", S4)], CODE_HIT)
    assert told.leading == "T-09"
    assert (len(told.findings), told.folded) == (2, ())


def test_t01_and_t03_for_a_code_are_s1_together():
    told = combine([finding("T-03", S3), finding("T-01", S2)], CODE_HIT)
    assert (told.severity, told.rules) == (S1, ("T-01", "T-03"))
    assert told.action == "Action of T-01."
    assert told.reasons == ("Reason of T-01.", "Reason of T-03.")


def test_near_misses_of_the_fold():
    """One of them is old news; or it is a number, where each is grave by itself."""
    assert combine([finding("T-03", S3), finding("T-01", S4)], CODE_HIT).severity == S3
    assert combine([finding("T-03", S4), finding("T-01", S2)], CODE_HIT).severity == S2
    assert combine([finding("T-03", S3), finding("T-01", S2)], NUMBER_HIT).severity == S2


def test_addressees_are_told_apart():
    findings = [finding("T-14", S4, OPERATOR), finding("T-13", S3)]
    assert combine(findings, NUMBER_HIT).rules == ("T-13",)
    assert combine(findings, NUMBER_HIT, OPERATOR).rules == ("T-14",)


def test_nothing_to_say():
    told = combine([], NUMBER_HIT)
    assert (told.leading, told.rules, told.severity, told.findings) == ("", (), S4, ())
    assert told.action.startswith("Nothing")


def test_what_the_owner_answered():
    entry = code_entry()
    findings = [finding("T-01"), finding("T-18", S1), finding("T-13")]
    by_issuance = Authorised(issuances=frozenset([entry.issuance]))
    by_key = Authorised(keys=frozenset([entry.key_hash]))
    for authorised in (by_issuance, by_key):
        assert [each.rule for each in settle(findings, entry, authorised)] == ["T-18"]
    other = Authorised(issuances=frozenset([number_entry().issuance]), keys=frozenset([bytes(32)]))
    assert settle(findings, entry, other) == findings


def test_what_a_yes_answers():
    assert rules_answered("certificate", "number") == rules_answered("key", "spc") == WORD_OF_OWNER
    assert rules_answered("issuer", "number") == {"T-01", "T-09"}, "T-12 asks of a number whose the key is"
    assert rules_answered("issuer", "spc") == {"T-01", "T-09", "T-12"}, "and of a code, who its issuers are"
    assert not rules_answered("issuer", "spc") & {"T-02", "T-03", "T-06", "T-10", "T-16", "T-18"}


@pytest.mark.parametrize(("now", "said", "news"), [
    (["T-01"], [], ("T-01",)),
    (["T-01"], [(S2, ("T-01",))], None),
    ([("T-18", S1), ("T-01", S1)], [(S1, ("T-01", "T-09"))], ("T-18",)),  # the same loudness, and another matter
    ([("T-01", S1)], [(S2, ("T-01",))], ("T-01",)),  # the same, and louder
    ([("T-16", S1), ("T-01", S2)], [(S1, ("T-10", "T-01"))], ("T-16",)),
    (["T-12"], [(S2, ("T-01",))], None), (["T-01", "T-09"], [(S2, ("T-12",))], None),  # one question
    ([("T-01", S1)], [(S2, ("T-12",))], ("T-01",)),
    ([("T-13", S3)], [(S1, ("T-01",))], None), ([("T-13", S3)], [(S4, ("T-01",))], ("T-13",)),
    ([], [(S2, ("T-01",))], None),
])  # fmt: skip
def test_what_is_said_of_an_issuance_that_is_met_again(now, said, news):
    verdict = combine([finding(*each) if isinstance(each, tuple) else finding(each) for each in now], NUMBER_HIT)
    found = unsaid(verdict, NUMBER_HIT, said)
    assert (found and found.rules) == news
