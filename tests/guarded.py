"""A program: every function of one build of the C kernel on inputs that lie against pages which cannot be read.

    python -m tests.guarded FILE        with the kernel's switches in the environment; prints which engine ran
    python -m tests.guarded --over-read reads one byte too far, to show that the page is really there

A step too far ends the program by a signal.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctlog.merkle import reference
from tests.kernels import SWITCHES, import_kernel

PROT_NONE = 0
LENGTHS = [0, 1, 7, 31, 54, 55, 56, 62, 63, 64, 65, 118, 119, 120, 126, 127, 128, 129, 191, 192, 193, 1000, 4096, 5000]


@contextmanager
def guarded(data: bytes, at_end: bool) -> Iterator[memoryview]:
    """The bytes, right before an unreadable page, or right after one."""
    page = mmap.PAGESIZE
    inside = max(1, -(-len(data) // page)) * page
    area = mmap.mmap(-1, inside + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for guard in (start, start + page + inside):
        if protect(ctypes.c_void_p(guard), ctypes.c_size_t(page), PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    first = page + (inside - len(data) if at_end else 0)
    area[first : first + len(data)] = data
    yield memoryview(area)[first : first + len(data)].toreadonly()


def over_read() -> None:
    with guarded(b"x" * 64, at_end=True) as view:
        address = ctypes.addressof(ctypes.c_char.from_buffer(view.obj)) + mmap.PAGESIZE * 2
        print(ctypes.string_at(address - 64, 65))


def check(kernel: object, at_end: bool) -> None:
    noise = os.urandom(64 * 300)
    for count in [*range(70), 255, 256, 257]:
        with guarded(noise[: 64 * count], at_end) as pairs:
            assert kernel.hash_nodes(pairs) == reference.hash_nodes(pairs)
            assert kernel.hash_levels(pairs) == reference.hash_levels(pairs)
            assert kernel.fold_many(pairs, 2) == reference.fold_many(pairs, 2)
            assert kernel.hash_records(pairs, 64) == reference.hash_records(pairs, 64)
    for height in range(9):
        with guarded(noise[: 32 << height], at_end) as hashes:
            assert kernel.fold(hashes) == reference.fold(hashes)
    for length in LENGTHS:
        with guarded(noise[:length], at_end) as data, guarded(noise[: length // 2], at_end) as other:
            assert kernel.leaf_hash(data) == reference.leaf_hash(data)
            for count in (1, 2, 3, 8, 15, 16, 17, 33):
                batch = [data, other] * count
                assert kernel.hash_leaves(batch[:count]) == reference.hash_leaves(batch[:count])
                assert kernel.hash_messages(batch) == reference.hash_messages(batch)
            if length:
                assert kernel.hash_records(data, length) == reference.leaf_hash(data)
    with guarded(noise[:32], at_end) as left, guarded(noise[32:64], at_end) as right:
        assert kernel.node_hash(left, right) == reference.node_hash(left, right)


def main() -> None:
    if sys.argv[1] == "--over-read":
        over_read()
        return
    kernel = import_kernel(Path(sys.argv[1]), {name: os.environ[name] for name in SWITCHES if name in os.environ})
    for at_end in (True, False):
        check(kernel, at_end)
    print(kernel.IMPLEMENTATION)


if __name__ == "__main__":
    main()
