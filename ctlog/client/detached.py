"""SCTs beside a certificate: asked for from the log that gave them, and as a file.

For profiles that forbid the SCT list extension (RCC.16; ATIS-1000080 as published). No specification says how such SCTs
travel; ours: a SignedCertificateTimestampList (RFC 6962 section 3.3), the very bytes that the extension would hold, in
a file (`application/sct-list`), and each log's own under `sct/<SHA-256 of the certificate>` (docs/http.md).
In scope: asking and verifying; reading a file. Out of scope: whether the SCTs are enough (`ctlog.client.sct_policy`,
which takes them as `detached`).
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence

import aiohttp

from ctlog.client.log_answers import json_answer, request
from ctlog.client.sct import CLOCK_SKEW_MS, VerifiedSct, verify_sct
from ctlog.errors import MalformedError, NotFoundError, SctError, TransportError
from ctlog.wire.rfc6962 import LogKey, parse_sct_list, sct_from_json

MAX_LIST = 1 << 16


async def fetch_sct(
    http: aiohttp.ClientSession, url: str, key: LogKey, certificate: bytes, issuers: Sequence[bytes], now_ms: int
) -> VerifiedSct:
    """The SCT of the log at `url` (its monitoring prefix) for a certificate as it was submitted (DER).

    issuers: what stands above it, its own issuer first; for a final certificate none are needed.
    Raises NotFoundError "unknown-certificate", TransportError, and SctError for an answer that is not good.
    """
    address = f"{url.rstrip('/')}/sct/{hashlib.sha256(certificate).hexdigest()}"
    status, _, body = await request(http, "GET", address, None, {})
    if status == 404:
        sentence = f"{url} does not know this certificate: submit it, or ask with the precertificate that was submitted"
        raise NotFoundError(sentence, reason="unknown-certificate")
    if status != 200:
        raise TransportError(f"{address} answered {status}")
    try:
        sct = sct_from_json(json_answer(body))
    except MalformedError as error:
        raise SctError(f"{address} answered with no SCT: {error}") from None
    return verify_sct(certificate, issuers, sct, key, now_ms, CLOCK_SKEW_MS)


def read_sct_list(data: bytes) -> list[bytes]:
    """The SCTs, serialised, of a file: the list's bytes, or base64 of them. Raises MalformedError."""
    if len(data) > 2 * MAX_LIST:
        raise MalformedError("this is too long for a list of SCTs", field="sct-list")
    try:
        return parse_sct_list(data)
    except MalformedError as error:
        try:
            return parse_sct_list(binascii.a2b_base64(data.strip(), strict_mode=True))
        except (MalformedError, binascii.Error):
            raise error from None
