"""`ctlog verify`: is this certificate in that log, and what shows it?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ctlog.cli.files import read_certificates, read_key, read_one_certificate
from ctlog.cli.many import ManyCommand
from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, say, say_error, say_json, when
from ctlog.cli.places import state_folder
from ctlog.errors import CtlogError, MalformedError, Misbehaviour, StoreError, TransportError, UsageError

if TYPE_CHECKING:
    from ctlog.cli.files import GivenKey
    from ctlog.cli.getter import Getter
    from ctlog.cli.heads import HeadFile
    from ctlog.client.inclusion import Kept
    from ctlog.client.trusted import LogPolicy, TrustedLog
    from ctlog.wire.checkpoint import SignedHead
    from ctlog.wire.rfc6962 import LogKey

_TRIES = 3


class _Seen(NamedTuple):
    """The log after its head was checked, and the head that was trusted before."""

    trusted: TrustedLog
    before: SignedHead | None


@click.command(cls=ManyCommand)
@click.argument("certificate", type=FILE, metavar="CERT")
@click.option("--log", "where", metavar="URL", help="The log's monitoring URL, or its folder.")
@click.option("--proof", type=FILE, metavar="FILE", help="Instead of --log: a proof that `ctlog prove` made; nothing "
              "is fetched.")
@click.option("--key", "key_text", required=True, metavar="KEY", help="The log's key, not taken from the log itself: "
              "PEM, base64, note verifier key, or a file with one.")
@click.option("--intermediates", multiple=True, type=FILE, metavar="PEM ...", help="The issuer's certificate; without "
              "it, the log's copy is used.")
@json_option
def verify(
    certificate: Path, where: str | None, proof: Path | None, key_text: str, intermediates: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Check that the log at URL holds the certificate in CERT.

    Checked are the certificate's own signature, by its issuer's key (whether that issuer may be trusted is not), and
    three things with nothing but the log's key: the signature of its SCT (the receipt that stands in the
    certificate; where there is none, the log is asked for the one it gave), that the entry is in the log's tree, and
    that the tree continues the one that you saw last. That last head is kept in your state folder, one for each log.

    If the log is caught in a lie, the proof is written to a file named EVIDENCE-... in this folder.

    \b
    ctlog verify cert.pem --log https://log.example/2026/ --key log-key.pem
    ctlog verify cert.pem --proof cert.tlog-proof --key log-key.pem

    Exit code 0: it is in the log; 1: it is not, or something is wrong with the log; 3: that could not be found out.
    """
    from ctlog.cli.getter import drive, getter
    from ctlog.client.inclusion import find
    from ctlog.client.issuers import IssuerPool

    if (where is None) == (proof is None):
        raise UsageError("give either --log or --proof")
    if proof is not None:
        from ctlog.cli.prove import verify_proof

        return verify_proof(certificate, proof, read_key(key_text), intermediates, as_json)
    assert where is not None
    leaf, others = read_one_certificate(certificate)
    pool = IssuerPool([*others, *(der for path in intermediates for der in read_certificates(path))])
    source = getter(where)
    now_ms = time.time_ns() // 1_000_000
    policy = policy_of(source, where, read_key(key_text))
    try:
        seen = advance_head(policy, source, now_ms)
        kept = drive(find(leaf, pool, seen.trusted, now_ms), source)
    except Misbehaviour as lie:
        report_lie(lie, as_json)
        return 1
    except CtlogError as error:
        if not as_json:
            raise
        say_json({"result": "failed", "reason": error.reason, "sentence": str(error)})
        raise
    for one in kept:
        (_say_json if as_json else _say)(certificate, leaf, one, seen, policy.ed25519 is not None)
    return 0


def policy_of(source: Getter, where: str, given: GivenKey) -> LogPolicy:
    """Which log this is. A note verifier key names the origin; else the checkpoint does, and the key vouches for it."""
    from ctlog.client.trusted import LogPolicy
    from ctlog.wire.checkpoint import parse_checkpoint
    from ctlog.wire.signed_note import parse_note

    if given.checkpoints is not None:
        key = given.key or _published_key(source)
        return LogPolicy(given.checkpoints.name, key, given.checkpoints, where)
    note = source.get("checkpoint")
    if note is None:
        raise TransportError(f"{where} has no checkpoint; is this the log's monitoring URL?", reason="no-checkpoint")
    assert given.key is not None
    return LogPolicy(parse_checkpoint(parse_note(note).text).origin, given.key, None, where)


def _published_key(source: Getter) -> LogKey:
    """The SCT key that the log publishes; heads count only with the signature of the checkpoint key that was given."""
    import binascii
    import json

    from ctlog.wire.rfc6962 import LogKey

    data = source.get("log.v3.json")
    try:
        return LogKey.from_spki(binascii.a2b_base64(json.loads(data or b"")["key"], strict_mode=True))
    except (ValueError, KeyError, TypeError, RecursionError, MalformedError):
        raise TransportError("the log names no key in log.v3.json: give its own key instead", reason="no-key") from None


