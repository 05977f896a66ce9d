"""The CA's side: certificates with numbers, their precertificates, and the final ones with SCTs.

Specs: RFC 5280 section 4 (what a certificate is), ATIS-1000080 section 6.4.1 (SHAKEN), RFC 9060 (delegates), RCC.16
(RCS leaves: `tel:` names), RFC 6962 sections 3.1 to 3.3 (precertificates, embedded SCTs).

In scope: DER built piece by piece, so that what is signed at the end is, byte for byte, what was logged. The unit is
a TBSCertificate *as logged* (no poison, no SCT list), made by a profile (`shaken_leaf`, `delegate_leaf`, `rcs_leaf`,
or `Authority.leaf` for anything else). An `Authority` then signs it in one of three ways: `certificate_for`,
`precertificate`, and `final` with its SCTs.

Out of scope: keeping keys. Anything with `spki`, `algorithm` and `sign` is a `Signer`: PKCS #11, a cloud KMS. `Key`
holds a key in memory, which is for tests and a first try. Nothing here decides whom a number belongs to.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.errors import UsageError
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.wire.rfc6962 import format_sct_list
from ctlog.x509.der import PRINTABLE_STRING, UTF8_STRING, children, format_tlv, oid, only_child
from ctlog.x509.precert import insert_extension

CP_1_3 = "2.16.840.1.114569.1.1.3"  # the SHAKEN certificate policy of the United States, version 1.3
CP_1_4 = "2.16.840.1.114569.1.1.4"
CP_RCS = "2.23.146.2.1.2"
CRL_URL = "https://authenticate-api.iconectiv.com/download/v1/crl"  # the one indirect CRL of that ecosystem

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # AlgorithmIdentifier (RFC 5758 section 3.2)
DAY_MS = 86_400_000


class Signer(Protocol):
    """A key that signs, wherever it is kept.

    `spki` is its SubjectPublicKeyInfo in DER, `algorithm` the AlgorithmIdentifier (DER) of what `sign` returns, and
    `sign(data)` the value of the certificate's signature field over `data` (not over its hash).
    """

    @property
    def spki(self) -> bytes: ...

    @property
    def algorithm(self) -> bytes: ...

    def sign(self, data: bytes) -> bytes: ...


class Key:
    """A P-256 key in memory, for tests and a first try. Signatures are deterministic (RFC 6979)."""

    algorithm = ECDSA_SHA256
    _ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(private.curve, ec.SECP256R1):
            raise UsageError("the key is not on the curve P-256")
        self._private = private
        self.spki: bytes = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def generate(cls) -> Key:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_number(cls, scalar: int) -> Key:
        """The same key each time, for tests and benchmarks that repeat. 1 <= scalar < the order of the group."""
        return cls(ec.derive_private_key(scalar, ec.SECP256R1()))

    @classmethod
    def from_pem(cls, data: bytes) -> Key:
        """Reads an unencrypted PKCS #8 or SEC 1 file. Raises UsageError."""
        try:
            private = serialization.load_pem_private_key(data, None)
        except (ValueError, TypeError) as error:
            raise UsageError(f"this is no unencrypted private key in PEM: {error}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise UsageError("the key is not on the curve P-256")
        return cls(private)

    def to_pem(self) -> bytes:
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data, self._ECDSA)


def _tlv(tag: int, *parts: bytes) -> bytes:
    return format_tlv(tag, b"".join(parts))


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, *parts)


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


@lru_cache(256)
def _oid(dotted: str) -> bytes:
    return _tlv(0x06, oid(dotted))


