"""What rules are given and what they give: the context of one judgement, and findings.

In scope: the values, all of them plain and made elsewhere: what is known from the history, from events that were handed
in, and from outside sources. What a source does not know is empty or None, and the rules that need it then say nothing.
Out of scope: fetching any of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

from ctlog.tn.labels import ONE, PREFIX, SPC, fold_code
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from monitor.holder import normalise
from monitor.rules.baseline import EMPTY_PROFILE, Profile

OWNER, OPERATOR = "owner", "operator"
NO_ROOT = "no accepted root"
"""What stands for the root in `IssuerId.text` where signatures lead to none."""
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Severity(IntEnum):
    """S1 act now, S2 verify today, S3 review, S4 informational."""

    S1 = 1
    S2 = 2
    S3 = 3
    S4 = 4


S1, S2, S3, S4 = Severity


class Finding(NamedTuple):
    """What one rule says of one entry. reason, action: one sentence each, for the one whom `to` names."""

    rule: str
    severity: Severity
    reason: str
    action: str
    to: str = OWNER


class PastClaim(NamedTuple):
    """An earlier claim, from history. label: as `ctlog.tn.labels.format_label` writes it. issuer: `IssuerId.text`.
    holder: normal form, "" if unknown. key: the first octets of SHA-256 of its SubjectPublicKeyInfo."""

    label: bytes
    issuer: str
    holder: str
    key: bytes
    not_before_ms: int
    not_after_ms: int
    logged_ms: int
    log_id: bytes = b""
    log_index: int = 0
    precert: bool = False


class Event(NamedTuple):
    """Something happened to a number: kind "port" or "sim", when, and who says so."""

    kind: str
    number: str
    at_ms: int
    note: str = ""


class Revoked(NamedTuple):
    """An entry of a CRL. issuer: Name in DER; serial: the INTEGER's octets. key: SHA-256 of the SubjectPublicKeyInfo of
    the certificate that it names, b"" if that was never seen."""

    issuer: bytes
    serial: bytes
    key: bytes
    revoked_ms: int


class Revocations:
    """CRL entries, to be asked by serial number and by key."""

    def __init__(self, entries: Iterable[Revoked] = ()) -> None:
        self._by_serial: dict[tuple[bytes, bytes], Revoked] = {}
        self._by_key: dict[bytes, list[Revoked]] = {}
        for entry in entries:
            self._by_serial[entry.issuer, entry.serial] = entry
            if entry.key:
                self._by_key.setdefault(entry.key, []).append(entry)

    def by_serial(self, issuer: bytes, serial: bytes) -> Revoked | None:
        """The entry that names this certificate."""
        return self._by_serial.get((issuer, serial))

    def by_key(self, key: bytes) -> list[Revoked]:
        """The entries that name certificates with this key."""
        return self._by_key.get(key, [])


class CodeTable:
    """Who holds which code, as far as a table says."""

    def __init__(self, holders: Mapping[str, Iterable[str]] | None = None) -> None:
        """holders: code -> names."""
        self._holders = {fold_code(code): tuple(map(normalise, names)) for code, names in (holders or {}).items()}

    def holders(self, code: str) -> tuple[str, ...]:
        """Normal forms of the names of whoever holds a code; () if the table does not know."""
        return self._holders.get(fold_code(code), ())


class Snapshot(NamedTuple):
    """What stood at the URL of a scope by reference. claims: None if it did not answer or could not be read, and then
    `problem` says why."""

    url: str
    fetched_ms: int
    claims: tuple[Claim, ...] | None
    problem: str = ""


class LogEvent(NamedTuple):
    """What following logs showed about this entry: rule "T-20" (a promise that was not kept) or "T-28" (a view that
    differs), and what it is: a sentence that names the log, without its full stop. action: what to do, where that is
    not what one does about a log that lies."""

    rule: str
    what: str
    severity: Severity = Severity.S1
    action: str = ""


class Refused(NamedTuple):
    """What the owner said is not his, and when: keys (SHA-256), issuers (text). None of it is authorised as well."""

    keys: Mapping[bytes, int] = MappingProxyType({})
    issuers: Mapping[str, int] = MappingProxyType({})


NOTHING_REFUSED = Refused()


class Authorised(NamedTuple):
    """What the owner said is all right, beforehand or after: issuances (32 octets), keys (SHA-256), issuers (text)."""

    issuances: frozenset[bytes] = frozenset()
    keys: frozenset[bytes] = frozenset()
    issuers: frozenset[str] = frozenset()


NOTHING_AUTHORISED = Authorised()


@dataclass(frozen=True, slots=True)
class Context:
    """All that a judgement of one entry for one item may look at, besides these two.

    now_ms: when it is judged. profile: of the item, without what was refused. claims: earlier claims for labels that
    the entry's claim has, or that hold it. key_uses: earlier claims with the entry's key. snapshots: of the entry's
    references, oldest first.
    known_issuers: `IssuerId.text` of every issuer that any log showed before; None if that is not kept. has_roots:
    whether the accepted roots are known. filling: the log is being filled from older records. was_there: the log had
    the entry before we had caught up with it, or the entry is read again for a new item or from further back; without
    that, whatever its timestamp says, it is news. joined_ms: when the log joined others that had been read by then, 0
    for one of the first: for items that are older nothing in it was there before. weak_keys: SHA-256 of keys known to
    be weak. attributes: OIDs (content octets) of extensions that can harm -> their names, for they have
    no assigned numbers yet.
    """

    now_ms: int
    profile: Profile = EMPTY_PROFILE
    claims: tuple[PastClaim, ...] = ()
    key_uses: tuple[PastClaim, ...] = ()
    authorised: Authorised = NOTHING_AUTHORISED
    refused: Refused = NOTHING_REFUSED
    events: tuple[Event, ...] = ()
    revocations: Revocations | None = None
    codes: CodeTable | None = None
    snapshots: tuple[Snapshot, ...] = ()
    log_events: tuple[LogEvent, ...] = ()
    known_issuers: frozenset[str] | None = None
    has_roots: bool = True
    filling: bool = False
    was_there: bool = False
    joined_ms: int = 0
    weak_keys: frozenset[bytes] = frozenset()
    attributes: Mapping[bytes, str] = field(default_factory=dict)


def say(text: str, limit: int = 80) -> str:
    """Write a text that a CA chose, safe to print and of bounded length: what does not print is written as a number."""
    shown = text if len(text) <= limit else text[:limit] + "..."
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in shown)


def sentence(text: str) -> str:
    """Begin a sentence with a capital letter."""
    return text[:1].upper() + text[1:]


def say_claim(claim: Claim | None) -> str:
    """Write what a certificate claims, for people."""
    if isinstance(claim, NumberRange):
        return f"the range +{claim.start} to +{claim.last} ({claim.count:,} numbers)"
    if isinstance(claim, ServiceProviderCode):
        return f"the code {say(claim.code)}"
    return f"the number +{claim.digits}" if isinstance(claim, TelephoneNumber) else "the item"


def say_label(label: bytes) -> str:
    """Write a label (`ctlog.tn.labels`) for people, as far as it is one of those that are asked about."""
    kind, _, value = label.decode("latin-1").partition(":")
    if kind == ONE:
        return f"+{say(value)}"
    if kind == PREFIX:
        return f"numbers of the form +{say(value)}"
    return f"the code {say(value)}" if kind == SPC else "another number or code"


def say_name(normal: str) -> str:
    """Write a name of which only the normal form (`monitor.holder`) is kept: as names are written, word by word."""
    return say(" ".join(word[:1].upper() + word[1:] for word in normal.split(" ")))


def say_issuer(text: str) -> str:
    """Write `IssuerId.text` for people: the name alone, or that nobody vouches for it."""
    name, *above = text.split(" @ ")
    if name == NO_ROOT:
        return "somebody unknown"
    return f"somebody who says to be {say_name(name)}" if NO_ROOT in above else say_name(name)


def say_day(ms: int | None) -> str:
    """Write a day in UTC, "2025-11-04"."""
    return say_time(ms).partition("T")[0]


def say_time(ms: int | None) -> str:
    """Write a time as RFC 3339 does, UTC, whole seconds: "2025-11-04T09:00:00Z"."""
    if ms is None:
        return "an unreadable date"
    try:
        return (_EPOCH + timedelta(seconds=ms // 1000)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return "a date beyond the calendar"
