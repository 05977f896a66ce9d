"""monitor.follow.watch: every entry is read, proven when it can be, and told; every lie ends in the evidence that it
deserves, or in none."""

import asyncio
import json

import pytest

from ctlog.client.evidence import parse_evidence
from ctlog.errors import Misbehaviour, StoreError, TransportError
from ctlog.merkle.tree import Frontier
from monitor.follow.aside import RETRY_MS
from monitor.follow.begin import NEWEST
from monitor.follow.followed import ENTRIES, TILES
from monitor.follow.watch import GAP_RETRY_MS
from monitor.state import State, make_state
from monitor.state.rows import CERTIFICATE, MISBEHAVIOUR, Gap
from tests.follow_kit import EachEntry, followed, watching
from tests.simulator import Simulator, busy

FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as opened:
        yield opened


class Watched:
    """A simulator that is watched, round by round; `restart` is a crash between rounds."""

    def __init__(self, state, form, sim=None, **options):
        self.state, self.sim, self.form, self.options = state, sim or Simulator(), form, options
        self.inspector = EachEntry()
        self.watch = None
        self.told = 0

    async def restart(self):
        self.watch = None

    async def round(self):
        if self.watch is None:
            made = watching(
                self.state, followed(self.sim, self.form), self.sim, self.state.folder / "evidence", self.inspector,
                told=self.tell, **self.options,
            )  # fmt: skip
            async with made as self.watch:
                pass
        await self.watch.round()

    def tell(self):
        self.told += 1

    async def row(self):
        return await self.state.logs.get(self.sim.policy.key.log_id)

    async def indexes(self, proven=True):
        found = await self.state.alerts.find(kind=CERTIFICATE, limit=100_000)
        return sorted(alert.log_index for alert in found if (alert.proven is not None) == proven)

    async def lies(self):
        """(rule, class of evidence) of each, sorted."""
        found = await self.state.alerts.find(kind=MISBEHAVIOUR)
        return sorted((alert.rule.removeprefix("log-"), json.loads(alert.body)["class"]) for alert in found)

    async def bad(self, match=""):
        with pytest.raises(Misbehaviour, match=match):
            await self.round()


@pytest.fixture
def watched(state, request):
    return Watched(state, request.param)


BOTH = pytest.mark.parametrize("watched", [TILES, ENTRIES], indirect=True)
ONLY_TILES = pytest.mark.parametrize("watched", [TILES], indirect=True)
ONLY_ENTRIES = pytest.mark.parametrize("watched", [ENTRIES], indirect=True)

# An honest log ------------------------------------------------------------------------------------------------------


@BOTH
async def test_every_entry_once_and_proven(watched):
    for count in (0, 1, 255, 1, 700, 0, 3):
        watched.sim.grow(count)
        await watched.round()
    assert await watched.indexes() == list(range(960))
    assert watched.inspector.seen == list(range(960))
    row = await watched.row()
    assert row.position.frontier == row.position.proven == Frontier().append(watched.sim.tree.levels[0])
    assert row.position.met == row.position.trusted == watched.sim.head.note
    assert (row.failing_since_ms, row.unproven_since_ms) == (None, None)
    assert await watched.lies() == []
    assert watched.told


@BOTH
async def test_after_a_restart_it_goes_on_where_it_was(watched):
    for count in (100, 200, 300):
        watched.sim.grow(count)
        await watched.round()
        await watched.restart()
    assert watched.inspector.seen == list(range(600))


@BOTH
async def test_beginning_at_the_newest(watched):
    watched.options["start"] = NEWEST
    watched.sim.grow(300)
    await watched.round()
    assert watched.inspector.seen == []
    watched.sim.grow(100)
    await watched.round()
    assert await watched.indexes() == list(range(300, 400))


@ONLY_ENTRIES
@pytest.mark.parametrize(("page", "aligned"), [(7, False), (1, False), (10, True), (64, True)])
async def test_short_answers_are_completed(watched, page, aligned):
    watched.sim.page, watched.sim.aligned = page, aligned
    watched.sim.grow(150)
    await watched.round()
    assert await watched.indexes() == list(range(150))


