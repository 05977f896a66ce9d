"""`ctlog-monitor run`, as a process of its own: it serves, notices what commands change, stops when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitor_place import Monitor
from tests.serving import MONITOR, environment


class Running:
    """A monitor that runs; `said` is what it said, `url` where it answers."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [*MONITOR, "run", "-d", str(folder)], stderr=subprocess.PIPE, text=True, env=environment()
        )
        self.url = ""
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._ready.wait(60), self.said

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if "; http://" in line:
                self.url = line.rpartition("; ")[2].split()[0]
                self._ready.set()
        self._ready.set()

    def health(self) -> dict[str, object]:
        try:
            with urllib.request.urlopen(self.url + "health") as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)


@pytest.fixture
def running(monitor: Monitor) -> Iterator[Running]:
    text = (monitor.folder / "monitor.toml").read_text()
    monitor.write("monitor.toml", text.replace('# listen = "127.0.0.1:8462"', 'listen = "127.0.0.1:0"'))
    process = Running(monitor.folder)
    yield process
    process.process.kill()
    process.process.wait()


def test_its_day(running: Running, monitor: Monitor) -> None:
    assert running.health()["items"] == 0
    monitor.here("watch", "add", "+12025550123")
    deadline = time.monotonic() + 20
    while running.health()["items"] != 1:
        assert time.monotonic() < deadline, running.said
        time.sleep(0.05)
    line = [*MONITOR, "run", "-d", str(monitor.folder)]
    other = subprocess.run(line, capture_output=True, text=True, env=environment(), check=False)
    assert other.returncode == 3
    assert "another monitor runs on " in other.stderr
    assert "Traceback" not in other.stderr
    with urllib.request.urlopen(running.url + "metrics") as answer:
        assert b"ctlog_monitor_watched_items 1.0" in answer.read()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(20) == 0
    assert any(" stops after " in line for line in running.said)


def test_ctrl_c_is_no_failure(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGINT)
    assert running.process.wait(20) == 0
    assert not any("Traceback" in line for line in running.said)


def test_what_keeps_it_from_starting(monitor: Monitor) -> None:
    text = (monitor.folder / "monitor.toml").read_text()
    monitor.write("monitor.toml", text.replace('# listen = "127.0.0.1:8462"', 'listen = "nowhere"'))
    assert "is no address with a port" in monitor.here("run", code=2).err
    monitor.write("monitor.toml", text + "nothing = 1\n")
    assert "there is no key `nothing` here" in monitor.here("run", code=2).err
    monitor.write("monitor.toml", text)
    (monitor.folder / "state" / "history" / "manifest").unlink()
    assert "is missing. It is never made anew by itself" in monitor.here("run", code=3).err
    (monitor.folder / "state" / "state.sqlite").unlink()
    assert "state.sqlite is missing" in monitor.here("run", code=3).err
