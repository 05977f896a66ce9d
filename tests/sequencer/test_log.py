"""What others ask of a log: places, duplicates, fullness, silence, ending, and an end that is final."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ctlog.errors import (
    BusyError,
    ConfigError,
    FatalError,
    FrozenError,
    MalformedError,
    PoolFullError,
    StoreError,
    UsageError,
)
from ctlog.sequencer import commit
from ctlog.sequencer import log as module
from ctlog.sequencer.forms import StaticCtForm
from ctlog.sequencer.log import Log
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner, open_head
from ctlog.store import Space
from ctlog.wire.static_ct import PendingEntry
from tests.check_log import check_log
from tests.faults import Fault, MemoryHeadStore, MemoryObjectStore, When, memory_shelves
from tests.log_kit import FORM, SEED, Clock, Life, pending, with_settings


async def started(**settings: object) -> Life:
    life = Life(settings=with_settings(**settings))
    await life.create()
    await life.start()
    return life


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for five seconds at most."""
    for _ in range(2500):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came")


# Places -------------------------------------------------------------------------------------------------------------


async def test_an_entry_is_answered_when_it_is_published_and_not_before() -> None:
    life = await started()
    public = life.shelves.public
    assert isinstance(public, MemoryObjectStore)
    life.faults.arm(Fault("public.put_many", "checkpoint", When.BEFORE))
    (answer,) = await life.submit(0)
    assert isinstance(answer, StoreError)
    assert life.log is not None
    assert life.log.head.size == 0
    (place,) = await life.submit(0)
    assert place == Sequenced(0, place.timestamp_ms)
    assert life.log.head.size == 1
    assert open_head(life.signer, public.objects["checkpoint"]).size == 1
    assert life.check().head.size == 1
    await life.stop()


async def test_a_duplicate_gets_the_place_of_the_first_wherever_it_is() -> None:
    life = await started()
    answers = await life.submit(1, 1, 2, 1)
    assert len({answers[0], answers[1], answers[3]}) == 1
    again = await life.submit(2, 3, 1)
    assert [again[0], again[2]] == [answers[2], answers[0]]
    other_chain = await life.submit(1, issuers=("other", "root"))
    assert other_chain == [answers[0]]
    await life.crash()
    await life.start()
    assert await life.submit(1, 2, 3) == [answers[0], answers[2], again[1]]
    assert life.check().head.size == 3
    assert sum(report.duplicates for report in life.reports) == 6
    await life.stop()


async def test_a_second_submission_at_any_moment_of_a_batch_is_no_second_entry() -> None:
    life = await started()
    await life.submit(100)
    for delay in range(14):

        async def late(delay: int = delay) -> None:
            for _ in range(delay):
                await asyncio.sleep(0)
            await life.submit(delay)

        await asyncio.gather(life.submit(delay), late())
    assert life.check().head.size == 15
    await life.stop()


async def test_a_full_pool_refuses_and_a_fresh_entry_takes_a_low_one_s_place() -> None:
    life = await started(pool_size=3, period_ms=40, retry_after_s=9)
    assert life.log is not None
    low = asyncio.create_task(life.submit(0, 1, 2, low=True))
    await asyncio.sleep(0.005)
    life.log.check_accepting()  # a fresh one would be taken
    fresh = asyncio.create_task(life.submit(10, 11, 12))
    await asyncio.sleep(0.005)
    with pytest.raises(PoolFullError) as full:
        life.log.check_accepting()
    assert full.value.retry_after_s == 9
    assert [type(answer) for answer in await life.submit(13, 10)] == [PoolFullError, Sequenced]
    assert [type(answer) for answer in await low] == [PoolFullError] * 3
    assert [type(answer) for answer in await fresh] == [Sequenced] * 3
    assert life.log.evicted == 3
    assert life.check().head.size == 3
    await life.stop()


async def test_who_goes_away_leaves_the_entry_behind() -> None:
    life = await started()
    assert life.log is not None
    task = asyncio.create_task(life.log.add(pending(0)))
    other = asyncio.create_task(life.submit(0))
    await asyncio.sleep(0)
    task.cancel()
    assert isinstance((await other)[0], Sequenced)
    assert life.check().head.size == 1
    await life.stop()


