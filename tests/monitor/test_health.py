"""monitor.health: every trouble is told as what it is, with the time it takes to be one; nothing is told of what is
well, and nothing is called what it is not."""

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.tree import Frontier
from monitor.health import (
    BEHIND_MS,
    HOUR_MS,
    LATE_MS,
    PART_MS,
    PREFIX,
    SOURCE_MS,
    TROUBLE_MS,
    UNPROVEN_MS,
    Behind,
    Failure,
    Vitals,
    alerts,
    troubles,
)
from monitor.state.rows import HEALTH, OPERATOR, S1, ChannelRow, Gap, LogRow, Position

NOW = 1_795_000_000_000
ID = b"\1" * 32
DAY_MS = 24 * HOUR_MS


def frontier(size=3):
    return Frontier().append(b"".join(leaf_hash(bytes([at])) for at in range(size)))


WELL = LogRow(
    ID, "log", "https://log.example/", 0, Position(frontier(), frontier()), NOW - 1000, 3, NOW - 2000, None, "", None,
    "",
)  # fmt: skip
MAIL = ChannelRow("mail", NOW - 1000, None, "", 0, 0, None)


def vitals(*, log=None, channel=None, **options):
    logs = [WELL._replace(**log)] if log is not None else [WELL]
    channels = [MAIL._replace(**channel)] if channel is not None else [MAIL]
    options = {"added_ms": {ID: NOW - DAY_MS}, "mmd_ms": {ID: DAY_MS}, "configured": frozenset(("mail",)), **options}
    return Vitals(logs=logs, channels=channels, **options)


def kinds(now_ms=NOW, **options):
    return [trouble.kind for trouble in troubles(now_ms, vitals(**options)) if not trouble.is_young]


def test_all_is_well():
    assert kinds() == []
    assert troubles(NOW, Vitals()) == []


# (kind, what is so since a time, how long it has to last)
LASTING = [
    ("unreachable", lambda since: {"log": {"last_contact_ms": since}}, TROUBLE_MS),
    ("unreachable", lambda since: {"log": {"last_contact_ms": None}, "added_ms": {ID: since}}, TROUBLE_MS),
    ("unreadable-log", lambda since: {"log": {"failing_since_ms": since, "last_error": "no tile"}}, TROUBLE_MS),
    ("silent", lambda since: {"log": {"head_ms": since}}, DAY_MS),
    ("behind", lambda since: {"behind": {ID: Behind(9, since)}}, BEHIND_MS),
    ("unproven", lambda since: {"log": {"unproven_since_ms": since}}, UNPROVEN_MS),
    ("channel", lambda since: {"channel": {"failing_since_ms": since, "last_error": "550"}}, TROUBLE_MS),
    ("late", lambda since: {"channel": {"oldest_waiting_ms": since, "waiting": 3}}, LATE_MS),
    ("source", lambda since: {"sources": {"https://crl.example/": Failure("no route", since)}}, SOURCE_MS),
    ("part", lambda since: {"parts": {"reads entries again": Failure("a fault", since)}}, PART_MS),
]


@pytest.mark.parametrize(("kind", "made", "long"), LASTING)
def test_what_has_to_last(kind, made, long):
    assert kinds(**made(NOW - long)) == [kind]
    assert kinds(**made(NOW - long + 1)) == []
    assert kinds(**made(NOW + 1)) == []  # a clock that went back


AT_ONCE = [
    ("gap", {"gaps": [Gap(ID, 256, 512, "missing-data", NOW, NOW), Gap(ID, 768, 1024, "bad-tile", NOW, NOW)]}),
    ("dead", {"channel": {"dead": 2}}),
    ("mistake", {"mistake": "watch list, line 3, column 1: no"}),
    ("lost-log", {"lost": ["Old log"]}),
    ("no-channel", {"homeless": ["shop tells 'pager', and there is no such channel"]}),
    ("source", {"sources": {"log list": Failure("signed by nobody", NOW, is_grave=True)}}),
]


@pytest.mark.parametrize(("kind", "options"), AT_ONCE)
def test_what_is_told_at_once(kind, options):
    assert kinds(**options) == [kind]


# Never a false "all is well" ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "kind"), [({"followed": 0}, "no-log"), ({"items": 0}, "no-item"), ({"roots": 0}, "no-roots")]
)
def test_a_monitor_that_can_tell_nobody_of_anything_is_not_well(what, kind):
    assert kinds(**what) == [kind]
    assert kinds(**dict.fromkeys(what, 1)) == []


