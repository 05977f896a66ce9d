"""An alert: what one verdict on one entry tells one addressee, complete enough to be acted upon without any other page.

In scope: the common block of facts that every alert carries (what was claimed, by whom, which certificate, where it
stands and how far that is proven, what was expected, what to do), as one JSON document; that document as plain text and
as one line; the id that makes an alert unique for an item and an issuance. Whatever a CA chose is quoted and bounded.
Out of scope: who is told by which way (`monitor.tell`), alerts about logs and about the monitor itself.

The document is what is stored and sent to machines; `alert_text` and `alert_summary` render any stored one.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.names import name_text
from monitor.alert_text import LISTED, alert_text
from monitor.entry import NOWHERE, Entry, describe_issuer
from monitor.items import ISSUER, Item
from monitor.reading_roles import EXACT, UNREADABLE
from monitor.rules.baseline import REPORTED
from monitor.rules.issuer import standing_of
from monitor.rules.values import DAY_MS, OWNER, S4, Context, say, say_claim, say_issuer, say_name, say_time
from monitor.rules.verdict import FOLDS_INTO, Verdict
from monitor.watchlist import Hit

VERSION = 1
LARGEST = 65536  # octets of a certificate that an alert carries; of a larger one it names the hash
CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert, with the fields under which it is stored.

    id: 64 hexadecimal digits. kind: "certificate" or "unreadable". body: the document as JSON. channels: of the item's
    owner; () for the operator. thread: the issuance, in hexadecimal. issuer: `IssuerId.text`, "" where no signature
    shows him. is_repeat: the owner was told of this issuer, has not answered, and is not told once more.
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
    item: str
    group: str
    thread: str
    log_id: bytes
    log_index: int
    proven: int | None
    issuer: str = ""
    is_repeat: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """What `body` says."""
        return parse_alert(self.body)

    def text(self) -> str:
        """Plain text for people."""
        return alert_text(self.document)


def make_alert(
    entry: Entry, hit: Hit | None, verdict: Verdict, context: Context, *, contacts: Mapping[str, str] | None = None,
    monitor: str = "",
) -> Alert:  # fmt: skip
    """Make the alert that a verdict calls for. contacts: how an issuer is reached, by normalised organisation. monitor:
    the monitor's folder, for the commands that the alert shows."""
    item = hit.item if hit else None
    name = alert_id(item, entry, verdict)
    standing = standing_of(entry, item, context) if item is not None else ""
    kind = UNREADABLE if hit is not None and hit.reading == UNREADABLE else CERTIFICATE
    document = {
        "v": VERSION,
        "kind": kind,
        "id": name,
        "severity": int(verdict.severity),
        "rule": verdict.leading,
        "rules": _rules(verdict),
        "to": verdict.to,
        "reason": " ".join(verdict.reasons),
        "next": verdict.action,
        "contact": (contacts or {}).get(entry.issuer.organisation, ""),
        "item": _item(hit),
        "claims": _claims(entry),
        "holder": say(entry.holder),
        "issuer": _issuer(entry, standing),
        "certificate": _certificate(entry, context),
        "key": _key(entry, context),
        "log": _log(entry),
        "expected": _expected(item, context),
        "issuance": entry.issuance.hex(),
        "monitor": monitor,
    }
    return Alert(
        id=name,
        kind=kind,
        severity=int(verdict.severity),
        rule=verdict.leading,
        rules=verdict.rules,
        addressee=verdict.to,
        summary=alert_summary(document),
        body=json.dumps(document, separators=(",", ":")).encode(),
        channels=item.tell if item is not None and verdict.to == "owner" else (),
        item=item.id if item else "",
        group=item.group.name if item else "",
        thread=entry.issuance.hex(),
        log_id=entry.log_id,
        log_index=entry.index,
        proven=entry.proven,
        issuer=entry.issuer.text if entry.issuer.is_known else "",
        is_repeat=verdict.to == OWNER and verdict.severity >= S4 and standing == REPORTED,
    )


def _rules(verdict: Verdict) -> list[dict[str, Any]]:
    folded = [each.rule for each in verdict.folded]
    return [
        {"id": each.rule, "severity": int(each.severity), "reason": each.reason, "action": each.action}
        | ({"with": folded} if folded and each.rule == FOLDS_INTO else {})
        for each in verdict.findings
    ]


def alert_id(item: Item | None, entry: Entry, verdict: Verdict) -> str:
    """Give the id: the same for every form of an issuance, in every log, as long as the same rule leads."""
    parts = (item.id if item else "", verdict.to, verdict.leading)
    told = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"ctlog-alert/v1\0" + entry.issuance + told).hexdigest()


def parse_alert(body: bytes) -> dict[str, Any]:
    """Read a stored alert of this kind. Raises: ValueError for what is none."""
    document = json.loads(body)
    if not isinstance(document, dict) or document.get("v") != VERSION:
        raise ValueError("this is no alert of version 1")
    return document


# --- the common block ------------------------------------------------------------------------------------------------


def _item(hit: Hit | None) -> dict[str, Any] | None:
    if hit is None:
        return None
    return {
        "id": hit.item.id,
        "kind": hit.item.kind,
        "text": hit.item.text,
        "group": hit.item.group.name,
        "reading": hit.reading,
        "claim": None if hit.claim is None else _claim(hit.claim),
        "covers_others": hit.covers,
        "items": hit.items,
    }


