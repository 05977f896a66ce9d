"""Is all well? What is stored about logs, channels and the monitor's own parts, turned into alerts to the operator.

In scope: which troubles there are now, each with an id that stays the same as long as it lasts, so that it is raised
once, and over when it is no longer here. Transport trouble, silence and backlog are told as what they are and never as
misbehaviour; a log that contradicts itself is told elsewhere (`monitor.follow.misbehaviour`), and never as backlog.
Pure. Out of scope: storing, resolving, and asking again (`monitor.daemon`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.alert_text import in_monitor
from monitor.rules.values import say, say_time
from monitor.state.rows import HEALTH, OPERATOR, S1, S2, S3, ChannelRow, Gap, LogRow, NewAlert

PREFIX = "health-"
"""Begins the id of every alert from here."""
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
TROUBLE_MS = 15 * MINUTE_MS
"""After so long a log, or a channel, that fails is told."""
BEHIND_MS = HOUR_MS
UNPROVEN_MS = HOUR_MS
LATE_MS = HOUR_MS
PART_MS = 5 * MINUTE_MS
"""After so long a part of the monitor that fails is told."""
TRANSPORT = "transport"
WRONG_KEY = frozenset(("bad-signature", "wrong-origin", "unsigned"))
"""Reasons for which a head is not that of the log that is configured."""
FULL = "history-full"
"""The reason for which a log is not begun with (`monitor.history.FULL`)."""
SOURCE_MS = 6 * HOUR_MS
"""After so long an outside source that fails is told."""


class Trouble(NamedTuple):
    """Something that is not as it should be. `kind` and `subject` are its identity; `about`: the log, if it is one."""

    kind: str
    subject: str
    severity: int
    summary: str
    reason: str
    next: str
    about: bytes = b""
    not_over: str = ""
    """A channel over which this cannot be told."""
    is_young: bool = False
    """It does not last long enough to be told; but nobody says meanwhile that all is well."""

    @property
    def id(self) -> str:
        """Of its alert."""
        return f"{PREFIX}{self.kind}-{hashlib.sha256(f'{self.kind} {self.subject}'.encode()).hexdigest()[:32]}"


class Behind(NamedTuple):
    """A log was `target` entries long at `since_ms`, and is not read that far yet. per_s, left_s: as it goes now."""

    target: int
    since_ms: int
    per_s: float = 0.0
    left_s: float | None = None


class Failure(NamedTuple):
    """A source, a file or a part of the monitor fails since then; `sentence` says how. `is_grave`: told at once."""

    sentence: str
    since_ms: int
    is_grave: bool = False


@dataclass(frozen=True, slots=True)
class Vitals:
    """All that health looks at.

    logs: those that are followed now. added_ms, mmd_ms: by log id, since when, and the merge delay that it promises.
    sources: outside sources by name. parts: of the monitor itself, by what they do. lost: names of logs that no list
    names any more. channels: how they fare; configured: those that there are; None: not known.
    """

    logs: Sequence[LogRow] = ()
    gaps: Sequence[Gap] = ()
    added_ms: Mapping[bytes, int] = field(default_factory=dict)
    mmd_ms: Mapping[bytes, int] = field(default_factory=dict)
    behind: Mapping[bytes, Behind] = field(default_factory=dict)
    channels: Sequence[ChannelRow] = ()
    configured: frozenset[str] | None = None
    sources: Mapping[str, Failure] = field(default_factory=dict)
    parts: Mapping[str, Failure] = field(default_factory=dict)
    store: Failure | None = None
    """The state cannot be written."""
    homeless: Sequence[str] = ()
    """Who names channels that there are not, and which."""
    lost: Sequence[str] = ()
    items: int | None = None
    """How many are watched; None: not known."""
    followed: int | None = None
    """How many logs there are to be read; None: not known."""
    roots: int | None = None
    """How many [[roots]] are configured; None: not known."""
    began_ms: int = 0
    """Before that time nobody looked: that a log was silent then is none of its faults."""
    mistake: str = ""
    """What is wrong with the configuration or the watch list as they are in their files now; "" if nothing."""
    monitor: str = ""
    """The monitor's folder, for the commands that are named; "" for where one is."""


