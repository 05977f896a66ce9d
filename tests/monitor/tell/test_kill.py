"""A real process, killed by kill -9 between sending and noting it: it sends again after its start, with the same id."""

import subprocess
import sys

from tests.floor_plan import ROOT
from tests.tell_kit import mailed, opened, put

PROGRAM = """
import asyncio, sys
from pathlib import Path
from ctlog.client.follow import system_now_ms
from monitor.state import State
from monitor.tell import Teller, make_channels

async def main(folder):
    tables = {"mail": {"kind": "command", "command": ["sh", "hook.sh"]}}
    channels = make_channels(tables, folder)
    async with State.open(folder) as state:
        teller = Teller(state, lambda: channels, system_now_ms, lambda *said: print(*said, flush=True))
        task = asyncio.create_task(teller.run())
        while (await state.outbox.counts()).get("waiting"):
            await asyncio.sleep(0.01)
        task.cancel()

asyncio.run(main(Path(sys.argv[1])))
"""

HOOK = """
echo "$CTLOG_MESSAGE $CTLOG_ALERT" >> told
if [ "$(wc -l < told)" -le 2 ]; then kill -9 $PPID; fi
"""


async def test_killed_twice_while_it_sends(tmp_path):
    (tmp_path / "hook.sh").write_text(HOOK)
    async with opened(tmp_path) as state:
        await put(state, mailed("a"), mailed("b"))

    def run():
        line = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert run().returncode == -9
    assert run().returncode == -9
    last = run()
    assert last.returncode == 0, last.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[1] for line in told] == ["a-0123", "a-0123", "a-0123", "b-0123"]
    assert len(set(told)) == 2
    async with opened(tmp_path) as state:
        assert await state.outbox.counts() == {"sent": 2}
