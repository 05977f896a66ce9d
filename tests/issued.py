"""A CA and what it issues, for tests of `ctlog.issuance`: small makers, and other people's reading of a chain."""

from __future__ import annotations

import itertools

from cryptography import x509

from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.issuance.rcs import GOOGLE, rcs_intermediate, rcs_root
from ctlog.wire.rfc6962 import DigitallySigned, SignedCertificateTimestamp, format_sct

NOW = 1_790_000_000_000  # 2026-09-21
ROOT_KEY, CA_KEY, KEY = Key.from_number(11), Key.from_number(12), Key.from_number(13)
AUTHORITY = issuance.example_authority(NOW, root_key=ROOT_KEY, key=CA_KEY)
TN_OID = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")


def vendor() -> Authority:
    """A messaging vendor's CA, and its root above it."""
    keys = Key.from_number(62), Key.from_number(63)
    names = issuance.name(O="Vendor", CN="Vendor RCS Root"), issuance.name(O="Vendor", CN="Vendor RCS CA")
    top = rcs_root(keys[0], Subject(names[0], keys[0].spki, NOW, NOW + 3652 * DAY_MS), GOOGLE)
    return rcs_intermediate(top, keys[1], Subject(names[1], keys[1].spki, NOW, NOW + 1827 * DAY_MS), GOOGLE)


def shaken(code: str = "709J", organization: str = "Example Phone Co", **more: object) -> bytes:
    return issuance.shaken_leaf(
        AUTHORITY, KEY.spki, code, organization, not_before_ms=NOW, not_after_ms=NOW + 7 * DAY_MS, **more
    )


def subject(name: bytes = issuance.name(CN="a delegate"), serial: int | None = None) -> Subject:
    return Subject(name, KEY.spki, NOW, NOW + DAY_MS, serial)


def sct(seed: int) -> bytes:
    """Well formed, and by nobody."""
    return format_sct(SignedCertificateTimestamp(bytes([seed]) * 32, NOW, b"", DigitallySigned(4, 3, b"\x30\x00")))


def load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def check_chain(leaf: bytes, authority: Authority) -> None:
    chain = [load(der) for der in (leaf, *authority.chain)]
    for lower, upper in itertools.pairwise(chain):
        lower.verify_directly_issued_by(upper)
        aki = lower.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        ski = upper.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert aki.key_identifier == ski.digest
    chain[-1].verify_directly_issued_by(chain[-1])
