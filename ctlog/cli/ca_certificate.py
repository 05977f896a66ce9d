"""`ctlog ca certificate`: one certificate, logged before it is handed out: a key or a request in, a certificate out."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from ctlog.cli.ca import pem, scope, typed
from ctlog.cli.ca_logs import (
    LogOptions,
    authority_options,
    log_options,
    now_ms,
    open_authority,
    open_logs,
)
from ctlog.cli.many import ManyCommand
from ctlog.cli.new_file import check_new, write_new
from ctlog.cli.options import FILE, NEW_FILE
from ctlog.cli.output import json_option, say_error, say_json, when
from ctlog.cli.program import COULD_NOT
from ctlog.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from ctlog.issuance import Authority, Participant
    from ctlog.issuance.issuer import Issued
    from ctlog.issuance.requests import Request
    from ctlog.tn.claim_constraints import ClaimConstraints

_DAY_MS = 86_400_000

T = TypeVar("T")


class _Wanted(NamedTuple):
    """What was said about the certificate itself."""

    codes: tuple[str, ...]
    numbers: tuple[str, ...]
    ranges: tuple[str, ...]
    tel: str
    scope_url: str
    organization: str
    common_name: str
    country: str
    days: int
    constraints: ClaimConstraints | None
    participant_key: Path | None
    vendor: int
    carrier_proof: Path | None


@click.command(cls=ManyCommand)
@authority_options
@click.option("--csr", type=FILE, metavar="PEM", help="A certification request (PKCS #10), signed by its key.")
@click.option("--key", "key_file", type=FILE, metavar="PEM", help="The subject's key; the public half is enough.")
@click.option("--new-key", type=NEW_FILE, metavar="FILE", help="Make a key and write it there (unencrypted); "
              "it stays there if nothing is issued: --key takes it then.")
@click.option("--code", "codes", multiple=True, metavar="CODE ...", help="A service provider code.")
@click.option("--number", "numbers", multiple=True, metavar="DIGITS ...", help="A number with its country code.")
@click.option("--range", "ranges", multiple=True, metavar="START+COUNT ...", help="So many numbers from START on.")
@click.option("--tel", default="", metavar="DIGITS", help="A messaging client's number: the RCS profile.")
@click.option("--scope-url", default="", metavar="URL", help="Its list of numbers lies at this https URL.")
@click.option("--organization", default="", help="The subject's legal name.  [default: as in the request]")
@click.option("--common-name", default="", help="[default: SHAKEN and the code, as in the request, or a random UUID]")
@click.option("--country", default="", metavar="CODE", help="[default: as in the request, or US]")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3650), help="How long it is valid.")
@click.option("--must-include", multiple=True, metavar="CLAIM ...", help="Its PASSporTs must have this claim.")
@click.option("--must-exclude", multiple=True, metavar="CLAIM ...", help="They must not have this one (RFC 9118).")
@click.option("--permit", multiple=True, metavar="CLAIM=VALUE ...", help="A claim may have this value, and no other.")
@click.option("--participant-key", type=FILE, metavar="PEM", help="RCS: the person's durable key, which vouches.")
@click.option("--vendor", default=2, show_default=True, type=click.IntRange(0), help="RCS: the vendor's id.")
@click.option("--carrier-proof", type=FILE, metavar="FILE", help="RCS: the carrier's proof, as it came.")
@log_options
@click.option("--detached", is_flag=True, help="Leave the certificate without SCTs; log it as it is. RCS always is so.")
@click.option("--submit-final", is_flag=True, help="Submit the finished certificate as well.")
@click.option("--out", type=NEW_FILE, metavar="FILE", help="Where the certificate goes, with its CAs (PEM).  "
              "[default: stdout]")
@click.option("--sct-list", type=NEW_FILE, metavar="FILE", help="Where its SCTs go as a list (bytes).  [default: with "
              "--detached, OUT.sct-list]")
@json_option
def certificate(
    ca: Path, ca_key: Path | None, precert_signer: Path | None, precert_signer_key: Path | None, csr: Path | None,
    key_file: Path | None, new_key: Path | None, must_include: tuple[str, ...], must_exclude: tuple[str, ...],
    permit: tuple[str, ...], logs: LogOptions, detached: bool, submit_final: bool, out: Path | None,
    sct_list: Path | None, as_json: bool, **about: Any,
) -> int:  # fmt: skip
    """Issue one certificate, logged before it is handed out.

    What it is for decides its profile: --code alone is a service provider's (SHAKEN, ATIS-1000080); numbers and ranges,
    with codes or without, are a delegate's (RFC 9060), as is --scope-url; --tel is a messaging client's (RCS, RCC.16).
    The key comes from --csr, --key or --new-key.

    It is issued once enough logs have promised to show it: --scts of --operators. One log that is down is no failure. A
    CA that holds certain numbers only issues for no others.

    \b
    ctlog ca certificate --ca my-ca/shaken/ca.pem --code 709J --organization "Example Phone Co" \\
        --new-key leaf-key.pem --log-list log-list.json --log-list-key list-key.pub.pem --out leaf.pem
    ctlog ca certificate --ca my-ca/delegate/ca.pem --number 12025550123 --csr request.pem \\
        --must-exclude rcd --log https://log.example/ --log https://log.other.example/ --out leaf.pem

    Files that are there already are never overwritten.

    Exit code 0: issued; 1: refused, by the logs or here; 3: too few logs answered, so nothing was issued, or a file
    could not be written, and the certificate is printed instead.
    """
    if [csr, key_file, new_key].count(None) != 2:
        raise UsageError("whose key? Give one of --csr, --key and --new-key")
    wanted = _Wanted(constraints=_constraints(must_include, permit, must_exclude), **about)
    if wanted.tel and (wanted.codes or wanted.numbers or wanted.ranges or wanted.scope_url or wanted.constraints):
        raise UsageError("--tel is the messaging profile, which has no codes, lists or constraints")
    beside = detached or bool(wanted.tel)
    if sct_list is None and out is not None and beside:
        sct_list = out.with_name(f"{out.name}.sct-list")
    check_new(new_key, out, sct_list)  # now, for what is logged stays logged
    authority = open_authority(ca, ca_key)
    signer = open_authority(precert_signer, precert_signer_key, authority) if precert_signer is not None else None
    request, made_key = _request(csr, key_file)
    tbs = _tbs(authority, request, wanted)
    _look_twice(authority, tbs, wanted)
    if made_key is not None and new_key is not None:  # before there is a certificate for it
        write_new(new_key, made_key, 0o600)
    issued = asyncio.run(_issue(authority, signer, tbs, logs, beside, submit_final, wanted.days))
    return _hand_out(issued, out, sct_list, as_json)


def _request(csr: Path | None, key_file: Path | None) -> tuple[Request, bytes | None]:
    """The request, and the private key in PEM where one is made for it."""
    from ctlog.issuance import Key
    from ctlog.issuance.requests import Request, read_request, read_subject_key

    path = csr or key_file
    if path is None:
        key = Key.generate()
        return Request(key.spki), key.to_pem()
    try:
        return (read_request if csr is not None else read_subject_key)(path.read_bytes()), None
    except UsageError as error:
        raise UsageError(f"{path}: {error}", reason=error.reason) from None


def _constraints(
    include: tuple[str, ...], permit: tuple[str, ...], exclude: tuple[str, ...]
) -> ClaimConstraints | None:
    from ctlog.tn.claim_constraints import ClaimConstraints

    permitted: dict[str, list[str]] = {}
    for text in permit:
        claim, sign, value = text.partition("=")
        if not sign or not claim:
            raise UsageError(f"--permit {text!r} is not CLAIM=VALUE")
        permitted.setdefault(claim, []).append(value)
    if not (include or permitted or exclude):
        return None
    return ClaimConstraints(include, tuple((claim, tuple(values)) for claim, values in permitted.items()), exclude)


def _tbs(authority: Authority, request: Request, wanted: _Wanted) -> bytes:
    """The TBSCertificate of the profile that fits what was said. Raises UsageError, MalformedError, RefusedError."""
    from ctlog import issuance
    from ctlog.issuance.words import check_country, check_holder, check_scope_url

    since = now_ms() - 60_000  # for verifiers whose clock is behind
    until = since + wanted.days * _DAY_MS
    if wanted.tel:
        return _client(authority, request, wanted, since, until)
    if wanted.participant_key is not None or wanted.carrier_proof is not None:
        raise UsageError("--participant-key and --carrier-proof are for --tel", reason="rcs-only")
    country = _named("country", wanted.country, request.country or "US", check_country)
    if not (wanted.organization or request.organization):
        raise UsageError("whose certificate? Give --organization, or a request that has one")
    organization = _named("organization", wanted.organization, request.organization, check_holder)
    held = scope(wanted.codes, wanted.numbers, wanted.ranges)
    plain_code = len(wanted.codes) == 1 and not (wanted.numbers or wanted.ranges or wanted.scope_url)
    if plain_code and not wanted.common_name:
        return issuance.shaken_leaf(authority, request.spki, wanted.codes[0], organization, not_before_ms=since,
                                    not_after_ms=until, country=country, constraints=wanted.constraints)  # fmt: skip
    if wanted.scope_url:
        typed("--scope-url", wanted.scope_url, check_scope_url)
    elif not held:
        raise UsageError("for what? Give --code, --number, --range, --scope-url or --tel")
    common_name = _named("common name", wanted.common_name, request.common_name or organization, check_holder)
    subject = issuance.Subject(issuance.name(C=country, O=organization, CN=common_name), request.spki, since, until)
    return issuance.delegate_leaf(
        authority, subject, held, constraints=wanted.constraints, reference=wanted.scope_url
    )


def _client(authority: Authority, request: Request, wanted: _Wanted, since: int, until: int) -> bytes:
    """The TBSCertificate of a messaging client. Raises as `_tbs`."""
    from ctlog import issuance
    from ctlog.issuance.rcs import LEAF_DAYS, subject_name
    from ctlog.issuance.words import read_client, read_messaging_number

    if wanted.days > LEAF_DAYS:
        raise UsageError(f"RCC.16 lets a client's certificate live for {LEAF_DAYS} days at most")
    number = typed("--tel", wanted.tel, read_messaging_number).digits
    who = _named("common name", wanted.common_name, request.common_name or str(uuid.uuid4()), read_client)
    subject = issuance.Subject(subject_name(who), request.spki, since, until)
    return issuance.rcs_leaf(
        authority, subject, number, participant=_participant(authority, wanted, since, until),
        proof=_proof(wanted, since),
    )  # fmt: skip


def _named(what: str, said: str, otherwise: str, read: Callable[[str], T]) -> T:
    """A name, as it was said or as the request has it."""
    where = f"--{what.replace(' ', '-')}" if said else f"the {what} of the request,"
    return typed(where, said or otherwise, read)


def _participant(authority: Authority, wanted: _Wanted, since: int, until: int) -> Participant | None:
    from ctlog.issuance import Key, Participant
    from ctlog.issuance.vouched import vendor_of

    if wanted.participant_key is None:
        return None
    if vendor_of(authority) != wanted.vendor:
        sentence = f"--vendor {wanted.vendor} is another vendor than the CA's, which is {vendor_of(authority)}"
        raise UsageError(sentence, reason="wrong-vendor")
    try:
        key = Key.from_pem(wanted.participant_key.read_bytes())
    except UsageError as error:
        raise UsageError(f"{wanted.participant_key}: {error}") from None
    return Participant(wanted.vendor, key, since, until)


def _proof(wanted: _Wanted, since: int) -> bytes:
    from ctlog.issuance.vouched import check_proof

    if wanted.carrier_proof is None:
        return b""
    proof = wanted.carrier_proof.read_bytes()
    try:
        check_proof(proof, since)
    except RefusedError as error:
        raise RefusedError(f"{wanted.carrier_proof}: {error}", reason=error.reason) from None
    return proof


def _look_twice(authority: Authority, tbs: bytes, wanted: _Wanted) -> None:
    from ctlog.issuance.requests import check_issuable

    odd = list(check_issuable(authority, tbs, now_ms()))
    if wanted.tel and (wanted.participant_key is None or wanted.carrier_proof is None):
        odd.append("Without --participant-key and --carrier-proof it is a certificate that monitors warn of.")
    if wanted.constraints is not None and "rcdi" in wanted.constraints.must_exclude:  # RFC 9118, security
        odd.append("Without rcdi, whoever shows rich call data cannot tell whether it was changed on its way.")
    for sentence in odd:
        say_error(f"Look twice: {sentence}")


async def _issue(
    authority: Authority, signer: Authority | None, tbs: bytes, logs: LogOptions, detached: bool, submit_final: bool,
    days: int,
) -> Issued:  # fmt: skip
    from ctlog.issuance.issuer import Issuer

    async with open_logs(logs, now_ms() + days * _DAY_MS, bulk=False) as several:
        issuer = Issuer(authority, several, precertificate_signer=signer, submit_final=submit_final)
        return await (issuer.issue_detached(tbs) if detached else issuer.issue(tbs))


def _hand_out(issued: Issued, out: Path | None, sct_list: Path | None, as_json: bool) -> int:
    """Gives the exit code. What finds no place on the disk any more is printed: it is logged, and must not get lost."""
    for url, error in issued.gathered.errors.items():
        say_error(f"{url} gave no SCT: {error}.")
    if issued.final is not None and not issued.final.is_enough:
        say_error(f"The finished certificate itself is in too few logs: {issued.final.sentence}.")
    chain = "".join(map(pem, (issued.certificate, *issued.chain[:-1])))
    is_written = out is not None and _write(out, chain.encode(), "the certificate is printed instead")
    has_list = sct_list is not None and _write(sct_list, issued.sct_list, "`ctlog ca scts` asks for its SCTs again")
    code = COULD_NOT if is_written < (out is not None) or has_list < (sct_list is not None) else 0
    if as_json:
        scts = [{"log_id": one.sct.log_id.hex(), "timestamp_ms": one.sct.timestamp_ms, "index": one.leaf_index}
                for one in issued.scts]  # fmt: skip
        say_json({"certificate": base64.b64encode(issued.certificate).decode(), "embedded": issued.embedded,
                  "operators": list(issued.gathered.operators), "scts": scts,
                  "sct_list": base64.b64encode(issued.sct_list).decode()})  # fmt: skip
        return code
    for one, operator in zip(issued.scts, issued.gathered.operators, strict=True):
        say_error(f"SCT of {operator}: index {one.leaf_index}, {when(one.sct.timestamp_ms)}")
    if has_list:
        say_error(f"Its SCTs lie in {sct_list}.")
    if is_written:
        say_error(f"{out} is issued.")
    else:
        click.echo(chain, nl=False)
    return code


def _write(path: Path, data: bytes, instead: str) -> bool:
    """Whether it could be."""
    try:
        write_new(path, data)
    except OSError as error:
        say_error(f"{path} could not be written ({error.strerror or error}): {instead}.")
        return False
    return True
