"""`ctlog-monitor alerts refuse`, `refused`: it is not ours, and whatever comes of it is told again."""

from __future__ import annotations

import pytest

from monitor.context import refused_for
from monitor.items import Item
from tests.monitor.cli.test_alerts import ENTRY, HOME, certificate_alert, raised
from tests.monitor.cli.test_authorise import ITEM, alert_id, granted, told
from tests.monitor_certificates import GOOD, ROGUE, logged, number_leaf, subject, trust
from tests.monitor_place import Monitor
from tests.number_certificates import number
from tests.state_values import alert

__all__ = ["told"]
ISSUER = ENTRY.issuer.text


def refused(monitor: Monitor, item: Item = HOME[0]):
    return refused_for(item, monitor.state(lambda state: state.answers.authorisations(0)))


def test_its_issuer_and_its_key(told: Monitor) -> None:
    said = told.here("alerts", "refuse", alert_id(told)[:8], "--note", "not ours")
    assert f"Refused as 1: the issuer {ISSUER}, for {ITEM}." in said.out
    assert "Refused as 2: the key" in said.out
    assert "Ask for its revocation" in said.out
    found = refused(told)
    assert (set(found.issuers), set(found.keys)) == ({ISSUER}, {ENTRY.key_hash})
    (line,) = told.here("alerts", "list", "--json", "--status", "refused").lines
    assert line["status_note"] == "not ours"
    rows = told.here("alerts", "refused", "--json").lines
    assert [(row["kind"], row["is_refusal"], row["item"]) for row in rows] == [
        ("issuer", True, ITEM), ("key", True, ITEM)]  # fmt: skip
    assert told.here("alerts", "authorised").out == "Nothing is authorised.\n"
    assert told.state(lambda state: state.outbox.due(10**15)) != [], "whoever was not told yet is told"
    exported = told.here("export", "item", ITEM).lines
    assert [row["is_refusal"] for row in exported if row["type"] == "authorisation"] == [True, True]


def test_every_alert_about_the_same_is_answered(told: Monitor) -> None:
    who = subject(key_number=9)
    other = certificate_alert(logged(number_leaf([number("12025550123")], ROGUE, who), ROGUE))
    raised(told, other, alert("health", kind="health"))
    value = told.here("alerts", "refuse", other.id, "--json").lines[0]
    assert value["alerts"] == [other.id]
    assert [row["kind"] for row in value["refused"]] == ["issuer", "key"]
    assert {row["status"] for row in told.here("alerts", "list", "--json", "--status", "new").lines} == {"new"}


def test_a_yes_takes_it_back(told: Monitor) -> None:
    told.here("alerts", "refuse", alert_id(told))
    said = told.here("alerts", "authorise", alert_id(told))
    assert "Taken back: refusal 1, of the issuer" in said.out
    assert "Taken back: refusal 2, of the key" in said.out
    assert told.here("alerts", "refused").out == "Nothing is refused.\n"
    assert granted(told).issuances == {ENTRY.issuance}
    (line,) = told.here("alerts", "list", "--json").lines
    assert line["status"] == "authorised"


def test_a_yes_for_more_says_that_the_no_stays(told: Monitor) -> None:
    told.here("alerts", "refuse", alert_id(told))
    said = told.here("alerts", "authorise", alert_id(told), "--what", "issuer", "--everywhere")
    assert "Taken back" in said.out, "of the alert's own item: that is what the answer is about"
    told.here("alerts", "refuse", alert_id(told))
    told.state(lambda state: state.answers.authorise("issuer", ISSUER, "home", "me", "", 1))
    said = told.here("alerts", "authorise", "--issuer", ISSUER, "--item", "home", code=None)
    assert ISSUER in refused(told).issuers


def test_revoked(told: Monitor) -> None:
    told.here("alerts", "refuse", alert_id(told))
    told.here("alerts", "revoke", "1")
    assert [row["kind"] for row in told.here("alerts", "refused", "--json").lines] == ["key"]


def test_whoever_only_says_to_be_an_issuer_is_not_refused_by_name(told: Monitor) -> None:
    """The name may be the owner's own CA's: refusing it would make an alert of everything that is right."""
    stranger = certificate_alert(logged(number_leaf([number("12025550123")], ROGUE), ROGUE, trusting=trust(GOOD)))
    raised(told, stranger)
    assert "only the key can be refused" in told.here("alerts", "refuse", stranger.id, "--what", "issuer", code=2).err
    told.here("alerts", "refuse", stranger.id)
    assert (dict(refused(told).issuers), len(refused(told).keys)) == ({}, 1)


def test_only_the_key(told: Monitor) -> None:
    told.here("alerts", "refuse", alert_id(told), "--what", "key", "--item", "home")
    assert [(row["kind"], row["item"]) for row in told.here("alerts", "refused", "--json").lines] == [("key", "home")]


def test_beforehand(told: Monitor) -> None:
    with (told.folder / "monitor.toml").open("a") as config:
        config.write('\n[[roots]]\ntrust_domain = "us-shaken"\nfiles = ["root.pem"]\n')
    told.here("alerts", "refuse", "--issuer", "Rogue CA @ us-shaken", "--everywhere", "--note", "closed")
    told.here("alerts", "refuse", "--key", "ab" * 32, "--item", ITEM)
    found = refused(told)
    assert (set(found.issuers), set(found.keys)) == ({"rogue ca @ us-shaken"}, {b"\xab" * 32})
    assert "for everything, by " in told.here("alerts", "refused").out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "name an ALERT, or one of --issuer, --key"),
        (["0", "--key", "ab" * 32], 2, "name an ALERT, or one of"),
        (["--key", "ab" * 32], 2, "say for which watched --item"),
        (["--key", "ab" * 32, "--everywhere", "--what", "key"], 2, "--what is about an ALERT"),
        (["zz"], 1, "there is no alert zz"),
        (["health"], 2, "is about health, not about a certificate"),
        (["--key", "ab" * 32, "--item", "office"], 1, "'office' is not watched"),
    ],
)
def test_what_makes_no_sense_refuses_nothing(told: Monitor, words: list[str], code: int, sentence: str) -> None:
    raised(told, alert("health", kind="health"))
    assert sentence in told.here("alerts", "refuse", *words, code=code).err
    assert told.here("alerts", "refused").out == "Nothing is refused.\n"
