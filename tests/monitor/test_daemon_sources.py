"""What stands outside of logs, from its source to the alert, through the whole daemon; and nothing before it is on."""

from hashlib import sha256

import pytest

from ctlog import issuance
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.tn.numbers import TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import format_tlv
from monitor.daemon import SOURCES, Daemon
from monitor.entry import Place, read_entry
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.daemon_kit import ITEM, WATCH, DaemonKit
from tests.monitor.test_sources import crl_of, der
from tests.monitor_kit import trust

CRL, TABLE, LIST = "https://pa.example/crl", "https://codes.example/table.csv", "https://tn.example/list"
CODES = '[[watch]]\nname = "codes"\ntell = ["out"]\ntrust_domain = "test"\ncodes = ["709J"]\n'


@pytest.fixture
def sim():
    return CertSim()


@pytest.fixture
def kit(tmp_path, sim, monkeypatch):
    return DaemonKit(tmp_path, sim, monkeypatch=monkeypatch)


def switch_on(kit, **sources):
    words = "\n".join(f"{key} = {value}" for key, value in {"every_s": 60, **sources}.items())
    kit.configure(more=f"[sources]\n{words}\n")


def by_reference(sim, url=LIST, serial=9):
    who = Subject(issuance.name(O="Owner Inc"), Key.from_number(21).spki, sim.now_ms, sim.now_ms + 90 * DAY_MS, serial)
    tbs = CA.leaf(who, [issuance.END_ENTITY, issuance.tn_auth_list_by_reference(url)])
    sim.submit([CA.precertificate(tbs), *CA.chain])
    sim.publish()


def carrier(sim, holder, serial, key=50, authority=CA):
    tbs = issuance.shaken_leaf(
        authority, Key.from_number(key).spki, "709J", holder, not_before_ms=sim.now_ms,
        not_after_ms=sim.now_ms + DAY_MS, serial=serial,
    )  # fmt: skip
    sim.submit([authority.precertificate(tbs), *authority.chain])
    sim.publish()


async def rule_for(kit, rule, item=ITEM):
    """The alert that this rule is part of."""

    async def find():
        return next((row for row in await kit.alerts(item=item) if rule in row.rules), None)

    return await kit.until(find)


def again(kit):
    """Sources are asked again, as they would be after their time."""
    kit.daemon._parts.wake(SOURCES)


async def test_nothing_is_asked_that_nobody_switched_on(kit, sim):
    sim.add(123)
    by_reference(sim)
    async with kit.running():
        await kit.until(lambda: len(kit.told()) >= 2)
        again(kit)
        await kit.caught_up()
    assert kit.asked == []


async def test_a_certificate_is_revoked_and_its_key_is_seen_again(kit, sim):
    """What was logged before the revocation is looked up, and what comes after it is judged by it."""
    sim.add(123, serial=5)
    sim.add(123, serial=6)  # the same key, under another serial number
    kit.web[CRL] = der(crl_of(CA, 77))
    switch_on(kit, crl=f'["{CRL}"]')
    async with kit.running():
        await kit.until(kit.all_sent)
        assert await kit.rules() == [("T-01", 2), ("T-01", 2)]  # the first, and one more by an issuer not answered for
        kit.web[CRL] = der(crl_of(CA, 77, 5))
        again(kit)
        alert = await rule_for(kit, "T-18")
        assert (alert.severity, alert.log_index) == (1, 1)
        sim.add(123, serial=7)
        await kit.until(lambda: {each["log"]["index"] for each in kit.told() if each["rule"] == "T-18"} == {1, 2})


def unwatched(sim, holder, *, key=21, serial=9, authority=CA):
    """A certificate for a number that nobody watches, with the key of one that is watched."""
    end_ms = sim.now_ms + 300 * DAY_MS
    who = Subject(issuance.name(O=holder), Key.from_number(key).spki, sim.now_ms, end_ms, serial)
    tbs = issuance.delegate_leaf(authority, who, issuance.one("12025559999"))
    sim.submit([authority.precertificate(tbs), *authority.chain])
    sim.publish()


