"""Answers as values."""

from __future__ import annotations

from ctlog.http.answers import FINAL, NO_STORE, Answer, json_answer


def test_empty_lists_are_lists() -> None:
    assert json_answer({"consistency": []}).body == b'{"consistency":[]}'


def test_a_json_answer_is_stored_by_nobody_unless_said() -> None:
    assert json_answer({}) == Answer(200, b"{}", "application/json", NO_STORE, ())
    assert json_answer({}, 400).status == 400
    assert json_answer({}, cache=FINAL).cache == FINAL