@BOTH
async def test_told_to_come_later(watched):
    watched.sim.grow(300)
    watched.sim.fail("*", busy(2), busy(30), busy(1))
    await watched.round()
    assert await watched.indexes() == list(range(300))


@BOTH
async def test_trouble_in_the_middle_keeps_what_was_read(watched):
    watched.sim.grow(1200)
    path = "tile/data/004.p/176" if watched.form == TILES else "ct/v1/get-entries?start=1024&end=1087"
    watched.sim.fail(path, *[TransportError("reset")] * 3)
    with pytest.raises(TransportError):
        await watched.round()
    row = await watched.row()
    assert row.last_error == "reset"
    size = row.position.frontier.size
    assert 256 <= size <= 1024
    before = len(watched.inspector.seen)
    assert before == size
    await watched.round()
    assert watched.inspector.seen == list(range(1200))
    assert await watched.indexes() == list(range(1200))
    assert (await watched.row()).failing_since_ms is None
    assert await watched.lies() == []


@ONLY_ENTRIES
async def test_entries_are_told_when_seen_and_proven_when_a_head_is_met(watched):
    watched.sim.grow(500)
    watched.sim.fail("ct/v1/get-entries?start=448&end=499", *[TransportError("reset")] * 3)
    with pytest.raises(TransportError):
        await watched.round()
    seen = await watched.indexes(proven=False)
    assert seen
    assert await watched.indexes() == []
    assert (await watched.row()).unproven_since_ms is not None
    await watched.round()
    assert await watched.indexes() == list(range(500))
    assert await watched.indexes(proven=False) == []
    assert (await watched.row()).unproven_since_ms is None


@ONLY_ENTRIES
async def test_every_head_on_the_way_is_met(watched):
    watched.sim.grow(10)
    await watched.round()
    for count in (40, 50, 60):
        watched.sim.grow(count)
        await watched.watch.heads.take(watched.sim.head, "a friend", watched.sim.now_ms)
    await watched.round()
    rows = await watched.state.logs.heads(watched.sim.policy.key.log_id)
    assert [(row.size, row.state) for row in rows] == [(size, "met") for size in (10, 50, 100, 160)]


@BOTH
async def test_a_cache_changes_nothing(watched):
    old = watched.sim.grow(100)
    watched.sim.grow(100)
    await watched.round()
    watched.sim.serve_old(old)
    await watched.round()
    assert (await watched.row()).position.frontier.size == 200
    assert await watched.lies() == []


@ONLY_TILES
async def test_partial_tiles_that_are_gone(watched):
    watched.sim.grow(100)
    head = watched.sim.head
    watched.sim.grow(500)
    watched.sim.pruned = True
    watched.sim.serve_old(head)
    await watched.round()
    watched.sim.serve_old(watched.sim.head)
    await watched.round()
    assert await watched.indexes() == list(range(600))


# A full disk --------------------------------------------------------------------------------------------------------


@BOTH
async def test_a_full_disk_passes_nothing_over(watched, monkeypatch):
    watched.sim.grow(200)
    real = type(watched.state.logs).advance
    failing = [True, True]

    async def advance(self, *args, **options):
        if failing and failing.pop():
            raise StoreError("disk full", reason="disk-full")
        return await real(self, *args, **options)

    monkeypatch.setattr(type(watched.state.logs), "advance", advance)
    for _ in range(2):
        with pytest.raises(StoreError):
            await watched.round()
        assert (await watched.row()).position.frontier.size == 0
    await watched.round()
    assert await watched.indexes() == list(range(200))


# Lies ---------------------------------------------------------------------------------------------------------------


