"""monitor.state.outbox: a message waits until it was sent, or is dead and that was said elsewhere."""

import pytest

from monitor.state import State, make_state
from tests.state_values import NOW, alert


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, NOW)
    async with State.open(tmp_path) as opened:
        await opened.alerts.raise_all([alert("a"), alert("b")], NOW)
        yield opened


def names(rows):
    return [(row.alert.id[0], row.channel) for row in rows]


async def test_in_order_and_by_channel(state):
    assert names(await state.outbox.due(NOW)) == [("a", "mail"), ("a", "file"), ("b", "mail"), ("b", "file")]
    assert names(await state.outbox.due(NOW, channel="file")) == [("a", "file"), ("b", "file")]
    assert names(await state.outbox.due(NOW, limit=1)) == [("a", "mail")]
    assert await state.outbox.due(NOW - 1) == []
    assert await state.outbox.waiting_channels() == ["file", "mail"]


async def test_sent_is_sent(state):
    mails = await state.outbox.due(NOW, channel="mail")
    await state.outbox.mark_sent([row.id for row in mails], NOW + 3)
    assert names(await state.outbox.due(NOW)) == [("a", "file"), ("b", "file")]
    sent = (await state.outbox.of_alert("a-0123"))[0]
    assert (sent.status, sent.attempts, sent.done_ms) == ("sent", 1, NOW + 3)
    assert await state.outbox.counts() == {"sent": 2, "waiting": 2}


async def test_failed_is_due_again(state):
    (first, *_) = await state.outbox.due(NOW, channel="mail")
    await state.outbox.mark_failed([first.id], NOW + 60_000, "no route" * 1000, NOW)
    assert names(await state.outbox.due(NOW, channel="mail")) == [("b", "mail")]
    assert await state.outbox.next_due_ms("mail") == NOW
    again = await state.outbox.due(NOW + 60_000, channel="mail")
    assert [(row.id, row.attempts) for row in again] == [(first.id + 2, 0), (first.id, 1)]
    assert again[1].last_error.startswith("no route")
    assert len(again[1].last_error) == 500


async def test_a_dead_letter_and_the_word_about_it_are_one_step(state):
    (first, *_) = await state.outbox.due(NOW, channel="mail")
    word = alert("word", kind="health", channels=("file",))
    await state.outbox.dead_letter([first.id], "72 h of nothing", NOW + 9, [word])
    assert [row.id for row in await state.outbox.dead_letters()] == [first.id]
    assert names(await state.outbox.due(NOW + 9, channel="file"))[-1] == ("w", "file")
    with pytest.raises(Exception, match="NOT NULL"):
        await state.outbox.dead_letter([first.id + 2], "x", NOW, [alert("bad", summary=None)])
    assert len(await state.outbox.dead_letters()) == 1
    await state.outbox.resend([first.id], NOW + 20)
    assert (await state.outbox.of_alert("a-0123"))[0].status == "waiting"


async def test_how_channels_fare(state):
    await state.outbox.mark_sent([(await state.outbox.due(NOW, channel="file"))[0].id], NOW + 1)
    mail = (await state.outbox.due(NOW, channel="mail"))[0]
    await state.outbox.mark_failed([mail.id], NOW + 50, "first", NOW + 2)
    await state.outbox.mark_failed([mail.id], NOW + 90, "second", NOW + 50)
    file, post = await state.outbox.channels()
    assert file == ("file", NOW + 1, None, "", 1, 0, NOW)
    assert post == ("mail", None, NOW + 2, "second", 2, 0, NOW)
    await state.outbox.mark_sent([mail.id], NOW + 91)
    assert (await state.outbox.channels())[1][:4] == ("mail", NOW + 91, None, "")


async def test_more_messages_about_an_alert(state):
    assert await state.outbox.next_due_ms() == NOW
    await state.outbox.mark_sent([row.id for row in await state.outbox.due(NOW)], NOW)
    assert await state.outbox.next_due_ms() is None
    first = await state.outbox.add("a-0123", "mail", "reminder", NOW + 5, NOW)
    second = await state.outbox.add("a-0123", "mail", "reminder", NOW + 5, NOW)
    assert [row.id for row in await state.outbox.due(NOW + 5)] == [first, second]


# What telling needs -------------------------------------------------------------------------------------------------


async def test_the_gravest_first_and_without_bodies_on_request(state):
    await state.alerts.raise_all([alert("c", severity=2, channels=("mail",)), alert("d", channels=("mail",))], NOW - 9)
    rows = await state.outbox.due(NOW, channel="mail", bodies=False)
    assert [row.alert.id[0] for row in rows] == ["d", "a", "b", "c"]
    assert {row.alert.body for row in rows} == {b""}
    assert [row.alert.body for row in await state.outbox.get([rows[0].id, rows[3].id])] == [b"{}", b"{}"]
    assert (await state.outbox.get([rows[0].id], bodies=False))[0].alert.body == b""


