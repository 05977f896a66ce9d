"""monitor.tell.words: what is said of a channel that does not work."""

import json

from monitor.tell.words import NAMED, dead_word
from tests.tell_kit import DAY, MORNING, row


def test_it_names_the_channel_the_reason_and_the_alerts():
    rows = [row(1, 2), row(2, 1)]
    word = dead_word("mail", rows, "the server answered 500", ["pager"], MORNING)
    body = json.loads(word.body)
    assert word.severity == 1
    assert word.channels == ("pager",)
    assert word.summary == "The channel mail did not get 2 alerts"
    assert "mail got none of 2 messages: the server answered 500. They were sent over pager instead." in body["reason"]
    assert "alert number 2" in body["reason"]
    assert [each["id"] for each in body["alerts"]] == [f"{number:064x}" for number in (1, 2)]
    assert "`ctlog-monitor test`, and look at `ctlog-monitor status`" in body["next"]
    elsewhere = json.loads(dead_word("mail", rows, "x", [], MORNING, "/srv/m").body)["next"]
    assert "`ctlog-monitor test -d /srv/m`, and look at `ctlog-monitor status -d /srv/m`" in elsewhere


def test_there_may_be_nobody_else():
    word = dead_word("mail", [row(1, 3)], "x.", [], MORNING)
    assert word.channels == ()
    assert word.severity == 2
    assert "There is no other channel" in json.loads(word.body)["reason"]


def test_one_word_for_a_channel_a_reason_and_a_day():
    ids = {
        dead_word(channel, [row()], why, [], at_ms).id
        for channel in ("a", "b") for why in ("x", "y") for at_ms in (MORNING, MORNING + 1, MORNING + DAY)
    }  # fmt: skip
    assert len(ids) == 8


def test_many_are_counted_and_what_others_say_is_cut_and_printable():
    word = dead_word("mail", [row(number) for number in range(5000)], "\u202e\n" * 9999, ["pager"], MORNING)
    body = json.loads(word.body)
    assert f"and {5000 - NAMED:,} more" in body["reason"]
    assert body["count"] == 5000
    assert len(word.body) < 30_000
    assert all(line.isprintable() for line in body["reason"].split("\n"))
