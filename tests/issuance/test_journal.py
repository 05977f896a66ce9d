"""ctlog.issuance.journal: what it says is on the disk, what it refuses, and whom it belongs to."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import StoreError, UsageError
from ctlog.issuance.journal import Begun, Entry, Finished, Journal

ABOUT = {"CA": "Example", "kind of certificate": "embedded"}


def begun(n: int) -> Begun:
    return Begun(b"%032d" % n, b"c%d" % n, b"s%d" % n)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "orders.journal"


def reason(path: Path, about: dict[str, str] = ABOUT) -> str:
    with pytest.raises(UsageError) as caught:
        Journal(path, about)
    return caught.value.reason


def test_two_steps_survive_closing(path: Path) -> None:
    journal = Journal(path, ABOUT)
    assert journal.find(begun(1).key) is None
    one, two = journal.write([begun(1), begun(2)])
    journal.write(finished=[Finished(two, b"certificate", b"scts")])
    journal.close()
    journal = Journal(path, ABOUT)
    assert journal.find(begun(1).key) == Entry(one, b"c1", b"s1")
    found = journal.find(begun(2).key)
    assert found == Entry(two, b"c2", b"s2", b"certificate", b"scts")
    assert found.is_finished
    assert journal.counts() == (2, 1)
    journal.close()


def test_the_third_step_says_who_is_logged(path: Path) -> None:
    journal = Journal(path, ABOUT)
    one, two = journal.write([begun(1), begun(2)])
    journal.write(finished=[Finished(one, b"x", b"y"), Finished(two, b"x", b"y")], logged=[one])
    journal.write(logged=[one])  # said twice, it is still so
    journal.close()
    journal = Journal(path, ABOUT)
    found = [journal.find(begun(n).key) for n in (1, 2)]
    assert [entry is not None and entry.is_logged for entry in found] == [True, False]
    journal.close()


def test_a_journal_of_version_1_goes_on(path: Path) -> None:
    """As runs before the third step left it. What it knew it knows, and of nothing that it was logged."""
    journal = Journal(path, ABOUT)
    (place,) = journal.write([begun(1)], logged=[])
    journal.write(finished=[Finished(place, b"certificate", b"scts")])
    journal._db.execute("DROP TABLE logged")
    journal._db.execute("PRAGMA user_version = 1")
    journal.close()
    for is_logged in (False, True):
        journal = Journal(path, ABOUT)
        assert journal.find(begun(1).key) == Entry(place, b"c1", b"s1", b"certificate", b"scts", is_logged)
        journal.write(logged=[place])
        journal.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    assert reason(path) == "not-a-journal"


def test_an_order_begins_once_and_ends_once(path: Path) -> None:
    """All or nothing: what stands beside a second beginning is not begun either."""
    journal = Journal(path, ABOUT)
    (place,) = journal.write([begun(1)])
    with pytest.raises(StoreError):
        journal.write([begun(2), begun(1)])
    with pytest.raises(StoreError, match="opened anew"):
        journal.write([begun(4)])
    journal.close()
    journal = Journal(path, ABOUT)
    assert journal.find(begun(2).key) is None
    journal.write(finished=[Finished(place, b"first", b"")])
    (other,) = journal.write([begun(3)])
    with pytest.raises(StoreError):
        journal.write(finished=[Finished(other, b"x", b""), Finished(place, b"second", b"")])
    assert journal.find(begun(1).key) == Entry(place, b"c1", b"s1", b"first", b"")
    assert journal.find(begun(3).key) == Entry(other, b"c3", b"s3")
    journal.close()


def test_one_process_at_a_time(path: Path) -> None:
    """Two runs at once would each begin what the other has not written down yet."""
    journal = Journal(path, ABOUT)
    assert reason(path) == "journal-in-use"
    journal.write([begun(1)])
    assert reason(path) == "journal-in-use"
    journal.close()
    Journal(path, ABOUT).close()


def test_it_belongs_to_one_ca_and_one_kind(path: Path) -> None:
    Journal(path, ABOUT).close()
    assert reason(path, {**ABOUT, "CA": "Other"}) == "other-journal"
    assert reason(path, {**ABOUT, "more": "x"}) == "other-journal"
    Journal(path, {"CA": "Example"}).close()


@pytest.mark.parametrize("content", [b"id,number,key\n", b"\x00" * 8192, b"SQLite format 3\x00 and no more"])
def test_a_file_that_is_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    assert reason(path) == "not-a-journal"
    assert path.read_bytes() == content


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "receipts.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE receipts (x)")
    db.commit()
    db.close()
    assert reason(path) == "not-a-journal"


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert reason(tmp_path / "file" / "journal") == "not-a-journal"
    assert reason(tmp_path) == "not-a-journal"


def test_what_was_said_to_be_done_survives_a_kill(path: Path) -> None:
    """The process is killed in the middle of its writing: everything that it had said is there, and opens."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ctlog.issuance.journal import *\n"
        "journal = Journal(Path(sys.argv[1]), {'CA': 'Example', 'kind of certificate': 'embedded'})\n"
        "for n in range(50):\n"
        "    (place,) = journal.write([Begun(b'%032d' % n, b'c', b's')])\n"
        "    print('begun', n, flush=True)\n"
        "    if n % 2:\n"
        "        journal.write(finished=[Finished(place, b'x', b'y')])\n"
        "        print('finished', n, flush=True)\n"
        "journal._db.execute('BEGIN IMMEDIATE')\n"
        "journal._db.execute('DELETE FROM finished')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == -9, run.stderr
    said = [line.split() for line in run.stdout.splitlines()]
    assert len(said) == 75
    journal = Journal(path, ABOUT)
    for what, n in said:
        entry = journal.find(b"%032d" % int(n))
        assert entry is not None
        assert what == "begun" or entry.is_finished
    assert journal.counts() == (50, 25)
    journal.close()


