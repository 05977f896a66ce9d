"""T-01, T-03, T-09, T-19: strangers are told apart from a usual CA that changes its keys, and a holder its spelling."""

from dataclasses import replace

import pytest

from ctlog import issuance
from ctlog.issuance import DAY_MS, Subject
from ctlog.tn.numbers import NumberRange, TelephoneNumber
from monitor.entry import Place, read_entry
from monitor.items import HOLDER, ISSUER, KEY, Group, Item
from monitor.rules import judge
from monitor.rules.baseline import Profile
from monitor.rules.values import OPERATOR, Authorised, Context, Refused
from monitor.watchlist import MANY, Watchlist
from tests.monitor_certificates import (
    DOMAIN,
    GOOD,
    NOW_MS,
    ROGUE,
    TRUST,
    VENDOR,
    key,
    leaf_of,
    logged,
    number_leaf,
    subject,
    trust,
)
from tests.monitor_rules import (
    N,
    code_entry,
    delegate,
    findings,
    item,
    learned,
    number_entry,
    past,
    severities,
    verdict,
)

MINE, CODE = item(), item("709J")
SAID = Authorised(issuers=frozenset(["rightful ca @ us-shaken"]))


# T-01 ----------------------------------------------------------------------------------------------------------------


def test_t01_a_new_issuer_for_a_number_is_s1():
    profile = learned(MINE, number_entry())
    found = findings(number_entry(ca=ROGUE, day=5), MINE, profile=profile)
    assert found["T-01"].severity == 1
    assert found["T-01"].reason == f"Rogue CA has never issued for +{N} before."
    assert "Rogue CA" in found["T-01"].action


def test_t01_near_miss_the_usual_issuer():
    profile = learned(MINE, number_entry())
    assert "T-01" not in severities(number_entry(day=60, key_number=5), MINE, profile=profile, authorised=SAID)


def test_t01_for_a_code_is_s2():
    profile = learned(CODE, code_entry())
    assert severities(code_entry(ca=ROGUE, day=3), CODE, profile=profile)["T-01"] == 2


@pytest.mark.parametrize(("count", "severity"), [(100, 1), (101, 2)])
def test_t01_for_a_block_depends_on_how_many_numbers_it_covers(count, severity):
    profile = learned(MINE, number_entry())
    entry = number_entry([NumberRange("12025550100", count)], ROGUE, day=5)
    assert severities(entry, MINE, profile=profile)["T-01"] == severity


def test_t01_the_first_certificate_of_a_number_is_s2_until_answered():
    entry = number_entry()
    assert severities(entry, MINE)["T-01"] == 2
    assert "T-01" not in severities(entry, MINE, authorised=Authorised(issuances=frozenset([entry.issuance])))
    assert severities(number_entry(), item(NumberRange("12025550100", 100)))["T-01"] == 2
    assert severities(code_entry(), CODE)["T-01"] == 4


def test_t01_a_new_key_under_the_same_root_and_organisation_is_s4():
    rolled = issuance.example_authority(NOW_MS, label="Rightful CA, Inc.", root_key=key(60), key=key(61))
    profile = learned(CODE, code_entry())
    entry = logged(number_leaf(issuance.spc("709J"), rolled), rolled, trusting=trust(GOOD, rolled))
    assert severities(entry, CODE, profile=profile)["T-01"] == 4


def test_t01_what_the_owner_expects_counts_more_than_what_was_seen():
    expecting = item(issuers=("Vendor",))
    profile = learned(expecting, number_entry())
    assert severities(number_entry(day=2), expecting, profile=profile)["T-01"] == 1
    assert "T-01" not in severities(number_entry(ca=VENDOR, day=2), expecting, profile=profile)
    assert "none of the issuers that you expect" in findings(number_entry(day=2), expecting)["T-01"].reason


def test_t01_repeats_for_a_number_until_answered_and_once_for_a_code():
    profile = learned(MINE, number_entry(), number_entry(ca=ROGUE, day=1))
    again = number_entry(ca=ROGUE, day=2, key_number=3)
    assert severities(again, MINE, profile=profile)["T-01"] == 1
    said = Authorised(issuers=frozenset(["rogue ca @ us-shaken"]))
    assert "T-01" not in severities(again, MINE, profile=profile, authorised=said)
    profile = learned(CODE, code_entry(), code_entry(ca=ROGUE, day=1))
    found = findings(code_entry(ca=ROGUE, day=2), CODE, profile=profile)["T-01"]
    assert found.severity == 4
    assert "you were told on" in found.reason


