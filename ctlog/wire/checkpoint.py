"""tlog-checkpoint v1.0.0 (c2sp.org/tlog-checkpoint) and the RFC 6962 note signature of static-ct-api v1.1.0.

In scope: a checkpoint's text, its signature of type 0x05 (made from and turned into an RFC 6962 tree head), opening a
checkpoint with a log's keys, and what an origin of ours looks like. Out of scope: whether a head is newer than, or
consistent with another (`ctlog.client.trusted`), cosignatures, and keys: who signs hands in a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ctlog.errors import MalformedError, SignatureError
from ctlog.wire.b64 import format_base64, parse_base64
from ctlog.wire.rfc6962 import (
    HASH_SIZE,
    DigitallySigned,
    LogKey,
    SignedTreeHead,
    format_digitally_signed,
    read_digitally_signed,
    tree_head_input,
)
from ctlog.wire.signed_note import (
    RFC6962,
    NoteSignature,
    NoteVerifier,
    check_key_name,
    format_note,
    key_id,
    open_note,
    parse_note,
)
from ctlog.wire.tls import Reader, uint

MAX_SIZE = (1 << 64) - 1

_FIELD = "checkpoint"
_SIZE = re.compile("0|[1-9][0-9]{0,19}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


class Checkpoint(NamedTuple):
    """A tree head with its log's name. `root` has 32 bytes; `extensions` are lines without their newlines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


class Rfc6962Signature(NamedTuple):
    """RFC6962NoteSignature of static-ct-api: when the tree head was signed, and its TreeHeadSignature."""

    timestamp_ms: int
    signature: DigitallySigned


class SignedHead(NamedTuple):
    """A head whose note was verified: `open_checkpoint` makes these, so holding one means that the log signed it."""

    checkpoint: Checkpoint
    timestamp_ms: int
    note: bytes
    signature: DigitallySigned

    @property
    def origin(self) -> str:
        return self.checkpoint.origin

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root

    @property
    def sth(self) -> SignedTreeHead:
        """The same head as RFC 6962's get-sth gives it."""
        return SignedTreeHead(self.size, self.timestamp_ms, self.root, self.signature)


def check_origin(origin: str) -> None:
    """Refuse, with a MalformedError, what cannot name a static-ct log: it must be `host[/path]`.

    static-ct-api: the submission prefix as a schema-less URL without trailing slashes; it is also the key's name.
    Other people's checkpoints may have any origin, and are read without this check.
    """
    check_key_name(origin, "origin")
    host, slash, path = origin.partition("/")
    if "://" in origin:
        raise MalformedError("origin: it is a name without a scheme such as https://", field="origin")
    if origin.endswith("/"):
        raise MalformedError("origin: it has no slash at its end", field="origin")
    if not _HOST.fullmatch(host):
        raise MalformedError("origin: it starts with a host name, such as log.example.com/2026", field="origin")
    if (slash and not all(path.split("/"))) or any(mark in path for mark in "?#"):
        raise MalformedError("origin: its path has no empty part, query or fragment", field="origin")


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that is signed. Raises MalformedError for a checkpoint that cannot be written."""
    if not 0 <= checkpoint.size <= MAX_SIZE or len(checkpoint.root) != HASH_SIZE:
        raise MalformedError("checkpoint: a size of 64 bits and a root of 32 bytes are needed", field=_FIELD)
    lines = (checkpoint.origin, str(checkpoint.size), format_base64(checkpoint.root), *checkpoint.extensions)
    if any(not line or "\n" in line for line in lines):
        raise MalformedError("checkpoint: the origin and each extension is one line, and not empty", field=_FIELD)
    return "\n".join(lines) + "\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The inverse of `format_checkpoint`: a note's text as a checkpoint. Raises MalformedError."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise MalformedError("checkpoint: at least three lines, none of them empty, expected", field=_FIELD)
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
        raise MalformedError("checkpoint: the second line is no tree size", field=_FIELD)
    digest = parse_base64(root, _FIELD)
    if len(digest) != HASH_SIZE:
        raise MalformedError("checkpoint: the third line is no hash of 32 bytes", field=_FIELD)
    return Checkpoint(origin, int(size), digest, tuple(extensions))


def format_rfc6962_signature(signature: Rfc6962Signature) -> bytes:
    """What stands behind the key id in a signature line of type 0x05."""
    return uint(signature.timestamp_ms, 8, "timestamp") + format_digitally_signed(signature.signature)


def parse_rfc6962_signature(data: bytes) -> Rfc6962Signature:
    """The inverse of `format_rfc6962_signature`. Raises MalformedError."""
    reader = Reader(data, "note signature")
    signature = Rfc6962Signature(reader.uint(8), read_digitally_signed(reader))
    reader.end()
    return signature


def rfc6962_key_id(origin: str, log_id: bytes) -> bytes:
    """The key id of a log's signatures of type 0x05: its 32-byte LogID stands for the key."""
    return key_id(origin, RFC6962, log_id)


