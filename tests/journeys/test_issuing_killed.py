"""kill -9 of `ctlog ca issue --submit-final`, again and again, anywhere: nothing is issued twice, nothing is lost.

Two logs are real and stay. Whatever the killed runs gave out counts: each order has one certificate over all runs, each
log has one precertificate and one finished certificate for each order, and no other entry.
"""

from __future__ import annotations

import base64
import json
import random
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from ctlog.cli.files import read_certificates
from ctlog.client.log_list import parse_log_list
from ctlog.client.sct_policy import verify_scts
from ctlog.wire.rfc6962 import EntryType, parse_merkle_tree_leaf
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import tbs_of_final
from tests.issuing_kit import given_out, size_of, start_issuing, two_logs, write_orders
from tests.serving import Serving

pytestmark = pytest.mark.trial

COUNT = 1_500
KILLS = 12


def test_killed_wherever_it_is_each_order_gets_one_certificate_and_each_log_has_it_once(tmp_path: Path) -> None:
    write_orders(tmp_path, COUNT)
    dice = random.Random(COUNT)
    with two_logs(tmp_path) as logs:
        killed = sum(run_and_kill(tmp_path, at, logs[at % 2], dice) for at in range(KILLS))
        assert killed > KILLS // 2, "too little was left to do"
        with start_issuing(tmp_path, "last.jsonl", "--submit-final") as issuing:
            said = issuing.communicate(timeout=120)[1].decode()
        assert issuing.returncode == 0, said
        certificates = given_out(tmp_path / "last.jsonl", COUNT)
        check_handed_out(tmp_path, certificates)
        check_certificates(tmp_path, certificates)
        for log in logs:
            check_entries(log, list(certificates.values()))


def run_and_kill(folder: Path, at: int, log: Serving, dice: random.Random) -> bool:
    """One run, killed when the log has grown to its share, or a little later. Whether it was still at work."""
    goal = 2 * COUNT * (at + 1) // (KILLS + 1)
    issuing = start_issuing(folder, f"{at}.jsonl", "--submit-final")
    while size_of(log) < goal and issuing.poll() is None:
        time.sleep(0.002)
    time.sleep(0.1 * dice.random())
    issuing.kill()
    issuing.communicate(timeout=60)
    return issuing.returncode < 0


def check_handed_out(folder: Path, certificates: dict[str, bytes]) -> None:
    """What any run gave out is what the last one did. A line that was cut off was not given out."""
    handed: dict[str, set[bytes]] = defaultdict(set)
    for at in range(KILLS):
        *whole, _ = (folder / f"{at}.jsonl").read_bytes().split(b"\n")
        for told in map(json.loads, whole):
            if told["status"] == "issued":
                handed[told["id"]].add(base64.b64decode(told["certificate"]))
    assert handed, "no killed run gave out anything"
    for order, found in handed.items():
        assert found == {certificates[order]}


def check_certificates(folder: Path, certificates: dict[str, bytes]) -> None:
    logs = parse_log_list((folder / "log-list.json").read_bytes())
    above = tuple(read_certificates(folder / "my-ca/delegate/ca.pem"))
    now_ms = time.time_ns() // 1_000_000
    for der in certificates.values():
        assert verify_scts(der, above[:1], logs, now_ms).operators == ["One Inc", "Two Inc"]


def check_entries(log: Serving, certificates: list[bytes]) -> None:
    """Each precertificate and each finished certificate stands in the log, once, and nothing else does."""
    found: dict[EntryType, Counter[bytes]] = {kind: Counter() for kind in EntryType}
    size, at = size_of(log), 0
    while at < size:
        with urllib.request.urlopen(f"{log.url}ct/v1/get-entries?start={at}&end={size - 1}", timeout=10) as answer:
            entries = json.load(answer)["entries"]
        for entry in entries:
            signed = parse_merkle_tree_leaf(base64.b64decode(entry["leaf_input"])).entry
            found[signed.type][signed.certificate] += 1
        at += len(entries)
    assert found[EntryType.X509] == Counter(certificates)
    assert found[EntryType.PRECERT] == Counter(tbs_of_final(parse_certificate(der)) for der in certificates)
