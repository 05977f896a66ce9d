"""What a start accepts, finishes, rebuilds and refuses. Each refusal names its promise and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ctlog.errors import ConfigError, FatalError, StoreError
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner, sign_head
from ctlog.store import StoredHead
from tests.faults import Fault, Faults, MemoryHeadStore, MemoryLookupStore, MemoryObjectStore, When, memory_shelves
from tests.log_kit import ORIGIN, SEED, START_MS, Life


async def stopped(size: int = 10) -> Life:
    """A log at rest."""
    life = Life()
    await life.create()
    await life.start()
    await life.submit(*range(size // 2))
    await life.submit(*range(size // 2, size))
    await life.stop()
    return life


def memory(life: Life) -> tuple[MemoryObjectStore, MemoryObjectStore, MemoryHeadStore, MemoryLookupStore]:
    shelves = life.shelves
    assert isinstance(shelves.public, MemoryObjectStore)
    assert isinstance(shelves.staging, MemoryObjectStore)
    assert isinstance(shelves.heads, MemoryHeadStore)
    assert isinstance(shelves.lookup, MemoryLookupStore)
    return shelves.public, shelves.staging, shelves.heads, shelves.lookup


async def refused(life: Life, promise: str, reason: str) -> None:
    """The start is refused, and nothing is different afterwards."""
    public, staging, heads, lookup = memory(life)
    before = dict(public.objects), dict(staging.objects), dict(heads.heads), list(lookup.rows)
    with pytest.raises(ConfigError) as error:
        await life.start()
    assert f"({promise})" in str(error.value)
    assert error.value.reason == reason
    assert (public.objects, staging.objects, heads.heads, lookup.rows) == before


# Beginning ----------------------------------------------------------------------------------------------------------


async def test_a_start_makes_nothing() -> None:
    life = Life()
    await refused(life, "P10", "log-unknown")


async def test_a_log_begins_once_and_so_does_a_seed() -> None:
    life = await stopped()
    public, _, heads, _ = memory(life)
    before = dict(public.objects), dict(heads.heads)
    with pytest.raises(ConfigError):
        await life.create()
    elsewhere = Life(signer=SeedSigner("other.example", SEED))
    elsewhere.shelves = replace(memory_shelves(), heads=heads)
    with pytest.raises(ConfigError):
        await elsewhere.create()
    assert (public.objects, heads.heads) == before


async def test_a_log_whose_making_was_cut_short_can_be_started() -> None:
    life = Life()
    await life.create()
    public, *_ = memory(life)
    del public.objects["checkpoint"]
    await life.start()
    assert life.check().head.size == 0
    await life.submit(0)
    assert life.check().head.size == 1
    await life.stop()


# Refusing -----------------------------------------------------------------------------------------------------------


async def test_another_seed_another_origin_and_a_signer_that_rolls_dice_are_refused() -> None:
    life = await stopped()
    _, _, heads, _ = memory(life)
    good = life.signer
    life.signer = SeedSigner(ORIGIN, bytes(32))
    await refused(life, "P10", "log-unknown")
    life.signer = good
    stored = heads.heads[good.log_id]
    heads.heads[good.log_id] = stored._replace(origin="other.example")
    await refused(life, "P1", "wrong-origin")
    heads.heads[good.log_id] = stored

    class Dice(SeedSigner):
        deterministic = False

    life.signer = Dice(ORIGIN, SEED)
    await refused(life, "P6", "signer-unsuitable")


async def test_a_head_that_the_log_did_not_sign_is_refused() -> None:
    life = await stopped()
    _, _, heads, _ = memory(life)
    stored = heads.heads[life.signer.log_id]
    for bad in (b"", stored.head[:-1], stored.head.replace(b"\n10\n", b"\n11\n"), sign_head(
        SeedSigner(ORIGIN, bytes(32)), 10, b"r" * 32, START_MS
    ).note):
        heads.heads[life.signer.log_id] = StoredHead(ORIGIN, bad, False)
        await refused(life, "P1", "head-damaged")


async def test_a_head_store_that_is_behind_what_is_published_is_refused() -> None:
    life = await stopped()
    _, _, heads, _ = memory(life)
    stored = heads.heads[life.signer.log_id]
    for old in heads.history[:-1]:
        heads.heads[life.signer.log_id] = stored._replace(head=old)
        await refused(life, "P9", "head-store-behind")
    same = sign_head(life.signer, 10, life.check().head.root, START_MS + 1)  # an earlier head of the same tree
    heads.heads[life.signer.log_id] = stored._replace(head=same.note)
    await refused(life, "P9", "head-store-behind")


async def test_a_published_head_of_the_same_size_and_another_root_is_refused() -> None:
    life = await stopped()
    public, *_ = memory(life)
    public.objects["checkpoint"] = sign_head(life.signer, 10, b"r" * 32, START_MS).note
    await refused(life, "P1", "split-view")


async def test_a_checkpoint_that_cannot_be_read_is_refused() -> None:
    life = await stopped()
    public, *_ = memory(life)
    note = public.objects["checkpoint"]
    for bad in (note[:-5], b"x", note.replace(b"\n10\n", b"\n9\n")):
        public.objects["checkpoint"] = bad
        await refused(life, "P9", "checkpoint-damaged")


async def test_a_folder_that_was_put_back_from_a_backup_is_refused() -> None:
    life = await stopped()
    public, _, _, lookup = memory(life)
    backup, rows = dict(public.objects), list(lookup.rows)
    await life.start()
    await life.submit(*range(10, 20))
    await life.stop()
    public.objects, lookup.rows = backup, rows
    await refused(life, "P11", "folder-behind")


async def test_folder_and_head_store_put_back_together_are_seen_from_outside_alone() -> None:
    life = await stopped()
    public, _, heads, lookup = memory(life)
    backup = dict(public.objects), dict(heads.heads), list(lookup.rows)
    root = life.check().head.root
    await life.start()
    await life.submit(*range(10, 20))
    assert life.log is not None
    newest = life.log.head
    await life.stop()
    public.objects, heads.heads, lookup.rows = backup
    fresh = sign_head(life.signer, 10, root, newest.timestamp_ms)
    fork = sign_head(life.signer, 10, b"r" * 32, START_MS)
    for outside, promise, reason in (
        (newest, "P11", "head-store-behind"),
        (fresh, "P11", "head-store-behind"),
        (fork, "P1", "split-view"),
    ):
        life.outside = [outside]
        await refused(life, promise, reason)
    life.held.clear()
    life.outside = [sign_head(life.signer, 9, b"r" * 32, START_MS)]  # smaller: nothing to compare with here
    await life.start()
    await life.stop()


async def test_look_ups_that_cover_more_than_the_head_are_refused() -> None:
    life = await stopped()
    *_, lookup = memory(life)
    lookup.rows.append(lookup.rows[0])
    await refused(life, "P11", "head-store-behind")


@pytest.mark.parametrize("size", [10, 300])
async def test_a_damaged_or_missing_tile_of_the_edge_is_refused(size: int) -> None:
    life = await stopped(size)
    public, *_ = memory(life)
    good = dict(public.objects)
    index, width = divmod(size, 256)
    edge = [f"tile/{kind}/{index:03d}.p/{width}" for kind in ("0", "data", "numbers")]
    edge += ["tile/1/000.p/1"] if size > 256 else []
    for key in edge:
        damages: list[Callable[[bytes], bytes]] = [lambda data: data[:-1], lambda data: bytes([data[9] ^ 1]) + data]
        for damage in damages:
            public.objects[key] = damage(good[key])
            await refused(life, "P2", "tiles-damaged")
        del public.objects[key]
        await refused(life, "P2", "tiles-damaged")
        public.objects = dict(good)
    await life.start()
    await life.stop()


async def test_a_damaged_tile_is_refused_when_the_look_ups_need_it() -> None:
    life = await stopped(600)
    public, _, _, lookup = memory(life)
    good = dict(public.objects)
    lookup.rows = []
    for key in ("tile/data/000", "tile/data/001", "tile/0/000", "tile/0/001"):
        for bad in (good[key][:-1], good[key][: len(good[key]) // 2] + b"?" + good[key][len(good[key]) // 2 + 1 :]):
            lookup.rows = []
            public.objects[key] = bad
            with pytest.raises(ConfigError, match=rf"{key.replace('/0/', '/(0|data)/')}.*\(P2\)"):
                await life.start()
        del public.objects[key]
        with pytest.raises(ConfigError):
            await life.start()
        public.objects = dict(good)
    await life.start()
    assert len(lookup.rows) == 600
    await life.submit(*range(600))
    assert life.check().head.size == 600
    await life.stop()


# Finishing ----------------------------------------------------------------------------------------------------------


async def signed_and_not_published(times: int = 1, size: int = 10) -> Life:
    """The process died after the swap; before that, `times` - 1 checkpoints could not be published."""
    life = await stopped(size)
    await life.start()
    if times > 1:
        life.faults.arm(Fault("public.put_many", "checkpoint", times=times - 1))
    for at in range(times - 1):
        await life.submit(*range(size + 5 * at, size + 5 * at + 5))
    life.faults.armed.clear()
    life.faults.arm(Fault("public.put_prepared", "tile/data/"))
    first = size + 5 * (times - 1)
    assert all(isinstance(answer, FatalError) for answer in await life.submit(*range(first, first + 5)))
    await life.crash()
    life.faults.armed.clear()
    return life


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize("size", [10, 253])
async def test_a_batch_that_was_signed_is_published_by_the_next_start(times: int, size: int) -> None:
    life = await signed_and_not_published(times, size)
    _, staging, heads, _ = memory(life)
    assert life.check().head.size == size
    await life.start()
    checked = life.check()
    assert checked.head.size == size + 5 * times
    assert checked.head.note == heads.history[-1]
    assert staging.objects == {}
    await life.submit(*range(size + 5 * times))
    assert life.check().head.size == size + 5 * times  # nothing came twice
    await life.stop()


async def test_a_start_that_fails_while_it_finishes_a_batch_is_repeated() -> None:
    life = await signed_and_not_published(size=253)
    for key in ("tile/data/", "tile/numbers/001", "tile/0/001", "tile/1/", "checkpoint"):
        for when in When:
            life.faults = Faults([Fault("public.put_many", key, when)])
            with pytest.raises((FatalError, StoreError)):
                await life.start()
            life.check()
    for act in ("lookup.add", "staging.delete_many", "heads.fetch", "public.get", "staging.get"):
        life.faults = Faults([Fault(act)])
        try:
            await life.start()
        except StoreError:
            life.check()
        else:
            await life.stop()
    life.faults = Faults()
    await life.start()
    assert life.check().head.size == 258
    await life.stop()


async def test_a_damaged_bundle_is_refused_and_nothing_of_it_is_published() -> None:
    life = await signed_and_not_published()
    _, staging, _, _ = memory(life)
    ((key, good),) = staging.objects.items()
    for at in range(0, len(good), 211):
        staging.objects[key] = good[:at] + bytes([good[at] ^ 2]) + good[at + 1 :]
        await refused(life, "P2", "bundle-damaged")
    staging.objects[key] = good[:-1]
    await refused(life, "P2", "bundle-damaged")
    del staging.objects[key]
    await refused(life, "P11", "folder-behind")
    staging.objects[key] = good
    await life.start()
    assert life.check().head.size == 15
    await life.stop()


async def test_a_bundle_is_not_published_over_damage() -> None:
    life = await signed_and_not_published()
    public, *_ = memory(life)
    good = dict(public.objects)
    for key in ("tile/0/000.p/10", "tile/data/000.p/10"):
        public.objects[key] = good[key][:-1] + bytes([good[key][-1] ^ 1])
        with pytest.raises(ConfigError, match="damaged"):
            await life.start()
        public.objects = dict(good)
    public.objects["tile/data/000.p/15"] = b"other bytes"
    with pytest.raises(FatalError, match=r"tile/data/000\.p/15.*\(P5\)"):
        await life.start()


async def test_bundles_that_lead_nowhere_are_removed_and_later_ones_are_left() -> None:
    life = await stopped()
    _, staging, _, _ = memory(life)
    old, later = f"9-{'ab' * 32}", f"11-{'ab' * 32}"
    staging.objects.update({old: b"x", later: b"y"})
    await life.start()
    assert list(staging.objects) == [later]
    await life.submit(10, 11)
    assert life.log is not None
    await life.log._upkeep.round(life.log.head.size, life.clock.now_ms, idle=True)
    assert staging.objects == {}
    await life.stop()


async def test_look_ups_are_rebuilt_from_the_tiles() -> None:
    life = await stopped(600)
    *_, lookup = memory(life)
    rows = lookup.rows
    for covered in (0, 1, 255, 256, 511, 600):
        lookup.rows = rows[:covered]
        await life.start()
        assert lookup.rows == rows
        assert all(isinstance(answer, Sequenced) for answer in await life.submit(0, 255, 256, 599))
        assert life.check().head.size == 600
        await life.stop()


async def test_a_process_that_was_thought_dead_does_no_harm() -> None:
    """Two writers on one log: the head store lets one of them go on."""
    first = await stopped()
    await first.start()
    second = Life(shelves=first.shelves, clock=first.clock, held=first.held)
    await second.start()
    assert isinstance((await first.submit(10))[0], Sequenced)
    (answer,) = await second.submit(11)
    assert isinstance(answer, FatalError)
    assert (answer.promise, answer.reason) == ("P1", "head-moved")
    first.check()
    await second.crash()
    await second.start()
    assert isinstance((await second.submit(11))[0], Sequenced)
    (answer,) = await first.submit(12)
    assert isinstance(answer, FatalError)
    assert second.check().head.size == 12
    await first.crash()
    await second.stop()
