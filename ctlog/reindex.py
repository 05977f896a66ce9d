"""What is derived from the data tiles, made again: hash tiles and the numbers feed that are missing or damaged.

In scope: the published files of a log that nobody is writing to. The data tiles are the log; they are read first, and
only where they lead to the signed root is anything written. Every hash tile and every line of the feed that is not what
follows from them is then replaced; a file that is right is not touched, so that nothing published ever changes (P5).

Out of scope: data tiles, issuers and heads, which nothing else holds: a mirror or a follower has copies. The look-ups
are derived too; a start makes them, so whoever wants them anew removes the file (`ctlog reindex` does).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from zlib_ng import zlib_ng as zlib

from ctlog.admission import Policy, plan_accept
from ctlog.client.fetch import DirectoryFetcher
from ctlog.errors import CtlogError, NotFoundError, StoreError
from ctlog.merkle.hashing import fold_many, hash_leaves
from ctlog.merkle.tiles import WIDTH, entries_path, tile_path, tiles_of
from ctlog.merkle.tree import HASH_SIZE, Frontier
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.numbers_feed import format_feed_line
from ctlog.wire.rfc6962 import EntryType
from ctlog.wire.static_ct import TileLeaf, merkle_tree_leaves, parse_data_tile
from ctlog.x509.chain import Roots, accepted_root

_FULL = WIDTH * HASH_SIZE
_GZIP_LEVEL, _GZIP = 3, 31  # as the log itself packs full tiles, with the same library


def mend(
    folder: Path, head: SignedHead, domains: Mapping[str, str], say: Callable[[str], None],
    on_entries: Callable[[int], object] = lambda count: None,
) -> int:  # fmt: skip
    """Make the derived files of the log in `folder` (its public one) whole; returns how many were written.

    `domains` gives the trust domain of each root (SHA-256 in hex); `say` is told of each file that is written,
    `on_entries` of entries that were read, each of which is read twice.
    Raises StoreError where the data tiles themselves are damaged: nothing was written then.
    """
    return _Mender(folder, head, domains, say, on_entries).run()


class _Mender:
    def __init__(
        self, folder: Path, head: SignedHead, domains: Mapping[str, str], say: Callable[[str], None],
        on_entries: Callable[[int], object],
    ) -> None:  # fmt: skip
        self._on_entries = on_entries
        self._folder = folder
        self._head = head
        self._domains = domains
        self._say = say
        self._read = DirectoryFetcher(folder).read
        self._policies: dict[bytes, Policy] = {}
        self._written = 0

    def run(self) -> int:
        rows = self._rows()
        for tile in tiles_of(self._head.size):
            at = tile.index * _FULL
            wanted = rows[tile.level][at : at + tile.width * HASH_SIZE]
            self._put(tile_path(tile), tile_path(tile._replace(width=WIDTH)), wanted, packed=False)
        for index, width in self._tiles():
            full = entries_path("numbers", index, WIDTH)
            self._put(entries_path("numbers", index, width), full, self._feed(index, width), packed=width == WIDTH)
        return self._written

    def _tiles(self) -> Iterator[tuple[int, int]]:
        for lo in range(0, self._head.size, WIDTH):
            yield lo // WIDTH, min(WIDTH, self._head.size - lo)

    def _rows(self) -> list[bytes]:
        """Every level's hashes, from the data tiles alone; they must make the signed root."""
        rows = [b"".join(self._leaf_hashes(index, width) for index, width in self._tiles())]
        if Frontier().append(rows[0]).root() != self._head.root:
            sentence = "the data tiles do not lead to the signed root: they are damaged; `ctlog fsck` names the file"
            raise StoreError(sentence, reason="data-damaged")
        while len(rows[-1]) >= _FULL:
            rows.append(fold_many(rows[-1][: len(rows[-1]) // _FULL * _FULL], WIDTH))
        return rows

    def _data(self, index: int, width: int) -> bytes:
        path = entries_path("data", index, width)
        self._on_entries(width)
        try:
            return self._read(path)
        except NotFoundError:
            return self._read(entries_path("data", index, WIDTH))

    def _leaf_hashes(self, index: int, width: int) -> bytes:
        try:
            return hash_leaves(merkle_tree_leaves(self._data(index, width))[:width])
        except CtlogError as error:
            sentence = f"{entries_path('data', index, width)} cannot be read: {error}; only a copy can mend it"
            raise StoreError(sentence, reason="data-damaged") from None

    def _feed(self, index: int, width: int) -> bytes:
        leaves = parse_data_tile(self._data(index, width))[:width]
        return b"".join(self._line(index * WIDTH + place, leaf) for place, leaf in enumerate(leaves))

    def _line(self, index: int, leaf: TileLeaf) -> bytes:
        """The line of one entry, as admission makes it of the stored chain."""
        root = leaf.chain[-1] if leaf.chain else b""
        try:
            ders = [self._read(f"issuer/{fingerprint.hex()}") for fingerprint in leaf.chain]
            if root not in self._policies:
                accepted = accepted_root(ders[-1], self._domains.get(root.hex(), "unknown"))
                self._policies[root] = Policy(Roots([accepted]), require_number=False, max_chain=100, max_leaf=1 << 24)
            kind = EntryType.PRECERT if leaf.pre_certificate else EntryType.X509
            submitted = leaf.pre_certificate or leaf.entry.certificate
            pending = plan_accept([submitted, *ders], kind, self._policies[root], leaf.timestamp_ms).pending
        except (CtlogError, IndexError) as error:
            raise StoreError(f"entry {index} has no line: {error}", reason="data-damaged") from None
        return format_feed_line(index, leaf.timestamp_ms, pending.feed)

    def _put(self, path: str, full: str, wanted: bytes, *, packed: bool) -> None:
        """Write a tile unless it, or the full tile in the place of a partial one, says the same."""
        for name in (path, full):
            try:
                if self._read(name)[: len(wanted)] == wanted and (name != path or self._read(name) == wanted):
                    return
            except CtlogError:
                continue
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.mending")
        with temporary.open("wb") as file:
            file.write(_pack(wanted) if packed else wanted)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        handle = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        self._written += 1
        self._say(path)


def _pack(data: bytes) -> bytes:
    return zlib.compress(data, _GZIP_LEVEL, _GZIP)
