"""A watch list as people write it: a TOML file, strict, every mistake with its line and column.

    [[watch]]
    name = "office"                          # unique; alerts and `ctlog-monitor watch` name it
    tell = ["mail", "hook"]                  # channels; without it those that are told of everything
    trust_domain = "us-shaken"               # needed for codes, which are only unique in one
    numbers = ["+1 202 555 0123"]            # E.164, with "+"
    ranges = ["+12025550100 to +12025550199"]
    prefixes = ["+1202555"]
    codes = ["709J"]
    holders = ["Example Inc"]
    issuers = ["Example CA"]
    keys = ["64 hexadecimal digits"]         # SHA-256 of SubjectPublicKeyInfo
    exclude = ["+12025550150", "+12025550160 to +12025550169"]

    [watch.expect]                           # of certificates for these; what is left out is learned
    issuers = ["Example CA"]
    holders = ["Example Inc"]
    keys = ["64 hexadecimal digits"]
    max_validity_days = 90
    ranges = ["+12025550000 to +12025559999"]  # whole blocks of the provider that hold these
    codes = ["709J"]                         # of the providers that serve the numbers
    uris = ["https://cps.example/"]          # that attributes may name

In scope: this form, as a text and as one table (which is how single items are kept elsewhere). Pure. Out of scope:
reading the file, and reading it again.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ctlog.errors import ConfigError, UsageError
from ctlog.tn.numbers import TelephoneNumber
from monitor.items import (
    CODE,
    HOLDER,
    ISSUER,
    KEY,
    NUMBER,
    PREFIX,
    RANGE,
    Expect,
    Group,
    Item,
    Value,
    parse_claim,
    parse_code,
    parse_key,
    parse_name,
    parse_number,
    parse_prefix,
    parse_range,
)
from monitor.toml_places import Path, find_place

LISTS: Mapping[str, tuple[str, Callable[[str], Value]]] = {
    "numbers": (NUMBER, parse_number),
    "ranges": (RANGE, parse_range),
    "prefixes": (PREFIX, parse_prefix),
    "codes": (CODE, parse_code),
    "holders": (HOLDER, parse_name),
    "issuers": (ISSUER, parse_name),
    "keys": (KEY, parse_key),
}
"""Key of a table -> (kind of its items, how one is read)."""

MEMBERS = (*LISTS, "name", "tell", "trust_domain", "exclude", "expect")
"""Of a table."""
_EXPECT = ("issuers", "holders", "keys", "max_validity_days", "ranges", "codes", "uris")
_NAME = re.compile(r"[^\s/](?:[^/\x00-\x1f\x7f]{0,62}[^\s/])?\Z")


class WatchListError(UsageError):
    """A mistake in a table. `path`: where; `of_key`: whether the key itself is wrong."""

    reason = "watch-list"

    def __init__(self, sentence: str, path: Path, *, of_key: bool = False) -> None:
        super().__init__(sentence)
        self.path = path
        self.of_key = of_key


def parse_watch_file(text: str, *, added_ms: Callable[[str], int] = lambda name: 0) -> list[Item]:
    """Read a watch list. `added_ms` says since when the group of a name is watched.

    Raises: ConfigError, reason "watch-list", its sentence with line and column.
    """
    return list(read_watch_file(text, added_ms=added_ms))


def read_watch_file(text: str, *, added_ms: Callable[[str], int] = lambda name: 0) -> Iterator[Item]:
    """The same, item by item, for whoever does not want a million of them at once. Raises as it goes."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the watch list is no TOML: {error}", reason="watch-list") from error
    try:
        yield from _read_document(document, added_ms)
    except WatchListError as mistake:
        line, column = find_place(text, mistake.path, of_key=mistake.of_key)
        sentence = f"watch list, line {line}, column {column}: {mistake}"
        raise ConfigError(sentence, reason="watch-list") from mistake


def parse_watch_table(table: Mapping[str, Any], *, added_ms: int = 0) -> list[Item]:
    """Read one table, without [[watch]] around it: what is kept of items that were added by command.

    Raises: WatchListError.
    """
    return list(_read_table(table, (), added_ms))


