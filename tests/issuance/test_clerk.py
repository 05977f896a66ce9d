"""ctlog.issuance.clerk: many wait for the disk once, and everybody gets what is theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from ctlog.errors import StoreError
from ctlog.issuance.clerk import Clerk
from ctlog.issuance.journal import Begun, Finished, Journal


def begun(n: int) -> Begun:
    return Begun(b"%032d" % n, b"c%d" % n, b"s%d" % n)


class Held(Journal):
    """Its writes wait for `go`, and are counted; `threads` used it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        self.go, self.writing, self.writes, self.threads = threading.Event(), threading.Event(), 0, set[str]()

    def write(
        self, begun: Sequence[Begun] = (), finished: Iterable[Finished] = (), logged: Iterable[int] = ()
    ) -> list[int]:
        self.writes += 1
        self.writing.set()
        self.threads.add(threading.current_thread().name)
        self.go.wait(20)
        return super().write(begun, finished, logged)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Held]:
    held = Held(tmp_path / "journal")
    yield held
    held.close()


async def write_behind_a_first(journal: Held, clerk: Clerk, count: int) -> list[list[int] | BaseException]:
    """The first write is held until `count` others wait behind it."""
    tasks = [asyncio.ensure_future(clerk.begin([begun(0)]))]
    await asyncio.to_thread(journal.writing.wait, 20)
    tasks += [asyncio.ensure_future(clerk.begin([begun(10 * n), begun(10 * n + 1)])) for n in range(1, count + 1)]
    await asyncio.sleep(0)
    journal.go.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_is_one_transaction_and_each_gets_its_own_places(journal: Held) -> None:
    clerk = Clerk(journal)
    first, *others = await write_behind_a_first(journal, clerk, 20)
    assert journal.writes == 2
    assert isinstance(first, list)
    assert len(first) == 1
    for n, places in enumerate(others, 1):
        found = await clerk.find([begun(10 * n).key, begun(10 * n + 1).key])
        assert [entry and entry.place for entry in found] == places
    await clerk.close()
    assert len(journal.threads) == 1
    assert next(iter(journal.threads)).startswith("ctlog-journal")


async def test_every_step_is_written_when_it_returns(journal: Held) -> None:
    journal.go.set()
    clerk = Clerk(journal)
    (place,) = await clerk.begin([begun(1)])
    assert journal.counts() == (1, 0)
    await clerk.finish([Finished(place, b"x", b"y")])
    assert journal.counts() == (1, 1)
    (entry,) = await clerk.find([begun(1).key])
    assert entry is not None
    assert not entry.is_logged
    await clerk.log([place])
    (entry,) = await clerk.find([begun(1).key])
    assert entry is not None
    assert entry.is_logged
    await clerk.close()


async def test_whoever_is_in_a_transaction_that_fails_is_told(journal: Held) -> None:
    """Their order begins a second time: none of those that wait with it is written, and all are told."""
    clerk = Clerk(journal)
    journal.go.set()
    await clerk.begin([begun(11)])
    journal.go.clear()
    journal.writing.clear()
    first, *others = await write_behind_a_first(journal, clerk, 3)
    assert isinstance(first, list)
    assert all(isinstance(one, StoreError) for one in others)
    assert journal.counts() == (2, 0)
    with pytest.raises(StoreError, match="opened anew"):
        await clerk.log([1])
    await clerk.close()


async def test_closing_waits_for_what_is_under_way(journal: Held) -> None:
    clerk = Clerk(journal)
    beginning = asyncio.ensure_future(clerk.begin([begun(1)]))
    await asyncio.to_thread(journal.writing.wait, 20)
    beginning.cancel()  # nobody waits for it any more
    closing = asyncio.ensure_future(clerk.close())
    await asyncio.sleep(0)
    assert not closing.done()
    journal.go.set()
    await closing
    assert journal.counts() == (1, 0)
