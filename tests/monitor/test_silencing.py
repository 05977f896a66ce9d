"""Whoever misissues also chooses what a log says, what a CA is called, and when: none of that may silence an owner."""

import json
from hashlib import sha256

import pytest

from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.x509.der import parse_certificate
from monitor.follow.watch import Found
from monitor.rules.baseline import parse_profile
from monitor.rules.values import S1, S2, S4
from tests.cert_sim import CA, ROGUE, CertSim
from tests.monitor_kit import Memory
from tests.simulator import START_MS

ITEM, CODE = "home/number:+12025550123", "home/spc:709J@test"
CODES = '[[watch]]\nname = "home"\ntell = ["mail"]\ncodes = ["709J"]\ntrust_domain = "test"\n'
EXPECTING = """
[[watch]]
name = "home"
tell = ["mail"]
expect = {{issuers=["Example"], holders=["Owner Inc"], keys=["{}"]}}
numbers = ["+12025550123"]
"""


@pytest.fixture
async def memory(tmp_path):
    async with Memory(tmp_path) as made:
        yield made


class Teller:
    """What an item's owner was told since it was asked last: (severity, rules)."""

    def __init__(self, memory, item=ITEM):
        self.memory, self.item, self.seen = memory, item, set()

    async def news(self, *sims):
        await self.memory.kit.round(*sims)
        rows = [row for row in await self.memory.kit.alerts(item=self.item) if row.id not in self.seen]
        self.seen |= {row.id for row in rows}
        return [(row.severity, set(row.rules)) for row in rows]


def submit(sim, number, authority, key, *, starts_ms=None, holder="Owner Inc", value=None):
    starts_ms = sim.now_ms if starts_ms is None else starts_ms
    who = Subject(issuance.name(O=holder, CN="x"), Key.from_number(key).spki, starts_ms, starts_ms + 60 * DAY_MS, key)
    tbs = issuance.delegate_leaf(authority, who, value or issuance.one(f"1202555{number:04d}"))
    sim.submit([authority.precertificate(tbs), *authority.chain])
    sim.publish()


def submit_code(sim, authority, key, holder="Owner Inc"):
    spki, end_ms = Key.from_number(key).spki, sim.now_ms + 60 * DAY_MS
    tbs = issuance.shaken_leaf(
        authority, spki, "709J", holder, not_before_ms=sim.now_ms, not_after_ms=end_ms, serial=key
    )
    sim.submit([authority.precertificate(tbs), *authority.chain])
    sim.publish()


def date_back(sim, now_ms, *what, **options):
    """What a log does that dates an entry years back, and publishes it now."""
    sim.now_ms = START_MS + DAY_MS
    submit(sim, *what, starts_ms=now_ms, **options)
    sim.now_ms = now_ms + 1000
    sim.publish()


async def test_a_leaf_that_is_dated_back(memory):
    memory.restart(added_ms=START_MS + 10 * DAY_MS)
    honest, evil, told = CertSim(), CertSim("evil.example/log", secret=9), Teller(memory)
    honest.now_ms = evil.now_ms = START_MS + 11 * DAY_MS
    submit(honest, 123, CA, 1)
    submit(evil, 999, CA, 2)
    assert await told.news(honest, evil) == [(S2, {"T-01"})]
    date_back(evil, START_MS + 12 * DAY_MS, 123, ROGUE, 3)
    ((severity, rules),) = await told.news(evil)
    assert (severity, "T-01" in rules) == (S1, True)
    honest.now_ms = START_MS + 13 * DAY_MS
    submit(honest, 123, ROGUE, 4)
    ((severity, rules),) = await told.news(honest)
    assert (severity, "T-01" in rules) == (S1, True)


async def test_the_owner_is_told_that_a_log_dated_it_back(memory):
    """And whoever runs the monitor, with a proof; the date that the log gives makes it no older."""
    memory.restart(added_ms=START_MS + 10 * DAY_MS)
    evil, told = CertSim("evil.example/log", secret=9), Teller(memory)
    evil.now_ms = START_MS + 11 * DAY_MS
    submit(evil, 999, CA, 2)
    await told.news(evil)
    date_back(evil, START_MS + 12 * DAY_MS, 123, ROGUE, 3)
    ((severity, rules),) = await told.news(evil)
    assert (severity, {"T-01", "T-20"} <= rules) == (S2, True)
    (owners,) = [json.loads(row.body) for row in await memory.kit.alerts(item=ITEM)]
    (said,) = [each for each in owners["rules"] if each["id"] == "T-20"]
    assert said["severity"] == 3
    assert "it came late, or its log dated it back" in said["reason"]
    assert "and not by the date that its log gives it" in said["action"]
    (lie,) = await memory.state.alerts.find(kind="misbehaviour")
    assert (lie.rule, json.loads(lie.body)["class"]) == ("log-late-merge", "proof")


