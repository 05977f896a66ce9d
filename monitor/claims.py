"""One claim in 40 octets: who was certified for which label, by whom, with which key, when, and where it stands.

In scope: the record, its order, and the keys by which it is found. A record is enough to see that an issuer or a holder
is new, and where to read the whole entry again. Pure. Out of scope: keeping records, and the names behind the numbers
in them (`monitor.history`), and what follows from them (`monitor.rules`).

    octets  what
    0-7     what it is found by: `label_key`, or `spki_key`
    8-15    notBefore, notAfter: seconds since 1970, 32 bits each
    16-23   issuer, holder: the numbers of their names in this history, 32 bits each; 0 for none
    24-29   the first 48 bits of SHA-256 of the SubjectPublicKeyInfo; in the record of a key, `hint` of its last label
    30-33   when it was logged: seconds since 1970
    34      the low 7 bits of the log's number in this history, and 128 if it is a precertificate
    35-39   4 more bits of that number, and 36 of the index in that log
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from ctlog.tn.labels import ONE, PREFIX, Label, format_label
from ctlog.tn.numbers import DIGITS

RECORD_SIZE = 40
MAX_LOGS = 1 << 11
MAX_INDEX = 1 << 36
"""Entries of one log that can be told apart; there is no log of such a size."""

_RECORD = struct.Struct(">QIIII6sIBBI")
_REST = struct.Struct(">IIII6sIBBI")
_HASHED = 1 << 62
_HINT = (1 << 48) - 59  # a prime
_LOW_62 = (1 << 62) - 1
_LATEST = 0xFFFFFFFF
_TENS = tuple(int("1" + "0" * free) for free in range(16))

pack_rest = _REST.pack
"""All but the first 8 octets: (not_before_s, not_after_s, issuer, holder, first 6 octets of the key's hash, logged_s,
*pack_place(log, is_precertificate, index))."""


def pack_place(log: int, is_precertificate: bool, index: int) -> tuple[int, int, int]:
    """Where an entry stands: the octets 34, 35, and 36 to 39. log: below `MAX_LOGS`; index: below `MAX_INDEX`."""
    return log & 127 | is_precertificate << 7, log >> 7 << 4 | index >> 32, index & 0xFFFFFFFF


class Claim(NamedTuple):
    """A record, read. Times in ms; `issuer` and `holder` are numbers of names (`History.name`); `key` has 6 octets."""

    label: int
    not_before_ms: int
    not_after_ms: int
    issuer: int
    holder: int
    key: bytes
    logged_ms: int
    log: int
    is_precertificate: bool
    log_index: int


def format_claim(claim: Claim) -> bytes:
    """The record of a claim. Times before 1970 and after 2106 become these."""
    return _RECORD.pack(
        claim.label, seconds(claim.not_before_ms), seconds(claim.not_after_ms), claim.issuer, claim.holder, claim.key,
        seconds(claim.logged_ms), *pack_place(claim.log, claim.is_precertificate, claim.log_index),
    )  # fmt: skip


def parse_claim(record: bytes) -> Claim:
    """The inverse of `format_claim`."""
    label, before, after, issuer, holder, key, logged, log, high, low = _RECORD.unpack(record)
    return Claim(
        label, before * 1000, after * 1000, issuer, holder, key, logged * 1000, log & 127 | high >> 4 << 7, log > 127,
        (high & 15) << 32 | low,
    )  # fmt: skip


def seconds(timestamp_ms: int | None) -> int:
    """Whole seconds since 1970 that fit 32 bits; 0 for a time that nobody could read."""
    return 0 if timestamp_ms is None else min(max(timestamp_ms // 1000, 0), _LATEST)


def spki_key(spki_hash: bytes) -> bytes:
    """What the record of a public key is found by, 8 octets, from SHA-256 of its SubjectPublicKeyInfo."""
    return b"\x80" + spki_hash[:7]


def label_key(label: Label) -> int:
    """What a label's record is found by. Labels of numbers of one length sort as the numbers do, a wider block last.

    So everything that lies in a range of numbers stands together (`numbers_between`). Other labels are hashed.
    """
    kind, value = label
    if kind == ONE and not value.strip(DIGITS):
        return len(value) << 54 | int(value) << 4
    if kind == PREFIX:
        fixed = value.rstrip("x")
        free = len(value) - len(fixed)
        return len(value) << 54 | int(fixed or "0") * _TENS[free] << 4 | free
    return _HASHED | int.from_bytes(hashlib.sha256(format_label(label)).digest()[:8], "big") & _LOW_62


def hint(key: int) -> bytes:
    """48 bits that tell labels apart, from a `label_key`."""
    return (key % _HINT).to_bytes(6, "big")


def key_label(key: int) -> Label | None:
    """The label of a number or a block whose `label_key` this is; None for what was hashed."""
    width, value, free = key >> 54, key >> 4 & (1 << 50) - 1, key & 15
    if not 1 <= width <= 15:
        return None
    digits = str(value).zfill(width)
    return Label(PREFIX, digits[: width - free] + "x" * free) if free else Label(ONE, digits)


def numbers_between(width: int, first: int, last: int) -> tuple[int, int]:
    """The keys [lo, hi) of every number, and of every block that begins, from `first` to `last`, of `width` digits."""
    return width << 54 | first << 4, width << 54 | last + 1 << 4
