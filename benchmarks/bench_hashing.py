"""How fast leaves, nodes and whole trees are hashed, by every implementation that this machine runs.

    python benchmarks/bench_hashing.py [--rounds 15] [--leaves 1000000 10000000] [--entries 1000000 | --log DIR]
                                       [--json] [--png FILE]

What is compared is measured in turns, in one run, on one core unless it says two: the yardstick, then the other, so
many rounds; a figure is the median, a ratio the median of the rounds' own ratios with its quartiles. The yardstick is
one `hashlib` call per leaf or node; OpenSSL over one long message is the line of the hardware for a single stream.
Large trees and the whole log are measured three times, and all three are shown. A large tree is made and hashed in
chunks, one after the other on each core, and only making its leaves is left out of the time. The log's entries differ
in serial number, beginning, subject, key and signature; `ctlog fsck` is the command, start and all.

pymerkle and merkle-py are there for scale, where they are installed: the first keeps the same tree in objects, the
second builds another tree (no prefixes, so not RFC 6962's). `--entries 0` leaves out the whole log, `--leaves` with no
number the large trees. `--png` needs matplotlib.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import multiprocessing
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout

from ctlog.merkle import hashing, reference
from ctlog.merkle.tree import CompactRange, merge_ranges

LEAF = 1024
NODES = 16384
LEAVES = 2048
REPEATS = 3  # of what takes seconds
CHUNK = 65536  # leaves of a large tree that are made, and then hashed, at a time: 64 MiB, more than a cache

# name -> environment in which the kernel is imported once more
IMPLEMENTATIONS = {
    "portable": {"CTLOG_KERNEL": "portable"},
    "avx2": {"CTLOG_KERNEL": "avx2"},
    "sha-ni": {"CTLOG_KERNEL": "sha-ni"},
    "avx512": {"CTLOG_KERNEL": "avx512"},
    "armv8": {"CTLOG_KERNEL": "armv8"},
}

# What was asked for, beside what is measured: x hashlib for nodes, and the rest as it says.
TO_REACH = {
    "portable": "1", "avx2": "", "sha-ni": "4; 5 without AVX-512", "avx512": "12; 3.5 for leaves; a tile in 12 us",
    "10,000,000 on 2": "4 s", "ctlog fsck on 2": "150,000",
}  # fmt: skip

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--leaves", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--entries", type=int, default=1_000_000, help="of a log that is made to be verified")
    parser.add_argument("--log", type=Path, help="a log that is there already")
    parser.add_argument("--dir", default=None, help="where to make one (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--png", type=Path)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    report: Row = {"machine": machine(), "kernel": hashing.IMPLEMENTATION, "cores": len(cores)}
    report["nodes"], report["leaves"] = batches(options.rounds)
    report["others"] = others(options.rounds)
    os.sched_setaffinity(0, cores)
    report["trees"] = [tree(count, cores[-used:]) for count in options.leaves for used in {1, min(2, len(cores))}]
    if options.log or options.entries:
        report["log"] = whole_log(options, cores)
    if options.png:
        draw(report, options.png)
    print(json.dumps(report, indent=2) if options.json else as_text(report))


def machine() -> Row:
    found = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        found = names[0].partition(":")[2].strip() if names else found
    return {"processor": found, "python": platform.python_version(), "openssl": ssl.OPENSSL_VERSION}


# ---- measuring ----


def seconds(work: Callable[[], object], least: float = 0.03) -> float:
    """One run of `work`, repeated until it takes `least` seconds."""
    times = 1
    while True:
        began = time.perf_counter()
        for _ in range(times):
            work()
        elapsed = time.perf_counter() - began
        if elapsed >= least:
            return elapsed / times
        times = max(times + 1, int(times * least / max(elapsed, 1e-9) * 1.2))


def in_turns(yardstick: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float, Row]:
    """Medians of both, in seconds, and how many times faster the other one is: median and quartiles of the rounds."""
    pairs = [(seconds(yardstick), seconds(other)) for _ in range(rounds)]
    ratios = [slow / fast for slow, fast in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
    slow, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
    return slow, fast, {"ratio": round(middle, 2), "quartiles": [round(low, 2), round(high, 2)]}


def kernels() -> dict[str, Any]:
    """Every implementation that runs here, by name; the C kernel is imported once for each of its engines."""
    found: dict[str, Any] = {"reference": reference}
    spec = importlib.util.find_spec("ctlog.merkle._kernel")
    for name, environment in IMPLEMENTATIONS.items() if spec and spec.origin else ():
        os.environ.update(environment)
        again = importlib.util.spec_from_file_location("ctlog.merkle._kernel", spec.origin)
        module = importlib.util.module_from_spec(again)
        again.loader.exec_module(module)
        if name == module.IMPLEMENTATION:
            found[name] = module
    os.environ.pop("CTLOG_KERNEL", None)
    return found


# ---- batches on one core ----


def hashlib_nodes(pairs: bytes) -> bytes:
    sha256 = hashlib.sha256
    return b"".join([sha256(b"\x01" + pairs[at : at + 64]).digest() for at in range(0, len(pairs), 64)])


def hashlib_leaves(datas: list[bytes]) -> bytes:
    sha256 = hashlib.sha256
    return b"".join([sha256(b"\x00" + data).digest() for data in datas])


def batches(rounds: int) -> tuple[dict[str, Row], dict[str, Row]]:
    """Nodes and leaves of every implementation, beside one `hashlib` call each."""
    pairs, tile = os.urandom(64 * NODES), os.urandom(32 * 256)
    same = [os.urandom(LEAF) for _ in range(LEAVES)]
    mixed = [os.urandom(500 + at * 1500 // LEAVES) for at in range(LEAVES)]
    mixed.sort()  # by chance: their lengths come in no order
    nodes: dict[str, Row] = {}
    leaves: dict[str, Row] = {}
    for name, kernel in kernels().items():
        assert kernel.hash_nodes(pairs) == hashlib_nodes(pairs)
        slow, fast, ratio = in_turns(partial(hashlib_nodes, pairs), partial(kernel.hash_nodes, pairs), rounds)
        nodes.setdefault("hashlib, one call per node", {"per_second": round(NODES / slow)})
        nodes[name] = {"per_second": round(NODES / fast), **ratio}
        fold = statistics.median(seconds(partial(kernel.fold, tile)) for _ in range(rounds))
        nodes[name]["fold_256_us"] = round(fold * 1e6, 2)
        slow, fast, ratio = in_turns(partial(hashlib_leaves, same), partial(kernel.hash_leaves, same), rounds)
        leaves.setdefault("hashlib, one call per leaf", {"gb_per_second": gigabytes(same, slow)})
        leaves[name] = {"gb_per_second": gigabytes(same, fast), **ratio}
        various = statistics.median(seconds(partial(kernel.hash_leaves, mixed)) for _ in range(rounds))
        leaves[name]["mixed_gb_per_second"] = gigabytes(mixed, various)
    return nodes, leaves


def gigabytes(datas: list[bytes], elapsed: float) -> float:
    return round(sum(map(len, datas)) / elapsed / 1e9, 3)


def others(rounds: int) -> dict[str, Row]:
    """OpenSSL over one long message, and the trees of other packages: 1 KB leaves per second, root included."""
    long = os.urandom(1 << 24)
    bulk = statistics.median(seconds(lambda: hashlib.sha256(long).digest()) for _ in range(rounds))
    found: dict[str, Row] = {"OpenSSL, one message of 16 MiB": {"gb_per_second": gigabytes([long], bulk)}}
    datas = [os.urandom(LEAF) for _ in range(LEAVES)]

    def ours() -> bytes:
        return hashing.fold(hashing.hash_leaves(datas))

    def by_pymerkle() -> bytes:
        tree = pymerkle.InmemoryTree(algorithm="sha256")
        for data in datas:
            tree.append_entry(data)
        return tree.get_root()

    def by_merkle_py() -> object:
        tree = merklepy.MerkleTree()
        tree.add_leaves(True, *datas)
        return tree.get_root_hash()

    for name, build in (("pymerkle", by_pymerkle), ("merkle-py (another tree)", by_merkle_py)):
        try:
            if build is by_pymerkle:
                import pymerkle
            else:
                if importlib.util.find_spec("pyutls") is None:  # merkle-py wants it for JSON, and PyPI has none
                    sys.modules["pyutls"] = SimpleNamespace(from_hex=bytes.fromhex, to_hex=bytes.hex)
                import merklepy
        except ImportError:
            found[name] = {"missing": "not installed"}
            continue
        assert build is by_merkle_py or build() == ours()
        slow, fast, ratio = in_turns(build, ours, max(3, rounds // 3))
        found[name] = {"leaves_per_second": round(LEAVES / slow), "ours_per_second": round(LEAVES / fast), **ratio}
    return found


# ---- large trees ----


def tree(count: int, cores: list[int]) -> Row:
    """A tree of `count` different leaves of 1 KB, hashed on these cores; making the leaves is left out of the time."""
    chunks = [(at, min(CHUNK, count - at)) for at in range(0, count, CHUNK)]
    share = -(-len(chunks) // len(cores))
    tasks = [(core, chunks[at * share : (at + 1) * share]) for at, core in enumerate(cores)]
    elapsed = []
    with ProcessPoolExecutor(len(cores), mp_context=multiprocessing.get_context("forkserver")) as pool:
        for _ in range(REPEATS):
            parts = list(pool.map(branch, tasks))
            began = time.perf_counter()
            whole = merge_ranges([part for _, part in parts if part is not None])
            elapsed.append(time.perf_counter() - began + max(busy for busy, _ in parts))
            assert whole.hi == count
    middle = statistics.median(elapsed)
    return {"leaves": count, "cores": len(cores), "seconds": [round(each, 3) for each in sorted(elapsed)],
            "leaves_per_second": round(count / middle), "gb_per_second": round(count * LEAF / middle / 1e9, 3)}


def branch(task: tuple[int, list[tuple[int, int]]]) -> tuple[float, CompactRange | None]:
    """One core's part of a tree, and the seconds that hashing it took."""
    core, chunks = task
    os.sched_setaffinity(0, {core})
    elapsed, ranges, area = 0.0, [], bytearray(os.urandom(CHUNK * LEAF))
    for lo, count in chunks:
        datas = make(area, lo, count)
        began = time.perf_counter()
        ranges.append(CompactRange.from_leaves(lo, hashing.hash_leaves(datas)))
        elapsed += time.perf_counter() - began
        del datas
    began = time.perf_counter()
    whole = merge_ranges(ranges) if ranges else None
    return elapsed + time.perf_counter() - began, whole


