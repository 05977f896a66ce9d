"""`ctlog ca`: the CA's side. A hierarchy for tests, certificates that are logged before they are handed out, SCTs.

In scope here: which commands there are, and `init`, `scts`. `ctlog.cli.ca_certificate` issues one,
`ctlog.cli.ca_issue` thousands.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from ctlog.cli.ca_logs import LogOptions, log_options, now_ms, policy, reading
from ctlog.cli.files import read_one_certificate
from ctlog.cli.many import ManyCommand
from ctlog.cli.new_file import check_new, write_new
from ctlog.cli.options import FILE, NEW_FILE
from ctlog.cli.output import json_option, say, say_error, say_json, when
from ctlog.cli.program import LazyGroup
from ctlog.errors import CtlogError, MalformedError, UsageError

if TYPE_CHECKING:
    from ctlog.client.sct import VerifiedSct
    from ctlog.issuance.hierarchy import Member

T = TypeVar("T")

_SHOWN = 80  # characters of a word that is none

# Name: the module that holds it. The order is the order of `ctlog ca --help`.
_COMMANDS = {
    "init": "ctlog.cli.ca",
    "certificate": "ctlog.cli.ca_certificate",
    "issue": "ctlog.cli.ca_issue",
    "scts": "ctlog.cli.ca",
}

_PLACES = ("shaken/root", "shaken/ca", "shaken/precert-signer", "delegate/ca", "rcs/root", "rcs/ca")
VOUCHING = ("rcs/participant-key.pem", "rcs/carrier-key.pem")

WARNING = """\
The keys in this folder are for tests. They were made on this machine, lie here unencrypted, and whoever
reads them can issue certificates for any number. Never have a CA of theirs accepted where it matters.
A real CA keeps its keys in an HSM and hands ctlog an object that signs: see docs/issue-certificates.md.
"""


@click.group(cls=LazyGroup, lazily=_COMMANDS)
def ca() -> None:
    """Issue certificates for telephone numbers, each logged before it is handed out.

    \b
    A hierarchy for tests:   ctlog ca init my-ca --range 12025550100+100
    One certificate:         ctlog ca certificate --ca my-ca/shaken/ca.pem --code 709J \\
                                 --organization "Example" --new-key leaf-key.pem \\
                                 --log-list log-list.json --out leaf.pem
    Thousands:               ctlog ca issue --ca my-ca/delegate/ca.pem --numbers orders.csv \\
                                 --log-list log-list.json --out issued/

    A certificate that is logged carries SCTs, receipts that logs signed for it. Whoever is called checks them; whoever
    owns the number sees the certificate in the log. A real CA keeps its key in an HSM and calls the library with it
    (docs/issue-certificates.md); here keys are files.
    """


# A hierarchy for tests ------------------------------------------------------------------------------------------------


@click.command(cls=ManyCommand)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--label", default="Example", show_default=True, help="Stands in the names of all CAs, beside \"Test\".")
@click.option("--country", default="US", show_default=True, metavar="CODE")
@click.option("--range", "ranges", multiple=True, metavar="START+COUNT ...", help="Numbers that the delegate CA "
              "holds (RFC 9060).  [default: 12025550100+100]")
@click.option("--code", "codes", multiple=True, metavar="CODE ...", help="Service provider codes that it holds.")
def init(directory: Path, label: str, country: str, ranges: tuple[str, ...], codes: tuple[str, ...]) -> int:
    """Make a whole hierarchy for tests in DIR, which must not be there yet.

    \b
    DIR/roots.pem            what a log accepts: ctlog create LOG --roots DIR/roots.pem ...
    DIR/shaken/              a root, an STI-CA, and a signer of precertificates for it
    DIR/delegate/            a CA below the STI-CA for the given numbers only (RFC 9060)
    DIR/rcs/                 a messaging vendor: a root and its CA (RCC.16); and the keys of a participant
                             and a carrier, who vouch for its clients

    Beside each CA.pem (its certificate and those above it) lies CA-key.pem. These keys are for tests, and for nothing
    else: they lie there unencrypted.
    """
    from ctlog.issuance import Key
    from ctlog.issuance.hierarchy import make_hierarchy

    if directory.exists():
        raise UsageError(f"{directory} is there already; nothing is overwritten")
    made = make_hierarchy(now_ms(), scope(codes, (), ranges or ("12025550100+100",)), label=label, country=country)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{directory.name[:60]}.", dir=directory.parent) as beside:
        unfinished = Path(beside) / "unfinished"
        for folder in ("shaken", "delegate", "rcs"):
            (unfinished / folder).mkdir(parents=True)
        (unfinished / "KEYS-ARE-FOR-TESTS.txt").write_text(WARNING)
        (unfinished / "roots.pem").write_text("".join(map(pem, made.roots)))
        for place, member in zip(_PLACES, made, strict=True):
            _write(unfinished / place, member)
        for place in VOUCHING:
            write_new(unfinished / place, Key.generate().to_pem(), 0o600)
        unfinished.rename(directory)
    for place, member in zip(_PLACES, made, strict=True):
        say(f"{directory / place}.pem  {_name(member)}")
    for place in VOUCHING:
        say(f"{directory / place}  for `ctlog ca issue --profile rcs`")
    say(f"{directory / 'roots.pem'}  both roots, for `ctlog create --roots` and `ctlog verify-service --roots`")
    say_error("The keys beside them are for tests, and for nothing else.")
    return 0


def _write(place: Path, member: Member) -> None:
    place.with_name(f"{place.name}.pem").write_text("".join(map(pem, member.authority.chain)))
    write_new(place.with_name(f"{place.name}-key.pem"), member.key.to_pem(), 0o600)


def _name(member: Member) -> str:
    from ctlog.x509.names import name_text

    return name_text(member.authority.name)


def pem(der: bytes) -> str:
    """RFC 7468."""
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


def scope(codes: tuple[str, ...], numbers: tuple[str, ...], ranges: tuple[str, ...]) -> bytes:
    """A TNAuthorizationList of what was typed; b"" for nothing. Raises UsageError that names the odd one."""
    from ctlog.issuance.words import read_code, read_number, read_range
    from ctlog.tn.numbers import Claim
    from ctlog.tn.tnauthlist import format_tnauthlist

    claims: list[Claim] = [typed("--code", code, read_code) for code in codes]
    try:
        claims += [typed("--range", text, read_range) for text in ranges]
        claims += [typed("--number", number, read_number) for number in numbers]
    except UsageError as error:
        sentence = f"{error}. Numbers are digits with the country code, without + or spaces"
        raise UsageError(sentence, reason=error.reason) from None
    return format_tnauthlist(claims) if claims else b""


def typed(where: str, text: str, read: Callable[[str], T]) -> T:
    """What a rule of `ctlog.issuance.words` makes of a word. Raises UsageError that names the option and the word."""
    try:
        return read(text)
    except MalformedError as error:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise UsageError(f"{where} {shown!r}: {error}", reason=error.reason) from None


# SCTs beside a certificate --------------------------------------------------------------------------------------------


@click.command(cls=ManyCommand)
@click.argument("certificate", type=FILE, metavar="CERT")
@log_options
@click.option("--out", type=NEW_FILE, metavar="FILE", help="Where the list goes (bytes).  [default: base64 on stdout]")
@json_option
def scts(certificate: Path, logs: LogOptions, out: Path | None, as_json: bool) -> int:
    """Ask logs for the SCTs of a certificate that carries none, and write them as a list that travels beside it.

    For profiles that forbid the SCT extension (RCS messaging, SHAKEN to the letter): such a certificate is logged as it
    is, and each log tells its SCT again to whoever asks. CERT is PEM or DER; issuers that follow it are used. Every SCT
    is verified.

    \b
    ctlog ca scts client.pem --log-list log-list.json --out client.sct-list

    The list is written also where they are too few. A file that is there already is never overwritten.

    Exit code 0: enough SCTs, --scts of --operators; 1: too few.
    """
    from ctlog.client.several import ENOUGH, judge

    check_new(out)
    leaf, above = read_one_certificate(certificate)
    found, problems = asyncio.run(_ask(leaf, above, logs))
    for problem in problems:
        say_error(f"{problem}.")
    judged = judge(policy(logs), [one.operator for one in found])
    _say_list(found, judged, out, as_json)
    if judged == ENOUGH:
        return 0
    told = f"{len(found)} SCTs of {len({one.operator for one in found})} operators"
    say_error(f"{judged}: {told}; --scts {logs.scts} of --operators {logs.operators} would be enough.")
    return 1


class _Found(NamedTuple):
    """A log's SCT, and who runs the log."""

    promise: VerifiedSct
    operator: str


