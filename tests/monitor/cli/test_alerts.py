"""`ctlog-monitor alerts list`, `show`, `ack`, `snooze`."""

from __future__ import annotations

import dataclasses

import pytest

from ctlog.x509.der import parse_certificate
from monitor.alert import make_alert
from monitor.rules import verdicts
from monitor.rules.values import Context
from monitor.state.rows import NewAlert
from monitor.watch_file import parse_watch_table
from monitor.watchlist import Watchlist
from tests.monitor_certificates import NOW_MS, logged, number_leaf
from tests.monitor_place import Monitor
from tests.number_certificates import number
from tests.state_values import alert

HOME = parse_watch_table({"name": "home", "numbers": ["+12025550123"]})
ENTRY = logged(number_leaf([number("12025550123")]))
NOTHING_KNOWN = Context(now_ms=NOW_MS)


def certificate_alert(entry=ENTRY, context: Context = NOTHING_KNOWN) -> NewAlert:
    """What the monitor tells of an entry."""
    (hit,) = Watchlist(HOME).match(entry)
    made = make_alert(entry, hit, verdicts(entry, hit, context)[0], context)
    fields = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    return NewAlert(**{**fields, "channels": ("screen",)})


def raised(monitor: Monitor, *alerts: NewAlert, now_ms: int = NOW_MS) -> None:
    monitor.state(lambda state: state.alerts.raise_all(alerts, now_ms))


def test_none(monitor: Monitor) -> None:
    assert monitor.here("alerts", "list").out == "There are none.\n"
    assert "there is no alert 3f2a" in monitor.here("alerts", "show", "3f2a", code=1).err


def test_the_newest_first_and_only_those_that_one_asks_for(monitor: Monitor) -> None:
    raised(monitor, alert("old"), now_ms=NOW_MS - 86_400_000)
    raised(monitor, alert("new", severity=3, kind="health", item="", group=""), alert("office", group="office"))
    out = monitor.here("alerts", "list").out.splitlines()
    assert [line.split()[0] for line in out] == ["new-0123", "office-0123", "old-0123"]

    def ids(*words: str) -> list[str]:
        return [line["id"] for line in monitor.here("alerts", "list", "--json", *words).lines]

    assert ids("--severity", "1") == ["office-0123", "old-0123"]
    assert ids("--kind", "health") == ["new-0123"]
    assert ids("--item", "office") == ["office-0123"]
    assert ids("--item", "home") == ["office-0123", "old-0123"]
    assert ids("--status", "resolved") == []
    assert ids("--since", "2026-09-21") == ["new-0123", "office-0123"]
    assert "--limit shows more than 1" in monitor.here("alerts", "list", "--limit", "1").out
    assert "is no date" in monitor.here("alerts", "list", "--since", "soon", code=2).err


def test_all_about_one(monitor: Monitor) -> None:
    raised(monitor, certificate_alert())
    (line,) = monitor.here("alerts", "list", "--json").lines
    out = monitor.here("alerts", "show", line["id"][:6]).out
    wanted = ("What to do: ", "+12025550123 (home/number:+12025550123)", "Rightful CA", "screen        alert, waiting")
    for words in (*wanted, "Status: new"):
        assert words in out
    (shown,) = monitor.here("alerts", "show", line["id"], "--json").lines
    assert shown["body"]["issuance"] == ENTRY.issuance.hex()
    assert [message["channel"] for message in shown["messages"]] == ["screen"]
    assert [sighting["log_index"] for sighting in shown["sightings"]] == [7]
    pem = monitor.here("alerts", "show", line["id"], "--pem").out
    assert pem.count("BEGIN CERTIFICATE") == 1 + len(ENTRY.chain)
    (monitor.folder / "c.pem").write_text(pem)
    from ctlog.cli.files import read_certificates

    assert parse_certificate(next(read_certificates(monitor.folder / "c.pem"))).der == ENTRY.certificate


