"""`ctlog demo`: what it makes, what it prints, and what happens the second time. (Typed as a person does: journeys.)"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ctlog.cli import demo, run
from ctlog.cli.demo import free_port, make_authority, what_next
from ctlog.cli.files import read_certificates
from ctlog.folder import open_folder
from ctlog.issuance import Key
from ctlog.tn.identity import read_identity
from ctlog.x509.chain import is_ca
from ctlog.x509.der import parse_certificate


@pytest.fixture(autouse=True)
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Sequence[str]]]:
    """Nothing is served here: the call is recorded, and told that it began."""
    calls: list[tuple[Path, Sequence[str]]] = []

    def serve(directory: Path, listen: Sequence[str], say: Callable[[str], None]) -> int:
        calls.append((directory, listen))
        say("it serves")
        say("it has stopped")
        return 0

    monkeypatch.setattr("ctlog.app.serve", serve)
    monkeypatch.chdir(tmp_path)
    return calls


def test_the_example_ca_issues_each_kind_of_claim(tmp_path: Path) -> None:
    make_authority(tmp_path / "ca")
    claims = {}
    for name in ("code", "range", "message"):
        (der,) = read_certificates(tmp_path / f"ca/{name}.pem")
        identity = read_identity(parse_certificate(der))
        claims[name] = (identity.codes, identity.ranges, identity.numbers)
    assert claims == {
        "code": (["709J"], [], []), "range": ([], [("12025550100", 100)], []), "message": ([], [], ["12025550123"]),
    }  # fmt: skip
    assert all(is_ca(parse_certificate(der)) for der in read_certificates(tmp_path / "ca/ca.pem"))
    assert Key.from_pem((tmp_path / "ca/ca-key.pem").read_bytes()).spki
    secrets = [tmp_path / f"ca/{name}-key.pem" for name in ("root", "ca", "leaf")]
    assert {oct(path.stat().st_mode & 0o777) for path in secrets} == {"0o600"}


def test_everything_is_made_and_said(
    served: list[tuple[Path, Sequence[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port(18460)
    assert run(["demo", "--port", str(port)]) == 0
    assert served == [(Path("data/log"), [f"127.0.0.1:{port}"])]
    out = capsys.readouterr().out
    assert f"  open     http://127.0.0.1:{port}/" in out
    assert out.index("Making an example CA in data/example-ca.") < out.index("  submit   ") < out.index("it serves")
    assert out.count("  submit   ") == 1
    config = open_folder(Path("data/log")).config
    assert config.submission_url == config.monitoring_url == f"http://127.0.0.1:{port}/"


def test_the_second_call_goes_on_with_the_same_log_on_another_port(
    served: list[tuple[Path, Sequence[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "d d", "--port", str(free_port(18470))]) == 0
    seed, root = Path("d d/log/seed").read_bytes(), Path("d d/example-ca/root.pem").read_bytes()
    capsys.readouterr()
    port = free_port(18480)
    assert run(["demo", "d d", "--port", str(port)]) == 0
    assert (Path("d d/log/seed").read_bytes(), Path("d d/example-ca/root.pem").read_bytes()) == (seed, root)
    assert open_folder(Path("d d/log")).config.submission_url == f"http://127.0.0.1:{port}/"
    out = capsys.readouterr().out
    assert "Making" not in out
    assert "'d d/example-ca/range.pem'" in out


def test_what_was_begun_and_not_finished_is_made_again() -> None:
    for unfinished in ("format", "roots"):
        assert run(["demo"]) == 0
        shutil.rmtree("data/example-ca")
        Path("data/example-ca.unfinished").mkdir()
        Path("data/log/format").unlink()
        if unfinished == "roots":
            shutil.rmtree("data/log/roots")
        assert run(["demo"]) == 0
        assert open_folder(Path("data/log")).roots.records()
        assert Path("data/example-ca/message.pem").exists()


def test_a_taken_port_is_said_and_the_next_one_is_used(
    served: list[tuple[Path, Sequence[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["demo", "--port", str(port)]) == 0
        out = capsys.readouterr().out
        if sys.platform == "linux":
            assert f"Port {port} is taken by " in out
            assert f"(process {os.getpid()})" in out
    assert served[0][1] != [f"127.0.0.1:{port}"]


def test_when_all_ports_are_taken_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_PORTS", 0)
    assert run(["demo"]) == 2
    assert "name another with --port" in capsys.readouterr().err


def test_what_next_can_be_typed_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dict(what_next(Path("data"), "http://127.0.0.1:1/", str(tmp_path / ".venv/bin/ctlog")))
    assert lines["look"] == ".venv/bin/ctlog show data/example-ca/range.pem"
    lines = dict(what_next(Path("data"), "http://127.0.0.1:1/", "/a b/ctlog"))
    assert lines["verify"].startswith("'/a b/ctlog' verify data/example-ca/range.pem --log http://127.0.0.1:1/ ")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ctlog").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert dict(what_next(Path("x"), "u", str(tmp_path / "bin/ctlog")))["look"].startswith("ctlog show ")
