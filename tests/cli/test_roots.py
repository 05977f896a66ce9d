"""`ctlog roots add`, `retire`, `list`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ctlog.cli import run
from tests.pem import pem
from tests.whole_log import FIRST, SECOND, make_log

FIRST_SHA = hashlib.sha256(FIRST.above[0]).hexdigest()
ISSUING_SHA = hashlib.sha256(FIRST.certificate).hexdigest()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_log(tmp_path / "log", [])
    monkeypatch.chdir(tmp_path)
    leaf = FIRST.certificate_for(FIRST.leaf(_subject(), []))
    Path("more.pem").write_bytes(pem(FIRST.certificate, leaf, FIRST.above[0], b"\x30\x01x"))


def _subject() -> object:
    from ctlog import issuance
    from tests.whole_log import LEAF_SPKI, NOW

    return issuance.Subject(issuance.name(CN="leaf"), LEAF_SPKI, NOW, NOW)


def test_roots_are_listed_with_their_domains(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["roots", "list", "log"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{FIRST_SHA[:16]}  us-shaken   CN=First SHAKEN ROOT")
    assert "from us-shaken.der" in lines[1]
    assert "  rcs         CN=Second SHAKEN ROOT" in lines[2]


def test_any_ca_can_be_added_and_what_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["roots", "add", "log", "more.pem", "--domain", "fr"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].startswith(f"accepted  {ISSUING_SHA[:16]}  fr  CN=First SHAKEN Issuing CA")
    assert captured.out.splitlines()[1].startswith(f"known     {FIRST_SHA[:16]}  us-shaken")
    assert "SIGHUP" in captured.out
    assert "left out  more.pem#2: CN=leaf" in captured.err
    assert "left out  more.pem#4" in captured.err
    Path("good.pem").write_bytes(pem(SECOND.certificate))
    assert run(["roots", "add", "log", "good.pem", "--domain", "rcs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["domain"] == "rcs"
    assert run(["roots", "add", "log", "more.pem", "--domain", "fr", "--json"]) == 1
    assert [next(iter(json.loads(line))) for line in capsys.readouterr().out.splitlines()] == [
        "known", "known", "left_out", "left_out",
    ]  # fmt: skip


def test_a_root_is_retired_and_stays_in_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["roots", "retire", "log", FIRST_SHA[:8], "--why", "its key leaked"]) == 0
    assert capsys.readouterr().out.startswith(f"retired  {FIRST_SHA[:16]}")
    assert run(["roots", "list", "log"]) == 0
    assert FIRST_SHA[:16] not in capsys.readouterr().out
    assert run(["roots", "list", "log", "--all"]) == 0
    assert ": its key leaked" in capsys.readouterr().out
    assert run(["roots", "list", "log", "--all", "--json"]) == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [value["retired_ms"] is None for value in values] == [False, True]
    assert run(["roots", "retire", "log", FIRST_SHA]) == 1
    assert run(["roots", "retire", "log", "xyz"]) == 2
    second = hashlib.sha256(SECOND.above[0]).hexdigest()
    assert run(["roots", "retire", "log", second, "--json"]) == 0
    capsys.readouterr()
    assert run(["roots", "list", "log"]) == 0
    assert "everything would be refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "log", "none.pem", "--domain", "x"], ["add", "log", "more.pem"],
        ["add", "log", "more.pem", "--domain", "A B"], ["list", "nowhere"], ["retire", "log"], ["frob"],
    ],
)  # fmt: skip
def test_wrong_use_is_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["roots", *arguments]) == 2
    assert capsys.readouterr().err.startswith("ctlog: ")