def test_what_a_ca_wrote_cannot_move_the_cursor(monitor: Monitor) -> None:
    raised(monitor, alert("odd", summary="by \x1b[2J\u202eAC", body=b'{"reason": "x \\u001b[31m"}'))
    for words in (["list"], ["show", "odd"]):
        out = monitor.here("alerts", *words).out
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert "carries no certificate" in monitor.here("alerts", "show", "odd", "--pem", code=1).err


def test_somebody_deals_with_it(monitor: Monitor) -> None:
    raised(monitor, alert("a"), alert("b"))
    monitor.here("alerts", "ack", "a", "b", "--note", "called the carrier")
    for line in monitor.here("alerts", "list", "--json").lines:
        assert (line["status"], line["status_note"]) == ("acknowledged", "called the carrier")
        assert line["status_by"]
    assert "Status: acknowledged by " in monitor.here("alerts", "show", "a").out


def test_quiet_until_then(monitor: Monitor) -> None:
    raised(monitor, alert("a"))
    assert "snoozed until 2099-01-01" in monitor.here("alerts", "snooze", "a", "--until", "2099-01-01").out
    (line,) = monitor.here("alerts", "list", "--status", "snoozed", "--json").lines
    assert line["until_ms"] == 4_070_908_800_000
    assert "is over already" in monitor.here("alerts", "snooze", "a", "--until", "2020-01-01", code=2).err
    assert "Missing option '--until'" in monitor.here("alerts", "snooze", "a", code=2).err


def test_what_was_given_up_is_sent_again(monitor: Monitor) -> None:
    raised(monitor, alert("a", channels=("screen", "gone")), alert("b", channels=("screen",)))

    async def give_up(state) -> None:
        for row in await state.outbox.due(NOW_MS):
            if row.alert.id == "a-0123":
                await state.outbox.dead_letter([row.id], "refused", NOW_MS)
            else:
                await state.outbox.mark_sent([row.id], NOW_MS)

    async def waiting(state) -> set[tuple[str, str]]:
        return {(row.alert.id, row.channel) for row in await state.outbox.due(10**15)}

    monitor.state(give_up)
    assert monitor.here("alerts", "resend", "--channel", "screen").out == "1 message is sent again.\n"
    assert monitor.state(waiting) == {("a-0123", "screen")}
    assert "there is no channel 'fax'" in monitor.here("alerts", "resend", "--channel", "fax", code=2).err
    assert monitor.here("alerts", "resend", "b", "--json").lines == [{"messages": 1}]
    assert monitor.state(waiting) == {("a-0123", "screen"), ("b-0123", "screen")}
    assert monitor.here("alerts", "resend").out == "1 message is sent again.\n"
    assert monitor.here("alerts", "resend").out == "There are none.\n"
    assert "there is no alert z" in monitor.here("alerts", "resend", "z", code=1).err


@pytest.mark.parametrize("command", [["ack"], ["snooze", "--until", "3d"]])
def test_an_id_that_is_none_or_that_two_have_answers_nothing(monitor: Monitor, command: list[str]) -> None:
    raised(monitor, alert("two"), alert("twofold"))
    said = monitor.here("alerts", command[0], "twofold", "two", *command[1:], code=1)
    assert "several alerts begin with two" in said.err
    assert "there is no alert x" in monitor.here("alerts", command[0], "x", *command[1:], code=1).err
    assert {line["status"] for line in monitor.here("alerts", "list", "--json").lines} == {"new"}


def test_an_item_that_is_misspelled_is_not_taken_for_one_without_alerts(monitor: Monitor) -> None:
    monitor.here("watch", "add", "--name", "home", "+12025550123")
    said = monitor.here("alerts", "list", "--item", "hmoe")
    assert said == (0, "There are none.\n", "Note: nothing is watched as 'hmoe'; did you mean 'home'?\n")
    for right in ("home", "home/number:+12025550123"):
        assert monitor.here("alerts", "list", "--item", right).err == ""
