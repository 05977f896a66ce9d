"""ctlog.fsck.stores: look-ups and head store against what is published."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctlog.client.fetch import DirectoryFetcher
from ctlog.folder import Folder, open_folder
from ctlog.fsck.sources import FolderSource
from ctlog.fsck.stores import LookupCheck, check_heads
from ctlog.fsck.whole import Options, Report, check_log
from ctlog.merkle.hashing import leaf_hash
from ctlog.sequencer.forms import StaticCtForm
from ctlog.sequencer.signer import sign_head
from ctlog.store import LookupRow
from ctlog.store.lookups import SqliteLookupStore
from tests.whole_log import make_log


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_log(tmp_path_factory.mktemp("log") / "log", [40, 30])


@pytest.fixture
def folder(original: Folder, tmp_path: Path) -> Folder:
    shutil.copytree(original.path, tmp_path / "log")
    for path in original.path.parent.glob("log.heads.sqlite*"):
        shutil.copy(path, tmp_path)
    return open_folder(tmp_path / "log")


@contextmanager
def sql(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    with connection:
        yield connection
    connection.close()


def check(folder: Folder) -> Report:
    return asyncio.run(_check(folder))


async def _check(folder: Folder) -> Report:
    signer = folder.signer()
    lookups = await LookupCheck.open(folder.path / "lookup.sqlite", signer.log_id)
    options = Options(with_keys=lookups.wanted, processes=1, on_span=lookups.check)
    report = check_log(FolderSource(folder.path / "public"), signer.key, signer.checkpoint_key, options)
    size = await check_heads(folder.config.head_store_path(folder.path), signer.key, signer.checkpoint_key, report)
    await lookups.close(size, report)
    return report


def named(report: Report) -> set[str]:
    return {Path(damage.path).name for damage in report.damages}


def test_a_whole_log_is_clean_and_nothing_was_written(folder: Folder) -> None:
    before = (folder.path / "lookup.sqlite").read_bytes()
    report = check(folder)
    assert report.clean
    assert report.notes == []
    assert (folder.path / "lookup.sqlite").read_bytes() == before


def test_missing_look_ups_are_only_worth_a_note(folder: Folder) -> None:
    for path in folder.path.glob("lookup.sqlite*"):
        path.unlink()
    report = check(folder)
    assert report.clean
    assert "the next start makes them" in report.notes[0]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entry WHERE place = 7",
        "UPDATE entry SET place = 8 WHERE place = 7",
        "UPDATE entry SET prefix = prefix + 1 WHERE place = 7",
        "DELETE FROM leaf",
        "UPDATE times SET timestamp_ms = timestamp_ms + 1",
        "DROP TABLE certificate",
        "PRAGMA application_id = 5",
    ],
)
def test_look_ups_that_rotted_are_named(folder: Folder, statement: str) -> None:
    with sql(folder.path / "lookup.sqlite") as connection:
        connection.execute(statement)
    assert named(check(folder)) == {"lookup.sqlite"}


def test_look_ups_of_another_log_of_that_size_are_named(folder: Folder, tmp_path: Path) -> None:
    other = make_log(tmp_path / "other" / "log", [60, 10])
    shutil.copy(other.path / "lookup.sqlite", folder.path)
    assert named(check(folder)) == {"lookup.sqlite"}


def rewrite(folder: Folder, change: Callable[[list[LookupRow]], list[LookupRow]]) -> None:
    """Make the look-ups anew, whole in themselves, from rows that were changed."""
    read = DirectoryFetcher(folder.path / "public").read
    stored = StaticCtForm().stored(read("tile/data/000.p/70"))
    rows = [LookupRow(e.timestamp_ms, e.entry_key, leaf_hash(e.leaf), e.certificate_hash) for e in stored]
    for path in folder.path.glob("lookup.sqlite*"):
        path.unlink()

    async def make() -> None:
        store = SqliteLookupStore(folder.path / "lookup.sqlite", folder.signer().log_id)
        await store.add(0, change(rows))
        await store.close()

    asyncio.run(make())


def swapped(rows: list[LookupRow]) -> list[LookupRow]:
    keys = [row.entry_key for row in rows]
    keys[3], keys[4] = keys[4], keys[3]
    return [row._replace(entry_key=key) for row, key in zip(rows, keys, strict=True)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows, None),
        (lambda rows: rows[:50], None),
        (lambda rows: [rows[0]._replace(entry_key=bytes(32)), *rows[1:]], "does not lead to the entries"),
        (swapped, "does not lead to the entries"),
        (lambda rows: [*rows[:9], rows[9]._replace(timestamp_ms=5), *rows[10:]], "its times are not"),
        (lambda rows: [*rows, rows[0]], "covers more than the 70 entries"),
    ],
    ids=["the same", "fewer", "a wrong key", "two keys swapped", "a wrong time", "more"],
)
def test_look_ups_that_tell_of_other_entries_are_named(
    folder: Folder, change: Callable[[list[LookupRow]], list[LookupRow]], words: str | None
) -> None:
    rewrite(folder, change)
    report = check(folder)
    assert named(report) == (set() if words is None else {"lookup.sqlite"})
    assert words is None or words in report.damages[0].sentence


def test_look_ups_that_are_no_database_are_named(folder: Folder) -> None:
    (folder.path / "lookup.sqlite").write_bytes(b"hello" * 1000)
    assert named(check(folder)) == {"lookup.sqlite"}


def set_head(folder: Folder, size: int, root: bytes, timestamp_ms: int) -> None:
    note = sign_head(folder.signer(), size, root, timestamp_ms).note
    with sql(folder.config.head_store_path(folder.path)) as connection:
        connection.execute("UPDATE heads SET head = ?", (note,))


def test_the_head_store_must_not_be_behind_or_beside_what_is_published(folder: Folder) -> None:
    head = check(folder).head
    assert head is not None
    heads = folder.config.head_store_path(folder.path).name
    set_head(folder, 60, bytes(32), head.timestamp_ms - 1000)
    assert named(check(folder)) == {heads}
    set_head(folder, 70, bytes(32), head.timestamp_ms)
    assert named(check(folder)) == {heads}
    set_head(folder, 70, head.root, head.timestamp_ms - 1)
    assert named(check(folder)) == {heads}
    set_head(folder, 75, bytes(32), head.timestamp_ms + 5)
    report = check(folder)
    assert report.clean
    assert "5 entries further than what is published" in report.notes[0]


def test_a_log_without_a_checkpoint_is_published_again_by_the_next_start(folder: Folder) -> None:
    (folder.path / "public" / "checkpoint").unlink()
    report = check(folder)
    assert named(report) == {"checkpoint"}
    assert any("the next start publishes it again" in note for note in report.notes)


def test_a_head_store_that_is_missing_damaged_or_another_logs_is_named(folder: Folder, tmp_path: Path) -> None:
    heads = folder.config.head_store_path(folder.path)
    with sql(heads) as connection:
        connection.execute("UPDATE heads SET head = ?", (b"hello",))
    assert named(check(folder)) == {heads.name}
    other = make_log(tmp_path / "other" / "log", [])
    shutil.copy(other.config.head_store_path(other.path), heads)
    assert named(check(folder)) == {heads.name}
    for path in heads.parent.glob(f"{heads.name}*"):
        path.unlink()
    assert named(check(folder)) == {heads.name}
