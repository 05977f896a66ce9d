"""T-10, T-12, T-13, T-26: soon after a change of hands, from before, too long, too late, too many."""

import pytest

from ctlog.issuance import DAY_MS
from ctlog.tn.numbers import NumberRange
from monitor.rules import next_profile, verdicts
from monitor.rules.baseline import EMPTY_PROFILE
from monitor.rules.values import HOUR_MS, OPERATOR, Authorised, Context, Event
from tests.monitor_certificates import NOW_MS, ROGUE, VENDOR, logged, number_leaf, rcs_leaf, subject
from tests.monitor_rules import (
    NUMBER_CLAIM,
    N,
    code_entry,
    findings,
    hit_of,
    item,
    learned,
    number_entry,
    past,
    severities,
)

MINE, CODE = item(), item("709J")


# T-10 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "fires"), [(0, True), (72, True), (73, False), (-1, False)])
@pytest.mark.parametrize("kind", ["port", "sim"])
def test_t10_after_a_port_or_a_sim_change(kind, hours, fires):
    event = Event(kind, N, NOW_MS - hours * HOUR_MS)
    assert ("T-10" in severities(number_entry(key_number=1), MINE, events=(event,))) is fires


def test_t10_near_misses_of_events():
    """The same key as before; another number's event; one that cannot be read."""
    profile = learned(MINE, number_entry(day=-10))
    assert "T-10" not in severities(number_entry(), MINE, profile=profile, events=(Event("port", N, NOW_MS),))
    for number in ("12025550124", "none"):
        assert "T-10" not in severities(number_entry(key_number=1), MINE, events=(Event("port", number, NOW_MS),))
    assert severities(number_entry(key_number=1), MINE, events=(Event("port", "+" + N, NOW_MS),))["T-10"] == 1


def test_t10_attack_the_event_is_handed_in_after_the_thief_s_certificate():
    """It is judged again then, with a profile that has learned its key meanwhile."""
    stolen = number_entry(day=1, key_number=1)
    profile = learned(MINE, number_entry(), stolen)
    event = Event("sim", N, stolen.timestamp_ms - HOUR_MS)
    assert severities(stolen, MINE, profile=profile, events=(event,))["T-10"] == 1
    later = Event("sim", N, stolen.timestamp_ms + 1)
    assert "T-10" not in severities(number_entry(day=2, key_number=1), MINE, profile=profile, events=(later,))


@pytest.mark.parametrize(("day", "fires"), [(2.9, True), (3.1, False)])
def test_t10_issuer_and_key_both_new_soon_after_a_renewal(day, fires):
    profile = learned(MINE, number_entry())
    assert ("T-10" in severities(number_entry(ca=ROGUE, day=day, key_number=1), MINE, profile=profile)) is fires


def test_t10_speaks_of_a_carriers_notice_only_where_there_was_an_event():
    profile, stolen = learned(MINE, number_entry()), number_entry(ca=ROGUE, day=1, key_number=1)
    assert "notice" not in findings(stolen, MINE, profile=profile)["T-10"].action
    ported = (Event("port", "+" + N, NOW_MS),)
    assert "notice" in findings(number_entry(key_number=1), MINE, events=ported)["T-10"].action


def test_t10_near_misses_without_events():
    """Only the key is new; only the issuer; it is a code, which nobody ports."""
    profile = learned(MINE, number_entry())
    assert "T-10" not in severities(number_entry(day=1, key_number=1), MINE, profile=profile)
    assert "T-10" not in severities(number_entry(ca=ROGUE, day=1), MINE, profile=profile)
    profile = learned(CODE, code_entry())
    assert "T-10" not in severities(code_entry(ca=ROGUE, day=1, key_number=1), CODE, profile=profile)


# T-12 --------------------------------------------------------------------------------------------------------------


def test_t12_valid_when_watching_began():
    entry = number_entry()
    later = item(added_ms=NOW_MS + 10 * DAY_MS)
    assert severities(entry, later, was_there=True)["T-12"] == 2
    said = Authorised(issuances=frozenset([entry.issuance]))
    assert "T-12" not in severities(entry, later, was_there=True, authorised=said)


def test_t12_a_certificate_that_begins_only_after_enrolment():
    """Made out for later and logged before: nobody else says it."""
    who = subject(start_ms=NOW_MS + 20 * DAY_MS)
    entry = number_entry(who=who)
    assert severities(entry, item(added_ms=NOW_MS + 10 * DAY_MS), was_there=True)["T-12"] == 2


def test_t12_near_misses():
    """It had expired by then; it came after; the log dates it back."""
    assert "T-12" not in severities(number_entry(days=9), item(added_ms=NOW_MS + 10 * DAY_MS), was_there=True)
    assert "T-12" not in severities(number_entry(), item(added_ms=NOW_MS), was_there=True)
    news = severities(number_entry(), item(added_ms=NOW_MS + 10 * DAY_MS))
    assert ("T-12" in news, news["T-01"]) == (False, 2)


LATER = item("709J", added_ms=NOW_MS + 30 * DAY_MS)


