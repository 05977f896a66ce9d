"""PURE A letter: what goes over a channel in one go, made of one message of the outbox, or of many (a digest).

In scope: its id, its subject, its text and its JSON document, whatever kind of alert it tells of, and what is attached.
Whatever comes from a certificate, a log or another program is cut to a length and made printable here once more, so
that no channel has to. Out of scope: the forms that channels give it (a mail, a request).
"""

from __future__ import annotations

import csv
import io
import json
import textwrap
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from monitor.alert_text import URGENCY, WIDTH, alert_text, command
from monitor.rules.values import say, say_time
from monitor.state.rows import NEW, S4, TEST, WAITING, AlertRow, NewAlert, OutboxRow, short_id

ALERT, REMINDER, DIGEST, WORD = "alert", "reminder", "digest", "word"
SUBJECT_LENGTH = 180
LISTED = 60
"""Alerts that a digest lists in its text; all of them stand in the table that comes with it."""


class Attachment(NamedTuple):
    """A file that comes with a letter. `kind`: its media type, always of text."""

    name: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter.

    id: the same however often it is sent, so that whoever gets it twice can drop one. kind: "alert", "reminder",
    "word", "test" or "digest". thread: what mail programs sort by; "" for none. document: for programs. alerts: what it
    tells of. attempt: how often it was tried in vain before.
    """

    id: str
    kind: str
    subject: str
    text: str
    severity: int
    thread: str
    made_ms: int
    document: dict[str, Any]
    alerts: tuple[AlertRow, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    attempt: int = 0
    log_url: str = ""


def make_letter(row: OutboxRow, log_url: str = "") -> Letter:
    """The letter of one message. It is always made, even of an alert that nothing can be read of."""
    alert, document = row.alert, alert_document(row.alert)
    start = {REMINDER: "Reminder: "}.get(row.kind, "")
    text = render(document, alert)
    if row.kind == REMINDER:
        told = f"You were told of this on {say_time(alert.created_ms)}, and nobody has answered yet."
        text = "\n".join([*_wrap(f"{told} {say_repeats(alert)}".strip()), "", text])
    return Letter(
        id=f"{alert.id[:40]}-{row.id}",
        kind=row.kind,
        subject=say(start + alert.summary, SUBJECT_LENGTH),
        text=printable(text),
        severity=alert.severity,
        thread=alert.thread or alert.id,
        made_ms=row.created_ms,
        document=document,
        alerts=(alert,),
        attachments=_attachments(document),
        attempt=row.attempts,
        log_url=log_url,
    )


def say_repeats(alert: AlertRow) -> str:
    """What the issuer did since, of which nobody was told by itself; "" if nothing."""
    if not alert.repeats:
        return ""
    more = "one more certificate" if alert.repeats == 1 else f"{alert.repeats:,} more certificates"
    return f"Since then the same issuer issued {more} for it, the last one seen on {say_time(alert.repeated_ms)}."


def make_digest(rows: Sequence[OutboxRow]) -> Letter:
    """One letter for many messages: how many, the gravest first, and every id."""
    rows = sorted(rows, key=lambda row: (row.alert.severity, row.id))
    alerts = tuple(row.alert for row in rows)
    worst = alerts[0].severity
    counts = _count(alerts)
    first, last = min(row.id for row in rows), max(row.id for row in rows)
    what = "reminders" if all(row.kind == REMINDER for row in rows) else "alerts"
    subject = f"S{worst} {len(rows):,} {what} in one letter: {counts}"
    document = {
        "v": 1,
        "kind": DIGEST,
        "severity": worst,
        "count": len(rows),
        "alerts": [_brief(row) for row in rows],
    }
    return Letter(
        id=f"digest-{first}-{last}-{len(rows)}",
        kind=DIGEST,
        subject=say(subject, SUBJECT_LENGTH),
        text=printable(_digest_text(rows, counts, what)),
        severity=worst,
        thread="",
        made_ms=max(row.created_ms for row in rows),
        document=document,
        alerts=alerts,
        attachments=(Attachment("alerts.csv", "text/csv", _table(rows)),),
        attempt=min(row.attempts for row in rows),
    )


def trial_letter(channel: str, now_ms: int) -> Letter:
    """The letter that shows whether a channel works, and what it looks like."""
    text = (
        f"This is a test of the channel {channel}, sent on {say_time(now_ms)}.\n\n"
        "If you can read this, alerts about certificates for your telephone numbers will arrive here. You need not do "
        "anything. If you did not expect this message, somebody has entered your address by mistake: tell him.\n"
    )
    document = {"v": 1, "kind": TEST, "id": f"test-{channel}-{now_ms}", "severity": S4, "reason": "A test.", "next": ""}
    subject = f"Test of the channel {say(channel, 40)}: nothing has happened"
    return Letter(f"test-{say(channel, 40)}-{now_ms}", TEST, subject, printable(text), S4, "", now_ms, document)


def unstored_letter(alert: NewAlert, now_ms: int) -> Letter:
    """The letter of an alert that could not be stored."""
    row = AlertRow(
        alert.id, alert.kind, alert.severity, alert.rule, alert.rules, alert.addressee, alert.summary, alert.body,
        alert.item, alert.group, alert.thread, alert.log_id, None, None, now_ms, now_ms, 1, NEW, "", "", None,
    )  # fmt: skip
    return make_letter(OutboxRow(now_ms, row, "", ALERT, WAITING, now_ms, now_ms, 0, None, "", None))


def retried(letter: Letter) -> Letter:
    """The same letter without what may be the reason why it is refused: what is attached. A digest keeps its table."""
    return letter if letter.kind == DIGEST else replace(letter, attachments=())


# What an alert says, whatever its kind -------------------------------------------------------------------------------


def alert_document(alert: AlertRow) -> dict[str, Any]:
    """An alert for programs: what is stored, and what is known by now about where its entry stands."""
    try:
        body = json.loads(alert.body)
    except ValueError:
        body = {}
    document: dict[str, Any] = body if isinstance(body, dict) else {"body": body}
    rules = document.get("rules")
    document = {
        **document,
        "id": alert.id,
        "kind": alert.kind,
        "rules": rules if isinstance(rules, list) else [{"id": rule} for rule in alert.rules],
        "severity": alert.severity,
        "rule": alert.rule,
        "to": alert.addressee,
        "summary": alert.summary,
        "status": alert.status,
        "repeats": alert.repeats,
    }
    log = document.get("log")
    if isinstance(log, dict) and alert.log_index is not None:
        document["log"] = {**log, "index": alert.log_index, "proven_in": alert.proven}
    return document


def render(document: dict[str, Any], alert: AlertRow) -> str:
    """The alert as plain text. Whatever cannot be rendered in its own form is still told, in a plainer one."""
    if document.get("v") == 1 and "certificate" in document:
        try:
            return alert_text(document)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            pass
    lines = [*_wrap(f"S{alert.severity}, {URGENCY.get(alert.severity, 'review')}: {alert.summary}"), ""]
    for name in ("reason", "doubt"):
        lines += _wrap(str(document.get(name) or ""))
    if document.get("next"):
        lines += ["", *_wrap(f"What to do: {document['next']}")]
    log: dict[str, Any] = document["log"] if isinstance(document.get("log"), dict) else {}
    known = [("log", log.get("name")), ("its URL", log.get("url")), ("log id", log.get("id"))]
    known += [("entry", alert.log_index), ("evidence", document.get("file")), ("alert", alert.id)]
    known += [("first seen", say_time(alert.created_ms))]
    known += [("times seen", alert.times_seen)] if alert.times_seen > 1 else []
    lines += ["", *[f"  {name:<14}{value}" for name, value in known if value not in ("", None)]]
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """A text of which every line can be shown anywhere: control characters and bidirectional marks are numbers."""
    return "\n".join(say(line, 2000) for line in text.split("\n"))


def _wrap(text: str) -> list[str]:
    """Lines of moderate length; those that were there, such as of a list, stay."""
    found = [textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False) or [""] if len(line) > WIDTH
             else [line] for line in text.split("\n")]  # fmt: skip
    return [line for lines in found for line in lines] if text else []


def _attachments(document: dict[str, Any]) -> tuple[Attachment, ...]:
    certificate = document.get("certificate")
    if isinstance(certificate, dict) and certificate.get("der"):
        try:
            chain = [b64decode(each) for each in (certificate["der"], *certificate.get("chain", ()))]
        except (ValueError, TypeError):
            return ()
        text = "".join(map(_pem, chain))
        return (Attachment("certificate.pem", "application/x-pem-file", text),)
    if isinstance(document.get("evidence"), str) and document["evidence"]:
        name = say(str(document.get("file") or "EVIDENCE.txt"), 200).replace("/", "-")
        return (Attachment(name, "text/plain", document["evidence"]),)
    return ()


def _pem(der: bytes) -> str:
    lines = textwrap.wrap(b64encode(der).decode(), 64)
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


# Digests -------------------------------------------------------------------------------------------------------------


def _brief(row: OutboxRow) -> dict[str, Any]:
    alert = row.alert
    return {
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "rule": alert.rule,
        "item": alert.item,
        "summary": alert.summary,
        "log": alert.log_id.hex(),
        "index": alert.log_index,
        "proven_in": alert.proven,
        "created": say_time(alert.created_ms),
    }


def _count(alerts: Sequence[AlertRow]) -> str:
    by_severity: dict[int, int] = {}
    for alert in alerts:
        by_severity[alert.severity] = by_severity.get(alert.severity, 0) + 1
    return ", ".join(f"{count:,} S{severity}" for severity, count in sorted(by_severity.items()))


def _digest_text(rows: Sequence[OutboxRow], counts: str, what: str) -> str:
    worst, where = rows[0].alert.severity, _monitor(rows)
    lines = [
        f"{len(rows):,} {what} ({counts}), {URGENCY.get(worst, 'review')}.",
        "",
        "They come in one letter because there are many, or because none of them is urgent. Each is kept:",
        f"`{command(where, 'alerts show', 'ID')}` tells everything about it; the first digits of its id are enough.",
        "",
    ]
    lines += [f"  {short_id(row.alert.id)}  {row.alert.summary}" for row in rows[:LISTED]]
    if len(rows) > LISTED:
        stand = f"stand in `{command(where, 'alerts list')}`, and in alerts.csv if that comes with this letter."
        lines += ["", f"and {len(rows) - LISTED:,} more: all {len(rows):,} {stand}"]
    return "\n".join(lines) + "\n"


def _monitor(rows: Sequence[OutboxRow]) -> dict[str, str]:
    """Where the monitor is, as an alert that knows says it."""
    known = (alert_document(row.alert).get("monitor") for row in rows)
    return {"monitor": next((folder for folder in known if isinstance(folder, str) and folder), "")}


def _table(rows: Sequence[OutboxRow]) -> str:
    """CSV; what a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(_brief(rows[0]))
    for row in rows:
        cells = ["" if value is None else str(value) for value in _brief(row).values()]
        table.writerow([_harmless(say(cell, 400)) for cell in cells])
    return out.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell
