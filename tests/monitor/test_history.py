"""monitor.history: what was flushed is found, whatever was merged, and wherever it stopped."""

import os
import random
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import StoreError
from ctlog.tn.labels import ONE, Label
from monitor import history as history_module
from monitor import history_files as files
from monitor.claims import RECORD_SIZE, Claim, format_claim, label_key, numbers_between
from monitor.history import FULL, History, make_history


def claim(number, index=0, **changes):
    key = label_key(Label(ONE, str(number)))
    return Claim(key, 5000, 9000, 1, 2, b"sixsix", 7000, 0, False, index)._replace(**changes)


def found(history, number):
    return [each.log_index for each in history.lookup(Label(ONE, str(number)))]


@pytest.fixture
def folder(tmp_path):
    make_history(tmp_path / "history")
    return tmp_path / "history"


def test_found_at_once_and_after_a_restart(folder):
    history = History(folder)
    history.append(b"".join([format_claim(claim(7, index)) for index in (3, 1)]))
    assert found(history, 7) == [1, 3]
    history.flush()
    history.append(b"".join([format_claim(claim(7, 9))]))
    history.close()
    again = History(folder)
    assert found(again, 7) == [1, 3]  # what was not flushed is gone
    assert found(again, 8) == []
    assert len(again) == 2


def test_logs_have_numbers_that_stay(folder):
    history = History(folder)
    assert [history.log_number(bytes([at]) * 32) for at in (5, 6, 5)] == [0, 1, 0]
    history.close()
    history = History(folder)
    assert history.log_number(bytes([6]) * 32) == 1
    assert history.log_id(0) == bytes([5]) * 32
    history.close()


def test_many_logs_and_one_too_many(folder, monkeypatch):
    """Logs that ended keep their numbers, for their claims are kept. Here there is room for 300."""
    monkeypatch.setattr(history_module, "MAX_LOGS", 300)
    history = History(folder)
    logs = [number.to_bytes(32, "big") for number in range(300)]
    for at, log_id in enumerate(logs):
        number = history.log_number(log_id)
        history.append(format_claim(claim(7, at, log=number)))
    history.flush()
    for _ in range(2):
        with pytest.raises(StoreError, match="300 logs") as caught:
            history.log_number(bytes([9]) * 32)
        assert caught.value.reason == FULL
    history.close()
    history = History(folder)
    claims = history.lookup(Label(ONE, "7"))
    assert [(history.log_id(each.log), each.log_index) for each in sorted(claims, key=lambda each: each.log_index)] == [
        (log_id, at) for at, log_id in enumerate(logs)
    ]
    assert history.log_number(logs[299]) == 299


def test_names_have_numbers_that_stay(folder):
    history = History(folder)
    names = ["", "Carrier", "Örtel", "x" * 5000, "\udcff", "Carrier"]
    numbers = [history.name_number(name) for name in names]
    assert numbers == [0, 1, 2, 3, 4, 1]
    assert [history.name(number) for number in (0, 1, 2, 99)] == ["", "Carrier", "Örtel", ""]
    history.append(b"".join([format_claim(claim(7, issuer=1))]))
    history.flush()
    assert history.name_number("lost") == 5
    history.close()
    with (folder / "names").open("ab") as file:
        file.write(b"\x00\x09half")
    history = History(folder)
    assert [history.name_number(name) for name in names] == numbers
    assert history.name_number("found") == 5
    history.append(b"".join([format_claim(claim(7, issuer=5))]))
    history.flush()
    history.close()
    assert History(folder).name(5) == "found"


def test_a_flood_of_names_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(files, "MAX_NAMES", 3)
    history = History(folder)
    numbers = [history.name_number(name) for name in "abcde"]
    assert numbers[:3] == [1, 2, 3]
    assert files.HASHED <= min(numbers[3:]) <= max(numbers[3:]) < 1 << 32
    assert numbers[3] != numbers[4]
    assert [history.name_number(name) for name in "abcde"] == numbers
    assert [history.name(number) for number in numbers[2:]] == ["c", "", ""]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(
    st.lists(st.tuples(st.integers(10, 40), st.integers(0, 30)), max_size=30),
    st.sampled_from(["flush", "tidy", "restart"])), max_size=30))  # fmt: skip
def test_like_a_set_of_claims(tmp_path_factory, steps):
    """Against the simplest model: a set, and what a restart leaves of it."""
    folder = tmp_path_factory.mktemp("history")
    make_history(folder)
    history = History(folder, tail_records=20, fan_in=2)
    seen, durable = set(), set()
    for step in steps:
        if isinstance(step, list):
            new = [claim(number, index) for number, index in step]
            history.append(b"".join([format_claim(each) for each in new]))
            seen.update(new)
        elif step == "flush":
            history.flush()
            durable = set(seen)
        elif step == "tidy":
            history.tidy()
        else:
            history.close()
            history = History(folder, tail_records=20, fan_in=2)
            seen = set(durable)
        for number in (10, 25, 40):
            assert history.lookup(Label(ONE, str(number))) == sorted(c for c in seen if c.label == claim(number).label)
        lo, hi = numbers_between(2, 15, 30)
        inside = sorted(each for each in seen if lo <= each.label < hi)
        assert history.between(lo, hi) == inside
        assert history.between(lo, hi, limit=3) == inside[:3]
    everything = {record for piece in history.scan(3) for record in piece}
    assert everything == {format_claim(each) for each in seen}


