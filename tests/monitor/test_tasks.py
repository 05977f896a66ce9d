"""monitor.tasks: what is newly watched is looked up and proven again; what changed is judged again; none is lost."""

import dataclasses
import json

import pytest

from ctlog import issuance
from ctlog.errors import StoreError, TransportError, UsageError
from ctlog.issuance import DAY_MS, Key, Subject
from monitor import tasks as module
from monitor.answering import word_of
from monitor.entry import NO_TRUST
from monitor.rules.values import Revocations, Revoked
from monitor.sources import Known
from monitor.state.rows import OWNER, S1, S2
from monitor.tasks import ENROL, REJUDGE, Tasks, plan_enrol
from monitor.watch_file import parse_watch_file
from monitor.watchlist import Watchlist
from tests.cert_sim import CA, ROGUE, CertSim
from tests.monitor_kit import WATCH, Memory, rules_of, trust
from tests.simulator import START_MS

ITEM = "home/number:+12025550123"


class Again:
    """The part of Following that tasks use, over the watches of a kit. `closed`: logs that are not read now."""

    def __init__(self, kit):
        self.kit, self.closed, self.read, self.errors = kit, set(), [], []

    async def again(self, log_id, index, only, found):
        if log_id in self.closed or log_id not in self.kit.watches:
            return False
        if self.errors:
            raise self.errors.pop()
        watch = self.kit.watches[log_id]
        head = watch.heads.trusted.head
        async for batch in watch.log.follower.entries(head, index, index + 1):
            await watch._inspector.again(batch, head.size, found, only)
        self.read.append(index)
        return True

    def stored(self, log_id, found):
        watch = self.kit.watches[log_id]
        watch._inspector.stored(watch.log, watch.position.frontier.size, found)


class Kit:
    """A monitor that watches nothing yet, and its tasks."""

    def __init__(self, memory):
        self.memory, self.said, self.told = memory, [], 0
        self.start()

    def start(self):
        """Anew, on the same state."""
        self.kit = kit = self.memory.kit
        shared = kit.shared()
        self.again = Again(kit)
        self.tasks = Tasks(
            self.memory.state, self.again, kit.judge._past, lambda: kit.watchlist, kit.judge.refresh,
            kit.clock, lambda *words: self.said.append(words), self.tell, trust=lambda: kit.setup.trust,
        )  # fmt: skip
        assert shared.judge is kit.judge

    def tell(self):
        self.told += 1

    def watch(self, text=WATCH, added_ms=None):
        added_ms = self.kit.now_ms if added_ms is None else added_ms
        items = parse_watch_file(text, added_ms=lambda name: added_ms)
        self.kit.watchlist = Watchlist(items)
        return [item.id for item in items]

    async def enrol(self, items):
        for kind, spec in plan_enrol(items):
            await self.memory.state.audits.add_task(kind, spec, 0)

    async def open_tasks(self):
        return await self.memory.state.audits.tasks()


@pytest.fixture
async def kit(tmp_path):
    async with Memory(tmp_path) as memory:
        memory.restart(watch="")
        yield Kit(memory)


async def test_what_was_there_at_enrolment_is_shown_for_a_yes_or_no(kit):
    """T-12: every certificate that is valid; proven again; and each of them can be answered."""
    sim = CertSim()
    sim.add(123)
    sim.add(700)
    sim.add(123, ROGUE, key=22, serial=2)
    await kit.kit.round(sim)
    assert await kit.kit.alerts(item=ITEM) == []
    await kit.enrol(kit.watch())
    assert await kit.tasks.work() is False
    found = await kit.kit.alerts(item=ITEM)
    assert [(row.log_index, row.proven) for row in found] == [(0, 3), (2, 3)]
    assert all("T-12" in row.rules and row.severity <= S2 for row in found)
    assert kit.again.read == [0, 2]
    assert kit.told
    assert await kit.open_tasks() == []
    assert await kit.tasks.work() is False


async def test_attack_a_number_hidden_among_more_than_a_label_each(kit):
    """Of a certificate with more than 1,024 labels history only knows that it may concern anybody: it is read again."""
    sim = CertSim()
    sim.add(700)
    who = Subject(issuance.name(O="Mallory"), Key.from_number(21).spki, sim.now_ms, sim.now_ms + DAY_MS, 9)
    numbers = [f"1303555{2 * at:04d}" for at in range(1100)]
    tbs = issuance.delegate_leaf(ROGUE, who, issuance.one(*numbers, "12025550123"))
    sim.submit([ROGUE.precertificate(tbs), *ROGUE.chain])
    sim.publish()
    sim.add(123, key=22, serial=2)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch())
    assert await kit.tasks.work() is False
    assert kit.again.read == [1, 2]
    found = await kit.kit.alerts(item=ITEM)
    assert sorted((row.log_index, row.addressee) for row in found) == [(1, OWNER), (2, OWNER)]
    assert await kit.open_tasks() == []


