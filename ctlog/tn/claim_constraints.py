"""What the PASSporTs of a certificate may claim: JWTClaimConstraints (RFC 8226 section 8) and its enhanced form (RFC
9118), read, written and applied.

    JWTClaimConstraints ::= SEQUENCE {                                             -- EXPLICIT TAGS, DER
        mustInclude [0] JWTClaimNames OPTIONAL, permittedValues [1] JWTClaimValuesList OPTIONAL }  -- not neither
    EnhancedJWTClaimConstraints ::= SEQUENCE { the same two, mustExclude [2] JWTClaimNames OPTIONAL }
    JWTClaimValuesList ::= SEQUENCE SIZE (1..MAX) OF SEQUENCE { claim JWTClaimName,
                                                                values SEQUENCE SIZE (1..MAX) OF UTF8String }
    JWTClaimNames ::= SEQUENCE SIZE (1..MAX) OF JWTClaimName        JWTClaimName ::= IA5String

In scope: both extensions of an end-entity certificate, strictly. A claim's value is compared with the permitted ones
exactly: a text as it is, anything else as its deterministic JSON (RFC 8225 section 9). The claims iat, orig and dest
are always there, and RFC 9118 section 3 forbids to exclude one of them. What a CA forbids beside them must not become
allowed by that mistake, so such an extension counts as one that cannot be read: nothing is accepted. A certificate
should not have both extensions; where one does, both bind.
Out of scope: what CAs above a certificate may constrain, which is nothing, for the extensions are for end entities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import orjson

from ctlog.errors import MalformedError, RefusedError
from ctlog.x509.der import (
    IA5_STRING,
    SEQUENCE,
    UTF8_STRING,
    Certificate,
    children,
    expect,
    format_tlv,
    oid,
    only_child,
)

OID_CLAIM_CONSTRAINTS = oid("1.3.6.1.5.5.7.1.27")
OID_ENHANCED_CONSTRAINTS = oid("1.3.6.1.5.5.7.1.33")
BASELINE = frozenset(("iat", "orig", "dest"))

_FIELD = "claim-constraints"


class ClaimConstraints(NamedTuple):
    """must_include: claims that must be there. permitted: (claim, the only values that it may have), if it is there.
    must_exclude: claims that must not be there; only the enhanced form has it."""

    must_include: tuple[str, ...] = ()
    permitted: tuple[tuple[str, tuple[str, ...]], ...] = ()
    must_exclude: tuple[str, ...] = ()


def constraints_of(certificate: Certificate) -> tuple[ClaimConstraints, ...]:
    """What binds a certificate's PASSporTs; all of them bind.

    Raises MalformedError for what cannot be read, and for what excludes a claim that every PASSporT has: nobody can say
    then what is allowed.
    """
    found = []
    for extension in certificate.extensions:
        if extension.oid in (OID_CLAIM_CONSTRAINTS, OID_ENHANCED_CONSTRAINTS):
            enhanced = extension.oid == OID_ENHANCED_CONSTRAINTS
            one = parse_claim_constraints(extension.value, enhanced=enhanced)
            check_baseline(one)
            found.append(one)
    return tuple(found)


def check_baseline(constraints: ClaimConstraints) -> None:
    """Do these leave the claims alone that every PASSporT has (RFC 9118 section 3)? Raises MalformedError."""
    excluded = sorted(BASELINE.intersection(constraints.must_exclude))
    if excluded:
        sentence = f"claim constraints: {excluded[0]} is excluded, which every PASSporT has"
        raise MalformedError(sentence, field=_FIELD, reason="unreadable-constraints")


def check_claims(constraints: Sequence[ClaimConstraints], claims: Mapping[str, Any]) -> None:
    """Do these claims keep within the constraints?

    Raises RefusedError: "claim-missing", "claim-forbidden", "claim-value-forbidden".
    """
    for one in constraints:
        for name in one.must_include:
            if name not in claims:
                raise RefusedError(f"the certificate demands the claim {name}", reason="claim-missing")
        for name in one.must_exclude:
            if name in claims:
                raise RefusedError(f"the certificate forbids the claim {name}", reason="claim-forbidden")
        for name, values in one.permitted:
            if name in claims and _text(claims[name]) not in values:
                sentence = f"the certificate does not permit this value of the claim {name}"
                raise RefusedError(sentence, reason="claim-value-forbidden")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # an integer of more than 64 bits: no certificate lists it
        return str(value)


# --- the extension's value --------------------------------------------------------------------------------------------


def parse_claim_constraints(der: bytes, *, enhanced: bool) -> ClaimConstraints:
    """Read the extension's value, of the enhanced form or the first one. Raises MalformedError."""
    lo, hi = only_child(der, SEQUENCE, _FIELD)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    permitted: tuple[tuple[str, tuple[str, ...]], ...] = ()
    last = 0x9F
    for tag, start, stop in children(der, lo, hi, _FIELD):
        if tag <= last or tag > (0xA2 if enhanced else 0xA1):
            _fail("a member that does not belong here", start)
        last = tag
        inner = _only(der, start, stop)
        if tag == 0xA0:
            include = _names(der, *inner)
        elif tag == 0xA1:
            permitted = tuple(_values(der, *each) for each in _several(der, *inner, SEQUENCE))
        else:
            exclude = _names(der, *inner)
    if last == 0x9F:
        _fail("it says nothing", lo)
    return ClaimConstraints(include, permitted, exclude)


