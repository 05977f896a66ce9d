"""How fast a monitor follows a log, on one core, beside certspotter: every entry proven, remembered, and matched.

    .venv/bin/python benchmarks/bench_follow.py [--entries 524288] [--rounds 3] [--json]

One log of phone-number certificates (`number_log.py`) is served by this process, on one core, in both forms. On another
core, in turns: our monitor over static tiles, our monitor over RFC 6962 get-entries, and Debian's `certspotter` over
get-entries, each from nothing to the proven head. Ours is the daemon's own way from HTTP to SQLite: every leaf hashed,
the tree rebuilt, labels read, history kept, synced and merged, matched against 1,000,000 numbers, 200,000 ranges and
500 codes, one entry in 10,000 judged and alerted. certspotter watches one name, and keeps no history.

Entries a second are counted from the first request to the stored position; making the watch list is not in it, its
memory is printed. Of certspotter's time, what it takes with a log of one entry (start, first request, writing its
state) is left out as well. "By CPU" is by the processor's time that all of a monitor's threads took: where both figures
differ, somebody else used its core. Memory is without mapped files; flat means that the second half adds nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvloop

from benchmarks.number_log import LOG_KEY, NumberLog, serve
from ctlog.merkle.hashing import IMPLEMENTATION
from monitor.hot import HOT

FORMS = {"tiles": 150_000, "rfc6962": 60_000}
"""Form -> entries/s that were to be reached."""
WATCHLIST_MB = 500
PATIENCE_S = 120.0
POLL_S = 0.01


async def ours(url: str, form: str, options: argparse.Namespace) -> dict[str, Any]:
    """Our monitor, once."""
    program = Path(__file__).with_name("followed_log.py")
    command = [sys.executable, str(program), url, form, str(options.core), "--entries", str(options.entries)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"the monitor over {form} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(said)
    if found["entries"] != options.entries:
        raise SystemExit(f"the monitor over {form} read {found['entries']} entries of {options.entries}")
    return found


async def certspotter(url: str, entries: int, options: argparse.Namespace) -> dict[str, float]:
    """certspotter, once, until its verified position is the log's size: seconds, and seconds of the processor."""
    folder = Path(tempfile.mkdtemp(prefix="ctlog-spot-"))
    try:
        (folder / "logs.json").write_text(json.dumps(log_list(url)))
        (folder / "watchlist").write_text(".callers.example\n")
        process = await asyncio.create_subprocess_exec(
            "taskset", "-c", str(options.core), "certspotter", "-logs", str(folder / "logs.json"), "-watchlist",
            str(folder / "watchlist"), "-state_dir", str(folder / "state"), "-stdout",
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "GOMAXPROCS": "1"},
        )  # fmt: skip
        start, cpu = time.perf_counter(), children_s()
        while verified(folder / "state") < entries:
            if time.perf_counter() - start > PATIENCE_S or process.returncode is not None:
                raise SystemExit("certspotter did not come to the end of the log")
            await asyncio.sleep(POLL_S)
        seconds = time.perf_counter() - start
        process.terminate()
        await process.wait()
        return {"seconds": seconds, "cpu_s": children_s() - cpu}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def verified(state: Path) -> int:
    """The size of the tree that certspotter has verified."""
    name = base64.urlsafe_b64encode(LOG_KEY.log_id).decode().rstrip("=")
    for path in state.glob(f"logs/{name}*/state.json"):
        return int(json.loads(path.read_text())["verified_position"]["size"])
    return 0