def many(count, name="home", channel="mail"):
    """A watch list of so many numbers from +1 202 555 0000 on."""
    numbers = ", ".join(f'"+1202555{at:04d}"' for at in range(count))
    return f'[[watch]]\nname = "{name}"\ntell = ["{channel}"]\nnumbers = [{numbers}]\n'


def wide(sim, serial=2, count=1000):
    """Mallory's certificate for a range that holds all these numbers."""
    who = Subject(issuance.name(O="Mallory"), Key.from_number(31).spki, sim.now_ms, sim.now_ms + DAY_MS, serial)
    tbs = issuance.delegate_leaf(ROGUE, who, issuance.number_range("12025550000", count))
    sim.submit([ROGUE.precertificate(tbs), *ROGUE.chain])
    sim.publish()


@pytest.mark.parametrize("count", [60, 65, 100])
async def test_attack_a_range_over_all_of_somebody_s_numbers_before_he_watched_them(kit, count):
    """One alert for each number, and from 65 on one for all of them: at enrolment as afterwards."""
    sim = CertSim()
    wide(sim)
    await kit.kit.round(sim)
    kit.kit.now_ms += 1000
    await kit.enrol(kit.watch(many(count)))
    await kit.tasks.work()
    found = await kit.kit.alerts()
    items = [f"home/number:+1202555{at:04d}" for at in range(count)] if count <= 64 else ["home/group"]
    assert sorted(row.item for row in found) == items
    assert {(row.rule, row.severity, row.addressee) for row in found} == {("T-12", S2, OWNER)}


async def test_of_a_number_more_in_a_group_the_group_s_alert_counts_again(kit):
    sim = CertSim()
    wide(sim)
    await kit.kit.round(sim)
    before = kit.watch(many(70))
    await kit.enrol(before)
    await kit.tasks.work()
    (first,) = await kit.kit.alerts()
    await kit.memory.state.alerts.acknowledge(first.id, "me", "ours")
    kit.kit.now_ms += DAY_MS
    times = dict.fromkeys(before, first.created_ms)
    items = parse_watch_file(many(71), added_ms=lambda name: times.get(name, kit.kit.now_ms))
    kit.kit.watchlist = Watchlist(items)
    await kit.enrol(["home/number:+12025550070"])
    await kit.tasks.work()
    (row,) = await kit.kit.alerts()
    assert (row.rule, row.times_seen) == ("T-12", 2)


async def test_attack_what_cannot_be_read_was_there_before_anybody_watched(kit):
    """A list that no parser accepts, bytes that are no certificate: shown at enrolment to whomever it may concern."""
    sim = CertSim()
    who = Subject(issuance.name(O="Mallory"), Key.from_number(31).spki, sim.now_ms, sim.now_ms + DAY_MS, 5)
    sim.submit_raw(ROGUE.certificate_for(ROGUE.leaf(who, [issuance.tn_auth_list(b"\x30\x82junk")])))
    sim.submit_raw(b"\x30\x82junk")
    sim.publish()
    await kit.kit.round(sim)
    kit.kit.now_ms += 1000
    watched = kit.watch(WATCH + WATCH.replace("home", "office") + WATCH.replace("home", "away").replace("mail", "ops"))
    await kit.enrol(watched)
    await kit.tasks.work()
    found = [row for row in await kit.kit.alerts() if row.addressee == OWNER]
    assert sorted((row.item, row.log_index) for row in found) == [
        (f"{name}/anything", index) for name in ("away", "home") for index in (0, 1)
    ]  # fmt: skip
    await kit.enrol(watched)
    await kit.tasks.work()
    assert len([row for row in await kit.kit.alerts() if row.addressee == OWNER]) == 4


