"""Data tiles and the leaf index: the specification's bytes, inverses, and the fast walk against the slow reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.wire import static_ct
from ctlog.wire.rfc6962 import EntryType, SignedEntry, format_merkle_tree_leaf
from ctlog.wire.static_ct import TileLeaf, format_leaf_index, format_tile_leaf, merkle_tree_leaves, parse_data_tile
from tests.wire_values import TILE_LEAF

X509 = TileLeaf(1, SignedEntry(EntryType.X509, b"cert"), format_leaf_index(2), b"", (b"i" * 32, b"r" * 32))
PRECERT = TileLeaf(3, SignedEntry(EntryType.PRECERT, b"tbs", b"k" * 32), format_leaf_index(4), b"pre", (b"r" * 32,))


def test_leaf_index_by_hand():
    assert format_leaf_index(0x0102030405) == b"\0\0\5\1\2\3\4\5"
    assert len(format_leaf_index(0)) == 8


@given(st.integers(0, (1 << 40) - 1))
def test_leaf_index_round_trip(index):
    assert static_ct.parse_leaf_index(format_leaf_index(index)) == index


@pytest.mark.parametrize("index", [-1, 1 << 40])
def test_leaf_index_that_does_not_fit(index):
    with pytest.raises(MalformedError):
        format_leaf_index(index)


def test_other_extensions_in_any_order_and_none():
    other = b"\x07\0\2ab"
    assert static_ct.parse_leaf_index(other + format_leaf_index(9)) == 9
    assert static_ct.parse_leaf_index(format_leaf_index(9) + other) == 9
    assert static_ct.parse_leaf_index(other) is None
    assert static_ct.parse_leaf_index(b"") is None


@pytest.mark.parametrize(
    "extensions",
    [
        format_leaf_index(1) + format_leaf_index(1),
        b"\x07\0\0\x07\0\0",
        b"\0\0\4\0\0\0\1",
        b"\0\0\6\0\0\0\0\0\1",
        b"\0\0\5\0\0\0\1",
        b"\0\0",
        format_leaf_index(1) + b"\x07",
    ],
)
def test_leaf_index_malformed(extensions):
    with pytest.raises(MalformedError) as caught:
        static_ct.parse_leaf_index(extensions)
    assert caught.value.field == "extensions"


@given(st.binary(max_size=24))
def test_leaf_index_raises_nothing_else(extensions):
    try:
        index = static_ct.parse_leaf_index(extensions)
    except MalformedError:
        return
    assert index is None or 0 <= index < 1 << 40


def test_tile_leaf_by_hand():
    x509 = b"\0\0\0\0\0\0\0\1" + b"\0\0" + b"\0\0\4cert" + b"\0\x08" + b"\0\0\5\0\0\0\0\2"
    x509 += b"\0\x40" + b"i" * 32 + b"r" * 32
    assert format_tile_leaf(X509) == x509
    precert = b"\0\0\0\0\0\0\0\3" + b"\0\1" + b"k" * 32 + b"\0\0\3tbs" + b"\0\x08" + b"\0\0\5\0\0\0\0\4"
    precert += b"\0\0\3pre" + b"\0\x20" + b"r" * 32
    assert format_tile_leaf(PRECERT) == precert
    assert parse_data_tile(x509 + precert) == [X509, PRECERT]
    assert merkle_tree_leaves(x509 + precert) == [b"\0\0" + x509[:27], b"\0\0" + precert[:58]]


@given(st.lists(TILE_LEAF, max_size=6))
def test_round_trip(leaves):
    tile = b"".join(map(format_tile_leaf, leaves))
    assert parse_data_tile(tile) == leaves
    assert merkle_tree_leaves(tile) == [format_merkle_tree_leaf(leaf.timestamped) for leaf in leaves]


def outcome(read, tile):
    try:
        return read(tile)
    except MalformedError as error:
        return str(error), error.field, error.offset


def slow_leaves(tile):
    return [format_merkle_tree_leaf(leaf.timestamped) for leaf in static_ct._read_data_tile(tile)]


def columns(tile):
    found = static_ct.DataTile(tile)
    assert len(found) == len(found.leaves)
    entries = [found.entry(place) for place in range(len(found))]
    return list(zip(found.leaves, found.submitted, found.chains, entries, strict=True))


def columns_without_c(tile):
    before, static_ct._columns_fast = static_ct._columns_fast, None
    try:
        return columns(tile)
    finally:
        static_ct._columns_fast = before


def slow_columns(tile):
    leaves = static_ct._read_data_tile(tile)
    return [
        (format_merkle_tree_leaf(leaf.timestamped), leaf.pre_certificate or leaf.entry.certificate,
         b"".join(leaf.chain), leaf)
        for leaf in leaves
    ]  # fmt: skip


def slow_chains(tile):
    return [b"".join(leaf.chain) for leaf in static_ct._read_data_tile(tile)]


def without_c(tile):
    """The leaves and chains by the walk in Python."""
    before, static_ct._cut_fast = static_ct._cut_fast, None
    try:
        return static_ct.leaves_and_chains(tile)
    finally:
        static_ct._cut_fast = before


def check_leaves(tile):
    """Every reading of a tile takes and refuses the same."""
    wanted = outcome(slow_leaves, tile)
    assert outcome(merkle_tree_leaves, tile) == wanted
    both = outcome(static_ct.leaves_and_chains, tile)
    assert both == outcome(without_c, tile)
    if isinstance(wanted, list):
        assert both == (wanted, slow_chains(tile))


@given(st.lists(TILE_LEAF | st.sampled_from([X509, PRECERT]), max_size=4), st.data())
def test_the_fast_walk_takes_and_refuses_what_the_slow_reading_does(leaves, data):
    tile = bytearray(b"".join(map(format_tile_leaf, leaves)) + data.draw(st.sampled_from([b"", b"", b"\0", bytes(60)])))
    if tile:
        edits = st.lists(st.tuples(st.integers(0, len(tile) - 1), st.integers(0, 255)), max_size=2)
        for at, value in data.draw(edits):
            tile[at] = value
    tile = bytes(tile[: data.draw(st.integers(0, len(tile)) | st.just(len(tile)))])
    assert outcome(parse_data_tile, tile) == outcome(static_ct._read_data_tile, tile)
    check_leaves(tile)
    assert outcome(columns, tile) == outcome(columns_without_c, tile) == outcome(slow_columns, tile)


@pytest.mark.parametrize("leaf", [X509, PRECERT])
def test_every_cut_and_every_flipped_byte_agrees(leaf):
    """Exhaustive where Hypothesis samples: both readings, over all short and all slightly wrong tiles."""
    tile = format_tile_leaf(leaf) + format_tile_leaf(X509)
    first = len(format_tile_leaf(leaf))
    for cut in range(len(tile)):
        check_leaves(tile[:cut])
        if cut not in (0, first):
            with pytest.raises(MalformedError):
                parse_data_tile(tile[:cut])
    for at in range(first):
        for mask in (1, 0x80):
            wrong = tile[:at] + bytes([tile[at] ^ mask]) + tile[at + 1 :]
            assert outcome(parse_data_tile, wrong) == outcome(static_ct._read_data_tile, wrong)
            check_leaves(wrong)
            assert outcome(columns, wrong) == outcome(slow_columns, wrong)


def test_the_first_entries_of_a_tile():
    data = b"".join(map(format_tile_leaf, (X509, PRECERT, X509)))
    whole = static_ct.DataTile(data)
    for width in range(4):
        part = whole.first(width)
        assert (len(part), part.leaves) == (width, whole.leaves[:width])
        assert (part.submitted, part.chains) == (whole.submitted[:width], whole.chains[:width])
        assert [part.entry(place) for place in range(width)] == [X509, PRECERT, X509][:width]
    assert len(whole) == 3


def test_no_more_than_a_tile():
    full = format_tile_leaf(PRECERT) * 256
    assert len(parse_data_tile(full)) == len(merkle_tree_leaves(full)) == 256
    for read in (parse_data_tile, merkle_tree_leaves, static_ct.DataTile):
        with pytest.raises(MalformedError, match="more than 256") as caught:
            read(full + format_tile_leaf(PRECERT))
        assert caught.value.offset == len(full)


@pytest.mark.parametrize(
    ("tile", "offset"),
    [
        (format_tile_leaf(X509)[:-33] + b"\0", None),
        (format_tile_leaf(X509._replace(chain=()))[:-2] + b"\0\x1f" + bytes(31), 27),  # no whole fingerprint
        (format_tile_leaf(PRECERT._replace(chain=())).replace(b"\0\0\3pre", b"\0\0\0"), 58),  # no precertificate
        (bytes(8) + b"\0\0" + b"\0\0\0" + b"\0\x08" + format_leaf_index(1) + b"\0\0", 10),  # no certificate
        (bytes(8) + b"\0\2" + bytes(60), 8),
        (bytes(8) + b"\1\1" + bytes(60), 8),
    ],
)
def test_refused_by_both(tile, offset):
    for read in (parse_data_tile, merkle_tree_leaves, static_ct.DataTile):
        with pytest.raises(MalformedError) as caught:
            read(tile)
        assert caught.value.field == "data-tile"
        assert offset is None or caught.value.offset == offset


@pytest.mark.parametrize(
    "leaf",
    [
        X509._replace(pre_certificate=b"pre"),
        PRECERT._replace(pre_certificate=b""),
        X509._replace(chain=(b"short",)),
        X509._replace(chain=(b"s" * 31, b"s" * 33, b"s" * 31)),
        X509._replace(chain=(b"s" * 32,) * 2048),
        X509._replace(timestamp_ms=-1),
    ],
)
def test_what_cannot_be_written(leaf):
    with pytest.raises(MalformedError):
        format_tile_leaf(leaf)


def test_the_longest_chain():
    leaf = X509._replace(chain=(b"s" * 32,) * 2047)
    assert parse_data_tile(format_tile_leaf(leaf)) == [leaf]
