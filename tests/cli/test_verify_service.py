"""`ctlog verify-service` as it is run: it starts, verifies, follows the log list, and ends when told to."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from ctlog import issuance
from ctlog.cli import run
from ctlog.cli.verify_service import Material
from ctlog.client.credential import CallPolicy
from ctlog.client.log_list import ListKey
from ctlog.client.log_list_file import LogListFile
from ctlog.issuance import DAY_MS, Key
from ctlog.wire.passport import format_header, format_passport
from tests.call_values import CALLED, LOGS, NUMBER, moment, operator_entry, sct
from tests.pem import pem
from tests.serving import PROGRAM, environment
from tests.tls_peer import answer, serving, tls_identity

SIGNER = ed25519.Ed25519PrivateKey.from_private_bytes(b"9" * 32)
LEAF_KEY = Key.from_number(51)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Roots, a signed list of two logs, and the key that signs it."""
    authority = issuance.example_authority(now_ms(), root_key=Key.from_number(52), key=Key.from_number(53))
    (tmp_path / "roots.pem").write_bytes(pem(authority.chain[-1]))
    (tmp_path / "key.pem").write_bytes(SIGNER.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    put(tmp_path, LOGS[0], LOGS[2])
    return tmp_path


def put(folder: Path, *logs: Any) -> None:
    entries = [operator_entry(f"Operator {at}", log, states={"usable": 0}) for at, log in enumerate(logs)]
    value = {"version": str(len(logs)), "log_list_timestamp": moment(now_ms() // 1000 * 1000), "operators": entries}
    for name, data in (("list.json", json.dumps(value).encode()), ("list.json.sig", b"")):
        data = data or SIGNER.sign((folder / "list.json").read_bytes())
        (folder / f"{name}.new").write_bytes(data)
        os.utime(folder / f"{name}.new", (len(logs), len(logs)))
        (folder / f"{name}.new").replace(folder / name)


def chain() -> tuple[bytes, bytes]:
    """A certificate for NUMBER with two SCTs, valid now, and its CA's."""
    authority = issuance.example_authority(now_ms(), root_key=Key.from_number(52), key=Key.from_number(53))
    now = now_ms()
    who = issuance.Subject(issuance.name(CN="caller"), LEAF_KEY.spki, now - DAY_MS, now + DAY_MS, 77)
    tbs = authority.leaf(who, (issuance.END_ENTITY, issuance.tn_auth_list(issuance.one(NUMBER))))
    scts = [sct(log, tbs, authority, now - 1000) for log in (LOGS[0], LOGS[2])]
    return authority.final(tbs, scts), authority.certificate


def header(x5u: str = "") -> str:
    claims = {"iat": now_ms() // 1000, "orig": {"tn": NUMBER}, "dest": {"tn": [CALLED]}}
    token = format_passport(format_header("", x5u, () if x5u else chain()), claims, LEAF_KEY.sign)
    return token + (f";info=<{x5u}>" if x5u else "")


def options(folder: Path) -> list[str]:
    return ["--roots", f"{folder}/roots.pem", "--log-list", f"{folder}/list.json", "--log-list-key",
            f"{folder}/key.pem", "--listen", "127.0.0.1:0"]  # fmt: skip


class Running:
    def __init__(self, line: list[str]) -> None:
        self.process = subprocess.Popen([*PROGRAM, "verify-service", *line], stderr=subprocess.PIPE, text=True,
                                        env=environment())  # fmt: skip
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        found = re.search(r"http://\S+:\d+", said)
        assert found, said + self.process.stderr.read()
        self.url = found[0]

    def ask(self, field: str) -> Any:
        body = {"verificationRequest": {"identity": field, "from": {"tn": NUMBER}, "to": {"tn": [CALLED]}}}
        request = urllib.request.Request(f"{self.url}/stir/v1/verification", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as got:
            return json.loads(got.read())["verificationResponse"]

    def health(self) -> Any:
        with urllib.request.urlopen(f"{self.url}/health", timeout=20) as got:
            return json.loads(got.read())


@pytest.fixture
def running(folder: Path) -> Iterator[Running]:
    service = Running(options(folder))
    yield service
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    assert "Traceback" not in service.process.stderr.read()


def test_it_verifies_and_follows_the_list(folder: Path, running: Running) -> None:
    assert running.ask(header())["verstat"] == "TN-Validation-Passed"
    assert running.health()["log_list_version"] == "2"
    put(folder, LOGS[0])
    running.process.send_signal(signal.SIGHUP)  # or wait for the next look
    for _ in range(200):
        if running.health()["log_list_version"] == "1":
            break
        time.sleep(0.05)
    refused = running.ask(header())
    assert (refused["verstat"], refused["ctlog"]["reason"]) == ("TN-Validation-Failed", "too-few-scts")


def test_attack_an_old_list_before_a_start(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "newest").write_text(f"{now_ms() + 60_000}\n")
    assert run(["verify-service", *options(folder), "--list-memory", str(folder / "newest")]) == 1
    assert "older than the one that was in use" in capsys.readouterr().err


def test_x5u_over_tls(folder: Path) -> None:
    (folder / "tls").mkdir()
    identity = tls_identity(folder / "tls")
    body = pem(*chain())

    async def calls() -> list[Any]:
        async with serving(identity, answer(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}", body)) as url:
            strict = await asyncio.to_thread(Running, options(folder))
            trusting = await asyncio.to_thread(
                Running, [*options(folder), "--x5u-ca", str(identity[1]), "--x5u-network", "127.0.0.0/8", "::1/128"]
            )
            answers = [await asyncio.to_thread(each.ask, header(url)) for each in (strict, trusting)]
            for each in (strict, trusting):
                each.process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(each.process.wait, 30) == 0
            return answers

    strict, trusting = asyncio.run(calls())
    assert (strict["reasonCode"], strict["ctlog"]["reason"]) == (436, "x5u-inward-address")
    assert trusting["verstat"] == "TN-Validation-Passed"


def test_what_makes_no_sense(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roots = ["verify-service", "--roots", f"{folder}/roots.pem"]
    assert run(roots) == 2
    assert "--log-list" in capsys.readouterr().err
    usual = ["verify-service", *options(folder)]
    assert run([*usual, "--operators", "3"]) == 2
    assert run([*usual, "--freshness", "0"]) == 2
    assert run([*usual, "--listen", "nowhere"]) == 2
    assert run([*usual, "--x5u-network", "everything"]) == 2
    assert run([*usual[:-4], "--log-list-key", f"{folder}/roots.pem"]) == 2
    (folder / "list.json.sig").write_bytes(b"wrong")
    assert run(usual) == 1
    (folder / "list.json.sig").unlink()
    assert run(usual) == 3


def test_material_is_kept_when_what_comes_is_bad(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = LogListFile(folder / "list.json", [ListKey.from_pem((folder / "key.pem").read_bytes())])
    material = Material([folder / "roots.pem"], logs, CallPolicy(), now_ms())
    first = material.trust
    material.refresh(now_ms())
    assert material.trust is first
    (folder / "list.json.sig").write_bytes(b"wrong")
    for _ in range(3):
        material.refresh(now_ms())
    (folder / "roots.pem").write_bytes(b"no certificate")
    material.refresh(now_ms(), roots=True)
    assert material.trust is first
    err = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in err] == ["the log list in use stays", "the roots stay as they are"]
    assert material.health(now_ms())["ok"]
    stale = material.health(now_ms() + 71 * DAY_MS)
    assert (stale["ok"], stale["log_list_stale"]) == (False, True)
    without = Material([], None, CallPolicy(scts=None), now_ms())
    assert without.health(now_ms()) == {"ok": True, "roots": 0}