def troubles(now_ms: int, vitals: Vitals) -> list[Trouble]:
    """Everything that is not well."""
    found = list(_of_setup(vitals))
    if vitals.store is not None:
        found.insert(0, store_trouble(vitals.store))
    gaps: dict[bytes, list[Gap]] = {}
    for gap in vitals.gaps:
        gaps.setdefault(gap.log_id, []).append(gap)
    for log in vitals.logs:
        found += _of_log(now_ms, log, vitals, gaps.get(log.log_id, []))
    for channel in vitals.channels:
        found += _of_channel(now_ms, channel, channel.name in (vitals.configured or ()))
    found += _of_sources(now_ms, vitals.sources)
    for name, failure in vitals.parts.items():
        if now_ms - failure.since_ms < PART_MS or (failure.is_grave and vitals.store is not None):
            continue
        sentence = f"The part of the monitor that {name} fails since {say_time(failure.since_ms)}: {failure.sentence}"
        found.append(Trouble("part", name, S2, f"The monitor fails: {name}", sentence, _ASK_US))
    for sentence in vitals.homeless:
        said = f"{say(sentence, 200)}. Operators are told instead."
        found.append(Trouble("no-channel", sentence, S2, "A channel does not exist", said, _HOMELESS_NEXT))
    for name in vitals.lost:
        sentence = f"The log list does not name {say(name)} any more. It is followed all the same."
        found.append(Trouble("lost-log", name, S3, f"{say(name)} left the log list", sentence, _LOST_NEXT))
    if vitals.mistake:
        sentence = f"{vitals.mistake}. What was in force before stays in force."
        found.append(Trouble("mistake", "", S2, "The configuration has a mistake", sentence, _MISTAKE_NEXT))
    where = in_monitor(vitals.monitor)
    return [trouble._replace(next=trouble.next.replace(_WHERE, where)) for trouble in found]


def alerts(found: Iterable[Trouble], channels: Sequence[str], now_ms: int, monitor: str = "") -> list[NewAlert]:
    """The alerts that tell of troubles, over these channels; of a channel that fails over the others, if there are.

    monitor: its folder.
    """
    return [_alert(trouble, channels, now_ms, monitor) for trouble in found]


# Logs ---------------------------------------------------------------------------------------------------------------


def _of_log(now_ms: int, log: LogRow, vitals: Vitals, gaps: Sequence[Gap]) -> Iterable[Trouble]:
    name = say(log.name)
    is_noted = vitals.store is None  # else no answer of the log is stored, and it is not the log that is silent
    contact = _of_contact(now_ms, log, vitals) if is_noted else None
    if contact is not None:
        yield contact
    mmd_ms, is_told = vitals.mmd_ms.get(log.log_id, 24 * HOUR_MS), contact is not None and not contact.is_young
    if is_noted and not is_told and log.head_ms is not None and now_ms - log.head_ms >= mmd_ms:
        sentence = f"{name} answers, but its newest head is of {say_time(log.head_ms)}: it takes nothing in any more."
        yield Trouble(
            "silent", log.log_id.hex(), S2, f"{name} has no fresh head", sentence, _SILENT_NEXT, log.log_id
        )
    behind = vitals.behind.get(log.log_id)
    failing = log.failing_since_ms
    is_told = failing is not None and (bool(log.accused) or now_ms - failing >= TROUBLE_MS)  # why it is not read
    if behind is not None and now_ms - behind.since_ms >= BEHIND_MS and not is_told:
        left = behind.target - log.position.frontier.size
        since = say_time(behind.since_ms)
        sentence = f"{name} had {behind.target:,} entries at {since}, and {left:,} of them are not read yet."
        yield Trouble("behind", log.log_id.hex(), S3, f"{name} is not read to its end", sentence, _BEHIND_NEXT,
                      log.log_id)  # fmt: skip
    if log.unproven_since_ms is not None and now_ms - log.unproven_since_ms >= UNPROVEN_MS:
        since = say_time(log.unproven_since_ms)
        sentence = f"Entries of {name} were read since {since} that no signed head has proven. They were told as seen."
        yield Trouble("unproven", log.log_id.hex(), S2, f"{name} does not prove its entries", sentence, _UNPROVEN_NEXT,
                      log.log_id)  # fmt: skip
    if gaps:
        count = sum(gap.hi - gap.lo for gap in gaps)
        spans = ", ".join(f"{gap.lo:,} to {gap.hi - 1:,}" for gap in gaps[:5])
        sentence = f"{count:,} entries of {name} could not be read as they were signed ({spans}); they are asked for."
        yield Trouble(
            "gap", log.log_id.hex(), S2, f"{count:,} entries of {name} are not read", sentence, _GAP_NEXT, log.log_id
        )