def _claim(claim: Claim) -> dict[str, Any]:
    found: dict[str, Any] = {"text": say_claim(claim)}
    if isinstance(claim, TelephoneNumber):
        found |= {"kind": "one", "number": claim.digits}
    elif isinstance(claim, NumberRange):
        found |= {"kind": "range", "start": claim.start, "count": claim.count}
    elif isinstance(claim, ServiceProviderCode):
        found |= {"kind": "spc", "code": say(claim.code)}
    return found


def _claims(entry: Entry) -> dict[str, Any]:
    identity = entry.identity
    return {
        "count": len(identity.claims),
        "first": [_claim(claim) for claim in identity.claims[:LISTED]],
        "readings": [say_claim(claim) for claim in identity.readings[:LISTED]],
        "by_reference": [say(url, 200) for url in identity.by_reference[:LISTED]],
        "findings": [{"id": each.id, "text": each.text} for each in identity.findings],
    }


def _issuer(entry: Entry, standing: str) -> dict[str, Any]:
    return {
        "text": say(describe_issuer(entry)),
        "id": entry.issuer.text,
        "name": say(name_text(entry.issuer_name), 200) if entry.parsed else "",
        "key_sha256": entry.issuing_key.hex(),
        "root": say(name_text(entry.root.certificate.subject), 200) if entry.root else "",
        "root_sha256": entry.root.fingerprint.hex() if entry.root else "",
        "trust_domain": entry.trust_domain,
        "verified": entry.issuer.is_known,
        "standing": standing,
        "problem": "" if entry.issuer.is_known else entry.chain_problem,
    }


def _certificate(entry: Entry, context: Context) -> dict[str, Any]:
    parsed, end = entry.parsed, entry.not_after_ms
    found: dict[str, Any] = {
        "sha256": entry.fingerprint.hex(),
        "form": "precertificate" if entry.precert else "certificate",
        "readable": parsed is not None,
        "subject": say(name_text(parsed.subject), 200) if parsed else "",
        "serial": parsed.serial[:32].hex() if parsed else "",  # RFC 5280 allows 20 octets
        "not_before": say_time(entry.not_before_ms),
        "not_after": say_time(end),
        "days_left": None if end is None else max(0, (end - context.now_ms) // DAY_MS),
        "der": "",
        "chain": [],
    }
    if len(entry.certificate) + sum(map(len, entry.chain)) <= LARGEST:
        found["der"] = b64encode(entry.certificate).decode()
        found["chain"] = [b64encode(der).decode() for der in entry.chain]
    return found


def _key(entry: Entry, context: Context) -> dict[str, Any]:
    first = min(context.key_uses, key=lambda use: use.logged_ms, default=None)
    known = context.profile.knows_key(entry.key_hash) if entry.key_hash else False
    return {
        "sha256": entry.key_hash.hex(),
        "known_for_item": known,
        "first_seen": say_time(first.logged_ms) if first else "",
        "first_issuer": say_issuer(first.issuer) if first else "",
        "first_holder": say_name(first.holder) if first else "",
        "times_seen": len(context.key_uses),
    }


def _log(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.log_id.hex(),
        "name": say(entry.log_name),
        "index": None if entry.index == NOWHERE else entry.index,
        "logged": say_time(entry.timestamp_ms),
        "proven_in": entry.proven,
    }


def _expected(item: Item | None, context: Context) -> dict[str, Any]:
    expect, profile = (item.expect if item else None), context.profile
    usual_issuers = [name for name, known in profile.issuers.items() if not known.reported]
    usual_holders = [name for name, known in profile.holders.items() if not known.reported]
    return {
        "issuers": [say(name) for name in ((expect.issuers if expect else ()) or usual_issuers)][:LISTED],
        "issuers_from": "owner" if expect and expect.issuers else "learned",
        "holders": [say(name) for name in ((expect.holders if expect else ()) or usual_holders)][:LISTED],
        "holders_from": "owner" if expect and expect.holders else "learned",
        "keys_registered": len(expect.keys) if expect else 0,
        "certificates_seen": profile.count,
    }


# --- for people ------------------------------------------------------------------------------------------------------


def alert_summary(document: Mapping[str, Any]) -> str:
    """One line, for a subject: whom it concerns, by whom, and the question."""
    item, issuer = document["item"], document["issuer"]["text"]
    if item is None:
        whom = f" for {document['claims']['first'][0]['text']}" if document["claims"]["first"] else ""
        start = f"S{document['severity']} {document['rule']}, certificate by {issuer}{whom}"
        return f"{start}: {_cut(document['rules'][0]['reason'], 120)}"
    if item["reading"] == UNREADABLE:
        return f"S{document['severity']} an unreadable certificate by {issuer} may concern {item['group']}"
    what = item["text"] if item["items"] == 1 else f"{item['items']:,} of {item['group']}"
    if document["severity"] >= S4:
        return f"{what}: certificate by {issuer}, for information"
    if item["kind"] == ISSUER:
        whom = f" for {document['claims']['first'][0]['text']}" if document["claims"]["first"] else ""
        return f"S{document['severity']} {issuer}, whom you watch: certificate{whom}"
    how = "" if item["reading"] == EXACT else ", by another reading"
    return f"S{document['severity']} {what}: certificate by {issuer}{how}: not yours?"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
