"""monitor.state.audits: SCTs are kept until they are settled, tasks until they are done."""

import pytest

from monitor.state import State, make_state
from monitor.state.rows import SctRow
from tests.state_values import alert

NOW = 1_790_000_000_000
LOG = bytes(32)


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as opened:
        yield opened


def sct(name, timestamp_ms=NOW, log_id=LOG):
    return SctRow(name, log_id, b"sct", b"entry", timestamp_ms, 4, "handed in", NOW, "waiting", "", None)


async def test_known_ones_are_not_taken_twice(state):
    assert await state.audits.add([sct("b", NOW + 1), sct("a"), sct("a")]) == 2
    assert await state.audits.add([sct("b", NOW + 1), sct("c", log_id=bytes([1]) * 32)]) == 1
    assert [row.id for row in await state.audits.waiting(LOG)] == ["a", "b"]
    assert [row.id for row in await state.audits.waiting(LOG, before_ms=NOW + 1)] == ["a"]


async def test_settled_with_its_alert(state):
    await state.audits.add([sct("a"), sct("b")])
    assert await state.audits.settle([("a", "broken", "another entry")], NOW + 1, [alert()]) == ["a-0123"]
    (row,) = await state.audits.find(status="broken")
    assert (row.id, row.detail, row.checked_ms) == ("a", "another entry", NOW + 1)
    assert [row.id for row in await state.audits.waiting(LOG)] == ["b"]
    with pytest.raises(Exception, match="NOT NULL"):
        await state.audits.settle([("b", "broken", "")], NOW, [alert("b", summary=None)])
    assert [row.id for row in await state.audits.waiting(LOG)] == ["b"]


async def test_tasks_go_on_where_they_were(state):
    first = await state.audits.add_task("backfill", b"home", NOW)
    await state.audits.add_task("backfill", b"office", NOW)
    await state.audits.note_task(first, b"17", NOW)
    assert [(task.spec, task.progress) for task in await state.audits.tasks()] == [(b"home", b"17"), (b"office", b"")]
    await state.audits.note_task(first, b"20", NOW + 1, done=True)
    assert [task.spec for task in await state.audits.tasks()] == [b"office"]
    assert len(await state.audits.tasks(open_only=False)) == 2


async def test_what_was_found_again_is_one_step(state):
    new, row = [alert(), alert("b", summary=None)], sct("a")
    with pytest.raises(Exception, match="NOT NULL"):
        await state.audits.store_found(new, NOW, baselines={"home": b"p"}, scts=[row], issuers=["one"])
    assert await state.answers.baselines() == {}
    assert await state.audits.store_found(new[:1], NOW, baselines={"home": b"p"}, scts=[row]) == ["a-0123"]
    assert await state.answers.baselines() == {"home": b"p"}
    assert await state.audits.waiting(LOG) == [row]
