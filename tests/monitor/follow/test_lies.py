"""Every lie that a log can tell, by its name: each ends in the right kind of evidence, which holds, or in none.

The lies about entries of one log are in test_watch.py, those of promises in test_audit.py, and both are named in the
table at the end: a kind of evidence that no lie leads to would be one that nobody has seen made. Here: lies told to
several people, lies that look like trouble, and trouble that looks like a lie.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode

import pytest

from ctlog.cli import run
from ctlog.client import evidence
from ctlog.client.evidence import verify_evidence
from ctlog.errors import CtlogError, SignatureError
from monitor.follow.followed import ENTRIES, TILES
from monitor.health import Behind, Vitals, troubles
from monitor.state import State, make_state
from monitor.state.rows import CERTIFICATE, MISBEHAVIOUR
from tests.floor_plan import ROOT
from tests.monitor.follow.test_watch import Watched
from tests.simulator import Simulator

HOUR_MS = 3_600_000
PROOF, RECORD = "proof", "record"
BOTH = pytest.mark.parametrize("form", [TILES, ENTRIES])


@pytest.fixture
async def monitors(tmp_path):
    """Two monitors that know nothing of each other."""
    for name in ("one", "two"):
        make_state(tmp_path / name, 0)
    async with State.open(tmp_path / "one") as one, State.open(tmp_path / "two") as two:
        yield one, two


@pytest.fixture
async def state(monitors):
    return monitors[0]


async def told(watched: Watched) -> list[tuple[str, str]]:
    """(kind, class) of every lie that was told; each with evidence that holds, in a file that says the same."""
    files = {path.name: path.read_text() for path in (watched.state.folder / "evidence").glob("EVIDENCE-*")}
    for alert in await watched.state.alerts.find(kind=MISBEHAVIOUR):
        body = json.loads(alert.body)
        verdict = verify_evidence(body["evidence"], watched.sim.policy.key)
        assert body["class"] == (PROOF if verdict.is_proof else RECORD)
        assert files[body["file"]] == body["evidence"]
        assert ("proves nothing to others" in body["next"]) == (not verdict.is_proof)
        assert not body["doubt"]
        assert (alert.severity, alert.addressee) == (1, "operator")
    return await watched.lies()


async def trouble(watched: Watched, after_ms: int = 2 * HOUR_MS) -> list[str]:
    """What health says later on, if the log goes on answering like this."""
    now_ms = watched.sim.now_ms + after_ms
    row = (await watched.row())._replace(last_contact_ms=now_ms)
    behind = {row.log_id: Behind(row.head_size or 0, watched.sim.now_ms)}
    behind = behind if (row.head_size or 0) > row.position.frontier.size else {}
    vitals = Vitals(logs=[row], gaps=await watched.state.logs.gaps(row.log_id), behind=behind)
    return [each.kind for each in troubles(now_ms, vitals)]


async def fails(watched: Watched) -> None:
    with pytest.raises(CtlogError):
        await watched.round()


# Told to several people -----------------------------------------------------------------------------------------------


@BOTH
async def test_lie_two_faces_of_one_size(state, form):
    """It serves one head to one request and another to the next."""
    watched = Watched(state, form)
    one = watched.sim.grow(300)
    tree = watched.sim.tree
    await watched.round()
    other = watched.sim.fork(5)
    for head in (one, other, one, other):
        watched.sim.serve_old(head)
        watched.sim.tree = tree
        await watched.round()
    assert await told(watched) == [("fork", PROOF)]


@BOTH
async def test_lie_two_faces_of_different_sizes(state, form):
    watched = Watched(state, form)
    watched.sim.grow(300)
    await watched.round()
    mine = watched.sim.tree
    watched.sim.rewrite(17, 20)  # the other face, whose past is another
    await watched.round()
    assert await told(watched) == [("rewrite", PROOF)]
    watched.sim.tree = mine
    watched.sim.grow(40)  # and on with the first one
    await watched.round()
    assert (await watched.row()).position.trusted == watched.sim.head.note
    kinds = await told(watched)
    assert ("rewrite", PROOF) in kinds
    assert {kind for kind, _ in kinds} <= {"rewrite", "fork", "rollback"}


@BOTH
async def test_lie_split_view_between_two_monitors(monitors, form):
    """Each sees an honest log. One head that is handed over convicts, in either of them."""
    sims = Simulator(), Simulator()
    sims[1].entry = lambda index, mark="": Simulator.entry(sims[1], index, mark or "for the other")
    watched = [Watched(state, form, sim) for state, sim in zip(monitors, sims, strict=True)]
    for each in watched:
        each.sim.grow(300)
        await each.round()
        assert await told(each) == []
    one, two = watched
    await one.watch.heads.take(two.sim.head, "two.example", one.sim.now_ms)
    await two.watch.heads.take(one.sim.head, "one.example", two.sim.now_ms)
    assert await told(one) == await told(two) == [("fork", PROOF)]


@BOTH
async def test_lie_split_view_at_different_sizes(monitors, form):
    """The other's head is larger: the log is asked how it continues ours; whatever it says, it is caught, or owes."""
    one, two = (Watched(state, form) for state in monitors)
    one.sim.grow(300)
    await one.round()
    two.sim.grow(300)
    two.sim.rewrite(7, 50)
    await two.round()
    await one.watch.heads.take(two.sim.head, "two.example", two.sim.now_ms)
    found = await told(one)
    assert found in ([("missing-data", RECORD)], [("no-consistency", RECORD)], [("bad-tile", RECORD)])
    one.sim.tree = two.sim.tree  # it shows to us what it showed to the other
    await one.watch.heads.settle(two.sim.now_ms)
    assert ("rewrite", PROOF) in await told(one)


