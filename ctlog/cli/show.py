"""`ctlog show`: what a certificate claims, in words."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.files import read_certificates
from ctlog.cli.output import json_option, say, say_error, say_json, when
from ctlog.errors import MalformedError

if TYPE_CHECKING:
    from ctlog.tn.identity import Identity
    from ctlog.tn.numbers import Claim
    from ctlog.x509.der import Certificate


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="CERT...",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@json_option
def show(files: tuple[Path, ...], as_json: bool) -> int:
    """Show what the certificates in the files claim: numbers, ranges, codes, issuer, validity, SCTs and findings.

    A finding is something odd. It does not make a certificate false: whether it should have been issued is for the
    owner of the number to judge. Nothing here is verified, and nothing is fetched.

    \b
    ctlog show cert.pem
    ctlog show chain.pem --json

    Exit code 0: all could be read; 1: something in a file is no certificate.
    """
    from ctlog.x509.der import parse_certificate

    now_ms = time.time_ns() // 1_000_000
    bad = 0
    for path in files:
        for number, der in enumerate(read_certificates(path), 1):
            source = str(path) if number == 1 else f"{path}#{number}"
            try:
                certificate = parse_certificate(der, source)
            except MalformedError as error:
                bad += 1
                say_error(f"ctlog: {error}.")
                continue
            value = _described(certificate, now_ms)
            if as_json:
                say_json({"file": source, **value})
            else:
                _say(source, value)
    return 1 if bad else 0


def _described(certificate: Certificate, now_ms: int) -> dict[str, Any]:
    """All that is said of a certificate, as it stands in the JSON."""
    from ctlog.tn.identity import read_identity
    from ctlog.x509.chain import is_ca
    from ctlog.x509.names import name_text
    from ctlog.x509.precert import is_precertificate

    identity = read_identity(certificate)
    kind = "precertificate" if is_precertificate(certificate) else "CA" if is_ca(certificate) else "certificate"
    return {
        "sha256": hashlib.sha256(certificate.der).hexdigest(),
        "kind": kind,
        "subject": name_text(certificate.subject),
        "issuer": name_text(certificate.issuer),
        "serial": certificate.serial.hex(),
        "not_before_ms": certificate.not_before_ms,
        "not_after_ms": certificate.not_after_ms,
        "key_sha256": hashlib.sha256(certificate.spki).hexdigest(),
        "family": identity.family,
        "numbers": identity.numbers,
        "ranges": identity.ranges,
        "codes": identity.codes,
        "by_reference": list(identity.by_reference),
        "readings": [_claim(claim) for claim in identity.readings],
        "scts": _scts(certificate),
        "findings": _findings(certificate, identity, now_ms),
    }


def _findings(certificate: Certificate, identity: Identity, now_ms: int) -> list[dict[str, str]]:
    from ctlog.x509.findings import MEANINGS, certificate_findings

    found = [{"id": one.id, "text": one.text} for one in identity.findings]
    odd = certificate_findings(certificate, now_ms)
    # "expired" is a finding at the time of logging; here it is only what the dates say.
    return found + [{"id": one, "text": MEANINGS[one][1]} for one in odd if one != "expired"]


def _scts(certificate: Certificate) -> list[dict[str, Any]]:
    from ctlog.client.sct import embedded_scts
    from ctlog.wire.rfc6962 import parse_sct
    from ctlog.wire.static_ct import parse_leaf_index

    try:
        serialized = embedded_scts(certificate.der)
    except MalformedError as error:
        return [{"unreadable": str(error)}]
    found: list[dict[str, Any]] = []
    for data in serialized:
        try:
            sct = parse_sct(data)
            index = parse_leaf_index(sct.extensions)
        except MalformedError as error:
            found.append({"unreadable": str(error)})
            continue
        found.append({"log_id": sct.log_id.hex(), "timestamp_ms": sct.timestamp_ms, "index": index})
    return found


def _claim(claim: Claim) -> str:
    from ctlog.tn.numbers import NumberRange, TelephoneNumber

    if isinstance(claim, NumberRange):
        return f"range {claim.start} to {claim.last} ({claim.count} numbers)"
    return f"number {claim.digits}" if isinstance(claim, TelephoneNumber) else f"code {claim.code}"


def international(digits: str) -> str:
    """How a number reads as E.164, for people: "+1 202-555-0123, US"; "" where it reads as none.

    It is an aid to the eye: the claim is the digits, and what they were meant to be only the issuer knows.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    region = phonenumbers.region_code_for_number(number)
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return f"{text}, {region}" if region else str(text)


def _say(source: str, value: dict[str, Any]) -> None:
    say(source)
    say(f"  {value['kind']:14}  {value['subject']}")
    say(f"  issuer          {value['issuer']}")
    say(f"  valid           {_time(value['not_before_ms'])} to {_time(value['not_after_ms'])}{_days(value)}")
    for digits in value["numbers"]:
        read = international(digits)
        say(f"  claims          number {digits}{f' ({read})' if read else ''}")
    for start, count in value["ranges"]:
        read = international(start)
        say(f"  claims          {count} numbers from {start}{f' ({read})' if read else ''}")
    for code in value["codes"]:
        say(f"  claims          service provider code {code}, and every number behind it")
    for url in value["by_reference"]:
        say(f"  claims          what {url} says, which may change")
    if not value["family"]:
        say("  claims          no number")
    for reading in value["readings"]:
        say(f"  may be read as  {reading}")
    for sct in value["scts"]:
        say(f"  SCT             {_sct(sct)}")
    if not value["scts"]:
        say("  SCT             none")
    for finding in value["findings"]:
        say(f"  finding         {finding['id']}: {finding['text']}")
    say(f"  SHA-256         {value['sha256']}")


def _sct(sct: dict[str, Any]) -> str:
    if "unreadable" in sct:
        return f"unreadable: {sct['unreadable']}"
    place = "" if sct["index"] is None else f", as entry {sct['index']}"
    return f"of log {sct['log_id'][:16]}..., {when(sct['timestamp_ms'])}{place}; not verified here"


def _time(ms: int | None) -> str:
    return "an unreadable date" if ms is None else when(ms)


def _days(value: dict[str, Any]) -> str:
    start, end = value["not_before_ms"], value["not_after_ms"]
    if start is None or end is None:
        return ""
    days = (end - start) / 86_400_000
    return f" ({round(days) if abs(days) >= 100 else f'{days:.3g}'} days)"