async def test_attack_somebody_else_gets_the_owner_s_key_certified(kit, sim):
    """For a number that nobody watches: the owner of the key is told all the same (T-16)."""
    async with kit.running():
        sim.add(123)
        await kit.until(lambda: kit.alerts(item=ITEM))
        unwatched(sim, "Owner Inc", serial=8)  # his own other number: nothing to be told
        await kit.caught_up()
        unwatched(sim, "Somebody Else")
        alert = await rule_for(kit, "T-16")
        assert (alert.severity, alert.log_index) == (1, 0)
        (operator,) = [row for row in await kit.alerts() if row.rule == "T-16" and row.addressee == "operator"]
        assert operator.log_index == 2


async def test_attack_a_revoked_key_comes_back_for_another_number(kit, sim):
    """In the owner's own name, so that it is no other holder's: his revoked key is in use again (T-18)."""
    kit.web[CRL] = der(crl_of(CA, 5))
    switch_on(kit, crl=f'["{CRL}"]')
    async with kit.running() as daemon:
        sim.add(123, serial=5)
        await kit.until(lambda: kit.alerts(item=ITEM))
        unwatched(sim, "Owner Inc", serial=8)
        await kit.caught_up()
        again(kit)
        await kit.until(lambda: daemon._sources.known.revocations.by_key(sha256(Key.from_number(21).spki).digest()))
        unwatched(sim, "Owner Inc", serial=10)
        alert = await rule_for(kit, "T-18")
        assert (alert.severity, alert.log_index) == (1, 0)


async def test_what_stands_at_a_reference(kit, sim):
    """Taken as the certificate's own scope at first; a change that adds the item is S2; one that is gone is told."""
    kit.web[LIST] = format_tnauthlist([TelephoneNumber("12025559999")])
    switch_on(kit, references="true")
    by_reference(sim)
    async with kit.running():
        await kit.caught_up()
        assert await kit.alerts(item=ITEM) == []
        kit.web[LIST] = format_tnauthlist([TelephoneNumber("12025559999"), TelephoneNumber("12025550123")])
        kit.clock.now_ms += 3_600_000
        again(kit)
        alert = await rule_for(kit, "T-17")
        assert alert.severity <= 2
        versions = await kit.daemon.state.answers.snapshots(LIST)
        assert [len(version.sha256) for version in versions] == [32, 32]  # each archived, with its hash


async def test_a_table_of_codes(kit, sim):
    """T-03 and the like know who holds a code."""
    kit.web[TABLE] = b"code,holder\n709J,Rightful Carrier Inc\n"
    (kit.folder / "watch.toml").write_text(CODES)
    switch_on(kit, codes=f'"{TABLE}"')
    async with kit.running() as daemon:
        await kit.until(lambda: daemon._sources.known.codes)
        carrier(sim, "Somebody Else LLC", 11)
        await kit.until(lambda: kit.told())
        (alert,) = await kit.alerts(item="codes/spc:709J@test")
        assert "Rightful Carrier" in alert.body.decode() or "rightful carrier" in alert.body.decode()


async def test_a_key_is_found_to_be_weak_after_it_was_certified(kit, sim):
    """T-15: by a list that is put in force while the monitor runs; another key is not called weak."""
    weak = sha256(Key.from_number(21).spki).hexdigest()
    sim.add(123, serial=5)
    sim.add(123, serial=6, key=22)
    (kit.folder / "watch.toml").write_text(WATCH + 'expect = {issuers = ["Example"]}\n')
    async with kit.running():
        await kit.caught_up()
        assert await kit.rules() == []
        (kit.folder / "weak.txt").write_text(f"# found by somebody\n{weak}\n")
        switch_on(kit, weak_keys='"weak.txt"')
        alert = await rule_for(kit, "T-15")
        assert alert.severity == 2
        sim.add(123, serial=7)
        await kit.caught_up()

        async def weak_ones():
            found = [row for row in await kit.alerts(item=ITEM) if "T-15" in row.rules]
            return sorted(row.log_index for row in found) if len(found) == 2 else None

        assert await kit.until(weak_ones) == [0, 2]


