"""`ctlog-monitor logs remove`: it is read no longer; everything that was found in it is kept, and goes on later."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from ctlog.merkle.tree import Frontier
from monitor.catalogue import LogSpec, spec_to_json
from monitor.config import parse_config
from monitor.roster import DISMISSED, KEY
from monitor.state.rows import SCT_WAITING, Gap, Position, SctRow
from tests.monitor_place import Monitor
from tests.state_values import alert
from tests.wire_values import TestLog

ONE, TWO = TestLog(), TestLog(99)
FRONTIER = Frontier(8, (bytes(32),))


def text_of(log: TestLog) -> str:
    return b64encode(log.spki).decode()


def spec(log: TestLog, name: str, source: str) -> LogSpec:
    return LogSpec(name, f"https://{name}.example/", log.key, "tiles", name, 86_400_000, "first", source)


def remember(monitor: Monitor, *specs: LogSpec, listed: tuple[LogSpec, ...] = ()) -> None:
    """What a daemon stored of the logs that it follows."""
    value = {"specs": [spec_to_json(each) for each in specs], "listed": [spec_to_json(each) for each in listed]}
    monitor.state(lambda state: state.answers.put_meta(KEY, json.dumps(value).encode()))


def config(monitor: Monitor):
    return parse_config((monitor.folder / "monitor.toml").read_text())


@pytest.fixture
def two(monitor: Monitor) -> Monitor:
    """A monitor of two logs, and the first was read."""
    for name, log in (("one", ONE), ("two", TWO)):
        monitor.here("logs", "add", f"https://{name}.example/", "--key", text_of(log), "--name", name)

    async def fill(state) -> None:
        await state.logs.add(ONE.key.log_id, "one", "https://one.example/", Position(FRONTIER, FRONTIER), 1)
        promise = SctRow("id", ONE.key.log_id, b"sct", b"leaf", 1, 9, "by me", 1, SCT_WAITING, "", None)
        await state.audits.add([promise])
        told = [alert(log_id=ONE.key.log_id, channels=())]
        gap = Gap(ONE.key.log_id, 2, 4, "missing-data", 1, 1)
        await state.logs.advance(ONE.key.log_id, Position(FRONTIER, FRONTIER), told, 1, gap=gap)
        await state.logs.failed(ONE.key.log_id, "no route", 1)

    monitor.state(fill)
    return monitor


@pytest.mark.parametrize("named", ["one", "https://one.example/", "https://one.example", ONE.key.log_id.hex()])
def test_by_whatever_it_is_called(two: Monitor, named: str) -> None:
    said = two.here("logs", "remove", named).out
    kept = "What was found in its 8 entries is kept; `ctlog-monitor logs add -d "
    assert said.startswith(f"one is read no longer.\n{kept}")
    assert "1 SCT of it cannot be audited until then." in said
    assert [log.name for log in config(two).logs] == ["two"]


def test_everything_is_kept_and_nothing_complains(two: Monitor) -> None:
    before = two.here("status", code=1).out
    assert "one does not answer" in before
    assert "2 entries of one are not read" in before
    value = {"name": "one", "log_id": ONE.key.log_id.hex(), "removed": True, "read": 8, "waiting_scts": 1}
    assert two.here("logs", "remove", "one", "--json").lines == [value]
    after = two.here("status", code=1).out
    assert "on 1 log." in after
    assert "! S2 one" not in after
    assert "entries of one" not in after
    assert two.here("alerts", "list", "--json").lines[0]["log_id"] == ONE.key.log_id.hex()
    listed = two.here("logs", "list").out
    assert "one (https://one.example/)\n  read      8 of 0 entries" in listed
    assert "  REMOVED   it is read no longer\n" in listed
    assert {line["name"]: line["followed"] for line in two.here("logs", "list", "--json").lines} == {
        "one": False, "two": True,
    }  # fmt: skip
    assert "its log is read no longer (`logs add`)" in two.here("scts", "list").out


def test_added_again_it_goes_on(two: Monitor) -> None:
    two.here("logs", "remove", "one")
    words = ["https://one.example/", "--key", text_of(ONE), "--since", "newest"]
    said = two.here("logs", "add", *words)
    assert "It was read before, and goes on at entry 8, whatever --since says" in said.out
    row = two.state(lambda state: state.logs.get(ONE.key.log_id))
    assert row.position.frontier == FRONTIER
    assert "its log is read no longer" not in two.here("scts", "list").out
    two.here("logs", "remove", "one.example")
    assert two.here("logs", "add", *words, "--json").lines[0]["read_before"] == 8


def test_what_people_wrote_around_it_stays(monitor: Monitor) -> None:
    start = 'contact = "me@example.com"\n\n# the first\n'
    table = f'[[log]] # this one\nurl = "https://one.example/" # here\n\n# and\nkey = "{text_of(ONE)}"\n'
    rest = f'# the second\n[[log]]\nname = "two"\nurl = "https://two.example/"\nkey = "{text_of(TWO)}"'
    monitor.write("monitor.toml", f"{start}{table}\n{rest}")
    monitor.here("logs", "remove", "one.example")
    assert (monitor.folder / "monitor.toml").read_text() == f"{start}\n{rest}"
    monitor.here("logs", "remove", "two")
    assert (monitor.folder / "monitor.toml").read_text() == f"{start}\n# the second\n"


def test_what_cannot_be_taken_out_safely_stays(monitor: Monitor) -> None:
    text = f'contact = "me"\nlog = [{{url = "https://one.example/", key = "{text_of(ONE)}"}}]\n'
    monitor.write("monitor.toml", text)
    assert "take it out with an editor" in monitor.here("logs", "remove", "one.example", code=2).err
    assert (monitor.folder / "monitor.toml").read_text() == text


def test_a_name_that_is_misspelled(two: Monitor) -> None:
    assert "no log 'tow' is read; the nearest is 'two'" in two.here("logs", "remove", "tow", code=1).err


def test_there_is_none(monitor: Monitor) -> None:
    assert "no log 'x' is read: none is read" in monitor.here("logs", "remove", "x", code=1).err


def test_by_its_description(monitor: Monitor) -> None:
    source = "https://one.example/log.v3.json"
    monitor.here("logs", "add", source)
    assert monitor.here("logs", "remove", source).out == f"{source} is read no longer.\n"
    monitor.here("logs", "add", source)
    remember(monitor, spec(ONE, "one", source))
    assert monitor.here("logs", "remove", "one", "--json").lines[0]["log_id"] == ONE.key.log_id.hex()
    assert config(monitor).logs == ()


def test_a_listed_log_is_the_list_s(two: Monitor) -> None:
    two.write("monitor.toml", (two.folder / "monitor.toml").read_text() + '\n[log_list]\nsource = "list.json"\n')
    before = (two.folder / "monitor.toml").read_text()
    listed = spec(TestLog(7), "listed", "log list")
    remember(two, spec(ONE, "one", "configuration"), listed, listed=(listed, spec(ONE, "one", "log list")))
    said = two.here("logs", "remove", "listed", code=2).err
    assert "listed comes from the log list list.json, which says what is read: `states`" in said
    assert "one stands on the log list list.json too" in two.here("logs", "remove", "one", code=2).err
    assert (two.folder / "monitor.toml").read_text() == before


def test_one_that_its_list_lost_can_be_let_go(monitor: Monitor) -> None:
    monitor.write("monitor.toml", (monitor.folder / "monitor.toml").read_text() + '\n[log_list]\nsource = "l.json"\n')
    remember(monitor, spec(ONE, "lost", "log list"))
    assert monitor.here("logs", "remove", "lost").out == "lost is read no longer.\n"
    assert json.loads(monitor.state(lambda state: state.answers.get_meta(DISMISSED))) == [ONE.key.log_id.hex()]
    assert "none is read" in monitor.here("logs", "remove", "lost", code=1).err