def test_without_any_channel_nobody_is_told_and_that_is_not_well():
    (found,) = troubles(NOW, Vitals(configured=frozenset()))
    assert (found.kind, found.severity, found.is_young) == ("no-way", 2, False)
    assert troubles(NOW, Vitals(configured=frozenset(("mail",)))) == []


def test_a_channel_that_fails_is_not_well_from_the_first_moment():
    """Who is told a quarter of an hour later, and the heartbeat ends at once."""
    (found,) = troubles(NOW, vitals(channel={"failing_since_ms": NOW, "last_error": "550"}))
    assert (found.kind, found.is_young) == ("channel", True)
    is_late = {"failing_since_ms": NOW, "last_error": "550", "waiting": 3, "oldest_waiting_ms": NOW - LATE_MS}
    (found,) = troubles(NOW, vitals(channel=is_late))
    assert (found.kind, found.is_young) == ("late", False), "that messages wait is told, however young the failure"


def test_a_log_without_one_head_is_not_well_from_the_first_moment():
    never = {"last_contact_ms": None, "head_ms": None}
    (found,) = troubles(NOW, vitals(log=never, added_ms={ID: NOW}))
    assert (found.kind, found.is_young) == ("no-head", True)
    failing = {**never, "failing_since_ms": NOW, "last_error": "refused", "failing_reason": "transport"}
    (found,) = troubles(NOW, vitals(log=failing, added_ms={ID: NOW}))
    assert (found.kind, found.is_young) == ("unreachable", True)


def test_a_log_that_fails_is_not_well_from_the_first_moment():
    (found,) = troubles(NOW, vitals(log={"failing_since_ms": NOW, "last_error": "no tile"}))
    assert (found.kind, found.is_young) == ("unreadable-log", True)


@pytest.mark.parametrize("reason", ["bad-signature", "wrong-origin", "unsigned"])
def test_a_wrong_key_is_one_trouble_and_not_silence(reason):
    log = {"last_contact_ms": None, "head_ms": None, "failing_since_ms": NOW - TROUBLE_MS, "failing_reason": reason}
    (found,) = troubles(NOW, vitals(log={**log, "last_error": "it does not verify"}))
    assert (found.kind, found.is_young) == ("wrong-key", False)
    assert "does not answer" not in found.summary + found.reason
    assert "Compare the key" in found.next


def test_that_nobody_looked_is_no_silence_of_the_log():
    """After a day without a monitor a log is not said to have been silent."""
    assert kinds(log={"last_contact_ms": NOW - DAY_MS}, began_ms=NOW) == []
    assert kinds(log={"last_contact_ms": NOW - DAY_MS, "failing_since_ms": NOW - 1}, began_ms=NOW) == ["unreachable"]


def test_a_full_disk_is_no_silence_of_a_log():
    old = {"last_contact_ms": NOW - DAY_MS, "head_ms": NOW - 2 * DAY_MS}
    (found,) = troubles(NOW, vitals(log=old, store=Failure("database or disk is full", NOW, is_grave=True)))
    assert (found.kind, found.severity, "disk is full" in found.reason) == ("store", S1, True)


def test_what_it_says():
    gaps = [Gap(ID, 256, 512, "missing-data", NOW, NOW), Gap(ID, 768, 1024, "bad-tile", NOW, NOW)]
    found = troubles(NOW, vitals(
        log={"last_contact_ms": NOW - DAY_MS, "last_error": "no route", "unproven_since_ms": NOW - DAY_MS}, gaps=gaps,
        behind={ID: Behind(1003, NOW - DAY_MS)},
    ))  # fmt: skip
    text = "\n".join(trouble.reason for trouble in found)
    for words in ("has not answered since 2026-11-17T", ": no route.", "had 1,003 entries", "1,000 of them are",
                  "512 entries of log", "256 to 511, 768 to 1,023", "that no signed head has proven"):  # fmt: skip
        assert words in text


def test_trouble_with_the_network_is_one_trouble():
    """A log that does not answer is not said to be silent, behind its promise, or unreadable besides."""
    old = NOW - 3 * DAY_MS
    assert kinds(log={"last_contact_ms": old, "failing_since_ms": old, "last_error": "x", "head_ms": old}) == [
        "unreachable"]  # fmt: skip


