"""A log on a real disk: a flipped bit, a cut or a missing file is refused, or changes nothing that was promised.

And a process that is killed while it works, with a submitter who remembers what it was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctlog.errors import CtlogError, FatalError
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner
from tests.check_log import Keys, check_log, folder_objects
from tests.journeys import writer
from tests.log_kit import ORIGIN, SEED, check_held, pending

ROOT = Path(__file__).parents[2]
SIGNER = SeedSigner(ORIGIN, SEED)
KEYS = Keys(ORIGIN, SIGNER.key, SIGNER.checkpoint_key)
SIZE = 300


async def resubmit(folder: Path, heads: Path, numbers: range) -> dict[int, Sequenced | CtlogError]:
    """Start the log, submit these, stop it; raises what the start raises."""
    shelves, log = await writer.opened(folder, heads)
    running = asyncio.create_task(log.run())
    try:
        answers = await asyncio.gather(*(log.add(pending(number)) for number in numbers), return_exceptions=True)
        await log.close()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        await asyncio.gather(shelves.close(), return_exceptions=True)
    return {
        number: answer
        for number, answer in zip(numbers, answers, strict=True)
        if isinstance(answer, Sequenced | CtlogError)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Sequenced | CtlogError]]:
    """A log of 300 entries at rest, and what its submitters hold."""
    folder = tmp_path_factory.mktemp("whole")
    asyncio.run(writer.make(folder / "log", folder / "heads.sqlite"))
    asyncio.run(resubmit(folder / "log", folder / "heads.sqlite", range(SIZE - 20)))
    return folder, asyncio.run(resubmit(folder / "log", folder / "heads.sqlite", range(SIZE)))


def survives(folder: Path, held: dict[int, Sequenced | CtlogError]) -> str:
    """Start the damaged log. Nobody may be told anything else than before; what is damaged is refused or found."""
    try:
        answers = asyncio.run(resubmit(folder / "log", folder / "heads.sqlite", range(SIZE)))
    except CtlogError:
        return "refused"
    told = {number: answer for number, answer in answers.items() if isinstance(answer, Sequenced)}
    assert all(held[number] == place for number, place in told.items())
    assert all(isinstance(answer, FatalError) for answer in answers.values() if not isinstance(answer, Sequenced))
    try:
        checked = check_log(folder_objects(folder / "log" / "public"), KEYS)
    except Exception:
        return "found"
    assert checked.head.size == SIZE
    try:
        check_held(told, checked)
    except AssertionError as error:
        if "precertificate" in str(error):  # no hash covers it: fsck compares it with what was logged
            return "found"
        raise
    return "harmless" if len(told) == SIZE else "stopped"


def files(folder: Path) -> list[Path]:
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return sorted(found)


def test_a_flipped_bit_in_any_file(whole: tuple[Path, dict[int, Sequenced | CtlogError]], tmp_path: Path) -> None:
    source, held = whole
    dice = random.Random(11)
    outcomes: dict[str, set[str]] = {}
    for path in files(source):
        for _ in range(4):
            folder = tmp_path / "copy"
            shutil.copytree(source, folder)
            (folder / path).chmod(0o644)
            data = bytearray((folder / path).read_bytes())
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            (folder / path).write_bytes(data)
            outcomes.setdefault(path.as_posix(), set()).add(survives(folder, held))
            shutil.rmtree(folder)
    assert outcomes["log/public/checkpoint"] == {"refused"}
    assert outcomes["log/public/tile/0/001.p/44"] == {"refused"}
    assert outcomes["log/public/tile/0/000"] == {"found"}  # and nobody was given an SCT by it
    assert "harmless" not in outcomes["log/public/tile/data/001.p/44"]
    assert len(outcomes) > 12


def test_a_cut_or_missing_file(whole: tuple[Path, dict[int, Sequenced | CtlogError]], tmp_path: Path) -> None:
    source, held = whole
    outcomes: dict[str, list[str]] = {}
    for path in files(source):
        for cut in (None, 0, (source / path).stat().st_size // 2):
            folder = tmp_path / "copy"
            shutil.copytree(source, folder)
            (folder / path).chmod(0o644)
            if cut is None:
                (folder / path).unlink()
            else:
                os.truncate(folder / path, cut)
            outcomes.setdefault(path.as_posix(), []).append(survives(folder, held))
            shutil.rmtree(folder)
    assert outcomes["heads.sqlite"] == ["refused", "refused", "refused"]
    assert outcomes["log/lookup.sqlite"] == ["harmless", "harmless", "refused"]  # rebuilt, or to be rebuilt
    for name in ("checkpoint", "tile/0/001.p/44", "tile/data/001.p/44", "tile/numbers/001.p/44", "tile/1/000.p/1"):
        assert outcomes[f"log/public/{name}"] == ["refused"] * 3, name
    old = [name for name in outcomes if ".p/24" in name or ".p/200" in name]
    assert all(set(outcomes[name]) <= {"harmless", "found"} for name in old)


def test_a_writer_that_is_killed_while_it_works(tmp_path: Path) -> None:
    """kill -9 at random moments, five times; what a submitter was told is true, and is told again."""
    folder, heads = tmp_path / "log", tmp_path / "heads.sqlite"
    asyncio.run(writer.make(folder, heads))
    dice = random.Random(3)
    held: dict[int, Sequenced] = {}
    last = 0
    for _ in range(5):
        command = [sys.executable, "-m", "tests.journeys.writer", str(folder), str(heads), str(last)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        first = process.stdout.readline()  # it works by now
        time.sleep(dice.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.communicate()[0].splitlines()]
        for what, *values in map(json.loads, filter(None, lines)):
            if what == "placed":
                number, index, timestamp_ms = values
                assert held.setdefault(number, Sequenced(index, timestamp_ms)) == (index, timestamp_ms)
        last += 5
    assert held
    answers = asyncio.run(resubmit(folder, heads, range(last + 12)))
    assert all(answers[number] == place for number, place in held.items())
    told = {number: answer for number, answer in answers.items() if isinstance(answer, Sequenced)}
    assert len(told) == last + 12
    check_held(told, check_log(folder_objects(folder / "public"), KEYS))
