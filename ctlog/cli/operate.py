"""`ctlog create`, `ctlog serve`, `ctlog freeze`: a log's life, for whoever runs it."""

from __future__ import annotations

import asyncio
import binascii
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.many import ManyCommand
from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, say, say_error, say_json, when
from ctlog.cli.roots import say_added
from ctlog.errors import UsageError

if TYPE_CHECKING:
    from ctlog.folder import Folder

_DIR = click.Path(file_okay=False, path_type=Path)


@click.command(cls=ManyCommand)
@click.argument("directory", type=_DIR, metavar="DIR")
@click.option("--origin", required=True, metavar="NAME", help="The log's name: host[/path], such as log.example/2027. "
              "It is in every signature, so it can never change.")
@click.option("--roots", multiple=True, type=FILE, metavar="PEM ...", help="CA certificates to accept as roots.")
@click.option("--domain", default="us-shaken", show_default=True, metavar="WORD", help="Their trust domain.")
@click.option("--head-store", default="", metavar="PATH", help="Where the signed head is kept: outside of DIR, never "
              "restored from a backup.  [default: DIR.heads.sqlite, beside DIR]")
@click.option("--window", nargs=2, metavar="START END", help="Accept certificates whose notAfter lies in [START, END): "
              "dates such as 2027-01-01, in UTC; - for no bound.")
@json_option
def create(
    directory: Path, origin: str, roots: tuple[Path, ...], domain: str, head_store: str,
    window: tuple[str, str] | None, as_json: bool,
) -> int:  # fmt: skip
    """Make a new log in DIR, once. An existing one is never touched.

    DIR/log.toml has every setting with its sentence. Two files are beyond price: back up DIR/seed by hand, once, where
    nobody finds it, for it is the log's key; and never restore the head store or DIR from a backup, for a log that
    goes back in time signs a second truth.

    \b
    ctlog create /srv/log --origin log.example/2027 --roots sti-ca-roots.pem --window 2027-01-01 2028-01-01
    """
    from ctlog import folder
    from ctlog.config import Config

    start, end = (_moment(text) for text in window) if window else (None, None)
    config = Config(origin=origin, head_store=head_store, window_start=start, window_end=end)
    made, added = asyncio.run(folder.create(directory, config, [(path, domain) for path in roots]))
    key = made.signer().key
    if as_json:
        count = sum(len(one.added) for one in added)
        say_json({"created": str(directory), "origin": origin, "log_id": key.log_id.hex(),
                  "head_store": str(config.head_store_path(directory)), "roots": count})  # fmt: skip
        return 0
    say(f"The log {origin} is in {directory}; its log id is {key.log_id.hex()}.")
    for one in added:
        say_added(one, domain)
    if not any(one.added for one in added):
        say(f"It accepts no roots yet, so it would refuse everything: ctlog roots add {directory} PEM --domain WORD")
    say(f"Its key, for whoever verifies: {binascii.b2a_base64(key.spki, newline=False).decode()}")
    say(f"Its head is kept in {config.head_store_path(directory)}.")
    say(f"Back up {directory / 'seed'} now, by hand, and read {directory / 'log.toml'}. Then: ctlog serve {directory}")
    return 0


def _moment(text: str) -> datetime | None:
    """A date, or a moment as RFC 3339 has it."""
    if text in ("-", ""):
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        text += "T00:00:00Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--window: {text!r} is no date such as 2027-01-01") from None
    if moment.tzinfo is None:
        raise UsageError(f"--window: {text!r} names no time zone; write 2027-01-01T00:00:00Z")
    return moment.astimezone(UTC)


@click.command()
@click.argument("directory", type=_DIR, metavar="DIR")
@click.option("--listen", multiple=True, metavar="HOST:PORT", help="Listen here instead of where DIR/log.toml says. "
              "May be given several times. Port 0: any free one.")
def serve(directory: Path, listen: tuple[str, ...]) -> int:
    """Run the log in DIR.

    It speaks plain HTTP: put nginx, or whatever ends TLS, before it (the README has the lines). SIGTERM finishes the
    batch in hand and ends; SIGHUP reads the accepted roots again.

    \b
    ctlog serve /srv/log
    ctlog serve /srv/log --listen 127.0.0.1:8460 --listen [::1]:8460

    Exit code 0: it was told to stop; 2: it cannot start so; 3: it stopped because a promise was at stake.
    """
    from ctlog.app import serve as run
    from ctlog.config import parse_listen

    for text in listen:
        parse_listen(text, "--listen")
    return run(directory, listen, say_error)


@click.command()
@click.argument("directory", type=_DIR, metavar="DIR")
@click.option("--yes", is_flag=True, help="Do not ask. It cannot be undone.")
@json_option
def freeze(directory: Path, yes: bool, as_json: bool) -> int:
    """End the log in DIR for ever.

    Submissions are answered 410 from then on, a final head is signed and published, and log.v3.json says so. Reads go
    on as before: run `ctlog serve` again. The log must not be running meanwhile.
    """
    from ctlog import folder

    opened = folder.open_folder(directory)
    if not yes:
        _ask(opened)
    head = asyncio.run(folder.freeze(opened))
    if as_json:
        say_json({"frozen": opened.config.origin, "size": head.size, "root": head.root.hex(),
                  "timestamp_ms": head.timestamp_ms})  # fmt: skip
    else:
        say(f"{opened.config.origin} has ended at {head.size} entries; its last head is of {when(head.timestamp_ms)}.")
        say(f"Go on serving it: ctlog serve {directory}")
    return 0


def _ask(opened: Folder) -> None:
    click.confirm(f"End the log {opened.config.origin} for ever?", abort=True, err=True)
