"""`ctlog create`, `ctlog freeze`, `ctlog serve`: a log's life as its operator types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import ctlog
from ctlog.cli import run
from ctlog.folder import open_folder
from tests.pem import pem
from tests.whole_log import FIRST, SECOND, make_log

ENV = {**os.environ, "PYTHONPATH": str(Path(ctlog.__file__).parents[1])}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("roots.pem").write_bytes(pem(FIRST.above[0], SECOND.above[0]))
    Path("leaf.pem").write_bytes(pem(FIRST.certificate_for(FIRST.leaf(_subject(), []))))
    return tmp_path


def _subject() -> object:
    from ctlog import issuance
    from tests.whole_log import LEAF_SPKI, NOW

    return issuance.Subject(issuance.name(CN="x"), LEAF_SPKI, NOW, NOW)


def test_a_log_is_made_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["create", "log", "--origin", "log.example/2027", "--roots", "roots.pem"]) == 0
    out = capsys.readouterr().out
    assert "The log log.example/2027 is in log; its log id is " in out
    assert out.count("accepted  ") == 2
    assert "Back up log/seed now" in out
    seed = Path("log/seed").read_bytes()
    assert run(["create", "log", "--origin", "log.example/2027"]) == 2
    assert "exists and holds a log" in capsys.readouterr().err
    assert Path("log/seed").read_bytes() == seed
    assert run(["fsck", "log"]) == 0


def test_every_option_of_create(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["create", "log", "--origin", "log.example", "--roots", "roots.pem", "leaf.pem", "--domain", "rcs"]
    command += ["--head-store", "elsewhere.sqlite", "--window", "2027-01-01", "2028-01-01T00:00:00+01:00", "--json"]
    assert run(command) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["origin"], value["roots"], value["head_store"]) == ("log.example", 2, str(here / "elsewhere.sqlite"))
    config = open_folder(Path("log")).config
    assert config.window_ms == (1_798_761_600_000, 1_830_294_000_000)
    assert Path("elsewhere.sqlite").exists()
    assert {record.domain for record in open_folder(Path("log")).roots.records()} == {"rcs"}


def test_what_is_no_ca_is_left_out_and_a_log_without_roots_says_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["create", "log", "--origin", "log.example", "--roots", "leaf.pem", "--window", "-", "2030-01-01"]) == 0
    captured = capsys.readouterr()
    assert "left out  leaf.pem#1: CN=x" in captured.err
    assert "It accepts no roots yet" in captured.out
    assert open_folder(Path("log")).config.window_ms[0] is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--origin", "https://log.example"], "without scheme"),
        (["--origin", "log.example/"], "without scheme or trailing slash"),
        (["--origin", "log.example", "--roots", "none.pem"], "does not exist"),
        (["--origin", "log.example", "--roots", "roots.pem", "--domain", "No Word"], "a trust domain is"),
        (["--origin", "log.example", "--window", "soon", "later"], "is no date such as"),
        (["--origin", "log.example", "--window", "2027-01-01T00:00:00", "-"], "names no time zone"),
        (["--origin", "log.example", "--head-store", "log/heads.sqlite"], "lies below"),
        ([], "Missing option '--origin'"),
    ],
)
def test_wrong_use_makes_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(["create", "log", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("log").exists()


def test_a_log_ends_once_and_for_ever(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_log(here / "log", [5])
    assert run(["freeze", "log", "--yes"]) == 0
    assert "log.test/whole has ended at 5 entries" in capsys.readouterr().out
    assert run(["freeze", "log", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 5
    assert json.loads(Path("log/public/log.v3.json").read_text())["status"] == "readonly"
    assert run(["fsck", "log"]) == 0


def test_freezing_asks_first(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_log(here / "log", [])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    assert run(["freeze", "log"]) == 3
    assert json.loads(Path("log/public/log.v3.json").read_text())["status"] == "active"


def test_what_is_no_log_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["serve", "nowhere"], ["freeze", "nowhere", "--yes"]):
        assert run(command) == 2
        assert "nowhere does not exist; `ctlog create` makes a log" in capsys.readouterr().err
    assert run(["serve", "log", "--listen", "nonsense"]) == 2
    assert "--listen" in capsys.readouterr().err


def test_it_serves_until_it_is_told_to_stop(here: Path) -> None:
    make_log(here / "log", [3])
    command = [sys.executable, "-c", "from ctlog.cli import main; main()", "serve", "log", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENV) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if " serves 3 entries on " in line:
                break
        url = line.split(" on ")[1].split()[0]
        with urllib.request.urlopen(f"{url}checkpoint") as answer:
            assert answer.read() == Path("log/public/checkpoint").read_bytes()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(20) == 0, rest
        assert "has stopped at 3 entries" in rest
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)
