"""monitor.cli.watched: what stands in the watch file and in the state, together."""

from __future__ import annotations

import pytest

from ctlog.errors import ConfigError
from monitor.cli.place import find_place
from monitor.cli.watched import count_watched, items_of_file, items_word, names_in_file, read_watched
from monitor.state.rows import ItemRow
from tests.monitor_place import Monitor

ROW = ItemRow("home", b'{"name": "home", "numbers": ["+12025550123"]}', 5, None)


def test_both_those_of_the_file_first(monitor: Monitor) -> None:
    place = find_place(monitor.folder)
    assert items_of_file(place) == []
    monitor.write("watch.toml", '[[watch]]\nname = "filed"\nnumbers = ["+12025550199"]\n')
    found = read_watched(place, [ROW])
    assert [(name, source, [item.id for item in items]) for name, source, items in found] == [
        ("filed", "watch.toml", ["filed/number:+12025550199"]), ("home", "command", ["home/number:+12025550123"]),
    ]  # fmt: skip
    assert found[1][2][0].added_ms == 5
    assert names_in_file(place) == {"filed"}
    assert count_watched(place, [ROW, ROW]) == 3


def test_a_file_that_cannot_be_read(monitor: Monitor) -> None:
    (monitor.folder / "watch.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="it is no UTF-8"):
        items_of_file(find_place(monitor.folder))
    (monitor.folder / "watch.toml").unlink()
    (monitor.folder / "watch.toml").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        items_of_file(find_place(monitor.folder))


def test_one_and_several() -> None:
    assert [items_word(n) for n in (0, 1, 2)] == ["items", "item", "items"]
