"""ctlog.client.evidence: a proof holds or is refused, whatever is changed in it; a record never passes for a proof."""

from __future__ import annotations

import hashlib
import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.client import evidence
from ctlog.client.evidence import (
    Case,
    Evidence,
    Member,
    format_evidence,
    parse_evidence,
    prove_broken_sct,
    prove_empty_root,
    prove_fork,
    prove_late_merge,
    prove_rewrite,
    prove_rollback,
    record,
    verify_evidence,
)
from ctlog.errors import CtlogError, MalformedError, ProofError, SignatureError
from ctlog.merkle.proof import build, plan_consistency_path, plan_inclusion
from ctlog.merkle.tree import Node
from ctlog.wire.rfc6962 import TimestampedEntry, format_merkle_tree_leaf
from ctlog.wire.static_ct import format_leaf_index
from tests.simulator import Simulator

SEEN = 1_763_888_400_123
DAY = 86_400_000


def sizes(log: Simulator, *counts: int):
    return [log.grow(count) for count in counts]


def case(log: Simulator) -> Case:
    return log.policy.case(SEEN)


def fork() -> tuple[Simulator, str]:
    log = Simulator()
    one = log.grow(5)
    return log, prove_fork(case(log), log.fork(2), one)


def rewrite(old: int = 5) -> tuple[Simulator, str]:
    log = Simulator()
    before = log.grow(old)
    after = log.rewrite(2, 4)
    return log, prove_rewrite(case(log), before, after, build(plan_consistency_path(old, old + 4), log.tree))


def rollback() -> tuple[Simulator, str]:
    log = Simulator()
    one = log.grow(5)
    return log, prove_rollback(case(log), log.roll_back(4), one)


def empty_root() -> tuple[Simulator, str]:
    log = Simulator()
    return log, prove_empty_root(case(log), log.sign(0, root=bytes(32)))


def broken_sct(index: int = 3) -> tuple[Simulator, str]:
    """An SCT for index 3 of a tree of 5 that holds another entry there."""
    log = Simulator()
    promised = log.entry(index, "promised")
    head = log.grow(5)
    found = log.tree.hash(Node(0, index)), build(plan_inclusion(index, 5), log.tree)
    return log, prove_broken_sct(case(log), log.sct(promised), promised.entry, DAY, head, found)


def late_sct() -> tuple[Simulator, str]:
    """An SCT for index 7 of a tree that has 5 entries more than a day later."""
    log = Simulator()
    promised = log.entry(7)
    log.now_ms += DAY
    return log, prove_broken_sct(case(log), log.sct(promised), promised.entry, DAY, log.grow(5), None)


def late_merge() -> tuple[Simulator, str]:
    """Entry 5 is dated two days before a head of 5 entries."""
    log = Simulator()
    log.now_ms += 2 * DAY
    old = log.grow(5)
    new = log.merge_late(2, 2 * DAY)
    return log, prove_late_merge(case(log), old, new, log.tree.inputs[5], DAY, build(plan_inclusion(5, 7), log.tree))


def missing() -> tuple[Simulator, str]:
    log = Simulator()
    heads = sizes(log, 3, 4)
    return log, record(case(log), "missing-data", "it was not there", heads=heads, path="tile/0/000.p/7", data=b"404")


ALL = [fork, rewrite, lambda: rewrite(4), rollback, empty_root, broken_sct, late_sct, late_merge, missing]
NAMES = ["fork", "rewrite", "rewrite-4", "rollback", "empty-root", "broken-sct", "late-sct", "late-merge"]
NAMES += ["missing-data"]
every = pytest.mark.parametrize("make", ALL, ids=NAMES)


def members(text: str) -> list[Member]:
    return list(parse_evidence(text).members)


def changed(text: str, **changes: object) -> str:
    """The evidence with other parts, well-formed."""
    value = parse_evidence(text)
    parts = {"is_proof": value.is_proof, "kind": value.kind, "case": value.case, "members": value.members} | changes
    return format_evidence(Evidence(**parts))


@every
def test_what_is_made_holds_and_says_so(make):
    log, text = make()
    verdict = verify_evidence(text, log.policy.key)
    assert verdict == verify_evidence(text)
    assert verdict.is_proof == (make is not missing)
    assert verdict.evidence.case == Case("sim.example/log", log.policy.key, "https://sim.example/log/", SEEN)
    assert format_evidence(parse_evidence(text)) == text


def test_the_sentences():
    said = {name: verify_evidence(make()[1]).sentence for name, make in zip(NAMES, ALL, strict=True)}
    assert said["rollback"] == (
        "The log signed a tree of 5 entries at 2025-10-09T08:53:22.000Z, and later, at 2025-10-09T08:53:23.000Z, "
        "one of only 4."
    )
    assert said["fork"].startswith("The log signed two different trees of 5 entries: root ")
    assert "signed at" in said["rewrite"]
    assert "begins with 5 entries" in said["rewrite"]
    assert "without entries" in said["empty-root"]
    assert said["broken-sct"].endswith("holds another there.")
    assert "its tree ended before that, at 5 entries" in said["late-sct"]
    assert "dates its entry 5 2025-10-09" in said["late-merge"]
    assert said["late-merge"].endswith("at 5 entries. It was merged too late, or is dated back.")
    assert said["missing-data"] == (
        "Somebody states that at 2025-11-23T09:00:00.123Z from https://sim.example/log/: it was not there"
    )


