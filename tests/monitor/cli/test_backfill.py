"""`ctlog-monitor backfill`: asks, waits, and says what became of it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable

import pytest

from ctlog.merkle.tree import Frontier
from monitor.backfill import BACKFILL, Span, read_plan
from monitor.cli import backfill as module
from monitor.cli.alive import Alive
from monitor.state.rows import Position
from monitor.tasks import ENROL
from tests.monitor_place import Monitor
from tests.wire_values import TestLog

FRONTIER = Frontier(8, (bytes(32),))
LOG, WHOLE = TestLog(), TestLog(99)


def table(log: TestLog, name: str) -> str:
    return f'\n[[log]]\nname = "{name}"\nurl = "https://{name[0]}.example/"\nkey = "{b64encode(log.spki).decode()}"\n'


@pytest.fixture
def begun(monitor: Monitor) -> Monitor:
    """It watches two numbers, and began with a log at entry 8."""
    monitor.here("watch", "add", "--name", "home", "+12025550123", "+12025550124")
    text = (monitor.folder / "monitor.toml").read_text()
    monitor.write("monitor.toml", text + table(LOG, "a log") + table(WHOLE, "whole"))
    monitor.state(lambda state: state.logs.add(LOG.key.log_id, "a log", "", Position(FRONTIER, FRONTIER), 1))
    monitor.state(lambda state: state.logs.add(WHOLE.key.log_id, "whole", "", Position(), 1))
    return monitor


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - another process's deed has no event
            await asyncio.sleep(0.005)


def tasks(monitor: Monitor):
    return monitor.state(lambda state: state.audits.tasks())


def test_a_log_from_further_back(begun: Monitor) -> None:
    said = begun.here("backfill", "--log", "a log", "--since", "2026-01-31")
    assert said.out == "Noted. No monitor runs at present: it is done when one does.\n"
    (task,) = tasks(begun)
    assert (task.kind, read_plan(task)) == (BACKFILL, (LOG.key.log_id, 1_769_817_600_000))
    assert "is being read from further back already" in begun.here("backfill", "--log", "a log", code=2).err


def test_a_log_that_is_read_no_longer(begun: Monitor) -> None:
    begun.here("logs", "remove", "a log")
    assert "a log is read no longer: add it again with" in begun.here("backfill", "--log", "a log", code=2).err


def test_the_past_of_items(begun: Monitor) -> None:
    begun.here("backfill", "--item", "home")
    begun.here("backfill", "--item", "home/number:+12025550124", "--json")
    first, second = tasks(begun)
    assert first.kind == second.kind == ENROL
    assert len(json.loads(first.spec)["items"]) == 2
    assert json.loads(second.spec)["items"] == ["home/number:+12025550124"]


def test_progress_is_shown_until_it_is_done(begun: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ask", lambda listen, state, identity: Alive(True, None))
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    reported: list[int] = []

    class Bar:
        def update(self, n: int = 1) -> None:
            reported.append(n)

        def close(self) -> None:
            reported.append(-1)

    monkeypatch.setattr(module, "progress", lambda total, what, unit: reported.append(total) or Bar())

    async def work(state) -> int:
        command = asyncio.create_task(asyncio.to_thread(begun.here, "backfill", "--log", "a log", "--json"))
        await until(state.audits.tasks)
        found = await state.audits.tasks()

        for at in (2, 8):
            await state.audits.note_task(found[0].id, json.dumps(Span(0, at, 8)).encode(), 5)

            async def is_shown(at: int = at) -> bool:
                return sum(reported[1:]) >= at

            await until(is_shown)
        await state.audits.note_task(found[0].id, json.dumps(Span(0, 8, 8)).encode(), 5, done=True)
        said = await command
        return said.lines[0]["done"]

    assert begun.state(work) is True
    assert reported[0] == 8
    assert sum(reported[1:-1]) == 8
    assert reported[-1] == -1


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "name a --log to be read from further back, or each --item"),
        (["--log", "a log", "--item", "home"], 2, "name a --log"),
        (["--item", "home", "--since", "2026-01-01"], 2, "--since goes with --log"),
        (["--log", "a log", "--since", "newest"], 2, "nothing lies behind the newest entry"),
        (["--log", "a lgo"], 1, "the nearest is 'a log'"),
        (["--log", "whole"], 2, "is read from its first entry on"),
        (["--item", "hme"], 1, "did you mean 'home'?"),
    ],
)
def test_wrong_use(begun: Monitor, words: list[str], code: int, sentence: str) -> None:
    assert sentence in begun.here("backfill", *words, code=code).err
    assert tasks(begun) == []


def test_a_history_that_was_lost(monitor):
    """A new one, with what is left of the old one beside it; never for a monitor that runs."""
    history = monitor.folder / "state" / "history"
    (history / "manifest").unlink()
    said = monitor.here("backfill", "--history").out
    assert "a new, empty history; what was there lies in" in said
    assert (history / "manifest").exists()
    assert monitor.here("backfill", "--history", "--json").lines[0]["history"] == "new"
    assert "goes with nothing else" in monitor.here("backfill", "--history", "--log", "x", code=2).err
