"""What strangers put into logs, from the log to the letter: it loses no alert, stops no other log, and harms no reader.

Trouble with the network is in follow/test_trouble.py; here are entries: names with control characters or of 64 KB,
thousands of numbers, what no parser accepts, once and in floods.
"""

from __future__ import annotations

import json

import pytest

from ctlog import issuance
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.x509.der import format_tlv
from monitor.follow.followed import ENTRIES, TILES
from monitor.state.rows import OWNER, S2
from monitor.tell.letter import make_letter
from tests.cert_sim import CA, ROGUE, CertSim
from tests.monitor_kit import Memory, rules_of
from tests.tell_kit import HOUR, Clock, Recorder, courier

ITEM = "home/number:+12025550123"
FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])
FLOOD = 300


@pytest.fixture
async def memory(tmp_path):
    async with Memory(tmp_path) as made:
        yield made


def attribute(kind: bytes, value: bytes, tag: int = 0x0C) -> bytes:
    return format_tlv(0x31, format_tlv(0x30, format_tlv(6, kind) + format_tlv(tag, value)))


def named(organisation: bytes, common_name: bytes = b"x", tag: int = 0x0C) -> bytes:
    """A Name with these octets as they are."""
    pairs = ((b"\x55\x04\x0a", organisation), (b"\x55\x04\x03", common_name))
    return format_tlv(0x30, b"".join(attribute(kind, value, tag) for kind, value in pairs))


def certified(sim: CertSim, name: bytes, *numbers: str) -> None:
    """Log a certificate for these numbers and this subject."""
    who = Subject(name, Key.from_number(22).spki, sim.now_ms, sim.now_ms + 90 * DAY_MS, 7)
    tbs = issuance.delegate_leaf(CA, who, issuance.one(*numbers))
    sim.submit([CA.precertificate(tbs), *CA.chain])
    sim.publish()


NAMES = {
    "controls": b"Evil\r\nSubject: all is well\x00\x1b[2J\x7f",
    "right-to-left": "Evil \u202egnp.exe\u2066 \u200b".encode(),
    "no text": b"\xff\xfe\xfd",
    "markup": b"<script>alert(1)</script> | [x](javascript:y)",
    "a long one": b"A" * 65_536,
    "a long one that is no text": b"\x80" * 65_536,
    "empty": b"",
}


@FORMS
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_names_that_strangers_chose(memory, form, name):
    """The owner is told, in letters of bounded length that only print, and of the next certificate as always."""
    sim = CertSim()
    certified(sim, named(name, common_name=name[:60]), "12025550123")
    sim.add(123, ROGUE, serial=3, key=23)
    await memory.kit.round(sim, form=form)
    found = await memory.kit.alerts(item=ITEM)
    assert {row.log_index for row in found} == {0, 1}
    clock, channel = Clock(), Recorder()
    clock.ms = max(clock.ms, memory.kit.now_ms + 25 * HOUR)
    for row in await memory.state.outbox.due(clock.ms, channel="mail"):
        letter = make_letter(row)
        assert letter.subject.isprintable()
        assert len(letter.subject) < 250
        assert all(line.isprintable() for line in letter.text.split("\n")), letter.text
        assert len(letter.text) < 20_000
    await courier(memory.state, channel, clock).step()
    assert {row.log_index for letter in channel.letters for row in letter.alerts if row.item == ITEM} == {0, 1}


@FORMS
async def test_a_certificate_with_ten_thousand_numbers(memory, form):
    """Whoever watches one of them is told, in one alert, and the next entry is read as always."""
    sim = CertSim()
    certified(sim, issuance.name(O="Owner Inc"), *(f"1202555{number:04d}" for number in range(10_000)))
    sim.add(123, ROGUE, serial=3, key=23)
    await memory.kit.round(sim, form=form)
    found = await memory.kit.alerts(item=ITEM)
    assert {row.log_index for row in found} == {0, 1}
    assert all(len(row.body) < 1 << 20 for row in found)
    assert all(len(row.summary) < 300 for row in found)


@FORMS
async def test_a_flood_of_what_nobody_can_read_is_told_in_digests_and_hides_nothing(memory, form):
    """Each is shown to everyone whom it may concern, a few by themselves and the rest in one letter; the one
    certificate among them that is about the owner's number comes by itself; no alert is dropped."""
    sim = CertSim()
    for at in range(FLOOD // 2):
        sim.submit_raw(b"\x30\x82junk %d" % at)
    sim.add(123)
    for at in range(FLOOD // 2, FLOOD):
        sim.submit_raw(b"\x30\x82junk %d" % at)
    sim.publish()
    await memory.kit.round(sim, form=form)
    told = [row for row in await memory.kit.alerts() if row.group == "home"]
    assert len([row for row in told if row.kind == "unreadable"]) == FLOOD
    assert rules_of(await memory.kit.alerts(item=ITEM)) == [("T-01", S2, OWNER)]
    clock, channel = Clock(), Recorder()
    clock.ms = max(clock.ms, memory.kit.now_ms + HOUR)
    one = courier(memory.state, channel, clock)
    for _ in range(60):
        next_ms = await one.step()
        if next_ms is None or next_ms > clock.ms + 2 * HOUR:
            break
        clock.ms = max(clock.ms, next_ms)
    assert len(channel.letters) < 12
    assert sorted(channel.told) == sorted(row.id for row in told)
    (alone,) = [letter for letter in channel.letters if any(row.item == ITEM for row in letter.alerts)]
    assert len(alone.alerts) == 1
    assert channel.letters.index(alone) < 5


async def test_a_log_full_of_junk_stops_no_other(memory):
    bad, good = CertSim("bad.example/log", secret=9), CertSim()
    for at in range(50):
        bad.submit_raw(bytes([at]) * (at + 1))
    bad.publish()
    good.add(123)
    await memory.kit.round(bad, good)
    assert [row.log_id for row in await memory.kit.alerts(item=ITEM)] == [good.policy.key.log_id]
    assert not [sentence for sentence in memory.kit.said if "could not be judged" in sentence]


@pytest.mark.parametrize("extra", [
    b"\x30\x80" + b"\x30\x80" * 5000,  # lengths that never end, nested
    b"\x30\x84\xff\xff\xff\xff",  # four gigabytes
    b"\x24\x80" * 2000,
    format_tlv(0x30, format_tlv(6, b"\x80" * 3000) + format_tlv(4, b"")),  # an OID of 3,000 octets
], ids=["indefinite", "huge", "constructed", "oid"])  # fmt: skip
async def test_der_that_was_made_to_hurt(memory, extra):
    """As a whole certificate, and inside of one that is otherwise all right."""
    sim = CertSim()
    sim.submit_raw(extra)
    who = Subject(issuance.name(O="Owner Inc"), Key.from_number(21).spki, sim.now_ms, sim.now_ms + DAY_MS, 5)
    numbers = issuance.tn_auth_list(issuance.one("12025550123"))
    sim.submit_raw(CA.certificate_for(CA.leaf(who, [numbers, issuance.extension("1.2.3.4", extra)])))
    sim.publish()
    await memory.kit.round(sim)
    assert 1 in {row.log_index for row in await memory.kit.alerts(item=ITEM)}
    body = json.loads((await memory.kit.alerts(item=ITEM))[0].body)
    assert body["severity"] <= 2
