"""monitor.state: the whole of it survives being closed."""

from monitor.state import State, make_state
from monitor.state.rows import Position
from tests.state_values import LOG, NOW, alert


async def test_what_was_stored_is_there_after_a_restart(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as state:
        await state.logs.add(LOG, "log", "", Position(), NOW)
        await state.alerts.raise_all([alert()], NOW)
        assert state.folder == tmp_path
    async with State.open(tmp_path) as state:
        assert [row.name for row in await state.logs.all()] == ["log"]
        assert [row.id for row in await state.alerts.find()] == ["a-0123"]
        assert len(await state.outbox.due(NOW)) == 2
