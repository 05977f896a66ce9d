"""monitor.state.logs: a position and what was found on the way are one step; heads are kept until they are met."""

import pytest

from ctlog.errors import StoreError
from ctlog.merkle.tree import Frontier
from monitor.state import State, make_state
from monitor.state.logs import SETTING_UP_MS
from monitor.state.rows import CONSISTENT, MET, UNVERIFIED, Gap, Position, SctRow
from tests.simulator import Simulator
from tests.state_values import NOW, alert

SIM = Simulator()
LOG = SIM.policy.key.log_id
HEAD = SIM.grow(300)


def position(size, proven=None, **changes):
    """A position whose frontiers are those of the simulator's tree."""
    hashes = SIM.tree.levels[0]
    proven = size if proven is None else proven
    return Position(Frontier().append(hashes[: 32 * size]), Frontier().append(hashes[: 32 * proven]), **changes)


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as opened:
        await opened.logs.add(LOG, "sim", "https://sim.example/", Position(), NOW)
        yield opened


async def test_a_log_is_added_once(state):
    with pytest.raises(StoreError, match="followed already"):
        await state.logs.add(LOG, "other", "", Position(), NOW)
    (row,) = await state.logs.all()
    assert (row.name, row.start, row.position) == ("sim", 0, Position())
    assert await state.logs.get(bytes(32)) is None
    await state.logs.rename(LOG, "new", "https://new.example/")
    assert (await state.logs.get(LOG)).name == "new"


async def test_position_comes_back_as_it_was(state):
    there = position(257, 256, met=b"note", trusted=HEAD.note)
    await state.logs.advance(LOG, there, [], NOW)
    assert (await state.logs.get(LOG)).position == there


async def test_position_and_alerts_are_one_step(state):
    new = alert(log_id=LOG, log_index=12)
    with pytest.raises(StoreError):
        await state.logs.advance(LOG, position(100), [new, alert("b", summary=None)], NOW)
    assert (await state.logs.get(LOG)).position.frontier.size == 0
    assert await state.alerts.find() == []
    sct = SctRow("s", LOG, b"", b"", NOW, None, "entry", NOW, "waiting", "", None)
    gap = Gap(LOG, 10, 20, "missing-data", NOW, NOW)
    await state.logs.see(LOG, HEAD, "", NOW)
    got = await state.logs.advance(
        LOG, position(100), [new], NOW, baselines={"home": b"p"}, scts=[sct, sct], gap=gap, met=[HEAD]
    )
    assert got == [new.id]
    assert (await state.logs.get(LOG)).position.frontier.size == 100
    assert await state.answers.baselines() == {"home": b"p"}
    assert await state.audits.waiting(LOG) == [sct]
    assert await state.logs.gaps(LOG) == [gap]
    assert [row.state for row in await state.logs.heads(LOG)] == [MET]
    assert await state.logs.advance(LOG, position(100), [new], NOW) == []


async def test_alerts_become_proven_when_the_position_is(state):
    found = [alert(str(at), log_id=LOG, log_index=at) for at in (5, 9, 20)]
    await state.logs.advance(LOG, position(21, 0), found, NOW)
    assert [row.proven for row in await state.alerts.find()] == [None, None, None]
    assert (await state.logs.get(LOG)).unproven_since_ms == NOW
    await state.logs.advance(LOG, position(21, 10), [], NOW + 1)
    assert [(await state.alerts.get(f"{at}-0123")).proven for at in (5, 9, 20)] == [10, 10, None]
    assert (await state.alerts.sightings("5-0123"))[0].proven == 10
    assert (await state.logs.get(LOG)).unproven_since_ms == NOW
    await state.logs.advance(LOG, position(30), [], NOW + 2)
    assert [(await state.alerts.get(f"{at}-0123")).proven for at in (5, 9, 20)] == [10, 10, 30]
    assert (await state.logs.get(LOG)).unproven_since_ms is None


async def test_going_back_leaves_nothing_proven_that_was_only_seen(state):
    seen = alert(log_id=LOG, log_index=15)
    await state.logs.advance(LOG, position(20, 10), [seen], NOW)
    await state.logs.advance(LOG, position(10), [], NOW)
    await state.logs.advance(LOG, position(30), [], NOW)
    row = await state.alerts.get(seen.id)
    assert (row.log_index, row.proven) == (None, None)
    assert await state.alerts.sightings(seen.id) == []
    await state.logs.advance(LOG, position(20, 10), [alert(log_id=LOG, log_index=16)], NOW)
    await state.logs.advance(LOG, position(30), [], NOW)
    row = await state.alerts.get(seen.id)
    assert (row.log_index, row.proven) == (16, 30)


