"""monitor.tell.backoff: soon at first, hourly later, over after three days of trying."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.tell.backoff import FEWEST, GIVE_UP_MS, LONGEST_MS, is_over, next_wait_ms

ROLL = st.floats(0, 1, exclude_max=True)


def test_the_waits_without_chance():
    assert [next_wait_ms(attempts, 0.0) // 1000 for attempts in range(1, 12)] == [
        10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600,
    ]  # fmt: skip


@given(st.integers(0, 10**9), ROLL)
def test_chance_cuts_by_up_to_half(attempts, roll):
    whole = next_wait_ms(attempts, 0.0)
    assert whole / 2 <= next_wait_ms(attempts, roll) + 1 <= whole + 1
    assert 5_000 <= next_wait_ms(attempts, roll) <= LONGEST_MS


@given(ROLL)
def test_it_is_tried_for_three_days_and_no_longer_than_an_hour_more(roll):
    now, attempts = 0, 1
    while not is_over(attempts, 0, now):
        now += next_wait_ms(attempts, roll)
        attempts += 1
    assert GIVE_UP_MS <= now < GIVE_UP_MS + LONGEST_MS
    assert attempts > 70


def test_whoever_was_switched_off_for_days_tries_again_before_he_gives_up():
    assert not is_over(2, 0, 10 * GIVE_UP_MS)
    assert is_over(FEWEST, 0, GIVE_UP_MS)
    assert not is_over(10**6, 0, GIVE_UP_MS - 1)
