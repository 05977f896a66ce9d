"""ctlog.issuance against other people's readers: `cryptography`, openssl, and the deployed certificates."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.errors import UsageError
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.wire.rfc6962 import DigitallySigned, SignedCertificateTimestamp, format_sct
from ctlog.x509.der import parse_certificate
from tests.corpus import leaves, need_corpus

NOW = 1_790_000_000_000  # 2026-09-21
ROOT_KEY, CA_KEY, KEY = Key.from_number(11), Key.from_number(12), Key.from_number(13)
AUTHORITY = issuance.example_authority(NOW, root_key=ROOT_KEY, key=CA_KEY)
TN_OID = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")


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


def test_a_service_providers_certificate_follows_the_profile() -> None:
    certificate = load(AUTHORITY.certificate_for(shaken(serial=0x1234)))
    check_chain(AUTHORITY.certificate_for(shaken()), AUTHORITY)
    assert certificate.subject.rfc4514_string() == "CN=SHAKEN 709J,O=Example Phone Co,C=US"
    assert certificate.serial_number == 0x1234
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(NOW / 1000, UTC)
    assert certificate.not_valid_after_utc == datetime.fromtimestamp(NOW / 1000 + 7 * 86400, UTC)
    extensions = certificate.extensions
    assert [e.oid.dotted_string for e in extensions] == [
        "2.5.29.19", "2.5.29.15", "2.5.29.14", "2.5.29.35", "2.5.29.32", "2.5.29.31", "1.3.6.1.5.5.7.1.26",
    ]  # fmt: skip
    assert [e.critical for e in extensions] == [True, True, False, False, False, False, False]
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert extensions.get_extension_for_oid(TN_OID).value.value.hex() == "3008a0061604" + b"709J".hex()
    points = list(extensions.get_extension_for_class(x509.CRLDistributionPoints).value)
    assert points[0].full_name[0].value == issuance.CRL_URL
    assert points[0].crl_issuer[0].value.rfc4514_string() == "O=STI-PA,C=US,CN=STI-PA CRL,ST=NJ,L=Bridgewater"


@need_corpus
def test_the_layout_is_the_commonest_of_the_deployed_certificates() -> None:
    ours = parse_certificate(AUTHORITY.certificate_for(shaken(policy=issuance.CP_1_3)))
    layout = [(e.oid, e.critical) for e in ours.extensions]
    same = [c for c in map(parse_certificate, leaves()) if [(e.oid, e.critical) for e in c.extensions] == layout]
    assert len(same) == 5324  # of 8,753: phone-certificates.md, section 1.4
    fixed = [ours.extensions[at].der for at in (0, 1, 4, 5)]  # the others speak of keys and codes
    alike = sum([c.extensions[at].der for at in (0, 1, 4, 5)] == fixed for c in same)
    assert alike > 5000


def test_what_is_signed_at_the_end_is_what_was_logged() -> None:
    tbs = shaken()
    final = load(AUTHORITY.final(tbs, [sct(1), sct(2)]))
    assert final.tbs_precertificate_bytes == tbs
    check_chain(AUTHORITY.final(tbs, [sct(1)]), AUTHORITY)


def test_a_precertificate_is_the_logged_tbs_and_a_critical_poison() -> None:
    tbs = shaken()
    precertificate = load(AUTHORITY.precertificate(tbs))
    poison = precertificate.extensions[-1]
    assert (poison.oid.dotted_string, poison.critical) == ("1.3.6.1.4.1.11129.2.4.3", True)
    assert isinstance(poison.value, x509.PrecertPoison)
    plain = load(AUTHORITY.certificate_for(tbs))
    assert list(precertificate.extensions)[:-1] == list(plain.extensions)
    assert precertificate.serial_number == plain.serial_number
    check_chain(AUTHORITY.precertificate(tbs), AUTHORITY)


def test_a_precertificate_signing_certificate_stands_in_for_its_issuer() -> None:
    key = Key.from_number(99)
    who = Subject(issuance.name(CN="Precert Signer"), key.spki, NOW, NOW + DAY_MS)
    signer = issuance.precertificate_signer(AUTHORITY, key, who)
    usage = load(signer.certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [u.dotted_string for u in usage] == ["1.3.6.1.4.1.11129.2.4.4"]
    tbs = shaken()
    precertificate = signer.precertificate(tbs)
    check_chain(precertificate, signer)
    assert load(precertificate).issuer.rfc4514_string() == "CN=Precert Signer"
    assert load(precertificate).subject == load(AUTHORITY.certificate_for(tbs)).subject


@pytest.mark.parametrize(
    ("value", "expected"),
    [  # phone-certificates.md, section 1.1
        (issuance.spc("683G"), "3008a006160436383347"),
        (issuance.one("12025550123"), "300fa20d160b3132303235353530313233"),
        (issuance.number_range("12025550100", 100), "3014a1123010160b3132303235353530313030020164"),
        (issuance.one("*67#"), "3008a20616042a363723"),
    ],
)
def test_tn_auth_lists_are_the_published_vectors(value: bytes, expected: str) -> None:
    assert value.hex() == expected
    certificate = load(AUTHORITY.certificate_for(issuance.delegate_leaf(AUTHORITY, subject(), value)))
    assert certificate.extensions.get_extension_for_oid(TN_OID).value.value.hex() == expected


def test_a_delegate_ca_may_issue_and_a_by_reference_leaf_names_its_url() -> None:
    key = Key.from_number(77)
    who = Subject(issuance.name(O="Example VoIP", CN="Delegate CA"), key.spki, NOW, NOW + DAY_MS)
    delegate = issuance.intermediate(AUTHORITY, key, who, tn_value=issuance.number_range("12025550100", 100))
    tbs = issuance.delegate_leaf(delegate, subject(), issuance.one("12025550123"))
    check_chain(delegate.certificate_for(tbs), delegate)
    assert load(delegate.certificate).extensions.get_extension_for_oid(TN_OID)
    tbs = AUTHORITY.leaf(subject(), [issuance.tn_auth_list_by_reference("https://tn.example/list")])
    access = load(AUTHORITY.certificate_for(tbs)).extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    (entry,) = access.value
    assert entry.access_method.dotted_string == "1.3.6.1.5.5.7.48.14"
    assert entry.access_location.value == "https://tn.example/list"


def test_an_rcs_leaf_names_its_numbers_as_uris() -> None:
    who = subject(issuance.name(CN="7f4df1ad-1a4e-4f26-8a2e-56d6d83c4a43"))
    certificate = load(AUTHORITY.certificate_for(issuance.rcs_leaf(AUTHORITY, who, "12025550123", "12025550124")))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["tel:+12025550123", "tel:+12025550124"]
    check_chain(AUTHORITY.certificate_for(issuance.rcs_leaf(AUTHORITY, who, "12025550123")), AUTHORITY)


@given(
    organization=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60),
    serial=st.integers(-(1 << 159), (1 << 159) - 1),
    day=st.integers(-3650, 365 * 60),
)
def test_names_serials_and_times_read_back(organization: str, serial: int, day: int) -> None:
    at = NOW + day * DAY_MS
    who = Subject(issuance.name(C="US", O=organization, CN="x"), KEY.spki, at, at + DAY_MS, serial)
    certificate = parse_certificate(AUTHORITY.certificate_for(AUTHORITY.leaf(who, [issuance.END_ENTITY])))
    assert certificate.serial_number == serial
    assert (certificate.not_before_ms, certificate.not_after_ms) == (at // 1000 * 1000, at // 1000 * 1000 + DAY_MS)
    assert organization.encode() in certificate.subject


def test_serial_numbers_are_random_and_of_one_length() -> None:
    serials = {parse_certificate(AUTHORITY.certificate_for(shaken())).serial for _ in range(100)}
    assert len(serials) == 100
    assert {len(s) for s in serials} == {16}
    assert all(s[0] < 0x80 for s in serials)


class AnySigner:
    """A signer of another make: what PKCS #11 or a cloud's key service looks like from here."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, algorithm: str) -> None:
        from cryptography.hazmat.primitives.asymmetric import padding

        self.algorithm = bytes.fromhex(algorithm)
        self.spki = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if isinstance(private, rsa.RSAPrivateKey):
            self.sign = lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        else:
            self.sign = lambda data: private.sign(data, ec.ECDSA(hashes.SHA384()))


