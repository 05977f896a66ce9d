"""By which reading an entry concerns somebody: as it says, as it was probably meant, or by accident (T-21, T-22).

In scope: the roles of second readings of one entry; numbers as they are dialled in the countries of a trust domain,
found fast (`variants`) and then weighed with the metadata of `phonenumbers` (`readings`). Out of scope: who is
concerned (`monitor.watchlist`), how much it matters (`monitor.rules.form`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from phonenumbers import PhoneMetadata

from ctlog.tn.identity import shaken_code
from ctlog.tn.labels import fold_code
from ctlog.tn.national import ACCIDENTAL, INTENDED, NationalReading, second_readings
from ctlog.tn.numbers import MAX_DIGITS, Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.names import OID_COMMON_NAME, attribute
from monitor.entry import Entry

EXACT, UNREADABLE = "exact", "unreadable"
_MAX_WEIGHED = 64  # second readings of one entry that are weighed against each other


class Plan(NamedTuple):
    """How a country dials.

    code: its calling code. trunk: what is dialled before a national number. lengths: how many digits that has. abroad:
    what is dialled before a number with a country code. heads: with which digits anything may begin that is dialled
    there and is not in E.164.
    """

    code: str
    trunk: str
    lengths: frozenset[int]
    abroad: tuple[str, ...]
    heads: frozenset[int]

    @property
    def dialled(self) -> tuple[str, ...]:
        """What may stand before a national number. "+44 (0)20 ..." is written 44020..., and the metadata reads 440020
        so too; behind the code alone a number is as in E.164, and no variant. In North America the digit before a
        national number is that code."""
        code, trunk = self.code, self.trunk
        behind_code = (code + trunk, code + 2 * trunk) if trunk else ()
        return tuple(dict.fromkeys(("", trunk if trunk != code else "", *behind_code)))

    def is_e164(self, digits: str) -> bool:
        """Whether a number looks as one of the country does in E.164."""
        if len(digits) - len(self.code) not in self.lengths or not digits.startswith(self.code):
            return False
        return not self.trunk or not digits.startswith(self.code + self.trunk)

    @property
    def varying(self) -> frozenset[int]:
        """All numbers of digits but those that a number of the country has in E.164, where it can have no others."""
        in_e164 = {len(self.code) + length for length in self.lengths}
        dialled = {len(head) + length for head in self.dialled for length in self.lengths}
        return frozenset(range(1, MAX_DIGITS + 1)) - (in_e164 - dialled)


class Dialling:
    """The dialling plans of some countries."""

    def __init__(self, regions: Sequence[str]) -> None:
        """regions: ISO 3166-1 codes; those that `phonenumbers` does not know have no plan."""
        self.regions = tuple(regions)
        self.plans = tuple(dict.fromkeys(plan for region in self.regions if (plan := _plan(region))))
        self._abroad = tuple(head for plan in self.plans for head in plan.abroad)
        self._lengths = frozenset().union(*(plan.varying for plan in self.plans))
        self._heads = frozenset(str(head) for plan in self.plans for head in plan.heads)

    @property
    def lengths(self) -> int:
        """A bit for each number of digits that `may_vary`."""
        return sum(1 << length for length in self._lengths)

    @property
    def heads(self) -> int:
        """A bit for each first digit of a number that `may_vary`, whatever its length."""
        return sum(1 << int(head) for head in self._heads)

    def may_vary(self, digits: str) -> bool:
        """Whether `variants` may have something; cheap, and false for a number of the countries that is in E.164."""
        return len(digits) in self._lengths or digits[:1] in self._heads

    def variants(self, digits: str) -> list[str]:
        """Give what is reached by dialling `digits` in one of the countries, with the country code; itself left out.

        At least what `readings` says that can be in use: the metadata knows of local numbers and carriers, too.
        """
        if not self.may_vary(digits):
            return []
        found = [
            plan.code + digits[len(head) :]
            for plan in self.plans
            for head in plan.dialled
            if len(digits) - len(head) in plan.lengths and digits.startswith(head)
        ]
        found += [digits[len(head) :] for head in self._abroad if digits.startswith(head) and len(digits) > len(head)]
        if len(digits) <= MAX_DIGITS and not any(plan.is_e164(digits) for plan in self.plans):
            read = self.readings(TelephoneNumber(digits))
            found += [each.claim.digits for each in read if each.is_valid and isinstance(each.claim, TelephoneNumber)]
        return [each for each in dict.fromkeys(found) if each != digits and len(each) <= MAX_DIGITS]

    def readings(self, claim: TelephoneNumber | NumberRange) -> tuple[NationalReading, ...]:
        """Give the readings by the countries' own formats, weighed; not the one as written."""
        return second_readings(claim, self.regions)[1:]

    def as_written(self, claim: TelephoneNumber | NumberRange) -> NationalReading | None:
        """Weigh the reading as written, if there is another one that could be in use."""
        found = second_readings(claim, self.regions)
        return found[0] if any(reading.is_valid for reading in found[1:]) else None


