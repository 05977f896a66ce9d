"""tlog-proof@v1 (c2sp.org/tlog-proof): an inclusion proof with its checkpoint, in one text file (`.tlog-proof`).

In scope: the format. Out of scope: verifying it, which is three calls: `open_checkpoint` on `checkpoint`, the leaf
hash by whoever knows the entry, and `ctlog.merkle.proof.verify_inclusion` with all the numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ctlog.errors import MalformedError
from ctlog.wire.b64 import format_base64, parse_base64
from ctlog.wire.checkpoint import MAX_SIZE, parse_checkpoint
from ctlog.wire.rfc6962 import HASH_SIZE
from ctlog.wire.signed_note import MAX_NOTE, parse_note

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 64
"""Hashes of the longest inclusion proof in a tree whose size has 64 bits."""
MAX_EXTRA = 1 << 20
"""Bytes of the longest extra data that is read."""

_FIELD = "tlog-proof"
_INDEX = re.compile("index (0|[1-9][0-9]{0,19})")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """What the file says; nothing in it is verified yet.

    `hashes` go from the leaf's sibling up (RFC 6962 section 2.1.1), `checkpoint` is the signed note verbatim, and
    `extra` is the application's, empty when there is none: no signature covers it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""


def format_tlog_proof(proof: TlogProof) -> bytes:
    """The file's bytes. Raises MalformedError for what `parse_tlog_proof` would refuse."""
    lines = [HEADER]
    if proof.extra:
        lines.append("extra " + format_base64(proof.extra))
    lines.append(f"index {proof.index}")
    lines.extend(format_base64(digest) for digest in proof.hashes)
    data = "\n".join(lines).encode() + b"\n\n" + proof.checkpoint
    parse_tlog_proof(data)
    return data


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Read the file, down to the form of the checkpoint in it. Raises MalformedError."""
    head, blank, checkpoint = data.partition(b"\n\n")
    if not blank or len(head) > 2 * MAX_EXTRA or len(checkpoint) > MAX_NOTE:
        raise MalformedError("tlog-proof: a proof, a blank line and a checkpoint expected", field=_FIELD)
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError("tlog-proof: not ASCII", field=_FIELD, offset=error.start) from None
    if lines.pop(0) != HEADER:
        raise MalformedError(f"tlog-proof: its first line is not {HEADER}", field=_FIELD, offset=0)
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = parse_base64(lines.pop(0)[6:], _FIELD)
        if not 0 < len(extra) <= MAX_EXTRA:
            raise MalformedError("tlog-proof: extra data that is empty or too long", field=_FIELD)
    found = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if found is None or int(found[1]) > MAX_SIZE:
        raise MalformedError("tlog-proof: the line with the entry's index is missing", field=_FIELD)
    if len(lines) > MAX_HASHES:
        raise MalformedError(f"tlog-proof: more than {MAX_HASHES} hashes", field=_FIELD)
    hashes = tuple(parse_base64(line, _FIELD) for line in lines)
    if any(len(digest) != HASH_SIZE for digest in hashes):
        raise MalformedError("tlog-proof: a hash has 32 bytes", field=_FIELD)
    parse_checkpoint(parse_note(checkpoint, _FIELD).text)
    return TlogProof(int(found[1]), hashes, checkpoint, extra)