def _time(ms: int) -> bytes:
    """RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds."""
    when = datetime.fromtimestamp(ms // 1000, UTC)
    if when.year < 2050:
        return _tlv(0x17, when.strftime("%y%m%d%H%M%SZ").encode())
    return _tlv(0x18, when.strftime("%Y%m%d%H%M%SZ").encode())


_ATTRIBUTES = {
    "C": "2.5.4.6", "ST": "2.5.4.8", "L": "2.5.4.7", "O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3",
    "serialNumber": "2.5.4.5",
}  # fmt: skip
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


def name(**attributes: str) -> bytes:
    """A Name in DER, one attribute to a part, in the order given: `name(C="US", O="Example", CN="SHAKEN 709J")`.

    PrintableString where the characters allow it, else UTF8String (RFC 5280 section 4.1.2.4).
    """
    parts = []
    for key, text in attributes.items():
        if key not in _ATTRIBUTES:
            raise UsageError(f"a name has no attribute {key}; it may have {', '.join(_ATTRIBUTES)}")
        parts.append(_attribute(key, text, PRINTABLE_STRING if _PRINTABLE.issuperset(text) else UTF8_STRING))
    return _sequence(*parts)


def _attribute(key: str, text: str, tag: int) -> bytes:
    return _tlv(0x31, _sequence(_oid(_ATTRIBUTES[key]), _tlv(tag, text.encode())))


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension in DER; `value` is what stands inside the OCTET STRING."""
    return _sequence(_oid(oid), b"\x01\x01\xff" if critical else b"", _tlv(0x04, value))


# Extensions of the profiles.

POISON = extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\x00", critical=True)  # RFC 6962 section 3.1
END_ENTITY = extension("2.5.29.19", b"\x30\x00", critical=True)
DIGITAL_SIGNATURE = extension("2.5.29.15", b"\x03\x02\x07\x80", critical=True)
CERT_SIGN = extension("2.5.29.15", b"\x03\x02\x02\x04", critical=True)


def authority_constraints(path_length: int | None = None) -> bytes:
    limit = b"" if path_length is None else _integer(path_length)
    return extension("2.5.29.19", _sequence(b"\x01\x01\xff", limit), critical=True)


@lru_cache(1024)
def key_id(spki: bytes) -> bytes:
    """RFC 5280 section 4.2.1.2, method 1: SHA-1 of the public key's bits. 20 bytes; a label, not a security measure."""
    _, (_, lo, hi) = children(spki, *only_child(spki, 0x30, "spki"), "spki")
    return hashlib.sha1(spki[lo + 1 : hi], usedforsecurity=False).digest()


def subject_key_id(spki: bytes) -> bytes:
    return extension("2.5.29.14", _tlv(0x04, key_id(spki)))


_AKI = _oid("2.5.29.35")


def authority_key_id(identifier: bytes) -> bytes:
    return extension("2.5.29.35", _sequence(_tlv(0x80, identifier)))


def extended_key_usage(*oids: str) -> bytes:
    return extension("2.5.29.37", _sequence(*(_oid(oid) for oid in oids)))


@lru_cache(64)
def policies(*oids: str) -> bytes:
    return extension("2.5.29.32", _sequence(*(_sequence(_oid(oid)) for oid in oids)))


@lru_cache(64)
def crl_distribution_point(url: str = CRL_URL) -> bytes:
    """One point with the STI-PA as cRLIssuer, as ATIS-1000080 asks; the bytes are those of the deployed ones."""
    words = {"L": "Bridgewater", "ST": "NJ", "CN": "STI-PA CRL", "C": "US", "O": "STI-PA"}
    parts = [_attribute(k, text, PRINTABLE_STRING if k == "C" else UTF8_STRING) for k, text in words.items()]
    issuer = _sequence(*parts)
    full = _tlv(0xA0, _tlv(0xA0, _tlv(0x86, url.encode())))
    return extension("2.5.29.31", _sequence(_sequence(full, _tlv(0xA2, _tlv(0xA4, issuer)))))


def tn_auth_list(value: bytes) -> bytes:
    """The TNAuthList extension around a TNAuthorizationList in DER.

    `ctlog.tn.tnauthlist.format_tnauthlist` writes any; `spc`, `one` and `number_range` the plain ones. Whatever is
    given is put in unread, so that a test can issue what no CA should.
    """
    return extension("1.3.6.1.5.5.7.1.26", value)


def tn_auth_list_by_reference(url: str) -> bytes:
    """RFC 8226 section 10.1: the list is to be had at a URL, named in the authority information access."""
    return extension("1.3.6.1.5.5.7.1.1", _sequence(_sequence(_oid("1.3.6.1.5.5.7.48.14"), _tlv(0x86, url.encode()))))


def tel_names(*numbers: str) -> bytes:
    """A SubjectAltName of `tel:` URIs (RCC.16); the numbers are E.164 digits without the plus sign."""
    return extension("2.5.29.17", _sequence(*(_tlv(0x86, b"tel:+" + number.encode()) for number in numbers)))


def sct_list(scts: Sequence[bytes]) -> bytes:
    """RFC 6962 section 3.3: the extension that carries serialised SCTs."""
    return extension("1.3.6.1.4.1.11129.2.4.2", _tlv(0x04, format_sct_list(scts)))


def spc(*codes: str) -> bytes:
    """A TNAuthorizationList of service provider codes."""
    return format_tnauthlist([ServiceProviderCode(code) for code in codes])


def one(*numbers: str) -> bytes:
    """A TNAuthorizationList of single numbers."""
    return format_tnauthlist([TelephoneNumber(number) for number in numbers])


def number_range(start: str, count: int) -> bytes:
    """A TNAuthorizationList of `count` numbers from `start` on."""
    return format_tnauthlist([NumberRange(start, count)])


# The TBSCertificate and who signs it.

@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for: a Name in DER, a SubjectPublicKeyInfo in DER, and its time, both ends included."""

    name: bytes
    spki: bytes
    not_before_ms: int
    not_after_ms: int
    serial: int | None = None  # None: 127 random bits with the top one set, so that the length never varies


def _tbs(issuer: bytes, algorithm: bytes, subject: Subject, extensions: Sequence[bytes]) -> bytes:
    serial = subject.serial if subject.serial is not None else secrets.randbits(126) | 1 << 126
    return _sequence(
        b"\xa0\x03\x02\x01\x02",
        _integer(serial),
        algorithm,
        issuer,
        _sequence(_time(subject.not_before_ms), _time(subject.not_after_ms)),
        subject.name,
        subject.spki,
        _tlv(0xA3, _sequence(*extensions)),
    )


def _signed(tbs: bytes, signer: Signer) -> bytes:
    return _sequence(tbs, signer.algorithm, _tlv(0x03, b"\x00", signer.sign(tbs)))


def _items(der: bytes) -> list[bytes]:
    """The elements inside one constructed element. Raises MalformedError."""
    (at, hi), out = only_child(der, der[0], "tbs"), []
    for _, _, end in children(der, at, hi, "tbs"):
        out.append(der[at:end])
        at = end
    return out


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: its certificate, the key that goes with it, and the certificates above it, nearest first, root last."""

    certificate: bytes
    signer: Signer
    name: bytes
    above: tuple[bytes, ...] = ()

    @property
    def chain(self) -> tuple[bytes, ...]:
        """What goes after the leaf in a submission."""
        return (self.certificate, *self.above)

    @property
    def key_id(self) -> bytes:
        return key_id(self.signer.spki)

    def leaf(self, subject: Subject, extensions: Sequence[bytes]) -> bytes:
        """A TBSCertificate of this CA with just these extensions in this order."""
        return _tbs(self.name, self.signer.algorithm, subject, extensions)

    def certificate_for(self, tbs: bytes) -> bytes:
        """The certificate without SCTs, for profiles that forbid them; it is logged by add-chain."""
        return _signed(tbs, self.signer)

    def precertificate(self, tbs: bytes) -> bytes:
        """What add-pre-chain takes; nobody else accepts it, for the poison is critical.

        Where this authority is a precertificate signing certificate, it puts its own name and key identifier in place
        of the real issuer's; the log puts them back (RFC 6962 section 3.2).
        """
        fields = _items(tbs)
        if fields[3] != self.name:
            own = [authority_key_id(self.key_id) if _AKI in e[:8] else e for e in _items(_items(fields[-1])[0])]
            tbs = _sequence(*fields[:3], self.name, *fields[4:-1], _tlv(0xA3, _sequence(*own)))
        return _signed(insert_extension(tbs, POISON), self.signer)

    def final(self, tbs: bytes, scts: Sequence[bytes]) -> bytes:
        """The certificate with its SCTs (each one serialised): without them it is `tbs`, byte for byte."""
        return _signed(insert_extension(tbs, sct_list(scts)), self.signer)

    def authority(self, signer: Signer, subject: Subject, extensions: Sequence[bytes]) -> Authority:
        """A CA below this one; `signer` holds the key of `subject.spki`."""
        certificate = _signed(self.leaf(subject, extensions), self.signer)
        return Authority(certificate, signer, subject.name, self.chain)


# The profiles.

def root(signer: Signer, subject: Subject) -> Authority:
    """A self-signed CA without a policy, a CRL or numbers (ATIS-1000080: none of these on a root)."""
    identifiers = (subject_key_id(signer.spki), authority_key_id(key_id(signer.spki)))
    extensions = (authority_constraints(), CERT_SIGN, *identifiers)
    certificate = _signed(_tbs(subject.name, signer.algorithm, subject, extensions), signer)
    return Authority(certificate, signer, subject.name)


def intermediate(parent: Authority, signer: Signer, subject: Subject, *, tn_value: bytes = b"") -> Authority:
    """An issuing CA. With `tn_value`, a TNAuthorizationList in DER, it is a delegate CA (RFC 9060 section 4)."""
    extensions = [
        authority_constraints(), CERT_SIGN, subject_key_id(signer.spki), authority_key_id(parent.key_id),
        policies(CP_1_4), crl_distribution_point(),
    ]  # fmt: skip
    return parent.authority(signer, subject, [*extensions, tn_auth_list(tn_value)] if tn_value else extensions)


def precertificate_signer(parent: Authority, signer: Signer, subject: Subject) -> Authority:
    """A CA that may sign precertificates for `parent` and nothing else (RFC 6962 section 3.1)."""
    usage = extended_key_usage("1.3.6.1.4.1.11129.2.4.4")
    identifiers = (subject_key_id(signer.spki), authority_key_id(parent.key_id))
    return parent.authority(signer, subject, (authority_constraints(0), CERT_SIGN, usage, *identifiers))


def _number_leaf(authority: Authority, subject: Subject, tn_value: bytes, policy: str) -> bytes:
    """The commonest layout of the deployed certificates: 61 % have these seven extensions in this order."""
    return authority.leaf(subject, (
        END_ENTITY, DIGITAL_SIGNATURE, subject_key_id(subject.spki), authority_key_id(authority.key_id),
        policies(policy), crl_distribution_point(), tn_auth_list(tn_value),
    ))  # fmt: skip


def shaken_leaf(
    authority: Authority, spki: bytes, code: str, organization: str, *, not_before_ms: int, not_after_ms: int,
    country: str = "US", serial: int | None = None, policy: str = CP_1_4,
) -> bytes:  # fmt: skip
    """The TBSCertificate of a service provider (ATIS-1000080 section 6.4.1): one code, and `CN=SHAKEN <code>`."""
    who = name(C=country, O=organization, CN=f"SHAKEN {code}")
    return _number_leaf(authority, Subject(who, spki, not_before_ms, not_after_ms, serial), spc(code), policy)


def delegate_leaf(authority: Authority, subject: Subject, tn_value: bytes) -> bytes:
    """The TBSCertificate of a delegate (RFC 9060): whatever numbers, ranges and codes stand in `tn_value`."""
    return _number_leaf(authority, subject, tn_value, CP_1_4)


def rcs_leaf(authority: Authority, subject: Subject, *numbers: str) -> bytes:
    """The TBSCertificate of a messaging client (RCC.16): `tel:` names, the client usage and the RCS policy."""
    return authority.leaf(subject, (
        DIGITAL_SIGNATURE, extended_key_usage("2.23.146.2.1.3"), subject_key_id(subject.spki),
        authority_key_id(authority.key_id), tel_names(*numbers), policies(CP_RCS),
    ))  # fmt: skip


def example_authority(
    now_ms: int, *, label: str = "Example", root_key: Key | None = None, key: Key | None = None
) -> Authority:
    """A small hierarchy in one call: an issuing CA below a root of its own. Its keys are for tests and first tries."""
    root_key, key = root_key or Key.generate(), key or Key.generate()
    since, years = now_ms - DAY_MS, 365 * DAY_MS
    top_name = name(C="US", O=label, CN=f"{label} SHAKEN ROOT")
    top = root(root_key, Subject(top_name, root_key.spki, since, now_ms + 20 * years))
    who = name(C="US", O=label, CN=f"{label} SHAKEN Issuing CA")
    return intermediate(top, key, Subject(who, key.spki, since, now_ms + 10 * years))
