"""Certificates as PEM, for tests that hand files to commands."""

from __future__ import annotations

import base64


def pem(*ders: bytes, label: str = "CERTIFICATE") -> bytes:
    """One block after the other."""
    blocks = (f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n" for der in ders)
    return "".join(blocks).encode()
