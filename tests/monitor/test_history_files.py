"""monitor.history_files: merging is sorting; a file is replaced as a whole. The rest is tested through the history."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor import history_files as files
from monitor.claims import RECORD_SIZE
from monitor.history_files import Run, merged, replace_file, sort_records, split_records
from tests.hot import need_hot

record = st.integers(0, 60).map(lambda value: bytes(39) + bytes([value]))


@given(st.lists(st.lists(record, min_size=1).map(lambda rows: sorted(set(rows))), min_size=1, max_size=5))
def test_merging_is_sorting(lists):
    before, files.MERGE_RECORDS = files.MERGE_RECORDS, 7  # some pieces from each run
    try:
        pieces = list(merged([Run(str(at), 0, b"".join(rows)) for at, rows in enumerate(lists)]))
    finally:
        files.MERGE_RECORDS = before
    assert split_records(b"".join(pieces)) == sorted({row for rows in lists for row in rows})
    assert all(len(piece) <= RECORD_SIZE * max(7, len(lists)) for piece in pieces)


both = pytest.mark.parametrize("hot", [files.HOT, None], ids=["c", "python"])


@both
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sorting(hot, monkeypatch, data):
    """Records that differ in their key or anywhere behind it, in runs and out of order, some of them twice."""
    monkeypatch.setattr(files, "HOT", hot)
    end = st.tuples(st.sampled_from([0, 1, 255]), st.integers(0, 39)).map(
        lambda each: bytes(each[1]) + bytes([each[0]]) * (RECORD_SIZE - each[1])
    )
    rows = data.draw(st.lists(end, max_size=60))
    cut = data.draw(st.integers(0, len(rows)))
    rows = sorted(rows[:cut]) + rows[cut:]
    assert split_records(sort_records(b"".join(rows))) == sorted(set(rows))


@need_hot
def test_half_a_record_is_refused():
    with pytest.raises(ValueError, match="40 bytes"):
        files.HOT.sort_records(bytes(41))


def test_places_in_a_run():
    rows = [bytes([value]) * 40 for value in (2, 2, 5, 9)]
    run = Run("run", 0, b"".join(rows))
    assert [run.find(bytes([value])) for value in (0, 2, 3, 5, 6, 10)] == [0, 0, 2, 2, 3, 4]
    assert run.records(1, 3) == rows[1:3]
    assert split_records(b"".join(rows)) == rows
    assert len(run) == 4


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    replace_file(path, b"one")
    monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError):
        replace_file(path, b"two")
    assert path.read_bytes() == b"one"
