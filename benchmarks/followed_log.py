"""The monitor that `bench_follow.py` measures, as a process of its own: one log, from nothing to its proven head.

    python benchmarks/followed_log.py URL tiles|rfc6962 CORE [--profile FILE]

Prints one line of JSON. It is put together as `ctlog-monitor run` is, without channels: HTTP, follower, heads,
inspector, history with its merging in the background, judge, SQLite. Out of scope: making the log, and comparing.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvloop

from benchmarks.number_log import BLOCKS, EVERY, LOG_KEY, NOW_MS, ORIGIN, concerned
from ctlog import issuance
from ctlog.client.follow import TileFollower, system_now_ms
from ctlog.client.get_entries import EntriesFollower
from ctlog.client.http_fetcher import HttpFetcher
from ctlog.client.patient import PatientFetcher
from ctlog.client.trusted import LogPolicy
from ctlog.issuance import Key
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.chain import PathCache, Roots, accepted_root
from monitor.config import parse_config
from monitor.context import Past
from monitor.entry import Trust
from monitor.follow.begin import FIRST, begin
from monitor.follow.followed import ENTRIES, TILES, Followed
from monitor.follow.heads import Heads
from monitor.follow.inspect import EntryInspector, Shared
from monitor.follow.misbehaviour import Accuser
from monitor.follow.watch import Watch
from monitor.history import History, make_history
from monitor.items import CODE, NUMBER, RANGE, Group, Item
from monitor.judge import StateJudge
from monitor.reload import Setup
from monitor.sources import Sources
from monitor.state import State, make_state
from monitor.watchlist import Watchlist
from monitor.writing import Writer

NUMBERS, RANGES, CODES = 1_000_000, 200_000, 500
SAMPLE_S = 0.25
_CONFIG = 'contact = "bench@example.com"\noperators = ["ops"]\n[channels.ops]\ntype = "file"\n'


def items(entries: int) -> Iterator[Item]:
    """The watch list: many owners, and among their numbers those that a few of the log's entries are for."""
    dice = random.Random(2)
    groups = [Group(f"owner {at}", ("ops",)) for at in range(1000)]
    met = [concerned(index) for index in range(0, entries, EVERY)]
    others = (BLOCKS + 200 * at + 100 + at % 100 for at in dice.sample(range(4_990_000), NUMBERS - len(met)))
    for at, number in enumerate((*met, *others)):
        yield Item(NUMBER, TelephoneNumber(str(number)), groups[at % 1000])
    for at, block in enumerate(dice.sample(range(4_990_000), RANGES)):
        start = str(BLOCKS + 200 * block + 100)
        yield Item(RANGE, NumberRange(start, 10 + block % 90), groups[at % 1000])
    for at in range(CODES):
        yield Item(CODE, ServiceProviderCode(f"{at:03}Z"), groups[at % 1000])


def resident_mb() -> float:
    """Memory of this process that is in RAM, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def private_mb() -> float:
    """The same without mapped files, which the kernel may drop whenever it likes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1e3
    return resident_mb()


def watched(entries: int) -> tuple[Watchlist, dict[str, float]]:
    """The watch list, and what it costs."""
    gc.collect()
    before, start = private_mb(), time.perf_counter()
    made = Watchlist(items(entries))
    gc.collect()
    return made, {"items": len(made), "made_s": time.perf_counter() - start, "mb": private_mb() - before}


async def _no_network(url: str) -> bytes:
    raise AssertionError(f"{url} was fetched, and nobody switched that on")


def _silent(level: str, log: str, sentence: str) -> None:
    if level == "error":
        print(sentence, file=sys.stderr)


async def follow(url: str, form: str, folder: Path, watchlist: Watchlist, root: bytes) -> dict[str, Any]:
    """Follow the log from nothing to its head."""
    setup = Setup(
        parse_config(_CONFIG), Trust(Roots([accepted_root(root, "bench")]), {}, PathCache()), folder
    )  # fmt: skip
    make_state(folder, 0)
    make_history(folder / "history")
    history = History(folder / "history")
    async with State.open(folder) as state, HttpFetcher(url, contact="bench@example.com") as http:
        writer, sources = Writer(lambda: setup), Sources(setup.config.sources, folder, state, _no_network)
        logs: dict[bytes, Followed] = {}

        async def ready(log_id: bytes) -> None:
            await state.answers.put_meta(f"ready:{log_id.hex()}", b"1")

        shared = Shared(
            None, history, lambda: watchlist, lambda: setup.trust, lambda: logs, system_now_ms, ready, _silent  # type: ignore[arg-type]
        )
        shared.judge = judge = StateJudge(
            state, Past(history, shared.stored), sources, lambda: watchlist, lambda: setup.trust, writer.write,
            writer.fault, system_now_ms,
        )  # fmt: skip
        await judge.refresh()
        policy = LogPolicy(ORIGIN, LOG_KEY, source=url)
        fetcher = PatientFetcher(http)
        follower = (TileFollower if form == TILES else EntriesFollower)(policy, fetcher)
        log = Followed("bench", policy, form, follower, fetcher)
        logs[log.log_id] = log
        row = await begin(log, state, FIRST, system_now_ms())
        accuser = Accuser(state, folder / "evidence", writer.operators)
        heads = await Heads.resume(log, state, accuser)
        inspector = EntryInspector(log, shared, 0)
        watch = Watch(log, state, heads, inspector, accuser, row, says=_silent)
        samples: list[tuple[int, float, float]] = []
        jobs = [asyncio.create_task(_sample(watch, samples)), asyncio.create_task(_tidy(history))]
        cpu, start = time.process_time(), time.perf_counter()
        await watch.round()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        samples.append((watch.position.proven.size, resident_mb(), private_mb()))
        alerts = await state.alerts.find(limit=1_000_000)
        found = {
            "entries": watch.position.proven.size, "seconds": seconds, "cpu_s": cpu,
            "per_s": watch.position.proven.size / seconds, "claims": len(history), "alerts": len(alerts),
            "samples": samples,
        }  # fmt: skip
    history.close()
    return found


async def _sample(watch: Watch, samples: list[tuple[int, float, float]]) -> None:
    """(entries, MB in RAM, MB without mapped files) now and then."""
    while True:
        samples.append((watch.position.frontier.size, resident_mb(), private_mb()))
        await asyncio.sleep(SAMPLE_S)


async def _tidy(history: History) -> None:
    """Merge runs in the background, as the daemon does."""
    while True:
        await asyncio.sleep(0.2)
        while await asyncio.to_thread(history.tidy):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("form", choices=[TILES, ENTRIES])
    parser.add_argument("core", type=int)
    parser.add_argument("--entries", type=int, default=0, help="of the log, of which one in 10,000 concerns an item")
    parser.add_argument("--profile", type=Path, help="where cProfile's figures go")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    watchlist, cost = watched(options.entries)
    root = issuance.example_authority(NOW_MS, root_key=Key.from_number(1), key=Key.from_number(2)).chain[-1]
    folder = Path(tempfile.mkdtemp(prefix="ctlog-follow-"))
    profile = cProfile.Profile()
    try:
        if options.profile:
            profile.enable()
        found = uvloop.run(follow(options.url, options.form, folder, watchlist, root))
        if options.profile:
            profile.disable()
            profile.dump_stats(options.profile)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"watchlist": cost, **found}))


if __name__ == "__main__":
    main()
