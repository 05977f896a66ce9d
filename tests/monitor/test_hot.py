"""monitor.hot: the C of the hot path says what the Python beside it says, of real, made, mutated and any leaves."""

from __future__ import annotations

import random
import subprocess
import sys
from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.errors import MalformedError
from ctlog.tn.labels import ONE, PREFIX, Label
from ctlog.tn.numbers import NumberRange, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import format_tlv
from monitor import watchlist as watching
from monitor.claims import MAX_INDEX, MAX_LOGS, parse_claim
from monitor.entry import look, look_at
from monitor.follow import collect
from monitor.follow.collect import Collector
from monitor.glance import Glance, Glancer
from monitor.history_files import split_records
from monitor.holder import holder_name, normalise, telling_part
from monitor.hot import HOT
from monitor.items import NUMBER, RANGE, Group, Item
from monitor.number_index import point
from monitor.watchlist import Watchlist
from tests.corpus import leaves, need_corpus, odd, sample
from tests.hot import need_hot
from tests.monitor_certificates import GOOD, leaf_of, number_leaf, precert_leaf_of, rcs_leaf, subject
from tests.number_certificates import claims, lists, numeric, ranges

pytestmark = need_hot

MINE = Group("mine", ("mail",))


def fast(leaf: bytes, glancer: Glancer | None = None) -> Glance | None:
    """One leaf, by the C code."""
    (found,) = (glancer or Glancer()).glances([leaf])
    return found


def agrees(leaf: bytes) -> bool:
    """Compare both; true where the C code could tell."""
    glancer = Glancer()
    found, slow = fast(leaf, glancer), glancer.glance(leaf)
    assert glancer.authorities == ([0] if slow is not None and glancer._is_authority else [])
    assert found is None or isinstance(found, Glance)
    assert found == slow
    return found is not None


# Glances --------------------------------------------------------------------------------------------------------------


@need_corpus
def test_every_real_certificate_at_a_glance():
    glancer, slow = Glancer(), Glancer()
    made = [leaf_of(der) for der in (*leaves(), *odd())]
    assert glancer.glances(made) == [slow.glance(leaf) for leaf in made]


@need_corpus
@pytest.mark.parametrize("seed", range(3))
def test_mutated_cut_and_spliced_real_certificates(seed):
    dice = random.Random(seed)
    plain = [leaf_of(der) for der in sample(50)]
    told = 0
    for leaf in plain:
        told += agrees(leaf) + agrees(leaf[: dice.randrange(len(leaf))]) + agrees(leaf + b"\0")
        other, at = dice.choice(plain), dice.randrange(len(leaf))
        told += agrees(leaf[:at] + other[at:])
        for _ in range(25):
            changed = bytearray(leaf)
            at = dice.randrange(len(leaf))
            changed[at] = dice.choice((changed[at] ^ 1 << dice.randrange(8), dice.randrange(256), 0x30, 0x80, 0x84, 0))
            told += agrees(bytes(changed))
    assert told > 400


@given(lists, st.sampled_from(["Example", "SHAKEN 709J", "shaken example 1234", "ſHAKEN 1", "x"]))
def test_made_lists(entries, cn):
    good = [each for each in entries if str(each).isascii()] or [TelephoneNumber("12025550123")]
    tbs = number_leaf(format_tnauthlist(good), GOOD, subject(cn=cn))
    assert agrees(leaf_of(GOOD.certificate_for(tbs)))
    assert agrees(precert_leaf_of(GOOD.precertificate(tbs), GOOD.chain))


@given(st.one_of(ranges(), numeric))
def test_one_number_or_one_range(claim):
    found = fast(leaf_of(GOOD.certificate_for(number_leaf([claim]))))
    assert agrees(leaf_of(GOOD.certificate_for(number_leaf([claim]))))
    assert found is not None


@pytest.mark.parametrize("count", [b"\x02\x01\x02", b"\x02\x01\x01", b"\x02\x02\x00\x02", b"\x02\x01\x80", b"\x02\x00",
                                   b"\x02\x02\x00\x80", b"\x02\x07\x09\x18\x4e\x72\xa0\x00\x00",
                                   b"\x02\x08" + b"\x7f" * 8, b"\x02\x01", b"\x04\x01\x02"])  # fmt: skip
@pytest.mark.parametrize("start", [b"12025550100", b"9", b"99999999999999", b"0123456", b"1*", b"", b"1" * 16])
def test_ranges_of_any_form(count, start):
    body = format_tlv(0x16, start) + count
    value = format_tlv(0x30, format_tlv(0xA1, format_tlv(0x30, body)))
    agrees(leaf_of(GOOD.certificate_for(number_leaf(value))))


@given(st.binary(max_size=120), st.integers(0, 1))
def test_any_bytes(data, kind):
    assert not agrees(data)
    assert not agrees(bytes(11) + bytes([kind]) + data)


