"""`make demo`: it ends by itself, well if the one alert came that should, and not well otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctlog.errors import TransportError
from monitor.cli import run, story
from monitor.cli.processes import Child
from tests.monitor_place import Monitor


@pytest.mark.trial
def test_the_whole_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real log, a real monitor, real certificates."""
    assert run(["story", "--quick", "--keep", str(tmp_path / "kept")]) == 0
    out = capsys.readouterr().out
    told = out.partition("--- What reaches you ")[2]
    for words in ("S1 +12025550123: certificate by Rogue (for tests): not yours?", "[T-01 with T-09, S1]",
                  "Rogue (for tests) is none of the issuers that you expect for +12025550123.", "What to do: ",
                  "abuse@rogue.example", "entry         2, proven in the tree of 3 entries"):  # fmt: skip
        assert words in told
    assert "not yours?" not in out.partition("--- What reaches you ")[0]
    assert out.count("$ ctlog ca certificate --ca ") == 3
    assert (tmp_path / "kept" / "stolen.pem").exists()
    monitor = Monitor(tmp_path / "kept" / "monitor", capsys)
    (alert,) = monitor.here("alerts", "list", "--item", "mine", "--severity", "3", "--json").lines
    assert (alert["severity"], alert["proven"]) == (1, 3)
    assert not _processes_in(tmp_path), "nothing runs on"


def _processes_in(folder: Path) -> list[str]:
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(link.readlink()).startswith(str(folder)) and link.parent.name != str(os.getpid()):
                found.append(link.parent.name)
        except OSError:
            continue
    return found


class Mute:
    """A monitor that runs, and tells nobody."""

    process = type("Process", (), {"poll": staticmethod(lambda: None)})


def test_an_alert_that_does_not_come_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "WAIT_S", 0.05)
    mute: Child = Mute()  # type: ignore[assignment]
    with pytest.raises(TransportError, match="the alert did not come"):
        story._wait(lambda: False, mute, "the alert did not come")
    story._wait(lambda: True, mute, "")


@pytest.mark.parametrize("told", ["nothing", "too early", "another"])
def test_only_the_one_alert_is_a_good_end(told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.state_values import alert

    def act(stage: story.Stage, monitor: Child) -> None:
        if told == "too early":
            story._own_certificates(stage, "", monitor)
        else:
            story._rogue_certificate(stage, "", monitor, [])

    rows = {"nothing": [], "too early": [alert()], "another": [alert(severity=2)]}[told]
    monkeypatch.setattr(story, "WAIT_S", 0.05)
    monkeypatch.setattr(story, "_certificate", lambda *_: None)
    monkeypatch.setattr(story, "_alerts", lambda *_, **__: rows)
    monkeypatch.setattr(story, "_proven", lambda *_: 2)
    stage = story.Stage(tmp_path, True)
    mute: Child = Mute()  # type: ignore[assignment]
    with pytest.raises(TransportError, match=r"did not come|that were expected|other alerts came"):
        act(stage, mute)


def test_a_folder_that_is_there_is_not_played_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["story", "--keep", str(tmp_path)]) == 3
    assert "File exists" in capsys.readouterr().err
