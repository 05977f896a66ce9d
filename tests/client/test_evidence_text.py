"""ctlog.client.evidence_text: docs/evidence.md, "Text": one spelling for each content, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.evidence import prove_fork
from ctlog.client.evidence_text import (
    MAX_EVIDENCE,
    Case,
    Evidence,
    Member,
    clean,
    format_evidence,
    parse_evidence,
    parse_number,
)
from ctlog.errors import MalformedError
from tests.simulator import Simulator

LOG = Simulator()
ONE = LOG.grow(5)
FORK = prove_fork(LOG.policy.case(1_763_888_400_123), LOG.fork(2), ONE)


def with_members(*members: Member) -> Evidence:
    value = parse_evidence(FORK)
    return Evidence(value.is_proof, value.kind, value.case, members)


def test_the_document_shows_what_is_written():
    lines = FORK.split("\n")
    assert lines[:3] == ["ctlog-evidence/v1", "proof fork", "origin sim.example/log"]
    assert lines[4:9] == ["source https://sim.example/log/", "seen 1763888400123", "head", "> sim.example/log", "> 5"]
    assert lines[10] == ">"
    assert lines[11].startswith("> \u2014 sim.example/log ")


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "ctlog-evidence/v1", "ctlog-evidence/v1\n", "ctlog-evidence/v2\nproof fork\n",
        "ctlog-evidence/v1\n> a\n", "ctlog-evidence/v1\nproof\n", "ctlog-evidence/v1\nproof \n",
        "ctlog-evidence/v1\nproof fork",
    ],
)
def test_what_is_no_evidence(text):
    with pytest.raises(MalformedError):
        parse_evidence(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("proof fork\n", "proof fork\r\n"),
        ("proof fork\n", "proof Fork\n"),
        ("proof fork\n", "fork fork\n"),
        ("proof fork\n", "proof fork\n\n"),
        ("seen 1", "seen 01"),
        ("seen 1", "seen +1"),
        ("seen 1", "seen 1\u00b2"),
        ("seen 1763888400123", "seen 18446744073709551616"),
        ("seen 1763888400123", "seen\n> 1763888400123"),
        ("source https", "source \u202ehttps"),
        ("source https", "source \x1b[2Jhttps"),
        ("source https://sim.example/log/", "source"),
        ("head\n>", "head \n>"),
        ("head\n> sim", "head\n>sim"),
        ("head\n> sim", "head\n> \n> sim"),
        ("head\n> sim", "head\n> \x00sim"),
        ("key MF", "key  MF"),
        ("key MF", "key MG"),
    ],
)
def test_no_other_spelling(old, new):
    assert old in FORK
    with pytest.raises(MalformedError):
        parse_evidence(FORK.replace(old, new, 1))


def test_an_endless_block_is_read_in_one_pass():
    with pytest.raises(MalformedError, match="longer than"):
        parse_evidence(FORK + "x\n" + ">\n" * MAX_EVIDENCE)
    assert len(parse_evidence(FORK + "x\n" + ">\n" * 1_000_000).members) == 3


def test_a_value_that_cannot_be_written_is_refused():
    for name, value in [("Bad", "x"), ("x", "a\nb"), ("x", "-"), ("x", "\x07"), ("x", "\n\x00\n")]:
        with pytest.raises(MalformedError):
            format_evidence(with_members(Member(name, value)))
    for blank in ["", "\n", "\n\n", " ", " a", "> x\n", "a\n\n> b\n"]:
        member = Member("x", blank)
        assert parse_evidence(format_evidence(with_members(member))).members == (member,)


shown = st.characters(blacklist_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])
plain = st.text(shown, max_size=20).filter(lambda x: x != "-")
blocks = st.lists(plain, min_size=1, max_size=5).map(lambda lines: "\n".join(lines) + "\n")
names = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
some = st.lists(st.builds(Member, names, plain | blocks), max_size=6)


@given(st.booleans(), names, plain, st.integers(0, 2**64 - 1), some)
def test_whatever_is_written_is_read_back(is_proof, kind, source, seen_ms, members):
    value = Evidence(is_proof, kind, Case("o", LOG.policy.key, source, seen_ms), tuple(members))
    assert parse_evidence(format_evidence(value)) == value


@given(st.text())
def test_anything_can_be_made_clean(text):
    value = Evidence(False, "x", Case("o", LOG.policy.key, clean(text), 5), ())
    assert parse_evidence(format_evidence(value)).case.source == clean(text)
    assert clean("a b") == "a b"
    assert clean("a\nb") == "a\\u{a}b"


@pytest.mark.parametrize("text", ["", "-1", "01", "1 ", "\u0661", "1_0", str(2**64)])
def test_no_other_spelling_of_a_number(text):
    with pytest.raises(MalformedError):
        parse_number(text, "n")