def children_s() -> float:
    """Seconds of the processor that ended children took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def log_list(url: str) -> dict[str, Any]:
    """The log, in the form in which certspotter reads lists."""
    log = {
        "description": "bench", "log_id": base64.b64encode(LOG_KEY.log_id).decode(), "mmd": 86400, "url": url,
        "key": base64.b64encode(LOG_KEY.spki).decode(), "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
    }  # fmt: skip
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    operator = {"name": "bench", "email": [], "logs": [log], "tiled_logs": []}
    return {"version": "1", "log_list_timestamp": now, "operators": [operator]}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All of it, in turns."""
    os.sched_setaffinity(0, {options.server_core})
    say(options, f"making a log of {options.entries:,} entries")
    log, small = NumberLog(options.entries), NumberLog(1)
    server, small_server = await serve(log), await serve(small)
    url, small_url = (f"http://127.0.0.1:{each.sockets[0].getsockname()[1]}/" for each in (server, small_server))
    spots = shutil.which("certspotter") is not None
    found: dict[str, Any] = {"machine": machine(), "entries": options.entries, "tiles": [], "rfc6962": [], "spots": []}
    for number in range(options.rounds):
        for form in FORMS:
            say(options, f"round {number + 1}: ours over {form}")
            found[form].append(await ours(url, form, options))
        if spots:
            say(options, f"round {number + 1}: certspotter")
            whole, start = [await certspotter(*each, options) for each in ((url, options.entries), (small_url, 1))]
            found["spots"].append({
                "per_s": options.entries / (whole["seconds"] - start["seconds"]),
                "per_cpu_s": options.entries / (whole["cpu_s"] - start["cpu_s"]), "start_s": start["seconds"],
            })  # fmt: skip
    server.close()
    small_server.close()
    return found


def say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        print(f"[{text}]", file=sys.stderr, flush=True)


def machine() -> str:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    hot = "C" if HOT else "Python"
    return f"{model}, Python {platform.python_version()}, hashing kernel {IMPLEMENTATION}, hot path in {hot}"


def growth_mb(runs: list[dict[str, Any]]) -> float:
    """What the second half of the log added, in MB, at most over the runs."""
    added = []
    for run in runs:
        half = [mb for at, _, mb in run["samples"] if at >= run["entries"] / 2]
        before = [mb for at, _, mb in run["samples"] if at < run["entries"] / 2]
        added.append(max(half, default=0.0) - max(before, default=0.0))
    return max(added)


def as_text(found: dict[str, Any]) -> str:
    """The table of benchmarks/README.md."""
    lines = [found["machine"], f"{found['entries']:,} entries, {len(found['tiles'])} rounds", ""]
    lines += ["| one core | entries/s | by CPU | x certspotter | to reach | second half adds, MB | peak, MB |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for form, target in FORMS.items():
        runs = found[form]
        ratios = [run["per_s"] / spot["per_s"] for run, spot in zip(runs, found["spots"], strict=False)]
        ratio = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})" if ratios else ""
        peak = max(mb for run in runs for _, _, mb in run["samples"])
        rates = [statistics.median(values) for values in (
            [run["per_s"] for run in runs], [run["entries"] / run["cpu_s"] for run in runs])]  # fmt: skip
        lines.append(f"| ours, {form} | {rates[0]:,.0f} | {rates[1]:,.0f} | {ratio} | {target:,} | "
                     f"{growth_mb(runs):.0f} | {peak:.0f} |")  # fmt: skip
    if found["spots"]:
        rates = [statistics.median(spot[name] for spot in found["spots"]) for name in ("per_s", "per_cpu_s")]
        lines.append(f"| certspotter, rfc6962 | {rates[0]:,.0f} | {rates[1]:,.0f} | 1 | | | |")
    cost = found["tiles"][0]["watchlist"]
    lines += ["", f"The watch list: {cost['items']:,} items, {cost['mb']:.0f} MB ({WATCHLIST_MB} at most), read in "
              f"{cost['made_s']:.1f} s. {found['tiles'][0]['claims']:,} claims in history, "
              f"{found['tiles'][0]['alerts']} alerts."]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=524_288)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--core", type=int, default=1, help="the one core of each monitor (default 1)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = uvloop.run(measure(options))
    print(json.dumps(found, indent=2) if options.json else as_text(found))


if __name__ == "__main__":
    main()
