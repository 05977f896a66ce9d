"""What the monitor tells Prometheus (text format 0.0.4). Every name is a contract: docs/monitor-metrics.md lists all.

In scope: the figures of one moment as samples. Out of scope: gathering them (`monitor.api`), and what to be woken by
(docs/monitor-alerts.yml).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitor.health import Trouble
from monitor.state.rows import SCT_STATES, ChannelRow, Gap, LogRow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TROUBLES = (
    "unreachable", "unreadable-log", "silent", "behind", "unproven", "gap", "channel", "late", "dead", "source", "part",
    "lost-log", "mistake", "store", "wrong-key", "no-head", "no-log", "no-item", "no-roots", "no-channel", "no-way",
)  # fmt: skip
"""Kinds of `monitor.health`, which are exposed as 0 as well, so that an alert rule can see them come."""


Labels = TypeVar("Labels", bound=tuple[str, ...])


class Figures(NamedTuple):
    """What is true at the moment of a scrape.

    alerts: by (severity, status). scts: by status. items: what is watched. claims: in the history. handed: by (what,
    outcome), since the start. left_s: by log id, how long reading to its end takes as it goes now.
    """

    version: str
    logs: Sequence[LogRow] = ()
    gaps: Sequence[Gap] = ()
    channels: Sequence[ChannelRow] = ()
    alerts: Mapping[tuple[int, str], int] = {}
    scts: Mapping[str, int] = {}
    troubles: Sequence[Trouble] = ()
    items: int = 0
    claims: int = 0
    handed: Mapping[tuple[str, str], int] = {}
    left_s: Mapping[bytes, float] = {}


def exposition(figures: Figures) -> bytes:
    """The figures in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(figures))
    ProcessCollector(namespace="ctlog_monitor", registry=registry)
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        yield from _of_monitor(self._figures)
        yield from _of_logs(self._figures)
        yield from _of_channels(self._figures.channels)


def _gauge(name: str, text: str, labels: Sequence[str], rows: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"ctlog_monitor_{name}", text, labels=labels)
    for values, value in rows.items():
        family.add_metric(values, value)
    return family


def _of_monitor(figures: Figures) -> Iterator[Metric]:
    yield _gauge("build_info", "Always 1.", ["version"], {(figures.version,): 1})
    yield _gauge("healthy", "1 while /health says that all is well.", [], {(): not figures.troubles})
    troubles = dict.fromkeys(((kind,) for kind in TROUBLES), 0.0)
    for trouble in figures.troubles:
        troubles[trouble.kind,] = troubles.get((trouble.kind,), 0.0) + 1
    yield _gauge("troubles", "What is not well now, by kind.", ["kind"], troubles)
    yield _gauge("watched_items", "Items that are watched.", [], {(): figures.items})
    yield _gauge("history_claims", "Claims in the history.", [], {(): figures.claims})
    alerts = {(f"S{severity}", status): float(count) for (severity, status), count in figures.alerts.items()}
    yield _gauge("alerts", "Alerts, by severity and by what was answered.", ["severity", "status"], alerts)
    scts = {(status,): float(figures.scts.get(status, 0)) for status in SCT_STATES}
    yield _gauge("scts", "SCTs under audit, by what became of them.", ["status"], scts)
    text = "What was handed in over the API."
    handed = CounterMetricFamily("ctlog_monitor_handed_in", text, labels=["what", "outcome"])
    for (what, outcome), count in figures.handed.items():
        handed.add_metric([what, outcome], count)
    yield handed


def _of_logs(figures: Figures) -> Iterator[Metric]:
    logs = figures.logs
    missing = dict.fromkeys((log.log_id for log in logs), 0)
    for gap in figures.gaps:
        if gap.log_id in missing:
            missing[gap.log_id] += gap.hi - gap.lo

    def each(name: str, text: str, values: Mapping[bytes, float | None]) -> Metric:
        rows = {(log.name,): value for log in logs if (value := values.get(log.log_id)) is not None}
        return _gauge(f"log_{name}", text, ["log"], rows)

    yield each("read_entries", "Entries read.", {log.log_id: log.position.frontier.size for log in logs})
    yield each("proven_entries", "Entries proven to be in a signed tree.",
               {log.log_id: log.position.proven.size for log in logs})  # fmt: skip
    yield each("head_entries", "Size of the newest signed head.", {log.log_id: log.head_size for log in logs})
    yield each("head_timestamp_seconds", "Time of the newest signed head.",
               {log.log_id: _seconds(log.head_ms) for log in logs})  # fmt: skip
    yield each("contact_timestamp_seconds", "When the log last answered with a head that it signed.",
               {log.log_id: _seconds(log.last_contact_ms) for log in logs})  # fmt: skip
    yield each("failing_since_seconds", "Since when rounds with it fail; 0 while they do not.",
               {log.log_id: _seconds(log.failing_since_ms) or 0 for log in logs})  # fmt: skip
    yield each("unproven_since_seconds", "Since when entries are read that no head has proven; 0 where there are none.",
               {log.log_id: _seconds(log.unproven_since_ms) or 0 for log in logs})  # fmt: skip
    yield each("missing_entries", "Entries that the log does not hand out as it signed them.", missing)
    yield each("misbehaved", "1 where there is evidence that the log contradicted itself.",
               {log.log_id: bool(log.accused) for log in logs})  # fmt: skip
    yield each("catch_up_seconds", "How long reading to its end takes, as it goes now.", figures.left_s)


def _of_channels(channels: Sequence[ChannelRow]) -> Iterator[Metric]:
    def each(name: str, text: str, values: Mapping[str, float | None]) -> Metric:
        rows = {(channel,): value for channel, value in values.items() if value is not None}
        return _gauge(f"channel_{name}", text, ["channel"], rows)

    yield each("waiting", "Messages that wait.", {each.name: each.waiting for each in channels})
    yield each("dead", "Messages that were given up.", {each.name: each.dead for each in channels})
    yield each("delivered_timestamp_seconds", "When a message last got through.",
               {each.name: _seconds(each.last_success_ms) for each in channels})  # fmt: skip
    yield each("failing_since_seconds", "Since when nothing gets through; 0 while it does.",
               {each.name: _seconds(each.failing_since_ms) or 0 for each in channels})  # fmt: skip
    yield each("oldest_waiting_timestamp_seconds", "Since when the oldest message waits; 0 where none does.",
               {each.name: _seconds(each.oldest_waiting_ms) or 0 for each in channels})  # fmt: skip


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