def test_a_log_that_lies_is_never_called_behind():
    lying = {"accused": "EVIDENCE-1.txt", "failing_since_ms": NOW - DAY_MS, "last_error": "it forked"}
    (found,) = troubles(NOW, vitals(log=lying, behind={ID: Behind(9, NOW - DAY_MS)}))
    assert found.kind == "unreadable-log"
    assert "EVIDENCE-1.txt" in found.reason
    assert kinds(log={"accused": "EVIDENCE-1.txt"}, behind={ID: Behind(9, NOW - DAY_MS)}) == ["behind"]


def test_a_log_that_fails_is_not_called_behind_besides():
    failing = {"failing_since_ms": NOW - BEHIND_MS, "last_error": "the head is dated after our clock"}
    assert kinds(log=failing, behind={ID: Behind(9, NOW - BEHIND_MS)}) == ["unreadable-log"]
    failing["failing_since_ms"] = NOW - 1
    assert kinds(log=failing, behind={ID: Behind(9, NOW - BEHIND_MS)}) == ["behind"]


def test_a_channel_that_is_not_there_any_more():
    configured = frozenset(("hook",))
    (found,) = troubles(NOW, vitals(channel={"oldest_waiting_ms": NOW - DAY_MS, "waiting": 1}, configured=configured))
    assert (found.kind, "no such channel" in found.reason) == ("late", True)
    assert kinds(channel={"failing_since_ms": NOW - DAY_MS}, configured=configured) == []


@given(st.sampled_from(LASTING), st.integers(0, TROUBLE_MS - 2000))
def test_as_long_as_it_lasts_it_is_the_same_alert(which, later_ms):
    kind, made, long = which
    now = NOW + later_ms
    first = troubles(NOW, vitals(**made(NOW - long)))[0]
    then = {found.kind: found for found in troubles(now, vitals(**made(NOW - long)))}[kind]
    assert first.id == then.id
    assert first.id.startswith(PREFIX)


def test_no_two_troubles_are_one_alert():
    every = [options for _, options in AT_ONCE] + [made(0) for _, made, _ in LASTING]
    found = [trouble for options in every for trouble in troubles(NOW, vitals(**options))]
    assert len({trouble.id for trouble in found}) == len({(trouble.kind, trouble.subject) for trouble in found})
    other = dataclasses.replace(vitals(), logs=[WELL._replace(log_id=b"\2" * 32, last_contact_ms=0)])
    assert troubles(NOW, other)[0].id != troubles(NOW, vitals(log={"last_contact_ms": 0}))[0].id


def test_alerts():
    found = troubles(NOW, vitals(log={"last_contact_ms": 0}, channel={"dead": 1}))
    log, channel = alerts(found, ("mail", "hook"), NOW)
    assert (log.kind, log.rule, log.addressee, log.channels, log.log_id) == (
        HEALTH, "unreachable", OPERATOR, ("mail", "hook"), ID)  # fmt: skip
    assert log.severity > S1
    assert channel.channels == ("hook",)  # it cannot tell of itself
    assert alerts(found, ("mail",), NOW)[1].channels == ("mail",)  # unless there is no other
    body = json.loads(log.body)
    assert body["reason"]
    assert body["next"]
    assert body["log"]["id"] == ID.hex()


def test_a_command_that_is_named_works_where_it_is_copied_to():
    """For whoever is told, and stands in any folder; and for `status`, which is called where the monitor is."""
    every = [*(options for _, options in AT_ONCE), *(made(0) for _, made, _ in LASTING), {"followed": 0}, {"items": 0}]
    named = set()
    for options in every:
        for folder, where in (("/srv/a monitor", " -d '/srv/a monitor'"), ("", "")):
            for trouble in troubles(NOW, vitals(**options, monitor=folder)):
                assert "{" not in trouble.next
                for command in re.findall(r"`ctlog-monitor ([a-z]+(?: [a-z]+)?)([^`]*)`", trouble.next):
                    named.add(command[0])
                    assert command[1].startswith(where), trouble.next
    assert named == {"logs add", "watch add", "test", "alerts resend", "logs remove"}
    (alert,) = alerts(troubles(NOW, vitals(channel={"dead": 1}, monitor="/srv/m")), ("mail",), NOW, "/srv/m")
    assert json.loads(alert.body)["monitor"] == "/srv/m"


@given(st.text(), st.text())
def test_names_that_strangers_chose(name, error):
    for trouble in troubles(NOW, vitals(log={"name": name, "last_contact_ms": 0}, sources={error: Failure(error, 0)})):
        assert trouble.summary.isprintable()
        assert trouble.id.isascii()
