"""`ctlog-monitor export`: everything, for other programs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from ctlog.tn.labels import ONE, Label
from monitor.claims import Claim, format_claim, label_key
from monitor.cli import export as module
from monitor.history import History
from tests.monitor.cli.test_alerts import ENTRY, certificate_alert, raised
from tests.monitor_place import Monitor
from tests.state_values import alert


@pytest.fixture
def told(monitor: Monitor) -> Monitor:
    """A monitor with two alerts about certificates and one about itself."""
    monitor.here("watch", "add", "--name", "home", "+12025550123", "+12025550124")
    raised(monitor, certificate_alert(), alert("b", item="office/x", group="office", summary='=HYPERLINK("x"),"y"'))
    raised(monitor, alert("health", kind="health", item="", body=b"no JSON"))
    return monitor


def test_alerts_with_everything(told: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    lines = told.here("export", "alerts").lines
    assert len(lines) == 3
    (found,) = [line for line in lines if line["group"] == "home"]
    assert found["body"]["certificate"]["der"]
    assert [each["log_index"] for each in found["sightings"]] == [ENTRY.index]
    assert [each["channel"] for each in found["messages"]] == ["screen"]
    assert [line["id"] for line in told.here("export", "alerts", "--item", "office").lines] == ["b-0123"]
    assert told.here("export", "alerts", "--since", "2030-01-01").out == ""


def test_a_spreadsheet_runs_nothing(told: Monitor) -> None:
    assert told.here("export", "alerts", "--format", "csv", "-o", "a.csv").out == "3 alerts are in a.csv.\n"
    rows = list(csv.DictReader(io.StringIO(Path("a.csv").read_text())))
    assert rows[0].keys() == set(module.COLUMNS)
    found = {row["group"]: row for row in rows}
    assert found["home"]["certificate_sha256"] == ENTRY.fingerprint.hex()
    assert found["home"]["issuer"].startswith("C=US") or "Rightful CA" in found["home"]["issuer"]
    assert found["office"]["summary"] == "'=HYPERLINK(\"x\"),\"y\""
    for value, shown in (("+12025550123", "+12025550123"), ("+cmd", "'+cmd"), ("@x", "'@x"), (None, ""), (7, "7")):
        assert module._cell(value) == shown


def test_everything_about_an_item(told: Monitor) -> None:
    told.here("alerts", "authorise", "--key", "ab" * 32, "--item", "home/number:+12025550123")
    told.here("alerts", "authorise", "--key", "cd" * 32, "--item", "home/number:+12025550124")
    told.here("events", "add", "sim", "+12025550123")
    told.here("events", "add", "sim", "+12025550124")

    async def learn(state) -> None:
        await state.answers.put_baselines([("home/number:+12025550123", b'{"v": 1}')], 1)

    told.state(learn)
    lines = told.here("export", "item", "home/number:+12025550123").lines
    assert [line["type"] for line in lines] == ["item", "learned", "authorisation", "event", "alert"]
    assert lines[2]["value"] == "ab" * 32
    assert lines[4]["body"]["item"]["id"] == "home/number:+12025550123"
    types = [line["type"] for line in told.here("export", "item", "home").lines]
    assert (types.count("item"), types.count("authorisation"), types.count("event")) == (2, 2, 2)
    assert "is not watched, and nobody was told of it" in told.here("export", "item", "nothing", code=1).err


def test_every_entry_that_claims_it(told: Monitor) -> None:
    history = History(told.folder / "state" / "history")
    log = history.log_number(b"\7" * 32)
    for at, digits in enumerate(("12025550123", "12025550199")):
        key = label_key(Label(ONE, digits))
        history.append(format_claim(Claim(key, 5000, 9000, 0, 0, b"sixsix", 7000, log, False, at)))
    history.flush()
    lines = [line for line in told.here("export", "item", "home").lines if line["type"] == "entry"]
    history.close()
    assert [(line["log_id"], line["log_index"]) for line in lines] == [("07" * 32, 0)]


def test_what_is_not_watched_any_more_is_still_there(told: Monitor) -> None:
    told.here("watch", "remove", "home")
    said = told.here("export", "item", "home/number:+12025550123", "-o", "x.jsonl")
    assert "is not watched any more" in said.err
    assert said.out == "1 lines are in x.jsonl.\n"


def test_evidence_is_copied_once(monitor: Monitor) -> None:
    assert monitor.here("export", "evidence", "out").out == "There is no evidence.\n"
    folder = monitor.folder / "state" / "evidence"
    folder.mkdir()
    (folder / "EVIDENCE-a.txt").write_text("one")
    (folder / "other").write_text("not this")
    assert monitor.here("export", "evidence", "out").out == "1 of 1 files were copied to out.\n"
    Path("out/EVIDENCE-a.txt").write_text("mine")
    assert monitor.here("export", "evidence", "out").out.startswith("0 of 1")
    assert Path("out/EVIDENCE-a.txt").read_text() == "mine"
    assert [path.name for path in Path("out").iterdir()] == ["EVIDENCE-a.txt"]


def test_where_nothing_can_be_written(told: Monitor) -> None:
    said = told.here("export", "alerts", "-o", "no/such/folder.csv", code=3)
    assert "No such file or directory" in said.err
