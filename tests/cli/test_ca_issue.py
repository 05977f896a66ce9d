"""`ctlog ca issue` as it is typed: orders in, certificates out, each once, however often it is killed."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ctlog.cli import run
from ctlog.cli.ca_issue import file_name
from ctlog.cli.ca_logs import open_authority
from ctlog.cli.files import read_certificates
from ctlog.client.sct import embedded_scts, verify_embedded_sct, verify_sct
from ctlog.issuance import Key, Participant, Subject, carrier_proof, rcs_leaf
from ctlog.issuance.rcs import GOOGLE, subject_name
from ctlog.tn.identity import read_identity
from ctlog.wire.rfc6962 import parse_sct_list
from ctlog.x509.der import parse_certificate
from ctlog.x509.names import name_text
from ctlog.x509.precert import is_precertificate, tbs_of_final, tbs_of_precertificate
from monitor.rcs import holds_proof, read_participant, read_provisioning
from tests.several_logs import SocketLog, in_a_thread

LATER = 4_000_000_000_000
GONE = "http://127.0.0.1:9/"
KEY = base64.b64encode(Key.from_number(5).spki).decode()
UUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a ca") / "my-ca"
    assert run(["ca", "init", str(folder), "--range", "12025550100+100"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-ca").symlink_to(ca)


class Recording(SocketLog):
    """Remembers each submission; `kill` is killed when it has been given so many answers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, self.look)
        self.answers = 0
        self.refuses_finals = False
        self.seen: list[bytes] = []
        self.kill_at = -1
        self.victim: subprocess.Popen[str] | None = None

    async def add(self, request: web.Request) -> web.Response:
        if self.refuses_finals and request.match_info["call"] == "add-chain":
            return web.json_response({"error_message": "no place for these", "reason": "no-place"}, status=400)
        self.seen.append(base64.b64decode(json.loads(await request.read())["chain"][0]))
        return await super().add(request)

    def look(self, answer: dict[str, Any]) -> dict[str, Any]:
        self.answers += 1
        if self.answers == self.kill_at and self.victim is not None:
            os.kill(self.victim.pid, signal.SIGKILL)
        return answer


@pytest.fixture
def logs() -> Iterator[tuple[list[Recording], list[str]]]:
    made = [Recording(1), Recording(2)]
    with in_a_thread(*made) as urls:
        yield made, urls


Logs = tuple[list[Recording], list[str]]


def orders(count: int, first: int = 100) -> Path:
    path = Path("orders.csv")
    lines = (f"n{n},1202555{n:04d},Example Phone Co,{KEY}" for n in range(first, first + count))
    path.write_text("\n".join(["id,number,holder,key", *lines]) + "\n")
    return path


def line(urls: list[str], path: Path, *more: str, by: str = "delegate/ca") -> list[str]:
    words = ["ca", "issue", "--ca", f"my-ca/{by}.pem", "--numbers", str(path), "--log", *urls]
    return [*words, *(more or ("--out", "issued"))]


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(each) for each in capsys.readouterr().out.splitlines()]


def test_each_order_becomes_a_file(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line(logs[1], orders(30))) == 0
    assert "30 issued, 0 refused" in capsys.readouterr().err
    assert sorted(path.name for path in Path("issued").iterdir()) == [f"n{n}.pem" for n in range(100, 130)]
    for n in (100, 129):
        leaf, *above = read_certificates(Path(f"issued/n{n}.pem"))
        assert len(above) == 2
        found = parse_certificate(leaf)
        assert [str(claim) for claim in read_identity(found).claims] == [f"1202555{n:04d}"]
        assert name_text(found.subject) == "CN=Example Phone Co,O=Example Phone Co,C=US"
        for log in logs[0]:
            verify_embedded_sct(leaf, above, log.log.key, LATER)


