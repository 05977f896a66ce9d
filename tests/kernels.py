"""Every implementation of `ctlog.merkle.hashing` that this machine can run, for one suite: Python, each engine of the C
kernel, and its ARM code under an emulator.

The C kernel chooses its engine when it is imported, from the environment, and keeps the choice in the module: so each
engine is one more import of the same file. CTLOG_TEST_KERNEL names another build of it (`.ci/sanitize` does).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ctlog.merkle import reference
from tests.tools import missing, tool

ROOT = Path(__file__).parent.parent
SWITCHES = ("CTLOG_KERNEL", "CTLOG_NO_AVX512", "CTLOG_NO_AVX2", "CTLOG_NO_SHANI", "CTLOG_NO_ARMV8", "CTLOG_NO_KERNEL")

# name -> (environment, what IMPLEMENTATION must say, the processor's features as Linux names them)
Engine = tuple[dict[str, str], str, set[str]]
X86: dict[str, Engine] = {
    "avx2": ({"CTLOG_KERNEL": "avx2"}, "avx2", {"avx2"}),
    "avx512": ({"CTLOG_KERNEL": "avx512"}, "avx512", {"avx512f", "avx512bw"}),
    "avx512-without-sha-ni": (
        {"CTLOG_KERNEL": "avx512", "CTLOG_NO_SHANI": "1"}, "avx512", {"avx512f", "avx512bw"},
    ),
    "sha-ni": ({"CTLOG_KERNEL": "sha-ni"}, "sha-ni", {"sha_ni", "sse4_1", "ssse3"}),
}  # fmt: skip
ARM: dict[str, Engine] = {"armv8": ({"CTLOG_KERNEL": "armv8"}, "armv8", {"sha2"})}
ENGINES: dict[str, Engine] = {
    "portable": ({"CTLOG_KERNEL": "portable"}, "portable", set()),
    **{"x86_64": X86, "aarch64": ARM}.get(os.uname().machine, {}),
}
EMULATED = {"emulated-portable": ({"CTLOG_NO_ARMV8": "1"}, "portable"), "emulated-armv8": ({}, "armv8")}
ALL = ["reference", *ENGINES, *EMULATED]


def installed_kernel() -> Path:
    """The C kernel that `hashing` would import. Skips if there is none; where CI=true, a compiler must have made it."""
    spec = importlib.util.find_spec("ctlog.merkle._kernel")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin)
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("there is no C compiler, so there is no C kernel")
    missing("the C kernel was not built")


def kernel_file() -> Path:
    """The C kernel to test."""
    named = os.environ.get("CTLOG_TEST_KERNEL")
    return Path(named) if named else installed_kernel()


def import_kernel(path: Path, environment: dict[str, str]) -> ModuleType:
    """The C kernel as it is when imported in this environment. Raises ImportError as it does."""
    before = {name: os.environ.pop(name, None) for name in SWITCHES}
    os.environ.update(environment)
    try:
        spec = importlib.util.spec_from_file_location("ctlog.merkle._kernel", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    return module


@cache
def implementation(name: str) -> Any:
    """The implementation of this name, with the functions of `reference`; or the test is skipped with the reason.

    That a processor lacks a feature is a skip anywhere; that the kernel or the emulator is missing fails where CI=true.
    """
    if name == "reference":
        return reference
    if name in EMULATED:
        return _emulated(name)
    environment, says, features = ENGINES[name]
    if lacking := features - _processor_features():
        pytest.skip(f"this processor has no {', '.join(sorted(lacking))}")
    kernel = import_kernel(kernel_file(), environment)
    assert says == kernel.IMPLEMENTATION, "this processor has what the engine needs, but the kernel took another"
    return kernel


@cache
def _processor_features() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {name for line in lines if line.startswith(("flags", "Features")) for name in line.partition(":")[2].split()}


@cache
def arm_driver() -> Path:
    """The kernel and its driver in C as an ARM program; skips if there is no compiler or no emulator for it."""
    compiler = tool("aarch64-linux-gnu-gcc")
    tool("qemu-aarch64")
    folder = ROOT / "build" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    fresh, program = folder / f"arm_driver.{os.getpid()}", folder / "arm_driver"
    flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", "-static"]
    subprocess.run([compiler, *flags, "-o", fresh, ROOT / "tests/merkle/arm_driver.c"], check=True)
    return fresh.replace(program)


@cache
def _emulated(name: str) -> Any:
    environment, says = EMULATED[name]
    driver = Driver([tool("qemu-aarch64"), str(arm_driver())], environment)
    assert says == driver.IMPLEMENTATION
    return driver


class Driver:
    """The functions of `reference` by way of `tests/merkle/arm_driver.c`, whose first comment is the protocol."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        clean = {name: value for name, value in os.environ.items() if name not in (*SWITCHES, "LD_PRELOAD")}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**clean, **environment}
        )
        self.IMPLEMENTATION = self._ask("i", 0, []).decode()

    def hash_nodes(self, pairs: bytes) -> bytes:
        return self._ask("n", 0, [pairs])

    def hash_leaves(self, datas: Iterable[bytes]) -> bytes:
        return self._ask("m", 1, list(datas))

    def hash_messages(self, datas: Iterable[bytes]) -> bytes:
        return self._ask("m", 0, list(datas))

    def hash_records(self, records: bytes, width: int) -> bytes:
        return self._ask("r", width, [records])

    def fold_many(self, hashes: bytes, width: int) -> bytes:
        return self._ask("f", width, [hashes])

    def fold(self, hashes: bytes) -> bytes:
        return self.fold_many(hashes, len(hashes) // 32)

    def hash_levels(self, hashes: bytes) -> list[bytes]:
        levels, rest, count = [], self._ask("l", 0, [hashes]), len(hashes) // 64
        while count:
            levels.append(rest[: 32 * count])
            rest, count = rest[32 * count :], count // 2
        assert not rest
        return levels

    def leaf_hash(self, data: bytes) -> bytes:
        return self.hash_leaves([data])

    def node_hash(self, left: bytes, right: bytes) -> bytes:
        return self.hash_nodes(left + right)

    def _ask(self, function: str, number: int, buffers: list[Any]) -> bytes:
        parts = [struct.pack("<BII", ord(function), number, len(buffers))]
        for data in buffers:
            parts += [struct.pack("<I", len(data)), bytes(data)]
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(b"".join(parts))
        stdin.flush()
        head = stdout.read(4)
        assert len(head) == 4, f"the ARM program ended with {self._process.wait()}: it read or wrote past a buffer"
        return stdout.read(struct.unpack("<I", head)[0])

