"""What the log tells Prometheus (text format 0.0.4). Every name is a contract: docs/metrics.md lists them all.

In scope: counters and histograms that requests and batches feed, and gauges that are read when somebody scrapes.
Every sample carries `log`, the origin. Out of scope: where the numbers come from (`ctlog.app` hands in a snapshot).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ctlog.http.answers import NO_STORE, Answer
from ctlog.sequencer.log import BatchReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
_ENTRIES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)
_SUBMISSIONS = frozenset({"add-chain", "add-pre-chain"})


class Snapshot(NamedTuple):
    """What is true at the moment of a scrape. Times in Unix seconds."""

    tree_size: int
    head_s: float
    frozen: bool
    healthy: bool
    pool_entries: int
    pool_size: int
    period_s: float
    window_s: tuple[float | None, float | None]
    roots: Mapping[str, int]  # by trust domain
    free_bytes: Mapping[str, int]  # by store
    cache_bytes: int
    cache_hits: int
    cache_misses: int
    connections: int


class Metrics:
    """One log's registry. `kernel` is the hashing implementation in use."""

    def __init__(self, log: str, version: str, kernel: str, snapshot: Callable[[], Snapshot]) -> None:
        self._log = log
        self._registry = CollectorRegistry(auto_describe=False)
        self._snapshot = snapshot
        self._build = {"version": version, "kernel": kernel}
        self._requests = Counter("ctlog_requests", "Requests answered, by endpoint and status code.",
                                 ["log", "endpoint", "code"], registry=self._registry)
        self._request_seconds = Histogram("ctlog_submission_seconds", "From a submission's headers to its answer.",
                                          ["log", "endpoint"], buckets=_SECONDS, registry=self._registry)
        self._refusals = Counter("ctlog_refusals", "Submissions not accepted, by endpoint and reason.",
                                 ["log", "endpoint", "reason"], registry=self._registry)
        self._accepted = Counter("ctlog_accepted", "Submissions answered with an SCT: new entries and resubmissions.",
                                 ["log", "endpoint", "kind"], registry=self._registry)
        self._batches = Counter("ctlog_batches", "Batches published, those of an idle log (fresh heads) among them.",
                                ["log"], registry=self._registry)
        self._batch_entries = Histogram("ctlog_batch_entries", "New entries of one batch.", ["log"], buckets=_ENTRIES,
                                        registry=self._registry)
        self._batch_seconds = Histogram("ctlog_batch_seconds", "Time of each step of a batch.", ["log", "step"],
                                        buckets=_SECONDS, registry=self._registry)
        self._duplicates = Counter("ctlog_batch_duplicates", "Submissions that a batch found in the log already.",
                                   ["log"], registry=self._registry)
        self._read_seconds = Histogram("ctlog_read_seconds", "Time of one read of the public store.", ["log"],
                                       buckets=_SECONDS, registry=self._registry)
        self._reloads = Counter("ctlog_roots_reloads", "Reloads of the accepted roots, by outcome: swapped or kept.",
                                ["log", "outcome"], registry=self._registry)
        self._registry.register(_Gauges(self))
        self._by_request: dict[tuple[str, int], Counter] = {}  # labels() costs more than inc()
        self._by_submission: dict[str, Histogram] = {
            name: self._request_seconds.labels(log, name) for name in _SUBMISSIONS}
        self._by_accepted: dict[tuple[str, bool], Counter] = {
            (name, new): self._accepted.labels(log, name, "new" if new else "resubmission")
            for name in _SUBMISSIONS for new in (True, False)}

    def request(self, endpoint: str, code: int, seconds: float) -> None:
        """One request was answered."""
        counter = self._by_request.get((endpoint, code))
        if counter is None:
            counter = self._by_request[endpoint, code] = self._requests.labels(self._log, endpoint, str(code))
        counter.inc()
        if endpoint in _SUBMISSIONS:
            self._by_submission[endpoint].observe(seconds)

    def accepted(self, endpoint: str, new: bool) -> None:
        """A submission got its SCT."""
        self._by_accepted[endpoint, new].inc()

    def refused(self, endpoint: str, reason: str) -> None:
        """A submission was not accepted; `reason` is an error's stable word."""
        self._refusals.labels(self._log, endpoint, reason).inc()

    def batch(self, report: BatchReport) -> None:
        """A batch was published."""
        self._batches.labels(self._log).inc()
        self._duplicates.labels(self._log).inc(report.duplicates)
        if report.entries:
            self._batch_entries.labels(self._log).observe(report.entries)
            for step, seconds in report.seconds.items():
                self._batch_seconds.labels(self._log, step).observe(seconds)

    def read(self, seconds: float) -> None:
        """Objects were read from the public store, several at once as a rule."""
        self._read_seconds.labels(self._log).observe(seconds)

    def roots_reloaded(self, swapped: bool) -> None:
        """SIGHUP came."""
        self._reloads.labels(self._log, "swapped" if swapped else "kept").inc()

    def names(self) -> set[str]:
        """Every metric's name, as docs/metrics.md lists it."""
        return {metric.name + ("_total" if metric.type == "counter" else "") for metric in self._registry.collect()}

    def answer(self) -> Answer:
        """The page that Prometheus scrapes."""
        return Answer(200, generate_latest(self._registry), CONTENT_TYPE, NO_STORE)


