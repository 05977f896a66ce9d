"""What the log tells Prometheus (text format 0.0.4). Every name is a contract: docs/metrics.md lists them all.

In scope: counters and histograms that requests and batches feed, and gauges that are read when somebody scrapes.
Every sample carries `log`, the origin. Out of scope: where the numbers come from (`ctlog.app` hands in a snapshot).
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
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
    evicted: int
    connections: int


class _Count:
    """A counter in a dict. Prometheus' own takes a lock and a label look-up each time, for threads that we do not have:
    everything here is told by the event loop."""

    def __init__(self, name: str, text: str, labels: list[str]) -> None:
        self.name, self.text, self.labels = name, text, labels
        self.values: defaultdict[tuple[str, ...], float] = defaultdict(float)

    def collect(self, log: str) -> CounterMetricFamily:
        family = CounterMetricFamily(self.name, self.text, labels=["log", *self.labels])
        for labels, value in self.values.items():
            family.add_metric([log, *labels], value)
        return family


class _Spread:
    """A histogram in lists, for the same reason."""

    def __init__(self, name: str, text: str, labels: list[str], bounds: Sequence[float]) -> None:
        self.name, self.text, self.labels, self.bounds = name, text, labels, bounds
        self.values: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = ([0] * (len(self.bounds) + 1), [0.0])
        found[0][bisect_left(self.bounds, value)] += 1
        found[1][0] += value

    def collect(self, log: str) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self.name, self.text, labels=["log", *self.labels])
        names = [*(repr(float(bound)) for bound in self.bounds), "+Inf"]
        for labels, (counts, (total,)) in self.values.items():
            family.add_metric([log, *labels], list(zip(names, accumulate(counts), strict=True)), total)
        return family


class Metrics:
    """One log's registry. `kernel` is the hashing implementation in use. To be told from one thread."""

    def __init__(self, log: str, version: str, kernel: str, snapshot: Callable[[], Snapshot]) -> None:
        self.log = log
        self.build = {"version": version, "kernel": kernel}
        self.snapshot = snapshot
        self._requests = _Count("ctlog_requests", "Requests answered, by endpoint and status code.",
                                ["endpoint", "code"])
        self._submissions = _Spread("ctlog_submission_seconds", "From a submission's headers to its answer.",
                                    ["endpoint"], _SECONDS)
        self._refusals = _Count("ctlog_refusals", "Submissions not accepted, by endpoint and reason.",
                                ["endpoint", "reason"])
        self._accepted = _Count("ctlog_accepted", "Submissions answered with an SCT: new entries and resubmissions.",
                                ["endpoint", "kind"])
        self._batches = _Count("ctlog_batches", "Batches published, those of an idle log (fresh heads) among them.", [])
        self._duplicates = _Count("ctlog_batch_duplicates", "Submissions that a batch found in the log already.", [])
        self._entries = _Spread("ctlog_batch_entries", "New entries of one batch.", [], _ENTRIES)
        self._steps = _Spread("ctlog_batch_seconds", "Time of each step of a batch.", ["step"], _SECONDS)
        self._reads = _Spread("ctlog_read_seconds", "Time of one read of the public store.", [], _SECONDS)
        self._reloads = _Count("ctlog_roots_reloads", "Reloads of the accepted roots, by outcome: swapped or kept.",
                               ["outcome"])
        self.told = (self._requests, self._submissions, self._refusals, self._accepted, self._batches,
                     self._duplicates, self._entries, self._steps, self._reads, self._reloads)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(self))

    def request(self, endpoint: str, code: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.values[endpoint, str(code)] += 1
        if endpoint in _SUBMISSIONS:
            self._submissions.observe((endpoint,), seconds)

    def accepted(self, endpoint: str, new: bool) -> None:
        """A submission got its SCT."""
        self._accepted.values[endpoint, "new" if new else "resubmission"] += 1

    def refused(self, endpoint: str, reason: str) -> None:
        """A submission was not accepted; `reason` is an error's stable word."""
        self._refusals.values[endpoint, reason] += 1

    def batch(self, report: BatchReport) -> None:
        """A batch was published."""
        self._batches.values[()] += 1
        self._duplicates.values[()] += report.duplicates
        if report.entries:
            self._entries.observe((), report.entries)
            for step, seconds in report.seconds.items():
                self._steps.observe((step,), seconds)

    def read(self, seconds: float) -> None:
        """Objects were read from the public store, several at once as a rule."""
        self._reads.observe((), seconds)

    def roots_reloaded(self, swapped: bool) -> None:
        """SIGHUP came."""
        self._reloads.values["swapped" if swapped else "kept",] += 1

    def names(self) -> set[str]:
        """Every metric's name, as docs/metrics.md lists it."""
        return {metric.name + ("_total" if metric.type == "counter" else "") for metric in self._registry.collect()}

    def answer(self) -> Answer:
        """The page that Prometheus scrapes."""
        return Answer(200, generate_latest(self._registry), CONTENT_TYPE, NO_STORE)


class _Collector(Collector):
    """What was told, and what is read at the moment of a scrape."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for told in self._metrics.told:
            yield told.collect(self._metrics.log)
        yield from self._gauges(self._metrics.log, self._metrics.snapshot())

    def _gauges(self, log: str, now: Snapshot) -> Iterator[Metric]:
        yield _gauge("ctlog_build_info", "1; its labels say which program runs and which hashing kernel.",
                     ["log", *self._metrics.build], {(log, *self._metrics.build.values()): 1})
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
            ("ctlog_pool_evicted", "Low entries that gave way to fresh ones.", now.evicted),
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
