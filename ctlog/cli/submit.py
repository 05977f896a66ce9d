"""`ctlog submit`: certificates from files into a log, and what came of each."""

from __future__ import annotations

import asyncio
import binascii
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ctlog.cli.files import GivenKey, read_certificates, read_key
from ctlog.cli.many import ManyCommand
from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, progress, say, say_error, say_json, when
from ctlog.cli.places import state_folder
from ctlog.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from ctlog.client.issuers import IssuerPool
    from ctlog.client.receipts import Receipts
    from ctlog.client.submit import Logged, Outcome
    from ctlog.wire.rfc6962 import LogKey



class _Input(NamedTuple):
    """The files to submit from, each with whether its CA certificates are meant too, and how many that makes."""

    files: list[tuple[Path, bool]]
    total: int


@click.command(cls=ManyCommand)
@click.argument("url")
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("--intermediates", multiple=True, type=FILE, metavar="PEM ...", help="CA certificates for the chains.")
@click.option("--key", "key_text", metavar="KEY", help="The log's key: PEM, base64, or a file with it. Without "
              "it, the key that the log itself publishes is believed.")
@click.option("--at-once", default=64, show_default=True, type=click.IntRange(1, 1024),
              help="How many are under way; more where the log takes many in one request.")
@click.option("--receipts", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Where SCTs are kept, so that an interrupted run goes on.  [default: in your state folder]")
@click.option("--again", is_flag=True, help="Ask the log again for what it has given before.")
@json_option
def submit(
    url: str, files: tuple[Path, ...], intermediates: tuple[Path, ...], key_text: str | None, at_once: int,
    receipts: Path | None, again: bool, as_json: bool,
) -> int:  # fmt: skip
    """Submit the certificates in FILEs to the log at URL.

    A FILE is PEM or DER, gzip or not, with one certificate or thousands; precertificates are recognised. CA
    certificates that stand in a FILE beside others serve to build chains; in a FILE of their own they are submitted.
    The chain of each is built from them and from --intermediates.

    Prints one line for each certificate: its index in the log and its SCT, which was checked; at the end, how many were
    refused and why. Run it again after an interruption, and it goes on where it was. A log that asks for a token
    finds it in the environment variable CTLOG_TOKEN.

    \b
    ctlog submit https://log.example/ cert.pem --intermediates ca.pem
    ctlog submit https://log.example/ corpus/*.pem.gz --intermediates cas.pem --json > scts.jsonl

    Exit code 0: all are logged; 1: some were refused, or a file held none; 3: the log could not be reached.
    """
    given = read_key(key_text) if key_text is not None else GivenKey(None, None)
    if key_text is not None and given.key is None:
        raise UsageError("SCTs are signed with the log's own key, not its checkpoint key: give that as --key")
    from ctlog.client.issuers import IssuerPool
    from ctlog.client.receipts import Receipts

    pool = IssuerPool(der for path in intermediates for der in read_certificates(path))
    wanted = _look_through(files, pool)
    store = Receipts(None if again else receipts or state_folder() / "receipts.sqlite")
    tally = _Tally(as_json, wanted.total)
    try:
        asyncio.run(_run(url, given.key, pool, wanted, store, at_once, tally))
    finally:
        store.close()
        tally.close()
    return 1 if tally.refusals or len(wanted.files) < len(files) else 0


async def _run(
    url: str, key: LogKey | None, pool: IssuerPool, wanted: _Input, store: Receipts, at_once: int, tally: _Tally
) -> None:
    from ctlog.client.log_client import bulk_path, published_key, session
    from ctlog.client.submit import Submitter

    async with session(at_once) as http:
        if key is None:
            key = await published_key(http, url)
            say_error(f"Without --key, the key that {url} publishes is believed; its log id is {key.log_id.hex()}.")
        submitter = Submitter(
            url, key, pool, http, receipts=store, token=os.environ.get("CTLOG_TOKEN", ""), in_flight=at_once,
            bulk_path=await bulk_path(http, url) if wanted.total > at_once > 1 else "",
        )  # fmt: skip
        await submitter.run(_certificates(wanted, tally.sources), tally.report)


def _look_through(files: tuple[Path, ...], pool: IssuerPool) -> _Input:
    """Count what is to be submitted, and put CA certificates into the pool. Each file is read twice, and held never."""
    from ctlog.x509.chain import is_ca
    from ctlog.x509.der import parse_certificate

    found: list[tuple[Path, bool]] = []
    total = 0
    for path in files:
        leaves = authorities = 0
        try:
            for der in read_certificates(path):
                try:
                    ca = is_ca(parse_certificate(der))
                except MalformedError:
                    ca = False
                if ca:
                    pool.add(der)
                authorities, leaves = authorities + ca, leaves + (not ca)
        except UsageError as error:  # `*.pem` takes in a key as well: the others go on, and the exit code tells
            if len(files) == 1:
                raise
            say_error(f"{error}: left out")
            continue
        found.append((path, not leaves))
        total += leaves or authorities
    return _Input(found, total)


def _certificates(wanted: _Input, sources: dict[int, str]) -> Iterator[bytes]:
    """What is to be submitted, in order; where each came from is put into `sources`, under its place in that order."""
    from ctlog.x509.chain import is_ca
    from ctlog.x509.der import parse_certificate

    place = 0
    for path, with_authorities in wanted.files:
        for number, der in enumerate(read_certificates(path), 1):
            if not with_authorities:
                try:
                    if is_ca(parse_certificate(der)):
                        continue
                except MalformedError:
                    pass  # no certificate at all: it is refused by name
            sources[place] = str(path) if number == 1 else f"{path}#{number}"
            place += 1
            yield der


class _Tally:
    """Prints what became of each certificate, and counts."""

    def __init__(self, as_json: bool, total: int) -> None:
        self.sources: dict[int, str] = {}  # of those under way only
        self.refusals: Counter[str] = Counter()
        self.logged = 0
        self._json = as_json
        self._bar = progress(total, "submitting", "certificates", beside_lines=True)

    def report(self, outcome: Outcome) -> None:
        from ctlog.client.submit import Logged

        source = self.sources.pop(outcome.place)
        self._bar.update()
        if isinstance(outcome, Logged):
            self.logged += 1
            self._say_logged(source, outcome)
            return
        self.refusals[outcome.reason] += 1
        if self._json:
            say_json({"status": "refused", "file": source, "certificate_sha256": outcome.fingerprint.hex(),
                      "reason": outcome.reason, "sentence": outcome.sentence})  # fmt: skip
        else:
            say(f"refused  {source}  {outcome.reason}: {outcome.sentence}")

    def _say_logged(self, source: str, outcome: Logged) -> None:
        from ctlog.wire.rfc6962 import format_sct
        from ctlog.x509.names import name_text

        subject = name_text(outcome.certificate.subject)
        sct = binascii.b2a_base64(format_sct(outcome.sct), newline=False).decode()
        if self._json:
            say_json({"status": "logged", "file": source, "certificate_sha256": outcome.fingerprint.hex(),
                      "subject": subject, "index": outcome.index, "timestamp_ms": outcome.sct.timestamp_ms, "sct": sct,
                      "before": outcome.before})  # fmt: skip
            return
        index = "?" if outcome.index is None else outcome.index
        say(f"index {index}  {when(outcome.sct.timestamp_ms)}  {source}  {subject}  SCT {sct}")

    def close(self) -> None:
        """Say the sum, also of a run that ended early."""
        self._bar.close()
        if self._json:
            say_json({"status": "sum", "logged": self.logged, "refused": dict(self.refusals)})
        elif self.logged + self.refusals.total() != 1:
            reasons = "".join(f", {count} {reason}" for reason, count in self.refusals.most_common())
            say(f"{self.logged} logged, {self.refusals.total()} refused{reasons.replace(', ', ': ', 1)}")
