"""What makes a group of commands a program: commands imported when they are called, and how every failure ends.

In scope: one sentence on stderr for whatever happens, never a traceback, and an exit code that a script can use. Shared
by `ctlog` and `ctlog-monitor`. Out of scope: which commands there are.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

import click

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

PARENT = "CTLOG_PARENT"
"""In the environment, with the value "stdin": whoever started this program holds the other end of its stdin, and it
ends, as by SIGTERM, when he is gone."""

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class LazyGroup(click.Group):
    """A group that imports a command's file when the command is called.

    `lazily` names the module of each command, in the order of --help; in it the function is called like the command,
    with `_` for `-`.
    """

    def __init__(self, *args: Any, lazily: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._modules = lazily

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return None
        module = importlib.import_module(self._modules[cmd_name])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self._modules, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; `{ctx.command_path} --help` lists them"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx) from error


def exit_code(error: CtlogError) -> int:
    """The exit code that says what `error` means."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), COULD_NOT)


def run_program(group: click.Group, name: str, args: list[str] | None = None) -> int:
    """Run one command; returns its exit code. Whatever fails is said in one sentence on stderr."""
    from ctlog.cli.output import say_error

    if os.environ.pop(PARENT, "") == "stdin":  # taken out, for a program that this one starts has another parent
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        result = group.main(args, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else GOOD
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        say_error(_sentence(name, error.format_message()), _usage(error))
        return WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        say_error(f"{name}: interrupted.")
        return COULD_NOT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit is quiet too
        return COULD_NOT
    except SystemExit:  # click's own end where nobody reads stdout any more; it says 1, which would mean "no"
        return COULD_NOT
    except CtlogError as error:
        say_error(_sentence(name, str(error)))
        return exit_code(error)
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        say_error(_sentence(name, f"{file}{error.strerror or error}"))
        return COULD_NOT
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":  # a terminal that knows no such letter
            say_error(f"{name}: this cannot be shown in {error.encoding}; PYTHONIOENCODING=utf-8 helps.")
            return COULD_NOT
        say_error(f"{name}: {error.object[:100]!r} holds bytes that are no UTF-8.")
        return WRONG_USE
    except Exception as error:
        if os.environ.get("CTLOG_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}"
        say_error(f"{name}: a fault in {name} itself: {what}. CTLOG_TRACEBACK=1 shows where; please report it.")
        return COULD_NOT


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    # Nobody reads any more what it says: that must not keep it from ending in good order.
    quiet = os.open(os.devnull, os.O_WRONLY)
    for handle in (1, 2):
        os.dup2(quiet, handle)
    os.kill(os.getpid(), signal.SIGTERM)


def _sentence(name: str, text: str) -> str:
    return f"{name}: {text}" if text.endswith((".", "?")) else f"{name}: {text}."


def _usage(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    return f"`{ctx.command_path} --help` explains it." if ctx is not None and ctx.parent is not None else ""