@lru_cache(64)
def _plan(region: str) -> Plan | None:
    metadata = PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.general_desc is None:
        return None
    lengths = frozenset(length for length in metadata.general_desc.possible_length if length > 0)
    code, trunk = str(metadata.country_code), metadata.national_prefix or ""
    prefixes = (metadata.international_prefix or "", metadata.preferred_international_prefix or "")
    heads = first_digits(metadata.national_prefix_for_parsing or "") - {int(code[0])}
    heads |= {0, *(digit for prefix in prefixes for digit in first_digits(prefix))}
    return Plan(code, trunk, lengths, tuple({each for each in prefixes if each.isdecimal()}), frozenset(heads))


_ATOM = re.compile(r"\[[^]]*\]|\\d|\d")


def first_digits(pattern: str) -> set[int]:
    """Give the digits with which a match of a regular expression can begin, if it is one of the metadata's: of digits,
    classes and groups, some of them optional, with alternatives."""
    found: set[int] = set()
    for each in _alternatives(pattern):
        at = 0
        while at < len(each):
            if each[at] == "(":
                end = _end_of_group(each, at)
                found |= first_digits(each[at + 1 : end - 1].removeprefix("?:"))
            elif atom := _ATOM.match(each, at):
                end = atom.end()
                found.update(digit for digit in range(10) if re.fullmatch(atom[0], str(digit)))
            else:
                break
            if each[end : end + 1] != "?":
                break
            at = end + 1
    return found


def _alternatives(pattern: str) -> list[str]:
    """What stands between the bars that are in no group."""
    found, depth = [""], 0
    for letter in pattern:
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and not depth:
            found.append("")
        else:
            found[-1] += letter
    return found


def _end_of_group(pattern: str, at: int) -> int:
    """Behind the group that begins at `at`."""
    depth = 0
    for end in range(at, len(pattern)):
        depth += (pattern[end] == "(") - (pattern[end] == ")")
        if not depth:
            return end + 1
    return len(pattern)


@lru_cache(64)
def _dialling(regions: tuple[str, ...]) -> Dialling:
    return Dialling(regions)


def dialling_of(regions: Iterable[str]) -> Dialling:
    """Give the dialling plans of these countries, each made once."""
    return _dialling(tuple(dict.fromkeys(regions)))


def reading_role(entry: Entry, claim: Claim) -> str:
    """Say whether a second reading of an entry is what it was probably meant to say: INTENDED or ACCIDENTAL.

    A code is meant if the common name says it; a number, if it is the only reading that can be a number in use. The
    rest is an accident, which is graver: its owner has nothing to do with the certificate.
    """
    if isinstance(claim, ServiceProviderCode):
        names = attribute(entry.parsed.subject, OID_COMMON_NAME) if entry.parsed else []
        return INTENDED if fold_code(claim.code) in map(shaken_code, names) else ACCIDENTAL
    numbers = [each for each in entry.identity.readings if not isinstance(each, ServiceProviderCode)]
    valid = [each for each in numbers[:_MAX_WEIGHED] if second_readings(each, ())[0].is_valid]
    return INTENDED if valid == [claim] else ACCIDENTAL
