"""The certificate form against `wire.static_ct`, which knows the format."""

from __future__ import annotations

import hashlib

import pytest

from ctlog.errors import MalformedError
from ctlog.sequencer.forms import StaticCtForm
from ctlog.wire.rfc6962 import EntryType, TimestampedEntry, format_merkle_tree_leaf
from ctlog.wire.static_ct import TileLeaf, format_leaf_index, format_tile_leaf, parse_leaf_index
from tests.log_kit import START_MS, issuer, pending

FORM = StaticCtForm()
ENTRIES = [pending(number) for number in range(7)] + [pending(8, issuers=("A",)), pending(9, size=70_000)]


def test_pieces_and_leaves_are_those_of_the_spec() -> None:
    for at, placed in enumerate(FORM.place(ENTRIES, 300, START_MS)):
        entry = ENTRIES[at]
        extensions = format_leaf_index(300 + at)
        chain = tuple(one.fingerprint for one in entry.issuers)
        whole = TileLeaf(START_MS, entry.entry, extensions, entry.pre_certificate, chain)
        assert placed.pieces[0] == format_tile_leaf(whole)
        assert placed.leaf == format_merkle_tree_leaf(TimestampedEntry(START_MS, entry.entry, extensions))
        assert placed.leaf == FORM.leaf(entry, 300 + at, START_MS)
        assert placed.pieces[1] == b'{"index":%d,"timestamp":%d,' % (300 + at, START_MS) + entry.feed
        assert parse_leaf_index(extensions) == 300 + at


def test_a_tile_gives_back_leaves_and_keys() -> None:
    placed = FORM.place(ENTRIES, 0, START_MS)
    tile = b"".join(one.pieces[0] for one in placed)
    assert FORM.leaves(tile) == [one.leaf for one in placed]
    for entry, one, stored in zip(ENTRIES, placed, FORM.stored(tile), strict=True):
        submitted = entry.pre_certificate if entry.entry.type == EntryType.PRECERT else entry.entry.certificate
        assert stored.leaf == one.leaf
        assert stored.timestamp_ms == START_MS
        assert stored.entry_key == FORM.key(entry) == entry.key
        assert stored.certificate_hash == FORM.certificate_hash(entry) == hashlib.sha256(submitted).digest()
    for bad in (tile[:-1], tile + b"x"):
        with pytest.raises(MalformedError):
            FORM.leaves(bad)
        with pytest.raises(MalformedError):
            FORM.stored(bad)


def test_attachments_are_the_issuers_at_their_addresses() -> None:
    a, root = issuer("A"), issuer("root")
    assert FORM.attachments(pending(1)) == [
        (f"issuer/{hashlib.sha256(a.der).hexdigest()}", a.der),
        (f"issuer/{root.fingerprint.hex()}", root.der),
    ]


def test_a_feed_tile_must_have_a_line_for_each_entry() -> None:
    placed = FORM.place(ENTRIES[:3], 5, START_MS)
    entries = FORM.stored(b"".join(one.pieces[0] for one in placed))
    feed = b"".join(one.pieces[1] for one in placed)
    FORM.check_tile("numbers", feed, 5, entries)
    lines = feed.splitlines(keepends=True)
    for bad in (b"", feed[:-1], feed + lines[0], b"".join(lines[1:]), feed.replace(b"index", b"indey"), b"\n" + feed):
        with pytest.raises(MalformedError):
            FORM.check_tile("numbers", bad, 5, entries)
    with pytest.raises(MalformedError):
        FORM.check_tile("numbers", feed, 6, entries)