def _of_contact(now_ms: int, log: LogRow, vitals: Vitals) -> Trouble | None:
    """That it does not answer, or nothing that can be used: one trouble, called what it is."""
    name, failing = say(log.name), log.failing_since_ms
    since = log.last_contact_ms
    if since is None:
        since = vitals.added_ms.get(log.log_id, now_ms)
    if failing is None:
        since = max(since, vitals.began_ms)
    is_stale = now_ms - since >= TROUBLE_MS
    why = f": {log.last_error}" if log.last_error else ""
    if failing is not None and log.failing_reason in WRONG_KEY:
        kind, summary = "wrong-key", f"{name} is not signed by the key that is configured"
        since, next_ = failing, _KEY_NEXT
        sentence = f"{name} answers, but since {say_time(since)} with nothing that its key has signed{why}."
    elif failing is not None and log.failing_reason == FULL:
        kind, summary, since, next_ = "unreadable-log", f"{name} is not read", failing, _FULL_NEXT
        sentence = f"Since {say_time(since)} it should be read, and is not{why}."
    elif log.failing_reason in ("", TRANSPORT) and (is_stale or (failing is not None and log.last_contact_ms is None)):
        kind, summary, next_ = "unreachable", f"{name} does not answer", _UNREACHABLE_NEXT
        sentence = f"{name} has not answered since {say_time(since)}{why}."
    elif failing is not None:
        kind, summary = "unreadable-log", f"{name} cannot be read"
        since, next_ = failing, _UNREACHABLE_NEXT
        evidence = f" The evidence is in {log.accused}." if log.accused else ""
        sentence = f"{name} answers, but cannot be read on since {say_time(since)}{why}.{evidence}"
    elif log.last_contact_ms is None:
        kind, summary, next_ = "no-head", f"{name} has not given one head yet", _NO_HEAD_NEXT
        sentence = "Nothing of it is read or proven."
    else:
        return None
    is_young = now_ms - since < TROUBLE_MS
    return Trouble(kind, log.log_id.hex(), S2, summary, sentence, next_, log.log_id, is_young=is_young)


def store_trouble(failure: Failure) -> Trouble:
    """The state cannot be written: nothing that is found is kept or told as it should be."""
    sentence = f"Since {say_time(failure.since_ms)}: {failure.sentence.rstrip('.')}."
    return Trouble("store", "", S1, "The monitor cannot store what it finds", sentence, _STORE_NEXT)


def _of_setup(vitals: Vitals) -> Iterable[Trouble]:
    """What is configured can tell nobody of anything."""
    if vitals.followed == 0:
        yield Trouble("no-log", "", S2, "No log is read", "There is no log in which anything could be found.",
                      "Add one: `ctlog-monitor logs add{-d} URL --key KEY`.")  # fmt: skip
    if vitals.items == 0:
        yield Trouble("no-item", "", S3, "Nothing is watched", "Nobody is told of any certificate.",
                      "Say what is yours: `ctlog-monitor watch add{-d} NUMBER`.")  # fmt: skip
    if vitals.configured is not None and not vitals.configured:
        yield Trouble("no-way", "", S2, "There is no channel",
                      "Nobody is told of anything: what is found waits until there is one.",
                      "Write [channels.NAME] into monitor.toml, and try it: `ctlog-monitor test{-d}`.")  # fmt: skip
    if vitals.roots == 0:
        yield Trouble("no-roots", "", S3, "No root is accepted",
                      "Without [[roots]] no issuer is known, and every certificate seems to come from nowhere.",
                      "Write [[roots]] into monitor.toml, with the roots of your ecosystem.")  # fmt: skip


# Channels, sources ----------------------------------------------------------------------------------------------------


def _of_channel(now_ms: int, channel: ChannelRow, is_configured: bool) -> Iterable[Trouble]:
    name = say(channel.name)
    since = channel.failing_since_ms
    is_late = channel.oldest_waiting_ms is not None and now_ms - channel.oldest_waiting_ms >= LATE_MS
    is_young = since is not None and now_ms - since < TROUBLE_MS
    if since is not None and is_configured and not (is_young and is_late):
        sentence = f"Nothing gets through to {name} since {say_time(since)}: {channel.last_error}."
        summary = f"The channel {name} fails"
        yield Trouble("channel", channel.name, S2, summary, sentence, _CHANNEL_NEXT, not_over=channel.name,
                      is_young=is_young)  # fmt: skip
    elif is_late:
        why = "" if is_configured else "; the configuration has no such channel"
        oldest = say_time(channel.oldest_waiting_ms or 0)
        sentence = f"{channel.waiting:,} messages wait for {name}, the oldest since {oldest}{why}."
        summary = f"Messages to {name} are late"
        yield Trouble("late", channel.name, S2, summary, sentence, _CHANNEL_NEXT, not_over=channel.name)
    if channel.dead:
        sentence = f"{channel.dead:,} messages to {name} were given up: {channel.last_error or 'it did not take them'}."
        summary = f"Messages to {name} were given up"
        yield Trouble("dead", channel.name, S2, summary, sentence, _DEAD_NEXT if is_configured else _TAKEN_NEXT,
                      not_over=channel.name)  # fmt: skip


