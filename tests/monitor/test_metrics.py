"""monitor.metrics: docs/monitor-metrics.md lists every name and no other; the alert rules are accepted and fire."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ctlog.merkle.tree import Frontier
from monitor import health
from monitor.health import Trouble
from monitor.metrics import TROUBLES, Figures, exposition
from monitor.state.rows import ChannelRow, Gap, LogRow, Position

DOCS = Path(__file__).resolve().parents[2] / "docs"
RULES, RULE_TESTS = DOCS / "monitor-alerts.yml", DOCS / "monitor-alerts.test.yml"
POSITION = Position(Frontier(7, (bytes(32),) * 3), Frontier(5, (bytes(32),) * 2))
LOG = LogRow(b"\1" * 32, 'a "log"', "https://log.example/", 0, POSITION, 1000, 9, 2000, None, "", 3000, "")
FIGURES = Figures(
    "0.1.0", [LOG], [Gap(LOG.log_id, 3, 5, "", 0, 0), Gap(b"\2" * 32, 0, 9, "", 0, 0)],
    [ChannelRow("mail", None, 4000, "x", 2, 1, 500)], {(1, "new"): 3}, {"waiting": 2},
    [Trouble("gap", "x", 2, "s", "r", "n"), Trouble("gap", "y", 2, "s", "r", "n")], 12, 34, {("scts", "taken"): 5},
    {LOG.log_id: 6.5},
)  # fmt: skip


def families() -> dict[str, tuple[str, dict[tuple[tuple[str, str], ...], float]]]:
    found = {}
    for family in text_string_to_metric_families(exposition(FIGURES).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, {tuple(sorted(s.labels.items())): s.value for s in family.samples})
        assert family.documentation
    return found


def test_the_page_and_the_monitor_agree() -> None:
    page = (DOCS / "monitor-metrics.md").read_text()
    rows = re.findall(r"^\| `(ctlog_monitor_\w+)` \| (\w+) \| ([\w, ]*)\|", page, re.MULTILINE)
    shown = families()
    assert {name: kind for name, kind, _ in rows} == {name: kind for name, (kind, _) in shown.items()}
    for name, _, labels in rows:
        wanted = {label.strip() for label in labels.split(",") if label.strip()}
        for given in shown[name][1]:
            assert {label for label, _ in given} == wanted, name


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("healthy", {}, 0), ("troubles", {"kind": "gap"}, 2), ("troubles", {"kind": "behind"}, 0),
        ("alerts", {"severity": "S1", "status": "new"}, 3), ("scts", {"status": "waiting"}, 2),
        ("scts", {"status": "broken"}, 0), ("log_read_entries", {"log": 'a "log"'}, 7),
        ("log_proven_entries", {"log": 'a "log"'}, 5), ("log_head_entries", {"log": 'a "log"'}, 9),
        ("log_head_timestamp_seconds", {"log": 'a "log"'}, 2), ("log_contact_timestamp_seconds", {"log": 'a "log"'}, 1),
        ("log_failing_since_seconds", {"log": 'a "log"'}, 0), ("log_unproven_since_seconds", {"log": 'a "log"'}, 3),
        ("log_missing_entries", {"log": 'a "log"'}, 2), ("log_misbehaved", {"log": 'a "log"'}, 0),
        ("log_catch_up_seconds", {"log": 'a "log"'}, 6.5), ("channel_waiting", {"channel": "mail"}, 2),
        ("channel_failing_since_seconds", {"channel": "mail"}, 4), ("watched_items", {}, 12),
        ("channel_oldest_waiting_timestamp_seconds", {"channel": "mail"}, 0.5), ("history_claims", {}, 34),
        ("handed_in_total", {"what": "scts", "outcome": "taken"}, 5),
    ],
)  # fmt: skip
def test_what_is_so_is_told(name: str, labels: dict[str, str], value: float) -> None:
    assert families()[f"ctlog_monitor_{name}"][1][tuple(sorted(labels.items()))] == value


def test_what_never_happened_has_no_time() -> None:
    assert families()["ctlog_monitor_channel_delivered_timestamp_seconds"][1] == {}


def test_every_kind_of_trouble_is_exposed_before_it_comes() -> None:
    source = Path(health.__file__ or "").read_text()
    kinds = set(re.findall(r'(?:Trouble\(\s*|kind, [a-z_, ]+= )"([a-z-]+)"', source))
    assert kinds == set(TROUBLES)
    assert exposition(Figures("0")).count(b"ctlog_monitor_troubles{") == len(TROUBLES)


# The alert rules ------------------------------------------------------------------------------------------------------


def test_rules_use_what_there_is_and_each_has_a_test() -> None:
    rules, tests = RULES.read_text(), RULE_TESTS.read_text()
    used = set(re.findall(r"\bctlog_monitor_\w+", rules))
    assert used <= set(families())
    names = re.findall(r"- alert: (\w+)", rules)
    assert len(names) == len(set(names))
    for name in names:
        assert re.search(rf"\b{name}\b", tests), f"{name} has no test"


@pytest.mark.trial
@pytest.mark.parametrize(
    "words", [["check", "rules", RULES.name], ["test", "rules", RULE_TESTS.name], ["check", "metrics"]], ids=" ".join
)
def test_promtool_finds_nothing_to_mend(words: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run([promtool, *words], input=exposition(FIGURES), capture_output=True, cwd=DOCS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
