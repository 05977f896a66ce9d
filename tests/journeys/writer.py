"""A writer for trials: the embedded stores and the sequencer in a process of their own, to be killed.

    python -m tests.journeys.writer FOLDER HEADS FROM [closed|open]

It opens the log that is there, submits three batches of entries from number FROM on, lets upkeep remove old partial
tiles, and ends. With `closed` or `open` it says "ready", before it opens the log or after, with the ids of its threads
by name, and goes on when a line comes in. It prints one line for each answer as it
comes: a submitter's memory, which outlives the writer. Exit code 0: everything was answered; 2: the start was refused;
3: it ended with an error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path

from ctlog.errors import CtlogError, StoreError
from ctlog.sequencer.log import Log, Settings
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner
from ctlog.store import Shelves
from ctlog.store.embedded import make_shelves, open_shelves
from ctlog.store.sqlite import make_head_store
from ctlog.wire.static_ct import PendingEntry
from tests.log_kit import FORM, ORIGIN, SEED, pending

SETTINGS = Settings(period_ms=1, partial_age_ms=0, min_free_bytes=0, min_free_share=0.0)
BATCHES = (3, 6, 3)


def clock_ms() -> int:
    return time.time_ns() // 1_000_000


def say(what: str, *values: object) -> None:
    """One line, at once: what was said is known to the submitter even if the writer dies right after."""
    os.writev(1, [(json.dumps([what, *values]) + "\n").encode()])  # `write` is what the trials let fail


async def make(folder: Path, heads: Path) -> None:
    """A new log in `folder`."""
    folder.mkdir()
    make_shelves(folder)
    make_head_store(heads)
    signer = SeedSigner(ORIGIN, SEED)
    shelves = await open_shelves(folder, heads, signer.log_id)
    await Log.create(shelves, signer, clock=clock_ms)
    await shelves.close()


async def opened(folder: Path, heads: Path) -> tuple[Shelves, Log[PendingEntry]]:
    """The log that is there, after its recovery. Raises what a start raises."""
    signer = SeedSigner(ORIGIN, SEED)
    shelves = await open_shelves(folder, heads, signer.log_id)
    try:
        return shelves, await Log.open(shelves, signer, FORM, clock=clock_ms, settings=SETTINGS)
    except BaseException:
        await asyncio.gather(shelves.close(), return_exceptions=True)
        raise


async def submit(log: Log[PendingEntry], numbers: range, issuers: tuple[str, ...] = ("A", "root")) -> None:
    """Submit these at once and say what was answered."""

    async def one(number: int) -> None:
        try:
            place = await log.add(pending(number, issuers=issuers))
        except CtlogError as error:
            say("refused", number, str(error))
        else:
            assert isinstance(place, Sequenced)
            say("placed", number, *place)

    await asyncio.gather(*map(one, numbers))


def wait() -> None:
    """Say "ready" and wait for a line."""
    say("ready", {thread.name: thread.native_id for thread in threading.enumerate()})
    sys.stdin.readline()


async def write(folder: Path, heads: Path, first: int, wait_at: str) -> int:
    """Open the log, submit, end. Returns the exit code."""
    if wait_at == "closed":
        wait()
    try:
        shelves, log = await opened(folder, heads)
    except CtlogError as error:
        say("no start", str(error))
        return 2
    if wait_at == "open":
        wait()
    running = asyncio.create_task(log.run())
    try:
        for count in BATCHES:
            await submit(log, range(first, first + count), ("A", f"batch {first}", "root"))
            first += count
        try:
            await log._upkeep.round(log.head.size, clock_ms(), idle=True)
        except StoreError as error:
            say("upkeep", str(error))
        await log.close()
        await running
        await shelves.close()
    except CtlogError as error:
        say("ended", str(error))
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.gather(shelves.close(), return_exceptions=True)
        return 3
    return 0


if __name__ == "__main__":
    where, head_store, start = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    sys.exit(asyncio.run(write(where, head_store, start, sys.argv[4] if len(sys.argv) > 4 else "")))