def advance_head(policy: LogPolicy, source: Getter, now_ms: int) -> _Seen:
    """Bring the head that was seen last up to the log's head of now, and keep it."""
    from ctlog.cli.getter import drive
    from ctlog.cli.heads import HeadFile
    from ctlog.client.inclusion import advance

    file = HeadFile(state_folder(), policy.key.log_id)
    for attempt in range(_TRIES):
        stored = file.load()
        before = _resume(policy, file, stored)
        trusted = drive(advance(before, now_ms), source)
        if trusted.head is not None and trusted.head.note != stored:
            try:
                file.replace(stored, trusted.head.note)
            except StoreError as error:
                if error.reason == "moved" and attempt < _TRIES - 1:
                    continue
                raise
        return _Seen(trusted, before.head)
    raise AssertionError("unreachable")


def _resume(policy: LogPolicy, file: HeadFile, stored: bytes | None) -> TrustedLog:
    from ctlog.client.trusted import TrustedLog

    if stored is None:
        return TrustedLog(policy)
    try:
        return TrustedLog.resume(policy, stored)
    except CtlogError as error:
        raise StoreError(
            f"the head seen last, {file.path}, does not fit this log: {error}. If you move that file away, nothing "
            "that the log took back since then can be noticed", reason="bad-memory",
        ) from None  # fmt: skip


def report_lie(lie: Misbehaviour, as_json: bool) -> None:
    from ctlog.client.evidence import parse_evidence

    evidence = parse_evidence(lie.evidence)
    path = _write_evidence(lie.evidence, evidence.case.key.log_id)
    if as_json:
        say_json({"result": "misbehaviour", "reason": lie.reason, "sentence": str(lie), "evidence": str(path),
                  "proof": evidence.is_proof})  # fmt: skip
    what = "It is a proof: whoever has the log's key can check it" if evidence.is_proof else (
        "It is a record of what was served; somebody between you and the log can have done this, so try again from "
        "another network first"
    )  # fmt: skip
    say_error(
        f"ctlog: THE LOG CONTRADICTS ITSELF: {lie}.", f"The evidence is in {path}.", f"{what}:",
        f"ctlog verify-evidence {path}.",
        "Do not rely on this log's SCTs, and send the file to whoever told you to trust it.",
    )  # fmt: skip


def _write_evidence(text: str, log_id: bytes) -> Path:
    """In this folder, or in the state folder where that cannot be written."""
    name = time.strftime(f"EVIDENCE-{log_id[:4].hex()}-%Y%m%dT%H%M%SZ", time.gmtime())
    for folder in (Path(), state_folder()):
        for number in range(100):
            path = folder / f"{name}{f'-{number}' if number else ''}.txt"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
                return path
            except FileExistsError:
                continue
            except OSError:
                break
    raise StoreError("the evidence could not be written to any folder; here it is:\n" + text, reason="no-evidence-file")


def _say(path: Path, leaf: bytes, kept: Kept, seen: _Seen, by_checkpoint_key: bool) -> None:
    from ctlog.x509.der import parse_certificate
    from ctlog.x509.names import name_text

    sct, head = kept.verified.sct, kept.head
    where = "in the certificate" if kept.embedded else "given by the log for it"
    say(f"{path} ({name_text(parse_certificate(leaf).subject)}) is in the log {head.origin}.")
    say(f"  promised    on {when(sct.timestamp_ms)}, by the SCT {where}: signed by the log's key"
        + (", as the log itself publishes it" if by_checkpoint_key else ""))  # fmt: skip
    tiles = "1 tile" if kept.tiles == 1 else f"{kept.tiles} tiles"
    say(f"  kept        entry {kept.index} of {head.size}: proven from {tiles} to the head of "
        f"{when(head.timestamp_ms)}, signed by the key that you gave")  # fmt: skip
    if seen.before is None:
        say("  consistent  not known: this is the first head that you see of this log; from now on it is remembered")
    else:
        say(f"  consistent  the tree continues the one that you saw last, of {seen.before.size} entries, from "
            f"{when(seen.before.timestamp_ms)}")  # fmt: skip
    if kept.issuer_from_log and kept.verified.entry.issuer_key_hash:
        say("  (the issuer's certificate came from the log; the SCT's signature covers its key)")


def _say_json(path: Path, leaf: bytes, kept: Kept, seen: _Seen, by_checkpoint_key: bool) -> None:
    import hashlib

    before = seen.before and {"size": seen.before.size, "timestamp_ms": seen.before.timestamp_ms}
    value: dict[str, Any] = {
        "result": "in-log", "file": str(path), "certificate_sha256": hashlib.sha256(leaf).hexdigest(),
        "origin": kept.head.origin, "log_id": kept.verified.sct.log_id.hex(), "index": kept.index,
        "sct_timestamp_ms": kept.verified.sct.timestamp_ms, "sct_embedded": kept.embedded,
        "sct_key": "published" if by_checkpoint_key else "given", "size": kept.head.size,
        "root": kept.head.root.hex(), "head_timestamp_ms": kept.head.timestamp_ms, "consistent_with": before,
    }  # fmt: skip
    say_json(value)
