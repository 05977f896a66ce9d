"""A monitor's folder for tests of its commands, and the command line as one calls it in a test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from monitor.cli import run
from monitor.state import State

T = TypeVar("T")


class Said(NamedTuple):
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Monitor:
    """A monitor's folder, and its commands."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *words: object, code: int | None = 0) -> Said:
        """Run a command, in this folder; `code` is how it must end, None: in any way."""
        self._capsys.readouterr()
        got = run([*map(str, words)])
        said = Said(got, *self._capsys.readouterr())
        assert code in (None, got), said
        return said

    def here(self, *words: object, code: int | None = 0) -> Said:
        """The same with -d."""
        return self(*words, "-d", self.folder, code=code)

    def state(self, work: Callable[[State], Awaitable[T]]) -> T:
        """Do something with the state."""

        async def do() -> T:
            async with State.open(self.folder / "state", exclusive=False) as state:
                return await work(state)

        return asyncio.run(do())

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path


def made(folder: Path, capsys: pytest.CaptureFixture[str]) -> Monitor:
    """A monitor that `init` made, in a folder of its own."""
    monitor = Monitor(folder / "monitor", capsys)
    monitor("init", monitor.folder, "--contact", "you@example.com")
    return monitor
