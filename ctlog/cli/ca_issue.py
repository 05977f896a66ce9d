"""`ctlog ca issue`: thousands of certificates from a file of orders, each logged before it is handed out."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import click

from ctlog.cli.ca import pem
from ctlog.cli.ca_logs import LogOptions, authority_options, log_options, now_ms, open_authority, open_logs
from ctlog.cli.many import ManyCommand
from ctlog.cli.new_file import check_folder, keep_new
from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, progress, say, say_error, say_json
from ctlog.cli.program import COULD_NOT, GOOD, NO
from ctlog.errors import UsageError

if TYPE_CHECKING:
    from ctlog.issuance import Authority
    from ctlog.issuance.bulk import Issued, NotIssued, Outcome
    from ctlog.issuance.journal import Journal
    from ctlog.issuance.ordered import Build

_STDIN = Path("-")
_DAY_MS = 86_400_000
_CLOCK_BEHIND_MS = 60_000  # for verifiers whose clock is behind
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Work(NamedTuple):
    """What signs, and how."""

    authority: Authority
    signer: Authority | None
    build: Build
    detached: bool
    submit_final: bool
    days: int


@click.command(cls=ManyCommand)
@authority_options
@click.option("--numbers", required=True, metavar="FILE", help="The orders: CSV or JSON lines; - for stdin.",
              type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--profile", default="delegate", show_default=True, type=click.Choice(["shaken", "delegate", "rcs"]),
              help="What all of them are.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3650), help="How long each is valid.")
@click.option("--country", default="US", show_default=True, metavar="CODE", help="Of the subjects.")
@click.option("--participant-key", type=FILE, metavar="PEM", help="RCS, for tests: a person's key, which vouches where "
              "an order has no participant.")
@click.option("--carrier-key", type=FILE, metavar="PEM", help="RCS, for tests: a carrier's key, for orders that have "
              "no proof.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="What an interrupted "
              "run goes on from. Keep it as long as the orders.  [default: NUMBERS.journal]")
@log_options
@click.option("--detached", is_flag=True, help="Leave the certificates without SCTs; log them as they are. RCS always "
              "is so.")
@click.option("--submit-final", is_flag=True, help="Submit the finished certificates as well; of no effect with "
              "--detached.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where the certificates "
              "go: ID.pem with its CAs, or _line-N.pem, and with --detached its SCTs in a file beside it.")
@json_option
def issue(
    ca: Path, ca_key: Path | None, precert_signer: Path | None, precert_signer_key: Path | None, numbers: Path,
    profile: str, days: int, country: str, participant_key: Path | None, carrier_key: Path | None, journal: Path | None,
    logs: LogOptions, detached: bool, submit_final: bool, out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Issue a certificate for each order in a file, thousands through one connection, each logged by enough logs.

    An order is a line. CSV names its columns in the first line; JSON lines use the same names:

    \b
    id       your word for the order, which stands for it forever      (optional)
    number   numbers with their country code       range    START+COUNT       code    service provider codes
    holder   an organization; a UUID for the rcs profile
    key      its public key (SubjectPublicKeyInfo), or csr: its PKCS #10 request; DER in base64
    participant, proof   for the rcs profile, who vouches for this client: its ParticipantInformation (DER)
                         and its carrier's proof, as they came, in base64

    What vouches comes with each order, for a CA has neither key; it is verified as far as it can be. In a hierarchy for
    tests --participant-key and --carrier-key vouch instead. A client for whom nobody does gets a certificate that
    monitors warn of.

    A line that is no order is named with its number, and the others go on. By its id an order is known again in another
    run; without one, by all that it says: a second line that says the same is that order, and a fresh proof a new one.

    Run it again after an interruption, of whatever kind, with the same files: nothing is issued twice and nothing is
    lost. What was issued before is handed out again, unless it has ended. The journal knows; without it the same orders
    are new ones.

    \b
    ctlog ca issue --ca my-ca/delegate/ca.pem --numbers orders.csv --log-list log-list.json --out issued/
    ctlog ca issue --ca my-ca/rcs/ca.pem --profile rcs --numbers orders.jsonl --log https://log.example/ \\
        --log https://log.other.example/ --json > issued.jsonl

    With --submit-final the logs get each finished certificate too. One that too few of them take is handed out all the
    same, and said; the next run with --submit-final submits it again.

    A file that is there with other content is never overwritten: it is named, and the certificate stays in the journal.

    Exit code 0: all are issued; 1: some were refused, by the logs or here, or a file was in the way; 3: too few logs
    answered or took finished certificates, or a file could not be written: run it again.
    """
    if (out is None) == (not as_json):
        raise UsageError("where do the certificates go? Give --out DIR or --json")
    if journal is None and numbers == _STDIN:
        raise UsageError("orders from stdin need a --journal FILE")
    authority = open_authority(ca, ca_key)
    signer = open_authority(precert_signer, precert_signer_key, authority) if precert_signer is not None else None
    if (participant_key or carrier_key) and profile != "rcs":
        raise UsageError("--participant-key and --carrier-key are for the rcs profile")
    build = _build(profile, authority, days, country, [participant_key, carrier_key])
    work = _Work(authority, signer, build, detached or profile == "rcs", submit_final, days)
    path = journal or numbers.with_name(f"{numbers.name}.journal")
    with _orders(numbers) as (file, total):
        tally = _Tally(authority, out, total, rcs=profile == "rcs")
        try:
            _run(work, path, logs, file, tally)
        finally:
            tally.close()
    return tally.exit_code


