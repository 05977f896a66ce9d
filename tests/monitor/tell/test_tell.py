"""monitor.tell: the door, as its docstring shows it."""

import asyncio

from monitor.tell import Teller, check_channel, make_channels
from tests.tell_kit import MORNING, Said, alert, opened, put


async def test_from_a_table_to_a_line_in_a_file(tmp_path):
    tables = {"file": {"kind": "file", "path": "alerts.jsonl"}, "mail": {"kind": "stdout"}}
    for name, table in tables.items():
        check_channel(name, table)
    channels = make_channels({"file": tables["file"]}, tmp_path)
    async with opened(tmp_path) as state:
        await put(state, alert("a", channels=("file",), log_id=b""))
        task = asyncio.create_task(Teller(state, lambda: channels, lambda: MORNING, Said()).run())
        for _ in range(5000):
            if (await state.outbox.counts()).get("sent") == 1:
                break
            await asyncio.sleep(0.002)
        task.cancel()
    assert '"id":"a-0123"' in (tmp_path / "alerts.jsonl").read_text()
