"""monitor.cli: every command is there and explains itself; failures end in a sentence, an exit code, no traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

import ctlog
from monitor.cli import cli, run
from tests.serving import environment

PROGRAM = [sys.executable, "-c", "from monitor.cli import main; main()"]


def every_command() -> Iterator[tuple[str, ...]]:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        yield (name,)
        if isinstance(command, click.Group):
            yield from ((name, below) for below in command.list_commands(context))


@pytest.mark.parametrize("command", list(every_command()), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: ctlog-monitor {' '.join(command)}")
    assert len(out) > 250
    assert max(map(len, out.splitlines())) <= 110


def test_help_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for words in ("init DIR --contact", "logs add https", "watch add +12025550123", "Exit codes: 0 good"):
        assert words in out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"ctlog-monitor {ctlog.__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["wach"], "there is no command 'wach'; did you mean watch?"),
        (["watch", "ad"], "No such command 'ad'"),
        (["watch", "remove"], "Missing argument 'NAME'. `ctlog-monitor watch remove --help` explains it."),
    ],
)
def test_wrong_use(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert capsys.readouterr().err.startswith(f"ctlog-monitor: {sentence}")


def test_the_program_starts_quickly_and_ends_with_the_code() -> None:
    line = [*PROGRAM[:1], "-X", "importtime", *PROGRAM[1:], "nothing"]
    ran = subprocess.run(line, capture_output=True, text=True, env=environment(), check=False)
    assert ran.returncode == 2
    loaded = {row.rpartition("|")[2].strip() for row in ran.stderr.splitlines()}
    assert not loaded & {"aiohttp", "asyncio", "cryptography", "sqlite3", "phonenumbers", "prometheus_client"}
