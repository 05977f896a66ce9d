"""What is stored, as values: positions, heads, alerts, messages to be sent, and what people answered.

In scope: the typed rows that go into the state and come out of it, and the words that stand in them. Out of scope: SQL
(`schema`), and what an alert says (`monitor.alert` makes `body`; nothing here reads it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ctlog.merkle.tree import Frontier

# Severities, as numbers so that they sort: S1 act now, S2 verify today, S3 review, S4 informational.
S1, S2, S3, S4 = 1, 2, 3, 4

# Kinds of alerts.
CERTIFICATE, MISBEHAVIOUR, HEALTH, UNREADABLE, TEST = "certificate", "misbehaviour", "health", "unreadable", "test"
# To whom an alert goes.
OWNER, OPERATOR = "owner", "operator"
# States of an alert.
NEW, ACKNOWLEDGED, SNOOZED, AUTHORISED, RESOLVED = "new", "acknowledged", "snoozed", "authorised", "resolved"
REFUSED = "refused"
# States of a message.
WAITING, SENT, DEAD, CANCELLED = "waiting", "sent", "dead", "cancelled"
NOWHERE = ""
"""Stands for the channel of messages that are stored while there is none: they wait until there is one."""
# States of a head.
UNVERIFIED, CONSISTENT, MET, CONTRADICTS = "unverified", "consistent", "met", "contradicts"
# States of an SCT.
SCT_WAITING, SCT_MERGED, SCT_BROKEN, SCT_MISSING = "waiting", "merged", "broken", "missing"
SCT_GIVEN_UP = "given-up"
SCT_STATES = (SCT_WAITING, SCT_MERGED, SCT_BROKEN, SCT_MISSING, SCT_GIVEN_UP)


@dataclass(frozen=True, slots=True)
class Position:
    """How far one log was read and proven.

    frontier: of all entries that were handed over; its size is the index of the next one. proven: of those entries of
    which the inclusion was proven; `met` is the note of the head that proved them. trusted: the note of the newest head
    that was shown to continue every one before it. None: there was no head yet.
    """

    frontier: Frontier = field(default_factory=Frontier)
    proven: Frontier = field(default_factory=Frontier)
    met: bytes | None = None
    trusted: bytes | None = None


class LogRow(NamedTuple):
    """One followed log. `start` is the first entry that was read; times are None where nothing happened yet."""

    log_id: bytes
    name: str
    url: str
    start: int
    position: Position
    last_contact_ms: int | None
    """When it last answered with a head that it signed."""
    head_size: int
    head_ms: int | None
    """Size and timestamp of the newest head that it signed, verified or not."""
    failing_since_ms: int | None
    last_error: str
    unproven_since_ms: int | None
    """Since when entries have been seen that no head has proven."""
    accused: str
    """Name of the newest evidence file; "" while the log never contradicted itself."""
    failing_reason: str = ""
    """The reason word of `last_error`; "transport" for all trouble with the network."""


class Unbegun(NamedTuple):
    """A log that could not be begun with, since when, and why."""

    since_ms: int
    error: str
    reason: str


class Gap(NamedTuple):
    """Entries [lo, hi) of a signed tree that the log does not hand out as signed; asked for again until it does."""

    log_id: bytes
    lo: int
    hi: int
    reason: str
    since_ms: int
    tried_ms: int


class HeadRow(NamedTuple):
    """A head that the log signed."""

    log_id: bytes
    size: int
    timestamp_ms: int
    root: bytes
    note: bytes
    source: str
    state: str
    first_seen_ms: int


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert about to be stored. `id` makes it unique: the second one of the same id changes nothing but the count.

    thread: what mail programs sort by (the issuance, the log). body: the whole alert as JSON. channels: the names of
    those that must deliver it; each gets a message of its own.
    """

    id: str
    kind: str
    severity: int
    rule: str
    rules: tuple[str, ...]
    addressee: str
    summary: str
    body: bytes
    channels: tuple[str, ...]
    item: str = ""
    group: str = ""
    thread: str = ""
    log_id: bytes = b""
    log_index: int | None = None
    proven: int | None = None
    answered: str = ""
    """AUTHORISED where an answer given beforehand covers it: it is stored, and nobody is told."""
    issuer: str = ""
    """Whose certificate it is about (`monitor.entry.IssuerId.text`); "" where no signature shows that."""
    is_repeat: bool = False
    """Its owner was told of this issuer for this item, has not answered, and is not told once more: the alert that told
    him counts it."""


