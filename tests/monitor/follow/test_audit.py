"""monitor.follow.audit: a kept promise is settled, a broken one is evidence, and what nobody can know yet waits."""

import json

import pytest

from ctlog.client.evidence import verify_evidence
from ctlog.client.sct import verify_sct
from ctlog.errors import MalformedError, TransportError
from ctlog.wire.rfc6962 import format_merkle_tree_leaf, format_sct
from ctlog.wire.static_ct import TileLeaf, format_leaf_index
from monitor.follow.audit import AHEAD_MS, Auditor, sct_row, take_in
from monitor.follow.collect import Collector
from monitor.follow.followed import ENTRIES, TILES
from monitor.follow.misbehaviour import Accuser
from monitor.history import History, make_history
from monitor.state import State, make_state
from monitor.state.rows import MISBEHAVIOUR, Position, SctRow
from tests.cert_sim import CA, CertSim
from tests.follow_kit import followed
from tests.simulator import Simulator

FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as opened:
        yield opened


def row(sim: Simulator, leaf: TileLeaf, index: int | None = None) -> SctRow:
    """The SCT that the simulator would have given for this leaf."""
    sct = sim.sct(leaf)
    data = format_merkle_tree_leaf(leaf.timestamped)
    return SctRow(f"sct {index}", sim.policy.key.log_id, format_sct(sct), data, leaf.timestamp_ms, index, "test", 0,
                  "waiting", "", None)  # fmt: skip


async def audited(state, sim, form, rows, *, read=None, history=None, head=None):
    """What became of these, and the alerts."""
    log = followed(sim, form)
    if await state.logs.get(log.log_id) is None:
        await state.logs.add(log.log_id, "sim", "", Position(), 0)
    await state.audits.add(rows)
    accuser = Accuser(state, state.folder / "evidence", lambda: ("ops",))
    head = head or sim.head
    auditor = Auditor(log, state, accuser, history, lambda: sim.now_ms)
    await auditor.audit(head, range(head.size) if read is None else read)
    found = {each.id: each.status for each in await state.audits.find()}
    return [found[each.id] for each in rows], await state.alerts.find(kind=MISBEHAVIOUR)


def proof_of(alert, sim):
    body = json.loads(alert.body)
    verdict = verify_evidence(body["evidence"], sim.policy.key)
    return verdict.evidence.kind, verdict.is_proof


@FORMS
async def test_kept(state, form):
    sim = Simulator()
    sim.grow(300)
    rows = [row(sim, sim.tree.leaves[index], index) for index in (0, 7, 299)]
    assert await audited(state, sim, form, rows) == (["merged"] * 3, [])
    assert {each.detail for each in await state.audits.find()} == {"entry 0", "entry 7", "entry 299"}
    assert await state.audits.tasks(open_only=False) == []


@FORMS
async def test_broken_by_another_entry_there(state, form):
    sim = Simulator()
    sim.grow(300)
    promised = row(sim, sim.entry(17, "never logged"), 17)
    statuses, (alert,) = await audited(state, sim, form, [promised])
    assert statuses == ["broken"]
    assert proof_of(alert, sim) == ("broken-sct", True)
    assert alert.rules == ("log-broken-sct", "T-20")
    (task,) = await state.audits.tasks()  # whoever it concerns is told, whatever happens now
    assert (task.kind, json.loads(task.spec)["sct"]) == ("unkept", "sct 17")


@FORMS
async def test_not_merged_when_it_was_due(state, form):
    sim = Simulator()
    sim.grow(10)
    promised = row(sim, sim.entry(17), 17)
    assert await audited(state, sim, form, [promised]) == (["waiting"], [])
    due = promised.timestamp_ms + sim.policy.mmd_ms
    assert await audited(state, sim, form, [promised], head=sim.sign(10, at_ms=due)) == (["waiting"], [])
    statuses, (alert,) = await audited(state, sim, form, [promised], head=sim.sign(10, at_ms=due + 1))
    assert statuses == ["broken"]
    assert proof_of(alert, sim) == ("broken-sct", True)


@FORMS
async def test_merged_late_is_merged(state, form):
    sim = Simulator()
    sim.grow(10)
    promised = row(sim, sim.entry(17), 17)
    at_ms = sim.now_ms
    sim.grow(5)
    assert await audited(state, sim, form, [promised]) == (["waiting"], [])
    sim.now_ms = at_ms
    sim.grow(20)
    assert await audited(state, sim, form, [row(sim, sim.tree.leaves[17], 17)]) == (["merged"], [])


@FORMS
async def test_trouble_with_the_network_breaks_no_promise(state, form):
    sim = Simulator()
    sim.grow(300)
    sim.fail("*", *[TransportError("no route")] * 20)
    promised = row(sim, sim.entry(17, "never logged"), 17)
    assert await audited(state, sim, form, [promised]) == (["waiting"], [])


def indexless(sim, at):
    """A leaf without index in the tree, as a log of RFC 6962 has it, and its SCT."""
    sim.tree.leaves[at] = sim.tree.leaves[at]._replace(extensions=b"")
    sim.tree = type(sim.tree)(sim.tree.leaves)
    sim.head = sim.served = sim.sign(len(sim.tree.leaves))
    return row(sim, sim.tree.leaves[at])


