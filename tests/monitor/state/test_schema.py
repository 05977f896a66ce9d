"""monitor.state.schema: its version says which tables there are, and every version can be reached."""

import hashlib
import sqlite3

from monitor.state.schema import SCHEMA, UPGRADES, VERSION


def test_other_tables_are_another_version():
    """If this fails: raise VERSION, write the step into UPGRADES, and put the new hash here beside its version."""
    known = {1: "fc695d91d3518ef8", 2: "1315d7205d205485"}
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
