"""ctlog.issuance.authority: what is signed three times is the same TBSCertificate."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ctlog import issuance
from ctlog.errors import UsageError
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.issuance.keys import ECDSA_SHA256
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import logged_precertificate, tbs_of_final
from tests.issued import AUTHORITY, NOW, check_chain, load, sct, shaken


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


def test_serial_numbers_are_random_and_of_one_length() -> None:
    serials = {parse_certificate(AUTHORITY.certificate_for(shaken())).serial for _ in range(100)}
    assert len(serials) == 100
    assert {len(s) for s in serials} == {16}
    assert all(s[0] < 0x80 for s in serials)


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


@pytest.mark.parametrize("scts", [1, 2, 5])
def test_the_final_is_what_the_log_took_the_precertificate_for(scts: int) -> None:
    key = Key.from_number(98)
    who = Subject(issuance.name(CN="Precert Signer"), key.spki, NOW, NOW + DAY_MS)
    signer = issuance.precertificate_signer(AUTHORITY, key, who)
    tbs = shaken()
    final = parse_certificate(AUTHORITY.final(tbs, [sct(n) for n in range(scts)]))
    for authority in (AUTHORITY, signer):
        precertificate = parse_certificate(authority.precertificate(tbs))
        chain = [parse_certificate(der) for der in authority.chain]
        key_hash, logged = logged_precertificate(precertificate, chain)
        assert logged == tbs == tbs_of_final(final)
        assert key_hash == logged_precertificate(precertificate, chain[-2:])[0]


def test_a_precertificate_signer_of_another_algorithm_is_refused() -> None:
    class Sha384(Key):
        algorithm = bytes.fromhex("300a06082a8648ce3d040303")

    key = Sha384.generate()
    assert key.algorithm != ECDSA_SHA256
    who = Subject(issuance.name(CN="Precert Signer"), key.spki, NOW, NOW + DAY_MS)
    signer = issuance.precertificate_signer(AUTHORITY, key, who)
    with pytest.raises(UsageError, match="by the algorithm of the real issuer"):
        signer.precertificate(shaken())
