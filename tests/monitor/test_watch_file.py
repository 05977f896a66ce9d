"""The watch list as a file: what it says, and every mistake with its line and column."""

import pytest

from ctlog.errors import ConfigError
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from monitor import watch_file
from monitor.watch_file import WatchListError, parse_watch_file, parse_watch_table

GOOD = '''
[[watch]]
name = "office"
tell = ["mail", "hook"]
trust_domain = "us-shaken"
numbers = ["+1 202 555 0123"]
ranges = ["+12025550100 to +12025550199"]
prefixes = ["+1303"]
codes = ["709j"]
holders = ["Example Inc"]
issuers = ["Example CA"]
keys = ["''' + "ab" * 32 + '''"]
exclude = ["+12025550150", "683G"]

[watch.expect]
issuers = ["Example CA"]
holders = ["Example Inc"]
keys = ["''' + "cd" * 32 + '''"]
max_validity_days = 90
ranges = ["+12025550000 to +12025559999"]
codes = ["709J"]
uris = ["https://cps.example/"]

[[watch]]
name = "mine"
numbers = ["+12025550124"]
'''  # fmt: skip


def test_a_whole_file():
    items = parse_watch_file(GOOD, added_ms={"office": 5, "mine": 6}.__getitem__)
    assert [item.kind for item in items] == [
        "number", "range", "prefix", "spc", "holder", "issuer", "key", "number",
    ]  # fmt: skip
    assert [item.added_ms for item in items] == [5] * 7 + [6]
    office, mine = items[0].group, items[-1].group
    assert all(item.group is office for item in items[:-1])
    assert office.tell == ("mail", "hook")
    assert mine.tell == ()
    assert office.exclude == (TelephoneNumber("12025550150"), ServiceProviderCode("683G"))
    expect = office.expect
    assert expect.issuers == ("Example CA",)
    assert expect.keys == {b"\xcd" * 32}
    assert expect.max_validity_days == 90
    assert expect.ranges == (NumberRange("12025550000", 10000),)
    assert expect.uris == ("https://cps.example/",)
    assert mine.expect.issuers == ()
    assert mine.trust_domain is None


def test_an_empty_file_watches_nothing():
    assert parse_watch_file("") == []


def test_the_example_in_the_docstring_is_one():
    text = (watch_file.__doc__ or "").split("\n\n")
    example = "\n".join(part for part in text if "[[watch]]" in part or "[watch.expect]" in part)
    example = example.split("In scope")[0].replace("64 hexadecimal digits", "ab" * 32)
    assert len(parse_watch_file("\n".join(line.strip() for line in example.splitlines()))) == 7


HEAD = '[[watch]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "numbers = [", "the watch list is no TOML: "),
        ('x = 1\n', "line 1, column 1: there is no key 'x' here"),
        ("[watch]\nname = 'x'", "line 1, column 1: write [[watch]], with two brackets"),
        (HEAD, "line 1, column 1: it watches nothing"),
        ('[[watch]]\nnumbers = ["+12025550123"]', "line 1, column 1: it has no name"),
        (HEAD + 'numbers = ["+12025550123", "12025550123"]', "line 3, column 28: '12025550123' is no number with '+'"),
        (HEAD + 'numbers = ["+12025550123",\n  "+1 202 555 0123"]', "line 4, column 3: '+1 202 555 0123' stands "),
        (HEAD + 'numbers = "+12025550123"', "line 3, column 11: numbers is a list"),
        (HEAD + "numbers = [12025550123]", "line 3, column 12: numbers is a list of texts"),
        (HEAD + 'number = ["+1"]', "line 3, column 1: there is no key 'number' here; there are numbers, "),
        (HEAD + 'codes = ["709J"]', "line 3, column 1: a code is only unique in one trust domain"),
        (HEAD + 'holders = ["..."]', "line 3, column 12: '...' is no name of an organisation"),
        (HEAD + 'keys = ["abc"]', "line 3, column 9: 'abc' is no key"),
        (HEAD + 'ranges = ["+12025550199 to +12025550100"]', "line 3, column 11: "),
        (HEAD + 'prefixes = ["+1"]\ntrust_domain = 5', "line 4, column 16: trust_domain is a text"),
        (HEAD + 'prefixes = ["+1"]\ntell = ["mail", " "]', "line 4, column 17: the name of a channel is empty"),
        (HEAD + 'prefixes = ["+1"]\nexclude = ["x y"]', "line 4, column 12: 'x y' is no service provider code"),
        (HEAD + 'prefixes = ["+1"]\nexpect = 5', "line 4, column 10: what is expected is a table"),
        (HEAD + 'prefixes = ["+1"]\n[watch.expect]\nissuer = ["x"]', "line 5, column 1: there is no key 'issuer' here"),
        (HEAD + 'prefixes = ["+1"]\nexpect.max_validity_days = 0', "line 4, column 28: max_validity_days is"),
        (HEAD + 'prefixes = ["+1"]\nexpect.max_validity_days = true', "line 4, column 28: max_validity_days is"),
        (HEAD + 'prefixes = ["+1"]\nexpect.uris = ["x"]', "line 4, column 16: 'x' is no URI"),
        (HEAD + 'prefixes = ["+1"]\n' + HEAD + 'prefixes = ["+1"]', "line 5, column 8: the name 'a' is taken"),
        ('[[watch]]\nname = "a/b"\nprefixes = ["+1"]', "line 2, column 8: 'a/b' is no name"),
        ("watch = [5]", "line 1, column 10: write [[watch]], with two brackets"),
    ],
)
def test_every_mistake_says_where(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_watch_file(text)
    assert caught.value.reason == "watch-list"
    expected = message if message.startswith("the") else f"watch list, {message}"
    assert str(caught.value).startswith(expected)


def test_one_table():
    (item,) = parse_watch_table({"name": "x", "numbers": ["+12025550123"]}, added_ms=9)
    assert (item.id, item.added_ms) == ("x/number:+12025550123", 9)
    with pytest.raises(WatchListError) as caught:
        parse_watch_table({"name": "x", "numbers": ["+1202555012x"]})
    assert caught.value.path == ("numbers", 0)
