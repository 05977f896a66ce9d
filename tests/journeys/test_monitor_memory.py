"""One million numbers and 200,000 ranges in under 500 MB: the whole monitor as a process, at its start and while the
watch list is read again, when there are two of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.daemon import HISTORY
from monitor.history import make_history
from monitor.state import make_state
from tests.journeys.test_monitor_kill import Watching, wait_until

LIMIT_KB = 500_000
IN_FORCE = "1,200,000 items are watched, 1,200,000 of them newly"


def write_watch_list(path: Path, groups: int, shift: int) -> None:
    """As many customers, each with 1,000 numbers and 200 ranges."""
    with path.open("w") as file:
        for group in range(groups):
            first = 2_000_000_000 + group * 1_000_000 + shift
            numbers = ",\n".join(f'"+1{first + 997 * at}"' for at in range(1000))
            ranges = ",\n".join(f'"+1{first + 5000 * at} to +1{first + 5000 * at + 99}"' for at in range(200))
            file.write(f'[[watch]]\nname = "customer {group}"\nnumbers = [{numbers}]\nranges = [{ranges}]\n')


def peak_kb(process: subprocess.Popen[str]) -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.trial
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
def test_a_million_numbers(tmp_path: Path) -> None:
    (tmp_path / "monitor.toml").write_text(
        'contact = "me@example.com"\nlisten = ""\n[channels.out]\nkind = "file"\npath = "out.jsonl"\n'
    )
    write_watch_list(tmp_path / "watch.toml", 1000, 0)
    make_state(tmp_path / "state", 0)
    make_history(tmp_path / "state" / HISTORY)
    monitor = Watching(tmp_path)
    try:
        for shift in range(2):
            if shift:
                write_watch_list(tmp_path / "watch.toml", 1000, shift)
            wait_until(lambda shift=shift: sum(IN_FORCE in line for line in monitor.said) > shift, 300)
            assert monitor.process.poll() is None, monitor.said
            assert sum(IN_FORCE in line for line in monitor.said) == shift + 1
            assert peak_kb(monitor.process) < LIMIT_KB
        wait_until(lambda: any(" watches " in line for line in monitor.said), 60)
        assert monitor.stop() == 0
    except BaseException:
        monitor.kill()
        raise
