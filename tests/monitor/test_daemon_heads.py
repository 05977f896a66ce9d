"""monitor.daemon: logs that are taken out and put back, and heads that somebody else was shown."""

import json

import pytest

from ctlog.client.evidence import verify_evidence
from ctlog.errors import TransportError
from ctlog.wire.rfc6962 import sth_to_json
from tests.cert_sim import CertSim
from tests.daemon_kit import ITEM, WATCH, DaemonKit


@pytest.fixture
def sim():
    return CertSim()


@pytest.fixture
def kit(tmp_path, sim, monkeypatch):
    return DaemonKit(tmp_path, sim, monkeypatch=monkeypatch)


def names(alerts):
    return {(alert.rule, alert.status) for alert in alerts}


async def test_a_log_that_is_taken_out_is_no_trouble_any_more(kit, sim):
    other = CertSim("two.example/log", secret=8)
    kit.sims[other.policy.key.log_id] = other
    kit.configure()
    kit.unreachable[other.policy.key.log_id] = TransportError("no such host")
    async with kit.running() as daemon:
        await kit.until(lambda: daemon.following.logs)
        kit.clock.now_ms += 3_600_000
        await kit.until(lambda: kit.alerts(kind="health"))
        del kit.sims[other.policy.key.log_id]
        kit.configure()

        async def is_over():
            return names(await kit.alerts(kind="health")) == {("unreachable", "resolved")}

        async def is_alone():  # how it is, is known as of a few seconds ago
            return [log.spec.name for log in (await daemon.status()).logs] == [sim.origin]

        await kit.until(is_over)
        await kit.until(is_alone)


@pytest.mark.parametrize("begin", ["first", "newest"])
async def test_a_log_that_comes_back_goes_on_where_it_was_and_its_rollback_is_seen(kit, sim, begin):
    sim.add(123)
    for number in range(500, 503):
        sim.add(number)
    async with kit.running() as daemon:
        await kit.caught_up()
        gone = kit.sims.pop(sim.policy.key.log_id)
        kit.configure()
        await kit.until(lambda: not daemon.following.logs)
        sim.add(123, serial=5, key=50)  # nobody reads it
        assert len(await kit.alerts(item=ITEM)) == 1
        kit.sims[sim.policy.key.log_id] = gone
        kit.configure()
        path = kit.folder / "monitor.toml"
        path.write_text(path.read_text().replace("[[log]]", f'[[log]]\nbegin = "{begin}"'))
        await kit.caught_up()
        assert len(await kit.alerts(item=ITEM)) == 2, "and nothing was passed over"
        kit.sims.pop(sim.policy.key.log_id)
        kit.configure()
        await kit.until(lambda: not daemon.following.logs)
        sim.roll_back(2)
        kit.sims[sim.policy.key.log_id] = gone
        kit.configure()
        (lie,) = await kit.until(lambda: kit.alerts(kind="misbehaviour"))
        assert lie.rule == "log-rollback"


@pytest.mark.parametrize("form", ["sth", "checkpoint"])
async def test_a_split_view_is_proof(kit, sim, form):
    """What another monitor was shown is handed in, and both heads convict the log, offline."""
    other = CertSim()
    for each in (sim, other):
        each.add(123)
    other._forge(0)
    other.publish()
    sim.now_ms = other.now_ms
    head = sth_to_json(other.head.sth) if form == "sth" else other.head.note.decode()
    async with kit.running():
        await kit.caught_up()
        status, answer = await kit.post("v1/heads", {"head": head})
        assert (status, answer["state"], answer["tree_size"]) == (200, "unverified", 1)
        (lie,) = await kit.until(lambda: kit.alerts(kind="misbehaviour"))
        assert (lie.rule, lie.severity) == ("log-fork", 1)
        file = kit.folder / "state" / "evidence" / json.loads(lie.body)["file"]
        assert verify_evidence(file.read_text(), sim.policy.key).is_proof
        assert (await kit.post("v1/heads", {"head": head}))[1]["state"] == "contradicts"


async def test_a_certificate_that_only_others_are_shown(kit, sim):
    """T-28: what stands in a tree that contradicts ours is told as such; what both trees hold is no news of the log."""
    (kit.folder / "watch.toml").write_text(WATCH + 'expect = {issuers = ["Example"]}\n')
    other = CertSim()
    for each in (sim, other):
        each.add(123)
    sim.add(700, serial=2)
    other.add(123, serial=3, key=30)
    async with kit.running():
        await kit.caught_up()
        sim.now_ms = kit.clock.now_ms = other.now_ms = sim.now_ms + 60_000
        sim.tree = other.tree
        sim.publish()
        await kit.until(lambda: kit.alerts(kind="misbehaviour"))
        (alert,) = await kit.until(lambda: kit.alerts(item=ITEM))
        assert (alert.rules, alert.severity, alert.log_index) == (("T-28",), 1, None)
        assert json.loads(alert.body)["log"]["index"] == 1
        assert f"The log {sim.origin} showed it in a tree that contradicts" in json.loads(alert.body)["reason"]


async def test_a_head_of_a_cache_is_none(kit, sim):
    sim.add(123)
    old = sim.head
    sim.add(124, serial=3, key=30)
    async with kit.running() as daemon:
        await kit.caught_up()
        await kit.post("v1/heads", {"head": old.note.decode()})

        async def is_settled():
            rows = await daemon.state.logs.heads(sim.policy.key.log_id)
            return all(row.state in ("met", "consistent") for row in rows)

        await kit.until(is_settled)
        assert await kit.alerts(kind="misbehaviour") == []


async def test_a_log_that_is_read_is_not_said_to_have_given_no_head(kit, sim):
    """What was so a moment ago, before the log was asked, is not shown beside what was read meanwhile."""
    kit.unreachable[sim.policy.key.log_id] = TransportError("no such host")
    async with kit.running() as daemon:

        async def is_said():
            return [trouble.kind for trouble in await daemon.troubles()] in (["no-head"], ["unreachable"])

        await kit.until(is_said)
        kit.unreachable.clear()
        await kit.caught_up()

        async def is_well():
            return not (await daemon.status()).troubles

        await kit.until(is_well)  # and the clock of this test stands still
