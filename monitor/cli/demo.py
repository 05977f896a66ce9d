"""`ctlog-monitor demo`, which `make run` calls: an example CA and log, a monitor of that log, and what to type next.

The log is `ctlog demo`, the monitor `ctlog-monitor run`, each a process of its own; Ctrl-C here ends both. What is
there already is used as it is, so that the next call goes on where this one stopped.
"""

from __future__ import annotations

import base64
import re
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ctlog.cli.demo import HOST, ORIGIN, called_as, free_port
from ctlog.cli.output import say, say_error
from ctlog.errors import BusyError, TransportError
from monitor.cli.logs import replace
from monitor.cli.processes import Child, holders, program

if TYPE_CHECKING:
    from types import FrameType

NUMBER = "+12025550123"
START_S = 60.0
ENDING_S = 5.0
"""One that was killed may have left processes that are ending."""
_CONFIG = """\
# The monitor of the example. Every key is explained in the file that `ctlog-monitor init` makes.
contact = "you@example.com"
listen = "127.0.0.1:{port}"
poll_s = 1
operators = ["operator"]

[channels.screen]
kind = "stdout"
format = "text"

[channels.operator]
kind = "file"
path = "operator.jsonl"

[[log]]
name = "the example log"
url = "{url}"
origin = "{origin}"
key = "{key}"

[[roots]]
trust_domain = "example"
files = ["../example-ca/root.pem"]
"""


class _Place(NamedTuple):
    """The demo's folder."""

    top: Path

    @property
    def monitor(self) -> Path:
        return self.top / "monitor"

    @property
    def config(self) -> Path:
        return self.monitor / "monitor.toml"


@click.command()
@click.argument("directory", default="data", type=click.Path(file_okay=False, path_type=Path), metavar="[DIR]")
@click.option("--port", default=8460, show_default=True, type=click.IntRange(1, 65535), help="Where the log listens; "
              "if it is taken, the next free one.")
@click.option("--monitor-port", default=8472, show_default=True, type=click.IntRange(1, 65535), help="Where the "
              "monitor answers; if it is taken, the next free one.")
def demo(directory: Path, port: int, monitor_port: int) -> int:
    """Try both: an example CA, a log that accepts it, and a monitor that watches one number on it.

    Everything is made in DIR (./data) and kept. It prints what to open in a browser and what to type next in a second
    terminal: a submitted certificate for the watched number is an alert on this screen a second later. Ctrl-C ends
    both.

    The CA's keys lie beside its certificates and are for trying things out, and for nothing else.
    """
    place = _Place(directory)
    _refuse_second(place)
    stopping = _stops()
    hear = _Log()
    log = Child([*program("ctlog"), "demo", str(directory), "--port", str(port)], merged=True, hear=hear)
    try:
        url = log.wait_for(lambda line: " serves " in line, START_S).split(" on ")[1].split()[0]
        monitor = _monitor(place, url, free_port(monitor_port), stopping)
        try:
            _say_what_next(place)
            return _wait(stopping, log, monitor)
        finally:
            monitor.stop()
    except TransportError:
        if stopping.is_set():
            return 0
        raise
    finally:
        log.stop()


def _refuse_second(place: _Place) -> None:
    from monitor.state.database import LOCK_NAME

    locks = [place.top / "log" / "lock", place.monitor / "state" / LOCK_NAME]  # the log's: `ctlog.folder`
    deadline = time.monotonic() + ENDING_S
    while found := holders(locks):
        if time.monotonic() > deadline:
            raise BusyError(f"it runs already in {place.top}; stop it with: kill {' '.join(map(str, found))}")
        time.sleep(0.2)


class _Log:
    """Says what the log says; its "stop" line comes later, when the monitor has said its own."""

    def __call__(self, line: str) -> None:
        if not line.startswith("  stop "):
            say(line)


