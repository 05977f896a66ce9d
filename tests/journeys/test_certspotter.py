"""Debian's certspotter follows our log, proves its tree to itself, and finds every certificate. It is also the judge of
the foreign log of our tests: what it proves to itself there, our follower must prove, too.

It alerts on DNS names only, so each certificate binds its number to a name of its own, as the TN-domain drafts do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ctlog import issuance
from ctlog.client.get_entries import EntriesFollower
from ctlog.client.http_fetcher import HttpFetcher
from ctlog.client.trusted import TrustedLog
from ctlog.folder import open_folder
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.merkle.tree import merge_ranges
from ctlog.wire.rfc6962 import LogKey
from tests.cert_sim import CA, CertSim, number_tbs
from tests.foreign_log import ForeignLog, served
from tests.pem import pem
from tests.serving import command, leashed, serving
from tests.tools import tool

pytestmark = pytest.mark.trial

COUNT = 700
PATIENCE_S = 90


def bound(authority: issuance.Authority, number: int, now_ms: int) -> bytes:
    """A certificate for one number and one name."""
    key = Key.from_number(5000)
    who = Subject(issuance.name(CN=f"caller {number}"), key.spki, now_ms, now_ms + 30 * DAY_MS)
    dns = f"n{number}.callers.example".encode()
    name = issuance.extension("2.5.29.17", b"\x30" + bytes([len(dns) + 2]) + b"\x82" + bytes([len(dns)]) + dns)
    numbers = issuance.tn_auth_list(issuance.one(f"1202555{number:04d}"))
    return authority.leaf(who, [issuance.DIGITAL_SIGNATURE, issuance.subject_key_id(key.spki), name, numbers])


def log_list(url: str, key: LogKey) -> dict[str, Any]:
    log = {
        "description": "ours", "log_id": base64.b64encode(key.log_id).decode(), "mmd": 86400, "url": url,
        "key": base64.b64encode(key.spki).decode(), "state": {"usable": {"timestamp": "2026-01-01T00:00:00Z"}},
    }  # fmt: skip
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    operator = {"name": "us", "email": [], "logs": [log], "tiled_logs": []}
    return {"version": "1", "log_list_timestamp": now, "operators": [operator]}


async def test_certspotter_and_our_follower_prove_the_same_foreign_log(tmp_path: Path) -> None:
    """A log with another's quirks (tests/foreign_log.py): both read all of it, whatever it answers."""
    program = tool("certspotter")
    sim = CertSim()
    for number in range(150):
        tbs = number_tbs(number)
        sim.submit([CA.precertificate(tbs) if number % 2 else CA.certificate_for(tbs), *CA.chain])
    sim.now_ms = time.time_ns() // 1_000_000  # certspotter takes no head for fresh that is years old
    sim.publish()
    (tmp_path / "watchlist").write_text(".\n")
    async with served(ForeignLog(sim, cap=32).handle) as url:
        (tmp_path / "logs.json").write_text(json.dumps(log_list(url, sim.policy.key)))
        spotter = await asyncio.create_subprocess_exec(
            program, "-logs", str(tmp_path / "logs.json"), "-watchlist", str(tmp_path / "watchlist"), "-state_dir",
            str(tmp_path / "state"), "-stdout", "-verbose", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        for _ in range(PATIENCE_S * 5):
            if verified_size(tmp_path / "state", sim.policy.key) == 150:
                break
            await asyncio.sleep(0.2)
        spotter.terminate()
        _, said = await spotter.communicate()
        assert verified_size(tmp_path / "state", sim.policy.key) == 150, said.decode()
        async with HttpFetcher(url, contact="test@example.com") as http:
            follower = EntriesFollower(sim.policy, http)
            log = TrustedLog(sim.policy)
            step = log.offer(await follower.head(), sim.now_ms)
            seen = [batch async for batch in follower.entries(step.new, 0, step.new.size)]
            log = log.accept(step, merge_ranges([batch.as_range() for batch in seen]))
    assert log.head is not None
    assert (log.head.size, log.head.root) == (150, sim.tree.root(150))
    assert [leaf for batch in seen for leaf in batch.leaves] == sim.tree.inputs


def verified_size(state: Path, key: LogKey) -> int:
    name = base64.urlsafe_b64encode(key.log_id).decode().rstrip("=")
    for path in state.glob(f"logs/{name}*/state.json"):
        return int(json.loads(path.read_text())["verified_position"]["size"])
    return 0


def test_certspotter_finds_every_certificate(tmp_path: Path) -> None:
    program = tool("certspotter")
    now_ms = time.time_ns() // 1_000_000
    authority = issuance.example_authority(now_ms)
    (tmp_path / "root.pem").write_bytes(pem(authority.above[0]))
    (tmp_path / "ca.pem").write_bytes(pem(*authority.chain))
    bodies = [bound(authority, number, now_ms) for number in range(COUNT)]
    made = [authority.precertificate(b) if n % 2 else authority.certificate_for(b) for n, b in enumerate(bodies)]
    (tmp_path / "leaves.pem").write_bytes(pem(*made))
    command("create", tmp_path / "log", "--origin", "log.example/spotted", "--roots", tmp_path / "root.pem")
    key = open_folder(tmp_path / "log").signer().key
    (tmp_path / "watchlist").write_text(".callers.example\n")
    with serving(tmp_path / "log") as log:
        command("submit", log.url, tmp_path / "leaves.pem", "--intermediates", tmp_path / "ca.pem", state=tmp_path)
        (tmp_path / "logs.json").write_text(json.dumps(log_list(log.url, key)))
        spotter = subprocess.Popen(
            leashed(program, "-logs", str(tmp_path / "logs.json"), "-watchlist", str(tmp_path / "watchlist"),
                    "-state_dir", str(tmp_path / "state"), "-stdout", "-verbose"),
            stdout=(tmp_path / "found").open("wb"), stderr=(tmp_path / "said").open("wb"),
        )  # fmt: skip
        try:
            end = time.monotonic() + PATIENCE_S
            while verified_size(tmp_path / "state", key) < COUNT and time.monotonic() < end and spotter.poll() is None:
                time.sleep(0.2)
        finally:
            spotter.terminate()
            spotter.wait(30)
    said = (tmp_path / "said").read_text()
    assert verified_size(tmp_path / "state", key) == COUNT, said
    found = (tmp_path / "found").read_text()
    names = {f"n{number}.callers.example" for number in range(COUNT)}
    assert {name for name in names if f"{name}\n" in found or f"{name} " in found or f"{name})" in found} == names, said
    assert len(list((tmp_path / "state" / "certs").glob("*/*.pem"))) == COUNT
    assert "malformed" not in found.lower()
    assert not list((tmp_path / "state").glob("logs/*/malformed_entries/*"))
