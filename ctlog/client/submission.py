"""What goes to a log and what comes back, as values: a chain with what its SCT is signed over, and a promise checked.

RFC 6962 sections 3.2, 4.1 and 4.2. In scope: `Submission`, and the last question to an SCT before it is used. Out of
scope: sending (`ctlog.client.log_client`, `ctlog.client.several`). Pure: `now_ms` is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ctlog.client.sct import CLOCK_SKEW_MS, VerifiedSct, check_time
from ctlog.errors import MalformedError, SctError
from ctlog.wire.rfc6962 import SignedCertificateTimestamp, SignedEntry
from ctlog.wire.static_ct import parse_leaf_index


class Submission(NamedTuple):
    """A chain in DER, leaf first, and what its SCT is signed over."""

    chain: Sequence[bytes]
    entry: SignedEntry


def check_promise(
    sct: SignedCertificateTimestamp, entry: SignedEntry, now_ms: int, tolerance_ms: int = CLOCK_SKEW_MS
) -> VerifiedSct:
    """An SCT whose signature over `entry` was verified (a log client did): is the rest of it fit for use?

    `tolerance_ms`: by how much the log's clock may be ahead of ours, five minutes: what is forgiven on the call path,
    later, is another matter. Raises SctError "from-the-future", "bad-extensions".
    """
    check_time(sct, now_ms, tolerance_ms)
    try:
        return VerifiedSct(sct, entry, parse_leaf_index(sct.extensions))
    except MalformedError as error:
        raise SctError(f"the SCT is signed, but malformed inside: {error}", reason="bad-extensions") from None
