"""monitor.roster: what is followed stays followed, whatever happens to the descriptions of logs."""

import json

import pytest

from ctlog.errors import StoreError, TransportError
from monitor.catalogue import LogSpec
from monitor.config import parse_config
from monitor.ending import GIVEN_UP
from monitor.roster import CHECK_MS, RETRY_MS, Roster, dismiss, read_dismissed, read_known
from monitor.rules.values import DAY_MS
from monitor.state import State, make_state
from monitor.state.rows import Position, SctRow
from tests.cert_sim import CertSim
from tests.monitor.test_catalogue import ONE, TWO, b64, log_list, v3

URL, LIST = "https://x.example/log.v3.json", "https://x.example/list.json"
THREE_MS = 1_795_000_000_000


@pytest.fixture
async def state(tmp_path):
    make_state(tmp_path, 0)
    async with State.open(tmp_path) as opened:
        yield opened


class Kit:
    """A roster, a web of descriptions, and a clock."""

    def __init__(self, state, text):
        self.state, self.web, self.asked, self.said = state, {}, [], []
        self.now_ms = THREE_MS
        self.config = parse_config(f'contact = "me"\n{text}')
        self.start()

    def start(self):
        self.roster = Roster(self.state, self.get, lambda: self.now_ms, lambda *words: self.said.append(words))

    async def get(self, url):
        self.asked.append(url)
        found = self.web.get(url)
        if found is None:
            raise TransportError("no route")
        return found

    async def refresh(self, after_ms=0):
        self.now_ms += after_ms
        return await self.roster.refresh(self.config, self.state.folder)

    def names(self):
        return sorted(spec.name for spec in self.roster.specs.values())


BY_KEY = f'[[log]]\nurl = "https://one.example/"\nkey = "{b64(ONE.policy.key.spki)}"\nname = "one"\n'
BY_V3 = f'[[log]]\nlog_v3 = "{URL}"\nname = "v3"\n'
BY_LIST = f'[log_list]\nsource = "{LIST}"\nevery_s = 600\n'


async def test_logs_of_the_configuration(state):
    kit = Kit(state, BY_KEY)
    assert await kit.refresh() is True
    assert await kit.refresh() is False
    assert kit.names() == ["one"]
    assert kit.asked == []


async def test_by_its_description_which_is_looked_at_once_a_day(state):
    kit = Kit(state, BY_V3)
    assert await kit.refresh() is False
    assert kit.roster.failures[URL].sentence == "no route"
    assert kit.names() == []
    kit.web[URL] = v3()
    assert await kit.refresh(RETRY_MS - 1) is False
    assert await kit.refresh(1) is True
    assert (kit.names(), kit.roster.failures) == (["v3"], {})
    await kit.refresh(CHECK_MS - 1)
    assert len(kit.asked) == 2
    await kit.refresh(1)
    assert len(kit.asked) == 3


async def test_a_description_stays_in_force(state):
    """When it is gone, when it says something else, and over a restart; another key is told at once."""
    kit = Kit(state, BY_V3)
    kit.web[URL] = v3()
    await kit.refresh()
    first = dict(kit.roster.specs)
    kit.web[URL] = v3(monitoring_url="https://elsewhere.example/")
    assert await kit.refresh(CHECK_MS) is False
    kit.web[URL] = v3(TWO)
    kit.start()
    await kit.roster.load()
    assert kit.roster.specs == first
    assert await kit.refresh(CHECK_MS) is False
    assert kit.roster.specs == first
    assert kit.roster.failures[URL].is_grave
    assert "another key" in kit.said[-1][2]
    kit.web.clear()
    since_ms = kit.roster.failures[URL].since_ms
    await kit.refresh(RETRY_MS)
    assert (kit.roster.failures[URL].is_grave, kit.roster.failures[URL].since_ms) == (False, since_ms)
    assert kit.roster.specs == first


async def test_the_list_is_reloaded(state):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"))
    assert await kit.refresh() is True
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    assert await kit.refresh(599_999) is False
    assert await kit.refresh(1) is True
    assert kit.names() == ["one", "two"]


async def test_a_list_that_shrinks_loses_nobody(state):
    """Not even over a restart; and it is told until the list names the log again, or says that it has ended."""
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    await kit.refresh()
    kit.web[LIST] = log_list(("one", ONE, "usable"))
    for _ in range(2):
        assert await kit.refresh(600_000) is False
        assert (kit.names(), [spec.name for spec in kit.roster.lost]) == (["one", "two"], ["two"])
        kit.start()
        await kit.roster.load()
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "retired"))
    assert await kit.refresh(600_000) is False
    assert (kit.names(), kit.roster.lost) == (["one", "two"], ()), "what it owes may still come"
    assert await kit.refresh(DAY_MS) is True
    assert (kit.names(), kit.roster.lost) == (["one"], ())


