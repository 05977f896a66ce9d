"""A table of a watch list as it is kept in the state: what is added to it, taken from it, read from files of many.

A table has the members of a [[watch]] in the TOML file, and its name is its id. In scope: values in one way of writing
each, so that nothing is watched twice; adding, removing; rows of CSV, JSON lines and plain lists. Pure. Out of scope:
what a table means (`monitor.watch_file` checks it), storing.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ctlog.errors import UsageError
from monitor.items import KEY, NUMBER, PREFIX, RANGE, Group, Item
from monitor.watch_file import LISTS, MEMBERS

KEY_OF_KIND: Mapping[str, str] = {kind: key for key, (kind, _) in LISTS.items()} | {"code": "codes"}
"""Kind of an item, as alerts say it -> the key of its list in a table."""
MAX_LINE = 1 << 20

Table = dict[str, Any]

_NOBODY = Group("")
_HEX = re.compile(r"[0-9a-fA-F]{64}\Z")
_LISTED = ("tell", "exclude")
_EXPECTED = ("issuers", "holders", "keys", "ranges", "codes", "uris")
_COLUMNS = (
    "name", "kind", "value", "tell", "trust_domain", "exclude", *(f"expect_{each}" for each in _EXPECTED),
    "expect_days",
)  # fmt: skip


class Added(NamedTuple):
    """A table after something was added: how many values are new, and how many were there."""

    table: Table
    new: int
    known: int


def parse_table(spec: bytes) -> Table:
    """Read a table as it is stored."""
    table = json.loads(spec)
    if not isinstance(table, dict):
        raise ValueError("a stored table of the watch list is no JSON object")
    return table


def format_table(table: Mapping[str, Any]) -> bytes:
    """The inverse."""
    return json.dumps(table, separators=(",", ":")).encode()


def canonical(key: str, text: str) -> str:
    """A value of a list in the one way in which it is kept. Raises UsageError for what is none."""
    kind, parse = LISTS[key]
    return Item(kind, parse(text), _NOBODY).text


def key_for(text: str) -> str:
    """Tell from its form in which list a value belongs. Raises UsageError where that cannot be told."""
    plain = text.strip()
    if plain.startswith("+"):
        if re.search(r"\bto\b|\.\.", plain):
            return KEY_OF_KIND[RANGE]
        return KEY_OF_KIND[PREFIX if plain.endswith("*") else NUMBER]
    if _HEX.match(plain.replace(":", "")):
        return KEY_OF_KIND[KEY]
    if re.fullmatch(r"[\d\s().-]{5,}", plain):
        raise UsageError(f"{text!r} is no number: write it with '+' and the country code, such as +12025550123")
    raise UsageError(f"{text!r} may be a code, a holder or an issuer: say which (--code, --holder, --issuer)")


def put_value(table: Table, key: str, text: str) -> None:
    """Put a value into a table that is being made; "+1202*" is the prefix +1202. Raises UsageError."""
    text = text.strip().removesuffix("*") if key == KEY_OF_KIND[PREFIX] else text
    table.setdefault(key, []).append(canonical(key, text))


def add(table: Mapping[str, Any] | None, addition: Mapping[str, Any]) -> Added:
    """A table with what is new in `addition`. Values come to those that are there, settings replace others."""
    merged: Table = dict(table or {})
    new = known = 0
    for member, value in addition.items():
        if member not in LISTS:
            merged[member] = {**merged.get(member, {}), **value} if member == "expect" else value
            continue
        before = merged.get(member, [])
        there = set(before)
        fresh = [each for each in dict.fromkeys(value) if each not in there]
        new, known = new + len(fresh), known + len(value) - len(fresh)
        merged[member] = [*before, *fresh]
    return Added(merged, new, known)


def remove(table: Mapping[str, Any], values: Collection[str]) -> tuple[Table | None, list[str]]:
    """A table without these values, in canonical form, and which of them it had. None where it watches nothing more."""
    left: Table = dict(table)
    gone: list[str] = []
    for key in LISTS:
        if key in left:
            gone += [each for each in left[key] if each in values]
            left[key] = [each for each in left[key] if each not in values]
            if not left[key]:
                del left[key]
    return (left if any(key in left for key in LISTS) else None), gone


# --- files of many ----------------------------------------------------------------------------------------------------


class Reader:
    """Reads a file of many items, line by line, into `tables` by name.

    Three forms, told apart by the first line: JSON lines, each a table or a value ({"value": "+1...", "name": "..."});
    CSV with a header (some of the columns name, kind, value, tell, trust_domain, exclude, expect_issuers,
    expect_holders, expect_keys, expect_ranges, expect_codes, expect_uris, expect_days; several texts in one field are
    parted by ";"); or one value to a line. `name`: of rows that have none.
    """

    def __init__(self, name: str, settings: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self._settings = dict(settings or {})
        self.tables: dict[str, Table] = {}
        self.places: dict[tuple[str, str], str] = {}
        """Where a name, or ("") all of it, was given each member first."""
        self.values = 0
        self._line = 0
        self._source = ""

    def read(self, lines: Iterable[str], source: str) -> Iterator[int]:
        """Read all lines; gives the number of each that was read. Raises UsageError that names the line."""
        self._source = source
        try:
            for row in self._rows(self._numbered(lines)):
                self._take(row)
                yield self._line
        except (UsageError, csv.Error, RecursionError) as error:
            raise UsageError(f"{source}, line {self._line}: {error}", reason="watch-list") from None
        if not self.values:
            raise UsageError(f"{source} names nothing to watch", reason="watch-list")

    def _numbered(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines that say something; `_line` is the number of the one in hand."""
        for self._line, line in enumerate(lines, 1):
            if len(line) > MAX_LINE:
                raise UsageError(f"it is longer than {MAX_LINE} characters")
            text = line.lstrip("\ufeff").strip()
            if text and not text.startswith("#"):
                yield text

    def _rows(self, lines: Iterator[str]) -> Iterator[Mapping[str, Any]]:
        for first in lines:
            if first.startswith("{"):
                yield _json_row(first)
                yield from map(_json_row, lines)
            elif re.split("[,;]", first)[0].strip().lower() in _COLUMNS:
                yield from _csv_rows(first, lines)
            else:
                yield {"value": first}
                yield from ({"value": text} for text in lines)

    def _take(self, row: Mapping[str, Any]) -> None:
        addition = _addition({"name": self._name, **self._settings, **row})
        name = addition["name"]
        table = self.tables.setdefault(name, {"name": name})
        for member in ("", *addition):
            self.places.setdefault((name, member), f"{self._source}, line {self._line}")
        for member, value in addition.items():
            if member in LISTS:
                for text in _texts(member, value):
                    put_value(table, member, text)
                    self.values += 1
            elif table.setdefault(member, value) != value:
                raise UsageError(f"{name!r} has another {member} in a line above")


