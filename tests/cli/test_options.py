"""Options that reach a command as one value."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

from ctlog.cli.options import FILE, NEW_FILE, options_as, with_options


class Wished(NamedTuple):
    """What was said."""

    files: tuple[Path, ...]
    count: int


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def command(told: list[Any]) -> click.Command:
    def act(wished: Wished, out: Path | None) -> None:
        """Does what is wished."""
        told.append((wished, out))

    wrapped = options_as(act, "wished", Wished, (
        click.option("--file", "files", type=FILE, multiple=True, help="First."), click.option("--count", default=2),
    ))  # fmt: skip
    wrapped = with_options(wrapped, (click.option("--out", type=NEW_FILE),))
    return click.command(wrapped)


def test_a_command_gets_its_options_as_one_value(command: click.Command, told: list[Any]) -> None:
    runner = CliRunner()
    assert runner.invoke(command, []).exit_code == 0
    arguments = ["--count", "5", "--file", __file__, "--out", "new", "--file", __file__]
    assert runner.invoke(command, arguments).exit_code == 0
    here = Path(__file__)
    assert told == [(Wished((), 2), None), (Wished((here, here), 5), Path("new"))]


def test_name_help_and_order_stay(command: click.Command) -> None:
    assert command.name == "act"
    text = CliRunner().invoke(command, ["--help"]).output
    assert "Does what is wished." in text
    places = [text.index(name) for name in ("--out", "--file", "--count")]
    assert places == sorted(places), "what was added last stands first, and each group in its own order"


@pytest.mark.parametrize("name", ["missing.pem", "."])
def test_a_file_that_is_none_is_refused_before_anything_runs(
    command: click.Command, told: list[Any], name: str
) -> None:
    ran = CliRunner().invoke(command, ["--file", name])
    assert ran.exit_code == 2
    assert "--file" in ran.output
    assert told == []
