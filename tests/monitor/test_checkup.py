"""monitor.checkup: health's alerts are raised once and over when they are over; the whole is one value."""

import asyncio
import dataclasses

import pytest

from ctlog.errors import StoreError
from monitor.catalogue import LogSpec
from monitor.checkup import Checkup, Surroundings
from monitor.follow.begin import FIRST
from monitor.following import Progress
from monitor.health import BEHIND_MS, TROUBLE_MS, Failure
from monitor.state import State, make_state
from monitor.state.rows import Gap, Position
from tests.simulator import Simulator
from tests.state_values import alert

NOW = 1_795_000_000_000
SIM = Simulator()
LOG = SIM.policy.key.log_id
SPEC = LogSpec("sim", "https://sim.example/", SIM.policy.key, "tiles", "sim", 86_400_000, FIRST, "configuration")


class Kit:
    """A checkup over a real state, and everything around it as a test wants it."""

    def __init__(self, state):
        self.state, self.now_ms, self.told = state, NOW, 0
        self.around = {
            "specs": {LOG: SPEC}, "lost": [], "configured": frozenset(("mail",)), "operators": ("mail", "ops"),
            "sources": {}, "parts": {}, "mistake": "", "items": 1, "roots": 1, "listed": False,
            "store": None, "homeless": [], "monitor": "/srv/m",
        }  # fmt: skip
        names = [name for name in Surroundings._fields if name != "unstored"]
        around = Surroundings(**{name: lambda name=name: self.around[name] for name in names})
        self.unstored = []
        around = around._replace(unstored=self.tell_unstored)
        self.checkup = Checkup(state, self, around, lambda: self.now_ms, self.tell)
        self.rate = None

    def progress(self, log_id):
        return self.rate

    async def tell_unstored(self, alerts):
        self.unstored += [alert.rule for alert in alerts]

    def tell(self):
        self.told += 1

    async def set(self, what, *values):
        """Change the row of the log."""
        await self.state.database.write(lambda connection: connection.execute(f"UPDATE logs SET {what}", values))

    async def health(self):
        """(rule, status) of every alert about health."""
        return sorted((row.rule, row.status) for row in await self.state.alerts.find(kind="health"))


