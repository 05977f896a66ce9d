"""`ctlog-monitor run`: the monitor, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import click

from ctlog.cli.output import say_error, when
from monitor.cli.place import find_place, folder_option


@click.command()
@folder_option
def run(folder: Path) -> int:
    """Read the logs, judge what concerns you, and tell; until Ctrl-C or SIGTERM.

    It says on standard error what it does, and answers /health and /metrics at `listen`. Configuration, watch list and
    roots are read again when their files change: a mistake is said with line and column, and what was in force stays.
    What the other commands change is noticed at once. Only one can run on a state.

    \b
    ctlog-monitor run -d /srv/monitor

    Exit code 0: it was told to stop; 2: a mistake in its files; 3: its state is locked, missing or damaged; it is never
    made anew by itself.
    """
    import uvloop

    find_place(folder)
    uvloop.run(_run(folder))
    return 0


async def _run(folder: Path) -> None:
    from monitor.config import FILE_NAME
    from monitor.daemon import Daemon

    daemon = Daemon(folder / FILE_NAME, says=_says)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    await daemon.run()


def _says(level: str, log: str, sentence: str) -> None:
    """One line on stderr; what strangers wrote cannot move the cursor."""
    say_error(f"{when(time.time_ns() // 1_000_000)}  {level:7}  {log}: {sentence}")
