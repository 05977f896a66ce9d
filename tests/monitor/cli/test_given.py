"""monitor.cli.given: certificates, requests and keys in files, by what the monitor knows them by."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ctlog.errors import UsageError
from monitor.cli.given import certificate_in, issuance_in, key_hash, key_in
from tests.cert_sim import CA
from tests.monitor_certificates import GOOD, logged, number_leaf
from tests.number_certificates import number
from tests.pem import pem

KEY = ec.generate_private_key(ec.SECP256R1())
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
HASH = hashlib.sha256(SPKI).digest()
REQUEST = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA256())


def test_a_key_in_every_form(tmp_path: Path) -> None:
    forms = {
        "key.pem": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "key.der": SPKI,
        "request.pem": REQUEST.public_bytes(Encoding.PEM),
    }  # fmt: skip
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        assert key_in(tmp_path / name) == HASH
        assert key_hash(str(tmp_path / name)) == HASH.hex()
    certificate = GOOD.certificate_for(number_leaf([number("12025550123")]))
    for name, data in (("cert.pem", pem(certificate)), ("cert.der", certificate)):
        (tmp_path / name).write_bytes(data)
        assert key_in(tmp_path / name) == hashlib.sha256(certificate_in(tmp_path / name).spki).digest()
    assert key_hash("ab" * 32) == "ab" * 32


def test_what_holds_no_key(tmp_path: Path) -> None:
    path = tmp_path / "f"
    request = REQUEST.public_bytes(Encoding.DER).replace(b"\x02\x01\0", b"\x02\x01\x07", 1)
    of_version_8 = pem(request, label="CERTIFICATE REQUEST")
    bad_key = b"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n"
    for data in (b"", b"nothing", bad_key, pem(b"0"), of_version_8):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"f holds no"):
            key_in(path)
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(UsageError, match="private key: keep it"):
        key_in(path)


def test_the_issuance_is_that_of_the_entry_before_it_is_logged(tmp_path: Path) -> None:
    tbs = number_leaf([number("12025550123")])
    (tmp_path / "c.pem").write_bytes(pem(GOOD.certificate_for(tbs), *GOOD.chain))
    assert issuance_in(tmp_path / "c.pem") == logged(tbs).issuance
    (tmp_path / "p.pem").write_bytes(pem(GOOD.precertificate(tbs), *GOOD.chain))
    assert issuance_in(tmp_path / "p.pem") == logged(tbs).issuance
    (tmp_path / "alone.pem").write_bytes(pem(GOOD.certificate_for(tbs)))
    with pytest.raises(UsageError, match="needs the issuer's certificate"):
        issuance_in(tmp_path / "alone.pem")
    (tmp_path / "bad.pem").write_bytes(pem(b"\x30\x00", CA.certificate))
    with pytest.raises(UsageError, match=r"bad\.pem"):
        issuance_in(tmp_path / "bad.pem")