@every
def test_it_is_about_one_key(make):
    _, text = make()
    with pytest.raises(SignatureError) as error:
        verify_evidence(text, Simulator(secret=8).policy.key)
    assert error.value.reason == "wrong-key"


@every
def test_anothers_key_or_origin_does_not_carry_the_signatures(make):
    _, text = make()
    value = parse_evidence(text)
    for other in (value.case._replace(key=Simulator(secret=8).policy.key), value.case._replace(origin="else.example")):
        with pytest.raises(SignatureError):
            verify_evidence(changed(text, case=other))


@every
def test_every_kind_under_every_other_name_is_refused(make):
    _, text = make()
    value = parse_evidence(text)
    for kind in evidence._KINDS:
        for is_proof in (True, False):
            same = evidence._KINDS[kind].check is evidence._KINDS[value.kind].check and is_proof == value.is_proof
            if not same:
                with pytest.raises((MalformedError, ProofError)):
                    verify_evidence(changed(text, kind=kind, is_proof=is_proof))
    with pytest.raises(MalformedError) as error:
        verify_evidence(changed(text, kind="of-tomorrow"))
    assert error.value.reason == "unknown-kind"


@every
def test_a_member_more_or_less_or_elsewhere_is_refused(make):
    _, text = make()
    good = members(text)
    mutations = [[*good[:at], *good[at + 1 :]] for at in range(len(good))]
    mutations += [[*good[:at], Member("note", "x"), *good[at:]] for at in range(len(good) + 1)]
    mutations += [[*good, good[0]], []]
    swaps = range(0 if make is not fork else len(good), len(good) - 1)  # a fork's heads may stand either way
    mutations += [[*good[:at], good[at + 1], good[at], *good[at + 2 :]] for at in swaps]
    for mutation in mutations:
        if mutation == good or (make is missing and mutation and mutation[0].name == "detail"):
            continue  # a record's other members may be there or not
        with pytest.raises(CtlogError):
            verify_evidence(changed(text, members=tuple(mutation)))


@every
def test_no_changed_character_goes_unnoticed(make):
    log, text = make()
    verdict = verify_evidence(text, log.policy.key)
    for at in range(0, len(text), 3):
        char = "B" if text[at] == "A" else "A"
        try:
            other = verify_evidence(text[:at] + char + text[at + 1 :], log.policy.key)
        except (MalformedError, SignatureError, ProofError):
            continue
        # The rest is what nobody signs: where it was seen, the stated delay, a record's own words.
        assert {member for member in other.evidence.members if member.name == "head"} <= set(verdict.evidence.members)
        unsigned = text[:at].rpartition("\n")[2].partition(" ")[0] or text[at:].partition(" ")[0]
        assert unsigned in {"source", "seen", "mmd", "detail", "path", "sha256", "length", "data", "record"}


def test_two_heads_that_do_not_contradict_each_other_are_no_proof():
    log = Simulator()
    one, two = sizes(log, 5, 4)
    again = log.sign(9)
    for make, heads in [
        (prove_fork, (one, two)),
        (prove_fork, (two, again)),
        (prove_fork, (one, one)),
        (prove_rollback, (one, two)),
        (prove_rollback, (two, again)),
    ]:
        with pytest.raises(ProofError):
            make(case(log), *heads)
    with pytest.raises(ProofError, match="both roots"):
        prove_rewrite(case(log), one, two, build(plan_consistency_path(5, 9), log.tree))
    with pytest.raises(ProofError, match="not of an empty tree"):
        prove_empty_root(case(log), one)
    log.rewrite(2, 3)
    with pytest.raises(ProofError, match="root of the larger"):
        prove_rewrite(case(log), one, two, build(plan_consistency_path(5, 9), log.tree))


def test_an_sct_that_was_kept_or_may_still_be_kept_is_no_proof():
    log = Simulator()
    log.now_ms += 1000
    head = log.grow(5)
    kept = log.tree.leaves[3]
    found = log.tree.hash(Node(0, 3)), build(plan_inclusion(3, 5), log.tree)
    with pytest.raises(ProofError, match="where the SCT promises"):
        prove_broken_sct(case(log), log.sct(kept), kept.entry, DAY, head, found)
    with pytest.raises(ProofError, match="too large or too early"):
        prove_broken_sct(case(log), log.sct(kept), kept.entry, 0, log.sign(5), None)
    later = log.entry(9)
    with pytest.raises(ProofError, match="too large or too early"):
        prove_broken_sct(case(log), log.sct(later), later.entry, DAY, log.sign(5), None)
    at_the_limit = log.sign(5, at_ms=later.timestamp_ms + DAY)
    with pytest.raises(ProofError, match="too early"):
        prove_broken_sct(case(log), log.sct(later), later.entry, DAY, at_the_limit, None)


