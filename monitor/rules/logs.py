"""What a log did with an entry: T-20, T-28.

In scope: broken promises and differing views, as values that following and auditing logs give (`monitor.follow`); here
they are put before the owner of the number that they concern. Out of scope: evidence, and accusing a log.
"""

from __future__ import annotations

from monitor.entry import Entry
from monitor.rules.values import OPERATOR, OWNER, S2, S3, Context, Finding, LogEvent, say, sentence
from monitor.watchlist import Hit

LIED = "Do not rely on this log alone. Whoever runs this monitor has the evidence, and should publish it."
LATE = "Judge the certificate by today, when it was first seen here, and not by the date that its log gives it."

UNHELD = "Ask the issuer where it had this SCT from; do not take the certificate for logged by it."


def late_events(what: str) -> tuple[LogEvent, ...]:
    """What is said to the owner of an entry that came into the tree too late, or is dated back: whoever runs this is
    told aloud (`monitor.follow.merge_delay`), and the owner beside whatever else there is to say."""
    return (LogEvent("T-20", f"{what}: it came late, or its log dated it back", S3, LATE),)


def bad_sct_events(what: str) -> tuple[LogEvent, ...]:
    """What is said of a certificate that carries SCTs which do not hold. It accuses no log: whoever put them there, the
    certificate is no better than one that was never logged."""
    return (LogEvent("T-20", f"it carries an SCT that does not hold: {what}", S2, UNHELD),) if what else ()


def t20(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """Seen in use and not logged, logged without its precertificate, or an SCT whose entry never came."""
    return _event("T-20", entry, hit, context)


def t28(entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    """A log or a shard shows the entry to some and not to others."""
    return _event("T-28", entry, hit, context)


def _event(rule: str, entry: Entry, hit: Hit | None, context: Context) -> Finding | None:
    events = [event for event in context.log_events if event.rule == rule]
    if not events:
        return None
    event = min(events, key=lambda each: each.severity)
    reason = sentence(f"{say(event.what, 240)}.")
    return Finding(rule, event.severity, reason, event.action or LIED, OWNER if hit else OPERATOR)
