"""ctlog.issuance.keys: keys in PEM, and signers of another make."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ctlog import issuance
from ctlog.errors import UsageError
from ctlog.issuance import DAY_MS, Key, Subject
from tests.issued import KEY, NOW, check_chain, subject


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
