"""All that a certificate says about telephone numbers, from every form in which it can say it.

In scope: the TNAuthList extension (RFC 8226 section 9), a scope by reference (section 10.1), the `tel:` names of RCS
certificates (GSMA RCC.16), and the code in a SHAKEN common name where it differs (ATIS-1000080 section 6.4.1); what
else they may be taken for; the labels of it all. `read_identity` is total: what cannot be read is a finding and the
label "unindexable", never an exception. Out of scope: whether any of it is true, and what issuers hold (`delegation`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ctlog.errors import MalformedError
from ctlog.tn.by_reference import OID_ACCESS
from ctlog.tn.findings import Finding, quote
from ctlog.tn.forms import Account, read_access, read_list, read_tel_names
from ctlog.tn.labels import SPC, UNINDEXABLE, Label, claim_labels, entry_labels, fold_code
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber, contains
from ctlog.tn.readings import SHORTEST
from ctlog.tn.tel_uri import OID_ALT_NAME, find_tel_names
from ctlog.tn.tnauthlist import OID_TNAUTHLIST, parse_tnauthlist
from ctlog.x509.der import IA5_STRING, PRINTABLE_STRING, UTF8_STRING, Certificate, Extension
from ctlog.x509.names import OID_COMMON_NAME, REMEMBERED_SIZE, attribute

_FORMS = frozenset((OID_TNAUTHLIST, OID_ALT_NAME, OID_ACCESS))
_PLAIN = frozenset((UTF8_STRING, PRINTABLE_STRING, IA5_STRING))
_WORD = re.compile(r"[0-9A-Z]+")
_CODE = b"\xa0"  # what a code begins with in a TNAuthList (RFC 8226 section 9)


class Identity(NamedTuple):
    """What a certificate claims.

    claims: what it says, in its order, each once. readings: what it may be taken to say besides, by a careless reader;
    for indexing, never a claim. by_reference: URLs of scopes kept elsewhere. findings: what is odd, each id once.
    labels: what the entry is found by. family: "stir" (TNAuthList, by reference), "rcs" (tel:), "mixed", or "" for
    none. has_list: a TNAuthList or a scope by reference is there, readable or not. is_whole: false if some of it was
    damaged or over a limit, so that it may concern others than the claims and readings name.
    """

    claims: tuple[Claim, ...]
    readings: tuple[Claim, ...]
    by_reference: tuple[str, ...]
    findings: tuple[Finding, ...]
    labels: tuple[Label, ...]
    family: str
    has_list: bool
    is_whole: bool = True

    @property
    def claims_number(self) -> bool:
        """True if it names a number or a code in any form, readable or not."""
        return self.family != ""

    @property
    def is_unindexable(self) -> bool:
        """True if its labels do not say all that it may concern, so that everyone has to look at it."""
        return UNINDEXABLE in self.labels

    @property
    def numbers(self) -> list[str]:
        """The single numbers that it claims."""
        return [claim.digits for claim in self.claims if isinstance(claim, TelephoneNumber)]

    @property
    def ranges(self) -> list[tuple[str, int]]:
        """The ranges that it claims: (start, count)."""
        return [(claim.start, claim.count) for claim in self.claims if isinstance(claim, NumberRange)]

    @property
    def codes(self) -> list[str]:
        """The service provider codes that it claims."""
        return [claim.code for claim in self.claims if isinstance(claim, ServiceProviderCode)]


NOTHING = Identity((), (), (), (), (), "", False)


def read_identity(certificate: Certificate) -> Identity:
    """Read what a certificate claims. Total: never raises on a certificate that could be parsed."""
    forms = [extension for extension in certificate.extensions if extension.oid in _FORMS]
    if not forms:
        return NOTHING
    if len(forms) == 1 and (ordinary := _ordinary(certificate, forms[0])):
        return ordinary
    return _read_forms(certificate, forms)


def _ordinary(certificate: Certificate, form: Extension) -> Identity | None:
    """Read what nearly all certificates are: one code in its usual form, and a name that agrees. Else None.

    Only saves time: `_read_forms` says the same of them.
    """
    if form.oid != OID_TNAUTHLIST or form.critical or form.value[2:3] != _CODE:
        return None
    try:
        entries = parse_tnauthlist(form.value).entries
    except MalformedError:
        return None
    claim = entries[0]
    if len(entries) > 1 or not isinstance(claim, ServiceProviderCode):
        return None
    code = claim.code
    if len(code) < SHORTEST and code.isalnum() and code == code.upper() and _name_ends_with(certificate.subject, code):
        return Identity(entries, (), (), (), (Label(SPC, code),), "stir", True)
    return None


def _name_ends_with(subject: bytes, code: str) -> bool:
    """True if there is one common name and its last word is the code, told without reading the whole Name."""
    at = subject.find(OID_COMMON_NAME)
    if at < 0 or at + 5 > len(subject) or subject.find(OID_COMMON_NAME, at + 1) >= 0:
        return False
    length = subject[at + 4]
    if length >= 0x80 or subject[at + 3] not in _PLAIN:
        return False
    name = subject[at + 5 : at + 5 + length]
    before = name[-len(code) - 1 : -len(code)]
    return name.endswith(code.encode("ascii")) and not before.isalnum()


def _read_forms(certificate: Certificate, forms: Sequence[Extension]) -> Identity:
    account = Account()
    lists = [form for form in forms if form.oid == OID_TNAUTHLIST]
    for form in lists:
        read_list(account, form)
    if lists:
        _read_name(account, certificate.subject)
    if len(lists) > 1:
        account.note("tnauthlist-several")
    listed = [claim for claim in account.claims if not isinstance(claim, ServiceProviderCode)]
    references = [read_access(account, form.value) for form in forms if form.oid == OID_ACCESS]
    found = [find_tel_names(form.value) for form in forms if form.oid == OID_ALT_NAME]
    names = [each for each in found if each]
    numbers = [number for each in names for number in read_tel_names(account, each)]
    if sum(len(each.uris) for each in names) > 1:
        account.note("tel-several")
    if lists and not all(any(contains(claim, number) for claim in listed) for number in numbers):
        account.note("list-and-name-disagree")
    return _identity(account, has_list=bool(lists) or any(references), has_name=bool(names))


def _identity(account: Account, *, has_list: bool, has_name: bool) -> Identity:
    claims = tuple(account.claims)
    readings = tuple(claim for claim in account.readings if claim not in account.claims)
    urls = tuple(account.urls)
    labels = entry_labels((*claims, *readings), urls, readable=account.readable)
    if labels == (UNINDEXABLE,) and any(claim_labels(claim) != [UNINDEXABLE] for claim in (*claims, *readings)):
        account.note("labels-over-limit")
    family = ("mixed" if has_name else "stir") if has_list else ("rcs" if has_name else "")
    return Identity(claims, readings, urls, tuple(account.findings.values()), labels, family, has_list, account.whole)


def _read_name(account: Account, subject: bytes) -> None:
    """Compare the code in a SHAKEN common name (ATIS-1000080 section 6.4.1) with those of the lists."""
    said = _codes_said(subject) if len(subject) <= REMEMBERED_SIZE else _codes_in(subject)
    if not said:
        return
    claims = (*account.claims, *account.readings)
    known = {fold_code(claim.code) for claim in claims if isinstance(claim, ServiceProviderCode)}
    for name, code in said:
        if known.isdisjoint(_WORD.findall(fold_code(name))):
            account.note("cn-code-differs", quote(name))
            account.may_mean([ServiceProviderCode(code)])


@lru_cache(2048)  # 4 MB at most
def _codes_said(subject: bytes) -> tuple[tuple[str, str], ...]:
    return _codes_in(subject)


def _codes_in(subject: bytes) -> tuple[tuple[str, str], ...]:
    """The common names that say a code, each with it."""
    return tuple((name, code) for name in attribute(subject, OID_COMMON_NAME) if (code := shaken_code(name)))


def shaken_code(common_name: str) -> str | None:
    """Give the code that a common name says, in upper case: its last word, if "SHAKEN" comes before it.

    3 to 6 letters and digits with a digit among them; "SHAKEN 709J", "SHAKEN Example Inc 709J" and "Example SHAKEN cert
    709J" are all in use. None if it says none.
    """
    folded = fold_code(common_name)
    words = _WORD.findall(folded)
    if not words or not 3 <= len(words[-1]) <= 6 or words[-1].isalpha():
        return None
    return words[-1] if 0 <= folded.find("SHAKEN") < folded.rfind(words[-1]) else None
