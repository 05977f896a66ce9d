"""A state of an earlier version that is full of rows becomes one of this version: nothing is lost or told twice.

`tests/vectors/state/v<N>.sql` is that version's own text; the next version puts the one before it there.
"""

import asyncio
import fcntl
import hashlib
import sqlite3
from pathlib import Path

import pytest

from ctlog.errors import StoreError
from ctlog.merkle.tree import Frontier
from monitor.state import State, make_state
from monitor.state.database import FILE_NAME, LOCK_NAME, open_database
from monitor.state.rows import CONTRADICTS, DEAD, SNOOZED
from monitor.state.schema import APPLICATION_ID, UPGRADES, VERSION
from monitor.tell import Teller
from tests.simulator import Simulator
from tests.state_values import NOW, alert
from tests.tell_kit import Recorder

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "state"
OLD = pytest.mark.parametrize("version", sorted(UPGRADES))
HASHES = {1: "fc695d91d3518ef8", 2: "1315d7205d205485"}
SIM = Simulator()
LOG = SIM.policy.key.log_id
SIM.grow(3)
EDGE = b"".join(Frontier().append(SIM.tree.levels[0]).hashes)
BODY = b'{"kind": "certificate", "issuer": {"id": "a ca @ test", "verified": true}}'
ROWS = {
    "meta": [("made_ms", 5), ("roster", b'{"specs": []}'), (f"log-added:{LOG.hex()}", 7)],
    "logs": [(LOG, "a log", "https://log.example/", 0, 3, EDGE, 3, EDGE, SIM.head.note, SIM.head.note, NOW, 3, NOW,
              NOW, "no route", None, "EVIDENCE-x.txt")],
    "heads": [(LOG, b"id", 3, SIM.head.timestamp_ms, SIM.head.root, SIM.head.note, "", "met", NOW),
              (LOG, b"other", 3, 9, bytes(32), SIM.head.note, "a friend", "contradicts", NOW)],
    "gaps": [(LOG, 1, 2, "missing-data", NOW, NOW)],
    "alerts": [
        (f"{name}-0123", "certificate", severity, "T-01", '["T-01", "T-03"]', "owner", "a summary", BODY, "home",
         "group", "thread", LOG, 1, 3, NOW, NOW, times, status, "me", "a note", until)
        for name, severity, times, status, until in (
            ("waiting", 1, 1, "new", None), ("sent", 2, 3, "acknowledged", None), ("dead", 2, 1, "new", None),
            ("snoozed", 3, 1, "snoozed", NOW + 5),
        )
    ],
    "sightings": [("sent-0123", LOG, 1, 3, NOW), ("sent-0123", LOG, 2, None, NOW)],
    "outbox": [
        (1, "sent-0123", "mail", "alert", "sent", NOW, NOW, 1, NOW, "", NOW, 1),
        (2, "waiting-0123", "mail", "alert", "waiting", NOW, NOW, 3, NOW, "no route", None, 0),
        (3, "dead-0123", "mail", "alert", "dead", NOW, NOW, 9, NOW, "gone", NOW, 1),
        (9, "sent-0123", "mail", "reminder", "cancelled", NOW, NOW, 0, None, "", NOW, 1),
    ],
    "channels": [("mail", NOW, NOW, "no route")],
    "authorisations": [(4, "issuer", "A CA", "home", "me", "a note", NOW, None)],
    "items": [("home", b'{"name": "home", "numbers": ["+12025550123"]}', NOW, None), ("old", b"{}", NOW, NOW)],
    "baselines": [("home/number:+12025550123", b"{}", NOW)],
    "scts": [("sct", LOG, b"sct", b"leaf", NOW, 1, "by me", NOW, "waiting", "", None)],
    "events": [(2, "port", "12025550123", NOW, "a note")],
    "snapshots": [("https://list.example/", bytes(32), NOW, b"body", "", NOW)],
    "issuers": [("A CA @ test", NOW)],
    "certificates": [(b"issuer", b"serial", bytes(32), LOG, 1, NOW, "")],
    "enrolled": [(-5, NOW)],
    "tasks": [(6, "enrol", b'{"items": []}', b"[]", NOW, None), (7, "backfill", b"{}", b"", NOW, NOW)],
}  # fmt: skip


def filled(folder, version):
    """A state as the program of that version left it."""
    folder.mkdir(exist_ok=True)
    connection = sqlite3.connect(folder / FILE_NAME)
    connection.executescript((VECTORS / f"v{version}.sql").read_text())
    connection.execute("DROP TRIGGER outbox_urgent")  # the rows are as they stood, not as they are put in
    for table, rows in ROWS.items():
        for row in rows:
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    text = (VECTORS / f"v{version}.sql").read_text()
    trigger = text[text.index("CREATE TRIGGER outbox_urgent") : text.index("CREATE UNIQUE INDEX outbox_once")]
    connection.executescript(trigger)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()


def dump(folder, version):
    """Every row of every table of that version, in its columns."""
    old = sqlite3.connect(":memory:")
    old.executescript((VECTORS / f"v{version}.sql").read_text())
    connection, found = sqlite3.connect(folder / FILE_NAME), {}
    for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        columns = ", ".join(row[1] for row in old.execute(f"PRAGMA table_info({name})"))
        found[name] = sorted(connection.execute(f"SELECT {columns} FROM {name}").fetchall(), key=repr)
    connection.close()
    return found