class Told(NamedTuple):
    """Of an alert that there is: what a later one about the same issuance must know."""

    id: str
    severity: int
    rules: tuple[str, ...]


class AlertRow(NamedTuple):
    """A stored alert. `proven`: the size of the tree in which its entry's inclusion was proven; None: only seen.

    repeats: certificates by its issuer for its item since, of which nobody was told by itself; `repeated_ms`: when the
    last of them was seen.
    """

    id: str
    kind: str
    severity: int
    rule: str
    rules: tuple[str, ...]
    addressee: str
    summary: str
    body: bytes
    item: str
    group: str
    thread: str
    log_id: bytes
    log_index: int | None
    proven: int | None
    created_ms: int
    last_seen_ms: int
    times_seen: int
    status: str
    status_by: str
    status_note: str
    until_ms: int | None
    issuer: str = ""
    repeats: int = 0
    repeated_ms: int | None = None


def short_id(alert_id: str) -> str:
    """What people need of an id: enough of its hash to tell it from others, behind the words that it begins with."""
    words, dash, tail = alert_id.rpartition("-")
    return f"{words}-{tail[:8]}" if dash else alert_id[:12]


class Sighting(NamedTuple):
    """A place where the issuance of an alert stands: each log, the precertificate and the certificate."""

    alert_id: str
    log_id: bytes
    log_index: int
    proven: int | None
    seen_ms: int


class OutboxRow(NamedTuple):
    """A message that must reach one channel. `kind`: "alert", "reminder", "word" (about another channel), "test".

    due_ms: when it is sent, or sent again. tried_ms: when it was first tried in vain; None before.
    """

    id: int
    alert: AlertRow
    channel: str
    kind: str
    status: str
    due_ms: int
    created_ms: int
    attempts: int
    tried_ms: int | None
    last_error: str
    done_ms: int | None


class ChannelRow(NamedTuple):
    """How one channel fares. `failing_since_ms` is None while its last attempt succeeded.

    oldest_waiting_ms: since when the message waits that should have been sent first. It lies in the future where all
    wait for a digest, or until a snooze is over.
    """

    name: str
    last_success_ms: int | None
    failing_since_ms: int | None
    last_error: str
    waiting: int
    dead: int
    oldest_waiting_ms: int | None


class Authorisation(NamedTuple):
    """Somebody's word that something is all right: `kind` is "certificate" (the issuance), "key" or "issuer". Or, if
    `is_refusal`, that a key or an issuer is not.

    value: 32 bytes in hexadecimal for certificate and key, the issuer's id as text; item: the watched item for which it
    holds, or the name of several, "" for all.
    """

    id: int
    kind: str
    value: str
    item: str
    by: str
    note: str
    created_ms: int
    until_ms: int | None
    is_refusal: bool = False


class ItemRow(NamedTuple):
    """A watched item that was added by command: `spec` is JSON with the same members as a table of the TOML file."""

    id: str
    spec: bytes
    added_ms: int
    removed_ms: int | None


class SctRow(NamedTuple):
    """An SCT under audit. `leaf`: the MerkleTreeLeaf that it promises; `log_index`: its place, if it says one."""

    id: str
    log_id: bytes
    sct: bytes
    leaf: bytes
    timestamp_ms: int
    log_index: int | None
    source: str
    handed_ms: int
    status: str
    detail: str
    checked_ms: int | None


class CertificateRow(NamedTuple):
    """A certificate that concerned a watched item: to be judged again when its key or number is revoked, or what stands
    at its reference changes. `issuer`: the Name in DER; `serial`: the INTEGER's octets; `spki`: the key's SHA-256;
    `url`: its reference, or ""."""

    issuer: bytes
    serial: bytes
    spki: bytes
    log_id: bytes
    log_index: int
    not_after_ms: int
    url: str


class EventRow(NamedTuple):
    """A porting or SIM-change event that was handed in: `kind` "port" or "sim", `number` its digits."""

    id: int
    kind: str
    number: str
    at_ms: int
    note: str


class Snapshot(NamedTuple):
    """What stood at a URL (a CRL, a table, a scope by reference), kept whole. `body` is b"" where it did not answer."""

    url: str
    fetched_ms: int
    sha256: bytes
    body: bytes
    error: str
    first_ms: int
    """Since when this body, or this error, has stood there."""
