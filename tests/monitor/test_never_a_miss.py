"""Never a miss: whatever grows, fails, or is killed at whatever moment, each matching entry is told, once by its id.

Everything is real but the logs, the clock and the channel: the daemon with its parts, the state and the history on the
disk. A kill leaves on the disk what was there at that moment and takes everything else away: a copy of the folder is
taken while nobody writes, and the next daemon starts from it, while what the killed one does later counts for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctlog.errors import StoreError, TransportError
from monitor import daemon as daemon_module
from monitor import tasks
from monitor.daemon import Daemon
from monitor.follow import watch
from monitor.follow.followed import ENTRIES, TILES
from monitor.history import History
from monitor.state.database import Database
from monitor.tell import DeliveryError, teller
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.daemon_kit import DaemonKit, hurry, write
from tests.simulator import busy

WATCHED = 80
"""Numbers +1 202 555 0000 on are watched; each matching certificate is for the next of them, so that each is news."""


def watching(count: int) -> str:
    """A watch list with the first of these numbers."""
    numbers = ", ".join(f'"+1202555{number:04d}"' for number in range(count))
    return f'[[watch]]\nname = "home"\ntell = ["out"]\nnumbers = [{numbers}]\n'


class Fault(NamedTuple):
    """At the `count`-th time of `kind`, `when` it has taken effect or before: a kill, or a failure."""

    kind: str  # "write" (state), "flush" (history), "fetch" (log), "send" (channel), "step" (any await)
    count: int
    when: str  # "before", "after"
    how: str  # "kill", "fail"


class Phase(NamedTuple):
    """A while of running. before, during: certificates that are logged (whether they match, and whether in both logs);
    channel: how it does; trouble: requests to the log that fail first. watched: how many numbers are watched from the
    middle on: what was logged for the others is found when these are watched, too."""

    before: list[tuple[bool, bool]]
    during: list[tuple[bool, bool]]
    faults: list[Fault]
    channel: str
    trouble: int
    watched: int = WATCHED


class Killed(BaseException):
    """The process is gone."""


class Sink:
    """The channel `out`. What it took is what people know."""

    limit_s = 5.0
    for_people = False
    where = "a test"

    def __init__(self, world: World, table) -> None:
        self.name, self.table, self.world = "out", table, world
        self.generation = world.generation

    async def send(self, letter) -> None:
        world = self.world
        if self.generation != world.generation:
            await asyncio.sleep(3600)
        await world.moment("send", "before")
        if world.channel == "fails":
            raise DeliveryError("no")
        world.told += [alert.id for alert in letter.alerts]
        await world.moment("send", "after")
        if world.channel == "fails after it took it":
            raise DeliveryError("no answer")


class World:
    """The logs, what people were told, and the monitor that runs now."""

    def __init__(self, folder: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sims = [CertSim(), CertSim("two.example/log", secret=8)]
        for sim in self.sims:
            sim.page = 7
        self.kit = DaemonKit(folder, *self.sims, watch=watching(WATCHED))
        if form == ENTRIES:
            path = folder / "monitor.toml"
            path.write_text(path.read_text().replace("[[log]]", '[[log]]\nform = "rfc6962"'))
        self.told: list[str] = []
        self.channel = "well"
        self.faults: list[Fault] = []
        self.counts: dict[str, int] = {}
        self.generation = 0
        self.snapshot: Path | None = None
        self.dead = asyncio.Event()
        self.expected: list[str] = []
        self._serial = 0
        self._patch(monkeypatch)

    def _patch(self, monkeypatch) -> None:
        hurry(monkeypatch)
        monkeypatch.setattr(teller, "LOOK_S", 0.01)
        monkeypatch.setattr(teller, "AFTER_FAULT_MS", 1)
        monkeypatch.setattr(watch, "GAP_RETRY_MS", 0)
        monkeypatch.setattr(tasks, "STEP", 3)
        monkeypatch.setattr(daemon_module, "make_channels", lambda tables, folder, before: (
            before or {name: Sink(self, table) for name, table in tables.items()}))  # fmt: skip
        real_write, real_flush, world = Database.write, History.flush, self

        async def write(database, work):
            await world.moment("write", "before")
            found = await real_write(database, work)
            await world.moment("write", "after")
            return found

        def flush(history):
            world.moment_now("flush", "before")
            real_flush(history)
            world.moment_now("flush", "after")

        monkeypatch.setattr(Database, "write", write)
        monkeypatch.setattr(History, "flush", flush)
        for sim in self.sims:
            real_get = sim.get

            async def get(path, *, limit=1 << 30, real_get=real_get):
                await world.moment("fetch", "before")
                found = await real_get(path)
                await world.moment("fetch", "after")
                return found

            sim.get = get

    # Faults -----------------------------------------------------------------------------------------------------------

    async def moment(self, kind: str, when: str) -> None:
        """Something is about to happen, or has."""
        self.moment_now(kind, when)
        await asyncio.sleep(0)

    def moment_now(self, kind: str, when: str) -> None:
        if self.snapshot is not None:
            return  # a dead process; what it does counts for nothing
        if when == "before":
            self.counts[kind] = self.counts.get(kind, 0) + 1
        for fault in list(self.faults):
            if (fault.kind, fault.when) == (kind, when) and self.counts[kind] >= fault.count:
                self.faults.remove(fault)
                if fault.how == "kill":
                    self.kill()
                    raise Killed
                if kind == "fetch":
                    raise TransportError("reset")
                if kind == "send":
                    raise DeliveryError("reset")
                raise StoreError("database or disk is full", reason="disk-full")

    def kill(self) -> None:
        """Take a copy of the disk, while the thread of the state is held still; from now on nothing counts."""
        idle, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            idle.set()
            go_on.wait()

        state = getattr(self.kit.daemon, "state", None)  # a daemon that has none yet has nothing that writes
        if state is not None:
            state.database._thread.submit(hold)
            idle.wait()
        try:
            self.snapshot = self._copy()
        finally:
            go_on.set()
        self.generation += 1
        self.dead.set()

    def _copy(self) -> Path:
        """The disk as it is. Threads besides the state's go on meanwhile: a file of theirs may be renamed by now."""
        copy = Path(tempfile.mkdtemp(dir=self.kit.folder))
        for path in (self.kit.folder / "state").rglob("*"):
            if path.is_file() and not path.name.endswith("-shm"):
                to = copy / path.relative_to(self.kit.folder / "state")
                to.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(path, to)
        return copy

    # The way of the world ---------------------------------------------------------------------------------------------

    def log(self, matches: bool, both: bool) -> None:
        """A new certificate, in one log or in both."""
        self._serial += 1
        number = len(self.expected) if matches else 1000 + self._serial
        if matches:
            self.expected.append(f"home/number:+1202555{number:04d}")
        authority = ROGUE if self._serial % 3 else CA
        tbs = number_tbs(number, authority, key=100 + self._serial, serial=self._serial)
        for sim in self.sims if both else self.sims[:1]:
            sim.submit([authority.precertificate(tbs), *authority.chain])
            sim.publish()
        self.kit.clock.now_ms = max(self.kit.clock.now_ms, *(sim.now_ms for sim in self.sims))

    async def live(self, phase: Phase) -> None:
        """Run through a phase, to its end or to a kill."""
        for each in phase.before:
            self.log(*each)
        self.channel, self.faults, self.counts = phase.channel, list(phase.faults), {}
        for sim in self.sims:
            sim.fail("*", *[TransportError("reset")] * (phase.trouble % 3), *[busy(0)] * (phase.trouble // 3))
        await self.run(self._go_on, phase)

    async def _go_on(self, phase: Phase) -> None:
        for at, each in enumerate(phase.during):
            await asyncio.sleep(0)
            if at == len(phase.during) // 2:
                self.watch(phase.watched)
            self.log(*each)
        await self._quiet(1.0)

    def watch(self, count: int) -> None:
        """The watch list is written anew, if it is another one."""
        path, text = self.kit.folder / "watch.toml", watching(count)
        if path.read_text() != text:
            write(path, text)

    async def _quiet(self, seconds: float) -> None:
        """Until everything is read, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.kit.until(lambda: self.kit.daemon.is_started)
                await self.kit.caught_up()

    async def run(self, what, *args) -> None:
        """A daemon, from what lies on the disk, and something that goes on meanwhile."""
        self.dead.clear()
        self.kit.daemon = self.kit.make()
        running = asyncio.create_task(self.kit.daemon.run())
        doing = asyncio.create_task(what(*args))
        stepping = asyncio.create_task(self._step())
        dying = asyncio.create_task(self.dead.wait())
        await asyncio.wait([running, doing, dying], return_when=asyncio.FIRST_COMPLETED)
        if self.snapshot is None and doing.done():
            doing.result()
            self.kit.daemon.stop()
            await asyncio.wait([running, dying], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, doing, stepping, dying):
            task.cancel()
        await asyncio.gather(running, doing, stepping, dying, return_exceptions=True)
        if self.snapshot is not None:
            # set aside, not removed: a thread of the dead process may still write into it
            (self.kit.folder / "state").rename(self.kit.folder / f"dead-{self.generation}")
            self.snapshot.rename(self.kit.folder / "state")
            self.snapshot = None

    async def _step(self) -> None:
        """Each turn of the loop is a moment at which a process may die: so every await is one."""
        with contextlib.suppress(Killed):
            while True:
                self.moment_now("step", "before")
                await asyncio.sleep(0)

    async def end(self) -> None:
        """All goes well again, and time goes on: in the end everybody knows everything."""
        self.faults, self.channel = [], "well"
        self.watch(WATCHED)
        for sim in self.sims:
            sim.failures.clear()

        async def until_all_is_told() -> None:
            await self.kit.until(lambda: self.kit.daemon.is_started)
            await self.kit.caught_up()
            state = self.kit.daemon.state

            async def is_told() -> bool:
                self.kit.clock.now_ms += 600_000
                waiting = await state.outbox.due(1 << 60, limit=1000)
                is_quiet = not any(row.alert.kind == "certificate" for row in waiting)
                return is_quiet and not await state.audits.tasks() and len(self.kit.daemon.watchlist) == WATCHED

            await self.kit.until(is_told)
            rows = await state.alerts.find(kind="certificate", limit=10_000)
            owners = [row for row in rows if row.addressee == "owner"]
            assert sorted(row.item for row in owners) == sorted(self.expected)  # each once, by its id
            told = set(self.told)
            assert [row.item for row in owners if row.id not in told] == []  # and each was told
            assert all(row.proven is not None for row in owners)
            assert await state.alerts.find(kind="misbehaviour") == []

        await self.run(until_all_is_told)


kinds = st.sampled_from(["write", "write", "flush", "fetch", "send", "step"])
faults = st.builds(
    Fault, kinds, st.integers(1, 60), st.sampled_from(["before", "after"]), st.sampled_from(["kill", "kill", "fail"])
).filter(lambda fault: fault.kind != "step" or (fault.when, fault.how) == ("before", "kill"))
steps = st.builds(Fault, st.just("step"), st.integers(1, 300), st.just("before"), st.just("kill"))
certificates = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=5)
phases = st.builds(
    Phase, certificates, certificates, st.lists(faults | steps, max_size=2),
    st.sampled_from(["well", "well", "fails", "fails after it took it"]), st.integers(0, 8),
    st.sampled_from([WATCHED, WATCHED, 0, 3, 8]),
)  # fmt: skip


def never_a_miss(form, ways):
    async def scenario(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            world = World(folder, form, monkeypatch)
            for phase in ways:
                await world.live(phase)
            await world.end()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a thread may still write
        asyncio.run(scenario(Path(folder)))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([TILES, ENTRIES]), st.lists(phases, min_size=1, max_size=4))
def test_never_a_miss(form, ways):
    never_a_miss(form, ways)


EVERY_KIND = [
    Fault(kind, count, when, "kill")
    for kind, most in (("write", 40), ("flush", 4), ("send", 4))
    for count in range(1, most + 1)
    for when in ("before", "after")
]


@pytest.mark.trial
@pytest.mark.parametrize("form", [TILES, ENTRIES])
def test_killed_before_and_after_every_write(form):
    """One after the other, over a log that grows: a kill at each moment at which something is stored or told."""
    news = [(True, True), (True, False), (False, False)]
    for fault in EVERY_KIND:
        never_a_miss(form, [Phase(news, news, [fault], "well", 0)])


@pytest.mark.trial
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([TILES, ENTRIES]), st.lists(phases, min_size=1, max_size=6))
def test_never_a_miss_at_length(form, ways):
    never_a_miss(form, ways)


def test_the_test_would_notice():
    """A monitor that advances its position before it stores alerts is caught."""
    real = Daemon._assemble

    async def assemble(self, stack):
        await real(self, stack)
        logs = self.state.logs
        advance = logs.advance

        async def forgetful(log_id, position, alerts, *args, **options):
            await advance(log_id, position, [], *args, **options)
            if alerts:
                await self.channels["out"].world.moment("between", "before")
            return await self.state.alerts.raise_all(alerts, 0)

        logs.advance = forgetful

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Daemon, "_assemble", assemble)
        never_a_miss(TILES, [Phase([(True, False)], [], [], "well", 0)])  # as long as nobody kills it
        with pytest.raises(AssertionError, match=r"assert \[\] == \['home/number"):
            never_a_miss(TILES, [Phase([(True, False)], [], [Fault("between", 1, "before", "kill")], "well", 0)])


