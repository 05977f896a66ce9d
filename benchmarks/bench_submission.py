"""How many precertificates a second a real `ctlog serve` takes, on one core, with every fsync.

    python benchmarks/bench_submission.py [--seconds 10] [--connections 224] [--entries 1000000] [--json]

The server is pinned to one core, this process to another. The log is made in a fresh folder (`--dir`: on which disk),
optionally grown to `--entries` first; limits are off and the pool is as configured by default. Three phases:

    steady    `--connections` submitters, each with one request under way
    overload  twice the steady rate, whether or not it is answered
    recovery  the steady load again, to see that nothing stuck

Ratios are against what this machine does in the same run: a P-256 verification, which each submission needs one of.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout

from benchmarks.grow import grow
from benchmarks.load import DiskProbe, Result, closed, http_request, opened, quantile
from ctlog import issuance
from ctlog.config import Config, Limits, Pool
from ctlog.folder import clock_ms, create
from ctlog.roots import RootsStore

TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = parse_options()
    os.sched_setaffinity(0, {options.load_core})
    folder = Path(tempfile.mkdtemp(prefix="ctlog-bench-", dir=options.dir))
    try:
        report = uvloop.run(measure(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=2) if options.json else as_text(report))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase (default 10)")
    parser.add_argument("--connections", type=int, default=224, help="submitters in the steady phase (default 224)")
    parser.add_argument("--entries", type=int, default=0, help="grow the log to so many entries first")
    parser.add_argument("--dir", default=None, help="where to make the log (default: the system's temporary folder)")
    parser.add_argument("--period-ms", type=int, default=Pool().period_ms)
    parser.add_argument("--pool", type=int, default=Pool().size)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--wait", type=float, default=0, help="before each phase wait, for so many seconds at most, "
                        "until nobody else uses the machine")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = {"machine": machine(), "period_ms": options.period_ms, "pool": options.pool,
                              "connections": options.connections}
    report["verify_us"], report["sign_us"], report["sha256_800_us"] = reference_costs()
    report["fsync_idle_ms"] = fsync_cost(folder)
    say(options, "making certificates")
    rate_guess = 7000
    bodies = prepared(int(options.seconds * rate_guess * 3))
    log = folder / "log"
    config = Config(
        origin="bench.example/log", monitoring_url="http://127.0.0.1:1/",
        limits=Limits(source_rate=0, issuer_rate=0, root_rate=0),
        pool=Pool(period_ms=options.period_ms, size=options.pool))
    made, _ = await create(log, config)
    RootsStore(log / "roots").add_certificates([(bodies.root, "bench", "bench")], "bench", clock_ms())
    if options.entries:
        say(options, f"growing the log to {options.entries} entries")
        await grow(made, options.entries)
    with served(log, {options.server_core}) as server:
        report["kernel"] = server.kernel
        report["entries_at_start"] = server.size()
        report["rss_mb_at_start"] = server.rss_mb()
        await closed(server.port, options.connections, 2.0, bodies.take)  # warm up
        for name in ("steady", "overload", "recovery"):
            say(options, name)
            report[name] = await phase(name, options, server, bodies, folder, report)
        report["entries_at_end"] = server.size()
    report["ratios"] = ratios(report)
    return report


async def phase(name: str, options: argparse.Namespace, server: Server, bodies: Bodies, folder: Path,
                report: dict[str, Any]) -> dict[str, Any]:
    wait_for_quiet(options.wait)
    probe = DiskProbe(folder)
    probe.start()
    cpu, began = server.cpu_s(), time.perf_counter()
    load, busy = time.process_time(), busy_s()
    if name == "overload":
        rate = 2 * report["steady"]["per_second"]
        result = await opened(server.port, 2048, options.seconds, rate, bodies.take, bodies.give_back)
    else:
        result = await closed(server.port, options.connections, options.seconds, bodies.take)
    cpu, elapsed = server.cpu_s() - cpu, time.perf_counter() - began
    load = time.process_time() - load
    return summary(result) | {
        "server_cpu_us": round(cpu / max(result.good, 1) * 1e6, 1),
        "server_core": round(cpu / elapsed, 3),
        "load_core": round(load / elapsed, 3),
        "others_core": round(max(busy_s() - busy - cpu - load, 0) / elapsed, 3),
        "fsync_p99_ms": round(quantile(probe.stop(), 0.99) * 1000, 2),
        "rss_mb": server.rss_mb(),
    }


def summary(result: Result) -> dict[str, Any]:
    return {
        "per_second": round(result.rate(), 1), "good": result.good,
        "others": {str(status): count for status, count in result.statuses.items() if status != 200},
        "unsent": result.unsent, "p50_ms": round(result.quantile(0.5), 1), "p99_ms": round(result.quantile(0.99), 1),
        "refused_p99_ms": round(quantile(result.refused_s, 0.99) * 1000, 1),
    }


class Bodies:
    """Prepared add-pre-chain requests, each of another precertificate, and the root above them."""

    def __init__(self, root: bytes, requests: list[bytes]) -> None:
        self.root = root
        self._requests = deque(requests)

    def take(self) -> bytes | None:
        return self._requests.popleft() if self._requests else None

    def give_back(self, request: bytes) -> None:
        self._requests.append(request)


def prepared(count: int) -> Bodies:
    now = clock_ms()
    authority = issuance.example_authority(now)
    above = [base64.b64encode(der).decode() for der in authority.chain]
    spki = issuance.Key.generate().spki
    digits = random.Random(1)
    requests = []
    for _ in range(count):
        tbs = issuance.shaken_leaf(authority, spki, f"{digits.randrange(10**4):04d}", "Example Telephone Company",
                                   not_before_ms=now, not_after_ms=now + 90 * 86_400_000)
        leaf = base64.b64encode(authority.precertificate(tbs)).decode()
        body = json.dumps({"chain": [leaf, *above]}).encode()
        requests.append(http_request("/ct/v1/add-pre-chain", body))
    return Bodies(authority.chain[-1], requests)


class Server:
    """A running `ctlog serve`."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port
        self.kernel = ""

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
            data: bytes = answer.read()
            return data

    def size(self) -> int:
        return int(json.loads(self.get("ct/v1/get-sth"))["tree_size"])

    def cpu_s(self) -> float:
        """User and system time, of all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


@contextlib.contextmanager
def served(log: Path, cores: set[int]) -> Iterator[Server]:
    """Run `ctlog serve` on these cores until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from ctlog.cli import main; main()", "serve", str(log),
               "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, cores),
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
    server = Server(process.pid, port)
    try:
        wait_for(server, process)
        for line in server.get("metrics").decode().splitlines():
            if line.startswith("ctlog_build_info"):
                server.kernel = line.partition('kernel="')[2].partition('"')[0]
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            assert process.stderr is not None
            raise SystemExit(f"ctlog serve ended: {process.stderr.read().decode()}")
        with contextlib.suppress(OSError):
            server.get("checkpoint")
            return
        time.sleep(0.1)
    raise SystemExit("ctlog serve did not begin to answer within a minute")


