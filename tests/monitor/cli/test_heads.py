"""`ctlog-monitor heads`: what a log showed to somebody else is taken in, if it is the log's, and compared."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import pytest

from ctlog.wire.rfc6962 import sth_to_json
from monitor.cli.place import now_ms
from monitor.state.rows import CONSISTENT, CONTRADICTS, Position
from tests.monitor_place import Monitor
from tests.simulator import Simulator


class Case:
    """A log that is read, and the same log as somebody else saw it: the same keys, and a tree of its own."""

    def __init__(self, monitor: Monitor) -> None:
        self.sim, self.other = Simulator(), Simulator()
        self.key = base64.b64encode(self.sim.policy.key.spki).decode()
        words = ["--key", self.key, "--origin", self.sim.origin, "--name", "sim"]
        monitor.here("logs", "add", "https://sim.example/log/", *words)
        for each in (self.sim, self.other):
            each.grow(10)

    async def trust(self, state) -> None:
        await state.logs.add(self.sim.policy.key.log_id, "sim", "", Position(trusted=self.sim.head.note), 1)


@pytest.fixture
def case(monitor: Monitor) -> Case:
    return Case(monitor)


def test_a_checkpoint_and_what_get_sth_answers(monitor: Monitor, case: Case) -> None:
    Path("checkpoint").write_bytes(case.sim.head.note)
    said = monitor.here("heads", "add", "sim", "checkpoint").out
    assert said.startswith("Taken: the head of 10 entries that sim signed on 2025-10-09 08:53:22 UTC.\n")
    assert f"heads list -d {monitor.folder} sim" in said
    Path("sth.json").write_text(json.dumps(sth_to_json(case.sim.head.sth)))
    (line,) = monitor.here("heads", "add", "https://sim.example/log", "sth.json", "--json").lines
    assert (line["new"], line["tree_size"], line["state"], line["contradiction"]) == (False, 10, "unverified", "")
    assert monitor.here("heads", "add", "sim", "sth.json").out.startswith("Known already (waiting): ")


def test_from_standard_input_without_its_last_end_of_line(
    monitor: Monitor, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(case.sim.head.note.rstrip(b"\n"))))
    assert monitor.here("heads", "add", "sim", "-").out.startswith("Taken: ")


def test_a_split_view_is_said_at_once(monitor: Monitor, case: Case) -> None:
    monitor.state(case.trust)
    Path("their").write_bytes(case.other.fork(3).note)
    said = monitor.here("heads", "add", "sim", "their", code=1).out
    assert said.startswith("IT LIED: the head of 10 entries that sim signed on ")
    assert "contradicts another of its heads: the log signed two trees of 10 entries." in said
    assert f"alerts list -d {monitor.folder} --kind misbehaviour" in said
    (line,) = monitor.here("heads", "add", "sim", "their", "--json", code=1).lines
    assert (line["new"], line["contradiction"]) == (False, "the log signed two trees of 10 entries")


def test_what_became_of_them(monitor: Monitor, case: Case) -> None:
    assert monitor.here("heads", "list").out == "There are none.\n"
    log_id = case.sim.policy.key.log_id
    forged = case.other.fork(3)

    async def fill(state) -> None:
        for head, source, word in ((case.sim.head, "", CONSISTENT), (forged, "by a friend", CONTRADICTS)):
            await state.logs.see(log_id, head, source, 1)
            await state.logs.judge(log_id, head, word)
        await state.logs.see(log_id, case.sim.grow(5), "by me", 1)

    monitor.state(fill)
    lines = monitor.here("heads", "list", "sim").out.splitlines()
    assert [line.split()[0] for line in lines] == ["waiting", "CONTRADICTS", "consistent"]
    assert lines[0] == "waiting                15 entries  signed 2025-10-09 08:53:23 UTC  sim, by me"
    assert lines[2].endswith("sim, from the log")
    assert [line["state"] for line in monitor.here("heads", "list", "--json").lines][1] == "contradicts"
    Path("their").write_bytes(forged.note)
    assert "contradicts another of its heads" in monitor.here("heads", "add", "sim", "their", code=1).out
    Path("next").write_bytes(case.sim.grow(5).note)
    assert monitor.here("heads", "add", "sim", "next").out.startswith("Taken: "), "a lie of before convicts no other"


def test_one_of_the_future(monitor: Monitor, case: Case) -> None:
    Path("head").write_bytes(case.sim.sign(10, at_ms=now_ms() + 3_600_000).note)
    assert "it is dated in the future, so it waits" in monitor.here("heads", "add", "sim", "head").err


def spoiled(case: Case) -> bytes:
    sth = sth_to_json(case.sim.head.sth)
    return json.dumps({**sth, "tree_size": 11}).encode()


@pytest.mark.parametrize(
    ("made", "code", "sentence"),
    [
        (spoiled, 1, "sim did not sign this: "),
        (lambda case: Simulator("sim.example/log", secret=9).head.note, 1, "sim did not sign this: "),
        (lambda case: Simulator("x.example/log").head.note, 1, "sim did not sign this: the checkpoint is of another"),
        (lambda case: b"", 2, "this is no head, neither a checkpoint nor get-sth's JSON: "),
        (lambda case: b"{]", 2, "and is no JSON"),
        (lambda case: b"{" * 30_000, 2, "is no JSON"),
        (lambda case: b'{"tree_size": 1}', 2, "this is no head"),
        (lambda case: bytes(70_000), 2, "no more than 65536 bytes"),
        (lambda case: b"\xff\xfe", 2, "this is no head"),
        (lambda case: case.sim.sign(1 << 63, root=bytes(32)).note, 1, "no tree has 9223372036854775808 entries"),
    ],
)
def test_what_is_no_head_of_it(monitor: Monitor, case: Case, made, code: int, sentence: str) -> None:
    Path("head").write_bytes(made(case))
    said = monitor.here("heads", "add", "sim", "head", code=code)
    assert sentence in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert monitor.here("heads", "list").out == "There are none.\n"


def test_another_log_or_file(monitor: Monitor, case: Case) -> None:
    Path("head").write_bytes(case.sim.head.note)
    assert "no log 'sin' is read; the nearest is 'sim'" in monitor.here("heads", "add", "sin", "head", code=1).err
    assert "does not exist" in monitor.here("heads", "add", "sim", "none", code=2).err
    assert "is a directory" in monitor.here("heads", "add", "sim", ".", code=2).err
    assert "no log 'sin'" in monitor.here("heads", "list", "sin", code=1).err
