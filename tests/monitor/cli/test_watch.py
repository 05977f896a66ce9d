"""`ctlog-monitor watch add`, `list`, `remove`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.monitor_place import Monitor

FILE = '[[watch]]\nname = "filed"\nnumbers = ["+12025550199"]\n'


def stored(monitor: Monitor) -> dict[str, dict[str, object]]:
    async def read(state):
        return {row.id: json.loads(row.spec) for row in await state.answers.items()}

    return monitor.state(read)


def test_a_number_is_watched(monitor: Monitor) -> None:
    said = monitor.here("watch", "add", "+1 202 555 0123")
    assert said.out == "1 new item is watched as 'watched'.\n"
    said = monitor.here("watch", "add", "+12025550123", "+12025550124", "--json")
    assert said.lines == [{"names": 1, "new": 1, "known": 1}]
    assert stored(monitor) == {"watched": {"name": "watched", "numbers": ["+12025550123", "+12025550124"]}}


def test_every_kind_and_every_expectation(monitor: Monitor, tmp_path: Path) -> None:
    words = ["+12025550123", "+12025550100 to +12025550199", "+44*", "ab" * 32, "--prefix", "+1202", "--code", "709j",
             "--holder", "Example Inc", "--issuer", "Example CA", "--key", "cd" * 32, "--domain", "us-shaken",
             "--exclude", "+12025550150", "--tell", "screen", "--expect-issuer", "Example CA",
             "--expect-holder", "Example Inc", "Other Inc", "--expect-key", "ef" * 32, "--expect-range",
             "+12025550000 to +12025559999", "--expect-code", "1234", "--expect-uri", "https://cps.example/",
             "--expect-days", "90"]  # fmt: skip
    monitor.here("watch", "add", "--name", "office", *words)
    assert stored(monitor)["office"] == {
        "name": "office", "numbers": ["+12025550123"], "ranges": ["+12025550100 to +12025550199"],
        "prefixes": ["+44", "+1202"], "codes": ["709J"], "holders": ["Example Inc"], "issuers": ["Example CA"],
        "keys": ["ab" * 32, "cd" * 32], "trust_domain": "us-shaken", "exclude": ["+12025550150"], "tell": ["screen"],
        "expect": {"issuers": ["Example CA"], "holders": ["Example Inc", "Other Inc"],
        "keys": ["ef" * 32], "ranges": ["+12025550000 to +12025559999"], "codes": ["1234"],
        "uris": ["https://cps.example/"], "max_validity_days": 90.0},
    }  # fmt: skip
    out = monitor.here("watch", "list").out
    assert "office: 9 items, by command, since " in out
    assert "told to screen, in us-shaken" in out
    assert "  spc      709J\n" in out
    assert "for at most 90 days" in out
    ids = [line["id"] for line in monitor.here("watch", "list", "--json").lines]
    assert "office/spc:709J@us-shaken" in ids
    assert "office/number:+12025550123" in ids


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what to watch"),
        (["2025550123"], "is no number: write it with '+'"),
        (["+1"], "is too short for a telephone number"),
        (["+12025550199 to +12025550100"], "the last is above the first"),
        (["Example Inc"], "say which (--code, --holder, --issuer)"),
        (["--code", "709J"], "add trust_domain (--domain, on a command line)"),
        (["--code", "7 9", "--domain", "x"], "is no service provider code"),
        (["--key", "abcd"], "is no key"),
        (["+12025550123", "--tell", "scren"], "there is no channel 'scren'; the nearest is 'screen'"),
        (["+12025550123", "--name", "a/b"], "is no name"),
        (["+12025550123", "--name", "filed"], "stands in"),
        (["+12025550123", "--expect-days", "0"], "days above 0"),
        (["+12025550123", "--expect-uri", "nothing"], "is no URI"),
        (["+12025550123", "--from", "f.csv"], "either on the command line or in files"),
        (["--nothing"], "No such option"),
    ],
)
def test_what_makes_no_sense_is_refused_whole(monitor: Monitor, words: list[str], sentence: str) -> None:
    monitor.write("watch.toml", FILE)
    Path("f.csv").write_text("value\n+12025550123\n")
    said = monitor.here("watch", "add", *words, code=2)
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert stored(monitor) == {}


def test_a_code_without_its_domain_hint(monitor: Monitor) -> None:
    monitor.write("monitor.toml", 'contact = "x"\n[[roots]]\ntrust_domain = "us-shaken"\nfiles = ["r.pem"]\n')
    said = monitor.here("watch", "add", "--code", "709J", "--domain", "us-shakn")
    assert "no [[roots]] have the trust domain 'us-shakn'; there are us-shaken" in said.err
    assert "has no channel yet" in said.err


def test_ten_thousand_from_a_file_all_or_nothing(monitor: Monitor) -> None:
    lines = ["name,value,tell", *(f"customer {n % 50},+1202555{n:04d},screen" for n in range(10_000))]
    Path("many.csv").write_text("\n".join(lines))
    assert monitor.here("watch", "add", "--from", "many.csv").out == "10,000 new items are watched under 50 names.\n"
    assert sum(len(table["numbers"]) for table in stored(monitor).values()) == 10_000
    out = monitor.here("watch", "list", "customer 7").out
    assert "customer 7: 200 items" in out
    assert "... and 180 more: --all shows them" in out
    assert monitor.here("watch", "list", "customer 7", "--all").out.count("\n  number") == 200
    Path("more.csv").write_text("\n".join([*lines[:50], "other,12025550123,screen"]))
    said = monitor.here("watch", "add", "--from", "more.csv", code=2)
    assert "more.csv, line 51: '12025550123' is no number" in said.err
    Path("more.csv").write_bytes(b"value\n\xff\n")
    assert "is no UTF-8" in monitor.here("watch", "add", "--from", "more.csv", code=2).err
    assert "other" not in stored(monitor)


def test_taking_away(monitor: Monitor) -> None:
    words = ["+12025550123", "+12025550124", "--prefix", "+44", "--holder", "A Inc"]
    monitor.here("watch", "add", "--name", "home", *words)
    assert monitor.here("watch", "remove", "home", "+1 202 555 0123").out == "1 item of 'home' is watched no longer.\n"
    monitor.here("watch", "remove", "home", "home/number:+12025550124", "+44*")
    assert stored(monitor) == {"home": {"name": "home", "holders": ["A Inc"]}}
    assert "is not among what 'home' watches" in monitor.here("watch", "remove", "home", "+12025550123", code=1).err
    assert monitor.here("watch", "remove", "home", "--json").lines == [{"name": "home", "removed": 1}]
    assert stored(monitor) == {}
    said = monitor.here("watch", "remove", "+12025550123", code=1).err
    assert "a number is given after its name: watch remove watched +12025550123" in said
    assert "nothing is watched under the name 'home'" in monitor.here("watch", "remove", "home", code=1).err
    assert monitor.here("watch", "list").out.startswith("Nothing is watched: ")


def test_taking_the_last_away_ends_the_name(monitor: Monitor) -> None:
    monitor.here("watch", "add", "--name", "home", "+12025550123")
    monitor.here("watch", "remove", "home", "+12025550123")
    assert stored(monitor) == {}


def test_the_file_is_only_written_by_people(monitor: Monitor) -> None:
    path = monitor.write("watch.toml", FILE)
    monitor.here("watch", "add", "+12025550123")
    said = monitor.here("watch", "remove", "filed", code=2)
    assert "take it out there" in said.err
    assert path.read_text() == FILE
    out = monitor.here("watch", "list").out
    assert out.index("filed: 1 item, by the file watch.toml") < out.index("watched: 1 item, by command")
    assert "nothing is watched under the name 'nobody'" in monitor.here("watch", "list", "nobody", code=1).err
    monitor.write("watch.toml", FILE.replace("numbers", "nmbers"))
    said = monitor.here("watch", "list")
    assert "watch.toml: watch list, line 3, column 1" in said.err
    assert "watched: 1 item, by command" in said.out


def test_a_mistake_in_the_file_keeps_no_command_from_working(monitor: Monitor) -> None:
    monitor.write("watch.toml", FILE.replace("numbers", "nmbers"))
    said = monitor.here("watch", "add", "+12025550123")
    assert "1 new item is watched" in said.out
    assert "watch.toml" in said.err
    assert "1 item of 'watched' is watched no longer." in monitor.here("watch", "remove", "watched").out


def test_a_monitor_that_runs_notices(monitor: Monitor) -> None:
    async def work(state):
        before = await state.answers.data_version()
        import asyncio

        await asyncio.to_thread(monitor.here, "watch", "add", "+12025550123")
        return before != await state.answers.data_version()

    assert monitor.state(work)


def test_a_number_that_can_never_be_seen_is_said_to_be_one(monitor: Monitor) -> None:
    said = monitor.here("watch", "add", "+1202555", "+4930", "+12025550123")
    assert "Note: +1202555 has 7 digits, which no whole number there has" in said.err
    assert "+1202555* watches all that begin so." in said.err
    assert "Note: +4930 has 4 digits" in said.err
    assert "+12025550123 has" not in said.err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,kind,value,tell\nx,number,+12025551000,screen\ny,number,+12025551001,pager\n", "f, line 3: there is no"),
        ("name,kind,value\nx,number,+12025551000\nx,code,709J\n", "f, line 3: a code is only unique in one"),
        ("name;kind;value\nx;number;+12025551000\n", "f, line 1: the columns are parted by ';', and must be by ','"),
    ],
)
def test_a_mistake_that_only_the_whole_shows_is_named_with_its_line(monitor: Monitor, text: str, sentence: str) -> None:
    Path("f").write_text(text)
    assert sentence in monitor.here("watch", "add", "--from", "f", code=2).err
    assert "Nothing is watched" in monitor.here("watch", "list").out
