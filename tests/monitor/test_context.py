"""monitor.context: what is settled is history, and nothing else; every way to look something up finds it."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.tn.labels import ONE, SPC, Label, claim_labels
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber, overlaps
from monitor.claims import Claim, format_claim, hint, label_key, parse_claim, spki_key
from monitor.context import Past, Place, authorised_for, events_for, in_force, refused_for
from monitor.entry import NOWHERE, read_entry
from monitor.entry import Place as EntryPlace
from monitor.history import History, make_history
from monitor.items import Group, Item
from monitor.rules.values import NOTHING_AUTHORISED, NOTHING_REFUSED
from monitor.state.rows import Authorisation, EventRow
from tests.cert_sim import CertSim

LOG, OTHER = bytes([1]) * 32, bytes([2]) * 32
GROUP = Group("home", ("mail",))


@pytest.fixture
def history(tmp_path):
    make_history(tmp_path / "history")
    opened = History(tmp_path / "history")
    yield opened
    opened.close()


def put(history, claim, index, *, log=LOG, holder="owner", issuer="ca @ test", key=b"k" * 32, logged_ms=5000,
        begin_ms=1000):  # fmt: skip
    rest = (begin_ms, 9000, history.name_number(issuer), history.name_number(holder))
    number = history.log_number(log)
    labels = [claim] if isinstance(claim, Label) else claim_labels(claim)
    rows = [
        format_claim(Claim(label_key(each), *rest, key[:6], logged_ms, number, False, index)) for each in labels
    ]
    last = format_claim(
        Claim(int.from_bytes(spki_key(key), "big"), *rest, hint(label_key(labels[-1])), logged_ms, number, False, index)
    )
    history.append(b"".join([*rows, last]))


def entry(index=100, log_id=LOG, number=123):
    sim = CertSim()
    sim.add(number)
    made = read_entry(EntryPlace(log_id, "log", index), sim.tree.inputs[0])
    return dataclasses.replace(made, key_hash=b"k" * 32)


def number(digits):
    return TelephoneNumber(digits)


def test_only_what_stands_before_it_and_what_other_logs_have_stored(history):
    one = number("12025550123")
    for index in (5, 99, 100, 101):
        put(history, one, index)
    for index in (3, 7, 8):
        put(history, one, index, log=OTHER)
    past = Past(history, {history.log_number(LOG): 2, history.log_number(OTHER): 8})
    found = [(each.log_id, each.log_index) for each in past.claims(entry(100), one)]
    assert sorted(found) == [(LOG, 5), (LOG, 99), (OTHER, 3), (OTHER, 7)]
    assert len(past.key_uses(entry(100))) == 4
    assert past.claims(entry(100), None) == ()


def test_what_was_only_promised_stands_behind_all_that_is_stored(history):
    one = number("12025550123")
    for index in (5, 150):
        put(history, one, index)
    past = Past(history, {history.log_number(LOG): 100})
    assert [each.log_index for each in past.claims(entry(NOWHERE), one)] == [5]


def test_what_both_of_two_trees_hold(history):
    """The same certificate at the same time, wherever it stands; near misses: not stored yet, another time, number, key
    or log."""
    found = entry(7)
    assert not Past(history, {history.log_number(LOG): 100}).holds(found)
    times = {"begin_ms": found.not_before_ms, "logged_ms": found.timestamp_ms}
    put(history, number("12025550123"), 90, **times)
    put(history, number("12025550124"), 91, **times)
    past = Past(history, {history.log_number(LOG): 92, history.log_number(OTHER): 92})
    assert past.holds(found)
    assert past.holds(entry(NOWHERE))
    assert not Past(history, {history.log_number(LOG): 90}).holds(found)
    assert not past.holds(dataclasses.replace(found, timestamp_ms=found.timestamp_ms + 1000))
    assert not past.holds(dataclasses.replace(found, not_before_ms=found.not_before_ms - 1000))
    assert not past.holds(dataclasses.replace(found, key_hash=b"x" * 32))
    assert not past.holds(dataclasses.replace(found, key_hash=b""))
    assert not past.holds(entry(7, number=125))
    assert not past.holds(entry(7, log_id=OTHER))


def test_names_and_labels(history):
    one = number("12025550123")
    put(history, one, 1, holder="alice", issuer="root @ us", logged_ms=7000)
    put(history, number("12025559999"), 2, holder="bob")
    past = Past(history, {})
    (claim,) = past.claims(entry(), one)
    assert (claim.label, claim.holder, claim.issuer) == (b"one:12025550123", "alice", "root @ us")
    assert (claim.key, claim.not_before_ms, claim.not_after_ms, claim.logged_ms) == (b"k" * 6, 1000, 9000, 7000)
    uses = past.key_uses(entry())
    assert [(use.label, use.holder) for use in uses] == [(b"", "bob"), (b"one:12025550123", "alice")]
    assert all(entry().key_hash.startswith(use.key) for use in uses)


def test_a_name_that_did_not_fit_any_more(history, monkeypatch):
    from monitor import history_files

    monkeypatch.setattr(history_files, "MAX_NAMES", 1)
    one = number("12025550123")
    put(history, one, 1, holder="alice", issuer="ca")
    put(history, one, 2, holder="owner", issuer="ca")
    mine, other = sorted(Past(history, {}).claims(entry(), one), key=lambda each: each.holder.startswith("#"))
    assert mine.holder == "owner" == entry().holder_key.removesuffix(" inc")
    assert other.holder.startswith("#")


claims = st.one_of(
    st.integers(0, 999).map(lambda value: TelephoneNumber(f"120255{value:05d}")),
    st.tuples(st.integers(0, 900), st.integers(2, 99)).map(lambda pair: NumberRange(f"120255{pair[0]:05d}", pair[1])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(claims, min_size=1, max_size=12), claims)
def test_a_claim_finds_all_that_overlap_it(tmp_path_factory, known, wanted):
    folder = tmp_path_factory.mktemp("history")
    make_history(folder)
    history = History(folder)
    for index, claim in enumerate(known):
        put(history, claim, index)
    past = Past(history, {history.log_number(LOG): 1000})
    expected = {index for index, claim in enumerate(known) if overlaps(claim, wanted)}
    assert {each.log_index for each in past.claims(entry(1000), wanted)} == expected
    kind = "range" if isinstance(wanted, NumberRange) else "number"
    places = {place.log_index for piece in past.places(Item(kind, wanted, GROUP)) for place in piece}
    assert places == expected
    history.close()


def places(history, item):
    past = Past(history, {})  # settled or not
    return sorted({place for piece in past.places(item) for place in piece})


def test_places_of_every_kind_of_item(history):
    put(history, ServiceProviderCode("709j"), 1, holder="alice")
    put(history, number("12025550123"), 2, holder="alice", issuer="ca one @ us", key=b"x" * 32)
    put(history, Label(ONE, "1202"), 3, holder="bob", issuer="ca two @ us")
    put(history, Label(SPC, "1234"), 4, holder="alicex")
    history.flush()
    assert [place.log_index for place in places(history, Item("code", ServiceProviderCode("709J"), GROUP))] == [1]
    assert [place.log_index for place in places(history, Item("key", b"x" * 32, GROUP))] == [2]
    assert [place.log_index for place in places(history, Item("prefix", "1202", GROUP))] == [2, 3]
    assert [place.log_index for place in places(history, Item("holder", "Alice, Inc.", GROUP))] == [1, 2]
    assert [place.log_index for place in places(history, Item("issuer", "CA Two", GROUP))] == [3]
    assert places(history, Item("number", number("12025550123"), GROUP)) == [Place(LOG, 2, 5000, 1000, 9000)]


def test_an_answer_holds_until_it_ends():
    def row(until_ms):
        return Authorisation(1, "key", "cd" * 32, "", "me", "", 0, until_ms)

    assert in_force([row(None), row(5), row(6)], 5) == [row(None), row(6)]


def test_what_was_authorised():
    item = Item("number", number("12025550123"), GROUP)

    def row(kind, value, what):
        return Authorisation(1, kind, value, what, "me", "", 0, None)

    rows = [
        row("certificate", "ab" * 32, item.id), row("key", "cd" * 32, ""), row("issuer", "ca", "home"),
        row("issuer", "other", "office/number:+1"),
    ]  # fmt: skip
    found = authorised_for(item, rows)
    assert found.issuances == {b"\xab" * 32}
    assert found.keys == {b"\xcd" * 32}
    assert found.issuers == {"ca"}
    assert authorised_for(None, rows).keys == {b"\xcd" * 32}
    assert authorised_for(item, rows[3:]) is NOTHING_AUTHORISED


def test_of_several_answers_about_one_thing_the_nearest_holds_and_then_the_last():
    item = Item("number", number("12025550123"), GROUP)

    def row(at, what, *, no=False, kind="issuer", value="ca"):
        return Authorisation(at, kind, value, what, "me", "", 1000 + at, None, no)

    for rows, is_refused in (
        ([row(1, item.id), row(2, item.id, no=True)], True),
        ([row(1, item.id, no=True), row(2, item.id)], False),
        ([row(1, item.id, no=True), row(2, "home"), row(3, "")], True),  # a word for more takes back nobody's own
        ([row(1, "home", no=True), row(2, item.id), row(3, "", no=True)], False),
        ([row(1, "", no=True), row(2, "office")], True),
        ([row(1, "office", no=True), row(2, "")], False),
    ):
        refused, authorised = refused_for(item, rows), authorised_for(item, rows)
        assert ("ca" in refused.issuers, "ca" in authorised.issuers) == (is_refused, not is_refused)
    refused = refused_for(item, [row(1, item.id, no=True), row(2, "home", no=True, kind="key", value="cd" * 32)])
    assert (dict(refused.issuers), dict(refused.keys)) == ({"ca": 1001}, {b"\xcd" * 32: 1002})
    assert refused_for(None, [row(1, item.id, no=True)]) is NOTHING_REFUSED
    assert refused_for(None, [row(1, "", no=True)]).issuers == {"ca": 1001}


def test_events():
    rows = {text: [EventRow(1, "port", text, 5, "")] for text in ("12025550123", "12025550199", "1202555012")}
    assert [each.number for each in events_for(number("12025550123"), rows)] == ["12025550123"]
    assert [each.number for each in events_for(NumberRange("12025550100", 50), rows)] == ["12025550123"]
    assert events_for(ServiceProviderCode("709J"), rows) == ()
    assert events_for(None, rows) == ()


def test_a_record_reads_as_it_was_put(history):
    put(history, number("12025550123"), 2)
    (piece,) = [piece for piece in history.scan() if piece]
    assert {parse_claim(record).log_index for record in piece} == {2}


def test_all_other_uses_of_a_key_where_it_is_judged_again(history):
    """What came after it too, but for what is not settled, and itself."""
    for index in (5, 100, 101, 200):
        put(history, number(f"1202555{index:04d}"), index)
    put(history, number("12025550001"), 7, log=OTHER)
    past = Past(history, {history.log_number(LOG): 150, history.log_number(OTHER): 7})
    assert [use.log_index for use in past.key_uses(entry(100))] == [5]
    assert sorted(use.log_index for use in past.key_uses(entry(100), later=True)) == [5, 101]
