"""monitor.new_config: what `init` writes says all that there is, and is read back as it was meant."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import LOG, LOG_LIST, ROOTS, SOURCES, TOP, parse_config
from monitor.new_config import log_block, new_config, roots_block, toml_text, without_log


def test_every_key_stands_there_with_its_sentence() -> None:
    text = new_config("me@example.com")
    assert parse_config(text).contact == "me@example.com"
    flat = re.sub(r"\n# (# )?", " ", text)
    for key in (*TOP, *LOG, *LOG_LIST, *ROOTS, *SOURCES):
        assert re.search(rf"^(# )?{key.name} = ", text, re.MULTILINE), key.name
        assert " ".join(key.sentence.split()) in " ".join(flat.split()), key.name


def test_what_is_shown_is_what_holds_without_it() -> None:
    shown = re.sub(r"^# (\w+ = )", r"\1", new_config("x"), flags=re.MULTILINE)
    assert parse_config(shown.partition("\n[channels")[0]) == parse_config('contact = "x"\n')


def test_an_example_can_be_taken_over_by_taking_marks_away() -> None:
    examples = new_config("x").partition("# --- which logs")[2].partition("\n")[2]
    text = re.sub(r"^# (?=[\w\[\"#])", "", examples, flags=re.MULTILINE)
    assert {"log", "log_list", "roots", "sources", "contacts"} <= set(tomllib.loads(text))


def test_blocks() -> None:
    text = 'contact = "x"\n' + roots_block("us-shaken", ["a b.pem"])
    text += log_block({"log_v3": "https://x.example/l.json", "name": ""}, 1_769_817_600_000)
    config = parse_config(text)
    assert (config.roots[0].trust_domain, config.roots[0].files) == ("us-shaken", ("a b.pem",))
    assert (config.logs[0].log_v3, config.logs[0].begin) == ("https://x.example/l.json", 1_769_817_600_000)


URLS = st.lists(st.text("abc#[]\"'\\\n ", max_size=8), min_size=1, max_size=4)


@given(URLS, st.integers(0, 3), st.sampled_from(["", "# a word\n", "\n# [[log]]\n\n"]))
def test_a_log_is_taken_out_and_nothing_else(names: list[str], at: int, between: str) -> None:
    at %= len(names)
    blocks = [log_block({"log_v3": f"{number}{name}", "name": name}, "first") for number, name in enumerate(names)]
    text = without_log(new_config("me") + between.join(blocks) + between, at)
    assert text is not None
    left = [f"{number}{name}" for number, name in enumerate(names) if number != at]
    assert [log["log_v3"] for log in tomllib.loads(text).get("log", [])] == left
    assert text.count("# a word\n") == between.count("# a word") * len(names)
    assert without_log(text, len(left)) is None


def test_added_and_taken_out_leaves_the_file_as_it_was() -> None:
    text = new_config("me")
    assert without_log(text + log_block({"log_v3": "x"}, "first"), 0) in (text, f"{text}\n")


VALUES = st.one_of(st.text(st.characters(codec="utf-8")), st.integers(-(2**62), 2**62), st.booleans(),
                   st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=3))  # fmt: skip


@given(VALUES)
def test_values_come_back(value: object) -> None:
    assert tomllib.loads(f"value = {toml_text(value)}\n") == {"value": value}


@pytest.mark.parametrize("value", ["\x7f", "\u2028", '"\\'])
def test_odd_texts(value: str) -> None:
    assert tomllib.loads(f"value = {toml_text(value)}") == {"value": value}
