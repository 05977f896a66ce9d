"""T-04, T-05, T-06, T-07, T-17: how much is claimed, and by what right."""

import pytest

from ctlog import issuance
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from monitor.rules import verdicts
from monitor.rules.scope import is_aligned
from monitor.rules.values import OPERATOR, CodeTable, Context, Snapshot
from monitor.watchlist import Hit
from tests.monitor_certificates import GOOD, NOW_MS, key, logged, number_leaf, subject
from tests.monitor_rules import N, code_entry, delegate, findings, item, number_entry, severities, verdict

MINE, CODE = item(), item("709J")
BLOCK = NumberRange("12025550000", 10_000)


# T-04 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        NumberRange("12025550000", 10_001),
        NumberRange("12025500000", 100_000),
        NumberRange("12025550050", 100),
        NumberRange("12025550100", 101),
        NumberRange("12025550115", 20),
    ],
)
def test_t04_ranges_that_are_too_wide_or_stand_askew(claim):
    assert severities(number_entry([claim]), MINE)["T-04"] == 2


@pytest.mark.parametrize(
    "claim",
    [
        NumberRange("12025550000", 10_000),
        NumberRange("12025550100", 100),
        NumberRange("12025550120", 20),
        NumberRange("12025550100", 50),
        NumberRange("12025550122", 3),
        TelephoneNumber(N),
    ],
)
def test_t04_near_misses(claim):
    assert "T-04" not in severities(number_entry([claim]), MINE)


def test_t04_the_items_own_range_is_no_matter():
    odd = NumberRange("12025550115", 20)
    assert "T-04" not in severities(number_entry([odd]), item(odd))
    assert "T-04" not in severities(number_entry([odd]), item(ranges=(odd,)))
    assert "T-04" in severities(number_entry([odd]), item(ranges=(NumberRange("12025550115", 19),)))


def test_t04_a_wide_range_elsewhere_is_not_ones_own_matter():
    entry = number_entry([TelephoneNumber(N), NumberRange("13035550000", 50_000)])
    assert "T-04" not in severities(entry, MINE)


@pytest.mark.parametrize(
    ("start", "count", "aligned"), [("0", 2, True), ("5", 5, True), ("10", 12, False), ("000", 1000, True)]
)
def test_t04_alignment(start, count, aligned):
    assert is_aligned(NumberRange(start, count)) is aligned


# T-05 --------------------------------------------------------------------------------------------------------------


def test_t05_a_code_that_somebody_else_holds():
    table = CodeTable(holders={"709j": ["Other Carrier, Inc."]})
    assert severities(code_entry(), CODE, codes=table)["T-05"] == 3


def test_t05_near_misses_of_the_table():
    """The right holder; a table that does not know the code; no table; no code."""
    table = CodeTable(holders={"709j": ["Other Carrier, Inc."]})
    assert "T-05" not in severities(code_entry(holder="Other Carrier"), CODE, codes=table)
    assert "T-05" not in severities(code_entry(), CODE, codes=CodeTable())
    assert "T-05" not in severities(code_entry(), CODE)
    assert "T-05" not in severities(number_entry(), MINE, codes=table)


# T-06 --------------------------------------------------------------------------------------------------------------


def test_t06_a_delegate_that_claims_more_than_its_issuer_holds():
    ca = delegate([NumberRange("12025550000", 100)])
    found = findings(number_entry(ca=ca), MINE)["T-06"]
    assert found.severity == 1
    assert "RFC 9060" in found.reason
    assert findings(number_entry(ca=ca))["T-06"].to == OPERATOR


def test_t06_near_miss_within_its_issuers_numbers():
    assert "T-06" not in severities(number_entry(ca=delegate([BLOCK])), MINE)
    two = delegate([NumberRange("12025550000", 123), NumberRange("12025550123", 50)])
    assert "T-06" not in severities(number_entry([NumberRange("12025550100", 50)], two), MINE)


def test_t06_a_list_missing_below_one_that_has_a_list():
    top = delegate([BLOCK])
    without = delegate([], top, 701)
    assert severities(number_entry(ca=without), MINE)["T-06"] == 1


def test_t06_near_miss_a_ca_directly_under_a_root_may_have_none():
    assert "T-06" not in severities(number_entry(), MINE)
    assert "T-06" not in severities(number_entry(ca=delegate([BLOCK], delegate([], GOOD, 702), 703)), MINE)


def test_t06_below_a_certificate_that_is_no_cas():
    """A delegate end entity, which holds the number, issues for it all the same."""
    who = subject("Delegate Inc", key_number=704, days=1000)
    leaf = GOOD.certificate_for(number_leaf([BLOCK], GOOD, who))
    ca = issuance.Authority(leaf, key(704), who.name, GOOD.chain)
    assert severities(number_entry(ca=ca), MINE)["T-06"] == 1


