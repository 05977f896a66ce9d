"""`ctlog` as a process of its own, for journeys: `serving` runs a log, `command` anything else, as a person would.

A test may be killed, and then no `finally` of it runs: its processes are on a leash (`program`, `leashed`) and end too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ctlog


def _leash(number: int) -> str:
    """The first lines of a process that this one starts: PR_SET_PDEATHSIG, and a look whether that came too late."""
    if sys.platform != "linux":
        return ""
    leash = f"import ctypes, os\nctypes.CDLL(None).prctl(1, {int(number)})\n"
    return f"{leash}os.getppid() == {os.getpid()} or os._exit(1)\n"



def program(package: str, number: int = signal.SIGKILL) -> tuple[str, ...]:
    """`ctlog` or `monitor`, as a process that is sent the signal `number` when the test that started it is no more.

    Whatever has children of its own needs SIGTERM, to end them. Elsewhere than on Linux nothing is sent.
    """
    return sys.executable, "-c", f"{_leash(number)}from {package}.cli import main; main()"


def leashed(*line: str, number: int = signal.SIGTERM) -> list[str]:
    """Any other command line, as `program`."""
    return [sys.executable, "-c", f"{_leash(number)}import os, sys; os.execvp(sys.argv[1], sys.argv[1:])", *line]


PROGRAM = program("ctlog")
DEMO, MONITOR_DEMO = program("ctlog", signal.SIGTERM), program("monitor", signal.SIGTERM)
MONITOR = program("monitor")
START_S = 60.0
STOP_S = 60.0


def environment(state: Path | None = None) -> dict[str, str]:
    """With the checkout on the path, and a state folder of the test's own."""
    extra = {"XDG_STATE_HOME": str(state)} if state is not None else {}
    return {**os.environ, "PYTHONPATH": str(Path(ctlog.__file__).parents[1]), **extra}


def command(
    *words: object, state: Path | None = None, check: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Run `ctlog WORDS`; `check` is the exit code that it must have, None for any."""
    line = [*PROGRAM, *map(str, words)]
    ran = subprocess.run(line, capture_output=True, text=True, env=environment(state), check=False)
    said = f"ctlog {' '.join(map(str, words))}: {ran.returncode}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    assert check in (None, ran.returncode), said
    return ran


class Serving:
    """A log that is served. `url` ends in a slash."""

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        line = [*PROGRAM, "serve", str(directory), *(options or ("--listen", "127.0.0.1:0"))]
        self.said: list[str] = []
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment())
        self.url = ""
        self._served = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._served.wait(START_S), f"the log did not start: {self.said}"
        assert self.url, f"the log ended at once: {self.said}"

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip())
            if " serves " in line and " on http://" in line:
                self.url = line.split(" on ")[1].split()[0]
                self._served.set()
        self._served.set()

    def stop(self) -> int:
        """As an operator ends it; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_S)
        self._reader.join(10)
        return code

    def kill(self) -> None:
        """As a crash ends it."""
        self.process.kill()
        self.process.wait(STOP_S)


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[Serving]:
    """Serve the log in `directory`; it must end well."""
    log = Serving(directory, options)
    try:
        yield log
    except BaseException:
        log.kill()
        raise
    assert log.stop() == 0, log.said
