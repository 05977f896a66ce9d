"""`ctlog roots add`, `retire`, `list`: which CAs the log accepts, and which it ever did."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, say, say_error, say_json, when

if TYPE_CHECKING:
    from ctlog.roots import Added, Record

_DIR = click.Path(file_okay=False, path_type=Path)
_RELOAD = "A running log reads them when it gets SIGHUP."


@click.group()
def roots() -> None:
    """The roots that a log accepts: the CA certificates at which a submitted chain may end.

    Any CA certificate can be one, self-issued or not. A root has a trust domain, a word of yours for the ecosystem that
    it belongs to (us-shaken, ca, fr, rcs). What was accepted once stays in the history.
    """


@roots.command()
@click.argument("directory", type=_DIR, metavar="DIR")
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="PEM...")
@click.option("--domain", required=True, metavar="WORD", help="The trust domain, such as us-shaken or rcs.")
@json_option
def add(directory: Path, files: tuple[Path, ...], domain: str, as_json: bool) -> int:
    """Accept every CA certificate in the files. What is no CA's is left out, and named.

    Exit code 0: all are accepted now; 1: something was left out.
    """
    from ctlog.folder import open_folder

    added = open_folder(directory).roots.add(files, domain, _now_ms())
    if as_json:
        for record in added.added:
            say_json({"added": record.fingerprint.hex(), "name": record.name, "domain": record.domain})
        for record in added.known:
            say_json({"known": record.fingerprint.hex(), "name": record.name, "domain": record.domain})
        for place, sentence in added.left_out:
            say_json({"left_out": place, "sentence": sentence})
    else:
        say_added(added, domain)
        if added.added:
            say(_RELOAD)
    return 1 if added.left_out else 0


def say_added(added: Added, domain: str) -> None:
    """What came of adding roots, in words."""
    for record in added.added:
        say(f"accepted  {record.fingerprint.hex()[:16]}  {domain}  {record.name}")
    for record in added.known:
        say(f"known     {record.fingerprint.hex()[:16]}  {record.domain}  {record.name}")
    for place, sentence in added.left_out:
        say_error(f"left out  {place}: {sentence}")


@roots.command()
@click.argument("directory", type=_DIR, metavar="DIR")
@click.argument("sha256", metavar="SHA256")
@click.option("--why", default="", metavar="TEXT", help="The reason, for the history.")
@json_option
def retire(directory: Path, sha256: str, why: str, as_json: bool) -> int:
    """No longer accept a root. SHA256 is its fingerprint, or the first 8 digits or more: see `ctlog roots list`.

    What it anchored stays in the log, and so does its certificate.
    """
    from ctlog.folder import open_folder

    record = open_folder(directory).roots.retire(sha256, why, _now_ms())
    if as_json:
        say_json({"retired": record.fingerprint.hex(), "name": record.name, "domain": record.domain, "why": why})
    else:
        say(f"retired  {record.fingerprint.hex()[:16]}  {record.domain}  {record.name}")
        say(_RELOAD)
    return 0


@roots.command(name="list")
@click.argument("directory", type=_DIR, metavar="DIR")
@click.option("--all", "with_retired", is_flag=True, help="Those that were retired, too.")
@json_option
def list_(directory: Path, with_retired: bool, as_json: bool) -> int:
    """The accepted roots, with their trust domains, where they came from, and since when."""
    from ctlog.folder import open_folder

    records = [r for r in open_folder(directory).roots.records() if with_retired or r.retired_ms is None]
    for record in records:
        if as_json:
            say_json(_value(record))
            continue
        say(f"{record.fingerprint.hex()[:16]}  {record.domain:10}  {record.name}")
        say(f"{'':16}  since {when(record.added_ms)}{f', from {record.source}' if record.source else ''}")
        if record.retired_ms is not None:
            say(f"{'':16}  retired {when(record.retired_ms)}{f': {record.why}' if record.why else ''}")
    if not records and not as_json:
        say("No roots are accepted: everything would be refused.")
    return 0


def _value(record: Record) -> dict[str, str | int | None]:
    return {"sha256": record.fingerprint.hex(), "name": record.name, "domain": record.domain, "source": record.source,
            "added_ms": record.added_ms, "retired_ms": record.retired_ms, "why": record.why}  # fmt: skip


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
