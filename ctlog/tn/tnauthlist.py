"""TNAuthorizationList, RFC 8226 section 9: the strict reader and the writer.

    TNAuthorizationList ::= SEQUENCE SIZE (1..MAX) OF TNEntry            -- EXPLICIT TAGS, DER
    TNEntry ::= CHOICE { spc [0] ServiceProviderCode, range [1] TelephoneNumberRange, one [2] TelephoneNumber }
    ServiceProviderCode ::= IA5String
    TelephoneNumberRange ::= SEQUENCE { start TelephoneNumber, count INTEGER (2..MAX), ... }
    TelephoneNumber ::= IA5String (SIZE (1..15)) (FROM ("0123456789#*"))

In scope: the content of the extension id-pe-TNAuthList (and of a file `application/tnauthlist`), all of it or nothing;
each refusal carries the offset and a `reason` that is the id of a finding (docs/findings.md). Because of the extension
marker a range may carry further elements, which are skipped when they are DER and reported with their offset. Out of
scope: what a list that breaks these rules may mean to a careless reader (`readings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from ctlog.errors import MalformedError
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.der import IA5_STRING, INTEGER, SEQUENCE, format_tlv, oid, read_tlv

OID_TNAUTHLIST = oid("1.3.6.1.5.5.7.1.26")
SPC, RANGE, ONE = 0xA0, 0xA1, 0xA2  # constructed context tags 0, 1 and 2
_STRINGS = frozenset((0x0C, 0x12, 0x13, 0x14, 0x1A, 0x1B, 0x1C, 0x1E))  # universal strings other than IA5String
_COUNT_OCTETS = 9  # 10^15 needs 7; the first 9 of more octets, the first of them not 0, are too large all the same


class TNAuthList(NamedTuple):
    """A list read strictly.

    entries: the claims in their order. extended: offsets of what ranges carry beyond start and count, (lo, hi) each.
    """

    entries: tuple[Claim, ...]
    extended: tuple[tuple[int, int], ...] = ()


def parse_tnauthlist(der: bytes, field: str = "TNAuthList") -> TNAuthList:
    """Read a TNAuthorizationList strictly.

    Raises: MalformedError with `field`, the offset from the first byte, and as reason one of the ids of findings.
    """
    size = len(der)
    if not size or der[0] != SEQUENCE:
        _refuse(field, "the list is no SEQUENCE", 0, "tnauthlist-form")
    at, stop = _element(der, 0, size, field)
    if stop != size:
        _refuse(field, f"{size - stop} bytes follow the list", stop, "tnauthlist-trailing-data")
    if at == stop:
        _refuse(field, "the list has no entry", 0, "tnauthlist-empty")
    entries: list[Claim] = []
    extended: list[tuple[int, int]] = []
    text = der.decode("latin-1")
    try:
        while at < stop:
            # Nearly all entries are short and are read in place; `_entry` is the specification.
            size = der[at + 1]
            if 2 <= size < 0x80 and (end := at + 2 + size) <= stop and der[at + 3] == size - 2:
                tag, kind = der[at], der[at + 2]
                if kind == IA5_STRING:
                    if tag == SPC and (code := text[at + 4 : end]).isascii():
                        entries.append(ServiceProviderCode(code))
                        at = end
                        continue
                    if tag == ONE:
                        entries.append(TelephoneNumber(text[at + 4 : end]))
                        at = end
                        continue
                elif tag == RANGE and kind == SEQUENCE and size > 4 and der[at + 4] == IA5_STRING:
                    count = at + 6 + der[at + 5]
                    if count + 1 < end == count + 2 + der[count + 1] and der[count] == INTEGER:
                        entries.append(NumberRange(text[at + 6 : count], _count(der[count + 2 : end])))
                        at = end
                        continue
            entry, at = _entry(der, at, stop, field, extended)
            entries.append(entry)
    except MalformedError as error:
        if error.offset is None:  # from a constructor, which does not know where
            _refuse(field, str(error), at, error.reason)
        raise
    except IndexError:
        _refuse(field, "an element is cut short", at, "tnauthlist-truncated")
    return TNAuthList(tuple(entries), tuple(extended) if extended else ())


def format_tnauthlist(entries: Sequence[Claim]) -> bytes:
    """Write a list; the inverse of `parse_tnauthlist` for lists without extension fields.

    Raises: MalformedError for an empty list, and for a code that is not ASCII.
    """
    if not entries:
        raise MalformedError("a TNAuthorizationList has at least one entry", field="entries", reason="tnauthlist-empty")
    return format_tlv(SEQUENCE, b"".join(map(_format_entry, entries)))


def _format_entry(entry: Claim) -> bytes:
    if isinstance(entry, TelephoneNumber):
        return format_tlv(ONE, format_tlv(IA5_STRING, entry.digits.encode()))
    if isinstance(entry, NumberRange):
        count = entry.count.to_bytes(entry.count.bit_length() // 8 + 1, "big")
        body = format_tlv(IA5_STRING, entry.start.encode()) + format_tlv(INTEGER, count)
        return format_tlv(RANGE, format_tlv(SEQUENCE, body))
    if not entry.code.isascii():
        raise MalformedError("a code is not ASCII", field="entries", reason="code-characters")
    return format_tlv(SPC, format_tlv(IA5_STRING, entry.code.encode()))


def _element(der: bytes, at: int, stop: int, field: str) -> tuple[int, int]:
    """Read the frame of the element at `at`: (content start, content end)."""
    if at + 2 <= stop:
        length = der[at + 1]
        if length < 0x80 and at + 2 + length <= stop and der[at] & 0x1F != 0x1F:
            return at + 2, at + 2 + length
    try:
        return read_tlv(der, at, stop, field)[1:]
    except MalformedError as error:
        # `read_tlv` points at the length octet if the length is not DER, else at the element
        error.reason = "tnauthlist-length" if error.offset == at + 1 else "tnauthlist-truncated"
        raise


def _entry(der: bytes, at: int, stop: int, field: str, extended: list[tuple[int, int]]) -> tuple[Claim, int]:
    """Read the TNEntry at `at`, of any length, and where it ends. Raises: MalformedError."""
    tag = der[at]
    inner, end = _element(der, at, stop, field)
    if tag not in (SPC, RANGE, ONE):
        _refuse_entry(tag, at, field)
    lo, hi = _element(der, inner, end, field)
    if tag == RANGE and der[inner] != SEQUENCE:
        _refuse(field, "a range is no SEQUENCE", inner, "tnauthlist-implicit-tag")
    if hi != end:
        _refuse(field, f"{end - hi} bytes follow the content of an entry", hi, "tnauthlist-form")
    if tag == RANGE:
        return _range_fields(der, lo, hi, field, extended), end
    _require_string(der[inner], inner, field)
    if tag == ONE:
        return TelephoneNumber(der[lo:hi].decode("latin-1")), end
    if not der[lo:hi].isascii():
        _refuse(field, "a code has an octet above 127", lo, "code-characters")
    return ServiceProviderCode(der[lo:hi].decode("latin-1")), end


def _range_fields(der: bytes, at: int, stop: int, field: str, extended: list[tuple[int, int]]) -> NumberRange:
    """Read what is inside a TelephoneNumberRange, unknown further elements too."""
    first, last = _element(der, at, stop, field)
    _require_string(der[at], at, field)
    lo, hi = _element(der, last, stop, field)
    if der[last] != INTEGER:
        _refuse(field, "the count of a range is no INTEGER", last, "range-count")
    found = NumberRange(der[first:last].decode("latin-1"), _count(der[lo:hi]))
    if hi != stop:
        at = hi
        while at < stop:
            at = _element(der, at, stop, field)[1]
        extended.append((hi, stop))
    return found


def _count(octets: bytes) -> int:
    """Read the content of a count; too large is all the same. Raises: MalformedError if it is not DER."""
    if len(octets) == 1 or (octets and (octets[0] or octets[1] > 0x7F)):
        return int.from_bytes(octets[:_COUNT_OCTETS], "big", signed=True)
    raise MalformedError("the count of a range is not DER", reason="range-count")


def _refuse_entry(tag: int, at: int, field: str) -> NoReturn:
    if tag in (0x80, 0x81, 0x82):
        _refuse(field, f"an entry has the implicit tag 0x{tag:02x}", at, "tnauthlist-implicit-tag")
    if tag < 0x40:
        _refuse(field, f"an entry has no tag of its own, but 0x{tag:02x}", at, "tnauthlist-no-tag")
    _refuse(field, f"an entry has the unknown tag 0x{tag:02x}", at, "tnauthlist-unknown-entry")


def _require_string(tag: int, at: int, field: str) -> None:
    if tag == IA5_STRING:
        return
    if tag in _STRINGS:
        _refuse(field, f"a string has tag 0x{tag:02x}, not IA5String", at, "tnauthlist-string-type")
    _refuse(field, f"an element has tag 0x{tag:02x} where IA5String belongs", at, "tnauthlist-form")


def _refuse(field: str, problem: str, offset: int, reason: str) -> NoReturn:
    raise MalformedError(f"{field}: {problem} (offset {offset})", field=field, offset=offset, reason=reason)
