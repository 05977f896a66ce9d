"""`ctlog verify-evidence`: a proof, a record, and what is neither. (How they come about: test_verify.py.)"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ctlog.cli import run
from ctlog.client.evidence import prove_fork, record
from ctlog.client.trusted import LogPolicy
from tests.small_log import KEY, NOW, SmallLog

LOG = SmallLog()
POLICY = LogPolicy(LOG.origin, KEY)


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    one = POLICY.open(LOG.checkpoint(root=bytes(32)))
    other = POLICY.open(LOG.checkpoint(root=bytes([1]) * 32))
    path = tmp_path / "EVIDENCE"
    path.write_text(prove_fork(POLICY.case(NOW), one, other))
    return path


def test_a_proof_is_said_to_be_one(proof: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify-evidence", str(proof)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "It is a proof."
    assert run(["verify-evidence", str(proof), "--key", base64.b64encode(KEY.spki).decode()]) == 0


def test_a_record_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "record").write_text(record(POLICY.case(NOW), "bad-tile", "it did not fit"))
    assert run(["verify-evidence", str(tmp_path / "record")]) == 0
    assert "whoever doubts its writer" in capsys.readouterr().out


def test_another_logs_key_is_a_no_and_a_checkpoint_key_is_no_use(
    proof: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ctlog.issuance import Key

    assert run(["verify-evidence", str(proof), "--key", base64.b64encode(Key.from_number(99).spki).decode()]) == 1
    assert "another log's key" in capsys.readouterr().err
    assert run(["verify-evidence", str(proof), "--key", LOG.vkey]) == 2


@pytest.mark.parametrize("text", ["", "hello", "ctlog-evidence/v1\n", "\0" * 100])
def test_what_is_no_evidence_is_said(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text(text)
    assert run(["verify-evidence", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("ctlog: ")
