"""monitor.cli.described: what options and files say about items. (What the commands make of it: test_watch.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlog.errors import UsageError
from monitor.cli.described import check_tables, count, given_table, given_tables
from monitor.cli.place import find_place
from tests.monitor_place import Monitor

NOTHING = {
    "values": (), "name": "x", "prefixes": (), "codes": (), "holders": (), "issuers": (), "keys": (),
    "trust_domain": None, "exclude": (), "tell": (), "expect_issuers": (), "expect_holders": (),
    "expect_keys": (), "expect_ranges": (), "expect_codes": (), "expect_uris": (), "expect_days": None,
}  # fmt: skip


def test_only_what_was_said_stands_in_the_table() -> None:
    assert given_table(NOTHING) == {"name": "x"}
    table = given_table({**NOTHING, "values": ("+12025550123",), "expect_days": 1.5})
    assert table == {"name": "x", "numbers": ["+12025550123"], "expect": {"max_validity_days": 1.5}}
    assert count(table) == 1


def test_settings_hold_for_all_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("+12025550123\n")
    (tmp_path / "b").write_text("name,value\nother,+12025550124\n")
    tables, _ = given_tables({**NOTHING, "tell": ("mail",)}, (tmp_path / "a", tmp_path / "b"))
    assert tables == {
        "x": {"name": "x", "tell": ["mail"], "numbers": ["+12025550123"]},
        "other": {"name": "other", "tell": ["mail"], "numbers": ["+12025550124"]},
    }


def test_without_any_channel_it_is_said_where_one_is_written(monitor: Monitor) -> None:
    monitor.write("monitor.toml", 'contact = "x"\n')
    with pytest.raises(UsageError, match=r"there is no channel 'mail': write \[channels\.mail\] in "):
        check_tables(find_place(monitor.folder), {"x": {"name": "x", "numbers": ["+12025550123"], "tell": ["mail"]}})