async def test_near_miss_what_came_in_time(memory):
    memory.restart(added_ms=START_MS + 10 * DAY_MS)
    sim, told = CertSim(), Teller(memory)
    sim.now_ms = START_MS + 11 * DAY_MS
    submit(sim, 999, CA, 2)
    await told.news(sim)
    sim.now_ms += DAY_MS
    submit(sim, 123, CA, 3)
    assert await told.news(sim) == [(S2, {"T-01"})]
    assert await memory.state.alerts.find(kind="misbehaviour") == []


async def test_a_leaf_that_is_dated_back_while_an_empty_log_begins(memory):
    """Of a log that was empty when it was met, every entry is news."""
    memory.restart(watch=CODES, added_ms=START_MS + 10 * DAY_MS)
    honest, evil, told = CertSim(), CertSim("evil.example/log", secret=9), Teller(memory, CODE)
    honest.now_ms = evil.now_ms = START_MS + 11 * DAY_MS
    submit_code(honest, CA, 1)
    evil.publish()
    await told.news(honest, evil)
    evil.now_ms = START_MS + DAY_MS
    submit_code(evil, ROGUE, 2)
    evil.now_ms = START_MS + 12 * DAY_MS
    evil.publish()
    ((severity, rules),) = await told.news(evil)
    assert (severity, "T-01" in rules) == (S2, True)


@pytest.mark.parametrize("is_read", [True, False])
async def test_what_the_owner_expects_holds_whatever_a_log_dates_back(memory, is_read):
    key = sha256(Key.from_number(21).spki).hexdigest()
    memory.restart(watch=EXPECTING.format(key), added_ms=START_MS + 10 * DAY_MS)
    evil, told = CertSim("evil.example/log", secret=9), Teller(memory)
    evil.now_ms = START_MS + 11 * DAY_MS
    if is_read:
        submit(evil, 999, CA, 2)
        assert await told.news(evil) == []
    date_back(evil, START_MS + 12 * DAY_MS, 123, ROGUE, 3, holder="Thief")
    ((severity, rules),) = await told.news(evil)
    assert severity == S1
    assert {"T-01", "T-02", "T-03"} <= rules


async def test_a_certificate_made_out_for_later_and_logged_before_the_number_is_watched(memory):
    memory.restart(added_ms=START_MS + 10 * DAY_MS)
    sim, told = CertSim(), Teller(memory)
    sim.now_ms = START_MS + 9 * DAY_MS
    submit(sim, 123, ROGUE, 1, starts_ms=START_MS + 11 * DAY_MS)
    assert await told.news(sim) == [(S2, {"T-12"})]


@pytest.mark.parametrize("is_before", [True, False])
async def test_a_rogue_ca_that_comes_first_does_not_become_usual(memory, is_before):
    memory.restart(added_ms=START_MS + 10 * DAY_MS)
    sim, told = CertSim(), Teller(memory)
    sim.now_ms = START_MS + (5 if is_before else 11) * DAY_MS
    submit(sim, 123, ROGUE, 1)
    assert await told.news(sim) == [(S2, {"T-12" if is_before else "T-01"})]
    for day in (20, 30):
        sim.now_ms = START_MS + day * DAY_MS
        submit(sim, 123, ROGUE, day)
        assert await told.news(sim) == [(S2, {"T-01"})]
    await memory.state.answers.authorise("issuer", "example @ test", ITEM, "me", "", 0)
    await memory.kit.judge.refresh()
    sim.now_ms = START_MS + 40 * DAY_MS
    submit(sim, 123, CA, 40)
    assert await told.news(sim) == []
    sim.now_ms = START_MS + 50 * DAY_MS
    submit(sim, 123, ROGUE, 50)
    ((severity, rules),) = await told.news(sim)
    assert (severity, "T-01" in rules) == (S1, True)


