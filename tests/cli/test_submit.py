"""`ctlog submit` as it is typed, against a log on a socket."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctlog.cli import run
from ctlog.wire.rfc6962 import parse_sct
from tests.fake_log import AUTHORITY, FINALS, KEY, PRECERTIFICATES, FakeLog, error, in_a_thread
from tests.pem import pem


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLog]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").write_bytes(pem(*AUTHORITY.chain))
    fake = FakeLog()
    with in_a_thread(fake) as url:
        fake.url = url
        yield fake


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_certificate_is_one_line(log: FakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cert.pem").write_bytes(pem(FINALS[0]))
    assert run(["submit", log.url, "cert.pem", "--intermediates", "ca.pem"]) == 0
    out = capsys.readouterr()
    (line,) = out.out.splitlines()
    assert line.startswith("index 0  2026-09-21 ")
    assert "  cert.pem  CN=leaf 0  SCT A" in line
    assert KEY.log_id.hex() in out.err
    sct = parse_sct(base64.b64decode(line.rpartition(" ")[2]))
    assert sct.log_id == KEY.log_id


def test_many_files_of_every_kind(log: FakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.gz").write_bytes(gzip.compress(pem(*FINALS)))
    Path("b.der").write_bytes(PRECERTIFICATES[0])
    key = base64.b64encode(KEY.spki).decode()
    assert run(["submit", log.url, "a.gz", "b.der", "--intermediates", "ca.pem", "--json", "--key", key]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    *found, total = lines(captured.out)
    assert total == {"status": "sum", "logged": 21, "refused": {}}
    assert {line["file"] for line in found} == {"a.gz", "b.der", *(f"a.gz#{n}" for n in range(2, 21))}
    assert {line["index"] for line in found} == set(range(21))
    assert all(line["before"] is False and line["subject"] for line in found)


def test_a_chain_file_is_its_leaf_and_a_file_of_authorities_is_meant(
    log: FakeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("chain.pem").write_bytes(pem(FINALS[0], *AUTHORITY.chain))
    assert run(["submit", log.url, "chain.pem", "--json"]) == 0
    assert [line["status"] for line in lines(capsys.readouterr().out)] == ["logged", "sum"]
    assert log.chains[0] == [FINALS[0], *AUTHORITY.chain]
    assert run(["submit", log.url, "ca.pem", "--json"]) == 0
    assert [line["status"] for line in lines(capsys.readouterr().out)] == ["logged", "logged", "sum"]


def test_refusals_are_counted_by_reason_and_the_answer_is_no(log: FakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    Path("many.pem").write_bytes(pem(*FINALS[:4], b"\x30\x03abc"))
    log.answers = iter([error(400, "unknown-root", "it ends at \u202egnihton"), error(400, "unknown-root", "x")])
    assert run(["submit", log.url, "many.pem", "--at-once", "1", "--intermediates", "ca.pem"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "refused  many.pem  unknown-root: it ends at \\u202egnihton"
    assert out[-1] == "2 logged, 3 refused: 2 unknown-root, 1 malformed"


def test_a_second_run_asks_only_for_the_rest_and_again_asks_for_all(
    log: FakeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("two.pem").write_bytes(pem(*FINALS[:2]))
    Path("three.pem").write_bytes(pem(*FINALS[:3]))
    assert run(["submit", log.url, "two.pem"]) == 0
    assert run(["submit", log.url, "three.pem", "--json"]) == 0
    assert len(log.paths) == 3
    found = lines(capsys.readouterr().out.split("refused\n")[-1])
    assert sorted(line["before"] for line in found[:-1]) == [False, True, True]
    assert run(["submit", log.url, "three.pem", "--again"]) == 0
    assert len(log.paths) == 6


def test_the_token_is_taken_from_the_environment(log: FakeLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTLOG_TOKEN", "secret")
    Path("cert.pem").write_bytes(pem(FINALS[0]))
    assert run(["submit", log.url, "cert.pem"]) == 0
    assert log.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nothing.pem"], 2, "does not exist"),
        (["empty.pem"], 2, "empty.pem holds no certificate"),
        ([], 2, "Missing argument"),
        (["cert.pem", "--key", "junk"], 2, "is no file with a log's key"),
        (["cert.pem", "--key", "log.example+34d4cb0a+AaQk"], 2, "key"),
        (["cert.pem", "--receipts", "cert.pem"], 2, "cannot hold receipts"),
    ],
)
def test_wrong_use_is_said_in_a_sentence(
    log: FakeLog, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    Path("cert.pem").write_bytes(pem(FINALS[0]))
    Path("empty.pem").write_bytes(b"")
    assert run(["submit", log.url, *arguments]) == code
    err = capsys.readouterr().err
    assert sentence in err
    assert "Traceback" not in err


def test_a_log_that_cannot_be_reached_is_code_3(log: FakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cert.pem").write_bytes(pem(FINALS[0]))
    assert run(["submit", "http://127.0.0.1:1/", "cert.pem"]) == 3
    assert "cannot be reached" in capsys.readouterr().err
    assert run(["submit", "not a url", "cert.pem"]) == 3


def test_a_frozen_log_says_no(log: FakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cert.pem").write_bytes(pem(*FINALS[:2]))
    log.answers = iter([error(410, "frozen", "this log has ended")] * 2)
    assert run(["submit", log.url, "cert.pem"]) == 1
    captured = capsys.readouterr()
    assert "this log has ended" in captured.err
    assert captured.out == "0 logged, 0 refused\n"


def test_a_key_among_the_files_is_named_and_the_others_are_logged(
    log: FakeLog, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cert.pem").write_bytes(pem(FINALS[0]))
    Path("key.pem").write_text("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n")
    assert run(["submit", log.url, "cert.pem", "key.pem", "--intermediates", "ca.pem", "--json"]) == 1
    out = capsys.readouterr()
    assert "key.pem holds no certificate" in out.err
    assert [line["status"] for line in lines(out.out)] == ["logged", "sum"]
