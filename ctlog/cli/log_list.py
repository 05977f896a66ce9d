"""`ctlog log-list`: the signed list of logs that verifiers trust: made, changed, signed, shown (docs/log-list.md)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, say, say_json, when
from ctlog.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from ctlog.client.log_list import LogList

_NEW = click.Path(dir_okay=False, path_type=Path)
_STATES = ("pending", "qualified", "usable", "readonly", "retired", "rejected")
_MEMBERS = ("description", "log_id", "key", "mmd", "submission_url", "monitoring_url", "temporal_interval")


@click.group(name="log-list")
def log_list() -> None:
    """Make, sign and show the list of logs whose SCTs are trusted.

    \b
    ctlog log-list add log-list.json https://log.example/2026/ --operator "Example Inc"
    ctlog log-list state log-list.json <log id> retired --since 2027-01-01T00:00:00Z
    openssl genpkey -algorithm ed25519 -out list-key.pem
    ctlog log-list sign log-list.json --key list-key.pem
    ctlog log-list show log-list.json --key list-key.pub.pem
    """


@log_list.command()
@click.argument("file", type=_NEW)
@click.argument("where", metavar="URL")
@click.option("--operator", required=True, help="Who runs the log; logs of one operator count as one voice.")
@click.option("--state", type=click.Choice(_STATES), default="usable", show_default=True)
@click.option("--since", metavar="TIME", help="Since when it is in that state (RFC 3339); default: now.")
def add(file: Path, where: str, operator: str, state: str, since: str | None) -> int:
    """Put the log at URL (or in a folder) into FILE, which is made if it is not there.

    What the log says of itself in log.v3.json is taken over. Compare its key with one that you have from elsewhere.
    """
    from ctlog.cli.getter import getter

    data = getter(where).get("log.v3.json")
    try:
        said = json.loads(data or b"")
        log = {name: said[name] for name in _MEMBERS if name in said}
        log["state"] = {state: {"timestamp": since or _now()}}
    except (ValueError, TypeError, RecursionError):
        raise UsageError(f"{where} has no log.v3.json that can be read") from None
    value: dict[str, Any] = _read(file) if file.exists() else {"version": "0", "operators": []}
    entry: dict[str, Any] | None = next((one for one in value["operators"] if one.get("name") == operator), None)
    if entry is None:
        entry = {"name": operator, "email": [], "tiled_logs": []}
        value["operators"].append(entry)
    entry.setdefault("tiled_logs", []).append(log)
    found = _write(file, value)
    say(f"{file} now has {len(found)} logs; {log.get('description', '')} has the id {log.get('log_id', '')}.")
    return 0


@log_list.command(name="state")
@click.argument("file", type=FILE)
@click.argument("log_id", metavar="LOG-ID")
@click.argument("name", type=click.Choice(_STATES))
@click.option("--since", metavar="TIME", help="From when on (RFC 3339), which may be ahead; default: now.")
def change_state(file: Path, log_id: str, name: str, since: str | None) -> int:
    """Say that a log is in another state from a time on. Earlier states stay; one of the same name is replaced."""
    value = _read(file)
    for operator in value["operators"]:
        for log in (*operator.get("logs", []), *operator.get("tiled_logs", [])):
            if log.get("log_id") == log_id:
                log["state"][name] = {"timestamp": since or _now()}
                _write(file, value)
                return 0
    raise UsageError(f"{file} has no log with the id {log_id}")


@log_list.command()
@click.argument("file", type=FILE)
@click.option("--key", "key_file", required=True, type=FILE, help="The private key that signs: PEM, unencrypted.")
def sign(file: Path, key_file: Path) -> int:
    """Date FILE now, and sign it into FILE.sig: Ed25519, ECDSA on P-256 or RSA, as the key is."""
    value = _read(file)
    version = str(value.get("version", "0"))
    value["version"] = str(int(version) + 1) if version.isdecimal() else version
    _write(file, value)
    signature = _signature(file.read_bytes(), key_file)
    target = file.with_name(file.name + ".sig")
    _replace(target, signature)
    say(f"{target} is the signature of {file}, version {value['version']}.")
    return 0


@log_list.command()
@click.argument("file", type=FILE)
@click.option("--key", "key_file", type=FILE, help="The public key that must have signed it: PEM.")
@json_option
def show(file: Path, key_file: Path | None, as_json: bool) -> int:
    """Show the logs in FILE and their states. With --key, only if FILE.sig is a signature by that key."""
    from ctlog.client.log_list import ListKey, parse_log_list
    from ctlog.client.log_list_file import LogListFile

    now_ms = time.time_ns() // 1_000_000
    if key_file is not None:
        found = LogListFile(file, [ListKey.from_pem(key_file.read_bytes())]).load(now_ms)
    else:
        found = parse_log_list(file.read_bytes())
    days = (now_ms - found.timestamp_ms) // 86_400_000
    if as_json:
        say_json({"version": found.version, "timestamp_ms": found.timestamp_ms, "signed": key_file is not None,
                  "stale": found.is_stale(now_ms), "logs": [
                      {"log_id": log.log_id.hex(), "operator": log.operator, "description": log.description,
                       "state": log.state_at(now_ms), "tiled": log.tiled} for log in found.logs]})  # fmt: skip
        return 0
    signed = "signed by the key that you gave" if key_file is not None else "signature not checked: give --key"
    stale = ", STALE" if found.is_stale(now_ms) else ""
    say(f"{file}: version {found.version} of {when(found.timestamp_ms)}, {days} days old{stale}; {signed}")
    for log in found.logs:
        say(f"  {log.state_at(now_ms):10} {log.operator}: {log.description or log.submission_url}")
        say(f"  {'':10} {log.log_id.hex()}")
    return 0


def _read(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("operators"), list):
        raise UsageError(f"{file} is no log list: it has no operators")
    return value


def _write(file: Path, value: dict[str, Any]) -> LogList:
    """Date the list, and write it only if verifiers could read it."""
    from ctlog.client.log_list import parse_log_list

    value["log_list_timestamp"] = _now()
    data = json.dumps(value, indent=2).encode() + b"\n"
    try:
        found = parse_log_list(data)
    except MalformedError as error:
        raise UsageError(f"nothing is written, for no verifier could read it: {error}") from None
    _replace(file, data)
    return found


def _replace(file: Path, data: bytes) -> None:
    """A reader sees the old file or the new one, never half of it."""
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(data)
    new.replace(file)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _signature(data: bytes, key_file: Path) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    from ctlog.client.log_list import ListKey

    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{key_file} holds no unencrypted private key in PEM: {error}") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(data)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise UsageError(f"{key_file} is of a kind that cannot sign lists")
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    ListKey.from_pem(public).verify(data, signature)
    return signature