async def test_an_entry_that_cannot_be_written_down_fails_its_batch_alone() -> None:
    class Choosy(StaticCtForm):
        def leaf(self, entry: PendingEntry, index: int, timestamp_ms: int) -> bytes:
            if b"certificate 13 " in entry.entry.certificate:
                raise MalformedError("too odd")
            return super().leaf(entry, index, timestamp_ms)

    life = await started()
    assert life.log is not None
    life.log.form = life.log._committer._form = life.log._places._form = Choosy()
    answers = await life.submit(12, 13, 14)
    assert [type(answer) for answer in answers] == [MalformedError] * 3
    assert [type(answer) for answer in await life.submit(12, 14)] == [Sequenced] * 2
    assert life.check().head.size == 2
    await life.stop()


async def test_other_bytes_under_an_issuer_s_name_end_the_log() -> None:
    life = await started()
    await life.submit(0)
    await life.crash()
    public = life.shelves.public
    assert isinstance(public, MemoryObjectStore)
    key = FORM.attachments(pending(0))[0][0]
    public.objects[key] = b"rotten"
    await life.start()
    assert life.log is not None
    assert life.running is not None
    (answer,) = await life.submit(1)
    assert isinstance(answer, FatalError)
    assert answer.promise == "P8"
    with pytest.raises(FatalError):
        await life.running
    await life.crash()


async def test_a_full_log_ends() -> None:
    class Tiny(StaticCtForm):
        max_size = 3

    life = await started()
    assert life.log is not None
    life.log.form = life.log._committer._form = Tiny()
    await life.submit(0, 1)
    answers = await life.submit(2, 3)
    assert [type(answer) for answer in answers] == [Sequenced, FrozenError]
    with pytest.raises(FrozenError) as full:
        life.log.check_accepting()
    assert full.value.reason == "log-full"
    await life.stop()


# Reading ------------------------------------------------------------------------------------------------------------


async def test_leaves_and_certificates_are_found_when_they_are_published() -> None:
    life = await started()
    await life.submit(*range(300))
    assert life.log is not None
    checked = life.check()
    for number in (0, 1, 255, 256, 299):
        place = life.held[number]
        assert await life.log.find_leaf(checked.leaf_hashes[place.index]) == place.index
        found = await life.log.find_certificate(pending(number).certificate_hash)
        assert found is not None
        assert found.leaf == FORM.leaf(pending(number), *place)
        assert found[:2] == place
    assert await life.log.find_leaf(b"?" * 32) is None
    assert await life.log.find_certificate(b"?" * 32) is None
    life.faults.arm(Fault("public.put_many", "checkpoint", times=100))
    await life.submit(*range(300, 600))
    assert await life.log.find_certificate(pending(300).certificate_hash) is None
    assert await life.log.find_leaf(checked.leaf_hashes[299]) == 299  # though its tile is full by now
    await life.crash()


# Silence ------------------------------------------------------------------------------------------------------------


async def test_an_idle_log_does_nothing() -> None:
    life = await started()
    await life.submit(0)
    await asyncio.sleep(0.01)
    life.faults.acts.clear()
    reads = life.clock.now_ms
    await asyncio.sleep(0.1)
    assert life.faults.acts == []
    assert life.clock.now_ms == reads
    await life.stop()


async def test_silence_is_visible_by_a_fresh_head() -> None:
    life = await started(resign_ms=15)
    await life.submit(0)
    assert life.log is not None
    first = life.log.head
    await until(lambda: life.log is not None and life.log.head.timestamp_ms > first.timestamp_ms)
    assert life.log.head.size == 1
    assert life.log.head.root == first.root
    heads = life.shelves.heads
    assert isinstance(heads, MemoryHeadStore)
    assert life.log.head.note == heads.history[-1]
    life.check()
    await life.stop()


async def test_the_batch_begins_a_period_after_the_first_entry() -> None:
    life = await started(period_ms=60)
    loop = asyncio.get_running_loop()
    start = loop.time()
    first = asyncio.create_task(life.submit(0))
    await asyncio.sleep(0.03)
    second = await life.submit(1)
    assert 0.055 < loop.time() - start < 0.5
    assert (await first)[0].timestamp_ms == second[0].timestamp_ms  # one batch
    await life.stop()


async def test_an_unpublished_head_is_published_without_any_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    life = await started()
    life.faults.arm(Fault("public.put_many", "checkpoint", times=3))
    (answer,) = await life.submit(0)
    assert isinstance(answer, StoreError)
    assert life.log is not None
    assert life.log.trouble is not None
    await until(lambda: life.log is not None and life.log.head.size == 1)
    assert life.log.trouble is None
    assert isinstance((await life.submit(0))[0], Sequenced)
    assert life.check().head.size == 1
    await life.stop()


