"""monitor.config: what is written is what is in force; a mistake is named with its line and column."""

import base64
import inspect
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import ConfigError, UsageError
from ctlog.x509.der import oid
from monitor import config as module
from monitor.config import LOG, LOG_LIST, ROOTS, SOURCES, TOP, Config, parse_config
from tests.simulator import Simulator

KEY = base64.b64encode(Simulator().policy.key.spki).decode()
OTHER = base64.b64encode(Simulator(secret=8).policy.key.spki).decode()
WHOLE = f"""
contact = "ops@example.com"
operators = ["mail"]
poll_s = 60

[channels.mail]
type = "email"
to = ["me@example.com"]

[[log]]
url = "https://log.example/2026/"
key = "{KEY}"
begin = 2026-01-31

[[log]]
name = "second"
url = "http://127.0.0.1:8460/"
key = "{OTHER}"
form = "rfc6962"
mmd_s = 60
begin = "newest"

[log_list]
source = "logs.json"
states = ["usable"]

[[roots]]
trust_domain = "us-shaken"
files = ["roots/*.pem"]

[sources]
crl = ["https://crl.example/v1"]
references = true
weak_keys = "weak-keys.txt"

[contacts]
"example ca" = "abuse@ca.example"

[attributes]
"1.3.6.1.4.1.99999.1" = "a place for calls"
"""


def mistake(text, **options):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, **options)
    return str(caught.value)


def test_the_whole_of_it():
    config = parse_config(WHOLE)
    assert (config.contact, config.operators, config.poll_s) == ("ops@example.com", ("mail",), 60)
    first, second = config.logs
    assert (first.name, first.origin, first.form, first.begin) == (
        "log.example/2026", "log.example/2026", "tiles", 1_769_817_600_000)  # fmt: skip
    assert (second.name, second.form, second.mmd_ms, second.begin) == ("second", "rfc6962", 60_000, "newest")
    assert first.key == Simulator().policy.key
    assert (config.log_list.source, config.log_list.states, config.log_list.begin) == (
        "logs.json", ("usable",), "newest")  # fmt: skip
    assert config.roots[0].files == ("roots/*.pem",)
    assert config.sources.references
    assert config.sources.crl == ("https://crl.example/v1",)
    assert config.sources.weak_keys == "weak-keys.txt"
    assert config.attributes == {oid("1.3.6.1.4.1.99999.1"): "a place for calls"}
    assert config.contacts == {"example ca": "abuse@ca.example"}
    assert config.channels["mail"]["to"] == ["me@example.com"]


def test_what_is_off_until_it_is_switched_on():
    config = parse_config('contact = "me"')
    assert (config.sources.crl, config.sources.codes, config.sources.references) == ((), "", False)
    assert (config.sources.weak_keys, config.attributes) == ("", {})
    assert config.heartbeat == ""
    assert (config.listen, config.logs, config.log_list) == ("127.0.0.1:8462", (), None)


BASE = 'contact = "me"\n'


