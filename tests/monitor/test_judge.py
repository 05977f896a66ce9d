"""monitor.judge: the whole way from a log's entry to one stored alert for each item and issuance."""

import asyncio
import contextlib
import json

import pytest

from ctlog import issuance
from ctlog.errors import Misbehaviour, StoreError, TransportError
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.issuance.write import items, sequence
from ctlog.tn.numbers import TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.wire.rfc6962 import format_sct
from monitor import judge
from monitor.config import SourcesConfig
from monitor.follow.followed import ENTRIES, TILES
from monitor.rules.baseline import parse_profile
from monitor.sources import Patience, Sources
from monitor.state.audits import Audits
from monitor.state.logs import Logs
from monitor.state.rows import OPERATOR, OWNER, S1, S2
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.monitor_kit import Memory, rules_of
from tests.simulator import Tree

ITEM = "home/number:+12025550123"
FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])


@pytest.fixture
async def memory(tmp_path):
    async with Memory(tmp_path) as made:
        yield made


@FORMS
async def test_the_owner_s_first_certificate_and_a_rogue_ca_s(memory, form):
    sim, kit = CertSim(), memory.kit
    sim.add(123)
    sim.add(777)
    await kit.round(sim, form=form)
    assert rules_of(await kit.alerts(item=ITEM)) == [("T-01", S2, OWNER)]
    sim.add(123, ROGUE, key=22, serial=2)
    await kit.round(sim, form=form)
    first, second = await kit.alerts(item=ITEM)
    assert rules_of(await kit.alerts(item="")) == [("T-19", S1, OPERATOR)]
    assert (second.severity, second.addressee, second.rule) == (S1, OWNER, "T-10")
    assert "T-01" in second.rules
    assert second.summary == "S1 +12025550123: certificate by Rogue: not yours?"
    body = json.loads(second.body)
    assert body["contact"] == "abuse@rogue.example"
    assert body["log"]["index"] == 2
    assert [row.channel for row in await memory.state.outbox.due(kit.now_ms)][:1] == ["mail"]
    assert (first.log_index, first.proven, second.proven) == (0, 2, 3)


@FORMS
async def test_one_alert_for_each_issuance(memory, form):
    """Precertificate and certificate, in two logs: one alert, and everywhere that it was seen."""
    one, two = CertSim(), CertSim("two.example/log", secret=8)
    final, _ = one.issue(123)
    one.submit([final, *CA.chain])
    one.publish()
    two.submit([CA.precertificate(number_tbs(123)), *CA.chain])
    two.submit([final, *CA.chain])
    two.publish()
    await memory.kit.round(one, two, form=form)
    (alert,) = await memory.kit.alerts(item=ITEM)
    assert alert.times_seen == 4
    seen = await memory.state.alerts.sightings(alert.id)
    assert sorted((each.log_id == one.policy.key.log_id, each.log_index) for each in seen) == [
        (False, 0), (False, 1), (True, 0), (True, 1)]  # fmt: skip
    assert len(await memory.state.outbox.due(memory.kit.now_ms, channel="mail")) == 1


async def test_what_was_judged_and_not_stored_is_judged_again_as_before(memory, monkeypatch):
    """The history has the entry already, and the profile had learned it: after a failure neither may hide it."""
    sim, kit = CertSim(), memory.kit
    sim.add(123)
    await kit.round(sim)
    sim.add(123, ROGUE, key=22, serial=2)
    real = type(kit.state.logs).advance

    async def failing(self, *args, **options):
        raise RuntimeError("killed")

    monkeypatch.setattr(type(kit.state.logs), "advance", failing)
    with pytest.raises(RuntimeError):
        await kit.round(sim)
    monkeypatch.setattr(type(kit.state.logs), "advance", real)
    for restart in (False, True):
        if restart:
            memory.restart()
        kit = memory.kit
        await kit.round(sim)
        found = rules_of(await kit.alerts(item=ITEM))
        assert found == [("T-01", S2, OWNER), ("T-10", S1, OWNER)]


