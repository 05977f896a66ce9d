"""Does this certificate cover that number, and how: RFC 8226 sections 9 and 10, RFC 8946 section 4.

In scope: the numbers and ranges of a certificate's TNAuthList (not the `tel:` names of messaging clients), a service
provider code (which covers *by code*: no certificate can show what it covers, so policy decides), and a scope by
reference (which nobody can tell unless the caller brings the bytes; they are not signed, so what CAs above hold is
asked for these bytes too). For a diverted call the number is the one from which it was diverted. Out of scope: what is
fetched and kept; whether a certificate is good otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from ctlog.client.call_cache import CallCache
from ctlog.client.credential import CallPolicy, Credential, check_delegation
from ctlog.client.verdict import CANNOT_TELL, FAILED, PASSED, Check, Need
from ctlog.errors import CtlogError, MalformedError
from ctlog.tn.delegation import Scope
from ctlog.tn.numbers import TelephoneNumber
from ctlog.tn.tnauthlist import parse_tnauthlist
from ctlog.wire.passport import TN, Passport

Fetched: TypeAlias = Mapping[str, bytes | CtlogError]
"""By URL: what came, or the error because of which nothing did (of `ctlog.client.guarded`, or one like it)."""

MAX_LISTS = 4
"""Lists by reference that a certificate may have: each is a fetch, and RFC 8226 section 10.1 needs one."""

_COVERED = Check("scope", PASSED, "", "the number is in the certificate's list")
_CODE = Check("scope", PASSED, "by-code", "the certificate has a service provider code, which covers any number")
_LISTED = Check("scope", PASSED, "", "the number is in the list that the certificate refers to")


class Coverage(NamedTuple):
    """The check "scope"; how it passes: "number", "by-code", "by-reference" or ""; what is needed to tell more."""

    check: Check
    how: str = ""
    needs: tuple[Need, ...] = ()


def check_scope(
    credential: Credential, passport: Passport, policy: CallPolicy, fetched: Fetched, cache: CallCache | None = None
) -> Coverage:
    """Ask a certificate for the number of a token. Raises nothing."""
    party = passport.div or passport.orig
    if party.kind != TN:
        return _cannot_tell("no-number", "the caller is a URI, and no list of numbers can cover one")
    number, identity = TelephoneNumber(party.value), credential.identity
    if credential.scope is None:
        return _failed("scope-unreadable", "what the certificate says about numbers cannot be read for certain")
    if credential.scope.holds(number):
        return Coverage(_COVERED, "number")
    if identity.codes:
        return _by_code(policy)
    if identity.by_reference:
        return _by_reference(credential, number, policy, fetched, cache)
    if not identity.has_list:
        return _failed("no-scope", "the certificate has no list of numbers")
    return _failed("scope-does-not-cover", f"{number} is not in the certificate's list")


def _by_code(policy: CallPolicy) -> Coverage:
    return Coverage(_CODE if policy.by_code else _CODE._replace(outcome=CANNOT_TELL), "by-code")


def _by_reference(
    credential: Credential, number: TelephoneNumber, policy: CallPolicy, fetched: Fetched, cache: CallCache | None
) -> Coverage:
    """One list that covers is enough; while one is missing, nothing is refuted."""
    urls = credential.identity.by_reference
    if len(urls) > MAX_LISTS:
        return _failed("too-many-lists", f"the certificate refers to {len(urls)} lists, more than {MAX_LISTS}")
    answers = []
    needs = []
    for url in urls:
        came = fetched.get(url)
        if came is None:
            needs.append(Need("number-list", url))
        elif isinstance(came, CtlogError):
            answers.append(_cannot_tell("number-list-unreachable", f"a list of numbers cannot be had: {came}"))
        else:
            answers.append(_look_into(came, credential, number, policy, cache))
    for answer in answers:
        if answer.check.outcome == PASSED:
            return answer
    if needs:
        sentence = "the certificate's list of numbers lies elsewhere, and has to be fetched"
        return Coverage(Check("scope", CANNOT_TELL, "number-list-needed", sentence), "", tuple(needs))
    return next((answer for answer in answers if answer.check.outcome == CANNOT_TELL), answers[0])


def _look_into(
    data: bytes, credential: Credential, number: TelephoneNumber, policy: CallPolicy, cache: CallCache | None
) -> Coverage:
    """Is the number in a list that was fetched, and does every CA above hold that list?"""
    key = (credential.leaf.der if credential.leaf is not None else b"", data)
    found = None if cache is None else cache.lists.get(key)
    if found is None:
        try:
            entries = parse_tnauthlist(data).entries
        except MalformedError as error:
            return _failed("number-list-unreadable", f"the list of numbers that came is none: {error}")
        listed = credential.identity._replace(claims=entries, findings=(), by_reference=())
        found = Scope(entries), check_delegation(listed, credential.above, policy)
        if cache is not None:
            cache.lists.put(key, found, 40 * len(data) + 1024)
    scope, delegation = found
    if not scope.holds(number):
        sentence = f"{number} is not in the list that the certificate refers to"
        return _by_code(policy) if scope.has_code else _failed("scope-does-not-cover", sentence)
    if delegation.outcome != PASSED:
        return Coverage(delegation._replace(name="scope"))
    return Coverage(_LISTED, "by-reference")


def _failed(reason: str, sentence: str) -> Coverage:
    return Coverage(Check("scope", FAILED, reason, sentence))


def _cannot_tell(reason: str, sentence: str) -> Coverage:
    return Coverage(Check("scope", CANNOT_TELL, reason, sentence))
