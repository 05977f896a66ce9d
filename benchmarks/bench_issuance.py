"""How many certificates a second a CA issues and logs, end to end, on two cores: one by one, and in bulk.

    python benchmarks/bench_issuance.py [--count 20000] [--singles 6000] [--logs 1] [--json]

The CA is this process, the log a real `ctlog serve` with every fsync; both have the machine's two cores between them.
Each certificate: an order (a delegate's, for one number, with a key of its own), a precertificate
signed and submitted, the chain verified by the log, the SCT verified by the CA, embedded, the final certificate signed
and compared with what was logged.

    one by one       `ctlog.issuance.issuer.Issuer`, 64 certificates in flight; what is in flight shares the log's
                     streamed call, as the client does by itself
    a request each   the same with add-pre-chain alone, which is all that RFC 6962 knows
    bulk             `ctlog.issuance.bulk.BulkIssuer`, with a journal that has each certificate on the disk before it is
                     handed out

Costs are CPU time of the process, all threads. They are compared with the bare P-256 operations that one certificate
needs, in the same run: three signatures (precertificate, SCT, certificate) and two verifications (the log's, the CA's)
for each log. Afterwards certificates drawn at random are verified, and the log's size must be the number issued.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout

from benchmarks.bench_submission import (
    Server,
    busy_s,
    fsync_cost,
    machine,
    reference_costs,
    say,
    served,
    wait_for_quiet,
)
from ctlog import issuance
from ctlog.client.log_client import IN_FLIGHT, LogClient, describe, session
from ctlog.client.sct import verify_embedded_sct
from ctlog.client.several import Destination, Several, SubmissionPolicy
from ctlog.config import Config, Limits, Pool
from ctlog.folder import clock_ms, create
from ctlog.issuance.bulk import BulkIssuer, Issued, Outcome, open_journal
from ctlog.issuance.issuer import Issuer
from ctlog.issuance.ordered import Terms, delegate_orders
from ctlog.issuance.orders import Order
from ctlog.roots import RootsStore
from ctlog.tn.numbers import TelephoneNumber

TERMS = Terms(30, clock_ms)
SAMPLE = 200
Tell = Callable[[bytes], None]


def main() -> None:
    options = parse_options()
    folder = Path(tempfile.mkdtemp(prefix="ctlog-bench-", dir=options.dir))
    try:
        report = uvloop.run(measure(options, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=2) if options.json else as_text(report))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="certificates in bulk (default 20,000)")
    parser.add_argument("--singles", type=int, default=6_000, help="certificates one by one, each way (default 6,000)")
    parser.add_argument("--logs", type=int, default=1, help="local logs, of which each must promise each certificate")
    parser.add_argument("--dir", default=None, help="where logs and journal lie (default: the temporary folder)")
    parser.add_argument("--period-ms", type=int, default=5, help="of the log's batches, one by one (default 5)")
    parser.add_argument("--pool", type=int, default=1024, help="places in the log's pool, in bulk (default 1024)")
    parser.add_argument("--wait", type=float, default=0, help="before each phase wait, for so many seconds at most, "
                        "until nobody else uses the machine")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = {"machine": machine(), "logs": options.logs}
    report["verify_us"], report["sign_us"], _ = reference_costs()
    report["bare_us"] = round(3 * report["sign_us"] + 2 * options.logs * report["verify_us"], 1)
    report["fsync_idle_ms"] = fsync_cost(folder)
    say(options, "making keys")
    authority = issuance.example_authority(clock_ms())
    singles, many = Pool(period_ms=options.period_ms), Pool(size=options.pool)
    for name, pool, count in (
        ("one by one", singles, options.singles), ("a request each", singles, options.singles),
        ("bulk", many, options.count),
    ):  # fmt: skip
        say(options, name)
        report[name] = await phase(options, folder / name.replace(" ", "-"), authority, name, pool, count)
    return report


async def phase(options: argparse.Namespace, folder: Path, authority: issuance.Authority, name: str, pool: Pool,
                count: int) -> dict[str, Any]:
    """Issue `count` certificates into new logs."""
    orders = made_orders(count)
    issued: list[bytes] = []
    with ExitStack() as stack:
        logs = [await made_log(folder / str(at), pool, authority) for at in range(options.logs)]
        servers = [stack.enter_context(served(log, {0, 1})) for log in logs]
        async with logs_of(servers, stream=name != "a request each") as several:
            run = (in_bulk(authority, several, folder, orders, issued.append) if name == "bulk" else
                   one_by_one(authority, several, orders, issued.append))  # fmt: skip
            wait_for_quiet(options.wait)
            gc.collect()
            cpu, own, busy = sum(server.cpu_s() for server in servers), time.process_time(), busy_s()
            began = time.perf_counter()
            await run
            seconds = time.perf_counter() - began
            cpu, own = sum(server.cpu_s() for server in servers) - cpu, time.process_time() - own
            others = max(busy_s() - busy - cpu - own, 0) / seconds
        check(authority, issued, several, servers, count)
        return {
            "per_second": round(count / seconds, 1), "issued": count,
            "ca_cpu_us": round(own / count * 1e6, 1), "log_cpu_us": round(cpu / count * 1e6, 1),
            "cores_used": round((cpu + own) / seconds, 2), "others_core": round(others, 2),
            "period_ms": pool.period_ms, "pool": pool.size, "log_rss_mb": max(server.rss_mb() for server in servers),
        }


def made_orders(count: int) -> list[Order]:
    """Each for another number and another key."""
    return [Order(n, issuance.Key.generate().spki, "Example Telephone Company", (TelephoneNumber(f"1202{n:07d}"),))
            for n in range(count)]


async def made_log(folder: Path, pool: Pool, authority: issuance.Authority) -> Path:
    folder.parent.mkdir(exist_ok=True)
    config = Config(origin=f"bench.example/{folder.name}", monitoring_url="http://127.0.0.1:1/", pool=pool,
                    limits=Limits(source_rate=0, issuer_rate=0, root_rate=0))
    await create(folder, config)
    RootsStore(folder / "roots").add_certificates([(authority.chain[-1], "bench", "bench")], "bench", clock_ms())
    return folder


@asynccontextmanager
async def logs_of(servers: list[Server], *, stream: bool) -> AsyncIterator[Several]:
    """All of them must promise. `stream`: use the call for many where the log offers it."""
    async with session() as http:
        logs = []
        for at, server in enumerate(servers):
            url = f"http://127.0.0.1:{server.port}/"
            key, path = await describe(http, url)
            logs.append(Destination(LogClient(url, key, http, bulk_path=path if stream else ""), f"operator {at}"))
        yield Several(logs, SubmissionPolicy(len(logs), len(logs)), clock_ms)
        for log in logs:
            await log.client.close()


async def one_by_one(authority: issuance.Authority, several: Several, orders: list[Order], tell: Tell) -> None:
    issuer, build = Issuer(authority, several), delegate_orders(authority, TERMS)
    waiting = iter(orders)

    async def work() -> None:
        for order in waiting:
            tell((await issuer.issue(build(order))).certificate)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


async def in_bulk(authority: issuance.Authority, several: Several, folder: Path, orders: list[Order],
                  tell: Tell) -> None:
    journal = open_journal(folder / "journal", authority)

    def report(outcome: Outcome) -> None:
        assert isinstance(outcome, Issued), outcome
        tell(outcome.certificate)

    await BulkIssuer(authority, several, journal, delegate_orders(authority, TERMS)).run(iter(orders), report)
    assert journal.counts() == (len(orders), len(orders))
    journal.close()


def check(authority: issuance.Authority, issued: list[bytes], several: Several, servers: list[Server],
          count: int) -> None:
    """Raises when what was issued is not good, or not all of it was logged."""
    assert len(set(issued)) == count
    for certificate in random.Random(1).sample(issued, min(SAMPLE, count)):
        for log in several.logs:
            verify_embedded_sct(certificate, authority.chain, log.client.key, clock_ms())
    sizes = [server.size() for server in servers]
    assert sizes == [count] * len(servers), sizes


def as_text(report: dict[str, Any]) -> str:
    bare = report["bare_us"]
    lines = [
        report["machine"],
        f"P-256 signature {report['sign_us']} us, verification {report['verify_us']} us: {bare} us for each of "
        f"{report['logs']} log(s), so {2e6 / bare:.0f} a second on two idle cores",
        f"the disk alone, 4 KiB and fsync: p50 {report['fsync_idle_ms']['p50']} ms, "
        f"p99 {report['fsync_idle_ms']['p99']} ms",
    ]
    for name in ("one by one", "a request each", "bulk"):
        found = report[name]
        both = found["ca_cpu_us"] + found["log_cpu_us"]
        lines.append(
            f"{name:14} {found['per_second']:7.0f}/s  CPU each: CA {found['ca_cpu_us']:.0f} us, log(s) "
            f"{found['log_cpu_us']:.0f} us, {both / bare:.2f} x the bare operations; {found['cores_used']} of 2 cores, "
            f"other programs {found['others_core']}; a pool of {found['pool']} every {found['period_ms']} ms; log "
            f"{found['log_rss_mb']} MB")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
