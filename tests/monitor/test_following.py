"""monitor.following: each log has a task of its own, which goes on whatever happens in it or in another one."""

import asyncio
from functools import partial

import pytest

from ctlog.errors import StoreError, TransportError, UsageError
from monitor import following as module
from monitor import history
from monitor.catalogue import LogSpec
from monitor.checkup import unbegun_row
from monitor.follow.begin import FIRST
from monitor.follow.followed import ENTRIES, TILES
from monitor.follow.misbehaviour import Accuser
from monitor.follow.watch import Found, Pace
from monitor.following import Following, Progress, describe
from monitor.health import HOUR_MS, Vitals, troubles
from tests.cert_sim import ROGUE, CertSim
from tests.monitor_kit import Memory

ITEM = "home/number:+12025550123"


def spec_of(sim, form=TILES, name=""):
    policy = sim.policy
    return LogSpec(
        name or sim.origin, policy.source, policy.key, form, policy.origin, policy.mmd_ms, FIRST, "configuration"
    )


class Kit:
    """Following over simulated logs, with a real state and real rules. `unreachable`: names that cannot be opened."""

    def __init__(self, memory, *sims):
        self.memory, self.sims = memory, {sim.policy.key.log_id: sim for sim in sims}
        self.kit, self.said, self.told, self.unreachable = memory.kit, [], 0, {}
        shared = self.kit.shared()
        accuser = Accuser(memory.state, memory.folder / "evidence", self.kit.writer.operators)
        self.following = Following(
            memory.state, shared, accuser, lambda: 10**13, self.say, contact="me", pace=lambda: Pace(poll_s=0.001),
            told=self.tell, reach=self.reach,
        )  # fmt: skip
        shared.logs = lambda: self.following.logs

    async def reach(self, spec, stack):
        error = self.unreachable.get(spec.name)
        if error is not None:
            raise error
        return self.sims[spec.log_id]

    def say(self, level, log, sentence):
        self.said.append((level, log, sentence))

    def tell(self):
        self.told += 1

    def specs(self, form=TILES):
        return {log_id: spec_of(sim, form) for log_id, sim in self.sims.items()}

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - it is anything that a test waits for
                await asyncio.sleep(0.002)

    async def caught_up(self, *sims):
        """Until every one of these (of all) is read to its newest head."""
        for sim in sims or self.sims.values():
            log_id = sim.policy.key.log_id
            await self.until(partial(self.is_read, log_id, sim))

    def is_read(self, log_id, sim):
        progress = self.following.progress(log_id)
        return progress is not None and progress.position == sim.head.size


@pytest.fixture
async def memory(tmp_path):
    async with Memory(tmp_path) as made:
        yield made


@pytest.fixture
async def two(memory):
    kit = Kit(memory, CertSim(), CertSim("two.example/log", secret=8))
    yield kit
    await kit.following.close()


@pytest.mark.parametrize("form", [TILES, ENTRIES])
async def test_two_logs_at_once(two, form):
    for at, sim in enumerate(two.sims.values()):
        sim.add(123, serial=at + 1)
    await two.following.reconcile(two.specs(form))
    await two.caught_up()
    for at, sim in enumerate(two.sims.values()):
        sim.add(123, ROGUE, key=22, serial=at + 10)
    await two.caught_up()
    assert {len(await two.memory.state.alerts.sightings(row.id)) for row in await two.kit.alerts(item=ITEM)} == {1}
    assert two.told
    assert set(two.following.logs) == set(two.sims)


async def test_one_that_cannot_be_reached_keeps_nobody_from_the_other(two, monkeypatch):
    monkeypatch.setattr(module, "RESTART_S", 0.01)
    one, other = two.sims.values()
    two.unreachable[one.origin] = TransportError("no such host")
    other.add(123)
    await two.following.reconcile(two.specs())
    await two.caught_up(other)
    assert ("warning", one.origin, "no such host") in two.said
    two.unreachable.clear()
    one.add(700)
    await two.caught_up(one)


async def test_a_log_for_which_the_history_has_no_place_is_said_and_told_and_stops_no_other(two, monkeypatch):
    """And the state is not said to fail: nothing is wrong with the disk."""
    monkeypatch.setattr(module, "RESTART_S", 0.01)
    one, other = two.sims.values()
    monkeypatch.setattr(history, "MAX_LOGS", 1)
    failures = []
    two.following._store_fails = lambda sentence: failures.append(sentence) if sentence else None
    two.memory.kit.history.log_number(other.policy.key.log_id)
    other.add(123)
    await two.following.reconcile(two.specs())
    await two.caught_up(other)
    await two.until(lambda: any(log == one.origin for _, log, _ in two.said))
    waiting = await two.memory.state.logs.unbegun()
    assert list(waiting) == [one.policy.key.log_id]
    row = unbegun_row(two.specs()[one.policy.key.log_id], waiting[one.policy.key.log_id])
    (found,) = troubles(10**13 + HOUR_MS, Vitals(logs=[row]))
    assert (found.kind, found.summary, found.is_young) == ("unreadable-log", f"{one.origin} is not read", False)
    assert "room for 1 logs" in found.reason
    assert failures == []


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), StoreError("full", reason="disk-full"), UsageError("?")])
async def test_a_fault_begins_a_log_again_from_what_is_stored(two, monkeypatch, error):
    monkeypatch.setattr(module, "RESTART_S", 0.01)
    one, other = two.sims.values()
    one.add(123)
    failing = [True, True]
    real = two.memory.state.logs.see

    async def see(log_id, *rest):
        if log_id == one.policy.key.log_id and failing and failing.pop():
            raise error
        return await real(log_id, *rest)

    monkeypatch.setattr(two.memory.state.logs, "see", see)
    await two.following.reconcile(two.specs())
    other.add(700)
    await two.caught_up(other)
    await two.caught_up(one)
    assert len(await two.kit.alerts(item=ITEM)) == 1
    assert any(name == one.origin for _, name, _ in two.said)


