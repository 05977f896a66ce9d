"""`ctlog-monitor scts add`, `list`: promises that are audited until they are kept, or broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.files import read_certificates
from ctlog.cli.many import ManyCommand
from ctlog.cli.output import json_option, say, say_error, say_json, when
from ctlog.errors import CtlogError, UsageError
from monitor.cli.known_logs import known_logs
from monitor.cli.place import folder_option, now_ms, who, with_state

if TYPE_CHECKING:
    from ctlog.client.issuers import IssuerPool
    from monitor.catalogue import LogSpec
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import SctRow

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def scts() -> None:
    """Signed certificate timestamps: each is a log's promise to take a certificate into its tree.

    Those in the certificates of watched items are audited by themselves. Here you hand in others: of your own new
    certificate, or of one that somebody showed you and that may be in no log at all.

    \b
    ctlog-monitor scts add my-certificate.pem --intermediates ca.pem
    ctlog-monitor scts list --status broken
    """


@scts.command(cls=ManyCommand)
@folder_option
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="CERT...")
@click.option("--intermediates", multiple=True, type=_FILE, metavar="PEM ...", help="CA certificates for the chains.")
@click.option("--sct", "given", multiple=True, metavar="BASE64", help="SCTs that came beside the certificate, as "
              "`ctlog submit` prints them, or files with them; without it, those inside of it.")
@json_option
def add(
    folder: Path, files: tuple[Path, ...], intermediates: tuple[Path, ...], given: tuple[str, ...], as_json: bool
) -> int:
    """Audit the SCTs of each CERT: a file in PEM or DER with one certificate or many, CA certificates among them.

    An SCT is taken if its signature holds. What it promises is looked for in the log's tree until it is found there, or
    the maximum merge delay is over: then that is evidence, and an alert.

    Exit code 0: all were taken; 1: some do not hold, or are of logs that are not read here.
    """
    from ctlog.client.issuers import IssuerPool

    pool = IssuerPool(der for path in intermediates for der in read_certificates(path))
    certificates = list(_certificates(files, pool))
    if given and len(certificates) != 1:
        raise UsageError("--sct goes with one certificate")
    detached = [_sct(text) for text in given]

    async def work(place: Place, state: State) -> tuple[list[SctRow], int, int]:
        rows, left_out = _rows(certificates, pool, detached, await known_logs(place, state))
        return rows, left_out, await state.audits.add(rows)

    rows, left_out, new = with_state(folder, work)
    if as_json:
        say_json({"taken": len(rows), "new": new, "left_out": left_out})
    else:
        known = f", {len(rows) - new:,} were known" if len(rows) > new else ""
        say(f"{new:,} {'SCT is' if new == 1 else 'SCTs are'} audited from now on{known}.")
    return 1 if left_out else 0


@scts.command(name="list")
@folder_option
@click.option("--status", type=click.Choice(["waiting", "merged", "broken", "missing", "given-up"]), help="Only these.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000_000), help="How many at most.")
@json_option
def list_(folder: Path, status: str | None, limit: int, as_json: bool) -> int:
    """SCTs under audit, the newest first: `waiting`, `merged` (kept), `broken` (proven), `missing` (not found)."""

    async def work(place: Place, state: State) -> tuple[list[SctRow], Mapping[bytes, LogSpec]]:
        return await state.audits.find(status=status, limit=limit), await known_logs(place, state)

    rows, logs = with_state(folder, work)
    for row in rows:
        if as_json:
            say_json({"id": row.id, "log_id": row.log_id.hex(), "timestamp_ms": row.timestamp_ms,
                      "log_index": row.log_index, "source": row.source, "handed_ms": row.handed_ms,
                      "status": row.status, "detail": row.detail, "checked_ms": row.checked_ms})  # fmt: skip
        else:
            detail = f"  {row.detail}" if row.detail else ""
            if row.status == "waiting" and row.log_id not in logs:
                detail = "  its log is read no longer (`logs add`)"
            say(f"{row.status:8}  promised {when(row.timestamp_ms)}  {row.id[:12]}  {row.source}{detail}")
    if not rows and not as_json:
        say("There are none.")
    return 0


def _certificates(files: tuple[Path, ...], pool: IssuerPool) -> Iterator[tuple[str, bytes]]:
    """The certificates that are no CA's, each with its place; CA certificates are put into the pool."""
    from ctlog.errors import MalformedError
    from ctlog.x509.chain import is_ca
    from ctlog.x509.der import parse_certificate

    for path in files:
        for at, der in enumerate(read_certificates(path), 1):
            try:
                if is_ca(parse_certificate(der)):
                    pool.add(der)
                else:
                    yield f"{path}#{at}", der
            except MalformedError as error:
                raise UsageError(f"{path}, certificate {at}: {error}") from None


def _rows(
    certificates: list[tuple[str, bytes]], pool: IssuerPool, detached: list[bytes], logs: Mapping[bytes, LogSpec]
) -> tuple[list[SctRow], int]:
    """The SCTs that hold, and how many do not, or are of other logs: each of these is said."""
    from ctlog.client.sct import embedded_scts
    from ctlog.x509.der import parse_certificate
    from monitor.follow.audit import take_in

    rows: list[SctRow] = []
    left_out = 0
    if not certificates:
        raise UsageError("there are only CA certificates in these files")
    for place, der in certificates:
        issuers = [each.der for each in pool.issuers(parse_certificate(der))]
        try:
            every = detached or embedded_scts(der)
        except CtlogError as error:
            raise UsageError(f"{place}: {error}") from None
        if not every:
            raise UsageError(f"{place} carries no SCT; hand in what came beside it with --sct")
        for sct in every:
            try:
                taken, faults = take_in(der, issuers, [sct], logs, f"by {who()}", now_ms())
            except CtlogError as error:
                taken, faults = [], [error]
            rows += taken
            if taken:
                continue
            left_out += 1
            why = faults[0] if faults else f"it is of the log {sct[1:33].hex()[:16]}, which is not read here"
            say_error(f"{place}: an SCT is left out: {why}.")
    return rows, left_out


def _sct(text: str) -> bytes:
    from ctlog.wire.b64 import parse_base64

    path = Path(text)
    if len(text) < 1024 and path.is_file():
        data = path.read_bytes()[:65536]
        if data[:1] == b"\0":
            return data
        text = data.decode("latin-1").strip()
    return parse_base64(text, "--sct")