@pytest.fixture
async def kit(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as state:
        await state.logs.add(LOG, "sim", SPEC.url, Position(), NOW)
        await state.logs.answered(LOG, SIM.head, NOW)
        made = Kit(state)
        await made.set("head_ms = ?", NOW)
        yield made


async def test_all_is_well(kit):
    status = await kit.checkup.look()
    assert status.is_well
    assert [(log.spec.name, log.row.log_id, log.gaps) for log in status.logs] == [("sim", LOG, 0)]
    assert (status.now_ms, status.troubles, status.alerts, status.open_tasks) == (NOW, (), {}, 0)
    assert await kit.health() == []


async def test_raised_once_and_over_when_it_is_over(kit):
    kit.around["mistake"] = "line 3: no"
    for _ in range(3):
        status = await kit.checkup.look()
        kit.now_ms += 1000
    assert [trouble.kind for trouble in status.troubles] == ["mistake"]
    assert not status.is_well
    assert kit.told == 1
    (alert,) = await kit.state.alerts.find(kind="health")
    assert (alert.times_seen, alert.status) == (1, "new")
    assert [row.channel for row in await kit.state.outbox.of_alert(alert.id)] == ["mail", "ops"]
    kit.around["mistake"] = ""
    assert (await kit.checkup.look()).is_well
    assert await kit.health() == [("mistake", "resolved")]
    kit.around["mistake"] = "line 3: no"
    await kit.checkup.look()  # it comes back, and is told again
    assert kit.told == 2
    assert [row.kind for row in await kit.state.outbox.of_alert(alert.id)] == ["alert", "alert", "reminder", "reminder"]


async def test_other_alerts_are_left_alone(kit):
    await kit.state.alerts.raise_all([alert("mine"), dataclasses.replace(alert("healthy"), kind="health")], NOW)
    await kit.checkup.look()
    assert {row.status for row in await kit.state.alerts.find()} == {"new"}


async def test_a_log_that_is_behind(kit):
    """From when on it had so many entries that are not read yet; reading on, however far, is no trouble."""
    await kit.set("head_size = 1000, last_contact_ms = ?", 2 * NOW)
    await kit.checkup.look()
    kit.rate = Progress(10, 1000, 2.0, 495.0)
    kit.now_ms += BEHIND_MS
    await kit.set("head_ms = ?", kit.now_ms)
    (trouble,) = (await kit.checkup.look()).troubles
    assert (trouble.kind, "had 1,000 entries" in trouble.reason) == ("behind", True)
    await kit.set("size = 1000, head_size = 2000, hashes = zeroblob(192)")
    assert (await kit.checkup.look()).is_well
    kit.now_ms += BEHIND_MS - 1
    await kit.set("head_ms = ?", kit.now_ms)
    assert (await kit.checkup.look()).is_well


async def test_a_log_that_was_never_begun(kit):
    other = SPEC._replace(name="other", key=Simulator("x", 9).policy.key)
    kit.around["specs"] = {LOG: SPEC, other.log_id: other}
    kit.now_ms += 7 * 3_600_000
    await kit.set("last_contact_ms = ?1, head_ms = ?1", kit.now_ms)
    status = await kit.checkup.look()
    assert [(trouble.kind, trouble.about, trouble.severity) for trouble in status.troubles] == [
        ("unreachable", other.log_id, 2)]  # fmt: skip
    assert [log.row is None for log in status.logs] == [True, False]


async def test_a_log_that_cannot_be_begun_with_is_counted_over_restarts(kit):
    """The wrong key: known after 15 minutes, however often the monitor is started anew meanwhile."""
    other = SPEC._replace(name="other", key=Simulator("x", 9).policy.key)
    kit.around["specs"] = {LOG: SPEC, other.log_id: other}
    await kit.state.logs.not_begun(other.log_id, "no signature by its key", "unsigned", NOW)
    (trouble,) = (await kit.checkup.look()).troubles
    assert (trouble.kind, trouble.is_young) == ("wrong-key", True)
    assert await kit.health() == []
    kit.now_ms += TROUBLE_MS
    await kit.set("last_contact_ms = ?1, head_ms = ?1", kit.now_ms)
    await kit.state.logs.not_begun(other.log_id, "no signature by its key", "unsigned", kit.now_ms)
    again = Checkup(kit.state, kit, kit.checkup._around, lambda: kit.now_ms, kit.tell)
    (trouble,) = (await again.look()).troubles
    assert (trouble.kind, trouble.severity, trouble.is_young) == ("wrong-key", 2, False)
    assert await kit.health() == [("wrong-key", "new")]
    await kit.state.logs.add(other.log_id, "other", other.url, Position(), kit.now_ms)
    assert await kit.state.logs.unbegun() == {}


async def test_without_logs_it_is_not_well(kit):
    kit.around |= {"specs": {}, "items": 1}
    assert [trouble.kind for trouble in (await kit.checkup.look()).troubles] == ["no-log"]
    kit.around |= {"specs": {LOG: SPEC}, "items": 0, "roots": 0}
    assert [trouble.kind for trouble in (await kit.checkup.look()).troubles] == ["no-item", "no-roots"]


async def test_logs_that_are_not_followed_any_more_are_no_trouble(kit):
    await kit.state.logs.advance(LOG, Position(), [], NOW, gap=Gap(LOG, 0, 5, "missing-data", NOW, NOW))
    kit.now_ms += 30 * 86_400_000
    assert len((await kit.checkup.look()).troubles) == 2  # it does not answer, and has a gap
    kit.around |= {"specs": {}, "listed": True}
    status = await kit.checkup.look()
    assert (status.troubles, status.logs) == ((), ())
    assert {status for _, status in await kit.health()} == {"resolved"}


async def test_what_stands_around_is_looked_at(kit):
    kit.around |= {
        "sources": {"crl": Failure("signed by nobody", NOW, is_grave=True)}, "lost": ["old"],
        "parts": {"tells": Failure("a fault", NOW - TROUBLE_MS)},
    }  # fmt: skip
    status = await kit.checkup.look()
    assert sorted(trouble.kind for trouble in status.troubles) == ["lost-log", "part", "source"]


async def test_a_log_that_lied_is_not_well_until_somebody_has_answered(kit):
    lie = dataclasses.replace(alert("lie"), kind="misbehaviour", rule="log-fork", log_id=LOG)
    await kit.state.logs.accuse(LOG, "EVIDENCE-1.txt", [lie], NOW)
    status = await kit.checkup.look()
    assert ([trouble.kind for trouble in status.troubles], status.is_well) == (["log-fork"], False)
    assert await kit.health() == []  # it was told
    await kit.state.alerts.acknowledge("lie", "me", "")
    assert (await kit.checkup.look()).is_well


async def test_what_cannot_be_stored_is_told_once_without_the_state(kit, monkeypatch):
    async def full(*_, **__):
        raise StoreError("database or disk is full", reason="disk-full")

    kit.around["mistake"] = "line 3: no"
    monkeypatch.setattr(kit.state.alerts, "raise_all", full)
    for _ in range(3):
        status = await kit.checkup.look()
    assert [trouble.kind for trouble in status.troubles] == ["store", "mistake"]
    assert "disk is full" in status.troubles[0].reason
    assert kit.unstored == ["store", "mistake"]


async def test_a_state_that_cannot_even_be_read_is_a_trouble_and_no_silence(kit, monkeypatch):
    async def broken():
        raise StoreError("disk I/O error")

    monkeypatch.setattr(kit.state.logs, "all", broken)
    status = await kit.checkup.look()
    assert ([trouble.kind for trouble in status.troubles], kit.unstored) == (["store"], ["store"])


async def test_two_looks_at_once_raise_one_alert(kit):
    kit.around["mistake"] = "line 3: no"
    await asyncio.gather(*(kit.checkup.look() for _ in range(5)))
    (found,) = await kit.state.alerts.find(kind="health")
    assert found.times_seen == 1