@BOTH
async def test_lie_fork(watched):
    """Proof. And what stands on the other side is told, though it is proven nowhere."""
    watched.sim.grow(300)
    await watched.round()
    watched.sim.fork(17)
    await watched.round()
    assert await watched.lies() == [("fork", "proof")]
    forged = [row for row in await watched.state.alerts.find(kind=CERTIFICATE, limit=1000) if "forged" in row.summary]
    assert [(row.log_index, row.proven) for row in forged] == [(None, None)]
    assert (await watched.row()).position.frontier.size == 300
    watched.sim.grow(50)
    await watched.round()
    assert await watched.lies() == [("fork", "proof"), ("rewrite", "proof")]
    names = {row.summary for row in await watched.state.alerts.find(kind=CERTIFICATE, limit=1000)}
    assert {f"certificate {index}" for index in range(350)} <= names


@BOTH
async def test_lie_rewrite(watched):
    watched.sim.grow(300)
    await watched.round()
    watched.sim.rewrite(17, 20)
    await watched.round()
    assert await watched.lies() == [("rewrite", "proof")]
    evidence = json.loads((await watched.state.alerts.find(kind=MISBEHAVIOUR))[0].body)["evidence"]
    assert parse_evidence(evidence).kind == "rewrite"
    assert await watched.indexes() == list(range(300))  # nothing of the other tree is called proven


@BOTH
async def test_lie_roll_back(watched):
    watched.sim.grow(300)
    await watched.round()
    watched.sim.roll_back(200)
    await watched.round()
    assert await watched.lies() == [("rollback", "proof")]
    assert (await watched.row()).position.frontier.size == 300


@BOTH
async def test_lie_backdate(watched):
    watched.sim.grow(300)
    await watched.round()
    watched.sim.backdate(20, 3_600_000)
    await watched.round()
    assert await watched.lies() == [("rollback", "proof")]


@BOTH
async def test_lie_empty_root(watched):
    watched.sim.served = watched.sim.sign(0, root=bytes(32))
    await watched.round()
    assert await watched.lies() == [("empty-root", "proof")]


@ONLY_TILES
async def test_lie_truncate(watched):
    """What a signed tree must have and the log does not hand out: told as a record, and asked for again."""
    watched.sim.grow(600)
    whole = watched.sim.tree
    watched.sim.truncate(300)
    await watched.round()
    assert await watched.lies() == [("missing-data", "record")]
    watched.sim.tree = whole
    watched.sim.grow(10)
    await watched.round()
    assert await watched.indexes() == list(range(610))


@ONLY_TILES
@pytest.mark.parametrize("lie", ["withhold", "swap_entry"])
async def test_lie_about_some_entries(watched, lie):
    """One tile of entries is not as signed. It is told at once; all others are read; and it is asked for again."""
    watched.sim.grow(1000)
    if lie == "withhold":
        watched.sim.withhold("tile/data/001")
    else:
        honest = watched.sim.tree
        watched.sim.swap_entry(300)
    await watched.round()
    assert await watched.lies() == [("missing-data" if lie == "withhold" else "bad-entries", "record")]
    assert await watched.indexes() == [*range(256), *range(512, 1000)]
    log_id = watched.sim.policy.key.log_id
    assert [gap[:3] for gap in await watched.state.logs.gaps(log_id)] == [(log_id, 256, 512)]
    assert (await watched.row()).position.frontier == Frontier().append(watched.sim.tree.levels[0])
    watched.sim.grow(10) if lie == "withhold" else None
    await watched.round()  # not yet asked for again
    watched.sim.missing.clear()
    if lie == "swap_entry":
        watched.sim.tree = honest
    watched.sim.now_ms += GAP_RETRY_MS
    await watched.restart()
    await watched.round()
    assert set(range(1000)) <= set(await watched.indexes())
    assert await watched.state.logs.gaps(log_id) == []
    assert [row.status for row in await watched.state.alerts.find(kind=MISBEHAVIOUR)] == ["resolved"]


@ONLY_TILES
async def test_lie_rotten_tile_of_hashes(watched):
    watched.sim.grow(1000)
    await watched.sim.rot("tile/1/000.p/3", 5)
    await watched.round()
    assert await watched.lies() == [("bad-tile", "record")]
    assert await watched.indexes() == []  # nothing is called proven by such hashes
    watched.sim.rotten.clear()
    await watched.round()
    assert await watched.indexes() == list(range(1000))


