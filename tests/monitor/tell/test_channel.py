"""monitor.tell.channel: tables and secrets."""

import pytest

from ctlog.errors import TransportError, UsageError
from monitor.config import Key
from monitor.tell.channel import DeliveryError, read_secret, read_table

KEYS = (Key("path", str, None, ""), Key("limit", int, 5, "", 1, 10))


def test_a_table_is_read_with_defaults():
    assert read_table({"kind": "file", "path": "a"}, KEYS, "path") == {"kind": "file", "path": "a", "limit": 5}


@pytest.mark.parametrize(
    ("table", "path", "sentence"),
    [
        ({"path": 1}, ("path",), "a text in quotation marks"),
        ({"pth": "a"}, ("pth",), "the nearest is `path`"),
        ({"path": "a", "limit": 11}, ("limit",), "between 1 and 10"),
        ({}, (), "needs `path`"),
    ],
)
def test_what_makes_no_channel(table, path, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        read_table({"kind": "file", **table}, KEYS, "path")
    assert caught.value.path == path


def test_a_secret_is_read_without_its_line_end(tmp_path):
    (tmp_path / "secret").write_text("  hunter2\r\n")
    assert read_secret(tmp_path / "secret") == "hunter2"


@pytest.mark.parametrize(("content", "why"), [(b"\n", "empty"), (b"\xff\xfe", "no text"), (None, "No such file")])
def test_a_secret_that_is_none(tmp_path, content, why):
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(DeliveryError, match=why):
        read_secret(tmp_path / "secret")


def test_it_is_the_network_that_failed():
    assert issubclass(DeliveryError, TransportError)
    assert DeliveryError("x").reason == "undelivered"
