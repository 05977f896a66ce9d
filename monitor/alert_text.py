"""PURE An alert about a certificate as plain text: one page for a person who has never heard of certificates, and under
it the facts, for whoever looks into it.

In scope: the document that `monitor.alert` makes, in words: what happened, whether it may be right, what to do, whom to
call; then the common block. Out of scope: alerts of other kinds (`monitor.tell.letter`), any form but text. Everything
that a CA chose was cut and made printable when the document was made.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from monitor.rules.values import say_issuer, say_name

LISTED = 20
"""Claims of a certificate that are listed."""
WIDTH = 88
FACTS = "The facts, for whoever looks into it"
"""Stands between the page and the facts."""
PROGRAM = "ctlog-monitor "
_NO_BREAK = "\u00a0"
URGENCY = {1: "act now", 2: "verify today", 3: "review, without hurry", 4: "for information"}
_NOUNS = {
    "number": "your telephone number {}",
    "range": "your telephone numbers {}",
    "prefix": "telephone numbers that begin with {}",
    "spc": "the service provider code {}",
    "holder": "the name {}",
    "key": "the key {}",
}
_PASSPORT = (
    "Such a certificate is like a passport for a telephone number: with it, calls and messages are shown to others as "
    "checked, and as coming from that number. Those who issue them make them public, and it was found there."
)
_CODE_PASSPORT = (
    "With such a certificate calls are signed in the name of whoever holds the code. Those who issue them make them "
    "public, and it was found there."
)
_UNREADABLE = (
    "Whom it is for cannot be read from it, by this program at least. So it is shown to everybody whom it might "
    "concern. Most often it is a mistake of the issuer, and concerns somebody else."
)
_MAYBE = (
    "It may be. Did you, your provider or your company change the provider, the telephone, the SIM card, a messaging "
    "app, or whoever issues certificates for you, around {day}? Ask whoever would know."
)
_MEANWHILE = (
    "Until you know: do not rely on codes that are sent to the number by SMS or told by telephone (banks and e-mail "
    "use them), and warn those who matter that calls and messages from it may not be from you."
)
_PROVIDER = (
    "Your telephone provider, at the number on your contract or bill (not at one that a message gave you). Read this "
    "to them: certificate with the serial number {serial}, issued by {issuer} for {claim}, logged on {day}."
)


def alert_text(document: Mapping[str, Any]) -> str:
    """The whole alert as plain text, lines of moderate length."""
    severity = document["severity"]
    lines = [f"S{severity}, {URGENCY[severity]}.", ""]
    lines += [*_wrap(_what_happened(document)), ""]
    for each in document["rules"]:
        ids = " with ".join((each["id"], *each.get("with", ())))
        tag = f"[{ids}, S{each['severity']}]".replace(" ", _NO_BREAK)
        lines += [line.replace(_NO_BREAK, " ") for line in _wrap(f"{each['reason']} {tag}", "  ")]
    if not document["rules"]:
        lines.append("  A new certificate, as expected.")
    for title, paragraphs in _page(document):
        lines += ["", *_wrap(title)]
        for paragraph in paragraphs:  # a command is one line, however long
            is_command = paragraph.startswith(PROGRAM)
            lines += [f"    {paragraph}"] if is_command else _wrap(paragraph, "  ")
    lines += ["", FACTS, "-" * len(FACTS)]
    for title, rows in _sections(document):
        lines += ["", title]
        lines += [f"  {name:<14}{value}" for name, value in rows if value not in ("", None)]
    return "\n".join(lines) + "\n"


def command(document: Mapping[str, Any], words: str, rest: str = "") -> str:
    """A command for whoever has the monitor, to be pasted anywhere; without the folder, where that is not known."""
    return " ".join(filter(None, (f"{PROGRAM}{words}{in_monitor(document.get('monitor'))}", rest)))


def in_monitor(folder: str | None) -> str:
    """What a command needs to find the monitor in this folder: " -d FOLDER"; "" where it is not known."""
    return f" -d {shlex.quote(folder)}" if folder else ""


# The page ------------------------------------------------------------------------------------------------------------


def _what_happened(document: Mapping[str, Any]) -> str:
    item, issuer = document["item"], document["issuer"]["text"]
    who = issuer[:1].upper() + issuer[1:]
    if item is not None and item["reading"] == "unreadable":
        return f"{who} issued a certificate that cannot be read. It may concern you."
    return f"{who} issued a certificate for {_whose(item)}."


def _whose(item: Mapping[str, Any] | None) -> str:
    if item is None:
        return "somebody; it concerns no item on the watch list"
    if item["items"] > 1:
        return f"{item['items']:,} of your numbers ({item['group']})"
    if item["kind"] == "issuer":
        return "somebody; you watch this issuer"
    noun = _NOUNS.get(item["kind"], "{}").format(item["text"])
    covers = item["covers_others"]
    return f"{noun}, and for {covers:,} other numbers" if covers else noun


def _page(document: Mapping[str, Any]) -> Iterable[tuple[str, list[str]]]:
    item, severity = document["item"], document["severity"]
    is_owners = item is not None and document["to"] == "owner"
    if is_owners and severity <= 2:
        yield "What that means", [_meaning(item)]
        yield "Is it yours?", _yours(document)
    yield f"What to do: {document['next']}", [_MEANWHILE] if _is_urgent(document) else []
    if severity <= 2:
        yield "Whom to call", _whom(document, is_owners)


def _meaning(item: Mapping[str, Any]) -> str:
    if item["reading"] == "unreadable":
        return _UNREADABLE
    return _CODE_PASSPORT if item["kind"] == "spc" else _PASSPORT


def _yours(document: Mapping[str, Any]) -> list[str]:
    expected = document["expected"]
    found = [_MAYBE.format(day=_day(document))]
    if document["holder"]:
        found.append(f"It says that it was made out to: {document['holder']}")
    if expected["issuers"]:
        found.append(f"Issued so far by: {_list(expected['issuers'], expected['issuers_from'], say_issuer)}")
    found.append("If it is yours, tell whoever runs this monitor, and you are not told of it again:")
    found.append(command(document, "alerts authorise", document["id"][:12]))
    found.append("If it is not, have it revoked, and say so, that whoever issued it never becomes usual for you:")
    return [*found, command(document, "alerts refuse", document["id"][:12])]


def _is_urgent(document: Mapping[str, Any]) -> bool:
    item = document["item"]
    return document["severity"] == 1 and item is not None and item["kind"] in ("number", "group", "range", "prefix")


def _whom(document: Mapping[str, Any], is_owners: bool) -> list[str]:
    issuer, found = document["issuer"]["text"], []
    if is_owners:
        claims = document["claims"]["first"]
        claim = document["item"]["claim"] or (claims[0] if claims else {"text": "nobody knows whom"})
        serial = document["certificate"]["serial"] or "unknown"
        found.append(_PROVIDER.format(serial=serial, issuer=issuer, claim=claim["text"], day=_day(document)))
    contact = document["contact"] or "how to reach it is not known here; providers know it"
    if document["issuer"]["verified"]:
        found.append(f"The issuer, to have it revoked: {issuer}, {contact}")
    else:
        found.append("Who issued it is not known: no accepted authority stands behind the name that it uses.")
    if document["issuer"]["trust_domain"].endswith("shaken"):
        found.append("If the issuer does not act: the STI-PA, which admits such issuers.")
    return found


def _day(document: Mapping[str, Any]) -> str:
    return str(document["log"]["logged"]).partition("T")[0]


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


# The facts -----------------------------------------------------------------------------------------------------------


def _sections(document: Mapping[str, Any]) -> Iterable[tuple[str, list[tuple[str, Any]]]]:
    item, issuer, certificate = document["item"], document["issuer"], document["certificate"]
    claims, key, log, expected = document["claims"], document["key"], document["log"], document["expected"]
    yield "What is certified", [
        ("your item", _item_text(item)),
        *[("claims", claim["text"]) for claim in claims["first"]],
        ("", f"and {claims['count'] - LISTED:,} more" if claims["count"] > LISTED else ""),
        ("may mean", ", ".join(claims["readings"])),
        ("kept at", ", ".join(claims["by_reference"])),
        ("to", document["holder"]),
        ("subject", certificate["subject"]),
    ]
    yield "By whom (names are the CA's own words)", [
        ("issuer", issuer["name"] or issuer["text"]),
        ("its key", issuer["key_sha256"]),
        ("root", issuer["root"]),
        ("trust domain", issuer["trust_domain"]),
        ("unverified", issuer["problem"]),
    ]
    count = expected["certificates_seen"]
    yield "Expected", [
        ("issuers", _list(expected["issuers"], expected["issuers_from"], say_issuer)),
        ("holders", _list(expected["holders"], expected["holders_from"], say_name)),
        ("keys", f"{expected['keys_registered']} registered" if expected["keys_registered"] else ""),
        ("seen before", f"{count:,} certificate{'' if count == 1 else 's'}"),
    ]
    left = certificate["days_left"]
    yield "The certificate", [
        ("form", certificate["form"] if certificate["readable"] else "unreadable"),
        ("valid", f"{certificate['not_before']} to {certificate['not_after']}"),
        ("days left", None if left is None else f"{left:,}"),
        ("serial", certificate["serial"]),
        ("SHA-256", certificate["sha256"]),
        ("key", key["sha256"]),
        ("key first", _first_use(key)),
    ]
    size, name = log["proven_in"], document["id"][:12]
    entries = "entry" if size == 1 else "entries"
    where = "seen, not proven yet" if size is None else f"proven in the tree of {size:,} {entries}"
    place = "none: it was promised, and is not there" if log["index"] is None else f"{log['index']:,}, {where}"
    yield "Where it is logged", [
        ("log", log["name"]),
        ("log id", log["id"]),
        ("entry", place),
        ("logged", log["logged"]),
        ("issuance", document["issuance"]),
        ("alert", document["id"]),
        ("certificate", command(document, "alerts show", f"{name} --pem") if certificate["der"] else ""),
        ("evidence", command(document, "alerts bundle", name) if log["index"] is not None else ""),
    ]


def _item_text(item: Mapping[str, Any] | None) -> str:
    if item is None:
        return ""
    text = f"{item['text']} ({item['id']})"
    if item["items"] > 1:
        text = f"{item['items']:,} items of {item['group']}"
    if item["claim"]:
        text += f", by {item['claim']['text']}"
        text += f", which covers {item['covers_others']:,} others" if item["covers_others"] else ""
    return text if item["reading"] == "exact" else f"{text}; reading: {item['reading']}"


def _first_use(key: Mapping[str, Any]) -> str:
    if not key["first_seen"]:
        return "not seen before" if key["sha256"] else ""
    times = f", {key['times_seen']:,} times" if key["times_seen"] > 1 else ""
    whom = f"for {key['first_holder']}" if key["first_holder"] else "without a holder's name"
    return f"{key['first_seen']}, by {key['first_issuer']}, {whom}{times}"


def _list(names: Iterable[str], source: str, say_normal: Callable[[str], str]) -> str:
    """Names as the owner wrote them; of learned ones only the normal form is known."""
    shown = ", ".join(names if source == "owner" else map(say_normal, names))
    return f"{shown} ({'as you said' if source == 'owner' else 'as seen so far'})" if shown else ""
