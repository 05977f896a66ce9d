"""monitor.enrolment: what is new is told from what was watched before, and looked up; what comes back is new."""

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import StoreError
from monitor import enrolment
from monitor.enrolment import Enrolment, item_hash
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


async def put(state, watchlist, now_ms, has_history=True, by=None):
    """(new, {text: since when}), after it was enrolled; by a new process, or by one that goes on."""
    by = by or Enrolment(state, lambda: now_ms)
    fresh = await by.enrol(watchlist, has_history=has_history)
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


async def test_a_process_that_goes_on_remembers(state):
    by = Enrolment(state, lambda: NOW + 5)
    await put(state, watching("12025550123", "12025550124"), NOW, by=by)
    fresh, since = await put(state, watching("12025550124", "12025550125"), NOW, by=by)
    assert (fresh, since) == (1, {"+12025550124": 5, "+12025550125": 5})
    assert await put(state, watching("12025550125"), NOW + 9) == (0, {"+12025550125": 5})


async def test_many_are_stored_in_parts_and_a_failure_between_them_is_made_good(state, monkeypatch):
    """Each part with its task: a crash between the two would leave items of which nobody looks up what was there."""
    monkeypatch.setattr(enrolment, "AT_ONCE", 2)
    numbers = [f"1202555{number:04d}" for number in range(7)]
    real, left = state.answers.enrol, [2]

    async def enrol(*args):
        left[0] -= 1
        if left[0] < 0:
            raise StoreError("full", reason="disk-full")
        await real(*args)

    monkeypatch.setattr(state.answers, "enrol", enrol)
    by = Enrolment(state, lambda: NOW + 1)
    with pytest.raises(StoreError):
        await put(state, watching(*numbers), NOW, by=by)
    assert sum(map(len, await looked_up(state))) == 4
    left[0] = 99
    fresh, since = await put(state, watching(*numbers), NOW, by=by)
    assert (fresh, set(since.values())) == (3, {1})
    found = [item for items in await looked_up(state) for item in items]
    assert sorted(found) == sorted(f"home/number:+{number}" for number in numbers)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=5))
def test_against_a_plain_table(ways):
    """Since when each is watched without a break."""

    now = [NOW]

    async def run(folder):
        make_state(folder, NOW)
        async with State.open(folder) as state:
            plain = {}
            for step, numbers in enumerate(ways, 1):
                now[0] = NOW + step
                if step % 2:  # a restart
                    by = Enrolment(state, lambda: now[0])
                plain = {number: plain.get(number, step) for number in numbers}
                texts = [f"1202555{number:04d}" for number in sorted(numbers)]
                _, since = await put(state, watching(*texts) if texts else Watchlist(), NOW, by=by)
                assert since == {f"+1202555{number:04d}": added for number, added in plain.items()}

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


def test_ids_are_told_apart():
    items = list(watching("12025550123", "12025550124", codes=["709J"]).items())
    assert len({item_hash(item) for item in items}) == 3
    assert all(-(1 << 63) <= item_hash(item) < 1 << 63 for item in items)
