"""What a handler gives back: status, body and headers as a value, before any server library sees it.

In scope: the value, its JSON form, and the few sentences of HTTP caching (RFC 9111) that this log uses.
Out of scope: writing it to a connection (`ctlog.http.server`), errors (`ctlog.http.problems`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import orjson

IMMUTABLE = "public, max-age=31536000, immutable"  # bytes that can never change: tiles, issuers
FINAL = "public, max-age=86400"  # an answer that depends on its query, and that no later head can change
SHORT = "public, max-age=2"  # the checkpoint: static-ct-api wants no cache beyond seconds
NO_STORE = "no-store"  # everything else; a shared cache once served one query's proof for another's (2026)

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
NDJSON = "application/x-ndjson"
OCTETS = "application/octet-stream"
CERTIFICATE = "application/pkix-cert"


class Sink(Protocol):
    """Takes a streamed answer's parts; raises ConnectionResetError when the client is gone."""

    async def write(self, data: bytes) -> None: ...


class Answer(NamedTuple):
    """One response. `headers` are further ones, as they go out; Date, Content-Length and CORS are the server's.

    With `stream`, which a route must announce (`streamed`), it writes the body, part by part, in the place of `body`.
    """

    status: int
    body: bytes
    content_type: str = JSON
    cache: str = NO_STORE
    headers: tuple[tuple[str, str], ...] = ()
    stream: Callable[[Sink], Awaitable[None]] | None = None


def json_answer(value: Any, status: int = 200, cache: str = NO_STORE) -> Answer:
    """`value` as JSON. Lists stay lists: an empty proof is `[]`, never null."""
    return Answer(status, orjson.dumps(value), JSON, cache)