# Logs that end --------------------------------------------------------------------------------------------------------


def ended(state="retired"):
    return log_list(("one", ONE, "usable"), ("two", TWO, state))


async def ends_of(state):
    return [(row.rule, row.severity) for row in reversed(await state.alerts.find(kind="health"))]


@pytest.mark.parametrize("word", ["retired", "rejected"])
async def test_a_log_that_ends_is_read_for_as_long_as_it_may_owe_something(state, word):
    """Also over restarts, and while the list cannot be read; told once when it begins to end, and once at its end."""
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    await kit.refresh()
    kit.web[LIST] = ended(word)
    await kit.refresh(600_000)
    (row,) = await state.alerts.find(kind="health")
    assert (row.rule, row.severity, row.addressee) == ("ending", 3, "operator")
    assert f"is {word}. It is read until 2026-11-19" in json.loads(row.body)["reason"]
    kit.web.clear()
    for _ in range(3):
        kit.start()
        await kit.roster.load()
        await kit.refresh(DAY_MS // 3 - 1)
        assert (kit.names(), kit.roster.lost) == (["one", "two"], ())
    await kit.refresh(3)
    assert kit.names() == ["one"]
    kit.start()
    await kit.roster.load()
    kit.web[LIST] = ended(word)
    await kit.refresh(10 * DAY_MS)
    assert kit.names() == ["one"]
    assert await ends_of(state) == [("ending", 3), ("ended", 3)]


async def test_one_that_is_not_read_to_its_end_is_read_for_a_week_more(state):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    await kit.refresh()
    log_id = TWO.policy.key.log_id
    await state.logs.add(log_id, "two", "", Position(), THREE_MS)
    two = CertSim("two.example/log", secret=9)
    for serial in range(7):
        two.add(123, serial=serial)
    await state.logs.answered(log_id, two.policy.open(two.head.note), THREE_MS)
    kit.web[LIST] = ended()
    await kit.refresh(600_000)
    await kit.refresh(7 * DAY_MS)
    assert kit.names() == ["one", "two"]
    await kit.refresh(DAY_MS)
    assert kit.names() == ["one"]
    assert await ends_of(state) == [("ending", 3), ("ended", 2)]
    row = (await state.alerts.find(kind="health"))[0]
    assert "7 more could not be read" in json.loads(row.body)["reason"]


async def test_its_promises_do_not_wait_for_ever(state):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    await kit.refresh()
    await state.audits.add([promise("a", TWO), promise("b", TWO), promise("c", ONE)])
    kit.web[LIST] = ended()
    await kit.refresh(600_000)
    assert await state.audits.counts() == {"waiting": 3}
    await kit.refresh(DAY_MS)
    assert await state.audits.counts() == {"waiting": 1, "given-up": 2}
    assert (await state.audits.get("a")).detail == GIVEN_UP
    row = (await state.alerts.find(kind="health"))[0]
    assert (row.rule, row.severity) == ("ended", 2)
    assert "2 SCTs of it came to nothing" in json.loads(row.body)["reason"]


def promise(name, sim):
    return SctRow(name, sim.policy.key.log_id, b"", b"", THREE_MS, None, "me", THREE_MS, "waiting", "", None)


async def test_one_that_the_list_takes_back_goes_on(state):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    await kit.refresh()
    kit.web[LIST] = ended()
    await kit.refresh(600_000)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "readonly"))
    await kit.refresh(600_000)
    await kit.refresh(10 * DAY_MS)
    assert (kit.names(), kit.roster.lost) == (["one", "two"], ())
    kit.web[LIST] = ended()
    await kit.refresh(DAY_MS)
    assert await ends_of(state) == [("ending", 3), ("ending", 3)], "it is another end"


async def test_one_that_had_ended_before_is_not_begun(state):
    """The near miss: nobody reads what the list calls ended from the first."""
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = ended()
    await kit.refresh()
    assert (kit.names(), await ends_of(state)) == (["one"], [])


async def test_a_stop_between_the_word_and_the_memory_tells_twice_and_never_not_at_all(state, monkeypatch):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    await kit.refresh()
    kit.web[LIST] = ended()

    async def full(*args):
        raise StoreError("full", reason="disk-full")

    with monkeypatch.context() as patch:
        patch.setattr(state.alerts, "raise_all", full)
        with pytest.raises(StoreError):
            await kit.refresh(600_000)
    kit.start()
    await kit.roster.load()
    await kit.refresh(600_000)
    assert (kit.names(), await ends_of(state)) == (["one", "two"], [("ending", 3)])


