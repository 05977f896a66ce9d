"""Every error of the tree has a status, a sentence and a word; what is hidden has an id in the operator's log."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from ctlog import errors
from ctlog.http.problems import STATUS_OF_CLASS, STATUS_OF_REASON, answer_to, method_not_allowed, not_found, status_of

MADE: dict[type[errors.CtlogError], errors.CtlogError] = {
    errors.Misbehaviour: errors.Misbehaviour("x", evidence="e"),
    errors.FatalError: errors.FatalError("x", promise="P1"),
}


def every_error() -> list[errors.CtlogError]:
    def below(kind: type[errors.CtlogError]) -> list[type[errors.CtlogError]]:
        return [kind, *(inner for child in kind.__subclasses__() for inner in below(child))]
    return [MADE.get(kind) or kind("x") for kind in below(errors.CtlogError)]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_has_an_answer_in_json(error: errors.CtlogError) -> None:
    answer = answer_to(error)
    assert 400 <= answer.status < 600
    body = json.loads(answer.body)
    assert body["error_message"]
    assert body["reason"] == error.reason
    assert answer.cache == "no-store"
    if answer.status in (429, 503):
        assert int(dict(answer.headers)["Retry-After"]) >= 1


@pytest.mark.parametrize(("error", "status"), [
    (errors.MalformedError("m"), 400),
    (errors.RefusedError("r", reason="unknown-root"), 400),
    (errors.UsageError("u"), 400),
    (errors.RefusedError("r", reason="submitter-not-allowed"), 403),
    (errors.NotFoundError("n"), 404),
    (errors.RefusedError("r", reason="body-too-large"), 413),
    (errors.FrozenError("f"), 410),
    (errors.RateLimitedError("r"), 429),
    (errors.PoolFullError("p"), 503),
    (errors.BusyError("b"), 503),
    (errors.StoreError("s"), 503),
    (errors.FatalError("f", promise="P5"), 503),
    (errors.ConfigError("c"), 500),
    (errors.ProofError("p"), 500),
    (ValueError("v"), 500),
])
def test_status(error: Exception, status: int) -> None:
    assert status_of(error) == answer_to(error).status == status


def test_a_subclass_never_hides_behind_its_parent() -> None:
    seen: list[type[errors.CtlogError]] = []
    for kind, _ in STATUS_OF_CLASS:
        assert not any(issubclass(kind, before) for before in seen)
        seen.append(kind)


def test_what_is_wrong_with_bytes_is_placed() -> None:
    body = json.loads(answer_to(errors.MalformedError("cut short", field="chain[1]", offset=7)).body)
    assert body == {"error_message": "cut short", "reason": "malformed", "field": "chain[1]", "offset": 7}
    assert "offset" not in json.loads(answer_to(errors.MalformedError("x", field="chain")).body)
    assert json.loads(answer_to(errors.MalformedError("x", offset=0)).body)["offset"] == 0


def test_a_hidden_cause_has_an_id_and_its_cause_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "ctlog.http"):
        try:
            raise KeyError("the secret cause")
        except KeyError as error:
            answer = answer_to(error)
    body = json.loads(answer.body)
    assert answer.status == 500
    assert "secret cause" not in answer.body.decode()
    assert "Traceback" not in answer.body.decode()
    assert body["id"] in body["error_message"]
    assert body["id"] in caplog.text
    assert "the secret cause" in caplog.text
    assert "Traceback" in caplog.text


def test_a_store_error_shows_no_path(caplog: pytest.LogCaptureFixture) -> None:
    answer = answer_to(errors.StoreError("/var/lib/log/tile/0/000: Input/output error"))
    assert b"/var/lib" not in answer.body
    assert "/var/lib" in caplog.text


def test_busy_says_when() -> None:
    answer = answer_to(errors.RateLimitedError("slow", retry_after_s=7, reason="rate-limited-source"))
    assert answer.headers == (("Retry-After", "7"),)
    assert dict(answer_to(errors.PoolFullError("full", retry_after_s=0)).headers)["Retry-After"] == "1"


def test_every_word_is_documented() -> None:
    """The words that `ctlog.http` says itself; those of admission are compared in test_admission.py."""
    root = Path(__file__).resolve().parents[2]
    said = {word for path in (root / "ctlog" / "http").glob("*.py")
            for word in re.findall(r'reason="([a-z-]+)"', path.read_text())}
    rows = re.findall(r"^\| (`[^|]+`) \| ([0-9, ]+) \|", (root / "docs" / "http.md").read_text(), re.MULTILINE)
    documented = {word for words, _ in rows for word in re.findall("`([a-z-]+)`", words)}
    assert said - {"object-missing", "object-damaged"} <= documented  # these two only ever stand beside an id
    statuses = {word: statuses for words, statuses in rows for word in re.findall("`([a-z-]+)`", words)}
    for word, status in STATUS_OF_REASON.items():
        assert statuses[word].strip() == str(status)


def test_odd_paths_and_methods_are_escaped() -> None:
    error = not_found("/\u202eevil\n" + "x" * 500)
    assert str(error).isascii()
    assert str(error).isprintable()
    assert len(str(error)) < 200
    answer = method_not_allowed("BREW\u202e", "GET, HEAD")
    assert answer.status == 405
    assert dict(answer.headers)["Allow"] == "GET, HEAD"
    assert answer.body.isascii()
