"""Every metric is in docs/metrics.md and nothing else is; every sample says which log."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ctlog.http.metrics import Metrics, Snapshot
from ctlog.sequencer.log import BatchReport

DOCS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
NOW = Snapshot(tree_size=7, head_s=1.5, frozen=False, healthy=True, pool_entries=1, pool_size=2, period_s=0.025,
               window_s=(None, 9.0), roots={"us-shaken": 3, 'o"dd': 1}, free_bytes={"public": 5}, cache_bytes=1,
               cache_hits=2, cache_misses=3, evicted=5, connections=4)


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics("log.example/2026", "0.1.0", "sha-ni", lambda: NOW)
    metrics.request("add-chain", 200, 0.02)
    metrics.request("get-sth", 200, 0.0001)
    metrics.request("get-sth", 200, 0.0001)
    metrics.accepted("add-chain", True)
    metrics.refused("add-chain", "unknown-root")
    metrics.batch(BatchReport(7, 5, 1, 1500, {"stage": 0.002}))
    metrics.batch(BatchReport(7, 0, 0, 1600, {"stage": 9.0}))
    metrics.read(0.001)
    metrics.roots_reloaded(True)
    return metrics


def documented() -> dict[str, tuple[str, set[str]]]:
    rows = re.findall(r"^\| `(ctlog_\w+)` \| (\w+) \| ([\w, ]*)\|", DOCS.read_text(), re.MULTILINE)
    return {name: (kind, {label.strip() for label in labels.split(",") if label.strip()})
            for name, kind, labels in rows}


def test_the_page_and_the_log_agree(metrics: Metrics) -> None:
    assert metrics.names() == set(documented())


def test_types_and_labels_are_those_of_the_page(metrics: Metrics) -> None:
    said = documented()
    for family in text_string_to_metric_families(metrics.answer().body.decode()):
        if family.name.endswith("_created"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        kind, labels = said[name]
        assert kind == family.type
        assert family.documentation
        for sample in family.samples:
            assert sample.labels["log"] == "log.example/2026"
            assert set(sample.labels) - {"log", "le"} == labels, sample


def test_what_was_counted_is_told(metrics: Metrics) -> None:
    text = metrics.answer().body.decode()
    for line in (
        'ctlog_requests_total{code="200",endpoint="get-sth",log="log.example/2026"} 2.0',
        'ctlog_refusals_total{endpoint="add-chain",log="log.example/2026",reason="unknown-root"} 1.0',
        'ctlog_submission_seconds_count{endpoint="add-chain",log="log.example/2026"} 1.0',
        'ctlog_batches_total{log="log.example/2026"} 2.0',
        'ctlog_batch_entries_count{log="log.example/2026"} 1.0',
        'ctlog_tree_size{log="log.example/2026"} 7.0',
        'ctlog_roots{domain="us-shaken",log="log.example/2026"} 3.0',
        'ctlog_build_info{kernel="sha-ni",log="log.example/2026",version="0.1.0"} 1.0',
    ):
        assert line in text
    resident = re.search(r"ctlog_process_resident_bytes\{[^}]*\} (\S+)", text)
    assert resident
    assert float(resident[1]) > 1e6


def test_two_logs_do_not_share_a_registry(metrics: Metrics) -> None:
    other = Metrics("b", "0", "reference", lambda: NOW)
    assert "get-sth" not in other.answer().body.decode()


@pytest.mark.trial
def test_promtool_finds_nothing_to_mend(metrics: Metrics) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run([promtool, "check", "metrics"], input=metrics.answer().body, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