def test_t01_for_many_items_at_once():
    """A block that covers more items of a group than are told one by one: the group is the item."""
    items = [item(str(12025550000 + at)) for at in range(MANY + 1)]
    group = items[0].group
    watchlist = Watchlist([replace(each, group=group) for each in items])
    entry = number_entry([NumberRange("12025550000", 10_000)], ROGUE)
    (hit,) = watchlist.match(entry)
    assert hit.items == MANY + 1
    assert [(each.rule, each.severity) for each in judge(entry, hit, Context(NOW_MS))] == [("T-01", 2)]


def test_t01_a_second_theft_in_a_range_is_as_grave_as_the_first():
    """The stranger was told of, and not answered for: another number of the range is another owner's. Near misses: more
    than 100 numbers at once are S2, as at first; one who was authorised is none."""
    block = item(NumberRange("12025550000", 1000))
    profile = learned(block, number_entry(), number_entry(ca=ROGUE, day=1))
    again = number_entry([TelephoneNumber("12025550777")], ROGUE, day=2)
    assert severities(again, block, profile=profile)["T-01"] == 1
    wide = number_entry([NumberRange("12025550000", 500)], ROGUE, day=2)
    assert severities(wide, block, profile=profile)["T-01"] == 2
    said = Authorised(issuers=frozenset([again.issuer.text]))
    assert "T-01" not in severities(again, block, profile=profile, authorised=said)


def test_t03_a_second_theft_in_a_range_is_as_grave_as_the_first():
    block = item(NumberRange("12025550000", 1000))
    profile = learned(block, number_entry(), number_entry(holder="Mallory LLC", day=1))
    again = number_entry([TelephoneNumber("12025550777")], holder="Mallory LLC", day=2)
    assert severities(again, block, profile=profile)["T-03"] == 1
    assert "T-03" not in severities(number_entry(day=2), block, profile=profile)


def nominal(kind, value):
    return Item(kind, value, Group("mine", ("mail",), DOMAIN))


WATCHED = [(HOLDER, "Example Inc"), (KEY, number_entry().key_hash)]


@pytest.mark.parametrize(("kind", "value"), WATCHED)
def test_t01_the_first_certificate_with_a_watched_name_or_key(kind, value):
    """S3, and S2 by somebody whom no signature shows; it then is usual, and a stranger after it is S2."""
    mine = nominal(kind, value)
    found = findings(number_entry(), mine)["T-01"]
    assert found.severity == 3
    assert f"for the {kind} {mine.text} is by Rightful CA" in found.reason
    place = Place(b"\1" * 32, "log.example", 9)
    unsigned = read_entry(place, leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber(N)]))), trust=TRUST)
    assert severities(unsigned, mine)["T-01"] == 2
    profile = learned(mine, number_entry())
    assert severities(number_entry(ca=ROGUE, day=1), mine, profile=profile)["T-01"] == 2


@pytest.mark.parametrize(("kind", "value"), WATCHED)
def test_t01_near_miss_the_usual_issuer_of_a_watched_name_or_key(kind, value):
    mine = nominal(kind, value)
    assert "T-01" not in severities(number_entry(day=1), mine, profile=learned(mine, number_entry()))
    there = replace(mine, added_ms=NOW_MS + 1)
    assert "T-01" not in severities(number_entry(), there, was_there=True)


def test_t01_every_certificate_of_a_watched_issuer():
    """Each one, S3; also one that only says to be by it. What was there before is no news."""
    mine = nominal(ISSUER, "Rightful CA")
    profile = learned(mine, number_entry(), number_entry(day=1))
    found = findings(number_entry([TelephoneNumber(N), TelephoneNumber("13035550000")], day=2), mine, profile=profile)
    assert found["T-01"].severity == 3
    said = "Rightful CA, whom you watch, issued a certificate for the number +12025550123 and more, to Example Inc."
    assert found["T-01"].reason == said
    place = Place(b"\1" * 32, "log.example", 9)
    unsigned = read_entry(place, leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber(N)]))), trust=TRUST)
    assert findings(unsigned, mine)["T-01"].reason.startswith("Somebody who says to be Rightful CA")