@ONLY_ENTRIES
async def test_lie_swapped_entry_over_rfc_6962(watched):
    """Seen and told at once; when the head is not met it is a record, nothing was proven, and all is read again."""
    watched.sim.grow(100)
    await watched.round()
    watched.sim.grow(100)
    honest = watched.sim.tree
    watched.sim.swap_entry(150)
    await watched.bad("do not hash")
    assert await watched.lies() == [("bad-entries", "record")]
    assert await watched.indexes() == list(range(100))
    assert "certificate 150 forged" in {row.summary for row in await watched.state.alerts.find(limit=1000)}
    assert (await watched.row()).position.frontier.size == 100
    watched.sim.tree = honest
    await watched.restart()
    await watched.round()
    assert await watched.indexes() == list(range(200))
    forged = [row for row in await watched.state.alerts.find(limit=1000) if "forged" in row.summary]
    assert [(row.log_index, row.proven) for row in forged] == [(None, None)]


@ONLY_ENTRIES
async def test_lie_withheld_entries_over_rfc_6962(watched):
    watched.sim.grow(400)
    for start in range(128, 192):
        watched.sim.withhold(*[f"ct/v1/get-entries?start={start}&end={end}" for end in range(128, 256)])
    await watched.round()
    assert ("missing-data", "record") in await watched.lies()
    proven = await watched.indexes()
    assert proven[:128] == list(range(128))
    assert proven[-144:] == list(range(256, 400))
    watched.sim.missing.clear()
    watched.sim.now_ms += GAP_RETRY_MS
    await watched.round()
    assert await watched.indexes() == list(range(400))


async def test_a_gap_is_not_filled_with_other_entries(state):
    watched = Watched(state, ENTRIES)
    watched.sim.grow(400)
    await watched.round()
    log_id = watched.sim.policy.key.log_id
    gap = Gap(log_id, 100, 200, "missing-data", 0, 0)
    await state.logs.advance(log_id, watched.watch.position, [], 0, gap=gap)
    watched.sim.swap_entry(150)
    watched.sim.now_ms += GAP_RETRY_MS
    await watched.round()
    assert [row.lo for row in await state.logs.gaps(log_id)] == [100]


# On and on ------------------------------------------------------------------------------------------------------------


@FORMS
async def test_it_runs_until_it_is_stopped_whatever_happens(state, form):
    sim = Simulator()
    sim.grow(100)
    log = followed(sim, form)
    said, pauses = [], []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 1:
            sim.grow(100)
            sim.fail("*", *[TransportError("no route")] * 3)
        elif len(pauses) == 2:
            sim.served = sim.sign(200, root=bytes(32))
        elif len(pauses) == 3:
            raise asyncio.CancelledError

    def says(level, name, sentence):
        said.append((level, name, sentence))

    async with watching(state, log, sim, state.folder / "evidence", sleep=sleep, says=says) as watch:
        with pytest.raises(asyncio.CancelledError):
            await watch.run()
    assert said[0] == ("warning", "sim", "no route")
    assert len(await state.alerts.find(kind=CERTIFICATE, limit=1000)) >= 100
    assert all(27 <= pause <= 33 for pause in pauses[:2])


@BOTH
async def test_the_other_side_of_a_fork_that_cannot_be_read_is_tried_again(watched):
    """Its entries may concern an owner, and the log may show them later, to another round or to another start."""
    watched.sim.grow(100)
    await watched.round()
    watched.sim.fork(40)
    entries = "tile/data/000.p/100" if watched.form == TILES else "ct/v1/get-entries?start=0&end=63"
    watched.sim.withhold(entries)
    for _ in range(2):
        await watched.round()
        assert not [each for each in await watched.state.alerts.find(limit=1000) if "forged" in each.summary]
        await watched.restart()
    watched.sim.missing.clear()
    await watched.round()
    watched.sim.now_ms += RETRY_MS
    await watched.round()
    assert [each for each in await watched.state.alerts.find(limit=1000) if "forged" in each.summary]
    before = len(watched.inspector.seen)
    await watched.round()
    assert len(watched.inspector.seen) == before