def _csv_rows(header: str, lines: Iterator[str]) -> Iterator[Mapping[str, Any]]:
    if ";" in header and "," not in header:
        raise UsageError("the columns are parted by ';', and must be by ',': ';' parts several texts in one field")
    columns = [each.strip().lower() for each in next(csv.reader([header], strict=True))]
    for column in columns:
        if column not in _COLUMNS:
            raise UsageError(f"there is no column {column!r}; there are {', '.join(_COLUMNS)}")
    if "value" not in columns:
        raise UsageError("there is no column 'value'")
    for line in lines:
        fields = next(csv.reader([line], strict=True))
        if len(fields) > len(columns):
            raise UsageError(f"it has {len(fields)} fields, and the header {len(columns)}")
        found = zip(columns, map(str.strip, fields), strict=False)
        yield {column: field for column, field in found if field}


def _addition(row: Mapping[str, Any]) -> Table:
    """A row as a table, whichever way it was written."""
    found: Table = {}
    expect: Table = dict(row["expect"]) if isinstance(row.get("expect"), dict) else {}
    kind, value = row.get("kind", ""), row.get("value")
    for member, field in row.items():
        if member == "expect_days":
            expect["max_validity_days"] = _days(field)
        elif member.startswith("expect_"):
            expect[member.removeprefix("expect_")] = _split(field)
        elif member in _LISTED:
            found[member] = _split(field)
        elif member == "expect":
            continue
        elif member in MEMBERS:
            found[member] = field
        elif member not in ("kind", "value"):
            raise UsageError(f"there is no member {member!r}; there are {', '.join((*_COLUMNS[1:3], *MEMBERS))}")
    if expect:
        found["expect"] = expect
    if value is not None:
        if not isinstance(value, str) or (kind and kind not in KEY_OF_KIND):
            known = ", ".join(KEY_OF_KIND)
            raise UsageError(f"{kind!r} is no kind; there are {known}" if kind else "the value is a text")
        key = KEY_OF_KIND[kind] if kind else key_for(value)
        found[key] = [value]
    if not isinstance(found.get("name"), str):
        raise UsageError("the name is a text")
    return found


def _texts(member: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"{member} is a list of texts")
    return value


def _split(field: Any) -> Any:
    return [part.strip() for part in field.split(";") if part.strip()] if isinstance(field, str) else field


def _days(field: Any) -> Any:
    try:
        return float(field) if isinstance(field, str) else field
    except ValueError:
        raise UsageError(f"{field!r} is no number of days") from None


def _json_row(text: str) -> Mapping[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise UsageError(f"it is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise UsageError("it is no JSON object")
    return row
