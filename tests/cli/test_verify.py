"""`ctlog verify` as it is typed: what it proves and remembers, what it writes when a log lies, how fast it starts."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

import ctlog
from ctlog.cli import run
from ctlog.wire.rfc6962 import format_sct
from tests.fake_log import FakeLog, in_a_thread
from tests.pem import pem
from tests.small_log import AUTHORITY, KEY, SmallLog, tbs

LOG = ["--log", "log", "--key", "key.pem"]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallLog:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
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


def evidence_files() -> list[Path]:
    return sorted(Path().glob("EVIDENCE-*.txt"))


def test_what_was_proven_is_said_in_plain_words(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "3.pem", *LOG]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "3.pem (CN=leaf 3) is in the log log.example/small."
    assert "by the SCT in the certificate: signed by the log's key" in out[1]
    assert "entry 3 of 6: proven from 1 tile to the head of 2026-09-21" in out[2]
    assert "first head that you see" in out[3]
    assert "issuer's certificate came from the log" in out[4]
    log.issue(8)
    log.write(Path("log"))
    Path("ca.pem").write_bytes(pem(*AUTHORITY.chain))
    assert run(["verify", "plain.pem", *LOG, "--intermediates", "ca.pem"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "by the SCT given by the log for it" in out[1]
    assert "continues the one that you saw last, of 6 entries" in out[3]
    assert len(out) == 4


def test_the_same_as_json(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    run(["verify", "1.pem", *LOG])
    capsys.readouterr()
    assert run(["verify", "3.pem", *LOG, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["result"] == "in-log"
    assert (value["index"], value["size"], value["sct_embedded"], value["sct_key"]) == (3, 6, True, "given")
    assert value["log_id"] == KEY.log_id.hex()
    assert value["consistent_with"]["size"] == 6


@pytest.mark.parametrize("given", ["vkey", "base64", "der"])
def test_the_key_may_be_given_in_any_form(log: SmallLog, capsys: pytest.CaptureFixture[str], given: str) -> None:
    Path("key.der").write_bytes(KEY.spki)
    key = {"vkey": log.vkey, "base64": base64.b64encode(KEY.spki).decode(), "der": "key.der"}[given]
    assert run(["verify", "3.pem", "--log", "log", "--key", key]) == 0
    assert ("as the log itself publishes it" in capsys.readouterr().out) == (given == "vkey")


def test_over_http_and_from_a_logs_own_folder(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeLog()
    fake.log = log
    with in_a_thread(fake) as url:
        assert run(["verify", "3.pem", "--log", url, "--key", "key.pem"]) == 0
        assert run(["verify", "3.pem", "--log", url + "nothing/", "--key", "key.pem"]) == 3
    assert "no checkpoint" in capsys.readouterr().err
    log.write(Path("whole/public"))
    assert run(["verify", "3.pem", "--log", "whole", "--key", "key.pem"]) == 0


def test_a_certificate_that_is_not_there_is_a_no(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.pem").write_bytes(pem(AUTHORITY.certificate_for(tbs(99))))
    assert run(["verify", "other.pem", *LOG]) == 1
    captured = capsys.readouterr()
    assert "the log says that it does not have it" in captured.err
    assert captured.out == ""
    assert run(["verify", "other.pem", *LOG, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "not-in-log"


def test_attack_a_forged_certificate_with_a_real_sct(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    """The CA's signature is no part of what a log signs, so one flipped bit of it is for us to see."""
    good = log.issue(3)
    Path("forged.pem").write_bytes(pem(good[:-1] + bytes((good[-1] ^ 1,))))
    Path("ca.pem").write_bytes(pem(*AUTHORITY.chain))
    for more in ((), ("--intermediates", "ca.pem")):
        assert run(["verify", "forged.pem", *LOG, *more]) == 1
        captured = capsys.readouterr()
        assert "own signature is not its issuer's" in captured.err
        assert captured.out == ""
    assert run(["verify", "forged.pem", *LOG, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "certificate-forged"


def test_the_head_is_remembered_and_only_moves_forward(log: SmallLog, tmp_path: Path) -> None:
    file = tmp_path / "state" / "ctlog" / "heads" / KEY.log_id.hex()
    assert run(["verify", "3.pem", *LOG]) == 0
    first = file.read_bytes()
    assert first == Path("log/checkpoint").read_bytes()
    log.issue(20)
    log.write(Path("log"))
    assert run(["verify", "3.pem", *LOG]) == 0
    second = file.read_bytes()
    assert second == Path("log/checkpoint").read_bytes() != first
    Path("log/checkpoint").write_bytes(first)  # a cache
    assert run(["verify", "3.pem", *LOG]) == 0
    assert file.read_bytes() == second


def test_a_fork_leaves_evidence_that_can_be_checked_offline(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "3.pem", *LOG]) == 0
    other = SmallLog()
    for number in range(6):
        other.issue(100 + number)
    other.write(Path("log"))
    assert run(["verify", "3.pem", *LOG]) == 1
    err = capsys.readouterr().err
    (path,) = evidence_files()
    assert "THE LOG CONTRADICTS ITSELF" in err
    assert f"ctlog verify-evidence {path}" in err
    assert run(["verify-evidence", str(path), "--key", "key.pem"]) == 0
    out = capsys.readouterr().out
    assert "two different trees of 6 entries" in out
    assert "It is a proof." in out
    assert run(["verify", "3.pem", *LOG, "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["result"], value["proof"]) == ("misbehaviour", True)
    assert len(evidence_files()) == 2


def test_a_damaged_tile_is_recorded_as_what_it_is(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    tile = Path("log/tile/0/000.p/6")
    tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
    assert run(["verify", "3.pem", *LOG]) == 1
    assert "try again from another network" in capsys.readouterr().err
    (path,) = evidence_files()
    assert run(["verify-evidence", str(path)]) == 0
    assert "It is a record" in capsys.readouterr().out


def test_evidence_that_was_tampered_with_does_not_hold(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "3.pem", *LOG]) == 0
    Path("log/checkpoint").write_bytes(log.checkpoint(root=bytes(32), timestamp_ms=log.now_ms + 6))
    assert run(["verify", "3.pem", *LOG]) == 1
    (path,) = evidence_files()
    text = path.read_text()
    path.write_text(text.replace("AAAAAAAAAAAAAAAA", "AAAAAAAABAAAAAAA", 1))
    assert run(["verify-evidence", str(path)]) in (1, 2)
    path.write_text("hello")
    assert run(["verify-evidence", str(path)]) == 2
    path.write_text(text)
    assert run(["verify-evidence", str(path), "--key", log.vkey]) == 2
    assert run(["verify-evidence", str(path), "--json"]) == 0
    assert '"kind": "fork"' in capsys.readouterr().out


def test_evidence_goes_to_the_state_folder_where_this_one_cannot_be_written(
    log: SmallLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["verify", "3.pem", *LOG]) == 0
    Path("log/checkpoint").write_bytes(log.checkpoint(root=bytes(32)))
    real = Path.open

    def refuse(self: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if mode == "x" and not self.is_absolute():
            raise PermissionError(13, "Permission denied")
        return real(self, mode, *args, **kwargs)  # type: ignore[arg-type,call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    assert run(["verify", "3.pem", *LOG]) == 1
    assert list((tmp_path / "state" / "ctlog").glob("EVIDENCE-*.txt"))


def test_a_memory_that_does_not_fit_is_not_thrown_away(
    log: SmallLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "3.pem", *LOG]) == 0
    file = tmp_path / "state" / "ctlog" / "heads" / KEY.log_id.hex()
    file.write_bytes(file.read_bytes()[:-20])
    assert run(["verify", "3.pem", *LOG]) == 3
    assert "does not fit this log" in capsys.readouterr().err


def test_a_promise_that_is_not_due_could_not_be_found_out(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("log/checkpoint").read_bytes()
    Path("new.pem").write_bytes(pem(log.issue(30)))
    log.write(Path("log"))
    Path("log/checkpoint").write_bytes(before)
    Path("ca.pem").write_bytes(pem(*AUTHORITY.chain))
    assert run(["verify", "new.pem", *LOG, "--intermediates", "ca.pem"]) == 3
    assert "is not in the tree of 6 yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no.pem", *LOG], 2),
        (["key.pem", *LOG], 2),
        (["3.pem", "--log", "nowhere", "--key", "key.pem"], 2),
        (["3.pem", "--log", "http://", "--key", "key.pem"], 2),
        (["3.pem", "--log", "http://127.0.0.1:1/", "--key", "key.pem"], 3),
        (["3.pem", "--log", "http://no-such-host.invalid/", "--key", "key.pem"], 3),
        (["3.pem", "--log", "log", "--key", "no.pem"], 2),
        (["3.pem", "--log", "log"], 2),
    ],
)
def test_wrong_use_and_silence_have_codes_of_their_own(
    log: SmallLog, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    assert run(["verify", *arguments]) == code
    err = capsys.readouterr().err
    assert err.startswith("ctlog: ")
    assert err.count("\n") == 1


def test_another_key_is_a_no(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    other = SmallLog("other.example")
    assert run(["verify", "3.pem", "--log", "log", "--key", other.vkey]) == 1
    assert "another log's origin" in capsys.readouterr().err


def test_two_scts_of_one_log_are_both_proven(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    body = tbs(50)
    sct = format_sct(log.add([AUTHORITY.precertificate(body), *AUTHORITY.chain]))
    Path("two.pem").write_bytes(pem(AUTHORITY.final(body, [sct, sct])))
    log.write(Path("log"))
    assert run(["verify", "two.pem", *LOG]) == 0
    assert capsys.readouterr().out.count("is in the log") == 2


def test_a_cold_start_leaves_alone_what_would_make_it_slow(log: SmallLog) -> None:
    command = [sys.executable, "-X", "importtime", "-c", "from ctlog.cli import main; main()", "verify", "3.pem", *LOG]
    env = {**os.environ, "PYTHONPATH": str(Path(ctlog.__file__).parents[1])}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ran.returncode == 0, ran.stderr
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert "ctlog.client.inclusion" in imported
    for heavy in ("aiohttp", "asyncio", "tqdm", "msgspec", "phonenumbers", "prometheus_client", "cryptography.x509"):
        assert heavy not in imported
    ours = {name for name in imported if name.startswith(("ctlog.", "monitor."))}
    assert not any(name.startswith(("ctlog.http", "ctlog.issuance", "ctlog.sequencer", "monitor.")) for name in ours)
    assert len(ours) < 50, "36 are enough"


def test_the_file_of_the_leaf_may_be_a_chain(log: SmallLog, capsys: pytest.CaptureFixture[str]) -> None:
    Path("chain.pem").write_bytes(Path("3.pem").read_bytes() + pem(*AUTHORITY.chain))
    assert run(["verify", "chain.pem", *LOG]) == 0
    assert "issuer's certificate came from" not in capsys.readouterr().out
    assert hashlib.sha256(log.issue(3)).hexdigest() in (
        run(["verify", "chain.pem", *LOG, "--json"]) or capsys.readouterr().out
    )