async def test_an_attribute_that_diverts_calls(kit, sim):
    """T-25: which extensions these are is configured; the owner's own place is no alarm, a stranger's is."""
    watch = WATCH + 'expect = {uris = ["https://cps.example/"], issuers = ["Example"]}\n'
    (kit.folder / "watch.toml").write_text(watch)
    oid = "1.3.6.1.4.1.99999.1"

    def certify(place, serial, oid=oid):
        who = Subject(issuance.name(O="Owner Inc"), Key.from_number(21).spki, sim.now_ms, sim.now_ms + DAY_MS, serial)
        diverts = issuance.extension(oid, format_tlv(0x16, place))
        usual = (issuance.END_ENTITY, issuance.DIGITAL_SIGNATURE)
        tbs = CA.leaf(who, [*usual, issuance.tn_auth_list(issuance.one("12025550123")), diverts])
        sim.submit([CA.precertificate(tbs), *CA.chain])
        sim.publish()

    kit.configure(more=f'[attributes]\n"{oid}" = "a place for calls"\n')
    async with kit.running():
        certify(b"https://cps.example/1", 1)
        certify(b"https://evil.example/1", 2, oid="1.3.6.1.4.1.99999.2")
        certify(b"https://evil.example/1", 3)
        alert = await rule_for(kit, "T-25")
        await kit.caught_up()
        assert [(row.rule, row.severity, row.log_index) for row in await kit.alerts(item=ITEM)] == [("T-25", 2, 2)]
        assert "a place for calls with https://evil.example/1" in alert.body.decode()


async def test_a_source_that_fails_is_told_after_hours_and_what_it_said_stays(kit, sim):
    sim.add(123, serial=5)
    kit.web[CRL] = der(crl_of(CA, 5))
    switch_on(kit, crl=f'["{CRL}"]')
    async with kit.running() as daemon:
        await kit.caught_up()
        await kit.until(lambda: daemon._sources.known.revoked)
        kit.web[CRL] = b"<html>"
        again(kit)
        await kit.until(lambda: CRL in daemon._sources_failing)
        sim.add(123, serial=6)
        await rule_for(kit, "T-18")
        kit.clock.now_ms += 7 * 3_600_000
        sim.now_ms = kit.clock.now_ms
        sim.publish()

        async def is_told():
            return [row for row in await kit.alerts(kind="health") if "pa.example" in row.summary]

        await kit.until(is_told)


async def test_strangers_urls_lead_nowhere_inside(kit, sim):
    """The real fetcher: no address of this machine or network is ever connected to, whatever a certificate says."""
    by_reference(sim, "https://127.0.0.1:8443/list")
    switch_on(kit, references="true")

    def make():
        return Daemon(kit.folder / "monitor.toml", now_ms=kit.clock, says=kit.says, reach=kit.reach, get=kit.get)

    kit.make = make
    async with kit.running() as daemon:
        await kit.caught_up()

        async def snapshot():
            return await daemon.state.answers.snapshots("https://127.0.0.1:8443/list")

        (version,) = await kit.until(snapshot)
        assert version.body == b""
        assert "inside a private network" in version.error


async def test_a_certificate_that_was_authorised_before_it_was_issued(kit, sim):
    """By what will be certified: the owner is not told of what he has said yes to, and of any other he is."""
    before = CA.precertificate(number_tbs(123, serial=8))
    draft = CertSim("other.example", 9)
    draft.submit([before, *CA.chain])
    place = Place(bytes(32), "draft", 0)
    entry = read_entry(place, draft.tree.inputs[0], pre_certificate=before, chain=CA.chain, trust=trust())
    async with kit.running() as daemon:
        await daemon.state.answers.authorise("certificate", entry.issuance.hex(), ITEM, "me", "", 0)
        await daemon.handed_in()
        sim.add(123, serial=8)
        await kit.caught_up()
        assert await kit.rules() == []
        sim.add(123, ROGUE, serial=9, key=30)
        await kit.until(lambda: kit.alerts(item=ITEM))


