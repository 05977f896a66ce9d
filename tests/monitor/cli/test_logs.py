"""`ctlog-monitor logs`: logs come to monitor.toml, which stays whole; how far each is read is told."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from monitor.cli.logs import replace
from monitor.config import parse_config
from monitor.state.rows import Position
from tests.monitor_place import Monitor
from tests.wire_values import TestLog

LOG = TestLog()
KEY = base64.b64encode(LOG.spki).decode()


def config(monitor: Monitor):
    return parse_config((monitor.folder / "monitor.toml").read_text())


def test_a_log_comes_to_the_end_of_the_file(monitor: Monitor) -> None:
    before = (monitor.folder / "monitor.toml").read_text()
    words = ["--key", KEY, "--name", 'First "one"\\', "--origin", "log.example/27", "--form", "rfc6962"]
    said = monitor.here("logs", "add", "https://log.example/2027/", *words, "--since", "newest")
    assert "its log id is " in said.out
    (log,) = config(monitor).logs
    assert (log.name, log.origin, log.form, log.begin) == ("First \"one\"\\", "log.example/27", "rfc6962", "newest")
    assert (monitor.folder / "monitor.toml").read_text().startswith(before)
    monitor.here("logs", "add", "https://other.example/log.v3.json", "--since", "2026-05-01T10:00:00Z")
    second = config(monitor).logs[1]
    assert (second.log_v3, second.begin) == ("https://other.example/log.v3.json", 1_777_629_600_000)
    listed = monitor.here("logs", "list").out
    assert "First" in listed
    assert listed.count(f"\n  not begun: `ctlog-monitor run -d {monitor.folder}` begins with it\n") == 2
    assert [line["begun"] for line in monitor.here("logs", "list", "--json").lines] == [False, False]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["https://log.example/"], "without --key anybody could be the log"),
        (["https://log.example/", "--key", "bm8="], "bm8="),
        (["log.example", "--key", KEY], "begins with https://"),
        (["https://log.example/l.json", "--form", "tiles"], "is said by the log.v3.json"),
        (["https://log.example/", "--key", KEY, "--since", "2026-13-01"], "is no date"),
        (["https://log.example/", "--key", KEY, "--name", "twice"], "two logs have this"),
    ],
)
def test_what_makes_no_sense_changes_nothing(monitor: Monitor, words: list[str], sentence: str) -> None:
    if "twice" in words:
        monitor.here("logs", "add", *words)
    before = (monitor.folder / "monitor.toml").read_bytes()
    assert sentence in monitor.here("logs", "add", *words, code=2).err
    assert (monitor.folder / "monitor.toml").read_bytes() == before


def test_how_far_a_log_is_read(monitor: Monitor) -> None:
    async def fill(state) -> None:
        await state.logs.add(LOG.key.log_id, "log", "https://log.example/", Position(), 1_790_000_000_000)
        await state.logs.failed(LOG.key.log_id, "connection refused \x1b[31m", 1_790_000_000_000)
        await state.logs.accuse(LOG.key.log_id, "EVIDENCE-x.txt", [], 1_790_000_000_000)

    monitor.state(fill)
    out = monitor.here("logs", "list").out
    assert "read      0 of 0 entries" in out
    assert "FAILING   since 2026-09-21" in out
    assert "refused \\x1b[31m" in out
    assert "`ctlog verify-evidence FILE` checks it" in out
    (line,) = monitor.here("logs", "list", "--json").lines
    assert (line["name"], line["read"], line["accused"]) == ("log", 0, "EVIDENCE-x.txt")


def test_a_monitor_that_is_not_there(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "begin with `ctlog-monitor init DIR`" in monitor("logs", "list", code=2).err
    monkeypatch.setenv("CTLOG_MONITOR", str(monitor.folder))
    monitor("logs", "list")
    (monitor.folder / "monitor.toml").write_text("contact = 3\n")
    assert "line 1, column 11" in monitor("logs", "list", code=2).err
    (monitor.folder / "monitor.toml").write_bytes(b"\xff")
    assert "it is no UTF-8" in monitor("logs", "list", code=2).err


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "is missing. It is never made anew by itself"),
        (lambda path: path.write_bytes(b""), "is empty: restore it from a copy"),
        (lambda path: path.write_bytes(b"no database at all" * 100), "a database; restore it from a copy"),
    ],
)
def test_a_state_that_is_not_whole_is_said(monitor: Monitor, spoil, sentence: str) -> None:
    for path in (monitor.folder / "state").glob("state.sqlite-*"):
        path.unlink()
    spoil(monitor.folder / "state" / "state.sqlite")
    said = monitor.here("logs", "list", code=3)
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o640)
    replace(path, "new")
    assert (path.read_text(), oct(path.stat().st_mode & 0o777)) == ("new", "0o640")
    assert [each.name for each in tmp_path.iterdir()] == ["f"]
    with pytest.raises(Exception, match="cannot be written"):
        replace(tmp_path / "none" / "f", "x")
