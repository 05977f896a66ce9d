"""`tel:` names: RFC 3966 URIs in the SubjectAltName (RFC 5280 section 4.2.1.6) of RCS certificates (GSMA RCC.16).

    telephone-uri = "tel:" ( global-number / local-number )
    global-number = "+" *phonedigit DIGIT *phonedigit *par       phonedigit = DIGIT / "-" / "." / "(" / ")"
    local-number  = 1*( HEXDIG / "*" / "#" / separator ) *par, with ";phone-context=" among them

In scope: one URI, read strictly; all `tel:` names of an extension; the extension written. A global number claims its
digits; a local one claims nothing that can be told, which is a finding. Out of scope: `sip:` URIs, number portability
parameters (RFC 4694), and what a local number means in its context.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ctlog.errors import MalformedError
from ctlog.tn.numbers import TelephoneNumber
from ctlog.x509.der import SEQUENCE, children, format_tlv, oid, only_child

OID_ALT_NAME = oid("2.5.29.17")
URI = 0x86  # GeneralName uniformResourceIdentifier [6] IA5String
SEPARATORS = "-.()"
_TEL = re.compile(rb"tel:[ -~]*", re.IGNORECASE)
_TEL_WITHIN = re.compile(rb"(?<![0-9a-z+.-])tel:[ -~]*", re.IGNORECASE)  # "hotel:" is none
_PARAMETER = re.compile(r"[0-9A-Za-z-]+(=([0-9A-Za-z\[\]/:&+$_.!~*'()-]|%[0-9A-Fa-f]{2})+)?\Z")
_LOCAL = re.compile(r"[0-9A-Fa-f*#().-]*[0-9A-Fa-f*#][0-9A-Fa-f*#().-]*\Z")
_WITHOUT_SEPARATORS = str.maketrans("", "", SEPARATORS)


class TelUri(NamedTuple):
    """A `tel:` URI read by RFC 3966.

    number: without "+" and visual separators. is_global: "+" stood before it. has_separators: some stood in it.
    parameters: (name in lower case, value), in their order.
    """

    number: str
    is_global: bool
    has_separators: bool
    parameters: tuple[tuple[str, str], ...]


class TelNames(NamedTuple):
    """The `tel:` names of a SubjectAltName: uris, each as logged; is_der: false if they were only searched for;
    is_whole: false if nobody can say where the names begin and end, so that there may be others."""

    uris: tuple[bytes, ...]
    is_der: bool
    is_whole: bool = True


def find_tel_names(alt_name: bytes) -> TelNames | None:
    """Find the `tel:` URIs in the value of a SubjectAltName; None if there is none. Total.

    They belong into uniformResourceIdentifier. One that stands elsewhere, or in a value that is not DER, claims too.
    """
    if not _TEL.search(alt_name):
        return None
    try:
        lo, hi = only_child(alt_name, SEQUENCE, "SAN")
        names = children(alt_name, lo, hi, "SAN")
    except MalformedError:
        return TelNames(tuple(_TEL.findall(alt_name)), is_der=False, is_whole=False)
    uris: list[bytes] = []
    is_der = True
    for tag, at, stop in names:
        name = alt_name[at:stop]
        if tag == URI and name[:4].lower() == b"tel:":
            uris.append(name)
        elif found := _TEL_WITHIN.findall(name):
            uris += found
            is_der = False
    return TelNames(tuple(uris), is_der) if uris else None


def parse_tel_uri(uri: bytes, field: str = "tel") -> TelUri:
    """Read one URI strictly.

    Raises: MalformedError, reason "tel-unreadable", for what is no `tel:` URI, or a global number of E.164's length.
    """
    scheme, _, rest = uri.decode("latin-1").partition(":")
    if scheme.lower() != "tel":
        raise _malformed(field, "it is no tel: URI", 0)
    written, *parts = rest.split(";")
    parameters = tuple(_parameter(part, field) for part in parts)
    if len({name for name, _ in parameters}) != len(parameters):
        raise _malformed(field, "a parameter appears twice", len(scheme) + 1 + len(written))
    is_global = written.startswith("+")
    number = written.removeprefix("+").translate(_WITHOUT_SEPARATORS)
    if is_global:
        if number.strip("0123456789") or not 0 < len(number) <= 15:
            raise _malformed(field, "after + there are not 1 to 15 digits", len(scheme) + 1)
    elif not _LOCAL.match(written):
        raise _malformed(field, "it has neither a global nor a local number", len(scheme) + 1)
    return TelUri(number, is_global, len(number) + is_global != len(written), parameters)


def format_tel_uri(number: TelephoneNumber) -> bytes:
    """Write the URI of a global number, its digits with country code. Raises: MalformedError if it has `*` or `#`."""
    if not number.is_numeric:
        raise MalformedError("a global number has digits only", field="number", reason="tel-unreadable")
    return b"tel:+" + number.digits.encode("ascii")


def format_tel_san(numbers: Sequence[TelephoneNumber]) -> bytes:
    """Write the value of a SubjectAltName with these numbers. Raises: MalformedError, also if there is none."""
    if not numbers:
        raise MalformedError("GeneralNames holds at least one name", field="numbers")
    return format_tlv(SEQUENCE, b"".join(format_tlv(URI, format_tel_uri(number)) for number in numbers))


def _parameter(part: str, field: str) -> tuple[str, str]:
    if not _PARAMETER.match(part):
        raise _malformed(field, "a parameter is not written as RFC 3966 says", None)
    name, _, value = part.partition("=")
    return name.lower(), value


def _malformed(field: str, problem: str, offset: int | None) -> MalformedError:
    return MalformedError(f"{field}: {problem}", field=field, offset=offset, reason="tel-unreadable")