@given(st.integers(0, 60), st.sampled_from([0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0xFF]), st.binary(max_size=6))
def test_lengths_of_any_form(at, first, rest):
    """A length where a length stands, of one to five octets, huge ones and such as are not minimal."""
    leaf = bytearray(leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber("12025550123")]))))
    leaf[15 + at : 16 + at + len(rest)] = bytes([first]) + rest
    agrees(bytes(leaf))


def test_tel_names_and_many_forms():
    assert agrees(leaf_of(GOOD.certificate_for(rcs_leaf("12025550123"))))
    many = [issuance.tn_auth_list(issuance.one(f"1202555{at:04}")) for at in range(9)]
    assert agrees(leaf_of(GOOD.certificate_for(GOOD.leaf(subject(), many[:8]))))
    nine = leaf_of(GOOD.certificate_for(GOOD.leaf(subject(), many)))
    assert fast(nine) is None  # left to the full reading, which finds all of them
    assert len(look_at(Glancer(), [nine])[0].labels) == 9


@pytest.mark.parametrize("wrong", [None, 5, "x", bytearray(3)])
def test_what_is_no_leaf_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        Glancer().glances([wrong])


def test_an_error_in_python_comes_through():
    def learn(scope):
        raise RuntimeError("no")

    leaf = leaf_of(GOOD.certificate_for(number_leaf(issuance.spc("709J"))))
    with pytest.raises(RuntimeError, match="no"):
        HOT.glance([leaf], {}, learn, Glance, Label, ONE, PREFIX, [])


# Records --------------------------------------------------------------------------------------------------------------


def both_records(
    made: list[bytes], *, lo: int = 7, issuers: list[int] | None = None, log: int = 5
) -> tuple[bytes, int]:
    """The records of these leaves; the same from both, and as many that were logged late."""
    glancer = Glancer()
    glances = look_at(glancer, made)
    results = []
    for hot in (HOT, None):
        names: dict[str, int] = {}
        collector = Collector(lambda name, names=names: names.setdefault(name, len(names)))
        before, collect.HOT = collect.HOT, hot
        try:
            records = collector.records(log, lo, made, glances, issuers or list(range(len(made))))
        finally:
            collect.HOT = before
        results.append((records, collector.late))
    assert results[0] == results[1]
    return results[0]


@need_corpus
def test_records_of_real_certificates():
    made = [leaf_of(der) for der in (*sample(900), *odd())]
    records, _ = both_records(made, lo=(1 << 32) - 100)
    assert len(records) >= 80 * len(made)


@given(st.sampled_from([0, 127, 128, 255, 256, MAX_LOGS - 1]), st.integers(0, MAX_INDEX - 2))
def test_records_of_any_place(log, lo):
    """No log's index runs over into the number of another."""
    leaf = leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber("12025550123")])))
    records, _ = both_records([leaf, leaf], lo=lo, log=log)
    claims = [parse_claim(record) for record in split_records(records)]
    assert {(each.log, each.log_index, each.is_precertificate) for each in claims} == {
        (log, lo, False), (log, lo + 1, False)
    }  # fmt: skip


def test_a_log_that_says_to_have_more_entries_than_any_is_not_recorded_as_another():
    leaf = leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber("12025550123")])))
    with pytest.raises(MalformedError, match="no more than"):
        both_records([leaf, leaf], lo=MAX_INDEX - 1)


@given(lists, st.binary(max_size=40), st.integers(0, (1 << 64) - 1))
def test_records_of_made_and_arbitrary_leaves(entries, data, time_ms):
    good = [each for each in entries if str(each).isascii()] or [TelephoneNumber("12025550123")]
    leaf = leaf_of(GOOD.certificate_for(number_leaf(format_tnauthlist(good))))
    both_records([leaf[:2] + time_ms.to_bytes(8, "big") + leaf[10:], data, bytes(10) + data], issuers=[0, 1, 2**32 - 1])


times = st.one_of(
    st.from_regex(rb"[0-9]{12}Z", fullmatch=True),
    st.tuples(st.integers(0, 99), st.integers(0, 13), st.integers(0, 32), st.integers(0, 25)).map(
        lambda each: b"%02d%02d%02d%02d5959Z" % each
    ),
    st.binary(min_size=13, max_size=13),
)


@given(times, times, st.sampled_from([0x17, 0x18]))
def test_any_validity(before, after, tag):
    """UTCTime is read in C: every day that there is, and none that there is not."""
    validity = format_tlv(0x30, format_tlv(tag, before) + format_tlv(0x17, after))
    leaf = leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber("12025550123")])))
    glance = look(Glancer(), leaf)._replace(validity=validity)
    check_records([leaf], [glance])


def check_records(made, glances):
    results = []
    for hot in (HOT, None):
        before, collect.HOT = collect.HOT, hot
        try:
            collector = Collector(len)
            results.append((collector.records(1, 0, made, glances, [3] * len(made)), collector.late))
        finally:
            collect.HOT = before
    assert results[0] == results[1]


