"""monitor.tell.courier: one channel, whatever happens to it, by a clock that is an argument."""

import asyncio

import pytest

from ctlog.errors import StoreError
from monitor.tell.backoff import GIVE_UP_MS
from monitor.tell.channel import DeliveryError
from tests.tell_kit import DAY, HOUR, MINUTE, MORNING, Clock, Recorder, Said, courier, mailed, opened, put


@pytest.fixture
async def state(tmp_path):
    async with opened(tmp_path) as state:
        yield state


@pytest.fixture
def clock():
    return Clock()


async def drive(one, clock, until_ms):
    """Steps, each when the one before said, until then. Returns how many."""
    steps = 0
    while True:
        next_ms = await one.step()
        steps += 1
        if next_ms is None or next_ms > until_ms:
            clock.ms = max(clock.ms, until_ms)
            return steps
        clock.ms = max(clock.ms, next_ms)


async def statuses(state, name):
    return [(row.channel, row.kind, row.status) for row in await state.outbox.of_alert(f"{name}-0123")]


async def test_what_is_due_is_sent_once(state, clock):
    channel = Recorder()
    await put(state, mailed("a"), mailed("b", 2))
    one = courier(state, channel, clock)
    assert await one.step() is None
    assert await one.step() is None
    assert channel.told == ["a-0123", "b-0123"]
    assert await statuses(state, "a") == [("mail", "alert", "sent")]


async def test_s1_is_sent_before_what_waits_longer(state, clock):
    channel = Recorder(for_people=False)
    await put(state, *[mailed(f"x{number}", 2) for number in range(20)])
    await put(state, mailed("a", 1), at_ms=MORNING + 1)
    clock.ms += 1
    await courier(state, channel, clock).step()
    assert channel.told[0] == "a-0123"
    assert len(channel.told) == 5  # then it looks again: there may be another


async def test_a_failed_letter_comes_again_with_the_same_id_and_says_so(state, clock):
    channel, tries = Recorder(), []

    async def answer(letter):
        tries.append((clock.ms - MORNING, letter.id, letter.attempt))
        if len(tries) < 4:
            raise DeliveryError("451 try again later")

    channel.answer = answer
    await put(state, mailed("a"))
    await drive(courier(state, channel, clock), clock, MORNING + HOUR)
    assert [when for when, _, _ in tries] == [0, 10_000, 30_000, 70_000]
    assert len({name for _, name, _ in tries}) == 1
    assert [attempt for _, _, attempt in tries] == [0, 1, 2, 3]
    assert channel.told == ["a-0123"]


async def test_from_the_third_attempt_on_nothing_is_attached(state, clock):
    channel, seen = Recorder(), []

    async def answer(letter):
        seen.append([each.name for each in letter.attachments])
        raise DeliveryError("552 too large")

    channel.answer = answer
    body = b'{"evidence": "a", "file": "EVIDENCE-x.txt", "reason": "it lies"}'
    await put(state, mailed("a", kind="misbehaviour", body=body))
    await drive(courier(state, channel, clock), clock, MORNING + MINUTE)
    assert seen == [["EVIDENCE-x.txt"]] * 2 + [[]]


# Three days ---------------------------------------------------------------------------------------------------------


async def test_three_days_of_failure_then_a_dead_letter_and_a_word_over_another_channel(state, clock):
    channel, said = Recorder(), Said()
    channel.refuse(DeliveryError("the server answered 500"))
    await put(state, mailed("a"), mailed("b", 2))
    one = courier(state, channel, clock, others=["pager"], said=said)
    await drive(one, clock, MORNING + GIVE_UP_MS - 1)
    assert await state.outbox.counts() == {"waiting": 2}
    await drive(one, clock, MORNING + GIVE_UP_MS + 2 * HOUR)
    assert await statuses(state, "a") == [("mail", "alert", "dead"), ("pager", "alert", "waiting")]
    words = [row for row in await state.outbox.due(clock.ms, channel="pager") if row.alert.rule == "channel-dead"]
    assert {word.alert.severity for word in words} == {1}
    assert b"a-0123" in words[0].alert.body
    assert "the server answered 500" in words[0].alert.body.decode()
    assert "given up" in said
    assert 60 < channel.tries < 200
    (fares,) = [each for each in await state.outbox.channels() if each.name == "mail"]
    assert fares.dead == 2
    assert fares.failing_since_ms == MORNING