async def test_look_ups_that_failed_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    life = await started()
    life.faults.arm(Fault("lookup.add", times=3))
    (place,) = await life.submit(0)
    assert isinstance(place, Sequenced)
    assert life.log is not None
    assert "look-ups" in (life.log.trouble or "")
    assert isinstance((await life.submit(0))[0], StoreError)  # no second entry while nobody can tell
    await until(lambda: life.log is not None and life.log.trouble is None)
    assert await life.submit(0) == [place]
    await life.stop()


# The clock ----------------------------------------------------------------------------------------------------------


async def test_a_clock_that_went_back_a_little_is_waited_for() -> None:
    life = await started()
    (first,) = await life.submit(0)
    life.clock.now_ms -= 60
    life.clock.step_ms = 20
    (second,) = await life.submit(1)
    assert second.timestamp_ms > first.timestamp_ms
    await life.stop()
    life.check()


async def test_a_clock_that_stands_still_ends_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "CLOCK_WAIT_MS", 20)
    life = await started()
    await life.submit(0)
    life.clock.step_ms = 0
    (answer,) = await life.submit(1)
    assert isinstance(answer, FatalError)
    assert answer.reason == "clock-stuck"
    await life.crash()


async def test_a_clock_that_went_back_ends_the_log_and_a_start_waits_for_it() -> None:
    life = await started()
    await life.submit(0)
    right_ms = life.clock.now_ms
    life.clock.now_ms -= 1_100
    (answer,) = await life.submit(1)
    assert isinstance(answer, FatalError)
    assert (answer.promise, answer.reason) == ("P4", "clock-went-back")
    await life.crash()
    life.clock.now_ms = right_ms - 5_002
    with pytest.raises(ConfigError, match=r"ahead of the clock.*\(P4\)"):
        await life.start()
    life.clock.now_ms = right_ms - 500
    await life.start()
    life.clock.step_ms = 300
    assert isinstance((await life.submit(1))[0], Sequenced)
    assert life.check().head.size == 2
    await life.stop()


async def test_a_clock_that_jumped_ahead_is_believed_until_it_is_set_right() -> None:
    life = await started()
    await life.submit(0)
    life.clock.now_ms += 86_400_000
    assert isinstance((await life.submit(1))[0], Sequenced)
    life.clock.now_ms -= 86_400_000
    assert isinstance((await life.submit(2))[0], FatalError)
    await life.crash()
    with pytest.raises(ConfigError):
        await life.start()
    life.clock.now_ms += 86_400_000
    await life.start()
    assert isinstance((await life.submit(2))[0], Sequenced)
    assert life.check().head.size == 3
    await life.stop()


# Ending -------------------------------------------------------------------------------------------------------------


async def test_close_finishes_what_waits_and_refuses_the_rest() -> None:
    life = await started(period_ms=10_000)
    log = life.log
    assert log is not None
    waiting = asyncio.create_task(life.submit(0, 1))
    await asyncio.sleep(0.01)
    await life.stop()
    assert [type(answer) for answer in await waiting] == [Sequenced] * 2
    for attempt in (log.check_accepting, lambda: log._check_open()):
        with pytest.raises(BusyError):
            attempt()
    with pytest.raises(BusyError):
        await log.add(pending(5))
    with pytest.raises(UsageError):
        await log.run()
    assert life.check().head.size == 2


async def test_after_a_fatal_error_everything_fails_and_nothing_resumes() -> None:
    life = await started()
    life.faults.arm(Fault("heads.replace", when=When.AFTER))
    assert life.log is not None
    assert life.running is not None
    assert [type(answer) for answer in await life.submit(0, 1)] == [FatalError] * 2
    with pytest.raises(FatalError) as fatal:
        await life.running
    assert fatal.value.promise == "P1"
    assert "(P1)" in (life.log.trouble or "")
    for attempt in (life.log.add(pending(2)), life.log.freeze()):
        with pytest.raises(FatalError):
            await attempt
    with pytest.raises(FatalError):
        life.log.check_accepting()
    await life.crash()


async def test_a_bug_is_fatal_too() -> None:
    life = await started()
    life.faults.arm(Fault("public.put_prepared", "tile/", error=lambda: ZeroDivisionError("oops")))
    assert life.running is not None
    (answer,) = await life.submit(0)
    assert isinstance(answer, FatalError)
    with pytest.raises(FatalError, match="oops"):
        await life.running
    await life.crash()


