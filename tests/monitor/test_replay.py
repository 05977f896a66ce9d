"""Entries judged one after another, in memory."""

from dataclasses import replace

from ctlog.tn.numbers import NumberRange, TelephoneNumber
from monitor.items import GROUP, NUMBER, Item
from monitor.replay import Replay, dry_run
from monitor.rules.values import OWNER, Event
from tests.monitor_certificates import GOOD, NOW_MS, ROGUE
from tests.monitor_rules import N, code_entry, item, number_entry


def rules(judged):
    return [(each.verdict.leading, int(each.verdict.severity)) for each in judged]


def test_history_and_profiles_grow_with_the_entries():
    replay = Replay([item()], known_issuers=["rightful ca @ us-shaken"])
    assert rules(replay.take(number_entry())) == [("T-01", 2)]
    assert rules(replay.take(number_entry(day=46))) == [("T-01", 2)]  # nobody has answered
    (owner, operator) = replay.take(number_entry(ca=ROGUE, day=60, key_number=1))
    assert owner.verdict.rules == ("T-01", "T-09")
    assert operator.verdict.rules == ("T-19",)
    assert len(replay.take(number_entry(ca=ROGUE, day=61, key_number=1))) == 1  # no news for the operator any more


def test_a_shared_key_is_found():
    replay = Replay([item("709J"), item("683G", name="other")])
    replay.take(code_entry("683G", "Other Carrier"))
    (judged,) = replay.take(code_entry("709J"))[:1]
    assert "T-16" in judged.verdict.rules


def test_bursts_and_blocks_are_found():
    replay = Replay([item()])
    for at in range(5):
        replay.take(number_entry(key_number=at, day=at / 200))
    assert "T-26" in replay.take(number_entry(key_number=9, day=0.03))[0].verdict.rules
    replay = Replay([item()])
    replay.take(number_entry([NumberRange("12025550000", 10000)]))
    assert "T-09" in replay.take(number_entry(ca=ROGUE, day=9))[0].verdict.rules


def test_what_comes_from_outside():

    replay = Replay([item()])
    port = Event("port", N, NOW_MS)
    judged = replay.take(number_entry(), lambda context: replace(context, events=(port,)))[0]
    assert judged.verdict.leading == "T-10"


def test_dry_run():
    """What would have been said, before anything is watched; what is as expected is left out."""
    entries = [code_entry(), code_entry(day=40), code_entry(ca=ROGUE, day=50), number_entry()]
    told = list(dry_run([item("709J", added_ms=NOW_MS * 2)], entries))
    assert rules(told) == [("T-01", 4), ("T-01", 2)]
    assert told[1].entry is entries[2]
    assert len(list(dry_run([item("709J")], entries, limit=1))) == 1


def test_a_group_learns_what_its_members_have_had():
    """A claim that touches most of a group is judged as one: by an issuer whom its members know, or by a stranger."""
    group = item().group
    watched = [Item(NUMBER, TelephoneNumber(f"1202555{at:04d}"), group, 0) for at in range(100, 200)]
    block = [NumberRange("12025550000", 10000)]

    def told(*before, ca=GOOD):
        replay = Replay(watched)
        for entry in before:
            replay.take(entry)
        (judged,) = [each for each in replay.take(number_entry(block, ca, day=9)) if each.verdict.to == OWNER]
        assert judged.hit.item.kind == GROUP
        (reason,) = [finding.reason for finding in judged.verdict.findings if finding.rule == "T-01"]
        return reason

    of_members = [number_entry(day=day, key_number=day) for day in (1, 2, 3)]
    assert told() == "The first certificate that was ever seen for mine is by Rightful CA."
    assert told(*of_members) == "Rightful CA issued again for mine, and you have not said yet that it may."
    assert told(*of_members, ca=ROGUE) == "Rogue CA has never issued for mine before."
