"""monitor.answering: what an answer is a yes or a no to, and what else it answers."""

import json

import pytest

from ctlog.errors import NotFoundError, UsageError
from monitor.answering import Word, covers, issuer_named, refusal_of, refusals_of, still_refused, word_of
from monitor.state.rows import AlertRow, Authorisation

ITEM = "home/number:+12025550123"
KEY = "ab" * 32


def row(item=ITEM, kind="certificate", **changes):
    """A stored alert, by a verified stranger."""
    issuer = {"id": "rogue @ us", "verified": True, "problem": "", "standing": "new"} | changes.pop("issuer", {})
    body = {"issuance": "cd" * 32, "key": {"sha256": KEY}, "issuer": issuer} | changes
    return AlertRow(
        "1" * 64, kind, 1, "T-01", ("T-01",), "owner", "", json.dumps(body).encode(), item, "home", "", b"", 0, None, 0,
        0, 1, "new", "", "", None,
    )  # fmt: skip


def test_a_yes_is_to_the_certificate_its_key_or_its_issuer():
    assert word_of(row(), "certificate", None) == Word("certificate", "cd" * 32, ITEM)
    assert word_of(row(), "key", "") == Word("key", KEY, "")
    assert word_of(row(), "issuer", "home") == Word("issuer", "rogue @ us", "home")
    with pytest.raises(UsageError, match="nobody vouches"):
        word_of(row(issuer={"verified": False}), "issuer", None)
    with pytest.raises(UsageError, match="its key is not known"):
        word_of(row(key={"sha256": ""}), "key", None)
    with pytest.raises(UsageError, match="answer with `ack`"):
        word_of(row(kind="health"), "certificate", None)


def test_a_no_is_to_a_stranger_and_his_key():
    assert refusal_of(row(), None, None) == [Word("issuer", "rogue @ us", ITEM), Word("key", KEY, ITEM)]
    assert refusal_of(row(), "key", None) == [Word("key", KEY, ITEM)]
    old = row()
    body = json.loads(old.body)
    del body["issuer"]["standing"]  # as alerts were written before there were refusals
    assert len(refusal_of(old._replace(body=json.dumps(body).encode()), None, None)) == 2


@pytest.mark.parametrize("standing", ["expected", "learned"])
def test_near_miss_a_no_to_one_certificate_of_the_owner_s_own_ca(standing):
    """Else every renewal would be an alarm. Who means it says so."""
    own = row(issuer={"standing": standing})
    assert [word.kind for word in refusal_of(own, None, None)] == ["key"]
    assert [word.kind for word in refusal_of(own, "issuer", None)] == ["issuer", "key"]


def test_a_no_to_whoever_was_there_at_enrolment():
    """He counts as usual, for nobody was asked; T-12 asks, and the no is to him. An expected one stays expected."""
    asked = row(issuer={"standing": "learned"})._replace(rules=("T-12", "T-01"))
    assert [word.kind for word in refusal_of(asked, None, None)] == ["issuer", "key"]
    expected = row(issuer={"standing": "expected"})._replace(rules=("T-12",))
    assert [word.kind for word in refusal_of(expected, None, None)] == ["key"]


@pytest.mark.parametrize("standing", ["unanswered", "reported", "new", "first", "refused"])
def test_everybody_else_is_refused_by_a_no(standing):
    assert [word.kind for word in refusal_of(row(issuer={"standing": standing}), None, None)] == ["issuer", "key"]


def test_a_name_that_nobody_vouches_for_is_not_refused():
    assert [word.kind for word in refusal_of(row(issuer={"verified": False}), None, None)] == ["key"]
    with pytest.raises(UsageError, match="only the key can be refused"):
        refusal_of(row(issuer={"verified": False}), "issuer", None)
    with pytest.raises(UsageError, match="nothing of it would be known again"):
        refusal_of(row(issuer={"verified": False}, key={"sha256": ""}), None, None)


def test_an_alert_about_many_items_is_refused_for_all_of_them():
    for item in ("home/group", "home/anything"):
        assert {word.item for word in refusal_of(row(item), None, None)} == {"home"}
    assert {word.item for word in refusal_of(row("home/group"), None, "")} == {""}


KNOWN = ["example ca @ us", "other ca @ us", "other ca @ ca", "reseller @ operator @ us", "carrier trust @ us"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example ca @ us", "example ca @ us"),
        ("Example CA, Inc.", "example ca @ us"),
        ("Other CA @ ca", "other ca @ ca"),
        ("Reseller @ Operator", "reseller @ operator @ us"),
        ("Reseller @ Operator @ us", "reseller @ operator @ us"),
        ("Newcomer, LLC @ us", "newcomer @ us"),
        ("Below @ Newcomer @ ca", "below @ newcomer @ ca"),
    ],
)
def test_an_issuer_is_called_by_its_whole_name(name, expected):
    assert issuer_named(name, KNOWN, {"us", "ca"}) == expected


@pytest.mark.parametrize(
    "name", ["Example", "Carrier", "Newcomer", "Reseller @ Oper", "Example CA @ nowhere", " @ us", "@"]
)
def test_a_part_of_a_name_is_nobody_s(name):
    with pytest.raises(NotFoundError, match="compared as a whole"):
        issuer_named(name, KNOWN, {"us", "ca"})


@pytest.mark.parametrize("name", ["Other CA", "Reseller"])
def test_a_name_that_several_may_mean(name):
    with pytest.raises(UsageError, match="say which"):
        issuer_named(name, KNOWN, {"us", "ca"})


def test_what_a_word_covers():
    body = json.loads(row().body)
    assert covers(Word("certificate", "cd" * 32, ""), body)
    assert covers(Word("key", KEY, ""), body)
    assert covers(Word("issuer", "rogue @ us", ""), body)
    assert not covers(Word("issuer", "rogue @ ca", ""), body)
    assert not covers(Word("issuer", "rogue @ us", ""), json.loads(row(issuer={"verified": False}).body))


def no(at, kind, value, item):
    return Authorisation(at, kind, value, item, "me", "", 0, None, True)


def test_what_a_yes_takes_back_and_what_not():
    refused = [no(1, "issuer", "rogue @ us", ITEM), no(2, "key", KEY, ITEM), no(3, "key", "00" * 32, ITEM),
               no(4, "issuer", "rogue @ us", "office"), no(5, "issuer", "rogue @ us", "")]  # fmt: skip
    assert [each.id for each in refusals_of(row(), ITEM, refused)] == [1, 2]
    assert [each.id for each in still_refused(Word("issuer", "rogue @ us", "home"), refused)] == [1]
    assert [each.id for each in still_refused(Word("issuer", "rogue @ us", ""), refused)] == [1, 4]
    yes = refused[0]._replace(is_refusal=False)
    assert still_refused(Word("issuer", "rogue @ us", ""), [yes]) == []