async def test_two_logs_killed_between_history_and_state_do_not_hide_it_from_each_other(memory, monkeypatch):
    one, two, kit = CertSim(), CertSim("two.example/log", secret=8), memory.kit
    for sim in (one, two):
        sim.add(777)
        await kit.round(sim)
        sim.add(123, ROGUE)
    real = type(kit.state.logs).advance

    async def failing(self, *args, **options):
        raise RuntimeError("killed")

    monkeypatch.setattr(type(kit.state.logs), "advance", failing)
    for sim in (one, two):
        with pytest.raises(RuntimeError):
            await kit.round(sim)
    monkeypatch.setattr(type(kit.state.logs), "advance", real)
    memory.restart()
    await memory.kit.round(one, two)
    (alert,) = await memory.kit.alerts(item=ITEM)
    assert (alert.severity, alert.times_seen) == (S2, 2)


async def test_what_a_profile_learns_is_stored_with_the_alert(memory):
    sim = CertSim()
    sim.add(123)
    await memory.kit.round(sim)
    profile = parse_profile((await memory.state.answers.baselines([ITEM]))[ITEM])
    assert (list(profile.issuers), list(profile.holders), profile.count) == (["example @ test"], ["owner"], 1)
    memory.restart()
    await memory.state.answers.authorise("issuer", "example @ test", ITEM, "me", "", 0)
    sim.add(123, serial=2)
    await memory.kit.round(sim)
    assert len(await memory.kit.alerts(item=ITEM)) == 1  # the same issuer again is no news


async def test_answers(memory):
    sim, kit = CertSim(), memory.kit
    sim.add(123)
    await kit.round(sim)
    rogue = "rogue @ test"
    await memory.state.answers.authorise("issuer", rogue, ITEM, "me", "", 0)
    await kit.judge.refresh()
    sim.add(123, ROGUE, serial=2)
    await kit.round(sim)
    assert len(await kit.alerts(item=ITEM)) == 1


async def test_an_event_that_was_handed_in(memory):
    sim, kit = CertSim(), memory.kit
    sim.add(123)
    await kit.round(sim)
    await memory.state.answers.add_event("sim", "12025550123", sim.now_ms, "carrier")
    await kit.judge.refresh()
    sim.add(123, key=23, serial=3)
    await kit.round(sim)
    alert = (await kit.alerts(item=ITEM))[-1]
    assert (alert.rule, alert.severity) == ("T-10", S1)


async def test_the_same_key_under_another_holder(memory):
    sim, kit = CertSim(), memory.kit
    who = Subject(issuance.name(O="Somebody Else"), Key.from_number(21).spki, sim.now_ms, sim.now_ms + DAY_MS, 9)
    other = issuance.delegate_leaf(CA, who, issuance.one("12025559999"))
    sim.submit([CA.precertificate(other), *CA.chain])
    sim.publish()
    await kit.round(sim)
    sim.add(123, key=21)
    await kit.round(sim)
    (alert,) = await kit.alerts(item=ITEM)
    assert "T-16" in alert.rules
    assert "somebody else" in json.loads(alert.body)["reason"].lower()


async def test_a_new_ca_is_told_to_the_operator_once_the_log_was_caught_up_with(memory):
    sim, kit = CertSim(), memory.kit
    sim.add(700)
    sim.add(701, ROGUE)
    await kit.round(sim)
    assert await kit.alerts() == []  # whoever was there when the log was first read is no news
    memory.restart()
    kit = memory.kit
    below = issuance.intermediate(
        type(CA)(CA.above[-1], Key.from_number(1), CA_ROOT_NAME, ()), Key.from_number(33),
        Subject(issuance.name(C="US", O="Newcomer", CN="Newcomer SHAKEN CA"), Key.from_number(33).spki, sim.now_ms,
                sim.now_ms + 300 * DAY_MS, 5),
    )  # fmt: skip
    sim.add(702, below)
    await kit.round(sim)
    (alert,) = await kit.alerts()
    assert (alert.rule, alert.severity, alert.addressee, alert.item) == ("T-19", S1, OPERATOR, "")
    assert [row.channel for row in await memory.state.outbox.due(sim.now_ms)] == ["ops"]
    sim.add(703, below)
    await kit.round(sim)
    assert len(await kit.alerts()) == 1


CA_ROOT_NAME = issuance.name(C="US", O="Example", CN="Example SHAKEN ROOT")


