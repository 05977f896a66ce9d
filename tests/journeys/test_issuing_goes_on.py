"""Issuing with the strict policy through the death of a log: it stops, says why, and goes on when the log is back."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from ctlog.cli.files import read_certificates
from ctlog.client.log_list import parse_log_list
from ctlog.client.sct_policy import verify_scts
from tests.issuing_kit import given_out, size_of, start_issuing, two_logs, write_orders
from tests.serving import Serving

pytestmark = pytest.mark.trial

COUNT = 2_000


def test_two_of_two_with_one_killed_and_back_again(tmp_path: Path) -> None:
    write_orders(tmp_path, COUNT)
    with two_logs(tmp_path) as logs:
        with start_issuing(tmp_path, "first.jsonl", "--time-limit", "10") as issuing:
            wait_for_half(issuing, logs[1])
            logs[1].kill()
            said = issuing.communicate(timeout=120)[1].decode()
        assert issuing.returncode == 3, said
        assert "an order waits for SCTs" in said
        address = logs[1].url.removeprefix("http://").rstrip("/")
        logs[1] = Serving(tmp_path / "two", ["--listen", address])
        with start_issuing(tmp_path, "second.jsonl") as issuing:
            said = issuing.communicate(timeout=120)[1].decode()
        assert issuing.returncode == 0, said
        check_all(tmp_path, given_out(tmp_path / "second.jsonl", COUNT))
        assert [size_of(log) for log in logs] == [COUNT, COUNT]  # no second entry for a number, of either run


def wait_for_half(issuing: subprocess.Popen[bytes], log: Serving) -> None:
    while size_of(log) < COUNT // 2:
        assert issuing.poll() is None, issuing.communicate()[1]
        time.sleep(0.02)


def check_all(folder: Path, certificates: dict[str, bytes]) -> None:
    """Each has an SCT of both logs; and what the first run gave out already is what the second gives out."""
    logs = parse_log_list((folder / "log-list.json").read_bytes())
    above = tuple(read_certificates(folder / "my-ca/delegate/ca.pem"))
    now_ms = time.time_ns() // 1_000_000
    for der in certificates.values():
        assert verify_scts(der, above[:1], logs, now_ms).operators == ["One Inc", "Two Inc"]
    first = (folder / "first.jsonl").read_text()
    issued_before = first.count('"status": "issued"')
    assert 0 < issued_before < COUNT
    assert (folder / "second.jsonl").read_text().count('"before": true') == issued_before


def test_a_log_that_hangs_is_no_failure(tmp_path: Path) -> None:
    write_orders(tmp_path, COUNT)
    with two_logs(tmp_path) as logs:
        with start_issuing(tmp_path, "issued.jsonl", "--scts", "1", "--operators", "1") as issuing:
            wait_for_half(issuing, logs[1])
            logs[1].process.send_signal(signal.SIGSTOP)
            try:
                said = issuing.communicate(timeout=50)[1].decode()  # a minute's silence would end the conversation
            finally:
                logs[1].process.send_signal(signal.SIGCONT)
        assert issuing.returncode == 0, said
        assert len(given_out(tmp_path / "issued.jsonl", COUNT)) == COUNT