def _of_sources(now_ms: int, sources: Mapping[str, Failure]) -> Iterable[Trouble]:
    for name, failure in sources.items():
        if failure.is_grave or now_ms - failure.since_ms >= SOURCE_MS:
            since = say_time(failure.since_ms)
            sentence = f"{say(name, 200)} cannot be used since {since}: {failure.sentence}"
            severity = S2 if failure.is_grave else S3
            yield Trouble("source", name, severity, f"{say(name)} cannot be used", sentence, _SOURCE_NEXT)


def _alert(trouble: Trouble, channels: Sequence[str], now_ms: int, monitor: str) -> NewAlert:
    body = {
        "kind": HEALTH,
        "trouble": trouble.kind,
        "reason": trouble.reason,
        "next": trouble.next,
        "monitor": monitor,
        "log": {"id": trouble.about.hex()} if trouble.about else None,
        "seen_ms": now_ms,
    }
    others = tuple(each for each in channels if each != trouble.not_over)
    return NewAlert(
        id=trouble.id,
        kind=HEALTH,
        severity=trouble.severity,
        rule=trouble.kind,
        rules=(trouble.kind,),
        addressee=OPERATOR,
        summary=trouble.summary,
        body=json.dumps(body).encode(),
        channels=others or tuple(channels),
        thread=trouble.id,
        log_id=trouble.about,
    )


# What is to be done. `{-d}` stands where a command names the monitor's folder.
_WHERE = "{-d}"
_UNREACHABLE_NEXT = (
    "Look whether the network here is well, and whether others reach the log. What it takes in meanwhile is read when "
    "it answers again: nothing is passed over, but it is told late."
)
_STORE_NEXT = (
    "Make room on the disk of the state, or mend it. Nothing is passed over: it goes on by itself where it stopped. "
    "Until then nobody is told of any certificate."
)
_HOMELESS_NEXT = (
    "Write the channel into monitor.toml, or say who is told: `ctlog-monitor watch add{-d} ... --tell NAME`."
)
_KEY_NEXT = (
    "Compare the key and the origin in monitor.toml with those that the log's operator publishes. If they are right, "
    "somebody else answers in the log's place. Nothing is read meanwhile."
)
_FULL_NEXT = "Make a second monitor for further logs: `ctlog-monitor init FOLDER`. The others are read on here."
_NO_HEAD_NEXT = "Wait for a minute. If it stays so, the log does not answer, or not with this key: that is told then."
_SILENT_NEXT = "Ask its operator whether the log has ended. If so, see where its CAs log now, and follow that log."
_BEHIND_NEXT = "Until it is read to its end, certificates may stand there of which nobody was told. It goes on."
_UNPROVEN_NEXT = "Ask the log's operator for a head: an entry that no head covers can still be withdrawn."
_GAP_NEXT = "Owners may be concerned by these entries. What was served instead was told: ask the log's operator."
_CHANNEL_NEXT = "Mend it, and try it with `ctlog-monitor test{-d}`. Messages are kept and tried again."
_DEAD_NEXT = "Mend the channel, then send them again: `ctlog-monitor alerts resend{-d}`. `status` names them."
_TAKEN_NEXT = (
    "The configuration has no such channel any more. `ctlog-monitor alerts resend{-d}` sends them over those that "
    "there are."
)
_SOURCE_NEXT = "What it said before stays in force. See whether the URL or file is still right."
_LOST_NEXT = (
    "Find out why. It is followed until the list says that it has ended, or you do: "
    "`ctlog-monitor logs remove{-d} LOG`."
)
_MISTAKE_NEXT = "Correct the file: it is read again by itself."
_ASK_US = "It is tried again by itself. If it stays, it is a fault of the monitor: report it, with this sentence."
