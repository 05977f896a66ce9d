"""monitor.follow.heads: every head is stored first, compared with all others, and trusted only when it was shown."""

import pytest

from ctlog.errors import SignatureError, TransportError
from monitor.follow.begin import FIRST, begin
from monitor.follow.followed import ENTRIES, TILES
from monitor.follow.heads import KEEP_MS, Heads
from monitor.follow.misbehaviour import Accuser
from monitor.state import State, make_state
from monitor.state.rows import CONSISTENT, CONTRADICTS, MISBEHAVIOUR, UNVERIFIED
from tests.follow_kit import followed
from tests.simulator import Simulator

FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as opened:
        yield opened


async def made(state, sim, form=TILES):
    log = followed(sim, form)
    await begin(log, state, FIRST, sim.now_ms)
    return await Heads.resume(log, state, Accuser(state, state.folder / "evidence", lambda: ("ops",)))


async def states(state, sim):
    return [(row.size, row.state) for row in await state.logs.heads(sim.policy.key.log_id)]


async def lies(state):
    return [alert.rule for alert in await state.alerts.find(kind=MISBEHAVIOUR)]


@FORMS
async def test_larger_equal_and_older(state, form):
    sim = Simulator()
    first, second = sim.grow(100), sim.grow(200)
    again = sim.sign(300)
    heads = await made(state, sim, form)
    for head in (first, second, again, first):
        await heads.take(head, "the log", sim.now_ms)
    assert heads.trusted.head == again
    assert await states(state, sim) == [(100, CONSISTENT), (300, CONSISTENT), (300, CONSISTENT)]
    older = sim.sign(150, at_ms=first.timestamp_ms + 1)
    await heads.take(older, "a cache", sim.now_ms)
    assert heads.trusted.head == again
    assert (150, CONSISTENT) in await states(state, sim)
    assert await lies(state) == []
    assert (await state.logs.get(sim.policy.key.log_id)).position.trusted == again.note


@FORMS
async def test_a_fork(state, form):
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(100), "", sim.now_ms)
    trusted = heads.trusted
    await heads.take(sim.fork(3), "", sim.now_ms)
    assert heads.trusted is trusted
    assert await lies(state) == ["log-fork"]
    assert [head.size for head in heads.liars] == [100]
    assert sorted(await states(state, sim)) == [(100, CONSISTENT), (100, CONTRADICTS)]


@FORMS
async def test_a_rewritten_past(state, form):
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(100), "", sim.now_ms)
    await heads.take(sim.rewrite(3, 50), "", sim.now_ms)
    assert await lies(state) == ["log-rewrite"]
    assert heads.trusted.head.size == 100


@FORMS
async def test_an_old_head_that_the_tree_does_not_continue(state, form):
    """A smaller head, handed in by somebody, with another root than the tree had at that size."""
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(100), "", sim.now_ms)
    await heads.take(sim.sign(60, at_ms=5, root=bytes(32)), "a friend", sim.now_ms)
    assert await lies(state) == ["log-rewrite"]


@FORMS
async def test_a_rollback_and_a_backdated_head(state, form):
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(100), "", sim.now_ms)
    await heads.take(sim.roll_back(60), "", sim.now_ms)
    assert await lies(state) == ["log-rollback"]
    assert heads.trusted.head.size == 100
    other = Simulator(secret=8)
    heads = await made(state, other, form)
    await heads.take(other.grow(100), "", other.now_ms)
    await heads.take(other.backdate(10, 50_000), "", other.now_ms)
    assert await lies(state) == ["log-rollback", "log-rollback"]


@FORMS
async def test_two_heads_that_were_never_verified_contradict_each_other(state, form):
    """The network failed for both, and yet their signatures alone convict."""
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(10), "", sim.now_ms)
    sim.grow(90)
    sim.fail("*", *[TransportError("no route")] * 50)
    await heads.take(sim.head, "", sim.now_ms)
    assert await lies(state) == []
    assert "no route" in heads.problem
    await heads.take(sim.fork(3), "", sim.now_ms)
    assert await lies(state) == ["log-fork"]
    await heads.take(sim.roll_back(50), "", sim.now_ms)
    assert sorted(await lies(state)) == ["log-fork", "log-rollback"]


