"""All rules together: each is there under its id, total over any entry, and quiet about ordinary ones."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.tnauthlist import format_tnauthlist
from monitor.entry import read_entry
from monitor.items import KEY, Group, Item
from monitor.rules import RULES, judge, next_profile, verdicts
from monitor.rules.values import Authorised, Context
from monitor.watchlist import Watchlist
from tests.corpus import need_corpus, sample
from tests.floor_plan import ROOT
from tests.monitor_certificates import GOOD, NOW_MS, PLACE, TRUST, VENDOR, leaf_of, logged, number_leaf, rcs_leaf
from tests.monitor_rules import N, code_entry, hit_of, item, learned, number_entry, severities, verdict
from tests.number_certificates import lists


def test_every_rule_is_there_by_its_id():
    assert list(RULES) == [f"T-{at:02}" for at in range(1, 29)]
    for name, rule in RULES.items():
        assert rule.__name__ == name.lower().replace("-", "")
        assert rule.__doc__


def test_every_rule_has_tests_by_its_name():
    """At least one positive, in which it is found, and one near miss, called so, in which it is not."""
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / "tests/monitor/rules").glob("test_*.py"))]
    tests = {node.name: ast.unparse(node) for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    for rule in RULES:
        prefix = f"test_{rule.lower().replace('-', '')}_"
        near = [text for name, text in tests.items() if name.startswith(f"{prefix}near_miss")]
        hits = [text for name, text in tests.items() if name.startswith(prefix) and "_near_miss" not in name]
        assert hits, f"{rule} has no test {prefix}..."
        assert near, f"{rule} has no test {prefix}near_miss..."
        assert any(rule in text for text in hits), rule
        assert any(re.search(rf"'{rule}' not in|{{}} *==|== {{}}", text) for text in near), rule


def test_the_page_about_alerts_names_every_rule():
    page = (ROOT / "docs/alerts.md").read_text()
    rows = re.findall(r"^\| (T-\d\d(?:, T-\d\d)*) \|", page, re.MULTILINE)
    assert sorted(rule for row in rows for rule in row.split(", ")) == list(RULES)


ODD = Watchlist([item(), item("709J", name="code"), Item(KEY, GOOD.key_id.ljust(32), Group("k"))])


@given(st.binary(max_size=300))
def test_total_over_any_bytes(data):
    for leaf in (data, leaf_of(data or b"x")):
        entry = read_entry(PLACE, leaf, trust=TRUST)
        for hit in (None, *ODD.match(entry)):
            judge(entry, hit, Context(NOW_MS))


@given(lists)
def test_total_over_any_list(entries):

    good = [each for each in entries if str(each).isascii()]
    if good:
        entry = logged(number_leaf(format_tnauthlist(good)))
        for hit in (None, *ODD.match(entry)):
            judge(entry, hit, Context(NOW_MS))


@need_corpus
@pytest.mark.parametrize("step", [3, 50, 400])
def test_total_over_mutated_real_certificates(step):
    for at, der in enumerate(sample(60)):
        data = bytearray(der)
        data[(at * 37 + step) % len(data)] ^= 0x81
        entry = read_entry(PLACE, leaf_of(bytes(data)), chain=[der], trust=TRUST)
        judge(entry, None, Context(NOW_MS))


def test_an_expected_certificate_has_nothing_to_be_said():
    mine = item()
    said = Authorised(issuers=frozenset([number_entry().issuer.text]))
    told = verdict(number_entry(day=40), mine, profile=learned(mine, number_entry()), authorised=said)
    assert (told.leading, told.severity, told.to) == ("", 4, "owner")


def test_renewals_every_six_days_are_no_alarm():
    code = item("709J")
    entries = [code_entry(day=6 * at, days=6, key_number=at) for at in range(6)]
    profile = learned(code, *entries[:-1])
    assert severities(entries[-1], code, profile=profile) == {}


def test_rcs_renewals_with_other_devices_are_no_alarm():
    mine = item()
    profile = learned(mine, logged(rcs_leaf(N), VENDOR))
    renewed = logged(rcs_leaf(N, vendor=2), VENDOR)
    said = Authorised(issuers=frozenset([renewed.issuer.text]))
    assert severities(renewed, mine, profile=profile, authorised=said) == {}


def test_only_exact_claims_teach():
    mine = item("15715551212")
    national = number_entry([type(mine.value)("5715551212")])
    hit = hit_of(national, mine)
    context = Context(NOW_MS)
    assert hit.reading == "intended"
    assert next_profile(national, hit, context, verdicts(national, hit, context)[0]).count == 0


def test_the_operator_is_told_apart_from_the_owner():
    mine = item()
    known = frozenset(["somebody @ us-shaken"])
    both = verdicts(number_entry(), hit_of(number_entry(), mine), Context(NOW_MS, known_issuers=known))
    assert [each.to for each in both] == ["owner", "operator"]
    assert both[1].rules == ("T-19",)
    assert verdicts(number_entry(), None, Context(NOW_MS)) == []