async def test_logs_come_and_go(two):
    one, other = two.sims.values()
    specs = two.specs()
    mine = {one.policy.key.log_id: specs[one.policy.key.log_id]}
    await two.following.reconcile(mine)
    one.add(123)
    await two.caught_up(one)
    await two.following.reconcile({other.policy.key.log_id: specs[other.policy.key.log_id]})
    other.add(700)
    await two.caught_up(other)
    assert set(two.following.logs) == {other.policy.key.log_id}
    one.add(123, ROGUE, serial=9)
    await two.following.reconcile(specs)
    await two.caught_up(one)  # where it was
    assert len(await two.kit.alerts(item=ITEM)) == 2


async def test_a_log_that_is_described_otherwise_goes_on_under_its_new_name(two):
    one, _ = two.sims.values()
    log_id = one.policy.key.log_id
    one.add(123)
    await two.following.reconcile({log_id: spec_of(one)})
    await two.caught_up(one)
    running = two.following.running[log_id]
    await two.following.reconcile({log_id: spec_of(one)})
    assert two.following.running[log_id] is running  # nothing changed, nothing is begun again
    await two.following.reconcile({log_id: spec_of(one, ENTRIES, "another name")})
    one.add(700)
    await two.caught_up(one)
    row = await two.memory.state.logs.get(log_id)
    assert (row.name, row.position.frontier.size) == ("another name", 2)


async def test_one_entry_again(two):
    one, other = two.sims.values()
    one.add(123)
    log_id = one.policy.key.log_id
    await two.following.reconcile({log_id: spec_of(one)})
    await two.caught_up(one)
    for only, count in ((frozenset((ITEM,)), 1), (frozenset(("other",)), 0), (None, 1)):
        found = Found()
        assert await two.following.again(log_id, 0, only, found)
        two.following.stored(log_id, found)
        found.end()
        assert len(found.alerts) == count
    assert not await two.following.again(log_id, 1, None, Found())  # it is not so long
    assert not await two.following.again(other.policy.key.log_id, 0, None, Found())  # it is not read


async def test_one_entry_again_over_rfc_6962_is_proven_again(two):
    """Where the log serves another than it signed, that is judged, as seen: nothing is proven that is not."""
    one, _ = two.sims.values()
    one.add(123)
    one.add(700)
    log_id = one.policy.key.log_id
    await two.following.reconcile({log_id: spec_of(one, ENTRIES)})
    await two.caught_up(one)
    for lie, proven in ((False, 2), (True, None)):
        if lie:
            tree = one.tree
            other = CertSim()
            other.add(123, ROGUE, key=22, serial=2)
            one.issuers.update(other.issuers)
            tree.leaves[0], tree.inputs[0] = other.tree.leaves[0], other.tree.inputs[0]
        found = Found()
        assert await two.following.again(log_id, 0, frozenset((ITEM,)), found)
        found.end()
        assert [alert.proven for alert in found.alerts if alert.item] == [proven]
    assert any("otherwise than signed" in sentence for _, _, sentence in two.said)


async def test_a_task_that_is_ended_gives_back_its_turn(two, monkeypatch):
    """Whoever is cancelled amid a judgement does not keep the others from theirs."""
    one, other = two.sims.values()
    one.add(123)
    stuck = asyncio.Event()
    real = type(two.kit.judge)._load_profiles

    async def slow(self, hits, found):
        if not stuck.is_set():
            stuck.set()
            await asyncio.sleep(60)
        await real(self, hits, found)

    monkeypatch.setattr(type(two.kit.judge), "_load_profiles", slow)
    specs = two.specs()
    await two.following.reconcile({one.policy.key.log_id: specs[one.policy.key.log_id]})
    await stuck.wait()
    await two.following.reconcile({other.policy.key.log_id: specs[other.policy.key.log_id]})
    other.add(123, serial=5)
    await two.caught_up(other)
    assert len(await two.kit.alerts(item=ITEM)) == 1


async def test_progress(two, monkeypatch):
    monkeypatch.setattr(module, "REPORT_S", 0.001)
    monkeypatch.setattr(module, "BEHIND", -1)  # so that even this counts as behind
    one, _ = two.sims.values()
    assert two.following.progress(one.policy.key.log_id) is None
    one.add(123)
    await two.following.reconcile({one.policy.key.log_id: spec_of(one)})
    await two.caught_up(one)
    done = two.following.progress(one.policy.key.log_id)
    assert (done.position, done.target, done.left_s) == (1, 1, 0.0)
    reporting = asyncio.create_task(two.following.report())
    await two.until(lambda: any("1 of 1 entries (100.0 %)" in sentence for _, _, sentence in two.said))
    reporting.cancel()


@pytest.mark.parametrize(("progress", "text"), [
    (Progress(500, 1000, 100.0, 5.0), "500 of 1,000 entries (50.0 %), 100/s, 5 s left"),
    (Progress(0, 10**6, 100.0, 10_000.0), "0 of 1,000,000 entries (0.0 %), 100/s, 2 h 46 min left"),
    (Progress(1, 2, 1.0, 61.0), "1 of 2 entries (50.0 %), 1/s, 1 min 1 s left"),
    (Progress(0, 0, 0.0, None), "0 of 0 entries (0.0 %), 0/s"),
])  # fmt: skip
def test_progress_in_words(progress, text):
    assert describe(progress) == text
