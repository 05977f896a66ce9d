"""The command line: `ctlog-monitor COMMAND`; one file per group of commands.

In scope here: which commands there are, in the order in which one meets them. Failures end as those of `ctlog` do
(`ctlog.cli.program`): one sentence on stderr, and an exit code:

    0  good, and for `status`: all is well        2  wrong use
    1  the answer is no; all is not well          3  could not find out: the network, the disk, a state that is locked

Every command but `run` works beside a monitor that runs: it opens the state without its lock, and the monitor notices
what was changed. Files are imported when their command is called.
"""

from __future__ import annotations

import sys

import click

from ctlog.cli.program import SETTINGS, LazyGroup, run_program

# Name: the module that holds it. The order is the order of `ctlog-monitor --help`.
_COMMANDS = {
    "init": "monitor.cli.init",
    "logs": "monitor.cli.logs",
    "watch": "monitor.cli.watch",
    "test": "monitor.cli.send_test",
    "run": "monitor.cli.operate",
    "status": "monitor.cli.status",
    "alerts": "monitor.cli.alerts",
    "events": "monitor.cli.events",
    "scts": "monitor.cli.scts",
    "heads": "monitor.cli.heads",
    "backfill": "monitor.cli.backfill",
    "export": "monitor.cli.export",
    "demo": "monitor.cli.demo",
    "story": "monitor.cli.story",
}


@click.group(cls=LazyGroup, lazily=_COMMANDS, context_settings=SETTINGS)
@click.version_option(package_name="ctlog", prog_name="ctlog-monitor", message="%(prog)s %(version)s")
def cli() -> None:
    """Watches logs of phone-number certificates, and tells you when somebody else gets one for your number.

    It reads every entry of every log that you name, proves that the log is whole and never contradicts itself, and
    judges each certificate that concerns what you watch. What it keeps lies in one folder: monitor.toml, which you
    write, and the state, which is its own. Each command takes that folder with -d DIR, or from CTLOG_MONITOR.

    \b
    To begin:            ctlog-monitor init DIR --contact you@example.com
    Which logs:          ctlog-monitor logs add https://log.example/ --key log-key.pem
    Which numbers:       ctlog-monitor watch add +12025550123
    Does mail arrive?    ctlog-monitor test
    Then:                ctlog-monitor run
    To see it at work:   ctlog-monitor demo

    Exit codes: 0 good; 1 the answer is no; 2 wrong use; 3 could not find out.
    """


def main(args: list[str] | None = None) -> None:
    """Run one command and end the process."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    return run_program(cli, "ctlog-monitor", args)
