"""`make run`: the log and the monitor together; a submitted certificate is an alert on the screen; Ctrl-C ends both."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctlog.cli.demo import free_port
from ctlog.cli.program import run_program
from ctlog.errors import TransportError
from ctlog.wire.b64 import format_base64
from monitor.cli import cli
from monitor.cli import demo as made
from monitor.cli.demo import _Place, _write_config, what_next
from monitor.config import parse_config
from tests.serving import MONITOR_DEMO, environment
from tests.wire_values import TestLog


class Demo:
    """`ctlog-monitor demo`, in a folder; `said` grows."""

    def __init__(self, folder: Path, until: str = "  stop     Ctrl-C") -> None:
        ports = ["--port", str(free_port(18600)), "--monitor-port", str(free_port(18700))]
        surroundings = {**environment(folder / "heads"), "PYTHONUNBUFFERED": "1"}
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [*MONITOR_DEMO, "demo", "d d", *ports], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=surroundings, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        self.until(until)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)

    def until(self, words: str) -> None:
        deadline = time.monotonic() + 60
        while not any(words in line for line in self.said):
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.05)

    def line(self, word: str) -> str:
        (found,) = [line for line in self.said if line.startswith(f"  {word} ")]
        return found.split(maxsplit=1)[1].strip()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    started = Demo(tmp_path)
    yield started
    started.process.kill()


@pytest.mark.parametrize("how", ["by Ctrl-C", "by a script"])
def test_it_is_stopped_before_the_monitor_runs(how: str, tmp_path: Path) -> None:
    """The monitor was told too, by Ctrl-C, and will never say that it watches: nobody waits for that."""
    started = Demo(tmp_path, until=" serves ")
    try:
        if how == "by Ctrl-C":
            os.killpg(started.process.pid, signal.SIGINT)
        else:
            started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(made.START_S / 2) == 0
    finally:
        started.process.kill()


@pytest.mark.parametrize("is_told", [False, True])
def test_a_monitor_that_ends_before_it_watches_is_not_waited_for(
    is_told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Ctrl-C reaches it while it starts."""
    pem = f"-----BEGIN PUBLIC KEY-----\n{format_base64(TestLog().spki)}\n-----END PUBLIC KEY-----\n"
    (tmp_path / "log-key.pem").write_text(pem)
    monkeypatch.setattr(made, "START_S", 3600.0)
    monkeypatch.setattr(made, "program", lambda name: [sys.executable, "-c", ""])
    stopping, raised = threading.Event(), []
    if is_told:
        stopping.set()

    def start() -> None:
        try:
            made._monitor(_Place(tmp_path), "http://127.0.0.1:9/", 9, stopping)
        except TransportError as error:
            raised.append(error)

    waiting = threading.Thread(target=start, daemon=True)
    waiting.start()
    waiting.join(30)
    assert len(raised) == 1


@pytest.mark.trial
def test_what_it_prints_works_and_leads_to_an_alert(demo: Demo, tmp_path: Path) -> None:
    surroundings = environment(tmp_path / "heads")

    def typed(word: str) -> str:
        line = re.sub(r"^'?-c'? |^\S*ctlog(-monitor)? ", "", demo.line(word))
        module = "monitor.cli" if word in ("alerts", "more", "status") else "ctlog.cli"
        call = f"{sys.executable} -c 'from {module} import main; main()' {line}"
        done = subprocess.run(call, shell=True, cwd=tmp_path, capture_output=True, text=True, env=surroundings)
        assert done.returncode == 0, (call, done.stdout, done.stderr)
        return done.stdout

    assert "1 new item is watched" in typed("more")
    typed("submit")
    demo.until("S2 +12025550123: certificate by Example: not yours?")
    demo.until("entry         0, proven in the tree of 1 entry")
    assert "S2 +12025550123: certificate by Example" in typed("alerts")
    assert typed("status").startswith("All is well: 2 items watched on 1 log.")
    os.killpg(demo.process.pid, signal.SIGINT)  # as a terminal does
    assert demo.process.wait(30) == 0
    said = "".join(demo.said)
    assert "has stopped at 1 entries" in said
    assert "Traceback" not in said


@pytest.mark.trial
def test_when_one_ends_both_end_and_it_goes_on_with_the_same_log(demo: Demo, tmp_path: Path) -> None:
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(demo.process.pid)], capture_output=True, text=True)
    first, _ = sorted(map(int, children.stdout.split()))
    os.kill(first, signal.SIGKILL)  # the log
    assert demo.process.wait(30) == 3
    assert any("has ended with -9, so both end." in line for line in demo.said)
    again = Demo(tmp_path)
    try:
        assert not any("Making" in line for line in again.said)
        again.process.send_signal(signal.SIGTERM)  # this one only
        assert again.process.wait(30) == 0
    finally:
        again.process.kill()


@pytest.mark.trial
def test_one_that_was_killed_leaves_nothing_that_runs(demo: Demo, tmp_path: Path) -> None:
    demo.process.kill()  # nobody ends the children for it
    demo.process.wait()
    again = Demo(tmp_path)
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a lock")
def test_a_second_one_says_how_to_stop_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(made, "ENDING_S", 0.0)
    (tmp_path / "log").mkdir()
    with (tmp_path / "log" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run_program(cli, "ctlog-monitor", ["demo", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert said == f"ctlog-monitor: it runs already in {tmp_path}; stop it with: kill {os.getpid()}.\n"


def test_the_configuration_is_kept_but_for_where_things_are(tmp_path: Path) -> None:
    place = _Place(tmp_path)
    pem = f"-----BEGIN PUBLIC KEY-----\n{format_base64(TestLog().spki)}\n-----END PUBLIC KEY-----\n"
    (tmp_path / "log-key.pem").write_text(pem)
    _write_config(place, "http://127.0.0.1:1/", 5)
    config = parse_config(place.config.read_text())
    assert (config.logs[0].url, config.listen, config.poll_s) == ("http://127.0.0.1:1/", "127.0.0.1:5", 1)
    place.config.write_text(place.config.read_text() + "\n# mine\n[channels.mine]\nkind = \"stdout\"\n")
    _write_config(place, "http://127.0.0.1:2/", 6)
    text = place.config.read_text()
    config = parse_config(text)
    assert (config.logs[0].url, config.listen) == ("http://127.0.0.1:2/", "127.0.0.1:6")
    assert "# mine" in text
    assert set(config.channels) == {"screen", "operator", "mine"}


def test_what_next_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = dict(what_next(Path("a b"), str(tmp_path / ".venv/bin/ctlog-monitor")))
    assert lines["status"] == ".venv/bin/ctlog-monitor status -d 'a b/monitor'"
