"""Every command of `ctlog-monitor`, with whatever a person, a script or a broken disk may give it: one sentence and an
exit code, never a traceback, and the configuration stays readable."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.cli import cli
from monitor.cli.place import find_place
from monitor.cli.processes import program
from tests.monitor_place import Monitor
from tests.state_values import NOW, alert

NO_UTF8 = os.fsdecode(b"n\xff\xfe")
FILES = {
    "empty": b"", "binary": bytes(range(256)) * 9, "latin": b"caf\xe9\n", "zeros": bytes(99),
    NO_UTF8: b"+12025550123\n", "pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "csv": b"name,value\nx,+1202\n",
    "odd.csv": b"\xef\xbb\xbfname;value\r\n\"x", "json": b"[]{", "jsonl": b'{"kind":"port","number":5}\nnull\n',
}  # fmt: skip
WORDS = [
    "", "-", "--", "x", "home", "+12025550123", "+1", "709J", "*", "+1202*", "+12025559999 to +12025550000",
    "home/number:+12025550123", "a-0123", "0", "-1", "9" * 20, "1e9", "\x1b[31m", "\u202e", "\xfc" * 300, "a" * 5000,
    "\n", "'", '"', "{}", "%s", "$(id)", "\xe9\udcff", "2026-01-31", "2026-13-01", "10000-01-01", "0001-01-01", "3d",
    "-3d", "9" * 12 + "d", "first", "newest", "http://127.0.0.1:1/", "https://", "http://[::1", "http://127.0.0.1:99999/",
    "AAAA", "screen", "dir", "loop", "none/none", "/dev/null", *FILES,
]  # fmt: skip
OTHERS = {("demo",), ("story",), ("run",)}
"""These run on; `tests/monitor/cli/test_{demo,story,operate}.py` call them."""


def commands(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, (*above, name))
        elif (*above, name) not in OTHERS:
            yield (*above, name), found


EVERY = dict(commands(cli))


@st.composite
def calls(draw: st.DrawFn) -> list[str]:
    """A command with some of its options, and as many arguments as it takes, or a few."""
    words = draw(st.sampled_from(sorted(EVERY)))
    said = [*words]
    for each in EVERY[words].params:
        value = draw(st.sampled_from(WORDS))
        if isinstance(each.type, click.Choice) and draw(st.booleans()):
            value = draw(st.sampled_from(list(each.type.choices)))
        if isinstance(each, click.Argument):
            said += [value] * (1 if each.nargs == 1 else draw(st.integers(0, 2)))
        elif each.name == "folder":
            said += ["-d", draw(st.sampled_from(["monitor"] * 5 + [value]))]
        elif draw(st.integers(0, 3)) == 0:
            said += [each.opts[0]] if getattr(each, "is_flag", False) else [each.opts[0], value]
    return [*said, "--no-wait"] if words == ("backfill",) else said


@pytest.fixture
def strange(monitor: Monitor) -> Monitor:
    """A monitor with an alert, among files of every kind."""
    for name, data in FILES.items():
        Path(name).write_bytes(data)
    Path("dir").mkdir()
    Path("loop").symlink_to("loop")
    monitor.here("watch", "add", "--name", "home", "+12025550123")
    monitor.state(lambda state: state.alerts.raise_all([alert(channels=("screen",))], NOW))
    return monitor


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=calls())
def test_one_sentence_and_an_exit_code(strange: Monitor, words: list[str]) -> None:
    said = strange(*words, code=None)
    assert said.code in (0, 1, 2, 3), words
    assert "a fault in" not in said.err, (words, said.err)
    assert "Traceback" not in said.err, (words, said.err)
    if said.code == 2:
        assert said.err.count("\n") <= 3, (words, said.err)
    find_place(strange.folder)


@pytest.mark.parametrize("words", ["alerts list", "watch list --all", "--help", "alerts show a-"])
def test_whoever_reads_only_the_beginning(strange: Monitor, words: str) -> None:
    """`| head -1`: no complaint."""
    numbers = "\n".join(f"+1202556{number:04d}" for number in range(3000))
    Path("many").write_text(numbers)
    strange.here("watch", "add", "--name", "many", "--from", "many")
    folder = [] if words == "--help" else ["-d", str(strange.folder)]
    reader, writer = os.pipe()
    os.close(reader)
    called = [*program("ctlog-monitor"), *words.split(), *folder]
    done = subprocess.run(called, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.stderr, done.returncode) == (b"", 3)


def test_a_name_that_is_no_text(strange: Monitor) -> None:
    said = strange.here("alerts", "show", "\xe9\udcff", code=2)
    assert said.err == "ctlog-monitor: 'é\\udcff' holds bytes that are no UTF-8.\n"
    strange.here("watch", "add", "--from", NO_UTF8)
    assert "+12025550123" in strange.here("watch", "list").out
