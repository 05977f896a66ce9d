"""What an alert says, to people and to machines; which alerts are one."""

import dataclasses
import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.issuance import DAY_MS
from ctlog.tn.numbers import NumberRange, TelephoneNumber
from monitor.alert import LARGEST, alert_summary, make_alert, parse_alert
from monitor.alert_text import alert_text
from monitor.entry import read_entry
from monitor.rules import verdicts
from monitor.rules.values import Context
from monitor.watchlist import Watchlist
from tests.monitor_certificates import (
    GOOD,
    NOW_MS,
    PLACE,
    ROGUE,
    TRUST,
    logged,
    number_leaf,
    precert_leaf_of,
    subject,
    trust,
)
from tests.monitor_rules import N, code_entry, hit_of, item, learned, number_entry, past

MINE = item()
CONTACTS = {"rogue ca": "mailto:abuse@rogue.example"}


def alert_of(entry, of=MINE, **context):
    hit = hit_of(entry, of) if of is not None else None
    context = Context(now_ms=entry.timestamp_ms, **context)
    return make_alert(entry, hit, verdicts(entry, hit, context)[0], context, contacts=CONTACTS)


ROGUES = number_entry(ca=ROGUE, day=50, key_number=3)
ALERT = alert_of(ROGUES.proven_in(1234), profile=learned(MINE, number_entry()), key_uses=(past(number_entry()),))


def test_the_common_block_is_there():
    text = ALERT.text()
    parsed = ROGUES.parsed
    for fact in (
        "S1, act now.",
        f"Rogue CA has never issued for +{N} before. [T-01, S1]",
        "What to do: Ask your provider",
        "mailto:abuse@rogue.example",
        f"+{N} (mine/number:+{N})",
        "the number +12025550123",
        "Example Inc",
        "CN=Example Inc,O=Example Inc,C=US",
        "CN=Rogue CA SHAKEN Issuing CA,O=Rogue CA,C=US",
        ROGUES.issuing_key.hex(),
        "CN=Rogue CA SHAKEN ROOT,O=Rogue CA,C=US",
        "us-shaken",
        parsed.serial.hex(),
        ROGUES.fingerprint.hex(),
        "2026-11-10T14:13:20Z to 2027-02-08T14:13:19Z",
        ROGUES.key_hash.hex(),
        "2026-09-21T14:13:20Z, by Rightful Ca, for Example",
        "log.example",
        ROGUES.log_id.hex(),
        "proven in the tree of 1,234 entries",
        "Rightful Ca (as seen so far)",
        ROGUES.issuance.hex(),
        ALERT.id,
    ):
        assert fact in text, fact
    assert all(len(line) <= 240 for line in text.splitlines())


def test_the_subject_says_number_issuer_and_the_question():
    assert ALERT.summary == f"S1 +{N}: certificate by Rogue CA: not yours?"


def test_the_document_is_what_is_stored():
    document = parse_alert(ALERT.body)
    assert document == ALERT.document
    assert alert_text(document) == ALERT.text()
    assert alert_summary(document) == ALERT.summary
    assert b64decode(document["certificate"]["der"]) == ROGUES.certificate
    assert tuple(map(b64decode, document["certificate"]["chain"])) == ROGUES.chain
    assert [each["id"] for each in document["rules"]] == list(ALERT.rules)
    assert document["certificate"]["days_left"] == 89
    assert (ALERT.severity, ALERT.addressee, ALERT.channels) == (1, "owner", ("mail",))
    assert (ALERT.item, ALERT.group, ALERT.thread) == (f"mine/number:+{N}", "mine", ROGUES.issuance.hex())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"v":2}'])
def test_what_is_no_alert(body):
    with pytest.raises(ValueError):
        parse_alert(body)


# Which alerts are one -----------------------------------------------------------------------------------------------


def test_one_alert_for_an_issuance_in_every_form_and_log():
    tbs = number_leaf([TelephoneNumber(N)], ROGUE)
    pre = ROGUE.precertificate(tbs)
    leaf = precert_leaf_of(pre, ROGUE.chain)
    first = read_entry(PLACE, leaf, pre_certificate=pre, chain=ROGUE.chain, trust=TRUST)
    final = logged(tbs, ROGUE, index=99, timestamp_ms=NOW_MS + 5)
    assert alert_of(first).id == alert_of(final).id
    assert alert_of(first).document["certificate"]["form"] == "precertificate"


