"""`ctlog log-list` as it is typed: made from what logs say of themselves, signed so that others' programs agree."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from ctlog.cli import run
from ctlog.client.log_list import ListKey, open_log_list
from tests.call_values import LOGS
from tests.tools import tool


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for at, log in enumerate(LOGS):
        Path(f"log{at}").mkdir()
        Path(f"log{at}/log.v3.json").write_text(json.dumps({
            "description": f"log {at}", "log_id": base64.b64encode(log.key.log_id).decode(),
            "key": base64.b64encode(log.spki).decode(), "submission_url": f"https://log{at}.example/", "mmd": 86400,
            "monitoring_url": f"https://log{at}.example/", "log_spec": "static-ct-api", "status": "active",
        }))  # fmt: skip
    return tmp_path


def keys(kind: str, *options: str) -> None:
    for line in (["genpkey", "-algorithm", kind, *options, "-out", "key.pem"],
                 ["pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem"]):  # fmt: skip
        subprocess.run([tool("openssl"), *line], check=True, capture_output=True)


def made() -> None:
    assert run(["log-list", "add", "list.json", "log0", "--operator", "One"]) == 0
    assert run(["log-list", "add", "list.json", "log1", "--operator", "One", "--state", "readonly"]) == 0
    assert run(["log-list", "add", "list.json", "log2", "--operator", "Two", "--since", "2026-01-01T00:00:00Z"]) == 0


@pytest.mark.parametrize(("kind", "options"), [
    ("ed25519", ()), ("EC", ("-pkeyopt", "ec_paramgen_curve:P-256")), ("RSA", ("-pkeyopt", "rsa_keygen_bits:2048")),
])  # fmt: skip
def test_made_signed_and_shown(kind: str, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    keys(kind, *options)
    made()
    assert run(["log-list", "sign", "list.json", "--key", "key.pem"]) == 0
    key = ListKey.from_pem(Path("pub.pem").read_bytes())
    found = open_log_list(Path("list.json").read_bytes(), Path("list.json.sig").read_bytes(), [key])
    assert [log.operator for log in found.logs] == ["One", "One", "Two"]
    assert [log.description for log in found.logs] == ["log 0", "log 1", "log 2"]
    assert found.version == "1"
    capsys.readouterr()
    assert run(["log-list", "show", "list.json", "--key", "pub.pem"]) == 0
    out = capsys.readouterr().out
    assert "version 1 of 20" in out
    assert "signed by the key that you gave" in out
    assert "readonly   One: log 1" in out
    assert run(["log-list", "show", "list.json", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["signed"], value["stale"]) == (False, False)
    assert [log["state"] for log in value["logs"]] == ["usable", "readonly", "usable"]


@pytest.mark.parametrize(("kind", "options"), [("EC", ("-pkeyopt", "ec_paramgen_curve:P-256")), ("ed25519", ())])
def test_openssl_verifies_the_signature_as_the_page_says(kind: str, options: tuple[str, ...]) -> None:
    keys(kind, *options)
    made()
    assert run(["log-list", "sign", "list.json", "--key", "key.pem"]) == 0
    page = (Path(__file__).parents[2] / "docs" / "log-list.md").read_text("utf-8")
    lines = [line[2:].partition("#")[0] for line in page.splitlines() if line.startswith("$ openssl")]
    line = lines[0 if kind == "EC" else 1].replace("log-list.json", "list.json").replace("list-key.pub.pem", "pub.pem")
    ran = subprocess.run([tool("openssl"), *line.split()[1:]], capture_output=True, text=True)
    assert "Verified" in ran.stdout, ran.stderr


def test_a_log_in_another_state_from_a_date_on(capsys: pytest.CaptureFixture[str]) -> None:
    made()
    log_id = base64.b64encode(LOGS[2].key.log_id).decode()
    assert run(["log-list", "state", "list.json", log_id, "retired", "--since", "2099-01-01T00:00:00Z"]) == 0
    log = json.loads(Path("list.json").read_text())["operators"][1]["tiled_logs"][0]
    assert log["state"] == {
        "usable": {"timestamp": "2026-01-01T00:00:00Z"}, "retired": {"timestamp": "2099-01-01T00:00:00Z"},
    }  # fmt: skip
    assert run(["log-list", "state", "list.json", "AAAA", "retired"]) == 2
    assert "no log with the id AAAA" in capsys.readouterr().err


def test_what_verifiers_could_not_read_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    made()
    before = Path("list.json").read_bytes()
    assert run(["log-list", "add", "list.json", "log0", "--operator", "Three"]) == 2
    assert "stands twice" in capsys.readouterr().err
    assert run(["log-list", "add", "list.json", "log0", "--operator", "One", "--since", "yesterday"]) == 2
    Path("log0/log.v3.json").write_text("{")
    assert run(["log-list", "add", "list.json", "log0", "--operator", "One"]) == 2
    assert Path("list.json").read_bytes() == before


def test_wrong_files(capsys: pytest.CaptureFixture[str]) -> None:
    made()
    keys("ed25519")
    assert run(["log-list", "sign", "list.json", "--key", "pub.pem"]) == 2
    assert run(["log-list", "sign", "list.json", "--key", "key.pem"]) == 0
    keys("ed25519")
    assert run(["log-list", "show", "list.json", "--key", "pub.pem"]) == 1
    assert "not signed by any trusted key" in capsys.readouterr().err
    Path("list.json.sig").unlink()
    assert run(["log-list", "show", "list.json", "--key", "pub.pem"]) == 3
    for text in ("{", "[]", "{}"):
        Path("list.json").write_text(text)
        assert run(["log-list", "sign", "list.json", "--key", "key.pem"]) == 2
        assert run(["log-list", "show", "list.json"]) == 2
