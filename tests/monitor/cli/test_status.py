"""`ctlog-monitor status`: the exit code says whether all is well, the text why not."""

from __future__ import annotations

from base64 import b64encode

import pytest

from ctlog.wire.checkpoint import Checkpoint, SignedHead
from ctlog.wire.rfc6962 import DigitallySigned
from monitor.cli import status as module
from monitor.cli.alive import Alive
from monitor.cli.place import now_ms
from monitor.state.rows import Position
from tests.cert_sim import CertSim
from tests.monitor_place import Monitor
from tests.state_values import alert

KEY = CertSim().policy.key
LOG = f'\n[[log]]\nname = "a log"\nurl = "https://log.example/"\nkey = "{b64encode(KEY.spki).decode()}"\n'
WELL = {"ok": True, "reasons": [], "logs": [{"name": "a log", "log_id": KEY.log_id.hex(), "left_s": 3725.0}]}
BAD = {"kind": "gap", "severity": 2, "summary": "2 entries are not read", "sentence": "They wait.", "next": "Ask."}


@pytest.fixture
def running(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """A monitor that runs, watches a number on a log, and says that all is well."""
    monkeypatch.setattr(module, "ask", lambda listen, state, identity: Alive(True, WELL))
    monitor.here("watch", "add", "+12025550123")
    monitor.write("monitor.toml", (monitor.folder / "monitor.toml").read_text() + LOG)
    monitor.state(lambda state: state.logs.add(KEY.log_id, "a log", "https://log.example/", Position(), now_ms()))
    return monitor


def test_all_is_well(running: Monitor) -> None:
    out = running.here("status").out
    assert out.startswith("All is well: 1 item watched on 1 log.\n")
    assert "a log (https://log.example/)\n  read      0 of 0 entries\n" in out
    assert f"Channel screen: nothing yet; `ctlog-monitor test -d {running.folder}` tries it" in out
    assert "No alert waits for an answer." in out
    (value,) = running.here("status", "--json").lines
    assert (value["ok"], value["running"], value["items"], value["reasons"]) == (True, True, 1, [])
    assert value["left_s"] == {"a log": 3725.0}


def test_nobody_looks(monitor: Monitor) -> None:
    said = monitor.here("status", code=1)
    assert said.out.startswith("NOT WELL: 0 items watched on 0 logs.\n! S1 The monitor does not run.")
    assert monitor.here("status", "--json", code=1).lines[0]["running"] is False


def test_what_it_says_of_itself(running: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ask", lambda *asked: Alive(True, {**WELL, "ok": False, "reasons": [BAD]}))
    assert "! S2 2 entries are not read. They wait. Ask." in running.here("status", code=1).out


def test_where_it_says_nothing_the_state_is_looked_at(running: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ask", lambda listen, state, identity: Alive(True, None))

    async def fail(state) -> None:
        await state.logs.failed(KEY.log_id, "refused", 1)
        await state.alerts.raise_all([alert(channels=("screen", "gone"))], 1)
        (row,) = await state.outbox.due(2, channel="gone")
        await state.outbox.dead_letter([row.id], "no such channel", 2)

    running.state(fail)
    out = running.here("status", code=1).out
    assert "a log does not answer" in out
    assert "Messages to gone were given up" in out
    assert "FAILING   since 1970-01-01" in out
    assert "Channel gone: no longer configured; " in out
    assert "given up  gone: a-0123  a summary: no such channel" in out
    assert "1 alert waits for an answer (1 S1)" in out


def test_a_log_that_lied_is_not_well_until_somebody_answers(
    running: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ask", lambda listen, state, identity: Alive(True, None))
    running.state(lambda state: state.alerts.raise_all([alert("lie", kind="misbehaviour", channels=())], 1))
    assert f"ctlog-monitor alerts show -d {running.folder} lie-0123" in running.here("status", code=1).out
    running.here("alerts", "ack", "lie")
    assert "! S1" not in running.here("status", code=1).out


def test_one_that_runs_and_does_not_answer_is_not_called_well(
    running: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ask", lambda listen, state, identity: Alive(True, None))
    assert "! S2 The monitor runs, and does not answer." in running.here("status", code=1).out
    text = (running.folder / "monitor.toml").read_text()
    roots = '\n[[roots]]\ntrust_domain = "test"\nfiles = ["roots.pem"]\n'
    running.write("monitor.toml", text.replace('# listen = "127.0.0.1:8462"', 'listen = ""') + roots)
    head = SignedHead(Checkpoint("x", 0, bytes(32)), now_ms(), b"", DigitallySigned(4, 3, b""))
    running.state(lambda state: state.logs.answered(KEY.log_id, head, now_ms()))
    assert running.here("status").out.startswith("All is well"), "one that is not to answer is asked nothing"


def test_one_that_listens_nowhere_is_as_ill_as_it_told(running: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the daemon knows (parts, sources, mistakes) stands in the state as an alert that is not over."""
    monkeypatch.setattr(module, "ask", lambda listen, state, identity: Alive(True, None))
    body = b'{"reason": "The part fails.", "next": "Report it."}'
    told = alert("health-part", kind="health", rule="part", summary="The monitor fails", body=body, channels=())
    running.state(lambda state: state.alerts.raise_all([told], 1))
    assert "! S1 The monitor fails. The part fails. Report it." in running.here("status", code=1).out
    running.state(lambda state: state.alerts.resolve(told.id, 2))
    assert "The monitor fails" not in running.here("status", code=1).out


def test_a_line_that_says_failing_is_never_below_all_is_well(running: Monitor) -> None:
    running.state(lambda state: state.logs.failed(KEY.log_id, "it does not verify", now_ms(), "bad-signature"))
    out = running.here("status", code=1).out
    assert out.startswith("NOT WELL: 1 item watched on 1 log.\n")
    assert "FAILING" in out
    assert "proven    nothing: not one head yet" in out
    assert "is not signed by the key that is configured" in out


def test_a_configured_log_that_is_not_begun_is_counted(monitor: Monitor) -> None:
    monitor.write("monitor.toml", (monitor.folder / "monitor.toml").read_text() + LOG)
    out = monitor.here("status", code=1).out
    assert out.startswith("NOT WELL: 0 items watched on 1 log.\n")
    assert "a log (https://log.example/)\n  read      0 of 0 entries\n  proven    nothing: not one head yet" in out
    assert "has not given one head" not in out.partition("\n\n")[0], "nobody has asked it, and nobody waits"


def test_what_the_monitor_answers_instead_of_its_health_is_shown(
    running: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ask", lambda listen, state, identity: Alive(True, None, "the disk is full"))
    assert "and does not answer. the disk is full" in running.here("status", code=1).out


def test_a_mistake_in_the_watch_file_hides_nothing_else(running: Monitor) -> None:
    running.write("watch.toml", "[[watch]]\nname = 1\n")
    out = running.here("status", code=1).out
    assert out.startswith("NOT WELL: 1 item watched on 1 log.\n")
    assert "watch.toml" in out
    assert "line 2, column 8" in out


def test_an_added_item_that_is_refused_is_not_counted(running: Monitor) -> None:
    running.state(lambda state: state.answers.put_items([("bad", b"{}"), ("worse", b"no JSON")], 0))
    assert running.here("status", code=None).out.startswith("All is well: 1 item watched")


def test_progress_with_the_time_that_is_left(running: Monitor) -> None:
    head = SignedHead(Checkpoint("x", 9, bytes(32)), now_ms(), b"", DigitallySigned(4, 3, b""))
    running.state(lambda state: state.logs.answered(KEY.log_id, head, now_ms()))
    out = running.here("status").out
    assert "read      0 of 9 entries, 9 to go" in out
    assert "left      1 h 2 min, as it goes now" in out


@pytest.mark.parametrize(("seconds", "text"), [(3.9, "3 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_lengths(seconds: float, text: str) -> None:
    assert module._length(seconds) == text


def test_without_a_state_nothing_can_be_found_out(monitor: Monitor) -> None:
    for path in (monitor.folder / "state").glob("state.sqlite*"):
        path.unlink()
    assert "is missing" in monitor.here("status", code=3).err


def test_what_another_monitor_answers_is_not_taken_for_this_one_s(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two monitors of one machine have one `listen` as long as nobody changes it, and only one of them runs."""
    from monitor.cli import alive

    other = {**WELL, "monitor": "another state"}
    monkeypatch.setattr(alive, "_health", lambda listen: (other, ""))
    out = monitor.here("status", code=1).out
    assert "! S1 The monitor does not run." in out
    assert "Another monitor answers at 127.0.0.1:8462: give one of them another `listen`." in out
    mine = monitor.state(lambda state: state.answers.identity())
    monkeypatch.setattr(alive, "_health", lambda listen: ({**WELL, "monitor": mine}, ""))
    assert "does not run" not in monitor.here("status", code=1).out


def test_a_channel_that_fails_is_never_below_all_is_well(running: Monitor) -> None:
    """What the monitor said of itself a moment before it failed does not count."""
    async def fail(state) -> None:
        await state.alerts.raise_all([alert(channels=("screen",))], 1)
        await state.outbox.mark_failed([1], now_ms() + 9999, "no route", now_ms())

    running.state(fail)
    out = running.here("status", code=1).out
    assert out.startswith("NOT WELL")
    assert "The channel screen fails." in out


def test_whoever_takes_the_last_log_out_is_not_well_at_once(running: Monitor) -> None:
    """Though the monitor has not noticed it yet, and says that all is well."""
    assert "no log is read any more" in running.here("logs", "remove", "a log").err
    out = running.here("status", code=1).out
    assert out.startswith("NOT WELL: 1 item watched on 0 logs.\n! S2 No log is read.")