@FORMS
async def test_trouble_with_the_network_is_no_lie(state, form):
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(10), "", sim.now_ms)
    sim.grow(90)
    sim.fail("*", *[TransportError("no route")] * 3)
    await heads.take(sim.head, "", sim.now_ms)
    assert await states(state, sim) == [(10, CONSISTENT), (100, UNVERIFIED)]
    await heads.settle(sim.now_ms)
    assert await states(state, sim) == [(10, CONSISTENT), (100, CONSISTENT)]
    assert heads.trusted.head.size == 100
    assert heads.problem == ""
    assert await lies(state) == []


@FORMS
async def test_consistency_that_is_not_shown_is_a_record_until_it_is(state, form):
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(600), "", sim.now_ms)
    sim.grow(300)
    path = "tile/1/000.p/3" if form == TILES else "ct/v1/get-sth-consistency?first=600&second=900"
    sim.withhold(path)
    await heads.take(sim.head, "", sim.now_ms)
    assert await lies(state) == ["log-missing-data" if form == TILES else "log-no-consistency"]
    assert (900, UNVERIFIED) in await states(state, sim)
    sim.missing.clear()
    await heads.settle(sim.now_ms)
    assert heads.trusted.head.size == 900
    if form == ENTRIES:
        assert (await state.alerts.find(kind=MISBEHAVIOUR))[0].status == "resolved"


async def test_a_head_from_the_future_waits(state):
    sim = Simulator()
    heads = await made(state, sim)
    head = sim.sign(0, at_ms=sim.now_ms + 3_600_000)
    await heads.take(head, "", sim.now_ms)
    assert heads.trusted.head is None
    assert heads.problem == "the head is dated 3600000 ms after our clock"
    await heads.settle(sim.now_ms + 3_600_000)
    assert heads.trusted.head == head
    assert await lies(state) == []


async def test_after_a_restart_what_was_trusted_still_is(state):
    sim = Simulator()
    heads = await made(state, sim)
    await heads.take(sim.grow(100), "", sim.now_ms)
    again = await made(state, sim)
    assert again.trusted.head == heads.trusted.head
    await again.take(sim.fork(1), "", sim.now_ms)
    assert await lies(state) == ["log-fork"]


async def test_a_state_whose_head_another_key_signed_is_refused(state):
    sim, other = Simulator(), Simulator(secret=9)
    heads = await made(state, sim)
    await heads.take(sim.grow(100), "", sim.now_ms)
    await state.logs.judge(sim.policy.key.log_id, sim.head, CONSISTENT, other.grow(3).note)
    with pytest.raises(SignatureError):
        await made(state, sim)


async def test_heads_of_an_idle_log_do_not_pile_up(state):
    sim = Simulator()
    heads = await made(state, sim)
    sim.grow(0)
    for minute in range(5):
        await heads.take(sim.sign(0), "", sim.now_ms + minute * KEEP_MS)
    assert len(await states(state, sim)) <= 2


# Heads from elsewhere -------------------------------------------------------------------------------------------------


async def hand_in(state, sim, head):
    return await state.logs.see(sim.policy.key.log_id, head, "by a friend", sim.now_ms)


@FORMS
async def test_a_head_from_elsewhere_is_compared_though_the_log_does_not_answer(state, form):
    """Its size is one that we know: two signatures convict, and nobody need be asked."""
    sim = Simulator()
    heads = await made(state, sim, form)
    await heads.take(sim.grow(100), "", sim.now_ms)
    other = Simulator()
    other.grow(100)
    await hand_in(state, sim, other.fork(3))
    sim.fail("*", *[TransportError("no route")] * 50)
    await heads.meet(sim.now_ms)
    assert await lies(state) == ["log-fork"]
    assert [head.root for head in heads.liars] == [other.head.root]
    await heads.meet(sim.now_ms)
    assert len(heads.liars) == 1