@FORMS
@pytest.mark.parametrize("junk", [b"junk", b"\x30\x80", bytes(5000), b"\x30\x03\x02\x01\x05"])
async def test_what_no_parser_accepts_is_shown_to_everyone_whom_it_may_concern(memory, form, junk):
    sim, kit = CertSim(), memory.kit
    sim.submit_raw(junk)
    sim.add(123)
    await kit.round(sim, form=form)
    kinds = {row.kind for row in await kit.alerts()}
    assert "unreadable" in kinds
    assert rules_of(await kit.alerts(item=ITEM)) == [("T-01", S2, OWNER)]


async def test_a_fault_of_ours_hides_no_entry(memory, monkeypatch):
    sim, kit = CertSim(), memory.kit
    sim.add(123)
    sim.add(124)

    def broken(self, entry):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(type(kit.watchlist), "match", broken)
    await kit.round(sim)
    (alert,) = [row for row in await kit.alerts() if row.log_index == 0]
    assert (alert.rule, alert.kind) == ("fault", "health")
    assert "ZeroDivisionError" in json.loads(alert.body)["reason"]
    assert any("a bug" in sentence for sentence in kit.said)


async def test_issuers_that_are_not_to_be_had(memory):
    """It is said in the alert, and is no reason not to alert; later entries are judged as always."""
    sim, kit = CertSim(), memory.kit
    sim.add(123)
    chain = dict(sim.issuers)
    sim.issuers.clear()
    await kit.round(sim)
    (alert,) = await kit.alerts(item=ITEM)
    assert json.loads(alert.body)["issuer"]["problem"]
    sim.issuers.update(chain)
    sim.now_ms += 120_000
    sim.add(123, serial=2)
    await kit.round(sim)
    found = [json.loads(row.body)["issuer"]["verified"] for row in await kit.alerts(item=ITEM)]
    assert found == [False, True]


async def test_a_scope_by_reference(memory):
    """Fetched when it is switched on, judged as the certificate's own scope."""
    url = "https://tn.example/list"
    memory.restart(get=None)
    asked = []

    async def get(where):
        asked.append(where)
        return format_tnauthlist([TelephoneNumber("12025550123")])

    kit = memory.kit
    kit.sources = Sources(SourcesConfig(references=True), memory.folder, memory.state, get)
    who = Subject(issuance.name(O="Owner Inc"), Key.from_number(21).spki, 0, 10**13, 9)
    sim = CertSim()
    tbs = CA.leaf(who, [issuance.END_ENTITY, issuance.tn_auth_list_by_reference(url)])
    sim.submit([CA.precertificate(tbs), *CA.chain])
    sim.publish()
    await kit.round(sim)
    assert asked == [url]
    alert = next(row for row in await kit.alerts(item=ITEM))
    assert {"T-01", "T-17"} <= set(alert.rules)
    assert await memory.state.answers.references(0) == [url]


def several_references(*urls):
    """A TBSCertificate whose scope lies at several places."""
    who = Subject(issuance.name(O="Mallory"), Key.from_number(21).spki, 0, 10**13, 9)
    places = []
    for url in urls:
        access = items(issuance.tn_auth_list_by_reference(url))[-1]
        places.append(items(items(access)[0])[0])
    extension = issuance.extension("1.3.6.1.5.5.7.1.1", sequence(*places))
    return ROGUE.leaf(who, [issuance.END_ENTITY, extension])


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        (["decoy", "victim"], ITEM),
        (["victim", "decoy"], ITEM),
        (["decoy", "blocked"], "home/anything"),
        (["blocked", "decoy"], "home/anything"),
        ([*(f"decoy{at}" for at in range(judge.MAX_REFERENCES)), "victim"], "home/anything"),
        (["decoy", "decoy2"], None),
    ],
)
async def test_attack_a_decoy_at_one_of_several_references(memory, urls, expected):
    """What stands at each of them counts, and one that cannot be read may hold anybody's number."""
    kit = memory.kit

    async def get(url):
        if "blocked" in url:
            raise TransportError("blocked")
        return issuance.one("13035550001" if "decoy" in url else "12025550123")

    kit.sources = Sources(SourcesConfig(references=True), memory.folder, memory.state, get)
    sim = CertSim()
    sim.submit([ROGUE.precertificate(several_references(*(f"https://a.example/{url}" for url in urls))), *ROGUE.chain])
    sim.publish()
    await kit.round(sim)
    assert {row.item for row in await owners_alerts(kit)} == ({expected} if expected else set())


