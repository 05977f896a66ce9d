"""A monitor put together for tests, without files of configuration, network or channels: logs that lie, real rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from ctlog.x509.chain import PathCache, Roots, accepted_root
from monitor.config import parse_config
from monitor.context import Past
from monitor.entry import Trust
from monitor.follow.begin import FIRST, begin
from monitor.follow.followed import TILES
from monitor.follow.heads import Heads
from monitor.follow.inspect import EntryInspector, Shared
from monitor.follow.misbehaviour import Accuser
from monitor.follow.watch import Pace, Watch
from monitor.history import History, make_history
from monitor.judge import StateJudge
from monitor.reload import Setup
from monitor.sources import Sources
from monitor.state import State, make_state
from monitor.watch_file import parse_watch_file
from monitor.watchlist import Watchlist
from monitor.writing import Writer
from tests.cert_sim import CA, ROGUE
from tests.follow_kit import followed
from tests.simulator import Simulator

CONFIG = """
contact = "test@example.com"
operators = ["ops"]
[channels.ops]
type = "file"
[channels.mail]
type = "file"
"""
WATCH = """
[[watch]]
name = "home"
tell = ["mail"]
numbers = ["+12025550123"]
"""


def trust(*authorities) -> Trust:
    roots = Roots(accepted_root(authority.chain[-1], "test") for authority in authorities or (CA, ROGUE))
    return Trust(roots, {"rogue": "abuse@rogue.example"}, PathCache())


async def no_network(url: str) -> bytes:
    raise AssertionError(f"{url} was fetched, and nobody switched that on")


class MonitorKit:
    """Everything between the logs and the outbox. A new one on the same state is a restart."""

    def __init__(self, state: State, history: History, folder: Path, *, watch: str = WATCH, get=no_network, added_ms=0):
        self.state, self.history, self.folder = state, history, folder
        config = parse_config(CONFIG)
        items = tuple(parse_watch_file(watch, added_ms=lambda name: added_ms)) if watch else ()
        self.setup = Setup(config, trust(), folder)
        self.now_ms = 0
        self.watchlist = Watchlist(items)
        self.sources = Sources(config.sources, folder, state, get)
        self.writer = Writer(lambda: self.setup)
        self.stored: dict[int, int] = {}
        self.watches: dict[bytes, Watch] = {}
        self.said: list[str] = []

    def clock(self) -> int:
        return self.now_ms

    async def ready(self, log_id: bytes) -> None:
        await self.state.logs.ready(log_id, self.now_ms)

    def shared(self) -> Shared:
        if not hasattr(self, "_shared"):
            self._shared = shared = Shared(
                None, self.history, lambda: self.watchlist, lambda: self.setup.trust,
                lambda: {each: watch.log for each, watch in self.watches.items()}, self.clock, self.ready,
                lambda level, log, sentence: self.said.append(sentence),
            )  # fmt: skip
            shared.judge = self.judge = StateJudge(
                self.state, Past(self.history, shared.stored), self.sources, lambda: self.watchlist,
                lambda: self.setup.trust, self.writer.write, self.writer.fault, self.clock,
            )  # fmt: skip
        return self._shared

    async def watch(self, sim: Simulator, form: str = TILES, **options) -> Watch:
        """Follow a log: begun, or gone on with."""
        log = followed(sim, form)
        accuser = Accuser(self.state, self.folder / "evidence", self.writer.operators)
        row = await begin(log, self.state, FIRST, sim.now_ms)
        is_ready, joined_ms = await self.state.logs.is_ready(log.log_id), await self.state.logs.joined_ms(log.log_id)
        inspector = EntryInspector(
            log, self.shared(), row.position.frontier.size, is_ready=is_ready, joined_ms=joined_ms
        )
        await self.judge.refresh()
        heads = await Heads.resume(log, self.state, accuser)
        options = {"pace": Pace(entries=300), "sleep": asyncio.sleep, **options}
        made = Watch(log, self.state, heads, inspector, accuser, row, now_ms=lambda: sim.now_ms, **options)
        self.watches[log.log_id] = made
        return made

    async def round(self, *sims: Simulator, form: str = TILES) -> None:
        """One round of each log."""
        for sim in sims:
            self.now_ms = max(self.now_ms, sim.now_ms)
            watch = self.watches.get(sim.policy.key.log_id) or await self.watch(sim, form)
            await watch.round()

    async def alerts(self, **wanted):
        return sorted(await self.state.alerts.find(limit=10_000, **wanted), key=lambda row: row.created_ms)


class Memory:
    """The state and the history in a folder; `restart` makes everything else anew."""

    def __init__(self, folder):
        self.folder = folder
        make_state(folder, 0)
        make_history(folder / "history")

    async def __aenter__(self):
        self._opened = State.open(self.folder)
        self.state = await self._opened.__aenter__()
        self.restart()
        return self

    def restart(self, **options):
        if hasattr(self, "history"):
            self.history.close()
        self.history = History(self.folder / "history")
        self.kit = MonitorKit(self.state, self.history, self.folder, **options)

    async def __aexit__(self, *why):
        self.history.close()
        await self._opened.__aexit__(*why)


def rules_of(rows: Iterable) -> list[tuple[str, int, str]]:
    """(leading rule, severity, addressee) of each alert."""
    return [(row.rule, row.severity, row.addressee) for row in rows]
