"""The fault matrix of docs/promises.md, in process: every act of a batch fails before or after it took effect.

After each step the whole log is checked from its published bytes, and at the end everything that was ever submitted is
submitted once more: what a submitter holds comes back byte for byte, and everything has a place.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

import pytest

from ctlog.errors import CtlogError, FatalError, StoreError
from ctlog.sequencer.places import Sequenced
from tests.faults import Crash, Fault, When
from tests.log_kit import Life, with_settings


class Row(NamedTuple):
    """An act, the object it is about, and what a failure means: for who waits, and for the process."""

    act: str
    key: str
    answered: bool
    fatal: bool


ROWS = {
    "stage": Row("staging.put_many", "", answered=False, fatal=False),
    "prepare": Row("public.prepare", "tile/0/", answered=False, fatal=False),
    "read back": Row("staging.get", "", answered=False, fatal=False),
    "swap": Row("heads.replace", "", answered=False, fatal=True),
    "data tile": Row("public.put_prepared", "tile/data/", answered=False, fatal=True),
    "numbers tile": Row("public.put_prepared", "tile/numbers/", answered=False, fatal=True),
    "hash tile": Row("public.put_prepared", "tile/0/", answered=False, fatal=True),
    "checkpoint": Row("public.put_many", "checkpoint", answered=False, fatal=False),
    "issuer": Row("public.put_many", "issuer/", answered=False, fatal=False),
    "unstage": Row("staging.delete_many", "", answered=True, fatal=False),
    "lookup": Row("lookup.add", "", answered=True, fatal=False),
    "look up": Row("lookup.by_entry_keys", "", answered=False, fatal=False),
    "partial removal": Row("public.delete_many", "", answered=True, fatal=False),
}

BEFORE = {"small": 3, "full tile": 250}
"""Entries that are there when it fails; ten more fit into the first tile, or fill it and begin the next."""


async def upkeep(life: Life) -> None:
    assert life.log is not None
    await life.log._upkeep.round(life.log.head.size, life.clock.now_ms, idle=True)


async def begin(size: int) -> Life:
    life = Life(settings=with_settings(partial_age_ms=0))
    await life.create()
    await life.start()
    half = size // 2
    assert all(isinstance(answer, Sequenced) for answer in await life.submit(*range(half)))
    assert all(isinstance(answer, Sequenced) for answer in await life.submit(*range(half, size)))
    life.check()
    return life


async def finish(life: Life, everything: range) -> None:
    """Whatever happened, the log goes on or a new process does, and everything that was submitted has its place."""
    if life.running is None or life.running.done():
        await life.crash()
        await life.start()
    for _ in range(2):
        answers = await life.submit(*everything, issuers=("A", "B", "root"))
        assert all(isinstance(answer, Sequenced) for answer in answers), answers
        life.check()
        await life.stop()
        await life.start()
    await upkeep(life)
    assert life.check().head.size == len(everything)
    await life.stop()


WAYS = [
    *(("error", retry) for retry in ("same", "others", "restart")),
    *(("twice", retry) for retry in ("same", "restart")),
    *(("crash", retry) for retry in ("same", "others")),
]


@pytest.mark.parametrize(("how", "retry"), WAYS)
@pytest.mark.parametrize("when", list(When), ids=lambda when: when.value)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", ROWS)
async def test_matrix(name: str, before: str, how: str, when: When, retry: str) -> None:
    row, size = ROWS[name], BEFORE[before]
    life = await begin(size)
    batch = range(size, size + 10)
    fault = Fault(row.act, row.key, when, times=2 if how == "twice" else 1)
    if how == "crash":
        fault.error = Crash
    life.faults.arm(fault)
    try:
        answers = await act(life, name, batch)
        expect(row, how, answers, life)
    except Crash:
        assert how == "crash"
    life.check()
    if retry == "restart" or how == "crash" or life.running is None or life.running.done():
        await life.crash()
        try:
            await life.start()
        except (CtlogError, Crash):  # the second of two faults, in the recovery
            life.check()
            await life.start()
    again = range(size + 10, size + 20) if retry == "others" else batch
    try:
        await act(life, name, again)
    except Crash:
        assert how == "crash"
    life.check()
    life.faults.armed.clear()
    await finish(life, range(size + (20 if retry == "others" else 10)))
    assert fault.hits == fault.times or how == "twice" or (name == "partial removal" and before == "small")


async def act(life: Life, name: str, batch: range) -> list[Sequenced | CtlogError]:
    """Submit a batch of which one act fails; the act beside the batch is done here."""
    issuers = ("A", "B", "root") if name == "issuer" else ("A", "root")
    answers = await life.submit(*batch, issuers=issuers)
    if name == "partial removal":
        with suppress(StoreError):
            await upkeep(life)
    return answers


def expect(row: Row, how: str, answers: list[Sequenced | CtlogError], life: Life) -> None:
    assert life.log is not None
    failed = [answer for answer in answers if not isinstance(answer, Sequenced)]
    if how == "crash":
        assert all(isinstance(answer, FatalError) for answer in failed)
    elif row.answered:
        assert not failed
    else:
        assert all(isinstance(answer, FatalError if row.fatal else StoreError) for answer in failed), failed
        assert len(failed) == (len(answers) if row.key != "issuer/" else life.faults.armed[0].hits)
    crashed = how == "crash" and life.faults.armed[0].hits > 0
    assert (life.log._fatal is not None) == (row.fatal or crashed), life.log._fatal


def test_every_kind_of_act_of_a_batch_is_in_the_matrix() -> None:
    async def acts() -> set[str]:
        life = await begin(3)
        life.faults.acts.clear()
        await life.submit(*range(3, 8), issuers=("C", "root"))
        await upkeep(life)
        await life.stop()
        return {act for act, _ in life.faults.acts}

    harmless = {"public.space", "staging.space", "heads.space", "lookup.settle", "staging.list_keys"}
    harmless |= {"public.get_many", "public.list_keys", "public.modified_ms"}
    assert asyncio.run(acts()) - harmless == {row.act for row in ROWS.values()} - {"public.delete_many"}