async def test_ten_thousand_numbers_in_one_certificate(memory):
    sim, kit = CertSim(), memory.kit
    who = Subject(issuance.name(O="Owner Inc"), Key.from_number(21).spki, sim.now_ms, sim.now_ms + DAY_MS, 9)
    numbers = [f"1202555{number:04d}" for number in range(10_000)]
    tbs = issuance.delegate_leaf(CA, who, issuance.one(*numbers))
    sim.submit([CA.precertificate(tbs), *CA.chain])
    sim.publish()
    await kit.round(sim)
    assert [row.item for row in await kit.alerts(item=ITEM)] == [ITEM]


OWNERS = 40
CROWD = "".join(
    f'[[watch]]\nname = "g{at}"\ntell = ["mail"]\nexpect = {{issuers = ["Nobody"]}}\n'
    f'numbers = ["+1202555{2 * at:04d}", "+1202555{2 * at + 1:04d}"]\n'
    for at in range(OWNERS)
)


def crowd(sim):
    """One certificate for all numbers of many owners, by a CA that none of them expects."""
    who = Subject(issuance.name(O="Mallory"), Key.from_number(21).spki, sim.now_ms, sim.now_ms + DAY_MS, 9)
    tbs = issuance.delegate_leaf(ROGUE, who, issuance.one(*(f"1202555{at:04d}" for at in range(2 * OWNERS))))
    sim.submit([ROGUE.precertificate(tbs), *ROGUE.chain])
    sim.publish()


async def owners_alerts(kit):
    return [row for row in await kit.alerts() if row.addressee == OWNER]


@pytest.fixture
async def stored(memory, monkeypatch):
    """How many alerts each transaction stores from now on, and of which log; "part": before the position passes."""
    memory.restart(watch=CROWD)
    monkeypatch.setattr(judge, "HELD", 8)
    sizes: list[tuple[str | bytes, int]] = []
    advance, store_found = Logs.advance, Audits.store_found

    async def advancing(self, log_id, position, alerts, *args, **options):
        sizes.append((log_id, len(alerts)))
        return await advance(self, log_id, position, alerts, *args, **options)

    async def storing(self, alerts, *args, **options):
        sizes.append(("part", len(alerts)))
        return await store_found(self, alerts, *args, **options)

    monkeypatch.setattr(Logs, "advance", advancing)
    monkeypatch.setattr(Audits, "store_found", storing)
    return sizes


async def test_attack_a_certificate_for_everyone_is_stored_in_parts(memory, stored):
    """However many alerts one certificate raises, few are held at once, and each is told once."""
    sim, kit = CertSim(), memory.kit
    crowd(sim)
    await kit.round(sim)
    assert max(size for _, size in stored) < 3 * 8
    assert [where for where, _ in stored].count("part") >= 4
    alerts = await owners_alerts(kit)
    assert len(alerts) == len({row.item for row in alerts}) == 2 * OWNERS
    assert {(row.log_index, row.times_seen) for row in alerts} == {(0, 1)}


async def test_attack_a_certificate_for_everyone_and_a_crash_between_its_parts(memory, stored, monkeypatch):
    """What was stored stays, and the rest comes: the position did not pass it."""
    sim = CertSim()
    crowd(sim)
    storing = Audits.store_found

    async def failing(self, *args, **options):
        if len(stored) == 3:
            raise StoreError("killed")
        return await storing(self, *args, **options)

    monkeypatch.setattr(Audits, "store_found", failing)
    with pytest.raises(StoreError):
        await memory.kit.round(sim)
    first = {row.item: row.id for row in await owners_alerts(memory.kit)}
    assert 0 < len(first) < 2 * OWNERS
    monkeypatch.setattr(Audits, "store_found", storing)
    memory.restart(watch=CROWD)
    await memory.kit.round(sim)
    alerts = await owners_alerts(memory.kit)
    assert len(alerts) == len({row.item for row in alerts}) == 2 * OWNERS
    assert {row.item: row.id for row in alerts if row.item in first} == first


