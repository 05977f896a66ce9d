"""The program as its imports show it: modules, rooms, and who enters whose room. Read from the source, not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROGRAMS = ("ctlog", "monitor")


@dataclass(frozen=True)
class Import:
    """One import: `name` is what is imported, dotted; `deferred` if it is not done when the module is."""

    name: str
    line: int
    deferred: bool


@dataclass(frozen=True)
class Module:
    """One file. `name` is dotted; a package's own file is called by the package's name."""

    path: Path
    name: str

    @property
    def room(self) -> str:
        """The first name below ctlog, such as "wire" or "config"; "ctlog/__init__" for that file; "monitor", but for
        its commands, which are "monitor/cli"."""
        program, *rest = self.name.split(".")
        return _monitor(rest) if program == "monitor" else rest[0] if rest else "ctlog/__init__"

    @property
    def tree(self) -> ast.Module:
        return _tree(self.path)

    @property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree, self.name, deferred=False))

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the program, without those that a build makes."""
    found = []
    for program in PROGRAMS:
        for path in sorted((ROOT / program).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(Module(path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)))
    return tuple(found)


def entered(module: Module) -> Iterator[tuple[str, Import]]:
    """The rooms of the program that a module enters. `ctlog` itself has one thing for all: its version."""
    for one in module.imports:
        program, *rest = one.name.split(".")
        if program == "ctlog":
            if one.name != "ctlog.__version__":
                yield (rest[0] if rest else "ctlog/__init__"), one
        elif program == "monitor":
            yield _monitor(rest), one


def known(name: str) -> str | None:
    """The module of the program that the dotted name is, or is in; None for other people's."""
    names = {module.name for module in modules()}
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name or None


def _monitor(rest: list[str]) -> str:
    return "monitor/cli" if rest[:1] == ["cli"] else "monitor"


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(node: ast.AST, module: str, *, deferred: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, deferred) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}:{child.lineno}: a relative import"
            yield from (Import(f"{child.module}.{alias.name}", child.lineno, deferred) for alias in child.names)
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            yield from _imports(child, module, deferred=deferred or is_function or for_types)
