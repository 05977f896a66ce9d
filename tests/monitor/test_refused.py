"""An issuer whom an owner refused comes back: renewed, with new keys, by another log. Each time he is told as loudly as
at first, and nothing of it becomes usual; and whoever is not refused, or not any more, is left alone."""

import json

import pytest

from ctlog import issuance
from ctlog.issuance import DAY_MS
from monitor.answering import refusal_of
from monitor.rules.baseline import parse_profile
from monitor.rules.values import S1, S2, S4
from monitor.state.alerts import REMIND_MS
from tests.cert_sim import CA, ROGUE, CertSim
from tests.monitor.test_silencing import CODE, CODES, ITEM, Teller, submit, submit_code
from tests.monitor_kit import Memory

RANGES = '[[watch]]\nname = "home"\ntell = ["mail"]\nranges = ["+12025550100 to +12025550199"]\n'
RANGE = "home/range:+12025550100 to +12025550199"


@pytest.fixture
async def memory(tmp_path):
    async with Memory(tmp_path) as made:
        yield made


async def refuse(memory, item):
    """As `alerts refuse` does for the gravest alert of an item."""
    row = min(await memory.kit.alerts(item=item), key=lambda row: (row.severity, -row.created_ms))
    for word in refusal_of(row, None, None):
        now_ms = memory.kit.now_ms
        await memory.state.answers.authorise(word.kind, word.value, word.item, "me", "", now_ms, is_refusal=True)
    await memory.kit.judge.refresh()


async def usual(memory, item):
    profile = parse_profile((await memory.state.answers.baselines([item]))[item])
    return [name for name, known in profile.issuers.items() if not known.reported]


async def test_attack_a_refused_ca_renews_for_a_code(memory):
    memory.restart(watch=CODES)
    sim, told = CertSim(), Teller(memory, CODE)
    submit_code(sim, CA, 1)
    assert await told.news(sim) == [(S4, {"T-01"})]
    submit_code(sim, ROGUE, 2)
    assert await told.news(sim) == [(S2, {"T-01", "T-09"})]
    submit_code(sim, ROGUE, 3)
    assert await told.news(sim) == [(S4, {"T-01"})]  # nobody has answered yet
    await refuse(memory, CODE)
    for key in (3, 4, 5):  # the key that it had, and new ones
        sim.now_ms += DAY_MS
        submit_code(sim, ROGUE, key)
        ((severity, rules),) = await told.news(sim)
        assert (severity, "T-01" in rules) == (S2, True)
        memory.restart(watch=CODES)
        told.memory = memory
    assert await usual(memory, CODE) == ["example @ test"]
    reasons = json.loads((await memory.kit.alerts(item=CODE))[-1].body)["reason"]
    assert "you said that it may not" in reasons


async def test_attack_both_names_are_a_stranger_s_again_and_again(memory):
    """Operator and holder: S1 at first, and S1 each time after the refusal."""
    memory.restart(watch=CODES)
    sim, told = CertSim(), Teller(memory, CODE)
    submit_code(sim, CA, 1)
    await told.news(sim)
    submit_code(sim, ROGUE, 2, holder="Mallory")
    ((severity, _),) = await told.news(sim)
    assert severity == S1
    await refuse(memory, CODE)
    for key in (3, 4):
        submit_code(sim, ROGUE, key, holder="Mallory")
        ((severity, rules),) = await told.news(sim)
        assert severity == S1
        assert {"T-01", "T-03"} <= rules


async def test_near_miss_the_others_are_as_usual_as_before(memory):
    both = CODES.replace('"709J"]', '"709J", "710J"]')
    memory.restart(watch=both)
    sim, told, other = CertSim(), Teller(memory, CODE), Teller(memory, CODE.replace("709J", "710J"))
    submit_code(sim, CA, 1)
    submit_code(sim, ROGUE, 2)
    await told.news(sim)
    await refuse(memory, CODE)
    submit_code(sim, CA, 9)
    assert await told.news(sim) == []
    end_ms = sim.now_ms + 60 * DAY_MS
    for number, authority in enumerate((CA, ROGUE, ROGUE)):
        spki = issuance.Key.from_number(30 + number).spki
        tbs = issuance.shaken_leaf(
            authority, spki, "710J", "Owner Inc", not_before_ms=sim.now_ms, not_after_ms=end_ms, serial=30 + number
        )
        sim.submit([authority.precertificate(tbs), *authority.chain])
    sim.publish()
    news = [severity for severity, _ in await other.news(sim)]
    assert sorted(news) == [S2, S4, S4]  # a no is for the item that it was given for


@pytest.mark.parametrize(("watch", "item", "first"), [(None, ITEM, S1), (RANGES, RANGE, S1)])
async def test_attack_a_refused_ca_renews_for_a_number_and_for_a_range(memory, watch, item, first):
    memory.restart(**({"watch": watch} if watch else {}))
    sim, told = CertSim(), Teller(memory, item)
    submit(sim, 123, CA, 1)
    await told.news(sim)
    sim.now_ms += 10 * DAY_MS
    submit(sim, 123, ROGUE, 2)
    ((severity, _),) = await told.news(sim)
    assert severity == first
    await refuse(memory, item)
    for key in (2, 3):
        sim.now_ms += 10 * DAY_MS
        submit(sim, 123, ROGUE, key)
        ((severity, rules),) = await told.news(sim)
        assert severity == first
        assert "T-01" in rules
    assert "rogue @ test" not in await usual(memory, item)


