"""`ctlog-monitor init`: a monitor is made once, whole, and never over another one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.config import parse_config
from tests.monitor_place import Monitor
from tests.pem import pem
from tests.whole_log import FIRST
from tests.wire_values import TestLog

KEY = TestLog().spki


def key_text() -> str:
    import base64

    return base64.b64encode(KEY).decode()


def test_everything_is_made_and_what_comes_next_is_said(monitor: Monitor) -> None:
    said = monitor("init", "another", "--contact", "ops@example.com")
    config = parse_config(Path("another/monitor.toml").read_text())
    assert (config.contact, config.logs, list(config.channels)) == ("ops@example.com", (), ["screen"])
    assert {path.name for path in Path("another/state").iterdir()} >= {"state.sqlite", "history"}
    assert oct(Path("another/monitor.toml").stat().st_mode & 0o777) == "0o600"
    assert oct(Path("another").stat().st_mode & 0o777) == "0o700"
    assert oct(Path("another/state").stat().st_mode & 0o777) == "0o700"
    assert oct(Path("another/state/state.sqlite").stat().st_mode & 0o777) == "0o600"
    for word in ("logs add -d another", "watch add -d another", "test -d another", "run -d another"):
        assert f"ctlog-monitor {word}" in said.out
    assert "write [[roots]] into another/monitor.toml" in said.out


def test_with_a_log_and_its_roots(monitor: Monitor) -> None:
    Path("roots.pem").write_bytes(pem(FIRST.above[0]))
    command = ["init", "whole", "--contact", "me@x.example", "--log", "https://log.example/2027/", "--key", key_text()]
    command += ["--since", "2026-01-31", "--roots", "roots.pem", "--domain", "us-shaken", "--json"]
    assert monitor(*command).lines == [{"config": "whole/monitor.toml", "state": "whole/state", "logs": 1}]
    config = parse_config(Path("whole/monitor.toml").read_text())
    assert config.logs[0].url == "https://log.example/2027/"
    assert config.logs[0].begin == 1_769_817_600_000
    assert config.roots[0].files == (str(Path("roots.pem").absolute()),)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say who you are with --contact"),
        (["--contact", "a\nb"], "the contact is an address or a URL"),
        (["--contact", "me", "--log", "https://log.example/"], "without --key anybody could be the log"),
        (["--contact", "me", "--log", "https://log.example/", "--key", "nothing"], "nothing"),
        (["--contact", "me", "--key", "x"], "name the log with --log"),
        (["--contact", "me", "--log", "ftp://x", "--key", "KEY"], "a log's URL begins with https://"),
        (["--contact", "me", "--log", "https://x.example/", "--key", "KEY", "--since", "soon"], "'soon' is no date"),
        (["--contact", "me", "--domain", "us-shaken"], "--roots and --domain go together"),
    ],
)
def test_wrong_use_makes_nothing(monitor: Monitor, words: list[str], sentence: str) -> None:
    said = monitor("init", "nothing", *[key_text() if word == "KEY" else word for word in words], code=2)
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert not Path("nothing/monitor.toml").exists()
    assert not Path("nothing/state").exists()


@pytest.mark.parametrize(("data", "sentence"), [(b"no PEM", "it holds no certificate in PEM"), (None, "is not a CA's")])
def test_roots_that_are_none(monitor: Monitor, data: bytes | None, sentence: str) -> None:
    """Else it would be said when the monitor is to run."""
    from tests.issued import AUTHORITY, shaken

    Path("roots.pem").write_bytes(pem(AUTHORITY.certificate_for(shaken())) if data is None else data)
    words = ["--contact", "me", "--roots", "roots.pem", "--domain", "test"]
    said = monitor("init", "nothing", *words, code=2)
    assert f"roots.pem: {'' if data else 'certificate 1 '}{sentence}" in said.err
    assert "A root is the certificate of a CA, in PEM" in said.err
    assert not Path("nothing").exists()


def test_never_over_an_existing_one(monitor: Monitor) -> None:
    before = {path: path.read_bytes() for path in monitor.folder.rglob("*") if path.is_file()}
    said = monitor("init", monitor.folder, "--contact", "me@example.com", code=2)
    assert "are there already: a monitor is made only once" in said.err
    assert {path: path.read_bytes() for path in monitor.folder.rglob("*") if path.is_file()} == before
    assert "are there already" in monitor("init", monitor.folder, "--anew", code=2).err


@pytest.mark.parametrize("name", ["__init__.py", "pyproject.toml", ".git"])
def test_never_among_the_sources_of_a_program(monitor: Monitor, name: str) -> None:
    Path("clone").mkdir()
    Path("clone", name).touch()
    said = monitor("init", "clone", "--contact", "me@example.com", code=2)
    assert f"clone holds the sources of a program ({name})" in said.err
    assert "such as my-monitor" in said.err
    assert [path.name for path in Path("clone").iterdir()] == [name]


def test_a_folder_that_is_there_is_used_with_its_permissions(monitor: Monitor) -> None:
    Path("mine").mkdir(mode=0o755)
    monitor("init", "mine", "--contact", "me@example.com")
    assert oct(Path("mine").stat().st_mode & 0o777) == "0o755"
    assert oct(Path("mine/state").stat().st_mode & 0o777) == "0o700"


def test_a_state_without_its_configuration_is_not_taken_over(monitor: Monitor) -> None:
    (monitor.folder / "monitor.toml").unlink()
    assert "put the configuration back" in monitor("init", monitor.folder, "--contact", "me@example.com", code=2).err


def test_a_lost_state_is_made_again_only_when_asked(monitor: Monitor) -> None:
    for path in (monitor.folder / "state").glob("state.sqlite*"):
        path.unlink()
    text = (monitor.folder / "monitor.toml").read_bytes()
    assert "Put back a copy of the state" in monitor("init", monitor.folder, code=2).err
    said = monitor("init", monitor.folder, "--anew", "--contact", "x", "--log", "https://x.example/", code=2)
    assert "stays as it is: leave out --contact and --log, and change the file with an editor" in said.err
    monitor("init", monitor.folder, "--anew")
    assert (monitor.folder / "monitor.toml").read_bytes() == text
    monitor.here("logs", "list")


def test_a_folder_that_cannot_be_written(monitor: Monitor) -> None:
    Path("file").touch()
    said = monitor("init", "file/below", "--contact", "me@example.com", code=3)
    assert said.err == "ctlog-monitor: file/below: Not a directory.\n"
    if os.getuid():
        Path("locked").mkdir(mode=0o500)
        assert "Permission denied" in monitor("init", "locked/x", "--contact", "me@example.com", code=3).err


def test_what_was_interrupted_is_finished_with_anew(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("monitor.state.make_state", interrupted)
        said = monitor("init", "half", "--contact", "me@example.com", code=3)
        assert said.err.strip() == "ctlog-monitor: interrupted."
    assert "say --anew" in monitor("init", "half", code=2).err
    monitor("init", "half", "--anew")
    assert monitor("logs", "list", "-d", "half").out.startswith("No log is read")
