"""Each kind of misissuance that the benchmark plants is found by its own rule, and its story's other certificates are
not taken for one."""

import random

import pytest

from benchmarks.planted import KINDS
from benchmarks.stories import Maker, real_item
from ctlog.issuance import DAY_MS
from ctlog.tn.numbers import ServiceProviderCode
from monitor.items import CODE, Group, Item
from monitor.replay import Replay
from monitor.rules import RULES
from monitor.rules.values import OWNER
from tests.monitor_certificates import DOMAIN, NOW_MS, TRUST, key
from tests.monitor_rules import code_entry

REAL = [("709J", NOW_MS, NOW_MS + 200 * DAY_MS, key(0).spki), ("683G", NOW_MS, NOW_MS + 200 * DAY_MS, key(1).spki)]


def test_there_is_a_kind_for_every_rule():
    assert {name[:4] for name in KINDS} == set(RULES)


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_found(name):
    case = KINDS[name](Maker(random.Random(7), TRUST, REAL))
    real = [Item(CODE, ServiceProviderCode(code), Group(f"{code}@{DOMAIN}", (), DOMAIN)) for code, *_ in REAL]
    assert real_item("709J") == real[0].id
    replay = Replay([*real, *case.items])
    for code, number in (("709J", 0), ("683G", 1)):
        for day in (0, 180):
            replay.take(code_entry(code, f"Holder {code}", day=day, key_number=number))
    for step in case.steps[:-1]:
        judged = replay.take(step.entry, step.adapt)
        assert step.bad or not any(each.verdict.severity == 1 for each in judged if each.verdict.to == OWNER)
    assert not case.found([])
    assert case.steps[-1].bad
    assert case.found(replay.take(case.steps[-1].entry, case.steps[-1].adapt))