async def test_dead_letters_of_the_only_channel_are_kept_and_said(state, clock):
    channel, said = Recorder(), Said()
    channel.refuse()
    await put(state, mailed("a"))
    await drive(courier(state, channel, clock, said=said), clock, MORNING + GIVE_UP_MS + 2 * HOUR)
    assert [row.alert.id for row in await state.outbox.dead_letters()] == ["a-0123"]
    assert "given up" in said
    (word,) = await state.alerts.find(kind="health")
    assert "no other channel" in word.body.decode()


async def test_days_of_being_switched_off_do_not_count_as_tries(state, clock):
    channel = Recorder()
    channel.refuse()
    await put(state, mailed("a"))
    await courier(state, channel, clock).step()
    clock.ms += 5 * DAY
    one = courier(state, channel, clock)
    await one.step()
    assert await state.outbox.counts() == {"waiting": 1}
    channel.answer = None
    await drive(one, clock, clock.ms + MINUTE)
    assert channel.told == ["a-0123"]


async def test_after_an_outage_everything_comes_and_what_failed_is_not_waited_for(state, clock):
    channel = Recorder(for_people=False)
    channel.refuse()
    await put(state, *[mailed(f"x{number}", 2) for number in range(30)])
    one = courier(state, channel, clock, by_chance=True)
    await drive(one, clock, MORNING + 12 * HOUR)
    tried = channel.tries
    assert tried < 12 * 12 * 2 + 60  # two each five minutes, and some more at first
    channel.answer = None
    await drive(one, clock, MORNING + 12 * HOUR + 6 * MINUTE)
    assert sorted(channel.told) == sorted(f"x{number}-0123" for number in range(30))


async def test_a_letter_that_poisons_does_not_stop_the_others(state, clock):
    channel = Recorder(for_people=False)

    async def answer(letter):
        if letter.alerts[0].id.startswith(("x0", "x1-")):
            raise DeliveryError("500 this one breaks me")

    channel.answer = answer
    await put(state, *[mailed(f"x{number}", 2) for number in range(10)])
    await drive(courier(state, channel, clock, by_chance=True), clock, MORNING + 10 * MINUTE)
    assert len(channel.letters) == 8
    assert await state.outbox.counts() == {"sent": 8, "waiting": 2}


async def test_a_new_s1_is_tried_soon_although_the_channel_rests(state, clock):
    channel = Recorder()
    channel.refuse()
    await put(state, *[mailed(f"x{number}", 2) for number in range(5)])
    one = courier(state, channel, clock)
    await drive(one, clock, MORNING + 3 * HOUR)
    await put(state, mailed("a", 1), at_ms=clock.ms)
    channel.answer = None
    await drive(one, clock, clock.ms + 11_000)
    assert channel.told[0] == "a-0123"


# What the other side says -------------------------------------------------------------------------------------------


async def test_retry_after_is_obeyed_by_every_letter(state, clock):
    channel, tries = Recorder(for_people=False), []

    async def answer(letter):
        tries.append(clock.ms - MORNING)
        if len(tries) == 1:
            raise DeliveryError("429", retry_after_s=1800.0)

    channel.answer = answer
    await put(state, mailed("a"), mailed("b"))
    await drive(courier(state, channel, clock), clock, MORNING + HOUR)
    assert tries[:2] == [0, 1_800_000]
    assert sorted(channel.told) == ["a-0123", "b-0123"]


async def test_gone_is_never_tried_again_and_others_are_told(state, clock):
    channel, said = Recorder(), Said()
    channel.refuse(DeliveryError("it answered 410: it is gone", gone=True))
    await put(state, mailed("a"), mailed("b", 2))
    one = courier(state, channel, clock, others=["pager"], said=said)
    await drive(one, clock, MORNING + MINUTE)
    await put(state, mailed("c"), at_ms=clock.ms)
    await drive(one, clock, clock.ms + MINUTE)
    assert channel.tries == 1
    assert one.gone_why
    for name in "abc":
        assert await statuses(state, name) == [("mail", "alert", "dead"), ("pager", "alert", "waiting")]
    assert "410" in said


async def test_whoever_hangs_is_cut_off(state, clock):
    channel = Recorder(limit_s=0.01)

    async def answer(letter):
        await asyncio.Event().wait()

    channel.answer = answer
    await put(state, mailed("a"))
    await courier(state, channel, clock).step()
    (row,) = await state.outbox.of_alert("a-0123")
    assert "did not take the letter within 0.01 s" in row.last_error


