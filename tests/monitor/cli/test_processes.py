"""monitor.cli.processes: other programs are started, heard, and ended in any case."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctlog.errors import TransportError
from monitor.cli import processes
from monitor.cli.processes import Child, holders, program, run_program

SAYS = [sys.executable, "-u", "-c"]


def test_programs_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ctlog", "ctlog-monitor"):
        assert run_program([*program(name), "--version"], cwd=tmp_path).startswith(name)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert program("ctlog-monitor")[1:] == ["-c", "from monitor.cli import main; main()"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ctlog").touch(0o755)
    assert program("ctlog") == [str(tmp_path / "bin" / "ctlog")]


def test_what_one_says_is_heard_and_waited_for() -> None:
    heard: list[str] = []
    code = "import sys, time; print('one'); print('two', file=sys.stderr); time.sleep(60)"
    child = Child([*SAYS, code], merged=True, hear=heard.append)
    assert child.wait_for(lambda line: line == "two", 30) == "two"
    assert heard == ["one", "two"]
    assert child.stop() != 0
    assert child.stop() == child.process.returncode, "to stop it twice is no failure"


def test_one_that_ends_or_is_silent() -> None:
    child = Child([*SAYS, "print('because')"])
    with pytest.raises(TransportError, match="has ended: because"):
        child.wait_for(lambda line: False, 30)
    child.stop()
    child = Child([*SAYS, "import time; time.sleep(60)"])
    with pytest.raises(TransportError, match="did not start within"):
        child.wait_for(lambda line: True, 0.05)
    child.stop()


def test_one_that_does_not_want_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.1)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    child = Child([*SAYS, code])
    child.wait_for(lambda line: line == "deaf", 30)
    assert child.stop() == -9


def test_one_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="ended with 3: this is why"):
        run_program([*SAYS, "import sys; print('this is\\nwhy', file=sys.stderr); sys.exit(3)"], cwd=tmp_path)
    assert run_program([*SAYS, "import os; print(os.environ['X'], os.getcwd())"], cwd=tmp_path, env={"X": "y"}) == (
        f"y {tmp_path}\n"
    )


CHILD = """
import signal, sys, time
from pathlib import Path
import click
from ctlog.cli.program import run_program

@click.group()
def group(): pass

@group.command()
def go():
    def ends(*_):
        for _ in range(100_000): print("nobody reads this", flush=True)
        Path("ended").touch()
        sys.exit()
    signal.signal(signal.SIGTERM, ends)
    print("goes", flush=True)
    time.sleep(60)

run_program(group, "test", ["go"])
"""
PARENT = """
import sys, time
from monitor.cli.processes import Child
child = Child([sys.executable, "-c", sys.argv[1]], merged=True)
child.wait_for(lambda line: line == "goes", 30)
print("both", flush=True)
time.sleep(60)
"""


def test_a_child_ends_in_good_order_when_its_parent_is_killed(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": root},
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        assert parent.stdout.readline() == "both\n"
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while not (tmp_path / "ended").exists():
        assert time.monotonic() < deadline, "the child went on"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a lock")
def test_who_holds_a_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "other").touch()
    paths = [tmp_path / "lock", tmp_path / "other", tmp_path / "none"]
    assert holders(paths) == []
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert holders(paths) == [os.getpid()]
    assert holders(paths) == []
