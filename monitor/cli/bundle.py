"""`ctlog-monitor alerts bundle`: all that shows others what an alert is about, in a folder, to be checked offline."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.output import json_option, say, say_json
from ctlog.errors import NotFoundError, UsageError
from monitor.cli.place import folder_option, now_ms, with_state
from monitor.state.rows import short_id

if TYPE_CHECKING:
    from monitor.bundle import EntryProof
    from monitor.catalogue import LogSpec
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import AlertRow

LIMIT_S = 60.0
"""Within so long a log must have handed out what a proof takes."""


@click.command()
@folder_option
@click.argument("alert")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="The folder to be made; it must not exist.  [default: alert- and the beginning of its id]")
@json_option
def bundle(folder: Path, alert: str, output: Path | None, as_json: bool) -> int:
    """Put into a folder what shows others what ALERT is about: for the issuer, your provider, a court.

    The certificate with its chain, and the proof that a log signed a tree which holds it. Whoever gets it needs no
    network, and need not trust you or this monitor; README.txt in the folder says how to check it. The proof is kept by
    the monitor soon after the alert; of an older alert it is fetched from the log now, and checked.

    \b
    ctlog-monitor alerts bundle 3f2a
    ctlog-monitor alerts bundle 3f2a -o carrier
    ctlog verify carrier/certificate.pem --proof carrier/entry.tlog-proof --key carrier/log-key.pem
    """

    async def work(place: Place, state: State) -> tuple[AlertRow, dict[str, bytes]]:
        row = await state.alerts.get(alert)
        return row, await _files(place, state, row)

    row, files = with_state(folder, work)
    target = output or Path(f"alert-{short_id(row.id)}")
    try:
        target.mkdir(parents=True)
        for name, data in files.items():
            (target / name).write_bytes(data)
    except OSError as error:
        raise UsageError(f"{target} cannot be made: {error.strerror}") from None
    if as_json:
        say_json({"alert": row.id, "folder": str(target), "files": sorted(files)})
        return 0
    say(f"{target}: {', '.join(sorted(files))}")
    return 0


async def _files(place: Place, state: State, row: AlertRow) -> dict[str, bytes]:
    from monitor.bundle import bundle_files, check_entry, read_proof
    from monitor.tell.letter import alert_document, render

    document: dict[str, Any] = json.loads(row.body)
    if row.kind not in ("certificate", "unreadable") or row.log_index is None:
        where = f"; its evidence is in {document['file']}" if document.get("file") else ""
        raise UsageError(f"the alert {short_id(row.id)} is about no entry of a log's tree{where}")
    spec = await _spec(place, state, row)
    found = read_proof(place.state, row.log_id, row.log_index) or await _ask(place, state, spec, row, document)
    check_entry(document, found, spec.key, now_ms())
    return bundle_files(document, row, render(alert_document(row), row), found, spec.key)


async def _spec(place: Place, state: State, row: AlertRow) -> LogSpec:
    from monitor.cli.known_logs import known_logs

    spec = (await known_logs(place, state)).get(row.log_id)
    if spec is None:
        raise NotFoundError(f"the log {row.log_id.hex()[:16]} is not read any more, so its key is not known: "
                            "`ctlog-monitor logs add` names it again")  # fmt: skip
    return spec


async def _ask(place: Place, state: State, spec: LogSpec, row: AlertRow, document: dict[str, Any]) -> EntryProof:
    """From the log, against the head that the monitor trusts."""
    from ctlog.client.follow import TileFollower
    from ctlog.client.get_entries import EntriesFollower
    from ctlog.client.http_fetcher import HttpFetcher
    from ctlog.client.patient import PatientFetcher
    from monitor.bundle import prove_entry, readable_certificate
    from monitor.follow.followed import TILES, Followed

    stored = await state.logs.get(spec.log_id)
    head = spec.policy.open(stored.position.trusted) if stored is not None and stored.position.trusted else None
    index = row.log_index
    if head is None or index is None or head.size <= index:
        raise NotFoundError("no signed tree of the log holds the entry yet: try again in a minute")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(LIMIT_S))
        fetcher = PatientFetcher(await stack.enter_async_context(HttpFetcher(spec.url, contact=place.config.contact)))
        make = TileFollower if spec.form == TILES else EntriesFollower
        log = Followed(spec.name, spec.policy, spec.form, make(spec.policy, fetcher, now_ms=now_ms), fetcher)
        return await prove_entry(log, head, index, now_ms(), readable_certificate(document))