@BOTH
async def test_lie_backdated_larger_head(state, form):
    watched = Watched(state, form)
    watched.sim.grow(300)
    await watched.round()
    watched.sim.backdate(20, HOUR_MS)
    await watched.round()
    assert await told(watched) == [("rollback", PROOF)]


# Withholding ----------------------------------------------------------------------------------------------------------


async def test_lie_get_entries_short_for_ever(state):
    """The head says 400, and get-entries never gives more than 350: told, never called backlog, and read in the end."""
    watched = Watched(state, ENTRIES)
    watched.sim.grow(400)
    whole = watched.sim.tree
    watched.sim.truncate(350)
    await fails(watched)
    assert ("missing-data", RECORD) in await told(watched)
    seen = {row.log_index for row in await watched.state.alerts.find(kind=CERTIFICATE, limit=1000)}
    assert set(range(350)) <= seen
    assert "behind" not in await trouble(watched)
    watched.sim.tree = whole
    watched.sim.now_ms += HOUR_MS
    await watched.restart()
    await watched.round()
    await watched.round()
    assert set(range(400)) <= set(await watched.indexes())


@BOTH
async def test_lie_no_consistency_proof(state, form):
    watched = Watched(state, form)
    watched.sim.grow(600)
    await watched.round()
    watched.sim.grow(300)
    watched.sim.withhold("tile/1/000.p/3", "ct/v1/get-sth-consistency?first=600&second=900")
    await watched.round()
    assert await told(watched) == [("missing-data" if form == TILES else "no-consistency", RECORD)]
    assert "behind" not in await trouble(watched)


# What is no lie -------------------------------------------------------------------------------------------------------


@BOTH
async def test_no_lie_a_cache(state, form):
    """An older head that our tree continues changes nothing, however often it comes."""
    watched = Watched(state, form)
    old = watched.sim.grow(200)
    await watched.round()
    watched.sim.grow(100)
    await watched.round()
    for _ in range(3):
        watched.sim.serve_old(old)
        await watched.round()
    assert await told(watched) == []
    assert (await watched.row()).position.frontier.size == 300


