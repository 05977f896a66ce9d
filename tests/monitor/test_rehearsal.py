"""monitor.rehearsal: what would have been told, from entries that are read again; nothing is stored."""

import pytest

from ctlog.errors import TransportError
from monitor import rehearsal as module
from monitor.daemon import HISTORY
from monitor.follow.followed import ENTRIES, TILES
from monitor.history import History
from monitor.rehearsal import Source, find_places, rehearse
from monitor.watch_file import parse_watch_table
from tests.cert_sim import CA, ROGUE, CertSim
from tests.daemon_kit import DaemonKit
from tests.follow_kit import followed
from tests.monitor_kit import trust

HOME = parse_watch_table({"name": "mine", "numbers": ["+12025550123"], "expect": {"issuers": ["Example"]}})


@pytest.fixture
async def read(tmp_path, monkeypatch):
    """A log with five entries that a monitor has read, which watched something else; its history."""
    sim = CertSim()
    for number, authority in ((123, CA), (700, CA), (123, ROGUE), (701, ROGUE), (123, CA)):
        sim.add(number, *([authority] if authority is ROGUE else []), key=number + len(sim.tree.inputs), serial=9)
    kit = DaemonKit(tmp_path, sim, watch='[[watch]]\nname = "x"\nnumbers = ["+449999999"]\n', monkeypatch=monkeypatch)
    async with kit.running():
        await kit.caught_up()
    history = History(tmp_path / "state" / HISTORY, is_reader=True)
    yield sim, history, tmp_path / "state" / HISTORY
    history.close()


@pytest.mark.parametrize("form", [TILES, ENTRIES])
async def test_what_would_have_been_told(read, form):
    sim, history, _ = read
    sources = {sim.policy.key.log_id: Source(followed(sim, form), sim.sign(5))}
    done = []
    found = await rehearse(HOME, history, sources, trust(), lambda: sim.now_ms, done.append)
    assert (found.read, found.unread, found.more, sum(done)) == (3, {}, False, 3)
    assert {each.entry.index for each in found.verdicts if each.verdict.severity == 1} == {2}
    assert all(each.hit.item.id == "mine/number:+12025550123" for each in found.verdicts)


async def test_nothing_is_removed_or_written(read):
    folder = read[2]
    (folder / "run-999").write_text("a run that is being written")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = History(folder, is_reader=True)
    find_places(HOME, other)
    other.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


async def test_what_cannot_be_read_is_counted(read, monkeypatch):
    sim, history, _ = read
    found = await rehearse(HOME, history, {}, trust(), lambda: sim.now_ms)
    assert found.read == 0
    assert list(found.unread.values()) == [3]

    async def silent(*_):
        raise TransportError("the log is silent")

    monkeypatch.setattr(module, "_read", silent)
    sources = {sim.policy.key.log_id: Source(followed(sim), sim.sign(5))}
    found = await rehearse(HOME, history, sources, trust(), lambda: sim.now_ms)
    assert found.unread == {"the log is silent": 3}


async def test_of_many_the_newest(read, monkeypatch):
    _, history, _ = read
    monkeypatch.setattr(module, "MOST", 2)
    places, more = find_places(HOME, history)
    assert ([place.log_index for place in places], more) == ([2, 4], True)


@pytest.mark.parametrize("kind", ["numbers", "holders"])
async def test_attack_what_can_say_nothing_is_tried_too(tmp_path, monkeypatch, kind):
    """A certificate that no parser accepts may concern the number: it would be told, and so it is shown."""
    sim = CertSim()
    sim.add(123)
    sim.submit_raw(b"\x30\x82junk")
    sim.publish()
    kit = DaemonKit(tmp_path, sim, watch='[[watch]]\nname = "x"\nnumbers = ["+449999999"]\n', monkeypatch=monkeypatch)
    async with kit.running():
        await kit.caught_up()
    history = History(tmp_path / "state" / HISTORY, is_reader=True)
    wanted = {"numbers": ["+12025550123"], "holders": ["Owner Inc"]}[kind]
    items = parse_watch_table({"name": "mine", kind: wanted})
    sources = {sim.policy.key.log_id: Source(followed(sim), sim.sign(2))}
    found = await rehearse(items, history, sources, trust(), lambda: sim.now_ms)
    history.close()
    shown = {each.entry.index for each in found.verdicts}
    assert (found.read, 1 in shown) == ((2, True) if kind == "numbers" else (1, False))
