"""Somebody clones this, types `make run`, and then what it prints. Also: interrupted, offline, without venv or cc."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.floor_plan import ROOT
from tests.serving import leashed
from tests.tools import tool

pytestmark = pytest.mark.trial

NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9/")
WITHOUT_A_COMPILER = "sh make echo sed git env touch mv rm mkdir ls cat dirname basename uname"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, in a folder with a space in its name."""
    tool("make")
    folder = tmp_path_factory.mktemp("somebody") / "my checkouts" / "ctlog"
    subprocess.run([tool("git"), "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def environment(checkout: Path, **more: str) -> dict[str, str]:
    """Of somebody who has no virtual environment active and no state yet."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "CI")}
    return {**kept, "XDG_STATE_HOME": str(checkout.parent / "state"), **more}


class Run:
    """`make run`, with what it says."""

    def __init__(self, checkout: Path, *arguments: str, **more: str) -> None:
        self.path = checkout.parent / f"said-{time.monotonic_ns()}"
        with self.path.open("wb") as file:
            self.process = subprocess.Popen(
                leashed("make", "run", *arguments), cwd=checkout, env=environment(checkout, **more), stdout=file,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self.path.read_text()

    def until(self, words: str) -> str:
        end = time.monotonic() + PATIENCE_S
        while words not in self.said and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        assert words in self.said, self.said
        return self.said

    def end(self, number: int) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
            self.process.wait(60)


@contextmanager
def make_run(checkout: Path, *arguments: str, **more: str) -> Iterator[Run]:
    run = Run(checkout, *arguments, **more)
    try:
        yield run
        run.end(signal.SIGINT)  # Ctrl-C, which everything in the terminal gets
    finally:
        run.end(signal.SIGKILL)


def typed(checkout: Path, line: str) -> str:
    ran = subprocess.run(["sh", "-c", line], cwd=checkout, env=environment(checkout), capture_output=True, text=True,
                         check=False)  # fmt: skip
    assert ran.returncode == 0, f"{line}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def what_it_says(said: str) -> dict[str, str]:
    return dict(re.findall(r"^  (open|look|submit|verify|check) +(.*)$", said, re.MULTILINE))


def test_an_interrupted_set_up_is_finished_by_the_next_call(checkout: Path) -> None:
    first = Run(checkout)
    first.until("Installing the packages")
    time.sleep(2)
    first.end(signal.SIGKILL)
    assert not (checkout / ".venv/.packages").exists()
    with make_run(checkout, "PORT=18461") as second:
        second.until(" serves 0 entries on http://127.0.0.1:")


def test_what_it_prints_works_as_typed(checkout: Path) -> None:
    with make_run(checkout, "PORT=18462") as run:
        lines = what_it_says(run.until(" serves "))
        assert set(lines) == {"open", "look", "submit", "verify", "check"}
        with urllib.request.urlopen(lines["open"]) as answer:
            assert b"<html" in answer.read().lower()
        assert "100 numbers from 12025550100" in typed(checkout, lines["look"])
        assert typed(checkout, lines["submit"]).startswith("index 0 ")
        assert "entry 0 of 1" in typed(checkout, lines["verify"])
        assert "is whole: 1 entries" in typed(checkout, lines["check"])
    assert "has stopped at 1 entries" in run.said
    assert "Traceback" not in run.said


def test_the_second_time_needs_no_network_and_goes_on_with_the_same_log(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 18463)), make_run(checkout, "PORT=18463", **NO_NETWORK) as run:
        said = run.until(" serves 1 entries ")
        assert "Port 18463 is taken by " in said
        assert "Installing" not in said
        assert what_it_says(said)["open"] != "http://127.0.0.1:18463/"
        lines = what_it_says(said)
        assert "entry 0 of 1" in typed(checkout, lines["verify"])


def test_an_environment_without_a_compiler_says_which_kernel_runs(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "b c"
    subprocess.run([tool("git"), "clone", "-q", str(checkout), str(other)], check=True)
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in WITHOUT_A_COMPILER.split():
        (bin_ / name).symlink_to(tool(name))
    ran = subprocess.run(
        ["make", ".venv/.installed", f"PYTHON={sys._base_executable}"],  # type: ignore[attr-defined]
        cwd=other, env={**environment(checkout), "PATH": str(bin_), "CC": "/nonexistent/cc"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "hashing kernel: reference" in ran.stdout


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('case "$*" in *ensurepip*) exit 1;; *) exec "{python}" "$@";; esac', "apt-get install python3-venv"),
        ("exit 1", "Python 3.11 or later is needed"),
    ],
    ids=["no venv", "an old Python"],
)
def test_what_is_missing_is_said_in_one_sentence(checkout: Path, tmp_path: Path, script: str, sentence: str) -> None:
    other = tmp_path / "other"
    subprocess.run([tool("git"), "clone", "-q", str(checkout), str(other)], check=True)
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\n" + script.format(python=sys.executable) + "\n")
    fake.chmod(0o755)
    for target in ("run", "test"):
        ran = subprocess.run(["make", target, f"PYTHON={fake}"], cwd=other, env=environment(checkout), text=True,
                             capture_output=True, check=False)  # fmt: skip
        assert ran.returncode != 0
        complaints = [line for line in ran.stderr.splitlines() if not line.startswith("make")]
        assert len(complaints) == 1
        assert sentence in complaints[0]
    assert not (other / ".venv").exists()
    shutil.rmtree(other)
