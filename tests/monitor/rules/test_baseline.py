"""What is learned of an item, what is not, and the stored form of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.tn.numbers import TelephoneNumber
from monitor.entry import Place, read_entry
from monitor.rules.baseline import (
    EMPTY_PROFILE,
    MAX_KEYS,
    MAX_KNOWN,
    Known,
    Profile,
    format_profile,
    holder_standing,
    is_before,
    is_called,
    is_history,
    issuer_standing,
    learn,
    note_told,
    parse_profile,
    see_refused,
    without_refused,
)
from tests.monitor_certificates import GOOD, NOW_MS, ROGUE, VENDOR, leaf_of, number_leaf, subject
from tests.monitor_rules import code_entry, item, learned, number_entry

MINE, CODE = item(), item("709J")


def standing(entry, of=MINE, profile=EMPTY_PROFILE, authorised=(), refused=()):
    return issuer_standing(entry, of, profile, authorised, refused)


def test_the_first_issuer_of_a_code_is_usual_and_the_next_is_reported():
    assert standing(number_entry()) == "first"
    assert standing(code_entry(), CODE) == "first"
    profile = learned(CODE, code_entry())
    assert standing(code_entry(day=9), CODE, profile) == "learned"
    assert standing(code_entry(ca=ROGUE), CODE, profile) == "new"
    profile = learned(CODE, code_entry(), code_entry(ca=ROGUE, day=1))
    assert standing(code_entry(ca=ROGUE, day=2), CODE, profile) == "reported"
    assert standing(code_entry(), CODE, profile) == "learned"
    assert standing(code_entry(ca=ROGUE), CODE, profile, ["rogue ca @ us-shaken"]) == "expected"


def test_the_first_issuer_of_a_number_is_not_usual_until_its_owner_says_so():
    profile = learned(MINE, number_entry())
    assert standing(number_entry(day=9), profile=profile) == "unanswered"
    assert standing(number_entry(ca=ROGUE), profile=profile) == "new"
    assert standing(number_entry(), profile=profile, authorised=["rightful ca @ us-shaken"]) == "expected"
    assert standing(number_entry(), profile=profile, authorised=["rogue ca @ us-shaken"]) == "reported"
    assert standing(number_entry(), authorised=["rogue ca @ us-shaken"]) == "new"


def test_an_issuer_that_no_signature_shows_is_never_usual():
    bare = read_entry(Place(b"\1" * 32, "log", 1), leaf_of(GOOD.certificate_for(number_leaf([TelephoneNumber("1")]))))
    profile = learn(EMPTY_PROFILE, bare, is_alarming=False)
    assert not profile.issuers  # its name is the log's word, and not to be remembered
    assert standing(bare, profile=profile) == "first"
    assert standing(number_entry(), profile=profile) == "first"  # the first that anybody vouches for
    assert standing(bare, authorised=[bare.issuer.text]) == "new"
    assert standing(bare, item(issuers=("Rightful CA",))) == "new"


def test_expected_issuers_go_by_their_whole_name():
    own = number_entry().issuer
    for name in ("Rightful CA, Inc.", "RIGHTFUL CA", "Rightful CA @ Rightful CA", own.text):
        assert is_called(own, name)
    reseller = own._replace(root="operator", organisation="operator").below("reseller telecom")
    assert is_called(reseller, "Reseller Telecom, Inc. @ Operator")
    assert is_called(reseller, reseller.text)
    for name in ("Reseller", "Operator", "Reseller Telecom", "Reseller Telecom @ Operators", ""):
        assert not is_called(reseller, name)
    assert standing(number_entry(), item(issuers=("Rightful CA LLC",))) == "expected"


def test_who_is_refused_is_neither_usual_nor_expected():
    rogue = code_entry(ca=ROGUE)
    profile = learned(CODE, rogue)
    name = rogue.issuer.text
    assert standing(rogue, CODE, profile) == "learned"
    assert standing(rogue, CODE, profile, refused=[name]) == "refused"
    assert standing(rogue, item("709J", issuers=("Rogue CA",)), refused=[name]) == "refused"
    assert standing(code_entry(), CODE, profile, refused=[name]) == "new"  # nor is the next one the first
    assert standing(code_entry(), CODE, refused=[name]) == "first"  # of whom nothing was ever seen here
    bare = read_entry(Place(b"\1" * 32, "log", 1), leaf_of(ROGUE.certificate_for(number_leaf([TelephoneNumber("1")]))))
    assert standing(bare, refused=[bare.issuer.text]) == "first"  # a name that anybody may use


def test_what_was_learned_of_who_is_refused_is_forgotten():
    rogue = code_entry(ca=ROGUE, key_number=9)
    profile = learned(CODE, rogue, code_entry(day=1))
    left = without_refused(profile, [rogue.key_hash], [rogue.issuer.text])
    assert left.issuers[rogue.issuer.text].reported
    assert not left.knows_key(rogue.key_hash)
    assert left.knows_key(code_entry().key_hash)
    assert without_refused(left, [rogue.key_hash], [rogue.issuer.text]) is left
    after = see_refused(left, code_entry(ca=ROGUE, key_number=10, day=30))
    assert (after.keys, after.count, after.last_ms, after.issuing_keys, after.holders) == (
        left.keys, left.count, left.last_ms, left.issuing_keys, left.holders)  # fmt: skip
    assert after.issuers[rogue.issuer.text].last_ms > left.issuers[rogue.issuer.text].last_ms


def test_holders():
    entry = number_entry()
    assert holder_standing(entry, MINE, EMPTY_PROFILE) == "first"
    profile = learned(MINE, entry)
    assert holder_standing(number_entry(holder="EXAMPLE"), MINE, profile) == "learned"
    assert holder_standing(number_entry(holder="Example Telephone"), MINE, profile) == "learned"
    other = number_entry(holder="Mallory", day=1)
    assert holder_standing(other, MINE, profile) == "new"
    profile = learned(MINE, entry, other)
    assert holder_standing(number_entry(holder="Mallory Ltd", day=3), MINE, profile) == "reported"
    nameless = number_entry(who=subject("", cn="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11"))
    assert holder_standing(nameless, MINE, EMPTY_PROFILE) == "expected"


def test_what_was_there_at_enrolment_is_not_reported():
    """Two issuers before the item was watched: both are what it began with."""
    later = item("709J", added_ms=NOW_MS + 10**9)
    profile = learned(later, code_entry(), code_entry(ca=VENDOR, day=2))
    assert not any(known.reported for known in profile.issuers.values())
    assert is_before(code_entry(), later, True)
    assert not is_before(code_entry(), later, False)  # the log alone says when it was
    assert not is_before(code_entry(day=30), later, True)
    assert is_history(code_entry(days=5), later, True)
    assert not is_history(code_entry(days=60), later, True)


def test_another_spelling_of_a_usual_holder_is_not_reported():
    """Whatever else was wrong with the certificate."""
    profile = learned(CODE, code_entry())
    profile = learn(profile, code_entry(holder="Example Telephone", ca=ROGUE), is_alarming=True)
    assert holder_standing(code_entry(holder="Example Telephone"), CODE, profile) == "learned"


def test_keys_and_constraints():
    profile = learned(MINE, number_entry(), number_entry(day=1, key_number=1), number_entry(day=2))
    assert profile.knows_key(number_entry().key_hash)
    assert profile.knows_key(number_entry(key_number=1).key_hash)
    assert not profile.knows_key(number_entry(key_number=2).key_hash)
    assert profile.knows_issuing_key(number_entry().issuing_key)
    assert not profile.knows_issuing_key(number_entry(ca=ROGUE).issuing_key)
    assert (profile.count, profile.last_ms) == (3, number_entry(day=2).timestamp_ms)
    assert learn(profile, number_entry(), is_alarming=False, constraints={"a": "x"}).constraints == {"a": "x"}
    assert learn(profile, number_entry(), is_alarming=False, constraints={"a": ""}).constraints == {}


def test_a_key_is_known_since_it_was_first_seen():
    """However often it comes again; and the newest MAX_KEYS are kept."""
    profile = learned(MINE, number_entry(day=1), number_entry(day=2, key_number=1), number_entry(day=3))
    key, since_ms = number_entry().key_hash, number_entry(day=1).timestamp_ms
    assert profile.knows_key(key, since_ms + 1)
    assert not profile.knows_key(key, since_ms)
    assert list(profile.keys)[-1] == key[:8].hex()


def test_a_profile_that_was_stored_when_keys_had_no_times():
    profile = learned(MINE, number_entry(day=1))
    document = json.loads(format_profile(profile))
    document["keys"] = list(document["keys"])
    old = parse_profile(json.dumps(document).encode())
    assert old.knows_key(number_entry().key_hash, 1)
    assert parse_profile(format_profile(old)) == old
    with pytest.raises(MalformedError):
        parse_profile(json.dumps({**document, "keys": 1}).encode())


def test_learning_twice_from_one_issuance_changes_only_the_count():
    once = learned(CODE, code_entry())
    twice = learned(CODE, code_entry(), code_entry())
    assert (once.issuers, once.holders, once.keys) == (twice.issuers, twice.holders, twice.keys)


def test_profiles_are_bounded_and_forget_strangers_first():
    many = {f"stranger {at} @ x": Known(at, at, True) for at in range(MAX_KNOWN - 1)}
    keys = {f"{at:016x}": at for at in range(MAX_KEYS)}
    profile = Profile(issuers={"usual @ x": Known(0, 0, False), **many}, keys=keys)
    profile = learn(profile, number_entry(), is_alarming=True)
    assert len(profile.issuers) == MAX_KNOWN
    assert "usual @ x" in profile.issuers
    assert "stranger 0 @ x" not in profile.issuers
    assert profile.issuers["rightful ca @ us-shaken"].reported
    assert len(profile.keys) == MAX_KEYS
    told = note_told(profile, (str(at) for at in range(2 * MAX_KNOWN)), 5)
    assert len(told.told) == MAX_KNOWN
    assert note_told(told, [next(iter(told.told))], 9) is told


names = st.text(max_size=20)
times = st.integers(0, 2**50)
known = st.dictionaries(names, st.builds(Known, times, times, st.booleans()), max_size=4)


@given(
    st.builds(
        Profile, known, known, st.lists(names, max_size=3).map(tuple), st.dictionaries(names, times, max_size=3),
        st.dictionaries(names, names, max_size=3), st.dictionaries(names, times, max_size=3), times, times,
    )
)  # fmt: skip
def test_the_stored_form(profile):
    assert parse_profile(format_profile(profile)) == profile


ODD = format_profile(EMPTY_PROFILE).replace(b'"keys":{}', b'"keys":5')


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"v":2}', ODD])
def test_what_is_no_profile(data):
    with pytest.raises(MalformedError):
        parse_profile(data)
