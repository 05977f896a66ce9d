"""How every command speaks: sentences or JSON lines on stdout, complaints and progress on stderr.

Text that strangers chose (names in certificates, a server's error) passes through `printable`, so that it can neither
move the cursor nor turn the reading order around. Progress is shown only when a person is watching.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import click


def printable(text: str) -> str:
    """`text` with all that does not print escaped: controls, bidi and zero-width marks, odd spaces and line breaks."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def say(text: str = "") -> None:
    """One line for people on stdout."""
    click.echo(printable(text))


def say_json(value: Mapping[str, Any]) -> None:
    """One JSON line on stdout. Everything outside ASCII is escaped."""
    click.echo(json.dumps(value))


def say_error(*sentences: str) -> None:
    """Sentences for people on stderr, on one line."""
    click.echo(printable(" ".join(s for s in sentences if s)), err=True)


class Progress(Protocol):
    """What long work reports to: so many more units done."""

    def update(self, n: int = 1) -> Any: ...
    def close(self) -> Any: ...


class _Silent:
    def update(self, n: int = 1) -> None: ...
    def close(self) -> None: ...


def when(timestamp_ms: int) -> str:
    """A log's time for people; total, since logs may say any number of 64 bits."""
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ms} ms after 1970"


def progress(total: int | None, what: str, unit: str, *, beside_lines: bool = False) -> Progress:
    """A bar on stderr, or nothing where no person is watching.

    `beside_lines`: the command also prints a line for each unit; on the same screen these are progress enough.
    """
    if not sys.stderr.isatty() or (beside_lines and sys.stdout.isatty()):
        return _Silent()
    from tqdm import tqdm

    bar: Progress = tqdm(total=total, desc=what, unit=f" {unit}", file=sys.stderr, unit_scale=True, leave=False)
    return bar


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of sentences.")
