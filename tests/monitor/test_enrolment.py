"""monitor.enrolment: what is new is told from what was watched before, and looked up; what comes back is new."""

import json

import pytest

from ctlog.errors import StoreError
from monitor.enrolment import enrol, item_hash
from monitor.state import State, make_state
from monitor.watch_file import parse_watch_file
from monitor.watchlist import Watchlist

NOW = 1_795_000_000_000


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as opened:
        yield opened


def watching(*numbers, codes=()):
    listed = ", ".join(f'"+{number}"' for number in numbers)
    text = f'[[watch]]\nname = "home"\ntrust_domain = "us"\nnumbers = [{listed}]\ncodes = {json.dumps(list(codes))}'
    return Watchlist(parse_watch_file(text))


async def put(state, watchlist, now_ms, has_history=True):
    """(text, since when) of each item, after it was enrolled."""
    fresh = await enrol(watchlist, state, now_ms, has_history=has_history)
    return fresh, {item.text: item.added_ms - NOW for item in watchlist.items()}


async def looked_up(state):
    return [json.loads(task.spec)["items"] for task in await state.audits.tasks()]


async def test_the_first_time_there_is_nothing_to_look_up(state):
    assert await put(state, watching("12025550123", codes=["709J"]), NOW + 1, has_history=False) == (
        2, {"709J": 1, "+12025550123": 1})  # fmt: skip
    assert await looked_up(state) == []


async def test_what_is_new_is_looked_up_and_the_rest_stays(state):
    await put(state, watching("12025550123"), NOW)
    fresh, since = await put(state, watching("12025550123", "12025550124"), NOW + 7)
    assert (fresh, since) == (1, {"+12025550123": 0, "+12025550124": 7})
    assert await looked_up(state) == [["home/number:+12025550123"], ["home/number:+12025550124"]]
    assert await put(state, watching("12025550123", "12025550124"), NOW + 9) == (0, since)
    assert len(await looked_up(state)) == 2


async def test_what_comes_back_is_new(state):
    """It may have been gone for a moment only, in which something was logged."""
    await put(state, watching("12025550123", "12025550124"), NOW)
    await put(state, watching("12025550123"), NOW + 1)
    assert await put(state, watching("12025550123", "12025550124"), NOW + 2) == (
        1, {"+12025550123": 0, "+12025550124": 2})  # fmt: skip
    assert (await looked_up(state))[-1] == ["home/number:+12025550124"]


async def test_nothing_is_enrolled_without_its_task(state, monkeypatch):
    """A crash between the two would leave an item of which nobody ever looks up what was there."""

    def full(*args):
        raise StoreError("full", reason="disk-full")

    real = state.answers.enrol
    monkeypatch.setattr(state.answers, "enrol", full)
    with pytest.raises(StoreError):
        await put(state, watching("12025550123"), NOW)
    monkeypatch.setattr(state.answers, "enrol", real)
    fresh, _ = await put(state, watching("12025550123"), NOW)
    assert (fresh, await looked_up(state)) == (1, [["home/number:+12025550123"]])


def test_ids_are_told_apart():
    items = list(watching("12025550123", "12025550124", codes=["709J"]).items())
    assert len({item_hash(item) for item in items}) == 3
    assert all(-(1 << 63) <= item_hash(item) < 1 << 63 for item in items)
