"""Inclusion and consistency proofs a second, from the tiles of a real log, and how many tiles each one reads.

    python benchmarks/bench_proofs.py [--entries 1000000] [--proofs 2000] [--log DIR] [--json]

A proof here is all that a request costs behind HTTP: the plan, the tiles (from the files or from memory), proving them
against the signed head, folding, and for get-proof-by-hash the look-up. "cold" has a memory of 64 tiles, "warm" as
configured; "again" asks for 500 proofs over and over. Beside them, from the same run: SHA-256 of a node in a loop, and
pymerkle's proofs from a tree in memory, which prove nothing against a head.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from pymerkle import InmemoryTree

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout

from benchmarks.grow import grow
from ctlog.config import Config
from ctlog.folder import Folder, create, open_folder, recovered
from ctlog.http.published import Published
from ctlog.merkle import hashing
from ctlog.merkle.proof import plan_consistency, plan_inclusion
from ctlog.merkle.tiles import plan
from ctlog.merkle.tree import Node
from ctlog.wire.rfc6962 import format_merkle_tree_leaf

PYMERKLE_ENTRIES = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--proofs", type=int, default=2000)
    parser.add_argument("--log", type=Path, help="a log that is there already, and that nobody serves")
    parser.add_argument("--dir", default=None, help="where to make one (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="ctlog-bench-", dir=options.dir))
    try:
        report = uvloop.run(measure(options, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(json.dumps(report, indent=2) if options.json else as_text(report))


async def measure(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    folder = open_folder(options.log) if options.log else await made(scratch, options.entries)
    report: dict[str, Any] = {"kernel": hashing.IMPLEMENTATION, "node_us": node_us(), "rows": {}}
    async with recovered(folder) as log:
        tree = log.head
        report["entries"] = tree.size
        dice = random.Random(7)
        indexes = [dice.randrange(tree.size) for _ in range(options.proofs)]
        sizes = [sorted((dice.randrange(1, tree.size), tree.size)) for _ in range(options.proofs)]
        for name, cache_bytes in (("cold", 1 << 15), ("warm", folder.config.cache_bytes)):
            published = Published(log.shelves.public, lambda: log.head, log.form.kinds, cache_bytes)

            async def inclusion(at: int, published: Published = published) -> None:
                await published.proof(plan_inclusion(indexes[at], tree.size))

            async def consistency(at: int, published: Published = published) -> None:
                await published.proof(plan_consistency(*sizes[at]))

            for kind, prove in (("inclusion", inclusion), ("consistency", consistency)):
                report["rows"][f"{kind}, {name}"] = await rate(prove, options.proofs)
            if name == "warm":
                report["rows"]["inclusion, again"] = await rate(lambda at: inclusion(at % 500), options.proofs)
        hashes = [await leaf_hash(published, index) for index in indexes[:200]]

        async def by_hash(at: int) -> None:
            index = await log.find_leaf(hashes[at])
            assert index == indexes[at]
            await inclusion(at)

        report["rows"]["by leaf hash, warm"] = await rate(by_hash, len(hashes))
        report["tiles"] = {
            "inclusion": mean(len(plan([*plan_inclusion(i, tree.size).nodes, Node(0, i)], tree.size)) for i in indexes),
            "consistency": mean(len(plan(plan_consistency(*pair).nodes, tree.size)) for pair in sizes),
        }
    report["rows"][f"pymerkle inclusion, {PYMERKLE_ENTRIES} entries in memory"] = pymerkle_rate()
    return report


async def made(scratch: Path, entries: int) -> Folder:
    folder, _ = await create(scratch / "log", Config(origin="bench.example/log", monitoring_url="http://127.0.0.1:1/"))
    print(f"... growing a log to {entries} entries", file=sys.stderr, flush=True)
    await grow(folder, entries)
    return folder


async def rate(prove: Callable[[int], Awaitable[None]], count: int) -> dict[str, float]:
    """Proofs per second, and microseconds of this process's time for each."""
    for at in range(min(count, 50)):
        await prove(at)
    cpu, began = time.process_time(), time.perf_counter()
    for at in range(count):
        await prove(at)
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"per_second": round(count / elapsed), "cpu_us": round(cpu / count * 1e6, 1)}


async def leaf_hash(published: Published, index: int) -> bytes:
    (leaf,) = await published.entries(index, index + 1, published.tree)
    return hashing.leaf_hash(format_merkle_tree_leaf(leaf.timestamped))


def node_us() -> float:
    """One inner node by hashlib, in a loop."""
    left, right = os.urandom(32), os.urandom(32)
    began = time.perf_counter()
    for _ in range(200_000):
        hashlib.sha256(b"\x01" + left + right).digest()
    return round((time.perf_counter() - began) / 0.2, 3)


def pymerkle_rate() -> dict[str, float]:
    tree = InmemoryTree(algorithm="sha256")
    for at in range(PYMERKLE_ENTRIES):
        tree.append_entry(b"%d" % at)
    began = time.perf_counter()
    for at in range(500):
        tree.prove_inclusion(1 + at * 97)
    elapsed = time.perf_counter() - began
    return {"per_second": round(500 / elapsed), "cpu_us": round(elapsed / 500 * 1e6, 1)}


def mean(values: Any) -> float:
    found = list(values)
    return round(sum(found) / len(found), 2)


def as_text(report: dict[str, Any]) -> str:
    node = report["node_us"]
    lines = [f"{report['entries']} entries; hashing kernel {report['kernel']}; one node by hashlib {node} us",
             "tiles that a proof is made and proven from: "
             f"inclusion {report['tiles']['inclusion']}, consistency {report['tiles']['consistency']}"]
    lines += [f"{row['per_second']:8}/s  {row['cpu_us']:8} us CPU = {row['cpu_us'] / node:7.0f} nodes  {what}"
              for what, row in report["rows"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
