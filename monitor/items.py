"""What can be watched, and what its owner said about it: numbers, ranges, prefixes, codes, holders, issuers, keys.

In scope: items, the group that they belong to, what is expected for it, and how each is written for people. Numbers are
written in E.164 with "+", so that nobody's national number is taken for somebody else's (threat T-21). Out of scope:
matching (`monitor.watchlist`), the file in which items are kept (`monitor.watch_file`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from ctlog.errors import InputError, MalformedError, UsageError
from ctlog.tn.labels import fold_code
from ctlog.tn.numbers import MAX_DIGITS, Claim, NumberRange, ServiceProviderCode, TelephoneNumber, overlaps

NUMBER, RANGE, PREFIX, CODE, HOLDER, ISSUER, KEY = "number", "range", "prefix", "spc", "holder", "issuer", "key"
KINDS = (NUMBER, RANGE, PREFIX, CODE, HOLDER, ISSUER, KEY)
GROUP, ANYTHING = "group", "anything"
"""Kinds of items that nobody watches: many items of one group at once; whoever an unreadable entry may concern."""

_SEPARATORS = str.maketrans("", "", " .-()\u00a0")
_BETWEEN = re.compile(r"\s+to\s+|\s*\.\.\s*")
_CODE = re.compile(r"[0-9A-Za-z]{1,32}\Z")
_KEY = re.compile(r"[0-9a-fA-F]{64}\Z")


@dataclass(frozen=True, slots=True)
class Expect:
    """What an owner expects of certificates for an item; what is empty was not said, and is learned where it can be.

    issuers, holders: organisations as people write them. keys: SHA-256 of SubjectPublicKeyInfo. ranges: whole blocks
    that hold the item and are its provider's. codes: of the providers that serve the numbers. uris: that may stand in
    attributes of the certificate (T-25).
    """

    issuers: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    keys: frozenset[bytes] = frozenset()
    max_validity_days: float | None = None
    ranges: tuple[NumberRange, ...] = ()
    codes: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


NOTHING_EXPECTED = Expect()


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """What items have in common: who is told (names of channels), in which trust domain they are (None: in any), what
    is expected, and what is left out (`exclude`: somebody else looks after these numbers)."""

    name: str
    tell: tuple[str, ...] = ()
    trust_domain: str | None = None
    expect: Expect = NOTHING_EXPECTED
    exclude: tuple[Claim, ...] = ()

    def concerns(self, trust_domain: str) -> bool:
        """Whether an entry in this trust domain ("": unknown) may concern the group."""
        return self.trust_domain in (None, trust_domain) or not trust_domain

    def excludes(self, claim: Claim) -> bool:
        """Whether all that a claim covers was left out by one of the exclusions."""
        return any(_holds(outer, claim) for outer in self.exclude)


Value: TypeAlias = TelephoneNumber | NumberRange | ServiceProviderCode | str | bytes
"""Of an item: a claim; digits for a prefix, a name for a holder or an issuer; 32 octets for a key."""


@dataclass(frozen=True, slots=True)
class Item:
    """One watched thing. added_ms: since when it is watched; certificates older than that were there at enrolment."""

    kind: str
    value: Value
    group: Group
    added_ms: int = 0

    @property
    def id(self) -> str:
        """A stable name, unique in a watch list: "office/number:+12025550123"."""
        domain = f"@{self.group.trust_domain}" if self.kind == CODE and self.group.trust_domain else ""
        if self.kind in (GROUP, ANYTHING):
            return f"{self.group.name}/{self.kind}"
        return f"{self.group.name}/{self.kind}:{self.text}{domain}"

    @property
    def text(self) -> str:
        """The value for people, as it is written in a watch list."""
        value = self.value
        if isinstance(value, TelephoneNumber):
            return f"+{value.digits}"
        if isinstance(value, NumberRange):
            return f"+{value.start} to +{value.last}"
        if isinstance(value, ServiceProviderCode):
            return fold_code(value.code)
        if isinstance(value, bytes):
            return value.hex()
        return f"+{value}" if self.kind == PREFIX else value

    @property
    def tell(self) -> tuple[str, ...]:
        """The channels over which its owner is told."""
        return self.group.tell

    @property
    def expect(self) -> Expect:
        """What its owner expects."""
        return self.group.expect

    @property
    def is_numeric(self) -> bool:
        """True if it is about telephone numbers rather than a code or a name."""
        return self.kind in (NUMBER, RANGE, PREFIX, GROUP)

    @property
    def is_nominal(self) -> bool:
        """True for a name or a key, which certificates for any number or code can have."""
        return self.kind in (HOLDER, ISSUER, KEY)

    @property
    def is_single(self) -> bool:
        """True for one telephone number."""
        return self.kind == NUMBER

    def is_touched_by(self, claim: Claim) -> bool:
        """Whether a claim says something about this item."""
        if isinstance(self.value, ServiceProviderCode):
            return isinstance(claim, ServiceProviderCode) and fold_code(claim.code) == fold_code(self.value.code)
        if isinstance(self.value, TelephoneNumber | NumberRange):
            return overlaps(self.value, claim)
        if self.kind == PREFIX and isinstance(self.value, str):
            return any(overlaps(block, claim) for block in prefix_blocks(self.value))
        return False


def prefix_blocks(prefix: str) -> list[TelephoneNumber | NumberRange]:
    """Give all numbers that begin with these digits, one block for each length."""
    longer = range(1, MAX_DIGITS - len(prefix) + 1)
    return [TelephoneNumber(prefix), *(NumberRange(prefix + "0" * free, 10**free) for free in longer)]


def _holds(outer: Claim, inner: Claim) -> bool:
    if isinstance(outer, ServiceProviderCode) or isinstance(inner, ServiceProviderCode):
        both = isinstance(outer, ServiceProviderCode) and isinstance(inner, ServiceProviderCode)
        return both and fold_code(str(outer)) == fold_code(str(inner))
    ends = [TelephoneNumber(inner.start), TelephoneNumber(inner.last)] if isinstance(inner, NumberRange) else [inner]
    return all(overlaps(outer, end) for end in ends)


# --- how people write them -------------------------------------------------------------------------------------------


def parse_number(text: str) -> TelephoneNumber:
    """Read "+1 202 555 0123". Raises: UsageError with a sentence that says what is expected."""
    digits = _digits(text, "a number")
    if len(digits) < 4:
        raise UsageError(f"{text!r} is too short for a telephone number with its country code")
    return TelephoneNumber(digits)


def parse_range(text: str) -> NumberRange:
    """Read "+12025550100 to +12025550199", both ends included. Raises: UsageError."""
    parts = _BETWEEN.split(text.strip())
    if len(parts) != 2:
        raise UsageError(f"{text!r} is no range: write the first and the last number with 'to' between them")
    first, last = (_digits(part, "a number") for part in parts)
    if len(first) != len(last) or first >= last:
        raise UsageError(f"{text!r} is no range: both numbers have as many digits, and the last is above the first")
    try:
        return NumberRange(first, int(last) - int(first) + 1)
    except InputError as error:
        raise UsageError(f"{text!r} is no range: {error}") from error


def parse_prefix(text: str) -> str:
    """Read "+1202", with which all numbers to be watched begin. Raises: UsageError."""
    return _digits(text, "a prefix")


def parse_code(text: str) -> ServiceProviderCode:
    """Read "709J". Raises: UsageError."""
    if not _CODE.match(text.strip()):
        raise UsageError(f"{text!r} is no service provider code: letters and digits, such as 709J")
    return ServiceProviderCode(fold_code(text.strip()))


def parse_key(text: str) -> bytes:
    """Read the SHA-256 of a SubjectPublicKeyInfo: 64 hexadecimal digits, colons allowed. Raises: UsageError."""
    plain = text.strip().replace(":", "")
    if not _KEY.match(plain):
        raise UsageError(f"{text!r} is no key: the SHA-256 of its SubjectPublicKeyInfo, 64 hexadecimal digits")
    return bytes.fromhex(plain)


def parse_name(text: str) -> str:
    """Read the name of a holder or an issuer. Raises: UsageError for one without letters and digits."""
    if not any(map(str.isalnum, text)) or len(text) > 256:
        raise UsageError(f"{text[:80]!r} is no name of an organisation")
    return text.strip()


def parse_claim(text: str) -> Claim:
    """Read a range, a number or, without "+", a code: what can be left out. Raises: UsageError."""
    if not text.strip().startswith("+"):
        return parse_code(text)
    return parse_range(text) if _BETWEEN.search(text) else parse_number(text)


def _digits(text: str, what: str) -> str:
    plain = text.strip()
    if not plain.startswith("+"):
        raise UsageError(f"{text!r} is no {what[2:]} with '+' and the country code, such as +12025550123")
    try:
        number = TelephoneNumber(plain[1:].translate(_SEPARATORS))
    except MalformedError as error:
        raise UsageError(f"{text!r} is no {what[2:]}: {error}") from error
    if not number.is_numeric:
        raise UsageError(f"{text!r} is no {what[2:]}: it has * or #")
    return number.digits


def say_items(count: int, what: str = "") -> str:
    """ "1 item", "2 items"; with `what` is so of them: "1 item is watched"."""
    said = f"{count:,} {'item' if count == 1 else 'items'}"
    return f"{said} {'is' if count == 1 else 'are'} {what}" if what else said
