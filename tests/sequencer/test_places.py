"""No SCT for anything that is not the stored entry (P7): candidates are compared, never believed."""

from __future__ import annotations

import pytest

from ctlog.errors import FatalError, StoreError
from ctlog.sequencer.places import DamagedError, Places, Sequenced
from ctlog.store import Candidate, LookupRow
from tests.faults import MemoryLookupStore, MemoryObjectStore
from tests.log_kit import FORM, Life, pending


async def filled(size: int) -> Life:
    life = Life()
    await life.create()
    await life.start()
    await life.submit(*range(size))
    return life


def memory(life: Life) -> tuple[MemoryObjectStore, MemoryLookupStore]:
    assert isinstance(life.shelves.public, MemoryObjectStore)
    assert isinstance(life.shelves.lookup, MemoryLookupStore)
    return life.shelves.public, life.shelves.lookup


class Lying(MemoryLookupStore):
    """Gives these candidates for everything."""

    def __init__(self, candidates: list[Candidate]) -> None:
        super().__init__()
        self.candidates = candidates

    async def by_entry_keys(self, keys: object) -> list[list[Candidate]]:
        return [self.candidates for _ in keys]  # type: ignore[attr-defined]

    async def by_leaf_hash(self, leaf_hash: bytes) -> list[Candidate]:
        return self.candidates

    async def by_certificate_hash(self, certificate_hash: bytes) -> list[Candidate]:
        return self.candidates


async def test_candidates_of_other_entries_are_passed_over() -> None:
    life = await filled(300)
    assert life.log is not None
    everything = [Candidate(index, place.timestamp_ms) for index, place in enumerate(sorted(life.held.values()))]
    edge = life.log._standing.edge
    life.log.shelves.lookup.store = Lying([everything[place] for place in (0, 7, 256, 299)])  # type: ignore[attr-defined]
    places = Places(life.log.shelves, FORM)
    wanted = [pending(number) for number in (7, 299, 5000)]
    assert await places.find_entries(wanted, edge) == [life.held[7], life.held[299], None]
    hashes = life.check().leaf_hashes
    assert await places.find_leaf(hashes[256], edge) == 256
    assert await places.find_leaf(hashes[8], edge) is None
    found = await places.find_certificate(pending(7).certificate_hash, edge)
    assert found is not None
    assert found.index == life.held[7].index
    assert await places.find_certificate(pending(8).certificate_hash, edge) is None
    await life.stop()


async def test_a_wrong_time_or_index_for_an_entry_that_is_there_stops_the_log() -> None:
    for number in (3, 290):
        life = await filled(300)
        assert life.log is not None
        place = life.held[number]
        edge = life.log._standing.edge
        for wrong in (Candidate(place.index, place.timestamp_ms + 1), Candidate(300, place.timestamp_ms)):
            life.log.shelves.lookup.store = Lying([wrong])  # type: ignore[attr-defined]
            with pytest.raises(FatalError, match=r"\(P7\)"):
                await Places(life.log.shelves, FORM).find_entries([pending(number)], edge)
        await life.crash()


async def test_a_lookup_row_that_rots_never_makes_a_wrong_answer() -> None:
    life = await filled(20)
    _, lookup = memory(life)
    good = lookup.rows[5]
    lookup.rows[5] = LookupRow(good.timestamp_ms + 1, *good[1:])
    number = next(number for number, place in life.held.items() if place.index == 5)
    (answer,) = await life.submit(number)
    assert isinstance(answer, FatalError)
    assert (answer.promise, answer.reason) == ("P7", "lookup-damaged")
    await life.crash()


@pytest.mark.parametrize("damage", ["missing", "short", "flipped"])
@pytest.mark.parametrize("key", ["tile/0/000", "tile/data/000"])
async def test_a_damaged_tile_gives_no_answer(key: str, damage: str) -> None:
    life = await filled(300)
    await life.stop()
    public, _ = memory(life)
    await life.start()
    assert life.log is not None
    entry = pending(7)
    if damage == "missing":
        del public.objects[key]
    elif damage == "short":
        public.objects[key] = public.objects[key][:-1]
    else:
        place = life.held[7].index * 32 if key == "tile/0/000" else len(public.objects[key]) // 2
        data = bytearray(public.objects[key])
        data[place] ^= 1
        public.objects[key] = bytes(data)
    if key == "tile/0/000":
        with pytest.raises(DamagedError, match="tile/"):
            await life.log.find_certificate(entry.certificate_hash)
        (answer,) = await life.submit(7)
        assert isinstance(answer, FatalError)
    else:  # the hash is right, so the SCT is; only reading the entry fails
        with pytest.raises(StoreError, match="tile/data/000"):
            await life.log.find_certificate(entry.certificate_hash)
        (answer,) = await life.submit(7)
        assert isinstance(answer, Sequenced)
    await life.crash()


async def test_full_tiles_are_read_once() -> None:
    life = await filled(300)
    await life.stop()
    await life.start()
    life.faults.acts.clear()
    await life.submit(*range(250))
    reads = [keys for act, keys in life.faults.acts if act == "public.get"]
    assert reads.count(("tile/0/000",)) == 1
    await life.stop()
