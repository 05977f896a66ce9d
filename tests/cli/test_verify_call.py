"""`ctlog verify-call` as it is typed: what passed, what failed, and what nobody can tell."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from ctlog.cli import run
from ctlog.issuance import DAY_MS
from ctlog.wire.rfc6962 import format_sct_list
from tests.call_values import (
    CA,
    CALLED,
    LOGS,
    NOW,
    NUMBER,
    ROOT,
    SHAKEN,
    X5U,
    claims,
    moment,
    number_tbs,
    operator_entry,
    signed,
)
from tests.call_values import sct as sct_over
from tests.pem import pem

AT = datetime.fromtimestamp(NOW / 1000, UTC).isoformat()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "time_ns", lambda: (NOW + 10 * DAY_MS) * 1_000_000)
    write_list(NOW - 1000)
    Path("roots.pem").write_bytes(pem(ROOT))


def write_list(timestamp_ms: int) -> None:
    signer = ed25519.Ed25519PrivateKey.from_private_bytes(b"v" * 32)
    entries = [operator_entry("One", LOGS[0]), operator_entry("Two", LOGS[2])]
    value = {"version": "1", "log_list_timestamp": moment(timestamp_ms), "operators": entries}
    Path("list.json").write_text(json.dumps(value))
    Path("list.json.sig").write_bytes(signer.sign(Path("list.json").read_bytes()))
    public = signer.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    Path("key.pem").write_bytes(public)


def check(header: str, *words: str) -> int:
    Path("header.txt").write_text(header + "\n")
    return run(["verify-call", "header.txt", "--roots", "roots.pem", "--log-list", "list.json", "--log-list-key",
                "key.pem", "--at", AT, *words])  # fmt: skip


def test_a_good_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(signed(), "--from", f"+{NUMBER}", "--to", f"tel:+{CALLED}") == 0
    said = capsys.readouterr().out
    assert "passed: every check passed" in said
    assert "+ signature     signed by the certificate's key" in said
    assert "+ call          caller and called are those of this call" in said


def test_an_old_call_by_a_list_that_was_signed_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    """--at is the time of the call; the list is judged by the clock, or none of today could be used for it."""
    write_list(NOW + 9 * DAY_MS)
    assert check(signed()) == 0
    write_list(NOW + 12 * DAY_MS)
    assert check(signed()) == 1
    assert "dated in the future" in capsys.readouterr().err


def test_what_a_policy_can_add(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of these turns the good call, or one nearly as good, around."""
    shaken = signed(claims(**SHAKEN), "shaken")
    assert check(shaken) == 0
    assert check(shaken, "--shaken-needs-code") == 1
    assert "[shaken-without-code]" in capsys.readouterr().out
    write_list(NOW - 8 * DAY_MS)
    assert check(signed(), "--max-list-age", "7") == 3
    assert "[log-list-stale]" in capsys.readouterr().out
    assert check(signed(), "--max-list-age", "9") == 0
    tbs = number_tbs()
    ahead = CA.final(tbs, [sct_over(log, tbs, timestamp_ms=NOW + 200) for log in (LOGS[0], LOGS[2])])
    token = signed(x5c=(ahead, CA.certificate))
    assert check(token, "--sct-tolerance", "199") == 1
    assert "[sct-from-the-future]" in capsys.readouterr().out
    assert check(token, "--sct-tolerance", "200") == 0
    assert check(signed(), "--scts", "40") == 2
    assert "could never be met" in capsys.readouterr().err


def test_a_call_by_another_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(signed(claims("12025550199"))) == 1
    said = capsys.readouterr().out
    assert "[scope-does-not-cover]" in said.splitlines()[-1]
    assert "  signature     not checked" in said
    assert check(signed(), "--from", "12025550199") == 1


def test_what_nobody_can_tell(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(f"{signed(x5u=X5U)};info=<{X5U}>", "--no-fetch") == 3
    assert "? certificate   the certificate has to be fetched  [certificate-needed]" in capsys.readouterr().out


def test_an_x5u_that_leads_inward_is_not_followed(capsys: pytest.CaptureFixture[str]) -> None:
    inward = "https://127.0.0.1:1/cert.pem"
    assert check(f"{signed(x5u=inward)};info=<{inward}>") == 1
    assert "[x5u-inward-address]" in capsys.readouterr().out


def test_scts_beside_the_certificate() -> None:
    token = signed(x5c=(CA.certificate_for(number_tbs()), CA.certificate))
    assert check(token) == 1
    Path("scts").write_bytes(format_sct_list([sct_over(log, number_tbs()) for log in (LOGS[0], LOGS[2])]))
    assert check(token, "--sct-list", "scts") == 0


def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(signed(), "--json") == 0
    value = json.loads(capsys.readouterr().out)
    (verdict,) = value["verdicts"]
    assert (value["outcome"], verdict["operators"], verdict["rows"]["V2"]) == ("passed", ["One", "Two"], "passed")
    assert {"name": "token", "outcome": "passed", "reason": ""}.items() <= verdict["checks"][0].items()


def test_now_it_is_too_late() -> None:
    Path("header.txt").write_text(signed())
    words = ["--roots", "roots.pem", "--scts", "0"]
    assert run(["verify-call", "header.txt", *words]) == 1


@pytest.mark.parametrize(("header", "words", "problem"), [
    ("", (), "does not hold 1 to 16"), ("x\n" * 17, (), "does not hold 1 to 16"),
    ("x", ("--at", "yesterday"), "is no time"), ("x", ("--scts", "3", "--operators", "4"), "--operators"),
    ("x", ("--from", "no number"), "number"),
])  # fmt: skip
def test_what_makes_no_sense(
    header: str, words: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(header, *words) == 2
    assert problem in capsys.readouterr().err