@FORMS
async def test_two_heads_from_elsewhere_and_nothing_from_the_log(state, form):
    sim, other = Simulator(), Simulator()
    heads = await made(state, sim, form)
    other.grow(50)
    for head in (sim.grow(50), other.fork(7)):
        await hand_in(state, sim, head)
    await heads.meet(sim.now_ms)
    assert await lies(state) == ["log-fork"]
    assert sorted(each for _, each in await states(state, sim)) == [CONTRADICTS, UNVERIFIED]


@FORMS
async def test_an_older_head_from_elsewhere_is_a_cache_s_or_a_rewrite(state, form):
    sim, other = Simulator(), Simulator()
    heads = await made(state, sim, form)
    old = sim.grow(60)
    other.grow(60)
    forged = other.fork(3)
    await heads.take(sim.grow(40), "", sim.now_ms)
    await hand_in(state, sim, old)
    await heads.meet(sim.now_ms)
    await heads.settle(sim.now_ms)
    assert (await lies(state), heads.problem) == ([], "")
    await hand_in(state, sim, sim.sign(60, at_ms=forged.timestamp_ms, root=forged.root))
    await heads.meet(sim.now_ms)
    await heads.settle(sim.now_ms)
    assert await lies(state) == ["log-fork"], "the old head of this size was kept"


@FORMS
async def test_a_larger_head_from_elsewhere_waits_for_the_log_no_longer_than_it_promised(state, form):
    """Another frontend may be ahead for a moment: that is neither trouble nor a lie."""
    sim, ahead = Simulator(), Simulator()
    heads = await made(state, sim, form)
    for each in (sim, ahead):
        each.grow(600)
    await heads.take(sim.head, "", sim.now_ms)
    larger = ahead.grow(300)
    await hand_in(state, sim, larger)
    await heads.meet(sim.now_ms)
    await heads.settle(sim.now_ms)
    assert (heads.problem, await lies(state)) == ("", [])
    assert heads.trusted.head.size == 600
    assert larger not in await heads.waiting(sim.now_ms)
    later = larger.timestamp_ms + sim.policy.mmd_ms
    await heads.settle(later)
    assert len(await lies(state)) == 1, "it had a day to show this tree"
    assert (900, UNVERIFIED) in await states(state, sim)
    sim.now_ms = ahead.now_ms
    sim.grow(300)
    await heads.take(sim.sign(900), "", later)
    await heads.settle(later)
    assert (await states(state, sim))[-1] == (900, CONSISTENT)
    assert heads.trusted.head.size == 900


@FORMS
async def test_a_split_view_is_proof_when_the_log_grows_past_it(state, form):
    sim, other = Simulator(), Simulator()
    heads = await made(state, sim, form)
    for each in (sim, other):
        each.grow(100)
    await heads.take(sim.head, "", sim.now_ms)
    await hand_in(state, sim, other.rewrite(3, 10))
    await heads.meet(sim.now_ms)
    await heads.settle(sim.now_ms)
    assert await lies(state) == []
    sim.now_ms = other.now_ms
    await heads.take(sim.grow(20), "", sim.now_ms)
    await heads.settle(sim.now_ms)
    assert await lies(state) == ["log-rewrite"]


async def test_liars_are_remembered(state):
    sim = Simulator()
    heads = await made(state, sim)
    await heads.take(sim.grow(100), "", sim.now_ms)
    first = sim.now_ms
    await heads.take(sim.fork(3), "", sim.now_ms)
    again = await made(state, sim)
    assert [head.root for head in await again.liars_since(first)] == [sim.head.root]
    assert await again.liars_since(sim.now_ms + 1) == []
