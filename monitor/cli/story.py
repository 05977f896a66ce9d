"""`ctlog-monitor story`, which `make demo` calls: an owner's certificates, a rogue CA's for the same number, the alert.

Nothing is played but the people: two CAs, a log, a monitor, each a process of its own, in a folder of their own; what
is printed is what they said. It ends by itself, and well only if the one alert came that should.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from ctlog.cli.output import say
from ctlog.errors import TransportError
from monitor.cli.processes import Child, program, run_program

if TYPE_CHECKING:
    from monitor.state import State
    from monitor.state.rows import AlertRow

NUMBER = "+12025550123"
WAIT_S = 45.0
"""The alert has so long to arrive; it takes two or three seconds."""
START_S = 60.0
NOTES = "monitor.log"
T = TypeVar("T")
_CONFIG = """\
contact = "you@example.com"
listen = ""
poll_s = 1
operators = ["notebook"]

[channels.you]
kind = "stdout"
format = "text"

[channels.notebook]
kind = "file"
path = "operator.jsonl"

[[log]]
name = "the log"
url = "{url}"
origin = "story.localhost/log"
key = "{key}"

[[roots]]
trust_domain = "story"
files = ["../carrier/roots.pem", "../rogue/roots.pem"]

[contacts]
"Rogue (for tests)" = "abuse@rogue.example"
"""


class Stage(NamedTuple):
    """Where it is played. `quick`: without the pauses in which people read."""

    folder: Path
    quick: bool

    def chapter(self, title: str) -> None:
        """A new chapter begins."""
        say()
        say(f"--- {title} ".ljust(100, "-"))
        self.pause(0.6)

    def pause(self, seconds: float) -> None:
        """Let people read."""
        if not self.quick:
            time.sleep(seconds)

    def command(self, name: str, *words: str, shown: bool = True) -> str:
        """Run a command in the folder, and show it as one types it."""
        if shown:
            say(f"$ {name} {shlex.join(words)}")
        return run_program([*program(name), *words], cwd=self.folder, env=self.env)

    @property
    def env(self) -> dict[str, str]:
        """A state folder of its own."""
        return {"XDG_STATE_HOME": str(self.folder / "heads")}


@click.command()
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Play it in DIR, which "
              "must not be there yet, and keep everything.  [default: a folder that is removed at the end]")
@click.option("--quick", is_flag=True, help="Without the pauses in which people read.")
def story(keep: Path | None, quick: bool) -> int:
    """See it at work: your certificates, then a rogue CA's for your number, and the alert that follows.

    A real log, real certificates and a real monitor, on this machine only; it takes some ten seconds and leaves
    nothing behind.

    Exit code 0: the alert came; 3: it did not, or something could not be started.
    """
    with _folder(keep) as folder:
        return _play(Stage(folder, quick or not sys.stdout.isatty()))


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="ctlog-story-") as folder:
        yield Path(folder)


def _play(stage: Stage) -> int:
    stage.chapter("Two certificate authorities, and a public log that accepts both")
    stage.command("ctlog", "ca", "init", "carrier", "--label", "Carrier", "--range", "12025550100+100")
    stage.command("ctlog", "ca", "init", "rogue", "--label", "Rogue", "--range", "12025550100+100")
    roots = ["--roots", "carrier/roots.pem", "rogue/roots.pem", "--domain", "story"]
    stage.command("ctlog", "create", "log", "--origin", "story.localhost/log", *roots)
    say("$ ctlog serve log &")
    log = Child([*program("ctlog"), "serve", "log", "--listen", "127.0.0.1:0"], cwd=stage.folder, merged=True)
    try:
        url = log.wait_for(lambda line: " serves " in line, START_S).split(" on ")[1].split()[0]
        return _watched(stage, url)
    finally:
        log.stop()


def _watched(stage: Stage, url: str) -> int:
    stage.chapter(f"You own {NUMBER}. Your carrier issues for you; you ask to be told of anybody else")
    _configure(stage, url)
    stage.command("ctlog-monitor", "init", "monitor", "--anew", shown=False)
    watch = ["watch", "add", "-d", "monitor", "--name", "mine", NUMBER, "--expect-issuer"]
    watch += ["Carrier (for tests)", "--tell", "you"]
    say(stage.command("ctlog-monitor", *watch).strip())
    say("$ ctlog-monitor run -d monitor &")
    # What it does it says on stderr, for operators; on stdout is what it tells, held back until its chapter.
    heard: list[str] = []
    with (stage.folder / NOTES).open("w") as notes:
        monitor = Child([*program("ctlog-monitor"), "run", "-d", "monitor"], cwd=stage.folder, notes=notes,
                        hear=heard.append)  # fmt: skip
    try:
        _wait(lambda: " watches 1 item " in (stage.folder / NOTES).read_text(), monitor, "the monitor did not start")
        _own_certificates(stage, url, monitor)
        alert = _rogue_certificate(stage, url, monitor, heard)
        _end(stage, alert)
    finally:
        monitor.stop()
    return 0


def _own_certificates(stage: Stage, url: str, monitor: Child) -> None:
    stage.chapter("Your own certificates")
    for name in ("phone", "tablet"):
        _certificate(stage, url, "carrier", name, "You")
    _wait(lambda: _proven(stage) == 2, monitor, "the monitor did not read the log in time")
    if _alerts(stage):
        raise TransportError("the monitor told of certificates that were expected")
    say("The monitor has read and proven both, and tells nobody: your carrier issued them, as you expect.")
    stage.pause(2.0)


def _rogue_certificate(stage: Stage, url: str, monitor: Child, heard: list[str]) -> AlertRow:
    stage.chapter("Somebody talks another authority into a certificate for your number")
    _certificate(stage, url, "rogue", "stolen", "Somebody Else")
    _wait(lambda: bool(_alerts(stage, told=True)), monitor, "the alert did not come")
    (alert, *others) = _alerts(stage, told=True)
    if others or alert.severity != 1:
        raise TransportError("other alerts came than the one that should")
    stage.chapter("What reaches you")
    _wait(lambda: any(alert.id in line for line in heard), monitor, "the alert did not reach the screen")
    for line in heard:
        say(f"    {line}")
    return alert


def _certificate(stage: Stage, url: str, authority: str, name: str, holder: str) -> None:
    words = ["ca", "certificate", "--ca", f"{authority}/delegate/ca.pem", "--number", NUMBER[1:]]
    words += ["--organization", holder, "--new-key", f"{name}-key.pem", "--out", f"{name}.pem"]
    words += ["--log", url, "--scts", "1", "--operators", "1"]
    stage.command("ctlog", *words)


def _configure(stage: Stage, url: str) -> None:
    key = json.loads((stage.folder / "log" / "public" / "log.v3.json").read_text())["key"]
    (stage.folder / "monitor").mkdir()
    (stage.folder / "monitor" / "monitor.toml").write_text(_CONFIG.format(url=url, key=key))


# --- waiting ----------------------------------------------------------------------------------------------------------


def _wait(until: Callable[[], bool], monitor: Child, failure: str) -> None:
    """Wait until it is so. Raises TransportError with `failure` where it takes too long, or the monitor has ended."""
    deadline = time.monotonic() + WAIT_S
    while not until():
        if time.monotonic() > deadline or monitor.process.poll() is not None:
            raise TransportError(failure)
        time.sleep(0.1)


def _proven(stage: Stage) -> int:
    """How many entries of the log are read and proven."""

    async def read(state: State) -> int:
        return max((row.position.proven.size for row in await state.logs.all()), default=0)

    return _ask(stage, read)


def _alerts(stage: Stage, *, told: bool = False) -> list[AlertRow]:
    """What the owner is told; with `told`, what was delivered."""

    async def read(state: State) -> list[AlertRow]:
        rows = await state.alerts.find(of="mine", worst=3)
        sent = [{each.status for each in await state.outbox.of_alert(row.id)} == {"sent"} for row in rows]
        return [row for row, is_sent in zip(rows, sent, strict=True) if is_sent or not told]

    return _ask(stage, read)


def _ask(stage: Stage, read: Callable[[State], Awaitable[T]]) -> T:
    """Look into the state, beside the monitor that runs."""
    from monitor.state import State

    async def look() -> T:
        async with State.open(stage.folder / "monitor" / "state", exclusive=False) as state:
            return await read(state)

    return asyncio.run(look())


def _end(stage: Stage, alert: AlertRow) -> None:
    stage.chapter("That was all real")
    say(f"The rogue certificate is entry {alert.log_index} of the log, for ever; the alert carries it with its chain, "
        "for whoever must act.")  # fmt: skip
    say("The commands in it are those that you would type; here they only show how, for the monitor ends now.")
    say("Now yourself: make run")
