"""Options that several commands share, and that reach a command as one value.

In scope: `options_as`, from options to a NamedTuple that has a field for each. Out of scope: which options these are
(`ctlog.cli.ca_logs`, `ctlog.cli.call_trust`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)

F = TypeVar("F", bound=Callable[..., Any])


def with_options(command: F, options: Sequence[Callable[[F], F]]) -> F:
    """`command` with these options, which its help names in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def options_as(command: F, argument: str, kind: type[NamedTuple], options: Sequence[Callable[[Any], Any]]) -> F:
    """`command` with these options, which it gets as one `argument` of `kind`, whose fields have their names."""

    @wraps(command)
    def gathered(**values: Any) -> Any:
        values[argument] = kind(*(values.pop(name) for name in kind._fields))
        return command(**values)

    wrapped: F = cast(F, gathered)
    return with_options(wrapped, options)
