"""`ctlog-monitor logs add`, `list`, `remove`: which logs are read, and how far."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.output import json_option, say, say_json, when
from ctlog.errors import ConfigError, StoreError, TransportError, UsageError
from monitor.cli.ask_log import note_unanswered
from monitor.cli.logs_remove import remove
from monitor.cli.place import find_place, folder_option, in_folder, now_ms, with_state
from monitor.cli.times import parse_moment

if TYPE_CHECKING:
    from monitor.catalogue import LogSpec
    from monitor.cli.place import Place
    from monitor.config import LogConfig
    from monitor.follow.begin import Start
    from monitor.state import State
    from monitor.state.rows import LogRow


@click.group()
def logs() -> None:
    """The logs that are read. They stand in monitor.toml; a monitor that runs begins with a new one at once.

    \b
    ctlog-monitor logs add https://log.example/2027/ --key log-key.pem
    ctlog-monitor logs add https://log.example/2027/log.v3.json
    ctlog-monitor logs list
    ctlog-monitor logs remove log.example/2026
    """


@logs.command()
@folder_option
@click.argument("url")
@click.option("--key", "key_text", metavar="KEY", help="Its public key: PEM, base64, or a file with it. Without it, "
              "URL leads to the log's log.v3.json, and the key there is believed, once and for ever.")
@click.option("--name", metavar="NAME", help="What alerts call it; without it, its origin.")
@click.option("--origin", metavar="NAME", help="Its name in checkpoints, where that is not URL without the scheme.")
@click.option("--form", type=click.Choice(["tiles", "rfc6962"]), help="How it is read: as static files, which is "
              "usual, or over get-entries.")
@click.option("--since", default="first", show_default=True, metavar="WHEN", help="Where to begin: `first`, `newest`, "
              "or a date such as 2026-01-31: what was logged before is not read.")
@json_option
def add(
    folder: Path, url: str, key_text: str | None, name: str | None, origin: str | None, form: str | None, since: str,
    as_json: bool,
) -> int:  # fmt: skip
    """Read the log at URL from now on.

    Compare the key with one that you have from elsewhere: whoever chooses the key chooses the log.
    """
    from monitor.new_config import log_block

    place = find_place(folder)
    values = described(url, key_text, name, origin, form)
    append(place, log_block(values, parse_begin(since, now_ms())))
    log = find_place(folder).config.logs[-1]
    before = _read_before(folder, log)
    note_unanswered(log, place.config.contact)
    if as_json:
        log_id = log.key.log_id.hex() if log.key else None
        say_json({"name": log.name, "url": log.url or log.log_v3, "log_id": log_id, "begin": log.begin,
                  "read_before": before})  # fmt: skip
    else:
        said = f"; its log id is {log.key.log_id.hex()}" if log.key else ", whose key is taken from there"
        say(f"{place.path} now names {log.name or log.log_v3}{said}.")
        if before is not None:
            say(f"It was read before, and goes on at entry {before:,}, whatever --since says; "
                "`ctlog-monitor backfill` reads from further back.")  # fmt: skip
    return 0


def _read_before(folder: Path, log: LogConfig) -> int | None:
    """How far a log was read already, when it was followed before; None where it was not, or no state is to be had."""

    async def work(_: Place, state: State) -> int | None:
        row = await state.logs.get(log.key.log_id) if log.key else None
        return row.position.frontier.size if row is not None else None

    with suppress(StoreError):
        return with_state(folder, work)
    return None


@logs.command(name="list")
@folder_option
@json_option
def list_(folder: Path, as_json: bool) -> int:
    """Every log that is read, or ever was: how far, how far that is proven, and what is wrong with it."""

    async def work(place: Place, state: State) -> tuple[Place, list[LogRow], Mapping[bytes, LogSpec]]:
        from monitor.cli.known_logs import known_logs

        return place, await state.logs.all(), await known_logs(place, state)

    place, rows, specs = with_state(folder, work)
    known = {row.log_id for row in rows}
    for row in rows:
        if as_json:
            say_json({**log_value(row), "followed": row.log_id in specs})
        else:
            say_log(row)
            if row.log_id not in specs:
                say("  REMOVED   it is read no longer")
    for log in place.config.logs:
        if (log.key is None and (log.name or log.log_v3) not in {row.name for row in rows}) or (
            log.key is not None and log.key.log_id not in known
        ):
            if as_json:
                where = {"name": log.name or log.log_v3, "url": log.url or log.log_v3}
                say_json({**where, "begun": False, "followed": True})
            else:
                say(log.name or log.log_v3)
                say(f"  not begun: `ctlog-monitor run{in_folder(folder)}` begins with it")
    if not rows and not place.config.logs and not as_json:
        say(f"No log is read: ctlog-monitor logs add{in_folder(folder)} URL --key KEY")
    return 0


def log_value(row: LogRow) -> dict[str, Any]:
    """A log for machines."""
    return {
        "name": row.name, "url": row.url, "log_id": row.log_id.hex(), "begun": True, "start": row.start,
        "read": row.position.frontier.size, "proven": row.position.proven.size, "head_size": row.head_size,
        "head_ms": row.head_ms, "last_contact_ms": row.last_contact_ms, "failing_since_ms": row.failing_since_ms,
        "last_error": row.last_error, "unproven_since_ms": row.unproven_since_ms, "accused": row.accused,
    }  # fmt: skip


def say_log(row: LogRow) -> None:
    """A log in words."""
    read, proven = row.position.frontier.size, row.position.proven.size
    behind = max(0, row.head_size - read)
    say(row.name if row.name == row.url else f"{row.name} ({row.url})")
    say(f"  read      {read:,} of {row.head_size:,} entries{f', {behind:,} to go' if behind else ''}"
        f"{f'; it was begun at {row.start:,}' if row.start else ''}")  # fmt: skip
    since = f", the others since {when(row.unproven_since_ms)} not" if row.unproven_since_ms is not None else ""
    if row.last_contact_ms is None and row.head_ms is None:
        say("  proven    nothing: not one head yet")
    else:
        say(f"  proven    {'all of them' if proven == read else f'{proven:,}{since}'}")
    if row.head_ms is not None:
        say(f"  head      signed {when(row.head_ms)}")
    if row.last_contact_ms is not None:
        say(f"  answered  {when(row.last_contact_ms)}")
    if row.failing_since_ms is not None:
        say(f"  FAILING   since {when(row.failing_since_ms)}: {row.last_error}")
    if row.accused:
        say(f"  LIED      evidence: {row.accused}; `ctlog verify-evidence FILE` checks it")


logs.add_command(remove)


# --- what is written into monitor.toml --------------------------------------------------------------------------------


def described(
    url: str, key_text: str | None, name: str | None = None, origin: str | None = None, form: str | None = None
) -> dict[str, Any]:
    """The keys of a [[log]]. Raises UsageError."""
    values: dict[str, Any] = {"name": name or "", "origin": origin or ""}
    if key_text:
        values |= {"url": url, "key": _key(key_text), "form": form or ""}
    elif url.endswith(".json"):
        if form:
            raise UsageError("--form is said by the log.v3.json")
        values["log_v3"] = url if "://" in url else str(Path(url).absolute())
    else:
        raise UsageError("without --key anybody could be the log: give its key, or the URL of its log.v3.json")
    return values


def _key(text: str) -> str:
    from ctlog.cli.files import read_key
    from ctlog.wire.b64 import format_base64

    given = read_key(text)
    if given.key is None:
        raise UsageError("a log is known by the key that signs its heads and SCTs, not by its checkpoint key")
    return format_base64(given.key.spki)


def parse_begin(text: str, now: int) -> Start:
    """Where to begin. Raises UsageError."""
    from monitor.follow.begin import FIRST, NEWEST

    return text if text in (FIRST, NEWEST) else parse_moment(text, now)


def append(place: Place, block: str) -> None:
    """Put a table at the end of monitor.toml, if what comes of it makes sense. Raises UsageError, OSError."""
    from monitor.config import parse_config

    text = place.text if place.text.endswith("\n") else place.text + "\n"
    try:
        parse_config(text + block, place.path.name)
    except ConfigError as error:
        raise UsageError(f"{place.path} stays as it is: {error.__cause__ or error}") from None
    replace(place.path, text + block)


def replace(path: Path, text: str) -> None:
    """Put this text in the place of a file's, durably, with the same permissions. Raises TransportError."""
    unfinished = path.with_name(path.name + ".new")
    try:
        mode = path.stat().st_mode & 0o777
        unfinished.unlink(missing_ok=True)
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise TransportError(f"{path} cannot be written: {error.strerror}") from None
