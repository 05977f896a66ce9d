"""monitor.watch_table: what is added and taken away, and files of many, each mistake with its line."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import UsageError
from monitor.watch_file import LISTS, parse_watch_table
from monitor.watch_table import Reader, add, canonical, format_table, key_for, parse_table, put_value, remove

HASH = "ab" * 32


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("+1 202 555 0123", "numbers"), ("+12025550100 to +12025550199", "ranges"), ("+1202..+1203", "ranges"),
        ("+1202*", "prefixes"), (HASH, "keys"), (":".join(["AB"] * 32), "keys"),
    ],
)  # fmt: skip
def test_what_a_value_is(text: str, key: str) -> None:
    assert key_for(text) == key


@pytest.mark.parametrize("text", ["709J", "Example Inc", "", "2025550123", "(202) 555-0123"])
def test_what_cannot_be_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"may be a code|is no number: write it with"):
        key_for(text)


def test_one_way_of_writing_each() -> None:
    table: dict[str, object] = {"name": "x"}
    for key, text in (("numbers", "+1 (202) 555-0123"), ("ranges", "+12025550100 .. +12025550199"), ("codes", "709j"),
                      ("prefixes", "+1202*"), ("keys", HASH.upper()), ("holders", " Example Inc ")):  # fmt: skip
        put_value(table, key, text)
    assert table == {
        "name": "x", "numbers": ["+12025550123"], "ranges": ["+12025550100 to +12025550199"], "codes": ["709J"],
        "prefixes": ["+1202"], "keys": [HASH], "holders": ["Example Inc"],
    }  # fmt: skip
    assert parse_table(format_table(table)) == table
    with pytest.raises(ValueError, match="no JSON object"):
        parse_table(b"[]")


def test_values_come_together_and_settings_replace() -> None:
    first = {"name": "a", "numbers": ["+12025550123"], "tell": ["mail"], "expect": {"issuers": ["One"]}}
    second = {"name": "a", "numbers": ["+12025550124", "+12025550123", "+12025550124"], "tell": ["hook"],
              "expect": {"holders": ["H"]}}  # fmt: skip
    table, new, known = add(first, second)
    assert (new, known) == (1, 2)
    assert table["numbers"] == ["+12025550123", "+12025550124"]
    assert table["tell"] == ["hook"]
    assert table["expect"] == {"issuers": ["One"], "holders": ["H"]}
    assert first["numbers"] == ["+12025550123"], "what was given is left as it was"
    assert add(None, first).table == first


def test_taking_away() -> None:
    table = {"name": "a", "numbers": ["+12025550123", "+12025550124"], "codes": ["709J"]}
    assert remove(table, {"709J", "x"}) == ({"name": "a", "numbers": ["+12025550123", "+12025550124"]}, ["709J"])
    assert remove(table, {"709J", "+12025550123", "+12025550124"})[0] is None


NUMBERS = st.lists(st.integers(10**6, 10**9).map(lambda n: f"+{n}"), min_size=1, max_size=6, unique=True)


@given(NUMBERS, NUMBERS)
def test_what_was_added_can_be_taken_away_again(first: list[str], second: list[str]) -> None:
    table, new, _ = add({"name": "a", "numbers": first}, {"name": "a", "numbers": second})
    assert new == len(set(second) - set(first))
    left, gone = remove(table, set(second) - set(first))
    assert left == {"name": "a", "numbers": first}
    assert len(gone) == new


# Files ----------------------------------------------------------------------------------------------------------------


def read(lines: list[str], name: str = "all", settings: dict[str, object] | None = None) -> dict[str, object]:
    reader = Reader(name, settings)
    for _ in reader.read(lines, "f"):
        pass
    for table in reader.tables.values():
        parse_watch_table(table)
    return reader.tables


def test_one_value_to_a_line() -> None:
    lines = ["\ufeff# comment\n", "\n", "+1 202 555 0123\n", "+12025550100 to +12025550199\r\n", "# more\n", HASH]
    assert read(lines, settings={"tell": ["mail"]}) == {
        "all": {"name": "all", "tell": ["mail"], "numbers": ["+12025550123"], "keys": [HASH],
                "ranges": ["+12025550100 to +12025550199"]}
    }  # fmt: skip


def test_csv() -> None:
    lines = [
        "Name, kind,value,tell,trust_domain,expect_issuers,expect_days",
        'office,number,+12025550123,mail;hook,,"Example CA; Other, Inc",90',
        "office,,+12025550124,,,,",
        "carrier,code,709J,,us-shaken,,",
        ',holder,"Example, Inc",,,,',
    ]
    assert read(lines) == {
        "office": {"name": "office", "tell": ["mail", "hook"], "numbers": ["+12025550123", "+12025550124"],
                   "expect": {"issuers": ["Example CA", "Other, Inc"], "max_validity_days": 90.0}},
        "carrier": {"name": "carrier", "trust_domain": "us-shaken", "codes": ["709J"]},
        "all": {"name": "all", "holders": ["Example, Inc"]},
    }  # fmt: skip


def test_json_lines() -> None:
    rows = [{"name": "a", "numbers": ["+12025550123"], "expect": {"keys": [HASH]}}, {"value": "+1202*"},
            {"value": "Example CA", "kind": "issuer", "tell": ["mail"]}]  # fmt: skip
    assert read([json.dumps(row) for row in rows]) == {
        "a": {"name": "a", "numbers": ["+12025550123"], "expect": {"keys": [HASH]}},
        "all": {"name": "all", "tell": ["mail"], "prefixes": ["+1202"], "issuers": ["Example CA"]},
    }


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["+12025550123", "", "2025550124"], "f, line 3: '2025550124' is no number"),
        (["value,nmae", "+12025550123,x"], "f, line 1: there is no column 'nmae'"),
        (["name,kind", "a,b"], "f, line 1: there is no column 'value'"),
        (["value", "+12025550123,x"], "f, line 2: it has 2 fields, and the header 1"),
        (["value,kind", "+12025550123,sim"], "f, line 2: 'sim' is no kind"),
        (["value,kind", '"+12025550123,number'], "f, line 2: unexpected end"),
        (["value,name,tell", "+12025550123,a,mail", "+12025550124,a,hook"], "f, line 3: 'a' has another tell"),
        (["value,expect_days", "+12025550123,ninety"], "f, line 2: 'ninety' is no number of days"),
        (['{"value": "+12025550123"}', "{"], "f, line 2: it is no JSON"),
        (['{"value": "+12025550123"}', "[1]"], "f, line 2: it is no JSON object"),
        (['{"value": 3}'], "f, line 1: the value is a text"),
        (['{"numbers": "+12025550123"}'], "f, line 1: numbers is a list of texts"),
        (['{"naem": "x", "numbers": []}'], "f, line 1: there is no member 'naem'"),
        (['{"name": 3, "numbers": []}'], "f, line 1: the name is a text"),
        (["x" * (1 << 20) + "y"], "f, line 1: it is longer than"),
        ([], "f names nothing to watch"),
        (["value"], "f names nothing to watch"),
    ],
)
def test_each_mistake_has_its_line(lines: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(lines)
    assert str(caught.value).startswith(sentence)


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_file_is_read_or_refused(lines: list[str]) -> None:
    with contextlib.suppress(UsageError):
        read(lines)


@given(st.sampled_from(sorted(LISTS)), st.text(max_size=40))
def test_what_is_canonical_stays_so(key: str, text: str) -> None:
    try:
        once = canonical(key, text)
    except UsageError:
        return
    assert canonical(key, once) == once