def make(area: bytearray, lo: int, count: int) -> list[bytes]:
    """Leaves that nobody hashed before: each begins with its index."""
    indexes = b"".join((lo + at).to_bytes(4, "big") for at in range(CHUNK))
    for byte in range(4):
        area[byte::LEAF] = indexes[byte::4]
    return [bytes(area[at : at + LEAF]) for at in range(0, count * LEAF, LEAF)]


# ---- a whole log, from its tiles ----


def whole_log(options: argparse.Namespace, cores: list[int]) -> Row:
    """Verify a log's every hash (data tiles, hash tiles, root), and every published byte (`ctlog fsck`)."""
    import uvloop

    from benchmarks.grow import grow
    from ctlog import issuance
    from ctlog.config import Config
    from ctlog.folder import clock_ms, create, open_folder

    with tempfile.TemporaryDirectory(prefix="ctlog-bench-", dir=options.dir) as scratch:
        path = options.log or Path(scratch) / "log"
        if not options.log:
            print(f"... growing a log to {options.entries} entries", file=sys.stderr, flush=True)
            authority, root = issuance.example_authority(clock_ms()), Path(scratch) / "root.der"
            root.write_bytes(authority.chain[-1])
            config = Config(origin="bench.example/log", monitoring_url="http://127.0.0.1:1/")
            folder, _ = uvloop.run(create(path, config, [(root, "bench")]))
            uvloop.run(grow(folder, options.entries, authority))
        return verify(path, open_folder(path).path / "public", cores)


