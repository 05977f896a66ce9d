"""What a CA is asked to issue, thousands at a time: a file with one order on each line, read as it is needed.

In scope: CSV (its first line names the columns) and JSON lines, with the same names:

    id        what tells this order from all others; without it, two orders that say the same are one
    number    numbers, digits alone; in CSV several are separated by blanks, in JSON lines they are a list
    range     ranges, first number and count: 12025550100+100
    code      service provider codes
    holder    whose it is: an organization's name, or the UUID of a messaging client
    key       the holder's public key, a SubjectPublicKeyInfo in DER as base64
    csr       or its certificate signing request (PKCS #10, RFC 2986) in DER as base64: the key is taken from it, after
              its signature was verified, and nothing else
    participant   of a messaging client: its ParticipantInformation (RCC.16), which the participant's key signed; DER as
                  base64
    proof         and its carrier's proof, as it came, as base64

A line that is no order is a `BadOrder` with its number and the reason, and the next one is read. Keys are P-256, as
every profile asks; one that is not on the curve is refused. Out of scope: whether a holder has a right to a number.

The reasons: line-too-long, bad-line, bad-id, no-number, no-key, two-keys, bad-key, bad-csr, bad-participant, bad-proof,
and those of `ctlog.issuance.words`.
"""

from __future__ import annotations

import binascii
import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from ctlog.errors import MalformedError, UsageError
from ctlog.issuance.words import check_holder, read_code, read_number, read_range
from ctlog.tn.numbers import Claim

MAX_LINE = 64 << 10
"""Octets of one order."""

