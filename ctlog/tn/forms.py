"""Each form in which a certificate can claim numbers, read into one account: strictly, with a second reading beside it.

In scope: the TNAuthList extension (RFC 8226 section 9), a scope by reference (section 10.1), `tel:` names (RFC 3966,
GSMA RCC.16); what is odd about each. Out of scope: which extensions these are, and labels (`identity`).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from ctlog.errors import MalformedError
from ctlog.tn.by_reference import UNREADABLE_REFERENCE, read_references
from ctlog.tn.findings import Finding, finding, quote
from ctlog.tn.labels import MAX_LABELS, MAX_VALUE, fold_code
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.readings import (
    SHORTEST,
    careless_reading,
    claim_readings,
    is_read_whole,
    is_unbounded,
    looks_like_number,
    number_readings,
)
from ctlog.tn.tel_uri import TelNames, parse_tel_uri
from ctlog.tn.tnauthlist import parse_tnauthlist
from ctlog.x509.der import Extension


class Account:
    """What has been read of one certificate so far. Belongs to one reader; handed from form to form.

    claims: what it says. readings: what it may be taken to say. urls: of scopes kept elsewhere; all in order, once
    each. findings: the first of each id. readable: false once something was met that no label can stand for.
    whole: false once something was met that may claim more than all of these.
    """

    def __init__(self) -> None:
        self.claims: dict[Claim, None] = {}
        self.readings: dict[Claim, None] = {}
        self.urls: dict[str, None] = {}
        self.findings: dict[str, Finding] = {}
        self.readable = True
        self.whole = True

    def note(self, name: str, detail: str = "") -> None:
        """Record a finding, if it is the first of its id."""
        if name not in self.findings:
            self.findings[name] = finding(name, detail)

    def note_unreadable(self, name: str, detail: str = "") -> None:
        """Record a finding because of which the labels cannot say all."""
        self.note(name, detail)
        self.readable = False

    def may_mean(self, claims: Iterable[Claim]) -> None:
        """Record second readings, as many as an entry may have labels: more would say no more than "unindexable"."""
        for claim in claims:
            if len(self.readings) == MAX_LABELS and claim not in self.readings:
                self.readable = self.whole = False
                return
            self.readings[claim] = None

    def may_mean_in_bytes(self, data: bytes) -> None:
        """Record the second readings of a list that strict readers refuse."""
        found = careless_reading(data)
        self.may_mean(found.claims)
        self.whole &= found.is_whole

    def may_mean_in_text(self, text: str) -> None:
        """Record the numbers that people may see in a text."""
        found = list(number_readings(text))
        self.may_mean(found)
        self.whole &= bool(found) and is_read_whole(text)

    def add(self, claims: Iterable[Claim]) -> int:
        """Record claims that were read strictly, with what is odd about each; gives how many different ones."""
        found = dict.fromkeys(claims)
        self.claims |= found
        for claim in found:
            if len(self.readings) < MAX_LABELS or self.readable:
                self.may_mean(claim_readings(claim))
            if isinstance(claim, ServiceProviderCode):
                self._examine_code(claim.code)
            else:
                self._examine_number(claim)
        return len(found)

    def _examine_number(self, claim: TelephoneNumber | NumberRange) -> None:
        digits = claim.digits if isinstance(claim, TelephoneNumber) else claim.start
        if isinstance(claim, NumberRange):
            if not claim.fits_strictly:
                self.note("range-strict-reading", f"{digits}, count {claim.count}")
        elif not claim.is_numeric:
            self.note("number-signs", digits)
            self.readable &= not is_unbounded(claim)
            return
        if len(digits) < SHORTEST:
            self.note("number-short", digits)
        if digits[0] == "0":
            self.note("number-leading-zero", digits)

    def _examine_code(self, code: str) -> None:
        if not code:
            self.note_unreadable("code-empty")
            return
        if len(code) > MAX_VALUE:
            self.note_unreadable("code-long", quote(code))
        if looks_like_number(code):
            self.note("code-looks-like-number", quote(code))
        if not (code.isascii() and code.isalnum()):
            self.note_unreadable("code-odd-characters", quote(code))
            self.whole &= not looks_like_number(code) or is_read_whole(code)
        if fold_code(code) != code:
            self.note("code-lower-case", quote(code))


def read_list(account: Account, form: Extension) -> None:
    """Read a TNAuthList extension."""
    if form.critical:
        account.note("tnauthlist-critical")
    try:
        entries, extended = parse_tnauthlist(form.value)
    except MalformedError as error:
        account.note_unreadable(error.reason, f"offset {error.offset}")
        account.may_mean_in_bytes(form.value)
        return
    if extended:
        account.note_unreadable("range-extended", f"offset {extended[0][0]}")
        account.may_mean_in_bytes(form.value)
    if account.add(entries) < len(entries):
        account.note("entry-repeated")


def read_access(account: Account, value: bytes) -> bool:
    """Read an AuthorityInfoAccess extension; true if it names a scope by reference."""
    references = read_references(value)
    if references is None:
        return False
    for url in references.urls:
        account.urls[url] = None
    for found in references.findings:
        account.findings.setdefault(found.id, found)
        account.whole &= found.id != UNREADABLE_REFERENCE
    account.readable = False
    return True


def read_tel_names(account: Account, names: TelNames) -> list[TelephoneNumber]:
    """Read the `tel:` names of one extension; gives the numbers that they claim."""
    numbers = [_read_tel(account, uri, names.is_der) for uri in names.uris]
    account.whole &= names.is_whole
    if not names.is_der:
        account.note_unreadable("tel-misplaced", quote(names.uris[0].decode("latin-1")))
    return [number for number in numbers if number]


def _read_tel(account: Account, uri: bytes, is_der: bool) -> TelephoneNumber | None:
    text = uri.decode("latin-1")
    try:
        tel = parse_tel_uri(uri)
    except MalformedError:
        account.note_unreadable("tel-unreadable", quote(text))
        account.may_mean_in_text(unquote(text, "latin-1"))
        return None
    parameters = dict(tel.parameters)
    if "ext" in parameters:
        account.note("tel-extension", quote(text))
        account.may_mean(number_readings(tel.number + parameters["ext"]))
    if parameters.keys() - {"ext"}:
        account.note("tel-parameters", quote(text))
    if tel.has_separators:
        account.note("tel-visual-separators", quote(text))
    if not tel.is_global:
        account.note_unreadable("tel-local-number", quote(text))
        account.may_mean_in_text(tel.number)
        account.may_mean(number_readings(parameters.get("phone-context", "") + tel.number))
        return None
    number = TelephoneNumber(tel.number)
    if not is_der:
        account.may_mean([number])
        return None
    account.add([number])
    return number
