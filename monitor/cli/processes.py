"""Other programs as processes of their own: the log and the monitor share none, nor does what plays them.

In scope: finding `ctlog` and `ctlog-monitor` as this one was installed, starting them, reading what they say, ending
them; which process holds a lock. Out of scope: what they are told.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from ctlog.cli.program import PARENT
from ctlog.errors import TransportError

STOP_S = 20.0
_MODULES = {"ctlog": "ctlog.cli", "ctlog-monitor": "monitor.cli"}


def program(name: str) -> list[str]:
    """How `ctlog` or `ctlog-monitor` is called: as it is installed beside this Python, else by its module."""
    beside = Path(sys.executable).with_name(name)
    if os.access(beside, os.X_OK):
        return [str(beside)]
    return [sys.executable, "-c", f"from {_MODULES[name]} import main; main()"]


class Child:
    """A program that runs on. What it says on stdout (with `merged`, on stderr too) is read here, line by line, and
    given to `hear`; what it says on stderr goes to `notes`, or to where our own goes. One of ours ends when we do,
    however we end: we hold the pipe that is its stdin."""

    def __init__(
        self, words: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None,
        merged: bool = False, notes: TextIO | None = None, hear: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self.name = Path(words[0]).name
        self._hear = hear
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            words, cwd=cwd, env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: "stdin", **(env or {})}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT if merged else notes, stdin=subprocess.PIPE,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, wanted: Callable[[str], bool], seconds: float) -> str:
        """The first line that is wanted. Raises TransportError where it ends before, or is silent for too long."""
        deadline = time.monotonic() + seconds
        last = ""
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TransportError(f"{self.name} did not start within {seconds:g} s: {last}") from None
            if line is None:
                raise TransportError(f"{self.name} has ended: {last}")
            if wanted(line):
                return line
            last = line or last

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit code. One that does not end is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._reader.join(5)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._hear(line.rstrip("\n"))
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)


def holders(paths: Sequence[Path]) -> list[int]:
    """The processes that hold a lock on any of these files, as far as Linux tells it in /proc; else none."""
    inodes = {str(path.stat().st_ino) for path in paths if path.exists()}
    try:
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return []
    held = [row for row in rows if row[1] == "FLOCK" and row[5].rpartition(":")[2] in inodes]
    return sorted({int(row[4]) for row in held if int(row[4]) > 0})


def run_program(words: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; what it said. Raises TransportError for one that fails, with what it said."""
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip().replace("\n", " ")
        raise TransportError(f"{Path(words[0]).name} ended with {done.returncode}: {said}")
    return done.stdout + done.stderr
