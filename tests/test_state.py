"""What a running log says of itself, and its accepted roots: all swapped, or none."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from ctlog import issuance
from ctlog.config import parse
from ctlog.folder import clock_ms
from ctlog.roots import RootsStore
from ctlog.sequencer.signer import SeedSigner
from ctlog.state import identity, is_short
from ctlog.store import Space
from tests.server import RunningLog, running_log

GIB = 1 << 30


def test_identity_says_what_is_configured() -> None:
    config = parse('origin = "a.example"\nwindow_start = 2026-01-01T00:00:00Z\nwindow_end = 2027-01-01T00:00:00Z\n'
                   "[limits]\nsource_rate = 0\nissuer_rate = 2.5\n[submitters]\nnetworks = [\"10.0.0.0/8\"]")
    said = identity(config, SeedSigner("a.example", bytes(32)))
    assert said.window == "notAfter from 2026-01-01 and notAfter before 2027-01-01"
    rows = {row.what: row.value for row in said.limits}
    assert rows["One source"] == "no limit"
    assert rows["One issuing CA"].startswith("2.5 submissions a second")
    assert rows["Expiry"] == said.window
    assert said.restricted
    assert said.vkeys[0].startswith("a.example+")
    assert not identity(parse('origin = "a"'), SeedSigner("a", bytes(32))).window


@pytest.mark.parametrize(("space", "short"), [
    (Space(100 * GIB, 1000 * GIB, 1000, 1000), False),
    (Space(49 * GIB, 1000 * GIB, 1000, 1000), True),
    (Space(GIB - 1, 2 * GIB, 1000, 1000), True),
    (Space(100 * GIB, 1000 * GIB, 49, 1000), True),
    (Space(100 * GIB, 1000 * GIB, 0, 0), False),
])
def test_when_space_is_short(space: Space, short: bool) -> None:
    assert is_short(space, parse('origin = "a"')) == short


async def test_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_log(tmp_path) as log:
        answer = await log.get("health")
        assert (answer.status, answer.json["healthy"], answer.json["problems"]) == (200, True, [])
        assert answer.json["tree_size"] == 0
        monkeypatch.setattr("ctlog.state.clock_ms", lambda: clock_ms() + 3_600_000)
        answer = await log.get("health")
        assert (answer.status, answer.json["healthy"]) == (503, False)
        assert re.search(r"the head is 36\d\d s old", answer.json["problems"][0])
        assert "in trouble" in (await log.get("")).body.decode()
        assert 'ctlog_healthy{log="log.test/2026"} 0.0' in (await log.get("metrics")).body.decode()
        monkeypatch.undo()
        monkeypatch.setattr("ctlog.state.is_short", lambda space, config: True)
        answer = await log.get("health")
        assert answer.status == 503
        assert "submissions are refused" in answer.json["problems"][0]


async def test_roots_are_swapped_or_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running_log(tmp_path) as log:
        other = issuance.example_authority(clock_ms(), label="Other")
        certificate = other.certificate_for(log.tbs(authority=other))
        assert (await log.post("add-chain", [certificate, *other.chain])).json["reason"] == "unknown-root"
        store = RootsStore(log.folder.path / "roots")
        store.add_certificates([(other.chain[-1], "x", "x")], "fr", clock_ms())
        log.app.reload_roots()
        assert (await log.post("add-chain", [certificate, *other.chain])).status == 200
        roots = await log.get("ct/v1/get-roots")
        assert len(roots.json["certificates"]) == 2
        page = (await log.get("")).body.decode()
        assert "Other SHAKEN ROOT" in page
        assert hashlib.sha256(other.chain[-1]).hexdigest() in page
        await _kept(log, caplog)
        first = store.records()[0].fingerprint.hex()
        store.retire(first, "test", clock_ms())
        log.app.reload_roots()
        answer = await log.post("add-chain", [log.certificate(), *log.authority.chain])
        assert answer.json["reason"] == "unknown-root"  # also not from what was remembered of its issuers
        metrics = (await log.get("metrics")).body.decode()
        assert 'ctlog_roots{domain="fr",log="log.test/2026"} 1.0' in metrics
        assert 'ctlog_roots_reloads_total{log="log.test/2026",outcome="kept"} 2.0' in metrics


async def _kept(log: RunningLog, caplog: pytest.LogCaptureFixture) -> None:
    history = log.folder.path / "roots" / "history.jsonl"
    data = history.read_bytes()
    for damage in (lambda: history.write_bytes(b"{}\n"), history.unlink):
        caplog.clear()
        damage()
        log.app.reload_roots()
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
        assert "stay as they were" in caplog.text
        assert len((await log.get("ct/v1/get-roots")).json["certificates"]) == 2
    history.write_bytes(data)
