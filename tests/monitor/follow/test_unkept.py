"""monitor.follow.unkept: a promise that a log did not keep is told to whoever owns the number (T-20)."""

import json

import pytest

from ctlog.errors import StoreError, TransportError
from ctlog.wire.b64 import format_base64
from ctlog.wire.rfc6962 import format_merkle_tree_leaf, format_sct
from ctlog.x509.der import parse_certificate
from monitor.alert_text import alert_text
from monitor.follow.unkept import UNKEPT, Unkept, plan_unkept
from monitor.state import State, make_state
from monitor.state.rows import CertificateRow, NewAlert, SctRow
from tests.cert_sim import CA, CertSim, number_tbs
from tests.daemon_kit import ITEM, WATCH, DaemonKit
from tests.follow_kit import followed

EXPECTING = WATCH + 'expect = {issuers = ["Example"]}\n'


# Through the whole daemon ------------------------------------------------------------------------------------------


@pytest.fixture
def sim():
    return CertSim()


@pytest.fixture
def kit(tmp_path, sim, monkeypatch):
    return DaemonKit(tmp_path, sim, watch=EXPECTING, monkeypatch=monkeypatch)


def promised(sim, number, **options):
    """A certificate with an SCT of the log for its second entry, and its chain. It is not logged."""
    draft = CertSim(sim.origin)
    draft.add(700)
    certificate, _ = draft.issue(number, **options)
    return certificate, CA.chain


async def hand_in(kit, certificate, chain):
    kit.clock.now_ms += 60_000  # later than the SCT
    status, answer = await kit.post("v1/scts", {"chain": [format_base64(der) for der in (certificate, *chain)]})
    assert (status, answer["new"]) == (200, 1)


async def lie(kit):
    """The log's accusation."""
    (found,) = await kit.until(lambda: kit.alerts(kind="misbehaviour"))
    return found


async def t20(kit):
    async def find():
        return [row for row in await kit.alerts(item=ITEM) if "T-20" in row.rules]

    (found,) = await kit.until(find)
    return found


async def test_a_certificate_that_is_used_and_was_never_logged(kit, sim):
    """Somebody hands in what he was called with: nobody who reads the log would ever see it, and the owner is told."""
    sim.add(700)
    sim.add(701)
    async with kit.running():
        await kit.caught_up()
        await hand_in(kit, *promised(sim, 123))
        assert (await lie(kit)).rule == "log-broken-sct"
        alert = await t20(kit)
        assert (alert.rule, alert.severity, alert.log_index, alert.proven) == ("T-20", 1, None, None)
        document = json.loads(alert.body)
        assert f"The log {sim.origin} did not keep its promise to log it" in document["reason"]
        assert document["log"]["index"] is None
        assert "none: it was promised, and is not there" in alert_text(document)
        await kit.until(lambda: any(each["rule"] == "T-20" for each in kit.told()))
        assert await kit.daemon.state.audits.tasks(kind=UNKEPT) == []


async def test_a_certificate_that_stands_elsewhere_is_judged_there(tmp_path, sim, monkeypatch):
    """Its chain is known from where it stands, so that the promise is all that is wrong with it."""
    other = CertSim("other.example/log", 9)
    kit = DaemonKit(tmp_path, sim, other, watch=EXPECTING, monkeypatch=monkeypatch)
    sim.add(700)
    sim.add(701)
    certificate, chain = promised(sim, 123)
    other.submit([certificate, *chain])
    other.publish()
    kit.clock.now_ms += 60_000
    async with kit.running():
        await lie(kit)  # its SCT was found in it
        alert = await t20(kit)
        assert (alert.rules, alert.severity) == (("T-20",), 1)
        assert (alert.log_id, alert.log_index, alert.proven) == (other.policy.key.log_id, 0, 1)


async def test_near_miss_a_promise_that_is_kept(kit, sim):
    sim.add(700)
    certificate, _ = sim.issue(123)
    async with kit.running() as daemon:
        await kit.caught_up()
        await hand_in(kit, certificate, CA.chain)
        await kit.until(lambda: is_settled(daemon))
        assert await daemon.state.audits.counts() == {"merged": 1}
        assert await kit.alerts(item=ITEM) == []


