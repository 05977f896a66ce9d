"""A log's life as Hypothesis invents it: submissions, faults, crashes and starts in any order; always a whole log."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ctlog.errors import CtlogError, StoreError
from ctlog.sequencer.places import Sequenced
from tests.faults import Crash, Fault, MemoryObjectStore, When
from tests.log_kit import Life, with_settings

ACTS = [
    ("staging.put_many", ""),
    ("public.prepare", "tile/0/"),
    ("staging.get", ""),
    ("staging.delete_many", ""),
    ("staging.list_keys", ""),
    ("heads.replace", ""),
    ("heads.fetch", ""),
    ("public.put_prepared", "tile/data/"),
    ("public.put_prepared", "tile/0/"),
    ("public.put_prepared", "tile/"),
    ("public.put_many", "checkpoint"),
    ("public.put_many", "issuer/"),
    ("public.delete_many", ""),
    ("public.get_many", ""),
    ("public.get", ""),
    ("lookup.add", ""),
    ("lookup.by_entry_keys", ""),
]


class LogMachine(RuleBasedStateMachine):
    """The log is down when `life.log` is None."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.life = Life(settings=with_settings(partial_age_ms=0))
        self.next = 0
        self.frozen_size: int | None = None

    def do(self, work: Coroutine[Any, Any, object]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    def teardown(self) -> None:
        self.do(self.life.crash())
        self.loop.close()

    @initialize()
    def begin(self) -> None:
        self.do(self.life.create())
        self.do(self.life.start())

    def is_up(self) -> bool:
        return self.life.log is not None

    async def submit(self, numbers: list[int]) -> None:
        assert self.life.log is not None
        try:
            answers = await self.life.submit(*numbers)
        except Crash:
            await self.life.crash()
            return
        if self.frozen_size is not None:
            assert not any(isinstance(answer, Sequenced) and answer.index >= self.frozen_size for answer in answers)
        if self.life.log._fatal is not None:
            await self.life.crash()

    @precondition(is_up)
    @rule(count=st.sampled_from([1, 2, 7, 60, 256]))
    def submit_new(self, count: int) -> None:
        numbers = list(range(self.next, self.next + count))
        self.next += count
        self.do(self.submit(numbers))

    @precondition(is_up)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        if self.next:
            self.do(self.submit(data.draw(st.lists(st.integers(0, self.next - 1), min_size=1, max_size=9))))

    @rule(act=st.sampled_from(ACTS), when=st.sampled_from(When), times=st.integers(1, 2), crash=st.booleans())
    def arm(self, act: tuple[str, str], when: When, times: int, crash: bool) -> None:
        fault = Fault(*act, when=when, times=times)
        if crash:
            fault.error = Crash
        self.life.faults.arm(fault)

    @rule()
    def disarm(self) -> None:
        self.life.faults.armed.clear()

    @precondition(is_up)
    @rule()
    def crash(self) -> None:
        self.do(self.life.crash())

    @precondition(is_up)
    @rule()
    def stop(self) -> None:
        self.do(self.life.stop())

    @precondition(is_up)
    @rule()
    def upkeep(self) -> None:
        assert self.life.log is not None
        with suppress(StoreError, Crash):
            self.do(self.life.log._upkeep.round(self.life.log.head.size, self.life.clock.now_ms, idle=True))

    @precondition(lambda self: self.life.log is None)
    @rule()
    def start(self) -> None:
        try:
            self.do(self.life.start())
        except (CtlogError, Crash):
            self.life.log = self.life.running = None
            if not any(fault.hits for fault in self.life.faults.armed):
                raise  # nothing but a fault may keep it from starting: nothing is ever damaged

    @rule(by_ms=st.integers(1, 3))
    def clock_back(self, by_ms: int) -> None:
        self.life.clock.now_ms -= by_ms

    @precondition(lambda self: self.life.log is not None and self.next > 300)
    @rule()
    def freeze(self) -> None:
        assert self.life.log is not None
        try:
            head = self.do(self.life.log.freeze())
        except (CtlogError, Crash):
            if self.life.log._fatal is not None:
                self.do(self.life.crash())
        else:
            assert self.frozen_size in (None, head.size)
            self.frozen_size = head.size

    @invariant()
    def whole(self) -> None:
        public = self.life.shelves.public
        if isinstance(public, MemoryObjectStore) and public.objects:
            self.life.check()


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
