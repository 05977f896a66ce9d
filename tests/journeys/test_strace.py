"""The writer under strace: every I/O call of a log's life fails once, or kills the process; then the log starts again.

For each thread of the stores and each system call that it makes, the n-th such call, for every n, is answered with EIO
or ENOSPC without being done, or the process is killed there. strace counts calls thread by thread, so the writer is
attached to when its threads are there. After each: a start succeeds, everything that was answered is in the tree at its
place and is answered the same again, and the whole log is right.

A case takes half a second; all of them take minutes, so `make trial` runs them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from ctlog.errors import CtlogError
from ctlog.sequencer.log import Log
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner
from ctlog.store.embedded import open_shelves
from tests.check_log import Keys, check_heads, check_log, folder_objects
from tests.faults import Fault, Faults, faulty
from tests.journeys import writer
from tests.log_kit import FORM, ORIGIN, SEED, check_held, pending
from tests.tools import missing, tool

pytestmark = pytest.mark.trial

ROOT = Path(__file__).parents[2]
FILLED = 251  # so that the second batch fills a tile
CALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "link", "mkdir", "close", "unlink", "ftruncate")
FULL_DISK = ("openat", "write", "pwrite64", "fsync", "link", "mkdir", "rename")
SIGNER = SeedSigner(ORIGIN, SEED)
KEYS = Keys(ORIGIN, SIGNER.key, SIGNER.checkpoint_key)


class Case(NamedTuple):
    """What is injected where. `thread` is the beginning of a thread's name, "" for all threads."""

    template: str
    wait_at: str
    thread: str
    call: str
    action: str
    number: int


@dataclass
class Templates:
    """Logs that are copied for each case, with what submitters hold of them."""

    folder: Path
    held: dict[int, Sequenced]

    def copy(self, name: str, to: Path) -> tuple[Path, Path]:
        shutil.copytree(self.folder / name, to)
        return to / "log", to / "heads.sqlite"


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """`whole`: a log at rest. `half`: its last batch was signed, and none of it is published."""
    folder = tmp_path_factory.mktemp("templates")
    held = asyncio.run(_make_templates(folder))
    return Templates(folder, held)


async def _make_templates(folder: Path) -> dict[int, Sequenced]:
    whole = folder / "whole"
    whole.mkdir()
    await writer.make(whole / "log", whole / "heads.sqlite")
    held = await _resubmit(whole / "log", whole / "heads.sqlite", range(FILLED))
    shutil.copytree(whole, folder / "half")
    faults = Faults([Fault("public.put_prepared", "tile/data/")])
    shelves = await open_shelves(folder / "half" / "log", folder / "half" / "heads.sqlite", SIGNER.log_id)
    log = await Log.open(faulty(shelves, faults), SIGNER, FORM, clock=writer.clock_ms, settings=writer.SETTINGS)
    running = asyncio.create_task(log.run())
    numbers = range(FILLED, FILLED + 8)
    answers = await asyncio.gather(*(log.add(pending(number)) for number in numbers), return_exceptions=True)
    assert all(isinstance(answer, CtlogError) for answer in answers)
    await asyncio.gather(running, return_exceptions=True)
    await shelves.close()
    return held


async def _resubmit(folder: Path, heads: Path, numbers: range) -> dict[int, Sequenced]:
    shelves, log = await writer.opened(folder, heads)
    running = asyncio.create_task(log.run())
    try:
        answers = await asyncio.gather(*(log.add(pending(number)) for number in numbers))
        await log.close()
        await running
    finally:
        await shelves.close()
    return dict(zip(numbers, answers, strict=True))


class Attached:
    """A writer that waits, and an strace that has attached itself to it."""

    def __init__(self, case: Case, folder: Path, heads: Path, *options: str) -> None:
        command = [sys.executable, "-m", "tests.journeys.writer", str(folder), str(heads), str(FILLED), case.wait_at]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        self.writer = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.writer.stdout is not None
        what, threads = json.loads(self.writer.stdout.readline())
        assert what == "ready"
        wanted = [number for name, number in threads.items() if name.startswith(case.thread)] if case.thread else []
        target = ["-p", str(wanted[0])] if wanted else ["-f", "-p", str(self.writer.pid)]
        self.strace = subprocess.Popen(
            [tool("strace"), "-o", f"{folder}.trace", *options, *target], stderr=subprocess.PIPE
        )
        assert self.strace.stderr is not None
        line = self.strace.stderr.readline()
        if b"attached" not in line:
            self.writer.kill()
            self.writer.wait()
            missing(f"strace cannot attach here: {line.decode().strip()}")

    def go(self) -> list[list[object]]:
        """Let it run to its end; what it said."""
        out, err = self.writer.communicate(b"go\n", timeout=60)
        self.strace.communicate(timeout=60)
        said: list[list[object]] = []
        for line in out.splitlines():
            with suppress(ValueError):  # cut off
                said.append(json.loads(line))
        assert b"Traceback" not in err or b"OSError" in err or self.writer.returncode < 0, err.decode()
        return said