async def is_settled(daemon):
    return not (await daemon.state.audits.counts()).get("waiting")


async def test_near_miss_a_number_that_nobody_watches(kit, sim):
    sim.add(700)
    sim.add(701)
    async with kit.running() as daemon:
        await kit.caught_up()
        await hand_in(kit, *promised(sim, 555))
        await lie(kit)

        async def is_done():
            audits = daemon.state.audits
            return await audits.tasks(open_only=False, kind=UNKEPT) and not await audits.tasks()

        await kit.until(is_done)
        assert [row.rule for row in await kit.alerts() if row.addressee == "owner"] == []


# One by one --------------------------------------------------------------------------------------------------------


class Fake:
    """Judges by putting one alert for each place into what was found."""

    def __init__(self):
        self.error: Exception | None = None
        self.reads, self.events, self.promises = True, [], 0

    def _judge(self, found, name):
        self.events.append(found.log_events)
        alert = NewAlert(name, "certificate", 1, "T-20", ("T-20",), "owner", "x", b"{}", ("mail",), log_index=7)
        found.alerts.append(alert)

    async def promised(self, leaf, found):
        self.promises += 1
        self._judge(found, "promised")

    async def again(self, log_id, index, only, found):
        assert only is None
        if self.error is not None:
            raise self.error
        if self.reads:
            self._judge(found, f"entry {index}")
        return self.reads

    def stored(self, log_id, found):
        self.events.append("stored")


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as opened:
        yield opened


async def broken(state, sim, *places):
    """A broken promise, as the audit stores it; `places`: where the certificate stands."""
    leaf = sim.submit([CA.precertificate(number_tbs(123)), *CA.chain])
    data = format_merkle_tree_leaf(leaf.timestamped)
    row = SctRow("1", sim.policy.key.log_id, format_sct(sim.sct(leaf)), data, 0, 0, "test", 0, "waiting", "", None)
    await state.audits.add([row])
    await state.audits.settle([("1", "broken", "another stands there")], 5, tasks=[plan_unkept(row)])
    issuer = number_issuer(sim)
    rows = [CertificateRow(*issuer, b"k", b"L" * 32, index, 1, "") for index in places]
    await state.audits.store_found([], 0, certificates=rows)


def number_issuer(sim):
    parsed = parse_certificate(sim.tree.leaves[0].pre_certificate)
    return parsed.issuer, parsed.serial


def unkept(state, sim, fake, told=lambda: None):
    return Unkept(followed(sim), state, fake, fake, lambda: 9, told)


@pytest.mark.parametrize("reads", [True, False, TransportError("no such host")])
async def test_where_it_stands_or_by_what_was_promised(state, reads):
    """A place that cannot be read now keeps nobody waiting."""
    sim, fake, told = CertSim(), Fake(), []
    await broken(state, sim, 7, 8)
    fake.reads, fake.error = (reads, None) if isinstance(reads, bool) else (True, reads)
    await unkept(state, sim, fake, lambda: told.append(1)).work()
    (alert,) = await state.alerts.find()
    assert (alert.id, alert.log_index) == (("entry 7", 7) if reads is True else ("promised", None))
    assert [event.rule for event in fake.events[0]] == ["T-20"]
    assert "another stands there" in fake.events[0][0].what
    assert told == [1]
    await unkept(state, sim, fake).work()
    assert len(await state.alerts.find()) == 1
    assert fake.promises == (0 if reads is True else 1)


async def test_another_logs_promises_are_its_own_affair(state):
    sim, fake = CertSim(), Fake()
    await broken(state, sim)
    await unkept(state, CertSim("other.example", 9), fake).work()
    assert len(await state.audits.tasks(kind=UNKEPT)) == 1
    assert fake.events == []


async def test_a_full_disk_keeps_it_to_be_told(state):
    sim, fake = CertSim(), Fake()
    await broken(state, sim, 7)
    fake.error = StoreError("full", reason="disk-full")
    with pytest.raises(StoreError):
        await unkept(state, sim, fake).work()
    assert len(await state.audits.tasks(kind=UNKEPT)) == 1
    fake.error = None
    await unkept(state, sim, fake).work()
    assert [alert.id for alert in await state.alerts.find()] == ["entry 7"]
