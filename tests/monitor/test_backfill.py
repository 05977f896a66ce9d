"""monitor.backfill: entries from before where reading began are proven, judged and told; a stop loses nothing."""

import dataclasses
import json
import shutil

import pytest

from ctlog.errors import ProofError, StoreError, TransportError
from monitor import backfill as module
from monitor.backfill import BACKFILL, HISTORY, Span, _prove, plan_backfill, read_plan, read_span, renew_history
from monitor.follow.begin import FIRST
from monitor.follow.followed import ENTRIES, TILES
from monitor.state import State
from tests.cert_sim import ROGUE, CertSim
from tests.daemon_kit import ITEM, DaemonKit, write
from tests.follow_kit import followed


@pytest.fixture
def sim():
    """Twelve entries: the owner's certificate is the third, a rogue one the sixth."""
    sim = CertSim()
    for number in range(700, 712):
        if number in (702, 705):
            sim.add(123, *([ROGUE] if number == 705 else []), key=number, serial=number)
        else:
            sim.add(number)
    return sim


@pytest.fixture
def kit(tmp_path, sim, monkeypatch):
    kit = DaemonKit(tmp_path, sim, monkeypatch=monkeypatch)
    begin_at_the_newest(kit)
    monkeypatch.setattr(module, "PIECE", 5)
    return kit


def begin_at_the_newest(kit, form=TILES):
    path = kit.folder / "monitor.toml"
    kit.configure()
    write(path, path.read_text().replace('\nurl = "', f'\nbegin = "newest"\nform = "{form}"\nurl = "'))


async def asked(kit, since=FIRST):
    """A task, as the command stores it; done when this returns."""
    state = kit.daemon.state
    (log_id,) = kit.sims
    task = await state.audits.add_task(BACKFILL, plan_backfill(log_id, since), kit.clock())
    kit.daemon._parts.wake("reads further back")

    async def is_done():
        return task not in {each.id for each in await state.audits.tasks()}

    await kit.until(is_done)
    return next(each for each in await state.audits.tasks(open_only=False) if each.id == task)


@pytest.mark.parametrize("form", [TILES, ENTRIES])
async def test_what_lies_before_is_told_and_proven(kit, sim, form):
    begin_at_the_newest(kit, form)
    async with kit.running() as daemon:
        await kit.caught_up()
        assert await kit.alerts() == []
        row = await daemon.state.logs.get(sim.policy.key.log_id)
        assert row.start == 12
        task = await asked(kit)
        assert read_span(task) == Span(0, 12, 12)
        found = {alert.log_index: alert for alert in await kit.alerts(item=ITEM)}
        assert set(found) == {2, 5}
        assert {alert.proven for alert in found.values()} == {12}
        assert {alert.rules[0] for alert in found.values()} == {"T-12"}, "valid before it was watched: say whose it is"
        assert (await daemon.state.logs.get(sim.policy.key.log_id)).start == 0
        assert len(daemon.history) >= 12
        await kit.until(lambda: len(kit.told()) >= 2)
    assert {alert.rule for alert in found.values()}.isdisjoint({"T-19"}), "an old issuer is no news"


async def test_from_a_date_on(kit, sim):
    times = [int.from_bytes(leaf[2:10], "big") for leaf in sim.tree.inputs]
    async with kit.running():
        await kit.caught_up()
        task = await asked(kit, times[4])
        assert read_span(task) == Span(4, 12, 12)
        assert [alert.log_index for alert in await kit.alerts(item=ITEM)] == [5]


async def test_a_stop_in_between_goes_on_where_it_was(kit, sim, monkeypatch):
    pieces = []
    piece = module.Backfill._piece

    async def failing(self, running, head, span, **options):
        pieces.append(span.at)
        if len(pieces) == 2:
            raise TransportError("the log is silent")
        return await piece(self, running, head, span, **options)

    monkeypatch.setattr(module.Backfill, "_piece", failing)
    async with kit.running():
        await kit.caught_up()
        await asked(kit)
    assert pieces == [0, 5, 5, 10]
    assert ("warning", BACKFILL, "the log is silent") in kit.said


async def test_a_log_that_is_not_read_now_is_waited_for(kit, sim):
    async with kit.running() as daemon:
        await kit.caught_up()
        await daemon.state.audits.add_task(BACKFILL, plan_backfill(b"\1" * 32, FIRST), kit.clock())
        await asked(kit)
        (task,) = await daemon.state.audits.tasks()
        assert read_plan(task) == (b"\1" * 32, FIRST)
        assert read_span(task) is None


async def test_entries_that_are_not_those_of_the_tree_are_not_believed(sim):
    log = followed(sim, ENTRIES)
    head = sim.sign(12)
    batches = [batch async for batch in log.follower.entries(head, 3, 9)]
    await _prove(log, head, 3, 9, batches)
    (batch, *rest) = batches
    spoiled = dataclasses.replace(batch, leaf_hashes=bytes(32) + batch.leaf_hashes[32:])
    with pytest.raises(ProofError, match="entries 3 to 9 are not those of its tree"):
        await _prove(log, head, 3, 9, [spoiled, *rest])


def test_plans_come_back():
    assert json.loads(plan_backfill(b"\2" * 32, 5)) == {"log": "02" * 32, "since": 5}


@pytest.mark.parametrize("form", [TILES, ENTRIES])
@pytest.mark.parametrize("spoil", ["lost", "damaged"])
async def test_a_history_that_was_lost_is_filled_again(tmp_path, sim, monkeypatch, form, spoil):
    """Whole again, and nobody is told anything twice; a start before that is refused."""
    kit = DaemonKit(tmp_path, sim, monkeypatch=monkeypatch)
    path = tmp_path / "monitor.toml"
    path.write_text(path.read_text().replace("[[log]]", f'[[log]]\nform = "{form}"'))
    async with kit.running() as daemon:
        await kit.caught_up()
        await kit.until(kit.all_sent)
        records, told = sorted(record for piece in daemon.history.scan() for record in piece), kit.told()
    history = tmp_path / "state" / HISTORY
    if spoil == "lost":
        shutil.rmtree(history)
    else:
        (history / "manifest").write_bytes(b"{")
    with pytest.raises(StoreError, match="backfill -d DIR --history"):
        await kit.make().run()
    async with State.open(tmp_path / "state") as state:
        aside = await renew_history(state, kit.clock())
        assert (aside is None) == (spoil == "lost")
    async with kit.running() as daemon:

        async def is_filled():
            return not await daemon.state.audits.tasks()

        await kit.until(is_filled)
        assert sorted(record for piece in daemon.history.scan() for record in piece) == records
        await kit.caught_up()
    assert kit.told() == told
