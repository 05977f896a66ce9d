"""What a log did with an entry: T-20, T-28.

In scope: broken promises and differing views, as values that following and auditing logs give (`monitor.follow`); here
they are put before the owner of the number that they concern. Out of scope: evidence, and accusing a log.
"""

from __future__ import annotations

from monitor.entry import Entry
from monitor.rules.values import OPERATOR, OWNER, S1, Context, Finding, say, sentence
from monitor.watchlist import Hit


def t20(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Seen in use and not logged, logged without its precertificate, or an SCT whose entry never came."""
    return _event("T-20", entry, hit, context)


def t28(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A log or a shard shows the entry to some and not to others."""
    return _event("T-28", entry, hit, context)


def _event(rule: str, entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    for event in context.log_events:
        if event.rule == rule:
            reason = sentence(f"{say(event.what, 200)}.")
            action = "Keep the evidence and publish it; do not rely on this log alone."
            return Finding(rule, S1, reason, action, OWNER if hit else OPERATOR)
    return None
