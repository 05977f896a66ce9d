"""`ctlog-monitor alerts authorise`, `authorised`, `revoke`: for an alert, and beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.alert import parse_alert
from monitor.context import authorised_for
from tests.monitor.cli.test_alerts import ENTRY, HOME, certificate_alert, raised
from tests.monitor_certificates import GOOD, ROGUE, logged, number_leaf, trust
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
    told.here("alerts", "revoke", "1")
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


def test_beforehand_what_comes_later_is_known(monitor: Monitor) -> None:
    monitor.here("watch", "add", "--name", "home", "+12025550123")
    tbs = number_leaf([number("12025550123")])
    Path("new.pem").write_bytes(pem(GOOD.certificate_for(tbs), *GOOD.chain))
    monitor.here("alerts", "authorise", "--certificate", "new.pem", "--item", ITEM)
    monitor.here("alerts", "authorise", "--key", "new.pem", "--item", "home", "--until", "30d")
    issuer = ENTRY.issuer.text
    monitor.here("alerts", "authorise", "--issuer", issuer, "--item", "home")
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