async def test_attack_a_certificate_for_everyone_does_not_keep_other_logs_waiting(memory, stored, monkeypatch):
    """Between its parts others are judged, and stored."""
    sim, other = CertSim(), CertSim("two.example/log", secret=8)
    crowd(sim)
    other.add(0, ROGUE)
    await memory.kit.watch(other)
    storing, rounds = Audits.store_found, []

    async def beginning(self, *args, **options):
        if not rounds:
            rounds.append(asyncio.create_task(memory.kit.round(other)))
        return await storing(self, *args, **options)

    monkeypatch.setattr(Audits, "store_found", beginning)
    await memory.kit.round(sim)
    await rounds[0]
    assert (other.policy.key.log_id, 1) in stored
    after = stored[stored.index((other.policy.key.log_id, 1)) :]
    assert after.count(("part", 8)) > 2


async def test_watching_nothing(memory):
    memory.restart(watch="")
    sim = CertSim()
    sim.add(123)
    await memory.kit.round(sim)
    assert await memory.kit.alerts() == []


@FORMS
async def test_attack_a_harmless_fork_first_and_then_one_of_the_same_size(memory, form):
    """Every tree that contradicts the trusted one is looked at, whatever the size of those before it."""
    sim, kit = CertSim(), memory.kit
    for number in (777, 778, 779):
        sim.add(number, key=number, serial=number)
    await kit.round(sim, form=form)
    honest = list(sim.tree.leaves)
    for at, (authority, number) in enumerate(((CA, 700), (ROGUE, 123))):
        sim.tree, sim.now_ms = Tree(honest[:2]), sim.now_ms + 1000
        sim.add(number, authority, key=50 + at, serial=50 + at)
        with contextlib.suppress(Misbehaviour):
            await kit.round(sim, form=form)
    (alert,) = await kit.alerts(item=ITEM)
    assert (alert.log_index, alert.proven) == (None, None)


async def test_attack_one_bad_sct_hides_the_promises_of_a_certificate(memory):
    """The others are audited, and that this one does not hold is told; it accuses no log."""
    sim, kit = CertSim(), memory.kit
    tbs = number_tbs(123)
    sct = sim.sct(sim.submit([CA.precertificate(tbs), *CA.chain]))
    sim.publish()
    bad = sct._replace(timestamp_ms=sct.timestamp_ms - 1)
    sim.submit([CA.final(tbs, [format_sct(bad), format_sct(sct)]), *CA.chain])
    sim.publish()
    await kit.round(sim)
    assert await memory.state.audits.counts() == {"waiting": 1}
    (told,) = [row for row in await kit.alerts(item=ITEM) if "T-20" in row.rules]
    assert (told.severity, told.addressee, told.log_index) == (S2, OWNER, 1)
    assert "does not hold" in json.loads(told.body)["reason"]
    assert await kit.alerts(kind="misbehaviour") == []


async def test_attack_an_authorisation_that_has_ended_while_the_monitor_ran(memory):
    """Its end is looked at with every entry, not only when answers are read."""
    sim, kit = CertSim(), memory.kit
    sim.add(123)
    await kit.round(sim)
    until_ms = kit.now_ms + 3_600_000
    await memory.state.answers.authorise("issuer", "rogue @ test", ITEM, "me", "", kit.now_ms, until_ms)
    await kit.judge.refresh()
    sim.now_ms = until_ms - 60_000
    sim.add(123, ROGUE, serial=2, key=30)
    await kit.round(sim)
    assert len(await kit.alerts(item=ITEM)) == 1
    sim.now_ms = until_ms
    sim.add(123, ROGUE, serial=3, key=31)
    await kit.round(sim)
    (_, told) = await kit.alerts(item=ITEM)
    assert (told.log_index, told.severity <= S2) == (2, True)


async def test_attack_references_to_places_that_never_answer_delay_nobody_s_alert(memory):
    """Strangers choose where lists stand: they are unread then, which is told, and the thief's certificate too."""
    sim, kit = CertSim(), memory.kit
    asked = []

    async def never(url):
        asked.append(url)
        await asyncio.sleep(3600)

    kit.sources = Sources(SourcesConfig(references=True), memory.folder, memory.state, never)
    kit.sources._patience = Patience(0.01, 0.03)
    for at in range(20):
        tbs = several_references(*(f"https://tar{at}.example/{each}" for each in range(4)))
        sim.submit([ROGUE.precertificate(tbs), *ROGUE.chain])
    sim.add(123, ROGUE, serial=3)
    await kit.round(sim)
    assert len(asked) < 80
    assert [row.log_index for row in await kit.alerts(item=ITEM)] == [20]
    assert "home/anything" in {row.item for row in await owners_alerts(kit)}
