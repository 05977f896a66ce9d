"""ctlog.cli.many: several values after one option, without taking what belongs to the command."""

from __future__ import annotations

import click
import pytest

from ctlog.cli.many import ManyCommand


@click.command(cls=ManyCommand)
@click.argument("url")
@click.argument("files", nargs=-1, required=True)
@click.option("--pem", multiple=True)
@click.option("--key")
@click.option("--window", nargs=2)
@click.option("--json", "as_json", is_flag=True)
def command(**values: object) -> dict[str, object]:
    return values


@pytest.mark.parametrize(
    ("line", "files", "pem", "key"),
    [
        ("U f --pem a b c", ["f"], ["a", "b", "c"], None),
        ("U f --pem a --pem b", ["f"], ["a", "b"], None),
        ("U f --pem a b --key k", ["f"], ["a", "b"], "k"),
        ("U f --pem a b --json --pem c d", ["f"], ["a", "b", "c", "d"], None),
        ("--pem a U f g", ["f", "g"], ["a"], None),
        ("U --pem a f", ["f"], ["a"], None),
        ("--key k U f --pem a b", ["f"], ["a", "b"], "k"),
        ("--window 1 2 U f --pem a b", ["f"], ["a", "b"], None),
        ("U f --pem=a g", ["f", "g"], ["a"], None),
        ("U f --pem a -- g", ["f", "g"], ["a"], None),
    ],
)
def test_values_go_where_they_belong(line: str, files: list[str], pem: list[str], key: str | None) -> None:
    values = command.main(line.split(), standalone_mode=False)
    assert (values["url"], list(values["files"]), list(values["pem"]), values["key"]) == ("U", files, pem, key)


def test_an_option_without_its_value_is_still_an_error() -> None:
    with pytest.raises(click.UsageError):
        command.main(["U", "f", "--pem"], standalone_mode=False)