class _Gauges(Collector):
    """What is read at the moment of a scrape."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        log, now = self._metrics._log, self._metrics._snapshot()
        build = GaugeMetricFamily("ctlog_build_info", "1; its labels say which program runs and which hashing kernel.",
                                  labels=["log", *self._metrics._build])
        build.add_metric([log, *self._metrics._build.values()], 1)
        yield build
        start, end = now.window_s
        for name, text, value in (
            ("ctlog_tree_size", "Entries in the published tree.", now.tree_size),
            ("ctlog_head_timestamp_seconds", "Unix time of the published head.", now.head_s),
            ("ctlog_frozen", "1 when the log has ended and serves reads only.", int(now.frozen)),
            ("ctlog_healthy", "1 when /health says so.", int(now.healthy)),
            ("ctlog_pool_entries", "Entries that wait for the next batch.", now.pool_entries),
            ("ctlog_pool_size", "Entries that may wait.", now.pool_size),
            ("ctlog_pool_period_seconds", "A batch starts at most this often.", now.period_s),
            ("ctlog_window_start_seconds", "NotAfter lower bound as Unix time; 0 without one.", start or 0),
            ("ctlog_window_end_seconds", "NotAfter upper bound as Unix time; 0 without one.", end or 0),
            ("ctlog_cache_bytes", "Tiles and issuers in memory.", now.cache_bytes),
            ("ctlog_connections", "Open connections.", now.connections),
            ("ctlog_process_resident_bytes", "Memory of the process.", _resident_bytes()),
        ):
            yield _gauge(name, text, ["log"], {(log,): value})
        yield _gauge("ctlog_roots", "Accepted roots by trust domain.", ["log", "domain"],
                     {(log, domain): count for domain, count in now.roots.items()})
        yield _gauge("ctlog_free_bytes", "Free space of each store.", ["log", "store"],
                     {(log, store): free for store, free in now.free_bytes.items()})
        for name, text, total in (
            ("ctlog_cache_hits", "Objects that were found in memory.", now.cache_hits),
            ("ctlog_cache_misses", "Objects that had to be read from the store.", now.cache_misses),
            ("ctlog_process_cpu_seconds", "Processor time of the process.", time.process_time()),
        ):
            counter = CounterMetricFamily(name, text, labels=["log"])
            counter.add_metric([log], total)
            yield counter


def _gauge(name: str, text: str, labels: list[str], values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for at, value in values.items():
        family.add_metric(at, value)
    return family


def _resident_bytes() -> int:
    """From /proc; 0 where there is none."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - a Path costs more than the read
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
