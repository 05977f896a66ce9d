"""Errors as HTTP answers: one table from the error tree to status codes, and the one form of their JSON body.

RFC 6962 section 4 asks for 4xx / 5xx "with human-readable messages"; the codes are those that existing clients were
built against. The body is `{"error_message": sentence, "reason": stable word}`, with `field` and `offset` where bytes
were wrong, and `id` where the cause is hidden: the operator's log has the same id beside the cause.
Out of scope: deciding that something is wrong. Nothing here ever shows a traceback.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any

from ctlog.errors import (
    BusyError,
    CtlogError,
    FatalError,
    FrozenError,
    InputError,
    MalformedError,
    NotFoundError,
    OperatorError,
    RateLimitedError,
    RefusedError,
    StoreError,
)
from ctlog.http.answers import Answer, json_answer

logger = logging.getLogger("ctlog.http")

# A word says more than its class; these come first.
STATUS_OF_REASON = {
    "submitter-not-allowed": 403,
    "method-not-allowed": 405,
    "request-timeout": 408,
    "body-too-large": 413,
}
# The first class that fits.
STATUS_OF_CLASS: tuple[tuple[type[CtlogError], int], ...] = (
    (NotFoundError, 404),
    (InputError, 400),
    (FrozenError, 410),
    (RateLimitedError, 429),
    (BusyError, 503),
    (FatalError, 503),  # the process is stopping; its next start may answer
    (StoreError, 503),  # this batch failed and nothing of it was promised; the same request may succeed
)
RETRY_AFTER_S = 5  # for a 503 that names no time of its own


def answer_to(error: Exception) -> Answer:
    """The answer that `error` deserves. What its sender cannot mend is logged, and answered with an id only."""
    status = status_of(error)
    if not isinstance(error, CtlogError) or status == 500 or isinstance(error, OperatorError):
        return _hidden(error, status)
    body: dict[str, Any] = {"error_message": str(error), "reason": error.reason}
    if isinstance(error, MalformedError):
        if error.field:
            body["field"] = error.field
        if error.offset is not None:
            body["offset"] = error.offset
    answer = json_answer(body, status)
    if isinstance(error, BusyError):
        answer = answer._replace(headers=(("Retry-After", str(max(1, round(error.retry_after_s)))),))
    return answer


def status_of(error: Exception) -> int:
    """The status code of `error`; 500 for whatever is not in the tables."""
    if not isinstance(error, CtlogError):
        return 500
    if error.reason in STATUS_OF_REASON:
        return STATUS_OF_REASON[error.reason]
    return next((status for kind, status in STATUS_OF_CLASS if isinstance(error, kind)), 500)


def not_found(path: str) -> NotFoundError:
    """For a path that this log does not serve."""
    shown = path if len(path) <= 80 else path[:77] + "..."
    return NotFoundError(f"there is nothing at {shown!a} in this log", reason="not-found")


def method_not_allowed(method: str, allowed: str) -> Answer:
    """405, and which methods the path has."""
    error = RefusedError(f"{method[:20]!a} is not possible here; use {allowed}", reason="method-not-allowed")
    return answer_to(error)._replace(headers=(("Allow", allowed),))


def _hidden(error: Exception, status: int) -> Answer:
    number = secrets.token_hex(6)
    cause = f" (from {error.__cause__!r})" if error.__cause__ is not None else ""
    # What is in our own tree says what happened; where in the code is only of use for what is not.
    unforeseen = None if isinstance(error, OperatorError) else error
    logger.error("request failed, id %s: %s%s", number, error, cause, exc_info=unforeseen)
    reason = error.reason if isinstance(error, CtlogError) else "internal"
    sentence = "the log cannot do this now; try again" if status == 503 else "something went wrong inside the log"
    answer = json_answer({"error_message": f"{sentence}; its operator finds the cause under the id {number}",
                          "reason": reason, "id": number}, status)
    if status == 503:
        answer = answer._replace(headers=(("Retry-After", str(RETRY_AFTER_S)),))
    return answer
