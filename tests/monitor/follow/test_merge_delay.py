"""monitor.follow.merge_delay: an entry that was due when an earlier tree was signed accuses its log; others do not."""

import json

import pytest

from ctlog.client.evidence import verify_evidence
from ctlog.wire.checkpoint import SignedHead
from monitor.follow.followed import ENTRIES, TILES
from monitor.follow.merge_delay import MergeDelay
from monitor.state import State, make_state
from monitor.state.rows import MISBEHAVIOUR, OPERATOR, S1
from tests.follow_kit import followed
from tests.monitor.follow.test_watch import Watched
from tests.simulator import Simulator, Tree

DAY_MS = 86_400_000
BOTH = pytest.mark.parametrize("form", [TILES, ENTRIES])


class Unplaced(Simulator):
    """A log of RFC 6962, whose leaves do not say where they stand."""

    def entry(self, index, mark=""):
        return super().entry(index, mark)._replace(extensions=b"")


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as opened:
        yield opened


async def caught_up(state, form, sim=None):
    """A log of five entries that is read, and signed a head two days later."""
    watched = Watched(state, form, sim)
    watched.sim.grow(5)
    await watched.round()
    watched.sim.now_ms += 2 * DAY_MS
    watched.sim.grow(0)
    await watched.round()
    assert await watched.lies() == []
    return watched


@BOTH
async def test_lie_an_entry_is_dated_back(state, form):
    watched = await caught_up(state, form)
    watched.sim.merge_late(3, 2 * DAY_MS)
    await watched.round()
    assert await watched.lies() == [("late-merge", "proof")]
    (alert,) = await state.alerts.find(kind=MISBEHAVIOUR)
    assert (alert.severity, alert.addressee, alert.rules) == (S1, OPERATOR, ("log-late-merge", "T-20"))
    body = json.loads(alert.body)
    verdict = verify_evidence(body["evidence"], watched.sim.policy.key)
    assert "too late, or is dated back" in verdict.sentence
    assert "whether it was overloaded" in body["next"]
    assert sorted(watched.inspector.late) == [5, 6, 7]
    assert "did not hold it" in watched.inspector.late[5]
    assert await watched.indexes() == list(range(8)), "and each of them is told as any other"
    watched.sim.merge_late(1, 2 * DAY_MS)
    await watched.round()
    assert len(await state.alerts.find(kind=MISBEHAVIOUR)) == 1  # one a day


async def test_lie_an_entry_without_a_place_is_dated_back(state):
    watched = await caught_up(state, ENTRIES, Unplaced())
    watched.sim.merge_late(1, 2 * DAY_MS)
    await watched.round()
    assert await watched.lies() == [("late-entry", "record")]
    assert list(watched.inspector.late) == [5]


@BOTH
async def test_lie_dated_back_while_nobody_looked(state, form):
    """The head of before the restart is remembered."""
    watched = await caught_up(state, form)
    await watched.restart()
    watched.sim.now_ms += 30 * DAY_MS
    watched.sim.merge_late(1, 32 * DAY_MS)
    await watched.round()
    assert await watched.lies() == [("late-merge", "proof")]


@BOTH
async def test_no_lie_an_entry_that_was_merged_at_the_last_moment(state, form):
    watched = await caught_up(state, form)
    watched.sim.merge_late(3, DAY_MS)
    await watched.round()
    assert await watched.lies() == []
    assert watched.inspector.late == {}


@BOTH
async def test_no_lie_what_was_there_when_the_log_was_met(state, form):
    watched = Watched(state, form)
    watched.sim.grow(300)
    watched.sim.now_ms += 30 * DAY_MS
    watched.sim.merge_late(300, 29 * DAY_MS)
    await watched.round()
    watched.sim.grow(10)
    await watched.round()
    assert await watched.lies() == []


@BOTH
async def test_no_lie_a_head_of_before_is_served_once_more(state, form):
    """A cache: heads are compared with entries by the times that the log itself gave them."""
    watched = Watched(state, form)
    old = watched.sim.grow(5)
    await watched.round()
    watched.sim.now_ms += 2 * DAY_MS
    watched.sim.grow(5)
    await watched.round()
    new = watched.sim.head
    watched.sim.serve_old(old)
    await watched.round()
    watched.sim.serve_old(new)
    watched.sim.grow(5)
    await watched.round()
    assert await watched.lies() == []


async def test_no_lie_the_same_entry_is_merged_twice(state):
    """Without an index the leaf is the same in both places: the promise was kept, and an entry too much is none."""
    watched = await caught_up(state, ENTRIES, Unplaced())
    sim = watched.sim
    sim.tree = Tree([*sim.tree.leaves, sim.tree.leaves[2]])
    sim.head = sim.served = sim.sign(6)
    await watched.round()
    assert await watched.lies() == []
    assert watched.inspector.late == {}


async def test_no_lie_while_it_cannot_be_asked_whether_it_stood_before(state):
    watched = await caught_up(state, ENTRIES, Unplaced())
    sim = watched.sim
    sim.merge_late(1, 2 * DAY_MS)
    sim._proof_by_hash = lambda value, size: b"no JSON" if size == 5 else Simulator._proof_by_hash(sim, value, size)
    await watched.round()
    assert await watched.lies() == []


async def test_a_proof_whose_hashes_are_withheld_is_a_record(state):
    watched = await caught_up(state, ENTRIES)
    sim = watched.sim
    sim.merge_late(1, 2 * DAY_MS)
    sim._proof_by_hash = lambda value, size: None
    await watched.round()
    assert await watched.lies() == [("late-entry", "record")]


@pytest.mark.parametrize("dated_ms", [0, 2**64 - 1])
async def test_dates_beyond_the_calendar(state, dated_ms):
    watched = await caught_up(state, TILES)
    sim = watched.sim
    sim.tree = Tree([*sim.tree.leaves, sim.entry(5)._replace(timestamp_ms=dated_ms)])
    sim.head = sim.served = sim.sign(6)
    await watched.round()
    assert await watched.lies() == ([("late-merge", "proof")] if dated_ms == 0 else [])


def test_only_heads_that_matter_are_kept():
    sim = Simulator()
    delay = MergeDelay(followed(sim), None, lambda: 0)
    heads: list[SignedHead] = [sim.grow(3) for _ in range(5)]
    for head in (*heads, heads[0]):
        delay.see(head)
    delay.passed(9)
    assert delay._heads == heads[2:]
    delay.passed(15)
    assert delay._heads == heads[4:]
    again = sim.sign(15)
    delay.see(again)
    delay.passed(15)
    assert delay._heads == [again]
