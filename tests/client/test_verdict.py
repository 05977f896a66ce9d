"""What a verdict says, and that docs/verify-calls.md explains every word of it."""

import re
from pathlib import Path

import pytest

from ctlog.client.verdict import CHECKS, REASONS, ROWS, SIP_TEXTS, Check, Verdict, conclude, worst
from ctlog.errors import VerificationError

DOCS = Path(__file__).parents[2] / "docs"


def test_the_worst_counts():
    assert worst([]) == worst(["passed"]) == "passed"
    assert worst(["passed", "not-checked"]) == "not-checked"
    assert worst(["cannot-tell", "not-checked", "passed"]) == "cannot-tell"
    assert worst(["passed", "failed", "cannot-tell"]) == "failed"


def test_every_check_is_listed_in_its_order_and_once():
    outcome, checks = conclude([Check("signature", "passed"), Check("token", "passed"), Check("token", "cannot-tell")])
    assert outcome == "cannot-tell"
    assert [check.name for check in checks] == list(CHECKS)
    assert [check.name for check in checks if check.outcome != "not-checked"] == ["token", "signature"]


def test_what_failed_is_named_first():
    outcome, checks = conclude(
        [Check("scts", "cannot-tell", "log-list-stale", "old"), Check("signature", "failed", "bad-signature", "wrong")]
    )
    verdict = Verdict(outcome, checks)
    assert (verdict.outcome, verdict.reasons, verdict.sentence) == (
        "failed", ("bad-signature", "log-list-stale"), "wrong",
    )  # fmt: skip
    assert verdict.check("scts").sentence == "old"
    assert verdict.row("V1") == "failed"
    assert verdict.row("V5") == "not-checked"
    with pytest.raises(VerificationError) as caught:
        verdict.require()
    assert (caught.value.reason, str(caught.value)) == ("bad-signature", "wrong")


def test_no_verdict_is_a_boolean():
    with pytest.raises(TypeError):
        bool(Verdict("passed", ()))


def test_every_row_is_answered_and_every_word_has_a_code():
    assert {row for _, rows, _ in CHECKS.values() for row in rows} == set(ROWS)
    assert set(REASONS.values()) <= set(SIP_TEXTS)
    assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", word) for word in REASONS)


def test_the_page_explains_every_word_and_no_other():
    page = (DOCS / "verify-calls.md").read_text(encoding="utf-8")
    section = page.partition("## Words")[2].partition("\n## ")[0]
    words = re.findall(r"^\| `([a-z0-9-]+)` \| (\d+) \|", section, re.MULTILINE)
    assert {word: int(code) for word, code in words} == dict(REASONS)
    assert len(words) == len(REASONS)


def test_the_page_lists_every_check():
    page = (DOCS / "verify-calls.md").read_text(encoding="utf-8")
    section = page.partition("## Checks")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `([a-z-]+)` \| ([^|]*) \|", section, re.MULTILINE)
    assert [(name, rows.strip()) for name, rows in found] == [
        (name, ", ".join(rows)) for name, (_, rows, _) in CHECKS.items()
    ]
