"""Keys as docs/keys.md says, computed here by other code; signatures that are the same for ever; the seed's file."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.errors import ConfigError, MalformedError, SignatureError
from ctlog.sequencer.signer import (
    P256_ORDER,
    SeedSigner,
    blocks,
    first_scalar,
    make_seed,
    open_head,
    read_seed,
    sign_head,
)
from ctlog.wire.rfc6962 import DigitallySigned

ORIGIN = "log.example/2027"
SEED = bytes(range(32))
KEYS_MD = Path(__file__).parents[2] / "docs" / "keys.md"


def vectors() -> list[dict[str, str]]:
    lines = KEYS_MD.read_text().split("## Test vectors")[1].splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [{row[0]: row[column] for row in rows[1:]} for column in (1, 2)]


def hkdf_block(seed: bytes, info: bytes, number: int) -> bytes:
    """T(number) of RFC 5869, section 2, with an empty salt: 32 zero bytes."""
    secret = hmac.digest(bytes(32), seed, "sha256")
    block = b""
    for at in range(1, number + 1):
        block = hmac.digest(secret, block + info + bytes([at]), "sha256")
    return block


def rfc6979_signature(scalar: int, message: bytes) -> tuple[int, int]:
    """ECDSA on P-256 with SHA-256 and the nonce of RFC 6979 section 3.2, written out."""
    n, size = P256_ORDER, 32
    digest = hashlib.sha256(message).digest()
    secret = scalar.to_bytes(size, "big") + (int.from_bytes(digest, "big") % n).to_bytes(size, "big")
    key, value = bytes(size), b"\x01" * size
    for step in (b"\x00", b"\x01"):
        key = hmac.digest(key, value + step + secret, "sha256")
        value = hmac.digest(key, value, "sha256")
    while True:
        value = hmac.digest(key, value, "sha256")
        nonce = int.from_bytes(value, "big")
        if 0 < nonce < n:
            break
        key = hmac.digest(key, value + b"\x00", "sha256")
        value = hmac.digest(key, value, "sha256")
    point = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers()
    r = point.x % n
    return r, pow(nonce, -1, n) * (int.from_bytes(digest, "big") + r * scalar) % n


def der(r: int, s: int) -> bytes:
    def number(value: int) -> bytes:
        data = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return b"\x02" + bytes([len(data)]) + data

    body = number(r) + number(s)
    return b"\x30" + bytes([len(body)]) + body


@pytest.mark.parametrize("vector", vectors())
def test_the_vectors_of_the_page_hold(vector: dict[str, str]) -> None:
    seed, origin = bytes.fromhex(vector["seed"]), vector["origin"]
    private = hkdf_block(seed, b"ctlog/log/v1\x00" + origin.encode(), 1)
    assert private.hex() == vector["log, private"]
    assert hkdf_block(seed, b"ctlog/checkpoint/v1\x00" + origin.encode(), 1).hex() == vector["checkpoint, private"]
    assert hkdf_block(seed, b"ctlog/seed-id/v1\x00", 1).hex() == vector["seed id"]
    assert der(*rfc6979_signature(int.from_bytes(private, "big"), b"message")).hex() == vector["signature"]
    signer = SeedSigner(origin, seed)
    assert signer.log_id.hex() == vector["log id"]
    assert signer.checkpoint_key.vkey == vector["checkpoint, verifier key"]
    assert signer.seed_id.hex() == vector["seed id"]
    assert signer.digitally_sign(b"message").signature.hex() == vector["signature"]


def test_later_blocks_are_those_of_hkdf() -> None:
    made = list(blocks(SEED, "log", ORIGIN))
    assert made == [hkdf_block(SEED, b"ctlog/log/v1\x00" + ORIGIN.encode(), number) for number in (1, 2, 3, 4)]


def test_a_block_out_of_range_is_passed_over() -> None:
    zero, order, high = bytes(32), P256_ORDER.to_bytes(32, "big"), b"\xff" * 32
    last = (P256_ORDER - 1).to_bytes(32, "big")
    assert first_scalar([zero, order, high, last, b"\x01" * 32]) == P256_ORDER - 1
    assert first_scalar([b"\x00" * 31 + b"\x01"]) == 1
    with pytest.raises(ConfigError):
        first_scalar([zero, order, high])


def test_another_origin_has_other_keys_and_the_same_seed_id() -> None:
    one, two = SeedSigner(ORIGIN, SEED), SeedSigner(ORIGIN + "h1", SEED)
    assert one.log_id != two.log_id
    assert one.checkpoint_key.key != two.checkpoint_key.key
    assert one.seed_id == two.seed_id != SeedSigner(ORIGIN, bytes(32)).seed_id


def test_signatures_verify_and_are_the_same_for_ever() -> None:
    signer = SeedSigner(ORIGIN, SEED)
    signed = signer.digitally_sign(b"leaf")
    signer.key.verify(signed, b"leaf")
    assert SeedSigner(ORIGIN, SEED).digitally_sign(b"leaf") == signed
    assert signer.digitally_sign(b"other") != signed


def test_a_head_is_signed_twice_over_and_opens() -> None:
    signer = SeedSigner(ORIGIN, SEED)
    head = sign_head(signer, 7, b"r" * 32, 1_800_000_000_000)
    assert (head.size, head.root, head.timestamp_ms) == (7, b"r" * 32, 1_800_000_000_000)
    assert head.note.count("\N{EM DASH} log.example/2027 ".encode()) == 2
    assert open_head(signer, head.note) == head
    with pytest.raises(SignatureError):
        open_head(SeedSigner(ORIGIN, bytes(32)), head.note)
    with pytest.raises(SignatureError):
        open_head(signer, head.note.replace(b"\n7\n", b"\n8\n"))
    without_ed25519 = b"".join(head.note.splitlines(keepends=True)[:-1])
    with pytest.raises(SignatureError):
        open_head(signer, without_ed25519)


class FlippingSigner(SeedSigner):
    """A machine in which a bit flips while it signs."""

    def digitally_sign(self, message: bytes) -> DigitallySigned:
        return super().digitally_sign(bytes([message[0] ^ 1]) + message[1:])


def test_a_signature_that_went_wrong_never_leaves() -> None:
    with pytest.raises(SignatureError):
        sign_head(FlippingSigner(ORIGIN, SEED), 7, b"r" * 32, 1_800_000_000_000)


def test_the_log_key_is_a_p256_key_that_others_derive_too() -> None:
    scalar = int.from_bytes(hkdf_block(SEED, b"ctlog/log/v1\x00" + ORIGIN.encode(), 1), "big")
    public = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    signed = SeedSigner(ORIGIN, SEED).digitally_sign(b"x")
    public.verify(signed.signature, b"x", ec.ECDSA(hashes.SHA256()))


def test_the_seed_s_file(tmp_path: Path) -> None:
    path = tmp_path / "seed"
    with pytest.raises(ConfigError, match=r"\(P10\)"):
        read_seed(path)
    seed = make_seed(path)
    assert read_seed(path) == seed
    assert len(seed) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match=r"\(P10\)"):
        make_seed(path)
    assert read_seed(path) == seed
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="600"):
        read_seed(path)
    path.chmod(0o600)
    path.write_bytes(seed[:-1])
    with pytest.raises(ConfigError, match="31"):
        read_seed(path)
    with pytest.raises(ConfigError):
        make_seed(tmp_path / "no such folder" / "seed")


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError):
        SeedSigner(ORIGIN, SEED + b"x")
    with pytest.raises(MalformedError):
        SeedSigner("log example", SEED)