class Rfc6962NoteVerifier:
    """A NoteVerifier for a CT log's signatures of type 0x05. Immutable.

    The tree head's signature does not cover the origin, so an origin that nothing else vouches for (an Ed25519 line)
    is only the name under which the key is known.
    """

    __slots__ = ("key", "key_id", "name")

    def __init__(self, origin: str, key: LogKey) -> None:
        check_key_name(origin, "origin")
        self.name = origin
        self.key = key
        self.key_id = rfc6962_key_id(origin, key.log_id)

    def verify(self, text: str, signature: bytes) -> None:
        """See NoteVerifier. Refuses, too, another origin's text and extension lines, which nobody signed."""
        try:
            checkpoint = parse_checkpoint(text)
            timestamp_ms, signed = parse_rfc6962_signature(signature)
        except MalformedError as error:
            raise SignatureError(f"the RFC 6962 signature of {self.name} cannot be checked: {error}") from None
        if checkpoint.origin != self.name or checkpoint.extensions:
            raise SignatureError(f"the RFC 6962 signature of {self.name} cannot cover this origin or extension lines")
        self.key.verify_tree_head(SignedTreeHead(checkpoint.size, timestamp_ms, checkpoint.root, signed))


def sign_rfc6962(
    checkpoint: Checkpoint, timestamp_ms: int, log_id: bytes, sign: Callable[[bytes], DigitallySigned]
) -> NoteSignature:
    """The line of type 0x05 for `checkpoint`: `sign` signs the tree head with the log's key.

    Raises MalformedError for a checkpoint with extension lines, which this signature would not cover.
    """
    if checkpoint.extensions:
        raise MalformedError("checkpoint: an RFC 6962 signature allows no extension lines", field=_FIELD)
    signed = sign(tree_head_input(timestamp_ms, checkpoint.size, checkpoint.root))
    return rfc6962_line(checkpoint.origin, log_id, Rfc6962Signature(timestamp_ms, signed))


def rfc6962_line(origin: str, log_id: bytes, signature: Rfc6962Signature) -> NoteSignature:
    """The signature line of type 0x05 that carries a tree head's signature."""
    return NoteSignature(origin, rfc6962_key_id(origin, log_id), format_rfc6962_signature(signature))


def checkpoint_from_sth(sth: SignedTreeHead, origin: str, log_id: bytes) -> bytes:
    """The signed checkpoint that says what an RFC 6962 tree head says. Nothing is verified. Raises MalformedError."""
    text = format_checkpoint(Checkpoint(origin, sth.size, sth.root))
    return format_note(text, [rfc6962_line(origin, log_id, Rfc6962Signature(sth.timestamp_ms, sth.signature))])


def open_checkpoint(note: bytes, origin: str, key: LogKey, ed25519: NoteVerifier | None = None) -> SignedHead:
    """The head that a log signed: the one way from a note's bytes to a SignedHead.

    The note must be of `origin` and carry a good RFC 6962 signature by `key`, and, when `ed25519` is given, a good
    one by that, too. Lines of other keys are ignored. Of several good lines by the log's key the first gives the time.

    Raises MalformedError for what is no checkpoint, SignatureError for one that the log did not sign: `unsigned`
    when a line is missing, `wrong-origin`, else `bad-signature`.
    """
    checkpoint = parse_checkpoint(parse_note(note, _FIELD).text)
    if checkpoint.origin != origin:
        raise SignatureError("the checkpoint is of another log's origin", reason="wrong-origin")
    verifiers: list[NoteVerifier] = [Rfc6962NoteVerifier(origin, key)]
    if ed25519 is not None:
        verifiers.append(ed25519)
    opened = open_note(note, verifiers)
    for verifier in verifiers:
        if not any((line.name, line.key_id) == (verifier.name, verifier.key_id) for line in opened.verified):
            raise SignatureError(f"the checkpoint lacks a signature by a key of {verifier.name}", reason="unsigned")
    wanted = verifiers[0].key_id
    line = next(line for line in opened.verified if (line.name, line.key_id) == (origin, wanted))
    timestamp_ms, signed = parse_rfc6962_signature(line.signature)
    return SignedHead(checkpoint, timestamp_ms, note, signed)