def verify(log: Path, public: Path, cores: list[int]) -> Row:
    from ctlog.client.fetch import DirectoryFetcher
    from ctlog.client.parallel import Span, check_folder_span, map_in_order, plan_spans
    from ctlog.merkle.tiles import entries_path
    from ctlog.merkle.tree import Frontier
    from ctlog.wire.checkpoint import parse_checkpoint
    from ctlog.wire.signed_note import parse_note

    head = parse_checkpoint(parse_note((public / "checkpoint").read_bytes()).text)
    read = DirectoryFetcher(public).read
    size = sum(len(read(entries_path("data", tile.index, tile.width))) for tile in Span(0, head.size).tiles)
    found: Row = {"entries": head.size, "bytes": size, "rows": []}

    def hashes(processes: int) -> None:
        reports = map_in_order(partial(check_folder_span, str(public)), plan_spans(0, head.size), processes)
        ranges = [report.hashes for report in reports if not report.damages]
        whole = merge_ranges([part for part in ranges if part is not None])
        assert Frontier(whole.hi, whole.hashes).root() == head.root

    def fsck(*options: str, processes: int) -> None:
        """The command as people run it: start, look-ups and head store included."""
        command = [sys.executable, "-c", "import sys; from ctlog.cli import main; sys.exit(main())", "fsck", *options]
        run = subprocess.run([*command, "--processes", str(processes), str(log)], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr

    ways: dict[str, Callable[[int], None]] = {
        "every hash, from the tiles": hashes,
        "ctlog fsck --quick": lambda used: fsck("--quick", processes=used),
        "ctlog fsck": lambda used: fsck(processes=used),
    }
    for name, work in ways.items():
        for used in sorted({1, min(2, len(cores))}):
            os.sched_setaffinity(0, cores[-used:])
            elapsed = sorted(seconds(partial(work, used), least=0) for _ in range(REPEATS))
            middle = statistics.median(elapsed)
            found["rows"].append({"what": name, "cores": used, "seconds": [round(each, 2) for each in elapsed],
                                  "entries_per_second": round(head.size / middle),
                                  "mb_per_second": round(size / middle / 1e6)})
    return found


# ---- what is shown ----


def as_text(report: Row) -> str:
    """Tables in Markdown, as they stand in benchmarks/README.md."""
    made = report["machine"]
    lines = [f"{made['processor']}, {report['cores']} cores, Python {made['python']}, {made['openssl']}; the kernel "
             f"takes {report['kernel']}.", "",
             "| one core | M nodes/s | x hashlib | to reach | tile folded, us | 1 KB leaves, GB/s | x hashlib "
             "| 0.5-2 KB, GB/s |", "|---|---|---|---|---|---|---|---|"]
    for name, node in report["nodes"].items():
        leaf = report["leaves"].get(name) or report["leaves"]["hashlib, one call per leaf"]
        lines.append(f"| {name.replace('node', 'hash')} | {node['per_second'] / 1e6:.2f} | {ratio(node)} | "
                     f"{TO_REACH.get(name, '')} | {node.get('fold_256_us', '')} | {leaf['gb_per_second']:.2f} | "
                     f"{ratio(leaf)} | {leaf.get('mixed_gb_per_second', '')} |")
    for name, row in report["others"].items():
        if "gb_per_second" in row:
            lines.append(f"| {name} | | | | | {row['gb_per_second']:.2f} | | |")
    lines += ["", "| trees of 1 KB leaves | cores | leaves/s | GB/s | seconds | to reach |",
              "|---|---|---|---|---|---|"]
    for name, row in report["others"].items():
        if "leaves_per_second" in row:
            lines.append(f"| {LEAVES:,} by {name} | 1 | {row['leaves_per_second']:,} | | "
                         f"(ours: {row['ours_per_second']:,} leaves/s, {ratio(row)} x) | |")
    for row in report["trees"]:
        what = f"{row['leaves']:,} on {row['cores']}"
        lines.append(f"| {row['leaves']:,} | {row['cores']} | {row['leaves_per_second']:,} | "
                     f"{row['gb_per_second']:.2f} | {times(row)} | {TO_REACH.get(what, '')} |")
    if "log" in report:
        log = report["log"]
        lines += ["", f"| a log of {log['entries']:,} entries, {log['bytes'] / 1e9:.2f} GB of data tiles | cores | "
                      "entries/s | MB/s | seconds | to reach |", "|---|---|---|---|---|---|"]
        for row in log["rows"]:
            what = f"{row['what']} on {row['cores']}"
            lines.append(f"| {row['what']} | {row['cores']} | {row['entries_per_second']:,} | "
                         f"{row['mb_per_second']:,} | {times(row)} | {TO_REACH.get(what, '')} |")
    return "\n".join(lines)


def times(row: Row) -> str:
    return " / ".join(f"{elapsed:.2f}" for elapsed in row["seconds"])


def ratio(row: Row) -> str:
    return f"{row['ratio']} ({row['quartiles'][0]}-{row['quartiles'][1]})" if "ratio" in row else ""


def draw(report: Row, file: Path) -> None:
    """Nodes and leaves side by side, as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    charts = (("nodes", "per_second", 1e6, "million nodes/s"), ("leaves", "gb_per_second", 1, "1 KB leaves, GB/s"))
    for at, (table, key, unit, label) in enumerate(charts):
        rows = dict(report[table])
        if table == "leaves":
            rows.update({name: row for name, row in report["others"].items() if key in row})
        axes = figure.add_subplot(1, 2, at + 1)
        bars = axes.barh(list(rows), [row[key] / unit for row in rows.values()],
                         color=["#2a6f97" if name in IMPLEMENTATIONS else "#adb5bd" for name in rows])
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"{label}, one core", fontsize=9)
    figure.savefig(file, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
