"""A whole log checked from its published bytes alone, with `merkle` and `wire` and nothing of the sequencer.

Everything is computed again: each leaf from its data tile, each hash tile from the leaves, the root, and the signature
over it. What is damaged raises AssertionError and names the object.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.tiles import entries_path, parse_entries_path, parse_tile_path, tile_path, tiles_of
from ctlog.wire.checkpoint import SignedHead, open_checkpoint
from ctlog.wire.rfc6962 import EntryType, LogKey, format_merkle_tree_leaf
from ctlog.wire.signed_note import Ed25519Verifier
from ctlog.wire.static_ct import TileLeaf, parse_data_tile, parse_leaf_index
from tests.rfc6962_tree import k_of


class Keys(NamedTuple):
    """What a stranger knows of a log."""

    origin: str
    log: LogKey
    checkpoint: Ed25519Verifier


class Checked(NamedTuple):
    """A log that is whole."""

    head: SignedHead
    entries: list[TileLeaf]
    leaf_hashes: list[bytes]


def folder_objects(public: Path) -> dict[str, bytes]:
    """The objects in a folder."""
    files = (path for path in public.rglob("*") if path.is_file() and ".tmp" not in path.parts)
    return {path.relative_to(public).as_posix(): path.read_bytes() for path in files}


def root_of(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1 over leaf hashes, with hashlib alone."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    k = k_of(len(hashes))
    return hashlib.sha256(b"\x01" + root_of(hashes[:k]) + root_of(hashes[k:])).digest()


def check_log(objects: Mapping[str, bytes], keys: Keys) -> Checked:
    """Check everything that is published."""
    assert "checkpoint" in objects, "checkpoint is missing"
    head = open_checkpoint(objects["checkpoint"], keys.origin, keys.log, keys.checkpoint)
    entries = _read_entries(objects, head.size)
    for index, entry in enumerate(entries):
        assert parse_leaf_index(entry.extensions) == index, f"entry {index} says another index"
        assert entry.timestamp_ms <= head.timestamp_ms, f"entry {index} is younger than the head (P4)"
        assert index == 0 or entry.timestamp_ms >= entries[index - 1].timestamp_ms, f"entry {index} is too old (P4)"
        assert (entry.entry.type == EntryType.PRECERT) == bool(entry.pre_certificate)
        for fingerprint in entry.chain:
            issuer = objects.get(f"issuer/{fingerprint.hex()}")
            assert issuer is not None, f"issuer/{fingerprint.hex()} of entry {index} is missing (P8)"
            assert hashlib.sha256(issuer).digest() == fingerprint, f"issuer/{fingerprint.hex()} is damaged (P8)"
    hashes = [leaf_hash(format_merkle_tree_leaf(entry.timestamped)) for entry in entries]
    _check_hash_tiles(objects, hashes)
    _check_feed(objects, entries)
    _check_old_partials(objects, head.size)
    assert root_of(hashes) == head.root, "the root is not that of the entries"
    return Checked(head, entries, hashes)


def check_heads(notes: Iterable[bytes], keys: Keys, leaf_hashes: list[bytes]) -> list[SignedHead]:
    """All heads that were ever signed, in order: times increase, one root per size, all of this tree (P1, P4)."""
    heads = [open_checkpoint(note, keys.origin, keys.log, keys.checkpoint) for note in notes]
    roots: dict[int, bytes] = {}
    for before, head in pairwise(heads):
        assert before.timestamp_ms < head.timestamp_ms, "a head is not younger than the one before it (P4)"
        assert before.size <= head.size, "the log shrank"
    for head in heads:
        assert roots.setdefault(head.size, head.root) == head.root, f"two heads of size {head.size} (P1)"
        assert head.size <= len(leaf_hashes), f"a head of size {head.size} is not published"
    for size, root in roots.items():
        assert root_of(leaf_hashes[:size]) == root, f"the head of size {size} is of another tree"
    return heads


def _read_entries(objects: Mapping[str, bytes], size: int) -> list[TileLeaf]:
    entries: list[TileLeaf] = []
    for lo in range(0, size, 256):
        width = min(256, size - lo)
        found = parse_data_tile(_tile(objects, "data", lo // 256, width))
        assert len(found) == width, f"{entries_path('data', lo // 256, width)} has {len(found)} entries"
        entries += found
    return entries


def _tile(objects: Mapping[str, bytes], kind: str, index: int, width: int) -> bytes:
    path = entries_path(kind, index, width)
    assert path in objects, f"{path} is missing"
    return gzip.decompress(objects[path]) if width == 256 else objects[path]


def _check_hash_tiles(objects: Mapping[str, bytes], hashes: list[bytes]) -> None:
    levels = {0: hashes}
    for tile in tiles_of(len(hashes)):
        if tile.level not in levels:
            below = levels[tile.level - 1]
            levels[tile.level] = [root_of(below[lo : lo + 256]) for lo in range(0, len(below) // 256 * 256, 256)]
        wanted = b"".join(levels[tile.level][tile.index * 256 : tile.index * 256 + tile.width])
        assert objects.get(tile_path(tile)) == wanted, f"{tile_path(tile)} is missing or damaged"


def _check_feed(objects: Mapping[str, bytes], entries: list[TileLeaf]) -> None:
    for lo in range(0, len(entries), 256):
        width = min(256, len(entries) - lo)
        lines = _tile(objects, "numbers", lo // 256, width).splitlines()
        found = [(line["index"], line["timestamp"]) for line in map(json.loads, lines)]
        wanted = [(index, entries[index].timestamp_ms) for index in range(lo, lo + width)]
        assert found == wanted, f"{entries_path('numbers', lo // 256, width)} does not follow the entries"


def _check_old_partials(objects: Mapping[str, bytes], size: int) -> None:
    """A partial tile, where it still is, is the beginning of the one that came after it."""
    for path, data in objects.items():
        if not path.startswith("tile/") or ".p/" not in path:
            continue
        kind = path.split("/")[1]
        if kind.isdecimal():
            tile = parse_tile_path(path)
            there = min(256, (size >> (8 * tile.level)) - 256 * tile.index)
            if tile.width <= there:
                later = objects[tile_path(tile._replace(width=there))]
                assert later.startswith(data), f"{path} is no beginning of the tile that came after it"
        else:
            entries = parse_entries_path(path)
            there = min(256, size - 256 * entries.index)
            if entries.width <= there:
                later = _tile(objects, kind, entries.index, there)
                assert later.startswith(data), f"{path} is no beginning of the tile that came after it"
