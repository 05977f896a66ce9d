"""A real disk that is full, at any moment of a log's life: nothing is lost, and with room again the log goes on.

The disk is a small tmpfs, so this needs to be root (or a machine that lets users mount); elsewhere it is left out.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ctlog.errors import BusyError, CtlogError
from ctlog.sequencer.log import Log
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner
from ctlog.store.embedded import open_shelves
from tests.check_log import Keys, check_log, folder_objects
from tests.journeys import writer
from tests.log_kit import FORM, ORIGIN, SEED, pending
from tests.tools import missing, tool

pytestmark = pytest.mark.trial

SIGNER = SeedSigner(ORIGIN, SEED)
KEYS = Keys(ORIGIN, SIGNER.key, SIGNER.checkpoint_key)
BEFORE = 250


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB and 400 inodes."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = [tool("mount"), "-t", "tmpfs", "-o", "size=16m,nr_inodes=400", "tmpfs", str(mounted)]
    if subprocess.run(mount, capture_output=True).returncode:
        missing("a tmpfs cannot be mounted here")
    yield mounted
    subprocess.run([tool("umount"), "-l", str(mounted)], check=True)


async def submit(
    folder: Path, heads: Path, numbers: range, at_once: int = 5, **settings: object
) -> dict[int, Sequenced | CtlogError]:
    """Start the log, submit these in batches, end it somehow."""
    shelves = await open_shelves(folder, heads, SIGNER.log_id)
    answers: dict[int, Sequenced | CtlogError] = {}
    try:
        chosen = replace(writer.SETTINGS, **settings)  # type: ignore[arg-type]
        log = await Log.open(shelves, SIGNER, FORM, clock=writer.clock_ms, settings=chosen)
        running = asyncio.create_task(log.run())
        for first in range(numbers.start, numbers.stop, at_once):
            batch = range(first, min(first + at_once, numbers.stop))
            places = (log.add(pending(number, size=3000)) for number in batch)
            for number, answer in zip(batch, await asyncio.gather(*places, return_exceptions=True), strict=True):
                assert isinstance(answer, Sequenced | CtlogError), repr(answer)
                answers[number] = answer
        await log.close()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        with suppress(CtlogError):
            await shelves.close()
    return answers


def fill(disk: Path, leave: int, inodes: bool) -> None:
    """Take all room but `leave` (KiB, or inodes)."""
    (disk / "filler").mkdir()
    if inodes:
        for number in range(os.statvfs(disk).f_favail - leave):
            (disk / "filler" / str(number)).touch()
    else:
        with (disk / "filler" / "file").open("wb") as file:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            os.posix_fallocate(file.fileno(), 0, free - leave * 1024)


@pytest.mark.parametrize("inodes", [False, True], ids=["bytes", "inodes"])
def test_a_log_survives_a_full_disk(disk: Path, inodes: bool) -> None:
    folder, heads = disk / "log", disk / "heads.sqlite"
    asyncio.run(writer.make(folder, heads))
    held = asyncio.run(submit(folder, heads, range(BEFORE), BEFORE))
    assert all(isinstance(answer, Sequenced) for answer in held.values())
    shutil.copytree(disk, disk.parent / "template")
    failed = 0
    for leave in range(1, 60, 2) if inodes else range(8, 3000, 100):
        for name in ("log", "heads.sqlite", "heads.sqlite-wal", "heads.sqlite-shm"):
            path = disk / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        shutil.copytree(disk.parent / "template", disk, dirs_exist_ok=True)
        fill(disk, leave, inodes)
        told: dict[int, Sequenced | CtlogError] = {}
        with suppress(CtlogError):
            told = asyncio.run(submit(folder, heads, range(BEFORE, BEFORE + 20)))
        failed += not all(isinstance(answer, Sequenced) for answer in told.values()) or not told
        shutil.rmtree(disk / "filler")
        again = asyncio.run(submit(folder, heads, range(BEFORE + 20), BEFORE + 20))
        places = {number: answer for number, answer in again.items() if isinstance(answer, Sequenced)}
        assert len(places) == BEFORE + 20, f"with room again it does not go on ({leave} were left)"
        for number, answer in {**held, **told}.items():
            assert not isinstance(answer, Sequenced) or places[number] == answer
        check_held_large(places, folder)
    assert failed > 5


def check_held_large(places: dict[int, Sequenced], folder: Path) -> None:
    checked = check_log(folder_objects(folder / "public"), KEYS)
    assert len({place.index for place in places.values()}) == len(places) == checked.head.size
    for number, place in places.items():
        assert checked.entries[place.index].entry == pending(number, size=3000).entry


def test_short_of_room_it_refuses_before_the_disk_is_full(disk: Path) -> None:
    folder, heads = disk / "log", disk.parent / "heads.sqlite"
    asyncio.run(writer.make(folder, heads))
    answers = asyncio.run(submit(folder, heads, range(5), min_free_bytes=15 << 20))
    assert all(isinstance(answer, Sequenced) for answer in answers.values())
    fill(disk, 2000, inodes=False)
    answers = asyncio.run(submit(folder, heads, range(10), min_free_bytes=4 << 20))
    assert all(isinstance(answer, BusyError) and answer.reason == "no-room" for answer in answers.values())
    assert check_log(folder_objects(folder / "public"), KEYS).head.size == 5
