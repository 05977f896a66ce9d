"""Plans against RFC 6962 word for word; bundles and edges with every kind of damage."""

from __future__ import annotations

import gzip
import hashlib
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.errors import MalformedError, ProofError, UsageError
from ctlog.merkle.tiles import WIDTH, entries_path, new_tiles, tile_path
from ctlog.merkle.tree import EMPTY_ROOT, TreeHead
from ctlog.sequencer.forms import StaticCtForm, TileKind
from ctlog.sequencer.plan import (
    Batch,
    Bundle,
    Edge,
    bundle_key,
    check_bundle,
    edge_keys,
    edge_of_levels,
    empty_edge,
    format_bundle,
    grow_levels,
    pack_tile,
    parse_bundle,
    parse_bundle_key,
    plan_batch,
    read_edge,
    unpack_tile,
)
from tests.check_log import root_of
from tests.log_kit import START_MS, pending

FORM = StaticCtForm()
EMPTY = TreeHead(0, EMPTY_ROOT)


def grow(edge: Edge, old: TreeHead, count: int) -> Batch:
    entries = [pending(number, size=20) for number in range(edge.size, edge.size + count)]
    return plan_batch(edge, old, FORM, entries, START_MS + edge.size)


def after(batch: Batch, edge: Edge) -> Edge:
    """The edge after a batch, by its bundle."""
    return check_bundle(Bundle(batch.old, batch.head, batch.objects), edge, FORM)[0]


