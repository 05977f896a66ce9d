"""What hashing costs those who hash, with the Python kernel and with the C kernel, and how often they cross into it.

    python benchmarks/profile_hashing.py [--entries 50000] [--json]

Each way is run in a process of its own with CTLOG_NO_KERNEL and in one without: its CPU time taken (the best of three),
and then once more under cProfile, which tells how often the hashing functions were called. `crossings` are calls of
`ctlog.merkle.hashing` per 1,000 entries; where somebody looped over leaves or nodes, they would be 1,000 or 2,000.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout

import uvloop

from benchmarks.grow import grow
from ctlog.client.fetch import DirectoryFetcher
from ctlog.client.follow import TileFollower
from ctlog.client.parallel import check_folder_span, plan_spans
from ctlog.client.trusted import LogPolicy
from ctlog.config import Config
from ctlog.folder import Folder, create, open_folder
from ctlog.fsck.sources import FolderSource
from ctlog.fsck.whole import Options, check_log
from ctlog.merkle import hashing
from ctlog.merkle.proof import build, plan_inclusion
from ctlog.merkle.tiles import AuthenticTiles, entries_path, tile_path, tiles_of
from ctlog.merkle.tree import CompactRange, merge_ranges
from ctlog.sequencer.forms import StaticCtForm
from ctlog.wire.checkpoint import parse_checkpoint
from ctlog.wire.signed_note import parse_note

PROOFS = 2000
FUNCTIONS = set(hashing.__all__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--within", type=Path, help=argparse.SUPPRESS)  # the process that measures
    options = parser.parse_args()
    if options.within:
        print(json.dumps(measured(options.within, options.entries)))
        return
    with tempfile.TemporaryDirectory(prefix="ctlog-bench-") as scratch:
        uvloop.run(grow(made(Path(scratch) / "log"), options.entries))
        report = {name: in_a_process(Path(scratch) / "log", options.entries, environment)
                  for name, environment in (("before", {"CTLOG_NO_KERNEL": "1"}), ("after", {}))}
    print(json.dumps(report, indent=2) if options.json else as_text(report))


def made(path: Path) -> Folder:
    config = Config(origin="bench.example/log", monitoring_url="http://127.0.0.1:1/")
    folder, _ = uvloop.run(create(path, config))
    return folder


def in_a_process(log: Path, entries: int, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--entries", str(entries), "--within", str(log)]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def measured(log: Path, entries: int) -> dict[str, Any]:
    folder = open_folder(log)
    public = folder.path / "public"
    head = parse_checkpoint(parse_note((public / "checkpoint").read_bytes()).text)
    tiles = {tile: (public / tile_path(tile)).read_bytes() for tile in tiles_of(head.size)}
    hashes = b"".join(tiles[tile] for tile in tiles if tile.level == 0)

    def appended() -> None:
        with tempfile.TemporaryDirectory(prefix="ctlog-bench-") as scratch:
            uvloop.run(grow(made(Path(scratch) / "log"), entries // 5))

    def every_hash() -> None:
        reports = [check_folder_span(str(public), span) for span in plan_spans(0, head.size)]
        assert merge_ranges([report.hashes for report in reports if report.hashes]).hi == head.size

    def checked(quick: bool) -> None:
        assert check_log(FolderSource(public), folder.signer().key, None, Options(quick=quick, processes=1)).clean

    def read_back() -> None:
        form, read = StaticCtForm(), DirectoryFetcher(public).read
        paths = [entries_path("data", tile.index, tile.width) for tile in tiles if tile.level == 0]
        assert sum(len(form.stored(read(path))) for path in paths) == head.size

    def followed() -> None:
        async def follow() -> int:
            signer = folder.signer()
            policy = LogPolicy(folder.config.origin, signer.key, signer.checkpoint_key)
            follower = TileFollower(policy, DirectoryFetcher(public))
            newest = await follower.head()
            return sum([len(batch.leaves) async for batch in follower.entries(newest, 0, newest.size)])

        assert uvloop.run(follow()) == head.size

    def proofs() -> None:
        authentic = AuthenticTiles(head.size, head.root, tiles)
        for at in range(PROOFS):
            build(plan_inclusion(at * head.size // PROOFS, head.size), authentic)

    ways: dict[str, tuple[int, Callable[[], None]]] = {
        "a log grows through the sequencer": (entries // 5, appended),
        "every hash of a log from its tiles": (entries, every_hash),
        "fsck --quick": (entries, lambda: checked(quick=True)),
        "fsck": (entries, lambda: checked(quick=False)),
        "entries read back, for look-ups": (entries, read_back),
        "a follower reads and proves all entries": (entries, followed),
        "a tree from its leaf hashes": (entries, lambda: (CompactRange.from_leaves(0, hashes), None)[1]),
        "tiles proven": (entries, lambda: (AuthenticTiles(head.size, head.root, tiles), None)[1]),
        f"tiles proven, and {PROOFS:,} inclusion proofs": (entries, proofs),
    }
    return {"kernel": hashing.IMPLEMENTATION,
            "rows": {name: {"entries": count, **cost(count, work)} for name, (count, work) in ways.items()}}


def cost(count: int, work: Callable[[], None]) -> dict[str, float]:
    elapsed = []
    for _ in range(3):
        began = time.process_time()
        work()
        elapsed.append(time.process_time() - began)
    profile = cProfile.Profile()
    profile.runcall(work)
    calls, inside = crossings(profile)
    return {"us_per_entry": round(min(elapsed) / count * 1e6, 2), "crossings": round(calls / count * 1000, 1),
            "hashing_us_per_entry": round(inside / count * 1e6, 2)}


def crossings(profile: cProfile.Profile) -> tuple[int, float]:
    """How often the hashing functions were called from outside, and the seconds that passed in them."""
    calls, inside = 0, 0.0
    for (file, _, name), (_, _, _, _, callers) in pstats.Stats(profile).stats.items():
        ours = file.endswith("merkle/reference.py") if file != "~" else "ctlog.merkle._kernel" in name
        if not ours or not any(name.rstrip(">").endswith(function) for function in FUNCTIONS):
            continue
        for (caller, _, _), (times, _, _, cumulative) in callers.items():
            if not caller.endswith("merkle/reference.py"):
                calls, inside = calls + times, inside + cumulative
    return calls, inside


def as_text(report: dict[str, Any]) -> str:
    before, after = report["before"], report["after"]
    lines = [f"| per entry | crossings per 1,000 | {before['kernel']}: us, of it hashing | {after['kernel']}: us, of "
             "it hashing |", "|---|---|---|---|"]
    for name, old in before["rows"].items():
        new = after["rows"][name]
        lines.append(f"| {name} | {new['crossings']} | {old['us_per_entry']}, {old['hashing_us_per_entry']} | "
                     f"{new['us_per_entry']}, {new['hashing_us_per_entry']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
