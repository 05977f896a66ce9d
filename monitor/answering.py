"""What an answer to an alert says: of what it is a yes or a no, for which item, and which other alerts it answers too.

In scope: answers as values (`Word`), made of an alert or beforehand; which open alerts they cover; storing them. A yes
is to a certificate, a key or an issuer; a no is to the key, and to its issuer unless he is one whom the owner has. An
issuer is meant by his whole name. Out of scope: how people give answers (`monitor.cli.authorise`, `refuse`), and what
follows from them (`monitor.context`, `monitor.rules.baseline`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from ctlog.errors import NotFoundError, UsageError
from monitor.holder import normalise
from monitor.items import ANYTHING, GROUP
from monitor.rules.baseline import EXPECTED, LEARNED
from monitor.rules.verdict import rules_answered
from monitor.state import State
from monitor.state.rows import ACKNOWLEDGED, NEW, REFUSED, S4, SNOOZED, AlertRow, Authorisation, short_id

CERTIFICATE, KEY, ISSUER = "certificate", "key", "issuer"
ABOUT = ("certificate", "unreadable")
"""Kinds of alerts that are about a certificate."""
MOST = 10_000
"""Open alerts of one status that an answer is compared with, the newest."""


class Word(NamedTuple):
    """What is authorised or refused: its kind, its value, for which item ("": for all)."""

    kind: str
    value: str
    item: str


# --- what is meant ----------------------------------------------------------------------------------------------------


def word_of(row: AlertRow, what: str, where: str | None) -> Word:
    """What of an alert is authorised. where: for which item, None for its own. Raises UsageError."""
    body = _body(row)
    item = row.item if where is None else where
    if what == CERTIFICATE:
        return Word(CERTIFICATE, body["issuance"], item)
    if what == KEY:
        if not body["key"]["sha256"]:
            raise UsageError(f"the certificate of {short_id(row.id)} cannot be read, so its key is not known")
        return Word(KEY, body["key"]["sha256"], item)
    if not body["issuer"]["verified"]:
        raise UsageError(f"nobody vouches for the issuer of {short_id(row.id)} ({body['issuer']['problem']}): "
                         "authorise its certificate or its key")  # fmt: skip
    return Word(ISSUER, body["issuer"]["id"], item)


def refusal_of(row: AlertRow, what: str | None, where: str | None) -> list[Word]:
    """What of an alert is refused: its key, and its issuer. Raises UsageError.

    what: KEY, ISSUER, or None, and then the issuer too unless the owner has him: who issues for him in his own name is
    not refused for one certificate. Who is usual only because he was there at enrolment (T-12 of a code) is refused: it
    was about him that the owner was asked. where: for which item; None for its own, of one that stands for many all of
    them.
    """
    body = _body(row)
    item = where
    if item is None:
        item = row.group if row.item in (f"{row.group}/{GROUP}", f"{row.group}/{ANYTHING}") else row.item
    issuer, key = body["issuer"], body["key"]["sha256"]
    if what == ISSUER and not issuer["verified"]:
        raise UsageError(f"nobody vouches for the issuer of {short_id(row.id)} ({issuer['problem']}): its name may be "
                         "somebody else's, so that only the key can be refused; leave --what away")  # fmt: skip
    standing = issuer.get("standing")
    is_own = standing == EXPECTED or (standing == LEARNED and "T-12" not in row.rules)
    words = [Word(KEY, key, item)] if key else []
    if issuer["verified"] and (what == ISSUER or (what is None and not is_own)):
        words.insert(0, Word(ISSUER, issuer["id"], item))
    if not words:
        raise UsageError(f"the certificate of {short_id(row.id)} cannot be read, so nothing of it would be known "
                         "again: answer with `ack`")  # fmt: skip
    return words


def _body(row: AlertRow) -> dict[str, Any]:
    if row.kind not in ABOUT:
        raise UsageError(f"the alert {short_id(row.id)} is about {row.kind}, not about a certificate: "
                         "answer with `ack`")  # fmt: skip
    body: dict[str, Any] = json.loads(row.body)
    return body


def issuer_named(name: str, known: Iterable[str], trust_domains: Iterable[str]) -> str:
    """The id of an issuer (`IssuerId.text`) that people call so: by his whole name, with the root if it is another's.

    known: every issuer that was seen; one that was not must be named as a whole, trust domain included. Raises
    UsageError, NotFoundError.
    """
    known, domains = frozenset(known), sorted(trust_domains)
    if name in known:
        return name
    written = tuple(map(normalise, name.split(" @ ")))
    parts = {each: tuple(map(normalise, each.split(" @ "))) for each in known}
    meant = sorted(each for each, whole in parts.items() if written in (whole, whole[:-1]))
    if len(meant) == 1:
        return meant[0]
    longer = sorted(each for each, whole in parts.items() if whole[0] == written[0] and len(whole) > len(written))
    if meant or (longer and len(written) == 1):
        raise UsageError(f"{name!r} may be {' or '.join(map(repr, meant or longer))}: say which")
    domain = next((each for each in domains if normalise(each) == written[-1]), None)
    if len(written) > 1 and domain is not None and all(written):
        return " @ ".join((*written[:-1], domain))
    near = difflib.get_close_matches(normalise(name), known, 3, 0.3)
    hint = f"; near are {', '.join(map(repr, near))}" if near else ""
    raise NotFoundError(
        f"no issuer was seen that is called {name!r}{hint}. Names are compared as a whole. One that was never seen is "
        f'named as alerts do: "organisation @ trust domain" (trust domains: {", ".join(domains) or "none"})'
    )


# --- what it covers ---------------------------------------------------------------------------------------------------


class Settled(NamedTuple):
    """The alerts that a word answered, and those about the same that say more than it answers."""

    answered: list[AlertRow]
    still_open: list[AlertRow]


async def settle(state: State, word: Word, by: str, note: str, named: AlertRow | None) -> Settled:
    """Open alerts about what a yes names are answered by it, if it answers all that they say; and the one that was
    `named`, which was looked at. What that one says besides is sent all the same. Raises StoreError."""
    answered, still_open = [], []
    async for row in _covered(state, word, (NEW, ACKNOWLEDGED, SNOOZED, REFUSED)):
        is_named = named is not None and row.id == named.id
        says_more = _says_more(CERTIFICATE if is_named else word.kind, json.loads(row.body))
        if is_named or not says_more:
            answered.append(await state.alerts.mark_authorised(row.id, by, note, says_more=says_more))
        else:
            still_open.append(row)
    return Settled(answered, still_open)


async def settle_refused(state: State, words: Sequence[Word], by: str, note: str) -> list[AlertRow]:
    """Open alerts about what a no names are answered by it, whatever else they say; those that are. Raises
    StoreError."""
    found = {row.id: row for word in words async for row in _covered(state, word, (NEW, ACKNOWLEDGED, SNOOZED))}
    return [await state.alerts.mark_refused(each, by, note) for each in found]


async def _covered(state: State, word: Word, statuses: Sequence[str]) -> AsyncIterator[AlertRow]:
    """The alerts that a word is about."""
    thread = word.value if word.kind == CERTIFICATE else None
    for status in statuses:
        for row in await state.alerts.find(status=status, thread=thread, of=word.item or None, limit=MOST):
            if row.kind in ABOUT and covers(word, json.loads(row.body)):
                yield row


def _says_more(kind: str, body: dict[str, Any]) -> bool:
    """Whether an alert says, beyond what is for information, something that a yes to this kind does not answer."""
    answered = rules_answered(kind, (body["item"] or {}).get("kind", ""))
    return any(each["id"] not in answered for each in body["rules"] if each["severity"] < S4)


def covers(word: Word, body: dict[str, Any]) -> bool:
    """Whether an alert is about the certificate, key or issuer that a word names."""
    if word.kind == CERTIFICATE:
        return bool(body["issuance"] == word.value)
    if word.kind == KEY:
        return bool(body["key"]["sha256"] == word.value)
    return bool(body["issuer"]["verified"] and body["issuer"]["id"] == word.value)


def refusals_of(row: AlertRow, item: str, refused: Iterable[Authorisation]) -> list[Authorisation]:
    """The refusals that a yes to this alert takes back: of its key and its issuer, for the same item."""
    body = _body(row)
    about = {(KEY, body["key"]["sha256"]), (ISSUER, body["issuer"]["id"])}
    return [each for each in refused if (each.kind, each.value) in about and each.item in (item, row.item)]


def still_refused(word: Word, rows: Iterable[Authorisation]) -> list[Authorisation]:
    """Refusals of the same for something that is less, which a yes therefore does not take back."""
    same = [row for row in rows if row.is_refusal and (row.kind, row.value) == (word.kind, word.value)]
    return [row for row in same if row.item != word.item and (not word.item or row.item.startswith(f"{word.item}/"))]
