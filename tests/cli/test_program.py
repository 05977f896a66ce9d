"""ctlog.cli.program: groups that import when called, and failures that end in a sentence, under any program's name."""

from __future__ import annotations

import click
import pytest

from ctlog.cli.program import COULD_NOT, GOOD, NO, SETTINGS, LazyGroup, exit_code, run_program
from ctlog.errors import CtlogError, NotFoundError, StoreError


@click.group(cls=LazyGroup, lazily={"show": "ctlog.cli.show", "broken": "ctlog.cli.no_such"}, context_settings=SETTINGS)
def other() -> None:
    """Another program."""


def test_a_file_is_imported_when_its_command_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(other, "other", ["show", "--help"]) == GOOD
    assert capsys.readouterr().out.startswith("Usage: other show")
    assert run_program(other, "other", ["broken"]) == COULD_NOT
    err = capsys.readouterr().err
    assert err.startswith("other: a fault in other itself: ModuleNotFoundError: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "hint"), [("sow", "did you mean show?"), ("quite-else", "`other --help` lists them.")]
)
def test_who_mistypes_is_told_the_nearest(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(other, "other", [word]) == 2
    assert capsys.readouterr().err == f"other: there is no command {word!r}; {hint}\n"


@click.command()
@click.argument("text")
def speak(text: str) -> None:
    """Says it in UTF-8, as a database would be told, or as a terminal might not be able to."""
    text.encode("ascii" if text.startswith("caf") else "utf-8")


def test_bytes_that_are_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    group = click.Group(commands={"speak": speak})
    assert run_program(group, "other", ["speak", "a\udcff"]) == 2
    assert capsys.readouterr().err == "other: 'a\\udcff' holds bytes that are no UTF-8.\n"
    assert run_program(group, "other", ["speak", "caf\u00e9"]) == COULD_NOT
    assert "cannot be shown in ascii" in capsys.readouterr().err


def test_the_first_class_that_fits_decides() -> None:
    assert exit_code(NotFoundError("x")) == NO
    assert exit_code(StoreError("x")) == exit_code(CtlogError("x")) == COULD_NOT
