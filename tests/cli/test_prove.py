"""`ctlog prove` and `ctlog verify --proof` as they are typed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ctlog.cli import run
from ctlog.wire.tlog_proof import parse_tlog_proof
from tests.pem import pem
from tests.serving import PROGRAM, environment
from tests.small_log import AUTHORITY, KEY, SmallLog

LOG = ["--log", "log", "--key", "key.pem"]


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallLog:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    public = serialization.load_der_public_key(KEY.spki)
    Path("key.pem").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    made = SmallLog()
    for number in range(5):
        Path(f"{number}.pem").write_bytes(pem(made.issue(number)))
    Path("plain.pem").write_bytes(pem(made.issue(7, precert=False)))
    made.write(Path("log"))
    return made


def test_made_online_and_checked_offline(capsys: pytest.CaptureFixture[str]) -> None:
    for name, index in (("3", 3), ("plain", 5)):
        assert run(["prove", f"{name}.pem", *LOG, "-o", "x.tlog-proof"]) == 0
        assert f"entry {index} of 6 of log.example/small" in capsys.readouterr().err
        assert run(["verify", f"{name}.pem", "--proof", "x.tlog-proof", "--key", "key.pem"]) == 0
        out = capsys.readouterr().out
        assert f"{name}.pem (CN=leaf" in out
        assert f"proven      entry {index} of 6, by x.tlog-proof, signed by the key that you gave on 2026" in out
        assert "signed by the log's key" in out


def test_attack_a_forged_certificate_with_a_real_proof(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    """The proof has no signature of the CA's in it: it is checked with the issuer, and said not to be without."""
    assert run(["prove", "3.pem", *LOG, "-o", "x"]) == 0
    good = log.issue(3)
    Path("forged.pem").write_bytes(pem(good[:-1] + bytes((good[-1] ^ 1,))))
    Path("ca.pem").write_bytes(pem(*AUTHORITY.chain))
    offline = ["--proof", "x", "--key", "key.pem"]
    assert run(["verify", "forged.pem", *offline, "--intermediates", "ca.pem"]) == 1
    captured = capsys.readouterr()
    assert "own signature is not its issuer's" in captured.err
    assert captured.out == ""
    assert run(["verify", "forged.pem", *offline]) == 0
    assert "issued      NOT CHECKED" in capsys.readouterr().out
    assert run(["verify", "3.pem", *offline, "--intermediates", "ca.pem"]) == 0
    assert "issued      signed by its issuer" in capsys.readouterr().out
    assert run(["prove", "forged.pem", *LOG, "-o", "y"]) == 1
    assert not Path("y").exists()


def test_to_standard_output() -> None:
    ran = subprocess.run([*PROGRAM, "prove", "3.pem", *LOG], capture_output=True, check=True, env=environment())
    assert parse_tlog_proof(ran.stdout).index == 3
    assert ran.stderr == b""


def test_with_the_checkpoint_key(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "3.pem", "--log", "log", "--key", log.vkey, "-o", "x"]) == 0
    assert run(["verify", "3.pem", "--proof", "x", "--key", log.vkey]) == 0
    assert "needs the log's own key" in capsys.readouterr().out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "3.pem", *LOG, "-o", "x"]) == 0
    assert run(["verify", "3.pem", "--proof", "x", "--key", "key.pem", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["result"], value["index"], value["size"], value["sct_checked"]) == ("proven", 3, 6, True)
    assert run(["verify", "2.pem", "--proof", "x", "--key", "key.pem", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "bad-proof"


def test_what_is_not_proven(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "3.pem", *LOG, "-o", "x"]) == 0
    assert run(["verify", "2.pem", "--proof", "x", "--key", "key.pem"]) == 1
    Path("x").write_bytes(Path("x").read_bytes()[:-20])
    assert run(["verify", "3.pem", "--proof", "x", "--key", "key.pem"]) in (1, 2)
    assert run(["verify", "3.pem", "--key", "key.pem"]) == 2
    assert run(["verify", "3.pem", *LOG, "--proof", "x"]) == 2
    assert "either --log or --proof" in capsys.readouterr().err


def test_no_proof_of_what_the_log_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    other = SmallLog("log.example/other")
    Path("other.pem").write_bytes(pem(other.issue(99, precert=False)))
    assert run(["prove", "other.pem", *LOG, "-o", "x"]) == 1
    assert not Path("x").exists()


def test_a_log_that_lies_is_caught_here_too(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prove", "3.pem", *LOG, "-o", "x"]) == 0
    Path("log/checkpoint").write_bytes(log.checkpoint(root=bytes(32)))
    assert run(["prove", "3.pem", *LOG, "-o", "y"]) == 1
    assert "THE LOG CONTRADICTS ITSELF" in capsys.readouterr().err
    assert not Path("y").exists()
