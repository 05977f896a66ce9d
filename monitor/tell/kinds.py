"""The kinds of channels, and the one place where a table becomes a channel.

In scope: which kinds there are, with their keys; refusing a table before anything depends on it. Out of scope: the
kinds themselves, one module each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from monitor.config import Key
from monitor.tell.apprise import APPRISE_KEYS, AppriseChannel
from monitor.tell.channel import Channel, Table, TableError
from monitor.tell.command import COMMAND_KEYS, CommandChannel
from monitor.tell.lines import FILE_KEYS, STDOUT_KEYS, FileChannel, StdoutChannel
from monitor.tell.smtp import EMAIL_KEYS, EmailChannel
from monitor.tell.webhook import WEBHOOK_KEYS, WebhookChannel

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

KINDS: dict[str, tuple[tuple[Key, ...], Callable[[str, Table, Path], Channel]]] = {
    "email": (EMAIL_KEYS, EmailChannel),
    "webhook": (WEBHOOK_KEYS, WebhookChannel),
    "command": (COMMAND_KEYS, CommandChannel),
    "file": (FILE_KEYS, FileChannel),
    "stdout": (STDOUT_KEYS, lambda name, table, folder: StdoutChannel(name, table)),
    "apprise": (APPRISE_KEYS, AppriseChannel),
}
"""Of each kind: its keys besides `kind`, and what makes it of (name, table, folder of the configuration)."""


def check_channel(name: str, table: Table) -> None:
    """Whether this table makes a channel. Raises UsageError, with `path`: the key within the table."""
    _make(name, table, Path())


def make_channels(
    tables: Mapping[str, Table], folder: Path, before: Mapping[str, Channel] | None = None
) -> dict[str, Channel]:
    """Make the channels of a configuration whose files lie in `folder`; those of the same table stay what they were.

    Raises UsageError.
    """
    known = before or {}
    return {
        name: known[name] if name in known and known[name].table == table else _make(name, table, folder)
        for name, table in tables.items()
    }


def _make(name: str, table: Table, folder: Path) -> Channel:
    if not _NAME.fullmatch(name):
        raise TableError("the name of a channel has letters, digits, `-`, `_` and `.`, at most 64 of them")
    kind = table.get("kind")
    if kind not in KINDS:
        raise TableError(f"the kind of a channel is one of {', '.join(f'`{each}`' for each in KINDS)}", "kind")
    return KINDS[kind][1](name, table, folder)