def shape(folder):
    """The columns of every table and index, and the triggers."""
    connection = sqlite3.connect(folder / FILE_NAME)
    rows = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
    asks = {"table": "table_info", "index": "index_info"}
    found = {name: connection.execute(f"PRAGMA {asks[kind]}({name})").fetchall()
             for kind, name in rows if kind != "trigger"}  # fmt: skip
    found["triggers"] = sorted(name for kind, name in rows if kind == "trigger")
    connection.close()
    return found


def version_of(folder):
    connection = sqlite3.connect(folder / FILE_NAME)
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return found


@OLD
def test_the_vector_is_that_version_s_text_and_every_table_has_rows(version, tmp_path):
    text = (VECTORS / f"v{version}.sql").read_bytes()
    assert hashlib.sha256(text).hexdigest()[:16] == HASHES[version]
    filled(tmp_path, version)
    assert all(rows for name, rows in dump(tmp_path, version).items()), "a table without rows shows nothing"


@OLD
@pytest.mark.parametrize("exclusive", [True, False], ids=["the daemon", "a command"])
async def test_everything_is_there_afterwards(version, exclusive, tmp_path):
    filled(tmp_path / "old", version)
    before = dump(tmp_path / "old", version)
    async with State.open(tmp_path / "old", exclusive=exclusive) as state:
        await read_by_this_program(state)
    assert dump(tmp_path / "old", version) == before
    make_state(tmp_path / "new", NOW)
    assert shape(tmp_path / "old") == shape(tmp_path / "new")
    assert version_of(tmp_path / "old") == VERSION


async def read_by_this_program(state):
    (log,) = await state.logs.all()
    assert (log.position.frontier.size, log.position.frontier.root()) == (3, SIM.head.root)
    assert [row.source for row in await state.logs.heads(LOG, CONTRADICTS)] == ["a friend"]
    assert [gap.hi for gap in await state.logs.gaps(LOG)] == [2]
    assert {row.status for row in await state.alerts.find()} == {"new", "acknowledged", SNOOZED}
    assert await state.outbox.counts() == {"sent": 1, "waiting": 1, DEAD: 1, "cancelled": 1}
    assert [row.value for row in await state.answers.authorisations(NOW)] == ["A CA"]
    assert [row.id for row in await state.answers.items()] == ["home"]
    assert [row.number for row in await state.answers.events()] == ["12025550123"]
    assert [row.id for row in await state.audits.waiting(LOG)] == ["sct"]
    assert [task.id for task in await state.audits.tasks()] == [6]


@OLD
async def test_what_waited_is_told_once_and_what_was_told_is_not_told_again(version, tmp_path):
    filled(tmp_path, version)
    mail = Recorder("mail", for_people=False)
    async with State.open(tmp_path) as state:
        teller = Teller(state, lambda: {"mail": mail}, lambda: NOW + 1, lambda *said: None)
        running = asyncio.create_task(teller.run())
        async with asyncio.timeout(10):
            while not mail.told:  # noqa: ASYNC110 - the channel has no event
                await asyncio.sleep(0.001)
        again = [alert(name, channels=("mail",)) for name in ("waiting", "sent", "dead")]
        assert await state.alerts.raise_all(again, NOW + 2) == []
        fresh = alert("fresh", channels=("mail",))
        assert await state.alerts.raise_all([fresh], NOW) == ["fresh-0123"]
        teller.wake()
        async with asyncio.timeout(10):
            while len(mail.told) < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        (row,) = await state.outbox.of_alert("fresh-0123")
        assert row.id > 9, "ids are never given twice"
    assert mail.told == ["waiting-0123", "fresh-0123"]


@OLD
def test_a_step_that_fails_changes_nothing(version, tmp_path, monkeypatch):
    filled(tmp_path, version)
    before, form = dump(tmp_path, version), shape(tmp_path)
    steps = UPGRADES[version]
    monkeypatch.setitem(UPGRADES, version, (*steps, "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(StoreError, match="cannot be brought to version") as caught:
        open_database(tmp_path, exclusive=True)
    assert caught.value.reason == "state-old"
    assert (dump(tmp_path, version), shape(tmp_path), version_of(tmp_path)) == (before, form, version)
    monkeypatch.setitem(UPGRADES, version, steps)
    open_database(tmp_path, exclusive=True).connection.close()
    assert dump(tmp_path, version) == before


@OLD
def test_a_command_does_not_upgrade_under_the_feet_of_a_monitor(version, tmp_path):
    filled(tmp_path, version)
    with (tmp_path / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="of an earlier version, and a monitor runs on it: restart that") as caught:
            open_database(tmp_path, exclusive=False)
        assert caught.value.reason == "state-old"
        assert version_of(tmp_path) == version
    open_database(tmp_path, exclusive=False).connection.close()
    assert version_of(tmp_path) == VERSION


def test_a_version_from_which_no_way_leads(tmp_path):
    make_state(tmp_path, NOW)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    with pytest.raises(StoreError, match="no way leads from version 0"):
        open_database(tmp_path, exclusive=True)
