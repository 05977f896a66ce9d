"""The canonical label of a claim: docs/labels.md is the specification, tests/vectors/labels.json its vectors.

A label is what one looks an entry up by: (kind, value), the value as the logged bytes say it. Pure and total: the same
claims always have the same labels, whatever the trust domain, configuration, clock, or the metadata of any library.
Whoever changes what a label is for some claim raises `LABEL_VERSION`. In scope: labels of claims, their bytes, and
which labels would hold a given number or code. Out of scope: which claims a certificate makes (`identity`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ctlog.errors import MalformedError
from ctlog.tn.numbers import DIGITS, Claim, NumberRange, ServiceProviderCode, TelephoneNumber, prefix_cover

LABEL_VERSION = 1
MAX_LABELS = 1024  # an entry with more has only `UNINDEXABLE`; so wide a scope concerns too many to be listed by each
MAX_VALUE = 255  # octets; what is longer is not looked up by anyone, and has `UNINDEXABLE` instead

ONE, PREFIX, SPC, REFERENCE = "one", "prefix", "spc", "ref"
_KINDS = frozenset((ONE, PREFIX, SPC, REFERENCE))


class Label(NamedTuple):
    """One label.

    kind: "one" (a number), "prefix" (numbers of one length, an "x" for each free digit), "spc" (a code), "ref" (the URL
    of a scope kept elsewhere) or "unindexable". value: text in which each character is one octet; "" only for the last.
    """

    kind: str
    value: str


UNINDEXABLE = Label("unindexable", "")


def format_label(label: Label) -> bytes:
    """Write a label as its bytes: kind, ":" and value, or the kind alone if it has no value."""
    return f"{label.kind}:{label.value}".encode("latin-1") if label.value else label.kind.encode("ascii")


def parse_label(data: bytes) -> Label:
    """Read a label; the inverse of `format_label`.

    Raises: MalformedError for whatever no claim has as its label.
    """
    kind, colon, value = data.decode("latin-1").partition(":")
    label = Label(kind, value)
    if label == UNINDEXABLE and not colon:
        return label
    if kind not in _KINDS or not 0 < len(value) <= MAX_VALUE or not _fits(label):
        raise MalformedError(f"this is no label of version {LABEL_VERSION}: {ascii(data)[:80]}", field="label")
    return label


def _fits(label: Label) -> bool:
    if label.kind == ONE:
        return len(label.value) <= 15 and not label.value.strip("0123456789*#")
    if label.kind == PREFIX:
        fixed = label.value.rstrip("x")
        return fixed != label.value and len(label.value) <= 15 and not fixed.strip(DIGITS)
    return True


def claim_labels(claim: Claim) -> list[Label]:
    """Give the labels of one claim.

    A number: itself. A range: its fewest decimal prefixes, the full ones as numbers. A code: in upper case (ASCII), and
    as it was logged if that differs, so that one look-up in upper case finds it however it was written. A code that is
    empty or longer than `MAX_VALUE`: `UNINDEXABLE`.
    """
    if isinstance(claim, ServiceProviderCode):
        return code_labels(claim.code)
    if isinstance(claim, TelephoneNumber):
        return [Label(ONE, claim.digits)]
    return [_prefix_label(prefix, claim.width) for prefix in prefix_cover(claim)]


def entry_labels(
    claims: Iterable[Claim], references: Iterable[str] = (), *, readable: bool = True
) -> tuple[Label, ...]:
    """Give the labels of an entry: those of all its claims, once each, in the order of their bytes.

    references: URLs of scopes kept elsewhere; since what is there cannot be read from the entry, it is `UNINDEXABLE`
    too. readable: false if some of what the entry claims could not be read. More than `MAX_LABELS`: only `UNINDEXABLE`.
    """
    found: set[Label] = set() if readable else {UNINDEXABLE}
    for url in references:
        found.add(UNINDEXABLE)
        if 0 < len(url) <= MAX_VALUE:
            found.add(Label(REFERENCE, url))
    for claim in claims:
        found.update(claim_labels(claim))
        if len(found) > MAX_LABELS:
            return (UNINDEXABLE,)
    return tuple(sorted(found))


def labels_holding(number: str) -> list[Label]:
    """Give every label that an entry for this number (digits only) may have: look these up, and `UNINDEXABLE`."""
    width = len(TelephoneNumber(number).digits)
    prefixes = [Label(PREFIX, number[:fixed] + "x" * (width - fixed)) for fixed in range(width)]
    return [*prefixes, Label(ONE, number)] if not number.strip(DIGITS) else [Label(ONE, number)]


def fold_code(code: str) -> str:
    """Give a code in upper case: a to z only, so that the result depends on no table of Unicode."""
    return code.upper() if code.isascii() else code.translate(_UPPER)


_UPPER = {octet: octet - 32 for octet in range(ord("a"), ord("z") + 1)}


def code_labels(code: str) -> list[Label]:
    """Give the labels of a code as it was logged; the first is the one to look up, whatever its case was."""
    if not 0 < len(code) <= MAX_VALUE:
        return [UNINDEXABLE]
    folded = fold_code(code)
    return [Label(SPC, folded)] if folded == code else [Label(SPC, folded), Label(SPC, code)]


def _prefix_label(prefix: str, width: int) -> Label:
    free = width - len(prefix)
    return Label(PREFIX, prefix + "x" * free) if free else Label(ONE, prefix)


def label_range(label: Label) -> NumberRange | TelephoneNumber | None:
    """Give the numbers that a label stands for; None for a code, a reference and `UNINDEXABLE`."""
    if label.kind == ONE:
        return TelephoneNumber(label.value)
    if label.kind == PREFIX:
        fixed = label.value.rstrip("x")
        free = len(label.value) - len(fixed)
        return NumberRange(fixed + "0" * free, 10**free)
    return None
