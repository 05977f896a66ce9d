"""monitor.state.database: made once, opened whole or not at all, by one daemon at a time; transactions."""

import os
import shutil
import sqlite3

import pytest

from ctlog.errors import StoreError, UsageError
from monitor.state import State, database, make_state
from monitor.state.database import FILE_NAME, open_database
from monitor.state.schema import VERSION

NOW = 1_790_000_000_000


def reason(folder, **options):
    with pytest.raises(StoreError) as caught:
        open_database(folder, exclusive=options.get("exclusive", True))
    assert str(folder) in str(caught.value)
    return caught.value.reason


def test_a_state_is_made_only_once(tmp_path):
    make_state(tmp_path / "state", NOW)
    before = (tmp_path / "state" / FILE_NAME).read_bytes()
    with pytest.raises(UsageError, match="made only once"):
        make_state(tmp_path / "state", NOW + 1)
    assert (tmp_path / "state" / FILE_NAME).read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [FILE_NAME]


def test_an_unfinished_init_is_done_again(tmp_path):
    (tmp_path / (FILE_NAME + ".new")).write_bytes(b"half a file")
    make_state(tmp_path, NOW)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_lost_state_refuses_to_start(tmp_path):
    assert reason(tmp_path) == "state-missing"
    assert list(tmp_path.iterdir()) == []  # and nothing was made


def test_an_empty_state_refuses_to_start(tmp_path):
    (tmp_path / FILE_NAME).touch()
    assert reason(tmp_path) == "state-empty"
    assert (tmp_path / FILE_NAME).read_bytes() == b""


def test_a_state_of_zeros_refuses_to_start(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(bytes(8192))
    assert reason(tmp_path) == "state-damaged"


def test_another_program_s_file_refuses_to_start(tmp_path):
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert reason(tmp_path) == "state-foreign"


def test_a_newer_state_refuses_to_start(tmp_path):
    make_state(tmp_path, NOW)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    assert reason(tmp_path) == "state-newer"
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("at", [0, 100, 4096, 5 * 4096, 12 * 4096])  # the file's head, and the heads of pages
def test_a_damaged_state_refuses_to_start(tmp_path, at):
    make_state(tmp_path, NOW)
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    data[at : at + 600] = b"\xff" * 600
    path.write_bytes(data)
    assert reason(tmp_path) == "state-damaged"


def test_a_truncated_state_refuses_to_start(tmp_path):
    make_state(tmp_path, NOW)
    path = tmp_path / FILE_NAME
    os.truncate(path, path.stat().st_size // 2)
    assert reason(tmp_path) == "state-damaged"


async def test_two_daemons_on_one_state(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path):
        assert reason(tmp_path) == "state-locked"
        async with State.open(tmp_path, exclusive=False) as beside:  # a command may look, and write
            await beside.answers.put_meta("a", b"1")
            assert await beside.answers.get_meta("a") == b"1"
    async with State.open(tmp_path):
        pass


async def test_a_refused_start_lets_go_of_the_lock(tmp_path):
    make_state(tmp_path, NOW)
    shutil.copy(tmp_path / FILE_NAME, tmp_path / "good")
    (tmp_path / FILE_NAME).write_bytes(bytes(8192))
    assert reason(tmp_path) == "state-damaged"
    (tmp_path / "good").replace(tmp_path / FILE_NAME)
    async with State.open(tmp_path):
        pass


async def test_a_transaction_is_all_or_nothing(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as state:

        def work(connection):
            connection.execute("INSERT INTO meta VALUES ('half', 1)")
            connection.execute("INSERT INTO nowhere VALUES (1)")

        with pytest.raises(StoreError, match="nowhere"):
            await state.database.write(work)
        assert await state.answers.get_meta("half") is None
        await state.answers.put_meta("whole", b"1")  # the connection is usable


async def test_a_full_disk_says_so(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as state:
        pages = await state.database.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await state.database.read(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone())
        with pytest.raises(StoreError) as caught:
            await state.answers.put_meta("big", bytes(1 << 20))
        assert caught.value.reason == "disk-full"
        await state.database.read(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
        await state.answers.put_meta("big", bytes(1 << 20))
        assert await state.answers.get_meta("big") == bytes(1 << 20)


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (sqlite3.SQLITE_IOERR_SHMSIZE, "state-io", "look at the disk, which may be full: what is in the state is kept"),
        (sqlite3.SQLITE_FULL, "disk-full", "make room on the disk: what is in the state is kept"),
        (sqlite3.SQLITE_CANTOPEN, "state-closed", "call this as that user"),
        (sqlite3.SQLITE_READONLY, "state-closed", "call this as that user"),
        (sqlite3.SQLITE_BUSY, "state-busy", "cannot be opened: why$"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, "state-damaged", "restore it from a copy"),
        (sqlite3.SQLITE_CORRUPT, "state-damaged", "restore it from a copy"),
        (sqlite3.SQLITE_NOTADB, "state-damaged", "restore it from a copy"),
    ],
)
def test_only_what_is_damaged_is_to_be_restored(tmp_path, monkeypatch, code, reason, said):
    """A full disk, or another user's state, is no reason to move it away and begin anew."""
    make_state(tmp_path, NOW)

    def fail(path, mode):
        error = sqlite3.OperationalError("why")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(database, "_connect", fail)
    with pytest.raises(StoreError, match=said) as caught:
        open_database(tmp_path, exclusive=True)
    assert caught.value.reason == reason
    assert ("begin anew" in str(caught.value)) == (reason == "state-damaged")
