"""Old partial tiles go, an hour after the full one came and not before, in small steps; the rest stays."""

from __future__ import annotations

import pytest

from ctlog.sequencer import upkeep as module
from ctlog.sequencer.forms import TileKind
from ctlog.sequencer.upkeep import Upkeep
from ctlog.store import Collectable, Shelves
from tests.faults import MemoryObjectStore, memory_shelves
from tests.log_kit import Life, with_settings

KINDS = (TileKind("data", True), TileKind("numbers", True))
HOUR_MS = 3_600_000


def made(keys: dict[str, int]) -> tuple[Upkeep, MemoryObjectStore]:
    """Upkeep of a store with these keys, written at these times."""
    public = MemoryObjectStore(Collectable(partial_tiles=True))
    for key, now_ms in keys.items():
        public.now_ms = now_ms
        public.put(key, b"x")
    shelves = memory_shelves()
    return Upkeep(Shelves(public, shelves.staging, shelves.heads, shelves.lookup), KINDS, HOUR_MS, 0, 0.0), public


async def test_a_partial_tile_goes_an_hour_after_the_full_one_came() -> None:
    upkeep, public = made({"tile/0/000.p/3": 0, "tile/0/000.p/200": 10, "tile/0/000": 1000, "tile/0/001.p/9": 1000})
    for now_ms in (1000, 1000 + HOUR_MS - 1):
        await upkeep.remove_partials(300, now_ms)
        assert len(public.objects) == 4
    await upkeep.remove_partials(300, 1000 + HOUR_MS)
    assert sorted(public.objects) == ["tile/0/000", "tile/0/001.p/9"]
    assert upkeep.removed == 2


async def test_nothing_goes_where_the_full_tile_is_not_there_or_not_published() -> None:
    keys = {"tile/data/000.p/3": 0, "tile/numbers/000.p/3": 0, "tile/numbers/000": 0}
    upkeep, public = made(keys)
    await upkeep.remove_partials(255, 10 * HOUR_MS)  # 256 entries are not published yet
    assert sorted(public.objects) == sorted(keys)
    await upkeep.remove_partials(256, 10 * HOUR_MS)
    assert sorted(public.objects) == ["tile/data/000.p/3", "tile/numbers/000"]


async def test_every_kind_and_level_is_tidied() -> None:
    full = ["tile/data/000", "tile/numbers/255", "tile/0/100", "tile/1/000", "tile/1/001", "tile/2/000"]
    upkeep, public = made({key: 0 for path in full for key in (path, f"{path}.p/7")})
    size = 256**3
    while await upkeep.remove_partials(size, HOUR_MS):
        pass
    assert sorted(public.objects) == sorted(full)


async def test_a_round_is_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TILES_PER_ROUND", 4)
    full = [f"tile/data/{tile:03d}" for tile in range(10)]
    upkeep, public = made({key: 0 for path in full for key in (path, f"{path}.p/1")})
    left = []
    while await upkeep.remove_partials(2560, HOUR_MS):
        left.append(sum(".p/" in key for key in public.objects))
    assert left[:2] == [6, 2]
    assert not any(".p/" in key for key in public.objects)
    assert not await upkeep.remove_partials(2560, HOUR_MS)


async def test_in_a_log_s_life() -> None:
    life = Life(settings=with_settings(partial_age_ms=0))
    await life.create()
    await life.start()
    for first in range(0, 600, 50):
        await life.submit(*range(first, first + 50))
    public = life.shelves.public
    assert isinstance(public, MemoryObjectStore)
    before = {key for key in public.objects if ".p/" in key}
    assert life.log is not None
    await life.log._upkeep.round(600, life.clock.now_ms, idle=True)
    after = {key for key in public.objects if ".p/" in key}
    assert before - after == {key for key in before if key.split("/")[-2] in ("000.p", "001.p") and "/1/" not in key}
    assert life.check().head.size == 600
    await life.stop()
    await life.start()
    await life.submit(*range(590, 610))
    assert life.check().head.size == 610
    await life.stop()