def test_runs_are_merged_into_few(folder, monkeypatch):
    monkeypatch.setattr(files, "MERGE_RECORDS", 64)
    history = History(folder, tail_records=100, fan_in=3)
    numbers = list(range(10_000, 14_000))
    random.Random(1).shuffle(numbers)
    for at in range(0, 4000, 100):
        history.append(b"".join([format_claim(claim(number)) for number in numbers[at : at + 100]]))
        history.flush()
        while history.tidy():
            pass
    assert len(history.runs) <= 8
    assert [run.level for run in history.runs] == sorted((run.level for run in history.runs), reverse=True)
    assert len(history) == 4000
    assert all(found(history, number) == [0] for number in numbers[::97])
    for run in history.runs:
        records = run.records(0, len(run))
        assert records == sorted(set(records))
    names = {path.name for path in folder.iterdir()}
    assert len(names) == len(history.runs) + 3  # the manifest, the names and the tail: nothing is left lying about


def test_twice_is_once_after_a_merge(folder):
    history = History(folder, tail_records=2, fan_in=2)
    for _ in range(4):
        history.append(b"".join([format_claim(claim(1, 1)), format_claim(claim(2, 2))]))
        history.flush()
    while history.tidy():
        pass
    assert len(history) == 2
    assert found(history, 1) == [1]


def test_half_a_record_at_the_end_is_cut(folder):
    history = History(folder)
    history.append(b"".join([format_claim(claim(7, 1))]))
    history.flush()
    history.close()
    with next(folder.glob("tail-*")).open("ab") as file:
        file.write(b"half")
    history = History(folder)
    history.append(b"".join([format_claim(claim(7, 2))]))
    history.flush()
    history.close()
    assert found(History(folder), 7) == [1, 2]


class _Disk:
    """`os.pwrite` of a disk that takes only a part, once."""

    def __init__(self, part):
        self.part, self.real, self.failed = part, os.pwrite, False

    def __call__(self, handle, data, offset):
        if self.failed:
            return self.real(handle, data, offset)
        self.failed = True
        self.real(handle, data[: self.part], offset)
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("part", [0, 13, RECORD_SIZE, RECORD_SIZE + 1])
def test_a_full_disk_loses_nothing(folder, monkeypatch, part):
    history = History(folder)
    history.append(b"".join([format_claim(claim(7, index)) for index in (1, 2, 3)]))
    monkeypatch.setattr(os, "pwrite", _Disk(part))
    with pytest.raises(StoreError, match="No space left"):
        history.flush()
    assert found(history, 7) == [1, 2, 3]
    history.append(b"".join([format_claim(claim(7, 4))]))
    history.flush()
    history.close()
    assert found(History(folder), 7) == [1, 2, 3, 4]


def test_killed_at_every_step(folder, tmp_path, monkeypatch):
    """A copy of the folder is taken before every change to it: each of them opens, and holds what was flushed."""
    copies = []

    def copying(real):
        def call(*args, **options):
            copies.append((shutil.copytree(folder, tmp_path / f"copy-{len(copies)}"), durable))
            return real(*args, **options)

        return call

    durable = 0
    history = History(folder, tail_records=3, fan_in=2)
    for name in ("pwrite", "fdatasync", "fsync"):
        monkeypatch.setattr(os, name, copying(getattr(os, name)))
    monkeypatch.setattr(Path, "replace", copying(Path.replace))
    monkeypatch.setattr(Path, "unlink", copying(Path.unlink))
    for number in range(10, 30):
        history.append(b"".join([format_claim(claim(number))]))
        history.flush()
        durable = number - 9
        history.tidy()
    monkeypatch.undo()
    assert len(copies) > 80
    for copy, count in copies:
        opened = History(copy)
        assert all(found(opened, number) == [0] for number in range(10, 10 + count))
        known = {path.name for path in copy.iterdir()}
        assert len(known) == len(opened.runs) + 3
        opened.close()


def test_a_lost_history_is_not_made_anew(folder):
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="is missing") as caught:
        History(folder)
    assert caught.value.reason == "history-missing"
    assert not folder.exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"version":1}', b"\xff"])
def test_a_damaged_manifest(folder, damage):
    (folder / "manifest").write_bytes(damage)
    with pytest.raises(StoreError) as caught:
        History(folder)
    assert caught.value.reason == "history-damaged"


def test_a_lost_or_cut_run(folder):
    history = History(folder, tail_records=1)
    history.append(b"".join([format_claim(claim(7))]))
    history.flush()
    history.close()
    run = next(folder.glob("run-*"))
    os.truncate(run, 13)
    with pytest.raises(StoreError, match="not whole"):
        History(folder)
    run.unlink()
    with pytest.raises(StoreError, match="missing"):
        History(folder)


def test_labels_of_another_version(folder):
    text = (folder / "manifest").read_text()
    (folder / "manifest").write_text(text.replace('"labels": 1', '"labels": 2'))
    with pytest.raises(StoreError) as caught:
        History(folder)
    assert caught.value.reason == "history-version"


def test_merged_in_another_thread_while_it_is_read(folder):
    history = History(folder, tail_records=50, fan_in=2)
    stop = threading.Event()
    failures = []

    def merge():
        try:
            while not stop.is_set():
                history.tidy()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=merge)
    thread.start()
    try:
        for number in range(10_000, 13_000):
            history.append(b"".join([format_claim(claim(number))]))
            if number % 50 == 0:
                history.flush()
                assert found(history, number) == [0]
                assert found(history, 10_000 + (number - 10_000) // 2) == [0]
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert len(history) == 3000
    assert max(run.level for run in history.runs) > 1
