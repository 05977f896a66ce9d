"""monitor.follow.misbehaviour: evidence that verifies, in a file and in the alert; one alert for each lie."""

import json

import pytest

from ctlog.client.evidence import prove_fork, record, verify_evidence
from ctlog.errors import Misbehaviour
from monitor.follow.misbehaviour import DAY_MS, Accuser, record_id
from monitor.state import State, make_state
from monitor.state.rows import MISBEHAVIOUR, OPERATOR, RESOLVED, S1, Position
from tests.follow_kit import followed
from tests.simulator import Simulator


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path / "state", 0)
    async with State.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
async def sim(state):
    made = Simulator()
    made.grow(10)
    await state.logs.add(made.policy.key.log_id, "sim", "", Position(), 0)
    return made


@pytest.fixture
def accuser(state, tmp_path):
    return Accuser(state, tmp_path / "evidence", lambda: ("mail", "file"))


def fork(sim, at_ms=5):
    one, other = sim.head, sim.sign(10, at_ms=at_ms, root=bytes(32))
    evidence = prove_fork(sim.policy.case(sim.now_ms), one, other)
    return Misbehaviour("two trees", evidence=evidence, reason="fork")


def missing(sim, path):
    evidence = record(sim.policy.case(sim.now_ms), "missing-data", f"it lacks {path}", heads=[sim.head], path=path)
    return Misbehaviour(f"it lacks {path}", evidence=evidence, reason="missing-data")


async def test_a_proof_in_a_file_and_in_the_alert(state, sim, accuser, tmp_path):
    key = await accuser.accuse(followed(sim), fork(sim), sim.now_ms)
    (file,) = (tmp_path / "evidence").iterdir()
    assert file.name.startswith("EVIDENCE-sim-example-log-20251009T085322Z-fork-")
    assert verify_evidence(file.read_text(), sim.policy.key).is_proof
    alert = await state.alerts.get(key)
    assert (alert.kind, alert.severity, alert.addressee) == (MISBEHAVIOUR, S1, OPERATOR)
    assert alert.rules == ("log-fork", "T-28")
    assert alert.summary == "The log sim signed two different trees of one size (proof)"
    body = json.loads(alert.body)
    assert body["evidence"] == file.read_text()
    assert body["file"] == file.name
    assert "two different trees of 10 entries" in body["reason"]
    assert "verify-evidence" in body["next"]
    assert [row.channel for row in await state.outbox.due(sim.now_ms)] == ["mail", "file"]
    assert (await state.logs.get(sim.policy.key.log_id)).accused == file.name


async def test_a_lie_with_every_head_is_one_alert_a_day_and_every_file(state, sim, accuser, tmp_path):
    log = followed(sim)
    for at in range(5):
        await accuser.accuse(log, fork(sim, at_ms=at), sim.now_ms)
        await accuser.accuse(log, fork(sim, at_ms=at), sim.now_ms)  # the same heads again
    (alert,) = await state.alerts.find()
    assert alert.times_seen == 10
    assert len(list((tmp_path / "evidence").iterdir())) == 5
    await accuser.accuse(log, fork(sim), sim.now_ms + DAY_MS)
    assert len(await state.alerts.find()) == 2


async def test_records_are_told_apart_by_what_they_are_about_and_end(state, sim, accuser):
    log = followed(sim)
    one = await accuser.accuse(log, missing(sim, "tile/0/000"), sim.now_ms, "entries from 0")
    other = await accuser.accuse(log, missing(sim, "tile/0/001"), sim.now_ms, "entries from 256")
    assert one != other
    sim.grow(1)
    assert await accuser.accuse(log, missing(sim, "tile/0/000"), sim.now_ms, "entries from 0") == one
    assert (await state.alerts.get(one)).summary.endswith("(record)")
    await accuser.over(log, record_id(log, "missing-data", "entries from 0"), sim.now_ms)
    assert (await state.alerts.get(one)).status == RESOLVED
    assert (await state.alerts.get(other)).status != RESOLVED


async def test_evidence_that_does_not_hold_is_never_shown_as_a_proof(state, sim, accuser):
    error = fork(sim)
    forged = Misbehaviour("two trees", evidence=error.evidence.replace("proof fork", "proof rollback"), reason="fork")
    alert = await state.alerts.get(await accuser.accuse(followed(sim), forged, sim.now_ms))
    body = json.loads(alert.body)
    assert body["class"] == "record"
    assert "not both newer and smaller" in body["doubt"]


async def test_a_disk_that_takes_no_file_keeps_nobody_from_being_told(state, sim, tmp_path):
    (tmp_path / "evidence").write_text("a file where the folder should be")
    accuser = Accuser(state, tmp_path / "evidence", lambda: ("mail",))
    alert = await state.alerts.get(await accuser.accuse(followed(sim), fork(sim), sim.now_ms))
    body = json.loads(alert.body)
    assert body["file"] == ""
    assert verify_evidence(body["evidence"], sim.policy.key).is_proof