@cache
def built(*counts: int) -> tuple[dict[str, bytes], tuple[Batch, ...], tuple[Edge, ...]]:
    """Everything published after batches of these sizes, the batches, and the edges before, between and after them."""
    edge, old = empty_edge(FORM.kinds), EMPTY
    objects: dict[str, bytes] = {}
    batches, edges = [], [edge]
    for count in counts:
        batch = grow(edge, old, count)
        objects.update(batch.objects)
        edge, old = after(batch, edge), batch.head
        batches.append(batch)
        edges.append(edge)
    return objects, tuple(batches), tuple(edges)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_a_batch_is_what_the_tree_of_all_entries_says(counts: list[int]) -> None:
    edge, old = empty_edge(FORM.kinds), EMPTY
    hashes = b""
    for count in counts:
        batch = grow(edge, old, count)
        hashes += batch.leaf_hashes
        split = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        assert batch.head == TreeHead(len(split), root_of(split))
        indexes = range(batch.old.size // WIDTH, -(-len(split) // WIDTH))
        widths = [(index, min(WIDTH, batch.head.size - index * WIDTH)) for index in indexes]
        wanted = [entries_path(kind.name, *width) for kind in FORM.kinds for width in widths]
        wanted += [tile_path(tile) for tile in new_tiles(batch.old.size, batch.head.size)]
        assert [key for key, _ in batch.objects] == wanted
        grown, leaf_hashes = check_bundle(parse_bundle(format_bundle(batch)), edge, FORM)
        planned = (batch.frontier, batch.levels, batch.tails, batch.leaf_hashes)
        assert (grown.frontier, grown.levels, grown.tails, leaf_hashes) == planned
        edge, old = grown, batch.head
    assert read_edge(old, FORM, {key: built_objects(counts)[key] for key in edge_keys(old.size, FORM.kinds)}) == edge


def built_objects(counts: list[int]) -> dict[str, bytes]:
    return built(*counts)[0]


def test_levels_above_the_first_grow_too() -> None:
    """65,536 leaves and more, without entries: three levels of tiles."""
    levels: tuple[bytes, ...] = ()
    size = 0
    hashes: list[bytes] = []
    for count in (65_000, 535, 1, 1, 300):
        new = [hashlib.sha256(b"%d" % (size + at)).digest() for at in range(count)]
        objects, levels = grow_levels(levels, size, b"".join(new))
        assert [key for key, _ in objects] == [tile_path(tile) for tile in new_tiles(size, size + count)]
        size += count
        hashes += new
        assert edge_of_levels(TreeHead(size, root_of(hashes)), levels).size == size
    assert [len(level) // 32 for level in levels] == [size % 256, size // 256 % 256, 1]


@pytest.mark.parametrize("counts", [(5,), (250, 10), (256,), (200, 56), (100, 500)])
def test_every_flipped_bit_of_a_bundle_is_noticed(counts: tuple[int, ...]) -> None:
    _, batches, _ = built(*counts)
    data = format_bundle(batches[-1])
    for at in {*range(0, len(data), 37), *range(200), *range(len(data) - 40, len(data))}:
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(MalformedError):
            parse_bundle(bytes(flipped))
    for cut in (0, 1, 30, len(data) // 2, len(data) - 1):
        with pytest.raises(MalformedError):
            parse_bundle(data[:cut])
    with pytest.raises(MalformedError):
        parse_bundle(data + b"x")


@pytest.mark.parametrize("counts", [(5,), (250, 10), (256,), (200, 56)])
def test_a_bundle_that_was_wrong_from_the_start_is_noticed(counts: tuple[int, ...]) -> None:
    """As when a bit flips in memory before the bundle is written: its own checksum is right then."""
    _, batches, edges = built(*counts)
    batch = batches[-1]
    edge = edges[-2]
    for number, (key, stored) in enumerate(batch.objects):
        if key.startswith("tile/numbers"):
            continue  # nothing hashes them; the caller compares them with what was planned
        width = WIDTH if ".p/" not in key else 0
        kind = FORM.kinds[0]
        plain = unpack_tile(kind, width, stored) if "data" in key else stored
        for at in {*range(0, len(plain), 61), len(plain) - 1}:
            flipped = bytearray(plain)
            flipped[at] ^= 4
            bad = pack_tile(kind, width, bytes(flipped)) if "data" in key else bytes(flipped)
            objects = [*batch.objects[:number], (key, bad), *batch.objects[number + 1 :]]
            bundle = Bundle(batch.old, batch.head, tuple(objects))
            try:
                check_bundle(bundle, edge, FORM)
            except (ProofError, MalformedError):
                continue
            assert "data" in key  # chain and precertificate are not hashed; the caller compares with what was planned
            assert FORM.leaves(bytes(flipped)) == FORM.leaves(plain)


def test_a_bundle_with_other_objects_is_noticed() -> None:
    _, batches, edges = built(250, 10)
    batch, edge = batches[1], edges[1]
    good = Bundle(batch.old, batch.head, batch.objects)
    check_bundle(good, edge, FORM)
    for at in range(len(batch.objects)):
        with pytest.raises(ProofError):
            check_bundle(good._replace(objects=batch.objects[:at] + batch.objects[at + 1 :]), edge, FORM)
    for extra in (("tile/0/009", b"x" * 8192), batch.objects[0], ("issuer/ab", b"x")):
        with pytest.raises(ProofError):
            check_bundle(good._replace(objects=(*batch.objects, extra)), edge, FORM)
    for head in (batch.head._replace(root=b"r" * 32), batch.head._replace(size=261), batch.head._replace(size=259)):
        with pytest.raises(ProofError):
            check_bundle(good._replace(head=head), edge, FORM)
    for old in (batch.old._replace(root=b"r" * 32), batch.old._replace(size=249), EMPTY):
        with pytest.raises(ProofError):
            check_bundle(good._replace(old=old), edge, FORM)


@pytest.mark.parametrize("counts", [(1,), (255,), (256,), (257,), (256, 256, 3)])
def test_an_edge_is_read_back_and_every_damage_to_it_is_named(counts: tuple[int, ...]) -> None:
    objects, batches, edges = built(*counts)
    head, edge = batches[-1].head, edges[-1]
    keys = edge_keys(head.size, FORM.kinds)
    wanted = {key: objects[key] for key in keys}
    assert read_edge(head, FORM, wanted) == edge
    for key in keys:
        with pytest.raises(ProofError, match=key):
            read_edge(head, FORM, {**wanted, key: None})
        with pytest.raises(ProofError):
            read_edge(head, FORM, {**wanted, key: wanted[key][:-1]})
        if "numbers" not in key:
            for at in range(0, len(wanted[key]), max(1, len(wanted[key]) // 40)):
                flipped = bytearray(wanted[key])
                flipped[at] ^= 1
                with suppress(ProofError):
                    found = read_edge(head, FORM, {**wanted, key: bytes(flipped)})
                    assert "data" in key  # in the chain or the precertificate, which no hash covers, or gzip's header
                    assert found.levels == edge.levels
    with pytest.raises(ProofError):
        read_edge(head._replace(root=b"r" * 32), FORM, wanted)


def test_the_feed_must_tell_of_the_same_entries() -> None:
    objects, batches, _ = built(5)
    head = batches[-1].head
    wanted = {key: objects[key] for key in edge_keys(5, FORM.kinds)}
    feed = wanted["tile/numbers/000.p/5"]
    lines = feed.splitlines(keepends=True)
    for bad in (b"".join(lines[:4]), b"".join(lines[::-1]), feed + lines[0], feed.replace(b'"index":3', b'"index":4')):
        with pytest.raises(ProofError, match=r"tile/numbers/000\.p/5"):
            read_edge(head, FORM, {**wanted, "tile/numbers/000.p/5": bad})


def test_full_tiles_are_stored_as_gzip_without_a_time_and_partial_ones_as_they_are() -> None:
    objects, _, _ = built(256, 3)
    for kind in ("data", "numbers"):
        full = objects[f"tile/{kind}/000"]
        assert full[:8] == bytes.fromhex("1f8b08") + bytes(5)  # gzip, deflate, no flags, no time
        assert gzip.decompress(full).startswith(objects[f"tile/{kind}/001.p/3"][:0])
        assert objects[f"tile/{kind}/001.p/3"][:2] != b"\x1f\x8b"
    plain = TileKind("entries", gzip_full=False)
    assert pack_tile(plain, 256, b"abc") == unpack_tile(plain, 256, b"abc") == b"abc"
    packed = pack_tile(FORM.kinds[0], 256, b"abc")
    for bad in (b"", b"abc", packed[:-1], packed + b"x", packed + packed):
        with pytest.raises(MalformedError):
            unpack_tile(FORM.kinds[0], 256, bad)


def test_what_cannot_be_planned() -> None:
    edge = empty_edge(FORM.kinds)
    with pytest.raises(UsageError):
        plan_batch(edge, EMPTY, FORM, [], START_MS)
    with pytest.raises(UsageError):
        plan_batch(edge, TreeHead(1, b"r" * 32), FORM, [pending(0)], START_MS)

    class Tiny(StaticCtForm):
        max_size = 3

    plan_batch(edge, EMPTY, Tiny(), [pending(number) for number in range(3)], START_MS)
    with pytest.raises(UsageError):
        plan_batch(edge, EMPTY, Tiny(), [pending(number) for number in range(4)], START_MS)


def test_bundle_keys() -> None:
    head = TreeHead(1234, bytes(range(32)))
    assert parse_bundle_key(bundle_key(head)) == 1234
    for bad in ("", "12", "12-ab", "x-" + "ab" * 32, "-" + "ab" * 32, "1_2-" + "ab" * 32):
        with pytest.raises(MalformedError):
            parse_bundle_key(bad)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_bundle_raise_anything_else(data: bytes) -> None:
    for candidate in (data, b"ctlog staging bundle v1\n" + data):
        with pytest.raises(MalformedError):
            parse_bundle(candidate + hashlib.sha256(candidate).digest())