def test_t06_another_authority_key_identifier():
    ca = delegate([BLOCK])
    who = subject()
    value = format_tnauthlist([TelephoneNumber(N)])
    tbs = ca.leaf(who, (issuance.END_ENTITY, issuance.authority_key_id(bytes(20)), issuance.tn_auth_list(value)))
    assert severities(logged(tbs, ca), MINE)["T-06"] == 1
    tbs = ca.leaf(who, (issuance.END_ENTITY, issuance.authority_key_id(ca.key_id), issuance.tn_auth_list(value)))
    assert "T-06" not in severities(logged(tbs, ca), MINE)


def test_t06_a_code_must_stand_in_the_list():
    ca = delegate([ServiceProviderCode("683G")])
    assert severities(code_entry(ca=ca), CODE)["T-06"] == 1
    assert "T-06" not in severities(code_entry(ca=delegate([ServiceProviderCode("709J")])), CODE)


def test_t06_leads_over_t08_t14_and_t23():
    """A delegate CA below too many others, that may not be one: what it claims is the cause."""
    ca = delegate([NumberRange("12025550000", 100)])
    usage = issuance.extension("2.5.29.15", b"\x03\x02\x02\x84", critical=True)
    value = format_tnauthlist([TelephoneNumber(N), TelephoneNumber("*67")])
    for constraints in (issuance.authority_constraints(), issuance.END_ENTITY):
        extensions = (constraints, usage, issuance.authority_key_id(ca.key_id), issuance.tn_auth_list(value))
        told = verdict(logged(ca.leaf(subject(), extensions), ca), MINE)
        assert told.leading == "T-06"
        assert {"T-08", "T-14"} & set(told.rules)
        assert "T-23" in told.rules


# T-07 --------------------------------------------------------------------------------------------------------------


def test_t07_a_number_under_a_code():
    ca = delegate([ServiceProviderCode("709J")])
    assert severities(number_entry(ca=ca), MINE)["T-07"] == 3
    assert severities(number_entry(ca=ca), item(codes=("683G",)))["T-07"] == 1
    assert severities(number_entry(ca=ca), item(codes=("709j",)))["T-07"] == 3
    block = item(NumberRange("12025550000", 1000), codes=("683g",))
    assert severities(number_entry(ca=ca), block)["T-07"] == 1


def test_t07_near_misses():
    """Its issuer's list has the number besides a code; it has no code; it is the code that is claimed."""
    assert "T-07" not in severities(number_entry(ca=delegate([ServiceProviderCode("709J"), BLOCK])), MINE)
    assert "T-07" not in severities(number_entry(ca=delegate([BLOCK])), MINE)
    assert "T-07" not in severities(code_entry(ca=delegate([ServiceProviderCode("709J")])), CODE)


# T-17 --------------------------------------------------------------------------------------------------------------

URL = "https://tn.example/list"
REFERRING = logged(GOOD.leaf(subject(), [issuance.tn_auth_list_by_reference(URL)]))
MINE_IN_IT = REFERRING.with_scope([TelephoneNumber(N)])


def test_t17_a_scope_kept_elsewhere():
    found = findings(REFERRING, MINE)["T-17"]
    assert found.severity == 3
    assert URL in found.reason


def test_t17_near_miss_a_scope_in_the_certificate():
    assert "T-17" not in severities(number_entry(), MINE)


def test_t17_unreachable():
    gone = Snapshot(URL, NOW_MS, None, "HTTP 404")
    found = findings(REFERRING, MINE, snapshots=(gone,))["T-17"]
    assert found.severity == 3
    assert "could not be read" in found.reason


def test_t17_a_change_that_adds_the_number():
    other = Snapshot(URL, NOW_MS, (TelephoneNumber("12025550124"),))
    mine = Snapshot(URL, NOW_MS + 9, (TelephoneNumber(N),))
    assert severities(MINE_IN_IT, MINE, snapshots=(other, mine))["T-17"] == 2
    assert severities(MINE_IN_IT, MINE, snapshots=(mine, mine))["T-17"] == 3
    assert severities(REFERRING, MINE, snapshots=(mine, other))["T-17"] == 3


def test_t17_a_first_snapshot_is_the_certificates_own_scope():
    """So every other rule judges it: a stranger's certificate for the number."""
    first = Snapshot(URL, NOW_MS, (TelephoneNumber(N),))
    hit = Hit(item(issuers=("Vendor",)), TelephoneNumber(N), "exact")
    told = verdicts(MINE_IN_IT, hit, Context(NOW_MS, snapshots=(first,)))
    assert told[0].leading == "T-01"
    assert "T-17" in told[0].rules
