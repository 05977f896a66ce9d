"""ctlog.client.parallel: spans hashed apart make the same tree, in one process or in several; damage is named."""

from __future__ import annotations

import functools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.parallel import (
    Damage,
    Span,
    check_folder_span,
    cores,
    map_in_order,
    plan_spans,
    span_range,
    tile_leaf_hashes,
)
from ctlog.errors import MalformedError, UsageError
from ctlog.merkle.tiles import Tile
from ctlog.merkle.tree import CompactRange, Frontier, merge_ranges
from tests.simulator import Simulator

LOG = Simulator()
HEAD = LOG.grow(3000)


@pytest.fixture
def folder(tmp_path):
    LOG.dump(tmp_path)
    return tmp_path


def check(folder, tiles: int = 4, processes: int = 1):
    job = functools.partial(check_folder_span, str(folder))
    return list(map_in_order(job, plan_spans(0, HEAD.size, tiles), processes))


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def fail_at_three(number: int) -> int:
    if number == 3:
        raise MalformedError("three")
    return number


@given(st.integers(0, 40), st.integers(0, 9000), st.integers(1, 20))
def test_spans_tile_the_log_and_begin_where_tiles_do(first, more, tiles):
    lo, hi = 256 * first, 256 * first + more
    spans = plan_spans(lo, hi, tiles)
    assert [span.lo for span in spans] + [hi] * bool(spans) == [lo] * bool(spans) + [span.hi for span in spans]
    for span in spans:
        assert span.lo % 256 == 0
        assert 0 < span.hi - span.lo <= 256 * tiles
        assert sum(tile.width for tile in span.tiles) == span.hi - span.lo
        assert span.tiles[0].index == span.lo // 256


@pytest.mark.parametrize(("lo", "hi", "tiles"), [(1, 5, 1), (256, 0, 1), (0, 5, 0), (-256, 5, 1)])
def test_spans_that_are_none(lo, hi, tiles):
    with pytest.raises(UsageError):
        plan_spans(lo, hi, tiles)


def test_a_span_of_tiles_is_a_range():
    span = Span(512, 1100)
    datas = [LOG.tree.data(tile.index, tile.width) for tile in span.tiles]
    assert span.tiles == [Tile(0, 2, 256), Tile(0, 3, 256), Tile(0, 4, 76)]
    assert tile_leaf_hashes(datas) == LOG.tree.levels[0][32 * 512 : 32 * 1100]
    assert span_range(512, datas) == CompactRange.from_leaves(512, LOG.tree.levels[0][32 * 512 : 32 * 1100])
    with pytest.raises(MalformedError):
        tile_leaf_hashes([datas[0][:-1]])


@pytest.mark.parametrize("processes", [1, 2])
def test_spans_hashed_apart_make_the_signed_tree(folder, processes):
    reports = check(folder, processes=processes)
    assert len(reports) == 3
    assert not [damage for report in reports for damage in report.damages]
    whole = merge_ranges(report.hashes for report in reports)
    assert Frontier().extend(whole).head() == (HEAD.size, HEAD.root)


def test_a_partial_tile_may_have_been_replaced_by_the_full_one(folder):
    LOG.dump(folder)
    (folder / "tile/data/011.p/184").unlink()
    assert [damage.path for report in check(folder) for damage in report.damages] == ["tile/data/011.p/184"]
    longer = Simulator()
    longer.grow(3000)
    longer.grow(300)
    longer.dump(folder)
    (folder / "tile/0/011.p/184").unlink()
    reports = check(folder)
    assert not [damage for report in reports for damage in report.damages]
    assert Frontier().extend(merge_ranges(report.hashes for report in reports)).root() == HEAD.root


def flip(path):
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("path", "named"),
    [("tile/0/005", ["tile/0/005"]), ("tile/data/005", ["tile/data/005"]), ("tile/0/011.p/184", ["tile/0/011.p/184"])],
)
@pytest.mark.parametrize("how", [flip, cut, lambda path: path.unlink()])
def test_each_damaged_file_is_named(folder, path, named, how):
    how(folder / path)
    reports = check(folder)
    assert [damage.path for report in reports for damage in report.damages] == named
    is_data = path.startswith("tile/data")
    assert [report.hashes is None for report in reports] == [False, is_data, False]


def test_an_entry_that_was_exchanged_is_seen_at_the_hash_tile(folder):
    other = Simulator()
    other.grow(3000)
    other.swap_entry(300)
    other.dump(folder)
    reports = check(folder)
    assert reports[0].damages == (Damage("tile/0/001", "its hashes are not those of the entries in the data tile"),)
    assert Frontier().extend(merge_ranges(report.hashes for report in reports)).root() != HEAD.root


def test_too_few_entries_in_a_tile(folder):
    (folder / "tile/data/005").write_bytes(LOG.tree.data(5, 255))
    assert check(folder)[1].damages == (Damage("tile/data/005", "it has 255 entries, not 256"),)


def test_map_in_order_uses_other_processes_and_keeps_the_order():
    assert [value for value, _ in map_in_order(square, range(30), 2)] == [number * number for number in range(30)]
    pids = {pid for _, pid in map_in_order(square, range(30), 2)}
    assert os.getpid() not in pids
    assert {pid for _, pid in map_in_order(square, range(30), 1)} == {os.getpid()}
    assert {pid for _, pid in map_in_order(square, [5], 2)} == {os.getpid()}
    assert list(map_in_order(square, [], 2)) == []
    assert cores() >= 1


class Counter:
    """A job that remembers how often it was done."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, item: int) -> tuple[int, int]:
        self.times += 1
        return os.getpid(), self.times


@pytest.mark.parametrize("processes", [1, 2])
def test_each_process_has_one_job_from_beginning_to_end(processes):
    seen = list(map_in_order(Counter(), range(30), processes))
    for pid in {pid for pid, _ in seen}:
        assert [times for other, times in seen if other == pid] == list(range(1, 1 + [p for p, _ in seen].count(pid)))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_a_worker_is_raised_here(processes):
    results = map_in_order(fail_at_three, range(10), processes)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(MalformedError, match="three"):
        next(results)


def test_items_are_taken_only_as_far_ahead_as_there_is_work():
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    results = map_in_order(square, items(), 2)
    next(results)
    assert len(taken) <= 5
    results.close()
