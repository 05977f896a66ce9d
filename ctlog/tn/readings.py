"""Second readings: what a certificate may be taken to claim by somebody who reads less strictly.

In scope: every plausible meaning of a TNAuthorizationList that breaks RFC 8226 (implicit tags, lengths of BER, a string
without its tag, bytes after the end ...), and of a claim that is readable but odd (`00` before the country code, `*` as
a pattern, a code with spaces). The only job is to hold at least what anybody could read, so that nothing hides by its
form; what is read here is never what the certificate *says*. Pure and total, bounded in time and in results, and part
of what `ctlog.tn.labels` versions: docs/labels.md writes these rules out. Out of scope: what depends on a country
(`national`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ctlog.tn.numbers import MAX_DIGITS, Claim, NumberRange, ServiceProviderCode, TelephoneNumber

MAX_READINGS = 1024  # of one extension; whoever writes more has the label "unindexable" anyway
MAX_ELEMENTS = 4096
MAX_DEPTH = 12
SHORTEST = 7  # digits; a number with its country code has no fewer
MAX_CODE = 255  # as `labels.MAX_VALUE`: a longer code has no label of its own
_MAX_PAIRS = 16  # of starts and counts within one element
DIALLING_PREFIXES = ("00", "011")  # "international call" before a country code: ITU-T E.164, North America

# Universal tags whose content is text; OCTET STRING because careless encoders wrap text in it.
_TEXTS = frozenset((0x04, 0x0C, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1A, 0x1B, 0x1C, 0x1E))
_WIDE = {0x1C: "utf-32-be", 0x1E: "utf-16-be"}
_CONTEXTS = {0: "code", 1: "range", 2: "number"}
_RUN = re.compile(rb"[0-9A-Za-z+*#]{2,64}")
_CUT = re.compile("[a-z@]")
_WORD = re.compile(r"[0-9A-Za-z]+")
_NOT_DIALLED = re.compile(r"[^0-9*#]+")
_NUMBER_LIKE = re.compile(r"[\s+(]*[0-9][0-9\s().+/_*#-]{6,}\Z")


class Reading(NamedTuple):
    """claims: every plausible one. is_whole: nothing was damaged, over a limit, or of a form that gives no claim at
    all; else there may be more than these claims, and somebody may have put them there to hide that."""

    claims: tuple[Claim, ...]
    is_whole: bool


def second_reading(data: bytes) -> tuple[Claim, ...]:
    """Give every plausible claim in the bytes of a TNAuthorizationList, readable or not. Total."""
    return careless_reading(data).claims


def careless_reading(data: bytes) -> Reading:
    """The same, with whether that is all. Total."""
    walk = _Walk(data)
    walk.group(0, len(data), "", 0)
    if walk.damaged or not walk.found:
        for run in _RUN.finditer(data):
            walk.take([run.group().decode("ascii")], [], "")
    return Reading(tuple(walk.found), bool(walk.found) and not (walk.damaged or walk.unread))


def claim_readings(claim: Claim) -> list[Claim]:
    """Give what else a claim that was read strictly may be taken for; mostly nothing."""
    if isinstance(claim, ServiceProviderCode):
        code = claim.code
        if looks_like_number(code):
            return list(number_readings(code))
        return [] if code.isalnum() and code.isascii() else [found for found in code_readings(code) if found != claim]
    if isinstance(claim, TelephoneNumber):
        digits = claim.digits
        rest = [TelephoneNumber(digits[len(prefix) :]) for prefix in _dialled(digits)]
        return [*rest, *([] if claim.is_numeric else _pattern(digits))]
    last = claim.last
    return [
        NumberRange(claim.start[len(prefix) :], claim.count)
        for prefix in _dialled(claim.start)
        if last.startswith(prefix)
    ]


def number_readings(text: str) -> Iterator[TelephoneNumber]:
    """Give the numbers that people may see in a text: `+`, separators and what follows a letter are left out.

    Cut at 15 digits; parts between "," or ";" or "|" are numbers of their own; without a dialling prefix as well.
    """
    text = text.lower().removeprefix("tel:")
    for part in re.split(r"[,;|]", text, maxsplit=_MAX_PAIRS):
        digits = _NOT_DIALLED.sub("", re.split("[a-z@]", part, maxsplit=1)[0])
        for candidate in (digits, *(digits[len(prefix) :] for prefix in _dialled(digits))):
            if candidate:
                yield TelephoneNumber(candidate[:MAX_DIGITS])


def is_read_whole(text: str) -> bool:
    """Whether `number_readings` leaves out no digits that could be a number of their own."""
    text = text.lower().removeprefix("tel:")
    for part in re.split(r"[,;|]", text, maxsplit=_MAX_PAIRS):
        kept, _, left_out = _CUT.sub("@", part, count=1).partition("@")
        if len(_NOT_DIALLED.sub("", kept)) > MAX_DIGITS or len(_NOT_DIALLED.sub("", left_out)) >= SHORTEST:
            return False
    return True


def code_readings(text: str) -> Iterator[ServiceProviderCode]:
    """Give the codes that a text may be: the text itself if it prints, its letters and digits, each word of them."""
    if 0 < len(text) <= MAX_CODE:
        if text.isascii() and text.isprintable():
            yield ServiceProviderCode(text)
        words = _WORD.findall(text)
        if words != [text]:
            for word in dict.fromkeys(("".join(words), *words)):
                if word:
                    yield ServiceProviderCode(word)


def looks_like_number(code: str) -> bool:
    """True for a code that is more likely a number in the wrong place: 7 digits or more and only separators beside."""
    return len(code) > 6 and _NUMBER_LIKE.match(code) is not None and sum(map(str.isdigit, code)) > 6


def is_unbounded(number: TelephoneNumber) -> bool:
    """True for a number that, taken as a pattern, matches whatever begins with anything: no digit before `*` or `#`."""
    return number.digits[0] in "*#"


def _dialled(digits: str) -> list[str]:
    return [prefix for prefix in DIALLING_PREFIXES if digits.startswith(prefix) and len(digits) > len(prefix)]


def _pattern(digits: str) -> list[Claim]:
    """Read `*` and `#` as signs of a pattern: the digits before the first of them, and all that begin with these."""
    fixed = re.split("[*#]", digits, maxsplit=1)[0]
    if not fixed:
        return []
    free = range(1, MAX_DIGITS - len(fixed) + 1)
    return [TelephoneNumber(fixed), *(NumberRange(fixed + "0" * count, 10**count) for count in free)]


def _spans(start: TelephoneNumber, count: int) -> Iterator[Claim]:
    """Read `count` numbers from `start` on, going on into more digits where the count says so."""
    if not start.is_numeric or count < 2:
        yield start
        return
    lo = int(start.digits)
    hi = lo + count
    for width in range(len(start.digits), MAX_DIGITS + 1):
        stop = min(hi, 10**width)
        if stop - lo > 1:
            yield NumberRange(str(lo).zfill(width), stop - lo)
        elif stop - lo == 1:
            yield TelephoneNumber(str(lo).zfill(width))
        lo = max(lo, 10**width)
        if lo >= hi:
            return


class _Walk:
    """One pass over bytes as BER, forgiving: an element that ends beyond what holds it ends there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_ELEMENTS
        self.found: dict[Claim, None] = {}  # in order, once each
        self.damaged = False  # something was cut short, or there was too much of it
        self.unread = False  # something gave no claim, or not all that it could
        self._taken = 0

    def group(self, lo: int, hi: int, context: str, depth: int) -> None:
        """Read the elements in data[lo:hi]; texts and integers side by side are starts and counts of ranges."""
        texts: list[str] = []
        counts: list[int] = []
        while lo < hi:
            if self._left == 0 or depth > MAX_DEPTH:
                self.damaged = True
                break
            self._left -= 1
            tag, at, lo, cut = self._element(lo, hi)
            self.damaged |= cut
            if tag & 0xC0 == 0x80:
                self._tagged(tag, at, lo, depth)
            elif tag & 0xDF in _TEXTS:
                if tag & 0x1F == 0x04 and at < lo and self._is_tiled(at, lo):
                    self.group(at, lo, context, depth + 1)
                else:
                    texts.append(self._text(tag, at, lo))
            elif tag == 0x02:
                counts.append(int.from_bytes(self._data[at : min(lo, at + 16)], "big"))
            elif tag & 0x20:
                self.group(at, lo, context, depth + 1)
            else:
                self.unread |= at < lo
        self.take(texts, counts, context)

    def take(self, texts: list[str], counts: list[int], context: str) -> None:
        """Read texts, and counts that stand beside them, in the context of an entry's tag ("" if it has none)."""
        if counts:
            pairs = [(text, count) for text in texts for count in counts]
            self.damaged |= len(pairs) > _MAX_PAIRS
            before = self._taken
            for text, count in pairs[:_MAX_PAIRS]:
                self.unread |= not is_read_whole(text)
                for start in number_readings(text):
                    self._add(_spans(start, count))
            self.unread |= self._taken == before
            return
        for text in texts:
            number, before = context in ("number", "range"), self._taken
            if not number or any(map(str.isalpha, text)):
                self._add(code_readings(text))
            if number or looks_like_number(text):
                self._add(number_readings(text))
                self.unread |= not is_read_whole(text)
            self.unread |= text != "" and self._taken == before

    def _add(self, claims: Iterator[Claim]) -> None:
        for claim in claims:
            if len(self.found) >= MAX_READINGS:
                self.damaged = True
                return
            self._taken += 1
            self.found[claim] = None

    def _tagged(self, tag: int, at: int, end: int, depth: int) -> None:
        """Read an entry: its content as elements, and as text where that is how an implicit tag has to be read."""
        context = _CONTEXTS.get(tag & 0x1F, "")
        tiled = self._is_tiled(at, end)
        if tag & 0x20 or tiled:
            self.group(at, end, context, depth + 1)
        if not tiled:
            self.take([self._data[at:end].decode("latin-1")], [], context)

    def _is_tiled(self, at: int, end: int) -> bool:
        """True if data[at:end] begins with what an entry may hold and consists of whole elements."""
        if at < end and self._data[at] & 0xDF not in _TEXTS and self._data[at] != 0x30:
            return False
        cut = False
        while at < end and self._left and not cut:
            self._left -= 1
            _, _, at, cut = self._element(at, end)
        return at == end and not cut

    def _text(self, tag: int, at: int, end: int) -> str:
        """Give a string's text, each character one octet; of a constructed one (BER), its parts joined."""
        content = self._data[at:end]
        if tag & 0x20:
            parts = []
            while at < end and self._left:
                self._left -= 1
                _, lo, at, _ = self._element(at, end)
                parts.append(self._data[lo:at])
            self.unread |= at < end
            content = b"".join(parts)
        wide = _WIDE.get(tag & 0x1F)
        if wide:
            content = content.decode(wide, "ignore").encode("latin-1", "ignore")
        return content.decode("latin-1")

    def _element(self, at: int, stop: int) -> tuple[int, int, int, bool]:
        """Read a header of any form: (tag, content start, content end, whether it is cut short).

        A tag of several octets counts as [31].
        """
        data, tag = self._data, self._data[at]
        at += 1
        if tag & 0x1F == 0x1F:
            while at < stop and data[at] & 0x80:
                at += 1
            at += 1
        if at >= stop:
            return tag, stop, stop, True
        length = data[at]
        at += 1
        if length == 0x80:  # indefinite: up to the end of what holds it, which only adds to it
            return tag, at, stop, False
        if length > 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[at : min(at + octets, stop)], "big")
            at += octets
        if at + length > stop:
            return tag, min(at, stop), stop, True
        return tag, at, at + length, False