async def test_each_may_be_due_at_a_time_of_its_own_and_the_first_failure_is_kept(state):
    first, second = await state.outbox.due(NOW, channel="mail")
    await state.outbox.mark_failed([first.id, second.id], [NOW + 5, NOW + 9], "x", NOW)
    await state.outbox.mark_failed([first.id], NOW + 7, "x", NOW + 5)
    rows = await state.outbox.get([first.id, second.id])
    assert [(row.due_ms, row.attempts, row.tried_ms) for row in rows] == [(NOW + 7, 2, NOW), (NOW + 9, 1, NOW)]
    await state.outbox.resend([first.id], NOW + 20)
    assert (await state.outbox.get([first.id]))[0][5:9] == (NOW + 20, NOW, 0, None)


async def test_postponed_is_no_attempt(state):
    (first, *_) = await state.outbox.due(NOW, channel="mail")
    await state.outbox.postpone({first.id: NOW + 100})
    (row,) = await state.outbox.get([first.id])
    assert (row.due_ms, row.attempts) == (NOW + 100, 0)
    assert min(each.oldest_waiting_ms for each in await state.outbox.channels()) == NOW
    await state.outbox.mark_sent([row.id for row in await state.outbox.due(NOW)], NOW)
    assert (await state.outbox.channels())[1].oldest_waiting_ms == NOW + 100  # nothing is late


async def test_what_failed_is_brought_forward_and_what_is_snoozed_is_not(state):
    first, second = await state.outbox.due(NOW, channel="mail")
    await state.outbox.mark_failed([first.id, second.id], NOW + 9999, "x", NOW)
    await state.alerts.snooze("a-0123", NOW + 8888, "me", "")
    await state.outbox.bring_forward("mail", NOW + 1)
    assert [row.alert.id[0] for row in await state.outbox.due(NOW + 1, channel="mail")] == ["b"]


async def test_the_threads_of_which_a_message_failed(state):
    first, second = await state.outbox.due(NOW, channel="mail")
    assert await state.outbox.failing_threads("mail", {"th", ""}, NOW) == {}
    await state.outbox.mark_failed([first.id], NOW + 50, "x", NOW)
    assert await state.outbox.failing_threads("mail", {"th", "other"}, NOW) == {"th": (first.id, NOW + 50)}
    assert await state.outbox.failing_threads("mail", {"other"}, NOW) == {}
    assert await state.outbox.failing_threads("file", {"th"}, NOW) == {}
    assert await state.outbox.failing_threads("mail", {"th"}, NOW + 50) == {}
    assert second.id != first.id


async def test_cancelled_is_not_sent_and_sent_is_not_cancelled(state):
    first, second = await state.outbox.due(NOW, channel="mail")
    await state.outbox.mark_sent([first.id], NOW)
    await state.outbox.cancel([first.id, second.id], NOW + 1)
    assert [row.status for row in await state.outbox.get([first.id, second.id])] == ["sent", "cancelled"]


async def test_dead_letters_go_to_others_once(state):
    ids = [row.id for row in await state.outbox.due(NOW, channel="mail")]
    await state.outbox.dead_letter(ids, "gone", NOW + 1, redirect=["file", "pager"])
    assert [row.channel for row in await state.outbox.of_alert("a-0123")] == ["mail", "file", "pager"]
    assert {row.kind for row in await state.outbox.due(NOW + 1, channel="pager")} == {"alert"}


async def test_reminders_after_a_day_and_after_three_of_what_nobody_answered(state):
    await state.alerts.raise_all([alert("h", kind="health"), alert("s", severity=2)], NOW)
    await state.outbox.mark_sent([row.id for row in await state.outbox.due(NOW)], NOW)
    await state.alerts.acknowledge("b-0123", "me", "")
    assert await state.outbox.remind(["mail"], (10, 30), NOW + 9) == 0
    assert await state.outbox.remind(["mail"], (10, 30), NOW + 10) == 1
    assert await state.outbox.remind(["mail"], (10, 30), NOW + 29) == 0
    assert await state.outbox.remind(["mail"], (10, 30), NOW + 90) == 1
    assert await state.outbox.remind(["mail"], (10, 30), NOW + 999) == 0
    rows = await state.outbox.of_alert("a-0123")
    assert [(row.channel, row.kind) for row in rows if row.kind == "reminder"] == [("mail", "reminder")] * 2
    assert await state.outbox.counts() == {"sent": 8, "waiting": 2}


async def test_what_was_answered_while_it_was_under_way_holds(state):
    first, second = await state.outbox.due(NOW, channel="mail")
    await state.alerts.mark_authorised("a-0123", "me", "")
    await state.alerts.snooze("b-0123", NOW + 5000, "me", "")
    await state.outbox.mark_failed([first.id, second.id], NOW + 10, "x", NOW)
    rows = await state.outbox.get([first.id, second.id])
    assert [(row.status, row.due_ms) for row in rows] == [("cancelled", NOW), ("waiting", NOW + 5000)]
    await state.outbox.dead_letter([first.id, second.id], "x", NOW, redirect=["pager"])
    assert [row.status for row in await state.outbox.get([first.id, second.id])] == ["cancelled", "dead"]
    assert [row.alert.id for row in await state.outbox.due(NOW, channel="pager")] == ["b-0123"]
