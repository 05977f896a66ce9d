"""PURE A letter as an e-mail: plain text, one thread for each issuance, and nothing that a certificate says in a header
except as text.

In scope: RFC 5322 and MIME. Out of scope: handing it to a server (`monitor.tell.smtp`).

The thread has a root that was never sent; every mail refers to it (RFC 5322 section 3.6.4), so that they stand together
in whatever order they arrive. RFC 3834: no vacation notice answers it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from ctlog.errors import UsageError
from monitor.state.rows import S1
from monitor.tell.letter import Letter

ATTACHED = 1_000_000
"""Octets of an attachment; what is larger is left out, and the text says how to get it."""
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def check_address(text: str) -> None:
    """Raises UsageError for what is no address, in ASCII and without a name."""
    if not _ADDRESS.fullmatch(text) or ".." in text:
        raise UsageError(f"{text[:80]!r} is no e-mail address, such as owner@example.org")


def compose(letter: Letter, sender: str, to: Sequence[str], *, reply_to: str = "", attach: bool = True) -> EmailMessage:
    """The mail. The addresses are such as `check_address` accepts."""
    domain = sender.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = letter.subject
    mail["From"] = Address("Certificate monitor", addr_spec=sender)
    mail["To"] = [Address(addr_spec=each) for each in to]
    if reply_to:
        mail["Reply-To"] = Address(addr_spec=reply_to)
    mail["Date"] = datetime.fromtimestamp(letter.made_ms // 1000, UTC)
    mail["Message-ID"] = f"<{_token(letter.id)}@{domain}>"
    if letter.thread:
        root = f"<thread-{hashlib.sha256(letter.thread.encode()).hexdigest()[:32]}@{domain}>"
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if letter.severity == S1:
        mail["Importance"], mail["X-Priority"] = "high", "1 (Highest)"
    attached = [each for each in letter.attachments if attach and len(each.text) <= ATTACHED]
    mail.set_content(_text(letter, reply_to, [each.name for each in attached]))
    for each in attached:
        subtype = each.kind.partition("/")[2]
        if each.kind.startswith("text/"):
            mail.add_attachment(each.text, subtype=subtype, filename=each.name)
        else:
            mail.add_attachment(each.text.encode(), maintype="application", subtype=subtype, filename=each.name)
    return mail


def _text(letter: Letter, reply_to: str, attached: Sequence[str]) -> str:
    lines = [letter.text]
    if attached:
        lines += [f"Attached, for whoever looks into this: {', '.join(attached)}."]
    lines += [
        "Answer this mail to reach whoever runs this monitor."
        if reply_to
        else "A program sent this mail, and nobody reads answers to it."
    ]
    return "\n".join(lines) + "\n"


def _token(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "", name)[:120] or "letter"
