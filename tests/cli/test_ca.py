"""`ctlog ca init` and `ctlog ca scts` as they are typed."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from ctlog.cli import ca as cli_ca
from ctlog.cli import run
from ctlog.cli.ca import scope
from ctlog.cli.ca_logs import now_ms
from ctlog.cli.files import read_certificates
from ctlog.errors import UsageError
from ctlog.issuance import Authority, Key
from ctlog.tn.tnauthlist import parse_tnauthlist
from ctlog.wire.rfc6962 import parse_sct_list
from tests.call_values import moment, operator_entry
from tests.several_logs import SocketLog, in_a_thread


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_hierarchy_in_one_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ca", "init", "my-ca", "--range", "12025550000+500", "12025551000+500", "--code", "709J"]) == 0
    told = capsys.readouterr()
    assert "for tests, and for nothing else" in told.err
    names = ("shaken/root", "shaken/ca", "shaken/precert-signer", "delegate/ca", "rcs/root", "rcs/ca")
    for name in names:
        assert f"my-ca/{name}.pem" in told.out
        key_file = here / "my-ca" / f"{name}-key.pem"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        chain = tuple(read_certificates(here / "my-ca" / f"{name}.pem"))
        Authority.of(chain, Key.from_pem(key_file.read_bytes()))
    for name in ("participant", "carrier"):
        key_file = here / "my-ca" / "rcs" / f"{name}-key.pem"
        assert f"my-ca/rcs/{name}-key.pem" in told.out
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        Key.from_pem(key_file.read_bytes())
    assert len(list(read_certificates(here / "my-ca" / "roots.pem"))) == 2
    assert "for tests" in (here / "my-ca" / "KEYS-ARE-FOR-TESTS.txt").read_text()
    assert run(["show", "my-ca/delegate/ca.pem"]) == 0
    shown = capsys.readouterr().out
    assert "500 numbers from 12025550000" in shown
    assert "709J" in shown


def test_nothing_is_overwritten_and_nothing_half_made_stays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ca", "init", "my-ca"]) == 0
    before = (here / "my-ca/shaken/ca-key.pem").read_bytes()
    assert run(["ca", "init", "my-ca"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (here / "my-ca/shaken/ca-key.pem").read_bytes() == before
    capsys.readouterr()
    assert run(["ca", "init", "no/such/folder/yet"]) == 0
    assert (here / "no/such/folder/yet/roots.pem").exists()
    assert sorted(each.name for each in here.iterdir()) == ["my-ca", "no"]


def test_a_folder_called_unfinished_is_somebodys_and_stays(here: Path) -> None:
    (here / "other.unfinished").mkdir()
    (here / "other.unfinished/diary").write_text("mine")
    assert run(["ca", "init", "other"]) == 0
    assert (here / "other.unfinished/diary").read_text() == "mine"


def test_a_hierarchy_that_fails_half_way_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes, mode: int = 0) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(cli_ca, "write_new", full)
    assert run(["ca", "init", "my-ca"]) == 3
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("codes", "numbers", "ranges", "problem"),
    [
        ((), (), ("12025550100",), "no range"), ((), (), ("12025550100+x",), "no range"),
        ((), (), ("12025550100+1",), "fewer than 2"), ((), (), ("+1202+5",), "no range"),
        ((), ("+12025550100",), (), "without + or spaces"), ((), ("1 202",), (), "without + or spaces"),
        ((), (), ("99999+2",), "more digits"), (("é",), (), (), "digits and capital letters"),
        (("ab!",), (), (), "capital letters"), (("",), (), (), "1 to 16"),
        (("A" * 17,), (), (), "1 to 16"), ((), ("1" * 16,), (), "not 1 to 15"),
    ],
)  # fmt: skip
def test_numbers_that_are_none(
    codes: tuple[str, ...], numbers: tuple[str, ...], ranges: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem.replace("+", r"\+")):
        scope(codes, numbers, ranges)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--label", "x" * 100], "a label is 1 to 37 printable characters"), (["--label", " "], "a label is"),
        (["--label", "a\nb"], "a label is"), (["--country", "USA"], "two capital letters"),
        (["--country", "us"], "two capital letters"), (["--code", "ab!"], "--code 'ab!': a code is 1 to 16 digits"),
    ],
)  # fmt: skip
def test_a_hierarchy_whose_names_no_certificate_may_have(
    here: Path, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ca", "init", "my-ca", *words]) == 2
    assert problem in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_numbers_as_they_are_typed() -> None:
    found = parse_tnauthlist(scope(("709J",), ("12025550100", "*67#"), ("12025550200+10",))).entries
    assert [str(each) for each in found] == ["709J", "12025550200-12025550209", "12025550100", "*67#"]
    assert scope((), (), ()) == b""


def test_scts_are_asked_for_and_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = [SocketLog(1), SocketLog(2)]
    assert run(["ca", "init", "my-ca"]) == 0
    with in_a_thread(*logs) as urls:
        issue = ["ca", "certificate", "--ca", "my-ca/rcs/ca.pem", "--tel", "12025550123", "--new-key", "key.pem",
                 "--log", *urls, "--out", "client.pem"]  # fmt: skip
        assert run(issue) == 0
        told = (here / "client.pem.sct-list").read_bytes()
        assert len(parse_sct_list(told)) == 2
        capsys.readouterr()
        assert run(["ca", "scts", "client.pem", "--log", *urls, "--out", "again"]) == 0
        assert (here / "again").read_bytes() == told
        assert capsys.readouterr().out == ""
        assert run(["ca", "scts", "client.pem", "--log", *urls]) == 0
        assert base64.b64decode(capsys.readouterr().out) == told
        assert run(["ca", "scts", "client.pem", "--log", *urls, "--json"]) == 0
        value = json.loads(capsys.readouterr().out)
        assert [one["log_id"] for one in value["scts"]] == [log.log.key.log_id.hex() for log in logs]
        assert (value["status"], len(set(value["operators"]))) == ("enough", 2)
        logs[0].given.clear()
        assert run(["ca", "scts", "client.pem", "--log", *urls, "--out", "again"]) == 2
        assert "again is there already" in capsys.readouterr().err
        assert (here / "again").read_bytes() == told
        assert run(["ca", "scts", "client.pem", "--log", *urls, "--out", "fewer"]) == 1
        assert "does not know this certificate" in capsys.readouterr().err
        assert len(parse_sct_list((here / "fewer").read_bytes())) == 1


def test_scts_of_one_log_or_one_operator_are_not_enough(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = [SocketLog(1), SocketLog(2)]
    assert run(["ca", "init", "my-ca"]) == 0
    with in_a_thread(*logs) as urls:
        assert run(["ca", "certificate", "--ca", "my-ca/rcs/ca.pem", "--tel", "12025550123", "--new-key", "key.pem",
                    "--log", *urls, "--out", "client.pem"]) == 0  # fmt: skip
        capsys.readouterr()
        assert run(["ca", "scts", "client.pem", "--log", urls[0], urls[0], "--out", "twice"]) == 2
        assert "same log is named twice" in capsys.readouterr().err
        assert not (here / "twice").exists()
        path = here / "list.json"
        entries = [operator_entry("One Inc", log.log, states={"usable": 0}) for log in logs]
        for entry, url in zip(entries, urls, strict=True):
            (one,) = entry["tiled_logs"]
            one["submission_url"] = one["monitoring_url"] = url
        entries[0]["tiled_logs"] += entries.pop()["tiled_logs"]
        path.write_text(json.dumps({"version": "1", "log_list_timestamp": moment(now_ms()), "operators": entries}))
        ask = ["ca", "scts", "client.pem", "--log-list", str(path)]
        assert run(ask) == 1
        assert "too-few-operators: 2 SCTs of 1 operators" in capsys.readouterr().err
        assert run([*ask, "--operators", "1"]) == 0


def test_the_group_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ca", "--help"]) == 0
    told = capsys.readouterr().out
    for word in ("init", "certificate", "scts", "HSM"):
        assert word in told
    assert run(["ca", "nonsense"]) == 2