async def test_without_index_by_its_hash(state):
    sim = Simulator()
    sim.grow(20)
    promised = indexless(sim, 7)
    assert await audited(state, sim, ENTRIES, [promised]) == (["merged"], [])


async def test_without_index_and_not_found(state):
    """A record, and only when it was due, and when all of the tree was read."""
    sim = Simulator()
    sim.grow(20)
    promised = row(sim, sim.entry(50)._replace(extensions=b""))
    assert await audited(state, sim, ENTRIES, [promised]) == (["waiting"], [])
    late = sim.sign(20, at_ms=promised.timestamp_ms + sim.policy.mmd_ms + 1)
    assert await audited(state, sim, ENTRIES, [promised], head=late, read=range(19)) == (["waiting"], [])
    statuses, (alert,) = await audited(state, sim, ENTRIES, [promised], head=late)
    assert statuses == ["missing"]
    assert proof_of(alert, sim) == ("sct-not-found", False)


async def test_over_tiles_without_index_what_was_not_read_may_hold_it(state):
    sim = Simulator()
    sim.grow(20)
    promised = row(sim, sim.entry(50)._replace(extensions=b""))
    late = sim.sign(20, at_ms=promised.timestamp_ms + sim.policy.mmd_ms + 1)
    assert await audited(state, sim, TILES, [promised], head=late, read=range(10, 20)) == (["waiting"], [])


async def test_without_index_among_what_was_read(state, tmp_path):
    """The log says that it has no such entry, and yet we have read it: no accusation."""
    sim = CertSim()
    leaves = [sim.add(number)[0]._replace(extensions=b"") for number in range(5)]
    sim.tree.leaves = leaves
    promised = indexless(sim, 3)
    make_history(tmp_path / "history")
    history = History(tmp_path / "history")
    inputs = sim.tree.inputs
    from monitor.entry import look
    from monitor.glance import Glancer

    glances = [look(Glancer(), leaf) for leaf in inputs]
    number = history.log_number(sim.policy.key.log_id)
    history.append(Collector(history.name_number).records(number, 0, inputs, glances, [0] * 5))
    late = sim.sign(5, at_ms=promised.timestamp_ms + sim.policy.mmd_ms + 1)
    assert await audited(state, sim, TILES, [promised], head=late, history=history) == (["merged"], [])


async def test_found_in_certificates_and_handed_in():
    sim = CertSim()
    logs = {sim.policy.key.log_id: followed(sim)}
    final, sct = sim.issue(5)
    (found,), faults = take_in(final, CA.chain, [], logs, "in a certificate", sim.now_ms)
    assert faults == []
    assert (found.log_id, found.log_index, found.status) == (sim.policy.key.log_id, 0, "waiting")
    assert found.leaf == sim.tree.inputs[0]
    again = take_in(final, CA.chain, [format_sct(sct)], logs, "handed in", sim.now_ms)
    assert again.rows[0].id == found.id
    assert take_in(final, CA.chain, [], {}, "", sim.now_ms) == ([], [])  # another log's
    with pytest.raises(MalformedError):
        take_in(final[:-1], CA.chain, [], logs, "", sim.now_ms)


@pytest.mark.parametrize("first", ["good", "bad"])
async def test_attack_one_bad_sct_beside_the_good_ones(first):
    """Of whatever badness, and wherever it stands: the others are audited all the same."""
    sim = CertSim()
    logs = {sim.policy.key.log_id: followed(sim)}
    final, sct = sim.issue(5)
    good = format_sct(sct)
    for bad, reason in (
        (format_sct(sct._replace(extensions=format_leaf_index(9))), "bad-signature"),
        (format_sct(sct._replace(timestamp_ms=sct.timestamp_ms - 1)), "bad-signature"), (good[:-3], None),
    ):  # fmt: skip
        given = [good, bad] if first == "good" else [bad, good]
        (row,), (fault,) = take_in(final, CA.chain, given, logs, "", sim.now_ms)
        assert row.sct == good
        assert reason is None or fault.reason == reason


async def test_an_sct_that_is_ahead_of_our_clock_is_audited():
    """It is told of, if it is so far ahead that clocks do not explain it: then it has a later deadline than others."""
    sim = CertSim()
    logs = {sim.policy.key.log_id: followed(sim)}
    final, sct = sim.issue(5)
    for ahead_ms, faults in ((1, []), (AHEAD_MS, []), (AHEAD_MS + 1, ["from-the-future"])):
        taken = take_in(final, CA.chain, [], logs, "", sct.timestamp_ms - ahead_ms)
        assert len(taken.rows) == 1
        assert [fault.reason for fault in taken.faults] == faults


async def test_a_row_of_a_verified_sct():
    sim = CertSim()
    final, sct = sim.issue(5)
    verified = verify_sct(final, CA.chain, sct, sim.policy.key, sim.now_ms)
    assert sct_row(followed(sim), verified, "x", 3).handed_ms == 3
