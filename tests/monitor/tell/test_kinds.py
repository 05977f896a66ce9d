"""monitor.tell.kinds: tables become channels, or are refused with the key that is wrong."""

import pytest

from ctlog.errors import ConfigError, UsageError
from monitor.config import parse_config
from monitor.tell import check_channel, make_channels

FILE = {"kind": "file", "path": "alerts.jsonl"}


@pytest.mark.parametrize(
    ("table", "path", "sentence"),
    [
        ({}, ("kind",), "the kind of a channel is one of"),
        ({"kind": "pigeon"}, ("kind",), "`file`"),
        ({"kind": "file"}, (), "needs `path`"),
        ({"kind": "file", "path": "x", "paht": "y"}, ("paht",), "the nearest is `path`"),
    ],
)
def test_refused(table, path, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        check_channel("log", table)
    assert caught.value.path == path


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "ma\nil", "ä"])
def test_names_that_are_none(name):
    with pytest.raises(UsageError, match="the name of a channel"):
        check_channel(name, FILE)


def test_a_mistake_has_its_line_and_column():
    text = 'contact = "a@example.org"\n[channels.log]\nkind = "file"\npath = 7\n'
    with pytest.raises(ConfigError, match="line 4, column 8: `path` is a text in quotation marks"):
        parse_config(text, check_channel=check_channel)


def test_channels_of_the_same_table_stay(tmp_path):
    first = make_channels({"a": FILE, "b": {"kind": "stdout"}}, tmp_path)
    second = make_channels({"a": FILE, "b": {"kind": "stdout", "format": "text"}}, tmp_path, first)
    assert second["a"] is first["a"]
    assert second["b"] is not first["b"]
    assert first["a"].where == str(tmp_path / "alerts.jsonl")
