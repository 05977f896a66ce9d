"""The numbers feed: one JSON line for each entry, in `tile/numbers/...` beside the data tiles (docs/numbers-feed.md).

In scope: a line's body, made once when an entry is admitted; the line with its index and timestamp; reading a line.
Out of scope: what a certificate claims (`ctlog.tn`), the tiles (`ctlog.sequencer`). The feed is a convenience that
nothing trusts: it is not hashed into the tree, and whoever needs to be sure reads the data tiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ctlog.errors import MalformedError

VERSION = 1
"""Raised whenever the same certificate would have another line: by other keys, or because it is read otherwise."""


class FeedBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a line says of a certificate; docs/numbers-feed.md describes each key. Times are milliseconds since 1970."""

    v: int
    kind: str
    family: str
    numbers: Sequence[str]
    ranges: Sequence[tuple[str, int]]
    codes: Sequence[str]
    by_reference: Sequence[str]
    labels: Sequence[str]
    issuer: str
    issuer_key: str
    subject: str
    key: str
    ca: bool
    not_before: int | None
    not_after: int | None
    trust_domain: str
    root: str
    findings: Sequence[str]
    certificate: str


class FeedLine(FeedBody, frozen=True, kw_only=True):
    """A line of the feed: the body, and where and when the entry was logged."""

    index: int
    timestamp: int


class _Version(msgspec.Struct):
    v: int


_encoder = msgspec.json.Encoder()
_version_decoder = msgspec.json.Decoder(_Version)
_line_decoder = msgspec.json.Decoder(FeedLine)


def format_feed_body(body: FeedBody) -> bytes:
    """Write a line without its opening brace, index and timestamp; ends in a newline, the only one in it."""
    return _encoder.encode(body)[1:] + b"\n"


def format_feed_line(index: int, timestamp_ms: int, body: bytes) -> bytes:
    """Write a whole line from what `format_feed_body` gave."""
    return b'{"index":%d,"timestamp":%d,%b' % (index, timestamp_ms, body)


def parse_feed_line(line: bytes) -> FeedLine:
    """Read a line. Keys that are not known are ignored, as docs/numbers-feed.md demands of readers.

    Raises: MalformedError; its reason is "feed-version" if the line is of a version that this reader does not know.
    """
    try:
        version = _version_decoder.decode(line).v
        if version == VERSION:
            return _line_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"this is no line of the numbers feed: {error}", field="numbers feed") from error
    raise MalformedError(f"a line of the numbers feed has version {version}, and this reader knows {VERSION}",
                         field="numbers feed", reason="feed-version")  # fmt: skip
