"""The configuration: what is written is read back, and what is wrong is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.config import (
    Config,
    Key,
    Network,
    Submitters,
    check_origin,
    dump,
    keys,
    load,
    parse,
    parse_listen,
    parse_networks,
)
from ctlog.errors import ConfigError

ORIGIN = 'origin = "log.example/2026"\n'


def test_every_key_has_a_unit_a_sentence_and_a_default() -> None:
    names = [key.name for key in keys()]
    assert len(names) == len(set(names)) > 25
    for key in keys():
        assert isinstance(key, Key)
        assert key.unit
        assert len(key.sentence) > 20
        assert key.sentence.rstrip().endswith((".", "(half-open)."))
        assert (key.default is ...) == (key.name == "origin")


def test_the_defaults_are_those_that_an_empty_file_gives() -> None:
    config = parse(ORIGIN)
    for key in keys():
        value = config
        for part in key.name.split("."):
            value = getattr(value, part)
        if key.name != "origin":
            assert value == key.default, key.name


def test_dump_is_read_back_and_says_every_key() -> None:
    text = ORIGIN + """
window_start = 2026-01-01T00:00:00Z
window_end = "2027-01-01T02:00:00+02:00"
listen = ["[::1]:0", "127.0.0.1:80"]
contact = "a \\"quote\\", a \\u202e bidi, a tab \\t"
require_number = false
[pool]
period_ms = 10
[limits]
source_rate = 0
[submitters]
networks = ["2001:db8::/32"]
[submitters.tokens]
"some one" = "%s"
""" % ("ab" * 32)
    config = parse(text)
    written = dump(config)
    assert parse(written) == config
    for key in keys():
        assert key.name.rpartition(".")[2] + " = " in written
    assert "\u202e" not in written
    assert config.window_ms == (1767225600000, 1798761600000)


def test_a_key_at_its_default_is_written_as_a_comment() -> None:
    written = dump(parse(ORIGIN))
    assert [line for line in written.splitlines() if line and not line.startswith(("#", "["))] == [
        'origin = "log.example/2026"']


def test_public_urls_default_to_the_origin() -> None:
    config = parse(ORIGIN)
    assert config.public_submission_url == config.public_monitoring_url == "https://log.example/2026/"
    config = parse(ORIGIN + 'monitoring_url = "http://127.0.0.1:1/"\n')
    assert config.public_monitoring_url == "http://127.0.0.1:1/"


def test_head_store_lies_beside_the_folder_never_inside(tmp_path: Path) -> None:
    assert parse(ORIGIN).head_store_path(tmp_path / "log") == tmp_path / "log.heads.sqlite"
    assert parse(ORIGIN + 'head_store = "x/h"').head_store_path(tmp_path / "log") == tmp_path / "x/h"
    assert parse(ORIGIN + 'head_store = "/var/h"').head_store_path(tmp_path / "log") == Path("/var/h")


@pytest.mark.parametrize(("text", "sentence"), [
    ('orign = "x"', "there is no key `orign`; the nearest is `origin`"),
    (ORIGIN + "[pool]\nperid_ms = 3", "there is no key `pool.perid_ms`; the nearest is `pool.period_ms`"),
    (ORIGIN + "period_ms = 3", "there is no key `period_ms`; the nearest is `pool.period_ms`"),
    (ORIGIN + "[pol]\nsize = 3", "there is no key `pol`; the nearest is `pool.size`"),
    (ORIGIN + "[pool]\nsize = \"3\"", "`pool.size` is wrong: expected `int`, got `str`"),
    (ORIGIN + "[pool]\nsize = 0", "`pool.size` is wrong: expected `int` >= 1"),
    (ORIGIN + "pool = 3", "`pool` is wrong: expected `object`, got `int`"),
    (ORIGIN + "listen = [3]", "`listen[0]` is wrong: expected `str`, got `int`"),
    (ORIGIN + "listen = [\"::1:80\"]", "`listen` must be host:port"),
    (ORIGIN + "listen = []", "`listen` and `unix_socket` are both empty"),
    (ORIGIN + 'window_start = "2026-01-01T00:00:00"', "`window_start` is wrong"),
    (ORIGIN + 'window_start = "2026-01-01T00:00:00Z"\nwindow_end = "2026-01-01T00:00:00Z"', "must lie before"),
    (ORIGIN + 'trusted_proxies = ["10.0.0.1/8"]', "`trusted_proxies` holds no network"),
    (ORIGIN + '[submitters]\nnetworks = ["x"]', "`submitters.networks` holds no network"),
    (ORIGIN + '[submitters.tokens]\nbob = "secret"', "that of 'bob' is none"),
    (ORIGIN + 'submission_url = "https://log.example"', "`submission_url` must be"),
    (ORIGIN + 'followers = ["ftp://x/"]', "`followers` must hold"),
    ("", "the key `origin` is missing"),
    ('origin = "https://log.example"', "`origin` must be host[/path]"),
    ("origin", "is not TOML"),
])
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "DIR/log.toml")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("DIR/log.toml")


@pytest.mark.parametrize("origin", ["a", "log.example", "log.example:8443/x", "log.example/2026/h1", "a.b/C_~.-"])
def test_origins(origin: str) -> None:
    check_origin(origin)


@pytest.mark.parametrize("origin", ["", "https://a", "a/", "/a", "a//b", "A.example", "a b", "a\nb", "a+b", "-a", "a?",
                                    "a" * 300, "ä.example"])
def test_no_origins(origin: str) -> None:
    with pytest.raises(ConfigError):
        check_origin(origin)


def test_listen_and_networks() -> None:
    assert parse_listen("127.0.0.1:80") == ("127.0.0.1", 80)
    assert parse_listen("[fe80::1%eth0]:0") == ("fe80::1%eth0", 0)
    for bad in ("", ":80", "80", "a:b", "a:70000", "[::1]", "a/b:1"):
        with pytest.raises(ConfigError):
            parse_listen(bad)
    nets: tuple[Network, ...] = parse_networks(["10.0.0.0/8", "::1"], "k")
    assert [str(net) for net in nets] == ["10.0.0.0/8", "::1/128"]


def test_load_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ctlog create"):
        load(tmp_path / "log.toml")
    (tmp_path / "log.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "log.toml")
    (tmp_path / "log.toml").write_text(ORIGIN)
    assert load(tmp_path / "log.toml").origin == "log.example/2026"


@given(st.text(), st.text(), st.datetimes(timezones=st.just(UTC), min_value=datetime(1971, 1, 1),
                                          max_value=datetime(2200, 1, 1)))
def test_any_text_survives_the_file(description: str, name: str, start: datetime) -> None:
    config = msgspec.structs.replace(
        Config(origin="a"), description=description, window_start=start,
        submitters=Submitters(tokens={name: "ab" * 32}))
    assert parse(dump(config)) == config
    assert "\r" not in dump(config)