def format_claim_constraints(constraints: ClaimConstraints) -> bytes:
    """The inverse of `parse_claim_constraints`; the form is the enhanced one if there is something to exclude.

    Raises MalformedError for a value that has no encoding.
    """
    parts = []
    if constraints.must_include:
        parts.append(format_tlv(0xA0, _strings(IA5_STRING, constraints.must_include)))
    if constraints.permitted:
        listed = []
        for claim, values in constraints.permitted:
            name = format_tlv(IA5_STRING, _ascii(claim))
            listed.append(format_tlv(SEQUENCE, name + _strings(UTF8_STRING, values)))
        parts.append(format_tlv(0xA1, format_tlv(SEQUENCE, b"".join(listed))))
    if constraints.must_exclude:
        parts.append(format_tlv(0xA2, _strings(IA5_STRING, constraints.must_exclude)))
    der = format_tlv(SEQUENCE, b"".join(parts))
    parse_claim_constraints(der, enhanced=True)
    return der


def _only(der: bytes, lo: int, hi: int) -> tuple[int, int]:
    start, stop = expect(der, lo, hi, SEQUENCE, _FIELD)
    if stop != hi:
        _fail("bytes follow a list", stop)
    return start, stop


def _several(der: bytes, lo: int, hi: int, wanted: int) -> list[tuple[int, int]]:
    found = children(der, lo, hi, _FIELD)
    if not found:
        _fail("an empty list", lo)
    for tag, start, _ in found:
        if tag != wanted:
            _fail(f"an element with tag 0x{tag:02x}, not 0x{wanted:02x}", start)
    return [(start, stop) for _, start, stop in found]


def _names(der: bytes, lo: int, hi: int) -> tuple[str, ...]:
    return tuple(_name(der, *each) for each in _several(der, lo, hi, IA5_STRING))


def _name(der: bytes, lo: int, hi: int) -> str:
    try:
        return der[lo:hi].decode("ascii")
    except UnicodeDecodeError:
        _fail("the name of a claim is not ASCII", lo)


def _values(der: bytes, lo: int, hi: int) -> tuple[str, tuple[str, ...]]:
    parts = children(der, lo, hi, _FIELD)
    if [tag for tag, _, _ in parts] != [IA5_STRING, SEQUENCE]:
        _fail("no claim with its values", lo)
    try:
        values = [der[start:stop].decode() for start, stop in _several(der, parts[1][1], parts[1][2], UTF8_STRING)]
    except UnicodeDecodeError:
        _fail("a value that is not UTF-8", lo)
    return _name(der, parts[0][1], parts[0][2]), tuple(values)


def _strings(tag: int, values: Sequence[str]) -> bytes:
    encoded = (value.encode() if tag == UTF8_STRING else _ascii(value) for value in values)
    return format_tlv(SEQUENCE, b"".join(format_tlv(tag, each) for each in encoded))


def _ascii(name: str) -> bytes:
    try:
        return name.encode("ascii")
    except UnicodeEncodeError:
        _fail("the name of a claim is not ASCII", 0)


def _fail(problem: str, offset: int) -> NoReturn:
    sentence = f"claim constraints: {problem} (offset {offset})"
    raise MalformedError(sentence, field=_FIELD, offset=offset, reason="unreadable-constraints")