async def test_what_may_concern_anybody_is_not_shown_again_to_those_who_watched_before(kit):
    sim = CertSim()
    sim.submit_raw(b"\x30\x82junk")
    sim.publish()
    await kit.kit.round(sim)
    both = kit.watch(WATCH + WATCH.replace("home", "away").replace("mail", "ops"))
    await kit.enrol([each for each in both if each.startswith("away/")])
    await kit.tasks.work()
    assert [row.item for row in await kit.kit.alerts() if row.addressee == OWNER] == ["away/anything"]


async def test_a_task_waits_until_its_items_are_watched(kit):
    """It is stored with their enrolment, a moment before the watch list is in force."""
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    settled = []
    kit.tasks._is_settled = lambda: bool(settled)
    await kit.enrol([ITEM])
    assert await kit.tasks.work() is True
    assert await kit.kit.alerts() == []
    kit.watch()
    settled.append(True)
    assert await kit.tasks.work() is False
    assert [row.item for row in await kit.kit.alerts()] == [ITEM]


async def test_only_the_new_items_are_judged(kit):
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    both = kit.watch(WATCH + '[[watch]]\nname = "all"\ntell = ["mail"]\nprefixes = ["+1202"]')
    await kit.enrol([each for each in both if each.startswith("all/")])
    await kit.tasks.work()
    assert [row.item for row in await kit.kit.alerts()] == ["all/prefix:+1202"]


@pytest.mark.parametrize("text", [
    'numbers = ["+12025550123"]', 'ranges = ["+12025550100 to +12025550199"]', 'prefixes = ["+1202555"]',
    'holders = ["Owner"]', 'issuers = ["Example"]',
])  # fmt: skip
async def test_every_kind_of_item_has_its_history(kit, text):
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch(f'[[watch]]\nname = "home"\ntell = ["mail"]\n{text}'))
    await kit.tasks.work()
    assert kit.again.read == [0]
    assert len(await kit.memory.state.answers.certificates(url="")) == 1


async def test_a_log_that_is_not_read_now_is_looked_at_later(kit):
    one, two = CertSim(), CertSim("two.example/log", secret=8)
    one.add(123)
    two.add(123, serial=2)
    await kit.kit.round(one, two)
    await kit.enrol(kit.watch())
    kit.again.closed.add(two.policy.key.log_id)
    assert await kit.tasks.work() is True
    assert len(await kit.kit.alerts(item=ITEM)) == 1
    (task,) = await kit.open_tasks()
    assert len(json.loads(task.progress)) == 1
    kit.again.closed.clear()
    assert await kit.tasks.work() is False
    assert len(kit.again.read) == 2


async def test_a_log_that_is_begun_with_a_moment_later_is_no_trouble(kit):
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch())
    kit.again.closed.add(next(iter(kit.kit.watches)))
    assert await kit.tasks.work() is True
    assert kit.said == []
    assert await kit.tasks.work() is True
    assert kit.said == [("warning", ENROL, "1 entry cannot be read again at present")]
    kit.again.closed.clear()
    assert await kit.tasks.work() is False
    assert len(await kit.kit.alerts(item=ITEM)) == 1


async def test_trouble_with_the_network_is_tried_again(kit):
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch())
    kit.again.errors = [TransportError("reset")]
    assert await kit.tasks.work() is True
    assert kit.said == [("warning", ENROL, "1 entry cannot be read again at present: reset")]
    assert await kit.tasks.work() is False
    assert len(await kit.kit.alerts(item=ITEM)) == 1


async def test_it_goes_on_after_a_crash_where_it_was(kit, monkeypatch):
    monkeypatch.setattr(module, "STEP", 2)
    sim = CertSim()
    for serial in range(7):
        sim.add(123, key=30 + serial, serial=serial + 1)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch())
    real = type(kit.memory.state.audits).store_found
    left = [5]

    async def store_found(self, *args, **options):
        left[0] -= 1
        if left[0] < 0:
            raise StoreError("full", reason="disk-full")
        return await real(self, *args, **options)

    monkeypatch.setattr(type(kit.memory.state.audits), "store_found", store_found)
    with pytest.raises(StoreError):
        await kit.tasks.work()
    left[0] = 99
    added_ms = kit.kit.now_ms
    kit.memory.restart(watch="")
    kit.start()
    kit.watch(added_ms=added_ms)
    await kit.kit.watch(sim)
    await kit.kit.round(sim)
    assert await kit.tasks.work() is False
    assert kit.again.read == [4, 5, 6]
    assert len(await kit.kit.alerts(item=ITEM)) == 7


