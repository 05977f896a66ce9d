"""monitor.follow.collect: the records of a batch are those that a full reading of each entry gives."""

import hashlib

from ctlog.issuance import DAY_MS, Key
from ctlog.tn.labels import Label
from monitor.claims import hint, label_key, parse_claim, spki_key
from monitor.entry import look
from monitor.follow.collect import Collector
from monitor.glance import Glancer
from monitor.history_files import split_records
from tests.cert_sim import CertSim
from tests.simulator import START_MS


def collected(sim: CertSim, lo: int = 0, collector: Collector | None = None):
    names: dict[str, int] = {}
    collector = collector or Collector(lambda name: names.setdefault(name, len(names) + 1))
    glancer = Glancer()
    glances = [look(glancer, leaf) for leaf in sim.tree.inputs[lo:]]
    records = collector.records(5, lo, sim.tree.inputs[lo:], glances, [9] * len(glances))
    return [parse_claim(record) for record in split_records(records)], names, collector


def test_a_record_for_the_label_and_one_for_the_key():
    sim = CertSim()
    leaf, _ = sim.add(123, key=21)
    (claim, use), names, _ = collected(sim)
    number = label_key(Label("one", "12025550123"))
    digest = hashlib.sha256(Key.from_number(21).spki).digest()
    assert claim.label == number
    assert (claim.not_before_ms, claim.not_after_ms) == (START_MS, START_MS + 90 * DAY_MS)
    assert (claim.issuer, claim.log, claim.log_index, claim.is_precertificate) == (9, 5, 0, True)
    assert claim.holder == names["owner"]
    assert claim.key == digest[:6]
    assert claim.logged_ms == leaf.timestamp_ms // 1000 * 1000
    assert use.label == int.from_bytes(spki_key(digest), "big")
    assert use.key == hint(number)


def test_one_holder_and_one_key_have_one_number_in_every_batch():
    sim = CertSim()
    for number in range(4):
        sim.add(number)
    first, names, collector = collected(sim)
    again, _, _ = collected(sim, 2, collector)
    assert len(first) == 8
    assert again == first[4:]
    assert len(names) == 1
    assert len({claim.label for claim in first[::2]}) == 4
    assert len({use.label for use in first[1::2]}) == 1


def test_what_no_parser_accepts_has_records_without_times_and_key():
    sim = CertSim()
    sim.submit_raw(b"\x30\x03abc")
    claims, _, _ = collected(sim)
    assert [claim.label for claim in claims] == [label_key(Label("unindexable", ""))]
    assert (claims[0].not_before_ms, claims[0].not_after_ms, claims[0].key) == (0, 0, bytes(6))


def test_entries_that_were_logged_a_month_late_are_counted():
    sim = CertSim()
    sim.add(1)
    sim.now_ms += 31 * DAY_MS
    sim.add(2)
    _, _, collector = collected(sim)
    assert collector.late == 1
