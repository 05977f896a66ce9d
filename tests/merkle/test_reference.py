"""The specification itself: against RFC 6962's own words, other people's vectors, and what it must refuse."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from ctlog.merkle import reference

# The leaves that Certificate Transparency's first tests used, and their trees' roots, known from many implementations.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("count", ROOTS)
def test_roots_that_everyone_knows(count: int) -> None:
    hashes = reference.hash_leaves(LEAVES[:count])
    assert reference.fold(hashes).hex() == ROOTS[count]
    assert [hashes, *reference.hash_levels(hashes)][-1].hex() == ROOTS[count]


def test_a_leaf_and_a_node_have_different_prefixes() -> None:
    left, right = sha256(b"left").digest(), sha256(b"right").digest()
    assert reference.leaf_hash(left + right) == sha256(b"\x00" + left + right).digest()
    assert reference.node_hash(left, right) == sha256(b"\x01" + left + right).digest()
    assert reference.hash_messages([left + right]) == sha256(left + right).digest()


def test_batches_are_the_single_ones_in_order() -> None:
    datas = [bytes([n]) * n for n in range(20)]
    assert reference.hash_leaves(iter(datas)) == b"".join(reference.leaf_hash(data) for data in datas)
    assert reference.hash_messages(datas) == b"".join(sha256(data).digest() for data in datas)
    assert reference.hash_records(b"abcdef", 2) == reference.hash_leaves([b"ab", b"cd", b"ef"])
    hashes = reference.hash_leaves(datas[:4])
    assert reference.hash_nodes(hashes) == (
        reference.node_hash(hashes[:32], hashes[32:64]) + reference.node_hash(hashes[64:96], hashes[96:])
    )


def test_subtrees_side_by_side() -> None:
    hashes = reference.hash_leaves([bytes([n]) for n in range(12)])
    assert reference.fold_many(hashes, 1) == hashes
    assert reference.fold_many(hashes, 4) == b"".join(reference.fold(hashes[at : at + 128]) for at in (0, 128, 256))
    assert reference.fold_many(b"", 4) == b""


def test_levels_leave_out_what_has_no_sibling() -> None:
    hashes = reference.hash_leaves([bytes([n]) for n in range(7)])
    first, second = reference.hash_levels(hashes)
    assert first == reference.hash_nodes(hashes[: 6 * 32])
    assert second == reference.hash_nodes(first[: 2 * 32])
    assert reference.hash_levels(b"") == reference.hash_levels(hashes[:32]) == []


@pytest.mark.parametrize("count", [0, 3, 5, 6, 7, 12, 255, 257])
def test_only_powers_of_two_are_perfect(count: int) -> None:
    with pytest.raises(ValueError, match=f"1, 2, 4, 8, ... leaves, not {count}$"):
        reference.fold(bytes(32 * count))


def test_lengths_are_named() -> None:
    with pytest.raises(ValueError, match=r"^65 bytes are not a multiple of 64$"):
        reference.hash_nodes(bytes(65))
    with pytest.raises(ValueError, match=re.escape("a node has two hashes of 32 bytes, not of 31 and 33")):
        reference.node_hash(bytes(31), bytes(33))
