"""Trouble with the network, over real sockets: never misbehaviour, never backlog, and nothing is lost when it is over.

Cut answers, garbage, 429 and 500, redirects, gzip bombs, endless, slow and silent servers: each for every path of a
log, in both forms. Other logs go on meanwhile. And a foreign RFC 6962 log with another's quirks, which is no trouble.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiohttp import web

from ctlog.client import follow, http_fetcher
from ctlog.client.follow import TileFollower
from ctlog.client.get_entries import EntriesFollower
from ctlog.client.http_fetcher import HttpFetcher
from ctlog.client.patient import PatientFetcher
from ctlog.errors import BusyError, MalformedError, TransportError
from monitor.follow.audit import Auditor
from monitor.follow.followed import ENTRIES, TILES, Followed
from monitor.follow.misbehaviour import Accuser
from monitor.health import Behind, Vitals, troubles
from monitor.state import State, make_state
from monitor.state.rows import CERTIFICATE, MISBEHAVIOUR
from tests.follow_kit import EachEntry, watching
from tests.foreign_log import TROUBLES, ForeignLog, Troubled, bomb, endless, served, silent, slow
from tests.monitor.follow.test_audit import row as row_of
from tests.simulator import FakeTime, Simulator

BOTH = pytest.mark.parametrize("form", [TILES, ENTRIES])
HOUR_MS = 3_600_000


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_bound(monkeypatch):
    """A tile without end is given up after 4 MiB, in place of 128."""
    monkeypatch.setattr(follow, "MAX_DATA_TILE", 4 << 20)


@pytest.fixture
def hurry(monkeypatch):
    """The bounds on time in hundredths of what they are, for servers that would use them up."""

    @contextmanager
    def bounded(trouble):
        with monkeypatch.context() as patch:
            if trouble in (slow, silent):
                patch.setattr(http_fetcher, "TOTAL_S", 0.4)
                patch.setattr(http_fetcher, "SILENCE_S", 0.2)
            yield

    return bounded


@asynccontextmanager
async def over_http(state: State, sim: Simulator, form: str, url: str, name: str = "sim"):
    """A watch of the simulator behind this URL. Pauses between tries take no time."""
    time = FakeTime()
    async with HttpFetcher(url, contact="test@example.com") as http:
        fetcher = PatientFetcher(http, attempts=2, patience_s=300, sleep=time.sleep, clock=time.clock)
        make = TileFollower if form == TILES else EntriesFollower
        follower = make(sim.policy, fetcher, now_ms=lambda: sim.now_ms, sleep=time.sleep)
        log = Followed(name, sim.policy, form, follower, fetcher)
        async with watching(state, log, sim, state.folder / "evidence", EachEntry()) as watch:
            yield watch


async def indexes(state: State, sim: Simulator) -> list[int]:
    rows = await state.alerts.find(kind=CERTIFICATE, limit=10_000)
    return sorted(row.log_index for row in rows if row.log_id == sim.policy.key.log_id and row.proven is not None)


@BOTH
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda each: each.__name__)
async def test_trouble_is_no_lie_and_no_backlog(state, form, trouble, hurry):
    sim = Simulator()
    sim.grow(300)
    log = Troubled(sim)
    async with served(log.handle) as url:
        async with over_http(state, sim, form, url) as watch:
            await watch.round()
        sim.grow(300)
        log.trouble = trouble
        with hurry(trouble):
            async with over_http(state, sim, form, url) as watch:
                with pytest.raises((TransportError, BusyError, MalformedError)):  # what is no checkpoint is no head
                    await watch.round()
        assert await state.alerts.find(kind=MISBEHAVIOUR) == []
        row = await state.logs.get(sim.policy.key.log_id)
        assert row.failing_since_ms is not None
        assert row.last_error
        found = troubles(row.failing_since_ms + 2 * HOUR_MS, Vitals(logs=[row]))
        assert [each.kind for each in found] in (["unreachable"], ["unreadable-log"])
        log.trouble = None
        async with over_http(state, sim, form, url) as watch:
            await watch.round()
        assert await indexes(state, sim) == list(range(600))
        row = await state.logs.get(sim.policy.key.log_id)
        assert row.failing_since_ms is None


@BOTH
@pytest.mark.parametrize("trouble", [bomb, endless], ids=lambda each: each.__name__)
async def test_entries_alone_that_never_end(state, form, trouble):
    """The head is good, and what it needs is a bomb: what was read before is kept, and nothing grows."""
    sim = Simulator()
    sim.grow(300)
    log = Troubled(sim)

    async def only_entries(request, body):
        path = request.raw_path
        if "tile/data" in path or "get-entries" in path:
            return await trouble(request, body)
        return web.Response(body=body)

    log.trouble = only_entries
    async with served(log.handle) as url, over_http(state, sim, form, url) as watch:
        with pytest.raises(TransportError):
            await watch.round()
        assert await state.alerts.find(kind=MISBEHAVIOUR) == []
        row = await state.logs.get(sim.policy.key.log_id)
        behind = {row.log_id: Behind(300, row.failing_since_ms)}
        found = troubles(row.failing_since_ms + 2 * HOUR_MS, Vitals(logs=[row], behind=behind))
        assert "behind" not in [each.kind for each in found]
        log.trouble = None
        await watch.round()
        assert await indexes(state, sim) == list(range(300))


async def test_one_log_in_trouble_stops_no_other(state):
    well, ill = Simulator(), Simulator("ill.example/log", secret=9)
    well.grow(300), ill.grow(300)
    log = Troubled(ill)
    log.trouble = endless
    async with (
        served(log.handle) as bad, served(Troubled(well).handle) as good,
        over_http(state, ill, TILES, bad, "ill") as one, over_http(state, well, TILES, good, "well") as other,
    ):  # fmt: skip
        results = await asyncio.gather(one.round(), other.round(), return_exceptions=True)
    assert isinstance(results[0], TransportError)
    assert results[1] is None
    assert await indexes(state, well) == list(range(300))


# A foreign log --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [1, 7, 1000])
async def test_a_foreign_log_with_all_its_quirks(state, cap):
    """Cap, alignment, 400 for first=0, HTML errors, members that nobody asked for, gzip, cookies."""
    sim = Simulator()
    foreign = ForeignLog(sim, cap)
    sim.grow(0)
    async with served(foreign.handle) as url, over_http(state, sim, ENTRIES, url) as watch:
        await watch.round()
        for count in (1, 40, 0, 150):
            sim.grow(count)
            await watch.round()
        assert await indexes(state, sim) == list(range(191))
        assert await state.alerts.find(kind=MISBEHAVIOUR) == []
        row = await state.logs.get(sim.policy.key.log_id)
        assert (row.failing_since_ms, row.unproven_since_ms) == (None, None)
        assert not [values for name, values in foreign.asked if values.get("first") == "0"]
        spans = [(int(values["start"]), int(values["end"])) for name, values in foreign.asked if name == "get-entries"]
        assert all(start <= end for start, end in spans)


async def test_a_foreign_log_keeps_its_promises(state):
    """get-proof-by-hash as it is asked by the auditor, over the same server."""
    sim = Simulator()
    sim.grow(40)
    async with served(ForeignLog(sim).handle) as url, over_http(state, sim, ENTRIES, url) as watch:
        await watch.round()
        await state.audits.add([row_of(sim, sim.tree.leaves[3], 3), row_of(sim, sim.tree.leaves[9])])
        accuser = Accuser(state, state.folder / "evidence", lambda: ("ops",))
        auditor = Auditor(watch.log, state, accuser, None, lambda: sim.now_ms)
        await auditor.audit(watch.heads.trusted.head, range(40))
        assert [each.status for each in await state.audits.find()] == ["merged"] * 2


@BOTH
async def test_who_is_told_to_come_in_an_hour_is_not_there_again_in_half_a_minute(state, form):
    """Round after round, as `Watch.run` makes them: one request, and the trouble is stored all the same."""
    sim = Simulator()
    sim.grow(300)
    log, asked = Troubled(sim), []

    async def come_in_an_hour(request, body):
        asked.append(request.path)
        return web.Response(status=429, headers={"Retry-After": "3600"})

    log.trouble = come_in_an_hour
    async with served(log.handle) as url, over_http(state, sim, form, url) as watch:
        for _ in range(5):
            with pytest.raises(BusyError):
                await watch.round()
    assert len(asked) == 1
    row = await state.logs.get(sim.policy.key.log_id)
    assert "come again in 3,6" in row.last_error
