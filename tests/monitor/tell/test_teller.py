"""monitor.tell.teller: every channel for itself, channels that come and go, reminders; nothing lost on the way."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from ctlog.errors import StoreError
from monitor.tell.channel import DeliveryError
from monitor.tell.teller import Teller
from tests.state_values import alert
from tests.tell_kit import DAY, HOUR, MINUTE, MORNING, Clock, Recorder, Said, channels_of, mailed, opened, put


@pytest.fixture
async def state(tmp_path):
    async with opened(tmp_path) as state:
        yield state


@pytest.fixture
def clock():
    return Clock()


@asynccontextmanager
async def telling(state, clock, channels, said=None, **options):
    """A teller that runs. It has one task for itself, and one for each channel."""
    said = Said() if said is None else said
    teller = Teller(state, lambda: channels, clock, said, sleep=clock.sleep, jitter=lambda: 0.0, **options)
    task = asyncio.create_task(teller.run())
    try:
        yield teller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_channel_gets_its_own(state, clock):
    mail, file = Recorder("mail"), Recorder("file", for_people=False)
    async with telling(state, clock, channels_of(mail, file)) as teller:
        await clock.settle(3)
        await put(state, alert("a"), alert("b"))
        teller.wake()
        await clock.run(MORNING + 1000, 3)
    assert mail.told == file.told == ["a-0123", "b-0123"]


async def test_whoever_is_not_woken_looks_by_himself(state, clock):
    mail = Recorder()
    async with telling(state, clock, channels_of(mail)):
        await clock.settle(2)
        await put(state, mailed("a"))
        await clock.run(MORNING + MINUTE, 2)
    assert mail.told == ["a-0123"]


async def test_a_channel_that_hangs_delays_no_other(state, clock):
    mail, file = Recorder("mail", limit_s=60.0), Recorder("file", for_people=False)

    async def hang(letter):
        await asyncio.Event().wait()

    mail.answer = hang
    await put(state, *[alert(f"x{number}") for number in range(3)])
    async with telling(state, clock, channels_of(mail, file)):
        await clock.settle(2)  # the mail's courier does not sleep: it waits for the server
    assert len(file.told) == 3
    assert await state.outbox.counts() == {"sent": 3, "waiting": 3}


async def test_three_days_of_500_beside_a_channel_that_works(state, clock):
    hook, file, said = Recorder("mail", for_people=False), Recorder("file", for_people=False), Said()
    hook.refuse(DeliveryError("it answered 500"))
    await put(state, alert("a"))
    async with telling(state, clock, channels_of(hook, file), said, look_s=1800.0):
        for day in range(1, 4):
            await clock.run(MORNING + day * DAY, 3)
            await put(state, alert(f"day{day}"), at_ms=clock.ms)
        await clock.run(MORNING + 3 * DAY + 3 * HOUR, 3)
    told = [each for each in file.told if not each.startswith(("a-", "day"))]
    assert [each for each in file.told if each not in told] == ["a-0123", "day1-0123", "day2-0123", "day3-0123"]
    assert len(told) == 1
    word = next(letter for letter in file.letters if letter.alerts[0].id == told[0])
    assert "it answered 500" in word.text
    assert "a-0123"[:12] in word.text
    assert [row.alert.id for row in await state.outbox.dead_letters()] == ["a-0123"]


async def test_the_only_channel_hears_what_it_missed_once_it_works_again(state, clock):
    mail = Recorder("mail")
    mail.refuse()
    await put(state, mailed("a"))
    async with telling(state, clock, channels_of(mail), look_s=1800.0):
        await clock.run(MORNING + 3 * DAY + 3 * HOUR, 2)
        assert [row.alert.id for row in await state.outbox.dead_letters()] == ["a-0123"]
        mail.answer = None
        await clock.run(clock.ms + DAY, 2)
    (word,) = mail.letters
    assert word.alerts[0].rule == "channel-dead"
    assert "a-0123" in word.text
    assert await state.outbox.counts() == {"dead": 1, "cancelled": 1, "sent": 1}


# Channels that come and go ------------------------------------------------------------------------------------------


async def test_messages_for_a_channel_that_is_not_there_go_to_operators_and_it_is_said(state, clock):
    file, other, said = Recorder("pager"), Recorder("file", for_people=False), Said()
    await put(state, mailed("a"))
    async with telling(state, clock, channels_of(file, other), said, operators=lambda: ["pager", "gone"]):
        await clock.run(MORNING + MINUTE, 3)
    assert file.told[0] == "a-0123"
    assert "the channel mail did not get 1" in file.letters[1].subject.lower()
    assert other.told == []
    assert "not in the configuration any more: they go to pager" in said
    assert await state.outbox.dead_letters() == []  # they were told, and nothing is to be mended


async def test_what_is_over_does_not_go_to_others_when_a_channel_is_taken_away(state, clock):
    other, said = Recorder("pager"), Said()
    await put(state, mailed("a"))
    await state.alerts.resolve("a-0123", MORNING)
    async with telling(state, clock, channels_of(other), said):
        await clock.run(MORNING + MINUTE, 1)
    assert other.told == []
    assert [row.status for row in await state.outbox.of_alert("a-0123")] == ["cancelled"]


async def test_without_any_channel_everything_waits_for_one(state, clock):
    """What names no channel, and what names one that is not there. Nobody is told of it; it is not given up either."""
    await put(state, mailed("a"), alert("b", channels=()), alert("c", channels=(), severity=4))
    channels, said = {}, Said()
    async with telling(state, clock, channels, said) as teller:
        await clock.run(MORNING + 4 * DAY, 1)
        assert await state.outbox.counts() == {"waiting": 2}
        assert await state.outbox.dead_letters() == []
        channels["file"] = file = Recorder("file", for_people=False)
        teller.wake()
        await clock.run(clock.ms + MINUTE, 2)
    assert {"a-0123", "b-0123"} <= set(file.told)
    assert len(file.told) == 3, "and a word about the channel that was named and is not there"
    assert await state.outbox.counts() == {"cancelled": 2, "sent": 3}
    assert "1 messages waited for a channel: they go to file" in said


async def test_what_waits_for_a_channel_is_answered_before_there_is_one(state, clock):
    await put(state, alert("a", channels=()), alert("b", channels=()), alert("c", channels=()))
    await state.alerts.mark_authorised("a-0123", "me", "")
    await state.alerts.snooze("b-0123", MORNING + DAY, "me", "")
    file = Recorder("file", for_people=False)
    async with telling(state, clock, channels_of(file)):
        await clock.run(MORNING + MINUTE, 2)
        assert file.told == ["c-0123"]
        await clock.run(MORNING + DAY + MINUTE, 2)
    assert set(file.told) == {"b-0123", "c-0123"}


async def test_a_full_disk_while_a_channel_appears_loses_nothing(state, clock, monkeypatch):
    await put(state, alert("a", channels=()))
    file, said = Recorder("file", for_people=False), Said()
    real = state.outbox.dead_letter

    async def full(*args, **options):
        raise StoreError("the disk is full", reason="store")

    monkeypatch.setattr(state.outbox, "dead_letter", full)
    async with telling(state, clock, channels_of(file), said) as teller:
        await clock.settle(2)
        assert (file.told, await state.outbox.counts()) == ([], {"waiting": 1})
        assert "the disk is full" in said
        monkeypatch.setattr(state.outbox, "dead_letter", real)
        teller.wake()
        await clock.run(MORNING + MINUTE, 2)
    assert file.told == ["a-0123"]


async def test_a_channel_is_added_changed_and_removed_while_it_runs(state, clock):
    first, second, channels = Recorder("mail"), Recorder("mail"), {}
    second.table = {"kind": "recorder", "to": "another"}
    async with telling(state, clock, channels) as teller:
        await clock.settle(1)
        channels["mail"] = first
        await teller.look()
        await put(state, mailed("a"))
        teller.wake()
        await clock.run(clock.ms + MINUTE, 2)
        channels["mail"] = Recorder("mail")  # made anew of the same table: the courier goes on
        await teller.look()
        await put(state, mailed("b"), at_ms=clock.ms)
        teller.wake()
        await clock.run(clock.ms + MINUTE, 2)
        channels["mail"] = second
        await teller.look()
        await put(state, mailed("c"), at_ms=clock.ms)
        teller.wake()
        await clock.run(clock.ms + MINUTE, 2)
    assert first.told == ["a-0123", "b-0123"]
    assert second.told == ["c-0123"]


async def test_gone_is_visible_and_a_new_table_tries_anew(state, clock):
    mail, channels = Recorder("mail"), {}
    mail.refuse(DeliveryError("it answered 410", gone=True))
    channels |= {"mail": mail, "file": Recorder("file", for_people=False)}
    await put(state, mailed("a"))
    async with telling(state, clock, channels) as teller:
        await clock.run(MORNING + MINUTE, 3)
        assert teller.gone == {"mail": "it answered 410"}
        channels["mail"] = Recorder("mail")
        channels["mail"].table = {"kind": "recorder", "to": "another"}
        await teller.look()
        assert teller.gone == {}
    assert channels["file"].told[0] == "a-0123"


# Time ---------------------------------------------------------------------------------------------------------------


async def test_an_unanswered_s1_is_brought_to_mind_after_a_day_and_after_three(state, clock):
    mail, file = Recorder("mail"), Recorder("file", for_people=False)
    await put(state, alert("a"), alert("b", severity=2), alert("c"))
    async with telling(state, clock, channels_of(mail, file), look_s=1800.0):
        await clock.run(MORNING + HOUR, 3)
        await state.alerts.acknowledge("c-0123", "me", "")
        await clock.run(MORNING + DAY - HOUR, 3)
        assert len(mail.letters) == 3
        await clock.run(MORNING + 7 * DAY, 3)
    reminders = [letter for letter in mail.letters if letter.kind == "reminder"]
    assert [letter.alerts[0].id for letter in reminders] == ["a-0123"] * 2
    assert reminders[0].subject.startswith("Reminder: ")
    assert len(file.letters) == 3


async def test_a_snooze_ends_with_a_reminder(state, clock):
    mail = Recorder()
    await put(state, mailed("a"))
    async with telling(state, clock, channels_of(mail)):
        await clock.run(MORNING + MINUTE, 2)
        await state.alerts.snooze("a-0123", MORNING + HOUR, "me", "")
        await clock.run(MORNING + HOUR - MINUTE, 2)
        assert len(mail.letters) == 1
        await clock.run(MORNING + HOUR + 2 * MINUTE, 2)
    assert [letter.kind for letter in mail.letters] == ["alert", "reminder"]


async def test_the_daily_digest_comes_at_its_hour(state, clock):
    mail = Recorder()
    await put(state, mailed("a", 3), mailed("b", 3))
    async with telling(state, clock, channels_of(mail), digest_hour=lambda: 7):
        await clock.run(MORNING + HOUR - 1000, 2)
        assert mail.letters == []
        await clock.run(MORNING + HOUR + 1000, 2)
    assert [letter.kind for letter in mail.letters] == ["digest"]
    assert mail.told == ["a-0123", "b-0123"]


# Faults of ours -----------------------------------------------------------------------------------------------------


async def test_a_full_disk_ends_nothing(state, clock):
    mail, said, due = Recorder(), Said(), state.outbox.due
    await put(state, mailed("a"))

    async def full(*args, **options):
        if clock.ms < MORNING + MINUTE:
            raise StoreError("the disk is full", reason="disk-full")
        return await due(*args, **options)

    state.outbox.due = full
    async with telling(state, clock, channels_of(mail), said):
        await clock.run(MORNING + 2 * MINUTE, 2)
    assert mail.told == ["a-0123"]
    assert "the disk is full" in said


async def test_two_couriers_never_send_for_one_channel(state, clock):
    """However often it is woken and looked at, one letter is under way at a time."""
    mail, under_way, most = Recorder(), 0, 0

    async def answer(letter):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    mail.answer = answer
    await put(state, *[mailed(f"x{number}") for number in range(9)])
    async with telling(state, clock, channels_of(mail)) as teller:
        for _ in range(30):
            teller.wake()
            await teller.look()
            await asyncio.sleep(0.001)
        await clock.run(MORNING + MINUTE, 2)
    assert sorted(mail.told) == sorted(f"x{number}-0123" for number in range(9))
    assert most == 1