_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""What the SubjectPublicKeyInfo of a P-256 key begins with, in the one form that profiles allow: not compressed."""

_ID = re.compile(r"[!-~](?:[ -~]{0,198}[!-~])?")


class Order(NamedTuple):
    """One certificate that is wanted. `claims`: codes, ranges, numbers, in the order of their columns: at least one."""

    line: int
    spki: bytes
    holder: str
    claims: tuple[Claim, ...]
    id: str = ""
    participant: bytes = b""
    proof: bytes = b""

    @property
    def content(self) -> bytes:
        """SHA-256 of what is ordered, wherever it stands."""
        claims = [f"{type(claim).__name__} {claim}" for claim in self.claims]
        vouched = (self.participant, self.proof) if self.participant or self.proof else ()
        return hashlib.sha256(msgspec.json.encode((self.id, self.holder, claims, self.spki, *vouched))).digest()

    def key(self, content: bytes) -> bytes:
        """What tells this order from all others, 32 bytes: by its id, or by its content."""
        return hashlib.sha256(b"id:" + self.id.encode()).digest() if self.id else content


class BadOrder(NamedTuple):
    """A line that is no order, and why."""

    line: int
    reason: str
    sentence: str


class _Members(msgspec.Struct, forbid_unknown_fields=True):
    """A line as it is written."""

    id: str = ""
    number: str | list[str] = ""
    range: str | list[str] = ""
    code: str | list[str] = ""
    holder: str = ""
    key: str = ""
    csr: str = ""
    participant: str = ""
    proof: str = ""


COLUMNS = _Members.__struct_fields__
_DECODER = msgspec.json.Decoder(_Members)
_Read = Callable[[bytes], _Members]


def read_orders(file: BinaryIO) -> Iterator[Order | BadOrder]:
    """The orders of a file, one after the other; blank lines count and say nothing.

    Which of the two forms it is, its first line that is not blank tells. Raises UsageError for columns that have no
    name or another one; OSError.
    """
    read: _Read | None = None
    for number, line in _lines(file):
        if line is None:
            yield BadOrder(number, "line-too-long", f"it has more than {MAX_LINE} bytes")
            continue
        if not line or line.isspace():
            continue
        if read is None:
            read = _json if line.lstrip().startswith(b"{") else _csv(line, number)
            if read is not _json:
                continue
        try:
            yield _order(number, read(line))
        except MalformedError as error:
            yield BadOrder(number, error.reason, str(error))


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Each line and its number, from 1 on; None for one that is too long, which is passed over and never held."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) <= MAX_LINE:
            yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line  # spreadsheets write a mark
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE)
        yield number, None


def _json(line: bytes) -> _Members:
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"it is no order in JSON: {error}", reason="bad-line") from None


def _csv(header: bytes, number: int) -> _Read:
    """The reader of the lines that follow. An order is one line, so a quote that is not closed spoils no other."""
    delimiter = max(",;\t", key=lambda each: header.count(each.encode()))
    try:
        columns = _cells(header, delimiter)
    except MalformedError as error:
        raise UsageError(f"line {number} names no columns: {error}", reason="bad-columns") from None
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or len(set(columns)) < len(columns):
        what = f"no column is called {unknown[0]!r}" if unknown else "two columns have one name"
        raise UsageError(f"line {number}: {what}; they are {', '.join(COLUMNS)}", reason="bad-columns")

    def read(line: bytes) -> _Members:
        cells = _cells(line, delimiter)
        if len(cells) != len(columns):
            raise MalformedError(f"it has {len(cells)} columns, not {len(columns)}", reason="bad-line")
        return _Members(**dict(zip(columns, cells, strict=True)))

    return read


def _cells(line: bytes, delimiter: str) -> list[str]:
    try:
        (row,) = csv.reader([line.decode().rstrip("\r\n")], delimiter=delimiter, strict=True)
    except (ValueError, csv.Error) as error:
        raise MalformedError(f"it is no line of CSV: {error}", reason="bad-line") from None
    return [cell.strip() for cell in row]


def _order(line: int, said: _Members) -> Order:
    """What a line orders. Raises MalformedError."""
    if said.id and not _ID.fullmatch(said.id):
        raise MalformedError("an id is 1 to 200 visible ASCII characters", reason="bad-id")
    if said.holder:
        check_holder(said.holder)
    claims: list[Claim] = [read_code(text) for text in _several(said.code)]
    claims += [read_range(text.removeprefix("+")) for text in _several(said.range)]
    claims += [read_number(text.removeprefix("+")) for text in _several(said.number)]
    if not claims:
        raise MalformedError("it orders no number, no range and no code", reason="no-number")
    if bool(said.key) == bool(said.csr):
        both = bool(said.key)
        sentence = "it has a key and a certificate signing request" if both else "it has no key"
        raise MalformedError(sentence, reason="two-keys" if both else "no-key")
    spki = _spki(_base64(said.key, "bad-key")) if said.key else _requested(_base64(said.csr, "bad-csr"))
    participant = _base64(said.participant, "bad-participant", "participant information")
    proof = _base64(said.proof, "bad-proof", "carrier's proof")
    return Order(line, spki, said.holder, tuple(claims), said.id, participant, proof)


def _several(said: str | list[str]) -> Sequence[str]:
    return said.split() if isinstance(said, str) else said


def _base64(text: str, reason: str, what: str = "key") -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise MalformedError(f"its {what} is not base64", reason=reason) from None


def _spki(der: bytes) -> bytes:
    """A public key that profiles allow. Raises MalformedError "bad-key"."""
    try:
        good = der.startswith(_SPKI) and bool(serialization.load_der_public_key(der))
    except (ValueError, UnsupportedAlgorithm):
        good = False
    if not good or len(der) != len(_SPKI) + 64:
        sentence = "its key is no SubjectPublicKeyInfo of an uncompressed point on P-256"
        raise MalformedError(sentence, reason="bad-key")
    return der


def _requested(der: bytes) -> bytes:
    """The key of a certificate signing request, whose holder has shown to have it. Raises MalformedError."""
    try:
        request = x509.load_der_x509_csr(der)
        good = request.is_signature_valid
        spki = request.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm, InvalidSignature):
        raise MalformedError("its certificate signing request cannot be read", reason="bad-csr") from None
    if not good:
        raise MalformedError("its certificate signing request is not signed by its key", reason="bad-csr")
    return _spki(spki)
