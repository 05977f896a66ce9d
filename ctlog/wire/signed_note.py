"""signed-note v1.0.0 (c2sp.org/signed-note): a text with signature lines, and verifier keys.

In scope: notes and their signature lines, key names and ids, verifier keys (vkeys), Ed25519 signatures (type 0x01),
and opening a note with the keys that one trusts. Out of scope: what a text says (`ctlog.wire.checkpoint`), the
signature types of other specifications, keeping keys: who signs hands in a function.

A note is read strictly: valid UTF-8, no control characters but newline, canonical base64. Signatures by unknown keys
are ignored; one by a known key that does not verify spoils the note.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ctlog.errors import MalformedError, SignatureError, UsageError
from ctlog.wire.b64 import format_base64, parse_base64

MAX_NOTE = 1 << 20
"""Bytes of the longest note that is read: room for 100 post-quantum signatures of 5 kB, twice."""
MAX_SIGNATURES = 100
"""Signature lines that are read; the specification asks for 16 or more."""

KEY_ID_SIZE = 4
ED25519 = 0x01
ECDSA = 0x02
ED25519_COSIGNATURE = 0x04
RFC6962 = 0x05
ML_DSA_44_COSIGNATURE = 0x06

_FIELD = "note"
_DASH = "\u2014 "  # em dash and space, before each signature
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_NOT_IN_NAMES = re.compile(r"[\s+\x00-\x1f]")  # for text, \s is every Unicode space
_HASHED_TYPES = (ED25519, ED25519_COSIGNATURE, RFC6962, ML_DSA_44_COSIGNATURE)


class NoteSignature(NamedTuple):
    """One signature line: the key's name and 4-byte id, and the signature without the id."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A note that was read, not verified. `text` ends in a newline and is without the blank line behind it."""

    text: str
    signatures: tuple[NoteSignature, ...]


class OpenedNote(NamedTuple):
    """A note of which at least one trusted key's signature verified: `verified` has these, in the note's order."""

    text: str
    verified: tuple[NoteSignature, ...]


class NoteVerifier(Protocol):
    """A trusted key. Its name and id together say which signature lines it must be able to verify."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def verify(self, text: str, signature: bytes) -> None:
        """Is `signature` (without the key id) this key's over `text`? Raises SignatureError and nothing else."""


class VerifierKey(NamedTuple):
    """A vkey's parts; `key` is the public key material behind the signature type."""

    name: str
    key_id: bytes
    type: int
    key: bytes


def check_key_name(name: str, field: str = _FIELD) -> None:
    """Refuse what is no key name: empty, with Unicode spaces, a plus or control characters. Raises MalformedError."""
    if not name or _NOT_IN_NAMES.search(name):
        raise MalformedError(f"{field}: a key name is not empty and has no space, plus or control in it", field=field)
    _encode(name, field)


def key_id(name: str, type: int, key: bytes) -> bytes:
    """The recommended key id: the first 4 bytes of SHA-256(name || newline || type || key)."""
    return hashlib.sha256(_encode(name, "key name") + b"\n" + bytes([type]) + key).digest()[:KEY_ID_SIZE]


def format_vkey(name: str, type: int, key: bytes) -> str:
    """The verifier key `name+hex(id)+base64(type || key)`, with the recommended key id."""
    check_key_name(name, "vkey")
    return f"{name}+{key_id(name, type, key).hex()}+{format_base64(bytes([type]) + key)}"