@BOTH
async def test_no_lie_a_head_from_the_future(state, form):
    """One of two clocks is wrong, and it may be ours: nobody is accused."""
    watched = Watched(state, form)
    watched.sim.grow(100)
    await watched.round()
    watched.sim.grow(50)
    watched.sim.served = watched.sim.sign(150, at_ms=watched.sim.now_ms + 5 * HOUR_MS)
    await watched.round()
    assert await told(watched) == []
    assert "after our clock" in (await watched.row()).last_error
    assert await trouble(watched) == ["unreadable-log"]
    watched.sim.now_ms += 6 * HOUR_MS
    await watched.round()
    assert await watched.indexes() == list(range(150))


@BOTH
async def test_no_lie_a_signature_by_another_key(state, form):
    """Anybody on the way can put another head in its place: it is no head of this log, and proves nothing."""
    watched = Watched(state, form)
    watched.sim.grow(100)
    await watched.round()
    other = Simulator(secret=9)
    watched.sim.served = other.grow(120)
    with pytest.raises(SignatureError):
        await watched.round()
    assert await told(watched) == []
    assert await trouble(watched) == ["wrong-key"]
    watched.sim.grow(20)
    await watched.round()
    assert await watched.indexes() == list(range(120))


@BOTH
async def test_no_lie_a_frozen_log(state, form):
    """It answers with one head for days. That breaks no promise of an entry: it is told as silence."""
    watched = Watched(state, form)
    watched.sim.grow(100)
    for _ in range(4):
        await watched.round()
        watched.sim.now_ms += 24 * HOUR_MS
    await watched.round()
    assert await told(watched) == []
    assert await trouble(watched, after_ms=0) == ["silent"]


# The files ------------------------------------------------------------------------------------------------------------


async def test_the_file_verifies_by_command_and_with_another_key_does_not(state, capsys):
    watched = Watched(state, TILES)
    watched.sim.grow(30)
    await watched.round()
    watched.sim.fork(5)
    await watched.round()
    (path,) = (state.folder / "evidence").glob("EVIDENCE-*")
    key, other = (b64encode(sim.policy.key.spki).decode() for sim in (watched.sim, Simulator(secret=9)))
    for given, code, said in ((key, 0, "It is a proof."), (other, 1, "another log's key")):
        assert run(["verify-evidence", str(path), "--key", given]) == code
        assert said in "".join(capsys.readouterr())


LIES = {
    "fork": ("test_lies.py", "test_lie_two_faces_of_one_size"),
    "rewrite": ("test_watch.py", "test_lie_rewrite"),
    "rollback": ("test_watch.py", "test_lie_roll_back"),
    "empty-root": ("test_watch.py", "test_lie_empty_root"),
    "broken-sct": ("test_audit.py", "test_broken_by_another_entry_there"),
    "late-merge": ("test_merge_delay.py", "test_lie_an_entry_is_dated_back"),
    "late-entry": ("test_merge_delay.py", "test_lie_an_entry_without_a_place_is_dated_back"),
    "bad-tile": ("test_watch.py", "test_lie_rotten_tile_of_hashes"),
    "bad-entries": ("test_watch.py", "test_lie_about_some_entries"),
    "missing-data": ("test_lies.py", "test_lie_get_entries_short_for_ever"),
    "no-consistency": ("test_lies.py", "test_lie_no_consistency_proof"),
    "sct-not-found": ("test_audit.py", "test_without_index_and_not_found"),
}


def test_every_kind_of_evidence_is_seen_made():
    assert LIES.keys() == evidence._KINDS.keys()
    for file, name in LIES.values():
        assert re.search(rf"^async def {name}\(", (ROOT / "tests/monitor/follow" / file).read_text(), re.MULTILINE)
    proofs = {kind for kind, made in evidence._KINDS.items() if made.is_proof}
    assert proofs == {"fork", "rewrite", "rollback", "empty-root", "broken-sct", "late-merge"}