async def _ask(leaf: bytes, above: list[bytes], options: LogOptions) -> tuple[list[_Found], list[CtlogError]]:
    from ctlog.client.detached import fetch_sct

    found, problems = [], []
    async with reading(options) as (http, logs):
        asked = [fetch_sct(http, log.reads, log.key, leaf, above, now_ms()) for log in logs]
        for log, answer in zip(logs, await asyncio.gather(*asked, return_exceptions=True), strict=True):
            if isinstance(answer, CtlogError):
                problems.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.append(_Found(answer, log.operator))
    return found, problems


def _say_list(found: list[_Found], judged: str, out: Path | None, as_json: bool) -> None:
    from ctlog.issuance.issue import detached_list

    scts = [one.promise for one in found]
    data = detached_list(scts) if scts else b""
    if as_json:
        told = [{"log_id": one.sct.log_id.hex(), "timestamp_ms": one.sct.timestamp_ms, "index": one.leaf_index}
                for one in scts]  # fmt: skip
        say_json({"scts": told, "operators": [one.operator for one in found], "status": judged,
                  "sct_list": base64.b64encode(data).decode()})  # fmt: skip
    else:
        for one in scts:
            say_error(f"{one.sct.log_id.hex()}  {when(one.sct.timestamp_ms)}  index {one.leaf_index}")
        if out is None and scts:
            say(base64.b64encode(data).decode())
    if out is not None and scts:
        write_new(out, data)
