"""What tests of following share: a simulator as a followed log, an inspector that raises an alert for each entry."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from ctlog.client.follow import Batch, TileFollower
from ctlog.client.get_entries import EntriesFollower
from ctlog.client.patient import PatientFetcher
from monitor.follow.begin import FIRST, begin
from monitor.follow.followed import ENTRIES, TILES, Followed
from monitor.follow.heads import Heads
from monitor.follow.misbehaviour import Accuser
from monitor.follow.watch import NOBODY, Found, Pace, Watch
from monitor.state import State
from monitor.state.rows import CERTIFICATE, OWNER, S1, NewAlert
from tests.simulator import FakeTime, Simulator


def followed(sim: Simulator, form: str = TILES, time: FakeTime | None = None) -> Followed:
    """The simulator, followed. Nobody waits: sleeping moves a clock of its own."""
    time = time or FakeTime()
    fetcher = PatientFetcher(sim, attempts=3, sleep=time.sleep, clock=time.clock)
    make = {TILES: TileFollower, ENTRIES: EntriesFollower}[form]
    options = {"window": 2, "tiles_per_piece": 2} if form == TILES else {"window": 2, "page": 64}
    follower = make(sim.policy, fetcher, now_ms=lambda: sim.now_ms, sleep=time.sleep, **options)
    return Followed("sim", sim.policy, form, follower, fetcher)


class EachEntry:
    """An inspector for which each entry is news, called by its bytes: so a miss shows, and so does a duplicate."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.flushed = 0
        self.late: dict[int, str] = {}
        self.wanted = lambda index: True

    async def inspect(self, log: Followed, batch: Batch, proven: int | None, found: Found, late=NOBODY) -> None:
        self.late |= dict(late)
        for index, leaf in enumerate(batch.leaves, batch.lo):
            self.seen.append(index)
            if self.wanted(index):
                found.alerts.append(entry_alert(log, index, leaf, proven))

    async def flush(self) -> None:
        await asyncio.sleep(0)
        self.flushed += 1

    async def caught_up(self) -> None:
        pass

    def stored(self, log: Followed, hi: int, found: Found) -> None:
        assert self.flushed, "the position passed what was not flushed"


def entry_alert(log: Followed, index: int, leaf: bytes, proven: int | None) -> NewAlert:
    name = leaf[15:-10].rstrip(b"\0").decode("latin-1").strip()[:60]
    return NewAlert(
        id=f"entry {name}", kind=CERTIFICATE, severity=S1, rule="T-01", rules=("T-01",), addressee=OWNER, summary=name,
        body=b"{}", channels=("file",), item="all", log_id=log.log_id, log_index=index, proven=proven,
    )  # fmt: skip


@asynccontextmanager
async def watching(state: State, log: Followed, sim: Simulator, folder, inspector=None, start=FIRST, **options):
    """A Watch over the simulator, begun or resumed."""
    accuser = Accuser(state, folder, lambda: ("operators",))
    row = await begin(log, state, start, sim.now_ms)
    heads = await Heads.resume(log, state, accuser)
    options = {"pace": Pace(entries=300), "sleep": asyncio.sleep, **options}
    yield Watch(log, state, heads, inspector or EachEntry(), accuser, row, now_ms=lambda: sim.now_ms, **options)


__all__ = ["ENTRIES", "TILES", "EachEntry", "entry_alert", "followed", "watching"]