def test_t01_near_miss_what_a_watched_issuer_had_issued_before():
    mine = replace(nominal(ISSUER, "Rightful CA"), added_ms=NOW_MS + 1)
    assert "T-01" not in severities(number_entry(), mine, was_there=True)
    assert Watchlist([nominal(ISSUER, "Rightful CA")]).match(number_entry(ca=ROGUE)) == []


def test_t01_the_name_of_the_usual_issuer_without_its_signature():
    """The chain was withheld, which is in the log's power: whoever hides so is a stranger, as one with a forged one."""
    profile = learned(MINE, number_entry())
    tbs = number_leaf([TelephoneNumber(N)])
    place = Place(b"\1" * 32, "log.example", 9)
    withheld = read_entry(place, leaf_of(GOOD.certificate_for(tbs)), trust=TRUST)
    found = findings(withheld, MINE, profile=profile)["T-01"]
    assert found.severity == 1
    assert "its issuers were not given" in found.reason
    assert "somebody" not in found.action, "nobody can be asked who is not known"
    assert "who issued it is not known" in found.action
    forged = read_entry(place, leaf_of(ROGUE.certificate_for(tbs)), chain=GOOD.chain, trust=TRUST)
    assert findings(forged, MINE, profile=profile)["T-01"].severity == 1
    stranger = read_entry(place, leaf_of(ROGUE.certificate_for(number_leaf([TelephoneNumber(N)], ROGUE))), trust=TRUST)
    assert findings(stranger, MINE, profile=profile)["T-01"].severity == 1


def test_t01_says_nothing_of_what_was_there_before():
    profile = learned(MINE, number_entry())
    later = item(added_ms=NOW_MS + 1)
    assert "T-01" not in severities(number_entry(ca=ROGUE), later, profile=profile, was_there=True)
    assert severities(number_entry(ca=ROGUE), later, profile=profile)["T-01"] == 1


def test_t01_t02_and_t03_ask_what_is_expected_even_of_what_was_there_before():
    expecting = item(added_ms=NOW_MS + DAY_MS, issuers=("Rightful CA",), holders=("Example",), keys=frozenset([b"k"]))
    found = severities(number_entry(ca=ROGUE, holder="Mallory"), expecting, was_there=True)
    assert (found["T-01"], found["T-02"], found["T-03"], found["T-12"]) == (1, 1, 1, 2)
    ended = severities(number_entry(ca=ROGUE, holder="Mallory", days=0.5), expecting, was_there=True)
    assert ended.keys().isdisjoint(("T-01", "T-02", "T-03", "T-12"))  # history


def test_t01_stays_s2_for_a_number_until_its_first_issuer_is_answered():
    profile = learned(MINE, number_entry())
    renewed = number_entry(day=60, key_number=5)
    assert severities(renewed, MINE, profile=profile)["T-01"] == 2
    assert "T-01" not in severities(renewed, MINE, profile=profile, authorised=SAID)
    other = Authorised(issuers=frozenset(["rogue ca @ us-shaken"]))
    assert severities(renewed, MINE, profile=profile, authorised=other)["T-01"] == 1
    assert "T-01" not in severities(renewed, item(NumberRange("12025550100", 100)), profile=profile)


def test_t01_a_stranger_s_ca_with_the_name_of_the_usual_issuer():
    """Finding: root -> "Evil Telecom" -> a CA called as the victim's. The name is Evil Telecom's word."""
    who = Subject(issuance.name(O="Evil Telecom"), key(63).spki, NOW_MS, NOW_MS + 900 * DAY_MS, 77)
    evil = issuance.intermediate(GOOD, key(63), who)
    who = Subject(issuance.name(O="Rightful CA"), key(64).spki, NOW_MS, NOW_MS + 900 * DAY_MS, 78)
    named = issuance.intermediate(evil, key(64), who)
    for mine, profile in ((MINE, learned(MINE, number_entry())), (item(issuers=("Rightful CA",)), Profile())):
        found = findings(number_entry(ca=named, day=2), mine, profile=profile, authorised=SAID)
        assert found["T-01"].severity == 1
        assert "a CA below evil telecom" in found["T-01"].reason
    known = frozenset(["rightful ca @ us-shaken", "evil telecom @ rightful ca @ us-shaken"])
    assert "T-19" in findings(number_entry(ca=named, day=2), known_issuers=known)


