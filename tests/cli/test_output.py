"""ctlog.cli.output: nothing that a stranger wrote reaches the terminal as a command to it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.cli import output


@given(st.text())
def test_what_is_printed_is_printable_and_says_what_was_there(text: str) -> None:
    shown = output.printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller Télécom", "Müller Télécom"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\u202ecod.exe", "\\u202ecod.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("one\ntwo\r\u2028", "one\\x0atwo\\x0d\\u2028"),
        ("\U000e0001\udc80\u200b", "\\U000e0001\\udc80\\u200b"),
    ],
)
def test_controls_and_marks_are_escaped(text: str, shown: str) -> None:
    assert output.printable(text) == shown


def test_json_lines_are_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_json({"name": "\u202eü\x1b"})
    assert capsys.readouterr().out == '{"name": "\\u202e\\u00fc\\u001b"}\n'


@pytest.mark.parametrize(("ms", "text"), [
    (1_790_000_000_123, "2026-09-21 14:13:20 UTC"), (0, "1970-01-01 00:00:00 UTC"),
    ((1 << 64) - 1, "18446744073709551615 ms"),
])  # fmt: skip
def test_any_time_that_a_log_may_say_can_be_shown(ms: int, text: str) -> None:
    assert output.when(ms).startswith(text)


def test_progress_is_shown_only_when_a_person_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = output.progress(10, "checking", "entries")
    bar.update(5)
    bar.close()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = output.progress(10, "checking", "entries")
    bar.update(5)
    bar.close()
    captured = capsys.readouterr()
    assert "checking" in captured.err
    assert captured.out == ""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.progress(10, "checking", "entries", beside_lines=True).close()
    assert capsys.readouterr() == ("", "")