THREADS = {
    "whole": [("open", "write-public"), ("open", "write-staging"), ("open", "sqlite-heads"), ("open", "sqlite-lookup")],
    "half": [("closed", "")],
}


@pytest.fixture(scope="module")
def cases(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Every call that an undisturbed run makes."""
    found = []
    for template, threads in THREADS.items():
        for wait_at, thread in threads:
            folder, heads = templates.copy(template, tmp_path_factory.mktemp("count") / "copy")
            probe = Case(template, wait_at, thread, "", "", 0)
            attached = Attached(probe, folder, heads, "-e", f"trace={','.join(CALLS)}")
            said = attached.go()
            assert attached.writer.returncode == 0, said
            for call, number in _count(Path(f"{folder}.trace").read_text()).items():
                actions = ["error=EIO", "signal=KILL"] + ["error=ENOSPC"] * (call in FULL_DISK)
                each = ((action, at) for action in actions for at in range(1, number + 1))
                found += [Case(template, wait_at, thread, call, *way) for way in each]
    return found


def _count(trace: str) -> dict[str, int]:
    """The most calls of each kind that one thread made."""
    counted: Counter[tuple[str, str]] = Counter()
    for line in trace.splitlines():
        match = re.match(r"(?:(\d+) +)?([a-z0-9]+)\(", line)
        if match:
            counted[match[1] or "", match[2]] += 1
    most: dict[str, int] = {}
    for (_, call), number in counted.items():
        most[call] = max(most.get(call, 0), number)
    return most


def test_every_call_may_fail_or_be_the_last(
    cases: list[Case], templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("strace")
    assert len({case.call for case in cases}) >= 9
    assert len(cases) > 300
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda case: _try(case, templates, folder), cases))
    failed = [f"{case}: {outcome}" for case, outcome in zip(cases, outcomes, strict=True) if outcome]
    print(f"{len(cases)} cases, {len(failed)} failed")
    assert not failed, "\n".join([f"{len(failed)} of {len(cases)} cases:", *failed[:20]])


def _try(case: Case, templates: Templates, folder: Path) -> str:
    """One case; what was wrong afterwards, or nothing."""
    name = "-".join([case.template, case.thread, case.call, case.action.replace("=", "-"), str(case.number)])
    log, heads = templates.copy(case.template, folder / name)
    inject = f"inject={case.call}:{case.action}:when={case.number}"
    attached = Attached(case, log, heads, "-e", f"trace={case.call}", "-e", inject)
    try:
        said = attached.go()
        _check(log, heads, said, templates.held)
    except (AssertionError, CtlogError, OSError, subprocess.TimeoutExpired) as error:
        attached.writer.kill()
        return f"{type(error).__name__}: {error}"
    shutil.rmtree(folder / name)
    return ""


def _check(log: Path, heads: Path, said: list[list[object]], before: dict[int, Sequenced]) -> None:
    """A start succeeds, everything is answered as it was, and the whole log is right."""
    held = dict(before)
    for what, *values in said:
        if what == "placed":
            number, index, timestamp_ms = map(int, map(str, values))
            held[number] = Sequenced(index, timestamp_ms)
    note = (log / "public" / "checkpoint").read_bytes()
    again = asyncio.run(_resubmit(log, heads, range(FILLED + sum(writer.BATCHES))))
    different = {number for number, place in held.items() if again[number] != place}
    assert not different, f"{different} were answered otherwise (P6)"
    checked = check_log(folder_objects(log / "public"), KEYS)
    check_held(again, checked)
    check_heads(dict.fromkeys([note, checked.head.note]), KEYS, checked.leaf_hashes)
    assert checked.head.size == len(again)


