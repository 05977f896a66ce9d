"""Where commands find the monitor: its folder, what stands in monitor.toml, and its state, opened beside the daemon.

In scope: the option that every command takes, and turning it into a configuration and an open state. Out of scope:
what commands do with them.
"""

from __future__ import annotations

import asyncio
import getpass
import shlex
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from ctlog.errors import ConfigError

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.state import State

T = TypeVar("T")

VARIABLE = "CTLOG_MONITOR"

folder_option = click.option(
    "-d", "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", envvar=VARIABLE,
    metavar="DIR", help=f"The monitor's folder, where monitor.toml lies.  [default: this one, or ${VARIABLE}]",
)  # fmt: skip


class Place(NamedTuple):
    """A monitor's folder with its configuration, as it is written there now."""

    folder: Path
    config: Config
    text: str

    @property
    def path(self) -> Path:
        """The file."""
        from monitor.config import FILE_NAME

        return self.folder / FILE_NAME

    @property
    def state(self) -> Path:
        """The folder of the state."""
        return self.folder / self.config.state

    @property
    def watch_file(self) -> Path:
        """The watch list; it need not exist."""
        return self.folder / self.config.watch


def find_place(folder: Path) -> Place:
    """Read `monitor.toml`. Raises ConfigError, with line and column, or with how to begin."""
    from monitor.config import FILE_NAME, parse_config

    path = folder / FILE_NAME
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        sentence = f"there is no {path}; name the monitor's folder with -d DIR, or begin with `ctlog-monitor init DIR`"
        raise ConfigError(sentence, reason="no-monitor") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"{path}: {reason}") from None
    return Place(folder, parse_config(text, str(path)), text)


def with_state(folder: Path, work: Callable[[Place, State], Awaitable[T]]) -> T:
    """Do something with the state, beside a daemon that may be running. Raises ConfigError, StoreError."""
    from monitor.state import State

    place = find_place(folder)

    async def run() -> T:
        async with State.open(place.state, exclusive=False) as state:
            return await work(place, state)

    return asyncio.run(run())


def in_folder(folder: Path) -> str:
    """What a command needs to find this folder from here: " -d DIR", or nothing."""
    return "" if folder == Path() else f" -d {shlex.quote(str(folder))}"


def now_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000


def who() -> str:
    """The name under which this user's answers are kept."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"
