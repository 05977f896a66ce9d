"""Places and waiters: who shares one, who gives way, who is woken."""

from __future__ import annotations

import asyncio

import pytest

from ctlog.errors import PoolFullError, StoreError
from ctlog.sequencer.pool import Pool


def pool(size: int = 3) -> tuple[Pool[str, int], list[int]]:
    calls: list[int] = []
    made: Pool[str, int] = Pool(size, 7, lambda: calls.append(1))
    return made, calls


async def test_a_second_submission_joins_the_first_while_it_waits_and_while_it_flies() -> None:
    filling, first = pool()
    one = filling.add("a", b"a", False)
    two = filling.add("a", b"a", False)
    assert len(filling) == 1
    tickets = filling.rotate()
    three = filling.add("a", b"a", False)
    assert (len(filling), len(tickets), len(first)) == (0, 1, 1)
    tickets[0].resolve(5)
    filling.land()
    assert [one.result(), two.result(), three.result()] == [5, 5, 5]
    filling.add("a", b"a", False)
    assert (len(filling), len(first)) == (1, 2)


async def test_who_comes_after_the_answer_and_before_the_batch_is_through_is_answered_too() -> None:
    """An entry that the log has already is answered at the beginning of its batch; who joined it waited for ever."""
    filling, _ = pool()
    one = filling.add("a", b"a", False)
    filling.rotate()[0].resolve(0)
    late = filling.add("a", b"a", False)
    filling.land()
    assert (one.result(), late.done(), len(filling)) == (0, True, 0)
    assert late.result() == 0


async def test_who_goes_away_takes_nobody_along() -> None:
    filling, _ = pool()
    one, two = filling.add("a", b"a", False), filling.add("a", b"a", False)
    one.cancel()
    (ticket,) = filling.rotate()
    ticket.resolve(5)
    assert await two == 5
    three = filling.add("b", b"b", False)
    three.cancel()
    assert len(filling.rotate()) == 1  # it has its place all the same


async def test_a_fresh_entry_takes_the_place_of_the_low_one_that_came_last() -> None:
    filling, _ = pool()
    low = [filling.add(name, name.encode(), True) for name in "ab"]
    again = filling.add("b", b"b", True)
    fresh = filling.add("c", b"c", False)
    filling.check_room()
    with pytest.raises(PoolFullError) as full:
        filling.add("d", b"d", True)  # low entries take nobody's place
    assert full.value.retry_after_s == 7
    newer = filling.add("e", b"e", False)
    for gone in (low[1], again):
        with pytest.raises(PoolFullError):
            await gone
    assert filling.evicted == 1
    filling.add("f", b"f", False)
    with pytest.raises(PoolFullError):
        await low[0]
    with pytest.raises(PoolFullError):
        filling.check_room()
    with pytest.raises(PoolFullError):
        filling.add("g", b"g", False)
    assert [ticket.entry for ticket in filling.rotate()] == ["c", "e", "f"]
    filling.check_room()
    assert not fresh.done()
    assert not newer.done()


async def test_a_duplicate_of_what_waits_needs_no_place() -> None:
    filling, _ = pool(1)
    one = filling.add("a", b"a", False)
    two = filling.add("a", b"a", False)
    with pytest.raises(PoolFullError):
        filling.add("b", b"b", False)
    filling.rotate()[0].resolve(1)
    assert [await one, await two] == [1, 1]


async def test_a_low_entry_in_flight_is_never_given_up() -> None:
    filling, _ = pool(1)
    low = filling.add("a", b"a", True)
    filling.rotate()
    filling.add("b", b"b", False)
    with pytest.raises(PoolFullError):
        filling.add("c", b"c", False)
    assert not low.done()


async def test_one_that_gave_way_may_come_again() -> None:
    filling, _ = pool(1)
    filling.add("a", b"a", True)
    filling.add("b", b"b", False)
    filling.rotate()
    again = filling.add("a", b"a", True)
    (ticket,) = filling.rotate()
    ticket.resolve(3)
    assert await again == 3


async def test_all_are_told_of_the_end() -> None:
    filling, _ = pool()
    waiting = [filling.add("a", b"a", False)]
    filling.rotate()
    waiting += [filling.add("b", b"b", True), filling.add("b", b"b", True)]
    error = StoreError("the end")
    filling.fail_all(error)
    assert await asyncio.gather(*waiting, return_exceptions=True) == [error] * 3
    assert len(filling) == 0