def test_a_disk_that_is_full_is_said(path: Path) -> None:
    journal = Journal(path, ABOUT)
    journal._db.execute("PRAGMA max_page_count = 20")
    journal.write([begun(1)])
    with pytest.raises(StoreError, match="full"):
        journal.write([Begun(b"%032d" % n, b"c", bytes(4000)) for n in range(2, 50)])
    journal.close()
    journal = Journal(path, ABOUT)
    assert journal.counts() == (1, 0)
    journal.close()
    with pytest.raises(StoreError):
        journal.write([begun(1)])
    with pytest.raises(StoreError):
        journal.find(begun(1).key)


STEPS = st.lists(st.tuples(st.sampled_from("bfo"), st.sets(st.integers(0, 9), min_size=1)), max_size=12)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_it_is_a_dictionary_that_is_never_taken_back(steps: list[tuple[str, set[int]]]) -> None:
    """Whatever is begun, finished and opened anew in whatever order: it knows what a plain model knows."""
    model: dict[int, Entry] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        journal = Journal(path, ABOUT)
        for step, numbers in steps:
            if step == "o":
                journal.close()
                journal = Journal(path, ABOUT)
            elif step == "b":
                new = [n for n in sorted(numbers) if n not in model]
                for n, place in zip(new, journal.write([begun(n) for n in new]), strict=True):
                    model[n] = Entry(place, b"c%d" % n, b"s%d" % n)
            else:
                ready = [n for n in sorted(numbers) if n in model and not model[n].is_finished]
                journal.write(finished=[Finished(model[n].place, b"x%d" % n, b"y") for n in ready])
                for n in ready:
                    model[n] = model[n]._replace(certificate=b"x%d" % n, scts=b"y")
        assert {n: entry for n in range(10) if (entry := journal.find(begun(n).key))} == model
        assert len({entry.place for entry in model.values()}) == len(model)
        journal.close()