async def test_a_fault_of_ours_in_one_channel_is_a_failure_like_others(state, clock):
    channel, said = Recorder(), Said()
    channel.refuse(ZeroDivisionError("division by zero"))
    await put(state, mailed("a"))
    await courier(state, channel, clock, said=said).step()
    assert "ZeroDivisionError" in said
    assert await state.outbox.counts() == {"waiting": 1}


# Crashes ------------------------------------------------------------------------------------------------------------


async def test_killed_between_sending_and_noting_it_is_sent_again_with_the_same_id(tmp_path, clock):
    channel = Recorder()

    class KilledError(BaseException):
        pass

    async with opened(tmp_path) as state:
        await put(state, mailed("a"))

        async def die(ids, now_ms):
            raise KilledError

        state.outbox.mark_sent = die
        with pytest.raises(KilledError):
            await courier(state, channel, clock).step()
    async with opened(tmp_path) as state:
        await courier(state, channel, clock).step()
        assert await state.outbox.counts() == {"sent": 1}
    first, second = channel.letters
    assert first.id == second.id


async def test_a_full_disk_sends_nothing_twice(state, clock):
    channel, mark = Recorder(), state.outbox.mark_sent

    async def full(ids, now_ms):
        raise StoreError("the disk is full", reason="disk-full")

    await put(state, mailed("a"))
    one = courier(state, channel, clock)
    state.outbox.mark_sent = full
    for _ in range(3):
        with pytest.raises(StoreError):
            await one.step()
    state.outbox.mark_sent = mark
    await one.step()
    assert channel.told == ["a-0123"]
    assert await state.outbox.counts() == {"sent": 1}


# Answers ------------------------------------------------------------------------------------------------------------


async def test_a_snoozed_alert_waits_and_then_comes(state, clock):
    channel = Recorder()
    await put(state, mailed("a"))
    await state.alerts.snooze("a-0123", MORNING + DAY, "me", "")
    one = courier(state, channel, clock)
    assert await one.step() == MORNING + DAY
    assert channel.letters == []
    clock.ms = MORNING + DAY
    await one.step()
    assert channel.told == ["a-0123"]


async def test_what_was_answered_while_it_waited_in_a_digest_is_not_sent(state, clock):
    channel = Recorder()
    await put(state, mailed("a", 3), mailed("b", 3))
    one = courier(state, channel, clock)
    await one.step()
    await state.alerts.mark_authorised("a-0123", "me", "")
    await drive(one, clock, MORNING + 3 * HOUR)
    assert channel.told == ["b-0123"]


async def test_a_reminder_of_what_was_answered_is_cancelled(state, clock):
    channel = Recorder()
    await put(state, mailed("a"))
    one = courier(state, channel, clock)
    await one.step()
    await state.outbox.add("a-0123", "mail", "reminder", MORNING, MORNING)
    await state.alerts.acknowledge("a-0123", "me", "")
    await one.step()
    assert await statuses(state, "a") == [("mail", "alert", "sent"), ("mail", "reminder", "cancelled")]
    assert len(channel.letters) == 1


# Digests ------------------------------------------------------------------------------------------------------------


async def test_ten_thousand_alerts_are_ten_letters_and_a_digest_that_names_them_all(state, clock):
    channel = Recorder()
    await put(state, *[mailed(f"x{number}", 2) for number in range(3000)])
    one = courier(state, channel, clock)
    await drive(one, clock, MORNING + MINUTE)
    assert [len(letter.alerts) for letter in channel.letters] == [1] * 10 + [2990]
    digest = channel.letters[-1]
    assert "2,990" in digest.subject
    table = digest.attachments[0].text
    assert all(f"x{number}-0123" in table + "".join(channel.told[:10]) for number in range(3000))
    assert await state.outbox.counts() == {"sent": 3000}


async def test_a_thread_is_told_in_order_although_its_first_letter_failed(state, clock):
    channel = Recorder(for_people=False)
    broken = True

    async def answer(letter):
        if broken and letter.alerts[0].id == "a-0123":
            raise DeliveryError("not now")

    channel.answer = answer
    await put(state, mailed("a", 2, thread="t"))
    one = courier(state, channel, clock)
    await one.step()
    await put(state, mailed("b", 2, thread="t"), mailed("c", 1, thread="t"), at_ms=clock.ms)
    await one.step()
    assert channel.told == ["c-0123"]
    broken = False
    await drive(one, clock, clock.ms + MINUTE)
    assert channel.told == ["c-0123", "a-0123", "b-0123"]
