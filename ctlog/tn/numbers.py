"""Telephone numbers, ranges of them and service provider codes, as RFC 8226 section 9 writes them.

In scope: the three values that a certificate can claim, what lies inside what, and the fewest decimal prefixes that
tile a range. A number is its digits, `*` and `#`: leading zeros count, "0123" is not "123", and the members of a range
all have as many digits as its start. Out of scope: how claims are encoded (`tnauthlist`, `tel_uri`), what a national
number may mean (`national`), and whether a number exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ctlog.errors import MalformedError

MAX_DIGITS = 15  # TelephoneNumber ::= IA5String (SIZE (1..15)); also the longest number of E.164
DIGITS = "0123456789"
_POWERS: tuple[int, ...] = tuple(10**digits for digits in range(MAX_DIGITS + 1))


@dataclass(frozen=True, slots=True)
class TelephoneNumber:
    """One number: 1 to 15 of the characters 0 to 9, `*` and `#`, no `+` and no separators.

    Raises: MalformedError if `digits` is anything else; its reason says which rule.
    """

    digits: str

    def __post_init__(self) -> None:
        digits = self.digits
        if digits.strip("0123456789*#") or not 0 < len(digits) <= MAX_DIGITS:  # strip leaves nothing of a good number
            raise _number_error(digits)

    @property
    def is_numeric(self) -> bool:
        """True if it is made of digits only, so that it can lie in a range."""
        return not self.digits.strip(DIGITS)

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True)
class NumberRange:
    """`count` numbers from `start` on, all with as many digits as `start`.

    RFC 8226 section 9: count is at least 2, applies only to a start without `*` and `#`, and "MUST NOT make the number
    increase in length". The formal sentence there (start + count < 10^D) excludes one number more than its own example
    does; the rule here is the example's: the last number, start + count - 1, has D digits. `fits_strictly` is the
    letter.

    Raises: MalformedError; its reason says which rule.
    """

    start: str
    count: int

    def __post_init__(self) -> None:
        start, count = self.start, self.count
        if start.strip("0123456789") or not 0 < len(start) <= MAX_DIGITS:
            raise _number_error(start)
        if count < 2:
            raise MalformedError("a range counts fewer than 2 numbers", reason="range-count")
        if int(start) + count > _POWERS[len(start)]:
            raise MalformedError("a range grows into numbers with more digits", reason="range-grows")

    @property
    def lo(self) -> int:
        """The first number as an integer."""
        return int(self.start)

    @property
    def hi(self) -> int:
        """One more than the last number, as an integer."""
        return int(self.start) + self.count

    @property
    def width(self) -> int:
        """How many digits each number has."""
        return len(self.start)

    @property
    def last(self) -> str:
        """The last number."""
        return str(self.hi - 1).zfill(self.width)

    @property
    def fits_strictly(self) -> bool:
        """True if start + count < 10^D, the letter of RFC 8226 section 9."""
        return self.hi < _POWERS[self.width]

    def __str__(self) -> str:
        return f"{self.start}-{self.last}"


@dataclass(frozen=True, slots=True)
class ServiceProviderCode:
    """A service provider code: an IA5String without further rules, so any text, the empty one too.

    Each character is one octet of the certificate (U+0000 to U+00FF), so that the value is what was logged. Equal means
    the same octets; `ctlog.tn.labels` says how codes are looked up without regard to case.

    Raises: MalformedError for a character above U+00FF.
    """

    code: str

    def __post_init__(self) -> None:
        if not self.code.isascii() and max(self.code) > "\xff":
            raise MalformedError("a code has a character that is no octet", reason="code-characters")

    def __str__(self) -> str:
        return self.code


def _number_error(digits: str) -> MalformedError:
    """Say what is wrong with a number, or with the start of a range, which must have no sign."""
    if not 0 < len(digits) <= MAX_DIGITS:
        sentence = f"a number has {len(digits)} characters, not 1 to {MAX_DIGITS}"
        return MalformedError(sentence, reason="number-length")
    if digits.strip("0123456789*#"):
        return MalformedError("a number has a character other than 0 to 9, * and #", reason="number-characters")
    return MalformedError("a range starts at a number with * or #", reason="range-signs")


Claim: TypeAlias = TelephoneNumber | NumberRange | ServiceProviderCode


def interval(claim: Claim) -> tuple[int, int, int] | None:
    """Give (digits, lo, hi), half-open, of the numbers that a claim holds; None for a code and a number with signs."""
    if isinstance(claim, NumberRange):
        lo = int(claim.start)
        return len(claim.start), lo, lo + claim.count
    if isinstance(claim, TelephoneNumber) and claim.is_numeric:
        lo = int(claim.digits)
        return len(claim.digits), lo, lo + 1
    return None


def contains(outer: Claim, inner: Claim) -> bool:
    """True if everything that `inner` claims is claimed by `outer`: numbers by value, codes and `*` `#` verbatim."""
    if outer == inner:
        return True
    a, b = interval(outer), interval(inner)
    return a is not None and b is not None and a[0] == b[0] and a[1] <= b[1] and b[2] <= a[2]


def overlaps(one: Claim, other: Claim) -> bool:
    """True if something is claimed by both."""
    if one == other:
        return True
    a, b = interval(one), interval(other)
    return a is not None and b is not None and a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def prefix_cover(numbers: NumberRange) -> list[str]:
    """Give the fewest decimal prefixes whose numbers of that width tile the range, in ascending order.

    A prefix as long as the width is one number; "" is every number of the width. At most 18 prefixes a digit.
    """
    lo, hi, found = numbers.lo, numbers.hi, []
    while lo < hi:
        digits, size = numbers.width, 1
        while lo % (size * 10) == 0 and lo + size * 10 <= hi:
            digits, size = digits - 1, size * 10
        found.append(str(lo // size).zfill(digits) if digits else "")
        lo += size
    return found
