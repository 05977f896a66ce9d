"""ctlog.client.trusted: a head moves forward only, and each lie ends in the right kind of evidence, or in none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.client.evidence import verify_evidence
from ctlog.client.trusted import LogPolicy, StepKind, TrustedLog
from ctlog.errors import CtlogError, MalformedError, Misbehaviour, SignatureError, UsageError, VerificationError
from ctlog.merkle.proof import build, plan_consistency
from ctlog.merkle.tree import CompactRange, Frontier
from tests.simulator import Simulator

LATER = 10**13


def tiles(log: Simulator, step):
    return {tile: log.tree.tile(tile) for tile in step.tiles}


def proof(log: Simulator, step):
    return build(plan_consistency(step.old_size, step.new.size), log.tree)


def leaves(log: Simulator, step):
    return CompactRange.from_leaves(step.old_size, log.tree.levels[0][32 * step.old_size : 32 * step.new.size])


def trusted(log: Simulator) -> TrustedLog:
    """Trust the head as it is, with its frontier."""
    return TrustedLog(log.policy, log.head, Frontier().append(log.tree.levels[0]))


def accused(log: Simulator, error: pytest.ExceptionInfo[Misbehaviour], kind: str, *, is_proof: bool):
    verdict = verify_evidence(error.value.evidence, log.policy.key)
    assert (verdict.evidence.kind, verdict.is_proof, error.value.reason) == (kind, is_proof, kind)
    assert verdict.evidence.case.seen_ms == LATER
    return verdict


@pytest.mark.parametrize("show", [tiles, proof, leaves])
def test_an_honest_log_is_followed_by_any_means(show):
    log = Simulator()
    mine = TrustedLog(log.policy)
    for count in (0, 1, 1, 5, 250, 1, 300, 0):
        step = mine.offer(log.grow(count), LATER)
        mine = mine.accept(step, show(log, step))
        assert mine.head == log.head
        if show is not proof:
            assert mine.frontier == Frontier().append(log.tree.levels[0])


def test_the_first_head_is_taken_on_first_use():
    log = Simulator()
    step = TrustedLog(log.policy).offer(log.grow(5), LATER)
    assert (step.kind, step.needs_proof, step.old_size) == (StepKind.FIRST, False, 0)
    assert TrustedLog(log.policy).accept(step).head == log.head


def test_a_newer_signature_of_the_same_tree_moves_only_the_time():
    log = Simulator()
    old = log.grow(5)
    mine = trusted(log)
    new = log.sign(5)
    mine = mine.accept(mine.offer(new, LATER))
    assert (mine.head, mine.frontier is not None) == (new, True)
    assert mine.accept(mine.offer(old, LATER)).head == new


@pytest.mark.parametrize("show", [tiles, proof])
def test_an_older_consistent_head_is_a_cache_and_changes_nothing(show):
    log = Simulator()
    empty, old = log.head, log.grow(37)
    log.grow(500)
    mine = trusted(log)
    step = mine.offer(old, LATER)
    assert (step.kind, step.needs_proof, step.old_size) == (StepKind.OLDER, True, 37)
    assert mine.accept(step, show(log, step)) == mine
    assert mine.accept(mine.offer(empty, LATER)) == mine


def test_fork_one_size_two_roots_is_proven_by_the_heads_alone():
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    with pytest.raises(Misbehaviour, match="two trees of 300") as error:
        mine.offer(log.fork(), LATER)
    assert "two different trees of 300" in accused(log, error, "fork", is_proof=True).sentence


@pytest.mark.parametrize("size", [1, 2, 64, 255, 256, 300])
@pytest.mark.parametrize("index", [0, -1])
def test_rewrite_of_an_old_entry_is_proven_from_tiles(size, index):
    log = Simulator()
    log.grow(size)
    mine = trusted(log)
    step = mine.offer(log.rewrite(index, 290), LATER)
    with pytest.raises(Misbehaviour, match="does not continue") as error:
        mine.accept(step, tiles(log, step))
    assert "rewrote its past" in accused(log, error, "rewrite", is_proof=True).sentence


def test_rewrite_is_proven_from_the_logs_own_consistency_proof():
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    step = mine.offer(log.rewrite(3, 20), LATER)
    with pytest.raises(Misbehaviour) as error:
        mine.accept(step, proof(log, step))
    accused(log, error, "rewrite", is_proof=True)


def test_rewrite_of_a_whole_perfect_tree_is_only_a_record_without_tiles():
    # The consistency proof from a power of two leaves out the old root, so it says nothing about it.
    log = Simulator()
    log.grow(256)
    mine = trusted(log)
    step = mine.offer(log.rewrite(3, 20), LATER)
    with pytest.raises(Misbehaviour) as error:
        mine.accept(step, proof(log, step))
    accused(log, error, "no-consistency", is_proof=False)


def test_rewrite_seen_in_a_cached_older_head_is_proven_too():
    log = Simulator()
    old = log.grow(100)
    log.rewrite(3, 20)
    mine = trusted(log)
    step = mine.offer(old, LATER)
    assert step.kind is StepKind.OLDER
    with pytest.raises(Misbehaviour) as error:
        mine.accept(step, tiles(log, step))
    accused(log, error, "rewrite", is_proof=True)


def test_roll_back_newer_and_smaller_is_proven_by_the_heads_alone():
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    with pytest.raises(Misbehaviour, match="went back from 300 entries to 200") as error:
        mine.offer(log.roll_back(200), LATER)
    accused(log, error, "rollback", is_proof=True)


def test_roll_back_to_nothing():
    log = Simulator()
    log.grow(3)
    mine = trusted(log)
    with pytest.raises(Misbehaviour) as error:
        mine.offer(log.roll_back(0), LATER)
    accused(log, error, "rollback", is_proof=True)


def test_backdate_larger_and_older_is_the_same_lie():
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    with pytest.raises(Misbehaviour) as error:
        mine.offer(log.backdate(5, by_ms=60_000), LATER)
    accused(log, error, "rollback", is_proof=True)


def test_an_empty_tree_with_a_root_of_its_own():
    log = Simulator()
    for mine in (TrustedLog(log.policy), trusted(log)):
        with pytest.raises(Misbehaviour) as error:
            mine.offer(log.sign(0, root=bytes(32)), LATER)
        accused(log, error, "empty-root", is_proof=True)


def test_rot_in_a_tile_is_a_record_that_names_the_tile():
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    step = mine.offer(log.grow(700), LATER)
    came = tiles(log, step)
    for tile, data in came.items():
        with pytest.raises(Misbehaviour, match="tile/") as error:
            mine.accept(step, came | {tile: bytes([data[0] ^ 1]) + data[1:]})
        accused(log, error, "bad-tile", is_proof=False)


def test_entries_that_make_another_tree_are_a_record():
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    step = mine.offer(log.grow(7), LATER)
    log.fork(302)
    with pytest.raises(Misbehaviour, match=r"entries \[300, 307\)") as error:
        mine.accept(step, leaves(log, step))
    assert len(accused(log, error, "bad-entries", is_proof=False).evidence.values("head")) == 2


@pytest.mark.parametrize("wrong", [lambda p: [], lambda p: p[:-1], lambda p: [*p, p[0]], lambda p: [bytes(32), *p[1:]]])
def test_a_consistency_proof_that_leads_nowhere_is_a_record(wrong):
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    step = mine.offer(log.grow(77), LATER)
    with pytest.raises(Misbehaviour) as error:
        mine.accept(step, wrong(proof(log, step)))
    accused(log, error, "no-consistency", is_proof=False)


def test_a_head_from_the_future_is_nobodys_misbehaviour():
    log = Simulator()
    mine = TrustedLog(log.policy)
    now = log.grow(3).timestamp_ms
    mine.offer(log.head, now - log.policy.max_ahead_ms)
    with pytest.raises(VerificationError, match="301000 ms after our clock") as error:
        mine.offer(log.head, now - 301_000)
    assert not isinstance(error.value, Misbehaviour)
    assert error.value.reason == "head-from-the-future"


def test_a_size_that_no_tree_has():
    log = Simulator()
    with pytest.raises(VerificationError) as error:
        TrustedLog(log.policy).offer(log.sign(2**63, root=bytes(32)), LATER)
    assert error.value.reason == "impossible-size"


def test_a_step_of_another_state_is_not_accepted():
    log = Simulator()
    log.grow(5)
    mine = trusted(log)
    step = mine.offer(log.grow(5), LATER)
    advanced = mine.accept(step, proof(log, step))
    with pytest.raises(UsageError, match="offer the head again"):
        advanced.accept(step, proof(log, step))


def test_what_was_not_asked_for_is_not_accepted():
    log = Simulator()
    log.grow(5)
    mine = trusted(log)
    step = mine.offer(log.grow(5), LATER)
    with pytest.raises(UsageError, match="something must be shown"):
        mine.accept(step)
    with pytest.raises(UsageError, match="are asked for"):
        mine.accept(step, CompactRange.from_leaves(5, log.tree.levels[0][: 32 * 4]))
    without = TrustedLog(log.policy, mine.head)
    with pytest.raises(UsageError, match="known frontier"):
        without.accept(step, leaves(log, step))
    same = mine.offer(mine.head, LATER)
    with pytest.raises(UsageError, match="needs no consistency proof"):
        mine.accept(same, [bytes(32)])
    with pytest.raises(UsageError, match="are asked for"):
        mine.accept(same, CompactRange(0, 5, mine.frontier.hashes))
    old = mine.offer(log.sign(2, at_ms=mine.head.timestamp_ms), LATER)
    with pytest.raises(UsageError, match="only forward"):
        mine.accept(old, leaves(log, old))


def test_another_logs_head_is_no_offer():
    log, other = Simulator(), Simulator("other.example/log")
    with pytest.raises(UsageError, match="another log"):
        TrustedLog(log.policy).offer(other.grow(3), LATER)


def test_what_was_stored_is_checked_again():
    log = Simulator()
    log.grow(300)
    mine = trusted(log)
    assert TrustedLog.resume(log.policy, mine.head.note, mine.frontier.hashes) == mine
    assert TrustedLog.resume(log.policy, mine.head.note).frontier is None
    with pytest.raises(UsageError, match="not of the trusted head"):
        TrustedLog.resume(log.policy, mine.head.note, [bytes(32), *mine.frontier.hashes[1:]])
    with pytest.raises(UsageError):
        TrustedLog.resume(log.policy, mine.head.note, mine.frontier.hashes[1:])
    with pytest.raises(UsageError):
        TrustedLog(log.policy, None, mine.frontier)
    with pytest.raises(SignatureError):
        TrustedLog.resume(Simulator(secret=8).policy, mine.head.note)
    with pytest.raises(CtlogError):
        TrustedLog.resume(log.policy, mine.head.note.replace(b"\n300\n", b"\n301\n"))
    assert TrustedLog(log.policy, None, Frontier()).head is None


def test_a_tree_head_of_rfc_6962_is_the_same_value():
    log = Simulator()
    head = log.grow(3)
    assert log.policy.open_sth(head.sth) == head
    with pytest.raises(SignatureError):
        log.policy.open_sth(head.sth._replace(size=4))


@pytest.mark.parametrize("origin", ["", "a\u202eb", "a\nb"])
def test_an_origin_that_evidence_could_not_show_is_no_policy(origin):
    with pytest.raises(UsageError):
        LogPolicy(origin, Simulator().policy.key)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["grow", "old", "resign"]), st.integers(0, 40)), max_size=8), st.data())
def test_an_honest_log_is_never_accused_whatever_is_served_when(acts, data):
    log = Simulator()
    heads = [log.head]
    mine = TrustedLog(log.policy)
    for act, number in acts:
        if act == "grow":
            heads.append(log.grow(number))
        elif act == "resign":
            heads.append(log.sign(log.head.size))
        head = heads[number % len(heads)] if act == "old" else heads[-1]
        step = mine.offer(head, LATER)
        show = data.draw(st.sampled_from([tiles, proof]))
        before = mine.head
        mine = mine.accept(step, show(log, step))
        assert before is None or (mine.head.size, mine.head.timestamp_ms) >= (before.size, before.timestamp_ms)


@given(st.binary(max_size=300))
def test_no_bytes_make_a_policy_raise_anything_else(note):
    with pytest.raises((MalformedError, SignatureError)):
        Simulator().policy.open(note)