async def test_freezing_is_final() -> None:
    life = await started(period_ms=30, resign_ms=10)
    waiting = asyncio.create_task(life.submit(0, 1))
    await asyncio.sleep(0.001)
    log = life.log
    assert log is not None
    head, again = await asyncio.gather(log.freeze(), log.freeze())
    assert [type(answer) for answer in await waiting] == [Sequenced] * 2
    assert head == again == log.head
    assert (head.size, log.frozen) == (2, True)
    for _ in range(2):
        with pytest.raises(FrozenError):
            log.check_accepting()
        assert isinstance((await life.submit(3))[0], FrozenError)
        await asyncio.sleep(0.05)  # no fresh heads either
        assert log.head == head
        await life.stop()
        log = await life.start()
    assert log.head == head == await log.freeze()
    assert life.check().head == head
    await life.stop()


async def test_a_final_head_that_could_not_be_published_is_still_the_last() -> None:
    life = await started()
    await life.submit(0)
    life.faults.arm(Fault("public.put_many", "checkpoint"))
    log = life.log
    assert log is not None
    with pytest.raises(StoreError):
        await log.freeze()
    with pytest.raises(FrozenError):
        await log.add(pending(1))
    head = await log.freeze()
    assert (head.size, log.frozen) == (1, True)
    assert life.check().head == head
    await life.stop()


async def test_a_log_that_does_not_run_is_frozen_too() -> None:
    life = await started()
    await life.submit(0)
    await life.stop()
    log: Log[PendingEntry] = await Log.open(life.shelves, life.signer, FORM, clock=life.clock)
    head = await log.freeze()
    assert life.check().head == head
    with pytest.raises(FrozenError):
        log.check_accepting()


# Room, reports, neighbours ------------------------------------------------------------------------------------------


async def test_short_of_room_the_log_refuses_and_goes_on_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_UPKEEP_S", 0.01)
    life = await started()
    await life.submit(0)
    public = life.shelves.public
    assert isinstance(public, MemoryObjectStore)
    assert life.log is not None
    for room in (
        Space(1 << 29, 1 << 31, 10, 10),
        Space(1 << 40, 1 << 45, 10, 10),
        Space(1 << 40, 1 << 41, 4, 100),
    ):
        public.room = room
        await until(lambda: life.log is not None and life.log.trouble is not None)
        with pytest.raises(BusyError, match="short of") as short:
            life.log.check_accepting()
        assert short.value.reason == "no-room"
        assert isinstance((await life.submit(0))[0], BusyError)
        assert await life.log.find_certificate(pending(0).certificate_hash) is not None
        public.room = Space(1 << 40, 1 << 41, 0, 0)  # a file system without a limit of inodes
        await until(lambda: life.log is not None and life.log.trouble is None)
    assert isinstance((await life.submit(1))[0], Sequenced)
    await life.stop()


async def test_each_round_is_reported() -> None:
    life = await started()
    await life.submit(0, 1, 2)
    await life.submit(1, 3)
    first, second = life.reports
    assert (first.size, first.entries, first.duplicates) == (3, 3, 0)
    assert (second.size, second.entries, second.duplicates) == (4, 1, 1)
    assert second.timestamp_ms == life.held[3].timestamp_ms
    steps = {"plan", "stage", "read-back", "sign", "swap", "publish", "checkpoint", "discard", "lookup"}
    assert set(second.seconds) == steps
    assert set(first.seconds) == steps - {"discard"}, "the bundle goes with the next batch"
    assert all(seconds >= 0 for seconds in first.seconds.values())
    await life.stop()


async def test_two_logs_live_in_one_process_and_one_head_store() -> None:
    one, two = await started(), Life(signer=SeedSigner("other.example/log", SEED[::-1]))
    shelves = memory_shelves()
    two.shelves = type(shelves)(shelves.public, shelves.staging, one.shelves.heads, shelves.lookup)
    two.clock = Clock()
    await two.create()
    await two.start()
    await asyncio.gather(one.submit(*range(20)), two.submit(*range(10)))
    assert one.log is not None
    assert two.log is not None
    assert (one.log.head.size, two.log.head.size) == (20, 10)
    assert isinstance(shelves.public, MemoryObjectStore)
    keys = one.keys._replace(origin="other.example/log", log=two.signer.key, checkpoint=two.signer.checkpoint_key)
    assert check_log(shelves.public.objects, keys).head.size == 10
    await one.stop()
    await two.stop()
