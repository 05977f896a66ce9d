"""monitor.daemon: everything together goes on whatever fails, takes changes in, stops and starts in good order."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime

import aiohttp
import pytest

from ctlog.errors import ConfigError, StoreError, TransportError
from ctlog.issuance import DAY_MS, Key
from ctlog.wire.rfc6962 import format_sct
from monitor.checkup import Checkup
from monitor.daemon import HISTORY
from monitor.state import State
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.daemon_kit import ITEM, WATCH, DaemonKit, write
from tests.monitor.test_catalogue import b64


@pytest.fixture
def sim():
    return CertSim()


@pytest.fixture
def kit(tmp_path, sim, monkeypatch):
    return DaemonKit(tmp_path, sim, monkeypatch=monkeypatch)


async def test_from_a_log_to_the_channel(kit, sim):
    """The owner's first certificate, then a rogue CA's: each is told once, whole, and proven."""
    sim.add(123)
    async with kit.running():
        await kit.until(lambda: len(kit.told()) == 1)
        sim.add(700)
        sim.add(123, ROGUE, key=22, serial=2)
        await kit.until(lambda: len(kit.told()) >= 3)
    told = kit.told()
    assert {each["rule"] for each in told} == {"T-01", "T-10", "T-19"}
    rogue = next(each for each in told if each["rule"] == "T-10")
    assert (rogue["severity"], rogue["log"]["index"], rogue["log"]["proven_in"]) == (1, 2, 3)
    assert rogue["item"]["id"] == ITEM
    assert any(sentence.startswith("ctlog-monitor") for _, _, sentence in kit.said)


async def test_after_a_stop_it_goes_on_where_it_was(kit, sim):
    for serial in range(1, 4):
        sim.add(123, serial=serial, key=30 + serial)
        async with kit.running():
            await kit.caught_up()
            await kit.until(kit.all_sent)
    assert [each["log"]["index"] for each in kit.told()] == [0, 1, 2]  # each once: nobody has answered


async def test_two_on_one_state_are_refused(kit):
    async with kit.running():
        with pytest.raises(StoreError) as caught:
            await kit.make().run()
        assert caught.value.reason == "state-locked"


@pytest.mark.parametrize("spoil", ["lost", "empty", "damaged", "newer", "history"])
async def test_a_state_that_is_not_whole_is_never_begun_anew(kit, sim, spoil):
    sim.add(123)
    async with kit.running():
        await kit.caught_up()
    path = kit.folder / "state" / "state.sqlite"
    if spoil == "lost":
        path.unlink()
    elif spoil == "empty":
        path.write_bytes(b"")
    elif spoil == "damaged":
        path.write_bytes(path.read_bytes()[:1000] + b"\xff" * 9000)
    elif spoil == "newer":
        async with State.open(kit.folder / "state") as state:
            await state.database.write(lambda connection: connection.execute("PRAGMA user_version = 99"))
    else:
        (kit.folder / "state" / HISTORY / "manifest").unlink()
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreError) as caught:
        await kit.make().run()
    reason = {"lost": "state-missing", "history": "history-missing"}.get(spoil, f"state-{spoil}")
    assert caught.value.reason == reason
    assert (path.read_bytes() if path.exists() else None) == before


async def test_a_start_with_a_mistake_is_refused(kit):
    write(kit.folder / "watch.toml", "[[watch]]\nname = 1\n")
    with pytest.raises(ConfigError, match="line 2, column 8"):
        await kit.make().run()


# What changes while it runs -------------------------------------------------------------------------------------------


async def test_the_watch_list_is_read_again(kit, sim):
    """What is newly watched is looked up, and new entries are judged for it; what was told is not told again."""
    sim.add(123)
    sim.add(124, key=40, serial=7)
    async with kit.running():
        await kit.until(lambda: len(kit.told()) == 1)
        kit.clock.now_ms += 5000
        write(kit.folder / "watch.toml", WATCH.replace('"+12025550123"', '"+12025550123", "+12025550124"'))
        (alert,) = await kit.until(lambda: kit.alerts(item="home/number:+12025550124"))
        assert (alert.log_index, alert.proven, "T-12" in alert.rules, alert.severity) == (1, 2, True, 2)
        sim.add(124, ROGUE, key=41, serial=8)
        await kit.until(lambda: len(kit.told()) >= 3)
        assert len(await kit.alerts(item=ITEM)) == 1


async def test_a_mistake_is_said_and_told_and_the_old_one_stays(kit, sim):
    async with kit.running():
        write(kit.folder / "watch.toml", WATCH + "numbres = []\n")
        (alert,) = await kit.until(lambda: kit.alerts(kind="health"))
        assert alert.rule == "mistake"
        assert "line 5, column 1" in json.loads(alert.body)["reason"]
        said = [sentence for level, _, sentence in kit.said if level == "error"]
        assert len(said) == 1
        assert "line 5, column 1" in said[0]
        sim.add(123)
        await kit.until(lambda: kit.alerts(item=ITEM))
        write(kit.folder / "watch.toml", WATCH + "\n")

        async def is_over():
            return (await kit.daemon.state.alerts.get(alert.id)).status == "resolved"

        await kit.until(is_over)


async def test_without_a_channel_it_is_not_well_and_nothing_is_lost(kit, sim):
    """Somebody took the last channel out of the file. The heartbeat asks `is_well`."""
    path = kit.folder / "monitor.toml"
    whole = path.read_text()
    write(path, whole.replace('[channels.out]\nkind = "file"\npath = "out.jsonl"\n', ""))
    write(kit.folder / "watch.toml", WATCH.replace('tell = ["out"]\n', ""))
    sim.add(123)
    async with kit.running() as daemon:
        await kit.until(lambda: kit.alerts(item=ITEM))
        status = await daemon.status()
        assert (status.is_well, [trouble.kind for trouble in status.troubles]) == (False, ["no-way"])
        assert not await daemon._is_well()
        write(path, whole)

        async def is_told():
            return ITEM in {(each.get("item") or {}).get("id") for each in kit.told()}

        await kit.until(is_told)

        async def is_well():
            kit.clock.now_ms += 10_000
            return await daemon._is_well()

        await kit.until(is_well)


async def test_items_that_are_added_and_removed_by_command(kit, sim):
    sim.add(124, key=40, serial=7)
    table = json.dumps({"name": "shop", "numbers": ["+12025550124"], "tell": ["out"]}).encode()
    async with kit.running() as daemon:
        await kit.caught_up()
        async with State.open(kit.folder / "state", exclusive=False) as state:  # as a command does
            await state.answers.put_items([("shop", table)], 0)
            await kit.until(lambda: kit.alerts(item="shop/number:+12025550124"))
            await state.answers.put_items([("bad", b"{}")], 0)
            await kit.until(lambda: kit.alerts(kind="health"))
            assert len(daemon.watchlist) == 2  # what cannot be read keeps no other from being watched
            await state.answers.remove_item("shop", 0)
            await state.answers.remove_item("bad", 0)
        await kit.until(lambda: len(daemon.watchlist) == 1)


async def test_an_answer_that_a_command_gave(kit, sim):
    async with kit.running():
        await kit.caught_up()
        async with State.open(kit.folder / "state", exclusive=False) as state:
            await state.answers.authorise("key", key_hash(21), "", "me", "", 0)
            await kit.until(lambda: kit.daemon._judge._answers)
        sim.add(123)
        await kit.caught_up()
        assert await kit.rules() == []


def key_hash(number):
    return hashlib.sha256(Key.from_number(number).spki).hexdigest()


async def test_logs_come_and_go(kit, sim):
    other = CertSim("two.example/log", secret=8)
    other.add(123)
    async with kit.running() as daemon:
        await kit.caught_up()
        kit.sims[other.policy.key.log_id] = other
        kit.configure()
        await kit.caught_up()
        await kit.until(lambda: kit.alerts(item=ITEM))
        del kit.sims[other.policy.key.log_id]
        kit.configure()
        await kit.until(lambda: set(daemon.following.logs) == {sim.policy.key.log_id})


async def test_a_log_by_its_description_over_https(kit):
    other = CertSim("two.example/log", secret=8)
    other.add(123)
    kit.web["https://two.example/log.v3.json"] = json.dumps(
        {"key": b64(other.policy.key.spki), "monitoring_url": "https://two.example/log/", "mmd": 60,
         "submission_url": "https://two.example/log/"}
    ).encode()  # fmt: skip
    kit.configure(more='[[log]]\nlog_v3 = "https://two.example/log.v3.json"\n')
    kit.sims[other.policy.key.log_id] = other
    async with kit.running():
        await kit.until(lambda: kit.alerts(item=ITEM))
    assert kit.asked == ["https://two.example/log.v3.json"]


@pytest.mark.parametrize(("begin", "found"), [('"first"', {0, 1}), ('"newest"', set()), ("2025-10-19", {1})])
async def test_where_a_log_is_begun(kit, sim, begin, found):
    """At its first entry, at its newest, or at a date: what was logged before is not read."""
    sim.add(123)
    sim.now_ms += 20 * DAY_MS  # the simulator begins on 2025-10-09
    sim.add(123, ROGUE, key=22, serial=2)
    kit.clock.now_ms = sim.now_ms
    path = kit.folder / "monitor.toml"
    write(path, path.read_text().replace("[[log]]", f"[[log]]\nbegin = {begin}"))
    async with kit.running():
        await kit.caught_up()
        assert {row.log_index for row in await kit.alerts(item=ITEM)} == found


# What fails -----------------------------------------------------------------------------------------------------------


async def test_a_log_that_does_not_answer_is_an_alert_and_stops_no_other(kit, sim):
    other = CertSim("two.example/log", secret=8)
    kit.sims[other.policy.key.log_id] = other
    kit.configure()
    kit.unreachable[other.policy.key.log_id] = TransportError("no such host")
    async with kit.running():
        sim.add(123)
        await kit.until(lambda: kit.alerts(item=ITEM))
        kit.clock.now_ms += 7 * 3_600_000
        await kit.until(lambda: kit.alerts(kind="health"))
        health = [alert for alert in await kit.alerts(kind="health") if "two.example" in alert.summary]
        assert [(alert.rule, alert.severity) for alert in health] == [("unreachable", 2)]
        kit.unreachable.clear()

        async def is_over():
            return (await kit.daemon.state.alerts.get(health[0].id)).status == "resolved"

        await kit.until(is_over)
        assert await kit.alerts(kind="misbehaviour") == []


async def test_a_log_that_lies_is_told_with_evidence_and_is_no_backlog(kit, sim):
    sim.add(123)
    sim.add(700)
    async with kit.running():
        await kit.caught_up()
        sim._forge(1)
        sim.publish()
        (lie,) = await kit.until(lambda: kit.alerts(kind="misbehaviour"))
        assert (lie.rule, lie.severity) == ("log-fork", 1)
        file = json.loads(lie.body)["file"]
        assert (kit.folder / "state" / "evidence" / file).exists()
        await kit.until(lambda: any(each["kind"] == "misbehaviour" for each in kit.told()))
        kit.clock.now_ms += 10_000
        assert [trouble.kind for trouble in await kit.daemon.troubles()] == ["log-fork"]
        assert await kit.alerts(kind="health") == []


async def test_it_says_how_it_is(kit, sim):
    sim.add(123)
    async with kit.running() as daemon:
        await kit.caught_up()
        async with aiohttp.ClientSession() as session:

            async def is_well():
                async with session.get(daemon.url + "health") as answer:
                    return answer.status == 200

            await kit.until(is_well)  # it has one head
            async with session.get(daemon.url + "health") as answer:
                health = await answer.json()
                assert (answer.status, health["ok"], health["items"]) == (200, True, 1)
                assert [(log["name"], log["read"], log["left_s"]) for log in health["logs"]] == [(sim.origin, 1, 0.0)]
            async with session.get(daemon.url + "metrics") as answer:
                assert answer.status == 200
                assert sim.origin in await answer.text()


async def test_a_full_disk_loses_nothing(kit, sim, monkeypatch):
    """Whatever cannot be stored is said, and tried again until it can."""
    async with kit.running() as daemon:
        await kit.caught_up()
        full = [True]
        real = daemon.state.database.write

        async def write_(work):
            if full:
                raise StoreError("database or disk is full", reason="disk-full")
            return await real(work)

        monkeypatch.setattr(daemon.state.database, "write", write_)
        sim.add(123)
        write(kit.folder / "watch.toml", WATCH.replace('"+12025550123"', '"+12025550123", "+12025550199"'))
        await kit.until(lambda: {log for _, log, sentence in kit.said if "full" in sentence} >= {sim.origin})
        await kit.until(lambda: any(log == "reads its files again" for _, log, _ in kit.said))
        full.clear()
        await kit.until(lambda: len(kit.told()) == 1)
        await kit.until(lambda: len(daemon.watchlist) == 2)


async def test_a_full_disk_is_told_at_once_though_nothing_can_be_stored(kit, monkeypatch):
    """Health says it without the state, and one unstored word goes over the channels."""
    async with kit.running() as daemon:
        await kit.caught_up()
        full = True
        real = daemon.state.database.write

        async def write_(work):
            if full:
                raise StoreError("database or disk is full", reason="disk-full")
            return await real(work)

        monkeypatch.setattr(daemon.state.database, "write", write_)

        async def health():
            async with aiohttp.ClientSession() as session, session.get(daemon.url + "health") as answer:
                return (await answer.json())["reasons"]

        async def is_said():
            return any(reason["kind"] == "store" for reason in await health())

        await kit.until(is_said)
        assert "disk is full" in (await health())[0]["sentence"]
        assert "does not answer" not in str(await health())
        words = await kit.until(lambda: kit.told())
        assert [word["rule"] for word in words] == ["store"]
        assert "disk is full" in words[0]["reason"]
        full = False

        async def is_well():
            return await health() == []

        await kit.until(is_well)
        # A look after the first write that works, before the trouble is over, stores it and tells it again: by one id.
        assert len({word["id"] for word in kit.told()}) == 1


async def test_a_state_that_is_removed_while_it_runs_ends_it(kit):
    async def lose():
        async with kit.running() as daemon:
            await kit.caught_up()
            (kit.folder / "state" / "state.sqlite").rename(kit.folder / "elsewhere")
            await kit.until(daemon._parts.fatal.done)

    with pytest.raises(StoreError) as caught:
        await lose()
    assert caught.value.reason == "state-gone"


async def test_a_damaged_state_ends_it(kit, monkeypatch):
    async def damaged(self):
        raise StoreError("the database disk image is malformed", reason="state-damaged")

    monkeypatch.setattr(Checkup, "look", damaged)
    async with asyncio.timeout(20):
        with pytest.raises(StoreError, match="malformed"):
            await kit.make().run()


async def test_a_fault_in_one_part_stops_no_other(kit, sim, monkeypatch):
    async with kit.running() as daemon:

        async def broken():
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(daemon._roster, "refresh", lambda *_: broken())
        await kit.until(lambda: any("a bug" in sentence for _, _, sentence in kit.said))
        sim.add(123)
        await kit.until(lambda: kit.told())
        kit.clock.now_ms += 10 * 60_000
        found = await kit.until(lambda: kit.alerts(kind="health"))
        assert "part" in {alert.rule for alert in found}


# What is handed in ----------------------------------------------------------------------------------------------------


async def test_an_event_that_is_handed_in(kit, sim):
    sim.add(123)
    async with kit.running():
        await kit.until(lambda: kit.alerts(item=ITEM))
        kit.clock.now_ms = sim.now_ms
        assert await kit.post("v1/events", {"kind": "sim", "number": "+12025550123"}) == (200, {"events": 1})
        sim.add(123, key=23, serial=3)
        await kit.until(lambda: any(each["rule"] == "T-10" for each in kit.told()))


async def test_attack_an_event_that_is_handed_in_after_the_certificate(kit, sim):
    sim.add(123)
    async with kit.running() as running:
        await kit.until(lambda: kit.alerts(item=ITEM))
        await running.state.answers.authorise("issuer", "example @ test", ITEM, "me", "", 0)
        await running.handed_in()
        swap = datetime.fromtimestamp(sim.now_ms / 1000, UTC).isoformat()
        sim.now_ms += 3_600_000
        kit.clock.now_ms = sim.now_ms
        sim.add(123, key=23, serial=3)
        await kit.caught_up()
        await kit.post("v1/events", {"kind": "sim", "number": "+12025550123", "at": swap})
        await kit.until(lambda: any(each["rule"] == "T-10" for each in kit.told()))


async def test_scts_that_are_handed_in_are_audited_until_they_are_merged(kit, sim):
    final, sct = sim.issue(700)
    async with kit.running() as daemon:
        await kit.caught_up()
        kit.clock.now_ms = sim.now_ms
        chain = [b64(each) for each in (final, *CA.chain)]
        for scts, new in (([], 1), ([b64(format_sct(sct))], 0)):
            status, answer = await kit.post("v1/scts", {"chain": chain, "scts": scts})
            assert (status, answer["taken"], answer["new"]) == (200, 1, new)

        async def are_settled():
            return await daemon.state.audits.counts() == {"merged": 1}

        await kit.until(are_settled)


async def test_a_promise_that_was_not_kept_is_proof(kit, sim):
    """The log signed an SCT, and then logged something else at that place."""
    tbs = number_tbs(700)
    leaf = sim.submit([CA.precertificate(tbs), *CA.chain])
    sct = format_sct(sim.sct(leaf))
    final = CA.final(tbs, [sct])
    sim.tree.leaves.pop()
    sim.tree.inputs.pop()
    sim.tree.levels = [b""]
    sim.add(701)
    async with kit.running():
        await kit.caught_up()
        kit.clock.now_ms = sim.now_ms
        status, _ = await kit.post("v1/scts", {"chain": [b64(each) for each in (final, *CA.chain)]})
        assert status == 200
        sim.now_ms += 2 * DAY_MS
        kit.clock.now_ms = sim.now_ms
        sim.add(702)
        (lie,) = await kit.until(lambda: kit.alerts(kind="misbehaviour"))
        assert (lie.rule, json.loads(lie.body)["class"]) == ("log-broken-sct", "proof")
