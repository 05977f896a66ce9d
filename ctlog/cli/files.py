"""What people hand to commands as files: certificates (PEM, DER, gzip of either) and a log's key.

In scope: finding out which it is from the bytes, whatever the file is called; PEM read as a stream, so that a file of a
million certificates takes no memory. Out of scope: whether a certificate is one (`ctlog.x509.der`).
"""

from __future__ import annotations

import binascii
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ctlog.errors import MalformedError, UsageError
from ctlog.wire.rfc6962 import LogKey
from ctlog.wire.signed_note import ECDSA, Ed25519Verifier, parse_vkey

_BEGIN, _END = b"-----BEGIN ", b"-----END "
_KINDS = (b"CERTIFICATE-----", b"X509 CERTIFICATE-----", b"TRUSTED CERTIFICATE-----")
_MAX_DER = 1 << 20
_MAX_KEY_FILE = 64 << 10
_VKEY = re.compile(r"[^+\s]+\+[0-9a-f]{8}\+\S+")


def read_certificates(path: Path) -> Iterator[bytes]:
    """The DER of each certificate in a file, in order; other PEM blocks and text between blocks are passed over.

    Raises UsageError for a file that holds none, or a broken one; OSError.
    """
    with path.open("rb") as raw:
        start = raw.read(2)
        raw.seek(0)
        with gzip.open(raw) if start == b"\x1f\x8b" else raw as file:
            try:
                yield from _certificates(file, path)  # type: ignore[arg-type]  # GzipFile reads as a BinaryIO does
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UsageError(f"{path} is damaged: {error}") from None


def read_one_certificate(path: Path) -> tuple[bytes, list[bytes]]:
    """The first certificate of a file, and those that follow it (its issuers, where the file is a chain)."""
    first, *others = read_certificates(path)
    return first, others


def _certificates(file: BinaryIO, path: Path) -> Iterator[bytes]:
    start = file.read(1)
    if start == b"\x30":
        der = start + file.read(_MAX_DER)
        if len(der) > _MAX_DER:
            raise UsageError(f"{path} is too long for one certificate in DER")
        yield der
        return
    count = 0
    block: list[bytes] | None = None
    rest = start
    for line in file:
        line, rest = (rest + line).strip(), b""
        if line.startswith(_BEGIN):
            block = [] if line[len(_BEGIN) :] in _KINDS else None
        elif line.startswith(_END) and block is not None:
            count += 1
            yield _decode(block, path, count)
            block = None
        elif block is not None:
            block.append(line)
            if len(block) * 64 > 2 * _MAX_DER:
                raise UsageError(f"{path}: certificate {count + 1} has no end")
    if block is not None:
        raise UsageError(f"{path}: certificate {count + 1} has no end")
    if not count:
        raise UsageError(f"{path} holds no certificate in PEM or DER")


def _decode(lines: list[bytes], path: Path, number: int) -> bytes:
    try:
        return binascii.a2b_base64(b"".join(lines), strict_mode=True)
    except binascii.Error as error:
        raise UsageError(f"{path}: certificate {number} is not base64: {error}") from None


class GivenKey(NamedTuple):
    """What a person said about a log's key: one of the two is there.

    `key` signs SCTs and heads. `checkpoints` is the Ed25519 key of the log's checkpoints: it vouches for heads, and
    names the origin.
    """

    key: LogKey | None
    checkpoints: Ed25519Verifier | None


def read_key(text: str) -> GivenKey:
    """A log's key as PEM, base64 of its SubjectPublicKeyInfo, or note verifier key; `text` itself or a file with it.

    Raises UsageError.
    """
    data = (text if text.startswith("-----") else _key_file(text) or text).strip()
    try:
        if data.startswith("-----BEGIN PUBLIC KEY-----"):
            data = data.split("-----")[2]
        if not _VKEY.fullmatch(data):
            return GivenKey(LogKey.from_spki(binascii.a2b_base64(re.sub(r"\s", "", data), strict_mode=True)), None)
        vkey = parse_vkey(data)
        if vkey.type == ECDSA:
            return GivenKey(LogKey.from_spki(vkey.key), None)
        return GivenKey(None, Ed25519Verifier.from_vkey(data))
    except (ValueError, MalformedError) as error:
        shown = (text.strip().splitlines() or [""])[0][:60]  # of what may be a private key, no more than its label
        what = f"{shown!r} is no file with a log's key, and no key in PEM, base64 or as a note verifier key"
        raise UsageError(f"{what}: {error}") from None


def _key_file(name: str) -> str | None:
    """What the file of this name holds, DER turned into base64; None where there is no such file."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(_MAX_KEY_FILE)
    except (OSError, ValueError):
        return None
    return binascii.b2a_base64(data).decode() if data[:1] == b"\x30" else data.decode("utf-8", "replace")