async def test_a_rogue_ca_that_names_another_below_it_as_the_usual_one(memory):
    sim, told = CertSim(), Teller(memory)
    submit(sim, 123, CA, 1)
    await told.news(sim)
    root_key, evil_key, named_key = map(Key.from_number, (1, 31, 32))
    root = Authority.of(CA.chain[1:], root_key)
    end_ms = START_MS + 900 * DAY_MS
    evil = issuance.intermediate(
        root, evil_key, Subject(issuance.name(O="Evil Telecom"), evil_key.spki, START_MS, end_ms, 77)
    )
    named = issuance.intermediate(
        evil, named_key, Subject(issuance.name(O="Example"), named_key.spki, START_MS, end_ms, 78)
    )
    sim.now_ms += 20 * DAY_MS
    submit(sim, 123, named, 2)
    ((severity, rules),) = await told.news(sim)
    assert (severity, "T-01" in rules) == (S1, True)


async def test_a_rogue_range_over_a_whole_group(memory):
    """More of its numbers than are told of one by one: the group is judged by what they have had."""
    numbers = ",".join(f'"+1202555{number:04d}"' for number in range(100, 170))
    memory.restart(watch=f'[[watch]]\nname = "fleet"\ntell = ["mail"]\nnumbers = [{numbers}]\n')
    sim, told = CertSim(), Teller(memory, "fleet/group")
    for number in range(100, 170):
        submit(sim, number, CA, number)
    assert await told.news(sim) == []
    for key, severity in ((1, S1), (2, S1), (3, S1)):
        sim.now_ms += 5 * DAY_MS
        submit(sim, 0, ROGUE, key, value=issuance.number_range("12025550100", 100))
        ((told_at, rules),) = await told.news(sim)
        assert (told_at, "T-01" in rules) == (severity, True)


SHOWN = [(S2, {"T-12"})]
"""What is said of an issuer of a code that was there when it came to be watched."""


async def watched_for_a_year(memory, *, watch=CODES):
    """A code or a number that is watched on one log, with an issuer of its own; now another log is added."""
    memory.restart(watch=watch, added_ms=START_MS + 10 * DAY_MS)
    honest, later = CertSim(), CertSim("later.example/log", secret=9)
    honest.now_ms = START_MS + 5 * DAY_MS
    return honest, later


async def first_round(memory, told, honest, later):
    """The log that is there is read; a year later the other one is added, and read."""
    honest.now_ms = max(honest.now_ms, START_MS + 11 * DAY_MS)
    honest.publish()
    found = await told.news(honest)
    later.now_ms = START_MS + 300 * DAY_MS
    later.publish()
    return found, await told.news(later)


def put_code(sim, day, authority, key, *, days=380, holder="Owner Inc"):
    """Logged, by its dates, long before the code was watched."""
    sim.now_ms = START_MS + day * DAY_MS
    spki = Key.from_number(key).spki
    tbs = issuance.shaken_leaf(
        authority, spki, "709J", holder, not_before_ms=sim.now_ms, not_after_ms=sim.now_ms + days * DAY_MS, serial=key
    )
    sim.submit([authority.precertificate(tbs), *authority.chain])


async def test_attack_a_log_added_later_has_a_stranger_dated_before_the_code_was_watched(memory):
    """Nobody saw it there: it is told, and does not become usual."""
    honest, later = await watched_for_a_year(memory)
    told = Teller(memory, CODE)
    put_code(honest, 5, CA, 1)
    put_code(later, 4, ROGUE, 2, holder="Mallory")
    assert await first_round(memory, told, honest, later) == (SHOWN, [(S2, {"T-01"})])
    row = (await memory.kit.alerts(item=CODE))[-1]
    assert "which was added on" in json.loads(row.body)["reason"]
    put_code(later, 301, ROGUE, 3, holder="Owner Inc")
    later.publish()
    assert await told.news(later) == [(S4, {"T-01"})]  # reported, and not usual
    profile = parse_profile((await memory.state.answers.baselines([CODE]))[CODE])
    assert {name: known.reported for name, known in profile.issuers.items()} == {
        "example @ test": False, "rogue @ test": True}  # fmt: skip


async def test_attack_an_expired_certificate_in_a_log_added_later_makes_nobody_usual(memory):
    honest, later = await watched_for_a_year(memory)
    told = Teller(memory, CODE)
    put_code(honest, 5, CA, 1)
    put_code(later, 4, ROGUE, 2, days=3)
    assert await first_round(memory, told, honest, later) == (SHOWN, [])  # history
    put_code(later, 301, ROGUE, 3)
    later.publish()
    ((severity, rules),) = await told.news(later)
    assert (severity, "T-01" in rules) == (S2, True)


