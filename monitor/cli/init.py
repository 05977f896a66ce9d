"""`ctlog-monitor init`: the monitor's folder, once: an explained monitor.toml, an empty state and an empty history."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.output import json_option, say, say_error, say_json
from ctlog.errors import ConfigError, UsageError
from monitor.cli.ask_log import note_unanswered
from monitor.cli.place import find_place, in_folder, now_ms

if TYPE_CHECKING:
    from monitor.cli.place import Place

HISTORY = "history"
"""The folder of the history, in that of the state."""
SOURCES = ("__init__.py", "pyproject.toml", ".git")
"""Where one of these lies somebody keeps a program: a clone of this project has a folder `monitor` of sources."""


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=".", metavar="[DIR]")
@click.option("--contact", metavar="WHO", help="Your address or a URL. It is sent to every log, so that its operator "
              "can write to you.")
@click.option("--log", "url", metavar="URL", help="A log to begin with, as in `ctlog-monitor logs add`.")
@click.option("--key", "key_text", metavar="KEY", help="Its public key: PEM, base64, or a file with it.")
@click.option("--origin", metavar="NAME", help="Its name in checkpoints, where that is not URL without the scheme.")
@click.option("--since", default="first", show_default=True, metavar="WHEN", help="Where to begin with it: `first`, "
              "`newest`, or a date such as 2026-01-31.")
@click.option("--roots", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="PEM",
              help="CA certificates that count, with --domain; may be given several times.")
@click.option("--domain", metavar="WORD", help="The trust domain of these CAs, such as us-shaken.")
@click.option("--anew", is_flag=True, help="Make an empty state although monitor.toml is there. What was logged "
              "between is read only as far as each log's `begin` says.")
@json_option
def init(
    directory: Path, contact: str | None, url: str | None, key_text: str | None, origin: str | None, since: str,
    roots: tuple[Path, ...], domain: str | None, anew: bool, as_json: bool,
) -> int:  # fmt: skip
    """Make a monitor in DIR: its configuration, an empty state, an empty history.

    Nothing that is there is ever replaced. A state that was lost is not made again by itself, for a monitor that began
    anew at the newest entries would never see those between: put back a copy of it, or say --anew.

    \b
    ctlog-monitor init /srv/monitor --contact you@example.com
    ctlog-monitor init . --contact you@example.com --log https://log.example/ --key log-key.pem
    """
    from monitor.config import FILE_NAME
    from monitor.state.database import FILE_NAME as STATE_NAME

    path = directory / FILE_NAME
    if path.exists():
        place = _there_already(directory, contact, url, anew)
    else:
        text = _text(contact, _log(url, key_text, origin, since), roots, domain)
        _refuse_sources(directory)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # what is watched is nobody else's business
        state = directory / "state" / STATE_NAME
        if state.exists():
            raise UsageError(f"{state} is there, and {path} is not: put the configuration back, or use another folder")
        write_new(path, text)
        place = find_place(directory)
    _make(place)
    for log in place.config.logs:
        note_unanswered(log, place.config.contact)
    if as_json:
        say_json({"config": str(path), "state": str(place.state), "logs": len(place.config.logs)})
        return 0
    say(f"The monitor's configuration is {path}, every key explained; its state lies in {place.state}.")
    say("Keep the state: whoever loses it misses what was logged between. Next:")
    where = in_folder(directory)
    if not place.config.logs and place.config.log_list is None:
        say(f"  ctlog-monitor logs add{where} URL --key KEY      which logs are read")
    if not place.config.roots:
        say(f"  write [[roots]] into {path}: which CAs count. Without them nobody knows who issued what")
    say(f"  ctlog-monitor watch add{where} +12025550123      which numbers you want to be told of")
    say(f"  ctlog-monitor test{where}                        does a message reach you?")
    say(f"  ctlog-monitor run{where}")
    return 0


def _refuse_sources(directory: Path) -> None:
    for name in SOURCES:
        if (directory / name).exists():
            raise UsageError(f"{directory} holds the sources of a program ({name}): name a folder of the monitor's "
                             "own, such as my-monitor")  # fmt: skip


def _there_already(directory: Path, contact: str | None, url: str | None, anew: bool) -> Place:
    from monitor.state.database import FILE_NAME as STATE_NAME

    place = find_place(directory)
    state = place.state / STATE_NAME
    if state.exists():
        raise UsageError(f"{place.path} and its state are there already: a monitor is made only once")
    if not anew:
        raise UsageError(f"{place.path} is there, and its state {state} is not. Put back a copy of the state; or, to "
                         "begin with an empty one, say --anew")  # fmt: skip
    given = [name for name, value in (("--contact", contact), ("--log", url)) if value]
    if given:
        raise UsageError(f"{place.path} is there and stays as it is: leave out {' and '.join(given)}, and change the "
                         "file with an editor")  # fmt: skip
    say_error(f"{place.path} stays as it is; an empty state is made.")
    return place


def _log(url: str | None, key_text: str | None, origin: str | None, since: str) -> str:
    from monitor.cli.logs import described, parse_begin
    from monitor.new_config import log_block

    if url:
        return log_block(described(url, key_text, origin=origin), parse_begin(since, now_ms()))
    if key_text or origin:
        raise UsageError("--key and --origin are those of a log: name the log with --log")
    return ""


def _text(contact: str | None, log: str, roots: tuple[Path, ...], domain: str | None) -> str:
    from monitor.config import parse_config
    from monitor.new_config import new_config, roots_block

    if not contact:
        raise UsageError("say who you are with --contact, an address or a URL: operators of logs see it")
    if bool(roots) != bool(domain):
        raise UsageError("--roots and --domain go together: a trust domain is a word of yours, such as us-shaken")
    text = new_config(contact) + log
    if domain:
        for path in roots:
            _check_roots(path, domain)
        text += roots_block(domain, [str(path.absolute()) for path in roots])
    try:
        parse_config(text)
    except ConfigError as error:
        raise UsageError(str(error.__cause__ or error)) from None
    return text


def _check_roots(path: Path, domain: str) -> None:
    """Else the monitor would say so when it is to run. Raises UsageError."""
    from monitor.reload import read_roots

    try:
        list(read_roots(path, domain))
    except ConfigError as error:
        raise UsageError(f"{error}. A root is the certificate of a CA, in PEM") from None


def _make(place: Place) -> None:
    from monitor.history import make_history
    from monitor.state import make_state

    place.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    make_history(place.state / HISTORY)
    make_state(place.state, now_ms())  # last: a state without the rest would look whole


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, durably. Raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it may hold passwords
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