async def test_many_items_are_many_tasks(kit, monkeypatch):
    monkeypatch.setattr(module, "MAX_ITEMS", 3)
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    numbers = ", ".join(f'"+1202555{each:04d}"' for each in range(120, 127))
    await kit.enrol(kit.watch(f'[[watch]]\nname = "home"\ntell = ["mail"]\nnumbers = [{numbers}]'))
    assert [task.kind for task in await kit.open_tasks()] == [ENROL] * 3
    await kit.tasks.work()
    assert kit.again.read == [0]


@pytest.mark.parametrize("wanted", ['numbers = ["+12025550123"]', 'prefixes = ["+1202"]', 'holders = ["Owner"]'])
async def test_all_that_are_valid_and_the_newest_of_the_others(kit, monkeypatch, wanted):
    monkeypatch.setattr(module, "MAX_PLACES", 2)
    sim = CertSim()
    for serial in range(9):
        sim.add(123, serial=serial + 1)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch(f'[[watch]]\nname = "home"\ntell = ["mail"]\n{wanted}'))
    await kit.tasks.work()
    assert kit.again.read == list(range(9))
    kit.kit.now_ms += 100 * DAY_MS  # all of them have expired
    await kit.enrol(kit.watch(f'[[watch]]\nname = "other"\ntell = ["mail"]\n{wanted}'))
    await kit.tasks.work()
    assert kit.again.read[9:] == [7, 8]


async def test_what_is_not_looked_at_is_said(kit, monkeypatch):
    monkeypatch.setattr(module, "MAX_VALID", 2)
    monkeypatch.setattr(module, "MAX_PLACES", 2)
    sim = CertSim()
    for serial in range(9):
        sim.add(123, serial=serial + 1)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch())
    await kit.tasks.work()
    assert kit.again.read == [7, 8]
    (alert,) = await kit.kit.alerts(kind="health")
    assert (alert.rule, alert.severity, alert.item) == (ENROL, 3, ITEM)
    assert [row.channel for row in await kit.memory.state.outbox.of_alert(alert.id)] == ["mail"]


async def test_what_was_being_read_when_the_watch_list_changed_is_not_passed_over(kit, monkeypatch):
    """It was compared with the watch list of before, and its position is stored only after the look-up."""
    sim = CertSim()
    sim.add(700)
    await kit.kit.round(sim)
    sim.add(123)
    real = type(kit.memory.state.logs).advance

    async def advance(self, *args, **options):
        monkeypatch.setattr(type(kit.memory.state.logs), "advance", real)
        await kit.enrol(kit.watch())
        await kit.tasks.work()
        return await real(self, *args, **options)

    monkeypatch.setattr(type(kit.memory.state.logs), "advance", advance)
    await kit.kit.round(sim)
    assert await kit.tasks.work() is False
    assert [row.log_index for row in await kit.kit.alerts(item=ITEM)] == [1]


async def test_a_key_that_was_revoked_is_judged_again(kit):
    """T-18, and the new alert is graver, so it is told though the certificate was told of before."""
    kit.memory.restart()
    kit.start()
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    (row,) = await kit.memory.state.answers.certificates(url="")
    revoked = Revocations([Revoked(row.issuer, row.serial, row.spki, 1)])
    kit.kit.sources.known = Known({(row.issuer, row.serial): 1}, revoked)
    await kit.tasks.add_rejudge([(row.log_id, row.log_index)] * 2)
    (task,) = await kit.open_tasks()
    assert (task.kind, len(json.loads(task.spec)["places"])) == (REJUDGE, 1)
    assert await kit.tasks.work() is False
    found = rules_of(await kit.kit.alerts(item=ITEM))
    assert sorted(each[:2] for each in found) == [("T-01", S2), ("T-18", S1)]
    await kit.tasks.add_rejudge([])
    assert await kit.open_tasks() == []


async def test_an_item_that_is_gone_by_then_is_no_work(kit):
    sim = CertSim()
    sim.add(123)
    await kit.kit.round(sim)
    await kit.enrol(kit.watch())
    kit.kit.watchlist = Watchlist()
    assert await kit.tasks.work() is False
    assert await kit.open_tasks() == []
    assert kit.again.read == []


# Roots that come to be accepted ---------------------------------------------------------------------------------------


def accept(kit, *authorities):
    kit.kit.setup = dataclasses.replace(kit.kit.setup, trust=trust(*authorities))


