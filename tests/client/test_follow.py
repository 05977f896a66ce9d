"""ctlog.client.follow: entries from tiles, proven when handed over; each lie ends in its record, trouble in none."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.client.evidence import verify_evidence
from ctlog.client.follow import TileFollower, advance, in_order
from ctlog.client.patient import PatientFetcher
from ctlog.client.tile_reader import VerifiedCache
from ctlog.client.trusted import TrustedLog
from ctlog.errors import MalformedError, Misbehaviour, SignatureError, TransportError, UsageError
from ctlog.merkle.tree import merge_ranges
from tests.simulator import FakeTime, Simulator, busy

LATER = 10**13


def follower(log: Simulator, **kwargs) -> TileFollower:
    time = FakeTime()
    patient = PatientFetcher(log, sleep=time.sleep, clock=time.clock)
    return TileFollower(log.policy, patient, now_ms=lambda: LATER, sleep=time.sleep, **kwargs)


async def read(log: Simulator, head, lo: int, hi: int, **kwargs):
    return [batch async for batch in follower(log, **kwargs).entries(head, lo, hi)]


def accused(log: Simulator, error: pytest.ExceptionInfo[Misbehaviour], kind: str):
    verdict = verify_evidence(error.value.evidence, log.policy.key)
    assert (verdict.evidence.kind, verdict.is_proof, error.value.reason) == (kind, False, kind)
    return verdict.evidence


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1200), st.data())
def test_any_run_of_entries_comes_whole_in_order_and_proven(size, data):
    lo = data.draw(st.integers(0, size))
    hi = data.draw(st.integers(lo, size))
    later = data.draw(st.sampled_from([0, 1, 700]))
    log = Simulator()
    head = log.grow(size)
    log.grow(later)
    log.pruned = True
    batches = asyncio.run(read(log, head, lo, hi, tiles_per_piece=2, window=2))
    assert [leaf for batch in batches for leaf in batch.leaves] == log.tree.inputs[lo:hi]
    assert b"".join(batch.leaf_hashes for batch in batches) == log.tree.levels[0][32 * lo : 32 * hi]
    assert [entry for batch in batches for entry in batch.entries()] == log.tree.leaves[lo:hi]
    at = lo
    for batch in batches:
        assert (batch.lo, batch.tree) == (at, head)
        assert batch.leaves
        at = batch.hi
    assert at == hi
    if batches:
        joined = merge_ranges(batch.as_range() for batch in batches)
        assert (joined.lo, joined.hi) == (lo, hi)


async def test_the_whole_way_head_after_head():
    log = Simulator()
    mine = TrustedLog(log.policy)
    for count in (0, 3, 0, 300, 5000):
        log.grow(count)
        mine = await advance(follower(log), mine, LATER)
        assert mine.head == log.head
        assert mine.frontier is None or mine.frontier.size == mine.head.size


async def test_leaf_tiles_are_not_fetched_they_are_computed():
    log = Simulator()
    head = log.grow(1024)
    await read(log, head, 0, 1024)
    assert not [path for path in log.requests if path.startswith("tile/0/")]


async def test_several_at_once_and_never_more_than_the_window():
    log = Simulator()
    head = log.grow(256 * 24)
    log.delay_s = 0.002
    seen = []
    source = follower(log, window=3, tiles_per_piece=2)
    async for batch in source.entries(head, 0, head.size):
        seen.append(batch.lo)
        fetched = len([path for path in log.requests if path.startswith("tile/data/")])
        assert fetched <= len(seen) + 3 * 2 + 2
    assert seen == list(range(0, head.size, 256))
    assert 2 < log.most_at_once <= 3 * 2 + 2


async def test_who_stops_early_leaves_nothing_running():
    log = Simulator()
    head = log.grow(256 * 24)
    log.delay_s = 0.005
    entries = follower(log).entries(head, 0, head.size)
    async for _ in entries:
        break
    await entries.aclose()
    assert log.running == 0


async def test_swapped_entry_is_a_record_that_names_the_tile():
    log = Simulator()
    head = log.grow(1000)
    log.swap_entry(300)
    with pytest.raises(Misbehaviour, match="entries of tile/data/001 do not hash") as error:
        await read(log, head, 0, 1000)
    evidence = accused(log, error, "bad-entries")
    assert evidence.values("path") == ["tile/data/001"]
    assert evidence.values("length") == [str(len(log.tree.data(1, 256)))]


async def test_swapped_entry_in_the_last_partial_tile():
    log = Simulator()
    head = log.grow(1000)
    log.swap_entry(999)
    with pytest.raises(Misbehaviour, match=r"tile/data/003\.p/232") as error:
        await read(log, head, 990, 1000)
    accused(log, error, "bad-entries")


@pytest.mark.parametrize("bit", [0, 8 * 20, 8 * 20000])
async def test_rot_in_a_data_tile(bit):
    log = Simulator()
    head = log.grow(1000)
    await log.rot("tile/data/002", bit)
    with pytest.raises(Misbehaviour, match="tile/data/002") as error:
        await read(log, head, 0, 1000)
    accused(log, error, "bad-entries")


async def test_rot_in_a_hash_tile_blames_the_hash_tile():
    log = Simulator()
    head = log.grow(1000)
    await log.rot("tile/1/000.p/3", 9)
    with pytest.raises(Misbehaviour, match="tile/1/000") as error:
        await read(log, head, 0, 256)
    accused(log, error, "bad-tile")


async def test_a_data_tile_with_an_entry_too_few():
    log = Simulator()
    head = log.grow(1000)
    log.rotten["tile/data/001"] = log.tree.data(1, 255)
    with pytest.raises(Misbehaviour, match="has 255 entries") as error:
        await read(log, head, 0, 1000)
    accused(log, error, "bad-entries")


async def test_withheld_data_is_a_record_after_asking_again():
    log = Simulator()
    head = log.grow(1000)
    log.withhold("tile/data/002")
    with pytest.raises(Misbehaviour, match="lacks tile/data/002") as error:
        await read(log, head, 0, 1000)
    accused(log, error, "missing-data")
    assert log.requests.count("tile/data/002") == 4


async def test_truncate_keeps_the_head_and_serves_nothing_behind():
    log = Simulator()
    head = log.grow(1000)
    log.truncate(700)
    with pytest.raises(Misbehaviour) as error:
        await read(log, head, 600, 1000)
    accused(log, error, "missing-data")


async def test_what_a_cache_brings_late_is_no_lie():
    log = Simulator()
    head = log.grow(1000)
    log.withhold("tile/data/002")

    async def sleep(seconds):
        log.missing.clear()

    source = TileFollower(log.policy, log, sleep=sleep)
    assert sum([len(batch.leaves) async for batch in source.entries(head, 0, 1000)]) == 1000


async def test_trouble_with_the_network_is_never_a_lie():
    log = Simulator()
    head = log.grow(1000)
    log.fail("tile/data/002", *[TransportError("no route")] * 50)
    with pytest.raises(TransportError, match="no route") as error:
        await read(log, head, 0, 1000)
    assert not isinstance(error.value, Misbehaviour)


async def test_trouble_that_passes_and_a_busy_log_lose_nothing():
    log = Simulator()
    head = log.grow(1000)
    log.fail("*", *[TransportError("no route"), busy(1), busy(0)])
    batches = await read(log, head, 0, 1000)
    assert sum(len(batch.leaves) for batch in batches) == 1000


async def test_fork_and_rewrite_are_proven_on_the_way():
    for lie in ("fork", "rewrite"):
        log = Simulator()
        log.grow(300)
        mine = await advance(follower(log), TrustedLog(log.policy), LATER)
        log.fork() if lie == "fork" else log.rewrite(0, 100)
        with pytest.raises(Misbehaviour) as error:
            await advance(follower(log), mine, LATER)
        verdict = verify_evidence(error.value.evidence, log.policy.key)
        assert (verdict.evidence.kind, verdict.is_proof) == (lie, True)


async def test_serve_old_is_a_cache():
    log = Simulator()
    old = log.grow(300)
    log.grow(700)
    mine = await advance(follower(log), TrustedLog(log.policy), LATER)
    log.serve_old(old)
    assert await advance(follower(log), mine, LATER) == mine


async def test_withheld_hash_tiles_are_a_record():
    log = Simulator()
    log.grow(300)
    mine = await advance(follower(log), TrustedLog(log.policy), LATER)
    log.grow(700)
    log.withhold("tile/1/000.p/3")
    with pytest.raises(Misbehaviour, match="lacks") as error:
        await advance(follower(log), mine, LATER)
    accused(log, error, "missing-data")


async def test_a_checkpoint_by_another_key_is_no_head():
    log = Simulator()
    log.rotten["checkpoint"] = Simulator(secret=8).grow(5).note
    with pytest.raises(SignatureError):
        await follower(log).head()
    log.rotten["checkpoint"] = b"<html>"
    with pytest.raises(MalformedError):
        await follower(log).head()


async def test_the_cache_on_disk_is_used_and_our_damage_is_no_accusation(tmp_path):
    log = Simulator()
    head = log.grow(70_000)
    await read(log, head, 0, 3000, cache=VerifiedCache(tmp_path))
    (tmp_path / "tile/1/000").write_bytes(bytes(8192))
    batches = await read(log, head, 0, 3000, cache=VerifiedCache(tmp_path))
    assert sum(len(batch.leaves) for batch in batches) == 3000


@pytest.mark.parametrize(("lo", "hi"), [(-1, 2), (3, 2), (0, 6)])
async def test_entries_that_the_tree_does_not_have(lo, hi):
    log = Simulator()
    with pytest.raises(UsageError):
        await read(log, log.grow(5), lo, hi)


async def test_in_order_hands_over_in_order_whatever_ends_first():
    async def job(number):
        await asyncio.sleep(0.001 * (5 - number % 5))
        return number

    assert [x async for x in in_order((job(n) for n in range(20)), 4)] == list(range(20))


async def test_in_order_raises_the_first_error_and_ends_the_rest():
    ended = []

    async def job(number):
        try:
            await asyncio.sleep(0.01 if number != 1 else 0)
        finally:
            ended.append(number)
        if number == 1:
            raise ValueError(number)
        return number

    with pytest.raises(ValueError):
        [x async for x in in_order((job(n) for n in range(20)), 4)]
    assert max(ended) <= 5
