"""One suite for every implementation: Python, each engine of the C kernel, and its ARM code under an emulator.

What is expected comes from `hashlib`, one hash at a time, and from NIST's vectors; never from another batch function.
"""

from __future__ import annotations

import array
import ctypes
import mmap
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256, shake_128
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels import ALL, ENGINES, ROOT, SWITCHES, implementation, kernel_file

# 31 = 16 + 8 + 4 + 2 + 1: every width and every remainder. The rest surrounds multiples of the widest engines.
COUNTS = [*range(36), 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000]
# Around where a message grows by a block, with a prefix of one byte and without.
LENGTHS = sorted(
    {0, 1, 2, 3, 31, 32, 33, 300, 500, 1023, 1024, 1025}
    | {near + step for near in (55, 63, 119, 127, 183, 191, 247, 255) for step in (-1, 0, 1, 2)}
    | {65536 + step for step in (-10, -9, -8, -2, -1, 0, 1)}
)


@pytest.fixture(scope="module", params=ALL)
def kernel(request: pytest.FixtureRequest) -> Any:
    return implementation(request.param)


@pytest.fixture(scope="module", params=["reference", *ENGINES])
def module(request: pytest.FixtureRequest) -> Any:
    """Those that take Python's objects: all but the emulated ones."""
    return implementation(request.param)


@cache
def noise(length: int, seed: int = 0) -> bytes:
    return shake_128(seed.to_bytes(8, "big")).digest(length)


def cut(data: bytes, width: int) -> list[bytes]:
    return [data[at : at + width] for at in range(0, len(data), width)]


def leaves(datas: Sequence[bytes]) -> bytes:
    return b"".join(sha256(b"\x00" + data).digest() for data in datas)


def nodes(pairs: bytes) -> bytes:
    return b"".join(sha256(b"\x01" + pair).digest() for pair in cut(pairs, 64))


@cache
def tree(height: int) -> list[bytes]:
    """All levels of a perfect tree, the leaf hashes first."""
    levels = [noise(32 << height, seed=height)]
    while len(levels[-1]) > 32:
        levels.append(nodes(levels[-1]))
    return levels


