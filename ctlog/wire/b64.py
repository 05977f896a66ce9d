"""Standard base64 (RFC 4648 section 4), strict: the one form of a byte string, with its padding and nothing around it.

RFC 6962's JSON, signed notes, checkpoints and proofs all use it. Out of scope: base64url and PEM.
"""

from __future__ import annotations

import binascii

from ctlog.errors import MalformedError


def format_base64(data: bytes) -> str:
    """`data` as standard base64 with padding, on one line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def parse_base64(text: object, field: str) -> bytes:
    """The bytes that `text` stands for.

    Raises MalformedError, naming `field`, unless `text` is a `str` and exactly what `format_base64` would make: RFC
    4648 section 3.5 allows to refuse other final bits, and one byte string with two spellings is one too many.
    """
    if not isinstance(text, str):
        raise MalformedError(f"{field}: base64 text expected", field=field)
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error, or a character beyond ASCII
        raise MalformedError(f"{field}: not standard base64", field=field) from None
    if format_base64(data) != text:
        raise MalformedError(f"{field}: base64 in another than its canonical form", field=field)
    return data