def _read_document(document: Mapping[str, Any], added_ms: Callable[[str], int]) -> Iterator[Item]:
    for key in document:
        if key != "watch":
            raise WatchListError(f"there is no key {key!r} here; items stand in [[watch]]", (key,), of_key=True)
    tables = document.get("watch", [])
    if not isinstance(tables, list):
        raise WatchListError("write [[watch]], with two brackets", ("watch",), of_key=True)
    names: set[object] = set()
    for at, table in enumerate(tables):
        path: Path = ("watch", at)
        if not isinstance(table, dict):
            raise WatchListError("write [[watch]], with two brackets", path)
        name = table.get("name")
        if name in names:
            raise WatchListError(f"the name {name!r} is taken by a table above", (*path, "name"))
        yield from _read_table(table, path, added_ms(name) if isinstance(name, str) else 0)
        names.add(name)


def _read_table(table: Mapping[str, Any], path: Path, added_ms: int) -> Iterator[Item]:
    _check_keys(table, MEMBERS, path)
    group = _read_group(table, path)
    if "codes" in table and group.trust_domain is None:
        sentence = "a code is only unique in one trust domain: add trust_domain (--domain, on a command line)"
        raise WatchListError(sentence, (*path, "codes"), of_key=True)
    count = 0
    for key, (kind, parse) in LISTS.items():
        seen: set[object] = set()
        for at, text in enumerate(_texts(table, key, path)):
            value = _parsed(parse, text, (*path, key, at))
            same = value.digits if isinstance(value, TelephoneNumber) else value
            if same in seen:
                raise WatchListError(f"{text!r} stands here twice", (*path, key, at))
            seen.add(same)
            count += 1
            yield Item(kind, value, group, added_ms)
    if not count:
        raise WatchListError(f"it watches nothing: add one of {', '.join(LISTS)}", path)


def _read_group(table: Mapping[str, Any], path: Path) -> Group:
    name = _text(table, "name", path)
    if not name:
        raise WatchListError("it has no name", path)
    if not _NAME.match(name):
        sentence = f"{name!r} is no name: up to 64 characters, none of them '/' or a control character"
        raise WatchListError(sentence, (*path, "name"))
    exclude = _texts(table, "exclude", path)
    tell = _texts(table, "tell", path)
    for at, channel in enumerate(tell):
        if not channel.strip():
            raise WatchListError("the name of a channel is empty", (*path, "tell", at))
    return Group(
        name,
        tuple(tell),
        _text(table, "trust_domain", path),
        _read_expect(table, path),
        tuple(_parsed(parse_claim, text, (*path, "exclude", at)) for at, text in enumerate(exclude)),
    )


def _read_expect(table: Mapping[str, Any], path: Path) -> Expect:
    expect = table.get("expect", {})
    path = (*path, "expect")
    if not isinstance(expect, dict):
        raise WatchListError("what is expected is a table: [watch.expect]", path)
    _check_keys(expect, _EXPECT, path)
    days = expect.get("max_validity_days")
    if days is not None and (isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days < 36500):
        raise WatchListError("max_validity_days is a number of days above 0", (*path, "max_validity_days"))

    def read(key: str, parse: Callable[[str], Any]) -> tuple[Any, ...]:
        return tuple(_parsed(parse, text, (*path, key, at)) for at, text in enumerate(_texts(expect, key, path)))

    return Expect(
        issuers=read("issuers", parse_name),
        holders=read("holders", parse_name),
        keys=frozenset(read("keys", parse_key)),
        max_validity_days=days,
        ranges=read("ranges", parse_range),
        codes=tuple(code.code for code in read("codes", parse_code)),
        uris=read("uris", _parse_uri),
    )


def _parse_uri(text: str) -> str:
    if not re.match(r"[a-z][a-z0-9+.-]*:[!-~]+\Z", text):
        raise UsageError(f"{text!r} is no URI")
    return text


def _parsed(parse: Callable[[str], Any], text: str, path: Path) -> Any:
    try:
        return parse(text)
    except UsageError as error:
        raise WatchListError(str(error), path) from error


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], path: Path) -> None:
    for key in table:
        if key not in known:
            sentence = f"there is no key {key!r} here; there are {', '.join(known)}"
            raise WatchListError(sentence, (*path, key), of_key=True)


def _text(table: Mapping[str, Any], key: str, path: Path) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise WatchListError(f"{key} is a text in quotation marks", (*path, key))
    return value


def _texts(table: Mapping[str, Any], key: str, path: Path) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise WatchListError(f"{key} is a list: [\"...\", \"...\"]", (*path, key))
    for at, each in enumerate(value):
        if not isinstance(each, str):
            raise WatchListError(f"{key} is a list of texts in quotation marks", (*path, key, at))
    return value