@pytest.mark.parametrize(("text", "where", "what"), [
    ("contact = ", "at end of document", "TOML"),
    ("", "line 1, column 1", "contact"),
    ('contact = "a\\nb"', "line 1, column 11", "one line"),
    (BASE + 'stat = "x"', "line 2, column 1", "the nearest is `state`"),
    (BASE + "poll_s = 0", "line 2, column 10", "between 1 and 3600"),
    (BASE + "poll_s = true", "line 2, column 10", "a whole number"),
    (BASE + 'poll_s = "30"', "line 2, column 10", "a whole number"),
    (BASE + 'operators = ["a", 1]', "line 2, column 19", "quotation marks"),
    (BASE + 'operators = ["mail"]', "line 2, column 14", "there is no channel 'mail'"),
    (BASE + 'audit = "all"', "line 2, column 9", "`watched` or `none`"),
    (BASE + '[log]\nurl = "https://x/"', "line 2, column 1", "two brackets"),
    (BASE + "[[log]]", "line 2, column 1", "either `url` and `key`, or `log_v3`"),
    (BASE + '[[log]]\nurl = "https://x/"', "line 2, column 1", "key is missing"),
    (BASE + '[[log]]\nurl = "ftp://x/"\nkey = "x"', "line 3, column 7", "URL begins with"),
    (BASE + '[[log]]\nurl = "https://x/"\nkey = "AAAA"', "line 4, column 7", "no log's public key"),
    (BASE + f'[[log]]\nurl = "https://x/"\nkey = "{KEY}"\nform = "v2"', "line 5, column 8", "`tiles` or `rfc6962`"),
    (BASE + f'[[log]]\nurl = "https://x/"\nkey = "{KEY}"\nbegin = "2026-01-01"', "line 5, column 9", "without quot"),
    (BASE + f'[[log]]\nurl = "https://x/"\nkey = "{KEY}"\n\n  [[log]]\n  url = "https://y/"\n  key = "{KEY}"',
     "line 8, column 9", "two logs have this key"),
    (BASE + f'[[log]]\nurl = "https://x/"\nkey = "{KEY}"\n[[log]]\nurl = "https://x/"\nkey = "{OTHER}"',
     "line 5, column 1", "two logs have this name"),
    (BASE + "[log_list]", "line 2, column 1", "no source"),
    (BASE + '[log_list]\nsource = "http://x/list"', "line 3, column 10", "anybody in between could put his own"),
    (BASE + '[[roots]]\nfiles = ["x"]', "line 2, column 1", "`trust_domain`"),
    (BASE + '[sources]\ncrl = ["http://x"]', "line 3, column 8", "only https"),
    (BASE + '[attributes]\n1.3.6 = "x"', "line 2, column 1", "no OID in quotation marks"),
    (BASE + '[attributes]\n"1.45.6" = "x"', "line 3, column 1", "no OID"),
    (BASE + '[attributes]\n"1.3.6" = " "', "line 3, column 11", "has a name"),
    (BASE + '[attributes]\n"1.3.6" = 1', "line 3, column 11", "has a name"),
    (BASE + "[contacts]\na = 1", "line 3, column 5", "a text"),
    (BASE + "channels = 3", "line 2, column 12", "one bracket"),
    (BASE + "[channels]\nmail = 3", "line 3, column 8", "a channel is a table"),
])  # fmt: skip
def test_a_mistake_is_named_with_its_place(text, where, what):
    sentence = mistake(text)
    assert where in sentence
    assert what in sentence


def test_mistakes_in_channels_are_those_of_whoever_knows_them():
    class BadError(UsageError):
        path = ("port",)

    def check(name, table):
        raise BadError("port is a number")

    sentence = mistake(BASE + '[channels.mail]\ntype = "email"\nport = "x"', check_channel=check)
    assert sentence == "monitor.toml, line 4, column 8: port is a number"


def test_every_key_is_explained_and_used():
    """The list of keys is the one from which the page is made, and nothing is read that is not on it."""
    source = inspect.getsource(module)
    for table in (TOP, LOG, LOG_LIST, ROOTS, SOURCES):
        for key in table:
            assert key.sentence.endswith(".")
            assert key.kind is not int or key.lo < key.hi
    assert {key.name for key in TOP} <= set(Config.__dataclass_fields__)
    for table in (LOG, LOG_LIST, ROOTS, SOURCES):
        assert all(f'read["{key.name}"]' in source or "for key in" in source for key in table)


@given(st.text(max_size=200))
def test_nothing_but_a_config_error(text):
    with suppress(ConfigError):
        parse_config(text)


@pytest.mark.parametrize("line", [
    'heartbeat = "ping.example/x"', 'heartbeat = "ftp://ping.example/"', 'heartbeat = "https://"',
    'listen = "0.0.0.0:99999"', 'listen = "8462"', 'listen = "nobody.example:80"',
])  # fmt: skip
def test_where_it_answers_and_beats_is_checked_when_it_is_read(line):
    """Not only after the start, or, with a heartbeat, never: with the line of the mistake."""
    with pytest.raises(ConfigError, match="line 2, column"):
        parse_config(f'contact = "me"\n{line}\n')
