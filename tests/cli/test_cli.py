"""ctlog.cli: every command is there and explains itself, and every failure ends in a sentence and a code."""

from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ctlog
from ctlog import cli, errors
from ctlog.cli import run

ENV = {**os.environ, "PYTHONPATH": str(Path(ctlog.__file__).parents[1])}
PROGRAM = [sys.executable, "-c", "from ctlog.cli import main; main()"]
COMMANDS = ("create", "serve", "submit", "verify", "show", "fsck", "roots", "freeze", "reindex", "migrate")


def every_command() -> Iterator[tuple[str, ...]]:
    context = click.Context(cli.cli)
    for name in cli.cli.list_commands(context):
        command = cli.cli.get_command(context, name)
        yield (name,)
        if isinstance(command, click.Group):
            yield from ((name, below) for below in command.list_commands(context))


@pytest.mark.parametrize("command", list(every_command()), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: ctlog {' '.join(command)}")
    assert len(out) > 250
    assert max(map(len, out.splitlines())) <= 110


def test_help_names_every_command_and_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in out
    assert "ctlog demo" in out
    assert "Exit codes: 0 good; 1 the answer is no" in out


def test_the_version_says_which_kernel_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from ctlog.merkle.hashing import IMPLEMENTATION

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"ctlog {ctlog.__version__}, hashing kernel: {IMPLEMENTATION}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["shw"], "there is no command 'shw'; did you mean show?"),
        (["frobnicate"], "there is no command 'frobnicate'; `ctlog --help` lists them."),
        (["show"], "Missing argument 'CERT...'. `ctlog show --help` explains it."),
        (["show", "--nothing"], "No such option '--nothing'."),
    ],
)
def test_wrong_use_is_code_2(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"ctlog: {sentence}")
    assert captured.out == ""


CODES = {
    "MalformedError": 2, "UsageError": 2, "ConfigError": 2, "InputError": 3, "RefusedError": 1, "NotFoundError": 1,
    "VerificationError": 1, "ProofError": 1, "SignatureError": 1, "SctError": 1, "Misbehaviour": 1, "FrozenError": 1,
    "TransportError": 3, "BusyError": 3, "RateLimitedError": 3, "PoolFullError": 3, "OperatorError": 3,
    "StoreError": 3, "FatalError": 3, "CtlogError": 3,
}  # fmt: skip
EXTRA: dict[str, dict[str, str]] = {"Misbehaviour": {"evidence": "text"}, "FatalError": {"promise": "P1"}}
ERRORS = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli.cli, "main", fail)


def test_every_error_has_its_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(CODES) == set(ERRORS)
    for name, code in CODES.items():
        failing(ERRORS[name]("what went wrong", **EXTRA.get(name, {})), monkeypatch)
        assert run([]) == code, name
        assert capsys.readouterr().err.startswith("ctlog: what went wrong")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 3, "interrupted"),
        (click.Abort(), 3, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/file"), 3, "/a/file: No space left on device."),
        (ZeroDivisionError("division by zero"), 3, "a fault in ctlog itself: ZeroDivisionError: division by zero"),
        (errors.MalformedError("a name \x1b[31m\u202e"), 2, "a name \\x1b[31m\\u202e."),
    ],
)
def test_whatever_happens_is_said_in_one_line(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error, monkeypatch)
    assert run([]) == code
    err = capsys.readouterr().err
    assert text in err
    assert err.count("\n") == 1


def test_a_fault_shows_where_it_is_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(ZeroDivisionError("x"), monkeypatch)
    monkeypatch.setenv("CTLOG_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run([])


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    script = " ".join(f"'{part}'" for part in PROGRAM) + " --help | true"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=ENV, check=False)
    assert ran.stderr == ""


def test_the_program_exits_with_the_code() -> None:
    assert subprocess.run([*PROGRAM, "--version"], capture_output=True, env=ENV, check=False).returncode == 0
    assert subprocess.run([*PROGRAM, "nothing"], capture_output=True, env=ENV, check=False).returncode == 2
