"""PURE What is said about a channel that does not work, as alerts for the others.

In scope: the word about dead letters, about messages for a channel that is no longer configured, and about one that
asked never to be called again. Out of scope: channels that fail at present (`monitor.health`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from monitor.alert_text import in_monitor
from monitor.rules.values import DAY_MS, say
from monitor.state.rows import HEALTH, OPERATOR, S1, S2, NewAlert, OutboxRow, short_id

NAMED = 50
"""Alerts that a word lists."""


def dead_word(
    channel: str, rows: Sequence[OutboxRow], why: str, others: Sequence[str], now_ms: int, monitor: str = ""
) -> NewAlert:
    """The word about messages that nobody tries any more: one for each channel, reason and day.

    others: the channels that are told of it; they get the alerts themselves too. monitor: its folder, for the
    commands that are named.
    """
    where = in_monitor(monitor)
    worst = min((row.alert.severity for row in rows), default=S2)
    named = [{"id": row.alert.id, "severity": row.alert.severity, "summary": row.alert.summary} for row in rows[:NAMED]]
    told = f"They were sent over {', '.join(others)} instead." if others else "There is no other channel to send them."
    listed = "".join(f"\n  {short_id(row.alert.id)}  {row.alert.summary}" for row in rows[:NAMED])
    listed += f"\n  and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
    body = {
        "kind": HEALTH,
        "reason": f"The channel {say(channel)} got none of {len(rows):,} messages: {_end(why)} {told}{listed}",
        "next": (
            "Tell those who rely on this channel what stands above. Repair it, try it with "
            f"`ctlog-monitor test{where}`, and look at `ctlog-monitor status{where}`."
        ),
        "monitor": monitor,
        "channel": channel,
        "alerts": named,
        "count": len(rows),
    }
    return NewAlert(
        id=_id(channel, why, str(now_ms // DAY_MS)),
        kind=HEALTH,
        severity=S1 if worst == S1 else S2,
        rule="channel-dead",
        rules=("channel-dead",),
        addressee=OPERATOR,
        summary=f"The channel {say(channel, 40)} did not get {len(rows):,} alerts",
        body=json.dumps(body).encode(),
        channels=tuple(others),
        thread=f"channel-{hashlib.sha256(channel.encode()).hexdigest()[:16]}",
    )


def _end(why: str) -> str:
    return say(why, 500).rstrip(".") + "."


def _id(*parts: str) -> str:
    return hashlib.sha256("\0".join(("ctlog-channel", *parts)).encode("utf-8", "surrogatepass")).hexdigest()
