"""The command line: `ctlog COMMAND`; one file per group of commands.

In scope here: which commands there are, in the order in which one meets them, what `--version` says, and how every
failure ends: one sentence on stderr, never a traceback, and an exit code that a script can use:

    0  good                              2  wrong use: a command, an argument or a configuration that makes no sense
    1  the answer is no                  3  could not find out: the network, the disk, a log that is busy

Out of scope: what the commands do. A command's file is imported when it is called, and it imports what is heavy inside
its functions, so that `ctlog verify` starts in a tenth of a second.
"""

from __future__ import annotations

import sys

import click

from ctlog import __version__
from ctlog.cli.program import SETTINGS, LazyGroup, run_program

# Name: the module that holds it. The order is the order of `ctlog --help`.
_COMMANDS = {
    "demo": "ctlog.cli.demo",
    "submit": "ctlog.cli.submit",
    "verify": "ctlog.cli.verify",
    "prove": "ctlog.cli.prove",
    "verify-evidence": "ctlog.cli.evidence",
    "show": "ctlog.cli.show",
    "ca": "ctlog.cli.ca",
    "fsck": "ctlog.cli.check",
    "create": "ctlog.cli.operate",
    "serve": "ctlog.cli.operate",
    "roots": "ctlog.cli.roots",
    "freeze": "ctlog.cli.operate",
    "reindex": "ctlog.cli.check",
    "migrate": "ctlog.cli.check",
    "log-list": "ctlog.cli.log_list",
    "verify-call": "ctlog.cli.verify_call",
    "verify-service": "ctlog.cli.verify_service",
}


def _print_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from ctlog.merkle.hashing import IMPLEMENTATION

    click.echo(f"ctlog {__version__}, hashing kernel: {IMPLEMENTATION}")
    ctx.exit()


@click.group(cls=LazyGroup, lazily=_COMMANDS, context_settings=SETTINGS)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show the version and which hashing kernel runs.",
)  # fmt: skip
def cli() -> None:
    """A public log of phone-number certificates.

    A certificate authority submits each certificate that it issues and gets a receipt (an SCT) for it. Everything in
    the log is published and can never be changed, so whoever owns a number can see every certificate that claims it,
    and anyone can check that the log hides nothing.

    \b
    To try it:            ctlog demo
    To log certificates:  ctlog submit https://log.example/ cert.pem --intermediates chain.pem
    To issue some:        ctlog ca --help
    To check one:         ctlog verify cert.pem --log https://log.example/ --key log-key.pem
    To run a log:         ctlog create DIR --origin log.example --roots roots.pem; ctlog serve DIR

    Exit codes: 0 good; 1 the answer is no; 2 wrong use; 3 could not find out.
    """


def main(args: list[str] | None = None) -> None:
    """Run one command and end the process."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Whatever fails is said in one sentence on stderr."""
    return run_program(cli, "ctlog", args)