def parse_vkey(text: str) -> VerifierKey:
    """Read a verifier key of any type. Raises MalformedError, too when the id is not that of name and key."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise MalformedError("vkey: a verifier key is name+id+key", field="vkey")
    name, hex_id, encoded = parts
    check_key_name(name, "vkey")
    if len(hex_id) != 2 * KEY_ID_SIZE or not set(hex_id) <= set("0123456789abcdef"):
        raise MalformedError("vkey: the key id is 8 lowercase hexadecimal digits", field="vkey")
    data = parse_base64(encoded, "vkey")
    if len(data) < 2:
        raise MalformedError("vkey: no key in it", field="vkey")
    vkey = VerifierKey(name, bytes.fromhex(hex_id), data[0], data[1:])
    if vkey.type in _HASHED_TYPES and vkey.key_id != key_id(name, vkey.type, vkey.key):
        raise MalformedError("vkey: the key id is not that of this name and key", field="vkey")
    if vkey.type == ECDSA and vkey.key_id != hashlib.sha256(vkey.key).digest()[:KEY_ID_SIZE]:
        raise MalformedError("vkey: the key id is not that of this key", field="vkey")
    return vkey


class Ed25519Verifier:
    """A NoteVerifier for signatures of type 0x01. Immutable; equal when name and key are."""

    __slots__ = ("_public", "key", "key_id", "name")

    def __init__(self, name: str, key: bytes) -> None:
        """`key` is the public key as 32 bytes (RFC 8032). Raises MalformedError."""
        check_key_name(name, "vkey")
        if len(key) != 32:
            raise MalformedError("vkey: an Ed25519 key has 32 bytes", field="vkey")
        self.name = name
        self.key = key
        self.key_id = key_id(name, ED25519, key)
        self._public = Ed25519PublicKey.from_public_bytes(key)

    @classmethod
    def from_vkey(cls, text: str) -> Ed25519Verifier:
        """The verifier of a vkey of type 0x01. Raises MalformedError, for another type as `unsupported-key`."""
        vkey = parse_vkey(text)
        if vkey.type != ED25519:
            sentence = f"vkey: a key of type {vkey.type:#04x}, where Ed25519 (0x01) is needed"
            raise MalformedError(sentence, field="vkey", reason="unsupported-key")
        return cls(vkey.name, vkey.key)

    @property
    def vkey(self) -> str:
        """The verifier key as text."""
        return format_vkey(self.name, ED25519, self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ed25519Verifier) and (self.name, self.key) == (other.name, other.key)

    def __hash__(self) -> int:
        return hash((self.name, self.key))

    def __repr__(self) -> str:
        return f"Ed25519Verifier({self.vkey})"

    def verify(self, text: str, signature: bytes) -> None:
        """See NoteVerifier."""
        try:
            self._public.verify(signature, text.encode())
        except (InvalidSignature, UnicodeEncodeError):
            raise SignatureError(f"the Ed25519 signature of {self.name} is not over this text") from None


def sign_ed25519(text: str, name: str, key: bytes, sign: Callable[[bytes], bytes]) -> NoteSignature:
    """The line of type 0x01 for `text`: `sign` makes the 64-byte Ed25519 signature of the 32-byte public `key`."""
    return NoteSignature(name, key_id(name, ED25519, key), sign(_encode(text, _FIELD)))


def format_signature_line(signature: NoteSignature) -> str:
    """The line, with its newline. Raises MalformedError for a name or an id that cannot stand there."""
    check_key_name(signature.name)
    if len(signature.key_id) != KEY_ID_SIZE or not signature.signature:
        raise MalformedError("note: a signature has a key id of 4 bytes, and is not empty", field=_FIELD)
    return f"{_DASH}{signature.name} {format_base64(signature.key_id + signature.signature)}\n"


def format_note(text: str, signatures: Sequence[NoteSignature]) -> bytes:
    """The note of `text` and `signatures`. Raises MalformedError for what `parse_note` would refuse."""
    data = _encode(text + "\n" + "".join(format_signature_line(one) for one in signatures), _FIELD)
    if parse_note(data) != (text, tuple(signatures)):
        raise MalformedError("note: the text does not end in a newline", field=_FIELD)
    return data


def parse_note(data: bytes, field: str = _FIELD) -> Note:
    """Read a note without verifying anything. Raises MalformedError.

    The last blank line ends the text, so a text may have blank lines in it.
    """
    if len(data) > MAX_NOTE:
        raise MalformedError(f"{field}: longer than {MAX_NOTE} bytes", field=field, offset=MAX_NOTE)
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"{field}: not UTF-8 at byte {error.start}", field=field, offset=error.start) from None
    if _CONTROL.search(whole):
        raise MalformedError(f"{field}: it has a control character", field=field)
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise MalformedError(f"{field}: a text, a blank line and signature lines expected", field=field)
    signatures = [_parse_signature_line(line, field) for line in lines[:-1].split("\n")]
    if len(signatures) > MAX_SIGNATURES:
        raise MalformedError(f"{field}: more than {MAX_SIGNATURES} signatures", field=field)
    return Note(text + "\n", tuple(signatures))


def _parse_signature_line(line: str, field: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise MalformedError(f"{field}: a signature line is a dash, a name and base64", field=field)
    check_key_name(name, field)
    data = parse_base64(encoded, field)
    if len(data) <= KEY_ID_SIZE:
        raise MalformedError(f"{field}: a signature of {len(data)} bytes is no signature", field=field)
    return NoteSignature(name, data[:KEY_ID_SIZE], data[KEY_ID_SIZE:])


def open_note(data: bytes, verifiers: Iterable[NoteVerifier]) -> OpenedNote:
    """Read a note and verify each signature in it by one of `verifiers`.

    Raises MalformedError; SignatureError when a trusted key's line does not verify, or, with the reason `unsigned`,
    when no line is by a trusted key; UsageError when two verifiers have the same name and id.
    """
    known: dict[tuple[str, bytes], NoteVerifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) is not verifier:
            raise UsageError(f"two trusted keys have the name {verifier.name} and the same key id")
    note = parse_note(data)
    verified = []
    for signature in note.signatures:
        trusted = known.get((signature.name, signature.key_id))
        if trusted is not None:
            trusted.verify(note.text, signature.signature)
            verified.append(signature)
    if not verified:
        raise SignatureError("the note is not signed by any trusted key", reason="unsigned")
    return OpenedNote(note.text, tuple(verified))


def _encode(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MalformedError(f"{field}: it cannot be written as UTF-8", field=field) from None
