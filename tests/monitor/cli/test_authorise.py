"""`ctlog-monitor alerts authorise`, `authorised`, `revoke`: for an alert, and beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.alert import parse_alert
from monitor.context import authorised_for
from monitor.rules.values import Context, Event, Revocations, Revoked
from tests.monitor.cli.test_alerts import ENTRY, HOME, certificate_alert, raised
from tests.monitor_certificates import GOOD, NOW_MS, ROGUE, logged, number_leaf, subject, trust
from tests.monitor_place import Monitor
from tests.number_certificates import number
from tests.pem import pem
from tests.state_values import alert

ITEM = "home/number:+12025550123"


@pytest.fixture
def told(monitor: Monitor) -> Monitor:
    """A monitor that watches a number, and told of a certificate for it."""
    monitor.here("watch", "add", "--name", "home", "+12025550123")
    raised(monitor, certificate_alert())
    return monitor


def granted(monitor: Monitor):
    rows = monitor.state(lambda state: state.answers.authorisations(0))
    return authorised_for(HOME[0], rows)


def alert_id(monitor: Monitor) -> str:
    return monitor.here("alerts", "list", "--json").lines[0]["id"]


def test_this_certificate(told: Monitor) -> None:
    said = told.here("alerts", "authorise", alert_id(told)[:8], "--note", "mine")
    assert "Authorised as 1: the certificate" in said.out
    assert granted(told).issuances == {ENTRY.issuance}
    (line,) = told.here("alerts", "list", "--json").lines
    assert (line["status"], line["status_note"]) == ("authorised", "mine")
    assert told.state(lambda state: state.outbox.due(10**15)) == [], "nobody is told any more"


def test_its_key_and_its_issuer(told: Monitor) -> None:
    told.here("alerts", "authorise", alert_id(told), "--what", "key")
    told.here("alerts", "authorise", alert_id(told), "--what", "issuer", "--everywhere", "--until", "90d")
    assert granted(told).keys == {ENTRY.key_hash}
    assert granted(told).issuers == {ENTRY.issuer.text}
    rows = told.here("alerts", "authorised", "--json").lines
    assert [(row["kind"], row["item"]) for row in rows] == [("key", ITEM), ("issuer", "")]
    assert [row["until_ms"] is None for row in rows] == [True, False]
    assert "for everything, by " in told.here("alerts", "authorised").out
    assert told.here("alerts", "revoke", "1").out == "Answer 1 holds no longer.\n"
    assert [row["id"] for row in told.here("alerts", "authorised", "--json").lines] == [2]
    assert "there is no authorisation 7" in told.here("alerts", "revoke", "7", code=1).err


def test_whoever_only_says_to_be_an_issuer_is_none(told: Monitor) -> None:
    stranger = logged(number_leaf([number("12025550123")], ROGUE), ROGUE, trusting=trust(GOOD))
    made = certificate_alert(stranger)
    raised(told, made)
    said = told.here("alerts", "authorise", made.id, "--what", "issuer", code=2)
    assert "nobody vouches for the issuer" in said.err
    assert parse_alert(made.body)["issuer"]["verified"] is False
    told.here("alerts", "authorise", made.id, "--what", "key", "--item", "home")
    assert granted(told).keys == {stranger.key_hash}


# --- what a word does not answer -------------------------------------------------------------------------------------

SWAPPED = logged(number_leaf([number("12025550123")], who=subject(key_number=2)), index=8)
SOON = Context(now_ms=NOW_MS, events=(Event("sim", "12025550123", SWAPPED.timestamp_ms - 1000, ""),))
WAITING = ["waiting"]


def messages(monitor: Monitor, name: str) -> list[str]:
    return [row.status for row in monitor.state(lambda state: state.outbox.of_alert(name))]


def test_a_sim_swap_at_the_usual_provider_is_not_answered_by_a_yes_to_the_provider(told: Monitor) -> None:
    """The thief gets his certificate where the owner has his; the alert waits for a channel that fails just now."""
    swap = certificate_alert(SWAPPED, SOON)
    assert (swap.severity, set(swap.rules)) == (1, {"T-10", "T-01"})
    raised(told, swap)
    first = certificate_alert().id
    said = told.here("alerts", "authorise", first, "--what", "issuer", "--json").lines[0]
    assert (said["alerts"], said["open"]) == ([first], [swap.id])
    assert messages(told, first) == ["cancelled"]
    assert messages(told, swap.id) == WAITING
    rows = {line["id"]: line["status"] for line in told.here("alerts", "list", "--json").lines}
    assert rows == {first: "authorised", swap.id: "new"}


def test_it_says_what_stays_open_and_how_to_answer_it(told: Monitor) -> None:
    swap = certificate_alert(SWAPPED, SOON)
    raised(told, swap)
    out = told.here("alerts", "authorise", certificate_alert().id, "--what", "issuer").out
    assert f"{swap.id[:12]} stays open: it says T-10, T-01, which this does not answer." in out
    told.here("alerts", "authorise", swap.id[:12])
    assert messages(told, swap.id) == ["cancelled"], "a yes to the certificate answers whether it was meant to be"


def test_a_yes_to_the_key_answers_the_swap(told: Monitor) -> None:
    """The near miss: whoever knows the key knows whose it is."""
    swap = certificate_alert(SWAPPED, SOON)
    raised(told, swap)
    told.here("alerts", "authorise", "--key", SWAPPED.key_hash.hex(), "--item", ITEM)
    assert messages(told, swap.id) == ["cancelled"]
    assert messages(told, certificate_alert().id) == WAITING, "another key"


def revoked(entry) -> Context:
    gone = Revoked(entry.parsed.issuer, b"another", entry.key_hash, entry.timestamp_ms - 1000)
    return Context(now_ms=NOW_MS, revocations=Revocations([gone]))


@pytest.mark.parametrize("how", [["--key", SWAPPED.key_hash.hex()], ["--issuer", SWAPPED.issuer.text]])
def test_a_revoked_key_is_told_whoever_is_authorised(told: Monitor, how: list[str]) -> None:
    stolen = certificate_alert(SWAPPED, revoked(SWAPPED))
    assert "T-18" in stolen.rules
    raised(told, stolen)
    told.state(lambda state: _seen(state, SWAPPED.issuer.text))
    assert told.here("alerts", "authorise", *how, "--item", ITEM, "--json").lines[0]["open"] == [stolen.id]
    assert messages(told, stolen.id) == WAITING


def test_whoever_names_an_alert_has_seen_it_and_the_rest_of_what_it_says_is_still_sent(told: Monitor) -> None:
    stolen = certificate_alert(SWAPPED, revoked(SWAPPED))
    raised(told, stolen)
    said = told.here("alerts", "authorise", stolen.id, "--json").lines[0]
    assert (said["alerts"], said["open"]) == ([stolen.id], [])
    assert messages(told, stolen.id) == WAITING


def test_beforehand_what_comes_later_is_known(monitor: Monitor) -> None:
    monitor.here("watch", "add", "--name", "home", "+12025550123")
    tbs = number_leaf([number("12025550123")])
    Path("new.pem").write_bytes(pem(GOOD.certificate_for(tbs), *GOOD.chain))
    monitor.here("alerts", "authorise", "--certificate", "new.pem", "--item", ITEM)
    monitor.here("alerts", "authorise", "--key", "new.pem", "--item", "home", "--until", "30d")
    issuer = ENTRY.issuer.text
    with (monitor.folder / "monitor.toml").open("a") as config:
        config.write('\n[[roots]]\ntrust_domain = "us-shaken"\nfiles = ["root.pem"]\n')
    monitor.here("alerts", "authorise", "--issuer", "Rightful CA, Inc. @ us-shaken", "--item", "home")
    found = granted(monitor)
    assert (found.issuances, found.keys, found.issuers) == ({logged(tbs).issuance}, {ENTRY.key_hash}, {issuer})


async def _seen(state, *names: str) -> None:
    from monitor.state.rows import Position

    await state.logs.add(bytes(32), "log", "", Position(), 1)
    await state.logs.advance(bytes(32), Position(), [], 1, issuers=names)


def test_an_issuer_by_its_name(monitor: Monitor) -> None:
    monitor.state(lambda state: _seen(state, "example ca @ us", "other ca @ us", "other ca @ ca"))
    assert "example ca @ us" in monitor.here("alerts", "authorise", "--issuer", "Example CA, Inc.", "--everywhere").out
    said = monitor.here("alerts", "authorise", "--issuer", "Other CA", "--everywhere", code=2)
    assert "'other ca @ ca' or 'other ca @ us': say which" in said.err
    said = monitor.here("alerts", "authorise", "--issuer", "Exmple", "--everywhere", code=1)
    assert "near are 'example ca @ us'" in said.err


def test_attack_an_issuer_whose_name_another_s_begins_with(monitor: Monitor) -> None:
    """"Carrier" is not "Carrier Trust Services Ltd", which anybody may found; nor a CA so called below his root."""
    monitor.state(lambda state: _seen(state, "carrier trust services @ us", "carrier @ evil telecom @ us"))
    said = monitor.here("alerts", "authorise", "--issuer", "Carrier Trust", "--everywhere", code=1)
    assert "Names are compared as a whole" in said.err
    said = monitor.here("alerts", "authorise", "--issuer", "Carrier", "--everywhere", code=2)
    assert "may be 'carrier @ evil telecom @ us': say which" in said.err
    said = monitor.here("alerts", "authorise", "--issuer", "Carrier @ Nobody", "--everywhere", code=1)
    assert "trust domains: none" in said.err, "it would never be met"
    assert "Nothing" in monitor.here("alerts", "authorised").out
    monitor.here("alerts", "authorise", "--issuer", "Carrier @ Evil Telecom, Inc.", "--everywhere")
    assert granted(monitor).issuers == {"carrier @ evil telecom @ us"}


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "name an ALERT, or one of"),
        (["0", "--key", "ab" * 32], 2, "name an ALERT, or one of"),
        (["--key", "ab" * 32], 2, "say for which watched --item"),
        (["--key", "ab" * 32, "--item", "x", "--everywhere"], 2, "for --item, or --everywhere"),
        (["--key", "abc", "--everywhere"], 2, "'abc' is no key"),
        (["--key", "ab" * 32, "--item", "home/number:+12025550124"], 1, "did you mean 'home/number:+12025550123'?"),
        (["--key", "ab" * 32, "--item", "office"], 1, "'office' is not watched"),
        (["--key", "ab" * 32, "--everywhere", "--until", "2020-01-01"], 2, "is over already"),
        (["--certificate", "none.pem", "--everywhere"], 2, "does not exist"),
        (["zz", "--item", "home"], 1, "there is no alert zz"),
        (["health"], 2, "is about health, not about a certificate"),
    ],
)
def test_what_makes_no_sense_authorises_nothing(told: Monitor, words: list[str], code: int, sentence: str) -> None:
    raised(told, alert("health", kind="health"))
    assert sentence in told.here("alerts", "authorise", *words, code=code).err
    assert told.here("alerts", "authorised").out == "Nothing is authorised.\n"