async def test_near_miss_a_log_added_later_has_what_the_others_had(memory):
    """A mirror: the same certificates, and others by the same issuer."""
    honest, later = await watched_for_a_year(memory)
    told = Teller(memory, CODE)
    for sim in (honest, later):
        put_code(sim, 5, CA, 1)
        put_code(sim, 6, ROGUE, 2)
    put_code(later, 7, CA, 3)
    assert await first_round(memory, told, honest, later) == (2 * SHOWN, [])


async def test_near_miss_logs_that_are_added_together_are_what_an_item_begins_with(memory):
    honest, other = await watched_for_a_year(memory)
    told = Teller(memory, CODE)
    put_code(honest, 5, CA, 1)
    put_code(other, 5, ROGUE, 2)
    honest.now_ms = other.now_ms = START_MS + 11 * DAY_MS
    honest.publish()
    other.publish()
    assert await told.news(honest, other) == 2 * SHOWN


async def test_near_miss_an_item_that_came_after_the_log(memory):
    honest, later = await watched_for_a_year(memory)
    told = Teller(memory, CODE)
    put_code(honest, 5, CA, 1)
    await first_round(memory, told, honest, later)
    memory.restart(watch=CODES, added_ms=START_MS + 350 * DAY_MS)
    told.memory = memory
    found = Found()
    put_code(later, 5, ROGUE, 2)
    later.now_ms = START_MS + 351 * DAY_MS
    later.publish()
    watch = await memory.kit.watch(later)
    async for batch in watch.log.follower.entries(later.head, 0, 1):
        await memory.kit._shared.judge.refresh()
        await watch._inspector.again(batch, 1, found, frozenset([CODE]))
    found.end()
    assert [alert.rules for alert in found.alerts] == [("T-12",)]


async def test_attack_a_number_in_a_log_added_later(memory):
    watch = '[[watch]]\nname = "home"\ntell = ["mail"]\nnumbers = ["+12025550123"]\n'
    honest, later = await watched_for_a_year(memory, watch=watch)
    told = Teller(memory)
    submit(honest, 123, CA, 1)
    later.now_ms = START_MS + 4 * DAY_MS
    submit(later, 123, ROGUE, 2)
    first, second = await first_round(memory, told, honest, later)
    assert first == [(S2, {"T-12"})]
    assert second == [(S2, {"T-12", "T-01"})]


async def test_near_miss_a_number_s_own_certificate_in_a_log_added_later(memory):
    """The same certificate: it was judged where it was news, and authorised; its older date elsewhere is no news."""
    watch = '[[watch]]\nname = "home"\ntell = ["mail"]\nnumbers = ["+12025550123"]\n'
    honest, later = await watched_for_a_year(memory, watch=watch)
    told = Teller(memory)
    starts_ms = START_MS + 4 * DAY_MS
    honest.publish()
    await told.news(honest)
    await memory.state.answers.authorise("issuer", "example @ test", ITEM, "me", "", 0)
    await memory.kit.judge.refresh()
    honest.now_ms = START_MS + 12 * DAY_MS
    submit(honest, 123, CA, 1, starts_ms=starts_ms)
    later.now_ms = starts_ms
    submit(later, 123, CA, 1, starts_ms=starts_ms)
    assert await first_round(memory, told, honest, later) == ([], [])


async def test_a_withheld_chain_does_not_make_a_name_usual_or_told(memory):
    """The log serves no issuers, and the certificate says the usual CA's name."""
    memory.restart(watch=CODES)
    sim, evil, told = CertSim(), CertSim("evil.example/log", secret=9), Teller(memory, CODE)
    submit_code(sim, CA, 1)
    await told.news(sim)
    fake = Authority(ROGUE.certificate, ROGUE.signer, parse_certificate(CA.chain[0]).subject, ROGUE.above)
    for key in (2, 3):
        evil.now_ms = sim.now_ms + 40 * key * DAY_MS
        end_ms, spki = evil.now_ms + 60 * DAY_MS, Key.from_number(key).spki
        tbs = issuance.shaken_leaf(
            fake, spki, "709J", "Owner Inc", not_before_ms=evil.now_ms, not_after_ms=end_ms, serial=key
        )
        evil.submit_raw(fake.certificate_for(tbs), ROGUE.chain)
        evil.issuers.clear()
        evil.publish()
        ((severity, rules),) = await told.news(evil)
        assert (severity, "T-01" in rules) == (S2, True)
