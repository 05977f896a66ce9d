"""ctlog.fsck.span by itself: what a worker gives back, from a folder and from bytes alike."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ctlog.client.fetch import DirectoryFetcher
from ctlog.client.parallel import Span
from ctlog.folder import Folder
from ctlog.fsck.span import SpanTask, check_span, partial_files
from ctlog.merkle.hashing import fold, hash_leaves
from ctlog.wire.rfc6962 import entry_key
from ctlog.wire.static_ct import merkle_tree_leaves, parse_data_tile
from tests.whole_log import make_log


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_log(tmp_path_factory.mktemp("log") / "log", [300])


def read_all(folder: Folder) -> dict[str, bytes]:
    public = folder.path / "public"
    read = DirectoryFetcher(public).read
    paths = [str(path.relative_to(public)) for path in public.rglob("*") if path.is_file()]
    return {path: read(path) for path in paths}


def task(folder: Folder, **changes: object) -> SpanTask:
    whole = SpanTask(Span(0, 300), 300, 1 << 60, str(folder.path / "public"))
    return whole._replace(**changes)


def test_a_span_gives_what_the_whole_needs(folder: Folder) -> None:
    result = check_span(task(folder, with_keys=True))
    assert result.damages == []
    files = read_all(folder)
    leaves = parse_data_tile(files["tile/data/000"]) + parse_data_tile(files["tile/data/001.p/44"])
    assert result.parents == [fold(files["tile/0/000"])]
    assert result.by_data == result.by_tile == files["tile/0/001.p/44"]
    assert result.by_data == hash_leaves(merkle_tree_leaves(files["tile/data/001.p/44"]))
    assert result.keys == b"".join(entry_key(leaf.entry) for leaf in leaves)
    assert sum(count for _, count in result.issuers.values()) == 600
    assert set(result.domains.values()) <= {"tile/numbers/000", "tile/numbers/001.p/44"}
    assert {domain for _, domain in result.domains} == {"us-shaken", "rcs"}
    assert result.times[0] == (0, leaves[0].timestamp_ms)
    assert result.times[-1][1] == leaves[-1].timestamp_ms


def test_bytes_that_were_fetched_are_checked_like_a_folder(folder: Folder) -> None:
    from_folder, from_bytes = check_span(task(folder)), check_span(task(folder, files=read_all(folder)))
    assert from_folder == from_bytes


def test_a_full_tile_stands_in_for_a_partial_one_that_is_gone(folder: Folder) -> None:
    files = {path: data for path, data in read_all(folder).items() if ".p/" not in path}
    result = check_span(task(folder, span=Span(0, 200), size=200, files=files))
    assert result.damages == []
    assert result.parents == []
    assert result.by_data == files["tile/0/000"][: 200 * 32]


def test_entries_newer_than_the_head_are_named(folder: Folder) -> None:
    times = check_span(task(folder)).times
    result = check_span(task(folder, head_ms=times[-1][1] - 1))
    assert {damage.path for damage in result.damages} <= {"tile/data/000", "tile/data/001.p/44"}
    assert all("newer than the signed head" in damage.sentence for damage in result.damages)


def test_what_cannot_be_read_at_all_leaves_the_hashes_of_the_tile_above(folder: Folder) -> None:
    files = read_all(folder)
    without_data = {path: data for path, data in files.items() if "data" not in path}
    result = check_span(task(folder, files=without_data))
    assert result.parents == [fold(files["tile/0/000"])]
    assert (result.by_data, result.by_tile) == (None, files["tile/0/001.p/44"])
    result = check_span(task(folder, files={}))
    assert result.parents == [None]
    assert {damage.path for damage in result.damages} == {
        "tile/0/000", "tile/0/001.p/44", "tile/data/000", "tile/data/001.p/44",
    }  # fmt: skip


def test_one_file_is_complained_about_three_times_at_most(folder: Folder) -> None:
    files = read_all(folder)
    files["tile/numbers/000"] = files["tile/numbers/000"].replace(b'"v":1', b'"v":1 ')
    damages = check_span(task(folder, files=files)).damages
    assert [damage.path for damage in damages] == ["tile/numbers/000"] * 3


def test_a_line_of_another_version_is_compared_only_where_all_versions_agree(folder: Folder) -> None:
    files = read_all(folder)
    files["tile/numbers/000"] = files["tile/numbers/000"].replace(b'"v":1,', b'"v":9,').replace(b'"labels"', b'"marks"')
    assert check_span(task(folder, files=files)).damages == []
    line = files["tile/numbers/000"].splitlines()[7]
    digest = hashlib.sha256(b"another").hexdigest().encode()
    at = line.index(b'"certificate":"') + 15
    files["tile/numbers/000"] = files["tile/numbers/000"].replace(line[at : at + 64], digest)
    assert [damage.path for damage in check_span(task(folder, files=files)).damages] == ["tile/numbers/000"]


def test_partial_files_are_found_in_order(tmp_path: Path) -> None:
    for name in ("9", "10", ".10.mending", "x"):
        (tmp_path / "tile/0/000.p").mkdir(parents=True, exist_ok=True)
        (tmp_path / "tile/0/000.p" / name).touch()
    assert partial_files(tmp_path, "tile/0/000") == [(9, "tile/0/000.p/9"), (10, "tile/0/000.p/10")]
    assert partial_files(tmp_path, "tile/0/001") == partial_files(None, "tile/0/000") == []