async def test_what_a_stranger_issued_is_judged_again_when_his_root_is_accepted(kit):
    """The alert says who he is by now, so that he can be authorised or refused; nobody is told twice."""
    kit.watch(added_ms=0)
    accept(kit, CA)
    assert await kit.tasks.work() is False
    sim, state = CertSim(), kit.memory.state
    sim.add(123, ROGUE)
    sim.add(700, ROGUE)
    await kit.kit.round(sim)
    (before,) = await kit.kit.alerts(item=ITEM)
    assert json.loads(before.body)["issuer"]["verified"] is False
    with pytest.raises(UsageError, match="nobody vouches"):
        word_of(before, "issuer", None)
    accept(kit, CA, ROGUE)
    assert await kit.tasks.work() is False
    assert kit.again.read == [0]
    (after,) = await kit.kit.alerts(item=ITEM)
    assert (after.id, after.severity, after.status) == (before.id, before.severity, "new")
    assert after.issuer == "rogue @ test"
    assert word_of(after, "issuer", None).value == "rogue @ test"
    assert [row.kind for row in await state.outbox.of_alert(after.id)] == ["alert"]
    assert await kit.tasks.work() is False
    assert kit.again.read == [0], "once for each change"


async def test_what_turns_out_to_be_graver_is_told(kit):
    """Only with a chain is it seen that a delegate claims more than the CA above it holds."""
    below = issuance.intermediate(
        ROGUE, Key.from_number(44), Subject(issuance.name(O="Delegate"), Key.from_number(44).spki, 0, 10**13, 5),
        tn_value=issuance.one("12025559999"),
    )  # fmt: skip
    kit.watch(added_ms=START_MS + 10 * DAY_MS)  # so that it was there before
    accept(kit, CA)
    assert await kit.tasks.work() is False
    sim = CertSim()
    sim.add(123, below)
    await kit.kit.round(sim)
    (before,) = await kit.kit.alerts(item=ITEM)
    assert before.severity == S2
    accept(kit, CA, ROGUE)
    assert await kit.tasks.work() is False
    assert sorted((row.severity, "T-06" in row.rules) for row in await kit.kit.alerts(item=ITEM)) == [
        (S1, True), (S2, False)]  # fmt: skip


async def test_near_miss_roots_that_go_or_stay(kit):
    kit.watch(added_ms=0)
    accept(kit, CA)
    assert await kit.tasks.work() is False
    sim = CertSim()
    sim.add(123, ROGUE)
    await kit.kit.round(sim)
    for authorities in ((CA,), ()):
        found = trust(*authorities) if authorities else NO_TRUST
        kit.kit.setup = dataclasses.replace(kit.kit.setup, trust=found)
        assert await kit.tasks.work() is False
    assert kit.again.read == []


async def test_after_a_restart_it_is_known_which_roots_were_accepted(kit):
    kit.watch(added_ms=0)
    accept(kit, CA)
    await kit.tasks.work()
    sim = CertSim()
    sim.add(123, ROGUE)
    await kit.kit.round(sim)
    accept(kit, CA, ROGUE)
    kit.start()
    await kit.tasks.work()
    assert kit.again.read == [0]


# Events that are handed in after the certificates ---------------------------------------------------------------------


async def stolen(kit, sim, **options):
    """The owner's certificate, answered for; days later another with a new key, by the same issuer: no alarm yet."""
    kit.watch(added_ms=0)
    sim.add(123)
    await kit.kit.round(sim)
    await kit.memory.state.answers.authorise("issuer", "example @ test", ITEM, "me", "", 0)
    await kit.kit.judge.refresh()
    sim.now_ms += 5 * DAY_MS
    sim.add(123, key=23, serial=3, **options)
    await kit.kit.round(sim)
    assert rules_of(await kit.kit.alerts(item=ITEM)) == [("T-01", S2, OWNER)]
    return sim.now_ms


@pytest.mark.parametrize(("hours", "is_told"), [(1, True), (71, True), (73, False), (-1, False)])
async def test_attack_the_swap_is_reported_after_the_thief_s_certificate(kit, hours, is_told):
    sim = CertSim()
    logged_ms = await stolen(kit, sim)
    await kit.memory.state.answers.add_event("sim", "12025550123", logged_ms - hours * 3_600_000, "")
    await kit.tasks.round()
    await kit.tasks.round()
    found = [row for row in await kit.kit.alerts(item=ITEM) if row.rule == "T-10"]
    assert [(row.severity, row.log_index, row.times_seen) for row in found] == ([(S1, 1, 1)] if is_told else [])
    assert kit.again.read == ([1] if is_told else [])


