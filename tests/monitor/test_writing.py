"""monitor.writing: what an alert says becomes a row, and goes to whom the configuration names."""

import dataclasses
import json
from base64 import b64decode
from pathlib import Path

from monitor.config import parse_config
from monitor.entry import NOWHERE, Place
from monitor.reload import Setup
from monitor.rules import verdicts
from monitor.rules.values import OPERATOR, OWNER, S4, Context
from monitor.state.rows import HEALTH, S2
from monitor.writing import MAX_LEAF, Writer
from tests.monitor_kit import trust
from tests.monitor_rules import hit_of, item, number_entry

MINE = item()
CHANNELS = '[channels.ops]\ntype = "file"\n[channels.mail]\ntype = "file"\n'


def writer(top=""):
    config = parse_config(f'contact = "me@example.com"\n{top}\n{CHANNELS}')
    return Writer(lambda: Setup(config, trust(), Path("/srv/a monitor")))


def judged(entry, to, of=MINE):
    context = Context(now_ms=entry.timestamp_ms)
    hit = hit_of(entry, of)
    return entry, hit, next(each for each in verdicts(entry, hit, context) if each.to == to), context


def test_the_row_says_what_the_alert_says():
    entry, hit, verdict, context = judged(number_entry().proven_in(99), OWNER)
    row = writer().write(entry, hit, verdict, context)
    body = json.loads(row.body)
    assert (row.id, row.severity, row.rule, list(row.rules)) == (
        body["id"], body["severity"], body["rule"], [each["id"] for each in body["rules"]])  # fmt: skip
    assert (row.item, row.group, row.thread) == (MINE.id, "mine", entry.issuance.hex())
    assert (row.log_id, row.log_index, row.proven) == (entry.log_id, entry.index, 99)
    assert body["monitor"] == "/srv/a monitor"
    assert (row.addressee, row.channels, row.answered) == (OWNER, ("mail",), "")


def test_who_is_told():
    """Owners by their own channels, else as operators; operators by those named for them, else by all."""
    entry, hit, verdict, context = judged(number_entry(), OWNER)
    for top, operators in (("", ("ops", "mail")), ('operators = ["ops"]', ("ops",))):
        made = writer(top)
        assert made.operators() == operators
        assert made.write(entry, hit, verdict, context).channels == ("mail",)
        silent = dataclasses.replace(MINE, group=dataclasses.replace(MINE.group, tell=()))
        assert made.write(entry, hit._replace(item=silent), verdict, context).channels == operators
        to_operator = verdict._replace(to=OPERATOR)
        assert made.write(entry, None, to_operator, context).channels == operators


def test_what_is_for_information_is_kept_and_told_to_nobody():
    entry, hit, verdict, context = judged(number_entry(), OWNER)
    assert writer().write(entry, hit, verdict._replace(severity=S4), context).channels == ()


def test_a_fault_of_ours():
    place, leaf = Place(b"\1" * 32, "log", 7, None), bytes(MAX_LEAF + 10)
    (row,) = writer().fault(place, leaf, ValueError("x" * 1000))
    body = json.loads(row.body)
    assert (row.kind, row.severity, row.addressee, row.rule, row.log_index) == (HEALTH, S2, OPERATOR, "fault", 7)
    assert row.channels == ("ops", "mail")
    assert b64decode(body["leaf"]) == bytes(MAX_LEAF)
    assert "ValueError" in body["reason"]
    assert len(body["reason"]) <= 500
    (again,) = writer().fault(place, leaf, ZeroDivisionError())
    (other,) = writer().fault(dataclasses.replace(place, index=8), leaf, ValueError())
    assert row.id == again.id != other.id
    (promised,) = writer().fault(dataclasses.replace(place, index=NOWHERE), leaf, ValueError())
    assert promised.summary == "What log promised to log could not be judged"