def test_other_issuances_items_rules_and_addressees_are_others():
    other = alert_of(number_entry(ca=ROGUE, day=50, key_number=4), profile=learned(MINE, number_entry()))
    mine_too = alert_of(ROGUES, item(name="second"), profile=learned(MINE, number_entry()))
    first = alert_of(ROGUES)
    known = frozenset(["x"])
    operator = alert_of(ROGUES, None, known_issuers=known)
    expected = alert_of(number_entry(day=9), profile=learned(MINE, number_entry()))
    assert len({each.id for each in (ALERT, other, mine_too, operator, expected)}) == 5
    assert first.id == ALERT.id  # T-01 leads in both, although it is S2 for the first certificate


# What else may stand there ------------------------------------------------------------------------------------------


def test_operators_have_no_item():
    alert = alert_of(ROGUES, None, known_issuers=frozenset(["x"]))
    assert (alert.addressee, alert.channels, alert.item) == ("operator", (), "")
    assert alert.summary.startswith(f"S1 T-19, certificate by Rogue CA for the number +{N}: Rogue CA was never seen")
    assert "your item" not in alert.text()


def test_an_expected_certificate():
    alert = alert_of(number_entry(day=9), item(issuers=("Rightful CA",)), profile=learned(MINE, number_entry()))
    assert alert.summary == f"+{N}: certificate by Rightful CA, for information"
    assert "as expected" in alert.text()


def test_other_readings_and_blocks():
    national = alert_of(number_entry([TelephoneNumber("5715551212")]), item("15715551212"))
    assert "by another reading" in national.summary
    assert "reading: intended" in national.text()
    block = alert_of(number_entry([NumberRange("12025550000", 20000)], ROGUE))
    assert "which covers 19,999 others" in block.text()


def test_many_items_and_many_claims():
    numbers = [TelephoneNumber(str(12025550000 + at)) for at in range(50)]
    text = alert_of(number_entry(numbers), item("12025550003")).text()
    assert "and 30 more" in text
    code = alert_of(code_entry(ca=ROGUE), item("709J"))
    assert "the code 709J" in code.text()


def test_an_unreadable_one():
    entry = logged(number_leaf(b"\x30\x02\x05\x00"))
    (hit,) = Watchlist([MINE]).match(entry)
    context = Context(NOW_MS)
    alert = make_alert(entry, hit, verdicts(entry, hit, context)[0], context)
    assert alert.kind == "unreadable"
    assert alert.summary == "S2 an unreadable certificate by Rightful CA may concern mine"
    assert "reading: unreadable" in alert.text()


def test_large_certificates_are_named_and_not_carried():
    padding = issuance.extension("1.2.3.4", bytes(LARGEST))
    entry = logged(GOOD.leaf(subject(), [padding, issuance.tn_auth_list(issuance.one(N))]))
    document = alert_of(entry).document
    assert document["certificate"]["der"] == ""
    assert document["certificate"]["sha256"] == entry.fingerprint.hex()
    assert len(alert_of(entry).body) < 10_000


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_whatever_a_ca_writes_breaks_no_line(holder, name):
    """Control characters, bidirectional marks and line ends in names: still one subject, still the same lines."""
    pair = {"O": holder, "CN": name}
    who = issuance.Subject(issuance.name(**pair), subject().spki, NOW_MS, NOW_MS + DAY_MS)
    alert = alert_of(logged(number_leaf([TelephoneNumber(N)], GOOD, who)))
    assert alert.summary.isprintable()
    assert all(line.isprintable() for line in alert.text().split("\n"))
    assert json.loads(alert.body)["v"] == 1


def test_sixty_four_kilobytes_of_name_make_no_long_alert():
    who = dataclasses.replace(subject("X" * 65536, cn="y"), serial=1 << 60_000)
    tbs = number_leaf([TelephoneNumber(N)], dataclasses.replace(GOOD, name=who.name), who)
    for entry in (logged(tbs), logged(tbs, trusting=trust(ROGUE))):
        alert = alert_of(entry)
        assert len(alert.summary) < 200
        assert len(alert.text()) < 10_000