@pytest.mark.parametrize(
    "signer",
    [
        AnySigner(ec.generate_private_key(ec.SECP384R1()), "300a06082a8648ce3d040303"),
        AnySigner(rsa.generate_private_key(65537, 2048), "300d06092a864886f70d01010b0500"),
    ],
    ids=["P-384", "RSA"],
)
def test_any_object_that_signs_is_a_signer(signer: AnySigner) -> None:
    who = Subject(issuance.name(CN="another CA"), signer.spki, NOW, NOW + DAY_MS)
    authority = issuance.intermediate(issuance.root(signer, who), signer, who)
    tbs = issuance.delegate_leaf(authority, subject(), issuance.spc("1234"))
    check_chain(authority.certificate_for(tbs), authority)


def test_keys_are_kept_as_pem_and_others_refused() -> None:
    assert Key.from_pem(KEY.to_pem()).spki == KEY.spki
    assert Key.from_pem(KEY.to_pem()).sign(b"x") == KEY.sign(b"x")
    other = ec.generate_private_key(ec.SECP384R1())
    no_encryption, pkcs8 = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(b"secret")
    for bad in (
        b"nonsense",
        other.private_bytes(serialization.Encoding.PEM, pkcs8, no_encryption),
        other.private_bytes(serialization.Encoding.PEM, pkcs8, locked),
        rsa.generate_private_key(65537, 2048).private_bytes(serialization.Encoding.PEM, pkcs8, no_encryption),
    ):
        with pytest.raises(UsageError):
            Key.from_pem(bad)


def test_a_name_refuses_an_attribute_that_it_does_not_know() -> None:
    with pytest.raises(UsageError, match="no attribute Country"):
        issuance.name(Country="US")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_accepts_the_chain(tmp_path: Path) -> None:
    def pem(path: str, *ders: bytes) -> str:
        (tmp_path / path).write_bytes(b"".join(load(d).public_bytes(serialization.Encoding.PEM) for d in ders))
        return str(tmp_path / path)

    root, middle = pem("root", AUTHORITY.above[0]), pem("ca", AUTHORITY.certificate)
    leaf = pem("leaf", AUTHORITY.final(shaken(), [sct(1)]))
    run = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-attime", str(NOW // 1000), "-CAfile", root, "-untrusted", middle, leaf],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout.endswith(": OK\n"), run.stderr
