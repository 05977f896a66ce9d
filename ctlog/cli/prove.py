"""`ctlog prove`, and `ctlog verify --proof`: a proof beside a certificate, made online and checked offline."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from ctlog.cli.files import GivenKey, read_certificates, read_key, read_one_certificate
from ctlog.cli.many import ManyCommand
from ctlog.cli.options import FILE
from ctlog.cli.output import say, say_error, say_json, when
from ctlog.errors import CtlogError, Misbehaviour


@click.command(cls=ManyCommand)
@click.argument("certificate", type=FILE, metavar="CERT")
@click.option("--log", "where", required=True, metavar="URL", help="The log's monitoring URL, or its folder.")
@click.option("--key", "key_text", required=True, metavar="KEY", help="The log's key, not taken from the log itself: "
              "PEM, base64, note verifier key, or a file with one.")
@click.option("--intermediates", multiple=True, type=FILE, metavar="PEM ...", help="The issuer's certificate; without "
              "it, the log's copy is used.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where to write "
              "the proof; without it, standard output.")
def prove(
    certificate: Path, where: str, key_text: str, intermediates: tuple[Path, ...], output: Path | None
) -> int:
    """Make a proof that the log holds the certificate in CERT, to be carried beside it.

    Everything that `ctlog verify` checks is checked first. Whoever has the proof and the log's key needs no network:

    \b
    ctlog prove cert.pem --log https://log.example/2026/ --key log-key.pem > cert.tlog-proof
    ctlog verify cert.pem --proof cert.tlog-proof --key log-key.pem

    The file is a tlog-proof@v1 (c2sp.org/tlog-proof).
    """
    from ctlog.cli.getter import drive, getter
    from ctlog.cli.verify import advance_head, policy_of, report_lie
    from ctlog.client.inclusion import find
    from ctlog.client.issuers import IssuerPool
    from ctlog.client.stapled import format_stapled, verify_stapled

    leaf, others = read_one_certificate(certificate)
    pool = IssuerPool([*others, *(der for path in intermediates for der in read_certificates(path))])
    source = getter(where)
    now_ms = time.time_ns() // 1_000_000
    given = read_key(key_text)
    policy = policy_of(source, where, given)
    try:
        seen = advance_head(policy, source, now_ms)
        kept = drive(find(leaf, pool, seen.trusted, now_ms), source)
    except Misbehaviour as lie:
        report_lie(lie, False)
        return 1
    data = format_stapled(kept[0])
    verify_stapled(leaf, data, given.key, now_ms, checkpoints=given.checkpoints)  # as whoever gets it will
    if output is None:
        sys.stdout.buffer.write(data)
    else:
        output.write_bytes(data)
        say_error(f"{output}: entry {kept[0].index} of {kept[0].head.size} of {kept[0].head.origin}.")
    return 0


def verify_proof(
    certificate: Path, proof: Path, given: GivenKey, intermediates: tuple[Path, ...], as_json: bool
) -> int:
    """`ctlog verify --proof`: nothing is fetched, and nothing remembered."""
    import hashlib

    from ctlog.client.issuers import IssuerPool, check_issued
    from ctlog.client.stapled import verify_stapled
    from ctlog.x509.der import parse_certificate
    from ctlog.x509.names import name_text

    leaf, others = read_one_certificate(certificate)
    issuers = [*others, *(der for path in intermediates for der in read_certificates(path))]
    now_ms = time.time_ns() // 1_000_000
    try:
        found = verify_stapled(
            leaf, proof.read_bytes(), given.key, now_ms, checkpoints=given.checkpoints, issuers=issuers
        )
        parsed = parse_certificate(leaf)
        above = IssuerPool(issuers).issuers(parsed)
        if above:
            check_issued(parsed, above[0])
    except CtlogError as error:
        if as_json:
            say_json({"result": "failed", "reason": error.reason, "sentence": str(error)})
        raise
    if as_json:
        say_json({
            "result": "proven", "file": str(certificate), "certificate_sha256": hashlib.sha256(leaf).hexdigest(),
            "origin": found.origin, "index": found.index, "size": found.size, "root": found.root.hex(),
            "sct_timestamp_ms": found.timestamp_ms, "sct_checked": found.sct_checked,
            "head_timestamp_ms": found.head_ms, "issuer_checked": bool(above),
        })  # fmt: skip
        return 0
    say(f"{certificate} ({name_text(parsed.subject)}) is in the log {found.origin}.")
    say(f"  proven      entry {found.index} of {found.size}, by {proof}, signed by the key that you gave"
        + (f" on {when(found.head_ms)}" if found.head_ms is not None else ""))  # fmt: skip
    if found.sct is None:
        say(f"  logged      on {when(found.timestamp_ms)} (no SCT is needed, and none is here: the entry was seen)")
    else:
        say(f"  promised    on {when(found.timestamp_ms)}"
            + (", by the SCT in the proof: signed by the log's key" if found.sct_checked else
               " (the SCT's signature is not checked: that needs the log's own key)"))  # fmt: skip
    say("  issued      signed by its issuer, whose certificate you gave" if above else
        "  issued      NOT CHECKED: without its issuer's certificate (--intermediates) nobody can tell whether its own "
        "signature is forged")  # fmt: skip
    return 0
