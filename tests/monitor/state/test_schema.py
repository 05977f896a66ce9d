"""monitor.state.schema: its version says which tables there are, and every version can be reached."""

import hashlib
import sqlite3
import time
from pathlib import Path

import pytest

from monitor.state import State
from monitor.state.database import FILE_NAME
from monitor.state.logs import SETTING_UP_MS
from monitor.state.rows import ACKNOWLEDGED, SNOOZED, Position
from monitor.state.schema import APPLICATION_ID, SCHEMA, UPGRADES, VERSION
from tests.state_values import NOW

LOG = b"\1" * 32
OLDER = Path(__file__).parents[2] / "vectors" / "state"
CODE, NUMBER = "mine/spc:709J@us-shaken", "mine/number:+12025550123"


def test_other_tables_are_another_version():
    """If this fails: raise VERSION, write the step into UPGRADES, and put the new hash here beside its version."""
    known = {1: "fc695d91d3518ef8", 2: "1315d7205d205485", 3: "b85346dc941b3c65"}
    assert hashlib.sha256(SCHEMA.encode()).hexdigest()[:16] == known[VERSION]


def test_every_version_leads_to_the_newest():
    assert sorted(UPGRADES) == list(range(1, VERSION))


def test_a_state_that_is_full_of_rows_is_not_taken_for_damaged():
    """SQLite 3.40 finds NULLs that are not there in a table WITHOUT ROWID whose primary key is not in front."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        for row in range(3):
            values = [row + 1 if "INTEGER" in kind else f"{name} {row}" for _, name, kind, *_ in columns]
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)
    assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def older(tmp_path):
    """A state of version 2, full of what a monitor keeps: a certificate's alert answered, a body that is no JSON."""
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    for name in ("v2.sql", "v2-rows.sql"):
        connection.executescript((OLDER / name).read_text())
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 2")
    connection.execute("INSERT INTO meta VALUES (?, x'31')", (f"ready:{LOG.hex()}",))
    connection.commit()
    connection.close()
    return tmp_path


async def test_a_filled_state_of_version_2_loses_nothing(older):
    async with State.open(older) as state:
        code, number = await state.alerts.find(item=CODE), await state.alerts.find(item=NUMBER)
        assert [(row.status, row.issuer, row.repeats) for row in code] == [(ACKNOWLEDGED, "rogue ca @ us-shaken", 0)]
        assert {row.issuer for row in number} == {"rightful ca @ us-shaken", ""}
        assert (await state.alerts.get("silent-1")).status == SNOOZED
        answers = await state.answers.authorisations(NOW)
        assert [(row.kind, row.note, row.is_refusal) for row in answers] == [
            ("issuer", "mine", False), ("key", "", False)]  # fmt: skip
        assert len(await state.outbox.due(10**15)) == 4
        assert list(await state.answers.baselines()) == [CODE]


async def test_logs_of_a_state_of_version_2_are_among_the_first_and_what_is_added_now_is_not(older):
    async with State.open(older) as state:
        assert await state.logs.is_ready(LOG)
        assert await state.logs.joined_ms(LOG) == 0
        later_ms = time.time_ns() // 10**6 + 2 * SETTING_UP_MS
        await state.logs.add(b"\2" * 32, "later.example", "", Position(), later_ms)
        assert await state.logs.joined_ms(b"\2" * 32) == later_ms


async def test_after_the_step_it_is_as_one_that_was_made_new(older):
    async with State.open(older) as state:
        made = await state.database.read(_tables)
    fresh = sqlite3.connect(":memory:")
    fresh.executescript(SCHEMA)
    assert made == _tables(fresh)


def _tables(connection):
    """Every table with its columns, and every index with its own, but for what SQLite makes of itself."""
    rows = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    asks = {"table": "table_info", "index": "index_info"}
    return {name: connection.execute(f"PRAGMA {asks[kind]}({name})").fetchall() for kind, name in rows if kind in asks}
