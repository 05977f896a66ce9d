"""Where in a TOML file a value stands, for messages about what is wrong with it.

Spec: TOML 1.0. In scope: the line and column of keys and values of a text that `tomllib` has accepted. It is scanned
only after a mistake was found, so it is short rather than fast. Out of scope: what values mean, and mistakes of TOML
itself, of which `tomllib` names line and column.
"""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes: ("watch", 2, "numbers", 17)."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]+")


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


def find_place(text: str, path: Path, *, of_key: bool = False) -> Place:
    """Find the value at `path`, or its key. What is not there is looked for where it would belong: in what holds it."""
    scan = _Scan(text)
    scan.run()
    while path:
        where = (scan.keys if of_key else scan.values).get(path, scan.values.get(path))
        if where is not None:
            line = text.count("\n", 0, where)
            return Place(line + 1, where - (text.rfind("\n", 0, where) + 1) + 1)
        path = path[:-1]
    return Place(1, 1)


def find_table(text: str, path: Path) -> tuple[int, int] | None:
    """The offsets between which the table at `path` stands, in whole lines: from its header to its last pair. None
    where it has no header of its own (an inline table, or one that is not there)."""
    scan = _Scan(text)
    scan.run()
    if path not in scan.ends:
        return None
    end = text.find("\n", scan.ends[path])
    return text.rfind("\n", 0, scan.values[path]) + 1, len(text) if end < 0 else end + 1


class _Scan:
    """One pass over the text; `values` and `keys` give offsets by path, `ends` those behind a table's last pair."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counts: dict[Path, int] = {}  # of tables in arrays of tables
        self.values: dict[Path, int] = {}
        self.keys: dict[Path, int] = {}
        self.ends: dict[Path, int] = {}

    def run(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            if table:
                self.ends[table] = self._at

    def _header(self) -> Path:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 1 + is_array
        names = self._dotted()
        self._at += 1 + is_array
        path: Path = ()
        for name in names[:-1]:
            path = (*path, name)
            if path in self._counts:
                path = (*path, self._counts[path])
        path = (*path, names[-1])
        if is_array:
            self._counts[path] = self._counts.get(path, -1) + 1
            path = (*path, self._counts[path])
        self.values.setdefault(path, start)
        self.keys.setdefault(path, start)
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._dotted())
        self._at += 1  # "="
        self._skip(_SPACE)
        self.keys.setdefault(path, start)
        self._value(path)

    def _dotted(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            quoted = _STRING.match(self._text, self._at)
            found = quoted or _BARE.match(self._text, self._at)
            assert found is not None, "tomllib accepted this text"
            names.append(tomllib.loads(f"x = {found.group()}")["x"] if quoted else found.group())
            self._at = found.end()
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        self.values.setdefault(path, self._at)
        opening = self._text[self._at]
        if opening == "[":
            self._listed(path)
        elif opening == "{":
            self._inline(path)
        else:
            found = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            assert found is not None, "tomllib accepted this text"
            self._at = found.end()

    def _listed(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "]":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._value((*path, index))
            index += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "}":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
