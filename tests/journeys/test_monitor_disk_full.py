"""A real disk that is full under a monitor: it says so and goes on, and with room again every certificate is told.

The disk is a small tmpfs, so this needs to be root (or a machine that lets users mount); elsewhere it is left out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cert_sim import CertSim
from tests.daemon_kit import DaemonKit
from tests.tools import missing, tool

NUMBERS = ", ".join(f'"+1202555{number:04d}"' for number in range(40))
WATCH = f'[[watch]]\nname = "home"\ntell = ["out"]\nnumbers = [{NUMBERS}]\n'


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = [tool("mount"), "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(mounted)]
    if subprocess.run(mount, capture_output=True).returncode:
        missing("a tmpfs cannot be mounted here")
    yield mounted
    subprocess.run([tool("umount"), "-l", str(mounted)], check=True)


async def test_a_full_disk_under_a_monitor(disk, monkeypatch):
    sim = CertSim()
    kit = DaemonKit(disk, sim, watch=WATCH, monkeypatch=monkeypatch)
    ballast = disk / "ballast"

    def fill():
        with ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    async with kit.running():
        sim.add(0)
        await kit.until(lambda: len(kit.told()) == 1)
        fill()
        for number in range(1, 40):
            sim.add(number, serial=number)

        def is_said():
            fill()  # what the monitor could use is taken again
            return any("full" in sentence for level, _, sentence in kit.said if level in ("error", "warning"))

        await kit.until(is_said)
    ballast.unlink()
    async with kit.running():  # it was stopped while the disk was full, and has lost nothing
        wanted = {f"+1202555{number:04d}" for number in range(40)}
        await kit.until(lambda: {each["item"]["text"] for each in kit.told() if each.get("item")} == wanted)
        assert await kit.alerts(kind="misbehaviour") == []
