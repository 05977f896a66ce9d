"""monitor.claims: 40 octets that come back as they went in; keys that keep the numbers in order."""

from hypothesis import example, given
from hypothesis import strategies as st

from ctlog.tn.labels import ONE, PREFIX, REFERENCE, SPC, UNINDEXABLE, Label, claim_labels, labels_holding
from ctlog.tn.numbers import NumberRange
from monitor.claims import (
    MAX_INDEX,
    MAX_LOGS,
    RECORD_SIZE,
    Claim,
    format_claim,
    key_label,
    label_key,
    numbers_between,
    parse_claim,
    seconds,
    spki_key,
)

u32 = st.integers(0, 0xFFFFFFFF)
seconds_ms = u32.map(lambda value: value * 1000)
claims = st.builds(
    Claim, st.integers(0, (1 << 64) - 1), seconds_ms, seconds_ms, u32, u32, st.binary(min_size=6, max_size=6),
    seconds_ms, st.integers(0, MAX_LOGS - 1), st.booleans(), st.integers(0, MAX_INDEX - 1),
)  # fmt: skip
digits = st.text("0123456789", min_size=1, max_size=15)


@given(claims)
def test_comes_back(claim):
    record = format_claim(claim)
    assert len(record) == RECORD_SIZE
    assert parse_claim(record) == claim


def test_the_first_128_logs_are_written_as_they_were_when_there_was_room_for_128():
    """Records of before are read as they were meant."""
    record = format_claim(Claim(7, 0, 0, 1, 2, bytes(6), 0, 127, True, (1 << 36) - 1))
    assert record[34:] == bytes.fromhex("ff0fffffffff")
    assert format_claim(Claim(7, 0, 0, 1, 2, bytes(6), 0, 128, False, 0))[34:] == bytes.fromhex("001000000000")


@given(claims, claims)
def test_records_sort_by_key_and_then_by_time(one, other):
    order = (one.label, one.not_before_ms) < (other.label, other.not_before_ms)
    if (one.label, one.not_before_ms) != (other.label, other.not_before_ms):
        assert (format_claim(one) < format_claim(other)) == order


def test_times_outside_of_32_bits():
    assert [seconds(value) for value in (None, -5, 1999, 1 << 50)] == [0, 0, 1, 0xFFFFFFFF]


labels = st.one_of(
    st.builds(Label, st.just(ONE), st.text("0123456789*#", min_size=1, max_size=15)),
    digits.flatmap(lambda text: st.integers(1, len(text)).map(
        lambda free: Label(PREFIX, text[: len(text) - free] + "x" * free))),
    st.builds(Label, st.sampled_from([SPC, REFERENCE]), st.text("0123456789ABC", min_size=1)),
    st.just(UNINDEXABLE),
)  # fmt: skip


@given(labels, labels)
@example(Label(ONE, "123"), Label(ONE, "0123"))
@example(Label(PREFIX, "12x"), Label(ONE, "120"))
@example(Label(SPC, "123"), Label(ONE, "123"))
def test_other_labels_have_other_keys(one, other):
    assert (label_key(one) == label_key(other)) == (one == other)
    assert 0 <= label_key(one) < 1 << 63


@given(labels)
def test_labels_of_numbers_come_back(label):
    is_number = label.kind == PREFIX or (label.kind == ONE and label.value.isdigit())
    assert key_label(label_key(label)) == (label if is_number else None)


@given(digits, st.data())
def test_everything_in_a_range_of_numbers_stands_together(start, data):
    width = len(start)
    room = 10**width - int(start)
    if room < 2:
        return
    count = data.draw(st.integers(2, min(room, 10**6)))
    last = int(start) + count - 1
    lo, hi = numbers_between(width, int(start), last)
    for label in claim_labels(NumberRange(start, count)):
        assert lo <= label_key(label) < hi
    number = str(data.draw(st.integers(int(start), last))).zfill(width)
    assert lo <= label_key(Label(ONE, number)) < hi
    for outside in (int(start) - 1, last + 1):
        if 0 <= outside < 10**width:
            assert not lo <= label_key(Label(ONE, str(outside).zfill(width))) < hi


def test_what_holds_a_number_is_looked_up_by_its_keys():
    keys = [label_key(label) for label in labels_holding("12025550123")]
    assert len(set(keys)) == 12


def test_public_keys_stand_behind_all_labels():
    assert spki_key(bytes(range(32))) == bytes([0x80, 0, 1, 2, 3, 4, 5, 6])
    assert int.from_bytes(spki_key(bytes(32)), "big") > label_key(UNINDEXABLE)
