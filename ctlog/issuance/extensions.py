"""The extensions of phone-number certificates in DER.

Specs: RFC 5280 section 4.2, RFC 8226 (TNAuthList, claim constraints), RFC 9118, ATIS-1000080 (policies, CRL), RFC 6962
sections 3.1 and 3.3. In scope: each extension by itself. Out of scope: which ones a certificate has, in which order
(`profiles`, `rcs`), and what stands inside of a list of numbers (`ctlog.tn`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from ctlog.errors import MalformedError
from ctlog.issuance.write import attribute, integer, object_id, sequence, tlv
from ctlog.tn.claim_constraints import (
    ClaimConstraints,
    check_baseline,
    format_claim_constraints,
    parse_claim_constraints,
)
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.wire.rfc6962 import format_sct_list
from ctlog.x509.der import PRINTABLE_STRING, UTF8_STRING, children, only_child

CP_1_3 = "2.16.840.1.114569.1.1.3"  # the SHAKEN certificate policy of the United States, version 1.3
CP_1_4 = "2.16.840.1.114569.1.1.4"
CP_RCS = "2.23.146.2.1.2"
CRL_URL = "https://authenticate-api.iconectiv.com/download/v1/crl"  # the one indirect CRL of that ecosystem


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension in DER; `value` is what stands inside the OCTET STRING."""
    return sequence(object_id(oid), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


POISON = extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\x00", critical=True)  # RFC 6962 section 3.1
END_ENTITY = extension("2.5.29.19", b"\x30\x00", critical=True)
DIGITAL_SIGNATURE = extension("2.5.29.15", b"\x03\x02\x07\x80", critical=True)
CERT_SIGN = extension("2.5.29.15", b"\x03\x02\x02\x04", critical=True)


def authority_constraints(path_length: int | None = None) -> bytes:
    """RFC 5280 section 4.2.1.9: a CA, with so many CAs below it at most."""
    limit = b"" if path_length is None else integer(path_length)
    return extension("2.5.29.19", sequence(b"\x01\x01\xff", limit), critical=True)


@lru_cache(1024)
def key_id(spki: bytes) -> bytes:
    """RFC 5280 section 4.2.1.2, method 1: SHA-1 of the public key's bits. 20 bytes; a label, not a security measure."""
    _, (_, lo, hi) = children(spki, *only_child(spki, 0x30, "spki"), "spki")
    return hashlib.sha1(spki[lo + 1 : hi], usedforsecurity=False).digest()


def subject_key_id(spki: bytes) -> bytes:
    """RFC 5280 section 4.2.1.2."""
    return extension("2.5.29.14", tlv(0x04, key_id(spki)))


@lru_cache(64)
def authority_key_id(identifier: bytes) -> bytes:
    """RFC 5280 section 4.2.1.1: the issuer's key, by the identifier that stands in the issuer's certificate."""
    return extension("2.5.29.35", sequence(tlv(0x80, identifier)))


def extended_key_usage(*oids: str) -> bytes:
    """RFC 5280 section 4.2.1.12."""
    return extension("2.5.29.37", sequence(*(object_id(oid) for oid in oids)))


@lru_cache(64)
def policies(*oids: str) -> bytes:
    """RFC 5280 section 4.2.1.4, without qualifiers."""
    return extension("2.5.29.32", sequence(*(sequence(object_id(oid)) for oid in oids)))


@lru_cache(64)
def crl_distribution_point(url: str = CRL_URL) -> bytes:
    """One point with the STI-PA as cRLIssuer, as ATIS-1000080 asks; the bytes are those of the deployed ones."""
    words = {"L": "Bridgewater", "ST": "NJ", "CN": "STI-PA CRL", "C": "US", "O": "STI-PA"}
    parts = [attribute(k, text, PRINTABLE_STRING if k == "C" else UTF8_STRING) for k, text in words.items()]
    issuer = sequence(*parts)
    full = tlv(0xA0, tlv(0xA0, tlv(0x86, url.encode())))
    return extension("2.5.29.31", sequence(sequence(full, tlv(0xA2, tlv(0xA4, issuer)))))


def tn_auth_list(value: bytes) -> bytes:
    """The TNAuthList extension around a TNAuthorizationList in DER.

    `ctlog.tn.tnauthlist.format_tnauthlist` writes any; `spc`, `one` and `number_range` the plain ones. Whatever is
    given is put in unread, so that a test can issue what no CA should.
    """
    return extension("1.3.6.1.5.5.7.1.26", value)


def tn_auth_list_by_reference(url: str) -> bytes:
    """RFC 8226 section 10.1: the list is to be had at a URL, named in the authority information access."""
    return extension("1.3.6.1.5.5.7.1.1", sequence(sequence(object_id("1.3.6.1.5.5.7.48.14"), tlv(0x86, url.encode()))))


def claim_constraints(constraints: ClaimConstraints, *, enhanced: bool | None = None) -> bytes:
    """What the certificate's PASSporTs may claim: RFC 8226 section 8, or the enhanced form of RFC 9118.

    `enhanced`: which of the two; None: the enhanced one where something is excluded, for only that one can say it.
    Critical in neither form. Raises MalformedError for constraints that say nothing, and for ones to which no PASSporT
    can keep (RFC 9118 warns of these, under security): a claim excluded that must be there.
    """
    if enhanced is None:
        enhanced = bool(constraints.must_exclude)
    check_baseline(constraints)
    for claim in constraints.must_exclude:
        if claim in constraints.must_include:
            raise MalformedError(f"claim constraints: {claim} must be there and must not", field="claim-constraints")
    value = format_claim_constraints(constraints)
    parse_claim_constraints(value, enhanced=enhanced)
    return extension(f"1.3.6.1.5.5.7.1.{33 if enhanced else 27}", value)


def tel_names_value(*numbers: str) -> bytes:
    """The GeneralNames of `tel:` URIs (RCC.16); the numbers are E.164 digits without the plus sign."""
    return sequence(*(tlv(0x86, b"tel:+" + number.encode()) for number in numbers))


def tel_names(*numbers: str) -> bytes:
    """A SubjectAltName of these."""
    return extension("2.5.29.17", tel_names_value(*numbers))


def sct_list(scts: Sequence[bytes]) -> bytes:
    """RFC 6962 section 3.3: the extension that carries serialised SCTs."""
    return extension("1.3.6.1.4.1.11129.2.4.2", tlv(0x04, format_sct_list(scts)))


def spc(*codes: str) -> bytes:
    """A TNAuthorizationList of service provider codes."""
    return format_tnauthlist([ServiceProviderCode(code) for code in codes])


def one(*numbers: str) -> bytes:
    """A TNAuthorizationList of single numbers."""
    return format_tnauthlist([TelephoneNumber(number) for number in numbers])


def number_range(start: str, count: int) -> bytes:
    """A TNAuthorizationList of `count` numbers from `start` on."""
    return format_tnauthlist([NumberRange(start, count)])