async def test_the_issuers_of_a_code_are_shown_at_enrolment(kit, sim):
    """Whoever had issued for it is shown for a yes or no, each once; renewals are no alarm, and who is refused is."""
    for authority, holder, serial in ((CA, "Owner Inc", 1), (CA, "Owner Inc", 2), (ROGUE, "Mallory LLC", 3)):
        carrier(sim, holder, serial, key=50 + serial, authority=authority)
    (kit.folder / "watch.toml").write_text("")
    async with kit.running():
        await kit.caught_up()
    kit.clock.now_ms = sim.now_ms + 60_000
    (kit.folder / "watch.toml").write_text(CODES)
    code = "codes/spc:709J@test"
    async with kit.running() as daemon:

        async def shown():
            found = [row for row in await kit.alerts(item=code) if "T-12" in row.rules]
            return found if len(found) == 2 and not await daemon.state.audits.tasks() else None

        found = await kit.until(shown)
        assert [row.severity for row in found] == [2, 2]
        assert sorted(row.log_index for row in found) == [0, 2]
        rogue = next(row for row in found if row.log_index == 2)
        sim.now_ms = kit.clock.now_ms + 1000
        carrier(sim, "Owner Inc", 4, key=54)
        carrier(sim, "Mallory LLC", 5, key=55, authority=ROGUE)
        await kit.caught_up()
        assert all(row.severity > 2 for row in await kit.alerts(item=code) if row.log_index > 2), "they count as usual"
        await daemon.state.answers.authorise("issuer", "rogue @ test", code, "me", "", 0, is_refusal=True)
        await daemon.handed_in()
        carrier(sim, "Mallory LLC", 6, key=56, authority=ROGUE)

        async def told():
            return [row for row in await kit.alerts(item=code) if row.log_index == 5 and row.severity <= 2]

        (again,) = await kit.until(told)
        assert "T-01" in again.rules
        assert rogue.summary.startswith("S2 709J: certificate by Rogue")


@pytest.mark.parametrize(("line", "wanted"), [
    ('holders = ["Owner Inc"]', [("T-01", 3, 0), ("T-01", 2, 2)]),
    (f'keys = ["{sha256(Key.from_number(21).spki).hexdigest()}"]', [("T-01", 3, 0), ("T-01", 2, 2)]),
    ('issuers = ["Example"]', [("T-01", 3, 0), ("T-01", 3, 1)]),
])  # fmt: skip
async def test_names_and_keys_that_are_watched(kit, sim, line, wanted):
    """The first certificate with a name or a key, and a stranger's after it; each one of an issuer."""
    (kit.folder / "watch.toml").write_text(f'[[watch]]\nname = "home"\ntell = ["out"]\n{line}\n')
    async with kit.running():
        await kit.caught_up()
        for number, authority, serial in ((700, CA, 1), (701, CA, 2), (702, ROGUE, 3)):
            sim.add(number, authority, serial=serial)
            await kit.caught_up()
        found = [(row.rule, row.severity, row.log_index) for row in await kit.alerts() if row.addressee == "owner"]
        assert sorted(found, key=lambda each: each[2]) == wanted


async def test_present_at_enrolment_and_answered(kit, sim):
    """Shown as T-12 for a yes or no; after the yes the same issuer is silent, and another one is not."""
    sim.add(123)
    (kit.folder / "watch.toml").write_text("")
    async with kit.running():
        await kit.caught_up()
    kit.clock.now_ms = sim.now_ms + 60_000
    (kit.folder / "watch.toml").write_text(WATCH)
    async with kit.running() as daemon:
        alert = await rule_for(kit, "T-12")
        assert (alert.severity, alert.proven) == (2, 1)
        await daemon.state.answers.authorise("issuer", "example @ test", ITEM, "me", "", 0)
        await daemon.state.alerts.mark_authorised(alert.id, "me", "")
        await daemon.handed_in()
        sim.now_ms = kit.clock.now_ms + 1000
        sim.add(123, serial=2)
        await kit.caught_up()
        assert len(await kit.alerts(item=ITEM)) == 1
