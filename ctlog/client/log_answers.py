"""What a log says to a submission, however it came: read once, so that one and many are judged alike.

RFC 6962 section 4 ("HTTP 4xx or 5xx with human-readable messages"), and what logs really answer: JSON of ours or of
others, plain text, a proxy's page. In scope: one HTTP request with bounds on its answer, and its reading. Out of scope:
what follows from it (`ctlog.client.log_client`).
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import aiohttp

from ctlog.client.bulk import BulkAnswer
from ctlog.errors import BusyError, CtlogError, MalformedError, TransportError
from ctlog.wire.rfc6962 import SignedCertificateTimestamp, parse_digitally_signed, sct_from_json

TRY_AGAIN = frozenset((0, 408, 429, 500, 502, 503, 504))
"""Statuses that settle nothing."""

REQUEST_S = 60.0
_MAX_ANSWER = 64 << 10


class Reply(NamedTuple):
    """An answer to one submission. Status 0: none came. With status 200 `sct` is there, or `sentence` says why not."""

    status: int
    retry_after: float | None
    reason: str
    sentence: str
    sct: SignedCertificateTimestamp | None

    def problem(self, call: str) -> CtlogError:
        """What an answer that settles nothing is as an error."""
        if not self.status:
            return TransportError(self.sentence)
        kind = TransportError if self.status in (500, 502, 504) else BusyError
        return kind(f"{call} answered {self.status}: {self.sentence}")


async def ask(http: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> Reply:
    """One submission. Raises nothing: what did not arrive is a reply with status 0."""
    try:
        status, retry_after, answer = await request(http, "POST", url, body, headers)
    except TransportError as error:
        return Reply(0, None, "", str(error), None)
    if status == 200:
        try:
            return Reply(status, None, "", "", sct_from_json(json_answer(answer)))
        except MalformedError as error:
            return Reply(status, None, "", str(error), None)
    return Reply(status, retry_after, *_explanation(status, answer), None)


def read_bulk(answer: BulkAnswer) -> Reply:
    """A line of a bulk submission's answer."""
    if answer.status != 200:
        retry_after = None if answer.retry_after is None else float(answer.retry_after)
        return Reply(answer.status, retry_after, answer.reason, answer.error_message, None)
    try:
        if answer.sct_version != 0 or len(answer.id) != 32 or not 0 <= answer.timestamp < 1 << 64:
            raise MalformedError("sct: another version, or members out of range")
        signature = parse_digitally_signed(answer.signature)
    except MalformedError as error:
        return Reply(200, None, "", str(error), None)
    sct = SignedCertificateTimestamp(answer.id, answer.timestamp, answer.extensions, signature)
    return Reply(200, None, "", "", sct)


async def request(
    http: aiohttp.ClientSession, method: str, url: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, float | None, bytes]:
    """(status, Retry-After in seconds, body). Raises TransportError."""
    if body is not None:
        headers = {**headers, "Content-Type": "application/json"}
    try:
        async with http.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            answer = bytearray()
            while len(answer) <= _MAX_ANSWER and (more := await response.content.read(_MAX_ANSWER)):
                answer.extend(more)
            if len(answer) > _MAX_ANSWER:
                raise TransportError(f"{url} answered with more than {_MAX_ANSWER} bytes")
            return response.status, _retry_after(response.headers.get("Retry-After")), bytes(answer)
    except (aiohttp.ClientError, ValueError) as error:
        raise TransportError(f"{url} cannot be reached: {error or type(error).__name__}") from None
    except TimeoutError:
        raise TransportError(f"{url} did not answer in {REQUEST_S:.0f} seconds") from None


def _explanation(status: int, answer: bytes) -> tuple[str, str]:
    """(reason, sentence) of an answer that is no SCT; other logs answer with plain text."""
    try:
        value = json_answer(answer)
        sentence, reason = str(value.get("error_message") or value.get("error") or ""), str(value.get("reason") or "")
    except MalformedError:
        sentence, reason = answer[:300].decode("utf-8", "replace").strip(), ""
    return reason, sentence or f"status {status}"


def _retry_after(text: str | None) -> float | None:
    """RFC 9110 section 10.2.3; a date counts as not said, for then two clocks would have to agree."""
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 7 else None


def json_answer(answer: bytes) -> dict[str, Any]:
    """An answer that is a JSON object. Raises MalformedError."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        raise MalformedError("the answer is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedError("the answer is no JSON object")
    return value
