"""What a number means if it was written in a country's own format: threat T-21, with the metadata of `phonenumbers`.

A TNAuthList has E.164 digits with country code, but its syntax cannot say so: `5715551212` may be the Colombian number
+57 1 555 1212 or the American (571) 555-1212. In scope: every reading of a claim, given the countries of its trust
domain, and which of them was probably meant. Out of scope, and never to depend on this: claims, labels and findings,
which are the same for ever while this metadata changes with every release. For monitors, as a help for judging.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import phonenumbers

from ctlog.errors import MalformedError
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber

INTENDED, ACCIDENTAL, UNCLEAR = "intended", "accidental", "unclear"


class NationalReading(NamedTuple):
    """One reading of a number or a range.

    claim: E.164 digits. region: the country (ISO 3166-1) in whose format it was read; "" as written. is_valid: the
    metadata knows such numbers as being in use. role: "intended" for the reading that was probably meant, "accidental"
    for the others; "unclear" for all if that cannot be told.
    """

    claim: TelephoneNumber | NumberRange
    region: str
    is_valid: bool
    role: str


def regions_of(trust_domain: str) -> tuple[str, ...]:
    """Give the countries in whose format numbers of a trust domain may be written: `us-shaken` -> US, `fr` -> FR.

    The part of the name before the first "-", if it is the code of a country; else none.
    """
    region = trust_domain.partition("-")[0].upper()
    return (region,) if region in phonenumbers.SUPPORTED_REGIONS else ()


def second_readings(claim: Claim, regions: Sequence[str]) -> tuple[NationalReading, ...]:
    """Give the readings of a claim: as written, which is always the first, then by each region's own format.

    Nothing for codes, and only the first for numbers with `*` or `#`. A reading that is no possible number, or the same
    as one before, is left out.
    """
    if isinstance(claim, ServiceProviderCode):
        return ()
    found: dict[TelephoneNumber | NumberRange, tuple[str, bool]] = {claim: ("", _is_valid(claim))}
    for region in regions:
        for reading in _national(claim, region):
            found.setdefault(reading, (region, _is_valid(reading)))
    valid = [reading for reading, (_, is_valid) in found.items() if is_valid]
    intended = next(iter(found)) if len(found) == 1 else valid[0] if len(valid) == 1 else None
    return tuple(
        NationalReading(reading, region, is_valid, _role(reading == intended, intended is not None))
        for reading, (region, is_valid) in found.items()
    )


def _role(is_intended: bool, is_known: bool) -> str:
    if not is_known:
        return UNCLEAR
    return INTENDED if is_intended else ACCIDENTAL


def _national(claim: TelephoneNumber | NumberRange, region: str) -> Iterator[TelephoneNumber | NumberRange]:
    """Read the claim as dialled in the region; a range only if all of it keeps its order."""
    if isinstance(claim, TelephoneNumber):
        digits = _dialled(claim.digits, region) if claim.is_numeric else None
        if digits:
            yield TelephoneNumber(digits)
        return
    first, last = _dialled(claim.start, region), _dialled(claim.last, region)
    if first and last and len(first) == len(last) and int(last) - int(first) == claim.count - 1:
        yield NumberRange(first, claim.count)


def _dialled(digits: str, region: str) -> str | None:
    """Give the E.164 digits of what is reached by dialling `digits` in a region; None if that is no possible number."""
    try:
        number = phonenumbers.parse(digits, region)
        if not phonenumbers.is_possible_number(number):
            return None
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        return TelephoneNumber(written.removeprefix("+")).digits
    except (phonenumbers.NumberParseException, MalformedError):
        return None


def _is_valid(claim: TelephoneNumber | NumberRange) -> bool:
    """True if the number, or the first or the last of the range, is one that can be in use."""
    ends = (claim.digits,) if isinstance(claim, TelephoneNumber) else (claim.start, claim.last)
    return any(_is_valid_number(digits) for digits in ends)


def _is_valid_number(digits: str) -> bool:
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse("+" + digits)))
    except phonenumbers.NumberParseException:
        return False
