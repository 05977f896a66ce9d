"""docs/monitoring.md is run: an owner and an operator follow it, word for word, from nothing to a tested alert."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctlog.x509.der import oid
from monitor.cli import cli
from monitor.cli.processes import Child
from monitor.config import parse_config
from monitor.tell import check_channel
from monitor.watch_file import parse_watch_file
from monitor.watch_table import Reader
from tests.serving import DEMO, MONITOR, PROGRAM, environment

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
PROGRAMS = {"ctlog": PROGRAM, "ctlog-monitor": MONITOR}


def blocks(mark: str) -> list[str]:
    """The fenced blocks after the comment `mark`, in order."""
    return re.findall(rf"<!-- {re.escape(mark)} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)


def session(mark: str) -> list[tuple[str, str]]:
    """Every command of the blocks of this mark, with what the page shows of its answer."""
    found = [each.partition("\n") for text in blocks(mark) for each in text.split("$ ")[1:]]
    return [(words, shown.strip()) for words, _, shown in found]


class Reading:
    """Somebody who follows the page, in a folder with the log of `make run`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment(folder / "heads")
        line = [*DEMO, "demo", "data", "--port", "18560"]
        self.children = [Child(line, cwd=folder, env=self.environment, merged=True)]
        said = self.children[0].wait_for(lambda line: " serves " in line, 60)
        self.url = said.split(" on ")[1].split()[0]

    def type(self, words: str) -> str:
        done = self.ask(words)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, words: str) -> subprocess.CompletedProcess[str]:
        program, *rest = shlex.split(words.replace("http://127.0.0.1:8460/", self.url))
        return subprocess.run(
            [*PROGRAMS[program], *rest], cwd=self.folder, capture_output=True, text=True, env=self.environment,
            check=False,
        )  # fmt: skip

    def until_well(self, words: str) -> str:
        """Somebody who asks within the first seconds asks again: the monitor looks after itself now and then."""
        deadline = time.monotonic() + 60
        while self.ask(words).returncode and time.monotonic() < deadline:
            time.sleep(0.5)
        return self.type(words)

    def run_on(self, words: str) -> None:
        program, *rest = shlex.split(words)
        child = Child([*PROGRAMS[program], *rest], cwd=self.folder, env=self.environment, merged=True)
        self.children.append(child)
        child.wait_for(lambda line: " watches 1 item " in line, 60)

    def until(self, words: str, wanted: str) -> None:
        deadline = time.monotonic() + 60
        while wanted not in self.type(words):
            assert time.monotonic() < deadline, self.type(words)
            time.sleep(0.2)

    def follow(self, mark: str) -> None:
        for words, shown in session(mark):
            got = self.type(words)
            assert same(got).startswith(same(shown)), f"{words}\n{got}"


def same(text: str) -> str:
    """What stands on the page, and in another run again."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    text = re.sub(r"^[0-9a-f]{12}  ", "ALERT  ", text, flags=re.MULTILINE)
    text = re.sub(r"SCT [A-Za-z0-9+/=]{8,}(\.\.\.)?", "SCT", text)
    return re.sub(r"in [\d.]+ s\b", "in SECONDS", text).strip()


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    """Who has followed the page up to the monitor that runs, and looks more often than every half minute."""
    reading = Reading(tmp_path_factory.mktemp("an owner's folder"))
    try:
        yield reading
    finally:
        for child in reversed(reading.children):
            child.stop()


def test_an_owner_and_an_operator_follow_the_page(reading: Reading) -> None:
    (first, tried, seen, well) = blocks("owner")
    for text in (first, tried):
        for each in text.split("$ ")[1:]:
            words, _, shown = each.partition("\n")
            assert same(reading.type(words)) == same(shown)
    config = reading.folder / "my-monitor" / "monitor.toml"
    text = config.read_text().replace("# poll_s = 30", "poll_s = 1")
    config.write_text(text.replace('# listen = "127.0.0.1:8462"', 'listen = "127.0.0.1:18562"'))
    ((words, _),) = session("owner: runs on")
    reading.run_on(words)
    (submit, listed) = seen.split("$ ")[1:]
    words, _, shown = submit.partition("\n")
    assert same(reading.type(words)) == same(shown)
    words, _, shown = listed.partition("\n")
    reading.until(words, "not yours?")
    assert same(reading.type(words)) == same(shown)
    words, _, shown = well.split("$ ")[1].partition("\n")
    assert same(reading.until_well(words)).startswith(same(shown))
    (reading.folder / "numbers.csv").write_text(blocks("file: numbers.csv")[0])
    reading.follow("operator")
    alert = reading.type("ctlog-monitor alerts list -d my-monitor --item mine").split()[0]
    for answer in re.findall(r"^\| .* \| `(alerts [^`]*ALERT[^`]*)`", PAGE, re.MULTILINE):
        if answer.startswith(("alerts ack", "alerts snooze")):
            reading.type(f"ctlog-monitor {answer.replace('ALERT', alert)} -d my-monitor")
    reading.type(f"ctlog-monitor alerts authorise -d my-monitor {alert} --what key")


# What the page shows ------------------------------------------------------------------------------------------------


def test_the_files_shown_are_files() -> None:
    (mail,) = blocks("file: mail")
    parse_config(f'contact = "you@example.com"\n{mail}', check_channel=check_channel)
    (harm,) = blocks("file: harm")
    said = parse_config(f'contact = "you@example.com"\n{harm}')
    assert (said.sources.weak_keys, list(said.attributes)) == ("weak-keys.txt", [oid("1.3.6.1.4.1.99999.1")])
    (watch,) = blocks("file: watch.toml")
    assert [item.id for item in parse_watch_file(watch)] == [
        "head office/number:+12025550100", "head office/range:+12025550200 to +12025550299",
    ]  # fmt: skip
    (numbers,) = blocks("file: numbers.csv")
    assert sum(1 for _ in Reader("x").read(numbers.splitlines(), "numbers.csv")) == 4


def test_the_unit_runs_the_command_that_there_is() -> None:
    (unit,) = blocks("file: ctlog-monitor.service")
    start = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert start
    assert start[1].split()[:2] == ["/opt/ctlog/.venv/bin/ctlog-monitor", "run"]
    assert f"ReadWritePaths={start[1].split()[-1]}" in unit


@pytest.mark.parametrize("name", cli.list_commands(None))  # type: ignore[arg-type]
def test_every_command_is_told(name: str) -> None:
    rows = re.findall(r"^\| (`.*) \|", PAGE.partition("## Commands")[2], re.MULTILINE)
    assert any(re.match(rf"`{name}\b", row) for row in rows), name
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    for below in getattr(command, "commands", {}):
        assert any(re.match(rf"`{name} (?:{below}`|\w+`.*`{below}`)", row) for row in rows), f"{name} {below}"


def test_every_command_that_is_named_exists() -> None:
    for words in re.findall(r"ctlog-monitor ((?!run|service|ctlog-)[a-z]+(?: [a-z]+)?)", PAGE):
        name, *below = words.split()
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None, words
        if below and hasattr(command, "commands"):
            assert below[0] in command.commands, words
