"""tests.serving: what a test has started ends with it, also where the test is killed and no `finally` of it runs."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from ctlog.cli.demo import make_authority
from tests.serving import command, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")

A_TEST = """
import subprocess, sys
from pathlib import Path
from tests.serving import Serving, leashed
log, other = Serving(Path(sys.argv[1])), subprocess.Popen(leashed("sleep", "600"))
print(log.process.pid, other.pid, flush=True)
sys.stdin.read()
"""


def test_whoever_is_killed_takes_its_processes_along(tmp_path: Path) -> None:
    make_authority(tmp_path / "ca")
    command("create", tmp_path / "log", "--origin", "log.example/1", "--roots", tmp_path / "ca/root.pem")
    with subprocess.Popen([sys.executable, "-c", A_TEST, str(tmp_path / "log")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=environment()) as victim:  # fmt: skip
        assert victim.stdout is not None
        ends = [os.pidfd_open(int(pid)) for pid in victim.stdout.readline().split()]
        assert len(ends) == 2
        assert select.select(ends, [], [], 0) == ([], [], [])  # both are alive
        victim.kill()
    try:
        for end in ends:
            assert select.select([end], [], [], 30)[0] == [end]
    finally:
        for end in ends:
            os.close(end)