def test_lists_of_different_lengths_are_refused():
    leaf = leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber("12025550123")])))
    with pytest.raises(ValueError, match="as many"):
        Collector(len).records(1, 0, [leaf], look_at(Glancer(), [leaf]), [])


# Names ----------------------------------------------------------------------------------------------------------------

values = st.text(max_size=20) | st.sampled_from(["Örtel", "Example Inc", "SHAKEN 709J", "x" * 140])
attributes = st.lists(
    st.tuples(st.sampled_from([b"\x55\x04\x0a", b"\x55\x04\x03", b"\x55\x04\x06"]),
              st.sampled_from([0x0C, 0x13, 0x16, 0x14, 0x1E]), values), max_size=4)  # fmt: skip


@given(attributes, st.integers(0, 200), st.integers(0, 255))
def test_the_telling_part_tells_the_holder(given_attributes, at, octet):
    """Two names with the same telling part have the same holder: the other attributes say nothing of it."""
    name = format_tlv(0x30, b"".join(
        format_tlv(0x31, format_tlv(0x30, format_tlv(6, kind) + format_tlv(tag, text.encode("utf-8", "replace"))))
        for kind, tag, text in given_attributes))  # fmt: skip
    broken = bytearray(name)
    broken[at % len(broken)] = octet
    for each in (name, bytes(broken)):
        part = telling_part(each)
        if part != each:
            assert holder_name(each) == part[2:].decode("ascii")
        leaf = leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber("12025550123")])))
        check_records([leaf], [look(Glancer(), leaf)._replace(subject=each)])
    assert normalise(holder_name(name)) == normalise(holder_name(name))


# Candidates -----------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(numeric, ranges()), max_size=12, unique_by=str),
       st.lists(st.lists(claims, min_size=1, max_size=3), min_size=1, max_size=6))  # fmt: skip
def test_selects_what_python_selects(watched, claimed):
    items = [Item(NUMBER if isinstance(each, TelephoneNumber) else RANGE, each, MINE) for each in watched]
    made = []
    for each in claimed:
        good = [claim for claim in each if str(claim).isascii()] or [TelephoneNumber("12025550123")]
        made.append(leaf_of(GOOD.certificate_for(number_leaf(format_tnauthlist(good)))))
    made.append(leaf_of(b"x"))
    glances = look_at(Glancer(), made)
    found = []
    for hot in (HOT, None):
        before, watching.HOT = watching.HOT, hot
        try:
            watched_list = Watchlist(items)
            found.append([watched_list.select(glances), watched_list.select(glances * 2)])
        finally:
            watching.HOT = before
    assert found[0] == found[1]


@given(st.lists(st.integers(0, 10**11 - 1), max_size=400),
       st.lists(st.integers(0, 10**11 - 1), min_size=1, max_size=20), st.booleans())  # fmt: skip
def test_it_finds_a_number_wherever_it_stands(numbers, wanted, is_clustered):
    """Against bisect: numbers that are spread evenly, and such as stand in a few heaps."""
    if is_clustered:
        numbers = [number // 10**9 * 10**9 + number % 97 for number in numbers]
        wanted = [number // 10**9 * 10**9 + number % 97 for number in wanted]
    watched = Watchlist([Item(NUMBER, TelephoneNumber(f"{number:011}"), MINE) for number in set(numbers)])
    glances = [Glance(b"", b"", b"", b"", (Label(ONE, f"{number:011}"),)) for number in (*wanted, *numbers[:20])]
    index = watched._numbers.points
    found = HOT.candidates(glances, {}, index, watched._ranges.los, watched._ranges.reach, 0, 0)
    points = [point(11, int(glance.labels[0].value)) for glance in glances]
    assert found == [at for at, each in enumerate(points) if bisect_right(index, each) > bisect_left(index, each)]


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 800)), max_size=200), st.integers(0, 6000))
def test_ranges_that_nest_and_overlap(spans, wanted):
    items = {f"{start:011}": NumberRange(f"{start:011}", count + 1) for start, count in spans}
    watched = Watchlist([Item(RANGE, each, MINE) for each in items.values()])
    glances = [Glance(b"", b"", b"", b"", (Label(PREFIX, f"{wanted // 10:010}x"),))]
    assert bool(watched.select(glances)) == any(
        each.lo < wanted // 10 * 10 + 10 and wanted // 10 * 10 < each.hi for each in items.values()
    )


# Whether it is there --------------------------------------------------------------------------------------------------


def test_it_can_be_switched_off():
    code = "from monitor.hot import HOT; from ctlog.wire.static_ct import _cut_fast; print(HOT, _cut_fast)"
    env = {"CTLOG_NO_KERNEL": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert found.stdout == "None None\n"