def _monitor(place: _Place, url: str, port: int, stopping: threading.Event) -> Child:
    """The monitor, made where it is not there yet, and started.

    Raises TransportError when it ends, or all is to end, before it watches: Ctrl-C reaches it as well, and then it
    never says that it does.
    """
    new = not (place.monitor / "state" / "state.sqlite").exists()
    _write_config(place, url, port)
    if new:
        say(f"Making a monitor in {place.monitor}, which watches {NUMBER}.")
        _make(place)
    ready = threading.Event()

    def hear(line: str) -> None:
        if " watches " in line and "ctlog-monitor" in line:
            ready.set()
        say(line)

    child = Child([*program("ctlog-monitor"), "run", "-d", str(place.monitor)], merged=True, hear=hear)
    deadline = time.monotonic() + START_S
    while not ready.wait(0.1):
        if stopping.is_set() or time.monotonic() > deadline or child.process.poll() is not None:
            child.stop()
            stopping.wait(0.5)  # it may have been told first
            raise TransportError("the monitor did not start")
    return child


def _write_config(place: _Place, url: str, port: int) -> None:
    """Both programs may listen elsewhere than last time; what else stands in the file is left as it is."""
    from ctlog.cli.files import read_key

    given = read_key(str(place.top / "log-key.pem"))
    assert given.key is not None
    key = base64.b64encode(given.key.spki).decode()
    if not place.config.exists():
        place.monitor.mkdir(exist_ok=True, mode=0o700)
        place.config.write_text(_CONFIG.format(port=port, url=url, origin=ORIGIN, key=key), "utf-8")
        return
    text = place.config.read_text("utf-8")
    for name, value in (("listen", f"{HOST}:{port}"), ("url", url), ("key", key)):
        text = re.sub(rf'^{name} = ".*"$', f'{name} = "{value}"', text, count=1, flags=re.MULTILINE)
    replace(place.config, text)


def _make(place: _Place) -> None:
    """The history, the state, and the one item, in that order: a state without the rest would look whole."""
    import asyncio

    from monitor.cli.init import HISTORY
    from monitor.cli.place import now_ms
    from monitor.history import make_history
    from monitor.state import State, make_state
    from monitor.watch_table import format_table

    state = place.monitor / "state"
    state.mkdir(exist_ok=True, mode=0o700)
    make_history(state / HISTORY)
    make_state(state, now_ms())
    item = format_table({"name": "example", "numbers": [NUMBER], "tell": ["screen"]})

    async def add() -> None:
        async with State.open(state) as opened:
            await opened.answers.put_items([("example", item)], now_ms())

    asyncio.run(add())


def _stops() -> threading.Event:
    """Set when this process is told to stop: the terminal tells the others too, but a script may tell only this one."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopping


def _wait(stopping: threading.Event, log: Child, monitor: Child) -> int:
    while not stopping.wait(0.2):
        for child in (log, monitor):
            if child.process.poll() is not None:
                if stopping.wait(0.5):  # Ctrl-C reaches all of us, in any order
                    break
                say_error(f"{child.name} has ended with {child.process.returncode}, so both end.")
                return 3
    return 0


def _say_what_next(place: _Place) -> None:
    say()
    for word, line in what_next(place.top, sys.argv[0]):
        say(f"  {word:8} {line}")
    say()


def what_next(top: Path, argv0: str) -> list[tuple[str, str]]:
    """What to type about the monitor; each line works as it stands."""
    monitor = called_as(argv0, "ctlog-monitor")
    folder = shlex.quote(str(top / "monitor"))
    return [
        ("watched", f"{NUMBER}: submit the certificate above, and the alert appears here"),
        ("alerts", f"{monitor} alerts list -d {folder}"),
        ("more", f"{monitor} watch add -d {folder} --tell screen +12025550150"),
        ("status", f"{monitor} status -d {folder}"),
        ("stop", "Ctrl-C here ends both; the same command goes on with the same log"),
    ]
