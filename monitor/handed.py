"""What people and their systems hand in: events, and certificates with SCTs to be audited, as values that were checked.

In scope: the JSON in which they come, over the API and in files; every refusal names the member. Pure. Out of scope:
storing it, and which logs the SCTs are of (`monitor.follow.audit`).

    {"kind": "port" or "sim", "number": "+12025550123", "at": "2026-03-01T12:00:00Z", "note": "..."}
    {"chain": [certificate, issuer, ...], "scts": [...]}      base64 of DER, of serialized SCTs; without "scts", those
                                                              that stand in the certificate
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ctlog.errors import MalformedError, UsageError
from ctlog.wire.b64 import parse_base64
from monitor.items import parse_number

EVENT_KINDS = ("port", "sim")
MAX_NOTE = 500
MAX_CHAIN = 10
MAX_SCTS = 32
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
