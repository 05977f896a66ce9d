"""`ctlog-monitor export alerts`, `evidence`, `item`: what is stored, for other programs, and to be shown."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ctlog.cli.output import say, say_error
from ctlog.errors import NotFoundError
from monitor.cli.alerts import alert_value, message_value, sighting_value
from monitor.cli.place import find_place, folder_option, now_ms, with_state
from monitor.cli.times import parse_moment
from monitor.cli.watched import read_watched

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.items import Item
    from monitor.state import State
    from monitor.state.rows import AlertRow

PAGE = 500
"""Alerts that are in memory at once."""
COLUMNS = (
    "id", "created", "severity", "rule", "rules", "kind", "status", "status_by", "status_note", "item", "group",
    "summary", "holder", "issuer", "trust_domain", "not_before", "not_after", "certificate_sha256", "key_sha256", "log",
    "log_index", "proven_in", "issuance",
)  # fmt: skip
_OUT = click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                    help="Where to write.  [default: standard output]")


@click.group()
def export() -> None:
    """What is stored, as JSON lines or CSV, and evidence as files.

    \b
    ctlog-monitor export alerts --since 30d --format csv -o alerts.csv
    ctlog-monitor export item "home/number:+12025550123" -o case.jsonl
    ctlog-monitor export evidence ./evidence
    """


@export.command()
@folder_option
@click.option("--item", metavar="ITEM", help="Only of this watched item, or of all items of this name.")
@click.option("--since", metavar="WHEN", help="Only those since a date, or so long ago.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True,
              help="jsonl has everything, the certificates too; csv a line for each alert.")
@_OUT
def alerts(folder: Path, item: str | None, since: str | None, form: str, output: Path | None) -> int:
    """Every alert, the newest first, with where it was seen and to whom it was told."""
    since_ms = parse_moment(since, now_ms()) if since else 0

    async def work(_: Place, state: State) -> int:
        with _writing(output) as out:
            return await _alerts(state, out, form, item, since_ms)

    count = with_state(folder, work)
    if output is not None:
        say(f"{count:,} alerts are in {output}.")
    return 0


@export.command()
@folder_option
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def evidence(folder: Path, directory: Path) -> int:
    """Copy every file of evidence against a log into DIR. `ctlog verify-evidence FILE` checks one, anywhere.

    A file that DIR has already is left as it is.
    """
    files = sorted((find_place(folder).state / EVIDENCE).glob("EVIDENCE-*.txt"))
    directory.mkdir(parents=True, exist_ok=True)
    copied = 0
    for file in files:
        if not (directory / file.name).exists():
            shutil.copyfile(file, directory / file.name)
            copied += 1
    say(f"{copied:,} of {len(files):,} files were copied to {directory}." if files else "There is no evidence.")
    return 0


@export.command()
@folder_option
@click.argument("item")
@_OUT
def item(folder: Path, item: str, output: Path | None) -> int:
    """Everything about a watched ITEM (its id, or the name of several) as JSON lines, each with its `type`.

    The items as they are watched, what was learned of each, what was authorised, the events of their numbers, every
    entry of any log that claims something of them, and every alert with its certificate, where it was seen and to whom
    it was told.
    """

    async def work(place: Place, state: State) -> int:
        with _writing(output) as out:
            return await _item(place, state, item, out)

    count = with_state(folder, work)
    if output is not None:
        say(f"{count:,} lines are in {output}.")
    return 0


EVIDENCE = "evidence"
"""The folder of the evidence, in that of the state."""


@contextmanager
def _writing(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with output.open("w", encoding="utf-8", newline="") as file:
        yield file


# --- alerts -----------------------------------------------------------------------------------------------------------


async def _alerts(state: State, out: TextIO, form: str, item: str | None, since_ms: int) -> int:
    count = 0
    writer = csv.writer(out)
    if form == "csv":
        writer.writerow(COLUMNS)
    async for row in _each(state, item, since_ms):
        if form == "csv":
            writer.writerow([_cell(value) for value in _columns(row)])
        else:
            _write(out, await _whole(state, row))
        count += 1
    return count


async def _each(state: State, item: str | None, since_ms: int) -> AsyncIterator[AlertRow]:
    """Alerts in pages; those that come meanwhile are not a part of it."""
    skip, until_ms = 0, now_ms()
    while rows := await state.alerts.find(of=item, since_ms=since_ms, until_ms=until_ms, limit=PAGE, skip=skip):
        for row in rows:
            yield row
        skip += len(rows)


async def _whole(state: State, row: AlertRow) -> dict[str, Any]:
    return {
        "type": "alert", **alert_value(row), "body": _body(row),
        "sightings": [sighting_value(each) for each in await state.alerts.sightings(row.id)],
        "messages": [message_value(each) for each in await state.outbox.of_alert(row.id)],
    }  # fmt: skip


def _body(row: AlertRow) -> Any:
    try:
        return json.loads(row.body)
    except ValueError:
        return None


def _columns(row: AlertRow) -> Iterable[Any]:
    body = _body(row)
    body = body if isinstance(body, dict) else {}
    certificate, issuer, key = (body.get(name) or {} for name in ("certificate", "issuer", "key"))
    log = body.get("log") or {}
    created = datetime.fromtimestamp(row.created_ms / 1000, UTC).isoformat()
    return (
        row.id, created, f"S{row.severity}", row.rule, " ".join(row.rules), row.kind, row.status, row.status_by,
        row.status_note, row.item, row.group, row.summary, body.get("holder", ""), issuer.get("name", ""),
        issuer.get("trust_domain", ""), certificate.get("not_before", ""), certificate.get("not_after", ""),
        certificate.get("sha256", ""), key.get("sha256", ""), log.get("name", ""), row.log_index, row.proven,
        row.thread,
    )  # fmt: skip


def _cell(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula: what a CA wrote must not be run."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "@", "+", "-", "\t", "\r") and not text[1:].isdigit() else text


# --- one item ---------------------------------------------------------------------------------------------------------


async def _item(place: Place, state: State, wanted: str, out: TextIO) -> int:
    watched = read_watched(place, await state.answers.items())
    items = [each for name, _, items in watched if name == wanted or wanted.startswith(f"{name}/") for each in items]
    items = [each for each in items if wanted in (each.id, each.group.name)]
    lines: list[dict[str, Any]] = [
        {"type": "item", "id": each.id, "kind": each.kind, "value": each.text, "tell": list(each.tell),
         "trust_domain": each.group.trust_domain, "added_ms": each.added_ms or None}
        for each in items
    ]  # fmt: skip
    profiles = await state.answers.baselines([each.id for each in items] or [wanted])
    lines += [{"type": "learned", "item": name, "profile": json.loads(data)} for name, data in profiles.items()]
    names = {wanted, *(each.id for each in items), *(each.group.name for each in items)}
    for row in await state.answers.authorisations(0):
        if row.item in names or not row.item:
            lines.append({"type": "authorisation", **row._asdict()})
    for event in await state.answers.events():
        if f"+{event.number}" in {each.text for each in items}:
            lines.append({"type": "event", **event._asdict()})
    lines += _claims(place, items)
    for line in lines:
        _write(out, line)
    count = len(lines)
    async for alert in _each(state, wanted, 0):
        _write(out, await _whole(state, alert))
        count += 1
    if not items and count == 0:
        raise NotFoundError(f"{wanted!r} is not watched, and nobody was told of it; see `ctlog-monitor watch list`")
    if not items:
        say_error(f"Note: {wanted!r} is not watched any more.")
    return count


def _claims(place: Place, items: list[Item]) -> Iterator[dict[str, Any]]:
    """Every entry that was ever read and that claims something of these items, oldest first."""
    from monitor.cli.watch_try import open_history
    from monitor.rehearsal import find_places

    if not items:
        return
    history = open_history(place)
    try:
        places, _ = find_places(items, history, most=sys.maxsize)
    finally:
        history.close()
    for each in places:
        yield {"type": "entry", **each._asdict(), "log_id": each.log_id.hex()}


def _write(out: TextIO, value: dict[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
