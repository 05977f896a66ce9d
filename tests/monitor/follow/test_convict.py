"""monitor.follow.convict: a rewrite is proven at every size, whatever the log's consistency proofs leave out."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.client.evidence import verify_evidence
from ctlog.client.trusted import TrustedLog
from ctlog.errors import Misbehaviour
from ctlog.merkle.proof import build, fold_consistency, plan_consistency_path
from monitor.follow.convict import beginning, convicted
from monitor.follow.followed import ENTRIES, TILES
from monitor.state import State, make_state
from monitor.state.rows import MISBEHAVIOUR
from tests.follow_kit import followed
from tests.monitor.follow.test_watch import Watched
from tests.simulator import Simulator


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 70), st.data())
async def test_the_beginning_of_any_tree(size, data):
    """The same hashes as from the tree itself."""
    sim = Simulator()
    head = sim.grow(size)
    old = data.draw(st.integers(1, size - 1))
    path = await beginning(followed(sim, ENTRIES), head, old)
    assert path == build(plan_consistency_path(old, size), sim.tree)
    assert fold_consistency(old, size, path) == (sim.tree.root(old), head.root)


async def step_of(old: int, grow: int, *, rewritten: bool):
    """A log that grew, the step to its new head, and the record that it gives no consistency proof."""
    sim = Simulator()
    log = followed(sim, ENTRIES)
    trusted = TrustedLog(sim.policy, sim.grow(old))
    sim.rewrite(old // 2, grow) if rewritten else sim.grow(grow)
    sim.withhold(f"ct/v1/get-sth-consistency?first={old}&second={old + grow}")
    step = trusted.offer(sim.head, sim.now_ms)
    with pytest.raises(Misbehaviour) as error:
        await log.follower.show(step)
    assert error.value.reason == "no-consistency"
    return sim, log, step, error.value


@pytest.mark.parametrize(("old", "grow"), [(1, 1), (2, 5), (64, 30), (100, 28), (128, 128)])
async def test_a_log_that_rewrote_its_past_and_gives_no_proof(old, grow):
    sim, log, step, error = await step_of(old, grow, rewritten=True)
    found = await convicted(log, step, error)
    verdict = verify_evidence(found.evidence, sim.policy.key)
    assert (found.reason, verdict.is_proof, verdict.evidence.kind) == ("rewrite", True, "rewrite")


async def test_a_log_that_is_only_stubborn_stays_a_record():
    _, log, step, error = await step_of(64, 30, rewritten=False)
    assert await convicted(log, step, error) is error


async def test_a_log_that_says_nothing_at_all_stays_a_record():
    sim, log, step, error = await step_of(64, 30, rewritten=True)
    sim.truncate(10)
    assert await convicted(log, step, error) is error


async def test_other_misbehaviour_is_left_as_it_is():
    sim, log, step, _ = await step_of(64, 30, rewritten=True)
    other = Misbehaviour("x", evidence="x", reason="missing-data")
    assert await convicted(log, step, other) is other
    record = Misbehaviour("x", evidence="x", reason="no-consistency")
    assert await convicted(followed(sim, TILES), step, record) is record


@pytest.mark.parametrize("size", [256, 300, 512])
async def test_lie_rewrite_of_a_whole_perfect_tree_over_rfc_6962(tmp_path, size):
    """A log that waits for the moment when our tree is a power of two is convicted all the same."""
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as state:
        watched = Watched(state, ENTRIES)
        watched.sim.grow(size)
        await watched.round()
        watched.sim.rewrite(17, 20)
        await watched.round()
        assert await watched.lies() == [("rewrite", "proof")]
        (alert,) = await state.alerts.find(kind=MISBEHAVIOUR)
        assert verify_evidence(json.loads(alert.body)["evidence"], watched.sim.policy.key).is_proof