async def test_events_are_noted_once_and_of_watched_numbers(kit):
    sim = CertSim()
    logged_ms = await stolen(kit, sim)
    sim.add(700)
    await kit.kit.round(sim)
    for number in ("12025550700", "12025550123", "12025550123"):
        await kit.memory.state.answers.add_event("port", number, logged_ms - 1000, "")
    await kit.tasks.note_events()
    (task,) = await kit.open_tasks()
    assert [place[1] for place in json.loads(task.spec)["places"]] == [1]
    await kit.tasks.note_events()
    assert len(await kit.open_tasks()) == 1


async def test_attack_the_swap_and_a_number_among_more_than_a_label_each(kit):
    """History does not say that the certificate is for the number: whatever may be for it is judged again."""
    sim = CertSim()
    kit.watch(added_ms=0)
    who = Subject(issuance.name(O="Owner Inc"), Key.from_number(41).spki, sim.now_ms, sim.now_ms + DAY_MS, 9)
    numbers = [f"1303555{2 * at:04d}" for at in range(1100)]
    tbs = issuance.delegate_leaf(CA, who, issuance.one(*numbers, "12025550123"))
    sim.submit([CA.precertificate(tbs), *CA.chain])
    sim.publish()
    await kit.kit.round(sim)
    assert "T-10" not in [row.rule for row in await kit.kit.alerts()]
    await kit.memory.state.answers.add_event("sim", "12025550123", sim.now_ms - 3_600_000, "")
    await kit.tasks.round()
    assert "T-10" in [row.rule for row in await kit.kit.alerts(item=ITEM)]


async def test_a_fault_between_the_task_and_the_mark_notes_the_event_again(kit, monkeypatch):
    sim = CertSim()
    logged_ms = await stolen(kit, sim)
    await kit.memory.state.answers.add_event("sim", "12025550123", logged_ms - 1000, "")
    real = type(kit.memory.state.answers).put_meta

    async def failing(self, *_):
        raise StoreError("full", reason="store")

    monkeypatch.setattr(type(kit.memory.state.answers), "put_meta", failing)
    with pytest.raises(StoreError):
        await kit.tasks.note_events()
    monkeypatch.setattr(type(kit.memory.state.answers), "put_meta", real)
    await kit.tasks.round()
    found = [row.rule for row in await kit.kit.alerts(item=ITEM)]
    assert found.count("T-10") == 1
    assert await kit.open_tasks() == []


# Findings after the alert -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["none", "authorised", "acknowledged"])
async def test_attack_a_key_is_revoked_after_the_owner_was_told_of_a_stranger(kit, answer):
    """An alert as grave was there, and was perhaps answered: that its key was revoked is told all the same, once."""
    sim, state = CertSim(), kit.memory.state
    kit.watch(added_ms=0)
    sim.add(123)
    await kit.kit.round(sim)
    sim.now_ms += 30 * DAY_MS
    sim.add(123, ROGUE, key=22, serial=2)
    await kit.kit.round(sim)
    grave = (await kit.kit.alerts(item=ITEM))[1]
    assert (grave.rule, grave.severity) == ("T-01", S1)
    if answer == "authorised":
        entry = bytes.fromhex(grave.thread)
        await state.answers.authorise("certificate", entry.hex(), ITEM, "me", "", 0)
        await state.alerts.mark_authorised(grave.id, "me", "")
        await kit.kit.judge.refresh()
    elif answer == "acknowledged":
        await state.alerts.acknowledge(grave.id, "me", "")
    (row,) = [row for row in await state.answers.certificates(url="") if row.log_index == 1]
    revoked = Revoked(row.issuer, row.serial, row.spki, sim.now_ms - DAY_MS)
    kit.kit.sources.known = Known(revocations=Revocations([revoked]))
    for _ in range(2):
        await kit.tasks.add_rejudge([(row.log_id, row.log_index)])
        await kit.tasks.work()
    found = [each for each in await kit.kit.alerts(item=ITEM) if each.log_index == 1]
    assert sorted(each.rule for each in found) == ["T-01", "T-18"]
    told = next(each for each in found if each.rule == "T-18")
    assert (told.severity, told.status, told.times_seen) == (S1, "new", 2)
    assert json.loads(told.body)["id"] == told.id
    assert told.id in [each.alert.id for each in await state.outbox.due(1 << 60, limit=100)]
