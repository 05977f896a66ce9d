"""The home page: what this log is, for a person. One HTML answer, no script, nothing fetched from anywhere else.

In scope: values -> HTML, escaped; the Content-Security-Policy that makes the browser hold us to that.
Out of scope: the values: `ctlog.app` gives them, names chosen by CAs already escaped (controls, bidirectional marks).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import jinja2

from ctlog.http.answers import HTML, NO_STORE, Answer


class RootRow(NamedTuple):
    """One accepted CA. `name` is printable text; `sha256` hex."""

    name: str
    domain: str
    sha256: str
    since: str  # a date


class LimitRow(NamedTuple):
    """One limit, in words."""

    what: str
    value: str


class Identity(NamedTuple):
    """What never changes while the log runs."""

    origin: str
    description: str
    operator: str
    contact: str
    submission_url: str
    monitoring_url: str
    log_id: bytes
    spki: bytes
    vkeys: tuple[str, ...]
    window: str
    require_number: bool
    restricted: bool
    limits: tuple[LimitRow, ...]
    version: str
    kernel: str


class Moment(NamedTuple):
    """What is true now. `problems` are the sentences of /health; none means healthy."""

    size: int
    root: bytes
    head_ms: int
    now_ms: int
    frozen: bool
    problems: tuple[str, ...]
    roots: Sequence[RootRow]


class HomePage:
    """The page of one log."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("ctlog.http", "pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined)
        environment.filters["grouped"] = lambda number: f"{number:,}".replace(",", "\u202f")
        self._template = environment.get_template("home.html")
        source = environment.loader.get_source(environment, "style.css")[0] if environment.loader else ""
        self._style = f"\n{source}"
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self._headers = (
            ("Content-Security-Policy", f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
            ("Referrer-Policy", "no-referrer"),
        )

    def answer(self, now: Moment) -> Answer:
        """The page as it is now."""
        identity = self._identity
        page = self._template.render(
            log=identity, now=now, style=self._style, age=age_text(now.now_ms - now.head_ms),
            head_time=datetime.fromtimestamp(now.head_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            root_base64=base64.b64encode(now.root).decode(), log_id_base64=base64.b64encode(identity.log_id).decode(),
            pem=to_pem(identity.spki), contact_href=contact_href(identity.contact),
            domains=sorted({root.domain for root in now.roots}))
        return Answer(200, page.encode("utf-8", "replace"), HTML, NO_STORE, self._headers)


def age_text(ms: int) -> str:
    """A duration for people: "3 seconds", "5 minutes", "2 days"."""
    seconds = max(ms, 0) // 1000
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def to_pem(spki: bytes) -> str:
    """A public key as PEM."""
    text = base64.b64encode(spki).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----"])


def contact_href(contact: str) -> str:
    """Where a click on the contact leads; "" if it is neither an e-mail address nor an http(s) URL."""
    if contact.startswith(("https://", "http://")):
        return contact
    return f"mailto:{contact}" if "@" in contact and ":" not in contact and " " not in contact else ""
