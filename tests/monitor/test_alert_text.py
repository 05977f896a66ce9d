"""monitor.alert_text: one page for a person, and the facts under it."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.numbers import NumberRange, TelephoneNumber
from monitor.alert import make_alert
from monitor.alert_text import FACTS, WIDTH, alert_text
from monitor.rules import verdicts
from monitor.rules.values import Context
from monitor.watchlist import Watchlist
from tests.monitor.test_alert import ALERT, CONTACTS, MINE, ROGUES, alert_of
from tests.monitor_certificates import ROGUE, logged, number_leaf, trust
from tests.monitor_rules import N, code_entry, item, learned, number_entry


def page(text):
    """What stands above the facts, in one line, so that a break of a line matters nowhere."""
    return " ".join(text.partition(FACTS)[0].split())


def test_a_person_finds_what_happened_whether_it_is_his_what_to_do_and_whom_to_call():
    text = ALERT.text()
    above = page(text)
    for words in (
        "S1, act now.",
        f"Rogue CA issued a certificate for your telephone number +{N}.",
        f"Rogue CA has never issued for +{N} before. [T-01, S1]",
        "like a passport for a telephone number",
        "Is it yours? It may be. Did you, your provider",
        "around 2026-11-10? Ask whoever would know.",
        "It says that it was made out to: Example Inc",
        "Issued so far by: Rightful Ca (as seen so far)",
        f"ctlog-monitor alerts authorise {ALERT.id[:12]}",
        "What to do: Ask your provider whether it was requested; if not, demand its revocation",
        "do not rely on codes that are sent to the number by SMS",
        "Your telephone provider, at the number on your contract or bill",
        f"serial number {ROGUES.parsed.serial.hex()}, issued by Rogue CA for the number +{N}, logged on 2026-11-10",
        "The issuer, to have it revoked: Rogue CA, mailto:abuse@rogue.example",
        "the STI-PA, which admits such issuers",
    ):
        assert words in above, words


def test_commands_can_be_pasted_wherever_the_monitor_lies():
    document = copy.deepcopy(ALERT.document)
    folder = document["monitor"] = "/home/somebody with a name/and a folder of a very long name indeed/the monitor"
    lines = alert_text(document).splitlines()
    assert f"    ctlog-monitor alerts authorise -d '{folder}' {ALERT.id[:12]}" in lines
    assert f"  certificate   ctlog-monitor alerts show -d '{folder}' {ALERT.id[:12]} --pem" in lines
    assert f"  evidence      ctlog-monitor alerts bundle -d '{folder}' {ALERT.id[:12]}" in lines


def test_what_was_folded_into_another_rule_is_named_with_it():
    document = copy.deepcopy(ALERT.document)
    document["rules"][0]["with"] = ["T-09"]
    assert "[T-01 with T-09, S1]" in page(alert_text(document))


def test_it_is_one_page_and_fits_a_screen():
    above = ALERT.text().partition(FACTS)[0].splitlines()
    assert len(above) <= 45
    assert max(map(len, above)) <= WIDTH


@pytest.mark.parametrize("jargon", ["SPKI", "DER", "DN", "X.509", "Merkle", "precertificate", "SHA-256", "TNAuthList"])
def test_nothing_above_the_facts_needs_explaining(jargon):
    assert jargon not in page(ALERT.text())


def test_an_issuer_whom_nobody_vouches_for():
    text = page(alert_of(logged(number_leaf([TelephoneNumber(N)]), trusting=trust(ROGUE))).text())
    assert "Somebody who says to be Rightful CA issued a certificate for your" in text
    assert "no accepted authority stands behind the name that it uses" in text
    assert "to have it revoked" not in text


def test_an_issuer_whose_contact_nobody_wrote_down():
    document = copy.deepcopy(ALERT.document)
    document["contact"] = ""
    assert "how to reach it is not known here" in page(alert_text(document))


def test_what_is_expected_asks_nothing_of_anybody():
    mine = item(issuers=("Rightful CA",))
    text = page(alert_of(number_entry(day=9), mine, profile=learned(MINE, number_entry())).text())
    assert "S4, for information." in text
    assert "as expected" in text
    for words in ("Is it yours?", "Whom to call", "SMS"):
        assert words not in text


def test_operators_are_asked_nothing_about_a_number_of_theirs():
    text = page(alert_of(ROGUES, None, known_issuers=frozenset(["x"])).text())
    assert "it concerns no item on the watch list" in text
    assert "Is it yours?" not in text
    assert "Your telephone provider" not in text
    assert "What to do: " in text


def test_wide_ranges_say_whom_else_they_cover():
    text = alert_of(number_entry([NumberRange("12025550000", 20000)], ROGUE)).text()
    assert f"for your telephone number +{N}, and for 19,999 other numbers." in page(text)
    assert "by the range +12025550000 to +12025569999 (20,000 numbers), which covers 19,999 others" in text


def test_a_code_is_no_number():
    text = page(alert_of(code_entry(ca=ROGUE), item("709J")).text())
    assert "a certificate for the service provider code 709J." in text
    assert "passport" not in text
    assert "SMS" not in text


def test_what_nobody_can_read():
    entry = logged(number_leaf(b"\x30\x02\x05\x00"))
    (hit,) = Watchlist([MINE]).match(entry)
    context = Context(entry.timestamp_ms)
    alert = make_alert(entry, hit, verdicts(entry, hit, context)[0], context, contacts=CONTACTS)
    text = page(alert.text())
    assert "a certificate that cannot be read. It may concern you." in text
    assert "shown to everybody whom it might concern" in text
    assert "for nobody knows whom" in text


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("prefix", "+1202", "telephone numbers that begin with +1202"),
        ("holder", "Example", "the name Example"),
        ("key", "ab" * 32, "the key abab"),
        ("issuer", "Rogue CA", "you watch this issuer"),
        ("group", "", "12 of your numbers (office)"),
    ],
)
def test_everything_that_can_be_watched(kind, text, words):
    document = copy.deepcopy(ALERT.document)
    document["item"] |= {"kind": kind, "text": text, "items": 12 if kind == "group" else 1, "group": "office"}
    assert words in page(alert_text(document))


@given(st.text("abc-+ @", min_size=60, max_size=80))
def test_a_name_of_the_longest_that_there_is_breaks_nothing(name):
    document = copy.deepcopy(ALERT.document)
    document["holder"] = document["issuer"]["text"] = name
    assert FACTS in alert_text(document)