def test_t01_an_expected_name_is_not_the_beginning_of_another():
    """Nor does it hold below any root: whoever runs one may name CAs as he likes."""
    assert severities(number_entry(ca=ROGUE), item(issuers=("Rogue",)))["T-01"] == 1
    who = Subject(issuance.name(O="Rightful CA"), key(64).spki, NOW_MS, NOW_MS + 900 * DAY_MS, 78)
    named = issuance.intermediate(ROGUE, key(64), who)
    assert severities(number_entry(ca=named), item(issuers=("Rightful CA",)))["T-01"] == 1
    assert "T-01" not in severities(number_entry(ca=named), item(issuers=("Rightful CA @ Rogue CA",)))


def test_t01_a_refused_issuer_is_as_grave_each_time_as_at_first():
    for of, made, grave in (
        (MINE, number_entry, 1), (CODE, code_entry, 2), (item(NumberRange("12025550100", 100)), number_entry, 1),
    ):  # fmt: skip
        profile = learned(of, made(), made(ca=ROGUE, day=1))
        again = made(ca=ROGUE, day=2)
        found = findings(again, of, profile=profile, refused=Refused(issuers={again.issuer.text: NOW_MS}))["T-01"]
        assert found.severity == grave
        assert "you said that it may not" in found.reason
        assert "Demand its revocation from Rogue CA" in found.action
        near = made(day=3)
        said = Authorised(issuers=frozenset([near.issuer.text]))
        assert "T-01" not in severities(
            near, of, profile=profile, authorised=said, refused=Refused(issuers={again.issuer.text: NOW_MS})
        )


def test_t01_a_refused_issuer_s_certificate_from_before_is_told_while_it_is_valid():
    later = item("709J", added_ms=NOW_MS + 2 * DAY_MS)
    rogue = code_entry(ca=ROGUE, day=1)
    said = Refused(issuers={rogue.issuer.text: NOW_MS})
    assert severities(rogue, later, was_there=True, refused=said)["T-01"] == 2
    assert "T-01" not in severities(rogue, later, was_there=True)
    assert "T-01" not in severities(code_entry(ca=ROGUE, days=0.5), later, was_there=True, refused=said)


def test_t01_in_a_log_that_joined_later_nothing_was_there_before():
    watched = {"added_ms": NOW_MS + 10 * DAY_MS}
    later = {"was_there": True, "joined_ms": NOW_MS + 20 * DAY_MS}
    for of, made in ((item("709J", **watched), code_entry), (item(**watched), number_entry)):
        profile, stranger = learned(of, made()), made(ca=ROGUE, day=1)
        found = findings(stranger, of, profile=profile, **later)["T-01"]
        assert found.severity == 2
        assert "log.example, which was added on" in found.reason
        first, known = {"was_there": True}, {**later, "profile": learned(of, stranger)}
        for other in (first, {**first, "joined_ms": of.added_ms}, known):
            assert "T-01" not in severities(stranger, of, **{"profile": profile, **other})
        assert "T-01" not in severities(made(ca=ROGUE, day=1, days=2), of, profile=profile, **later)
    expecting = item(issuers=("Rightful CA",), **watched)
    assert severities(number_entry(ca=ROGUE), expecting, **later)["T-01"] == 1


# T-03 ----------------------------------------------------------------------------------------------------------------


def test_t03_a_different_holder_of_a_number_is_s1():
    profile = learned(MINE, number_entry())
    found = findings(number_entry(holder="Mallory LLC", day=2), MINE, profile=profile)["T-03"]
    assert found.severity == 1
    assert "Mallory LLC" in found.reason
    assert found.reason.endswith("for Mallory LLC; so far: Example.")


@pytest.mark.parametrize("name", ["EXAMPLE, INC.", "Example Telephone Cooperative", "Examples Inc"])
def test_t03_near_miss_another_spelling(name):
    profile = learned(MINE, number_entry())
    assert "T-03" not in severities(number_entry(holder=name, day=2), MINE, profile=profile)


def test_t03_for_a_code_is_s3_and_said_once():
    profile = learned(CODE, code_entry())
    other = code_entry(holder="Mallory LLC", day=2)
    assert severities(other, CODE, profile=profile)["T-03"] == 3


def test_t03_a_device_without_a_name_has_no_other_holder():
    profile = learned(MINE, number_entry())
    who = subject("", cn="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11")
    assert "T-03" not in severities(number_entry(who=who), MINE, profile=profile)


