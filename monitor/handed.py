"""What people and their systems hand in: events, certificates with SCTs to be audited, heads of logs, as values that
were checked.

In scope: the JSON in which they come, over the API and in files; every refusal names the member. Pure. Out of scope:
storing it, which logs the SCTs are of (`monitor.follow.audit`), and comparing heads (`monitor.follow.heads`).

    {"kind": "port" or "sim", "number": "+12025550123", "at": "2026-03-01T12:00:00Z", "note": "..."}
    {"chain": [certificate, issuer, ...], "scts": [...]}      base64 of DER, of serialized SCTs; without "scts", those
                                                              that stand in the certificate
    {"head": {"tree_size": ...}} or {"head": "a checkpoint"}  as get-sth gives it (RFC 6962 section 4.3), or a note
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ctlog.client.trusted import LogPolicy
from ctlog.errors import MalformedError, UsageError
from ctlog.wire.b64 import parse_base64
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import sth_from_json
from monitor.items import parse_number

EVENT_KINDS = ("port", "sim")
MAX_NOTE = 500
MAX_CHAIN = 10
MAX_SCTS = 32
MAX_HEAD = 65_536
AHEAD_MS = 86_400_000
"""An event may lie so far ahead: clocks differ, and ports are scheduled."""


class HandedEvent(NamedTuple):
    """Something happened to a number, which is digits."""

    kind: str
    number: str
    at_ms: int
    note: str


class HandedChain(NamedTuple):
    """A certificate with its issuers, nearest first, and SCTs; () means those in the certificate."""

    certificate: bytes
    issuers: tuple[bytes, ...]
    scts: tuple[bytes, ...]


def read_event(value: object, now_ms: int) -> HandedEvent:
    """Read an event; without "at" it happens now. Raises UsageError."""
    members = _object(value, ("kind", "number", "at", "note"), "an event")
    kind, number, note = members.get("kind"), members.get("number"), members.get("note", "")
    if kind not in EVENT_KINDS:
        raise UsageError(f"{kind!r} is no event: `kind` is port or sim")
    if not isinstance(number, str):
        raise UsageError('`number` is a text, such as "+12025550123"')
    if not isinstance(note, str):
        raise UsageError("`note` is a text")
    at_ms = now_ms if members.get("at") is None else _moment(members["at"])
    if at_ms > now_ms + AHEAD_MS:
        raise UsageError("`at` lies more than a day ahead: events are handed in when they happen")
    return HandedEvent(str(kind), parse_number(number).digits, at_ms, note[:MAX_NOTE])


def read_chain(value: object) -> HandedChain:
    """Read a certificate with its chain and SCTs. Raises UsageError."""
    members = _object(value, ("chain", "scts"), "a submission")
    chain = _binaries(members, "chain", MAX_CHAIN)
    if not chain:
        raise UsageError("`chain` holds no certificate")
    return HandedChain(chain[0], chain[1:], _binaries(members, "scts", MAX_SCTS))


def read_head(value: object) -> bytes:
    """The head in a submission, as `open_head` takes it. Raises UsageError."""
    head = _object(value, ("head",), "a submission").get("head")
    if not isinstance(head, str | dict):
        raise UsageError("`head` is a checkpoint as a text, or what get-sth answered")
    return head.encode("utf-8", "replace") if isinstance(head, str) else json.dumps(head).encode()


def open_head(data: bytes, policy: LogPolicy) -> SignedHead:
    """A head that somebody has from elsewhere: the JSON of get-sth, or a checkpoint (c2sp.org/tlog-checkpoint), whose
    last line may lack its end. Raises MalformedError; SignatureError for one that this log did not sign."""
    if len(data) > MAX_HEAD:
        raise MalformedError(f"a head has no more than {MAX_HEAD} bytes", field="head")
    if data.lstrip()[:1] != b"{":
        return policy.open(data if data.endswith(b"\n") else data + b"\n")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedError("this begins like get-sth's answer, and is no JSON", field="head") from None
    return policy.open_sth(sth_from_json(value))


def _object(value: object, known: tuple[str, ...], what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} is a JSON object")
    for name in value:
        if name not in known:
            raise UsageError(f"{what} has no member {name!r}; there are {', '.join(known)}")
    return value


def _binaries(members: Mapping[str, Any], name: str, most: int) -> tuple[bytes, ...]:
    value = members.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"`{name}` is a list of texts in base64")
    if len(value) > most:
        raise UsageError(f"`{name}` has {len(value)} members, and at most {most} are taken")
    try:
        return tuple(parse_base64(each, f"{name}[{at}]") for at, each in enumerate(value))
    except MalformedError as error:
        raise UsageError(f"`{error.field or name}`: {error}") from None


def _moment(value: object) -> int:
    text = value if isinstance(value, str) else ""
    whole = f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text
    try:
        moment = datetime.fromisoformat(whole)
        if moment.tzinfo is None:
            raise ValueError
        at_ms = int(moment.astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(f"`at`: {value!r} is no moment with its time zone, such as 2026-03-01T12:00:00Z") from None
    if at_ms < 0:
        raise UsageError("`at` lies before 1970")
    return at_ms
