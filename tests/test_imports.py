"""The floor plan (the rooms, and who may enter whose) as a test, and what `import ctlog` gives and costs."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

import ctlog
from tests.floor_plan import ROOT, Module, entered, known, modules

# Who may import whom. "*" stands for anything in ctlog; each room may enter itself.
MAY_ENTER = {
    "errors": "",
    "merkle": "errors",
    "wire": "errors merkle",
    "x509": "errors wire",
    "tn": "errors x509",
    "client": "errors merkle wire x509 tn",
    "store": "errors",
    "admission": "errors wire x509 tn",
    "sequencer": "errors merkle wire store",
    "http": "errors merkle wire admission store sequencer",
    "issuance": "errors wire x509 tn client",
    "fsck": "errors merkle wire x509 tn admission store client",
    "reindex": "errors merkle wire x509 tn admission store client",
    "config": "errors wire admission",
    "roots": "errors wire x509",
    "log_v3": "errors wire config",
    "folder": "errors wire store sequencer config roots log_v3",
    "outside": "errors wire sequencer client",
    "state": "errors merkle wire admission store sequencer http config roots log_v3 folder",
    "verify_service": "errors wire client",
    "app": "*",
    "cli": "*",
    "monitor": "errors merkle wire x509 tn client",
    "monitor/cli": "errors merkle wire x509 tn client cli monitor",
    "ctlog/__init__": "errors merkle wire x509 tn client",
}

# Bytes and values in, bytes and values out: nothing that waits, looks at the clock or the disk, or rolls dice.
PURE = re.compile(
    r"ctlog\.(errors|merkle|wire|x509|tn|admission)(\..*)?"
    r"|ctlog\.client\.(trusted|evidence|evidence_text|sct|sct_policy|passport|dossier|log_list|stapled|lru)"
    r"|ctlog\.client\.(verdict|credential|coverage|call_cache|diversion|activation|submission)"
    r"|ctlog\.sequencer\.plan"
    r"|monitor\.(alert_text|entry|glance|holder|salvage|rcs|rules(\..*)?|watchlist|alert|health|ending|claims)"
    r"|monitor\.(new_config|watch_table|handed)|monitor\.follow\.aside"
    r"|monitor\.(items|number_index|reading_roles|replay|toml_places|watch_columns|watch_file)"
    r"|monitor\.tell\.(backoff|letter|mail|plan|words)"
)
IMPURE = {
    *("asyncio", "time", "os", "pathlib", "socket", "sqlite3", "random", "logging", "aiohttp"),
    *("secrets", "threading", "subprocess", "multiprocessing", "concurrent", "select", "selectors", "ssl", "http"),
    *("tempfile", "shutil", "uuid", "signal", "uvloop", "sqlite_utils"),
}
IMPURE_CALLS = re.compile(r"open|print|input|.*\.(now|utcnow|today|urandom)")

MAX_LINES = 400
MAX_TEST_LINES = 700
MAX_FUNCTION_LINES = 60


def each(**options):
    return pytest.mark.parametrize("module", modules(), ids=lambda module: module.name, **options)


# The plan -----------------------------------------------------------------------------------------------------------


def test_the_table_has_no_way_around():
    """The floors are floors: an order exists in which each room stands on rooms below it."""
    below = {room: set(may.split()) - {"*"} for room, may in MAY_ENTER.items()}
    order = list(TopologicalSorter(below).static_order())
    assert order[0] == "errors"


@each()
def test_each_module_enters_only_rooms_that_it_may(module: Module):
    assert module.room in MAY_ENTER, f"{module}: the floor plan has no room {module.room}"
    may = MAY_ENTER[module.room].split()
    for room, one in entered(module):
        allowed = room == module.room or room in may or (may == ["*"] and room != "monitor")
        assert allowed, f"{module}:{one.line}: {module.room} may not import {one.name}"


def test_no_module_needs_itself():
    needs = {}
    for module in modules():
        names = {known(one.name) for one in module.imports if not one.deferred}
        needs[module.name] = names - {module.name, "ctlog", None}
    list(TopologicalSorter(needs).static_order())  # raises CycleError, and names the way around


@pytest.mark.parametrize("module", [one for one in modules() if PURE.fullmatch(one.name)], ids=str)
def test_pure_rooms_have_no_clock_disk_network_or_dice(module: Module):
    for one in module.imports:
        assert one.name.split(".")[0] not in IMPURE, f"{module}:{one.line}: a pure room imports {one.name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not IMPURE_CALLS.fullmatch(called), f"{module}:{node.lineno}: a pure room calls {called}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{module}:{node.lineno}: a pure room waits"


# The house rules ----------------------------------------------------------------------------------------------------


@each()
def test_every_module_has_a_test_of_its_name(module: Module):
    body = module.tree.body
    if all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body):
        return  # a package's file with nothing in it but its docstring
    if module.name == "ctlog":
        return  # its tests are below
    program, *rooms, name = module.name.split(".")
    if module.path.name == "__init__.py":
        rooms = [*rooms, name]
    folder = ROOT.joinpath("tests", *(["monitor"] if program == "monitor" else []), *rooms)
    assert (folder / f"test_{name}.py").exists(), f"{module} has no {folder.relative_to(ROOT)}/test_{name}.py"


@each()
def test_every_module_says_what_it_is_for(module: Module):
    docstring = ast.get_docstring(module.tree)
    assert docstring
    assert len(docstring) > 40, f"{module}: its docstring says nothing"


@each()
def test_files_and_functions_fit_a_head(module: Module):
    lines = len(module.path.read_text(encoding="utf-8").splitlines())
    assert lines < MAX_LINES, f"{module} has {lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{module}:{node.lineno}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_tests_fit_a_head(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < MAX_TEST_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


def test_the_plan_itself_would_notice(tmp_path):
    """The reader of imports sees them at the top, in functions and for types, and tells these apart."""
    path = tmp_path / "guilty.py"
    path.write_text(
        "import os.path\nfrom ctlog.store import sqlite\nfrom ctlog import __version__\nif TYPE_CHECKING:\n"
        "    from ctlog.http.pages import page\ndef f():\n    import monitor.web\n"
    )
    module = Module(path, "ctlog.wire.guilty")
    at_once = [one.name for one in module.imports if not one.deferred]
    assert at_once == ["os.path", "ctlog.store.sqlite", "ctlog.__version__"]
    assert [(room, one.line) for room, one in entered(module)] == [("store", 2), ("http", 5), ("monitor", 7)]
    assert module.room == "wire"
    assert known("ctlog.wire.tls.Reader") == "ctlog.wire.tls"
    assert known("cryptography.x509") is None


# The library's front door -------------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_documented():
    assert sorted(ctlog.__all__) == sorted(ctlog._ROOM_OF) == sorted(set(ctlog.__all__))
    for name in ctlog.__all__:
        value = getattr(ctlog, name)
        assert value.__name__ == name
        assert value.__doc__, name
    assert set(ctlog.__all__) <= set(dir(ctlog))


def test_names_for_type_checkers_are_the_names_at_run_time():
    module = next(module for module in modules() if module.name == "ctlog")
    typed = {one.name for one in module.imports if one.deferred}
    assert typed == {f"ctlog.{room}.{name}" for name, room in ctlog._ROOM_OF.items()}


def test_no_other_name():
    with pytest.raises(AttributeError, match="no attribute 'verify_everything'"):
        ctlog.verify_everything  # noqa: B018 - the look-up is what is tested
    assert not hasattr(ctlog, "__wrapped__")


def test_importing_it_reads_nothing_else():
    code = "import sys, ctlog; print(*(name for name in sys.modules if name.split('.')[0] in sys.argv[1:]))"
    heavy = ("ctlog", "cryptography", "aiohttp", "asyncio", "msgspec", "phonenumbers", "sqlite3")
    ran = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.split() == ["ctlog"]


def test_the_example_in_the_docstring_runs():
    from ctlog import issuance
    from ctlog.wire.rfc6962 import EntryType, SignedEntry
    from tests.wire_values import TestLog

    now_ms = 1_795_000_000_000
    log = TestLog()
    authority = issuance.example_authority(now_ms)
    spki = issuance.Key.generate().spki
    tbs = issuance.shaken_leaf(authority, spki, "709J", "Carrier", not_before_ms=now_ms, not_after_ms=now_ms + 1)
    certificate = authority.certificate_for(tbs)
    sct = log.sct(SignedEntry(EntryType.X509, certificate), now_ms, 0)
    names = {"certificate": certificate, "issuer": authority.certificate, "sct": sct, "spki": log.spki}
    example = "\n".join(line[4:] for line in (ctlog.__doc__ or "").splitlines() if line.startswith("    "))
    printed: list[object] = []
    exec(example, names | {"now_ms": now_ms, "print": printed.append})
    assert [claim.code for claim in printed[0]] == ["709J"]
