"""ctlog.cli.new_file: nothing is overwritten, nothing is there by halves."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ctlog.cli.new_file import check_new, keep_new, write_new
from ctlog.errors import UsageError


def reason(*paths: Path | None) -> str:
    with pytest.raises(UsageError) as caught:
        check_new(*paths)
    return caught.value.reason


def test_what_can_be_made(tmp_path: Path) -> None:
    check_new()
    check_new(None, tmp_path / "a", None, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there(tmp_path: Path) -> None:
    there, dangling = tmp_path / "there", tmp_path / "dangling"
    there.touch()
    dangling.symlink_to("nowhere")
    assert reason(tmp_path / "a", there) == reason(dangling) == reason(tmp_path) == "file-exists"


def test_one_file_by_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (Path("a"), Path("./a"), Path("link/a"), tmp_path / "a"):
        assert reason(Path("a"), None, other) == "same-file"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert reason(tmp_path / "nowhere" / "a") == reason(tmp_path / "file" / "a") == "no-place"


def test_a_file_is_there_whole_with_its_mode_and_nothing_beside_it(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"secret", 0o600)
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    mask = os.umask(0o027)
    try:
        write_new(tmp_path / "open", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o640
    assert {each.name for each in tmp_path.iterdir()} == {"key", "open"}


def test_a_file_that_came_into_being_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    check_new(path)
    path.write_bytes(b"first")
    with pytest.raises(FileExistsError):
        write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_disk_that_fills_up_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_new(tmp_path / "a", b"data")
    assert list(tmp_path.iterdir()) == []


def test_by_the_thousand_the_same_is_good_and_another_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert keep_new(path, b"first")
    assert keep_new(path, b"first")
    assert not keep_new(path, b"second")
    assert path.read_bytes() == b"first"
    (tmp_path / "folder").mkdir()
    assert not keep_new(tmp_path / "folder", b"x")
    assert {each.name for each in tmp_path.iterdir()} == {"a", "folder"}


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    write_new(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"second")
    assert not keep_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