def test_an_sct_without_a_place_or_for_another_entry_is_no_proof():
    log = Simulator()
    head = log.grow(5)
    found = log.tree.hash(Node(0, 3)), build(plan_inclusion(3, 5), log.tree)
    placeless = log.entry(3, "promised")._replace(extensions=b"")
    with pytest.raises(ProofError, match="no place"):
        prove_broken_sct(case(log), log.sct(placeless), placeless.entry, DAY, head, found)
    promised = log.entry(3, "promised")
    with pytest.raises(SignatureError):
        prove_broken_sct(case(log), log.sct(promised), log.entry(3, "other").entry, DAY, head, found)
    elsewhere = log.sct(promised)._replace(extensions=format_leaf_index(4))
    with pytest.raises(SignatureError):
        prove_broken_sct(case(log), elsewhere, promised.entry, DAY, head, found)
    with pytest.raises(SignatureError):
        prove_broken_sct(case(log), Simulator(secret=8).sct(promised), promised.entry, DAY, head, found)
    with pytest.raises(ProofError, match="lead to the root"):
        prove_broken_sct(case(log), log.sct(promised), promised.entry, DAY, head, (found[0][::-1], found[1]))


def test_an_entry_that_came_in_time_or_may_stand_elsewhere_is_no_proof():
    log = Simulator()
    log.now_ms += 2 * DAY
    old, before = log.grow(5), log.now_ms
    new = log.merge_late(2, DAY)
    path = build(plan_inclusion(5, 7), log.tree)
    leaf, dated_ms = log.tree.inputs[5], before - DAY
    with pytest.raises(ProofError, match="not due yet"):  # to the millisecond: it has until then
        prove_late_merge(case(log), old, new, leaf, old.timestamp_ms - dated_ms, path)
    assert "late-merge" in prove_late_merge(case(log), old, new, leaf, old.timestamp_ms - dated_ms - 1, path)
    with pytest.raises(ProofError):  # another entry's place
        prove_late_merge(case(log), old, new, log.tree.inputs[6], 1, path)
    with pytest.raises(ProofError, match="alone"):  # it stands in the smaller tree
        prove_late_merge(case(log), new, new, leaf, 1, path)
    with pytest.raises(ProofError, match="alone"):
        prove_late_merge(case(log), old, old, leaf, 1, path)
    bare = log.entry(5)
    unplaced = format_merkle_tree_leaf(TimestampedEntry(bare.timestamp_ms - 2 * DAY, bare.entry, b""))
    with pytest.raises(ProofError, match="names no place"):
        prove_late_merge(case(log), old, new, unplaced, 1, path)
    with pytest.raises(MalformedError):
        prove_late_merge(case(log), old, new, b"junk", 1, path)


def test_a_head_that_the_log_did_not_sign_accuses_nobody():
    log = Simulator()
    one = log.grow(5)
    forged = one._replace(note=one.note.replace(b"\n5\n", b"\n6\n"))
    with pytest.raises(SignatureError):
        prove_rollback(case(log), forged, log.roll_back(4))


def test_a_record_keeps_what_came_when_it_is_small_and_its_hash_always():
    log = Simulator()
    small = parse_evidence(record(case(log), "bad-tile", "x", data=b"abc"))
    assert [member.name for member in small.members] == ["detail", "sha256", "length", "data"]
    large = parse_evidence(record(case(log), "bad-tile", "x", data=bytes(70_000)))
    assert large.values("sha256") == [hashlib.sha256(bytes(70_000)).hexdigest()]
    assert (large.values("length"), large.values("data")) == (["70000"], [])
    assert parse_evidence(record(case(log), "bad-tile", "x", data=b"")).values("length") == ["0"]
    with_sct = record(case(log), "sct-not-found", "x", sct=log.sct(log.entry(3)))
    assert len(verify_evidence(with_sct).evidence.values("sct")) == 1


@given(st.text(max_size=50), st.text(max_size=50))
def test_whatever_a_server_says_can_be_recorded_and_shown(detail, path):
    log = Simulator()
    text = record(case(log)._replace(source=path), "missing-data", detail, path=path)
    value = verify_evidence(text).evidence
    for said in (value.values("detail")[0], *value.values("path"), value.case.source):
        assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in said}
    assert len(text.split("\n")) <= 9


LINES = ["proof fork", "head", "> x", ">", "hash AA==", "key MFkw", "origin x", "source -", "seen 5", "", "x "]
lines = st.lists(st.sampled_from(LINES), max_size=12).map(lambda x: "ctlog-evidence/v1\n" + "\n".join(x) + "\n")


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=200), lines))
def test_no_text_makes_the_verifier_raise_anything_else(text):
    with pytest.raises((MalformedError, SignatureError, ProofError)):
        verify_evidence(text)


@settings(max_examples=150)
@given(st.sampled_from(ALL), st.integers(0, 10**6), st.text(max_size=4), st.integers(0, 30))
def test_no_mutation_makes_the_verifier_raise_anything_else(make, at, put, cut):
    _, text = make()
    at %= len(text)
    with suppress(MalformedError, SignatureError, ProofError):
        verify_evidence(text[:at] + put + text[at + cut :])