def nist(file: str) -> list[tuple[bytes, str]]:
    """NIST's SHA-256 vectors for whole bytes (CAVS 11.0), as (message, digest)."""
    text = (ROOT / "tests/vectors/nist" / file).read_text()
    found = re.findall(r"^Len = (\d+)\nMsg = ([0-9a-f]+)\nMD = ([0-9a-f]{64})$", text, re.MULTILINE)
    return [(bytes.fromhex(message)[: int(bits) // 8], digest) for bits, message, digest in found]


# ---- what they compute ----


@pytest.mark.parametrize("count", COUNTS)
def test_nodes(kernel: Any, count: int) -> None:
    assert kernel.hash_nodes(noise(64 * count)) == nodes(noise(64 * count))


def test_each_bit_of_a_pair_counts(kernel: Any) -> None:
    pairs = bytearray(noise(64 * 16))
    before = kernel.hash_nodes(bytes(pairs))
    for lane in range(16):
        for bit in (0, 255, 256, 511):
            pairs[64 * lane + bit // 8] ^= 0x80 >> bit % 8
            after = kernel.hash_nodes(bytes(pairs))
            changed = [at for at in range(16) if after[32 * at : 32 * at + 32] != before[32 * at : 32 * at + 32]]
            assert changed == [lane]
            pairs[64 * lane + bit // 8] ^= 0x80 >> bit % 8


def test_a_last_byte_of_every_value(kernel: Any) -> None:
    pairs = b"".join(noise(63, seed) + bytes([seed]) for seed in range(256))
    assert kernel.hash_nodes(pairs) == nodes(pairs)


def test_one_node(kernel: Any) -> None:
    assert kernel.node_hash(noise(32), noise(32, 1)) == nodes(noise(32) + noise(32, 1))


@pytest.mark.parametrize("length", LENGTHS)
def test_messages_of_one_length(kernel: Any, length: int) -> None:
    for count in (1, 2, 3, 17) if length < 2000 else (1, 9):
        datas = [noise(length, seed) for seed in range(count)]
        assert kernel.hash_leaves(datas) == leaves(datas)
        assert kernel.hash_messages(datas) == b"".join(sha256(data).digest() for data in datas)
        if length:
            assert kernel.hash_records(b"".join(datas), length) == leaves(datas)
    assert kernel.leaf_hash(noise(length)) == leaves([noise(length)])


@pytest.mark.parametrize("count", COUNTS)
def test_leaves_of_many_lengths(kernel: Any, count: int) -> None:
    datas = [noise(LENGTHS[7 * at % 40], at) for at in range(count)]
    assert kernel.hash_leaves(datas) == leaves(datas)


@pytest.mark.parametrize("order", ["rising", "falling", "one long first", "one long last", "long and empty"])
def test_lanes_that_end_at_different_times(kernel: Any, order: str) -> None:
    lengths = {
        "rising": range(0, 6400, 100),
        "falling": range(6400, 0, -100),
        "one long first": [40000] + [200] * 50,
        "one long last": [200] * 50 + [40000],
        "long and empty": [5000, 0] * 20,
    }[order]
    datas = [noise(length, at) for at, length in enumerate(lengths)]
    assert kernel.hash_leaves(datas) == leaves(datas)


@pytest.mark.parametrize("count", [1023, 1024, 1025, 2049])
def test_more_than_is_taken_at_a_time(kernel: Any, count: int) -> None:
    datas = [noise(at % 70, at % 300) for at in range(count)]
    assert kernel.hash_leaves(datas) == leaves(datas)
    records = noise(3 * count)
    assert kernel.hash_records(records, 3) == leaves(cut(records, 3))


@pytest.mark.parametrize("height", [*range(14), 19])
def test_fold(kernel: Any, height: int) -> None:
    levels = tree(height)
    assert kernel.fold(levels[0]) == levels[-1]


@pytest.mark.parametrize("height", [0, 1, 2, 5, 8, 9, 10, 11])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_fold_many(kernel: Any, height: int, count: int) -> None:
    hashes = b"".join(noise(32 << height, seed) for seed in range(count))
    roots = b"".join(kernel.fold(noise(32 << height, seed)) for seed in range(count))
    assert kernel.fold_many(hashes, 1 << height) == roots


def test_fold_many_of_one_tree_are_its_levels(kernel: Any) -> None:
    levels = tree(12)
    for height, level in enumerate(levels):
        assert kernel.fold_many(levels[0], 1 << height) == level


@pytest.mark.parametrize("count", [*range(20), 31, 32, 33, 255, 256, 257, 1000])
def test_levels(kernel: Any, count: int) -> None:
    expected = []
    level = noise(32 * count)
    while len(level) >= 64:
        level = nodes(level[: len(level) // 64 * 64])
        expected.append(level)
    assert kernel.hash_levels(noise(32 * count)) == expected


@pytest.mark.parametrize(("file", "count"), [("SHA256ShortMsg.rsp", 65), ("SHA256LongMsg.rsp", 64)])
def test_vectors_of_nist(kernel: Any, file: str, count: int) -> None:
    vectors = nist(file)
    assert len(vectors) == count
    for message, digest in vectors:
        assert kernel.hash_messages([message]).hex() == digest
    random.Random(file).shuffle(vectors)
    assert kernel.hash_messages([message for message, _ in vectors]).hex() == "".join(digest for _, digest in vectors)


def test_a_length_in_bits_beyond_32(module: Any) -> None:
    if module.IMPLEMENTATION not in ("sha-ni", "armv8", "reference"):
        pytest.skip("it is the same code, and would take seconds")
    zeros = mmap.mmap(-1, 1 << 29)
    assert module.hash_messages([zeros]) == sha256(zeros).digest()


@given(datas=st.lists(st.binary(max_size=400), max_size=80), seed=st.integers(0, 2**32))
def test_any_batch_of_leaves(kernel: Any, datas: list[bytes], seed: int) -> None:
    lengths = random.Random(seed)
    datas = datas + [noise(lengths.randrange(2000), at) for at in range(lengths.randrange(40))]
    assert kernel.hash_leaves(datas) == leaves(datas)
    assert kernel.hash_messages(datas) == b"".join(sha256(data).digest() for data in datas)


@given(data=st.binary(max_size=3000), width=st.integers(1, 200))
def test_any_buffer(kernel: Any, data: bytes, width: int) -> None:
    pairs = data[: len(data) // 64 * 64]
    assert kernel.hash_nodes(pairs) == nodes(pairs)
    records = data[: len(data) // width * width]
    assert kernel.hash_records(records, width) == leaves(cut(records, width))


# ---- what they take ----


def buffers(data: bytes) -> dict[str, Any]:
    """The same bytes as every kind of object that has them."""
    area = mmap.mmap(-1, len(data) + 1)
    area[1 : len(data) + 1] = data
    return {
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "sliced": memoryview(b"x" + data + b"yz")[1 : len(data) + 1],
        "of a bytearray": memoryview(bytearray(b"xyz" + data))[3:],
        "numbers": array.array("I", data),
        "ctypes": (ctypes.c_char * len(data)).from_buffer_copy(data),
        "two dimensions": memoryview(data).cast("B", (len(data) // 4, 4)),
        "mmap": memoryview(area)[1 : len(data) + 1],
        "subclass": type("Bytes", (bytes,), {})(data),
    }


KINDS = list(buffers(bytes(64)))


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_buffers(module: Any, kind: str) -> None:
    data = noise(64 * 32)
    same = buffers(data)[kind]
    assert module.hash_nodes(same) == nodes(data)
    assert module.hash_leaves([same] * 3) == module.hash_leaves((data, same, data)) == leaves([data] * 3)
    assert module.hash_messages([same]) == sha256(data).digest()
    assert module.hash_records(same, 64) == leaves(cut(data, 64))
    assert module.fold(same) == module.fold(data)
    assert module.fold_many(same, 4) == module.fold_many(data, 4)
    assert module.hash_levels(same) == module.hash_levels(data)
    assert module.leaf_hash(same) == leaves([data])
    half = buffers(noise(32))[kind]
    assert module.node_hash(half, half) == nodes(noise(32) * 2)


@pytest.mark.parametrize("offset", range(0, 65, 3))
def test_at_any_address(module: Any, offset: int) -> None:
    whole = memoryview(noise(64 * 40 + 65))
    pairs = whole[offset : offset + 64 * 40]
    assert module.hash_nodes(pairs) == nodes(bytes(pairs))
    datas = [whole[offset + at : offset + 2 * at + 130] for at in range(60)]
    assert module.hash_leaves(datas) == leaves([bytes(data) for data in datas])


def test_any_iterable(module: Any) -> None:
    datas = [b"a", b"bb", b"ccc"]
    for iterable in (datas, tuple(datas), iter(datas), (data for data in datas), dict.fromkeys(datas)):
        assert module.hash_leaves(iterable) == leaves(datas)


def test_what_is_given_is_left_as_it_was(module: Any) -> None:
    pairs = bytearray(noise(64 * 20))
    module.hash_nodes(pairs), module.fold_many(pairs, 8), module.hash_levels(pairs), module.hash_records(pairs, 10)
    module.hash_leaves([pairs] * 5), module.leaf_hash(pairs)
    assert pairs == noise(64 * 20)
    pairs.append(0)  # no one holds on to it


REFUSALS: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda m: m.hash_nodes(bytes(63)), ValueError, "63 bytes are not a multiple of 64"),
    (lambda m: m.hash_levels(bytes(33)), ValueError, "33 bytes are not a multiple of 32"),
    (lambda m: m.fold(bytes(31)), ValueError, "31 bytes are not a multiple of 32"),
    (lambda m: m.fold(b""), ValueError, "a perfect subtree has 1, 2, 4, 8, ... leaves, not 0"),
    (lambda m: m.fold(bytes(96)), ValueError, "a perfect subtree has 1, 2, 4, 8, ... leaves, not 3"),
    (lambda m: m.fold_many(bytes(96), 2), ValueError, "96 bytes are not a multiple of 64"),
    (lambda m: m.fold_many(bytes(96), 3), ValueError, "a perfect subtree has 1, 2, 4, 8, ... leaves, not 3"),
    (lambda m: m.fold_many(bytes(96), 0), ValueError, "a perfect subtree has 1, 2, 4, 8, ... leaves, not 0"),
    (lambda m: m.fold_many(bytes(96), -2), ValueError, "a perfect subtree has 1, 2, 4, 8, ... leaves, not -2"),
    (lambda m: m.fold_many(bytes(96), 2**80), ValueError, ""),
    (lambda m: m.fold_many(bytes(96), 2**60), ValueError, ""),
    (lambda m: m.hash_records(bytes(7), 2), ValueError, "7 bytes are not a multiple of 2"),
    (lambda m: m.hash_records(bytes(7), 0), ValueError, "a record has 1 byte or more, not 0"),
    (lambda m: m.hash_records(bytes(7), -1), ValueError, "a record has 1 byte or more, not -1"),
    (lambda m: m.hash_records(bytes(7), 2**80), ValueError, ""),
    (lambda m: m.hash_records(bytes(7), 1.0), TypeError, ""),
    (lambda m: m.hash_records(bytes(7)), TypeError, ""),
    (lambda m: m.node_hash(bytes(32), bytes(31)), ValueError, "a node has two hashes of 32 bytes, not of 32 and 31"),
    (lambda m: m.node_hash(bytes(64), b""), ValueError, "a node has two hashes of 32 bytes, not of 64 and 0"),
    (lambda m: m.node_hash(bytes(32)), TypeError, ""),
    (lambda m: m.node_hash(bytes(32), 32), TypeError, ""),
    (lambda m: m.node_hash("x" * 32, bytes(32)), TypeError, ""),
    (lambda m: m.hash_nodes("x" * 64), TypeError, ""),
    (lambda m: m.hash_nodes(64), TypeError, ""),
    (lambda m: m.hash_nodes(None), TypeError, ""),
    (lambda m: m.hash_nodes([bytes(64)]), TypeError, ""),
    (lambda m: m.leaf_hash("text"), TypeError, ""),
    (lambda m: m.hash_leaves("text"), TypeError, ""),
    (lambda m: m.hash_leaves(b"bytes"), TypeError, ""),
    (lambda m: m.hash_leaves([b"a", "b"]), TypeError, ""),
    (lambda m: m.hash_leaves([b"a", None]), TypeError, ""),
    (lambda m: m.hash_leaves(5), TypeError, ""),
    (lambda m: m.hash_messages([b"a", 5]), TypeError, ""),
    (lambda m: m.hash_nodes(memoryview(bytes(128))[::2]), BufferError, ""),
    (lambda m: m.hash_leaves([b"a", memoryview(bytes(128))[::-1]]), BufferError, ""),
    (lambda m: m.fold(memoryview(bytes(128))[::2]), BufferError, ""),
]


@pytest.mark.parametrize(("call", "error", "sentence"), REFUSALS)
def test_what_is_refused(module: Any, call: Callable[[Any], object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        call(module)
    assert sentence in ("", str(caught.value))


def test_a_batch_that_fails_gives_back_what_it_took(module: Any) -> None:
    good, bad = [bytearray(noise(100, at)) for at in range(1100)], object()
    counts = [sys.getrefcount(value) for value in (bad, *good)]
    for place in (0, 3, 1023, 1024, 1100):
        datas = [*good[:place], bad, *good[place:]]
        with pytest.raises(TypeError):
            module.hash_leaves(datas)
        del datas
    assert [sys.getrefcount(value) for value in (bad, *good)] == counts
    for data in good:
        data.append(1)  # raises BufferError if someone still holds its memory


def test_references_are_kept_as_they_were(module: Any) -> None:
    pairs, datas = noise(64 * 8), [noise(40, at) for at in range(8)]
    counts = [sys.getrefcount(value) for value in (pairs, datas, datas[0])]
    for _ in range(100):
        module.hash_nodes(pairs), module.hash_leaves(datas), module.hash_messages(datas), module.leaf_hash(datas[0])
        module.fold(pairs), module.fold_many(pairs, 4), module.hash_levels(pairs), module.hash_records(pairs, 4)
        module.node_hash(pairs[:32], pairs[32:64])
        with pytest.raises(ValueError):
            module.hash_nodes(datas[0])
    assert [sys.getrefcount(value) for value in (pairs, datas, datas[0])] == counts


# ---- with others ----


def test_many_threads(module: Any) -> None:
    pairs = [noise(64 * 4096, seed) for seed in range(4)]  # large enough to let go of the lock
    expected = [module.hash_nodes(pair) for pair in pairs]
    found: list[bool] = []

    def work(at: int) -> None:
        for _ in range(5):
            found.append(module.hash_nodes(pairs[at]) == expected[at])

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20


@pytest.mark.parametrize("function", ["hash_nodes", "fold", "hash_leaves"])
def test_others_run_during_a_large_batch(function: str) -> None:
    module = implementation("portable")
    data: Any = bytes(64 << 18)
    if function == "hash_leaves":
        data = [bytes(1 << 20)] * 16

    def hashing() -> None:
        started.set()
        getattr(module, function)(data)
        ended.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is made to let go
    try:
        for _ in range(5):  # this thread may be woken late by chance
            started, ended = threading.Event(), threading.Event()
            thread = threading.Thread(target=hashing)
            thread.start()
            started.wait()
            overtaken = not ended.is_set()
            thread.join()
            if overtaken:
                return
    finally:
        sys.setswitchinterval(interval)
    pytest.fail("the interpreter's lock is held throughout")


# ---- where their memory ends ----


def guarded(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    command = [sys.executable, "-m", "tests.guarded", *arguments]
    return subprocess.run(command, env={**clean, **environment}, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ENGINES)
def test_against_unreadable_pages(name: str) -> None:
    """The emulated ones take every input so, see `arm_driver.c`."""
    implementation(name)
    environment, says, _ = ENGINES[name]
    run = guarded(str(kernel_file()), **environment)
    assert (run.returncode, run.stdout.strip()) == (0, says), run.stderr


def test_the_page_is_unreadable() -> None:
    assert guarded("--over-read").returncode != 0