def busy_s() -> float:
    """Processor time that anybody on this machine has used."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / TICK


def wait_for_quiet(seconds: float) -> None:
    """Until the machine was idle for half a second, or `seconds` have passed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        before = busy_s()
        time.sleep(0.5)
        if busy_s() - before <= 0.03:
            return


def reference_costs() -> tuple[float, float, float]:
    """Microseconds of a P-256 verification, of a deterministic signature, and of SHA-256 over 800 bytes."""
    key = ec.generate_private_key(ec.SECP256R1())
    data = os.urandom(800)
    scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    signature, public = key.sign(data, scheme), key.public_key()
    plain = ec.ECDSA(hashes.SHA256())

    def best(act: Any, count: int) -> float:
        runs = []
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(count):
                act()
            runs.append((time.perf_counter() - began) / count)
        return round(min(runs) * 1e6, 2)

    return (best(lambda: public.verify(signature, data, plain), 1000), best(lambda: key.sign(data, scheme), 1000),
            best(lambda: hashlib.sha256(data).digest(), 10_000))


def fsync_cost(folder: Path) -> dict[str, float]:
    """What 4 KiB and an fsync take while nothing else is written."""
    probe = DiskProbe(folder, every_s=0.001)
    probe.start()
    time.sleep(1)
    seconds = probe.stop()
    return {"p50": round(quantile(seconds, 0.5) * 1000, 2), "p99": round(quantile(seconds, 0.99) * 1000, 2)}


def ratios(report: dict[str, Any]) -> dict[str, float]:
    steady, overload = report["steady"], report["overload"]
    return {
        "server CPU per submission / P-256 verification": round(steady["server_cpu_us"] / report["verify_us"], 2),
        "submissions per second / verifications per second of a core":
            round(steady["per_second"] * report["verify_us"] / 1e6, 3),
        "p99 / period": round(steady["p99_ms"] / report["period_ms"], 2),
        "goodput at twice the load / steady": round(overload["per_second"] / steady["per_second"], 3),
        "p99 of the accepted at twice the load / steady": round(overload["p99_ms"] / steady["p99_ms"], 2),
    }


def machine() -> str:
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(": ")[2]
                break
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['machine']}; hashing kernel {report['kernel']}",
        f"P-256 verification {report['verify_us']} us, signature {report['sign_us']} us, "
        f"SHA-256 of 800 bytes {report['sha256_800_us']} us",
        "the disk alone, 4 KiB and fsync: "
        f"p50 {report['fsync_idle_ms']['p50']} ms, p99 {report['fsync_idle_ms']['p99']} ms",
        f"pool {report['pool']} entries every {report['period_ms']} ms; {report['connections']} submitters; "
        f"{report['entries_at_start']} entries before, {report['entries_at_end']} after; "
        f"{report['rss_mb_at_start']} MB resident at the start",
    ]
    for name in ("steady", "overload", "recovery"):
        found = report[name]
        lines.append(
            f"{name:9} {found['per_second']:8.0f}/s  p50 {found['p50_ms']:6.1f} ms  p99 {found['p99_ms']:6.1f} ms  "
            f"server CPU {found['server_cpu_us']:6.1f} us each ({found['server_cpu_us'] / 1000:.3f} s per 1,000), "
            f"{found['server_core']:.0%} of its core  RSS {found['rss_mb']} MB  disk p99 {found['fsync_p99_ms']} ms  "
            f"other answers {found['others'] or 'none'}, unsent {found['unsent']}; other programs used "
            f"{found['others_core']:.0%} of a core")
    lines += [f"{value:8} {what}" for what, value in report["ratios"].items()]
    return "\n".join(lines)


def say(options: argparse.Namespace, what: str) -> None:
    if not options.json:
        print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
