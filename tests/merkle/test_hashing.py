"""Which implementation is taken, by machine and environment, and that all offer the same functions."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ctlog.merkle import hashing, reference
from tests.kernels import ENGINES, ROOT, SWITCHES, implementation, import_kernel, installed_kernel

FUNCTIONS = sorted(set(hashing.__all__) - {"IMPLEMENTATION"})


def chosen(**environment: str) -> str:
    """What a fresh process takes in this environment."""
    clean = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    run = subprocess.run(
        [sys.executable, "-c", "from ctlog.merkle.hashing import IMPLEMENTATION; print(IMPLEMENTATION)"],
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


@pytest.fixture(scope="module")
def usual() -> str:
    """What is taken here when nothing is said; skips where that is Python."""
    installed_kernel()
    return chosen()


def test_all_functions_are_of_one_implementation() -> None:
    modules = {getattr(hashing, name).__module__ for name in FUNCTIONS}
    assert len(modules) == 1
    assert ("ctlog.merkle.reference" in modules) == (hashing.IMPLEMENTATION == "reference")


def test_without_the_kernel_it_is_python() -> None:
    assert chosen(CTLOG_NO_KERNEL="1") == "reference"


def test_an_empty_switch_switches_nothing(usual: str) -> None:
    assert chosen(CTLOG_NO_KERNEL="", CTLOG_NO_AVX512="", CTLOG_NO_SHANI="", CTLOG_KERNEL="") == usual


def test_an_unknown_name_changes_nothing(usual: str) -> None:
    assert chosen(CTLOG_KERNEL="md5") == usual
    assert chosen(CTLOG_KERNEL="reference") == usual


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_can_be_asked_for(name: str, usual: str) -> None:
    implementation(name)  # skips where this machine has none
    environment, says, _ = ENGINES[name]
    assert chosen(**environment) == says


@pytest.mark.parametrize("engine", [name for name in ("avx512", "avx2", "sha-ni", "armv8") if name in ENGINES])
def test_an_engine_can_be_switched_off(engine: str, usual: str) -> None:
    implementation(engine)
    switch = f"CTLOG_NO_{engine.replace('-', '').upper()}"
    assert chosen(CTLOG_KERNEL=engine) == engine
    assert chosen(**{"CTLOG_KERNEL": engine, switch: "1"}) != engine


def test_with_all_switched_off_it_is_portable(usual: str) -> None:
    off = {name: "1" for name in SWITCHES if name.startswith("CTLOG_NO_") and name != "CTLOG_NO_KERNEL"}
    assert chosen(**off) == "portable"


def test_the_kernel_refuses_by_its_own_switch(usual: str) -> None:
    with pytest.raises(ImportError, match="switched off by CTLOG_NO_KERNEL"):
        import_kernel(installed_kernel(), {"CTLOG_NO_KERNEL": "1"})


def test_the_reference_specifies_every_function() -> None:
    ours = {
        name
        for name, value in vars(reference).items()
        if inspect.isfunction(value) and value.__module__ == reference.__name__ and not name.startswith("_")
    }
    assert sorted(ours) == FUNCTIONS


def test_the_kernel_has_the_signatures_of_the_reference(usual: str) -> None:
    kernel = implementation("portable")
    for name in FUNCTIONS:
        theirs, ours = inspect.signature(getattr(kernel, name)), inspect.signature(getattr(reference, name))
        assert [(p.name, p.kind) for p in theirs.parameters.values()] == [
            (p.name, p.kind) for p in ours.parameters.values()
        ]


def test_the_stub_names_the_same_functions_and_types() -> None:
    stub = (Path(hashing.__file__).parent / "_kernel.pyi").read_text()
    found = dict(re.findall(r"^def (\w+)(\(.*\) -> .*): \.\.\.$", stub, re.MULTILINE))
    assert found == {
        name: re.sub(r"'", "", str(inspect.signature(getattr(reference, name)))) for name in FUNCTIONS
    }
