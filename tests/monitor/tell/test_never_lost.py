"""No alert is lost, whatever happens to channels, to the process and to the clock: a state machine over all of it.

At the end everything is mended and left to run. Then each alert was taken by the channel that it was for, or is a dead
letter whose alert another channel took (or could not take either, and that is said), or was answered by somebody. What
was taken twice has the same id, unless it is a digest, and then its alerts have.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ctlog.errors import StoreError
from monitor.state import State
from monitor.state.rows import NOWHERE
from monitor.tell.channel import DeliveryError
from monitor.tell.courier import Courier, Surroundings
from tests.tell_kit import DAY, HOUR, MINUTE, Clock, Recorder, Said, mailed, opened

FAILURES = ("refuse", "hang", "later", "fault", "taken, and then broken off")
MOODS = st.sampled_from(("well", "gone", *FAILURES))
OTHER_MOODS = st.sampled_from(("well", "well", *FAILURES))


class KilledError(BaseException):
    """The process was killed."""


class Post(Recorder):
    """A channel that does what the machine says; `taken` is what the other side really has."""

    def __init__(self, name: str, *, for_people: bool) -> None:
        super().__init__(name, for_people=for_people, limit_s=0.002)
        self.mood = "well"
        self.taken: list[tuple[str, tuple[str, ...]]] = []

    async def send(self, letter):
        if self.mood in ("well", "taken, and then broken off"):
            self.taken.append((letter.id, tuple(each.id for each in letter.alerts)))
        if self.mood == "hang":
            await asyncio.Event().wait()
        if self.mood == "later":
            raise DeliveryError("429", retry_after_s=600.0)
        if self.mood == "gone":
            raise DeliveryError("410", gone=True)
        if self.mood == "fault":
            raise RuntimeError("a fault of ours")
        if self.mood != "well":
            raise DeliveryError(self.mood)

    def has(self, alert_id):
        return any(alert_id in ids for _, ids in self.taken)


class Telling(RuleBasedStateMachine):
    """Alerts for `mail`; what it cannot do goes to `pager`."""

    @initialize(for_people=st.booleans())
    def begin(self, for_people):
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.mail = Post("mail", for_people=for_people)
        self.pager = Post("pager", for_people=False)
        self.count = 0
        self.answered: set[str] = set()
        self.start()

    def start(self):
        self.stack = AsyncExitStack()
        self.state: State = self.run(self.stack.enter_async_context(opened(Path(self.folder.name))))
        self.state.database.connection.execute("PRAGMA synchronous = OFF")  # processes are killed here, not machines
        roll = iter(range(10**9))
        around = Surroundings(
            self.state, self.clock, lambda: next(roll) % 10 / 10, Said(), lambda: 8,
            lambda name: ["pager"] if name == "mail" else [], lambda: None,
        )  # fmt: skip
        self.couriers = [Courier(self.mail, around), Courier(self.pager, around)]

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def teardown(self):
        if hasattr(self, "loop"):
            self.finish()
            self.run(self.stack.aclose())
            self.loop.close()
            self.folder.cleanup()

    # What happens ---------------------------------------------------------------------------------------------------

    @rule(severities=st.lists(st.integers(1, 3), min_size=1, max_size=14), thread=st.sampled_from(("", "t", "u")))
    def alerts(self, severities, thread):
        fresh = []
        for severity in severities:
            self.count += 1
            fresh.append(mailed(f"x{self.count}", severity, thread=thread or f"x{self.count}"))
        self.run(self.state.alerts.raise_all(fresh, self.clock.ms))

    @rule(mail=MOODS, pager=OTHER_MOODS, wait_ms=st.sampled_from((0, 11_000, MINUTE, HOUR, DAY, 4 * DAY)))
    def both_work(self, mail, pager, wait_ms):
        self.mail.mood, self.pager.mood = mail, pager
        self.clock.ms += wait_ms
        for each in self.couriers:
            self.run(each.step())

    @rule(which=st.integers(0, 1), mood=MOODS)
    def killed_before_it_is_noted(self, which, mood):
        self.mail.mood = mood
        courier, outbox = self.couriers[which], self.state.outbox

        async def die(*args, **options):
            raise KilledError

        for name in ("mark_sent", "mark_failed", "dead_letter"):
            setattr(outbox, name, die)
        with suppress(KilledError):
            self.run(courier.step())
        self.run(self.stack.aclose())
        self.start()

    @rule(which=st.integers(0, 1), mood=MOODS)
    def the_disk_is_full(self, which, mood):
        self.mail.mood = mood
        async def full(*args, **options):
            raise StoreError("the disk is full", reason="disk-full")

        outbox = self.state.outbox
        for name in ("mark_sent", "mark_failed", "dead_letter", "postpone"):
            setattr(outbox, name, full)
        with suppress(StoreError):
            self.run(self.couriers[which].step())
        for name in ("mark_sent", "mark_failed", "dead_letter", "postpone"):
            delattr(outbox, name)

    @precondition(lambda self: self.count)
    @rule(data=st.data(), how=st.sampled_from(("acknowledge", "authorise", "snooze")))
    def somebody_answers(self, data, how):
        alert_id = f"x{data.draw(st.integers(1, self.count))}-0123"
        if how == "authorise":
            self.run(self.state.alerts.mark_authorised(alert_id, "me", ""))
            self.answered.add(alert_id)
        elif how == "acknowledge":
            self.run(self.state.alerts.acknowledge(alert_id, "me", ""))
        else:
            self.run(self.state.alerts.snooze(alert_id, self.clock.ms + HOUR, "me", ""))

    @invariant()
    def one_message_has_one_id(self):
        if not hasattr(self, "mail"):
            return
        for post in (self.mail, self.pager):
            singles = [(ids, name) for name, ids in post.taken if len(ids) == 1]
            for ids, name in singles:
                assert name.startswith(ids[0][:40])

    # At the end -----------------------------------------------------------------------------------------------------

    def finish(self):
        self.mail.mood = self.pager.mood = "well"
        for _ in range(400):
            waits = [self.run(each.step()) for each in self.couriers]
            if waits == [None, None]:
                break
            self.clock.ms = max(self.clock.ms, min(each for each in waits if each is not None))
        # That the pager itself failed there was nobody to tell: this waits until the teller finds a channel for it.
        waiting = self.run(self.state.outbox.due(1 << 60, limit=1000))
        assert {(row.channel, row.alert.kind) for row in waiting} <= {(NOWHERE, "health")}
        for number in range(1, self.count + 1):
            alert_id = f"x{number}-0123"
            if alert_id in self.answered or self.mail.has(alert_id):
                continue
            dead = {row.channel for row in self.run(self.state.outbox.of_alert(alert_id)) if row.status == "dead"}
            assert "mail" in dead
            assert self.pager.has(alert_id) or "pager" in dead, f"nobody was told of {alert_id}"
            words = self.run(self.state.alerts.find(kind="health", limit=1000))
            assert {row.summary.split()[2] for row in words} >= dead  # and that is said


Telling.TestCase.settings = settings(
    max_examples=30, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTelling = Telling.TestCase


@pytest.mark.trial
def test_the_same_for_longer():
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Telling, settings=settings(max_examples=100, stateful_step_count=40, deadline=None,
                                   suppress_health_check=list(HealthCheck))
    )  # fmt: skip