async def test_attack_the_first_issuer_of_all_is_a_stranger(memory):
    """It became usual by being first. When it is refused, the next stranger is not the first in its place."""
    memory.restart(watch=CODES)
    sim, told = CertSim(), Teller(memory, CODE)
    submit_code(sim, ROGUE, 1)
    assert await told.news(sim) == [(S4, {"T-01"})]
    assert await usual(memory, CODE) == ["rogue @ test"]
    await refuse(memory, CODE)
    assert json.loads((await memory.kit.alerts(item=CODE))[0].body)["issuer"]["standing"] == "first"
    submit_code(sim, ROGUE, 2)
    assert await told.news(sim) == [(S2, {"T-01"})]
    assert await usual(memory, CODE) == []
    submit_code(sim, CA, 3)
    ((severity, rules),) = await told.news(sim)
    assert (severity, "T-01" in rules) == (S2, True)
    submit_code(sim, CA, 4)
    assert [severity for severity, _ in await told.news(sim)] == [S4]  # reported, and unanswered


async def test_attack_a_refused_key_is_certified_by_the_owner_s_own_ca(memory):
    """Interception: the genuine CA certifies what is not the owner's. He refuses the key, and not his CA."""
    memory.restart(watch=CODES)
    sim, told = CertSim(), Teller(memory, CODE)
    submit_code(sim, CA, 1)
    submit_code(sim, CA, 2, holder="Mallory")
    await told.news(sim)
    row = next(row for row in await memory.kit.alerts(item=CODE) if "T-03" in row.rules)
    (word,) = refusal_of(row, None, None)
    assert word.kind == "key"
    await memory.state.answers.authorise(*word, "me", "", sim.now_ms, is_refusal=True)
    await memory.kit.judge.refresh()
    submit_code(sim, CA, 3)
    assert await told.news(sim) == []
    sim.now_ms += DAY_MS
    submit_code(sim, CA, 2)
    assert await told.news(sim) == [(S1, {"T-02"})]


async def test_a_refusal_is_taken_back(memory):
    memory.restart(watch=CODES)
    sim, told = CertSim(), Teller(memory, CODE)
    submit_code(sim, CA, 1)
    submit_code(sim, ROGUE, 2)
    await told.news(sim)
    await refuse(memory, CODE)
    await memory.state.answers.authorise("issuer", "rogue @ test", CODE, "me", "our new provider", sim.now_ms)
    await memory.state.answers.authorise("key", "00" * 32, CODE, "me", "", sim.now_ms)
    await memory.kit.judge.refresh()
    submit_code(sim, ROGUE, 3)
    assert await told.news(sim) == []


async def test_attack_a_yes_for_everything_does_not_undo_an_owner_s_no(memory):
    memory.restart(watch=CODES)
    sim, told = CertSim(), Teller(memory, CODE)
    submit_code(sim, CA, 1)
    submit_code(sim, ROGUE, 2)
    await told.news(sim)
    await refuse(memory, CODE)
    for item in ("home", ""):
        await memory.state.answers.authorise("issuer", "rogue @ test", item, "operator", "", sim.now_ms)
    await memory.kit.judge.refresh()
    submit_code(sim, ROGUE, 3)
    ((severity, rules),) = await told.news(sim)
    assert (severity, "T-01" in rules) == (S2, True)


async def test_what_an_unanswered_issuer_goes_on_to_do_is_counted_and_brought_to_mind(memory):
    """Told once at S2 and overlooked: its alert counts what comes after, and is sent again after a month."""
    memory.restart(watch=CODES)
    sim, told = CertSim(), Teller(memory, CODE)
    submit_code(sim, CA, 1)
    submit_code(sim, ROGUE, 2)
    await told.news(sim)
    state, kit = memory.state, memory.kit
    (alert,) = [row for row in await kit.alerts(item=CODE) if row.severity == S2]
    await state.outbox.mark_sent([row.id for row in await state.outbox.of_alert(alert.id)], kit.now_ms)
    for key in (3, 4):
        sim.now_ms += DAY_MS
        submit_code(sim, ROGUE, key)
        assert [severity for severity, _ in await told.news(sim)] == [S4]
    found = await state.alerts.get(alert.id)
    assert (found.repeats, found.times_seen) == (2, 1)
    since = await state.alerts.by_issuer(CODE, "rogue @ test", alert.created_ms)
    assert [row.severity for row in since] == [S4, S4]
    assert {row.kind for row in await state.outbox.of_alert(alert.id)} == {"alert"}
    for key in (5, 6):  # the second one finds the reminder of the first
        sim.now_ms += REMIND_MS - 2 * DAY_MS if key == 5 else DAY_MS
        submit_code(sim, ROGUE, key)
        await told.news(sim)
        assert [row.kind for row in await state.outbox.of_alert(alert.id)] == ["alert", "reminder"]
    await state.alerts.acknowledge(alert.id, "me", "")
    sim.now_ms += 2 * REMIND_MS
    submit_code(sim, ROGUE, 7)
    await told.news(sim)
    assert len(await state.outbox.of_alert(alert.id)) == 2  # somebody deals with it
    assert (await state.alerts.get(alert.id)).repeats == 5