def test_bad_lines_are_named_and_the_rest_are_issued(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    path = orders(2)
    more = [f"x,12125550100,Example,{KEY}", f"y,12025550150,,{KEY}", "z,12025550150,Example,AAAA", "broken"]
    path.write_text(path.read_text() + "\n".join([*more, f",12025550151,Example,{KEY}"]))
    assert run(line(logs[1], path)) == 1
    out, err = capsys.readouterr()
    assert [each.split(": ")[:2] for each in sorted(out.splitlines())] == [
        ["line 4 (x)", "scope-exceeds-issuer"], ["line 5 (y)", "no-holder"], ["line 6", "bad-key"],
        ["line 7", "bad-line"],
    ]  # fmt: skip
    assert "3 issued, 4 refused: 1 " in err
    assert sorted(path.name for path in Path("issued").iterdir()) == ["_line-8.pem", "n100.pem", "n101.pem"]


def test_a_second_run_hands_out_the_same(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    words = line(logs[1], orders(20), "--json")
    runs = []
    for _ in range(2):
        assert run(words) == 0
        *issued, total = said(capsys)
        runs.append({one["id"]: one for one in issued})
        assert total == {"status": "sum", "issued": 20, "before": 20 * (len(runs) - 1), "refused": {}}
    first, second = runs
    assert {name: {**one, "before": True} for name, one in first.items()} == second
    assert [log.answers for log in logs[0]] == [20, 20]


def test_a_file_with_other_content_is_left_and_the_certificate_is_not_lost(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line(logs[1], orders(3))
    Path("issued").mkdir()
    Path("issued/n101.pem").write_text("somebody's")
    assert run(words) == 1
    out, err = capsys.readouterr()
    assert "line 3 (n101): file-exists: issued/n101.pem is there with other content, and left as it is" in out
    assert "1 files are in the way" in err
    assert Path("issued/n101.pem").read_text() == "somebody's"
    assert sorted(path.name for path in Path("issued").iterdir()) == ["n100.pem", "n101.pem", "n102.pem"]
    Path("issued/n101.pem").unlink()
    assert run(words) == 0
    assert len(list(read_certificates(Path("issued/n101.pem")))) == 3
    assert [log.answers for log in logs[0]] == [3, 3]


@pytest.mark.parametrize(("by", "profile"), [("rcs/ca", "rcs"), ("shaken/ca", "shaken"), ("shaken/ca", "delegate")])
def test_scts_travel_beside_it_where_a_profile_forbids_them(logs: Logs, by: str, profile: str) -> None:
    order = {"code" if profile == "shaken" else "number": "1234", "holder": UUID, "key": KEY, "id": "a"}
    Path("orders.jsonl").write_text(json.dumps(order))
    more = ["--profile", profile, "--out", "issued", *(["--detached"] if profile != "rcs" else [])]
    assert run(line(logs[1], Path("orders.jsonl"), *more, by=by)) == 0
    leaf, *above = read_certificates(Path("issued/a.pem"))
    assert embedded_scts(leaf) == []
    for log, sct in zip(logs[0], parse_sct_list(Path("issued/a.pem.sct-list").read_bytes()), strict=True):
        verify_sct(leaf, above, sct, log.log.key, LATER)


def rcs_order(**more: str) -> Path:
    path = Path("orders.jsonl")
    path.write_text(json.dumps({"number": "12025550123", "holder": UUID, "key": KEY, "id": "a"} | more))
    return path


def test_nobody_vouches_for_a_messaging_client_and_that_is_said(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line(logs[1], rcs_order(), "--profile", "rcs", "--out", "issued", by="rcs/ca")) == 0
    assert "Look twice: 1 lack a participant's or a carrier's word" in capsys.readouterr().err


def test_in_a_hierarchy_for_tests_a_participant_and_a_carrier_stand_in(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["--participant-key", "my-ca/rcs/participant-key.pem", "--carrier-key", "my-ca/rcs/carrier-key.pem"]
    assert run(line(logs[1], rcs_order(), "--profile", "rcs", *keys, "--out", "issued", by="rcs/ca")) == 0
    assert "Look twice" not in capsys.readouterr().err
    found = parse_certificate(next(iter(read_certificates(Path("issued/a.pem")))))
    said = read_participant(found)
    assert said is not None
    assert holds_proof(found, said)
    assert said.spki == Key.from_pem(Path("my-ca/rcs/participant-key.pem").read_bytes()).spki
    assert read_provisioning(found) is not None


def test_who_vouches_comes_with_the_order(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    authority = open_authority(Path("my-ca/rcs/ca.pem"), None)
    who = Subject(subject_name(UUID), Key.from_number(5).spki, 0, 0)
    end_ms = time.time_ns() // 1_000_000 + 90 * 86_400_000
    person = Participant(GOOGLE, Key.from_number(6), 0, end_ms)
    tbs = rcs_leaf(authority, who, "12025550123", participant=person, proof=carrier_proof(end_ms, b"signed"))
    participant, proof = (each.value for each in parse_certificate(authority.certificate_for(tbs)).extensions[-2:])
    text = {"participant": base64.b64encode(participant).decode(), "proof": base64.b64encode(proof).decode()}
    path = rcs_order(**text)
    other = json.loads(path.read_text()) | {"number": "12025550124", "id": "b"}
    path.write_text(f"{path.read_text()}\n{json.dumps(other)}\n")
    assert run(line(logs[1], path, "--profile", "rcs", "--out", "issued", by="rcs/ca")) == 1
    out, err = capsys.readouterr()
    assert "line 2 (b): bad-participant: " in out
    assert "Look twice" not in err
    found = parse_certificate(next(iter(read_certificates(Path("issued/a.pem")))))
    assert [each.value for each in found.extensions[-2:]] == [participant, proof]


def test_the_finished_certificates_are_submitted_too(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, and again only where a log did not take them: here because it had no place for them the first time."""
    words = line(logs[1], orders(5), "--json", "--submit-final")
    logs[0][1].refuses_finals = True
    assert run(words) == 3
    *issued, total = said(capsys)
    assert [(one["status"], one["final"]) for one in issued] == [("issued", "no-place")] * 5
    assert total == {"status": "sum", "issued": 5, "before": 0, "refused": {}, "final_missing": 5}
    assert run([*words[: words.index("--json")], "--submit-final", "--out", "issued"]) == 3
    out, err = capsys.readouterr()
    assert sum("issued, but the finished certificate itself is in too few logs: no-place" in each
               for each in out.splitlines()) == 5  # fmt: skip
    assert "5 finished certificates are in too few logs: run it again" in err
    logs[0][1].refuses_finals = False
    for _ in range(2):
        assert run(words) == 0
        *again, total = said(capsys)
        assert {(one["id"], one["certificate"], one["final"]) for one in again} == {
            (one["id"], one["certificate"], "enough") for one in issued
        }
        assert total == {"status": "sum", "issued": 5, "before": 5, "refused": {}}
    finals = sorted(base64.b64decode(one["certificate"]) for one in issued)
    for log in logs[0]:
        seen = [der for der in log.seen if not is_precertificate(parse_certificate(der))]
        assert sorted(set(seen)) == finals
    assert len(seen) == 5  # by the second log; the first one was asked again and gave the same


def test_by_a_signer_of_precertificates(logs: Logs) -> None:
    signer = ["--precert-signer", "my-ca/shaken/precert-signer.pem", "--out", "issued"]
    assert run(line(logs[1], orders(3), *signer, by="shaken/ca")) == 0
    leaf, *above = read_certificates(Path("issued/n101.pem"))
    verify_embedded_sct(leaf, above, logs[0][0].log.key, LATER)


def test_one_log_down_is_no_failure_and_too_few_are_said(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    path, (one, other) = orders(5), logs[1]
    words = ["--out", "issued", "--operators", "1"]
    assert run(line([one, GONE, other], path, *words)) == 0
    path = orders(5, 150)
    assert run(line([one, GONE], path, *words)) == 3
    assert "cannot be reached" in capsys.readouterr().err
    assert run(line([one, other], path, *words)) == 0


def test_orders_from_stdin(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    with orders(3).open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert run(line(logs[1], Path("-"), "--journal", "j", "--out", "issued")) == 0
    assert len(list(Path("issued").iterdir())) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--json", "--out", "issued"], "Give --out DIR or --json"),
        (["--log-list-key", "my-ca/roots.pem", "--out", "issued"], "of no use without --log-list"),
        (["--journal", "orders.csv", "--out", "issued"], "cannot be a journal"),
        (["--country", "Usa", "--out", "issued"], "a country is two capital letters"),
        (["--profile", "rcs", "--days", "77", "--out", "issued"], "76 days"),
        (["--days", "3650", "--out", "issued"], "end after that of a CA above them"),
        (["--scts", "3", "--out", "issued"], "can never give 3 SCTs"),
        (["--participant-key", "my-ca/rcs/participant-key.pem", "--out", "issued"], "for the rcs profile"),
        (["--carrier-key", "my-ca/roots.pem", "--profile", "rcs", "--out", "issued"], "my-ca/roots.pem: this is no"),
    ],
)
def test_wrong_use(logs: Logs, capsys: pytest.CaptureFixture[str], change: list[str], said: str) -> None:
    before = orders(1).read_bytes()
    assert run(line(logs[1], Path("orders.csv"), *change)) == 2
    assert said in capsys.readouterr().err
    assert Path("orders.csv").read_bytes() == before
    assert run(line(logs[1], Path("-"))) == 2


def test_orders_of_another_ca_are_not_mixed(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line(logs[1], orders(1))) == 0
    assert run(line(logs[1], orders(1), by="shaken/ca")) == 2
    assert "is the journal of another CA" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("order_id", "expected"),
    [
        ("A-1.x_y", "A-1.x_y"), ("", "_line-7"), ("../../etc/passwd", "_id-"), ("/etc/passwd", "_id-"), ("..", "_id-"),
        (".hidden", "_id-"), ("-rf", "_id-"), ("_line-7", "_id-"), ("a b", "_id-"), ("a" * 101, "_id-"),
    ],
)  # fmt: skip
def test_an_id_is_never_a_path(order_id: str, expected: str) -> None:
    name = file_name(order_id, 7)
    assert name == expected or (expected == "_id-" and name.startswith("_id-") and len(name) == 68)
    assert "/" not in name


def test_killed_at_any_moment_it_issues_nothing_twice_and_loses_nothing(logs: Logs) -> None:
    """SIGKILL at a submission, four times, and then to the end: of each order both logs have seen one precertificate,
    and what was handed out before a kill is what is handed out at the end."""
    path = orders(100)
    command = [sys.executable, "-c", "from ctlog.cli import main; main()", *line(logs[1], path, "--json")]
    handed: dict[str, set[str]] = {}
    codes = []
    for kill_after in (1, 50, 70, 30, 0):
        victim = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
        log = logs[0][0]
        log.victim, log.kill_at = victim, log.answers + kill_after if kill_after else -1
        out, _ = victim.communicate(timeout=60)
        codes.append(victim.returncode)
        for text in out.splitlines():
            try:
                one = json.loads(text)
            except ValueError:
                continue  # the line in which it was killed
            if one["status"] == "issued":
                handed.setdefault(one["id"], set()).add(one["certificate"])
    assert codes[:2] == [-9, -9]  # those after it may have had too little left to do
    assert codes[-1] == 0
    assert sorted(handed) == [f"n{n}" for n in range(100, 200)]
    assert all(len(each) == 1 for each in handed.values())
    finals = {tbs_of_final(parse_certificate(base64.b64decode(each))) for (each,) in map(tuple, handed.values())}
    for log in logs[0]:
        assert {tbs_of_precertificate(parse_certificate(der)) for der in log.seen} == finals
        assert len(set(log.seen)) == 100
