"""monitor.state.alerts: one alert per id however often it is found; answers; reminders."""

import pytest

from ctlog.errors import NotFoundError
from monitor.state import State, make_state
from monitor.state.rows import ACKNOWLEDGED, AUTHORISED, NEW, RESOLVED, S1, SNOOZED
from tests.state_values import NOW, alert


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as opened:
        yield opened


async def test_a_second_finding_changes_nothing_but_the_count(state):
    assert await state.alerts.raise_all([alert()], NOW) == ["a-0123"]
    assert await state.alerts.raise_all([alert(log_index=9, summary="other")], NOW + 5) == []
    row = await state.alerts.get("a-0123")
    assert (row.summary, row.times_seen, row.created_ms, row.last_seen_ms) == ("a summary", 2, NOW, NOW + 5)
    assert row.rules == ("T-01", "T-03")
    assert row.log_index == 7
    assert [(each.log_index, each.proven) for each in await state.alerts.sightings("a-0123")] == [(7, None), (9, None)]
    assert [row.channel for row in await state.outbox.due(NOW)] == ["mail", "file"]


async def test_a_new_channel_is_told_of_a_known_alert(state):
    await state.alerts.raise_all([alert(channels=("mail",))], NOW)
    await state.alerts.raise_all([alert(channels=("mail", "hook"))], NOW + 1)
    assert [row.channel for row in await state.outbox.due(NOW + 1)] == ["mail", "hook"]


async def test_all_of_them_or_none(state):
    with pytest.raises(Exception, match="NOT NULL"):
        await state.alerts.raise_all([alert(), alert("b", summary=None)], NOW)
    assert await state.alerts.find() == []
    assert await state.outbox.due(NOW) == []


async def test_the_beginning_of_an_id_is_enough_where_it_says_which(state):
    await state.alerts.raise_all([alert("one"), alert("two"), alert("twofold"), alert("%")], NOW)
    assert (await state.alerts.get("one")).id == "one-0123"
    assert (await state.alerts.get("two-0123")).id == "two-0123"
    with pytest.raises(NotFoundError, match="several alerts begin with two"):
        await state.alerts.get("two")
    for nothing in ("three", "", "_"):
        with pytest.raises(NotFoundError, match="there is no alert"):
            await state.alerts.get(nothing)


async def test_find_by_what_one_asks(state):
    await state.alerts.raise_all([alert("a"), alert("b", item="office")], NOW)
    await state.alerts.raise_all([alert("c", kind="health", thread="x")], NOW + 10)
    assert [row.id[0] for row in await state.alerts.find()] == ["c", "a", "b"]
    assert [row.id[0] for row in await state.alerts.find(item="office")] == ["b"]
    assert [row.id[0] for row in await state.alerts.find(kind="health", status=NEW)] == ["c"]
    assert [row.id[0] for row in await state.alerts.find(thread="th", limit=1)] == ["a"]
    assert [row.id[0] for row in await state.alerts.find(since_ms=NOW + 1)] == ["c"]
    assert [row.id[0] for row in await state.alerts.find(limit=1, skip=1)] == ["a"]
    assert [row.id[0] for row in await state.alerts.find(of="office")] == ["b"]
    assert [row.id[0] for row in await state.alerts.find(worst=0)] == []
    assert len(await state.alerts.find(worst=S1)) == 3
    assert await state.alerts.known(["a-0123", "z"]) == {"a-0123"}
    assert await state.alerts.count() == {(S1, NEW): 3}


async def test_acknowledged(state):
    await state.alerts.raise_all([alert()], NOW)
    row = await state.alerts.acknowledge("a-0", "me", "mine")
    assert (row.status, row.status_by, row.status_note) == (ACKNOWLEDGED, "me", "mine")
    assert await state.alerts.find(status=NEW) == []


async def test_snoozed_until_it_wakes_and_reminds(state):
    await state.alerts.raise_all([alert()], NOW)
    first, second = await state.outbox.due(NOW)
    await state.outbox.mark_sent([first.id], NOW)
    assert (await state.alerts.snooze("a-0123", NOW + 100, "me", "")).status == SNOOZED
    assert await state.outbox.due(NOW + 99) == []
    assert await state.alerts.wake(NOW + 99) == []
    assert await state.alerts.wake(NOW + 100) == ["a-0123"]
    assert (await state.alerts.get("a-0123")).status == NEW
    # The message that never went out goes out now, and who had it is reminded.
    assert [(row.channel, row.kind) for row in await state.outbox.due(NOW + 100)] == [
        (second.channel, "alert"), (first.channel, "reminder")]  # fmt: skip
    assert await state.alerts.wake(NOW + 200) == []


async def test_authorised_afterwards_and_beforehand(state):
    await state.alerts.raise_all([alert()], NOW)
    await state.alerts.mark_authorised("a-0123", "me", "ours")
    assert await state.outbox.due(NOW) == []
    assert [row.status for row in await state.outbox.of_alert("a-0123")] == ["cancelled", "cancelled"]
    await state.alerts.raise_all([alert("b", answered=AUTHORISED)], NOW)
    assert (await state.alerts.get("b-0123")).status == AUTHORISED
    assert await state.outbox.due(NOW) == []


async def test_what_was_over_and_comes_back_is_told_again(state):
    await state.alerts.raise_all([alert()], NOW)
    await state.outbox.mark_sent([row.id for row in await state.outbox.due(NOW)], NOW)
    assert await state.alerts.resolve("a-0123", NOW + 1)
    assert not await state.alerts.resolve("a-0123", NOW + 2)
    assert (await state.alerts.get("a-0123")).status == RESOLVED
    assert await state.alerts.raise_all([alert(summary="again")], NOW + 3) == ["a-0123"]
    row = await state.alerts.get("a-0123")
    assert (row.status, row.summary, row.times_seen) == (NEW, "again", 2)
    assert [row.kind for row in await state.outbox.due(NOW + 3)] == ["reminder", "reminder"]
