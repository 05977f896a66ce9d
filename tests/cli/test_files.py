"""ctlog.cli.files: every way in which a certificate or a key reaches a command."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ctlog import issuance
from ctlog.cli.files import read_certificates, read_key, read_one_certificate
from ctlog.errors import UsageError
from ctlog.issuance import Key
from ctlog.wire.rfc6962 import LogKey
from ctlog.wire.signed_note import ECDSA, ED25519, format_vkey
from tests.pem import pem

AUTHORITY = issuance.example_authority(1_790_000_000_000, root_key=Key.from_number(1), key=Key.from_number(2))
DERS = list(AUTHORITY.chain)
KEY = LogKey.from_spki(Key.from_number(3).spki)


SECRET = pem(b"secret", label="PRIVATE KEY")
PEM = b"Text above\n" + pem(DERS[0]) + SECRET + b"\r\n" + pem(DERS[1]).replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (PEM, DERS),
        (gzip.compress(PEM), DERS),
        (DERS[0], DERS[:1]),
        (gzip.compress(DERS[0]), DERS[:1]),
        (pem(DERS[0], label="X509 CERTIFICATE"), DERS[:1]),
        (pem(DERS[0]).rstrip(b"\n"), DERS[:1]),
    ],
    ids=["PEM", "PEM.gz", "DER", "DER.gz", "old PEM label", "no last newline"],
)
def test_the_bytes_say_what_a_file_is(tmp_path: Path, data: bytes, expected: list[bytes]) -> None:
    path = tmp_path / "whatever.txt"
    path.write_bytes(data)
    assert list(read_certificates(path)) == expected


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "holds no certificate"),
        (b"hello\n", "holds no certificate"),
        (pem(b"x", label="PRIVATE KEY"), "holds no certificate"),
        (pem(DERS[0])[:-40] + b"\n", "has no end"),
        (pem(DERS[0]) + b"-----BEGIN CERTIFICATE-----\nabcd\n", "certificate 2 has no end"),
        (b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "is not base64"),
        (gzip.compress(PEM)[:-20], "is damaged"),
        (gzip.compress(PEM)[:20] + b"\xff" * 40, "is damaged"),
        (b"\x30" * (2 << 20), "too long"),
        (b"-----BEGIN CERTIFICATE-----\n" + b"A" * 64 + (b"\n" + b"A" * 64) * 40_000, "has no end"),
    ],
)
def test_a_file_without_certificates_is_said(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=sentence):
        list(read_certificates(path))


def test_a_chain_file_is_a_certificate_and_its_issuers(tmp_path: Path) -> None:
    (tmp_path / "chain").write_bytes(PEM)
    assert read_one_certificate(tmp_path / "chain") == (DERS[0], DERS[1:])


def test_a_large_file_is_read_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_bytes(pem(DERS[0]) * 3 + b"-----BEGIN CERTIFICATE-----\n!")
    reader = read_certificates(path)
    assert [next(reader) for _ in range(3)] == [DERS[0]] * 3


PUBLIC_PEM = pem(KEY.spki, label="PUBLIC KEY").decode()
ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
ECDSA_VKEY = f"log.example+{KEY.log_id[:4].hex()}+{base64.b64encode(bytes([ECDSA]) + KEY.spki).decode()}"
VKEY = format_vkey("log.example/x", ED25519, ED_KEY)


@pytest.mark.parametrize(
    "text",
    [PUBLIC_PEM, base64.b64encode(KEY.spki).decode(), f"  {base64.encodebytes(KEY.spki).decode()}",
     ECDSA_VKEY],
    ids=["PEM", "base64", "base64 in lines", "ECDSA verifier key"],
)  # fmt: skip
def test_a_key_may_be_given_as_text_or_as_a_file(tmp_path: Path, text: str) -> None:
    if not text.startswith("log.example"):
        assert read_key(text).key == KEY
    (tmp_path / "key").write_text(text)
    given = read_key(str(tmp_path / "key"))
    assert (given.key, given.checkpoints) == (KEY, None)


def test_a_key_in_der_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key.der").write_bytes(KEY.spki)
    assert read_key(str(tmp_path / "key.der")).key == KEY


def test_a_note_verifier_key_vouches_for_checkpoints() -> None:
    given = read_key(VKEY)
    assert given.key is None
    assert given.checkpoints is not None
    assert (given.checkpoints.name, given.checkpoints.key) == ("log.example/x", ED_KEY)


@pytest.mark.parametrize("text", [
    "", "no such file.pem", "A" * 5000, "AAAA", PUBLIC_PEM[:60], VKEY[:-4] + "AAAA", "log+00000000+AAAA", "\0",
    Key.from_number(3).to_pem().decode(),
    ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
])  # fmt: skip
def test_what_is_no_key_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="is no file with a log's key"):
        read_key(text)
