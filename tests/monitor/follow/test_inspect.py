"""monitor.follow.inspect: every entry is remembered, those that may concern somebody are read, and nothing that goes
wrong with one of them hides another."""

import asyncio

import pytest

from ctlog import issuance
from ctlog.errors import StoreError
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.tn.labels import ONE, Label
from ctlog.wire.rfc6962 import format_sct
from monitor.follow.followed import ENTRIES, TILES
from monitor.follow.inspect import EntryInspector, Shared, key_number
from monitor.follow.watch import Found
from monitor.glance import Glancer
from monitor.history import History, make_history
from monitor.state.rows import HEALTH, OPERATOR, S2, NewAlert
from monitor.watch_file import parse_watch_file
from monitor.watchlist import Watchlist
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.follow_kit import followed
from tests.monitor_kit import WATCH, trust

FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])


class Noting:
    """A judge that notes what it is asked; it fails where `faults` says so."""

    def __init__(self):
        self.judged, self.kept, self.faults = [], [], {}
        self.options, self.bad_scts, self.keys = [], [], set()
        self.familiar = set()

    def is_familiar(self, glance):
        return glance.issuer in self.familiar

    async def prepare(self, entry):
        await asyncio.sleep(0)
        if ("prepare", entry.index) in self.faults:
            raise self.faults["prepare", entry.index]
        return entry

    async def judge(self, case, found, reading, only=None):
        if ("judge", case.index) in self.faults:
            raise self.faults["judge", case.index]
        self.judged.append(case.index)
        self.bad_scts.append(reading.bad_scts)
        self.options.append((reading.filling, reading.is_ready, only, case.proven, case.issuer.text))

    def unjudged(self, place, leaf, error):
        return [NewAlert(f"fault {place.index}", HEALTH, S2, "fault", ("fault",), OPERATOR, repr(error), b"{}", ())]

    def stored(self, found):
        self.kept.append(found)


class Kit:
    """One inspector of one simulated log."""

    def __init__(self, folder, sim, form=TILES, watch=WATCH, audits=True):
        make_history(folder / "history")
        self.history, self.sim, self.judge, self.said, self.ready = History(folder / "history"), sim, Noting(), [], []
        self.log = followed(sim, form)
        items = parse_watch_file(watch) if watch else []
        self.watchlist = Watchlist(items)

        async def ready(log_id):
            self.ready.append(log_id)

        self.shared = Shared(
            self.judge, self.history, lambda: self.watchlist, trust, lambda: {self.log.log_id: self.log},
            lambda: sim.now_ms, ready, lambda *words: self.said.append(words), audits=audits,
        )  # fmt: skip
        self.inspector = EntryInspector(self.log, self.shared, 0)
        self.lo = 0

    async def read(self, found=None, *, store=True):
        """Read on to the newest head."""
        found = found or Found()
        proven = self.sim.head.size if self.log.is_proven_at_once else None
        async for batch in self.log.follower.entries(self.sim.head, self.lo, self.sim.head.size):
            await self.inspector.inspect(self.log, batch, proven, found)
        if store:
            self.lo = self.sim.head.size
            self.inspector.stored(self.log, self.lo, found)
        return found


@pytest.fixture
def kit(tmp_path):
    made = []

    def make(sim, *args, **options):
        made.append(Kit(tmp_path, sim, *args, **options))
        return made[-1]

    yield make
    for each in made:
        each.history.close()


def issued(*numbers, authority=CA):
    sim = CertSim()
    for number in numbers:
        sim.add(number, authority)
    return sim


@FORMS
async def test_what_concerns_somebody_is_read_in_full_and_all_is_remembered(kit, form):
    sim = issued(*range(100, 150))
    made = kit(sim, form)
    await made.read()
    assert made.judge.judged == [0, 23]  # the first entry of its issuer, and the number that is watched
    proven = sim.head.size if form == TILES else None
    assert set(made.judge.options) == {(False, False, None, proven, "example @ test")}
    for index in range(50):
        (claim,) = made.history.lookup(Label(ONE, f"1202555{100 + index:04d}"))
        assert (claim.log_index, made.history.name(claim.issuer)) == (index, "example @ test")
        assert made.history.name(claim.holder) == "owner"


@FORMS
async def test_attack_a_ca_s_powers_in_a_certificate_for_a_number_that_nobody_watches(kit, form):
    """Whoever runs the monitor is to hear of it: it is read, whatever numbers it claims."""
    sim = issued(700)
    who = Subject(issuance.name(O="Mallory"), Key.from_number(31).spki, sim.now_ms, sim.now_ms + DAY_MS, 9)
    scope = issuance.tn_auth_list(issuance.one("13035550001"))
    for extension in (issuance.CERT_SIGN, issuance.authority_constraints(), issuance.DIGITAL_SIGNATURE):
        sim.submit_raw(CA.certificate_for(CA.leaf(who, [extension, scope])))
    sim.publish()
    made = kit(sim, form)
    await made.read()
    assert made.judge.judged == [0, 1, 2]


@pytest.mark.parametrize("is_familiar", [True, False])
async def test_attack_a_key_of_somebody_who_is_watched_under_another_number(kit, is_familiar):
    """In the same batch as the owner's own certificate, before it or after: it is read, unless it is nothing new."""
    sim = CertSim()
    for number, key in ((700, 30), (701, 21), (123, 21), (702, 21), (703, 31)):
        sim.submit([CA.precertificate(number_tbs(number, key=key)), *CA.chain])
    sim.publish()
    made = kit(sim)
    real = made.judge.judge

    async def judge(case, found, reading, only=None):
        await real(case, found, reading, only)
        if case.index == 2:
            made.judge.keys.add(key_number(case.key_hash))
            made.judge.familiar |= {case.parsed.issuer} if is_familiar else set()

    made.judge.judge = judge
    await made.read()
    assert made.judge.judged == [0, 2] + [1, 3] * (not is_familiar)


