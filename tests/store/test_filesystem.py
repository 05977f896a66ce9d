"""What only a directory can get wrong: half-written files, names that were not synced, two writers."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ctlog.errors import ConfigError, FatalError, StoreError, UsageError
from ctlog.store import Collectable
from ctlog.store.filesystem import FilesystemObjectStore, FolderLock

COLLECTABLE = Collectable(partial_tiles=True)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FilesystemObjectStore]:
    made = FilesystemObjectStore(tmp_path, COLLECTABLE)
    yield made
    await made.close()


class Calls:
    """Notes the system calls of a put, and lets one of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, str]] = []
        self.fail: tuple[str, int] | None = None
        self._names: dict[int, str] = {}
        for name in ("open", "write", "fsync", "link", "close"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(first: object, *rest: object, **options: object) -> object:
            what = self._names.get(first, "?") if isinstance(first, int) else Path(str(first)).name
            self.seen.append((name, what))
            if self.fail == (name, sum(seen == name for seen, _ in self.seen)):
                raise OSError(5, "Input/output error")
            result = call(first, *rest, **options)
            if name == "open" and isinstance(result, int):
                self._names[result] = what
            return result

        return wrapped


async def test_bytes_are_synced_before_their_name_and_the_name_before_the_return(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_many([("tile/0/000.p/1", b"a")])  # makes the folders
    calls = Calls(monkeypatch)
    await store.put_many([("tile/0/000.p/2", b"b"), ("tile/0/001", b"c")])
    named = [name for name, _ in calls.seen]
    synced = [what for name, what in calls.seen if name == "fsync"]
    assert [what.startswith(str(os.getpid())) for what in synced] == [True, True, False, False]
    assert set(synced[2:]) == {"000.p", "0"}
    links = [at for at, name in enumerate(named) if name == "link"]
    syncs = [at for at, name in enumerate(named) if name == "fsync"]
    assert syncs[1] < links[0] < links[1] < syncs[2]
    closes = [at for at, name in enumerate(named) if name == "close"]
    assert syncs[1] < closes[0] < closes[1] < links[0]  # an error that close tells is no success


async def test_what_is_prepared_is_synced_and_its_names_are_when_it_is_put(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_many([("tile/0/000.p/1", b"a")])  # makes the folders
    calls = Calls(monkeypatch)
    prepared = await store.prepare([("tile/0/000.p/2", b"b"), ("tile/0/001", b"c")])
    assert len([what for name, what in calls.seen if name == "fsync"]) == 2
    assert not [what for name, what in calls.seen if name == "link"]
    calls.seen.clear()
    await store.put_prepared(prepared)
    assert {what for name, what in calls.seen if name == "fsync"} == {"000.p", "0"}
    assert [name for name, _ in calls.seen if name in ("link", "fsync")] == ["link", "link", "fsync", "fsync"]
    assert (tmp_path / "tile/0/001").stat().st_mode & 0o222 == 0
    for _ in range(2):
        await store.drop_prepared(await store.prepare([("tile/0/002", b"d")]))
    await store.prepare([("tile/0/002", b"d")])
    assert len(list((tmp_path / ".tmp").iterdir())) == 1
    await store.sweep()
    assert list((tmp_path / ".tmp").iterdir()) == []
    with pytest.raises(StoreError):
        await store.put_prepared(prepared)  # it is there once


async def test_a_sync_that_fails_waits_for_the_others(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handle must not be closed, and be another file's, while it is being synced."""
    await store.put_many([("a/start", b"x")])
    real, under_way, closed_meanwhile = os.fsync, [0], []
    close = os.close

    def fsync(handle: int) -> None:
        under_way[0] += 1
        try:
            time.sleep(0.02)
            real(handle)
            raise OSError(5, "Input/output error")
        finally:
            under_way[0] -= 1

    def closing(handle: int) -> None:
        closed_meanwhile.append(under_way[0])
        close(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "close", closing)
    with pytest.raises(StoreError):
        await store.prepare([(f"a/{at}", b"y") for at in range(6)])
    monkeypatch.undo()
    assert len(closed_meanwhile) == 6
    assert not any(closed_meanwhile)
    assert list((tmp_path / ".tmp").iterdir()) == []


async def test_a_folder_is_made_durable_in_its_parent_once(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tile").mkdir()  # by a process that died before it synced it
    calls = Calls(monkeypatch)
    await store.put_many([("tile/0/000", b"a")])
    first = [what for name, what in calls.seen if name == "fsync"]
    assert first[1:] == [tmp_path.name, "tile", "0"]
    calls.seen.clear()
    await store.put_many([("tile/0/001", b"a")])
    assert [what for name, what in calls.seen if name == "fsync"][1:] == ["0"]


async def test_every_call_may_fail_and_nothing_torn_is_seen(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_many([("a/start", b"x")])
    failures = 0
    for call in ("open", "write", "fsync", "link", "close"):
        for occurrence in range(1, 9):
            key = f"a/{call}{occurrence}"
            with monkeypatch.context() as patch:
                calls = Calls(patch)
                calls.fail = (call, occurrence)
                try:
                    await store.put_many([(key, b"whole"), (key + "b", b"whole too")])
                except StoreError:
                    failures += 1
                    assert await store.get(key) in (None, b"whole")
            await store.put_many([(key, b"whole"), (key + "b", b"whole too")])
            assert await store.get_many([key, key + "b"]) == [b"whole", b"whole too"]
    assert failures >= 12
    assert list((tmp_path / ".tmp").iterdir()) == []


async def test_equal_bytes_are_written_anew_since_the_old_may_only_be_in_memory(
    store: FilesystemObjectStore, tmp_path: Path
) -> None:
    await store.put_many([("issuer/aa", b"same")])
    before = (tmp_path / "issuer/aa").stat().st_ino
    await store.put_many([("issuer/aa", b"same")])
    assert (tmp_path / "issuer/aa").stat().st_ino != before
    with pytest.raises(FatalError):
        await store.put_many([("issuer/aa", b"sama")])
    assert (tmp_path / "issuer/aa").read_bytes() == b"same"
    assert list((tmp_path / ".tmp").iterdir()) == []


async def test_immutable_files_are_read_only_and_sweep_takes_what_a_dead_process_left(
    store: FilesystemObjectStore, tmp_path: Path
) -> None:
    await store.put_many([("tile/0/000", b"x")])
    assert (tmp_path / "tile/0/000").stat().st_mode & 0o222 == 0
    (tmp_path / ".tmp/77-1").write_bytes(b"half")
    assert await store.list_keys("") == ["tile/0/000"]
    await store.sweep()
    assert list((tmp_path / ".tmp").iterdir()) == []
    assert await store.get("tile/0/000") == b"x"


async def test_no_key_leads_out_of_the_root(store: FilesystemObjectStore) -> None:
    for key in ("../x", "a/../../x", "/etc/passwd", "", "a//b", ".tmp/1-1", "a/.hidden", "a/b/", "a\x00b", "a\nb", "."):
        with pytest.raises(UsageError):
            await store.get(key)
        with pytest.raises(UsageError):
            await store.put_many([(key, b"x")])


async def test_the_folder_of_partial_tiles_goes_with_the_last_of_them(
    store: FilesystemObjectStore, tmp_path: Path
) -> None:
    await store.put_many([("tile/0/000.p/1", b"x"), ("tile/0/000.p/2", b"y")])
    await store.delete_many(["tile/0/000.p/1"])
    assert (tmp_path / "tile/0/000.p").is_dir()
    await store.delete_many(["tile/0/000.p/2"])
    assert not (tmp_path / "tile/0/000.p").exists()
    await store.put_many([("tile/0/000.p/3", b"z")])  # though it was known to be durable before
    assert await store.get("tile/0/000.p/3") == b"z"


async def test_a_stream_that_breaks_leaves_nothing(store: FilesystemObjectStore, tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        raise ConnectionResetError

    (tmp_path / ".tmp").mkdir()
    with pytest.raises((ConnectionResetError, StoreError)):
        await store.put_stream("runs/1", chunks())
    assert await store.get("runs/1") is None
    assert list((tmp_path / ".tmp").iterdir()) == []


def _try_lock(path: Path, answers: multiprocessing.Queue[str]) -> None:
    try:
        FolderLock(path)
        answers.put("taken")
    except ConfigError as error:
        answers.put(error.reason)


def test_the_lock_keeps_another_process_out(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with FolderLock(tmp_path / "lock"):
        other = context.Process(target=_try_lock, args=(tmp_path / "lock", answers))
        other.start()
        assert answers.get(timeout=30) == "second-writer"
        other.join()
        with pytest.raises(ConfigError):
            FolderLock(tmp_path / "lock")
    FolderLock(tmp_path / "lock").release()
    with pytest.raises(ConfigError):
        FolderLock(tmp_path / "no such folder" / "lock")