def test_t03_with_expectations():
    expecting = item(holders=("Example",))
    assert "T-03" not in severities(number_entry(), expecting)
    assert severities(number_entry(holder="Mallory"), expecting)["T-03"] == 1


def test_t01_and_t03_together_for_a_code_are_one_alert_of_s1():
    profile = learned(CODE, code_entry())
    told = verdict(code_entry(holder="Mallory LLC", ca=ROGUE, day=2), CODE, profile=profile)
    assert (told.severity, told.leading, told.rules[:2]) == (1, "T-01", ("T-01", "T-03"))


# T-09 ----------------------------------------------------------------------------------------------------------------


def test_t09_is_folded_into_t01():
    first = number_entry()
    told = verdict(number_entry(ca=ROGUE, day=2), MINE, profile=learned(MINE, first), claims=(past(first),))
    assert told.leading == "T-01"
    assert "T-09" in told.rules
    assert told.reasons[0] == (
        f"Rogue CA has never issued for +{N} before. Certificates for +{N} by Rightful Ca are valid at the same time."
    )


def test_t09_alone_when_an_unanswered_issuer_comes_back_beside_the_usual_one():
    """At first it came after the usual one had ended: T-01 said so, and nothing was valid at once."""
    label = b"spc:709J"
    before = [code_entry(days=6), code_entry(ca=ROGUE, day=10, days=6), code_entry(day=20, days=6)]
    again = code_entry(ca=ROGUE, day=22, days=6)
    claims = tuple(past(entry, label) for entry in before)
    told = verdict(again, CODE, profile=learned(CODE, *before), claims=claims)
    assert (told.leading, told.severity) == ("T-09", 2)
    later = code_entry(ca=ROGUE, day=40, days=6), code_entry(day=39, days=6)
    told = verdict(later[0], CODE, profile=learned(CODE, *before, again), claims=(past(later[1], label),))
    assert told.severity == 4  # said once, until it is answered


def test_t09_near_misses():
    """No overlap; the same issuer already among them; an issuer that is usual for the item."""
    first, rogue = number_entry(days=10), number_entry(ca=ROGUE, day=5)
    profile = learned(MINE, first)
    late = number_entry(ca=ROGUE, day=20)
    assert "T-09" not in severities(late, MINE, profile=profile, claims=(past(first),))
    both = (past(first), past(rogue))
    assert "T-09" not in severities(number_entry(ca=ROGUE, day=6), MINE, profile=profile, claims=both)
    expecting = item(issuers=("Rightful CA", "Rogue CA"))
    assert "T-09" not in severities(rogue, expecting, claims=(past(first),))


# T-19 ----------------------------------------------------------------------------------------------------------------


def test_t19_an_organisation_that_never_issued():
    known = frozenset(["rightful ca @ us-shaken"])
    found = findings(number_entry(ca=ROGUE), known_issuers=known)["T-19"]
    assert (found.severity, found.to) == (1, OPERATOR)
    assert "Rogue CA" in found.reason
    assert "T-19" not in findings(number_entry(), known_issuers=known)
    assert "T-19" not in findings(number_entry(ca=ROGUE), known_issuers=None)


def test_t19_near_miss_a_delegate_ca_does_not_count():
    ca = delegate([NumberRange("12025550000", 10000)])
    assert "T-19" not in findings(number_entry(ca=ca), known_issuers=frozenset(["rightful ca @ us-shaken"]))


def test_t19_a_new_ca_certificate_under_a_known_root():
    who = Subject(issuance.name(O="Newcomer", CN="Newcomer CA"), key(62).spki, NOW_MS, NOW_MS + DAY_MS)
    der = issuance.intermediate(GOOD, key(62), who).certificate
    entry = read_entry(Place(b"\1" * 32, "log", 1), leaf_of(der), chain=GOOD.chain, trust=TRUST)
    known = frozenset(["rightful ca @ us-shaken"])
    assert "Newcomer" in findings(entry, known_issuers=known)["T-19"].reason
    assert "T-19" not in findings(entry, known_issuers=known | {"newcomer @ rightful ca @ us-shaken"})


def test_t19_a_chain_that_leads_to_no_accepted_root():
    entry = logged(number_leaf([TelephoneNumber(N)], ROGUE), ROGUE, trusting=trust(GOOD))
    found = findings(entry)["T-19"]
    assert (found.severity, found.to) == (1, OPERATOR)
    assert "T-19" not in findings(entry, has_roots=False)