async def test_a_list_that_nobody_makes_anew_is_told(state):
    """It is there, and signed as ever: but logs that began since are not on it."""
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), when="2026-11-10T00:00:00Z")
    await kit.refresh()
    made_ms = 1_794_268_800_000
    await kit.refresh(made_ms + 70 * DAY_MS - kit.now_ms)
    assert kit.roster.failures == {}
    await kit.refresh(600_000)
    assert (kit.names(), kit.roster.failures[LIST].is_grave) == (["one"], True)
    assert "made on 2026-11-10, more than 70 days ago" in kit.roster.failures[LIST].sentence
    kit.web[LIST] = log_list(("one", ONE, "usable"), when="2027-01-18T00:00:00Z")
    await kit.refresh(600_000)
    assert kit.roster.failures == {}


async def test_one_that_was_lost_can_be_let_go_until_the_list_names_it_again(state):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    await kit.refresh()
    log_id = TWO.policy.key.log_id
    await dismiss(state, log_id)  # too early: it is listed
    await kit.refresh()
    assert (kit.names(), await read_dismissed(state)) == (["one", "two"], set())
    kit.web[LIST] = log_list(("one", ONE, "usable"))
    await kit.refresh(600_000)
    assert [spec.name for spec in kit.roster.lost] == ["two"]
    await dismiss(state, log_id)
    assert await kit.refresh() is True
    assert (kit.names(), kit.roster.lost) == (["one"], ())
    kit.start()
    await kit.roster.load()
    await kit.refresh(600_000)
    assert kit.names() == ["one"]
    kit.web[LIST] = log_list(("one", ONE, "usable"), ("two", TWO, "usable"))
    assert await kit.refresh(600_000) is True
    kit.web[LIST] = log_list(("one", ONE, "usable"))
    await kit.refresh(600_000)
    assert (kit.names(), [spec.name for spec in kit.roster.lost]) == (["one", "two"], ["two"])


async def test_what_commands_know(state):
    """As it was remembered, and as the configuration names it since: one that was taken out is followed no longer."""
    kit = Kit(state, BY_KEY.replace(b64(ONE.policy.key.spki), b64(TWO.policy.key.spki)) + BY_LIST)
    assert await read_known(state, kit.config) == ({TWO.policy.key.log_id: kit_spec(kit)}, frozenset())
    kit.web[LIST] = log_list(("listed", ONE, "usable"))
    await kit.refresh()
    known = await read_known(state, kit.config)
    assert sorted(spec.name for spec in known.specs.values()) == ["listed", "one"]
    assert known.listed == {ONE.policy.key.log_id}
    kit.config = parse_config(f'contact = "me"\n{BY_V3}')
    assert await read_known(state, kit.config) == ({}, frozenset())
    kit.web[URL] = v3()
    await kit.refresh()
    assert [spec.name for spec in (await read_known(state, kit.config)).specs.values()] == ["v3"]
    assert await read_known(state, parse_config('contact = "me"\n')) == ({}, frozenset())


def kit_spec(kit):
    (log,) = kit.config.logs
    return LogSpec(log.name, log.url, log.key, log.form, log.origin, log.mmd_ms, log.begin, "configuration")


async def test_a_list_that_cannot_be_read_or_is_older_stays_as_it_was(state):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"))
    await kit.refresh()
    for bad, grave in ((None, False), (b"junk", True), (log_list(when="2026-10-01T00:00:00Z"), True)):
        kit.web[LIST] = bad
        kit.start()
        await kit.roster.load()
        assert await kit.refresh(600_000) is False
        assert (kit.names(), kit.roster.lost) == (["one"], ())
        assert kit.roster.failures[LIST].is_grave is grave


async def test_whoever_takes_the_list_away_follows_its_logs_no_more(state):
    kit = Kit(state, BY_LIST + BY_KEY.replace(b64(ONE.policy.key.spki), b64(TWO.policy.key.spki)))
    kit.web[LIST] = log_list(("listed", ONE, "usable"))
    await kit.refresh()
    assert kit.names() == ["listed", "one"]
    kit.config = parse_config(f'contact = "me"\n{BY_KEY}')
    await kit.refresh()
    assert (kit.names(), kit.roster.failures) == (["one"], {})


async def test_a_full_disk_is_not_the_list_s_fault(state, monkeypatch):
    kit = Kit(state, BY_LIST)
    kit.web[LIST] = log_list(("one", ONE, "usable"))

    async def full(*args):
        raise StoreError("full", reason="disk-full")

    monkeypatch.setattr(state.answers, "put_meta", full)
    with pytest.raises(StoreError):
        await kit.refresh()
    assert kit.roster.failures == {}


async def test_what_is_remembered_is_json(state):
    kit = Kit(state, BY_KEY + BY_V3)
    kit.web[URL] = v3(TWO)
    await kit.refresh()
    value = json.loads(await state.answers.get_meta("roster"))
    assert set(value["described"]) == {URL}
