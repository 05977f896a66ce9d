"""`ctlog-monitor alerts bundle`, over a real socket; and whoever gets the folder checks it with `ctlog verify`."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ctlog.cli import run as run_ctlog
from ctlog.wire.rfc6962 import format_merkle_tree_leaf
from monitor.bundle import EntryProof, keep_proof, read_proof
from monitor.entry import Place, read_entry
from monitor.state.rows import NewAlert, Position
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.foreign_log import Troubled, served
from tests.monitor.cli.test_alerts import certificate_alert
from tests.monitor_certificates import trust
from tests.monitor_place import Monitor, Said
from tests.state_values import alert


class Case(NamedTuple):
    """A monitor that told of an entry of a log that answers over HTTP."""

    monitor: Monitor
    sim: CertSim
    log: Troubled
    told: NewAlert

    async def here(self, *words: object, code: int | None = 0) -> Said:
        """A command, in a thread of its own: the log answers in this one."""
        return await asyncio.to_thread(self.monitor.here, *words, code=code)


@pytest.fixture
async def case(monitor: Monitor) -> AsyncIterator[Case]:
    sim = CertSim()
    for serial in (1, 2):
        sim.add(700, serial=serial)
    leaf = sim.submit([ROGUE.precertificate(number_tbs(123, ROGUE, key=22)), *ROGUE.chain])
    sim.publish()
    log, log_id = Troubled(sim), sim.policy.key.log_id
    entry = read_entry(
        Place(log_id, "sim", 2, 3), format_merkle_tree_leaf(leaf.timestamped), pre_certificate=leaf.pre_certificate,
        chain=ROGUE.chain, trust=trust(CA, ROGUE),
    )  # fmt: skip
    told = certificate_alert(entry)

    async def store(state) -> None:
        await state.logs.add(log_id, "sim", "", Position(trusted=sim.head.note), 1)
        await state.alerts.raise_all([told], sim.now_ms)

    async with served(log.handle) as url:
        key = base64.b64encode(sim.policy.key.spki).decode()
        await asyncio.to_thread(
            monitor.here, "logs", "add", url, "--key", key, "--origin", sim.origin, "--name", "sim"
        )
        await asyncio.to_thread(monitor.state, store)
        yield Case(monitor, sim, log, told)


async def test_a_folder_that_convinces_whoever_has_the_key_of_the_log(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    said = await case.here("alerts", "bundle", case.told.id[:8])
    folder = Path(f"alert-{case.told.id[:12]}")
    names = "README.txt, alert.json, alert.txt, certificate.pem, entry.leaf, entry.tlog-proof, log-key.pem"
    assert said.out == f"{folder}: {names}\n"
    readme = (folder / "README.txt").read_text().splitlines()
    (check,) = [line.split() for line in readme if line.startswith("  ctlog ")]
    os.chdir(folder)
    assert await asyncio.to_thread(run_ctlog, check[1:]) == 0
    out = capsys.readouterr().out
    assert f"is in the log {case.sim.origin}." in out
    assert "proven      entry 2 of 3" in out
    assert "no SCT is needed" in out
    assert "issued      signed by its issuer" in out
    spoilt = Path("entry.tlog-proof").read_text().replace("index 2", "index 1")
    Path("entry.tlog-proof").write_text(spoilt)
    assert await asyncio.to_thread(run_ctlog, check[1:]) == 1


async def test_it_needs_no_log_once_the_proof_is_kept(case: Case) -> None:
    await case.here("alerts", "bundle", case.told.id, "-o", "first")
    found = EntryProof(Path("first/entry.leaf").read_bytes(), Path("first/entry.tlog-proof").read_bytes())
    state, log_id = case.monitor.folder / "state", case.sim.policy.key.log_id
    keep_proof(state, log_id, 2, found)
    assert read_proof(state, log_id, 2) == found
    before = len(case.sim.requests)
    (line,) = (await case.here("alerts", "bundle", case.told.id, "-o", "second", "--json")).lines
    assert (line["folder"], len(line["files"]), len(case.sim.requests)) == ("second", 7, before)
    keep_proof(state, log_id, 2, found._replace(proof=found.proof.replace(b"index 2", b"index 1")))
    assert (await case.here("alerts", "bundle", case.told.id, "-o", "third", code=1)).err
    assert not Path("third").exists(), "nothing is shown that does not hold"


async def test_what_cannot_be_bundled_is_said_in_one_sentence(case: Case) -> None:
    async def store(state) -> None:
        await state.alerts.raise_all([alert("ill", kind="health", log_index=None, body=b"{}")], 1)
        lie = alert("lie", kind="misbehaviour", log_index=None, body=b'{"file": "/srv/evidence/x.txt"}')
        await state.alerts.raise_all([lie], 1)

    await asyncio.to_thread(case.monitor.state, store)
    assert "is about no entry" in (await case.here("alerts", "bundle", "ill", code=2)).err
    assert "its evidence is in /srv/evidence/x.txt" in (await case.here("alerts", "bundle", "lie", code=2)).err
    Path("there").mkdir()
    assert "there cannot be made" in (await case.here("alerts", "bundle", case.told.id, "-o", "there", code=2)).err
    await case.here("logs", "remove", "sim")
    assert "is not read any more" in (await case.here("alerts", "bundle", case.told.id, code=1)).err