def _build(
    profile: str, authority: Authority, days: int, country: str, stand_ins: Sequence[Path | None]
) -> Build:
    """What makes orders TBSCertificates; `stand_ins`: the files of a participant's and a carrier's key."""
    from ctlog.issuance import Key
    from ctlog.issuance.ordered import PROFILES, Terms, rcs_orders
    from ctlog.issuance.vouched import StandIns

    terms = Terms(days, lambda: now_ms() - _CLOCK_BEHIND_MS, country)
    if not any(stand_ins):
        return PROFILES[profile](authority, terms)
    keys: list[Key | None] = []
    for path in stand_ins:
        try:
            keys.append(None if path is None else Key.from_pem(path.read_bytes()))
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
    return rcs_orders(authority, terms, StandIns(*keys))


@contextmanager
def _orders(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and how many lines it has, if that can be known."""
    if path == _STDIN:
        yield sys.stdin.buffer, None
        return
    with path.open("rb") as file:
        lines = sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))
        file.seek(0)
        yield file, lines


def _run(work: _Work, path: Path, logs: LogOptions, file: BinaryIO, tally: _Tally) -> None:
    import gc

    import uvloop

    from ctlog.issuance.bulk import BulkIssuer, open_journal
    from ctlog.issuance.orders import read_orders

    async def issue_all(journal: Journal) -> None:
        async with open_logs(logs, now_ms() + work.days * _DAY_MS) as several:
            issuer = BulkIssuer(work.authority, several, journal, work.build, detached=work.detached,
                                precertificate_signer=work.signer, submit_final=work.submit_final)  # fmt: skip
            await issuer.run(read_orders(file), tally.report)

    gc.set_threshold(50_000, 20, 100)  # thousands of values are under way at once, hardly any in cycles: 5 % less CPU
    journal = open_journal(path, work.authority, detached=work.detached, precertificate_signer=work.signer)
    try:
        uvloop.run(issue_all(journal))
    finally:
        journal.close()


class _Tally:
    """Hands out each certificate, says why there is none, and counts."""

    def __init__(self, authority: Authority, out: Path | None, total: int | None, *, rcs: bool) -> None:
        """`out`: a folder; None: JSON lines on stdout. rcs: whoever vouches has to stand in each certificate."""
        self.refusals: Counter[str] = Counter()
        self.not_logged = 0
        """Finished certificates that too few logs took."""
        self.in_the_way = 0
        """Files with other content in the place of one that was to be made."""
        self._vouchers = _vouchers() if rcs else ()
        self._not_vouched = 0
        self._issued = self._before = 0
        self._out = out
        self._above = "".join(map(pem, authority.chain[:-1]))  # whoever verifies has the root
        self._bar = progress(total, "issuing", "certificates", beside_lines=out is None)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            check_folder(out)

    @property
    def exit_code(self) -> int:
        """What the run comes to, where it came to its end."""
        if self.refusals or self.in_the_way:
            return NO
        return COULD_NOT if self.not_logged else GOOD

    def report(self, outcome: Outcome) -> None:
        """One order."""
        from ctlog.issuance.bulk import Issued

        self._bar.update()
        if isinstance(outcome, Issued):
            self._issued += 1
            self._before += outcome.before
            self._not_vouched += not all(mark in outcome.certificate for mark in self._vouchers)
            self.not_logged += outcome.final is not None and not outcome.final.is_logged
            self._hand_out(outcome)
        else:
            self.refusals[outcome.reason] += 1
            self._refuse(outcome)

    def _hand_out(self, issued: Issued) -> None:
        final = issued.final
        if self._out is None:
            asked = {} if final is None else {"final": final.reason, "final_sentence": final.sentence}
            say_json({"status": "issued", "line": issued.line, "id": issued.id, "before": issued.before,
                      "certificate": base64.b64encode(issued.certificate).decode(),
                      "sct_list": base64.b64encode(issued.sct_list).decode(), **asked})  # fmt: skip
            return
        name = file_name(issued.id, issued.line)
        files = {f"{name}.pem": (pem(issued.certificate) + self._above).encode()}
        if not issued.embedded:
            files[f"{name}.pem.sct-list"] = issued.sct_list
        for file, data in files.items():
            if not keep_new(self._out / file, data):
                self.in_the_way += 1
                say(f"{_where(issued)}: file-exists: {self._out / file} is there with other content, and left as it is")
        if final is not None and not final.is_logged:
            say(f"{_where(issued)}: issued, but the finished certificate itself is in too few logs: {final.reason}: "
                f"{final.sentence}")  # fmt: skip

    def _refuse(self, refused: NotIssued) -> None:
        if self._out is None:
            say_json({"status": "refused", "line": refused.line, "id": refused.id, "reason": refused.reason,
                      "sentence": refused.sentence})  # fmt: skip
            return
        say(f"{_where(refused)}: {refused.reason}: {refused.sentence}")

    def close(self) -> None:
        """Say the sum, also of a run that ended early."""
        self._bar.close()
        if self._not_vouched:
            say_error(f"Look twice: {self._not_vouched} lack a participant's or a carrier's word; monitors warn of it.")
        if self.not_logged:
            say_error(f"{self.not_logged} finished certificates are in too few logs: run it again to submit them.")
        if self.in_the_way:
            say_error(f"{self.in_the_way} files are in the way. What was issued is in the journal: run it again with "
                      "another --out.")  # fmt: skip
        if self._out is None:
            missing = {"final_missing": self.not_logged} if self.not_logged else {}
            say_json({"status": "sum", "issued": self._issued, "before": self._before, "refused": dict(self.refusals),
                      **missing})  # fmt: skip
            return
        before = f" ({self._before} of them before)" if self._before else ""
        reasons = "".join(f", {count} {reason}" for reason, count in self.refusals.most_common())
        say_error(f"{self._issued} issued{before}, {self.refusals.total()} refused{reasons.replace(', ', ': ', 1)}")


def _where(outcome: Outcome) -> str:
    return f"line {outcome.line}{f' ({outcome.id})' if outcome.id else ''}"


def _vouchers() -> tuple[bytes, bytes]:
    """What a certificate has in it where a participant and a carrier vouch."""
    from ctlog.issuance.rcs import CARRIER_PROOF, PARTICIPANT_INFORMATION
    from ctlog.issuance.write import object_id

    return object_id(PARTICIPANT_INFORMATION), object_id(CARRIER_PROOF)


def file_name(order_id: str, line: int) -> str:
    """What an order's files are called: an id comes from strangers, and may be no path."""
    if not order_id:
        return f"_line-{line}"
    return order_id if _FILE_NAME.fullmatch(order_id) else f"_id-{hashlib.sha256(order_id.encode()).hexdigest()}"
