"""monitor.tell.plan: what goes out alone, what together, what waits; nothing is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.tell.plan import GATHER_MS, GATHER_S1_MS, SINGLES, Past, next_digest_ms, plan_letters
from tests.tell_kit import DAY, HOUR, MORNING, row

EIGHT = MORNING + 2 * HOUR


def plan(rows, *, now_ms=MORNING, past=Past(), for_people=True, failing=None):  # noqa: B008 - a frozen value
    return plan_letters(rows, now_ms, for_people=for_people, past=past, digest_hour=8, failing=failing)


def test_a_program_gets_everything_alone_and_at_once():
    rows = [row(number, severity) for number, severity in enumerate((1, 2, 3, 4) * 30)]
    assert plan(rows, for_people=False) == ([(each.id,) for each in rows], {})


def test_people_get_what_is_urgent_alone_and_at_once():
    assert plan([row(1, 1), row(2, 2)]) == ([(1,), (2,)], {})


def test_what_is_for_review_comes_once_a_day_in_one_letter():
    fresh = [row(1, 3), row(2, 4)]
    assert plan(fresh) == ([], {1: EIGHT, 2: EIGHT})
    assert plan([each._replace(due_ms=EIGHT) for each in fresh], now_ms=EIGHT) == ([(1, 2)], {})


def test_what_is_for_review_and_was_sent_again_by_hand_comes_now():
    assert plan([row(1, 3, created_ms=MORNING - DAY)]) == ([(1,)], {})


def test_a_failed_digest_is_not_put_off_by_a_day():
    assert plan([row(1, 3, attempts=1), row(2, 3, attempts=1)]) == ([(1, 2)], {})


@pytest.mark.parametrize(("hour", "after"), [(6, DAY), (7, HOUR), (5, 23 * HOUR), (0, 18 * HOUR)])
def test_the_next_digest_is_after_now(hour, after):
    assert next_digest_ms(MORNING, hour) == MORNING + after


# Floods -------------------------------------------------------------------------------------------------------------


def test_a_flood_is_ten_letters_and_one_digest():
    rows = [row(number, 2) for number in range(1, 1001)]
    letters, postponed = plan(rows)
    assert letters[:SINGLES] == [(number,) for number in range(1, 11)]
    assert letters[SINGLES:] == [tuple(range(11, 1001))]
    assert not postponed


def test_the_next_digest_of_a_flood_waits_and_s1_waits_shorter():
    past = Past((MORNING - 1,) * 10, MORNING - 1)
    assert plan([row(1, 2), row(2, 2)], past=past) == ([], dict.fromkeys((1, 2), MORNING - 1 + GATHER_MS))
    soon = MORNING - 1 + GATHER_S1_MS
    assert plan([row(1, 1), row(2, 2)], past=past) == ([], {1: soon, 2: soon})
    assert plan([row(1, 1), row(2, 2)], past=past, now_ms=soon) == ([(1, 2)], {})


def test_the_flood_is_over_after_an_hour():
    past = Past((MORNING - HOUR,) * 10, MORNING - HOUR)
    assert plan([row(1, 2)], past=past) == ([(1,)], {})


def test_s1_have_the_letters_of_their_own():
    rows = [row(number, 1) for number in range(1, 9)] + [row(number, 2) for number in range(9, 20)]
    letters, _ = plan(rows)
    assert letters == [*[(number,) for number in range(1, 11)], tuple(range(11, 20))]


def test_a_flood_of_what_nobody_can_read_is_one_digest_and_leaves_room_for_others():
    rows = [row(number, 2, alert_kind="unreadable") for number in range(1, 6)]
    letters, _ = plan([*rows, row(6, 2)])
    assert letters == [(1,), (2,), (3,), (6,), (4, 5)]


def test_several_reminders_are_one_letter():
    assert plan([row(1, kind="reminder")]) == ([(1,)], {})
    assert plan([row(1, kind="reminder"), row(2, kind="reminder")]) == ([(1, 2)], {})


def test_a_test_is_never_gathered():
    rows = [row(number, 4, kind="test") for number in range(1, 40)]
    assert plan(rows, past=Past((MORNING,) * 10, MORNING)) == ([(each.id,) for each in rows], {})


# Order --------------------------------------------------------------------------------------------------------------


def test_what_came_later_in_a_thread_waits_for_what_failed():
    later = row(5, 2, thread="t")
    assert plan([later], failing={"t": (3, EIGHT)}) == ([], {5: EIGHT})
    assert plan([later], failing={"t": (7, EIGHT)}) == ([(5,)], {})
    assert plan([later], failing={"t": (3, EIGHT)}, for_people=False) == ([], {5: EIGHT})


def test_s1_waits_for_nothing():
    assert plan([row(5, 1, thread="t")], failing={"t": (3, EIGHT)}) == ([(5,)], {})


# All of them --------------------------------------------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.integers(1, 4), st.sampled_from(("alert", "reminder", "test")),
        st.sampled_from(("certificate", "unreadable")), st.integers(0, 3), st.sampled_from("abc"),
        st.sampled_from((MORNING, MORNING - DAY)),
    ),
    max_size=40,
)  # fmt: skip


@given(
    ROWS, st.booleans(), st.lists(st.integers(MORNING - 2 * HOUR, MORNING), max_size=12),
    st.integers(MORNING - HOUR, MORNING), st.dictionaries(st.sampled_from("abc"), st.just((4, EIGHT)), max_size=2),
)  # fmt: skip
def test_every_message_is_in_one_letter_or_waits_until_later(rows, for_people, singles, digest_ms, failing):
    due = [
        row(number, severity, kind=kind, alert_kind=alert_kind, attempts=attempts, thread=thread, created_ms=created_ms)
        for number, (severity, kind, alert_kind, attempts, thread, created_ms) in enumerate(rows)
    ]
    letters, postponed = plan(due, past=Past(tuple(singles), digest_ms), for_people=for_people, failing=failing)
    sent = [number for letter in letters for number in letter]
    assert sorted([*sent, *postponed]) == [each.id for each in due]
    assert all(until_ms > MORNING for until_ms in postponed.values())
    assert all(letters)
    for each in due:
        if each.alert.severity == 1 and each.id in postponed:  # only in a flood, and then for a minute
            assert postponed[each.id] <= MORNING + GATHER_S1_MS
