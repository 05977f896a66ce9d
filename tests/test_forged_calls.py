"""Every forgery of tests/forged_calls.py is refused, for its own reason; the journeys use them with real logs."""

from __future__ import annotations

import pytest

from ctlog import issuance
from ctlog.client.credential import CallPolicy
from ctlog.client.passport import verify_passport
from ctlog.client.sct_policy import SctPolicy
from ctlog.issuance import DAY_MS, Key, Subject
from tests.call_values import CA, LOGS, NOW, NUMBER, ROOT, log_list, logged, operator_entry, trust
from tests.forged_calls import World, forgeries, token
from tests.wire_values import TestLog

FUTURE, RETIRED = TestLog(91), TestLog(92)
LIST = log_list(
    operator_entry("One", LOGS[0]), operator_entry("Three", FUTURE),
    operator_entry("Gone", RETIRED, states={"usable": NOW - 9 * DAY_MS, "retired": NOW - 2 * DAY_MS}),
)  # fmt: skip
TRUST = trust(CallPolicy(SctPolicy(1, 1)), LIST, (ROOT,))


def world() -> World:
    key, leaf_key = Key.from_number(51), Key.from_number(52)
    who = Subject(issuance.name(O="Delegate", CN="Delegate CA"), key.spki, NOW - DAY_MS, NOW + 30 * DAY_MS)
    delegate = issuance.delegate_authority(CA, key, who, issuance.number_range("12025550000", 1000))
    subject = Subject(issuance.name(O="Caller", CN="Caller"), leaf_key.spki, NOW - DAY_MS, NOW + DAY_MS)
    tbs = issuance.delegate_leaf(delegate, subject, issuance.one(NUMBER))
    chain = (logged(tbs, delegate, LOGS[:1]), *delegate.chain)
    return World(chain, leaf_key, NUMBER, delegate, CA, FUTURE, RETIRED, TestLog(93), NOW)


def test_the_call_that_they_imitate_passes() -> None:
    verdict = verify_passport(token(world()), TRUST, NOW)
    assert (verdict.outcome, verdict.reasons) == ("passed", ())


FORGED = forgeries(world())


def test_there_are_more_than_twenty_kinds() -> None:
    assert len({forgery.word for forgery in FORGED}) == len(FORGED) >= 20


@pytest.mark.parametrize("forgery", FORGED, ids=lambda forgery: forgery.word)
def test_each_is_refused_for_its_own_reason(forgery) -> None:  # type: ignore[no-untyped-def]
    verdict = verify_passport(forgery.token, TRUST, NOW, call=forgery.call)
    assert (verdict.outcome, verdict.reasons[0]) == ("failed", forgery.word), verdict.reasons
