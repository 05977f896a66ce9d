"""monitor.follow.begin: any size of a signed tree as a frontier, proven, over both forms; the first entry of a date."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import NotFoundError, ProofError, TransportError
from ctlog.merkle.tree import Frontier
from monitor.follow.begin import FIRST, NEWEST, SLACK_MS, begin, first_since, frontier_at, proof_by_hash
from monitor.follow.followed import ENTRIES, TILES
from monitor.state import State, make_state
from tests.follow_kit import followed
from tests.simulator import START_MS, Simulator

FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])
LARGE = Simulator()
for _ in range(6):
    LARGE.grow(97)


def frontier(sim, size):
    return Frontier().append(sim.tree.levels[0][: 32 * size])


@FORMS
@settings(max_examples=30, deadline=None)
@given(size=st.one_of(st.integers(0, 582), st.sampled_from([1, 255, 256, 257, 512, 581, 582])))
async def test_any_size_of_the_tree(form, size):
    assert await frontier_at(followed(LARGE, form), LARGE.head, size) == frontier(LARGE, size)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.data())
async def test_any_size_of_any_small_tree_by_audit_paths(count, data):
    sim = Simulator()
    sim.grow(count)
    size = data.draw(st.integers(1, count))
    assert await frontier_at(followed(sim, ENTRIES), sim.head, size) == frontier(sim, size)


async def test_another_entry_than_the_one_in_the_tree():
    sim = Simulator()
    sim.grow(50)
    head = sim.head
    sim.swap_entry(29)
    with pytest.raises(NotFoundError):  # the log cannot prove what is not in its tree
        await frontier_at(followed(sim, ENTRIES), head, 30)


async def test_a_tile_that_rots():
    sim = Simulator()
    sim.grow(600)
    await sim.rot("tile/0/001", 7)
    with pytest.raises(ProofError):
        await frontier_at(followed(sim, TILES), sim.head, 300)


@pytest.mark.parametrize("answer", [
    b"", b"[]", b"{}", b'{"leaf_index":3,"audit_path":[1]}', b'{"leaf_index":true}',
    b'{"leaf_index":-1,"audit_path":[]}', b'{"leaf_index":9e9,"audit_path":[]}',
])  # fmt: skip
async def test_no_answer_is_the_network_s_fault(answer):
    sim = Simulator()
    sim.grow(10)

    async def get(path, *, limit=0):
        return answer

    sim.get = get
    with pytest.raises(TransportError):
        await proof_by_hash(followed(sim, ENTRIES), sim.head, bytes(32))


@FORMS
@pytest.mark.parametrize("at", [0, 1, 5, 299])
async def test_the_first_entry_of_a_date(form, at):
    sim = Simulator()
    for _ in range(300):
        sim.now_ms += 3_600_000
        sim.tree.leaves.append(sim.entry(len(sim.tree.leaves)))
    sim.grow(0)
    slack = 0 if form == TILES else SLACK_MS
    log = followed(sim, form)
    when = sim.tree.leaves[at].timestamp_ms + slack
    assert await first_since(log, sim.head, when) == at
    assert await first_since(log, sim.head, when - 1) == at
    assert await first_since(log, sim.head, sim.now_ms + slack + 1) == 300
    assert len(sim.requests) < 40 * 3


@FORMS
async def test_begin(form, tmp_path):
    make_state(tmp_path, START_MS)
    async with State.open(tmp_path) as state:
        sim = Simulator()
        sim.grow(300)
        log = followed(sim, form)
        row = await begin(log, state, NEWEST, sim.now_ms)
        assert row.start == 300
        assert row.position.frontier == row.position.proven == frontier(sim, 300)
        assert row.position.trusted == sim.head.note
        sim.grow(10)
        assert await begin(log, state, FIRST, sim.now_ms) == row  # it goes on where it was


async def test_begin_at_the_first_needs_no_network(tmp_path):
    make_state(tmp_path, START_MS)
    async with State.open(tmp_path) as state:
        sim = Simulator()
        row = await begin(followed(sim, TILES), state, FIRST, START_MS)
        assert (row.start, row.position.trusted, sim.requests) == (0, None, [])


@FORMS
async def test_begin_at_a_date(form, tmp_path):
    make_state(tmp_path, START_MS)
    async with State.open(tmp_path) as state:
        sim = Simulator()
        for _ in range(20):
            sim.now_ms += SLACK_MS
            sim.grow(10)
        row = await begin(followed(sim, form), state, START_MS + 10 * SLACK_MS, sim.now_ms)
        assert row.start == (90 if form == TILES else 80)
        assert row.position.frontier == frontier(sim, row.start)


@FORMS
async def test_whoever_begins_at_the_newest_has_met_the_log(tmp_path, form):
    """Else its row would say for a moment that there is not one head of it."""
    sim = Simulator()
    sim.grow(50)
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as state:
        row = await begin(followed(sim, form), state, NEWEST, sim.now_ms)
    assert (row.head_size, row.head_ms, row.last_contact_ms) == (50, sim.head.timestamp_ms, sim.now_ms)