async def test_gaps(state):
    one, other = Gap(LOG, 10, 20, "missing-data", NOW, NOW), Gap(LOG, 40, 45, "bad-entries", NOW, NOW)
    for gap in (other, one):
        await state.logs.advance(LOG, position(gap.hi), [], NOW, gap=gap)
    assert await state.logs.gaps() == [one, other]
    await state.logs.tried(one, NOW + 9)
    assert (await state.logs.gaps(LOG))[0] == one._replace(tried_ms=NOW + 9)
    await state.logs.fill(one)
    assert await state.logs.gaps(LOG) == [other]


async def test_what_is_trusted_changes_with_the_head(state):
    await state.logs.see(LOG, HEAD, "", NOW)
    await state.logs.judge(LOG, HEAD, CONSISTENT, HEAD.note)
    assert (await state.logs.get(LOG)).position.trusted == HEAD.note


async def test_an_unknown_log_cannot_advance(state):
    with pytest.raises(StoreError, match="not followed"):
        await state.logs.advance(bytes(32), position(1), [alert()], NOW)
    assert await state.alerts.find() == []


async def test_contact(state):
    await state.logs.failed(LOG, "no route", NOW)
    await state.logs.failed(LOG, "timeout", NOW + 5)
    row = await state.logs.get(LOG)
    assert (row.failing_since_ms, row.last_error, row.last_contact_ms) == (NOW, "timeout", None)
    await state.logs.answered(LOG, HEAD, NOW + 9)
    await state.logs.failed(LOG, "", NOW + 9)
    row = await state.logs.get(LOG)
    assert (row.failing_since_ms, row.last_error, row.last_contact_ms) == (None, "", NOW + 9)
    assert (row.head_size, row.head_ms) == (300, HEAD.timestamp_ms)
    older = SIM.sign(200, at_ms=HEAD.timestamp_ms - 5)
    await state.logs.answered(LOG, older, NOW + 10)
    assert (await state.logs.get(LOG)).head_size == 300


async def test_every_head_is_kept_until_it_is_met(state):
    small, large = SIM.sign(100, at_ms=5), SIM.sign(300, at_ms=9)
    first = await state.logs.see(LOG, large, "the log", NOW)
    again = await state.logs.see(LOG, large, "a friend", NOW + 5)
    assert first == again
    assert (first.size, first.note, first.source, first.state) == (300, large.note, "the log", UNVERIFIED)
    await state.logs.see(LOG, small, "the log", NOW)
    assert [row.size for row in await state.logs.heads(LOG)] == [100, 300]
    await state.logs.judge(LOG, small, MET)
    await state.logs.judge(LOG, large, CONSISTENT)
    assert [row.size for row in await state.logs.heads(LOG, MET, CONSISTENT)] == [100, 300]
    await state.logs.advance(LOG, position(150), [], NOW)
    assert await state.logs.forget_heads(LOG, NOW) == 0
    assert await state.logs.forget_heads(LOG, NOW + 1) == 1  # the larger one is not rebuilt yet
    assert [row.size for row in await state.logs.heads(LOG)] == [300]


async def test_an_accusation_is_stored_with_its_alert(state):
    assert await state.logs.accuse(LOG, "fork.txt", [alert(log_id=LOG, log_index=None)], NOW) == ["a-0123"]
    assert (await state.logs.get(LOG)).accused == "fork.txt"
    assert await state.alerts.sightings("a-0123") == []


async def test_a_log_joins_others_that_were_read_a_day_before(state):
    """Those that begin together, or on the day on which everything is set up, are the first."""
    one, two, three, four = (bytes([number]) * 32 for number in (1, 2, 3, 4))
    for log_id, at_ms in ((one, NOW), (two, NOW + 5)):
        await state.logs.add(log_id, "log", "", Position(), at_ms)
        assert not await state.logs.is_ready(log_id)
    await state.logs.ready(one, NOW + 3)
    await state.logs.ready(one, NOW + SETTING_UP_MS)  # it was so since the first time
    await state.logs.add(three, "log", "", Position(), NOW + 3 + SETTING_UP_MS)
    await state.logs.add(four, "log", "", Position(), NOW + 4 + SETTING_UP_MS)
    assert await state.logs.is_ready(one)
    assert [await state.logs.joined_ms(each) for each in (one, two, three, four)] == [0, 0, 0, NOW + 4 + SETTING_UP_MS]
    assert await state.logs.joined_ms(bytes(32)) == 0