async def test_an_issuer_is_read_once_when_it_is_stored(kit):
    sim = issued(700)
    made = kit(sim)
    await made.read(store=False)  # killed, or the disk was full
    await made.read()
    sim.add(701)
    sim.add(702, ROGUE)
    await made.read()
    assert made.judge.judged == [0, 0, 2]


async def test_a_ca_without_a_number_is_read_for_the_operator(kit):
    sim = issued(700)
    made = kit(sim, watch="")
    await made.read()
    who = Subject(issuance.name(O="New CA"), Key.from_number(9).spki, sim.now_ms, sim.now_ms + DAY_MS, 4)
    below = issuance.intermediate(CA, Key.from_number(9), who)
    sim.submit(list(below.chain[:1]) + list(CA.chain))
    sim.submit_raw(b"junk")
    sim.publish()
    await made.read()
    assert made.judge.judged == [0, 1, 2]


async def test_every_entry_of_an_issuer_that_nobody_knows_is_not_read(kit):
    """Without accepted roots every issuer is unknown: it is looked at once, and the rest costs a glance."""
    sim = issued(*range(700, 720))
    made = kit(sim)
    made.shared.trust = lambda: trust(ROGUE)
    made.inspector = EntryInspector(made.log, made.shared, 0)
    await made.read()
    sim.add(721)
    await made.read()
    assert made.judge.judged == [0]


@pytest.mark.parametrize("where", ["prepare", "judge"])
async def test_a_fault_with_one_entry_hides_no_other(kit, where):
    sim = issued(123, 123, 123)
    made = kit(sim)
    made.judge.faults[where, 1] = RecursionError("deep")
    found = await made.read()
    assert made.judge.judged == [0, 2]
    assert [alert.id for alert in found.alerts] == ["fault 1"]
    assert made.said[0][0] == "error"


@pytest.mark.parametrize("where", ["prepare", "judge"])
async def test_a_disk_that_is_full_is_no_fault_of_the_entry(kit, where):
    made = kit(issued(123))
    made.judge.faults[where, 0] = StoreError("full", reason="disk-full")
    with pytest.raises(StoreError):
        await made.read()


async def test_what_stands_aside_is_read_and_not_remembered(kit):
    sim = issued(123)
    made = kit(sim)
    await made.read(Found(is_aside=True), store=False)
    assert made.judge.judged == [0]
    assert len(made.history) == 0


async def test_some_entries_again_for_some_items(kit):
    sim = issued(700, 701)
    made = kit(sim)
    await made.read()
    made.judge.judged.clear()
    async for batch in made.log.follower.entries(sim.head, 1, 2):
        await made.inspector.again(batch, sim.head.size, Found(), frozenset(("x",)))
    assert made.judge.judged == [1]
    assert made.judge.options[-1][2] == frozenset(("x",))
    assert len(made.history) == 4  # a number and a key of each, once


async def test_a_log_that_is_filled_from_older_records(kit):
    sim = CertSim()
    sim.now_ms += 40 * DAY_MS  # numbers of the kit are valid from the start
    for number in range(100, 140):
        sim.add(number)
    sim.add(123, serial=2)
    made = kit(sim)
    await made.read()
    assert made.judge.options[-1][0] is True


async def test_caught_up_once(kit):
    made = kit(issued(700))
    await made.inspector.caught_up()
    assert made.ready == []  # nothing was read yet: whoever comes first is no news
    await made.read()
    await made.inspector.caught_up()
    await made.inspector.caught_up()
    assert made.ready == [made.log.log_id]
    assert made.inspector.is_ready


async def test_scts_of_followed_logs_in_final_certificates_are_audited(kit):
    """Those of watched items; what such an SCT says of another certificate accuses nobody."""
    sim = CertSim()
    final, sct = sim.issue(123)
    other, _ = sim.issue(124)
    sim.submit([final, *CA.chain])
    sim.submit([other, *CA.chain])
    sim.publish()
    made = kit(sim)
    found = await made.read()
    assert [(row.log_id, row.timestamp_ms, row.log_index) for row in found.scts] == [
        (sim.policy.key.log_id, sct.timestamp_ms, 0)]  # fmt: skip
    assert found.scts[0].source == "sim, entry 2"


async def test_scts_are_not_audited_where_nobody_wants_it(kit):
    sim = CertSim()
    final, _ = sim.issue(123)
    sim.submit([final, *CA.chain])
    sim.publish()
    made = kit(sim, audits=False)
    assert (await made.read()).scts == []


async def test_scts_that_do_not_hold_accuse_nobody(kit):
    sim = CertSim()
    _, sct = sim.issue(124)
    sim.submit([CA.final(number_tbs(123), [format_sct(sct)]), *CA.chain])
    sim.publish()
    made = kit(sim)
    found = await made.read()
    assert found.scts == []
    assert made.judge.judged == [0, 1]
    assert made.judge.bad_scts == ["", "the SCT's signature is not the log's over this certificate"]


async def test_glances_of_all_logs_share_what_they_know(kit):
    made = kit(issued(123))
    assert isinstance(made.shared.glancer, Glancer)
    await made.read()
    assert made.shared.stored == {0: 1}
    assert made.judge.kept
