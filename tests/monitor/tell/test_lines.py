"""monitor.tell.lines: a line on the disk, or none; nothing that hangs."""

import asyncio
import errno
import io
import json
import os
import threading

import pytest

from ctlog.errors import UsageError
from monitor.tell import lines
from monitor.tell.channel import DeliveryError
from monitor.tell.letter import make_letter
from monitor.tell.lines import FileChannel, StdoutChannel, json_line
from tests.tell_kit import row

LETTER = make_letter(row(1, summary="S1 +12025550123: certificate by Rogue\nCA\u202e: not yours?"))


def channel(folder, path="alerts.jsonl"):
    return FileChannel("log", {"kind": "file", "path": path}, folder)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_one_line_for_each(tmp_path):
    file = channel(tmp_path)
    await file.send(LETTER)
    await file.send(make_letter(row(2)))
    first, second = read(tmp_path / "alerts.jsonl")
    assert first["message"] == LETTER.id
    assert first["type"] == "alert"
    assert first["time"] == "2026-09-21T06:00:00Z"
    assert first["data"]["severity"] == 1
    assert "\\u{202e}" in first["subject"]
    assert second["data"]["id"] == f"{2:064x}"
    assert (tmp_path / "alerts.jsonl").stat().st_mode & 0o777 == 0o600
    assert file.where == str(tmp_path / "alerts.jsonl")


def test_nothing_that_anybody_writes_breaks_a_line():
    assert json_line(LETTER).count(b"\n") == 1


async def test_rotated_files_are_left_and_a_new_one_is_made(tmp_path):
    file = channel(tmp_path)
    await file.send(LETTER)
    (tmp_path / "alerts.jsonl").rename(tmp_path / "alerts.jsonl.1")
    await file.send(LETTER)
    assert len(read(tmp_path / "alerts.jsonl")) == len(read(tmp_path / "alerts.jsonl.1")) == 1


async def test_a_line_that_was_cut_off_by_a_crash_spoils_no_other(tmp_path):
    (tmp_path / "alerts.jsonl").write_text('{"message": "cut o')
    await channel(tmp_path).send(LETTER)
    assert json.loads((tmp_path / "alerts.jsonl").read_text().splitlines()[1])["message"] == LETTER.id


async def test_a_disk_that_fills_up_in_the_middle_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    file = channel(tmp_path)
    await file.send(LETTER)
    before, write, calls = (tmp_path / "alerts.jsonl").read_bytes(), os.write, []

    def full(handle, data):
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, bytes(data[:10]))

    monkeypatch.setattr(lines.os, "write", full)
    with pytest.raises(DeliveryError, match="No space left on device"):
        await file.send(LETTER)
    monkeypatch.undo()
    assert len(calls) == 2
    assert (tmp_path / "alerts.jsonl").read_bytes() == before
    await file.send(LETTER)
    assert len(read(tmp_path / "alerts.jsonl")) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
async def test_a_really_full_device():
    with pytest.raises(DeliveryError, match="cannot be written"):
        await FileChannel("log", {"kind": "file", "path": "/dev/full"}, lines.Path()).send(LETTER)


async def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DeliveryError, match="No such file"):
        await channel(tmp_path, "none/alerts.jsonl").send(LETTER)


async def test_a_disk_that_hangs_holds_one_thread_and_no_more(tmp_path, monkeypatch):
    file, released, threads = channel(tmp_path), threading.Event(), threading.active_count()
    monkeypatch.setattr(lines.os, "fsync", lambda handle: released.wait(5))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(file.send(LETTER), 0.02)
    for _ in range(3):
        with pytest.raises(DeliveryError, match="an earlier line is still being written"):
            await file.send(LETTER)
    assert threading.active_count() <= threads + 1
    released.set()


async def test_standard_output(tmp_path):
    out = io.BytesIO()
    await StdoutChannel("out", {"kind": "stdout"}, out).send(LETTER)
    assert out.getvalue() == json_line(LETTER)
    out = io.BytesIO()
    text = StdoutChannel("out", {"kind": "stdout", "format": "text"}, out)
    await text.send(LETTER)
    assert out.getvalue().decode().startswith(LETTER.subject)
    assert text.where == "standard output"


async def test_a_reader_that_is_gone():
    class Broken(io.BytesIO):
        def flush(self):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(DeliveryError, match="Broken pipe"):
        await StdoutChannel("out", {"kind": "stdout"}, Broken()).send(LETTER)


def test_tables_that_make_none(tmp_path):
    with pytest.raises(UsageError, match="needs `path`"):
        FileChannel("x", {"kind": "file"}, tmp_path)
    with pytest.raises(UsageError, match="`json` or `text`") as caught:
        StdoutChannel("x", {"kind": "stdout", "format": "xml"})
    assert caught.value.path == ("format",)
