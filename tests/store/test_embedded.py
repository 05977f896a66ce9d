"""The default shelves: what must be there, what must not, and who holds the lock."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ctlog.errors import ConfigError
from ctlog.store.embedded import make_shelves, open_shelves
from ctlog.store.sqlite import make_head_store

LOG_ID = b"L" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a log"
    made.mkdir()
    make_shelves(made)
    make_head_store(tmp_path / "heads.sqlite")
    return made


async def test_what_was_stored_is_there_after_closing(folder: Path, tmp_path: Path) -> None:
    shelves = await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)
    await shelves.public.put_many([("issuer/aa", b"x")])
    await shelves.staging.put_many([("1-ab", b"x"), ("2-ab", b"x")])
    await shelves.staging.delete_many(["1-ab"])
    await shelves.heads.create(LOG_ID, "log.example", b"S" * 32, b"head")
    await shelves.close()
    assert (folder / "public/issuer/aa").read_bytes() == b"x"
    again = await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)
    assert await again.staging.list_keys("") == ["2-ab"]
    assert await again.heads.fetch(LOG_ID) == ("log.example", b"head", False)
    await again.close()


async def test_the_second_opening_is_refused_until_the_first_is_closed(folder: Path, tmp_path: Path) -> None:
    first = await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)
    with pytest.raises(ConfigError) as refused:
        await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)
    assert refused.value.reason == "second-writer"
    await first.close()
    await (await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)).close()


async def test_what_is_missing_is_not_made(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / "public")
    with pytest.raises(ConfigError, match=r"\(P10\)"):
        await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)
    assert not (folder / "public").exists()
    (folder / "public").mkdir()
    (tmp_path / "heads.sqlite").unlink()
    for _ in range(2):  # and the lock is not kept by an opening that failed
        with pytest.raises(ConfigError) as refused:
            await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)
        assert refused.value.reason == "head-store-missing"


async def test_an_opening_that_fails_lets_go_of_everything(folder: Path, tmp_path: Path) -> None:
    (folder / "lookup.sqlite").write_bytes(b"no database" * 1000)
    handles = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for _ in range(3):
        with pytest.raises(ConfigError, match="reindex"):
            await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)
    if handles:
        assert len(list(Path("/proc/self/fd").iterdir())) <= handles
    (folder / "lookup.sqlite").unlink()
    await (await open_shelves(folder, tmp_path / "heads.sqlite", LOG_ID)).close()


async def test_a_head_store_inside_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    make_head_store(folder / "heads.sqlite")
    (tmp_path / "link").symlink_to(folder)
    for path in (folder / "heads.sqlite", tmp_path / "link" / "heads.sqlite", folder / ".." / folder.name / "x"):
        with pytest.raises(ConfigError, match=r"\(P11\)"):
            await open_shelves(folder, path, LOG_ID)


async def test_making_twice_is_refused(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        make_shelves(folder)