def test_t12_each_issuer_of_a_code_is_shown_once():
    """Whoever is there when watching begins would be usual, an attacker too: the owner is asked, once for each."""
    profile = EMPTY_PROFILE
    told = []
    for entry in (
        code_entry(), code_entry(day=6, key_number=3), code_entry(ca=ROGUE, holder="Mallory", day=7),
        code_entry(day=12, key_number=4), code_entry(ca=ROGUE, holder="Mallory", day=13, key_number=5),
    ):  # fmt: skip
        context = Context(entry.timestamp_ms, profile=profile, was_there=True)
        hit = hit_of(entry, LATER)
        found = verdicts(entry, hit, context)[0]
        told += [(int(each.severity), each.reason) for each in found.findings if each.rule == "T-12"]
        profile = next_profile(entry, hit, context, found)
    assert [severity for severity, _ in told] == [2, 2]
    assert "Rightful CA had issued for 709J" in told[0][1]
    assert "Rogue CA had issued for 709J when you began to watch it: to Mallory" in told[1][1]
    renewal = code_entry(day=36, key_number=6)
    assert severities(renewal, LATER, profile=profile) == {}, "a renewal every few days is no alarm"


def test_t12_near_misses_of_codes():
    """It had ended; it came after; its issuer is expected, or was authorised."""
    entry = code_entry()
    assert "T-12" not in severities(code_entry(days=9), LATER, was_there=True)
    assert "T-12" not in severities(code_entry(day=31), LATER, was_there=True)
    expecting = item("709J", added_ms=LATER.added_ms, issuers=("Rightful CA",))
    assert "T-12" not in severities(entry, expecting, was_there=True)
    said = Authorised(issuers=frozenset([entry.issuer.text]))
    assert "T-12" not in severities(entry, LATER, was_there=True, authorised=said)


# T-13 --------------------------------------------------------------------------------------------------------------


def messaging(days):
    who = subject("", cn="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11", days=days)
    return logged(rcs_leaf(N, who=who), VENDOR)


@pytest.mark.parametrize("days", [398 + 1 / 86400, 1095])
def test_t13_valid_for_too_long(days):
    assert severities(code_entry(days=days), CODE)["T-13"] == 3
    assert severities(messaging(77), MINE)["T-13"] == 3


def test_t13_near_miss_to_the_last_second():
    """notAfter is included, so 398 days are 398 days."""
    assert "T-13" not in severities(code_entry(days=398), CODE)
    assert "T-13" not in severities(messaging(76), MINE)


def test_t13_what_the_owner_expects():
    assert severities(number_entry(days=31), item(max_validity_days=30))["T-13"] == 3
    assert "T-13" not in severities(number_entry(days=30), item(max_validity_days=30))
    assert findings(code_entry(days=900))["T-13"].to == OPERATOR


# T-26 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "fires"), [(30, False), (31, True)])
def test_t26_logged_long_after_it_began(days, fires):
    tbs = number_leaf([NUMBER_CLAIM], who=subject(start_ms=NOW_MS - days * DAY_MS))
    assert ("T-26" in severities(logged(tbs), MINE)) is fires


def test_t26_near_miss_a_log_that_is_being_filled():
    tbs = number_leaf([NUMBER_CLAIM], who=subject(start_ms=NOW_MS - 300 * DAY_MS))
    assert "T-26" not in severities(logged(tbs), MINE, filling=True)


MY_LABEL = b"one:" + N.encode()


def burst(count, *, label=MY_LABEL, minutes=50):
    return tuple(
        past(number_entry(key_number=10 + at), label, logged_ms=NOW_MS - minutes * 60_000) for at in range(count)
    )


def test_t26_more_than_five_in_an_hour():
    assert severities(number_entry(), MINE, claims=burst(5))["T-26"] == 3


def hidden(count, **changes):
    """So many issuances by a CA that rounds notBefore, for one key: only where they stand tells them apart."""
    return tuple(past(number_entry(), log_index=100 + at, **changes) for at in range(count))


def test_t26_a_burst_that_looks_like_one_certificate():
    assert severities(number_entry(), MINE, claims=hidden(5))["T-26"] == 3
    assert severities(number_entry(), MINE, claims=hidden(40))["T-26"] == 3


def test_t26_near_miss_one_certificate_in_many_logs():
    """Five times, as a precertificate and as a certificate in each of ten logs."""
    claims = [each for log in range(10) for precert in (True, False)
              for each in hidden(4, log_id=bytes([log]) * 32, precert=precert)]  # fmt: skip
    assert "T-26" not in severities(number_entry(), MINE, claims=tuple(claims))
    assert "T-26" in severities(number_entry(), MINE, claims=(*claims, past(number_entry(ca=ROGUE))))


def test_t26_near_misses_of_bursts():
    """Five in all; spread over more than an hour; another number's; one issuance in several logs and forms."""
    for claims in (burst(4), burst(5, minutes=61), burst(5, label=b"one:12025550124"), burst(1) * 6):
        assert "T-26" not in severities(number_entry(), MINE, claims=claims)
    itself = (past(number_entry()),) * 6
    assert "T-26" not in severities(number_entry(), MINE, claims=(*itself, *burst(4)))
    block = number_entry([NumberRange("12025550100", 100)])
    assert "T-26" not in severities(block, MINE, claims=burst(5))
