"""RFC 6962 section 2.1, word for word: slow, recursive, and the truth that everything fast is compared with.

`MTH`, `PATH`, `PROOF` and `SUBPROOF` are the four functions of the text, over a list of leaf *inputs*; `RANGE` is ours,
from the docstring of `ctlog.merkle.proof`.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

Leaves = tuple[bytes, ...]


def k_of(n: int) -> int:
    """Section 2.1: "let k be the largest power of two smaller than n (i.e., k < n <= 2k)"."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


@cache
def MTH(d: Leaves) -> bytes:
    n = len(d)
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + d[0]).digest()
    k = k_of(n)
    return sha256(b"\x01" + MTH(d[:k]) + MTH(d[k:])).digest()


def PATH(m: int, d: Leaves) -> list[bytes]:
    n = len(d)
    if n == 1:
        return []
    k = k_of(n)
    if m < k:
        return [*PATH(m, d[:k]), MTH(d[k:])]
    return [*PATH(m - k, d[k:]), MTH(d[:k])]


def PROOF(m: int, d: Leaves) -> list[bytes]:
    return SUBPROOF(m, d, True)


def SUBPROOF(m: int, d: Leaves, b: bool) -> list[bytes]:
    n = len(d)
    if m == n:
        return [] if b else [MTH(d)]
    k = k_of(n)
    if m <= k:
        return [*SUBPROOF(m, d[:k], b), MTH(d[k:])]
    return [*SUBPROOF(m - k, d[k:], False), MTH(d[:k])]


def RANGE(lo: int, hi: int, d: Leaves) -> list[bytes]:
    n = len(d)
    if lo == 0 and hi == n:
        return []
    k = k_of(n)
    if hi <= k:
        return [*RANGE(lo, hi, d[:k]), MTH(d[k:])]
    if lo >= k:
        return [*RANGE(lo - k, hi - k, d[k:]), MTH(d[:k])]
    return [*RANGE(lo, k, d[:k]), *RANGE(0, hi - k, d[k:])]


def leaves(n: int) -> Leaves:
    """n different leaf inputs, of different lengths."""
    return tuple(b"leaf %d " % i + bytes(i % 70) for i in range(n))
