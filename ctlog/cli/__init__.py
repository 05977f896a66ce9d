"""The command line: `ctlog COMMAND`; one file per group of commands.

In scope here: which commands there are, in the order in which one meets them, what `--version` says, and how every
failure ends: one sentence on stderr, never a traceback, and an exit code that a script can use:

    0  good                              2  wrong use: a command, an argument or a configuration that makes no sense
    1  the answer is no                  3  could not find out: the network, the disk, a log that is busy

Out of scope: what the commands do. A command's file is imported when it is called, and it imports what is heavy inside
its functions, so that `ctlog verify` starts in a tenth of a second.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from ctlog import __version__
from ctlog.errors import (
    BusyError,
    ConfigError,
    CtlogError,
    FrozenError,
    MalformedError,
    NotFoundError,
    OperatorError,
    RefusedError,
    TransportError,
    UsageError,
    VerificationError,
)

GOOD, NO, WRONG_USE, COULD_NOT = 0, 1, 2, 3

# The first class that fits decides.
_CODES: tuple[tuple[type[CtlogError], int], ...] = (
    (VerificationError, NO),
    (NotFoundError, NO),
    (RefusedError, NO),
    (FrozenError, NO),
    (MalformedError, WRONG_USE),
    (UsageError, WRONG_USE),
    (ConfigError, WRONG_USE),
    (TransportError, COULD_NOT),
    (BusyError, COULD_NOT),
    (OperatorError, COULD_NOT),
)

# Name: the file in this folder that holds it. The order is the order of `ctlog --help`.
_COMMANDS = {
    "demo": "demo",
    "submit": "submit",
    "verify": "verify",
    "prove": "prove",
    "verify-evidence": "evidence",
    "show": "show",
    "fsck": "check",
    "create": "operate",
    "serve": "operate",
    "roots": "roots",
    "freeze": "operate",
    "reindex": "check",
    "migrate": "check",
    "log-list": "log_list",
    "verify-service": "verify_service",
}


class _Commands(click.Group):
    """A group that imports a command's file when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"ctlog.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, 1)
            hint = f"; did you mean {near[0]}?" if near else "; `ctlog --help` lists them"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx) from error


def _print_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from ctlog.merkle.hashing import IMPLEMENTATION

    click.echo(f"ctlog {__version__}, hashing kernel: {IMPLEMENTATION}")
    ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
    To check one:         ctlog verify cert.pem --log https://log.example/ --key log-key.pem
    To run a log:         ctlog create DIR --origin log.example --roots roots.pem; ctlog serve DIR

    Exit codes: 0 good; 1 the answer is no; 2 wrong use; 3 could not find out.
    """


def exit_code(error: CtlogError) -> int:
    """The exit code that says what `error` means."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), COULD_NOT)


def main(args: list[str] | None = None) -> None:
    """Run one command and end the process."""
    sys.exit(run(args))


def run(args: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Whatever fails is said in one sentence on stderr."""
    from ctlog.cli.output import say_error

    try:
        result = cli.main(args, prog_name="ctlog", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else GOOD
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        say_error(_sentence(error.format_message()), _usage(error))
        return WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        say_error("ctlog: interrupted.")
        return COULD_NOT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit is quiet too
        return COULD_NOT
    except CtlogError as error:
        say_error(_sentence(str(error)))
        return exit_code(error)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        say_error(_sentence(f"{name}{error.strerror or error}"))
        return COULD_NOT
    except Exception as error:
        if os.environ.get("CTLOG_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}"
        say_error(f"ctlog: a fault in ctlog itself: {what}. CTLOG_TRACEBACK=1 shows where; please report it.")
        return COULD_NOT


def _sentence(text: str) -> str:
    return f"ctlog: {text}" if text.endswith((".", "?")) else f"ctlog: {text}."


def _usage(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    return f"`{ctx.command_path} --help` explains it." if ctx is not None and ctx.parent is not None else ""
